"""The journal: what was committed is there, once."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.store.journal import CHUNK, FILE_NAME, Journal
from stratos_jupyter.backend.store.lease import process_start, write_private
from stratos_jupyter.backend.store.rows import JournalEntry, ResultRow
from stratos_jupyter.backend.store.run_dirs import new_run
from stratos_jupyter.errors import JournalError


def row(
    task: int, attempt: int = 1, state: TaskState = TaskState.FINISHED, counts: int = 1, out: bytes = b""
) -> ResultRow:
    return ResultRow(
        seq=0,
        task=task,
        state=int(state),
        reason="exit",
        node="n",
        attempt=attempt,
        losses=0,
        origin=None,
        exit_code=0,
        submitted_at=1.0,
        started_at=2.0,
        finished_at=3.0,
        cpu_s=0.1,
        max_rss_mib=5.0,
        local_fraction=None,
        stdout=out,
        stderr=b"",
        stdout_path="",
        stderr_path="",
        stdout_size=len(out),
        stderr_size=0,
        note="",
        counts=counts,
        told=1,
    )


def add(journal: Journal, rows: list[ResultRow]) -> None:
    journal.add_results(zip(journal.numbers(), rows, strict=False))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def test_rows_come_back_in_order_of_arrival(journal: Journal) -> None:
    with journal.writing():
        add(journal, [row(5), row(1, out=b"\xff\0")])
    first, second = journal.rows()
    assert (first.task, second.task, second.stdout) == (5, 1, b"\xff\0")
    assert [one.task for one in journal.rows(first.seq)] == [1]


def test_an_attempt_is_recorded_once(journal: Journal) -> None:
    for out in (b"first", b"again"):
        with journal.writing():
            add(journal, [row(0, out=out)])
    assert [one.stdout for one in journal.rows()] == [b"first"]


def test_what_does_not_count_is_history_only(journal: Journal) -> None:
    with journal.writing():
        add(journal, [row(0, 1, TaskState.KILLED, counts=0), row(0, 2)])
    assert [one.attempt for one in journal.rows()] == [2]
    assert [one.attempt for one in journal.attempts(0)] == [1, 2]


def test_failures_are_those_of_the_last_attempts(journal: Journal) -> None:
    with journal.writing():
        add(journal, [row(2, state=TaskState.FAILED), row(0, state=TaskState.FAILED), row(1), row(0, 2)])
    assert [one.task for one in journal.failures(10)] == [2]


def ended_badly(task: int, err: bytes | None, path: str = "", attempt: int = 1) -> ResultRow:
    return row(task, attempt, TaskState.FAILED)._replace(stderr=err, stderr_path=path)


def test_endings_hold_the_end_of_each_stderr_and_go_on_where_they_were(journal: Journal) -> None:
    with journal.writing():
        add(journal, [row(0), ended_badly(1, b"0123456789"), ended_badly(2, b"ab"), ended_badly(3, None, "/f")])
        add(journal, [row(4, state=TaskState.LOST, counts=0), row(5)])
    ((seq, rows),) = journal.endings(0, 4)
    assert [(one.task, one.stderr_end, one.stderr_path) for one in rows] == [
        (1, b"56789", ""), (2, b"ab", ""), (3, None, "/f"),
    ]  # fmt: skip
    assert seq == list(journal.rows())[-1].seq
    assert list(journal.endings(seq)) == []
    with journal.writing():
        add(journal, [row(6), row(1, attempt=2)])
    ((_, rows),) = journal.endings(seq)
    assert [(one.task, one.attempt, one.state) for one in rows] == [(1, 2, TaskState.FINISHED)]


def test_endings_come_in_parts(journal: Journal) -> None:
    with journal.writing():
        add(journal, [ended_badly(task, b"x") for task in range(CHUNK + 1)])
    parts = list(journal.endings())
    assert [seq for seq, _ in parts] == [CHUNK, CHUNK + 1]
    assert [one.task for _, rows in parts for one in rows] == list(range(CHUNK + 1))


def test_a_transaction_that_fails_leaves_nothing(journal: Journal) -> None:
    def fail() -> None:
        with journal.writing():
            add(journal, [row(0)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(journal.rows()) == []
    with journal.writing():
        add(journal, [row(0)])
    assert len(list(journal.rows())) == 1


def test_submissions_entries_and_facts_come_back(journal: Journal) -> None:
    record = {"kind": "glob", "files": ["\udcff"] * 3}
    with journal.writing():
        journal.set_meta({"spec": {"job_id": "x"}})
        journal.add_submission(1, 0, 3, 1.5, record)
        journal.add_entries([(2, JournalEntry(2.0, "launch", [1, "n", [[0, 1]]]))])
    assert journal.meta() == {"spec": {"job_id": "x"}}
    assert journal.submissions() == [(0, 3, 1.5, record)]
    assert journal.entries() == [(2.0, "launch", [1, "n", [[0, 1]]])]


def test_what_was_committed_survives_a_process_that_does_not_close(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from stratos_jupyter.backend.store.journal import Journal\n"
        "from tests.unit.backend.store.test_journal import add, row\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "with journal.writing():\n"
        "    add(journal, [row(0), row(1)])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=root)
    assert done.returncode == -9
    assert [one.task for one in Journal(tmp_path).rows()] == [0, 1]


def test_the_file_is_held_by_one(journal: Journal, tmp_path: Path) -> None:
    with journal.writing():
        journal.set_meta({})
    other = sqlite3.connect(tmp_path / FILE_NAME, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("SELECT * FROM meta")
    other.close()


def test_another_format_and_no_database_are_said_so(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / FILE_NAME)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(JournalError, match="format 99"):
        Journal(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 100)
    with pytest.raises(JournalError, match="not a database"):
        Journal(tmp_path)


def test_runs_are_numbered_by_their_folders(tmp_path: Path) -> None:
    assert [new_run(tmp_path, "a")[0], new_run(tmp_path, "a")[0], new_run(tmp_path, "b")[0]] == [1, 2, 1]
    (tmp_path / "jobs" / "a" / "7").mkdir()
    (tmp_path / "jobs" / "a" / "notes").mkdir()
    assert new_run(tmp_path, "a")[0] == 8


def test_a_process_has_a_start() -> None:
    import os

    assert process_start(os.getpid()).isdecimal()
    assert process_start(2**22 + 1) == ""


def test_a_note_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    write_private(tmp_path / "note", {"a": 1})
    with pytest.raises(TypeError):
        write_private(tmp_path / "note", {"a": object()})
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("note", '{"a": 1}')]
