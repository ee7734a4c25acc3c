r"""One part of a pattern, between two slashes: which names it means, as bash and POSIX have it. PURE.

``*``, ``?``, ``[abc]``, ``[a-c]``, ``[!abc]`` and ``[^abc]``, ``[[:digit:]]``, and a backslash before what is to have
no meaning. A bracket that is not closed is a character. Ranges are by code point, whatever the locale says.
"""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from typing import Final

_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_DIGITS: Final = re.compile("[0-9]+")
_DIGITS_LAST: Final = re.compile(r"[0-9]+\Z")
_NO_DIGITS_LAST: Final = re.compile(r"[^0-9]*\Z")
#: of fewer names the order is found by their numbers right away
_MANY: Final = 1000
_TO_ZERO: Final = str.maketrans("123456789", "000000000")

#: what stands for each class, outside of brackets
_CLASSES: Final = {
    "alnum": r"[^\W_]",
    "alpha": r"[^\W\d_]",
    "ascii": r"[\0-\x7f]",
    "blank": r"[ \t]",
    "cntrl": r"[\0-\x1f\x7f]",
    "digit": r"[0-9]",
    "graph": r"[^\s\0-\x1f\x7f]",
    "print": r"[^\0-\x1f\x7f]",
    "punct": r"(?:(?![A-Za-z0-9])[!-~])",
    "space": r"\s",
    "word": r"\w",
    "xdigit": r"[0-9A-Fa-f]",
}


def plain(part: str) -> str:
    """Return a part without its backslashes: the name that it means when it has no wildcards."""
    return _ESCAPED.sub(r"\1", part) if "\\" in part else part


def has_magic(part: str) -> bool:
    """Say whether a part, or a whole pattern, has wildcards."""
    return any(kind != "char" for kind, _ in _tokens(part)) if any(char in part for char in "*?[") else False


@lru_cache(256)
def matcher(part: str, *, any_case: bool = False) -> re.Pattern[str]:
    """Return what matches the names that a part means, whole names alone."""
    segments: list[list[str]] = [[]]
    for kind, text in _tokens(part):
        if kind == "star":
            if segments[-1] or len(segments) == 1:
                segments.append([])
        else:
            segments[-1].append(text if kind != "char" else re.escape(text))
    first, *rest = ["".join(segment) for segment in segments]
    # The first place where a middle segment fits will do, so nothing is tried twice.
    middle = "".join(f"(?>.*?{segment})" for segment in rest[:-1])
    last = f".*{rest[-1]}" if rest else ""
    flags = re.DOTALL | (re.IGNORECASE if any_case else 0)
    return re.compile(f"{first}{middle}{last}\\Z", flags)


def _tokens(part: str) -> list[tuple[str, str]]:
    """Return "star", "any", "set" with its expression, or "char" with the character, for each piece of a part."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            found.append(("star", ""))
        elif char == "?":
            found.append(("any", "."))
        elif char == "[" and (made := _bracket(part, at)) is not None:
            expression, at = made
            found.append(("set", expression))
        elif char == "\\" and at < len(part):
            found.append(("char", part[at]))
            at += 1
        else:
            found.append(("char", char))
    return found


def _bracket(part: str, at: int) -> tuple[str, int] | None:
    """Return the expression of a bracket that opens before `at`, and where it ends; None when it is not closed."""
    negated = part[at : at + 1] in ("!", "^")
    at += negated
    start = at
    ranges: list[str] = []
    others: list[str] = []
    while at < len(part):
        if part[at] == "]" and at > start:
            kinds = [f"[{''.join(ranges)}]"] * bool(ranges) + others
            one = f"(?:{'|'.join(kinds)})" if kinds else "(?!)"
            return (f"(?:(?!{one}).)" if negated else one), at + 1
        if part.startswith("[:", at) and (end := part.find(":]", at + 2)) >= 0:
            others.append(_class(part[at + 2 : end]))
            at = end + 2
            continue
        low, at = _member(part, at)
        high = low
        if part[at : at + 1] == "-" and part[at + 1 : at + 2] not in ("]", ""):
            high, at = _member(part, at + 1)
        if low <= high:
            ranges.append(re.escape(low) if low == high else f"{re.escape(low)}-{re.escape(high)}")
    return None


def _member(part: str, at: int) -> tuple[str, int]:
    """Return a character of a bracket, and where the next one begins."""
    for mark in ".=":
        if part.startswith("[" + mark, at) and part[at + 3 : at + 5] == mark + "]":
            return part[at + 2], at + 5
    if part[at] == "\\" and at + 1 < len(part):
        return part[at + 1], at + 2
    return part[at], at + 1


def _class(name: str) -> str:
    return _cased(name) if name in ("upper", "lower") else _CLASSES.get(name, "(?!)")


@lru_cache(2)
def _cased(name: str) -> str:
    of_case = str.isupper if name == "upper" else str.islower
    return f"[{''.join(char for char in map(chr, range(sys.maxunicode + 1)) if of_case(char))}]"


# -- order -----------------------------------------------------------------------------------------------------


def in_order(names: list[str]) -> list[str]:
    """Return names in natural order: numbers by value, all else by code point, what is in a directory together."""
    names = sorted(names)
    if _one_number(names):
        names.sort(key=len)
    elif len(set("\0".join(names).translate(_TO_ZERO).split("\0"))) > 1:  # else all numbers are as long as each other
        names.sort(key=_order)
    return names


def _one_number(names: list[str]) -> bool:
    """Say whether sorted names differ in one number alone, without zeros before it: then the longer is the larger."""
    if len(names) < _MANY:
        return False
    head = os.path.commonprefix([names[0], names[-1]])  # noqa: RUF071  # of characters, not of folders
    number = _DIGITS_LAST.search(head)
    tail = _NO_DIGITS_LAST.search(names[0])
    if (number and number[0].startswith("0")) or tail is None:
        return False
    start, end = len(head), len(tail[0])
    middles = [name[start : len(name) - end] for name in names]
    told = "".join(middles)
    if not (told.isascii() and told.isdecimal()) or not all(name.endswith(tail[0]) for name in names):
        return False
    return bool(number) or not any(middle[:1] == "0" != middle for middle in middles)


def _order(name: str) -> str:
    return _DIGITS.sub(_number, name).replace("/", "\0")


def _number(found: re.Match[str]) -> str:
    digits = found[0].lstrip("0")
    return f"0{len(digits):04d}{digits}"
