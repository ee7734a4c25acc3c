"""How fast is the local engine? A table of ratios, taken in one run on one machine, two slots each.

Everything runs once a round, in turn, and ratios are taken round by round: a minute in which the machine is
slow is then slow for the neighbours in the table too. It prints and never judges; README.md says what is
counted.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contenders import SLOTS, Contender, racers, singles

#: round trips of one task
TRIPS = 200
#: our rate to that of the contender: at least
RATE_TARGETS = {
    **{"c": 0.75, "xargs": 1.1, "c-bash": 0.75, "xargs-bash": 1.1, "c-direct": 0.75, "xargs-direct": 1.1},
    "parallel": 6.0,
}
#: contender, key of its sample, what it is, unit, at most
FIGURES = (
    ("ours", "cpu_us", "CPU of the kernel's process, a task", "us", 40.0),
    ("ours", "frame_s", "  building the DataFrame", "s", None),
    ("latency", "median_ms", "one task, submit to get_results(), median", "ms", 5.0),
    ("latency", "p95_ms", "  95 in 100 take less than", "ms", None),
    ("submit", "submit_s", "the submitting call", "s", 1.0),
    ("submit", "submit_mb", "  memory grown by then", "MB", 100.0),
    ("submit", "end_mb", "  memory grown when all have ended, outputs in a list", "MB", None),
    ("submit", "peak_mb", "  its peak until then", "MB", None),
    ("submit", "seconds", "  until all have ended", "s", None),
    ("submit", "frame_s", "  building the DataFrame", "s", None),
)


@dataclass(frozen=True)
class Figure:
    """One line of the second table."""

    label: str
    tasks: int
    value: float
    unit: str
    target: float | None
    #: whether the target is a least value
    least: bool = False

    def line(self) -> str:
        text = f"{self.label:58}{self.tasks:8}{self.value:10.3g} {self.unit:3}"
        if self.target is None or math.isnan(self.value):
            return text.rstrip()
        sign, reached = (">=", self.value >= self.target) if self.least else ("<", self.value < self.target)
        return f"{text}  {sign} {self.target:g} {self.unit}: {'reached' if reached else 'missed'}"


# -- figures


def ratios(one: Contender | None, other: Contender | None) -> list[float]:
    """Rate to rate, round by round."""
    if one is None or other is None or one.trouble or other.trouble:
        return []
    return [a / b for a, b in zip(one.rates(), other.rates(), strict=True)]


def peer(entered: dict[str, Contender], name: str, one: Contender) -> Contender | None:
    """The contender of that name that goes the way of `one`."""
    return entered.get(name if one.way == "sh" else f"{name}-{one.way}")


def figures_of(entered: dict[str, Contender]) -> list[Figure]:
    figures = []
    for name, target in RATE_TARGETS.items():
        if name in entered and (values := ratios(peer(entered, "ours", entered[name]), entered[name])):
            label, tasks = f"rate to {entered[name].label}", entered[name].samples[0]["tasks"]
            figures.append(Figure(label, tasks, statistics.median(values), "x", target, least=True))
    for name, key, label, unit, most in FIGURES:
        if name in entered and (samples := entered[name].samples):
            value = statistics.median(sample[key] for sample in samples)
            figures.append(Figure(label, samples[0]["tasks"], value, unit, most))
    return figures


def surroundings(folder: Path) -> dict[str, str]:
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?"
    return {
        "machine": f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, load {load} at the start",
        "python": platform.python_version(),
        "sh": os.path.realpath("/bin/sh"),
        "folder": f"{folder.parent} ({file_system(folder)})",
    }


def file_system(folder: Path) -> str:
    """The type of the file system that holds a folder, as Linux names it."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return "file system unknown"
    types = {}
    for line in lines:  # "36 35 98:0 /root /mount/point options - type source ..."; the later hides the earlier
        before, _, after = line.partition(" - ")
        types[Path(before.split()[4])] = after.split()[0]
    return next((types[path] for path in (folder, *folder.parents) if path in types), "file system unknown")


def near_state() -> Path:
    """A folder on the disk that would hold the user's journal."""
    state = os.environ.get("STRATOS_HOME") or os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    path = Path(state).expanduser().absolute()
    there = next(folder for folder in (path, *path.parents) if folder.is_dir())
    return there if os.access(there, os.W_OK) else Path(tempfile.gettempdir())


# -- tables


def median_text(values: Sequence[float], form: str, spread: bool = False) -> str:
    if not values:
        return "-"
    text = format(statistics.median(values), form)
    return f"{text} ({min(values):{form}}-{max(values):{form}})" if spread and len(values) > 1 else text


def print_race(entered: dict[str, Contender]) -> None:
    print(f"\n{'':38}{'tasks':>7}{'tasks/s':>9}   {'x C loop (least-most)':24}ours x")
    for one in entered.values():
        if one.trouble:
            print(f"{one.label:38}{'-':>7}{'-':>9}   {one.trouble}")
            continue
        to_limit = median_text(ratios(one, peer(entered, "c", one)), ".2f", spread=True)
        own = median_text(ratios(peer(entered, "ours", one), one), ".2f")
        tasks, rate = one.samples[0]["tasks"], median_text(one.rates(), ".0f")
        print(f"{one.label:38}{tasks:7}{rate:>9}   {to_limit:24}{own}")


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


# -- the run


def options(known: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=positive, default=10_000, help="default 10000; the slow ones run a fifth of it")
    parser.add_argument("--rounds", type=positive, default=3, help="default 3")
    parser.add_argument("--submit-tasks", type=positive, default=100_000, help="how many for `submit`; default 100000")
    parser.add_argument("--only", default="", metavar="NAME,...", help=f"of {', '.join(known)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there too")
    chosen = parser.parse_args()
    chosen.only = [name for name in chosen.only.split(",") if name] or list(known)
    if unknown := sorted(set(chosen.only) - set(known)):
        parser.error(f"--only: {', '.join(unknown)}: unknown; known: {', '.join(known)}")
    return chosen


def positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def main() -> None:
    everyone = [*racers(), *singles()]
    chosen = options([one.name for one in everyone])
    race = {one.name: one for one in racers() if one.name in chosen.only}
    alone = {one.name: one for one in singles() if one.name in chosen.only}
    with tempfile.TemporaryDirectory(prefix=".stratos-bench-", dir=near_state(), ignore_cleanup_errors=True) as name:
        folder = Path(name)
        around = surroundings(folder)
        print("\n".join(f"{key:8} {value}" for key, value in around.items()))
        print(f"{'race':8} `echo i` in {SLOTS} slots, medians of {chosen.rounds} rounds")
        for number in range(chosen.rounds):
            for one in race.values():
                progress(f"round {number + 1} of {chosen.rounds}: {one.label}")
                one.attempt(folder, max(SLOTS, chosen.tasks // one.share))
        for one in alone.values():
            progress(one.label)
            one.attempt(folder, TRIPS if one.name == "latency" else chosen.submit_tasks)
    progress("")
    if race:
        print_race(race)
    print(f"\n{'stratos_jupyter':58}{'tasks':>8}{'seen':>10}      target")
    figures = figures_of(race | alone)
    print("\n".join(figure.line() for figure in figures) or "nothing measured")
    for one in alone.values():
        if one.trouble:
            print(f"{one.label}: {one.trouble}")
    for one in [*race.values(), *alone.values()]:
        for line in [line for sample in one.samples for line in sample.get("said", ())]:
            print(f"{one.label} said: {line}")
    if chosen.json:
        chosen.json.write_text(json.dumps(record(around, race | alone, figures), indent=1) + "\n")


def record(around: dict[str, str], entered: dict[str, Contender], figures: list[Figure]) -> dict[str, Any]:
    return {
        "surroundings": around,
        "samples": {name: one.trouble or one.samples for name, one in entered.items()},
        "figures": [asdict(figure) for figure in figures],
    }


if __name__ == "__main__":
    main()
