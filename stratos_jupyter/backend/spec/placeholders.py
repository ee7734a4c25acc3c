"""Placeholders that are unknown: refused with those that are known, and told from what only looks like one. PURE."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from ...errors import SpecError
from .shell.quote_state import open_quote

_NAME: Final = re.compile(r"%(\w{2,})%")
#: a single letter counts only as a word of its own, or a value: `date +%Y%m%d` and printf '%d%s' are common
_LETTER: Final = re.compile(r"(?<![^\s'\"=])%([A-Za-z]\d{0,3})%(?![^\s'\";|&)])")
#: what ``--makes`` knows, and a command does not
_PART: Final = re.compile(r"%(\w+\.(?:stem|name|parent|suffix))%")
#: what printf, strftime and git have: %ld, %_H, %Ey, %x09, and a letter before a _
_CONVERSION: Final = re.compile(r"(?:hh|h|ll|l|L|q|j|z|t)[diouxXeEfFgGaAcsp]|[_EO0][A-Za-z]|x[0-9A-Fa-f]{2}|[A-Za-z]_+")
#: what follows a % that begins a conversion instead of ending a name
_FORMAT_AFTER: Final = re.compile(r"(?:-?\d+)?(?:\.\d+)?[A-Za-z](?![A-Za-z0-9])")
_FORMAT_BEFORE: Final = re.compile(r"[A-Za-z]_\w*")
_PRINTS: Final = re.compile(r"(?:printf|strftime|strptime|\b(?:date|stat|seq|format)\b)[^\n]*\Z")
#: up to a place in a format of date, and in one of printf; and what may be a conversion there
_DATED: Final = re.compile(r"\bdate\b[^\n;|]*\+[^\n;|]*\Z")
_PRINTED: Final = re.compile(r"printf\b[^\n;|]*\Z")
_CONVERTED: Final = re.compile(r"%|[sdieg](?![\w.%/-])")
#: a byte of a URL, followed by another
_BYTE: Final = re.compile(r"%[0-9A-Fa-f]{2}%[0-9A-Fa-f]{2}")
_BYTE_BEFORE: Final = re.compile(r"%[0-9A-Fa-f]{2}\Z")
_BYTE_BEGINS: Final = re.compile(r"[0-9A-Fa-f]{2}")
#: the pattern of SQL's LIKE, up to the name
_LIKE: Final = re.compile(r"(?:\bi?like\s+(?:binary\s+)?|~~\*?\s*)[a-z]?['\"\\]+[^'\"\n]*\Z", re.IGNORECASE)
_RUNS_R: Final = re.compile(r"\bR(?:script)?\b")
#: what R writes between two values
_OF_R: Final = frozenset(
    {"in", "o", "x", "do", "dopar", "dorng", "like", "ilike", "between", "inrange", "within", "notin", "nin"}
)
#: a geometry of ImageMagick, 50%x50%
_GEOMETRY: Final = re.compile(r"x\d+")
_ANY: Final = re.compile(r"%([^%\n]{2,60})%")
_WORD_BEFORE: Final = re.compile(r"\S+\Z")
_NEAR: Final = 0.8


def _without(text: str, known: Sequence[str]) -> str:
    """Return a text with blanks in the place of what is known."""
    taken = "|".join(sorted(map(re.escape, known), key=len, reverse=True))
    return re.sub(f"%(?:{taken})%", lambda found: " " * len(found[0]), text) if known else text


def _unknown(rest: str, known: Sequence[str]) -> list[tuple[int, str]]:
    """Return where each unknown placeholder stands, and its name."""
    found = [match for match in _NAME.finditer(rest) if not _is_other(rest, match, known)]
    found += [
        match for match in _LETTER.finditer(rest) if not (_is_of_r(rest, match) or _LIKE.search(rest[: match.start()]))
    ]
    found += _PART.finditer(rest)
    odd = [name for name in known if not name.isidentifier()]
    lowered = {name.strip().lower(): name for name in odd}
    found += [
        match
        for match in _ANY.finditer(rest)
        if odd and not match[1].isidentifier() and get_close_matches(match[1].strip().lower(), lowered, 1, _NEAR)
    ]
    return [(match.start(), match[1]) for match in found]


def _is_other(text: str, match: re.Match[str], known: Sequence[str]) -> bool:
    """Say whether what stands between two % is no placeholder, but of a format, a URL, SQL, R or a size."""
    name, before = match[1], text[: match.start()]
    if name[0].isdigit() or _CONVERSION.fullmatch(name) or _BYTE.match(text, match.start()):
        return True
    if len(name) == 2 and text[match.end() : match.end() + 1].isalpha():  # %Y_%m, %dT%H
        return True
    word = _WORD_BEFORE.search(before)
    if word is not None and word[0].lstrip("'\"").startswith("+"):  # date +run_%Y_at_%H
        return True
    if _BYTE_BEGINS.match(name) and (_BYTE_BEFORE.search(before) or (word is not None and "://" in word[0])):
        return True
    if _GEOMETRY.fullmatch(name) and before[-1:].isdigit():
        return True
    if get_close_matches(name, known, 1, _NEAR):
        return False
    if _FORMAT_AFTER.match(text, match.end()) and (_FORMAT_BEFORE.fullmatch(name) or _PRINTS.search(before)):
        return True
    return _LIKE.search(before) is not None or _is_of_r(text, match)


def _is_of_r(text: str, match: re.Match[str]) -> bool:
    """Say whether it is an operator of R: in quotes, in a here-document, or in a script of R."""
    if match[1] not in _OF_R or not _RUNS_R.search(text):
        return False
    return text.startswith("#!") or "<<" in text or open_quote(text[: match.start()]) in ("'", '"')


def refuse_unknown(text: str, known: Sequence[str], *, shell: bool = True) -> None:
    """Raise SpecError for placeholders that are unknown, with those that are known and what is meant by them.

    Parameters
    ----------
    text : str
        The command.
    known : sequence of str
        The placeholders that it may have.
    shell : bool
        Whether a shell reads it, in which quotes keep two characters apart.
    """
    places = _unknown(_without(text, known), known)
    if not places:
        return
    unknown = sorted({name for _, name in places})
    shown = ", ".join(f"%{name}%" for name in unknown)
    by_case = {name.lower(): name for name in known}
    near = [by_case[one[0]] for name in unknown if (one := get_close_matches(name.lower(), by_case, 1, 0.6))]
    meant = f" (is {', '.join(f'%{name}%' for name in dict.fromkeys(near))} meant?)" if near else ""
    names = ", ".join(f"%{name}%" for name in known) or "none: each command is run as it is"
    parts = ""
    if any(_PART.fullmatch(f"%{name}%") for name in unknown):
        own = "f" if "f" in known else known[-1] if known else "name"
        parts = (
            "; parts of a name are places of --makes alone, a command takes them as a shell does: "
            f'x=%{own}%; y=${{x##*/}}; prog "$x" > "${{y%.*}}.out"'
        )
    raise SpecError(f"unknown placeholder {shown}; known: {names}{meant}{parts}. {_cure(text, *min(places), shell)}")


def _cure(text: str, at: int, name: str, shell: bool) -> str:
    """Say how the characters of what looks like a placeholder are written."""
    if not shell or "<<" in text[:at]:  # a here-document, in which quotes are characters
        return f"To mean the characters themselves keep the first % apart: make the text of two, % and {name}%"
    between = "''" if open_quote(text[:at]) == "'" else '""'
    return f"To mean the characters themselves write %{name[0]}{between}{name[1:]}%"


def refuse_ambiguous(text: str, known: Sequence[str]) -> None:
    """Raise SpecError for a placeholder of one letter that is a conversion of ``date`` or ``printf`` as well."""
    letters = "".join(re.escape(name) for name in known if len(name) == 1)
    for match in re.finditer(f"%([{letters}])%", text) if letters else ():
        before, after = text[: match.start()], text[match.end() :]
        if not (_DATED.search(before) and after[:1].isalpha()) and not (
            _PRINTED.search(before) and _CONVERTED.match(after)
        ):
            continue
        name, one = match[1], after[0]
        between = "''" if open_quote(before) == "'" else '""'
        what, one = ("a percent sign", "%%") if one == "%" else (f"%{one}", one)
        conversion = one if one == "%%" else f"%{one}"
        raise SpecError(
            f"%{name}%{after[0]} is either %{name} and {what} of a format, or the value of {name} and {after[0]}: "
            f"write %{name}{between}{conversion} for the format, %{name}%{between}{one} for the value"
        )


def stands(text: str, names: str) -> bool:
    """Say whether one of some one-letter placeholders, as ``f`` or ``c``, stands in a text as one."""
    return any(name[0] in names for name in _LETTER.findall(text))
