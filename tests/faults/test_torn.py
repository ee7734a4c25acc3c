"""The last transaction is torn, as by a loss of power: nothing else is lost, and what it held is delivered again."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stratos_jupyter.backend.core.batching import BatchPolicy
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.scheduler import Scheduler
from stratos_jupyter.backend.run.replay import replay
from stratos_jupyter.backend.store.broken_journal import open_whole
from stratos_jupyter.backend.store.journal import FILE_NAME
from stratos_jupyter.session import Session
from tests.conftest import require
from tests.faults.kernels import ATTACH, LONG, ROOT, executors, is_up, kill, start
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800 if LONG else 120)]

WAL = f"{FILE_NAME}-wal"
HEADER, FRAME = 32, 24
TASKS = 60
#: without TOKEN, whoever attaches launches nothing
SUBMIT = """
import time
from stratos_jupyter.session import current
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
texts = [f"echo {{i}}; sleep 0.01; test {{i}} -lt 30 || until test -e go; do sleep 0.02; done" for i in range({tasks})]
spec = JobSpec("demo", master="local[2]", cwd={work!r}, env=(("TOKEN", "x"),))
job = current().submit(spec, explicit_commands(texts))
while job.view.done < 30 or job.view.counts[2] < 2:
    time.sleep(0.01)
print("up", flush=True)
time.sleep(100)
"""


@dataclass(frozen=True)
class Killed:
    """A home whose kernel and executor were killed."""

    home: Path
    begin: int  # of the last transaction that holds results, in the -wal file
    end: int
    before: frozenset[int]  # tasks that had ended before it
    after: frozenset[int]
    at_s: float


def transactions(wal: bytes) -> list[tuple[int, int]]:
    """Return where each transaction of a -wal file begins and ends."""
    page = struct.unpack(">I", wal[8:12])[0]
    found, begin, at = [], HEADER, HEADER
    while at + FRAME + page <= len(wal) and wal[at + 8 : at + 16] == wal[16:24]:  # the salt: not of an older use
        at += FRAME + page
        if struct.unpack(">I", wal[at - page - FRAME + 4 : at - page - FRAME + 8])[0]:  # it commits
            found.append((begin, at))
            begin = at
    return found


def run_folder(home: Path) -> Path:
    return home / "jobs" / "demo" / "1"


def torn(source: Path, to: Path, at: int, zeros: int = 0) -> Path:
    """Copy a run with its -wal cut at a byte, and maybe followed by zeros, as of blocks that were never written."""
    folder = run_folder(to)
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(run_folder(source), folder)
    wal = (folder / WAL).read_bytes()[:at]
    (folder / WAL).write_bytes(wal + bytes(zeros))
    return folder


def recorded(folder: Path) -> frozenset[int]:
    """Return the tasks that have ended, as a replay tells it; the record must be whole."""
    journal = open_whole(folder)
    try:
        scheduler = Scheduler(BatchPolicy(0.1, 128))
        replay(journal, scheduler, Resources(1.0), 0)
        scheduler.check()
        ended = frozenset(task for task in range(len(scheduler.table)) if scheduler.table.ended(task))
        rows = [row.task for row in journal.rows()]
        assert len(rows) == len(set(rows)), "each has one result"
        assert ended == set(rows)
        return ended
    finally:
        journal.close()


@pytest.fixture(scope="module")
def quick_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder where syncing costs nothing, where there is one."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path_factory.mktemp("torn")) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def killed(quick_disk: Path) -> Killed:
    home, work = quick_disk / "home", quick_disk / "work"
    work.mkdir()
    kernel = start(SUBMIT.format(tasks=TASKS, work=str(work)), home)
    is_up(kernel)
    wal = run_folder(home) / WAL
    size = wal.stat().st_size
    (work / "go").touch()  # some more end
    until(lambda: wal.stat().st_size > size)
    kernel.kill()
    for pid in executors(run_folder(home)):
        kill(pid)
    kernel.communicate()
    at_s = time.time()
    scratch = quick_disk / "scratch"
    ends = transactions(wal.read_bytes())
    after = recorded(torn(home, scratch, ends[-1][1]))
    for begin, end in reversed(ends):
        before = recorded(torn(home, scratch, begin))
        if before != after:
            return Killed(home, begin, end, before, after, at_s)
    raise AssertionError("no transaction holds a result")


def offsets(killed: Killed, step: int) -> list[int]:
    """Return the bytes to tear it at: in the quick form each of the frames' headers, and some of the pages."""
    page = 4096 + FRAME
    every = range(killed.begin, killed.end)
    return [at for at in every if LONG or (at - killed.begin) % page <= FRAME or at % step == 0 or at == killed.end - 1]


def test_a_torn_transaction_takes_nothing_else_with_it(killed: Killed, quick_disk: Path) -> None:
    at_all = offsets(killed, 7)
    scratch = quick_disk / "scratch"
    for at in at_all:
        # every other one by its number, so that both are met in headers and in pages
        for zeros in (0, killed.end - at) if LONG else (0,) if at % 2 else (killed.end - at,):
            assert recorded(torn(killed.home, scratch, at, zeros)) == killed.before, (at, zeros)
    assert recorded(torn(killed.home, scratch, killed.end)) == killed.after
    print(f"\ntorn at {len(at_all)} of {killed.end - killed.begin} bytes: {len(killed.before)} of {TASKS} tasks have "
          f"ended each time, {len(killed.after - killed.before)} wait for the spool")  # fmt: skip


def test_the_spool_delivers_what_was_torn(killed: Killed, quick_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    scratch = quick_disk / "scratch"
    at_all = offsets(killed, 97) if LONG else offsets(killed, 97)[::5]
    for at in at_all:
        folder = torn(killed.home, scratch, at)
        session = Session(scratch)
        job = session.attach("demo")
        until(lambda folder=folder: not list(folder.glob("executors/*")), what="the spool to be taken in")
        rows = job.rows()
        assert killed.after <= {row.task for row in rows}, at
        assert len(rows) == len({row.task for row in rows}), at
        assert all(row.stdout == f"{row.task}\n".encode() and row.finished_at < killed.at_s for row in rows)
        session.let_go(job)
        session.close()
        assert {row.task for row in rows} == recorded(folder), "and it is recorded"
    print(f"\ntorn at {len(at_all)} bytes: the spool makes it good each time")


@pytest.mark.parametrize("spool", [True, False])
def test_what_was_torn_runs_again_only_without_the_spool(killed: Killed, quick_disk: Path, spool: bool) -> None:
    places = [killed.begin + 1, (killed.begin + killed.end) // 2, killed.end - 1]
    for at in places if LONG else places[1:2]:
        folder = torn(killed.home, quick_disk / "scratch", at)
        if not spool:
            for path in folder.glob("executors/*/spool"):
                path.unlink()
        attached = start(ATTACH.format(wait_s=60), quick_disk / "scratch", {"TOKEN": "x"})
        out, err = attached.communicate(timeout=90)
        assert attached.returncode == 0, err
        rows = json.loads(out)["rows"]
        assert sorted(row[0] for row in rows) == list(range(TASKS))
        assert all(row[2:5] == ["exit", 0, f"{row[0]}\n"] for row in rows)
        again = {row[0] for row in rows if row[5] > killed.at_s}
        assert not again & killed.before, "what stands before it is not touched"
        assert bool(again & killed.after) is not spool
        if not spool:
            assert killed.after - killed.before <= again


COMMITS = """
import os, sys
from pathlib import Path
from stratos_jupyter.backend.store.journal import Journal
journal = Journal(Path(sys.argv[1]))
for number in range(40):
    with journal.writing():
        journal.set_meta({"key": number, "much": "x" * 300_000})
    os.write(2, b"committed\\n")
"""


def test_a_commit_is_synced_and_a_checkpoint_syncs_both_files_in_turn(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        require("strace", "no strace")
    trace = tmp_path / "trace"
    calls = "trace=pwrite64,write,fsync,fdatasync,ftruncate"
    command = ["strace", "-f", "-y", "-e", calls, "-o", trace, sys.executable, "-c", COMMITS, tmp_path]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    if "ptrace" in done.stderr:
        require("strace", "no process may be traced")
    assert done.stderr.count("committed\n") == 40, done.stderr
    unsynced: set[str] = set()  # which of the two files holds what is not synced
    commits = checkpoints = 0
    for line in trace.read_text().splitlines():
        if '"committed' in line:
            commits += 1
            assert "wal" not in unsynced, "a commit is on the disk before anyone hears of it"
        found = re.search(rf"(pwrite64|fsync|fdatasync)\(\d+<[^>]*{re.escape(FILE_NAME)}(-wal)?>", line)
        if found is None:
            continue
        file = "wal" if found[2] else "db"
        if found[1] == "pwrite64":
            if file == "db" and "db" not in unsynced:
                checkpoints += 1
                assert commits == 0 or "wal" not in unsynced, "what is copied is safe where it comes from"
            if file == "wal" and commits:
                assert "db" not in unsynced, "the log is used anew only when what was in it is safe"
            unsynced.add(file)
        else:
            unsynced.discard(file)
    assert commits == 40
    assert checkpoints >= 3, "the log was used anew"
