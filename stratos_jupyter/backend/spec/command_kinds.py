"""The kinds of commands: a text over files, a text over rows of parameters, and texts as they are.

PURE: no I/O, no clock. Commands are kept as a template and its parameters, and expanded when asked for, one at a
time: 100,000 tasks are a list of 100,000 names.

Text and names that are not UTF-8 travel as surrogate escapes (PEP 383) throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ...errors import SpecError
from .fetched_copies import with_copies
from .file_template import FileTemplate, not_an_option
from .input_marks import FoundFiles, Mark, files_of, marked_anywhere, unmarked, unmarked_anywhere, words_of
from .shell.reader import Reader, is_bash, marks_of, shell_of


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
    def found(self) -> FoundFiles:
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

    def copies(self, index: int) -> tuple[str, ...]:
        """Return the URLs of which the command finds copies, the file's apart."""

    def marks(self, index: int) -> tuple[Mark, ...]:
        """Return the marks of a command: where their words stand, before copies are named, and what they lead to."""

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
    found: FoundFiles = field(default_factory=dict)
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
        return self._with_copies(index)[0] if self.fetch else self.template.expand(self.files[index])

    def _with_copies(self, index: int) -> tuple[str, tuple[str, ...]]:
        text = self.template.by_variable()
        return with_copies(text, self.marks(index), self.found, self.files[index]) if self.may_mark else (text, ())

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

    def copies(self, index: int) -> tuple[str, ...]:
        """Return the URLs of which the command finds copies, the file's apart."""
        return self._with_copies(index)[1] if self.fetch else ()

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
    found: FoundFiles = field(default_factory=dict)
    anywhere: bool = False
    fetch: bool = False  # URLs in marks are copies

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
        return _command(self.expanded(index), self, self.fetch)[0]

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

    def copies(self, index: int) -> tuple[str, ...]:
        """Return the URLs of which the command finds copies."""
        return _command(self.expanded(index), self, self.fetch)[1] if self.fetch else ()

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        record = {"kind": "template", "text": self.text, "names": list(self.placeholders), "rows": list(self.rows)}
        return {**record, **({"fetch": True} if self.fetch else {}), **_reading(self)}


@dataclass(frozen=True, slots=True)
class ExplicitCommands:
    """Commands as they are."""

    texts: Sequence[str]
    shell: str = ""
    found: FoundFiles = field(default_factory=dict)
    anywhere: bool = False
    fetch: bool = False

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
        return _command(self.texts[index], self, self.fetch)[0]

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

    def copies(self, index: int) -> tuple[str, ...]:
        """Return the URLs of which the command finds copies."""
        return _command(self.texts[index], self, self.fetch)[1] if self.fetch else ()

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        record = {"kind": "explicit", "commands": list(self.texts)}
        return {**record, **({"fetch": True} if self.fetch else {}), **_reading(self)}


# -- marks --------------------------------------------------------------------------------------------------


def read_text(text: str, shell: str) -> Reader | None:
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


def _command(text: str, of: Commands, fetch: bool) -> tuple[str, tuple[str, ...]]:
    """Return a command without marks, and of what it finds copies."""
    if "<[" not in text:
        return text, ()
    if of.anywhere:
        return unmarked_anywhere(text), ()
    command = unmarked(text, _offsets(text, of))
    return with_copies(command, _marks(text, of), of.found) if fetch else (command, ())


def _marks(text: str, of: Commands) -> tuple[Mark, ...]:
    # Before the words of each mark, its own <[ has gone, and both ends of the marks before it.
    return tuple(
        Mark(begin - 4 * number, end - 2 - 4 * number, words_of(text[begin + 2 : end]))
        for number, (begin, end) in enumerate(_offsets(text, of))
    )


def _unmarked(text: str, of: Commands) -> tuple[str, ...]:
    reader = read_text(text, of.shell) if "<[" in text and not of.anywhere else None
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


def with_found(commands: Commands, found: FoundFiles) -> Commands:
    """Return the same commands, told what the patterns in their marks have found."""
    assert isinstance(commands, GlobCommands | TemplateCommands | ExplicitCommands)
    return replace(commands, found=found)


def with_fetch(commands: Commands) -> Commands:
    """Return the same commands, which find copies of the URLs in their marks."""
    assert isinstance(commands, GlobCommands | TemplateCommands | ExplicitCommands)
    return replace(commands, fetch=True)


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
