"""A job goes on in another process: attached, detached, taken over, left."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stratos_jupyter import Processor
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.backend.engines.local import leftovers
from stratos_jupyter.backend.engines.local.host import host_lifetime
from stratos_jupyter.backend.engines.local.orphans import bearers
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.backend.store import run_dirs as home
from stratos_jupyter.backend.store.lease import WANTED, Holder, Lease, holder_of, lives, ourselves, read_lease
from stratos_jupyter.backend.store.progress import read_progress
from stratos_jupyter.errors import EngineError, JobNotFound
from stratos_jupyter.runs import attach as attaching
from stratos_jupyter.runs.cleanup import clean_home
from stratos_jupyter.session import Session
from tests.faults.kernels import executors, is_up, kill, start
from tests.support.waiting import until

SUBMIT = """
from stratos_jupyter.session import current
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
job = current().submit(JobSpec("demo", master="local[2]"), explicit_commands({texts!r}))
print("up", flush=True)
"""
STAY = "job.wait()\n"

Kernel = subprocess.Popen[str]


@pytest.fixture
def kernel(state_home: Path, tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Starts kernels that submit `demo` and stay, or go."""
    kernels: list[Kernel] = []

    def make(*texts: str, more: str = STAY, **env: str) -> Kernel:
        made = start(SUBMIT.format(texts=list(texts)) + more, state_home, env)
        kernels.append(made)
        assert made.stdout is not None
        assert made.stdout.readline() == "up\n"
        return made

    yield make
    for one in kernels:
        one.kill()
        one.communicate()


@pytest.fixture
def folder(state_home: Path) -> Path:
    return state_home / "jobs" / "demo" / "1"


def waiting(go: Path) -> str:
    return f"touch {go}.up; while ! test -e {go}; do sleep 0.02; done; echo late"


def test_what_runs_goes_on_and_what_is_queued_is_launched(
    session: Session, kernel: Callable[..., Kernel], tmp_path: Path, folder: Path
) -> None:
    first = kernel("echo early", waiting(tmp_path / "a"), waiting(tmp_path / "b"), "echo queued")
    until((tmp_path / "b.up").exists)
    first.kill()
    first.wait()
    (tmp_path / "a").touch()  # ends while nobody looks
    until(lambda: len(bearers(folder)) <= 2)
    job = session.attach("demo")
    assert (job.job_id, job.run) == ("demo", 1)
    until(lambda: job.state(2) is TaskState.RUNNING)
    (tmp_path / "b").touch()
    assert job.wait(20)
    frame = job.df
    assert frame.stdout.tolist() == ["early\n", "late\n", "late\n", "queued\n"]
    assert frame.attempt.tolist() == [1, 1, 1, 1]
    assert job.view.attempts_lost == 0
    assert session.attach("demo") is job


def test_inputs_are_sought_before_anything_is_launched(session: Session) -> None:
    spec = JobSpec("demo", "local[1]", hdfs="http://127.0.0.1:9")
    job = session.submit(spec, explicit_commands(["sleep 60", "echo <[hdfs:/x]>"]), keep_open=True)
    job.add(explicit_commands(["true"]), session.command_env(spec))
    session.let_go(job)
    job = session.attach("demo", hold="not yet")
    places = job._loop.scheduler.locality.locations
    assert [places.seeks(task) for task in range(3)] == [True, True, False]
    job.kill()


def test_a_job_that_has_ended_can_be_attached(session: Session, kernel: Callable[..., Kernel], folder: Path) -> None:
    kernel("echo a", "exit 3", more="job.wait()\n").wait()
    job = session.attach("demo")
    assert job.wait(10)
    assert job.df.state.tolist() == ["FINISHED", "FAILED"]
    assert job.relaunch() == 1
    assert job.wait(10)
    assert job.df.attempt.tolist() == [1, 2]


def test_what_is_attached_can_be_killed(session: Session, kernel: Callable[..., Kernel], folder: Path) -> None:
    first = kernel("sleep 1000", "sleep 1000", "sleep 1000")
    until(lambda: len(bearers(folder)) == 2)
    first.kill()
    first.wait()
    job = session.attach("demo")
    job.kill()
    assert job.wait(20)
    assert job.df.reason.tolist() == ["user"] * 3
    assert not bearers(folder)


def test_an_interrupt_of_the_kernel_reaches_no_task(
    session: Session, kernel: Callable[..., Kernel], tmp_path: Path, folder: Path
) -> None:
    first = kernel(waiting(tmp_path / "a"))
    until((tmp_path / "a.up").exists)
    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=20)
    assert "KeyboardInterrupt" in err
    assert "1 running go on, 0 wait; python -m stratos_jupyter attach demo --wait" in err
    assert len(bearers(folder)) >= 1
    job = session.attach("demo")
    (tmp_path / "a").touch()
    assert job.wait(20)
    assert job.df.attempt.tolist() == [1]


def test_a_job_that_is_held_is_refused_and_stolen(
    session: Session, kernel: Callable[..., Kernel], tmp_path: Path, folder: Path
) -> None:
    first = kernel(waiting(tmp_path / "a"))
    until((tmp_path / "a.up").exists)
    with pytest.raises(EngineError, match=f"held by process {first.pid} on .*--steal"):
        session.attach("demo")
    job = session.attach("demo", steal=True)
    assert read_lease(folder) == ourselves()
    (tmp_path / "a").touch()
    assert job.wait(20)
    assert job.df.attempt.tolist() == [1]
    first.communicate(timeout=20)  # it waits no longer


def test_a_holder_that_does_not_answer_is_named(
    session: Session, kernel: Callable[..., Kernel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    first = kernel(waiting(tmp_path / "a"))
    first.send_signal(signal.SIGSTOP)
    os.waitpid(first.pid, os.WUNTRACED)  # all of its threads stand
    monkeypatch.setattr(attaching, "LET_GO_S", 0.2)
    with pytest.raises(EngineError, match=f"process {first.pid} .* does not let go"):
        session.attach("demo", steal=True)
    first.send_signal(signal.SIGCONT)
    (tmp_path / "a").touch()
    monkeypatch.undo()
    job = session.attach("demo", steal=True)
    assert job.wait(20)


def test_a_lease_of_another_host_is_never_judged_dead(
    session: Session, kernel: Callable[..., Kernel], folder: Path
) -> None:
    kernel("echo a").wait()
    elsewhere = '{"host": "foam03", "boot_id": "x", "pid": 7, "started": "1", "keeper": false}'
    (folder / "lease.json").write_text(elsewhere)
    assert holder_of(folder)[0] is Holder.ELSEWHERE
    with pytest.raises(EngineError, match="process 7 on foam03, if that still runs"):
        session.attach("demo")


def test_a_process_of_the_same_number_is_not_the_holder() -> None:
    us = ourselves()
    assert us.holder() is Holder.US
    assert Lease(us.host, us.boot_id, us.pid, "1").holder() is Holder.DEAD
    assert Lease(us.host, "another boot", us.pid, us.started).holder() is Holder.DEAD
    assert Lease(us.host, us.boot_id, os.getppid(), "").holder() is Holder.ALIVE


def test_a_name_that_is_not_kept(session: Session, kernel: Callable[..., Kernel]) -> None:
    with pytest.raises(JobNotFound, match="no job 'demo' is kept"):
        session.attach("demo")
    kernel("true").wait()
    with pytest.raises(JobNotFound, match=r"no job 'other' is kept in .*; there is demo"):
        session.attach("other")


def test_detached_it_goes_on_and_is_taken_back(session: Session, tmp_path: Path, folder: Path) -> None:
    texts = [waiting(tmp_path / "a"), waiting(tmp_path / "b"), "echo queued", waiting(tmp_path / "c")]
    job = session.submit(JobSpec("demo", master="local[2]"), explicit_commands(texts))
    until((tmp_path / "b.up").exists)
    pid = session.detach(job)
    assert session.jobs() == []
    until(lambda: (lease := read_lease(folder)) is not None and lease.pid == pid)
    (tmp_path / "a").touch()
    until((tmp_path / "c.up").exists, what="the keeper to launch what was queued")
    until(lambda: (progress := read_progress(folder)) is not None and progress.done == 2)
    job = session.attach("demo")  # politely: no --steal is needed
    assert not (folder / WANTED).exists()
    (tmp_path / "b").touch()
    (tmp_path / "c").touch()
    assert job.wait(20)
    assert job.df.attempt.tolist() == [1] * 4
    assert job.view.attempts_lost == 0


def test_an_executor_that_ends_while_another_is_silent_takes_nothing_of_it(
    session: Session, tmp_path: Path, folder: Path
) -> None:
    texts = ["true"] * 300 + [waiting(tmp_path / "a"), waiting(tmp_path / "b")]
    job = session.submit(JobSpec("demo", master="local[2]"), explicit_commands(texts))
    until(lambda: (tmp_path / "a.up").exists() and (tmp_path / "b.up").exists() and job.view.done == 300)
    first, second = executors(folder)  # short commands have made a second one start
    session.let_go(job)
    kill(second, signal.SIGSTOP)
    try:
        job = session.attach("demo")
        until(lambda: job._loop.engine._slots.attempts(), what="the first executor to say what it runs")
        assert len(job._loop.engine._slots.attempts()) == 1
        kill(first)
        until(lambda: any("ended unexpectedly" in notice for notice in job.view.notices))
    finally:
        kill(second, signal.SIGCONT)
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    assert job.wait(20)
    assert (job.df.state == "FINISHED").all()
    assert sorted(job.df.attempt[300:]) == [1, 2]


def test_an_executor_that_ends_before_it_has_answered_has_ended_unexpectedly(
    session: Session, tmp_path: Path, folder: Path
) -> None:
    job = session.submit(JobSpec("demo", master="local[2]"), explicit_commands([waiting(tmp_path / "a")]))
    until((tmp_path / "a.up").exists)
    (pid,) = executors(folder)
    session.let_go(job)
    kill(pid, signal.SIGSTOP)
    job = session.attach("demo")
    kill(pid)
    (tmp_path / "a").touch()
    assert job.wait(20)
    assert job.df.attempt.tolist() == [2]
    assert [notice for notice in job.view.notices if "the executor" in notice] == [
        f"the executor (pid {pid}) ended unexpectedly; what it ran runs again"
    ]


@pytest.mark.parametrize(
    ("on_exit", "says"),
    [("leave", "1 running go on"), ("kill", "end with this process"), ("detach", "go on in the background")],
)
def test_what_becomes_of_a_job_when_its_process_ends(
    session: Session, kernel: Callable[..., Kernel], tmp_path: Path, folder: Path, on_exit: str, says: str
) -> None:
    first = kernel(
        waiting(tmp_path / "a"),
        more=f"import pathlib, time\nwhile not pathlib.Path('{tmp_path}/a.up').exists(): time.sleep(0.01)\n",
        STRATOS_ON_EXIT=on_exit,
    )
    _, err = first.communicate(timeout=30)
    assert says in err
    if on_exit == "kill":
        until(lambda: not bearers(folder))
    else:
        assert bearers(folder)
        (tmp_path / "a").touch()
    job = session.attach("demo")
    assert job.wait(20)
    assert job.df.reason.tolist() == ["user" if on_exit == "kill" else "exit"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("", "python -m stratos_jupyter attach demo --wait goes on with them"),
        ("job.pause()\n", "%stratos attach demo and %stratos resume demo, in a notebook, go on with them"),
        (
            "from dataclasses import replace\njob.spec = replace(job.spec, parse='fit', fail_on=(('parse', ''),))\n",
            "%stratos attach demo, in a notebook that defines fit, goes on with them",
        ),
    ],
)
def test_what_goes_on_with_a_job_that_is_left(
    kernel: Callable[..., Kernel], tmp_path: Path, more: str, says: str
) -> None:
    wait = f"import pathlib, time\nwhile not pathlib.Path('{tmp_path}/a.up').exists(): time.sleep(0.01)\n"
    _, err = kernel(waiting(tmp_path / "a"), more=wait + more).communicate(timeout=30)
    (tmp_path / "a").touch()
    assert says in err


def test_a_processor_is_attached(session: Session, kernel: Callable[..., Kernel], tmp_path: Path) -> None:
    first = kernel("echo a", waiting(tmp_path / "b"))
    until((tmp_path / "b.up").exists)
    first.kill()
    first.wait()
    (tmp_path / "b").touch()
    processor = Processor.attach("demo")
    assert processor.wait()
    assert processor.get_results() == ["a\n", "late\n"]


def test_without_a_notebook(session: Session, kernel: Callable[..., Kernel], tmp_path: Path, state_home: Path) -> None:
    first = kernel("echo a", waiting(tmp_path / "b"), "exit 3")
    until((tmp_path / "b.up").exists)

    def shell(*words: str) -> tuple[int, str, str]:
        run = "import sys; from stratos_jupyter.__main__ import main; sys.exit(main(sys.argv[1:]))"
        done = start(f"import sys; sys.argv[1:] = {list(words)!r}\n{run}", state_home)
        out, err = done.communicate(timeout=60)
        return done.returncode, out, err

    code, _, err = shell("attach", "demo")
    assert code == 1
    assert f"held by process {first.pid}" in err
    first.kill()
    first.wait()
    assert "unfinished" in shell("status")[1]
    (tmp_path / "b").touch()
    code, out, err = shell("attach", "demo", "--wait")
    assert (code, err) == (2, "")  # one of them failed
    assert "3/3 done (1 failed)" in out
    assert "ended" in shell("status", "demo")[1]
    assert "clean --yes removes" in shell("clean")[1]
    assert "removed" in shell("clean", "--yes")[1]
    assert not (state_home / "jobs" / "demo").exists()
    code, _, err = shell("attach", "demo")
    assert (code, "no job 'demo' is kept" in err) == (1, True)


def test_cleaning_leaves_alone_what_somebody_needs(
    session: Session, kernel: Callable[..., Kernel], tmp_path: Path, folder: Path
) -> None:
    held = session.submit(JobSpec("held"), explicit_commands(["true"]))
    assert held.wait(20)
    first = kernel(waiting(tmp_path / "a"))
    until((tmp_path / "a.up").exists)
    first.kill()
    first.wait()
    assert clean_home(session.home, really=True) == []
    session.submit(JobSpec("demo"), explicit_commands(["true"]))  # run 2: nobody will attach run 1 any more
    (found,) = clean_home(session.home, really=True)
    assert (found.job_id, found.run, found.executors) == ("demo", 1, 1)
    assert not folder.exists()
    until(lambda: not bearers(folder), what="the executor and its task to be gone")


@pytest.mark.parametrize(
    ("env", "files", "says"),
    [
        ({"SLURM_JOB_ID": "12"}, {}, "Slurm job 12"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {}, "Kubernetes pod"),
        ({}, {".dockerenv": ""}, "container"),
        ({}, {"proc/self/cgroup": "0::/docker/abc\n"}, "container"),
        ({}, {"proc/self/cgroup": "0::/system.slice/jupyter.service\n"}, "service jupyter.service"),
        ({}, {"proc/self/cgroup": "0::/user.slice/user-1000.slice/user@1000.service\n"}, "login session"),
        ({}, {"proc/self/cgroup": "0::/user.slice/user-1000.slice/session-2.scope\n"}, ""),
        ({}, {}, ""),
    ],
)
def test_what_takes_the_executor_along_is_found(
    env: dict[str, str], files: dict[str, str], says: str, tmp_path: Path
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert host_lifetime(env, tmp_path) == says


# --- what an attack found ---


def kill_all(folder: Path, first: Kernel) -> None:
    first.kill()
    first.wait()
    for pid in executors(folder):
        kill(pid)


def test_what_ran_again_after_an_attach_does_not_run_at_every_later_one(
    session: Session, kernel: Callable[..., Kernel], tmp_path: Path, folder: Path
) -> None:
    first = kernel(f"echo x >> {tmp_path}/ran; touch {tmp_path}/up; sleep 0.3")
    until((tmp_path / "up").exists)
    kill_all(folder, first)
    for _ in range(3):
        job = session.attach("demo")
        assert job.wait(20)
        assert job.df.attempt.tolist() == [2]
        session.let_go(job)
    assert (tmp_path / "ran").read_text() == "x\nx\n"


def test_a_launch_that_only_the_executor_knew_is_known_from_then_on(
    session: Session, kernel: Callable[..., Kernel], tmp_path: Path, folder: Path
) -> None:
    first = kernel(waiting(tmp_path / "a"))
    until((tmp_path / "a.up").exists)
    first.kill()
    first.wait()
    with sqlite3.connect(folder / "journal.sqlite") as journal:  # as when the kernel died before it was recorded
        journal.execute("DELETE FROM acts WHERE act = 'launch'")
    journal.close()
    (tmp_path / "a").touch()
    for _ in range(2):
        job = session.attach("demo")
        assert job.wait(20)
        assert job.df.attempt.tolist() == [1]
        session.let_go(job)


def test_a_submission_that_was_cut_off_hides_no_run(
    session: Session, kernel: Callable[..., Kernel], folder: Path
) -> None:
    kernel("echo a").wait()
    (folder.parent / "2" / "sandbox").mkdir(parents=True)  # all that it had made
    job = session.attach("demo")
    assert job.run == 1
    assert job.wait(20)


def test_whoever_looks_at_a_job_that_was_let_go_of_is_told(session: Session) -> None:
    job = session.submit(JobSpec(job_id="demo", master="local[1]"), explicit_commands(["sleep 60"] * 2))
    seen: list[JobView] = []
    job.subscribe(seen.append)
    until(lambda: job.view[TaskState.RUNNING] == 1)
    session.let_go(job)
    until(lambda: job.released and seen[-1].notices)
    assert "%stratos attach demo brings it back" in seen[-1].notices[-1]
    assert job.view.eta_s is None
    session.attach("demo").kill()


def test_a_job_that_was_let_go_of_says_so_and_hangs_nobody(session: Session, tmp_path: Path) -> None:
    job = session.submit(JobSpec("demo", master="local[1]"), explicit_commands([waiting(tmp_path / "a")]))
    until((tmp_path / "a.up").exists)
    session.let_go(job)
    acts: list[Callable[[], object]] = [
        *(job.wait, job.kill, job.relaunch, job.pause, job.resume, job.results, job.rows, job.failure_groups),
        *(lambda: job.log(0), lambda: job.set(max_tasks=1), lambda: session.detach(job)),
    ]
    for act in acts:
        with pytest.raises(JobNotFound, match="is not held by this process"):
            act()
    (tmp_path / "a").touch()
    assert session.attach("demo").wait(20)


def test_a_steal_that_failed_leaves_no_note(
    session: Session, kernel: Callable[..., Kernel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    first = kernel(waiting(tmp_path / "a"))
    first.send_signal(signal.SIGSTOP)
    os.waitpid(first.pid, os.WUNTRACED)  # all of its threads stand
    monkeypatch.setattr(attaching, "LET_GO_S", 0.2)
    with pytest.raises(EngineError, match="does not let go"):
        session.attach("demo", steal=True)
    assert not (folder / WANTED).exists()
    first.send_signal(signal.SIGCONT)


def test_an_older_run_is_not_taken_for_the_newest(session: Session, kernel: Callable[..., Kernel]) -> None:
    old = session.submit(JobSpec("demo"), explicit_commands(["echo old"]))
    assert old.wait(20)
    kernel("echo new").wait()
    job = session.attach("demo")
    assert job.run == 2
    assert job.wait(20)
    assert job.df.stdout.tolist() == ["new\n"]


def test_an_executor_on_another_machine_is_not_taken_for_dead(
    session: Session, kernel: Callable[..., Kernel], tmp_path: Path, folder: Path
) -> None:
    first = kernel(waiting(tmp_path / "a"))
    until((tmp_path / "a.up").exists)
    first.kill()
    first.wait()
    (path,) = folder.glob("executors/*/executor.json")
    here = json.loads(path.read_text())
    path.write_text(json.dumps({**here, "host": "foam03", "boot_id": "another"}))
    with pytest.raises(EngineError, match="foam03"):
        session.attach("demo")
    assert clean_home(session.home, really=True) == []
    path.write_text(json.dumps(here))
    (tmp_path / "a").touch()
    job = session.attach("demo")
    assert job.wait(20)
    assert job.df.attempt.tolist() == [1]


def test_a_keeper_whose_job_is_halted_starts_no_other(
    session: Session, kernel: Callable[..., Kernel], state_home: Path, folder: Path
) -> None:
    first = start(
        "from stratos_jupyter import Processor\n"
        "p = Processor('local[1]', job_id='demo', halt=1)\n"
        "p.explicit_stream(['exit 1'] + ['echo 1'] * 30)\np.job.wait()\n",
        state_home,
        {"STRATOS_ON_EXIT": "detach"},
    )
    _, err = first.communicate(timeout=30)
    pid = int(err.split()[-1])
    until(lambda: not lives(pid, ""), what="the keeper to end")
    assert "go on in the background" not in (folder / "keeper.log").read_text()
    for executor in executors(folder):  # it waits for a kernel that resumes the job
        kill(executor)


def test_a_task_that_waits_for_its_retry_keeps_its_record(
    session: Session, kernel: Callable[..., Kernel], state_home: Path, folder: Path
) -> None:
    first = start(
        "from stratos_jupyter import Processor\n"
        "p = Processor('local[1]', job_id='demo', retries=5, retry_delay='1h')\n"
        "p.explicit_stream(['exit 1'])\n"
        "import time\n"
        "while not p.job.view.attempts_retried: time.sleep(0.01)\n"
        "print('up', flush=True)\np.wait()\n",
        state_home,
    )
    is_up(first)
    kill_all(folder, first)
    session.let_go(session.attach("demo"))  # takes in all that the executor had kept
    assert clean_home(session.home, really=True) == []
    job = session.attach("demo")
    assert job.view.backing_off[0] == 1
    job.kill()
    assert job.wait(20)


def test_what_is_cleaned_cannot_be_taken_meanwhile(
    session: Session, kernel: Callable[..., Kernel], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    kernel("echo a").wait()
    session.let_go(session.attach("demo"))
    tried: list[str] = []

    def try_to_attach(run: Path) -> None:
        with pytest.raises(EngineError, match="has just taken it") as raised:
            session.attach("demo")
        tried.append(str(raised.value))

    monkeypatch.setattr(leftovers, "end_run", try_to_attach)
    assert [found.job_id for found in clean_home(session.home, really=True)] == ["demo"]
    assert tried
    assert not folder.exists()


def test_a_submission_that_was_cut_off_is_cleaned_in_time(
    session: Session, monkeypatch: pytest.MonkeyPatch, state_home: Path
) -> None:
    begun = state_home / "jobs" / "demo" / "1"
    begun.mkdir(parents=True)
    assert clean_home(session.home, really=True) == []  # it may be about to record itself
    monkeypatch.setattr(home, "SUBMITTING_S", -1.0)
    assert [found.why for found in clean_home(session.home, really=True)] == ["its submission was cut off"]
    assert not begun.exists()


def test_a_full_disk_keeps_nobody_from_taking_a_job_over(
    session: Session, kernel: Callable[..., Kernel], tmp_path: Path
) -> None:
    first = kernel(
        waiting(tmp_path / "a"),
        more="from stratos_jupyter import session\nfrom stratos_jupyter.errors import JournalError\n"
        "def full(*_): raise OSError('full')\n"
        "def fails(*_): full_disk.append(1); raise JournalError('full')\n"
        "full_disk = []\nsession.read_lease = lambda _: None\nsession.take_lease = fails\n"
        "import time\nwhile not full_disk: time.sleep(0.01)\n"
        "session.write_progress = full\nprint('up', flush=True)\n" + STAY,
    )
    is_up(first)
    job = session.attach("demo", steal=True)
    (tmp_path / "a").touch()
    assert job.wait(20)


def test_a_keeper_hands_nothing_of_its_own_on(session: Session, tmp_path: Path, folder: Path) -> None:
    show = "echo ${PYTHONPATH-unset} ${STRATOS_HOME-unset}"
    given = f"{os.environ.get('PYTHONPATH', 'unset')} {os.environ['STRATOS_HOME']}\n"
    texts = [waiting(tmp_path / "a"), show]
    job = session.submit(JobSpec("demo", master="local[1]"), explicit_commands(texts))
    until((tmp_path / "a.up").exists)
    session.detach(job)
    (tmp_path / "a").touch()
    until(lambda: (progress := read_progress(folder)) is not None and progress.done == 2)
    assert session.attach("demo").df.stdout[1] == given


def test_an_executor_whose_number_was_not_written_down_is_known_by_its_hello(
    session: Session, kernel: Callable[..., Kernel], tmp_path: Path, folder: Path
) -> None:
    first = kernel(waiting(tmp_path / "a"))
    until((tmp_path / "a.up").exists)
    (pid,) = executors(folder)
    first.kill()
    first.wait()
    (path,) = folder.glob("executors/*/executor.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "pid": 0, "started": ""}))
    job = session.attach("demo")
    until(lambda: executors(folder) == [pid])
    (tmp_path / "a").touch()
    assert job.wait(20)
    assert job.df.attempt.tolist() == [1]


def test_of_many_that_steal_at_once_one_has_it(
    kernel: Callable[..., Kernel], tmp_path: Path, state_home: Path, folder: Path
) -> None:
    kernel(f"echo x >> {tmp_path}/ran; " + waiting(tmp_path / "a"))
    until((tmp_path / "a.up").exists)
    steal = (
        "from stratos_jupyter.session import current\n"
        "from stratos_jupyter.errors import EngineError, JobNotFound\n"
        "try:\n    job = current().attach('demo', steal=True)\n"
        "    print('ended' if job.wait() else 'let go', job.view.attempts_lost)\n"
        "except EngineError as error:\n    print('refused', error)\n"
        "except JobNotFound as error:\n    print('let go', error)\n"  # before it could wait
    )
    thieves = [start(steal, state_home) for _ in range(3)]
    until(lambda: (lease := read_lease(folder)) is not None and lease.pid in [thief.pid for thief in thieves], 30)
    (tmp_path / "a").touch()
    said = [thief.communicate(timeout=60) for thief in thieves]
    assert {out.split(" ")[0] for out, _ in said} <= {"ended", "refused", "let"}, said
    assert any(out == "ended 0\n" for out, _ in said), said
    assert (tmp_path / "ran").read_text() == "x\n"
    assert read_progress(folder).done == 1  # type: ignore[union-attr]
