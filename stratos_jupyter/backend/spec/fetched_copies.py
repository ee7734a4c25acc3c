"""``--fetch``: which files a command finds copies of, and how it names them.

PURE. A copy's path is known to its node alone, which puts it into a variable: ``STRATOS_FILE`` for the file of a glob,
``STRATOS_COPY_1`` and so on for what marks lead to. So no name has to be quoted on two machines.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import Final

from .input_marks import FoundFiles, Mark, MarkedWord

#: how a URL on HDFS begins: commands know names alone, and no file system
_ON_HDFS: Final = "hdfs:/"


def with_copies(
    text: str, marks: Iterable[Mark], found: FoundFiles, file: str | None = None
) -> tuple[str, tuple[str, ...]]:
    """Return a command that reads copies of the URLs that its marks lead to, and these URLs, the file's own apart.

    Parameters
    ----------
    text : str
        The command.
    marks : iterable of Mark
        Its marks, in order.
    found : mapping
        What the patterns in them have found.
    file : str, optional
        The file of a glob, whose copy is another matter.
    """
    copies: dict[str, int] = {}
    parts: list[str] = []
    at = 0
    for mark in marks:
        if not any(name.startswith(_ON_HDFS) for word in mark.words for name in word.files(found)):
            continue
        words = [one for word in mark.words for one in _named(word, found, file, copies)]
        parts += (text[at : mark.start], " ".join(words))
        at = mark.end
    return "".join([*parts, text[at:]]), tuple(copies)


def _named(word: MarkedWord, found: FoundFiles, file: str | None, copies: dict[str, int]) -> Iterator[str]:
    """Yield how a command names the files that a word leads to."""
    names = word.files(found)
    if not names:
        yield word.text
    for name in names:
        if name == file:
            yield '"$STRATOS_FILE"'
        elif name.startswith(_ON_HDFS):
            yield f'"$STRATOS_COPY_{copies.setdefault(name, len(copies) + 1)}"'
        else:
            yield shlex.quote(name)
