"""The states of a task as a table.

The table is the state machine: a move that it does not hold is refused. It is about one attempt; nothing leaves a
terminal state. A relaunch starts a new attempt, which begins in QUEUED.
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
    OUTPUT = "output"  # it ended well, but its products or output are not as promised
    MONITOR = "monitor"
    USER = "user"
    SPAWN = "spawn"
    LOST = "lost"


class Trigger(StrEnum):
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

MOVES: Final[Mapping[tuple[TaskState, Trigger], TaskState]] = MappingProxyType(
    {
        (_S.QUEUED, Trigger.LAUNCHED): _S.STAGING,
        (_S.QUEUED, Trigger.KILLED): _S.KILLED,
        (_S.QUEUED, Trigger.LOST): _S.LOST,
        (_S.QUEUED, Trigger.SUCCEEDED): _S.FINISHED,  # an earlier attempt, given up for lost, had a result after all
        (_S.QUEUED, Trigger.FAILED): _S.FAILED,
        (_S.STAGING, Trigger.STARTED): _S.RUNNING,
        (_S.STAGING, Trigger.SUCCEEDED): _S.FINISHED,  # its end came before the report of its start
        (_S.STAGING, Trigger.FAILED): _S.FAILED,
        (_S.STAGING, Trigger.KILLED): _S.KILLED,
        (_S.STAGING, Trigger.LOST): _S.LOST,
        (_S.STAGING, Trigger.RETURNED): _S.QUEUED,  # a batch handed it back unstarted
        (_S.STAGING, Trigger.REQUEUED): _S.QUEUED,  # its node was lost, the cluster's failure
        (_S.STAGING, Trigger.RETRIED): _S.QUEUED,  # it failed by itself, and the user wants it tried again
        (_S.STAGING, Trigger.AGENT_UNREACHABLE): _S.UNREACHABLE,
        (_S.RUNNING, Trigger.SUCCEEDED): _S.FINISHED,
        (_S.RUNNING, Trigger.FAILED): _S.FAILED,
        (_S.RUNNING, Trigger.KILLED): _S.KILLED,
        (_S.RUNNING, Trigger.LOST): _S.LOST,
        (_S.RUNNING, Trigger.REQUEUED): _S.QUEUED,
        (_S.RUNNING, Trigger.RETRIED): _S.QUEUED,
        (_S.RUNNING, Trigger.RETURNED): _S.QUEUED,  # back after a partition, and never started
        (_S.RUNNING, Trigger.AGENT_UNREACHABLE): _S.UNREACHABLE,
        (_S.UNREACHABLE, Trigger.AGENT_BACK): _S.RUNNING,  # a partition can heal
        (_S.UNREACHABLE, Trigger.STARTED): _S.RUNNING,
        (_S.UNREACHABLE, Trigger.SUCCEEDED): _S.FINISHED,
        (_S.UNREACHABLE, Trigger.FAILED): _S.FAILED,
        (_S.UNREACHABLE, Trigger.KILLED): _S.KILLED,
        (_S.UNREACHABLE, Trigger.LOST): _S.LOST,
        (_S.UNREACHABLE, Trigger.RETURNED): _S.QUEUED,
        (_S.UNREACHABLE, Trigger.REQUEUED): _S.QUEUED,
        (_S.UNREACHABLE, Trigger.RETRIED): _S.QUEUED,
    }
)


#: ranges of exit codes, first and last
Codes: TypeAlias = tuple[tuple[int, int], ...]
#: the exit codes of a command that has done its work
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
