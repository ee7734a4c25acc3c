"""What the scheduler decides: its only output. An engine performs it; nothing else does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from .resources import Resources
from .states import Reason, TaskState


@dataclass(frozen=True, slots=True)
class Launch:
    """Run a batch on what an offer has.

    Attributes
    ----------
    offer_id, node : str
        The offer that is taken, and whose it is.
    batch_id : int
        Names the batch from now on.
    demand : Resources
        What is taken of the offer, for as long as the batch lasts.
    tasks : tuple of (int, int)
        Task and attempt, in the order in which they run, one after another.
    expected_s : float or None
        How long the whole of it is expected to take; None when nobody knows yet.
    behind : int or None
        The batch behind which it lines up.
    """

    offer_id: str
    node: str
    batch_id: int
    demand: Resources
    tasks: tuple[tuple[int, int], ...]
    expected_s: float | None
    behind: int | None = None


@dataclass(frozen=True, slots=True)
class Decline:
    """Give offers back and don't hear of them for `refuse_s` seconds."""

    offer_ids: tuple[str, ...]
    refuse_s: float


@dataclass(frozen=True, slots=True)
class Revive:
    """Ask for offers; what was refused may come again. `least` is the smallest demand there is."""

    least: Resources


@dataclass(frozen=True, slots=True)
class Suppress:
    """Nothing is queued: make no offers."""


@dataclass(frozen=True, slots=True)
class Kill:
    """End attempts that have been launched; pairs of task and attempt. `reason` is what they will end for."""

    tasks: tuple[tuple[int, int], ...]
    reason: Reason = Reason.USER


@dataclass(frozen=True, slots=True)
class WithdrawUnstarted:
    """Hand back what has not been started of these batches; what runs goes on."""

    batches: tuple[int, ...]


class UnreportedAttempt(NamedTuple):
    """An attempt of which no node will tell how it ended; where it was and since when, if anywhere."""

    task: int
    attempt: int
    node: str = ""
    started_at: float | None = None


@dataclass(frozen=True, slots=True)
class RecordEnding:
    """Attempts ended without any node's word: killed while they were queued, or lost by the cluster.

    Whoever performs it records it before anyone sees it. `final` is False for a lost attempt that is followed by
    another one: it is history, and no result.
    """

    tasks: tuple[UnreportedAttempt, ...]
    state: TaskState
    reason: Reason
    final: bool = True


@dataclass(frozen=True, slots=True)
class Finish:
    """The job is closed and its last task has ended."""


Decision: TypeAlias = Launch | Decline | Revive | Suppress | Kill | WithdrawUnstarted | RecordEnding | Finish
