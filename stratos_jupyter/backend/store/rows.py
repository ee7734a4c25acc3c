"""ResultRow: what is recorded of one attempt that ended; the others: the little of it that tells one thing."""

from __future__ import annotations

from typing import NamedTuple


class ResultRow(NamedTuple):
    """One attempt that ended, as it was committed.

    A tuple, because a job of 100,000 tasks makes that many of them and drops them again.
    """

    #: place in the order of arrival, counted from 1
    seq: int
    #: index of the task in its job
    task: int
    #: which execution of the task, counted from 1
    attempt: int
    #: a terminal `TaskState`
    state: int
    #: a `Reason`
    reason: str
    #: negative: the number of the signal that ended it; None: it never ran, or nobody knows
    exit_code: int | None
    #: the machine that ran it
    node: str
    #: seconds since the epoch, as the two below
    submitted_at: float
    #: None: it never started
    started_at: float | None
    finished_at: float
    #: user and system time
    cpu_s: float
    max_rss_mib: float
    #: the part of its input bytes that were on its node, 0 to 1; None: it has no inputs
    local_fraction: float | None
    #: the whole of it when that is small; None: nothing was kept, or it is in the file below
    stdout: bytes | None
    stderr: bytes | None
    #: the file that holds the whole of it; "" when there is none
    stdout_path: str
    stderr_path: str
    #: bytes that the command wrote
    stdout_size: int
    stderr_size: int
    #: "" or one line for a person
    note: str
    #: how often the cluster lost the task before
    losses: int = 0
    #: the task whose monitor asked for this one; None: the user did
    origin: int | None = None


class FactRow(NamedTuple):
    """What a table shows of one attempt that ended: the small fields of a `ResultRow`."""

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
    """How one attempt ended: some fields of a `ResultRow`, and the end of what it wrote to stderr."""

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
    """When and where one attempt ran, and how it ended: some fields of a `ResultRow`."""

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
    """What one line of a table tells of a result: some fields of a `ResultRow`, and the beginning of its stdout."""

    task: int
    reason: str
    exit_code: int | None
    node: str
    started_at: float | None
    finished_at: float
    stdout: bytes | None
    stdout_path: str
    stdout_size: int
