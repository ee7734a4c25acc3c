"""The pending tasks: one queue for each priority and demand; tasks that prefer some node are kept apart in it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from .batching import TaskQueue
from .delay_scheduling import LocalityQueue
from .events import InputLocation, TasksAdded
from .locality import Locality
from .resources import Resources
from .retries import Retries
from .states import TaskState
from .task_table import TaskTable


class Queues:
    """All that waits, of all submissions.

    Parameters
    ----------
    table : TaskTable
        Which tasks wait.
    retries : Retries
        Which tasks back off before a retry, or ask for more than their submission did.
    locality : Locality
        Where inputs lie.

    Attributes
    ----------
    order : list of TaskQueue
        All queues, highest priority first.
    located : bool
        Whether anything is known, or being looked up, of where inputs lie.
    """

    def __init__(self, table: TaskTable, retries: Retries, locality: Locality) -> None:
        self.order: list[TaskQueue] = []
        self.located = False
        self._table = table
        self._retries = retries
        self._locality = locality
        self._locations = locality.locations
        self._firsts: list[int] = []  # each submission's first task, for the bisection in submission_of
        self._submissions: list[tuple[int, Resources]] = []  # each submission's priority and demand
        self._queues: dict[tuple[int, Resources], TaskQueue] = {}

    def add(self, event: TasksAdded) -> None:
        """Take in a submission."""
        first = len(self._table)
        after = first + event.count
        self._table.extend(event.count)
        self._firsts.append(first)
        self._submissions.append((event.priority, event.demand))
        queue = self._queue(event.priority, event.demand)
        known = min(after, max(first, len(self._locations)))  # of some it was known before they were
        if event.sought:
            self.located = True
            self._locations.seek(first, after)
            self._near_of(queue).expect(known, after)
        queue.extend(first, known if event.sought else after)
        for task in range(first, known):
            self._set_apart(task)

    def submission_of(self, task: int) -> int:
        """Return which submission a task came with, from 0."""
        return bisect_right(self._firsts, task) - 1

    def base(self, task: int) -> Resources:
        """Return what a task's submission asked for."""
        return self._submissions[self.submission_of(task)][1]

    def of(self, task: int) -> TaskQueue:
        """Return the queue that a task belongs to when it waits."""
        priority, base = self._submissions[self.submission_of(task)]
        return self._queue(priority, self._retries.demand(task, base))

    def push(self, task: int) -> None:
        """Queue one task again."""
        queue = self.of(task)
        if self.located and self._locations.chooses(task):
            self._near_of(queue).add(task, again=True)
        else:
            queue.push(task)

    def rebase(self, priority: int, demand: Resources) -> list[int]:
        """Let all submissions ask for something else; return what waits: no queue holds it until it is pushed again."""
        waiting = [task for task in range(len(self._table)) if self._waits_now(task)]
        for task in waiting:
            self.leave(task)
        self._submissions = [(priority, demand)] * len(self._submissions)
        self._queues, self.order = {}, []
        return waiting

    def leave(self, task: int) -> None:
        """Note that a task is about to wait no longer, in whatever way, but for a launch."""
        if self.located and self._waits_now(task):
            near = self.of(task).near
            if near is not None and self._locations.chooses(task):
                near.leave(task)

    def locate(self, location: InputLocation) -> bool:
        """Take in where a task's inputs lie; return False when that is nothing, or nothing new."""
        task, sought = location.task, self._locations.seeks(location.task)
        learned = self._locations.learn(location)
        self.located = self.located or learned
        if sought:
            self._found(task)
        elif learned and task < len(self._table):  # else it is about to be added
            self._set_apart(task)
        return learned

    def _found(self, task: int) -> None:
        """Move a task whose inputs were being looked up to where it belongs now."""
        if not self._locations.knows(task):
            self._locations.give_up(task)
        if self._waits_now(task):
            queue = self.of(task)
            if self._locations.chooses(task):
                self._near_of(queue).locate(task)
            else:
                queue.push(task)

    def _set_apart(self, task: int) -> None:
        """Keep a queued task apart from now on, if it prefers some node."""
        if self._waits_now(task) and self._locations.chooses(task):
            self._near_of(self.of(task)).add(task, again=False)

    def _waits_now(self, task: int) -> bool:
        return self._table.waits(task) and task not in self._retries

    def _queue(self, priority: int, demand: Resources) -> TaskQueue:
        key = (-priority, demand)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = TaskQueue(demand, self._waits_for(demand))
            self.order = [self._queues[key] for key in sorted(self._queues, key=lambda key: key[0])]
        return queue

    def _waits_for(self, demand: Resources) -> Callable[[int], bool]:
        """Return what says whether a task waits for this much, and now."""
        waits, away = self._table.waits, self._retries.out_of(demand, self.base)
        return lambda task: waits(task) and not away(task)

    def _near_of(self, queue: TaskQueue) -> LocalityQueue:
        if queue.near is None:
            waits, chooses = self._waits_for(queue.demand), self._locations.chooses
            near = self._locality.new_queue(lambda task: chooses(task) and waits(task))
            queue.set_apart(near, lambda task: not chooses(task) and waits(task))
        assert queue.near is not None
        return queue.near

    # -- all of them ------------------------------------------------------------------------------------

    @property
    def locality_queues(self) -> list[LocalityQueue]:
        """Of each queue the tasks that prefer some node."""
        return [queue.near for queue in self.order if queue.near is not None]

    @property
    def any_pending(self) -> bool:
        """Whether any task could go next."""
        for queue in self.order:
            if queue.peek() is not None or (queue.near is not None and queue.near.first() is not None):
                return True
        return False

    def least_demand(self) -> Resources:
        """Return the smallest demand of the pending tasks; there has to be one."""
        if len(self.order) == 1:
            return self.order[0].demand
        waiting = [queue.demand for queue in self.order if not queue.empty]
        return min(waiting, key=lambda demand: (demand.cpus, demand.mem_mib, demand.disk_mib))

    def before(self, task: int) -> int:
        """Return how many pending tasks go before a task, leaving aside which nodes they prefer."""
        states = self._table.states()
        own = self._submissions[self.submission_of(task)][0]
        count = 0
        ends = [*self._firsts[1:], len(states)]
        for first, after, (priority, _) in zip(self._firsts, ends, self._submissions, strict=True):
            if priority >= own:
                count += states.count(
                    TaskState.QUEUED, first, after if priority > own else max(first, min(after, task))
                )
        return count

    def check(self) -> None:
        """Assert that each pending task is in its queue, and apart just when it prefers some node."""
        waiting = {task for task in range(len(self._table)) if self._table.waits(task)}
        queued = {task for queue in self.order for task in queue}
        assert waiting == queued | self._retries.backing_off, "rule 6: in a queue, or backing off"
        assert not queued & self._retries.backing_off
        for queue in self.order:
            assert all(self.of(task) is queue for task in queue)
            if queue.near is not None:
                queue.near.check()
        apart = {task for near in self.locality_queues for task in near}
        assert apart == {task for task in queued if self._locations.chooses(task)}
