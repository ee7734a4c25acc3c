"""Values as users write them: sizes, durations, columns. PURE."""

from __future__ import annotations

import math
import re
from typing import Final

from .errors import SpecError

_SIZE: Final = re.compile(r"\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>[KMGT]?)(?:i?B)?\s*", re.IGNORECASE)
_MIB: Final = {"K": 1 / 1024, "": 1.0, "M": 1.0, "G": 1024.0, "T": 1024.0 * 1024.0}
_DURATION: Final = re.compile(r"\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>ms|s|m|h|d|)\s*")
_SECONDS: Final = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def as_amount(name: str, text: str) -> float:
    """Return a number above 0.

    Raises
    ------
    SpecError
        It is none.
    """
    number = as_number(name, text)
    if not 0 < number < math.inf:
        raise SpecError(f"{name} must be a finite number above 0, got {text}")
    return number


def parse_size_mib(text: str | float) -> float:
    """Return a size in MiB: a bare number is MiB, else K, M, G or T says.

    Raises
    ------
    SpecError
        It is no size.
    """
    found = _SIZE.fullmatch(str(text))
    if found is None:
        raise SpecError(f"{text!r} is no size: write 512 or 512M for MiB, 2G for GiB")
    return float(found["number"]) * _MIB[found["unit"].upper()]


def parse_duration_s(text: str | float) -> float:
    """Return a duration in seconds: a bare number is seconds, else ms, s, m, h or d says.

    Raises
    ------
    SpecError
        It is no duration.
    """
    found = _DURATION.fullmatch(str(text))
    if found is None:
        raise SpecError(f"{text!r} is no duration: write 90 or 90s, 10m, 2h")
    return float(found["number"]) * _SECONDS[found["unit"]]


def parse_columns(text: str) -> tuple[tuple[str, str], ...]:
    """Return name and dtype of each column of ``n:int,vel_disp:float,name``; str where none is given.

    Raises
    ------
    SpecError
        A name is missing.
    """
    columns: list[tuple[str, str]] = []
    for part in text.split(","):
        name, _, dtype = part.partition(":")
        if not name.strip():
            raise SpecError(f"columns {text!r}: a name is missing; write name:dtype,name:dtype")
        columns.append((name.strip(), dtype.strip() or "str"))
    return tuple(columns)


def as_number(name: str, value: object) -> float:
    """Return a number that may have come as a string.

    Raises
    ------
    SpecError
        It is none.
    """
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever it is, float() says whether it is a number
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise SpecError(f"{name}: {value!r} is not a number")
    return number
