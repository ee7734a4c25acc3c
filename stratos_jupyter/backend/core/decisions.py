"""What the scheduler decides: its only output. An engine performs it; nothing else does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

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
    """

    offer_id: str
    node: str
    batch_id: int
    demand: Resources
    tasks: tuple[tuple[int, int], ...]
    expected_s: float | None


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
    """End attempts that have been launched; pairs of task and attempt."""

    tasks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Settle:
    """Attempts ended without any node's word: killed while they were queued, or lost once too often.

    Whoever performs it records it before anyone sees it.
    """

    tasks: tuple[tuple[int, int], ...]
    state: TaskState
    reason: Reason


@dataclass(frozen=True, slots=True)
class Finish:
    """The job is closed and its last task has ended."""


Decision: TypeAlias = Launch | Decline | Revive | Suppress | Kill | Settle | Finish
