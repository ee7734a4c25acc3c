"""Explaining a wait: what is known of a waiting task, gathered from the books. `reasons` puts it into words."""

from __future__ import annotations

from .offer_history import OwnShare
from .reasons import JobFacts, WaitingTask, backing_off_text, reasons, throttle_text, where_text
from .resources import Resources
from .scheduler_state import SchedulerState
from .states import TaskState


class Explainer:
    """Says what tasks wait for; reads the books and changes nothing.

    Parameters
    ----------
    state : SchedulerState
        The books of the run.
    at_s : float
        Now, for the throttle: not before the moment of any event.
    """

    def __init__(self, state: SchedulerState, at_s: float) -> None:
        self._state = state
        self._at_s = at_s

    def why(self, at_s: float, task: int | None, job: str, engine: str) -> list[str]:
        """Say in clauses what a task waits for, or where it is; `Scheduler.why` has the parameters."""
        state = self._state
        facts = self._facts(at_s, engine)
        if task is not None:
            if not state.table.waits(task):
                return [self._where(at_s, task)]
            return reasons(self._waiting(at_s, task), facts, state.offers, job)
        lines: list[str] = []
        for queue in state.queues.order:
            for head in (queue.peek(), None if queue.near is None else queue.near.first()):
                if head is not None:
                    lines += reasons(self._waiting(at_s, head, alone=False), facts, state.offers, job)
        backing_off, next_s = state.retries.backing_off, state.retries.next_s
        if backing_off and next_s is not None:
            lines.append(backing_off_text(len(backing_off), max(0.0, next_s - at_s)))
            lines += throttle_text(facts, job)
        return list(dict.fromkeys(lines))

    def _facts(self, at_s: float, engine: str) -> JobFacts:
        """Return what holds for all tasks of the job."""
        state = self._state
        counts, at_once, last_s = state.table.counts, state.batches.at_once, state.offers.last_s
        opens_at = state.throttle.opens_at(self._at_s, at_once)
        return JobFacts(
            rules=state.rules,
            held=state.throttle.held,
            at_once=at_once,
            begun=counts[TaskState.RUNNING] + counts[TaskState.UNREACHABLE],
            nodes=state.batches.nodes,
            opens_s=None if opens_at is None else max(0.0, opens_at - at_s),
            silent_s=None if last_s is None else max(0.0, at_s - last_s),
            engine=engine,
            alone=state.policy.alone,
            own=self._own_shares(),
        )

    def _own_shares(self) -> dict[str, OwnShare]:
        """Return what the job has of each node."""
        found: dict[str, OwnShare] = {}
        for batch in self._state.batches.values():
            has = found.get(batch.node, OwnShare())
            takes = self._state.demand_of(min(batch.tasks)) if batch.before is None else Resources()
            found[batch.node] = OwnShare(has.launches + 1, has.amount + takes)
        return found

    def _where(self, at_s: float, task: int) -> str:
        """Say where a task is that does not wait."""
        state = self._state
        batch, since_s = state.batches.of(task), state.running_since.get(task)
        node = "" if batch is None else batch.node
        return where_text(state.table.state(task), node, None if since_s is None else at_s - since_s)

    def _waiting(self, at_s: float, task: int, alone: bool = True) -> WaitingTask:
        """Return what is known of a waiting task; not `alone`: it stands for all that wait in its queue."""
        state = self._state
        queue, locations = state.queues.of(task), state.locality.locations
        due_s = state.retries.due_s(task)
        near = queue.near if locations.chooses(task) and due_s is None else None
        until_s = None if near is None else near.clock.runs_until
        return WaitingTask(
            task=task if alone else None,
            demand=queue.demand,
            before=state.queues.before(task) if alone else 0,
            backing_off_s=None if due_s is None else max(0.0, due_s - at_s),
            local=tuple(locations.hosts(task)) if near else (),
            sought=locations.seeks(task),
            local_left_s=max(0.0, state.locality.limit_s - near.waited_s(task)) if near else 0.0,
            passed=near.passed_by(task) if near else 0,
            passing=until_s is not None and until_s > at_s,
        )
