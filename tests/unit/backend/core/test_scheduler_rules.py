"""The scheduler under a user's rules: retries, limits by other tasks, pace, pause and halt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from stratos_jupyter.backend.core.batching import BatchPolicy
from stratos_jupyter.backend.core.decisions import (
    Decision,
    Kill,
    Launch,
    RecordEnding,
    Revive,
    Suppress,
    UnreportedAttempt,
    WithdrawUnstarted,
)
from stratos_jupyter.backend.core.events import (
    BatchLost,
    Ending,
    KillAsked,
    Offer,
    OffersArrived,
    PauseAsked,
    RelaunchAsked,
    ResumeAsked,
    RulesChanged,
    TasksAdded,
    TasksEnded,
    TasksStarted,
    Tick,
)
from stratos_jupyter.backend.core.lifecycle import LATE_EVERY_S, LATE_LEAST_S
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.rules import Cause, Halt, Rules
from stratos_jupyter.backend.core.scheduler import Scheduler
from stratos_jupyter.backend.core.states import Reason, TaskState

ONE = Resources(1, 1024)
PLENTY = Resources(100, 1_000_000)
D = TypeVar("D", bound=Decision)


class Driven:
    """A scheduler, and a clock that a test sets."""

    def __init__(self, rules: Rules) -> None:
        self.at_s = 1000.0
        self.scheduler = Scheduler(BatchPolicy(target_s=5.0, most=100), rules)

    def add(self, count: int) -> tuple[Decision, ...]:
        return self.scheduler.handle(TasksAdded(self.at_s, count, ONE))

    def offer(self, room: Resources = PLENTY, behind: int | None = None) -> list[Launch]:
        offered = OffersArrived(self.at_s, (Offer("o", "n1", room, behind),))
        return only(Launch, self.scheduler.handle(offered))

    def end(
        self, task: int, attempt: int = 1, code: int | None = 0, reason: Reason = Reason.EXIT, wall_s: float = 1.0
    ) -> tuple[Decision, ...]:
        predicted = self.scheduler.is_final_result(task, attempt, reason, code)
        decisions = self.scheduler.handle(TasksEnded(self.at_s, (Ending(task, attempt, reason, code, wall_s),)))
        assert self.state(task).value >= TaskState.FINISHED if predicted else True
        return decisions

    def start(self, *tasks: int) -> None:
        self.scheduler.handle(TasksStarted(self.at_s, tuple((t, self.scheduler.table.attempt(t)) for t in tasks)))

    def tick(self) -> tuple[Decision, ...]:
        """Let the time come that the scheduler waits for."""
        assert self.scheduler.wakes_at is not None
        self.at_s = max(self.at_s, self.scheduler.wakes_at)
        return self.scheduler.handle(Tick(self.at_s))

    def state(self, task: int) -> TaskState:
        return self.scheduler.table.state(task)


def only(kind: type[D], decisions: tuple[Decision, ...]) -> list[D]:
    return [decision for decision in decisions if isinstance(decision, kind)]


def tasks(launches: list[Launch]) -> list[tuple[int, int]]:
    return [attempt for launch in launches for attempt in launch.tasks]


@pytest.fixture
def drive() -> Iterator[Callable[..., Driven]]:
    made: list[Driven] = []

    def make(**rules: object) -> Driven:
        made.append(Driven(Rules(**rules)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for driven in made:
        driven.scheduler.check()


# --- retries ---


def test_a_failure_is_tried_again_after_a_while(drive: Callable[..., Driven]) -> None:
    it = drive(retries=1)
    it.add(1)
    it.offer()
    assert it.end(0, code=1) == ()  # nothing to launch yet
    assert it.state(0) is TaskState.QUEUED
    assert it.offer() == []
    assert it.tick() == (Revive(ONE),)
    assert tasks(it.offer()) == [(0, 2)]
    it.end(0, 2, code=1)
    assert it.state(0) is TaskState.FAILED
    assert it.scheduler.attempts_retried == 1


def test_what_is_not_to_be_tried_again_is_not(drive: Callable[..., Driven]) -> None:
    it = drive(retries=3, retry_on=(Cause(Reason.EXIT, 1), Cause(Reason.TIMEOUT)))
    it.add(4)
    it.offer()
    it.end(0, code=1)
    it.end(1, code=2)
    it.end(2, code=None, reason=Reason.TIMEOUT)
    it.end(3, code=None, reason=Reason.MONITOR)
    assert [it.state(task) for task in range(4)] == [
        *(TaskState.QUEUED, TaskState.FAILED, TaskState.QUEUED, TaskState.KILLED)
    ]


def test_the_clusters_failures_spend_no_retry(drive: Callable[..., Driven]) -> None:
    it = drive(retries=1)
    it.add(1)
    (launch,) = it.offer()
    (lost,) = only(RecordEnding, it.scheduler.handle(BatchLost(it.at_s, launch.batch_id)))
    assert lost == RecordEnding((UnreportedAttempt(0, 1, "n1"),), TaskState.LOST, Reason.LOST, final=False)
    assert it.scheduler.table.losses(0) == 1
    it.offer()
    it.end(0, 2, code=1)
    assert it.state(0) is TaskState.QUEUED


def test_a_lost_attempt_that_failed_after_all_is_followed_by_its_successor(drive: Callable[..., Driven]) -> None:
    it = drive(retries=1)
    it.add(1)
    (launch,) = it.offer()
    it.scheduler.handle(BatchLost(it.at_s, launch.batch_id))
    it.offer()
    assert it.end(0, 1, code=1) == ()
    assert it.state(0) is TaskState.STAGING
    it.end(0, 1, code=0)  # an attempt ends once: this was recorded as history, and a second row of it would be none
    assert it.state(0) is TaskState.STAGING
    it.end(0, 2, code=0)
    assert it.state(0) is TaskState.FINISHED


def test_killing_what_rests_before_a_retry(drive: Callable[..., Driven]) -> None:
    it = drive(retries=5)
    it.add(1)
    it.offer()
    it.end(0, code=1)
    assert only(RecordEnding, it.scheduler.handle(KillAsked(it.at_s))) == [
        RecordEnding((UnreportedAttempt(0, 2),), TaskState.KILLED, Reason.USER)
    ]
    assert it.scheduler.wakes_at is None


def test_a_kill_is_not_followed_by_a_retry(drive: Callable[..., Driven]) -> None:
    it = drive(retries=5)
    it.add(1)
    it.offer()
    it.scheduler.handle(KillAsked(it.at_s))
    it.end(0, code=1)
    assert it.state(0) is TaskState.FAILED


def test_relaunching_what_rests_does_not_wait(drive: Callable[..., Driven]) -> None:
    it = drive(retries=5)
    it.add(1)
    it.offer()
    it.end(0, code=1)
    assert it.scheduler.handle(RelaunchAsked(it.at_s, (0,))) == (Revive(ONE),)
    assert tasks(it.offer()) == [(0, 2)]


def test_relaunching_gives_all_retries_again(drive: Callable[..., Driven]) -> None:
    it = drive(retries=1, retry_delay_s=0.0)
    it.add(1)
    for attempt, after in [(1, "QUEUED"), (2, "FAILED"), (3, "QUEUED"), (4, "FAILED")]:
        if after == "QUEUED" and attempt > 1:
            it.scheduler.handle(RelaunchAsked(it.at_s, (0,)))
        assert tasks(it.offer()) == [(0, attempt)]
        it.end(0, attempt, code=1)
        assert it.state(0).name == after


def test_memory_doubles_and_the_offer_has_to_fit(drive: Callable[..., Driven]) -> None:
    it = drive(mem_most_mib=3000)
    it.add(1)
    it.offer()
    assert it.end(0, code=None, reason=Reason.MEMORY) == (Revive(Resources(1, 2048)),)
    assert it.offer(Resources(1, 2000)) == []
    (launch,) = it.offer()
    assert (launch.demand, launch.tasks) == (Resources(1, 2048), ((0, 2),))
    it.end(0, 2, code=None, reason=Reason.MEMORY)
    (launch,) = it.offer()
    assert (launch.demand, launch.tasks) == (Resources(1, 3000), ((0, 3),))
    it.end(0, 3, code=None, reason=Reason.MEMORY)
    assert it.state(0) is TaskState.FAILED
    assert it.scheduler.table.reasons == {Reason.MEMORY: 1}


# --- pause, halt, pace ---


def test_a_pause_recalls_what_has_not_started_and_a_resume_goes_on(drive: Callable[..., Driven]) -> None:
    it = drive()
    it.add(3)
    (launch,) = it.offer(ONE)
    assert it.scheduler.handle(PauseAsked(it.at_s)) == (WithdrawUnstarted((launch.batch_id,)), Suppress())
    assert it.scheduler.held == "paused"
    assert it.offer() == []
    it.end(0)
    assert it.scheduler.handle(ResumeAsked(it.at_s)) == (Revive(ONE),)
    assert len(it.offer()) == 2


def test_too_many_failures_halt_and_a_resume_goes_on(drive: Callable[..., Driven]) -> None:
    it = drive(halt=Halt(2), retries=1, retry_delay_s=0.0)
    it.add(5)
    first = it.offer(Resources(3, 1_000_000))
    it.end(0, code=1)
    it.offer(ONE)
    assert it.scheduler.held == ""  # what is tried again has not failed yet
    it.end(0, 2, code=1)
    decisions = it.end(1, code=None, reason=Reason.SPAWN)
    assert only(WithdrawUnstarted, decisions) == [WithdrawUnstarted((first[2].batch_id,))]
    assert only(Suppress, decisions)
    assert it.scheduler.held == "halted after 2 failed"
    assert it.offer() == []
    assert it.scheduler.handle(ResumeAsked(it.at_s)) == (Revive(ONE),)
    assert len(it.offer()) == 2


def test_only_so_many_run_at_once_and_that_can_be_changed(drive: Callable[..., Driven]) -> None:
    it = drive(max_tasks=2)
    it.add(10)
    assert len(it.offer()) == 2
    assert it.offer() == []
    assert only(Revive, it.end(0))
    assert len(it.offer()) == 1
    assert it.scheduler.handle(RulesChanged(it.at_s, Rules(max_tasks=5))) == (Revive(ONE),)
    assert len(it.offer()) == 3
    (recall,) = only(WithdrawUnstarted, it.scheduler.handle(RulesChanged(it.at_s, Rules(max_tasks=1))))
    assert len(recall.batches) == 5
    for task in (1, 2, 3, 4):
        it.end(task)
        assert it.offer() == []
    it.end(5)
    assert len(it.offer()) == 1


def test_what_lines_up_does_not_run_at_once(drive: Callable[..., Driven]) -> None:
    it = drive(max_tasks=1)
    it.add(105)
    for task in range(5):
        it.offer()
        it.end(task, wall_s=0.5)
    (first,) = it.offer()
    (second,) = it.offer(ONE, behind=first.batch_id)
    assert it.offer() == []
    for task, _ in first.tasks:
        it.end(task, wall_s=0.5)
    assert it.offer() == []  # the second runs now
    for task, _ in second.tasks:
        it.end(task, wall_s=0.5)
    assert len(it.offer()) == 1


def test_a_rate_asks_for_offers_when_it_is_time(drive: Callable[..., Driven]) -> None:
    it = drive(rate_per_s=4.0)
    it.add(3)
    launched = []
    for _ in range(3):
        launched.append((it.at_s, tasks(it.offer())))
        assert it.offer() == []
        if len(launched) < 3:
            assert it.tick() == (Revive(ONE),)
    assert launched == [(1000.0, [(0, 1)]), (1000.25, [(1, 1)]), (1000.5, [(2, 1)])]
    assert it.scheduler.wakes_at is None


# --- a limit by the median ---


def test_who_runs_much_longer_than_the_others_is_ended(drive: Callable[..., Driven]) -> None:
    it = drive(timeout_share=2.0, retries=1, retry_delay_s=0.0)
    it.add(8)
    it.offer()
    it.start(*range(8))
    assert it.scheduler.wakes_at is None  # nobody knows yet what is long
    for task in range(5):
        it.end(task, wall_s=10.0)
    assert it.scheduler.wakes_at == 1000.0 + LATE_EVERY_S
    it.at_s = 1019.0
    assert it.scheduler.handle(Tick(it.at_s)) == ()
    it.at_s = 1021.0
    assert it.scheduler.handle(Tick(it.at_s)) == (Kill(((5, 1), (6, 1), (7, 1)), Reason.TIMEOUT),)
    assert it.scheduler.handle(Tick(it.at_s + 1)) == ()  # said once
    it.end(5, code=None, reason=Reason.TIMEOUT)
    assert tasks(it.offer()) == [(5, 2)]  # a failure like others


def test_the_median_of_short_commands_ends_nobody_early(drive: Callable[..., Driven]) -> None:
    it = drive(timeout_share=2.0)
    it.add(6)
    it.offer()
    it.start(*range(6))
    for task in range(5):
        it.end(task, wall_s=0.001)
    it.at_s += LATE_LEAST_S
    assert it.scheduler.handle(Tick(it.at_s)) == ()
    it.at_s += 0.1
    assert it.scheduler.handle(Tick(it.at_s)) == (Kill(((5, 1),), Reason.TIMEOUT),)


def test_failures_do_not_shorten_the_limit(drive: Callable[..., Driven]) -> None:
    it = drive(timeout_share=2.0)
    it.add(12)
    it.offer()
    it.start(*range(12))
    for task in range(6):
        it.end(task, code=1, wall_s=0.01)
    assert it.scheduler.wakes_at is None


def test_an_open_gate_waits_for_no_clock(drive: Callable[..., Driven]) -> None:
    it = drive(rate_per_s=10.0)
    it.add(10)
    it.offer(ONE)  # there is no room for another one
    it.at_s += 5.0
    it.scheduler.handle(Tick(it.at_s))
    assert it.scheduler.wakes_at is None


def test_failures_during_a_pause_count(drive: Callable[..., Driven]) -> None:
    it = drive(halt=Halt(2))
    it.add(4)
    it.offer(Resources(2, 1_000_000))
    it.scheduler.handle(PauseAsked(it.at_s))
    it.end(0, code=1)
    it.end(1, code=1)
    assert it.scheduler.held == "halted after 2 failed"
    assert it.scheduler.stuck
    it.scheduler.handle(ResumeAsked(it.at_s))
    assert not it.scheduler.stuck


def test_what_was_history_is_no_result_after_a_kill() -> None:
    driven = Driven(Rules(retries=1, retry_delay_s=0.0))
    driven.add(1)
    (batch,) = driven.offer()
    driven.scheduler.handle(BatchLost(driven.at_s, batch.batch_id))
    driven.offer()
    driven.end(0, attempt=1, code=1)  # it was given up; its successor is the retry
    driven.scheduler.handle(KillAsked(driven.at_s))
    driven.end(0, attempt=1, code=1)  # told twice
    assert driven.state(0) is TaskState.STAGING
    driven.end(0, attempt=2, code=None, reason=Reason.USER)
    assert driven.state(0) is TaskState.KILLED
