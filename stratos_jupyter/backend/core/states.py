"""The states of a task as a table.

The table is the state machine: a move that it does not hold is refused. It speaks of one attempt; nothing
leaves a terminal state. Relaunching a task starts a new attempt, which begins in QUEUED again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias


class TaskState(IntEnum):
    """Where a task is; small integers, because a scheduler keeps one byte a task."""

    QUEUED = 0
    STAGING = 1
    RUNNING = 2
    UNREACHABLE = 3
    FINISHED = 4
    FAILED = 5
    KILLED = 6
    LOST = 7


TERMINAL: Final = frozenset({TaskState.FINISHED, TaskState.FAILED, TaskState.KILLED, TaskState.LOST})

#: launched and not ended: these hold resources on a node
IN_FLIGHT: Final = frozenset({TaskState.STAGING, TaskState.RUNNING, TaskState.UNREACHABLE})


class Reason(StrEnum):
    """Why an attempt ended."""

    EXIT = "exit"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    DISK = "disk"
    OUTPUT = "output"  # it ended well, and what it was to make or say is not as it was promised
    MONITOR = "monitor"
    USER = "user"
    SPAWN = "spawn"
    LOST = "lost"


class Cue(StrEnum):
    """What can happen to an attempt."""

    LAUNCHED = "launched"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"
    LOST = "lost"
    RETURNED = "returned"
    REQUEUED = "requeued"
    RETRIED = "retried"
    AGENT_UNREACHABLE = "agent unreachable"
    AGENT_BACK = "agent back"


_S = TaskState

MOVES: Final[Mapping[tuple[TaskState, Cue], TaskState]] = MappingProxyType(
    {
        (_S.QUEUED, Cue.LAUNCHED): _S.STAGING,
        (_S.QUEUED, Cue.KILLED): _S.KILLED,
        (_S.QUEUED, Cue.LOST): _S.LOST,
        (_S.QUEUED, Cue.SUCCEEDED): _S.FINISHED,  # an earlier attempt, given up for lost, had a result after all
        (_S.QUEUED, Cue.FAILED): _S.FAILED,
        (_S.STAGING, Cue.STARTED): _S.RUNNING,
        (_S.STAGING, Cue.SUCCEEDED): _S.FINISHED,  # ended before anyone could say that it had started
        (_S.STAGING, Cue.FAILED): _S.FAILED,
        (_S.STAGING, Cue.KILLED): _S.KILLED,
        (_S.STAGING, Cue.LOST): _S.LOST,
        (_S.STAGING, Cue.RETURNED): _S.QUEUED,  # a batch handed it back unstarted
        (_S.STAGING, Cue.REQUEUED): _S.QUEUED,  # its node was lost, the cluster's failure
        (_S.STAGING, Cue.RETRIED): _S.QUEUED,  # it failed by itself, and the user wants it tried again
        (_S.STAGING, Cue.AGENT_UNREACHABLE): _S.UNREACHABLE,
        (_S.RUNNING, Cue.SUCCEEDED): _S.FINISHED,
        (_S.RUNNING, Cue.FAILED): _S.FAILED,
        (_S.RUNNING, Cue.KILLED): _S.KILLED,
        (_S.RUNNING, Cue.LOST): _S.LOST,
        (_S.RUNNING, Cue.REQUEUED): _S.QUEUED,
        (_S.RUNNING, Cue.RETRIED): _S.QUEUED,
        (_S.RUNNING, Cue.RETURNED): _S.QUEUED,  # back after a partition, and never started
        (_S.RUNNING, Cue.AGENT_UNREACHABLE): _S.UNREACHABLE,
        (_S.UNREACHABLE, Cue.AGENT_BACK): _S.RUNNING,  # a partition can heal
        (_S.UNREACHABLE, Cue.STARTED): _S.RUNNING,
        (_S.UNREACHABLE, Cue.SUCCEEDED): _S.FINISHED,
        (_S.UNREACHABLE, Cue.FAILED): _S.FAILED,
        (_S.UNREACHABLE, Cue.KILLED): _S.KILLED,
        (_S.UNREACHABLE, Cue.LOST): _S.LOST,
        (_S.UNREACHABLE, Cue.RETURNED): _S.QUEUED,
        (_S.UNREACHABLE, Cue.REQUEUED): _S.QUEUED,
        (_S.UNREACHABLE, Cue.RETRIED): _S.QUEUED,
    }
)


#: ranges of exit codes, first and last
Codes: TypeAlias = tuple[tuple[int, int], ...]
#: what a command says that has done its work
ZERO: Final[Codes] = ((0, 0),)


def ending(reason: Reason, code: int | None, ok: Codes = ZERO) -> TaskState:
    """Return the terminal state of an attempt that ended for `reason`.

    Parameters
    ----------
    reason : Reason
        Why the attempt ended.
    code : int or None
        The exit code, when the command ended by itself.
    ok : tuple of (int, int)
        The exit codes that say that the work was done, as ranges.
    """
    if reason is Reason.EXIT and code is not None and any(first <= code <= last for first, last in ok):
        return TaskState.FINISHED
    if reason in (Reason.USER, Reason.MONITOR):
        return TaskState.KILLED
    if reason is Reason.LOST:
        return TaskState.LOST
    return TaskState.FAILED
