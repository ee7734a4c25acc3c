"""What the local engine alone can meet."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.core.events import KillAsked
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.engines.local import engine as local
from stratos_jupyter.backend.engines.local import executor_link, orphans
from stratos_jupyter.backend.engines.local.address import local_cpus
from stratos_jupyter.backend.engines.local.executor_link import ExecutorProcess
from stratos_jupyter.errors import EngineError
from tests.contract.conftest import Run
from tests.support.waiting import until


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run("local", tmp_path)
    yield run
    run.check()
    run.end()


def test_an_executor_that_cannot_start_is_said_so_and_costs_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    start = executor_link._START
    monkeypatch.setattr(executor_link, "_START", "raise SystemExit('no executor today')")
    run.add("echo a", "echo b")
    until(lambda: any("no executor today" in notice for view in run.views for notice in view.notices))
    assert run.state(0) is TaskState.QUEUED
    monkeypatch.setattr(executor_link, "_START", start)
    run.wait()
    assert sorted((row.task, row.attempt, row.stdout) for row in run.rows()) == [(0, 1, b"a\n"), (1, 1, b"b\n")]
    assert run.views[-1].attempts_lost == 0


def test_losing_executors_again_and_again_loses_no_task(run: Run) -> None:
    run.add(*["sleep 1000"] * 4)
    for losses in range(1, 6):
        until(lambda: run.state(0) is TaskState.RUNNING and run.state(1) is TaskState.RUNNING)
        (up,) = run.loop.engine._executors
        os.kill(up.pid, signal.SIGKILL)
        until(lambda lost=2 * losses: run.driver.call(run.loop.view).attempts_lost == lost)
    assert run.state(3) is TaskState.QUEUED
    run.post(KillAsked)
    run.wait()


def test_what_a_killed_executor_ran_is_ended_before_it_runs_again(run: Run) -> None:
    run.add("sleep 1000")
    until(lambda: run.state(0) is TaskState.RUNNING)
    (pid,) = orphans.bearers(run.folder)
    os.kill(next(iter(run.loop.engine._executors)).pid, signal.SIGKILL)
    until(
        lambda: run.state(0) is TaskState.RUNNING and run.driver.call(lambda: run.loop.scheduler.table.attempt(0)) == 2
    )
    until(lambda: pid not in orphans.bearers(run.folder), what=f"process {pid} to be gone")
    run.post(KillAsked)
    run.wait()


def test_a_socket_folder_that_somebody_removed_hangs_nothing(run: Run) -> None:
    run.add("sleep 1000")
    until(lambda: run.state(0) is TaskState.RUNNING)
    up = next(iter(run.loop.engine._executors))
    shutil.rmtree(up.folder)
    os.kill(up.pid, signal.SIGKILL)
    until(lambda: run.driver.call(run.loop.view).attempts_lost == 1)
    run.post(KillAsked)
    run.wait()


def test_every_slot_that_comes_free_is_used_at_once(tmp_path: Path) -> None:
    run = Run("local", tmp_path, slots=8)
    barrier = f"echo >> {tmp_path}/up; until [ -e {tmp_path}/go ]; do sleep 0.01; done"
    run.add(*[barrier] * 8, *["sleep 1000"] * 8)
    until(lambda: (tmp_path / "up").exists() and len((tmp_path / "up").read_text()) == 8)
    (tmp_path / "go").touch()
    until(lambda: [run.state(task) for task in range(8, 16)] == [TaskState.RUNNING] * 8)
    run.post(KillAsked)
    run.wait()
    assert run.site.machine.free == run.site.machine.total
    run.check()
    run.end()


def test_idle_executors_end_and_come_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "IDLE_S", 0.05)
    run.add("echo a")
    run.wait()
    until(lambda: not list(run.loop.engine._executors))
    run.add("echo b")
    run.wait()
    assert [row.stdout for row in run.rows()] == [b"a\n", b"b\n"]


@pytest.mark.parametrize("attaching", [False, True])
def test_what_was_handed_back_once_is_not_handed_back_again(run: Run, attaching: bool) -> None:
    """It is told again when its acknowledgement was lost, and has been launched anew meanwhile."""
    run.add("sleep 1000")
    until(lambda: run.state(0) is TaskState.RUNNING)
    engine = run.loop.engine

    def tell(batch: int) -> None:
        slots, recovery = engine._slots, engine._recovery
        where = dict(slots._where)
        if attaching:  # what executors have is not known yet, only what the journal says
            slots._where, recovery._launched = {}, where
        recovery.deliver([[0, 1, batch, "returned", None, None, 0.0, 0.0, 0.0, None, None, ""]], lambda: None)
        slots._where, recovery._launched = where, {}

    (batch,) = engine._slots._where.values()
    run.driver.call(lambda: tell(batch + 1))
    run.check()
    assert run.state(0) is TaskState.RUNNING
    assert run.driver.call(lambda: [what for _, what, _ in run.journal.entries() if what == "returned"]) == []
    run.post(KillAsked)
    run.wait()


def test_short_commands_are_lined_up(run: Run) -> None:
    run.add(*["true"] * 400)
    run.wait()
    launches = [detail for _, act, detail in run.journal.entries() if act == "launch"]
    assert len(launches) < 100  # many commands a launch, once it is known that they are short


@pytest.mark.parametrize(
    ("master", "cpus"), [("local", None), ("local[*]", None), ("local[4]", 4.0), ("local[0.5]", 0.5)]
)
def test_a_master_names_its_cores(master: str, cpus: float | None) -> None:
    assert local_cpus(master) == cpus


@pytest.mark.parametrize("master", ["local[]", "local[0]", "local[-1]", "local[two]", "locally", "local[4] "])
def test_what_is_no_local_engine_is_said_so(master: str) -> None:
    with pytest.raises(EngineError, match=r"write local, or local\[4\]"):
        local_cpus(master)


def test_it_says_what_its_slots_do(run: Run) -> None:
    run.add(*["sleep 1000"] * 5)
    until(lambda: run.state(1) is TaskState.RUNNING)
    assert run.driver.call(lambda: run.loop.why(4)) == [
        "all 2 cores of this machine are busy with this job's tasks",
        "task 4 is 3rd in the queue",
    ]
    (line,) = run.driver.call(lambda: run.loop.why(0))
    assert line.startswith(f"it has run on {os.uname().nodename} for ")
    run.post(KillAsked)
    run.wait()
    assert run.driver.call(lambda: run.loop.why(4)) == ["it has ended: killed"]


def test_a_link_that_is_let_go_before_it_is_up_leaves_no_socket(tmp_path: Path) -> None:
    async def hold_and_let_go() -> ExecutorProcess:
        one = ExecutorProcess(tmp_path / "executors" / "1", lambda *_: None, lambda _: None)
        one.let_go()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert one.connection.fileno() < 0
        return one

    one = asyncio.run(hold_and_let_go())
    assert one.gone.done()
    assert one._process is not None
    one.kill()
    one._process.wait()
    one._remove_folder()
