"""What failed, grouped by what it has in common.

PURE. When 2,000 of 5,000 tasks fail, they do so in a few ways: one says ``cannot open header /dfs/snap_017.dat``, the
next ``cannot open header /dfs/snap_211.dat``. The last line of what a task wrote to stderr is brought into a form in
which what differs from task to task (paths, numbers, ids) is a mark, and tasks that ended alike and have the same form
are one group. Words are left as they are: ``foo: command not found`` and ``bar: command not found`` stay two.

A form is made of at most `LINE` characters of a line by patterns that go over it once, so that no line is slow. It is
made again until it stays the same, so that the form of a form is itself; each time takes digits, slashes or dots
away, hence this ends.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from ..core.states import Reason

#: no form and no example is longer
MOST_TEXT: Final = 200
#: how much of a line is looked at
LINE: Final = 2000
#: how many forms are told apart; the rest is one group for each way to end
MOST_GROUPS: Final = 1000
#: the text of that group
OTHER: Final = "(other messages)"

#: signals that have the same number on Linux and macOS
SIGNALS: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 5: "TRAP", 6: "ABRT", 8: "FPE", 9: "KILL", 11: "SEGV", 13: "PIPE",
        14: "ALRM", 15: "TERM", 21: "TTIN", 22: "TTOU", 24: "XCPU", 25: "XFSZ", 26: "VTALRM", 27: "PROF", 28: "WINCH",
    }
)  # fmt: skip

#: endings in which the exit code says why; in the others it only says how the command took being ended
_CODE_TELLS: Final = frozenset({Reason.EXIT, Reason.SIGNAL, Reason.SPAWN})
_WORDS: Final[Mapping[str, str]] = MappingProxyType({Reason.USER: "killed", Reason.SPAWN: "could not start"})

# -- one line ---------------------------------------------------------------------------------------------

_LINE_END = re.compile(r"[\r\n]")  # what comes after a \r takes the place of what was before
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*+[ -/]*+[@-~]|\][^\x07\x1b]*+(?:\x07|\x1b\\)|[ -/]*+[0-Z\\^_])")
#: controls, marks that turn the direction of what follows, lone surrogates
UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_DATA = (
    "avro|bak|bam|bed|bin|bmp|bz2|cat|cdf|cfg|cif|conf|csv|dat|data|db|dcd|err|fa|fasta|fastq|fit|fits|fq|gif|gro|gz|h5|"
    "hdf|hdf5|hdr|html|inp|ini|jpe?g|json|jsonl|log|mat|nc|nc4|npy|npz|nml|out|par|param|parquet|pdb|pdf|pickle|pkl|png|"
    "ps|raw|rds|root|sam|snap|sqlite|svg|tab|tar|tgz|tiff?|toml|tpr|trr|tsv|txt|vcf|vtk|xls|xlsx|xml|xtc|xyz|xz|ya?ml|"
    "zarr|zip|zst"
)
_NAME = r"[\w.+@%~-]"
_IN_PATH = r"""[^\s/'"`‘’“”:;,()\[\]{}<>|=\\]"""
_BEFORE = r"(?<![^\W_])"  # no letter and no digit; `_` parts a number from a word
_QUOTED = re.compile(
    r"(?<!\w)(?:"
    + "|".join(
        rf"{opened}(?:[^{closed}\s/]*+/[^{closed}]*+|[^{closed}/]*?\.(?i:{_DATA}))[{closed}]"
        for opened, closed in (("'", "'"), ('"', '"'), ("`", "`'"), ("‘", "’"), ("“", "”"))
    )
    + r")(?!\w)"
)
_TOKEN = re.compile(
    r"(?P<url>(?<![\w+.-])[A-Za-z][\w+.-]*+://[^\s'\"`‘’“”<>()\[\]]*+)"
    rf"|(?P<path>(?<!{_IN_PATH}){_IN_PATH}*+(?:/++{_IN_PATH}*+)++)"
    rf"|(?P<file>(?<!{_NAME})(?:{_NAME}+\.(?i:{_DATA})|(?=[\w+@%~-]*\d\d){_NAME}*\.[A-Za-z]\w{{0,4}})(?!\w))"
    rf"|(?=[0-9A-Fa-f]{{8}}){_BEFORE}(?=[A-Fa-f]*\d)[0-9A-Fa-f]{{8,}}(?:-[0-9A-Fa-f]{{4,}})*(?![^\W_])"
    rf"|(?=[-+\d])(?:(?<![\w)\].-])[-+])?{_BEFORE}(?:0[xX][0-9A-Fa-f]+|\d+(?:[-.,:/_T]\d+)*(?:[EeDd][-+]?\d+)?(?:Z\b)?)"
    r"|(?=\d\d)(?<=[^\W\d_])\d\d+"
)
#: what each of them has
_IN_TOKEN = re.compile(r"[\d/.]")
#: words with a slash that are no paths
_NO_PATHS: Final = frozenset(
    {"input/output", "i/o", "and/or", "either/or", "n/a", "read/write", "yes/no", "true/false"}
)

_RUN = re.compile(r"#(?:[ ,]*#)+|==+|[\u2588-\u258f]+")  # lists of numbers, and bars of progress


def last_line(text: str) -> str:
    """Return the last line of `text` that is not blank, without what is no text, at most 200 characters of it."""
    return _last(text)[:MOST_TEXT].rstrip()


def first_line(text: str) -> str:
    """Return the first line of `text` that is not blank, without what is no text, at most 200 characters of it."""
    return next(_lines(_LINE_END.split(text)), "")[:MOST_TEXT].rstrip()


def _lines(parts: Iterable[str]) -> Iterator[str]:
    """Yield what is text of each part, where anything is."""
    return filter(None, (UNSAFE.sub(_blank, _ESCAPE.sub("", part)).strip() for part in parts))


def _last(text: str) -> str:
    return next(_lines(reversed(_LINE_END.split(text.rstrip()))), "")[:LINE]


def _blank(match: re.Match[str]) -> str:
    return " " if match[0].isspace() else ""


def normal_form(text: str) -> str:
    """Return what the stderr of a task says, fit to be compared with that of another.

    Parameters
    ----------
    text : str
        What it wrote, or the end of it.

    Returns
    -------
    str
        Its last line that is not blank, with ``<path>`` for paths and files and ``#`` for numbers, dates and ids; at
        most 200 characters. The form of a form is itself.
    """
    return _form(_last(text))


@lru_cache(maxsize=1024)  # many tasks say the very same
def _form(line: str) -> str:
    while True:
        words = _QUOTED.sub(_mark_quoted, line).split()
        words = [_TOKEN.sub(_mark, word) if _IN_TOKEN.search(word) else word for word in words]
        form = _RUN.sub(_short, " ".join(words))[:MOST_TEXT].rstrip()
        if form == line or not _IN_TOKEN.search(form):
            return form
        line = form


def _mark_quoted(match: re.Match[str]) -> str:
    return f"{match[0][0]}<path>{match[0][-1]}"


def _mark(match: re.Match[str]) -> str:
    token = match[0]
    match match.lastgroup:
        case "url":
            return "<path>" + token[len(token.rstrip(".,:;")) :]
        case "path":
            if token.lower() in _NO_PATHS or not token.strip("/"):
                return token
            return "#" if token.replace("/", "").isdecimal() else "<path>"
        case "file":
            return "<path>"
        case _:
            return "#"


def _short(match: re.Match[str]) -> str:
    return min(match[0][0], "\u2588")  # of the blocks the full one, which comes first


def signal_text(number: int) -> str:
    """Return a signal as a person reads it: ``signal 11 (SEGV)``."""
    name = SIGNALS.get(number)
    return f"signal {number} ({name})" if name else f"signal {number}"


def ending_text(reason: str, exit_code: int | None) -> str:
    """Return how an attempt ended: ``exit 1``, ``signal 11 (SEGV)``, ``timeout, signal 15 (TERM)``, ``lost``.

    Parameters
    ----------
    reason : str
        A `Reason`.
    exit_code : int or None
        The exit code; a signal as its negative number.
    """
    if exit_code is None:
        return reason
    if exit_code < 0:
        ended = signal_text(-exit_code)
        return ended if reason == Reason.SIGNAL else f"{reason}, {ended}"
    return f"exit {exit_code}" if reason == Reason.EXIT else f"{reason}, exit {exit_code}"


def told(reason: str, stderr_end: str, note: str) -> str:
    """Return what says why an attempt ended: the end of its stderr, or what was noted of it where that says more."""
    return note if note and (reason == Reason.OUTPUT or not stderr_end.strip()) else stderr_end


# -- many tasks -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """Tasks that failed alike.

    Attributes
    ----------
    reason : str
        Why they ended, a `Reason`.
    exit_code : int or None
        Their exit code, a signal as its negative number; None where it says nothing of the command.
    text : str
        What they said, as `normal_form` has it; "" for nothing.
    example : str
        What one of them said.
    tasks : tuple of int
        Their indices, ascending.
    """

    reason: str
    exit_code: int | None
    text: str
    example: str
    tasks: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.tasks)

    @property
    def label(self) -> str:
        """The group as one line: ``exit 1: cannot open header <path>``."""
        how = _WORDS.get(self.reason) or ending_text(self.reason, self.exit_code)
        return f"{how}: {self.text}" if self.text else how


class _Kind:
    """A way to fail, and how many tasks do."""

    __slots__ = ("count", "example", "key")

    def __init__(self, key: tuple[str, int | None, str], example: str) -> None:
        self.key = key
        self.example = example
        self.count = 0


class Failures:
    """The failed tasks of one job, by the way they failed. Not for several threads at a time."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, int | None, str], _Kind] = {}
        self._kind_of: dict[int, _Kind] = {}

    def __len__(self) -> int:
        return len(self._kind_of)

    def __iter__(self) -> Iterator[int]:
        return iter(self._kind_of)

    def add(self, task: int, reason: str, exit_code: int | None, text: str) -> None:
        """Take a failure; it replaces an earlier one of the same task.

        Parameters
        ----------
        task : int
            Its index.
        reason : str
            Why it ended, a `Reason`.
        exit_code : int or None
            The exit code; a signal as its negative number.
        text : str
            The end of its stderr. It says nothing of a task that the user killed.
        """
        self.forget(task)
        if reason not in _CODE_TELLS:
            exit_code = None
        line = "" if reason == Reason.USER else _last(text)
        key = reason, exit_code, _form(line)
        kind = self._kinds.get(key)
        if kind is None and len(self._kinds) >= MOST_GROUPS:
            key = reason, exit_code, OTHER
            kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(key, line[:MOST_TEXT].rstrip())
        kind.count += 1
        self._kind_of[task] = kind

    def forget(self, task: int) -> None:
        """Drop a task that runs again or has ended well since; one that is not here changes nothing."""
        kind = self._kind_of.pop(task, None)
        if kind is not None:
            kind.count -= 1
            if not kind.count:
                del self._kinds[kind.key]

    def groups(self, without: Container[int] = frozenset()) -> list[Group]:
        """Return the groups, largest first.

        Parameters
        ----------
        without : container of int
            Tasks to leave out.
        """
        tasks: dict[_Kind, list[int]] = {kind: [] for kind in self._kinds.values()}
        for task, kind in self._kind_of.items():
            if task not in without:
                tasks[kind].append(task)
        found = [Group(*kind.key, kind.example, tuple(sorted(its))) for kind, its in tasks.items() if its]
        return sorted(found, key=lambda group: (-group.count, group.tasks[0]))
