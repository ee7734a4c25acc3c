"""An executor that is stopped for a while, as by a suspended machine or a full disk under it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from stratos_jupyter.backend.engines.local import recovery
from stratos_jupyter.backend.engines.local.orphans import bearers
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.backend.store.lease import lives, process_start
from stratos_jupyter.errors import EngineError
from stratos_jupyter.job import Job
from stratos_jupyter.session import Session
from tests.faults.conftest import Start
from tests.faults.kernels import LONG, SUBMIT, executors, is_up
from tests.support.processes import is_stopped
from tests.support.waiting import until

PAUSE_S = 10.0 if LONG else 1.0


def times(work: Path, tasks: int) -> Counter[int]:
    """Count how often each task has run."""
    return Counter({task: len((work / f"ran.{task}").read_text().split()) for task in range(tasks)})


def texts(tasks: int, pause: float = 0.0) -> list[str]:
    return [f"echo x >> ran.{task}; sleep {pause}; echo {task}" for task in range(tasks)]


def socket_of(run: Path) -> Path:
    """Return where kernels connect to the run's one executor."""
    (path,) = run.glob("executors/*/executor.json")
    return Path(json.loads(path.read_text())["folder"]) / "sock"


def attached(session: Session) -> Job | None:
    try:
        return session.attach("demo")
    except EngineError:
        return None  # those at the door have not been answered yet


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    until(lambda: is_stopped(pid))


def test_a_job_outlives_an_executor_that_is_stopped_for_a_while(session: Session, tmp_path: Path) -> None:
    job = session.submit(JobSpec("demo", master="local[2]", cwd=str(tmp_path)), explicit_commands(texts(300)))
    until(lambda: job.view.done > 30)
    stopped = executors(job.folder)
    for pid in stopped:
        stop(pid)
    at_s = time.monotonic()
    until(lambda: time.monotonic() > at_s + PAUSE_S, PAUSE_S + 5)
    done = job.view.done
    until(lambda: time.monotonic() > at_s + PAUSE_S + 0.2, PAUSE_S + 5)
    assert job.view.done == done, "it stands still"
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    assert job.wait(60), job.view
    assert set(times(tmp_path, 300).values()) == {1}
    rows = job.rows()
    assert sorted(row.task for row in rows) == list(range(300))
    assert all(row.stdout == f"{row.task}\n".encode() for row in rows)
    assert job.view.attempts_lost == 0


def test_an_attach_waits_for_an_executor_that_is_stopped(
    session: Session, run_kernel: Start, state_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not LONG:
        monkeypatch.setattr(recovery, "ANSWER_S", 0.3)
    run = state_home / "jobs" / "demo" / "1"
    # long enough that there is one executor
    kernel = run_kernel(SUBMIT.format(cwd=str(tmp_path), texts=texts(12, 0.2)) + "job.wait()")
    is_up(kernel)
    until(lambda: (tmp_path / "ran.3").exists())
    (pid,) = executors(run)
    stop(pid)
    kernel.kill()
    kernel.wait()
    job = session.attach("demo")
    until(lambda: any(f"(pid {pid}) does not answer" in notice for notice in job.view.notices), 20)
    ran = len(list(tmp_path.glob("ran.*")))
    at_s = time.monotonic()
    until(lambda: time.monotonic() > at_s + PAUSE_S, PAUSE_S + 5)
    assert len(list(tmp_path.glob("ran.*"))) == ran, "nothing is launched beside it"
    assert executors(run) == [pid]
    os.kill(pid, signal.SIGCONT)
    assert job.wait(30), job.view
    assert not job.view.notices, "what is no longer so is not shown"
    assert set(times(tmp_path, 12).values()) == {1}
    assert sorted(row.task for row in job.rows()) == list(range(12))
    assert job.view.attempts_lost == 0


def test_a_stopped_executor_at_whose_door_many_wait_is_not_taken_for_a_dead_one(
    session: Session, run_kernel: Start, state_home: Path, tmp_path: Path
) -> None:
    run = state_home / "jobs" / "demo" / "1"
    text = "echo x >> ran.0; until test -e go; do sleep 0.02; done"
    kernel = run_kernel(SUBMIT.format(cwd=str(tmp_path), texts=[text]) + "job.wait()")
    is_up(kernel)
    until(lambda: (tmp_path / "ran.0").exists())
    (pid,) = executors(run)
    stop(pid)
    kernel.kill()
    kernel.wait()
    door = socket_of(run)
    waiting = []
    try:
        while True:
            one = socket.socket(socket.AF_UNIX)
            waiting.append(one)
            one.setblocking(False)
            try:
                one.connect(str(door))
            except BlockingIOError:
                break
        with pytest.raises(EngineError, match="cannot be connected to"):
            session.attach("demo")
    finally:
        for one in waiting:
            one.close()
    assert executors(run) == [pid]
    assert bearers(run)
    os.kill(pid, signal.SIGCONT)
    (tmp_path / "go").touch()
    job = until(lambda: attached(session))
    assert job.wait(30)
    assert set(times(tmp_path, 1).values()) == {1}


def test_one_whose_socket_is_gone_is_ended(
    session: Session, run_kernel: Start, state_home: Path, tmp_path: Path
) -> None:
    """Whoever cleans up temporary files may take it away: nobody can reach that executor any more."""
    run = state_home / "jobs" / "demo" / "1"
    text = "echo x >> ran.0; until test -e go; do sleep 0.02; done"
    kernel = run_kernel(SUBMIT.format(cwd=str(tmp_path), texts=[text]) + "job.wait()")
    is_up(kernel)
    until(lambda: (tmp_path / "ran.0").exists())
    (pid,) = executors(run)
    kernel.kill()
    kernel.wait()
    socket_of(run).unlink()
    before = bearers(run)
    (tmp_path / "go").touch()
    job = session.attach("demo")
    assert job.wait(30)
    assert [row.task for row in job.rows()] == [0]
    until(lambda: not lives(pid, "") or process_start(pid) == "zombie", what="the executor to be gone")
    assert not set(before) & set(bearers(run))
