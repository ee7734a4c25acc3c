"""Rows of the journal: `ResultRow`, what is recorded of one attempt that ended; the others are some of its columns.

What each column means, and its unit, stands in `columns.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..core.states import Reason, TaskState
from .columns import RECORDED

if TYPE_CHECKING:
    from ..engines.base import Result


class ResultRow(NamedTuple):
    """One attempt that ended, as it is recorded: the columns that `columns.RECORDED` has, in its order.

    A tuple, because a job of 100,000 tasks makes that many of them and drops them again. Those that are made here have
    no place yet: the journal's writer numbers them.
    """

    seq: int
    task: int
    state: int
    reason: str
    node: str
    attempt: int
    losses: int
    origin: int | None
    exit_code: int | None
    submitted_at: float
    started_at: float | None
    finished_at: float
    cpu_s: float
    max_rss_mib: float
    local_fraction: float | None
    stdout: bytes | None
    stderr: bytes | None
    stdout_path: str
    stderr_path: str
    stdout_size: int
    stderr_size: int
    note: str
    counts: int
    told: int

    @classmethod
    def of_result(
        cls,
        result: Result,
        *,
        state: TaskState,
        losses: int,
        origin: int | None,
        submitted_at: float,
        local_fraction: float | None,
        counts: bool,
    ) -> ResultRow:
        """Return the row of what a node reported.

        Parameters
        ----------
        result : Result
            The report.
        state : TaskState
            What it makes of the task.
        losses, origin, submitted_at, local_fraction, counts
            As the columns of these names.
        """
        code = result.code
        if code is not None and result.reason is Reason.SIGNAL:
            code = -code
        # By position, for these are made at thousands a second: keywords would take three times as long.
        return cls(
            0, result.task, int(state), result.reason.value, result.node, result.attempt, losses, origin, code,
            submitted_at, result.started_at, result.finished_at, result.cpu_s, result.max_rss_mib, local_fraction,
            result.stdout, result.stderr, result.stdout_path, result.stderr_path, result.stdout_size,
            result.stderr_size, result.note, int(counts), 1,
        )  # fmt: skip

    @classmethod
    def of_unreported(
        cls,
        task: int,
        attempt: int,
        *,
        state: TaskState,
        reason: Reason,
        node: str,
        losses: int,
        origin: int | None,
        submitted_at: float,
        started_at: float | None,
        finished_at: float,
        note: str,
        counts: bool,
    ) -> ResultRow:
        """Return the row of an attempt that ended without a report: killed while queued, or lost."""
        return cls(
            0, task, int(state), reason.value, node, attempt, losses, origin, None, submitted_at, started_at,
            finished_at, 0.0, 0.0, None, None, None, "", "", 0, 0, note, int(counts), 0,
        )  # fmt: skip


_NAMES: Final = [column.name for column in RECORDED]
if list(ResultRow._fields) != _NAMES:
    raise AssertionError(f"ResultRow has {ResultRow._fields}, columns.RECORDED has {_NAMES}")
RESULT_FIELDS: Final = ", ".join(_NAMES)
RESULTS_TABLE: Final = (
    f"CREATE TABLE results ({', '.join(f'{column.name} {column.sql}' for column in RECORDED)});\n"
    "CREATE UNIQUE INDEX results_attempt ON results (task, attempt);\n"
)
# As a text of SQLite a path can be looked at, and bytes that are no text come back as they were.
INSERT_RESULT: Final = (
    f"INSERT OR IGNORE INTO results ({RESULT_FIELDS}) VALUES ("
    + ", ".join("CAST(? AS TEXT)" if column.path else "?" for column in RECORDED)
    + ")"
)
_PATHS: Final = tuple(place for place, column in enumerate(RECORDED) if column.path)
_paths_of: Final = itemgetter(*_PATHS)


def selected(row: type[tuple[Any, ...]], **made: str) -> str:
    """Return what SQL selects for a row's fields, in order; `made` says how those are made that are no columns."""
    fields: tuple[str, ...] = row._fields  # type: ignore[attr-defined]
    return ", ".join(made.get(name, name) for name in fields)


def missing_columns(have: Collection[str]) -> list[str]:
    """Return the statements that add to a journal's table of results the columns that it does not have."""
    return [
        f"ALTER TABLE results ADD COLUMN {column.name} {column.sql}"
        + (f" DEFAULT {column.older}" if column.older else "")
        for column in RECORDED
        if column.name not in have
    ]


def values_of(seq: int, row: ResultRow) -> Sequence[Any]:
    """Return what `INSERT_RESULT` takes of a row; its paths as bytes where they are no text that SQLite takes."""
    if "".join(_paths_of(row)).isascii():
        return (seq, *row[1:])
    made: list[Any] = [seq, *row[1:]]
    for place in _PATHS:
        made[place] = made[place].encode("utf-8", "surrogateescape")
    return made


class JournalEntry(NamedTuple):
    """What the journal keeps beside results and submissions: a launch, a command of the user's, a loss."""

    at_s: float
    what: str
    #: becomes JSON
    detail: Any


class RecordedEvent(NamedTuple):
    """Something that the scheduler was told, in its place among all of it."""

    seq: int
    at_s: float
    what: str
    #: (first task, how many) of a "call", `ToldRow` of a "result", otherwise that of the `JournalEntry`
    detail: Any


class ToldRow(NamedTuple):
    """What a replay needs of a result: some columns of a `ResultRow`."""

    task: int
    attempt: int
    reason: str
    exit_code: int | None
    started_at: float | None
    finished_at: float


class FactRow(NamedTuple):
    """What a table shows of one attempt that ended: the small columns of a `ResultRow`."""

    seq: int
    task: int
    attempt: int
    state: int
    exit_code: int | None
    node: str
    started_at: float | None
    finished_at: float


class FirstRow(NamedTuple):
    """How the stdout of one attempt begins, and how its stderr ends."""

    task: int
    attempt: int
    stdout: bytes | None
    stdout_path: str
    stderr_end: bytes | None
    stderr_path: str
    note: str
    reason: str


class EndingRow(NamedTuple):
    """How one attempt ended: some columns of a `ResultRow`, and the end of what it wrote to stderr."""

    seq: int
    task: int
    attempt: int
    state: int
    reason: str
    exit_code: int | None
    #: its last bytes; None: nothing was kept, or it is in the file below
    stderr_end: bytes | None
    stderr_path: str
    note: str


class Span(NamedTuple):
    """When and where one attempt ran, and how it ended: some columns of a `ResultRow`."""

    task: int
    attempt: int
    state: int
    reason: str
    exit_code: int | None
    node: str
    started_at: float | None
    finished_at: float
    cpu_s: float
    max_rss_mib: float
    local_fraction: float | None


class Head(NamedTuple):
    """What one line of a table tells of a result: some columns of a `ResultRow`, and the beginning of its stdout."""

    task: int
    reason: str
    exit_code: int | None
    node: str
    started_at: float | None
    finished_at: float
    stdout: bytes | None
    stdout_path: str
    stdout_size: int
