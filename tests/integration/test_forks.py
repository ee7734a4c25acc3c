"""Forks at any moment of a job's life: nothing of the child's own is closed, and no connection of ours stays open."""

from __future__ import annotations

import multiprocessing
import os
import pty
import subprocess
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

import stratos_jupyter
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.job import Job
from stratos_jupyter.session import Session
from tests.support.waiting import until

#: more than a session has descriptors, so that each number it has let go of belongs to one of these
DECOYS = 64


@pytest.fixture(autouse=True)
def forking_beside_threads() -> Iterator[None]:
    """Forking beside threads is what this is about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def in_a_child(check: Callable[[], bool]) -> bool:
    """Say whether something is true in a forked child."""
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if check() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def a_child_keeps_what_is_not_ours() -> bool:
    """Open files under every number that is free, and look whether a forked child still has all of them."""
    decoys = [os.open(os.devnull, os.O_RDONLY) for _ in range(DECOYS)]
    want = os.fstat(decoys[0])

    def intact() -> bool:
        return all(os.path.samestat(os.fstat(decoy), want) for decoy in decoys)

    try:
        return in_a_child(intact)
    finally:
        for decoy in decoys:
            os.close(decoy)


def finished(session: Session, *commands: str, name: str = "forks") -> Job:
    job = session.submit(JobSpec(name), explicit_commands(commands or ["true"]))
    assert job.wait(30)
    return job


def test_a_child_keeps_its_own_at_any_moment(session: Session) -> None:
    assert a_child_keeps_what_is_not_ours()
    running = session.submit(JobSpec("running"), explicit_commands(["sleep 1000"]))
    assert a_child_keeps_what_is_not_ours()
    until(lambda: running.view[TaskState.RUNNING] == 1)
    assert a_child_keeps_what_is_not_ours()
    for _ in range(5):
        finished(session)
        assert a_child_keeps_what_is_not_ours()
    running.kill()
    assert running.wait(30)
    assert a_child_keeps_what_is_not_ours()
    ended = running._loop.engine.close()
    # While its executors end, their connections are closed one after another.
    while not ended.done():
        assert a_child_keeps_what_is_not_ours()
    assert a_child_keeps_what_is_not_ours()
    session.close()
    assert a_child_keeps_what_is_not_ours()


def test_a_child_keeps_no_connection_of_its_parent(session: Session) -> None:
    job = session.submit(JobSpec("held"), explicit_commands(["sleep 1000"]))
    until(lambda: job.view[TaskState.RUNNING] == 1)
    ours = [os.readlink(f"/proc/self/fd/{connection.fileno()}") for connection in job.connections()]
    assert ours

    def none_is_left() -> bool:
        left = set()
        for name in os.listdir("/proc/self/fd"):
            try:
                left.add(os.readlink(f"/proc/self/fd/{name}"))
            except FileNotFoundError:  # the one that listed the folder
                continue
        return not left & set(ours)

    assert in_a_child(none_is_left)
    job.kill()
    assert job.wait(30)
    assert job.state(0) is TaskState.KILLED


def test_programs_start_by_a_pseudo_terminal_after_a_job(session: Session) -> None:
    """As pexpect starts them: the child writes into a pipe of its own when the program cannot be started."""
    for _ in range(5):
        ended = finished(session)._loop.engine.close()
        while True:
            over = ended.done()
            assert starts_in_a_terminal("/bin/true")
            if over:
                break


def starts_in_a_terminal(program: str) -> bool:
    """Say whether a program starts, where the child tells by the end of a pipe that it has."""
    told, tell = os.pipe()
    pid, terminal = pty.fork()
    if not pid:
        try:
            os.fstat(tell)
            os.execv(program, [program])
        finally:
            os._exit(1)
    os.close(tell)
    silent = os.read(told, 1) == b""
    os.close(told)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    return silent and code == 0


def _square(number: int) -> int:
    return number * number


def test_pools_and_programs_beside_jobs(session: Session) -> None:
    job = session.submit(JobSpec("beside"), explicit_commands(["sleep 1000"]))
    fork = multiprocessing.get_context("fork")
    for _ in range(3):
        finished(session)
        with fork.Pool(2) as pool:
            assert pool.map(_square, range(4)) == [0, 1, 4, 9]
        with ProcessPoolExecutor(2, mp_context=fork) as executor:
            assert list(executor.map(_square, range(4))) == [0, 1, 4, 9]
        done = subprocess.run(["echo", "x"], stdout=subprocess.PIPE, text=True, preexec_fn=os.getpid, timeout=30)
        assert done.stdout == "x\n"
    job.kill()
    assert job.wait(30)


def test_a_notebook_goes_on_after_its_jobs(tmp_path: Path, state_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(Path(stratos_jupyter.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))))
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    said: list[str] = []

    def hear(message: Any) -> None:
        if message["msg_type"] == "stream":
            said.append(message["content"]["text"])

    cell = "\n".join(
        [
            "from stratos_jupyter import session",
            "ip = get_ipython()",
            "for n in range(10):",
            "    ip.run_cell_magic('stratos', 'explicit --job hello --wait', 'true')",
            "    ended = session.current().job('hello')._loop.engine.close()",
            "    while not ended.done():",
            "        ip.system('true')",
            "    ip.system('echo said-$((40 + 2))')",
        ]
    )
    try:
        client.execute_interactive("%load_ext stratos_jupyter", timeout=60, output_hook=hear)
        answer = client.execute_interactive(cell, timeout=60, output_hook=hear)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert answer["content"]["status"] == "ok"
    assert "".join(said).count("said-42") == 10
