"""Checks of single commands: each is complete, and does more than set something for the next one. PURE.

A line that is a part of something, as the body of a loop, would run by itself, with variables that nothing has set. So
each command is read as a shell reads it, and one that does not end, or ends something else, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from ...errors import SpecError
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
_SETS_ONLY: Final = re.compile(
    rf"""\s*(?:{_SETTERS}(?>[^'"\\`|<>;&\n$()]++|{_QUOTED})*+"""
    rf"""|{_EVALUATED}"""
    rf"""|(?:[A-Za-z_]\w*\+?=(?>[^\s'"\\`|<>;&$()]++|{_QUOTED})*+\s*+)++(?=[;&]|$))"""
)
_BETWEEN: Final = re.compile(r"\s*(?:;|&&)\s*")


def refuse_incomplete(commands: Iterable[tuple[str, str]], shell: str = "") -> None:
    """Raise SpecError for commands that are not complete.

    Parameters
    ----------
    commands : iterable of (str, str)
        What a message calls it, as ``command 3``, and the text.
    shell : str
        What reads them, unless their first line ``#!`` says so; '' is bash.
    """
    refuse([(label, text, why) for label, text in commands if (why := why_incomplete(text, shell))])


def refuse_setters(commands: Sequence[tuple[str, str]]) -> None:
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
    while (found := _SETS_ONLY.match(text, at)) is not None:
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


def refuse(wrong: Sequence[tuple[str, str, str]]) -> None:
    """Raise SpecError for commands, each with its label, its text and why it is not complete; of none, return."""
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
