"""The scheduler of one run: events in, decisions out.

It reads no clock, does no I/O and knows no engine. A task is named by its index, an attempt by ``(task, attempt)``;
attempts count from 1.

Theory of operation
-------------------

Where a task is. `TaskTable` keeps one `TaskState` a task, and `states.MOVES` is the table of moves: what it does not
hold is refused, and changes nothing. A task that is QUEUED is in just one place: in a queue (`Queues`), or backing off
before a retry (`Retries`). A task in flight (STAGING, RUNNING, UNREACHABLE) is in just one batch (`BatchesInFlight`).
FINISHED, FAILED, KILLED and LOST are terminal; only a relaunch by the user leads out of them, to a new attempt.

::

    QUEUED --launch--> STAGING --started--> RUNNING <--> UNREACHABLE
      ^                    |                   |              |
      +---- returned, requeued, retried -------+--------------+----> FINISHED | FAILED | KILLED | LOST

What moves a task. Each event has one method, and the class that owns it: `Matcher` launches (offers), `TaskLifecycle`
ends, requeues and begins again (reports of nodes, wishes of the user, time). Three things follow from the state that
an event leaves, whatever the event: the demand for offers (`OfferDemand`), the end of the job, and when to wake.

Rules. `check` asserts those that can be seen in the books, and names them by number.

1.  The first result of a task wins. Reports may come twice, late, or of an attempt that was given up for lost;
    whatever comes after a result is history and changes nothing.
2.  Only the present attempt, or one that was given up for lost, may give a task its result.
3.  The cluster's losses never count as the command's failures, and spend no retry. They have a bound of their own
    (`LOST_BOUND`), which a relaunch by the user resets.
4.  A task in flight may be asked to be killed or to be relaunched, not both: the later wish counts. Both wishes end
    with the attempt.
5.  A task that is asked to end never goes back to a queue: handed back or lost, it is KILLED.
6.  A task is in one place: QUEUED in a queue or backing off, in flight in one batch, else in neither.
7.  Each offer is answered at once, by launches or by a decline. So a rescinded offer needs no answer.
8.  Nothing is launched while the job is held (paused or halted), nor above its pace and its bound. Running tasks
    continue.
9.  Offers are wanted just while a task could be launched: the engine was told `Revive` last then, else `Suppress`.
10. The job finishes once it is closed and its last task has ended; a relaunch or new tasks open it again.
11. A replay of the journal leads to the same state (`story`): no decision depends on a clock, on chance, or on the
    order of a set.
"""

from __future__ import annotations

from typing import Any, assert_never

from .batching import BatchPolicy
from .decisions import Decision, Finish
from .demand import OfferDemand
from .events import (
    Attached,
    BatchLost,
    Closed,
    DemandChanged,
    Event,
    InputsLocated,
    KillAsked,
    LaunchKnown,
    NodeBack,
    NodeUnreachable,
    OffersArrived,
    OffersRescinded,
    OfferUnfit,
    PauseAsked,
    RelaunchAsked,
    ResumeAsked,
    RulesChanged,
    Superseded,
    TasksAdded,
    TasksEnded,
    TasksReturned,
    TasksStarted,
    Tick,
)
from .explain import Explainer
from .in_flight import LaunchedBatch
from .lifecycle import TaskLifecycle
from .locality import Locality
from .matching import Matcher
from .resources import Resources
from .rules import Rules
from .scheduler_state import SchedulerState
from .states import IN_FLIGHT, Reason, TaskState, Trigger
from .trail import Trail


class Scheduler:
    """All tasks of one run of one job.

    Parameters
    ----------
    policy : BatchPolicy, optional
        How the engine wants commands bundled.
    rules : Rules, optional
        What the user wants done when tasks fail, and how fast the job may go.

    Attributes
    ----------
    table : TaskTable
        State and attempt of every task.
    trail : Trail
        The last events, and what was decided on each.
    """

    def __init__(self, policy: BatchPolicy | None = None, rules: Rules | None = None) -> None:
        self._state = SchedulerState(policy or BatchPolicy(), rules or Rules())
        self.table = self._state.table
        self.trail = Trail()
        self._matcher = Matcher(self._state)
        self._lifecycle = TaskLifecycle(self._state)
        self._demand = OfferDemand(self._state, self._matcher.span_s)
        self._at_s = 0.0
        self._closed = False
        self._finished = False

    # -- events -----------------------------------------------------------------------------------------

    def handle(self, event: Event) -> tuple[Decision, ...]:
        """Take in one event and return what is to be done, in order.

        Parameters
        ----------
        event : Event
            What happened. Events come in the order of their ``at_s``; one that is late counts as of now.

        Raises
        ------
        RefusedMove
            The event tells of something that cannot be. The error carries the end of the trail as a note, and so does
            every other error that comes out of here.
        """
        self._at_s = max(self._at_s, event.at_s)
        if self._state.queues.located:
            self._state.locality.advance(self._at_s)
        decisions: list[Decision] = []
        try:
            self._dispatch(event, decisions)
            self._demand.settle(self._at_s, decisions)
        except Exception as error:
            self.trail.note(event, tuple(decisions))
            error.add_note(self.trail.story())
            raise
        if self._closed:
            self._finish(decisions)
        decided = tuple(decisions)
        self.trail.note(event, decided)
        return decided

    def _dispatch(self, event: Event, decisions: list[Decision]) -> None:
        match event:
            case OffersArrived():
                decisions += self._matcher.answer(event, self._at_s)
            case TasksEnded():
                decisions += self._lifecycle.ended(event, self._at_s)
            case TasksStarted():
                self._lifecycle.started(event)
            case Tick():
                self._lifecycle.end_back_off(self._at_s)
                decisions += self._lifecycle.kill_overdue(self._at_s)
            case TasksAdded():
                self._finished = False
                self._state.queues.add(event)
            case InputsLocated():
                self._locate(event)
            case OffersRescinded():
                pass  # rule 7
            case OfferUnfit():
                self._state.offers.unfit(event.node, event.why)
            case TasksReturned():
                decisions += self._lifecycle.returned(event)
            case BatchLost():
                decisions += self._lifecycle.batch_lost(event.batch_id)
            case NodeUnreachable():
                reachable = IN_FLIGHT - {TaskState.UNREACHABLE}
                self._lifecycle.node_changed(event.node, reachable, Trigger.AGENT_UNREACHABLE)
            case NodeBack():
                self._lifecycle.node_changed(event.node, {TaskState.UNREACHABLE}, Trigger.AGENT_BACK)
            case KillAsked():
                decisions += self._lifecycle.kill(event)
            case RelaunchAsked():
                decisions += self._lifecycle.relaunch(event)
            case Superseded():
                decisions += self._supersede(event)
            case PauseAsked():
                self._state.throttle.pause(event.why)
                decisions += self._state.withdraw_unstarted()
            case ResumeAsked():
                self._state.throttle.resume()
            case RulesChanged():
                decisions += self._change_rules(event)
            case DemandChanged():
                self._change_demand(event)
            case LaunchKnown():
                self._matcher.take_in(event)
            case Attached():
                decisions += self._lifecycle.attached(event)
                self._demand.forget()
                self._finished = False
            case Closed():
                self._closed = True
            case _:
                assert_never(event)

    def _locate(self, event: InputsLocated) -> None:
        for location in event.locations:
            batch = self._state.batches.of(location.task)
            if self._state.queues.locate(location) and batch is not None:
                self._state.locality.count(location.task, batch.node)
        self._demand.inputs_located()

    def _supersede(self, event: Superseded) -> list[Decision]:
        """Leave tasks out of the job, and end those of them that have not ended."""
        self.table.supersede(event.tasks, event.restored)
        unended = tuple(task for task in event.tasks if not self.table.ended(task))
        return self._lifecycle.kill(KillAsked(event.at_s, unended))

    def _change_rules(self, event: RulesChanged) -> list[Decision]:
        """Let other rules hold; a smaller bound, or a pace, also concerns what is launched and has not started."""
        self._state.change_rules(event.rules)
        most = event.rules.max_tasks
        too_many = most is not None and self._state.batches.at_once > most
        return self._state.withdraw_unstarted() if self._state.throttle.spaced or too_many else []

    def _change_demand(self, event: DemandChanged) -> None:
        """Let all tasks ask for something else from their next launch on."""
        waiting = self._state.queues.rebase(event.priority, event.demand)
        self._state.retries.forget_amounts()
        for task in waiting:
            self._state.queues.push(task)

    def _finish(self, decisions: list[Decision]) -> None:
        """Append `Finish` once, when the last task of a closed job has ended (rule 10)."""
        if self.table.unended:
            self._finished = False
        elif not self._finished:
            self._finished = True
            decisions.append(Finish())

    # -- questions that the loop asks ---------------------------------------------------------------------

    @property
    def wakes_at(self) -> float | None:
        """When a `Tick` is wanted, in seconds; None when only other events matter."""
        return min(self._lifecycle.wakes_at(self._at_s) + self._demand.wakes_at(self._at_s), default=None)

    def demand_of(self, task: int) -> Resources:
        """Return what a task asks for now."""
        return self._state.demand_of(task)

    def submission_of(self, task: int) -> int:
        """Return which submission a task came with, from 0."""
        return self._state.queues.submission_of(task)

    def is_being_killed(self, task: int) -> bool:
        """Say whether a task is in flight and asked to end."""
        return self._lifecycle.is_being_killed(task)

    def is_final_result(self, task: int, attempt: int, reason: Reason, code: int | None) -> bool:
        """Say whether this ending would be its task's result, rather than history; changes nothing."""
        return self._lifecycle.is_final_result(task, attempt, reason, code)

    def accepts_result(self, task: int, attempt: int) -> bool:
        """Say whether the result of an attempt would still be its task's."""
        return self._lifecycle.accepts_result(task, attempt)

    def was_given_up(self, task: int, attempt: int) -> bool:
        """Say whether an attempt was given up for lost, while its task has no result."""
        return self._lifecycle.was_given_up(task, attempt)

    # -- what views show ----------------------------------------------------------------------------------

    @property
    def nodes(self) -> int:
        """How many nodes have tasks of this job now."""
        return self._state.batches.nodes

    @property
    def at_once(self) -> int:
        """How many commands run at the same time: one for each launch that waits for no other."""
        return self._state.batches.at_once

    @property
    def launched(self) -> list[LaunchedBatch]:
        """What was launched and has not ended."""
        return [
            LaunchedBatch(batch_id, batch.node, tuple((task, self.table.attempt(task)) for task in sorted(batch.tasks)))
            for batch_id, batch in self._state.batches.items()
        ]

    def flying(self) -> dict[int, tuple[str, float | None]]:
        """Return what is in flight: the node of each task, and since when it is reported to run."""
        since = self._state.running_since
        return {task: (batch.node, since.get(task)) for _, batch in self._state.batches.items() for task in batch.tasks}

    @property
    def rules(self) -> Rules:
        """The rules as they are now."""
        return self._state.rules

    @property
    def closed(self) -> bool:
        """Whether no more tasks will be added."""
        return self._closed

    @property
    def held(self) -> str:
        """Why nothing is launched although the queue may have tasks: ``paused``, or why it was halted; else ''."""
        return self._state.throttle.held

    @property
    def stuck(self) -> bool:
        """Whether failures have halted the job and nothing of it runs: only the user can make it go on."""
        return self._state.throttle.halted and not len(self._state.batches)

    @property
    def backing_off(self) -> tuple[int, float | None]:
        """How many tasks wait before a retry, and when the next of these waits is over."""
        return len(self._state.retries.backing_off), self._state.retries.next_s

    @property
    def attempts_lost(self) -> int:
        """Attempts that the cluster has lost."""
        return self._lifecycle.attempts_lost

    @property
    def attempts_retried(self) -> int:
        """Attempts that failed by themselves and were followed by another one."""
        return self._lifecycle.attempts_retried

    @property
    def locality(self) -> Locality:
        """Where the tasks ran, seen from their inputs."""
        return self._state.locality

    def local_fraction(self, task: int, node: str) -> float | None:
        """Return which part of a task's input bytes lies on a node; None when it has none or none is known."""
        return self._state.locality.fraction(task, node)

    def why(self, at_s: float, task: int | None, job: str, engine: str = "") -> list[str]:
        """Say what a task, or what waits of the job, waits for; nothing when nothing waits.

        Parameters
        ----------
        at_s : float
            Now.
        task : int or None
            Which; None for all that wait.
        job : str
            How the job is named in a command that would help.
        engine : str
            What the engine has to say.
        """
        return Explainer(self._state, self._at_s).why(at_s, task, job, engine)

    # -- checks -----------------------------------------------------------------------------------------

    def story(self) -> dict[str, Any]:
        """Return all that a replay has to bring back (rule 11), to be compared. What runs counts as launched."""
        table, state = self.table, self._state
        every = range(len(table))
        states = [TaskState.STAGING if table.state(task) in IN_FLIGHT else table.state(task) for task in every]
        return {
            "states": states,
            "attempts": [table.attempt(task) for task in every],
            "losses": [table.losses(task) for task in every],
            "reasons": {reason: count for reason, count in table.reasons.items() if count},
            "demands": [state.queues.of(task).demand for task in every],
            "batches": dict(state.batches.items()),
            "retries": state.retries.story(),
            "held": self.held,
            "rules": self.rules,
            "closed": self._closed,
            "superseded": table.superseded,
            **self._lifecycle.story(),
        }

    def check(self) -> None:
        """Assert that the books agree with each other, and with the rules above."""
        self._state.check()
        self._lifecycle.check()
        self._demand.check(self._at_s)
        assert not self._finished or not self.table.unended, "rule 10"
