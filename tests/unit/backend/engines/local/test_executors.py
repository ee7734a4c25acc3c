"""How many executors a job has, and what the user hears of them. No process is started."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.engines.local import executors
from stratos_jupyter.backend.engines.local.executors import ExecutorPool
from stratos_jupyter.backend.engines.local.slots import SlotTable


class Notices:
    """Takes the notices of a pool, as a sink does."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def notice(self, text: str, aloud: bool = True) -> None:
        self.shown.append(text)

    def withdraw(self, text: str) -> None:
        if text in self.shown:
            self.shown.remove(text)


class Executor(SimpleNamespace):
    """An executor that only is there."""

    def __init__(self, record: Path, *_: object, **__: object) -> None:
        record.mkdir(parents=True)
        super().__init__(record=record, up=False, pid=0, stopped=False, gone=Future())

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def learn(self, pid: int) -> None:
        self.pid = pid

    def stop(self) -> None:
        self.stopped = True


def ignore(*_: object) -> None:
    """Take what an executor says, and that it is gone."""


class Rig:
    """A pool for a machine of eight cores."""

    def __init__(self, folder: Path) -> None:
        self.sink, self.slots, self.tries = Notices(), SlotTable(), 0
        self.pool = ExecutorPool(folder, self.sink, self.slots, 8.0, ignore, ignore, self.rested)  # type: ignore[arg-type]

    def rested(self) -> None:
        self.tries += 1

    def open(self, executor: Any) -> None:
        slot = self.slots.open(executor, Resources(1.0))
        self.slots.put(slot, slot.number, [(slot.number, 1)])


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(executors, "ExecutorProcess", Executor)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    return Rig(tmp_path)


def test_slots_spread_over_executors_that_are_up(rig: Rig) -> None:
    first = rig.pool.choose()
    assert [record.name for record in rig.pool.records()] == ["1"]
    rig.open(first)
    rig.open(rig.pool.choose())
    rig.pool.spread()
    assert list(rig.pool) == [first]  # until it is up there is no other
    rig.pool.came_up(first, 7)
    rig.pool.spread()
    _, second = rig.pool
    assert not rig.pool.overloaded(first)
    rig.pool.came_up(second, 8)
    rig.open(first)
    assert rig.pool.overloaded(first)
    assert rig.pool.choose() is second


def test_there_are_no_more_than_are_of_use(rig: Rig) -> None:
    for number in range(10):
        rig.open(rig.pool.choose())
        for executor in rig.pool:
            rig.pool.came_up(executor, number + 1)
        rig.pool.spread()
    assert len(list(rig.pool)) == executors.EXECUTORS_MOST


def test_what_is_said_of_an_executor_goes_with_it(rig: Rig) -> None:
    executor = rig.pool.choose()
    rig.pool.say_trouble(executor, "it has trouble")
    rig.pool.say_trouble(executor, "it has other trouble")
    rig.pool.say_waiting(executor, "task 1 waits")
    assert rig.sink.shown == ["it has other trouble", "task 1 waits"]
    assert rig.pool.remove(executor)
    assert rig.sink.shown == []
    assert list(rig.pool) == []


def test_an_executor_that_was_stopped_does_not_end_unasked(rig: Rig) -> None:
    executor = rig.pool.choose()
    rig.pool.stop()
    assert executor.stopped  # type: ignore[attr-defined]
    assert not rig.pool.gone().done()
    assert not rig.pool.remove(executor)
    executor.gone.set_result(None)
    assert rig.pool.gone().done()
    assert rig.pool.choose() is not executor


def test_what_cannot_be_started_is_tried_again_later_and_later(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def fail(times: int) -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "call_later", lambda wait_s, call: (waits.append(wait_s), call()))
        for _ in range(times):
            rig.pool.rest("no fork")
            assert rig.pool.resting == ""  # over already, by this clock

    asyncio.run(fail(7))
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert rig.tries == 7
    assert rig.sink.shown == ["the executor cannot be started, tried again every 30 s or sooner: no fork"]
    rig.pool.came_up(rig.pool.choose(), 1)
    assert rig.sink.shown == []
