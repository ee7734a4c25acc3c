"""Submitting, watching and ending jobs through the session."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from stratos_jupyter import session as sessions
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.backend.inputs.filesystems import FileSystems
from stratos_jupyter.backend.spec.commands import explicit_commands, glob_commands, template_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec, OutputMode
from stratos_jupyter.errors import JobNotFound, JournalError, SpecError
from stratos_jupyter.session import Session
from tests.support.waiting import until


def marked(mark: str) -> list[int]:
    """Return the processes whose environment holds `mark`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if mark.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_the_newest_run_of_a_name_is_found(session: Session) -> None:
    with pytest.raises(JobNotFound, match="no job has been submitted"):
        session.job()
    first = session.submit(JobSpec("a"), explicit_commands(["true"]))
    second = session.submit(JobSpec("a"), explicit_commands(["true"]))
    other = session.submit(JobSpec("b"), explicit_commands(["true"]))
    assert (first.run, second.run, other.run) == (1, 2, 1)
    assert session.job("a") is second
    assert session.job() is other
    with pytest.raises(JobNotFound, match="no job 'c' here; there is a, b"):
        session.job("c")


def test_what_is_kept_is_the_users_alone(session: Session, state_home: Path) -> None:
    job = session.submit(JobSpec("private", output=OutputMode.MESOS), explicit_commands(["echo x"]))
    assert job.wait(20)
    for folder, _, files in os.walk(state_home):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700, folder
        for name in files:
            assert stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) & 0o077 == 0, name


def test_the_lease_names_this_process(session: Session, state_home: Path) -> None:
    session.submit(JobSpec("held"), explicit_commands(["true"]))
    lease = json.loads((state_home / "jobs" / "held" / "1" / "lease.json").read_text())
    assert lease["pid"] == os.getpid()


def test_values_of_the_environment_reach_the_task_and_no_file(
    session: Session, state_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_KERNEL", "kernel-secret-1")
    spec = JobSpec("env", env=(("GIVEN", "given-secret-2"), ("TOKEN_OF_KERNEL", None)))
    job = session.submit(spec, explicit_commands(['test "$GIVEN $TOKEN_OF_KERNEL" = "given-secret-2 kernel-secret-1"']))
    assert job.wait(20)
    assert job.state(0) is TaskState.FINISHED
    session.close()
    kept = b"".join(path.read_bytes() for path in state_home.rglob("*") if path.is_file())
    assert b"secret" not in kept


def test_a_command_finds_what_it_was_promised(session: Session, tmp_path: Path) -> None:
    (tmp_path / "in put").touch()
    spec = JobSpec("vars", threads=1.0, cwd=str(tmp_path))
    body = "echo %f%; echo $STRATOS_FILE; echo $STRATOS_THREADS $OMP_NUM_THREADS; pwd; echo $STRATOS_TASK"
    job = session.submit(spec, glob_commands(body, FileSystems().expand("in*", str(tmp_path))))
    assert job.wait(20)
    assert job.outputs([0]) == [f"in put\nin put\n1 1\n{tmp_path}\nvars-1.0.1\n"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (JobSpec(cwd="/nowhere/at/all"), "working directory /nowhere/at/all does not exist"),
        (JobSpec(env=(("NOT_SET_ANYWHERE", None),)), "NOT_SET_ANYWHERE is not set here"),
        (JobSpec(where=(("rack", "r1"),)), "no node has rack=r1"),
        (JobSpec(threads=1e6), "asks for 1e.06 cpus"),
        (JobSpec(timeout_s=0), "timeout must be above 0"),
        (JobSpec(output=OutputMode.DISK), "--log-dir"),
        (JobSpec(output=OutputMode.DISK, log_directory="/proc/nope"), "log directory /proc/nope cannot be made"),
        (JobSpec(columns=(("state", "int"),)), "column 'state' is there already"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_starts(
    session: Session, state_home: Path, spec: JobSpec, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        session.submit(spec, explicit_commands(["true"]))
    assert not (state_home / "jobs").exists()


def test_a_home_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="set STRATOS_HOME to another"):
        Session(tmp_path / "file" / "home").submit(JobSpec(), explicit_commands(["true"]))


def test_subscribers_see_each_view_until_they_leave(session: Session) -> None:
    views: list[JobView] = []
    job = session.submit(JobSpec(), keep_open=True)
    leave = job.subscribe(views.append)
    job.add(explicit_commands(["true"] * 10), session.command_env(job.spec))
    assert job.wait(20)
    assert views[-1].done == 10
    leave()
    count = len(views)
    job.add(explicit_commands(["true"]), session.command_env(job.spec))
    assert job.wait(20)
    assert len(views) == count


def test_failures_are_grouped_and_what_runs_again_is_left_out(session: Session, tmp_path: Path) -> None:
    body = (
        f"test -e {tmp_path}/go.%c1% && exit; test -e {tmp_path}/wait && sleep 1000;"
        " echo cannot open /dfs/snap_%c1% >&2; exit 1"
    )
    job = session.submit(JobSpec(), template_commands(body, ["1", "2", "3"]))
    assert job.wait(20)
    assert [(group.label, group.tasks) for group in job.failure_groups()] == [
        ("exit 1: cannot open <path>", (0, 1, 2)),
    ]  # fmt: skip
    (tmp_path / "wait").touch()
    job.relaunch([1])
    until(lambda: job.state(1) is TaskState.RUNNING)
    assert [group.tasks for group in job.failure_groups()] == [(0, 2)]
    job.kill([1])
    assert job.wait(20)
    assert [(group.label, group.tasks) for group in job.failure_groups()] == [
        ("exit 1: cannot open <path>", (0, 2)),
        ("killed", (1,)),
    ]
    for value in "13":
        (tmp_path / f"go.{value}").touch()
    job.relaunch([0, 2])
    until(lambda: job.view[TaskState.FINISHED] == 2)
    assert [(group.label, group.tasks) for group in job.failure_groups()] == [("killed", (1,))]


def test_looking_while_tasks_run_again_loses_none(session: Session) -> None:
    job = session.submit(JobSpec(), explicit_commands(["false"] * 200))
    assert job.wait(20)
    job.relaunch(range(200))
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that results are looked at between their commit and the scheduler's turn
    try:
        while not job.wait(0.0):
            job.results()
    finally:
        sys.setswitchinterval(interval_s)
    assert job.wait(20)
    assert job.df.attempt.tolist() == [2] * 200
    assert [group.count for group in job.failure_groups()] == [200]


@pytest.mark.parametrize("output", list(OutputMode))
def test_failures_say_what_is_kept_of_them(session: Session, tmp_path: Path, output: OutputMode) -> None:
    spec = JobSpec(output=output, log_directory=str(tmp_path / "logs") if output is OutputMode.DISK else "")
    job = session.submit(spec, explicit_commands(["echo bad; echo no header >&2; exit 3"] * 2))
    assert job.wait(20)
    said = "" if output is OutputMode.NONE else ": no header"
    assert [(group.label, group.tasks) for group in job.failure_groups()] == [(f"exit 3{said}", (0, 1))]


def test_a_wait_can_time_out(session: Session) -> None:
    job = session.submit(JobSpec(), explicit_commands(["sleep 1000"]))
    assert job.wait(0.05) is False
    job.kill()
    assert job.wait(20) is True


def test_an_interrupted_wait_leaves_the_tasks(session: Session, tmp_path: Path) -> None:
    job = session.submit(JobSpec(), explicit_commands([f"echo > {tmp_path}/up; sleep 1000"]))
    until(lambda: (tmp_path / "up").exists())
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        job.wait(30)
    timer.join()
    assert job.state(0) is TaskState.RUNNING
    job.kill()
    assert job.wait(20)


def test_closing_the_session_leaves_no_process(session: Session, tmp_path: Path) -> None:
    mark = f"MARK={tmp_path.name}"
    spec = JobSpec("gone", env=(("MARK", tmp_path.name),))
    job = session.submit(spec, explicit_commands(["setsid sleep 1000 & sleep 1000", "trap '' TERM; sleep 1000"]))
    until(lambda: job.view[TaskState.RUNNING] >= 1 and len(marked(mark)) >= 2)
    session.close()
    until(lambda: not marked(mark), what="every process of the job to be gone")


def test_an_executor_that_is_killed_costs_only_what_ran(session: Session, tmp_path: Path) -> None:
    body = f"echo >> {tmp_path}/ran.%c%; test -e {tmp_path}/go || sleep 1000"
    job = session.submit(JobSpec(master="local[2]"), template_commands(body, ["a", "b", "c"]))
    until(lambda: (tmp_path / "ran.a").exists() and (tmp_path / "ran.b").exists())
    (tmp_path / "go").touch()
    (link,) = job._loop.engine._executors
    os.kill(link.pid, signal.SIGKILL)
    assert job.wait(20)
    assert [len((tmp_path / f"ran.{name}").read_text()) for name in "abc"] == [2, 2, 1]
    assert list(job.df.attempt) == [2, 2, 1]
    assert job.view.attempts_lost == 2
    assert "ended unexpectedly" in job.view.notices[-1]


def test_a_hundred_thousand_tasks_are_light(tmp_path: Path, state_home: Path) -> None:
    code = """
import resource
from stratos_jupyter.backend.spec.commands import glob_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.session import Session
session = Session()
names = [f"/data/snapshots/run_{i:06d}.dat" for i in range(100_000)]
warm = session.submit(JobSpec("warm"), glob_commands("true %f%", names[:1]))
assert warm.wait(20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
job = session.submit(JobSpec("many"), glob_commands("sleep 1000 # %f%\\n: %f%", names))
assert job.view.total == 100_000
while not job._loop.scheduler.table.counts[0]:
    job.wait(0.01)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
session.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100 * 1024


def test_a_cancelled_await_leaves_other_waits_alone(session: Session) -> None:
    job = session.submit(JobSpec(), explicit_commands(["sleep 1000"]))

    async def give_up() -> None:
        await asyncio.wait_for(job, 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    job.kill()
    assert job.wait(20)


def test_a_forked_child_has_a_session_of_its_own(session: Session) -> None:
    job = session.submit(JobSpec(), explicit_commands(["sleep 1000"]))
    until(lambda: job.view[TaskState.RUNNING] == 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is what this is about
        child = os.fork()
    if not child:
        code = 1
        try:
            own = sessions.current()
            mine = own.submit(JobSpec("child"), explicit_commands(["echo x"]))
            if own is not session and mine.wait(20) and mine.outputs([0]) == ["x\n"]:
                code = 0
            sessions.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert job.state(0) is TaskState.RUNNING
    job.kill()
    assert job.wait(20)
