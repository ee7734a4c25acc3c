"""What can happen to a job: the scheduler's only input.

Every event carries the moment at which it happened, ``at_s``: nothing in the core reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from .resources import Resources
from .rules import Rules
from .states import Reason


@dataclass(frozen=True, slots=True)
class Offer:
    """What a node has to give now.

    Attributes
    ----------
    offer_id : str
        Names the offer in the decision that answers it.
    node : str
        The machine that makes it.
    resources : Resources
        What may be taken of it.
    behind : int or None
        None for resources that are free. Else the batch behind which the engine can line up one more, in the
        same resources, so that a slot of short commands never runs dry.
    names : tuple of str
        What else the node is called: its address, its host name, short and long. `node` is how it is shown.
    """

    offer_id: str
    node: str
    resources: Resources
    behind: int | None = None
    names: tuple[str, ...] = ()


class InputLocation(NamedTuple):
    """Where one task's inputs lie. A tuple, because there may be one for each task.

    Attributes
    ----------
    task : int
        The task that reads them.
    size : int
        Bytes of all of its inputs that were found.
    hosts : tuple of (str, int)
        A host name or address as the storage says it, or ``name/address`` where it says both, and how many of these
        bytes the host has; the largest first. Empty when nothing was found.
    """

    task: int
    size: int
    hosts: tuple[tuple[str, int], ...]


class Ending(NamedTuple):
    """An attempt ended on a node. A tuple, because there is one for each command."""

    task: int
    attempt: int
    reason: Reason
    code: int | None
    wall_s: float


@dataclass(frozen=True, slots=True)
class TasksAdded:
    """`count` new tasks, indices following those there are; all of them ask for `demand`.

    With `sought`, their inputs are being looked up, and an `InputsLocated` will follow for each of them.
    """

    at_s: float
    count: int
    demand: Resources
    priority: int = 0
    sought: bool = False


@dataclass(frozen=True, slots=True)
class InputsLocated:
    """The inputs of tasks were looked up; the tasks may wait, run or have ended. This event is never recorded."""

    at_s: float
    locations: tuple[InputLocation, ...]


@dataclass(frozen=True, slots=True)
class OffersArrived:
    """A node offers resources."""

    at_s: float
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class OffersRescinded:
    """Offers that had not been answered are no longer good."""

    at_s: float
    offer_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OfferUnfit:
    """An offer was refused before the scheduler could see it; `why` says what the node lacks, as ``rack=b``."""

    at_s: float
    node: str
    why: str


@dataclass(frozen=True, slots=True)
class TasksStarted:
    """Commands have begun; pairs of task and attempt."""

    at_s: float
    tasks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class TasksEnded:
    """Attempts ended, and that is journaled."""

    at_s: float
    endings: tuple[Ending, ...]


@dataclass(frozen=True, slots=True)
class TasksReturned:
    """A batch handed unstarted commands back; pairs of task and attempt."""

    at_s: float
    tasks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class BatchLost:
    """A batch is gone with its node, executor or agent; what of it had not been reported runs again elsewhere."""

    at_s: float
    batch_id: int


@dataclass(frozen=True, slots=True)
class NodeUnreachable:
    """A node does not answer; its tasks may still run."""

    at_s: float
    node: str


@dataclass(frozen=True, slots=True)
class NodeBack:
    """A node that did not answer does again, with its tasks."""

    at_s: float
    node: str


@dataclass(frozen=True, slots=True)
class KillAsked:
    """The user wants tasks ended; None means all that have not ended."""

    at_s: float
    tasks: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class RelaunchAsked:
    """The user wants tasks run once more; those that have not ended are ended first.

    With `mem_mib` they ask for that much memory from then on.
    """

    at_s: float
    tasks: tuple[int, ...]
    mem_mib: float | None = None


@dataclass(frozen=True, slots=True)
class Superseded:
    """Tasks are left out of the job: others took their place, or they are not wanted. Those that run are ended.

    `restored` were superseded before and belong to the job again, as they are.
    """

    at_s: float
    tasks: tuple[int, ...]
    restored: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PauseAsked:
    """Nothing more is to be launched for now, because the user wants that or `why` says so; running tasks continue."""

    at_s: float
    why: str = "paused"


@dataclass(frozen=True, slots=True)
class ResumeAsked:
    """The user wants launching to go on, after a pause or a halt."""

    at_s: float


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """The user has changed the rules of the job while it runs."""

    at_s: float
    rules: Rules


@dataclass(frozen=True, slots=True)
class DemandChanged:
    """The user wants all tasks to ask for something else from their next launch on; running tasks stay as they are."""

    at_s: float
    demand: Resources
    priority: int = 0


@dataclass(frozen=True, slots=True)
class LaunchKnown:
    """A launch is known from a journal, or from the engine; nothing has to be done for it.

    The fields are those of `decisions.Launch`.
    """

    at_s: float
    batch_id: int
    node: str
    tasks: tuple[tuple[int, int], ...]
    behind: int | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """A new process drives the job. Of all that was launched, the engine still has these attempts."""

    at_s: float
    attempts: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment has come that the scheduler asked for by `Scheduler.wakes_at`."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Closed:
    """No more tasks will be added."""

    at_s: float


Event: TypeAlias = (
    TasksAdded
    | InputsLocated
    | OffersArrived
    | OffersRescinded
    | OfferUnfit
    | TasksStarted
    | TasksEnded
    | TasksReturned
    | BatchLost
    | NodeUnreachable
    | NodeBack
    | KillAsked
    | RelaunchAsked
    | Superseded
    | PauseAsked
    | ResumeAsked
    | RulesChanged
    | DemandChanged
    | LaunchKnown
    | Attached
    | Tick
    | Closed
)
