"""The life of a task after its launch: every move out of a queue's hands and back, with all books that follow it.

Three sets hold what is to become of tasks in flight; a task leaves them when its attempt ends:
`_kill_requested` (it is asked to end, and does not go back to a queue), `_relaunch_requested` (it is asked to end, and
begins again), `_overdue` (it is asked to end because it runs too long). `scheduler` has the rules by number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from .batching import Median
from .decisions import Decision, Kill, RecordEnding, UnreportedAttempt
from .events import Attached, Ending, KillAsked, RelaunchAsked, TasksEnded, TasksReturned, TasksStarted
from .scheduler_state import SchedulerState
from .states import Reason, TaskState, Trigger

#: the reasons of attempts that ended by themselves: their durations count
_BY_ITSELF: Final = frozenset({Reason.EXIT, Reason.SIGNAL, Reason.OUTPUT})
#: the cluster may lose a task this often; the next loss ends it as LOST
LOST_BOUND: Final = 10
#: attempts are counted in two bytes; relaunches of a user's come on top
ATTEMPTS_MOST: Final = 60_000
#: while commands may be overdue, the scheduler looks for them this often, in seconds
LATE_EVERY_S: Final = 0.5
#: no command is overdue before this, in seconds: the median of very short commands says nothing
LATE_LEAST_S: Final = 1.0


class TaskLifecycle:
    """Ends, retries, relaunches and requeues tasks.

    Parameters
    ----------
    state : SchedulerState
        The books of the run.

    Attributes
    ----------
    attempts_lost : int
        Attempts that the cluster has lost.
    attempts_retried : int
        Attempts that failed by themselves and were followed by another one.
    """

    def __init__(self, state: SchedulerState) -> None:
        self._state = state
        self._table = state.table
        self._queues = state.queues
        self._retries = state.retries
        self._locality = state.locality
        self._batches = state.batches
        self._throttle = state.throttle
        self._average = state.average
        self._running_since = state.running_since
        self._median = Median()
        self._kill_requested: set[int] = set()
        self._relaunch_requested: set[int] = set()
        self._relaunch_mem_mib: dict[int, float] = {}  # of them: the memory to ask for from then on
        self._overdue: set[int] = set()
        self._lost_attempts: dict[int, set[int]] = {}  # by task: attempts lost by the cluster that may yet report
        self.attempts_lost = 0
        self.attempts_retried = 0

    # -- what is asked of an attempt ----------------------------------------------------------------------

    def is_being_killed(self, task: int) -> bool:
        """Say whether a task is in flight and asked to end."""
        return task in self._kill_requested

    def is_final_result(self, task: int, attempt: int, reason: Reason, code: int | None) -> bool:
        """Say whether this ending would be its task's result, rather than history; changes nothing.

        It is history when the task has its result already, or is tried again. Lost attempts are told by `RecordEnding`.
        """
        if reason is Reason.LOST or self._table.ended(task) or task in self._relaunch_requested:
            return False
        return self._may_decide(task, attempt) and not self._is_retried(task, reason, code)

    def accepts_result(self, task: int, attempt: int) -> bool:
        """Say whether the result of an attempt would still be its task's."""
        return not self._table.ended(task) and self._may_decide(task, attempt)

    def was_given_up(self, task: int, attempt: int) -> bool:
        """Say whether an attempt was given up for lost, while its task has no result."""
        return attempt in self._lost_attempts.get(task, ())

    def _may_decide(self, task: int, attempt: int) -> bool:
        """Say whether an attempt may give its task a result (rule 2)."""
        return attempt == self._table.attempt(task) or self.was_given_up(task, attempt)

    def _is_retried(self, task: int, reason: Reason, code: int | None) -> bool:
        if task in self._kill_requested or self._table.attempt(task) >= ATTEMPTS_MOST:
            return False
        return self._retries.again(task, reason, code, self._queues.base(task))

    # -- what nodes report ------------------------------------------------------------------------------

    def started(self, event: TasksStarted) -> None:
        """Note that commands run."""
        for task, attempt in event.tasks:
            state = self._table.state(task)
            if attempt == self._table.attempt(task) and state in (TaskState.STAGING, TaskState.UNREACHABLE):
                self._table.move(task, Trigger.STARTED)
                self._running_since.setdefault(task, event.at_s)

    def ended(self, event: TasksEnded, at_s: float) -> list[Decision]:
        """Give tasks their results, or begin their next attempts."""
        decisions: list[Decision] = []
        for end in event.endings:
            if not self._table.ended(end.task) and self._may_decide(end.task, end.attempt):
                decisions += self._end(end, at_s)
        return decisions

    def returned(self, event: TasksReturned) -> list[Decision]:
        """Queue commands again that a batch handed back unstarted; those that are being killed end (rule 5)."""
        decisions: list[Decision] = []
        for task, attempt in event.tasks:
            if attempt != self._table.attempt(task) or task not in self._batches:
                continue
            if task in self._kill_requested:
                decisions += self._end_killed(task)
                continue
            self._locality.leave(task, began=False)
            self._leave_batch(task)
            self._queue_again(task, Trigger.RETURNED)
        return decisions

    def batch_lost(self, batch_id: int) -> list[Decision]:
        """Give up what a lost batch has not reported."""
        batch = self._batches.get(batch_id)
        decisions: list[Decision] = []
        for task in sorted(batch.tasks) if batch else ():
            decisions += self._lose(task)
        return decisions

    def attached(self, event: Attached) -> list[Decision]:
        """Give up what no node has any more, and ask again for what the last process may not have asked for."""
        decisions: list[Decision] = []
        for batch in [self._batches.get(batch_id) for batch_id in self._batches]:
            for task in sorted(batch.tasks) if batch is not None else ():
                if (task, self._table.attempt(task)) not in event.attempts:
                    decisions += self._lose(task)
        to_end = sorted(self._kill_requested | self._relaunch_requested)
        if to_end:
            decisions.append(Kill(tuple((task, self._table.attempt(task)) for task in to_end)))
        self._batches.skip()
        return decisions

    def node_changed(self, node: str, among: Iterable[TaskState], trigger: Trigger) -> None:
        """Apply a trigger to the tasks on a node that are in one of some states."""
        states = frozenset(among)
        for batch in self._batches.on(node):
            for task in batch.tasks:
                if self._table.state(task) in states:
                    self._table.move(task, trigger)

    # -- what the user asks -----------------------------------------------------------------------------

    def kill(self, event: KillAsked) -> list[Decision]:
        """End tasks: queued ones at once, those in flight by their nodes."""
        tasks: Iterable[int] = range(len(self._table)) if event.tasks is None else event.tasks
        queued: list[UnreportedAttempt] = []
        in_flight: list[tuple[int, int]] = []
        decisions: list[Decision] = []
        for task in tasks:
            self._relaunch_requested.discard(task)
            self._relaunch_mem_mib.pop(task, None)
            if self._table.waits(task):
                queued.append(UnreportedAttempt(task, self._table.attempt(task)))
                decisions += self._close(task, TaskState.KILLED, Reason.USER)
            elif not self._table.ended(task):
                in_flight.append((task, self._table.attempt(task)))
                self._kill_requested.add(task)
        if queued:
            decisions.append(RecordEnding(tuple(queued), TaskState.KILLED, Reason.USER))
        if in_flight:
            decisions.append(Kill(tuple(in_flight)))
        return decisions

    def relaunch(self, event: RelaunchAsked) -> list[Decision]:
        """Begin ended tasks again, let queued ones skip their back-off, and end those in flight to begin them again."""
        in_flight: list[tuple[int, int]] = []
        for task in event.tasks:
            if task in self._table.superseded:
                continue
            if self._table.ended(task):
                self._begin_again(task, event.mem_mib)
            elif self._table.waits(task):
                self._hasten(task, event.mem_mib)
            else:
                in_flight.append((task, self._table.attempt(task)))
                self._relaunch_requested.add(task)
                if event.mem_mib is not None:
                    self._relaunch_mem_mib[task] = event.mem_mib
                self._kill_requested.discard(task)
        return [Kill(tuple(in_flight))] if in_flight else []

    def _hasten(self, task: int, mem_mib: float | None) -> None:
        """Let a queued task skip its back-off, and ask for other memory if the user says so."""
        moves = mem_mib is not None and self._state.demand_of(task).mem_mib != mem_mib
        if moves:
            self._queues.leave(task)
        if mem_mib is not None:
            self._retries.ask(task, mem_mib)
        if self._retries.wake(task) or moves:  # another demand means another queue
            self._queues.push(task)

    # -- what time brings -------------------------------------------------------------------------------

    def end_back_off(self, at_s: float) -> None:
        """Queue the tasks whose wait before a retry is over."""
        for task in self._retries.rested(at_s):
            self._queues.push(task)

    def kill_overdue(self, at_s: float) -> list[Decision]:
        """End commands that have run longer than their share of the median, each once."""
        longest_s = self._longest_s
        if longest_s is None:
            return []
        late = [
            task
            for task, since_s in self._running_since.items()
            if at_s - since_s > longest_s and task not in self._overdue and task not in self._kill_requested
            and self._table.state(task) is TaskState.RUNNING
        ]  # fmt: skip
        self._overdue.update(late)
        return [Kill(tuple((task, self._table.attempt(task)) for task in late), Reason.TIMEOUT)] if late else []

    def wakes_at(self, at_s: float) -> list[float]:
        """Return the moments at which a back-off ends, or commands may have become overdue."""
        times = [] if self._retries.next_s is None else [self._retries.next_s]
        if self._running_since and self._longest_s is not None:
            times.append(at_s + LATE_EVERY_S)
        return times

    @property
    def _longest_s(self) -> float | None:
        """How long a command may run by the median, in seconds; None while the median is not known."""
        share, median_s = self._state.rules.timeout_share, self._median.median_s
        return None if share is None or median_s is None else max(LATE_LEAST_S, share * median_s)

    # -- moves ------------------------------------------------------------------------------------------

    def _end(self, end: Ending, at_s: float) -> list[Decision]:
        task, attempt, reason = end.task, end.attempt, end.reason
        if reason is Reason.LOST:
            return self._lose(task) if attempt == self._table.attempt(task) else []
        again = self._is_retried(task, reason, end.code)
        decisions: list[Decision] = []
        if attempt != self._table.attempt(task):
            if again:
                self._lost_attempts[task].discard(attempt)  # reported again after a kill, it must not count after all
                return []  # it was given up for lost, and its successor is the retry
            if task in self._batches:  # its successor runs in vain
                decisions.append(Kill(((task, self._table.attempt(task)),)))
        elif self._table.waits(task):
            raise self._table.refused(task, "ended but was never launched")
        state = self._state.rules.ending(reason, end.code)
        if reason in _BY_ITSELF:
            self._measure(end, state)
        if again and task not in self._relaunch_requested:
            self._retry(task, attempt, reason, at_s)
        else:
            decisions += self._close(task, state, reason)
        return decisions

    def _measure(self, end: Ending, state: TaskState) -> None:
        """Take in how long a command took that ended by itself."""
        self._average.add(end.wall_s)
        if self._queues.located and (batch := self._batches.of(end.task)) is not None:
            self._locality.ended(end.task, batch.node, end.wall_s)
        if self._state.rules.timeout_share is not None and state is TaskState.FINISHED:
            self._median.add(end.wall_s)

    def _retry(self, task: int, attempt: int, reason: Reason, at_s: float) -> None:
        due_s = self._retries.spend(task, attempt, reason, self._queues.base(task), at_s)
        self.attempts_retried += 1
        self._leave_batch(task)
        self._table.move(task, Trigger.RETRIED)
        self._table.next_attempt(task)
        if due_s > at_s:
            self._retries.rest(task, due_s)
        else:
            self._queues.push(task)

    def _close(self, task: int, state: TaskState, reason: Reason) -> list[Decision]:
        """End a task, and begin it again if the user has asked for that; a halt withdraws what has not started."""
        self._queues.leave(task)
        self._table.end(task, state, reason)
        self._kill_requested.discard(task)
        self._lost_attempts.pop(task, None)  # rule 1: whatever else its attempts report is history
        self._retries.wake(task)
        self._leave_batch(task)
        if task in self._relaunch_requested:
            self._relaunch_requested.discard(task)
            self._begin_again(task)
            return []
        halted = self._throttle.ended(state in (TaskState.FAILED, TaskState.LOST))
        return self._state.withdraw_unstarted() if halted else []

    def _end_killed(self, task: int) -> list[Decision]:
        """End a task that was asked to end and that no node will report."""
        attempt = self._unreported(task)
        more = self._close(task, TaskState.KILLED, Reason.USER)
        return [RecordEnding((attempt,), TaskState.KILLED, Reason.USER), *more]

    def _lose(self, task: int) -> list[Decision]:
        """Give up the attempt of a task for lost (rules 3 and 5): the task is queued again, or ends."""
        if task in self._kill_requested:
            return self._end_killed(task)
        lost = self._unreported(task)
        self.attempts_lost += 1
        self._lost_attempts.setdefault(task, set()).add(lost.attempt)
        if self._table.lose(task) >= LOST_BOUND:
            more = self._close(task, TaskState.LOST, Reason.LOST)
            return [RecordEnding((lost,), TaskState.LOST, Reason.LOST), *more]
        self._leave_batch(task)
        self._queue_again(task, Trigger.REQUEUED)
        self._table.next_attempt(task)
        return [RecordEnding((lost,), TaskState.LOST, Reason.LOST, final=False)]

    def _unreported(self, task: int) -> UnreportedAttempt:
        batch = self._batches.of(task)
        node = batch.node if batch else ""
        return UnreportedAttempt(task, self._table.attempt(task), node, self._running_since.get(task))

    def _begin_again(self, task: int, mem_mib: float | None = None) -> None:
        self._table.begin_again(task)
        mem_mib = self._relaunch_mem_mib.pop(task, mem_mib)
        if mem_mib is not None:
            self._retries.ask(task, mem_mib)
        self._retries.forget(task)
        self._locality.forget_wait(task)
        self._queues.push(task)

    def _queue_again(self, task: int, trigger: Trigger) -> None:
        self._table.move(task, trigger)
        self._relaunch_requested.discard(task)  # this is the relaunch
        if task in self._relaunch_mem_mib:
            self._retries.ask(task, self._relaunch_mem_mib.pop(task))
        self._queues.push(task)

    def _leave_batch(self, task: int) -> None:
        self._running_since.pop(task, None)
        self._overdue.discard(task)
        if self._queues.located:
            self._locality.leave(task)
        self._batches.leave(task)

    # -- checks -----------------------------------------------------------------------------------------

    def story(self) -> dict[str, Any]:
        """Return what a replay has to bring back of this, to be compared."""
        return {
            "lost attempts": {task: set(attempts) for task, attempts in self._lost_attempts.items()},
            "relaunch requested": (set(self._relaunch_requested), dict(self._relaunch_mem_mib)),
            "kill requested": set(self._kill_requested),
            "lost, retried": (self.attempts_lost, self.attempts_retried),
        }

    def check(self) -> None:
        """Assert that what is to become of tasks concerns tasks in flight only."""
        in_flight = self._table.in_flight()
        assert self._relaunch_requested | self._kill_requested | self._overdue <= in_flight, "rule 4"
        assert not self._relaunch_requested & self._kill_requested, "rule 4"
        assert set(self._relaunch_mem_mib) <= self._relaunch_requested, "rule 4"
