"""The scheduler of one job: events in, decisions out.

It reads no clock, does no I/O and knows no engine.

- A task is named by its index. An attempt is named by ``(task, attempt)``; attempts count from 1.
- Statuses may come twice, late, or for an attempt that was given up for lost. The first result of a task
  wins; whatever comes after it changes nothing.
- The cluster's failures never count as the command's. They have a bound of their own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, assert_never

from .decisions import Decision, Decline, Finish, Kill, Launch, Revive, Settle, Suppress
from .events import (
    BatchLost,
    Closed,
    Event,
    KillAsked,
    NodeBack,
    NodeUnreachable,
    Offer,
    OffersArrived,
    OffersRescinded,
    RelaunchAsked,
    TasksAdded,
    TasksEnded,
    TasksReturned,
    TasksStarted,
)
from .placement import Average, BatchPolicy, TaskQueue
from .resources import Resources
from .states import IN_FLIGHT, Cue, Reason, TaskState, ending
from .table import TaskTable

#: how often the cluster may lose a task before it is given up
LOST_BOUND: Final = 10
#: nobody wants this offer: don't hear of it for an hour
USELESS_S: Final = 3600.0


class _Batch:
    """A launch in flight: where it is and which of its tasks have not been reported."""

    __slots__ = ("node", "tasks")

    def __init__(self, node: str, tasks: Iterable[int]) -> None:
        self.node = node
        self.tasks = set(tasks)


class Scheduler:
    """All tasks of one run of one job.

    Parameters
    ----------
    policy : BatchPolicy, optional
        How the engine wants commands bundled.
    """

    def __init__(self, policy: BatchPolicy | None = None) -> None:
        self._policy = policy or BatchPolicy()
        self.table = TaskTable()
        self._firsts: list[int] = []  # each call's first task, for the bisection in _queue_of
        self._call_queue: list[TaskQueue] = []
        self._queues: dict[tuple[int, Resources], TaskQueue] = {}
        self._order: list[TaskQueue] = []  # highest priority first
        self._batches: dict[int, _Batch] = {}
        self._batch_of: dict[int, int] = {}
        self._given_up: dict[int, set[int]] = {}  # by task: attempts lost by the cluster that may yet report
        self._again: set[int] = set()  # in flight, to be relaunched once ended
        self._doomed: set[int] = set()  # in flight, asked to end: they never go back to a queue
        self._next_batch = 1
        self._average = Average()
        self._suppressed = True
        self._asked: Resources | None = None  # the least demand when offers were last asked for
        self._closed = False
        self._finished = False
        self.attempts_lost = 0

    @property
    def nodes(self) -> int:
        """How many nodes have tasks of this job now."""
        return len({batch.node for batch in self._batches.values()})

    def call_of(self, task: int) -> int:
        """Return which call a task came with, from 0."""
        return bisect_right(self._firsts, task) - 1

    def runs_again(self, task: int) -> bool:
        """Say whether a task is in flight and to be relaunched once that has ended."""
        return task in self._again

    def handle(self, event: Event) -> tuple[Decision, ...]:
        """Take in one event and return what is to be done, in order.

        Parameters
        ----------
        event : Event
            What happened. Events are to come in the order of their ``at_s``.

        Raises
        ------
        RefusedMove
            The event tells of something that cannot be.
        """
        decisions: list[Decision] = []
        match event:
            case TasksAdded():
                self._added(event)
            case OffersArrived():
                decisions = self._offers(event)
            case OffersRescinded():
                pass  # no offer is ever held unanswered
            case TasksStarted():
                self._started(event)
            case TasksEnded():
                decisions = self._ended(event)
            case TasksReturned():
                decisions = self._returned(event)
            case BatchLost():
                decisions = self._batch_lost(event.batch_id)
            case NodeUnreachable():
                self._node(event.node, IN_FLIGHT - {TaskState.UNREACHABLE}, Cue.AGENT_UNREACHABLE)
            case NodeBack():
                self._node(event.node, {TaskState.UNREACHABLE}, Cue.AGENT_BACK)
            case KillAsked():
                decisions = self._kill(event)
            case RelaunchAsked():
                decisions = self._relaunch(event)
            case Closed():
                self._closed = True
            case _:
                assert_never(event)
        self._settle_demand(decisions, event)
        return tuple(decisions)

    # -- offers -----------------------------------------------------------------------------------------

    def _added(self, event: TasksAdded) -> None:
        first = len(self.table)
        self.table.extend(event.count)
        key = (-event.priority, event.demand)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = TaskQueue(event.demand, self.table.waits)
            self._order = [self._queues[key] for key in sorted(self._queues, key=lambda key: key[0])]
        queue.extend(first, first + event.count)
        self._firsts.append(first)
        self._call_queue.append(queue)

    def _offers(self, event: OffersArrived) -> list[Decision]:
        decisions: list[Decision] = []
        for offer in event.offers:
            refuse_s = USELESS_S if offer.behind is None else 0.0
            decisions.extend(self._fill(offer) or [Decline((offer.offer_id,), refuse_s)])
        return decisions

    def _fill(self, offer: Offer) -> list[Launch]:
        """Launch what an offer has room for, highest priority first."""
        mean_s = self._average.mean_s
        if offer.behind is not None and (mean_s is None or mean_s * 2 > self._policy.target_s):
            return []  # lining up behind a long command would tie its successor to one slot
        room = offer.resources
        launches: list[Launch] = []
        for queue in self._order:
            while queue.demand.fits(room) and queue.peek() is not None:
                size = self._policy.size(mean_s, self.table.counts[TaskState.QUEUED], len(self._batches) + 1)
                launches.append(self._launch(offer, queue, size, mean_s))
                room = room - queue.demand
                if offer.behind is not None:
                    return launches
        return launches

    def _launch(self, offer: Offer, queue: TaskQueue, size: int, mean_s: float | None) -> Launch:
        batch_id = self._next_batch
        self._next_batch += 1
        tasks: list[tuple[int, int]] = []
        while len(tasks) < size and (task := queue.pop()) is not None:
            self.table.move(task, Cue.LAUNCHED)
            self._batch_of[task] = batch_id
            tasks.append((task, self.table.attempt(task)))
        self._batches[batch_id] = _Batch(offer.node, (task for task, _ in tasks))
        expected_s = None if mean_s is None else mean_s * len(tasks)
        return Launch(offer.offer_id, offer.node, batch_id, queue.demand, tuple(tasks), expected_s)

    # -- statuses ---------------------------------------------------------------------------------------

    def _started(self, event: TasksStarted) -> None:
        for task, attempt in event.tasks:
            state = self.table.state(task)
            if attempt == self.table.attempt(task) and state in (TaskState.STAGING, TaskState.UNREACHABLE):
                self.table.move(task, Cue.STARTED)

    def _ended(self, event: TasksEnded) -> list[Decision]:
        table = self.table
        decisions: list[Decision] = []
        for end in event.endings:
            task, attempt = end.task, end.attempt
            if table.ended(task):
                continue  # the first result won
            if attempt != table.attempt(task):
                if attempt not in self._given_up.get(task, ()):
                    continue
                if task in self._batch_of:  # its successor runs in vain
                    decisions.append(Kill(((task, table.attempt(task)),)))
            elif table.waits(task):
                raise table.refused(task, "ended but was never launched")
            if end.reason is Reason.LOST:
                decisions += self._cluster_failed(task)
                continue
            if end.reason is Reason.EXIT or end.reason is Reason.SIGNAL:
                self._average.add(end.wall_s)
            self._close(task, ending(end.reason, end.code), end.reason)
        return decisions

    def _returned(self, event: TasksReturned) -> list[Decision]:
        decisions: list[Decision] = []
        for task, attempt in event.tasks:
            if attempt != self.table.attempt(task) or task not in self._batch_of:
                continue
            if task in self._doomed:
                decisions.append(self._settle_killed(task))
                continue
            self._leave_batch(task)
            self._queue_again(task, Cue.RETURNED)
        return decisions

    def _batch_lost(self, batch_id: int) -> list[Decision]:
        batch = self._batches.get(batch_id)
        decisions: list[Decision] = []
        for task in sorted(batch.tasks) if batch else ():
            decisions += self._cluster_failed(task)
        return decisions

    def _node(self, node: str, among: Iterable[TaskState], cue: Cue) -> None:
        wanted = frozenset(among)
        for batch in self._batches.values():
            if batch.node == node:
                for task in batch.tasks:
                    if self.table.state(task) in wanted:
                        self.table.move(task, cue)

    # -- what the user asks -----------------------------------------------------------------------------

    def _kill(self, event: KillAsked) -> list[Decision]:
        tasks: Iterable[int] = range(len(self.table)) if event.tasks is None else event.tasks
        queued: list[tuple[int, int]] = []
        flying: list[tuple[int, int]] = []
        for task in tasks:
            self._again.discard(task)
            if self.table.waits(task):
                queued.append((task, self.table.attempt(task)))
                self._close(task, TaskState.KILLED, Reason.USER)
            elif not self.table.ended(task):
                flying.append((task, self.table.attempt(task)))
                self._doomed.add(task)
        decisions: list[Decision] = []
        if queued:
            decisions.append(Settle(tuple(queued), TaskState.KILLED, Reason.USER))
        if flying:
            decisions.append(Kill(tuple(flying)))
        return decisions

    def _relaunch(self, event: RelaunchAsked) -> list[Decision]:
        flying: list[tuple[int, int]] = []
        for task in event.tasks:
            if self.table.ended(task):
                self._begin_again(task)
            elif not self.table.waits(task):
                flying.append((task, self.table.attempt(task)))
                self._again.add(task)
                self._doomed.discard(task)
        return [Kill(tuple(flying))] if flying else []

    # -- moves ------------------------------------------------------------------------------------------

    def _close(self, task: int, state: TaskState, reason: Reason) -> None:
        self.table.end(task, state, reason)
        self._doomed.discard(task)
        self._given_up.pop(task, None)  # a result is a result: what else its attempts report is history
        self._leave_batch(task)
        if task in self._again:
            self._again.discard(task)
            self._begin_again(task)

    def _settle_killed(self, task: int) -> Settle:
        """End a task that was asked to end and that no node will report."""
        attempt = self.table.attempt(task)
        self._close(task, TaskState.KILLED, Reason.USER)
        return Settle(((task, attempt),), TaskState.KILLED, Reason.USER)

    def _begin_again(self, task: int) -> None:
        self.table.begin_again(task)
        self._finished = False
        self._queue_of(task).push(task)

    def _cluster_failed(self, task: int) -> list[Decision]:
        if task in self._doomed:
            return [self._settle_killed(task)]
        attempt = self.table.attempt(task)
        self.attempts_lost += 1
        self._given_up.setdefault(task, set()).add(attempt)
        if self.table.lose(task) >= LOST_BOUND:
            self._close(task, TaskState.LOST, Reason.LOST)
            return [Settle(((task, attempt),), TaskState.LOST, Reason.LOST)]
        self._leave_batch(task)
        self._queue_again(task, Cue.REQUEUED)
        self.table.next_attempt(task)
        return []

    def _leave_batch(self, task: int) -> None:
        batch_id = self._batch_of.pop(task, None)
        if batch_id is not None:
            batch = self._batches[batch_id]
            batch.tasks.discard(task)
            if not batch.tasks:
                del self._batches[batch_id]

    def _queue_again(self, task: int, cue: Cue) -> None:
        self.table.move(task, cue)
        self._again.discard(task)  # it runs once more as it is
        self._queue_of(task).push(task)

    def _queue_of(self, task: int) -> TaskQueue:
        return self._call_queue[self.call_of(task)]

    # -- demand -----------------------------------------------------------------------------------------

    def _least_demand(self) -> Resources:
        waiting = [queue.demand for queue in self._queues.values() if queue.peek() is not None]
        return min(waiting, key=lambda demand: (demand.cpus, demand.mem_mib, demand.disk_mib))

    def _settle_demand(self, decisions: list[Decision], event: Event) -> None:
        """Append what follows from the state that an event left: offers wanted or not, the job's end."""
        if not self.table.counts[TaskState.QUEUED]:
            if not self._suppressed:
                self._suppressed = True
                decisions.append(Suppress())
        elif self._suppressed or isinstance(event, TasksAdded):
            least = self._least_demand()
            if self._suppressed or self._asked is None or not self._asked.fits(least):
                decisions.append(Revive(least))
                self._asked = least
            self._suppressed = False
        if self._closed and not self._finished and not self.table.unended:
            self._finished = True
            decisions.append(Finish())

    def check(self) -> None:
        """Assert that the books agree with each other."""
        self.table.check()
        flying = {task for task in range(len(self.table)) if self.table.state(task) in IN_FLIGHT}
        assert flying == set(self._batch_of), "a task in flight has a batch, and no other has"
        assert {task for batch in self._batches.values() for task in batch.tasks} == flying
        assert all(batch.tasks for batch in self._batches.values())
        assert all(task in self._batches[batch].tasks for task, batch in self._batch_of.items())
        assert self._again | self._doomed <= flying
        assert not self._again & self._doomed
        if self.table.counts[TaskState.QUEUED]:
            assert not self._suppressed and any(queue.peek() is not None for queue in self._order)
        assert not self._finished or not self.table.unended
