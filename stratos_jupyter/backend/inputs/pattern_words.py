r"""From the text of a pattern to its words, as a shell makes them before it looks at any file. PURE.

Theory of operation, in the order of bash:

1. Braces: ``{a,b}``, ``{1..3}``, ``{01..10..2}``, ``{a..e}``, nested. This is text alone: each alternative is a word,
   in the order in which it is written, whether or not there is such a file. Braces without alternatives are characters.
2. ``~`` and ``~user`` at the beginning of a word.
3. ``$NAME`` and ``${NAME}``. Wildcards in a value count, blanks in it part no words. A variable that is not set is
   refused: a shell would look for other files. Nothing else that a shell puts in for a ``$`` is known.

A backslash takes the meaning from the character behind it. It stays in a word, for `pattern_parts` to read. Quotes are
characters: those of a magic line have been read when a pattern comes here, and one in Python has none.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Final

from ...errors import SpecError
from ..spec.braces import escape, expand_braces

#: words that may come of one pattern
MOST_WORDS: Final = 100_000

_VARIABLE: Final = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)


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
    words = expand_braces(text, MOST_WORDS)
    wrong: dict[str, None] = {}
    made = [_variables(_tilde(word, home), environ, wrong) for word in words]
    if wrong:
        raise SpecError(f"{text!r}: {'; '.join(wrong)}; a $ in a file's name is written [$]")
    return list(dict.fromkeys(made))


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
