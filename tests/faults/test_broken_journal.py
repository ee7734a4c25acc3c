"""A journal that cannot be read: said clearly, set aside, and no concern of any other job."""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from stratos_jupyter.backend.engines.local.orphans import bearers
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.backend.store.journal import FILE_NAME, FORMAT
from stratos_jupyter.errors import JournalError
from stratos_jupyter.runs.cleanup import clean_home
from stratos_jupyter.session import Session
from tests.faults.conftest import Start
from tests.faults.kernels import SUBMIT, executors, is_up
from tests.support.waiting import until


def overwritten(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 3)
        file.write(os.urandom(size // 3))


def first_page_gone(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096 - 200)
        file.write(b"\xff" * 400)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 + 17)


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(20_000))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def changed(path: Path, what: str, *values: object) -> None:
    with sqlite3.connect(path) as db:
        db.execute(what, values)
    db.close()


def commands_unreadable(path: Path) -> None:
    changed(path, "UPDATE calls SET commands = ?", b"no zlib")


def commands_of_another_shape(path: Path) -> None:
    changed(path, "UPDATE calls SET commands = ?", zlib.compress(b'{"kind": "explicit"}'))


def spec_unreadable(path: Path) -> None:
    changed(path, "UPDATE meta SET value = '{' WHERE key = 'spec'")


def spec_missing(path: Path) -> None:
    changed(path, "DELETE FROM meta WHERE key = 'spec'")


def acts_unreadable(path: Path) -> None:
    changed(path, "UPDATE acts SET detail = '{'")


def acts_of_another_shape(path: Path) -> None:
    changed(path, "UPDATE acts SET detail = '[1]'")


HARMS = [
    overwritten, first_page_gone, cut, garbage, empty, commands_unreadable, commands_of_another_shape,
    spec_unreadable, spec_missing, acts_unreadable, acts_of_another_shape,
]  # fmt: skip


def ended_run(session: Session, tmp_path: Path) -> Path:
    """Make a run with a task to go that nobody holds, and whose record is whole; return the journal."""
    texts = [f"echo {task}" for task in range(200)]
    job = session.submit(JobSpec("demo", cwd=str(tmp_path)), explicit_commands(texts), keep_open=True)
    assert job.wait(30)
    job.pause()
    job.add(explicit_commands(["echo later"]), session.command_env(job.spec))
    session.let_go(job)
    path = job.folder / FILE_NAME
    assert not path.with_name(f"{FILE_NAME}-wal").exists(), "all of it is in one file"
    return path


@pytest.mark.parametrize("harm", HARMS)
def test_a_broken_journal_is_set_aside(harm: Callable[[Path], None], session: Session, tmp_path: Path) -> None:
    path = ended_run(session, tmp_path)
    harm(path)
    with pytest.raises(JournalError, match=r"is broken \(.+\); it is set aside as .*%stratos clean") as caught:
        session.attach("demo")
    assert "\n" not in str(caught.value)
    assert not path.exists()
    aside = [entry for entry in path.parent.iterdir() if ".broken-" in entry.name]
    assert aside, "what there was is kept"
    assert not session.jobs()
    with pytest.raises(JournalError, match="cannot be attached"):
        session.attach("demo")
    other = session.submit(JobSpec("other", cwd=str(tmp_path)), explicit_commands(["true"]))
    assert other.wait(20), "other jobs are not concerned"
    again = session.submit(JobSpec("demo", cwd=str(tmp_path)), explicit_commands(["true"]))
    assert again.run == 2
    assert again.wait(20)


def test_a_journal_of_another_version_stays(session: Session, tmp_path: Path) -> None:
    path = ended_run(session, tmp_path)
    changed(path, f"PRAGMA user_version={FORMAT - 1}")
    before = path.read_bytes()
    with pytest.raises(JournalError, match=f"has format {FORMAT - 1}, this version of stratos_jupyter reads {FORMAT}"):
        session.attach("demo")
    assert path.read_bytes() == before
    assert not session.jobs()
    assert not clean_home(session.home, really=True), "nor is it taken for broken"


def test_what_cannot_have_happened_is_said_and_leaves_no_half_of_a_job(session: Session, tmp_path: Path) -> None:
    path = ended_run(session, tmp_path)
    changed(path, "DELETE FROM calls")
    for _ in range(2):
        with pytest.raises(JournalError, match="cannot be"):
            session.attach("demo")
        assert not session.jobs()
    assert path.exists()


def test_executors_of_a_broken_journal_are_ended_by_clean(
    session: Session, run_kernel: Start, state_home: Path, tmp_path: Path
) -> None:
    run = state_home / "jobs" / "demo" / "1"
    kernel = run_kernel(SUBMIT.format(cwd=str(tmp_path), texts=["sleep 99"] * 2) + "import time\ntime.sleep(60)")
    is_up(kernel)
    until(lambda: len(bearers(run)) == 2)
    until(lambda: (run / "progress.json").exists() and '"running": 2' in (run / "progress.json").read_text())
    kernel.kill()
    kernel.wait()
    (run / f"{FILE_NAME}-wal").unlink()  # all of it is still in there
    garbage(run / FILE_NAME)
    with pytest.raises(JournalError, match="broken"):
        session.attach("demo")
    (found,) = clean_home(state_home, really=False)
    assert (found.why, found.executors) == ("its record was broken", 1)
    assert executors(run)
    assert clean_home(state_home, really=True)
    until(lambda: not bearers(run), what="no process of it to be left")
    assert not run.exists()
