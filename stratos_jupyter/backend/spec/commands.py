"""The commands of a submission: a template and its parameters, or commands as they are.

What a user gives goes through `glob_commands`, `template_commands` or `explicit_commands`, which refuse what cannot be
meant. What a journal holds has been through them, or through those of an older version: `commands_from_record` checks
nothing, and takes marks for what they were then. What comes of both are `command_kinds`.

PURE: no I/O, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ...errors import SpecError
from .command_base import Commands
from .command_checks import refuse_incomplete, refuse_setters, why_incomplete
from .command_kinds import ExplicitCommands, GlobCommands, TemplateCommands
from .command_lines import read_lines, script_text
from .file_template import VERBATIM, FileTemplate, compile_file_template, compile_verbatim, not_an_option, template_of
from .input_marks import unmarked_anywhere
from .job_spec import JobSpec
from .marked_texts import read_text
from .parameters import index_names, rows_of
from .placeholders import refuse_ambiguous, refuse_unknown, stands
from .shell.reader import Reader, is_bash, shell_of

__all__ = [
    "Commands",
    "ExplicitCommands",
    "GlobCommands",
    "TemplateCommands",
    "commands_from_record",
    "explicit_commands",
    "explicit_lines",
    "glob_commands",
    "plain_commands",
    "reads",
    "template_commands",
]

#: what no shell splits, expands or takes for the end of a command
_PLAIN_VALUE: Final = re.compile(r"[\w./:=@%+,\-]+")
#: what may be a format of printf as well as the file's name
_PRINTED: Final = re.compile(r"%f%(%)|printf\b[^\n;|]*?%f%([sdieg])(?![\w.%/-])")
#: where a shell's script looks at its arguments
_ARGUMENT: Final = re.compile(r"\$\{?[1@*#]|\bshift\b|\bgetopts\b|\bfor\s+\w+\s*(?:;|\n)?\s*do\b|BASH_ARGV")
#: how many rows a message names
_SHOWN: Final = 3
_CURE: Final = "a value that is no shell text of its own goes through shlex.quote, into a place without quotes"


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
        There is no ``%f%``, and the text is no script that reads its argument; one stands where no name can be
        quoted, or the text does not end.
    """
    text = script_text(text)
    if stands(text, "c"):
        raise SpecError("%c% belongs to a template; in a glob %f% is the file's name")
    if (either := _PRINTED.search(text)) is not None:
        after = either[1] or either[2]
        what = "a percent sign" if after == "%" else f"%{after}"
        raise SpecError(
            f"%f%{after} is either printf's %f and {what} or the file's name and {after}: write %0f%{after} for a "
            f"number, \"%f%\"'{after}' for the name"
        )
    bash = is_bash(shell_of(text, shell))
    refuse_unknown(text, ("f",), shell=bash is not None)
    if bash is None:
        template = _verbatim(text, files, fetch, shell_of(text, shell))
    else:
        reader = Reader(text, bash=bash)
        reader.read()
        _refuse_open(reader, shell_of(text, shell))
        template = template_of(reader)
    if not template.count and "STRATOS_FILE" not in text and not _reads_arguments(text, bash):
        raise SpecError("the command names no file, so every task would do the same: write %f% where its name belongs")
    return GlobCommands(text, files, template, fetch=fetch, shell=_name(shell))


def _reads_arguments(text: str, bash: bool | None) -> bool:
    """Say whether a text is a script that may find the file as its first argument: of a shell's that can be seen."""
    return text.startswith("#!") and (bash is None or _ARGUMENT.search(text) is not None)


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
    text = script_text(text)
    names, rows = rows_of(params)
    if "f" not in names and "%f%" in text and stands(text, "f"):
        raise SpecError("%f% belongs to a glob; in a template %c% is the next value of a row, %name% a column's")
    index = [name for name in index_names(params) if name not in names and f"%{name}%" in text]
    if index:
        shown = ", ".join(f"%{name}%" for name in index)
        raise SpecError(f"{shown} is the index of the parameters, and no column: give .reset_index()")
    refuse_unknown(text, ("c", *names), shell=is_bash(shell_of(text, shell)) is not None)
    refuse_ambiguous(text, ("c", *names))
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
    return TemplateCommands(text, names, rows, tuple(found[::2]), places, shell=shell)


def _refuse_incomplete_rows(commands: TemplateCommands) -> None:
    """Refuse rows whose values open a quote or a loop, or end the command that they stand in."""
    wrong, plain = [], False
    for number, row in enumerate(commands.rows):
        special = not all(map(_PLAIN_VALUE.fullmatch, row))
        if not special and plain:
            continue  # the same words as in a row that has been read
        plain = plain or not special
        why = why_incomplete(commands.marked(number), commands.shell, heredocs=True)
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
    reader = read_text(commands.marked(number), commands.shell)
    ends = set(reader.ends) if reader is not None else set()
    at = 0
    for place, piece in zip(commands.places, commands.pieces, strict=False):
        at += len(piece)
        value = commands.rows[number][place]
        if any(at + offset in ends for offset, char in enumerate(value) if char == "\n"):
            return f"a newline in the value of {commands.names[place]} ends the command"
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
    made = replace(made, texts=tuple(script_text(text, f"command {index}") for index, text in enumerate(made.texts)))
    labelled = [(f"command {index}", text) for index, text in enumerate(made.texts)]
    refuse_incomplete(labelled, shell)
    refuse_setters(labelled)
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
        refuse_setters(labelled)
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
    return ExplicitCommands(tuple(commands), shell=shell)


def _is_text(command: object) -> bool:
    return isinstance(command, str) and bool(command.strip())


# -- what is recorded ---------------------------------------------------------------------------------------


def commands_from_record(record: Mapping[str, Any]) -> Commands:
    """Return the commands that `Commands.to_record` described; nothing is refused that has once been run."""
    found, shell = record.get("found", {}), record.get("shell", "")
    old = "marks" not in record
    made: Commands
    match record["kind"]:
        case "glob":
            text = record["text"]
            read = unmarked_anywhere(text) if old else text
            if not old and is_bash(shell_of(text, shell)) is None:
                template = compile_verbatim(read)
            else:
                template = compile_file_template(read)
            made = GlobCommands(text, record["files"], template, shell=shell)
        case "template":
            made = _template(record["text"], tuple(record["names"]), [tuple(row) for row in record["rows"]], shell)
        case "explicit":
            made = plain_commands(record["commands"], shell)
        case kind:
            raise SpecError(f"commands of kind {kind!r} are of another version")
    return replace(made, found=found, anywhere=old, fetch=record.get("fetch", False))
