r"""Putting a file's name into a shell script, for the place where it stands.

PURE. A template is read once, by `shell.Reader`, which finds each ``%f%`` and what a shell makes of the text around
it. Then expanding is a join.

===========  ===========================================
stands       the name becomes
===========  ===========================================
bare         ``'name'``, a quote in it ``'\''``; as it is where it is a word of its own and nothing in it is special
in '...'     the same without the outer quotes
in "..."     a backslash before each of ``\ " $`` and the backtick; after ``$x``, quoted apart
in `...`     the same, with a backslash before each of ``\`` and the backtick of that
===========  ===========================================

A name that begins with ``-`` gets ``./`` before it. A ``%f%`` in a comment stays: a newline in a name would end the
comment and begin a command. Everywhere else it is refused, with the cure. Marks, ``<[ ]>``, are taken out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ...errors import SpecError
from .shell.quotes import PLACEHOLDER, QuoteContext
from .shell.reader import Reader

#: nothing in it is special to a shell, and it is no reserved word
_PLAIN: Final = re.compile(r"(?=.*[./:0-9])[A-Za-z0-9_./:][A-Za-z0-9_./:\-]*")
#: what means nothing in any quotes of any language
VERBATIM: Final = re.compile(r"[\w./:@+,=\-]+")
_IN_DOUBLE: Final = str.maketrans({char: "\\" + char for char in '\\"$`'})

#: how many refused places a message names
SHOWN: Final = 3


def not_an_option(name: str) -> str:
    """Return a file's name with ``./`` before it where it begins with a dash."""
    return "./" + name if name.startswith("-") else name


def _in_single(name: str) -> str:
    return name.replace("'", "'\\''")


def _bare(name: str) -> str:
    return f"'{_in_single(name)}'"


def _word(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else _bare(name)


def _in_double(name: str) -> str:
    return name.translate(_IN_DOUBLE)


def _ticked(quote: Callable[[str], str]) -> Callable[[str], str]:
    """Return what quotes a name in backticks, which take backslashes away before anything else is read."""
    return lambda name: quote(name).replace("\\", "\\\\").replace("`", "\\`")


def _joined(name: str) -> str:
    return f'"{_bare(name)}"'


#: the value of the variable that holds the name, whatever is in it
_VARIABLE: Final = {
    QuoteContext.WORD: '"$STRATOS_FILE"',
    QuoteContext.BARE: '"$STRATOS_FILE"',
    QuoteContext.SINGLE: "'\"$STRATOS_FILE\"'",
    QuoteContext.DOUBLE: "${STRATOS_FILE}",
    QuoteContext.JOINED: '""${STRATOS_FILE}""',
    QuoteContext.TICKED_BARE: '"$STRATOS_FILE"',
    QuoteContext.TICKED_SINGLE: "'\"$STRATOS_FILE\"'",
    QuoteContext.TICKED_DOUBLE: "${STRATOS_FILE}",
}

_QUOTE: Final[dict[QuoteContext, Callable[[str], str]]] = {
    QuoteContext.WORD: _word,
    QuoteContext.BARE: _bare,
    QuoteContext.SINGLE: _in_single,
    QuoteContext.DOUBLE: _in_double,
    QuoteContext.JOINED: _joined,
    QuoteContext.TICKED_BARE: _ticked(_bare),
    QuoteContext.TICKED_SINGLE: _ticked(_in_single),
    QuoteContext.TICKED_DOUBLE: _ticked(_in_double),
    QuoteContext.VERBATIM: str,
}


@dataclass(frozen=True, slots=True)
class FileTemplate:
    """A script with places for one file's name.

    Attributes
    ----------
    pieces : tuple of str
        The text between the places; one more than there are places. Marks have been taken out.
    places : tuple of QuoteContext
        What each place is.
    marks : tuple of (int, int, int, int, str)
        Of each mark: piece and offset at which it begins, piece and offset at which it ends, what it holds.
    """

    pieces: tuple[str, ...]
    places: tuple[QuoteContext, ...]
    marks: tuple[tuple[int, int, int, int, str], ...] = ()

    @property
    def count(self) -> int:
        """How many places there are."""
        return len(self.places)

    def expand(self, name: str) -> str:
        """Return the script for one file.

        Parameters
        ----------
        name : str
            The file's name; bytes that are no UTF-8 as surrogate escapes.
        """
        name = not_an_option(name)
        if len(self.places) == 1:  # nearly always
            return self.pieces[0] + _QUOTE[self.places[0]](name) + self.pieces[1]
        return "".join(self._parts(name, _QUOTE))

    def by_variable(self) -> str:
        """Return the script for a file whose name only the node knows, which has it in ``STRATOS_FILE``."""
        parts = [self.pieces[0]]
        for place, piece in zip(self.places, self.pieces[1:], strict=True):
            parts += (_VARIABLE[place], piece)
        return "".join(parts)

    def spans(self, name: str, *, variable: bool = False) -> list[tuple[int, int]]:
        """Return where each mark begins and ends in the script for one file."""
        if not self.marks:
            return []
        quoted = _VARIABLE if variable else {place: _QUOTE[place](not_an_option(name)) for place in set(self.places)}
        starts = [0]
        for place, piece in zip(self.places, self.pieces, strict=False):
            starts.append(starts[-1] + len(piece) + len(quoted[place]))
        return [(starts[first] + begin, starts[last] + end) for first, begin, last, end, _ in self.marks]

    def _parts(self, name: str, quote: Mapping[QuoteContext, Callable[[str], str]]) -> list[str]:
        parts = [self.pieces[0]]
        for place, piece in zip(self.places, self.pieces[1:], strict=True):
            parts += (quote[place](name), piece)
        return parts


def compile_file_template(text: str, *, bash: bool = True) -> FileTemplate:
    """Read a script once.

    Parameters
    ----------
    text : str
        Shell text with ``%f%`` where the file's name belongs.
    bash : bool
        Whether bash runs it; otherwise any POSIX shell may.

    Raises
    ------
    SpecError
        A ``%f%`` stands where no name can be quoted, or a quote is not closed.
    """
    reader = Reader(text, bash=bash)
    reader.read()
    return template_of(reader)


def compile_verbatim(text: str) -> FileTemplate:
    """Return the template of a script that no shell reads: a name stands in it as it is."""
    pieces = tuple(text.split(PLACEHOLDER))
    return FileTemplate(pieces, (QuoteContext.VERBATIM,) * (len(pieces) - 1))


def template_of(reader: Reader) -> FileTemplate:
    """Return the template that a reader has read; raises SpecError as `compile_file_template` does."""
    text = reader.text
    if reader.refused:
        shown = [
            f"%f% in line {text.count(chr(10), 0, at) + 1} stands {where}"
            for at, where in sorted(reader.refused)[:SHOWN]
        ]
        raise SpecError(
            f'{"; ".join(shown)}, where no file name can be quoted safely; write "$STRATOS_FILE" there, which every '
            "task finds set to its file's name"
        )
    cuts: list[tuple[int, int, QuoteContext | None]] = [(at, len(PLACEHOLDER), place) for at, place in reader.found]
    cuts += [(at, 2, None) for mark in reader.marks for at in mark]
    pieces, at = [""], 0
    begun: dict[int, tuple[int, int]] = {}
    for cut, length, place in sorted(cuts, key=lambda one: one[0]):
        pieces[-1] += text[at:cut]
        at = cut + length
        if place is not None:
            pieces.append("")
        else:
            begun[cut] = len(pieces) - 1, len(pieces[-1])
    pieces[-1] += text[at:]
    marks = tuple((*begun[begin], *begun[end], text[begin + 2 : end]) for begin, end in reader.marks)
    return FileTemplate(tuple(pieces), tuple(place for _, place in reader.found), marks)
