"""TaskLog: everything there is to read of one task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..core.states import TaskState
from ..store.rows import ResultRow

#: what a log shows of a stream, in bytes
LOG_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class TaskLog:
    """Everything there is to read of one task.

    Attributes
    ----------
    task : int
        Its index.
    command : str
        The shell text.
    state : TaskState
        Where it is now.
    attempts : tuple of ResultRow
        Every attempt that ended, first to last.
    stdout, stderr : str
        Of the attempt that runs, or else of the last one; each at most 64 KiB, its end when it runs.
    live : bool
        Whether the two are of an attempt that still runs.
    attempt : int
        Which attempt the two are of, from 1; 0 when none has begun.
    note : str
        What there is to say of the attempt that runs, as what its monitor said last.
    """

    task: int
    command: str
    state: TaskState
    attempts: tuple[ResultRow, ...]
    stdout: str
    stderr: str
    live: bool
    attempt: int
    note: str = ""
