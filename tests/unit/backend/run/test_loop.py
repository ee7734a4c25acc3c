"""Turns of the loop, one by one, with an engine that does nothing: what is recorded is what the scheduler believes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stratos_jupyter.backend.core.batching import BatchPolicy
from stratos_jupyter.backend.core.decisions import Decision
from stratos_jupyter.backend.core.events import (
    Attached,
    BatchLost,
    Ending,
    Event,
    KillAsked,
    Offer,
    OffersArrived,
    PauseAsked,
    RelaunchAsked,
    ResumeAsked,
    TasksAdded,
    TasksReturned,
)
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.core.scheduler import Scheduler
from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.engines.base import Result
from stratos_jupyter.backend.run.loop import RunLoop
from stratos_jupyter.backend.run.replay import replay
from stratos_jupyter.backend.store.journal import Journal
from stratos_jupyter.errors import JournalError

ONE = Resources(1)


class Idle:
    policy = BatchPolicy(5.0, 100)
    page = ""

    def __init__(self) -> None:
        self.writes_ahead = False
        self.decisions: list[Decision] = []

    def perform(self, decisions: Sequence[Decision]) -> None:
        self.decisions += decisions


class Rig:
    """A loop whose turns a test makes."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.journal = Journal(folder)
        self.adopted: list[tuple[tuple[int, int], Sequence[str]]] = []
        self.refuses = False
        self.engine = Idle()
        self.clock: Callable[[], float] = time.time
        engine: Any = self.engine
        self.it = RunLoop(
            self.journal,
            lambda _: engine,
            self.loop,
            lambda: self.clock(),
            lambda _: None,
            self.adopt,
            rules=Rules(retries=1, retry_delay_s=0.0),
            job_id="x",
            run=1,
            engine_name="idle",
        )

    def adopt(self, origin: tuple[int, int], texts: Sequence[str]) -> None:
        if self.refuses:
            raise ValueError("no")
        self.adopted.append((origin, list(texts)))

    def turn(self, *events: Event) -> None:
        for event in events:
            self.it.post(event)
        self.it._turn()

    def add(self, first: int, count: int, origin: tuple[int, int] | None = None) -> None:
        record = {"kind": "explicit", "commands": ["x"] * count}
        self.it.add(TasksAdded(1.0, count, ONE), first, lambda: record, origin)
        self.turn()

    def offer(self) -> None:
        self.turn(OffersArrived(2.0, (Offer("o", "n", Resources(100)),)))

    def told(self, *results: Result) -> None:
        self.it.post_results(results, lambda: None)

    def state(self, task: int) -> TaskState:
        return self.it.scheduler.table.state(task)

    def counted(self, task: int) -> list[tuple[int, str]]:
        """Attempt and reason of the results of a task that count."""
        return [(row.attempt, row.reason) for row in self.journal.rows() if row.task == task]


def replayed(rig: Rig) -> bytes:
    again = Scheduler(BatchPolicy(5.0, 100), Rules(retries=1, retry_delay_s=0.0))
    replay(rig.journal, again, ONE, 0)
    return again.table.states()


def result(
    task: int, attempt: int, reason: Reason = Reason.EXIT, code: int = 0, commands: tuple[str, ...] = (), path: str = ""
) -> Result:
    return Result(task, attempt, "n", reason, code, 1.0, 2.0, 0.0, 0.0, b"", b"", path, "", 0, 0, "", commands)


def relaunched(task: int, *commands: str) -> Result:
    return result(task, 1, Reason.MONITOR, -15, commands)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.it.scheduler.check()
    rig.journal.close()
    rig.loop.close()


# --- how fast ---


def test_a_pause_says_nothing_about_the_pace_after_it(rig: Rig) -> None:
    now = [1000.0]
    rig.clock = lambda: now[0]

    def later(seconds: float, *results: Result) -> float | None:
        now[0] += seconds
        rig.told(*results)
        rig.turn()
        return rig.it.view().rate_per_s

    rig.add(0, 8)
    rig.offer()
    later(0.0)
    assert later(1.0, result(0, 1), result(1, 1)) == 2.0
    rig.turn(PauseAsked(now[0]))
    assert later(1.0, result(2, 1)) is None
    now[0] += 3600.0
    rig.turn(ResumeAsked(now[0]))
    assert rig.it.view().rate_per_s is None
    assert later(0.5, result(3, 1)) == 2.0


# --- what monitors ask for, and kills ---


def test_nothing_follows_a_task_that_was_killed(rig: Rig) -> None:
    rig.add(0, 1)
    rig.offer()
    rig.turn(KillAsked(3.0, None))
    rig.told(relaunched(0, "echo more"))  # it was on its way
    rig.turn()
    assert rig.adopted == []
    assert rig.state(0) is TaskState.KILLED
    assert not [act for _, act, _ in rig.journal.entries() if act == "spawn"]


@pytest.mark.parametrize("killed", [None, (0,)])
def test_a_kill_reaches_what_is_about_to_become_tasks(rig: Rig, killed: tuple[int, ...] | None) -> None:
    rig.add(0, 1)
    rig.offer()
    rig.told(relaunched(0, "echo more"))
    rig.turn()
    assert rig.adopted == [((0, 1), ["echo more"])]
    rig.turn(KillAsked(3.0, killed))
    rig.add(1, 1, (0, 1))
    assert rig.state(1) is TaskState.KILLED
    assert rig.counted(1) == [(1, "user")]


def test_who_waits_later_waits_for_what_runs_instead(rig: Rig) -> None:
    rig.add(0, 1)
    rig.offer()
    rig.told(relaunched(0, "echo more"))
    rig.turn()
    rig.add(1, 1, (0, 1))
    waits = rig.it.wait(range(1))
    rig.turn()
    assert not waits.done()
    rig.offer()
    rig.told(result(1, 1))
    rig.turn()
    assert waits.result(0)


def test_blank_commands_are_none(rig: Rig) -> None:
    rig.add(0, 1)
    rig.offer()
    rig.told(relaunched(0, "\u00a0", "\x1c", "echo more"))
    rig.turn()
    assert rig.adopted == [((0, 1), ["echo more"])]


def test_commands_that_cannot_be_taken_in_take_no_ending_with_them(rig: Rig) -> None:
    rig.add(0, 2)
    rig.offer()
    rig.refuses = True
    waits = rig.it.wait(None)
    rig.told(relaunched(0, "echo more"), result(1, 1))
    rig.turn()
    assert waits.result(0)
    assert "cannot run: no" in rig.it.view().notices[-1]


# --- what is recorded and what is believed ---


def after_a_loss(rig: Rig) -> None:
    """Attempt 1 was given up for lost, attempt 2 flies."""
    rig.add(0, 1)
    rig.offer()
    rig.turn(BatchLost(3.0, 1))
    rig.offer()


@pytest.mark.parametrize(
    "asked", [lambda: RelaunchAsked(4.0, (0,)), lambda: KillAsked(4.0, (0,))], ids=["relaunch", "kill"]
)
def test_a_task_that_is_handed_back_and_has_a_late_result(rig: Rig, asked: Callable[[], Event]) -> None:
    after_a_loss(rig)
    rig.turn(asked())
    rig.it.post(TasksReturned(5.0, ((0, 2),)))
    rig.told(result(0, 1))
    rig.turn()
    assert len(rig.counted(0)) == int(rig.it.scheduler.table.ended(0))


@pytest.mark.parametrize("together", [False, True])
def test_two_failures_of_one_task_at_once(rig: Rig, together: bool) -> None:
    after_a_loss(rig)
    if together:
        rig.told(result(0, 2, code=1), result(0, 1, code=1))
    else:
        rig.told(result(0, 2, code=1))
        rig.told(result(0, 1, code=1))
    rig.turn()
    assert len(rig.counted(0)) == int(rig.it.scheduler.table.ended(0))


def test_an_ending_that_cannot_be_takes_no_other_with_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rig.add(0, 3)
    rig.offer()
    lifecycle = rig.it.scheduler._lifecycle
    end = lifecycle._end

    def odd(ending: Ending, at_s: float) -> list[Decision]:
        if ending.task == 1:
            raise TypeError("who knows")
        return end(ending, at_s)

    monkeypatch.setattr(lifecycle, "_end", odd)
    rig.told(result(0, 1), result(1, 1), result(2, 1))
    rig.turn()
    assert [rig.state(task) for task in (0, 2)] == [TaskState.FINISHED] * 2
    assert rig.it.view().notices[-1].startswith("internal error: TypeError: who knows; %stratos why ")
    assert "the last events and decisions, oldest first:" in caplog.text
    assert "TasksEnded [(0 1 exit 0 1), (1 1 exit 0 1), " in caplog.text


# --- the disk ---


def test_a_kill_after_a_relaunch_stays_behind_it_while_the_disk_is_full(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.add(0, 1)
    rig.offer()
    rig.told(result(0, 1))
    rig.turn()

    def full(*_: object) -> None:
        raise JournalError("full")

    monkeypatch.setattr(rig.it, "_wait_for_disk", lambda _: None)
    monkeypatch.setattr(rig.journal, "add_entries", full)
    rig.turn(RelaunchAsked(4.0, (0,)), KillAsked(5.0, None))
    monkeypatch.undo()
    rig.turn()
    assert rig.it.scheduler.table.ended(0)


def test_what_cannot_be_recorded_for_whatever_reason_is_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.add(0, 1)
    rig.offer()

    def odd(*_: object) -> None:
        raise TypeError("who knows")

    acknowledged: list[int] = []
    monkeypatch.setattr(rig.it, "_wait_for_disk", lambda why: rig.it.notice(why))
    monkeypatch.setattr(rig.journal, "add_results", odd)
    rig.it.post_results([result(0, 1)], lambda: acknowledged.append(1))
    rig.turn()
    assert "who knows" in rig.it.view().notices[-1]
    assert acknowledged == []
    monkeypatch.undo()
    rig.turn()
    assert acknowledged == [1]
    assert rig.counted(0) == [(1, "exit")]


def test_only_launches_wait_until_they_are_on_disk(rig: Rig) -> None:
    rig.engine.writes_ahead = True
    rig.add(0, 1)
    rig.engine.decisions.clear()
    rig.it.post(OffersArrived(2.0, (Offer("o", "n", ONE), Offer("p", "m", ONE))))
    rig.it.add(TasksAdded(3.0, 1, ONE), 1, lambda: {"kind": "explicit", "commands": ["x"]})
    rig.turn()
    # Offers are wanted in the end, as the scheduler believes.
    assert [type(one).__name__ for one in rig.engine.decisions] == ["Decline", "Suppress", "Revive", "Launch"]


def test_a_path_that_is_no_text_comes_back_as_it_was(rig: Rig) -> None:
    rig.add(0, 1)
    rig.offer()
    rig.told(result(0, 1, path="/data/Z\udcfcrich"))
    rig.turn()
    (row,) = rig.journal.rows()
    assert row.stdout_path == "/data/Z\udcfcrich"


def test_a_result_of_what_is_given_up_in_the_same_turn_is_recorded(rig: Rig) -> None:
    rig.add(0, 2)
    rig.offer()
    number = next(number for number, _, attempts in rig.it.scheduler.launched if (0, 1) in attempts)
    rig.it.post(BatchLost(3.0, number))
    rig.told(result(0, 1))
    rig.turn()
    assert rig.state(0) is TaskState.FINISHED
    assert rig.counted(0) == [(1, "exit")]
    assert replayed(rig) == rig.it.scheduler.table.states()


def test_nothing_is_launched_before_what_an_earlier_process_has_left_is_known(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[Callable[[], object]] = []

    def judge(results: Sequence[Result], take: Callable[[Sequence[Result]], None]) -> bool:
        if results or waiting:
            waiting.append(lambda: take(results))
        return bool(waiting)

    rig.add(0, 1)
    rig.offer()
    monkeypatch.setattr(rig.it._inbox, "_judge", judge)
    rig.told(result(0, 1))
    rig.turn(Attached(3.0))  # nothing runs; the result that came before it is still being judged
    rig.add(1, 1)
    rig.offer()
    assert rig.state(1) is TaskState.QUEUED
    while waiting:
        waiting.pop(0)()
        rig.turn()
    assert rig.state(0) is TaskState.FINISHED
    assert rig.state(1) is TaskState.STAGING
    assert rig.it.scheduler.attempts_lost == 0
    monkeypatch.undo()
    rig.offer()


def test_a_replay_says_when_the_last_task_had_ended(rig: Rig) -> None:
    rig.add(0, 2)
    rig.offer()
    rig.told(result(0, 1))
    rig.turn()
    assert replay(rig.journal, Scheduler(rules=Rules(retries=1)), ONE, 0).ended_at is None
    rig.told(result(1, 1))
    rig.turn()
    assert replay(rig.journal, Scheduler(rules=Rules(retries=1)), ONE, 0).ended_at == 2.0
