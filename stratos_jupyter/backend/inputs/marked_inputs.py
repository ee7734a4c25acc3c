"""Marks and the files that they lead to: asked once, when commands are submitted, and said if nowhere.

A mark that is no input gives no placement, and no change that ``--resume`` sees. That is said, and never refuses a run:
the command may know better what its words mean.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

from ...errors import SpecError, StorageError
from ..spec.commands import Commands
from ..spec.input_marks import MarkedWord
from ..spec.shell.reader import is_bash, shell_of
from ..spec.shell.typography import pasted, pasted_text
from .filesystems import FileSystems
from .mounts import is_url

#: of so many commands it is looked whether their marks are whole, and of so many files whether they are there
CHECKED: Final = 1000
#: how many marks a line names, and how much of each
SHOWN: Final = 3
TEXT: Final = 80

_QUOTED: Final = re.compile(r"""(['"])<\[([^\n'"\[\]]+)\]>\1""")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:/")


def resolve_marks(files: FileSystems, commands: Commands, cwd: str) -> tuple[Commands, list[str]]:
    """Return the commands, told what their marks find, and what is to be said of marks that are no inputs, and of text.

    Parameters
    ----------
    files : FileSystems
        Where the files are; HDFS is asked for patterns that lead there.
    commands : Commands
        Whose marks.
    cwd : str
        Where relative names start.
    """
    strange = pasted_text(pasted(_body(commands)))
    if not commands.may_mark:
        return commands, strange
    found: dict[str, list[str]] = {}
    names: dict[str, None] = {}
    wrong: dict[str, str] = {}
    folders: dict[str, str] = {}
    for word in _words(commands):
        if word.variable:
            wrong[word.text] = f"what {word.variable} holds is known to the task alone; write the name itself"
        elif _SCHEME.match(word.name or word.pattern) and not is_url(word.name or word.pattern):
            wrong[word.text] = "neither on this machine nor on HDFS (hdfs:/...)"
        elif word.name:
            names.setdefault(word.name)
        elif word.pattern not in found:
            found[word.pattern], why = _expand(files, word, cwd)
            if why:
                wrong[word.text] = why
            elif any(_is_folder(files, name, cwd) for name in found[word.pattern]):
                folders[word.text] = ""
    for name in list(names)[:CHECKED]:
        if _is_folder(files, name, cwd):
            folders[name] = ""
        elif why := _why_no_input(files, name, cwd):
            wrong[name] = why
    said = strange
    if folders:
        said.append(
            f"marked, and a directory: {_shown(folders)}; --resume looks at what is in it, but no task is placed by "
            f"it. For that mark its files: <[{next(iter(folders)).rstrip('/')}/*]>"
        )
    if wrong:
        said.append(f"marked, but no input, so that neither placement nor --resume looks at it: {_shown(wrong)}")
    glued = dict.fromkeys(text for at in range(min(len(commands), CHECKED)) for text in commands.unmarked(at))
    if glued:
        said.append(
            f"no mark, but a redirection to the shell: {_shown(dict.fromkeys(glued, ''))}; a mark is a word of its "
            "own, with blanks around it"
        )
    if quoted := _quoted(files, commands, cwd):
        first = next(iter(quoted))
        said.append(
            f"no mark, since it stands in quotes, though there is such a file: {_shown(quoted)}; write <['{first}']>"
        )
    return commands.with_found(found) if found else commands, said


def _body(commands: Commands) -> str:
    """Return what the user typed, as far as a shell reads it."""
    text = commands.body(CHECKED)
    return text if is_bash(shell_of(text, commands.shell)) is not None else ""


def check_copies(files: FileSystems, commands: Commands, cwd: str) -> None:
    """Raise SpecError where ``--fetch`` would copy what is no file on HDFS; names of all that are wrong are in it.

    Raises
    ------
    SpecError
        Nothing is there, or a directory.
    StorageError
        HDFS cannot say.
    """
    if not commands.may_mark:
        return
    names: dict[str, None] = {}
    for word in _words(commands):
        if word.name:
            names.setdefault(word.name)
        elif is_url(word.pattern):
            if not commands.found.get(word.pattern):
                files.expand(word.pattern, cwd, files_only=True)  # says why
            names.update(dict.fromkeys(commands.found.get(word.pattern, ())))
    urls = [name for name in names if is_url(name)][:CHECKED]
    wrong = [f"{name} {why}" for name, why in zip(urls, files.no_files(urls, cwd), strict=True) if why]
    if wrong:
        more = f"; and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
        raise SpecError(f"--fetch: {'; '.join(wrong[:SHOWN])}{more}")


def _quoted(files: FileSystems, commands: Commands, cwd: str) -> dict[str, str]:
    """Return what stands in quotes like a mark, and is a file: text that is none of ours is never that."""
    found: dict[str, str] = {}
    for index in range(min(len(commands), CHECKED)):
        for match in _QUOTED.finditer(commands.command(index)):
            name = match[2].replace("%f%", commands.file(index) or "%f%")
            if name not in found and (is_url(name) or not _why_no_input(files, name, cwd)):
                found[name] = ""
    return found


def _words(commands: Commands) -> Iterator[MarkedWord]:
    for index in range(len(commands)):
        for mark in commands.marks(index):
            yield from mark.words


def _expand(files: FileSystems, word: MarkedWord, cwd: str) -> tuple[list[str], str]:
    """Return the files that a pattern finds, and why there are none."""
    try:
        found = files.expand(word.pattern, cwd)
    except SpecError:
        return [], "no file matches"
    except StorageError as error:
        return [], str(error)
    return found, ""


def _is_folder(files: FileSystems, name: str, cwd: str) -> bool:
    """Say whether a name is a directory of this machine."""
    try:
        return files.find(name, cwd) is None and os.path.isdir(os.path.join(cwd, name))
    except (SpecError, ValueError):
        return False


def _why_no_input(files: FileSystems, name: str, cwd: str) -> str:
    """Say why a file of this machine is no input; of what is on HDFS its own answer comes later."""
    try:
        if is_url(name) or files.find(name, cwd) is not None:
            return ""
        return "" if os.path.exists(os.path.join(cwd, name)) else "not there"
    except (SpecError, ValueError) as error:
        return str(error)


def _shown(marks: dict[str, str]) -> str:
    each = [f"{text[:TEXT]}{f' ({why})' if why else ''}" for text, why in list(marks.items())[:SHOWN]]
    return "; ".join(each) + (f"; and {len(marks) - SHOWN:,} more" if len(marks) > SHOWN else "")
