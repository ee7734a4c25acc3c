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
    """Return a rough time, as how long something still waits: ``8.2 s``, ``42 s``, ``7 min``, ``3.1 h``."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def duration_text(seconds: float) -> str:
    """Return a duration as a person reads it: ``1.2 s``, ``42 s``, ``3 min 05 s``, ``2 h 05 min``, ``3 d 04 h``."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def length_text(seconds: float) -> str:
    """Return how long something took, so that short ones can be told apart: ``53.7 ms``, ``4.21 s``, ``42 s``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms" if seconds > 0 else "0"
    return f"{seconds:.3g} s" if seconds < 9.95 else duration_text(seconds)


def rate_text(per_s: float) -> str:
    """Return a rate with the unit that makes a readable number: ``140/s``, ``2.5/s``, ``12/min``, ``3.0/h``."""
    for value, unit in ((per_s, "s"), (per_s * 60, "min"), (per_s * 3600, "h")):
        if value >= 1 or unit == "h":
            break
    return f"{value:,.0f}/{unit}" if value >= 9.95 else f"{value:.1f}/{unit}"


def size_text(size: int) -> str:
    """Return bytes as a person reads them: ``512 B``, ``6.2 GiB``."""
    exact, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if exact < 1024:
            break
        exact, unit = exact / 1024, larger
    return f"{exact:,.0f} {unit}" if unit == "B" or exact >= 100 else f"{exact:.1f} {unit}"


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
