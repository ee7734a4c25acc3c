"""Values as users write them: sizes, durations, columns. PURE."""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ...errors import SpecError
from .job_spec import OutputMode
from .shell.words import SHELLS

_SIZE: Final = re.compile(r"\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>[KMGT]?)(?:i?B)?\s*", re.IGNORECASE)
_MIB: Final = {"K": 1 / 1024, "": 1.0, "M": 1.0, "G": 1024.0, "T": 1024.0 * 1024.0}
_DURATION: Final = re.compile(r"\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>ms|s|m|h|d|)\s*")
_SECONDS: Final = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
#: the most of ``nice(1)``
NICE_MOST: Final = 19

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
    if not words or words[0].rpartition("/")[2] not in SHELLS:
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
    number = parse_number(text)
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


def parse_size(text: str) -> int:
    """Return a size in bytes, read as `parse_size_mib` does."""
    return int(parse_size_mib(text) * 1024 * 1024)


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
    """Return name and dtype of each column of ``n:int,vel_disp:float,name``; str where none is given; '' for none.

    Raises
    ------
    SpecError
        A name is missing.
    """
    columns: list[tuple[str, str]] = []
    for part in text.split(",") if text else ():
        name, _, dtype = part.partition(":")
        if not name.strip():
            raise SpecError(f"columns {text!r}: a name is missing; write name:dtype,name:dtype")
        columns.append((name.strip(), dtype.strip() or "str"))
    return tuple(columns)


def as_text(value: Any) -> str:
    """Return a value of Python as a user would write it in a cell: several with commas between, pairs with a colon."""
    if isinstance(value, Mapping):
        return ",".join(f"{name}:{as_text(one)}" for name, one in value.items())
    if isinstance(value, list | tuple | set | frozenset | range):
        return ",".join(map(as_text, value))
    if isinstance(value, type):
        return value.__name__
    return str(value.__fspath__() if hasattr(value, "__fspath__") else value)


def parse_number(text: str) -> float:
    """Return a number; an infinite one is none.

    Raises
    ------
    SpecError
        It is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise SpecError(f"{text!r} is no number")
    return number


def parse_whole(text: str) -> int:
    """Return a whole number; ``2.0`` is one.

    Raises
    ------
    SpecError
        It is none.
    """
    try:
        return int(text)
    except ValueError:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
    if not number.is_integer():
        raise SpecError(f"{text!r} is no whole number")
    return int(number)


def parse_nice(text: str) -> int:
    """Return how far tasks stand back: 0, as this program, to 19, the most that ``nice(1)`` knows.

    Raises
    ------
    SpecError
        It is no such number.
    """
    if not text.strip().isdecimal() or int(text) > NICE_MOST:
        raise SpecError(f"{text!r} is no niceness: write 0 to {NICE_MOST}")
    return int(text)


def parse_output(text: str) -> OutputMode:
    """Return where stdout and stderr go.

    Raises
    ------
    SpecError
        There is no such place.
    """
    try:
        return OutputMode(text)
    except ValueError:
        raise SpecError(f"{text!r} is none of {', '.join(OutputMode)}{near(text, OutputMode)}") from None


def parse_variables(given: object) -> tuple[tuple[str, str | None], ...]:
    """Return variables of ``NAME=VALUE`` and ``NAME``, or of a mapping; None takes the value from the kernel."""
    if isinstance(given, Mapping):
        return tuple((str(name), None if value is None else as_text(value)) for name, value in given.items())
    pairs = [text.partition("=") for text in _several(given)]
    return tuple((name, value if assigned else None) for name, assigned, value in pairs)


def parse_attributes(given: object) -> tuple[tuple[str, str], ...]:
    """Return attributes of nodes of ``ATTR=VALUE``, or of a mapping.

    Raises
    ------
    SpecError
        A name or a value is missing. Names all of these.
    """
    if isinstance(given, Mapping):
        given = [f"{name}={as_text(value)}" for name, value in given.items()]
    pairs = [(text, text.partition("=")) for text in _several(given)]
    if bad := [f"{text!r}" for text, (name, assigned, _) in pairs if not name or not assigned]:
        raise SpecError(f"{', '.join(bad)} is not attribute=value")
    return tuple((name, value) for _, (name, _, value) in pairs)


def _several(given: object) -> list[str]:
    """Return what was given, one or several, as texts."""
    return list(map(as_text, given if isinstance(given, list | tuple | set | frozenset) else [given]))


def near(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?``, or nothing when nothing is near."""
    names = {name.lstrip("-"): name for name in known}
    bare = word.lstrip("-")
    found = [name for name in names if bare and name.startswith(bare)] or difflib.get_close_matches(bare, names, 1)
    return f"; did you mean {' or '.join(names[name] for name in found)}?" if found else ""
