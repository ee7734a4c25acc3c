"""What all kinds of commands have in common. PURE.

What differs from kind to kind is a method of `Commands`: no other module asks which kind it has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from .input_marks import FoundFiles, Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands(ABC):
    """The commands of one submission, by index from 0.

    Attributes
    ----------
    shell : str
        What reads the texts, unless their first line ``#!`` says so; '' is bash.
    found : FoundFiles
        What the patterns in marks have found; see `with_found`.
    anywhere : bool
        Whether marks are taken out wherever they stand, as 0.1.0 did.
    fetch : bool
        Whether commands find copies of files on HDFS, whose names only their node knows.
    """

    shell: str = ""
    found: FoundFiles = field(default_factory=dict)
    anywhere: bool = False
    fetch: bool = False

    #: whether the files are what a pattern has just found
    from_pattern: ClassVar[bool] = False
    #: how each task gets a file of its own to make
    own_file: ClassVar[str]

    # -- all of them ------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def placeholders(self) -> tuple[str, ...]:
        """Columns that the placeholders make in a DataFrame."""

    @property
    @abstractmethod
    def may_mark(self) -> bool:
        """Whether there may be marks."""

    @property
    def names_file(self) -> bool:
        """Whether the name of a command's file stands in its text, and not in its environment alone."""
        return False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def body(self, most: int) -> str:
        """Return what the user typed; of very many texts the first `most`."""

    def comments_in(self, body: str) -> int:
        """Return how many lines of what the user typed are comments that no command has."""
        return 0

    @abstractmethod
    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""

    @abstractmethod
    def _chosen(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return the fields that differ in a selection."""

    def may_have_remote_inputs(self, is_remote: Callable[[str], bool]) -> bool:
        """Say whether there may be inputs on another file system, from the names alone."""
        return self.may_mark

    def select(self, indices: Sequence[int]) -> Self:
        """Return these commands alone, in this order."""
        used = {word.pattern for index in indices for mark in self.marks(index) for word in mark.words}
        found = {pattern: self.found[pattern] for pattern in used & self.found.keys()} if self.found else self.found
        return replace(self, found=found, **self._chosen(indices))

    def with_found(self, found: FoundFiles) -> Self:
        """Return the same commands, told what the patterns in their marks have found."""
        return replace(self, found=found)

    def with_fetch(self) -> Self:
        """Return the same commands, which find copies of the URLs in their marks."""
        return replace(self, fetch=True)

    # -- one of them ------------------------------------------------------------------------------------

    @abstractmethod
    def command(self, index: int) -> str:
        """Return the shell text, without marks, with values in the places of placeholders."""

    @abstractmethod
    def inputs(self, index: int) -> tuple[str, ...]:
        """Return the paths whose placement matters: the file, and those that marks lead to."""

    @abstractmethod
    def copies(self, index: int) -> tuple[str, ...]:
        """Return the URLs of which the command finds copies, the file's apart."""

    @abstractmethod
    def marks(self, index: int) -> tuple[Mark, ...]:
        """Return the marks of a command: where their words stand, before copies are named, and what they lead to."""

    @abstractmethod
    def unmarked(self, index: int) -> tuple[str, ...]:
        """Return what looks like a mark, but is a redirection to a shell."""

    def values(self, index: int) -> tuple[str, ...]:
        """Return a value for each placeholder."""
        return ()

    def file(self, index: int) -> str | None:
        """Return the file behind ``%f%``; None where there is none."""
        return None

    def named_values(self, index: int) -> Mapping[str, str]:
        """Return the value behind each named place, ``%f%`` or ``%column%``."""
        return {}

    def unnamed_values(self, index: int) -> tuple[str, ...]:
        """Return the values behind ``%c%``, one after another."""
        return ()

    # -- for the kinds ----------------------------------------------------------------------------------

    def _reading(self) -> dict[str, Any]:
        """Return what a record must say of how its texts are read."""
        fetch = {"fetch": True} if self.fetch else {}
        if self.anywhere:
            return fetch
        found = {key: list(names) for key, names in self.found.items()}
        more = {"shell": self.shell, "found": found}
        return {**fetch, "marks": "words", **{name: value for name, value in more.items() if value}}
