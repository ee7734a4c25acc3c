"""A relaunch with another amount of memory: what it does to a queue, and that a replay brings it back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.core.decisions import Decision, Kill, Launch
from stratos_jupyter.backend.core.events import (
    BatchLost,
    DemandChanged,
    Ending,
    KillAsked,
    Offer,
    OffersArrived,
    RelaunchAsked,
    TasksAdded,
    TasksEnded,
)
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.core.scheduler import Scheduler
from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.run.inbox import entries_of
from stratos_jupyter.backend.run.replay import replay
from stratos_jupyter.backend.store.journal import Journal

DEMAND = Resources(1, 100)


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler(rules=Rules(mem_most_mib=150))
    yield scheduler
    scheduler.check()


def offer(scheduler: Scheduler, cpus: float = 8, mem_mib: float = 1000) -> list[Launch]:
    decisions = scheduler.handle(OffersArrived(0.0, (Offer("o", "n", Resources(cpus, mem_mib)),)))
    return [decision for decision in decisions if isinstance(decision, Launch)]


def end(scheduler: Scheduler, task: int, attempt: int = 1, reason: Reason = Reason.EXIT) -> tuple[Decision, ...]:
    code = 1 if reason is Reason.EXIT else None
    return scheduler.handle(TasksEnded(0.0, (Ending(task, attempt, reason, code, 1.0),)))


def launched(launches: list[Launch]) -> dict[int, float]:
    return {task: launch.demand.mem_mib for launch in launches for task, _ in launch.tasks}


def test_what_has_ended_asks_for_it(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 2, DEMAND))
    offer(scheduler)
    end(scheduler, 0)
    end(scheduler, 1)
    scheduler.handle(RelaunchAsked(0.0, (0,), 400.0))
    scheduler.handle(RelaunchAsked(0.0, (1,)))
    assert launched(offer(scheduler)) == {0: 400.0, 1: 100.0}


def test_it_stays_until_another_is_asked_for(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 1, DEMAND))
    offer(scheduler)
    for attempt, asked, found in ((1, 400.0, 400.0), (2, None, 400.0), (3, 50.0, 50.0)):
        end(scheduler, 0, attempt)
        scheduler.handle(RelaunchAsked(0.0, (0,), asked))
        assert launched(offer(scheduler)) == {0: found}


def test_what_runs_keeps_its_own_until_it_has_ended(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 1, DEMAND))
    offer(scheduler)
    assert scheduler.handle(RelaunchAsked(0.0, (0,), 400.0)) == (Kill(((0, 1),)),)
    assert scheduler.demand_of(0) == DEMAND
    end(scheduler, 0, reason=Reason.USER)
    assert launched(offer(scheduler)) == {0: 400.0}


def test_one_that_is_lost_before_its_end_asks_for_it_too(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 1, DEMAND))
    (launch,) = offer(scheduler)
    scheduler.handle(RelaunchAsked(0.0, (0,), 400.0))
    scheduler.handle(BatchLost(0.0, launch.batch_id))
    assert launched(offer(scheduler)) == {0: 400.0}


def test_a_kill_takes_it_back(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 1, DEMAND))
    offer(scheduler)
    scheduler.handle(RelaunchAsked(0.0, (0,), 400.0))
    scheduler.handle(KillAsked(0.0, (0,)))
    end(scheduler, 0, reason=Reason.USER)
    assert scheduler.table.state(0) is TaskState.KILLED
    assert scheduler.demand_of(0) == DEMAND


def test_what_waits_goes_to_another_queue_and_is_launched_once(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 3, DEMAND))
    scheduler.handle(RelaunchAsked(0.0, (1,), 400.0))
    scheduler.handle(RelaunchAsked(0.0, (2,), 400.0))
    scheduler.handle(RelaunchAsked(0.0, (2,), 100.0))  # and back
    assert launched(offer(scheduler)) == {0: 100.0, 1: 400.0, 2: 100.0}
    assert offer(scheduler) == []


def test_more_than_the_range_allows_does_not_grow_and_less_does(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 2, DEMAND))
    offer(scheduler)
    end(scheduler, 0)
    end(scheduler, 1)
    scheduler.handle(RelaunchAsked(0.0, (0,), 400.0))
    scheduler.handle(RelaunchAsked(0.0, (1,), 60.0))
    offer(scheduler)
    end(scheduler, 0, 2, Reason.MEMORY)
    end(scheduler, 1, 2, Reason.MEMORY)
    assert scheduler.table.state(0) is TaskState.FAILED
    assert launched(offer(scheduler)) == {1: 120.0}


@pytest.mark.parametrize("mem_mib", [None, 400.0])
def test_a_replay_brings_it_back(tmp_path: Path, scheduler: Scheduler, mem_mib: float | None) -> None:
    (asked,) = entries_of(RelaunchAsked(2.0, (0, 2), mem_mib))
    journal = Journal(tmp_path)
    try:
        with journal.writing():
            numbers = journal.numbers()
            journal.add_submission(next(numbers), 0, 3, 1.0, {})
            journal.add_entries([(next(numbers), asked)])
        again = Scheduler(rules=scheduler.rules)
        replay(journal, again, DEMAND, 0)
    finally:
        journal.close()
    scheduler.handle(TasksAdded(1.0, 3, DEMAND))
    scheduler.handle(RelaunchAsked(2.0, (0, 2), mem_mib))
    assert again.story() == scheduler.story()
    assert again.demand_of(2).mem_mib == (mem_mib or DEMAND.mem_mib)
    assert json.loads(json.dumps(asked.detail)) == ([[0, 2], mem_mib] if mem_mib else [0, 2])


def test_all_that_is_not_launched_asks_for_what_the_job_does_now(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 5, DEMAND))
    scheduler.handle(RelaunchAsked(0.0, (3,), 400.0))
    offer(scheduler, cpus=1)  # 0 runs
    scheduler.handle(DemandChanged(0.0, Resources(1, 300), 2))
    scheduler.check()
    end(scheduler, 0)
    scheduler.handle(RelaunchAsked(0.0, (0,)))
    assert launched(offer(scheduler, mem_mib=10_000)) == dict.fromkeys(range(5), 300.0)


def test_what_is_launched_already_grows_from_what_the_job_asks_for_now() -> None:
    scheduler = Scheduler(rules=Rules(mem_most_mib=1000))
    scheduler.handle(TasksAdded(0.0, 1, DEMAND))
    offer(scheduler)
    scheduler.handle(DemandChanged(0.0, Resources(1, 300)))
    end(scheduler, 0, reason=Reason.MEMORY)
    assert launched(offer(scheduler)) == {0: 600.0}
    scheduler.check()


def test_a_replay_brings_a_changed_demand_back_and_calls_after_it_have_it(tmp_path: Path, scheduler: Scheduler) -> None:
    now = Resources(2, 300, 10)
    journal = Journal(tmp_path)
    try:
        with journal.writing():
            numbers = journal.numbers()
            journal.add_submission(next(numbers), 0, 3, 1.0, {})
            journal.add_entries([(next(numbers), entry) for entry in entries_of(DemandChanged(2.0, now, 7))])
            journal.add_submission(next(numbers), 3, 2, 3.0, {})
        again = Scheduler(rules=scheduler.rules)
        replay(journal, again, DEMAND, 0)
    finally:
        journal.close()
    scheduler.handle(TasksAdded(1.0, 3, DEMAND))
    scheduler.handle(DemandChanged(2.0, now, 7))
    scheduler.handle(TasksAdded(3.0, 2, now, 7))
    assert again.story() == scheduler.story()
    assert {again.demand_of(task) for task in range(5)} == {now}
