r"""From the text of a pattern to its words, as a shell makes them before it looks at any file. PURE.

Theory of operation, in the order of bash:

1. Braces: ``{a,b}``, ``{1..3}``, ``{01..10..2}``, ``{a..e}``, nested. This is text alone: each alternative is a word,
   in the order in which it is written, whether or not there is such a file. Braces without alternatives are characters.
2. ``~`` and ``~user`` at the beginning of a word.
3. ``$NAME`` and ``${NAME}``. Wildcards in a value count, blanks in it part no words. A variable that is not set is
   refused: a shell would look for other files. Nothing else that a shell puts in for a ``$`` is known.

A backslash takes the meaning from the character behind it. It stays in a word, for `parts` to read. Quotes are
characters: those of a magic line have been read when a pattern comes here, and one in Python has none.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Final

from ...errors import SpecError

#: so many words may come of one pattern
WORDS_MOST: Final = 100_000

_VARIABLE: Final = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
_SEQUENCE: Final = re.compile(
    r"(?:([+-]?[0-9]{1,18})\.\.([+-]?[0-9]{1,18})|([A-Za-z])\.\.([A-Za-z]))(?:\.\.([+-]?[0-9]{1,18}))?", re.ASCII
)
_PADDED: Final = re.compile(r"[+-]?0[0-9]")
_SPECIAL: Final = re.compile(r"[\\*?[\]{}$~`]")


def words_of(text: str, environ: Mapping[str, str], home: Callable[[str], str]) -> list[str]:
    """Return the words of a pattern, each a pattern without braces and variables.

    Parameters
    ----------
    text : str
        The pattern, as it is written.
    environ : mapping
        The environment that ``$NAME`` means.
    home : callable
        Takes ``~`` or ``~user`` and returns a directory, or what it was given when there is none.

    Raises
    ------
    SpecError
        A variable that is not set, or that is empty where a path begins; another ``$`` of a shell's; too many words.
    """
    words = _braces(text)
    wrong: dict[str, None] = {}
    made = [_variables(_tilde(word, home), environ, wrong) for word in words]
    if wrong:
        raise SpecError(f"{text!r}: {'; '.join(wrong)}; a $ in a file's name is written [$]")
    return list(dict.fromkeys(made))


def escape(text: str) -> str:
    """Return the pattern that means this text, and nothing else."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def unclosed(text: str) -> str:
    """Return the first brace or bracket that is opened and not closed, '' when there is none."""
    opened: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif char in "{[":
            opened.append(char)
        elif char in "}]" and opened and opened[-1] == ("{" if char == "}" else "["):
            opened.pop()
        at += 1
    return opened[0] if opened else ""


# -- braces ----------------------------------------------------------------------------------------------------


def _braces(text: str) -> list[str]:
    """Return the words that the braces of a text make; itself when it has none."""
    if "{" not in text:
        return [text]
    opened, closed = _first(text)
    if closed < 0:
        return [text]
    head, inside, tail = text[:opened], text[opened + 1 : closed], text[closed + 1 :]
    pieces = _pieces(inside)
    if len(pieces) > 1:
        middle = [word for piece in pieces for word in _braces(piece)]
    else:
        middle = _sequence(inside) or ["{" + inside + "}"]
    tails = _braces(tail)
    if len(middle) * len(tails) > WORDS_MOST:
        raise SpecError(f"{text!r:.200} makes more than {WORDS_MOST:,} names; write it with a wildcard")
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


def _sequence(inside: str) -> list[str]:
    """Return what ``1..3`` or ``a..e`` means; nothing when it is none."""
    found = _SEQUENCE.fullmatch(inside)
    if found is None:
        return []
    first, last, letter, until, step = found.groups()
    start, end = (ord(letter), ord(until)) if letter else (int(first), int(last))
    by = abs(int(step or 1)) or 1
    if abs(end - start) // by >= WORDS_MOST:
        raise SpecError(f"{{{inside}}} makes more than {WORDS_MOST:,} names; write it with a wildcard")
    numbers = range(start, end + 1, by) if start <= end else range(start, end - 1, -by)
    if letter:
        return [escape(chr(number)) for number in numbers]
    width = max(len(first), len(last)) if _PADDED.match(first) or _PADDED.match(last) else 0
    return [f"{number:0{width}d}" for number in numbers]


# -- the home and variables ------------------------------------------------------------------------------------


def _tilde(word: str, home: Callable[[str], str]) -> str:
    if not word.startswith("~"):
        return word
    name, parted, rest = word.partition("/")
    folder = home(name)
    return escape(name if folder == name else folder) + parted + rest


def _near(name: str, environ: Mapping[str, str]) -> str:
    """Return what a name that is not set may mean: a shorter one, behind which text goes on, or a similar one."""
    begun = max(
        (one for one in environ if one != "_" and re.match(rf"{re.escape(one)}[_0-9]", name)), key=len, default=""
    )
    if begun:
        return f"; did you mean ${{{begun}}}{name[len(begun) :]}?"
    return "".join(f"; did you mean ${one}?" for one in difflib.get_close_matches(name, environ, 1, 0.7))


def _variables(word: str, environ: Mapping[str, str], wrong: dict[str, None]) -> str:
    """Put in the values of variables; note in `wrong` what cannot be."""
    if "$" not in word:
        return word
    made: list[str] = []
    at = 0
    while at < len(word):
        char = word[at]
        if char == "\\":
            made.append(word[at : at + 2])
            at += 2
        elif char != "$":
            made.append(char)
            at += 1
        elif (found := _VARIABLE.match(word, at)) is not None:
            name = found[1] or found[2]
            value = environ.get(name)
            if value is None:
                near = _near(name, environ)
                wrong[
                    f"${name} is not set in the notebook's environment{near} "
                    f"(a Python variable is not in it: os.environ[{name!r}] = ... puts it there)"
                ] = None
            elif not value and not made and word[found.end() :][:1] == "/":
                wrong[f"${name} is empty, and the pattern would begin at /"] = None
            made.append((value or "").replace("\\", "\\\\"))
            at = found.end()
        else:
            if word[at + 1 : at + 2] in ("(", "{"):
                wrong[
                    f"{word[at : at + 12]}: in a pattern only $NAME and ${{NAME}} are known of a shell's uses of $"
                ] = None
            made.append("\\$")
            at += 1
    return "".join(made)
