"""Commands as users write them: a script, or one command a line, each complete by itself. PURE."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from ...errors import SpecError
from .command_checks import refuse, why_incomplete
from .shell.quote_state import open_quote
from .shell.reader import Reader, is_bash, shell_of

_BLANK_BEFORE_SHEBANG: Final = re.compile(r"\s+(?=#!)")
#: a backslash that is meant to end a line, and does not
_UNCONTINUED: Final = re.compile(r"(?<!\\)(?:\\\\)*\\[ \t]+(?:#.*)?$")
_IN_COMMENT: Final = re.compile(r"\s#.*\\\s*$")


class Line(NamedTuple):
    """A command of a cell or string, and the line on which it begins, from 1."""

    number: int
    text: str


class Lines(NamedTuple):
    """What a cell or string says.

    Attributes
    ----------
    interpreter : str
        Its first line, if that begins with ``#!``; it belongs to each command.
    commands : tuple of Line
        The commands.
    comments : int
        How many lines are comments, and no command.
    """

    interpreter: str
    commands: tuple[Line, ...]
    comments: int

    def texts(self) -> list[str]:
        """Return the commands as they are run."""
        first = self.interpreter + "\n" if self.interpreter else ""
        return [first + line.text for line in self.commands]


def unix_text(text: str, label: str = "") -> str:
    """Return a text whose lines end as Unix has it, without the byte order mark that some editors begin it with.

    Parameters
    ----------
    text : str
        What a user has written.
    label : str
        What a message calls it, as ``command 3``.

    Raises
    ------
    SpecError
        It holds a NUL byte, which no program can be given.
    """
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        where = f"{label}, line {line}" if label else f"line {line}"
        raise SpecError(f"{where}: a NUL byte, which no program can be given; write the program's own \\0 instead")
    text = text.removeprefix("\ufeff")
    return text.replace("\r\n", "\n").removesuffix("\r") if "\r" in text else text


def script_text(text: str, label: str = "") -> str:
    """Return what `unix_text` does, without what is blank before a first line ``#!``, which names the interpreter."""
    text = unix_text(text, label)
    return text[found.end() :] if (found := _BLANK_BEFORE_SHEBANG.match(text)) is not None else text


def read_lines(text: str, shell: str = "", *, semicolons: bool = False) -> Lines:
    r"""Read one command a line; a ``\`` at a line's end continues it, blank lines and comments are none.

    Parameters
    ----------
    text : str
        A cell's body, or a string.
    shell : str
        What reads the commands, unless the first line ``#!`` says so; '' is bash.
    semicolons : bool
        Whether a semicolon ends a command as well, and a quote that is open continues it. Those in quotes, brackets or
        loops end nothing.

    Raises
    ------
    SpecError
        Some are no complete commands; the message names their lines.
    """
    text = unix_text(text)
    interpreter = ""
    lines = text.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if lines[first].lstrip().startswith("#!"):
        interpreter, lines[first] = lines[first].strip(), ""
    known = is_bash(shell_of(interpreter, shell)) is not None
    commands: list[Line] = []
    wrong: list[tuple[str, str, str]] = []
    comments = at = 0
    while at < len(lines):
        number = at + 1
        line, at = _line(lines, at, quotes=semicolons and known, known=known)
        if known and (why := _why_cut(line, lines[number - 1 : at], lines, at)):
            wrong.append((f"line {number}", line, why))
        stripped = line.strip()
        if known and (len(stripped) - len(stripped.rstrip("\\"))) % 2 and line[-1:] in (" ", "\t"):
            stripped += line[len(line.rstrip())]  # cut -d\ : the blank is an argument
        if not stripped:
            continue
        if stripped[0] == "#":
            comments += 1
            continue
        for piece in _pieces(stripped) if semicolons and known else [stripped]:
            if known and (why := why_incomplete(piece, interpreter[2:] or shell)):
                wrong.append((f"line {number}", piece, why))
            commands.append(Line(number, piece))
    refuse(wrong)
    return Lines(interpreter, tuple(commands), comments)


def _why_cut(line: str, held: Sequence[str], lines: Sequence[str], at: int) -> str:
    r"""Say why a line does not go on where its user means it to; '' when there is no sign of that.

    Parameters
    ----------
    line : str
        A line with those that continue it.
    held : sequence of str
        These as they are written.
    lines : sequence of str
        All lines.
    at : int
        The line after it.
    """
    if len(held) == 1 and "\\" not in line and line.lstrip()[:1] != "-":
        return ""  # nearly always
    if held[0].lstrip()[:1] == "-":
        return "it begins with -, as what goes on does; end the line before it with a \\"
    last = held[-1].strip()
    if not last and len(held) > 1:
        at = next((later for later in range(at, len(lines)) if lines[later].strip()), len(lines))
    after = lines[at] if at < len(lines) else ""
    if not after.strip() or held[0].lstrip()[:1] == "#" or open_quote(line) in ("'", '"'):
        return ""
    goes_on = after.lstrip()[0] == "-" or _indent(after) > _indent(held[0])
    if _UNCONTINUED.search(held[-1]) or (goes_on and _IN_COMMENT.search(held[-1])):
        return "what follows the \\ at its end keeps it from continuing the line"
    if len(held) > 1 and last[:1] == "#" and (last[-1:] == "\\" or goes_on):
        return "a comment ends it, so that the line after that would be a command of its own"
    if len(held) > 1 and not last and goes_on:
        return "a blank line ends it, so that the line after that would be a command of its own"
    return ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _line(lines: Sequence[str], at: int, *, quotes: bool, known: bool) -> tuple[str, int]:
    r"""Return a line with those that continue it, and where the next begins.

    Parameters
    ----------
    lines : sequence of str
        All of them.
    at : int
        Which is to be read.
    quotes : bool
        Whether a line continues as long as a quote is open.
    known : bool
        Whether a shell reads it; what another program makes of a ``\`` is not known, so it stays.
    """
    line = lines[at]
    at += 1
    while True:
        state = open_quote(line) if known and ("\\" in line or "'" in line or '"' in line) else ""
        escapes = len(line) - len(line.rstrip("\\"))
        if state == "#" or not (escapes % 2 or (quotes and state)):
            return line, at
        if at == len(lines):
            return (line[:-1] if escapes % 2 and state != "'" else line), at
        if escapes % 2 and known and not state:
            line = line[:-1] + lines[at]
        else:
            # A quote that is open, and a line that ends in a backslash without ending it, go on as they are.
            end = at
            while quotes and state and not escapes % 2 and end + 1 < len(lines) and state not in lines[end]:
                end += 1
            line = "\n".join([line, *lines[at : end + 1]])
            at = end
        at += 1


def _pieces(text: str) -> list[str]:
    """Return the commands of a line; all of it where it cannot be read."""
    if ";" not in text:
        return [text]
    reader = Reader(text)
    try:
        reader.read()
    except SpecError:
        return [text]
    edges = [-1, *sorted(reader.ends), len(text)]
    pieces = [text[left + 1 : right].strip() for left, right in pairwise(edges)]
    return [piece for piece in pieces if piece and piece[0] != "#"]
