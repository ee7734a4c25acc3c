"""What waits for a turn of the loop, and what of it can be recorded together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from ..core.events import (
    Attached,
    BatchLost,
    Closed,
    DemandChanged,
    Event,
    InputsLocated,
    KillAsked,
    LaunchKnown,
    OffersArrived,
    OfferUnfit,
    PauseAsked,
    RelaunchAsked,
    ResumeAsked,
    RulesChanged,
    Superseded,
    TasksAdded,
    TasksReturned,
    TasksStarted,
)
from ..engines.base import Result
from ..store.rows import JournalEntry


class Arrived(NamedTuple):
    """Results that wait for the journal."""

    results: Sequence[Result]
    acknowledge: Callable[[], None]


class Added(NamedTuple):
    """A submission that waits for the journal."""

    event: TasksAdded
    first: int
    record: Callable[[], dict[str, Any]]
    origin: tuple[int, int] | None  # the attempt whose monitor asked for it


Item: TypeAlias = Event | Arrived | Added
#: what cannot change whether a result that comes after it is its task's result; another result of the task can
HARMLESS: Final = (Arrived, Added, OffersArrived, OfferUnfit, InputsLocated, TasksStarted)


def take_together(inbox: list[Item]) -> tuple[list[Item], list[Item]]:
    """Part what can be recorded in one go from the rest: no result after something that could make history of it."""
    harmless = True
    told: set[int] = set()
    for place, item in enumerate(inbox):
        if isinstance(item, Arrived):
            tasks = {result.task for result in item.results}
            if not harmless or tasks & told:
                return inbox[:place], inbox[place:]
            told |= tasks
        harmless = harmless and isinstance(item, HARMLESS)
    return inbox, []


def set_aside(taken: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Part what can be handled without the journal from what must wait for it.

    Results and submissions wait, and so do offers: nothing is launched meanwhile. A kill does not wait, for what it
    ends may be what fills the disk; but one that follows a submission, or a relaunch, waits with it.
    """
    now: list[Item] = []
    kept: list[Item] = []
    for item in taken:
        waits = isinstance(item, Arrived | Added | OffersArrived | RelaunchAsked | Superseded)
        after = any(isinstance(one, Added | RelaunchAsked | Superseded) for one in kept)
        waits = waits or (isinstance(item, KillAsked) and after)
        (kept if waits else now).append(item)
    return now, kept


def entries_of(item: Item) -> list[JournalEntry]:
    """Return what the journal keeps of an event beside results and submissions: all that a replay needs."""
    match item:
        case KillAsked():
            return [JournalEntry(item.at_s, "kill", item.tasks)]
        case RelaunchAsked():
            mem = [] if item.mem_mib is None else [item.mem_mib]
            return [JournalEntry(item.at_s, "relaunch", [item.tasks, *mem] if mem else item.tasks)]
        case Superseded():
            return [JournalEntry(item.at_s, "superseded", [item.tasks, item.restored])]
        case PauseAsked():
            return [JournalEntry(item.at_s, "pause", item.why)]
        case ResumeAsked():
            return [JournalEntry(item.at_s, "resume", None)]
        case RulesChanged():
            return [JournalEntry(item.at_s, "rules", item.rules.to_record())]
        case DemandChanged(demand=demand):
            amounts = [demand.cpus, demand.mem_mib, demand.disk_mib, demand.gpus]
            return [JournalEntry(item.at_s, "demand", [amounts, item.priority])]
        case TasksReturned():
            return [JournalEntry(item.at_s, "returned", item.tasks)]
        case BatchLost():
            return [JournalEntry(item.at_s, "lost", item.batch_id)]
        case Closed():
            return [JournalEntry(item.at_s, "closed", None)]
        case LaunchKnown():
            return [JournalEntry(item.at_s, "launch", [item.batch_id, item.node, item.behind, item.tasks])]
        case Attached():
            return [JournalEntry(item.at_s, "attached", sorted(item.attempts))]
    return []
