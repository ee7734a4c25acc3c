r"""Braces as bash expands them: ``{a,b}``, ``{1..3}``, ``{01..10..2}``, ``{a..e}``, nested. PURE.

This is text alone: each alternative is a word, whether or not there is such a file. Braces without alternatives are
characters. A backslash takes the meaning from the character behind it, and stays in the word.
"""

from __future__ import annotations

import re
from typing import Final

from ...errors import SpecError

_SEQUENCE: Final = re.compile(
    r"(?:([+-]?[0-9]{1,18})\.\.([+-]?[0-9]{1,18})|([A-Za-z])\.\.([A-Za-z]))(?:\.\.([+-]?[0-9]{1,18}))?", re.ASCII
)
_PADDED: Final = re.compile(r"[+-]?0[0-9]")
_SPECIAL: Final = re.compile(r"[\\*?[\]{}$~`]")


def escape(text: str) -> str:
    """Return the pattern that means this text, and nothing else."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def expand_braces(text: str, most: int) -> list[str]:
    """Return the words that the braces of a text make, in the order that they are written in; itself when it has none.

    Raises
    ------
    SpecError
        There are more than `most` words.
    """
    if "{" not in text:
        return [text]
    opened, closed = _first(text)
    if closed < 0:
        return [text]
    head, inside, tail = text[:opened], text[opened + 1 : closed], text[closed + 1 :]
    pieces = _pieces(inside)
    if len(pieces) > 1:
        middle = [word for piece in pieces for word in expand_braces(piece, most)]
    else:
        middle = _sequence(inside, most) or ["{" + inside + "}"]
    tails = expand_braces(tail, most)
    if len(middle) * len(tails) > most:
        raise SpecError(f"{text!r:.200} makes more than {most:,} names; write it with a wildcard")
    return [head + one + end for one in middle for end in tails]


def _first(text: str) -> tuple[int, int]:
    """Return where the first brace with alternatives opens and closes; (-1, -1) when there is none."""
    at = 0
    while (opened := _find(text, at, "{")) >= 0:
        if not (opened == 0 and text.startswith("{}")):
            closed = _find(text, opened + 1, "}")
            if closed >= 0:
                return opened, closed
        at = opened + 1
    return -1, -1


def _find(text: str, at: int, wanted: str) -> int:
    """Return where a brace or comma is that belongs to this level, -1 when none does.

    A closing one counts only behind a comma or two dots: ``{a},b}`` has the alternatives ``a}`` and ``b``.
    """
    level = 0
    parted = wanted != "}"
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 2
            continue
        if text.startswith("${", at):
            level += 1
            at += 2
            continue
        if char == wanted and not level and parted:
            return at
        if (
            wanted == "}"
            and not level
            and (char == "," or (text.startswith("..", at) and text[at + 2 : at + 3] != "}"))
        ):
            parted = True
        if char == "{":
            level += 1
        elif char == "}" and level:
            level -= 1
        at += 1
    return -1


def _pieces(inside: str) -> list[str]:
    pieces, start = [], 0
    while (at := _find(inside, start, ",")) >= 0:
        pieces.append(inside[start:at])
        start = at + 1
    return [*pieces, inside[start:]]


def _sequence(inside: str, most: int) -> list[str]:
    """Return what ``1..3`` or ``a..e`` means; nothing when it is none."""
    found = _SEQUENCE.fullmatch(inside)
    if found is None:
        return []
    first, last, letter, until, step = found.groups()
    start, end = (ord(letter), ord(until)) if letter else (int(first), int(last))
    by = abs(int(step or 1)) or 1
    if abs(end - start) // by >= most:
        raise SpecError(f"{{{inside}}} makes more than {most:,} names; write it with a wildcard")
    numbers = range(start, end + 1, by) if start <= end else range(start, end - 1, -by)
    if letter:
        return [escape(chr(number)) for number in numbers]
    width = max(len(first), len(last)) if _PADDED.match(first) or _PADDED.match(last) else 0
    return [f"{number:0{width}d}" for number in numbers]
