"""The commands of a call: a template and its parameters, or commands as they are.

What a user gives goes through `glob_commands`, `template_commands` or `explicit_commands`, which refuse what cannot be
meant. What a journal holds has been through them, or through those of an older version: `commands_from_record` checks
nothing, and takes marks for what they were then.

PURE: no I/O, no clock. Commands are kept as a template and its parameters, and expanded when asked for, one at a
time: 100,000 tasks are a list of 100,000 names.

Text and names that are not UTF-8 travel as surrogate escapes (PEP 383) throughout.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from .command_lines import read_lines, refuse_incomplete, refuse_passing, unix_text, why_incomplete
from .errors import SpecError
from .marks import Found, Mark, files_of, marked_anywhere, unmarked, unmarked_anywhere, words_of
from .parameters import rows_of
from .placeholders import refuse_unknown, stands
from .shell import Reader, is_bash, marks_of, shell_of
from .spec import JobSpec
from .substitution import VERBATIM, FileTemplate, compile_file_template, compile_verbatim, not_an_option, template_of

#: what no shell splits, expands or takes for the end of a command
_PLAIN_VALUE: Final = re.compile(r"[\w./:=@%+,\-]+")
#: how many rows a message names
_SHOWN: Final = 3
_CURE: Final = "a value that is no shell text of its own goes through shlex.quote"


class Commands(Protocol):
    """The commands of one call, by index from 0."""

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Columns that the placeholders make in a DataFrame."""

    def __len__(self) -> int: ...

    @property
    def shell(self) -> str:
        """What reads the texts, unless their first line ``#!`` says so; '' is bash."""

    @property
    def found(self) -> Found:
        """What the patterns in marks have found; see `with_found`."""

    @property
    def anywhere(self) -> bool:
        """Whether marks are taken out wherever they stand, as 0.1.0 did."""

    @property
    def may_mark(self) -> bool:
        """Whether there may be marks."""

    def command(self, index: int) -> str:
        """Return the shell text, without marks."""

    def values(self, index: int) -> tuple[str, ...]:
        """Return a value for each placeholder."""

    def file(self, index: int) -> str | None:
        """Return the file behind ``%f%``, or None."""

    def inputs(self, index: int) -> tuple[str, ...]:
        """Return the paths whose placement matters."""

    def marks(self, index: int) -> tuple[Mark, ...]:
        """Return the marks of a command: where their words stand in it, and what these lead to."""

    def unmarked(self, index: int) -> tuple[str, ...]:
        """Return what looks like a mark, but is a redirection to a shell."""

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""


@dataclass(frozen=True, slots=True)
class GlobCommands:
    """One command for each file."""

    text: str
    files: Sequence[str]
    template: FileTemplate
    fetch: bool = False  # %f% is a copy, of which only the node knows where it is
    shell: str = ""  # what reads the text, unless its first line says so; '' is bash
    found: Found = field(default_factory=dict)
    anywhere: bool = False  # 0.1.0 took marks out wherever they stood

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The one column, ``file``."""
        return ("file",)

    @property
    def may_mark(self) -> bool:
        """Whether there may be marks."""
        return "<[" in self.text

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
        """Return the file, and those that marks lead to."""
        name = self.files[index]
        if self.anywhere:
            return tuple(dict.fromkeys((name, *marked_anywhere(self.text, name))))
        return tuple(dict.fromkeys((name, *files_of(self.marks(index), self.found))))

    def marks(self, index: int) -> tuple[Mark, ...]:
        """Return the marks of a command."""
        if self.anywhere or not self.template.marks:
            return ()
        name = self.files[index]
        spans = self.template.spans(name, variable=self.fetch)
        held = (mark[-1] for mark in self.template.marks)
        return tuple(Mark(*span, words_of(text, name)) for span, text in zip(spans, held, strict=True))

    def unmarked(self, index: int) -> tuple[str, ...]:
        """Return what looks like a mark, but is a redirection to a shell."""
        return _unmarked(self.text, self)

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        record = {"kind": "glob", "text": self.text, "files": list(self.files)}
        return {**record, **({"fetch": True} if self.fetch else {}), **_reading(self)}


@dataclass(frozen=True, slots=True)
class TemplateCommands:
    """One command for each row of parameters, which are the user's own shell text."""

    text: str
    placeholders: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    pieces: tuple[str, ...]  # the text between the places; one more than there are places
    places: tuple[int, ...]  # which value stands in each place
    shell: str = ""
    found: Found = field(default_factory=dict)
    anywhere: bool = False

    @property
    def may_mark(self) -> bool:
        """Whether there may be marks."""
        return "<[" in self.text or any("<[" in value for row in self.rows for value in row)

    def __len__(self) -> int:
        return len(self.rows)

    def expanded(self, index: int) -> str:
        """Return the text with the row's values in their places, and its marks."""
        row = self.rows[index]
        parts = [self.pieces[0]]
        for place, piece in zip(self.places, self.pieces[1:], strict=True):
            parts += (row[place], piece)
        return "".join(parts)

    def command(self, index: int) -> str:
        """Return the shell text with the row's values in their places, verbatim."""
        return _command(self.expanded(index), self)

    def values(self, index: int) -> tuple[str, ...]:
        """Return the row."""
        return self.rows[index]

    def file(self, index: int) -> str | None:
        """Return None: there is no ``%f%``."""
        return None

    def inputs(self, index: int) -> tuple[str, ...]:
        """Return the files that marks lead to."""
        return _inputs(self.expanded(index), self)

    def marks(self, index: int) -> tuple[Mark, ...]:
        """Return the marks of a command."""
        return _marks(self.expanded(index), self)

    def unmarked(self, index: int) -> tuple[str, ...]:
        """Return what looks like a mark, but is a redirection to a shell."""
        return _unmarked(self.expanded(index), self)

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        record = {"kind": "template", "text": self.text, "names": list(self.placeholders), "rows": list(self.rows)}
        return {**record, **_reading(self)}


@dataclass(frozen=True, slots=True)
class ExplicitCommands:
    """Commands as they are."""

    texts: Sequence[str]
    shell: str = ""
    found: Found = field(default_factory=dict)
    anywhere: bool = False

    @property
    def placeholders(self) -> tuple[str, ...]:
        """No column."""
        return ()

    @property
    def may_mark(self) -> bool:
        """Whether there may be marks."""
        return any("<[" in text for text in self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def command(self, index: int) -> str:
        """Return the shell text."""
        return _command(self.texts[index], self)

    def values(self, index: int) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def file(self, index: int) -> str | None:
        """Return None: there is no ``%f%``."""
        return None

    def inputs(self, index: int) -> tuple[str, ...]:
        """Return the files that marks lead to."""
        return _inputs(self.texts[index], self)

    def marks(self, index: int) -> tuple[Mark, ...]:
        """Return the marks of a command."""
        return _marks(self.texts[index], self)

    def unmarked(self, index: int) -> tuple[str, ...]:
        """Return what looks like a mark, but is a redirection to a shell."""
        return _unmarked(self.texts[index], self)

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"kind": "explicit", "commands": list(self.texts), **_reading(self)}


# -- marks --------------------------------------------------------------------------------------------------


def _read(text: str, shell: str) -> Reader | None:
    """Read a text that has no ``%f%``; return None where no shell that is known here can."""
    if is_bash(shell_of(text, shell)) is None:
        return None
    reader = Reader(text)
    try:
        reader.read()
    except SpecError:  # a monitor's own text, which nobody has checked
        return None
    return reader


def _offsets(text: str, of: Commands) -> Sequence[tuple[int, int]]:
    if "<[" not in text or of.anywhere or is_bash(shell_of(text, of.shell)) is None:
        return ()
    try:
        return marks_of(text)
    except SpecError:  # a monitor's own text, which nobody has checked
        return ()


def _command(text: str, of: Commands) -> str:
    if "<[" not in text:
        return text
    return unmarked_anywhere(text) if of.anywhere else unmarked(text, _offsets(text, of))


def _marks(text: str, of: Commands) -> tuple[Mark, ...]:
    # Before the words of each mark, its own <[ has gone, and both ends of the marks before it.
    return tuple(
        Mark(begin - 4 * number, end - 2 - 4 * number, words_of(text[begin + 2 : end]))
        for number, (begin, end) in enumerate(_offsets(text, of))
    )


def _unmarked(text: str, of: Commands) -> tuple[str, ...]:
    reader = _read(text, of.shell) if "<[" in text and not of.anywhere else None
    if reader is None:
        return ()
    return tuple(text[at : text.find("]>", at) + 2] for at in sorted(reader.unmarked))


def _inputs(text: str, of: Commands) -> tuple[str, ...]:
    if "<[" not in text:
        return ()
    return marked_anywhere(text) if of.anywhere else files_of(_marks(text, of), of.found)


def _reading(commands: Commands) -> dict[str, Any]:
    """Return what a record must say of how its texts are read."""
    if commands.anywhere:
        return {}
    found = {key: list(names) for key, names in commands.found.items()}
    more = {"shell": commands.shell, "found": found}
    return {"marks": "words", **{name: value for name, value in more.items() if value}}


def with_found(commands: Commands, found: Found) -> Commands:
    """Return the same commands, told what the patterns in their marks have found."""
    assert isinstance(commands, GlobCommands | TemplateCommands | ExplicitCommands)
    return replace(commands, found=found)


# -- what users give ----------------------------------------------------------------------------------------


def reads(spec: JobSpec) -> str:
    """Return the shell that reads the commands of a job, with its options."""
    return " ".join(spec.shell)


def _name(shell: str) -> str:
    name = shell_of("", shell)
    return "" if name == "bash" else name


def glob_commands(text: str, files: Sequence[str], fetch: bool = False, shell: str = "") -> GlobCommands:
    """Return a command for each file.

    Parameters
    ----------
    text : str
        Shell text; each ``%f%`` stands for the file's name.
    files : sequence of str
        The names.
    fetch : bool
        Whether the command is to find a copy, whose name its node gives it, instead of the file itself.
    shell : str
        What reads the text, unless its first line ``#!`` says so; '' is bash.

    Raises
    ------
    SpecError
        There is no ``%f%``, one stands where no name can be quoted, or the text does not end.
    """
    text = unix_text(text)
    if stands(text, "c"):
        raise SpecError("%c% belongs to a template; in a glob %f% is the file's name")
    if "%f%%" in text:
        raise SpecError(
            "%f%% is either printf's %f and a percent sign or the file's name and one: write %0f%% for a number, "
            "\"%f%\"'%' for the name"
        )
    refuse_unknown(text, ("f",))
    bash = is_bash(shell_of(text, shell))
    if bash is None:
        template = _verbatim(text, files, fetch, shell_of(text, shell))
    else:
        reader = Reader(text, bash=bash)
        reader.read()
        _refuse_open(reader, shell_of(text, shell))
        template = template_of(reader)
    if not template.count and "STRATOS_FILE" not in text:
        raise SpecError("the command names no file, so every task would do the same: write %f% where its name belongs")
    return GlobCommands(text, files, template, fetch, _name(shell))


def _verbatim(text: str, files: Sequence[str], fetch: bool, name: str) -> FileTemplate:
    """Return the template of a script that no shell reads, in which names stand as they are if nothing is special."""
    template = compile_verbatim(text)
    if not template.count:
        return template
    cure = (
        f"{name} finds it as its first argument, and as STRATOS_FILE in its environment: sys.argv[1] or "
        "os.environ['STRATOS_FILE'] in Python"
    )
    if fetch:
        raise SpecError(f"a copy's name is not known before its task runs, so %f% cannot stand in a script of {name}: "
                        f"{cure}")  # fmt: skip
    special = [file for file in files if not VERBATIM.fullmatch(not_an_option(file))]
    if special:
        shown = ", ".join(repr(file)[:60] for file in special[:_SHOWN])
        more = f" and {len(special) - _SHOWN:,} more" if len(special) > _SHOWN else ""
        raise SpecError(f"%f% cannot be quoted for {name}, and these names need it: {shown}{more}; {cure}")
    return template


def _refuse_open(reader: Reader, name: str) -> None:
    """Refuse a script of which a part is missing; zsh has a grammar of its own."""
    wrong = sorted(reader.unfinished + reader.stray)
    if wrong and name != "zsh":
        shown = "; ".join(f"line {reader.text.count(chr(10), 0, at) + 1}: {what}" for at, what in wrong[:_SHOWN])
        raise SpecError(f"the command is not complete: {shown}")


def template_commands(text: str, params: object, shell: str = "") -> TemplateCommands:
    """Return a command for each row of parameters.

    Parameters
    ----------
    text : str
        Shell text; each ``%c%`` stands for the next value of the row, ``%name%`` for the column of that name.
    params : object
        As `rows_of` has them: lists, records, a dict of columns, a DataFrame, an array.
    shell : str
        What reads the text, unless its first line ``#!`` says so; '' is bash.

    Raises
    ------
    SpecError
        There are no rows; a row has another number of values than there are places, and which; a value is missing or
        cannot stand in a command; a placeholder is unknown; the text does not end.
    """
    text = unix_text(text)
    names, rows = rows_of(params)
    if "f" not in names and "%f%" in text and stands(text, "f"):
        raise SpecError("%f% belongs to a glob; in a template %c% is the next value of a row, %name% a column's")
    refuse_unknown(text, ("c", *names))
    made = _template(text, names, rows, _name(shell))
    _refuse_incomplete_rows(made)
    return made


def _template(text: str, names: tuple[str, ...], rows: Sequence[tuple[str, ...]], shell: str) -> TemplateCommands:
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
    return TemplateCommands(text, names, rows, tuple(found[::2]), places, shell)


def _refuse_incomplete_rows(commands: TemplateCommands) -> None:
    """Refuse rows whose values open a quote or a loop, or end the command that they stand in."""
    wrong, plain = [], False
    for number, row in enumerate(commands.rows):
        special = not all(map(_PLAIN_VALUE.fullmatch, row))
        if not special and plain:
            continue  # the same words as in a row that has been read
        plain = plain or not special
        why = why_incomplete(commands.expanded(number), commands.shell, heredocs=True)
        if not special and why:
            raise SpecError(f"the command is not complete: {why}")
        why = why or (_ended_by_value(commands, number) if any("\n" in value for value in row) else "")
        if why:
            wrong.append(f"row {number} ({', '.join(row)!r:.60}): {why}")
    if wrong:
        more = f"; and {len(wrong) - _SHOWN:,} rows more" if len(wrong) > _SHOWN else ""
        raise SpecError(f"with these values the command is not complete: {'; '.join(wrong[:_SHOWN])}{more}; {_CURE}")


def _ended_by_value(commands: TemplateCommands, number: int) -> str:
    """Say that a newline in a value ends a command, unless it stands in quotes."""
    reader = _read(commands.expanded(number), commands.shell)
    ends = set(reader.ends) if reader is not None else set()
    at = 0
    for place, piece in zip(commands.places, commands.pieces, strict=False):
        at += len(piece)
        value = commands.rows[number][place]
        if any(at + offset in ends for offset, char in enumerate(value) if char == "\n"):
            return f"a newline in the value of {commands.placeholders[place]} ends the command"
        at += len(value)
    return ""


def explicit_commands(commands: Sequence[str], shell: str = "") -> ExplicitCommands:
    """Return commands as they are.

    Parameters
    ----------
    commands : sequence of str
        Shell texts, of several lines each if need be.
    shell : str
        What reads them, unless their first line ``#!`` says so; '' is bash.

    Raises
    ------
    SpecError
        There is none; one is blank, no text or not complete; one has a placeholder.
    """
    made = plain_commands(commands, _name(shell))
    made = replace(made, texts=tuple(unix_text(text) for text in made.texts))
    labelled = [(f"command {index}", text) for index, text in enumerate(made.texts)]
    refuse_incomplete(labelled, shell)
    refuse_passing(labelled)
    _refuse_placeholders(labelled)
    return made


def explicit_lines(text: str, shell: str = "", *, semicolons: bool = False) -> ExplicitCommands:
    """Return the commands of a cell, one a line, or of a string, between newlines and semicolons.

    Parameters
    ----------
    text : str
        The commands. A first line ``#!INTERPRETER`` belongs to each of them.
    shell : str
        What reads them otherwise; '' is bash.
    semicolons : bool
        Whether a semicolon ends a command, outside quotes and loops.

    Raises
    ------
    SpecError
        There is none; lines are no complete commands, and which; one has a placeholder.
    """
    lines = read_lines(text, shell, semicolons=semicolons)
    labelled = [(f"line {line.number}", line.text) for line in lines.commands]
    if is_bash(shell_of(lines.interpreter, shell)) is not None:
        refuse_passing(labelled)
    _refuse_placeholders(labelled)
    return plain_commands(lines.texts(), _name(shell))


def _refuse_placeholders(commands: Iterable[tuple[str, str]]) -> None:
    for label, text in commands:
        if "%" not in text:
            continue
        if stands(text, "fc"):
            raise SpecError(
                f"{label} {text!r:.60}: %f% belongs to a glob, %c% to a template; an explicit command is run as it is"
            )
        try:
            refuse_unknown(text, ())
        except SpecError as error:
            raise SpecError(f"{label} {text!r:.60}: {error}") from None


def plain_commands(commands: Sequence[str], shell: str = "") -> ExplicitCommands:
    """Return commands as they are, whatever they say; raises SpecError for those that are blank or no text."""
    bad = [f"command {index} is {command!r:.60}" for index, command in enumerate(commands) if not _is_text(command)]
    if bad:
        raise SpecError("each command must be a text that is not blank: " + "; ".join(bad[:5]))
    if not commands:
        raise SpecError("there is no command to run: write one on each line")
    return ExplicitCommands(tuple(commands), shell)


def _is_text(command: object) -> bool:
    return isinstance(command, str) and bool(command.strip())


def chosen(commands: Commands, indices: Sequence[int]) -> Commands:
    """Return those commands of a call, in that order."""
    if commands.found:
        used = {word.pattern for index in indices for mark in commands.marks(index) for word in mark.words}
        commands = with_found(commands, {pattern: commands.found[pattern] for pattern in used & commands.found.keys()})
    match commands:
        case GlobCommands():
            return replace(commands, files=[commands.files[index] for index in indices])
        case TemplateCommands():
            return replace(commands, rows=[commands.rows[index] for index in indices])
        case ExplicitCommands():
            return replace(commands, texts=[commands.texts[index] for index in indices])
    raise TypeError(f"cannot choose among {type(commands).__name__}")


# -- what is recorded ---------------------------------------------------------------------------------------


def commands_from_record(record: Mapping[str, Any]) -> Commands:
    """Return the commands that `Commands.to_record` described; nothing is refused that has once been run."""
    found, shell = record.get("found", {}), record.get("shell", "")
    old = "marks" not in record
    made: Commands
    match record["kind"]:
        case "glob":
            text, fetch = record["text"], record.get("fetch", False)
            read = unmarked_anywhere(text) if old else text
            if not old and is_bash(shell_of(text, shell)) is None:
                template = compile_verbatim(read)
            else:
                template = compile_file_template(read)
            made = GlobCommands(text, record["files"], template, fetch, shell, found)
        case "template":
            made = _template(record["text"], tuple(record["names"]), [tuple(row) for row in record["rows"]], shell)
        case "explicit":
            made = plain_commands(record["commands"], shell)
        case kind:
            raise SpecError(f"commands of kind {kind!r} are of another version")
    return replace(made, found=found, anywhere=old)
