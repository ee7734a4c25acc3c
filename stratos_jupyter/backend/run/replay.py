"""A scheduler from its journal: what it was told is told again, in the same order.

Decisions are dropped, for they were performed or their cause is there again. What the journal cannot know (whether a
launch still runs) is up to the engine that attaches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import JournalError, RefusedMove
from ..core.events import (
    Attached,
    BatchLost,
    Closed,
    DemandChanged,
    Ending,
    Event,
    KillAsked,
    LaunchKnown,
    PauseAsked,
    RelaunchAsked,
    ResumeAsked,
    RulesChanged,
    Superseded,
    TasksAdded,
    TasksEnded,
    TasksReturned,
)
from ..core.resources import Resources
from ..core.rules import Rules
from ..core.scheduler import Scheduler
from ..core.states import Reason
from ..store.journal import Journal
from ..store.rows import RecordedEvent, ToldRow


@dataclass(slots=True)
class Replayed:
    """What a journal tells beside the scheduler's state.

    Attributes
    ----------
    submission_times : list of float
        When each submission was made.
    origins : list of int or None
        By submission: the task whose monitor asked for it.
    spawned : dict of (int, int) to list of str
        Commands that an attempt's monitor asked for, which have not become a submission and were not killed.
    became : list of (int, range)
        The tasks that such commands have become, each with the task whose monitor it was.
    adopted : set of (int, int)
        Attempts whose monitors asked for commands.
    left_behind : int
        How many processes that tasks had left behind were ended.
    left_first : int or None
        The first task that left any.
    ended_at : float or None
        When the last task ended; None while there are tasks to run.
    """

    submission_times: list[float] = field(default_factory=list)
    origins: list[int | None] = field(default_factory=list)
    spawned: dict[tuple[int, int], list[str]] = field(default_factory=dict)
    became: list[tuple[int, range]] = field(default_factory=list)
    adopted: set[tuple[int, int]] = field(default_factory=set)
    left_behind: int = 0
    left_first: int | None = None
    ended_at: float | None = None


def _nowhere(submission: int) -> bool:
    """Say of no submission that it is to be found out where its inputs are."""
    return False


def replay(
    journal: Journal,
    scheduler: Scheduler,
    demand: Resources,
    priority: int,
    sought: Callable[[int], bool] = _nowhere,
) -> Replayed:
    """Tell a fresh scheduler all that is recorded.

    Parameters
    ----------
    journal : Journal
        Of the run.
    scheduler : Scheduler
        A new one, under the rules that the run began with.
    demand, priority
        Of every task of the run, as it began.
    sought : callable
        Says of a submission, from 0, whether it will be found out where its inputs are: that is not recorded.

    Raises
    ------
    JournalError
        What is recorded cannot have happened.
    """
    replayed = Replayed()
    origins = {first: record.get("origin") for first, _, _, record in journal.submissions()}
    for entry in journal.told():
        if entry.what == "call":
            first, count = entry.detail
            origin = origins[first]
            replayed.submission_times.append(entry.at_s)
            replayed.origins.append(None if origin is None else origin[0])
            if origin is not None:
                replayed.spawned.pop((origin[0], origin[1]), None)
                replayed.became.append((origin[0], range(first, first + count)))
            submission = len(replayed.origins) - 1
            event: Event = TasksAdded(entry.at_s, count, demand, priority, sought(submission))
        elif entry.what == "spawn":
            task, attempt, commands = entry.detail
            replayed.adopted.add((task, attempt))
            replayed.spawned[task, attempt] = commands
            continue
        elif entry.what == "left":
            task, _, count = entry.detail
            replayed.left_behind += count
            replayed.left_first = task if replayed.left_first is None else replayed.left_first
            continue
        else:
            event = _event(entry)
            if isinstance(event, DemandChanged):
                demand, priority = event.demand, event.priority
            if isinstance(event, KillAsked):
                for attempt in list(replayed.spawned):
                    if event.tasks is None or attempt[0] in event.tasks:
                        del replayed.spawned[attempt]
        try:
            scheduler.handle(event)
        except (RefusedMove, IndexError) as error:
            raise JournalError(f"{journal.folder}: entry {entry.seq} ({entry.what}) cannot be: {error}") from error
    if len(scheduler.table) and not scheduler.table.unended:
        (replayed.ended_at,) = journal.select("SELECT max(finished_at) FROM results")[0]
    return replayed


def _event(entry: RecordedEvent) -> Event:
    at_s, detail = entry.at_s, entry.detail
    match entry.what:
        case "result":
            row: ToldRow = detail
            code = row.exit_code
            if row.reason == Reason.SIGNAL and code is not None:
                code = -code
            wall_s = row.finished_at - (row.started_at or row.finished_at)
            return TasksEnded(at_s, (Ending(row.task, row.attempt, Reason(row.reason), code, wall_s),))
        case "launch":
            batch_id, node, behind, tasks = detail
            return LaunchKnown(at_s, batch_id, node, _pairs(tasks), behind)
        case "returned":
            return TasksReturned(at_s, _pairs(detail))
        case "lost":
            return BatchLost(at_s, detail)
        case "kill":
            return KillAsked(at_s, None if detail is None else tuple(detail))
        case "relaunch":
            if detail and isinstance(detail[0], list):  # with memory of their own
                return RelaunchAsked(at_s, tuple(detail[0]), detail[1])
            return RelaunchAsked(at_s, tuple(detail))
        case "superseded":
            tasks, restored = detail
            return Superseded(at_s, tuple(tasks), tuple(restored))
        case "pause":
            return PauseAsked(at_s, detail)
        case "resume":
            return ResumeAsked(at_s)
        case "rules":
            return RulesChanged(at_s, Rules.from_record(detail))
        case "demand":
            amounts, priority = detail
            return DemandChanged(at_s, Resources(*amounts), priority)
        case "attached":
            return Attached(at_s, frozenset(_pairs(detail)))
        case "closed":
            return Closed(at_s)
    raise JournalError(f"an entry of the kind {entry.what!r} is of another version")


def _pairs(tasks: Sequence[Sequence[Any]]) -> tuple[tuple[int, int], ...]:
    return tuple((task, attempt) for task, attempt in tasks)
