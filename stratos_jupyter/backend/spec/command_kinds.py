"""The kinds of commands: a text over files, a text over rows of parameters, and texts as they are.

PURE: no I/O, no clock. Commands are kept as a template and its parameters, and expanded when asked for, one at a
time: 100,000 tasks are a list of 100,000 names.

Text and names that are not UTF-8 travel as surrogate escapes (PEP 383) throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .command_base import Commands
from .command_lines import read_lines
from .fetched_copies import with_copies
from .file_template import FileTemplate, not_an_option
from .input_marks import Mark, files_of, marked_anywhere, unquoted, words_of
from .marked_texts import MarkedTexts, looks_marked


@dataclass(frozen=True, slots=True)
class GlobCommands(Commands):
    """One command for each file."""

    text: str
    files: Sequence[str]
    template: FileTemplate

    from_pattern: ClassVar[bool] = True
    own_file: ClassVar[str] = "give each a name of its own, as by %file.stem% or %file.parent%"

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The one column, ``file``."""
        return ("file",)

    @property
    def may_mark(self) -> bool:
        """Whether there may be marks."""
        return "<[" in self.text

    @property
    def names_file(self) -> bool:
        """Whether ``%f%`` stands in the text."""
        return self.template.count > 0

    def __len__(self) -> int:
        return len(self.files)

    def body(self, most: int) -> str:
        """Return what the user typed."""
        return self.text

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"kind": "glob", "text": self.text, "files": list(self.files), **self._reading()}

    def _chosen(self, indices: Sequence[int]) -> dict[str, Any]:
        return {"files": [self.files[index] for index in indices]}

    def may_have_remote_inputs(self, is_remote: Callable[[str], bool]) -> bool:
        """Say whether there may be inputs on another file system, from the names alone."""
        ends = self.files[:1], self.files[-1:]  # only braces lead to several places
        return any(is_remote(name) for names in ends for name in names) or self.may_mark

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

    def named_values(self, index: int) -> Mapping[str, str]:
        """Return the file's name."""
        return {"f": self.files[index], "file": self.files[index]}

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
        return looks_marked(self.text, self)

    def copies(self, index: int) -> tuple[str, ...]:
        """Return the URLs of which the command finds copies, the file's apart."""
        return self._with_copies(index)[1] if self.fetch else ()


@dataclass(frozen=True, slots=True)
class TemplateCommands(MarkedTexts):
    """One command for each row of parameters, which are the user's own shell text."""

    text: str
    names: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    pieces: tuple[str, ...]  # the text between the places; one more than there are places
    places: tuple[int, ...]  # which value stands in each place

    own_file: ClassVar[str] = "give each a name of its own, by the column that tells them apart"

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The columns of the parameters."""
        return self.names

    @property
    def may_mark(self) -> bool:
        """Whether there may be marks."""
        return "<[" in self.text or any("<[" in value for row in self.rows for value in row)

    def __len__(self) -> int:
        return len(self.rows)

    def body(self, most: int) -> str:
        """Return what the user typed."""
        return self.text

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        record = {"kind": "template", "text": self.text, "names": list(self.names), "rows": list(self.rows)}
        return {**record, **self._reading()}

    def _chosen(self, indices: Sequence[int]) -> dict[str, Any]:
        return {"rows": [self.rows[index] for index in indices]}

    def marked(self, index: int) -> str:
        """Return the text with the row's values in their places, verbatim, and its marks."""
        row = self.rows[index]
        parts = [self.pieces[0]]
        for place, piece in zip(self.places, self.pieces[1:], strict=True):
            parts += (row[place], piece)
        return "".join(parts)

    def values(self, index: int) -> tuple[str, ...]:
        """Return the row."""
        return self.rows[index]

    def named_values(self, index: int) -> Mapping[str, str]:
        """Return the row by its columns, as a shell reads its values."""
        return dict(zip(self.names, self.unnamed_values(index), strict=True))

    def unnamed_values(self, index: int) -> tuple[str, ...]:
        """Return the row, as a shell reads its values."""
        return tuple(unquoted(value) for value in self.rows[index])


@dataclass(frozen=True, slots=True)
class ExplicitCommands(MarkedTexts):
    """Commands as they are."""

    texts: Sequence[str]

    own_file: ClassVar[str] = "commands that are written out have no place for what differs; a template has"

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

    def body(self, most: int) -> str:
        """Return the first texts."""
        return "\n".join(self.texts[:most])

    def comments_in(self, body: str) -> int:
        """Return how many lines of a cell are comments; they are no commands."""
        return read_lines(body, self.shell).comments

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"kind": "explicit", "commands": list(self.texts), **self._reading()}

    def _chosen(self, indices: Sequence[int]) -> dict[str, Any]:
        return {"texts": [self.texts[index] for index in indices]}

    def marked(self, index: int) -> str:
        """Return the shell text with its marks."""
        return self.texts[index]
