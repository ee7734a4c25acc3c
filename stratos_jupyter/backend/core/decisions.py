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
        The offer that is taken, and the node that made it.
    batch_id : int
        Names the batch from now on.
    demand : Resources
        What is taken of the offer, for as long as the batch lasts.
    tasks : tuple of (int, int)
        Task and attempt, in the order in which they run, one after another.
    expected_s : float or None
        How long the whole of it is expected to take; None while no duration is known.
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
    """Give offers back; the same resources are not to be offered again for `refuse_s` seconds."""

    offer_ids: tuple[str, ...]
    refuse_s: float


@dataclass(frozen=True, slots=True)
class Revive:
    """Ask for offers, also of what was declined. `least` is the smallest demand of a waiting task."""

    least: Resources


@dataclass(frozen=True, slots=True)
class Suppress:
    """Make no offers: no task could be launched."""


@dataclass(frozen=True, slots=True)
class Kill:
    """End attempts that have been launched; pairs of task and attempt. `reason` is what they will end for."""

    tasks: tuple[tuple[int, int], ...]
    reason: Reason = Reason.USER


@dataclass(frozen=True, slots=True)
class WithdrawUnstarted:
    """Hand back what has not been started of these batches; running tasks continue."""

    batches: tuple[int, ...]


class UnreportedAttempt(NamedTuple):
    """An attempt whose end no node will report: its node and its start, if it had any."""

    task: int
    attempt: int
    node: str = ""
    started_at: float | None = None


@dataclass(frozen=True, slots=True)
class RecordEnding:
    """Record the ends of attempts that no node reports: killed while they were queued, or lost by the cluster.

    They are recorded before they are shown. `final` is False for a lost attempt that is followed by another one: it is
    history, and no result.
    """

    tasks: tuple[UnreportedAttempt, ...]
    state: TaskState
    reason: Reason
    final: bool = True


@dataclass(frozen=True, slots=True)
class Finish:
    """The job is closed and its last task has ended."""


Decision: TypeAlias = Launch | Decline | Revive | Suppress | Kill | WithdrawUnstarted | RecordEnding | Finish
