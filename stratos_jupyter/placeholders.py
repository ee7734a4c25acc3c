"""Placeholders that are unknown: refused with those that are known, and told from what only looks like one. PURE."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from .errors import SpecError

_NAME: Final = re.compile(r"%(\w{2,})%")
#: parts of a name, which are places of --makes
_PART: Final = re.compile(r"%(\w+\.(?:name|parent|stem|suffix))%")
#: a single letter counts only as a word of its own, or a value: `date +%Y%m%d` and printf '%d%s' are common
_LETTER: Final = re.compile(r"(?<![^\s'\"=])%([A-Za-z]\d{0,3})%(?![^\s'\";|&)])")
#: what printf and strftime have: %ld, %_H, %Ey
_CONVERSION: Final = re.compile(r"(?:hh|h|ll|l|L|q|j|z|t)[diouxXeEfFgGaAcsp]|[_EO0][A-Za-z]")
#: a byte of a URL, followed by another
_BYTE: Final = re.compile(r"%[0-9A-Fa-f]{2}%[0-9A-Fa-f]{2}")
_ANY: Final = re.compile(r"%([^%\n]{2,60})%")
_WORD_BEFORE: Final = re.compile(r"\S+\Z")
_NEAR: Final = 0.8


def unknown_placeholders(text: str, known: Sequence[str]) -> list[str]:
    """Return what stands between two % like a placeholder, and is none of the `known`."""
    taken = "|".join(sorted(map(re.escape, known), key=len, reverse=True))
    rest = re.sub(f"%(?:{taken})%", " ", text) if known else text
    found = [match[1] for of in (_NAME, _PART) for match in of.finditer(rest) if not _is_format(rest, match)]
    found += _LETTER.findall(rest)
    odd = [name for name in known if not name.isidentifier()]
    lowered = {name.strip().lower(): name for name in odd}
    found += [
        match[1]
        for match in _ANY.finditer(rest)
        if odd and not match[1].isidentifier() and get_close_matches(match[1].strip().lower(), lowered, 1, _NEAR)
    ]
    return sorted(set(found))


def _is_format(text: str, match: re.Match[str]) -> bool:
    """Say whether what stands between two % belongs to a format of printf or date, or to a URL."""
    name = match[1]
    if name[0].isdigit() or _CONVERSION.fullmatch(name) or _BYTE.match(text, match.start()):
        return True
    if len(name) == 2 and text[match.end() : match.end() + 1].isalpha():  # %Y_%m, %dT%H
        return True
    word = _WORD_BEFORE.search(text, 0, match.start())
    return word is not None and word[0].lstrip("'\"").startswith("+")  # date +run_%Y_at_%H


def refuse_unknown(text: str, known: Sequence[str]) -> None:
    """Raise SpecError for placeholders that are unknown, with those that are known and what is meant by them."""
    unknown = unknown_placeholders(text, known)
    if not unknown:
        return
    shown = ", ".join(f"%{name}%" for name in unknown)
    by_case = {name.lower(): name for name in known}
    near = [by_case[one[0]] for name in unknown if (one := get_close_matches(name.lower(), by_case, 1, 0.6))]
    meant = f" (is {', '.join(f'%{name}%' for name in dict.fromkeys(near))} meant?)" if near else ""
    names = ", ".join(f"%{name}%" for name in known) or "none: each command is run as it is"
    first = unknown[0]
    parts = ""
    if _PART.fullmatch(f"%{first}%"):
        parts = ". Parts of a name are places of --makes alone; in bash: f=PATH; f=${f##*/}; f=${f%.*}"
    raise SpecError(
        f"unknown placeholder {shown}; known: {names}{meant}{parts}. To mean the characters themselves write "
        f'%{first[0]}""{first[1:]}%'
    )


def stands(text: str, names: str) -> bool:
    """Say whether one of some one-letter placeholders, as ``f`` or ``c``, stands in a text as one."""
    return any(name[0] in names for name in _LETTER.findall(text))
