"""Lists of commands as users write them: one a line, each complete by itself. PURE.

A line that is a part of something, as the body of a loop, would run by itself, with variables that nothing has set. So
each command is read as a shell reads it, and what does not end, or ends something else, is refused with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from ...errors import SpecError
from .shell.quote_state import open_quote
from .shell.reader import Reader, is_bash, shell_of

#: how many incomplete commands a message names, and how much of each
SHOWN: Final = 5
TEXT: Final = 50
#: longer commands are not remembered
LONG: Final = 2000

_RESERVED: Final = (
    r"(?:if|then|elif|else|fi|for|select|while|until|do|done|case|esac|function|coproc|time)(?![^\s;&|<>()])"
)
#: a command of which one look says that it is complete: words, quotes that close, plain redirections
_SIMPLE: Final = re.compile(
    rf"\s*+(?!{_RESERVED})"
    r"""(?>[^\n'"\\`$#<>();&|{}\[!]++|'[^'\n]*+'|"[^"\\`$\n]*+"|\$\w++|[0-9]?>>?[ ]?[\w./]|<[ ]?[\w./]|2>&1)*+"""
)
_BLANK_BEFORE_SHEBANG: Final = re.compile(r"\s+(?=#!)")
#: a word that no shell reserves; commands differ in such, most often
_WORD: Final = re.compile(rf"(?<![\w$\-./])(?!{_RESERVED}|in(?![\w./\-]))[\w./][\w./\-]*")
_CURE: Final = (
    r"put a loop on one line (for x in 1 2; do ...; done), end a line that goes on with a \, or write the lines into a "
    "file and run that: bash FILE"
)


#: a script that by its name sets up a shell; others may be the work itself
_SETTING_FILE: Final = (
    r"""(?:[^\s;&|<>()]*/)?['"]?[\w.\-]*(?<![A-Za-z])(?:activate|env|environment|setup|setvars|profile|conda|mamba"""
    r"""|modules|init|bashrc|zshrc|thisroot|GMXRC)(?![A-Za-z])[\w.\-]*['"]?"""
)
#: commands that only change the shell that runs them, so that none of it is left for the next
_SETTERS: Final = (
    r"(?:(?:cd|pushd|popd|export|declare|typeset|readonly|unset|alias|set|shopt|ulimit|umask|module|ml)"
    r"|(?:conda|mamba|micromamba)\s+(?:de)?activate|spack\s+load|pyenv\s+(?:shell|activate)|workon"
    rf"|(?:source|\.)\s+{_SETTING_FILE})"
    r"(?=[\s;&]|$)"
)
#: text that such a program prints for the shell
_EVALUATED: Final = r"""eval\s++(?:"\$\([^"'`()]*+\)"|\$\([^"'`()]*+\)|`[^"'`]*+`)\s*+(?=[;&]|$)"""
_QUOTED: Final = r"""'[^']*+'|"(?>[^"\\`$]|\$(?!\())*+"|\$(?!\()"""
_PASSING: Final = re.compile(
    rf"""\s*(?:{_SETTERS}(?>[^'"\\`|<>;&\n$()]++|{_QUOTED})*+"""
    rf"""|{_EVALUATED}"""
    rf"""|(?:[A-Za-z_]\w*\+?=(?>[^\s'"\\`|<>;&$()]++|{_QUOTED})*+\s*+)++(?=[;&]|$))"""
)
#: a backslash that is meant to end a line, and does not
_UNCONTINUED: Final = re.compile(r"(?<!\\)(?:\\\\)*\\[ \t]+(?:#.*)?$")
_IN_COMMENT: Final = re.compile(r"\s#.*\\\s*$")
_BETWEEN: Final = re.compile(r"\s*(?:;|&&)\s*")


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


def refuse_incomplete(commands: Iterable[tuple[str, str]], shell: str = "") -> None:
    """Raise SpecError for commands that are not complete.

    Parameters
    ----------
    commands : iterable of (str, str)
        What a message calls it, as ``command 3``, and the text.
    shell : str
        What reads them, unless their first line ``#!`` says so; '' is bash.
    """
    _refuse([(label, text, why) for label, text in commands if (why := why_incomplete(text, shell))])


def refuse_passing(commands: Sequence[tuple[str, str]]) -> None:
    """Raise SpecError for commands that only set something for others, which would run without it.

    Parameters
    ----------
    commands : sequence of (str, str)
        What a message calls it, and the text.
    """
    if len(commands) < 2:
        return  # there is no other
    passing = [(label, text) for label, text in commands if _only_sets(text)]
    if passing:
        shown = "; ".join(f"{label}: {_short(text)}" for label, text in passing[:SHOWN])
        more = f"; and {len(passing) - SHOWN:,} more" if len(passing) > SHOWN else ""
        raise SpecError(
            f"each command runs by itself, so what these set is gone before the next begins: {shown}{more}. Put it on "
            "the line of the command that needs it (cd DIR && ./prog), or say --cwd DIR, --env NAME=VALUE"
        )


def _only_sets(text: str) -> bool:
    at = 0
    while (found := _PASSING.match(text, at)) is not None:
        at = found.end()
        if at == len(text):
            return True
        between = _BETWEEN.match(text, at)
        if between is None:
            return False
        at = between.end()
        if at == len(text):
            return True
    return False


def _refuse(wrong: Sequence[tuple[str, str, str]]) -> None:
    if wrong:
        shown = "; ".join(f"{label}: {_short(text)} ({why})" for label, text, why in wrong[:SHOWN])
        more = f"; and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
        raise SpecError(f"each command must be complete by itself, and these are not: {shown}{more}. Nothing was "
                        f"started; {_CURE}")  # fmt: skip


def _short(text: str) -> str:
    return repr(text if len(text) <= TEXT else text[: TEXT - 1] + "…")


def why_incomplete(text: str, shell: str = "", *, heredocs: bool = False) -> str:
    """Say why a text is no complete command; '' when it is one, or another program than a known shell reads it.

    Parameters
    ----------
    text : str
        The command, or a whole script.
    shell : str
        What reads it, unless its first line ``#!`` says so; '' is bash.
    heredocs : bool
        Whether the end of a here-document may be missing, as it may for bash.
    """
    if _SIMPLE.fullmatch(text):
        return ""
    if "\n" in text or len(text) > LONG:
        return _why(text, shell, heredocs)
    return _why_alike(_WORD.sub("x", text), shell, heredocs) and _why(text, shell, heredocs)


@lru_cache(4096)
def _why_alike(text: str, shell: str, heredocs: bool) -> str:
    return _why(text, shell, heredocs)


def _why(text: str, shell: str, heredocs: bool) -> str:
    name = shell_of(text, shell)
    if is_bash(name) is None or name == "zsh":  # zsh has a grammar of its own
        return ""
    reader = Reader(text)
    try:
        reader.read()
    except SpecError as error:
        return _plain(str(error))
    found = sorted(reader.unfinished + reader.stray + ([] if heredocs else reader.waiting))
    return found[0][1] if found else ""


def _plain(message: str) -> str:
    """Return what is wrong without where: the text stands beside it."""
    found = re.match(r"line \d+ of the command: (.*?): ['\"]", message, re.DOTALL)
    return found[1] if found is not None else message


# -- reading ------------------------------------------------------------------------------------------------


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
    _refuse(wrong)
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
