"""Commands that are shell texts of the user's own, and the marks in them. PURE."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import SpecError
from .command_base import Commands
from .fetched_copies import with_copies
from .input_marks import Mark, files_of, marked_anywhere, unmarked, unmarked_anywhere, words_of
from .shell.reader import Reader, is_bash, marks_of, shell_of


@dataclass(frozen=True, slots=True)
class MarkedTexts(Commands):
    """Commands that are shell texts of the user's own, with marks in them."""

    @abstractmethod
    def marked(self, index: int) -> str:
        """Return the shell text with its marks."""

    def command(self, index: int) -> str:
        """Return the shell text, without marks."""
        return _command(self.marked(index), self)[0]

    def inputs(self, index: int) -> tuple[str, ...]:
        """Return the files that marks lead to."""
        return _inputs(self.marked(index), self)

    def copies(self, index: int) -> tuple[str, ...]:
        """Return the URLs of which the command finds copies."""
        return _command(self.marked(index), self)[1] if self.fetch else ()

    def marks(self, index: int) -> tuple[Mark, ...]:
        """Return the marks of a command."""
        return _marks(self.marked(index), self)

    def unmarked(self, index: int) -> tuple[str, ...]:
        """Return what looks like a mark, but is a redirection to a shell."""
        return looks_marked(self.marked(index), self)


def read_text(text: str, shell: str) -> Reader | None:
    """Read a text that has no ``%f%``; return None where no shell that is known here can."""
    if is_bash(shell_of(text, shell)) is None:
        return None
    reader = Reader(text)
    try:
        reader.read()
    except SpecError:  # a monitor's own text, which has not been checked
        return None
    return reader


def _offsets(text: str, of: Commands) -> Sequence[tuple[int, int]]:
    if "<[" not in text or of.anywhere or is_bash(shell_of(text, of.shell)) is None:
        return ()
    try:
        return marks_of(text)
    except SpecError:  # a monitor's own text, which has not been checked
        return ()


def _command(text: str, of: Commands) -> tuple[str, tuple[str, ...]]:
    """Return a command without marks, and of what it finds copies."""
    if "<[" not in text:
        return text, ()
    if of.anywhere:
        return unmarked_anywhere(text), ()
    command = unmarked(text, _offsets(text, of))
    return with_copies(command, _marks(text, of), of.found) if of.fetch else (command, ())


def _marks(text: str, of: Commands) -> tuple[Mark, ...]:
    # Before the words of each mark, its own <[ has gone, and both ends of the marks before it.
    return tuple(
        Mark(begin - 4 * number, end - 2 - 4 * number, words_of(text[begin + 2 : end]))
        for number, (begin, end) in enumerate(_offsets(text, of))
    )


def looks_marked(text: str, of: Commands) -> tuple[str, ...]:
    """Return what looks like a mark in a text, but is a redirection to a shell."""
    reader = read_text(text, of.shell) if "<[" in text and not of.anywhere else None
    if reader is None:
        return ()
    return tuple(text[at : text.find("]>", at) + 2] for at in sorted(reader.unmarked))


def _inputs(text: str, of: Commands) -> tuple[str, ...]:
    if "<[" not in text:
        return ()
    return marked_anywhere(text) if of.anywhere else files_of(_marks(text, of), of.found)
