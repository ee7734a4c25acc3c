"""What a snapshot or a report tells of a job: plain data, read once. PURE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from ..backend.core.states import TaskState
from ..backend.core.views import JobView
from ..backend.results.failure_groups import Group
from ..backend.store.rows import Span

#: in the place of a state, for a task that belongs to the job no longer
LEFT_OUT: Final = 255


@dataclass(frozen=True, slots=True)
class Row:
    """One task in a table.

    Attributes
    ----------
    task : int
        Its index.
    state : TaskState
        Where it is.
    command : str
        Its shell text.
    values : tuple of str
        One for each placeholder of the job.
    node : str
        The machine of the attempt that the rest is of; '' when none has ended.
    reason : str
        Why that ended, a `Reason`.
    exit_code : int or None
        The exit code; a signal as its negative number.
    wall_s : float or None
        How long it ran.
    output : str
        The first line of what it wrote to stdout.
    """

    task: int
    state: TaskState
    command: str
    values: tuple[str, ...] = ()
    node: str = ""
    reason: str = ""
    exit_code: int | None = None
    wall_s: float | None = None
    output: str = ""


@dataclass(frozen=True, slots=True)
class JobSummary:
    """What there is to tell of a job at one moment; the last four only for a report.

    Attributes
    ----------
    view : JobView
        The snapshot.
    groups : sequence of Group
        The tasks that failed, the largest group first.
    states : bytes
        The state of each task by index, or `LEFT_OUT`.
    placeholders : sequence of str
        What the values of a row are called.
    rows : sequence of Row
        The first tasks.
    slowest : sequence of Row
        Those that ran longest.
    spans : sequence of Span
        Every attempt that has ended, in order of arrival.
    settings : mapping
        The job as it is recorded: of its environment only the names.
    running : sequence of Span
        Those that run, as if they ended now; none of a job that another process holds.
    """

    view: JobView
    groups: Sequence[Group] = ()
    states: bytes = b""
    placeholders: Sequence[str] = ()
    rows: Sequence[Row] = ()
    slowest: Sequence[Row] = ()
    spans: Sequence[Span] = ()
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    running: Sequence[Span] = ()
