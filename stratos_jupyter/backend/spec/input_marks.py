"""``<[words]>``: inputs that a user's text marks, whose placement matters and whose change is seen.

PURE. What stands in a mark are words of a shell: they may have quotes, be patterns or hold braces. The command gets the
words as they are, and the shell expands them; the inputs are the files that they lead to. What a pattern finds is asked
once, at submission, and kept with the commands.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from ...errors import SpecError
from .braces import expand_braces

#: files by the pattern that found them
FoundFiles: TypeAlias = Mapping[str, Sequence[str]]

#: to what 0.1.0 took for a mark, wherever it stood
_ANYWHERE: Final = re.compile(r"<\[(.+?)\]>", re.DOTALL)
_CLOSED: Final = re.compile(r"""(?:[^'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")*""", re.DOTALL)
_VARIABLE: Final = re.compile(r"\$(?:[A-Za-z_]\w*|\{[^}]*\}?|[0-9@*#?$!-])")
_PLAIN: Final = re.compile(r"[\w./:@+,=\-]+")
_CHAR: Final = re.compile(r"\\?.", re.DOTALL)
#: characters that a pattern is not to take for more than they are: where they are quoted; always, since what braces and
#: backslashes mean has been read
_QUOTABLE: Final = frozenset("*?[$~`")
_LITERAL: Final = frozenset("{}\\")
#: words that the braces of one word may make
MOST_WORDS: Final = 10_000

#: a character, and whether a quote or backslash protects it
_Chars: TypeAlias = list[tuple[str, bool]]


class MarkedWord(NamedTuple):
    """A word in a mark.

    Attributes
    ----------
    text : str
        As it is written.
    name : str
        The file that it names; '' when the shell expands it to something else.
    pattern : str
        What finds its files, as `inputs.pattern_words` reads it; '' when it has a name.
    variable : str
        The first variable in it, whose value only the task knows; '' when there is none.
    """

    text: str
    name: str = ""
    pattern: str = ""
    variable: str = ""

    def files(self, found: FoundFiles) -> Sequence[str]:
        """Return the files that it leads to."""
        return (self.name,) if self.name else found.get(self.pattern, ())


class Mark(NamedTuple):
    """A mark in a command.

    Attributes
    ----------
    start, end : int
        Where its words stand in the command, of which ``<[`` and ``]>`` have been taken out.
    words : tuple of MarkedWord
        The words.
    """

    start: int
    end: int
    words: tuple[MarkedWord, ...]


def files_of(marks: Iterable[Mark], found: FoundFiles) -> tuple[str, ...]:
    """Return the files that marks lead to, each once."""
    return tuple(dict.fromkeys(name for mark in marks for word in mark.words for name in word.files(found)))


def unmarked(text: str, marks: Sequence[tuple[int, int]]) -> str:
    """Return a text without the ``<[`` and ``]>`` that stand at these offsets."""
    parts: list[str] = []
    at = 0
    for begin, end in marks:
        parts += (text[at:begin], text[begin + 2 : end])
        at = end + 2
    return "".join([*parts, text[at:]])


def words_of(text: str, name: str | None = None) -> tuple[MarkedWord, ...]:
    """Return the words of a mark, each once for each pair of braces in it.

    Parameters
    ----------
    text : str
        What stands between ``<[`` and ``]>``.
    name : str, optional
        What ``%f%`` stands for.
    """
    if name is None and _PLAIN.fullmatch(text):
        return (MarkedWord(text, name=text),)
    found: list[MarkedWord] = []
    for written, chars, variable in _split(text, name):
        if variable:
            found.append(MarkedWord(written, variable=variable))
        else:
            found += (_word(written, word) for word in _braces(chars) if word)
    return tuple(found)


def _word(written: str, chars: _Chars) -> MarkedWord:
    plain = "".join(char for char, _ in chars)
    active = any(char in "*?" and not quoted for char, quoted in chars) or _has_class(chars)
    home = chars[:1] == [("~", False)]
    if not active and not home:
        return MarkedWord(written, name=plain)
    return MarkedWord(written, pattern="".join(_kept(char, quoted) for char, quoted in chars))


def _kept(char: str, quoted: bool) -> str:
    """Return a character as a pattern has it that is not to take it for more than it is."""
    if char in _LITERAL:
        return f"\\{char}"  # braces are read before brackets
    return f"[{char}]" if quoted and char in _QUOTABLE else char


def _has_class(chars: _Chars) -> bool:
    """Say whether there is a [ with a ] to it."""
    opened = False
    for char, quoted in chars:
        if not quoted and char == "]" and opened:
            return True
        opened = opened or (char == "[" and not quoted)
    return False


def _split(text: str, name: str | None) -> Iterable[tuple[str, _Chars, str]]:
    """Yield each word: as it is written, its characters, and the first variable in it."""
    at = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
            continue
        chars: _Chars = []
        start, variable, quote = at, "", ""
        while at < len(text) and (quote or text[at] not in " \t"):
            char = text[at]
            if name is not None and text.startswith("%f%", at):
                chars += ((one, True) for one in name)
                at += 3
            elif char in "'\"" and quote in ("", char):
                quote = "" if quote else char
                at += 1
                if not chars:
                    chars.append(("", True))  # a ~ that follows is none
            elif char == "\\" and quote != "'" and at + 1 < len(text):
                kept = char if quote == '"' and text[at + 1] not in '\\"$`' else ""
                chars += ((one, True) for one in kept + text[at + 1])
                at += 2
            else:
                if char == "$" and quote != "'" and not variable:
                    variable = found[0] if (found := _VARIABLE.match(text, at)) else ""
                chars.append((char, bool(quote)))
                at += 1
        yield text[start:at], chars, variable


def _braces(chars: _Chars) -> list[_Chars]:
    """Return the words that braces make of one; the word as it is when they make too many."""
    if ("{", False) not in chars:
        return [chars]
    head = [("", True)] * (chars[0] == ("", True))
    text = "".join(f"\\{char}" if quoted or char == "\\" else char for char, quoted in chars if char)
    try:
        words = expand_braces(text, MOST_WORDS)
    except SpecError:
        return [chars]
    return [head + _chars(word) for word in words]


def _chars(word: str) -> _Chars:
    if "\\" not in word:
        return [(char, False) for char in word]
    return [(one[-1], len(one) > 1) for one in _CHAR.findall(word)]


# -- records of 0.1.0 -------------------------------------------------------------------------------------


def unmarked_anywhere(text: str) -> str:
    """Return a text without its marks, as 0.1.0 took them out: wherever they stood."""
    return _ANYWHERE.sub(r"\1", text) if "<[" in text else text


def marked_anywhere(text: str, name: str = "") -> tuple[str, ...]:
    """Return what 0.1.0 took for the inputs of a command."""
    found = [_unquoted(mark[1], text[: mark.start()]) for mark in _ANYWHERE.finditer(text)]
    return tuple(dict.fromkeys(path.replace("%f%", name) if name else path for path in found))


def _unquoted(word: str, before: str) -> str:
    return unquoted(word) if _CLOSED.fullmatch(before) else word


def unquoted(word: str) -> str:
    """Return what a shell makes of a quoted word; of everything else, the same."""
    if not any(char in word for char in "'\"\\"):
        return word
    try:
        words = shlex.split(word)
    except ValueError:
        return word
    return words[0] if len(words) == 1 else word
