"""Tasks that misbehave, each for real, and what a user sees of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stratos_jupyter import Processor
from stratos_jupyter.backend.core.rules import Cause, Halt, Rules
from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.engines.local.orphans import bearers
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec, OutputMode
from stratos_jupyter.errors import SpecError
from stratos_jupyter.job import Job
from stratos_jupyter.magic.text import log_text, status_text
from stratos_jupyter.runs.recorded_run import read_run
from stratos_jupyter.session import Session
from stratos_jupyter.settings import current as settings
from tests.clusters.mesos.cluster import Cluster
from tests.support.waiting import until

#: takes so many MiB for good
HOG = f"exec {sys.executable} -c 'import sys, time; x = bytearray({{}} << 20); time.sleep({{}})'"
#: fails on its first attempt only
FLAKY = "case $STRATOS_TASK in *.1) echo 'cannot open header' >&2; exit 3;; esac; echo fine"

Submit = Callable[..., Job]


#: of what a test looks at there is nothing on a cluster
LOCAL = pytest.mark.parametrize("master", ["local[2]"], indirect=True)


@pytest.fixture(params=["local[2]", pytest.param("mesos", marks=pytest.mark.mesos)])
def master(request: pytest.FixtureRequest, session: Session) -> str:
    """Two slots, here and on a cluster."""
    if request.param != "mesos":
        return str(request.param)
    settings().max_cpus = "2"
    cluster: Cluster = request.getfixturevalue("mesos")
    return cluster.master


@pytest.fixture
def submit(session: Session, master: str) -> Submit:
    def run(*commands: str, rules: Rules | None = None, keep_open: bool = False, **fields: Any) -> Job:
        spec = replace(JobSpec("bad", master=master), rules=rules or Rules(), **fields)
        return session.submit(spec, explicit_commands(commands), keep_open=keep_open)

    return run


def story(job: Job, task: int) -> list[tuple[int, str, int | None]]:
    """What became of each attempt of a task."""
    return [(row.attempt, row.reason, row.exit_code) for row in job.log(task).attempts]


def script(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, "utf-8")
    path.chmod(0o755)
    return str(path)


# --- retries ---


def test_what_fails_once_is_tried_again(submit: Submit) -> None:
    job = submit(FLAKY, "exit 3", rules=Rules(retries=1, retry_delay_s=0.01))
    assert job.wait(20)
    assert story(job, 0) == [(1, "exit", 3), (2, "exit", 0)]
    assert story(job, 1) == [(1, "exit", 3), (2, "exit", 3)]
    frame = job.df
    assert frame.attempt.tolist() == [2, 2]
    assert frame.losses.tolist() == [0, 0]
    assert frame.state.tolist() == ["FINISHED", "FAILED"]
    assert frame.stdout[0] == "fine\n"
    assert "cannot open header" in log_text(job, job.log(0))  # the first attempt's, told apart


def test_only_what_the_user_wants_is_tried_again(submit: Submit) -> None:
    rules = Rules(retries=1, retry_delay_s=0.01, retry_on=(Cause(Reason.EXIT, 3), Cause(Reason.SIGNAL)))
    job = submit("exit 3", "exit 4", "kill -9 $$", rules=rules)
    assert job.wait(20)
    assert [len(story(job, task)) for task in range(3)] == [2, 1, 2]


@LOCAL
def test_a_lost_executor_spends_no_retry(submit: Submit) -> None:
    job = submit("sleep 1000", rules=Rules(retries=0))
    until(lambda: job.state(0) is TaskState.RUNNING)
    engine: Any = job._loop.engine
    next(iter(engine._executors)).kill()
    until(lambda: job._loop.scheduler.table.attempt(0) == 2 and job.state(0) is TaskState.RUNNING)
    job.kill()
    assert job.wait(20)
    assert story(job, 0) == [(1, "lost", None), (2, "user", -15)]
    assert job.df.losses.tolist() == [1]
    assert job.df.attempt.tolist() == [2]


def test_relaunching_all_that_failed(submit: Submit, tmp_path: Path) -> None:
    job = submit(*[f"test -e {tmp_path}/ready"] * 3, "true", "kill -9 $$")
    assert job.wait(20)
    assert job.failed() == (0, 1, 2, 4)
    (tmp_path / "ready").touch()
    assert job.relaunch() == 4
    assert job.wait(20)
    assert job.df.state.tolist() == ["FINISHED"] * 4 + ["FAILED"]
    assert job.df.attempt.tolist() == [2, 2, 2, 1, 2]


# --- limits ---


def test_one_that_takes_too_much_memory_ends_and_its_neighbours_do_not(submit: Submit) -> None:
    job = submit(HOG.format(300, 1000), "sleep 0.5; echo fine", "echo after", mem_mib=64.0)
    assert job.wait(30)
    assert job.df.reason.tolist() == ["memory", "exit", "exit"]
    assert job.df.state.tolist() == ["FAILED", "FINISHED", "FINISHED"]
    assert "--mem" in job.log(0).attempts[0].note


@pytest.mark.parametrize("command", [HOG.format(150, 0), f"({HOG.format(150, 0)}); echo on", f"{HOG.format(150, 0)} &"])
def test_memory_is_doubled_until_it_is_enough(submit: Submit, command: str) -> None:
    """Also where the script goes on, and where it is in the background."""
    job = submit(command, mem_mib=64.0, rules=Rules(mem_most_mib=512.0))
    assert job.wait(30)
    assert [reason for _, reason, _ in story(job, 0)] == ["memory", "memory", "exit"]
    assert job.df.state.tolist() == ["FINISHED"]


def test_equal_tasks_end_alike(submit: Submit) -> None:
    job = submit(*[HOG.format(300, 0)] * 20, mem_mib=100.0)
    assert job.wait(60)
    assert job.df.reason.tolist() == ["memory"] * 20


def test_one_that_writes_too_much_ends(submit: Submit) -> None:
    fill = "cd $STRATOS_SANDBOX && dd if=/dev/zero of=big bs=1M count=50 2>/dev/null; sleep 1000"
    job = submit(fill, "echo fine", disk_mib=10.0)
    assert job.wait(30)
    assert job.df.reason.tolist() == ["disk", "exit"]
    assert "--disk" in job.log(0).attempts[0].note


# --- the background ---


def test_what_is_in_the_background_is_waited_for_and_said(submit: Submit, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    job = submit(f"(read x < {tmp_path}/gate || :; echo late) & echo first", "setsid sleep 1000 & sleep 0.2")
    until(lambda: "waiting for 1 background process: " in job.why(0))
    assert job.why(0).startswith("It has run on ")
    assert "so far: waiting for 1 background process: " in log_text(job, job.log(0))
    assert job.log(0).stdout == "first\n"
    (tmp_path / "gate").write_text("")
    assert job.wait(30)
    assert job.df.state.tolist() == ["FINISHED", "FINISHED"]
    assert job.df.stdout[0] == "first\nlate\n"
    assert job.log(1).attempts[0].note == "1 process that it left behind was ended: sleep"
    said = "1 process that a task left behind was ended, the first by task 1; %stratos log bad 1 names it"
    assert said in status_text(job.view)
    assert read_run(job._journal).replayed.left_behind == 1


@pytest.mark.parametrize("bound", [{"linger_s": 0.5}, {"timeout_s": 1.0}], ids=["linger", "timeout"])
def test_bound_of_waiting_is_a_failure_that_names_what_was_waited_for(submit: Submit, bound: dict[str, Any]) -> None:
    job = submit("sleep 1000 & echo first", "echo after", **bound)
    assert job.wait(30)
    assert job.df.state.tolist() == ["FAILED", "FINISHED"]
    assert job.df.reason.tolist() == ["timeout", "exit"]
    assert job.df.stdout.tolist() == ["first\n", "after\n"]
    assert " for 1 background process: sleep (pid " in job.log(0).attempts[0].note


def test_no_time_to_linger_ends_the_background(submit: Submit) -> None:
    job = submit("sleep 1000 & echo first", linger_s=0.0)
    assert job.wait(30)
    assert job.df.state.tolist() == ["FINISHED"]
    assert job.log(0).attempts[0].note == "1 process that it left behind was ended: sleep"


@LOCAL
def test_lost_executor_takes_the_background_of_its_tasks_along(submit: Submit) -> None:
    job = submit("sleep 1000 & true", linger_s=None)
    until(lambda: "waiting for" in job.why(0))
    before = bearers(job.folder)
    engine: Any = job._loop.engine
    next(iter(engine._executors)).kill()
    until(lambda: job._loop.scheduler.table.attempt(0) == 2 and "waiting for" in job.why(0))
    assert not set(before) & set(bearers(job.folder))
    job.kill()
    assert job.wait(20)
    assert [reason for _, reason, _ in story(job, 0)] == ["lost", "user"]


def test_kill_of_one_that_waits(submit: Submit) -> None:
    job = submit("sleep 1000 & true")
    until(lambda: "waiting for" in job.why(0))
    job.kill()
    assert job.wait(30)
    assert story(job, 0) == [(1, "user", 0)]


def test_one_that_takes_much_longer_than_the_others_ends(submit: Submit) -> None:
    job = submit(*["true"] * 6, "sleep 1000", rules=Rules(timeout_share=2.0))
    assert job.wait(30)
    assert job.df.reason.tolist() == ["exit"] * 6 + ["timeout"]


def test_what_no_node_could_ever_give_is_refused_at_once(session: Session) -> None:
    with pytest.raises(SpecError, match="the largest node"):
        session.check(JobSpec("big", mem_mib=64.0, rules=Rules(mem_most_mib=1e9)))


# --- monitors ---

WATCH = "#!/bin/sh\ncase $2 in *bad*) echo stratos_relaunch 7;; esac\n"
INSTEAD = '#!/bin/sh\necho "echo instead $1"\necho\nprintf \'echo and %s\\n\' "$1"\n'


@pytest.fixture
def watched(tmp_path: Path) -> dict[str, Any]:
    return {
        "monitor": script(tmp_path, "watch", WATCH),
        "relauncher": script(tmp_path, "instead", INSTEAD),
        "update_interval_s": 0.1,
    }


@pytest.mark.parametrize("output", ["scheduler", "mesos", "none", "disk"])
def test_a_monitor_ends_a_task_and_others_run_instead(
    submit: Submit, watched: dict[str, Any], output: str, tmp_path: Path
) -> None:
    job = submit(
        "echo bad; sleep 1000", "echo good", output=OutputMode(output), log_directory=str(tmp_path / "logs"), **watched
    )
    assert job.wait(30)
    frame = job.df
    assert frame.command.tolist() == ["echo bad; sleep 1000", "echo good", "echo instead 7", "echo and 7"]
    assert frame.reason.tolist() == ["monitor", "exit", "exit", "exit"]
    assert frame.state.tolist() == ["KILLED", "FINISHED", "FINISHED", "FINISHED"]
    assert frame.origin.isna().tolist() == [True, True, False, False]
    assert frame.origin[2:].tolist() == [0, 0]
    assert "instead of it: 2-3" in log_text(job, job.log(0))
    assert "because of task 0" in log_text(job, job.log(2))
    acts = [(act, detail) for _, act, detail in job._journal.entries() if act == "spawn"]
    assert acts == [("spawn", [0, 1, ["echo instead 7", "echo and 7"]])]
    assert job._journal.submissions()[1][3]["origin"] == [0, 1]


def test_whoever_waits_for_a_task_waits_for_what_runs_instead(watched: dict[str, Any], session: Session) -> None:
    with Processor(
        "local[2]", monitor=watched["monitor"], relauncher=watched["relauncher"], update_interval=0.1, job_id="wait"
    ) as job:
        job.explicit_batch(["echo bad; sleep 1000"])
        assert job.get_results() == ["bad\n", "instead 7\n", "and 7\n"]
        job.explicit_stream(["echo bad; sleep 1000", "echo good"])
        stream = job.stream
        assert stream is not None
        assert job.wait()
        assert stream.count_total_tasks() == 4
        assert sorted(stream.get_results()) == ["and 7\n", "bad\n", "good\n", "instead 7\n"]
        assert stream.get_command(5) == "echo instead 7"


def test_a_monitors_trouble_is_told_and_harms_nobody(submit: Submit, tmp_path: Path) -> None:
    crash = script(tmp_path, "crash", "#!/bin/sh\necho 'no such header' >&2\nexit 4\n")
    job = submit("sleep 1", monitor=crash, update_interval_s=0.1)
    until(lambda: "no such header" in log_text(job, job.log(0)))  # while it runs
    assert job.wait(30)
    assert job.df.state.tolist() == ["FINISHED"]
    assert "no such header" in job.log(0).attempts[0].note


@pytest.mark.parametrize(
    ("make", "cure"),
    [
        (lambda folder: "no_such_program", "there is no monitor"),
        (lambda folder: f"{folder}/gone", "there is no monitor"),
        (lambda folder: str(folder), "is a directory"),
        (lambda folder: _plain(folder, "x", "#!/bin/sh\n"), "chmod [+]x"),
        (lambda folder: script(folder, "x", "echo no interpreter\n"), "#!/bin/sh"),
        (lambda folder: "'unclosed", "quotation"),
    ],
)
def test_a_monitor_that_cannot_run_is_refused_at_once(
    session: Session, tmp_path: Path, make: Callable[[Path], str], cure: str
) -> None:
    with pytest.raises(SpecError, match=cure):
        session.check(JobSpec("m", monitor=make(tmp_path)))


def _plain(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, "utf-8")
    return str(folder / name)


@LOCAL
def test_a_killed_executor_leaves_no_monitor_behind(submit: Submit, tmp_path: Path) -> None:
    hang = script(tmp_path, "hang", f"#!/bin/sh\ntouch {tmp_path}/seen\nexec sleep 1000\n")
    job = submit("exec sleep 1000", monitor=hang, update_interval_s=0.3)
    until((tmp_path / "seen").exists)
    engine: Any = job._loop.engine
    assert len(bearers(job.folder)) == 2
    next(iter(engine._executors)).kill()
    until(lambda: not bearers(job.folder))
    job.kill()
    assert job.wait(20)


# --- pace ---


def test_failures_halt_and_a_resume_goes_on(submit: Submit) -> None:
    job = submit(*["exit 1"] * 30, rules=Rules(halt=Halt(3)))
    until(lambda: job.view.held)
    until(lambda: not job.view[TaskState.RUNNING] and not job.view[TaskState.STAGING])
    assert job.view.unfinished
    assert not job.wait(0.05)
    job.set(halt=None)
    job.resume()
    assert job.wait(20)
    assert job.view.failed == 30


def test_the_number_at_once_is_changed_live(submit: Submit) -> None:
    job = submit(*["sleep 1000"] * 3, rules=Rules(max_tasks=1))
    until(lambda: job.view[TaskState.RUNNING] == 1)
    job.set(max_tasks="2")
    until(lambda: job.view[TaskState.RUNNING] == 2)
    with pytest.raises(SpecError, match=r"bogus cannot be changed.*; --max-tasks: '0'"):
        job.set(bogus=1, max_tasks=0)
    assert job.rules.max_tasks == 2
    job.kill()
    assert job.wait(20)


def test_a_paused_job_can_be_killed(submit: Submit) -> None:
    job = submit("sleep 1000", "sleep 1000", "echo never")
    until(lambda: job.view[TaskState.RUNNING] == 2)
    job.pause()
    assert job.view.held == "paused"
    job.kill()
    assert job.wait(20)
    assert job.df.reason.tolist() == ["user"] * 3
