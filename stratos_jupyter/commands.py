"""The commands of a call: a template and its parameters, or commands as they are.

PURE: no I/O, no clock. Commands are kept as a template and its parameters, and expanded when asked for, one at a
time: 100,000 tasks are a list of 100,000 names.

Text and names that are not UTF-8 travel as surrogate escapes (PEP 383) throughout.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from .errors import SpecError
from .substitution import FileTemplate, compile_file_template, not_an_option
from .values import rows_of

_BRACKETS: Final = re.compile(r"<\[(.+?)\]>", re.DOTALL)
# Text in which each quote is closed: what follows stands in none.
_CLOSED: Final = re.compile(r"""(?:[^'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")*""", re.DOTALL)
# A single letter is left alone unless it is known: `date +%Y%m%d` and printf '%d%s' are common.
_PLACEHOLDER: Final = re.compile(r"%(\w+)%")


class Commands(Protocol):
    """The commands of one call, by index from 0."""

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Columns that the placeholders make in a DataFrame."""

    def __len__(self) -> int: ...

    def command(self, index: int) -> str:
        """Return the shell text, without ``<[ ]>``."""

    def values(self, index: int) -> tuple[str, ...]:
        """Return a value for each placeholder."""

    def file(self, index: int) -> str | None:
        """Return the file behind ``%f%``, or None."""

    def inputs(self, index: int) -> tuple[str, ...]:
        """Return the paths whose placement matters."""

    def copies(self, index: int) -> tuple[str, ...]:
        """Return the URLs of which the command finds copies, the file's apart."""

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""


@dataclass(frozen=True, slots=True)
class GlobCommands:
    """One command for each file."""

    text: str
    files: Sequence[str]
    template: FileTemplate
    fetch: bool = False  # %f% is a copy, of which only the node knows where it is

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The one column, ``file``."""
        return ("file",)

    def __len__(self) -> int:
        return len(self.files)

    def command(self, index: int) -> str:
        """Return the shell text with the file's name in the place of ``%f%``, quoted as that place needs."""
        return self.template.by_variable() if self.fetch else self.template.expand(self.files[index])

    def values(self, index: int) -> tuple[str, ...]:
        """Return the file's name."""
        return (self.files[index],)

    def file(self, index: int) -> str | None:
        """Return what ``STRATOS_FILE`` is: the file's name, which no program can take for an option."""
        return not_an_option(self.files[index])

    def inputs(self, index: int) -> tuple[str, ...]:
        """Return the file, and what stands in brackets."""
        name = self.files[index]
        marked = (path.replace("%f%", name) for path in marked_paths(self.text))
        return tuple(dict.fromkeys((name, *marked)))

    def copies(self, index: int) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        record = {"kind": "glob", "text": self.text, "files": list(self.files)}
        return {**record, "fetch": True} if self.fetch else record


@dataclass(frozen=True, slots=True)
class TemplateCommands:
    """One command for each row of parameters, which are the user's own shell text."""

    text: str
    placeholders: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    pieces: tuple[str, ...]  # the text between the places; one more than there are places
    places: tuple[int, ...]  # which value stands in each place

    def __len__(self) -> int:
        return len(self.rows)

    def _expand(self, index: int) -> str:
        row = self.rows[index]
        parts = [self.pieces[0]]
        for place, piece in zip(self.places, self.pieces[1:], strict=True):
            parts += (row[place], piece)
        return "".join(parts)

    def command(self, index: int) -> str:
        """Return the shell text with the row's values in their places, verbatim."""
        return strip_brackets(self._expand(index))

    def values(self, index: int) -> tuple[str, ...]:
        """Return the row."""
        return self.rows[index]

    def file(self, index: int) -> str | None:
        """Return None: there is no ``%f%``."""
        return None

    def inputs(self, index: int) -> tuple[str, ...]:
        """Return what stands in brackets."""
        return tuple(dict.fromkeys(marked_paths(self._expand(index))))

    def copies(self, index: int) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"kind": "template", "text": self.text, "names": list(self.placeholders), "rows": list(self.rows)}


@dataclass(frozen=True, slots=True)
class ExplicitCommands:
    """Commands as they are."""

    texts: Sequence[str]

    @property
    def placeholders(self) -> tuple[str, ...]:
        """No column."""
        return ()

    def __len__(self) -> int:
        return len(self.texts)

    def command(self, index: int) -> str:
        """Return the shell text."""
        return strip_brackets(self.texts[index])

    def values(self, index: int) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def file(self, index: int) -> str | None:
        """Return None: there is no ``%f%``."""
        return None

    def inputs(self, index: int) -> tuple[str, ...]:
        """Return what stands in brackets."""
        return tuple(dict.fromkeys(marked_paths(self.texts[index])))

    def copies(self, index: int) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"kind": "explicit", "commands": list(self.texts)}


def strip_brackets(text: str) -> str:
    """Return `text` with ``<[path]>`` as plain ``path``."""
    return _BRACKETS.sub(r"\1", text) if "<[" in text else text


def marked_paths(text: str) -> list[str]:
    """Return what stands in ``<[ ]>``, as the shell will read it: ``<['two words']>`` marks the file ``two words``."""
    if "<[" not in text:
        return []
    return [_unquoted(found[1], text[: found.start()]) for found in _BRACKETS.finditer(text)]


def _unquoted(word: str, before: str) -> str:
    """Return a word without its quotes, unless it stands within some, or is none."""
    if not any(char in word for char in "'\"\\") or not _CLOSED.fullmatch(before):
        return word
    try:
        words = shlex.split(word)
    except ValueError:
        return word
    return words[0] if len(words) == 1 else word


def glob_commands(text: str, files: Sequence[str], fetch: bool = False) -> GlobCommands:
    """Return a command for each file.

    Parameters
    ----------
    text : str
        Shell text; each ``%f%`` stands for the file's name.
    files : sequence of str
        The names.
    fetch : bool
        Whether the command is to find a copy, whose name its node gives it, instead of the file itself.

    Raises
    ------
    SpecError
        There is no ``%f%``, or one stands where no name can be quoted.
    """
    if re.search(r"%c\d*%", text):
        raise SpecError("%c% belongs to a template; in a glob %f% is the file's name")
    _refuse_unknown(text, ("f",))
    template = compile_file_template(strip_brackets(text))
    if not template.count and "STRATOS_FILE" not in text:
        raise SpecError("the command names no file, so every task would do the same: write %f% where its name belongs")
    return GlobCommands(text, files, template, fetch)


def template_commands(text: str, params: object) -> TemplateCommands:
    """Return a command for each row of parameters.

    Parameters
    ----------
    text : str
        Shell text; each ``%c%`` stands for the next value of the row, ``%name%`` for the column of that name.
    params : list of str, list of lists, dict of columns, or DataFrame
        A string is split at commas and its parts are stripped. Columns of a list are named ``c1`` to ``cn``.

    Raises
    ------
    SpecError
        There are no rows; a row has another number of values than there are places, and which; a placeholder is
        unknown.
    """
    names, rows = rows_of(params)
    if "%f%" in text and "f" not in names:
        raise SpecError("%f% belongs to a glob; in a template %c% is the next value of a row, %name% a column's")
    _refuse_unknown(text, ("c", *names))
    known = sorted((re.escape(name) for name in names), key=len, reverse=True)
    # Without a column of its own named c, %c% is the next value.
    positional = "c" not in names
    found = re.split("%(" + "|".join([*known, "c"]) + ")%", text)
    used = found[1::2]
    by_name = [name for name in used if name != "c" or not positional]
    if len(by_name) < len(used) and by_name:
        raise SpecError(f"%c% and %{by_name[0]}% in one template: use either places or names")
    width = len(names)
    if by_name:
        places = tuple(names.index(name) for name in used)
        wrong = [row for row in range(len(rows)) if len(rows[row]) != width]
        wanted = f"there are {width} columns"
    else:
        places = tuple(range(len(used)))
        wrong = [row for row in range(len(rows)) if len(rows[row]) != len(used)]
        wanted = f"the template has {len(used)} %c%"
    if not used:
        shown = ", ".join(f"%{name}%" for name in names[:8])
        raise SpecError(f"the template has no placeholder: write %c% for each value of a row, or one of {shown}")
    if wrong:
        shown = "; ".join(f"row {row} ({', '.join(rows[row])!s:.60}) has {len(rows[row])} values" for row in wrong[:3])
        more = f"; and {len(wrong) - 3} rows more" if len(wrong) > 3 else ""
        raise SpecError(f"{wanted}, but {shown}{more}")
    return TemplateCommands(text, names, rows, tuple(found[::2]), places)


def explicit_commands(commands: Sequence[str]) -> ExplicitCommands:
    """Return commands as they are.

    Raises
    ------
    SpecError
        There is none, or one that is blank or no text.
    """
    bad = [f"command {index} is {command!r:.60}" for index, command in enumerate(commands) if not _is_text(command)]
    if bad:
        raise SpecError("each command must be a text that is not blank: " + "; ".join(bad[:5]))
    if not commands:
        raise SpecError("there is no command to run: write one on each line")
    return ExplicitCommands(tuple(commands))


def _is_text(command: object) -> bool:
    return isinstance(command, str) and bool(command.strip())


def chosen(commands: Commands, indices: Sequence[int]) -> Commands:
    """Return those commands of a call, in that order."""
    match commands:
        case GlobCommands():
            return replace(commands, files=[commands.files[index] for index in indices])
        case TemplateCommands():
            return replace(commands, rows=[commands.rows[index] for index in indices])
        case ExplicitCommands():
            return replace(commands, texts=[commands.texts[index] for index in indices])
    raise TypeError(f"cannot choose among {type(commands).__name__}")


def commands_from_record(record: Mapping[str, Any]) -> Commands:
    """Return the commands that `Commands.to_record` described."""
    match record["kind"]:
        case "glob":
            return glob_commands(record["text"], record["files"], record.get("fetch", False))
        case "template":
            columns = {name: [row[i] for row in record["rows"]] for i, name in enumerate(record["names"])}
            return template_commands(record["text"], columns)
        case "explicit":
            return explicit_commands(record["commands"])
        case kind:
            raise SpecError(f"commands of kind {kind!r} are of another version")


def _refuse_unknown(text: str, known: Sequence[str]) -> None:
    unknown = {name for name in _PLACEHOLDER.findall(text) if len(name) > 1 and not name[0].isdigit()} - set(known)
    if unknown:
        name = sorted(unknown)[0]
        raise SpecError(
            f"unknown placeholder {', '.join(f'%{name}%' for name in sorted(unknown))}; known: "
            f"{', '.join(f'%{name}%' for name in known)}. To mean the characters themselves write "
            f'%{name[0]}""{name[1:]}%'
        )
