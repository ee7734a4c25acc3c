"""A disk that is full, or cannot be written any more: what runs goes on, and nothing is lost or runs twice."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.errors import JournalError
from stratos_jupyter.job import Job
from stratos_jupyter.session import Session
from tests.conftest import require
from tests.faults.conftest import Start, needs_root
from tests.faults.kernels import SUBMIT, executors, is_up, kill
from tests.support.waiting import until

pytestmark = pytest.mark.slow

SIZE = 20_000
#: runs as long as nobody says stop, and shows that it does
BEAT = "echo x >> ran.0; until test -e stop; do echo x >> beat; sleep 0.02; done; echo 0"


def texts(tasks: int) -> list[str]:
    """Return commands of SIZE bytes of output each, after one that runs on and on."""
    much = f"head -c {SIZE} /dev/zero | tr '\\0' x"
    return [BEAT, *(f"echo x >> ran.{task}; {much}" for task in range(1, tasks))]


#: says each notice, and at the end all of it
TELL = """
import json
shown = []
def pump(view):
    for notice in view.notices:
        if notice not in shown:
            shown.append(notice)
            print(notice, flush=True)
job.wait(pump=pump)
rows = [[row.task, row.attempt, row.reason, row.exit_code, row.stdout_size, row.note] for row in job.rows()]
print(json.dumps({"rows": rows, "notices": job.view.notices}))
"""


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    needs_root()
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True, text=True)
    if done.returncode:
        require("mounts", f"nothing can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def small_session(small: Path) -> Iterator[Session]:
    session = Session(small)
    yield session
    session.close()


def beats(work: Path) -> int:
    return (work / "beat").stat().st_size


def all_is_there_once(job: Job, work: Path, tasks: int) -> None:
    rows = job.rows()
    assert sorted(row.task for row in rows) == list(range(tasks))
    assert all(row.exit_code == 0 and row.attempt == 1 and not row.note for row in rows), rows
    for row in rows:
        text = b"0\n" if row.task == 0 else b"x" * SIZE
        assert (row.stdout == text) or Path(row.stdout_path).read_bytes() == text
    assert {len((work / f"ran.{task}").read_text().split()) for task in range(tasks)} == {1}
    assert job.view.attempts_lost == 0


def goes_on(work: Path) -> bool:
    before = beats(work)
    return until(lambda: beats(work) > before + 4)


def test_results_wait_until_there_is_room(small: Path, small_session: Session, work: Path) -> None:
    tasks = 120
    job = small_session.submit(JobSpec("demo", master="local[2]", cwd=str(work)), explicit_commands(texts(tasks)))
    notice = until(lambda: [one for one in job.view.notices if "full" in one or "No space left" in one], 30)
    assert "what runs goes on" in notice[0] or "until there is room" in notice[0]
    assert goes_on(work), "what runs is not harmed"
    # nothing more is launched
    until(lambda: settled(work))
    assert job.view.done < tasks - 1
    ran = len(list(work.glob("ran.*")))
    assert ran < tasks
    remount(small, "size=64m")
    until(lambda: job.view.done == tasks - 1, 60)
    (work / "stop").touch()
    assert job.wait(30), job.view
    all_is_there_once(job, work, tasks)
    until(lambda: not job.view.notices, what="the notices to be withdrawn")


def settled(work: Path) -> bool:
    before = beats(work), len(list(work.glob("ran.*")))
    until(lambda: beats(work) > before[0] + 20)
    return len(list(work.glob("ran.*"))) == before[1]


@pytest.mark.parametrize("whose", [("kernel",), ("executor",), ("kernel", "executor")], ids="-".join)
def test_writes_that_fail_are_tried_again(
    whose: tuple[str, ...], run_kernel: Start, state_home: Path, work: Path
) -> None:
    """As where a disk has become read-only: here by a limit of the system on the size of files."""
    tasks = 120
    kernel = run_kernel(SUBMIT.format(cwd=str(work), texts=texts(tasks)) + TELL)
    is_up(kernel)
    run = state_home / "jobs" / "demo" / "1"
    until(lambda: len(list(work.glob("ran.*"))) > 10)
    pids = [kernel.pid] * ("kernel" in whose) + executors(run) * ("executor" in whose)
    before = [resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids]
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, -1))
    assert kernel.stdout is not None
    said = kernel.stdout.readline()
    assert "what runs goes on" in said or "nothing new is started until" in said
    assert goes_on(work)
    until(lambda: settled(work))
    assert len(list(work.glob("ran.*"))) < tasks, "nothing is launched meanwhile"
    for pid, limit in zip(pids, before, strict=True):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
    until(lambda: len(list(work.glob("ran.*"))) == tasks, 30)
    (work / "stop").touch()
    out, err = kernel.communicate(timeout=60)
    told = json.loads(out.splitlines()[-1])
    assert sorted(row[0] for row in told["rows"]) == list(range(tasks)), err
    assert all(row[1:] == [1, "exit", 0, SIZE if row[0] else 2, ""] for row in told["rows"])
    assert told["notices"] == [], "they are withdrawn"
    assert {len((work / f"ran.{task}").read_text().split()) for task in range(tasks)} == {1}


def test_a_kernel_and_an_executor_that_end_on_a_full_disk_lose_nothing_recorded(
    small: Path, run_kernel: Start, work: Path
) -> None:
    tasks = 120
    kernel = run_kernel(SUBMIT.format(cwd=str(work), texts=texts(tasks)) + "job.wait()", None, small)
    is_up(kernel)
    run = small / "jobs" / "demo" / "1"
    until(lambda: small_is_full(small), 30)
    until(lambda: settled(work))
    kernel.kill()
    kernel.wait()
    session = Session(small)
    try:
        fill(small)
        with pytest.raises(JournalError, match=r"No space left|full"):
            session.attach("demo")
        assert (run / "journal.sqlite").exists(), "it is not taken for broken"
        remount(small, "size=64m")
        job = session.attach("demo")
        (work / "stop").touch()
        assert job.wait(60), job.view
        all_is_there_once(job, work, tasks)
    finally:
        session.close()
        for pid in executors(run):
            kill(pid)


def fill(small: Path) -> None:
    fd = os.open(small / "filler", os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while True:
            os.write(fd, bytes(4096))
    os.close(fd)


def small_is_full(small: Path) -> bool:
    done = subprocess.run(["df", "--output=avail", "-k", small], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) < 40


def test_no_job_begins_on_a_full_disk(small: Path, small_session: Session, work: Path) -> None:
    small_session.site("local")
    fill(small)
    with pytest.raises(JournalError, match=r"No space left|full"):
        small_session.submit(JobSpec("demo", cwd=str(work)), explicit_commands(["true"]))
    assert not small_session.jobs()
    (small / "filler").unlink()
    assert small_session.submit(JobSpec("demo", cwd=str(work)), explicit_commands(["true"])).wait(20)
