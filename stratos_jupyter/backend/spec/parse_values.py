"""Values as users write them: sizes, durations, columns. PURE."""

from __future__ import annotations

import math
import re
import shlex
from typing import Final

from ...errors import SpecError

_SIZE: Final = re.compile(r"\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>[KMGT]?)(?:i?B)?\s*", re.IGNORECASE)
_MIB: Final = {"K": 1 / 1024, "": 1.0, "M": 1.0, "G": 1024.0, "T": 1024.0 * 1024.0}
_DURATION: Final = re.compile(r"\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>ms|s|m|h|d|)\s*")
_SECONDS: Final = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


#: shells whose language file names can be quoted for
_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "ksh", "ksh93", "mksh", "zsh"})
#: options with which a shell ends well without having run anything, or takes its command elsewhere
_IDLE: Final = re.compile(
    r"-[A-Za-z]*n[A-Za-z]*|--|--(?:version|help|dump-(?:po-)?strings|pretty-print)|(?:--)?(?i:no[_-]?exec)"
)


def parse_shell(text: str) -> tuple[str, ...]:
    """Return a shell and its options, as ``bash -euo pipefail``.

    Raises
    ------
    SpecError
        It is no shell, or an option would keep it from reading the command.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise SpecError(f"{text!r}: {error}") from None
    if not words or words[0].rpartition("/")[2] not in _SHELLS:
        raise SpecError(
            f"{text!r} is no shell that is known: write bash, sh, zsh, ksh or dash, with options if you like. A first "
            "line #!/usr/bin/env python3 in the cell has any other program run it"
        )
    takes_name = False
    for word in words[1:]:
        if _IDLE.fullmatch(word) or (word == "-D" and words[0].endswith("bash")):
            raise SpecError(f"{text!r}: with {word} no command would be run; leave it out")
    for word in words[1:]:
        letters = word[1:] if re.fullmatch(r"[-+][A-Za-z]+", word) else ""
        if not takes_name and not letters and not word.startswith("--"):
            raise SpecError(f"{text!r}: {word!r} is no option; the command is what the cell holds")
        if not takes_name and set(letters) & set("cs"):
            raise SpecError(f"{text!r}: leave -c and -s out; the command is what the cell holds")
        takes_name = not takes_name and letters[-1:] in ("o", "O")
    if takes_name:
        raise SpecError(f"{text!r}: {words[-1]} needs a name, as in -o pipefail")
    return words


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
