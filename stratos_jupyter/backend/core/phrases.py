"""How amounts, times and counts are written for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: what a field of `Resources` is called, and the option that asks for it
WORDS: Final = {
    "cpus": ("cores", "--threads"),
    "mem_mib": ("memory", "--mem"),
    "disk_mib": ("disk", "--disk"),
    "gpus": ("GPUs", "--gpus"),
}


def amount_text(name: str, amount: float) -> str:
    """Return an amount of a resource as a person would write it."""
    if not name.endswith("_mib"):
        return f"{amount:g}"
    return f"{amount / 1024:,.3g} GiB" if amount >= 1024 else f"{amount:,.3g} MiB"


def seconds_text(seconds: float) -> str:
    """Return a time as a person would say it."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def ordinal(number: int) -> str:
    """Return ``1st``, ``12th``."""
    last = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{last}"


def plural(count: int, noun: str, many: str = "") -> str:
    """Return ``1 task``, ``12 tasks``; `many` is a plural that is not the noun and an s."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def sentences(lines: Iterable[str]) -> str:
    """Return clauses as lines, each a sentence."""
    return "\n".join(line[:1].upper() + line[1:] + ("" if line.endswith(".") else ".") for line in lines)
