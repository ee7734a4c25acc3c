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
    OffersRescinded,
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
#: takes results, and some time later, on the driver thread, hands them to the function as they count, after those that
#: it took before; False when they count as they are, and the function will not be called
Judge: TypeAlias = Callable[[Sequence[Result], Callable[[Sequence[Result]], None]], bool]
#: events by which attempts may be given up whose results have come and wait to be judged
TELLS_OF_LOSS: Final = (Attached, BatchLost, TasksReturned)
#: events of offers: what is launched before the loop has heard of `Attached` would count as lost by it
OFFERS: Final = (OffersArrived, OffersRescinded, OfferUnfit)
#: what cannot change whether a result that comes after it is its task's result; another result of the task can
HARMLESS: Final = (Arrived, Added, OffersArrived, OfferUnfit, InputsLocated, TasksStarted)


class Inbox:
    """What waits for a turn of the loop, in the order in which it is to be handled.

    Results may have to be judged before they count. What tells of losses waits behind those that came before it.

    Parameters
    ----------
    judge : callable
        Says of results whether they are failures although their commands ended well.
    wake : callable
        Called when there is something to take.
    """

    def __init__(self, judge: Judge, wake: Callable[[], None]) -> None:
        self._judge = judge
        self._wake = wake
        self._items: list[Item] = []
        self._attaching = False  # `Attached` waits until results that came before it are judged

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Take in an item as it is."""
        self._items.append(item)
        self._wake()

    def put_first(self, items: Sequence[Item]) -> None:
        """Take in items that are to be handled before all others; what gives them back knows when to go on."""
        self._items[:0] = items

    def post(self, event: Event) -> None:
        """Take in an event, after the results that came before it where it may tell of their loss."""
        waits = isinstance(event, TELLS_OF_LOSS) or (self._attaching and isinstance(event, OFFERS))
        if waits and self._judge((), lambda _: self._post_late(event)):
            self._attaching = self._attaching or isinstance(event, Attached)
        else:
            self.put(event)

    def _post_late(self, event: Event) -> None:
        if isinstance(event, Attached):
            self._attaching = False
        self.put(event)

    def post_results(self, results: Sequence[Result], acknowledge: Callable[[], None]) -> None:
        """Take in results, once they are judged."""
        if not self._judge(results, lambda judged: self._arrived(judged, acknowledge)):
            self._arrived(results, acknowledge)

    def _arrived(self, results: Sequence[Result], acknowledge: Callable[[], None]) -> None:
        if len({result.task for result in results}) < len(results):  # one after another: each may change the next
            self._items += [Arrived([result], _nothing) for result in results]
            results = ()
        self.put(Arrived(results, acknowledge))

    def after_results(self, function: Callable[[], None]) -> None:
        """Call a function once all results that have come are judged and taken in; at once where they are."""
        if not self._judge((), lambda _: function()):
            function()

    def take(self) -> list[Item]:
        """Take what can be recorded in one go."""
        taken, self._items = take_together(self._items)
        return taken


def as_they_are(results: Sequence[Result], take: Callable[[Sequence[Result]], None]) -> bool:
    """Judge nothing."""
    return False


def _nothing() -> None:
    """Acknowledge nothing: what follows does."""


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
