"""Copies of a database that is written meanwhile: whole, or an error that says so."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from stratos_jupyter.backend.store.journal import Journal
from stratos_jupyter.backend.store.journal_copy import copied_journal, copy_database
from stratos_jupyter.backend.store.lease import take_lease
from stratos_jupyter.errors import JournalError


def test_a_copy_is_whole_while_the_record_is_written(tmp_path: Path) -> None:
    """The sum of both tables is 0 after each transaction; no copy has half of one, or goes back in time."""
    source, target = tmp_path / "journal.sqlite", tmp_path / "copy.sqlite"
    ready, stop = threading.Event(), threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(source, isolation_level=None)) as db:
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=OFF", "wal_autocheckpoint=20"):
                db.execute(f"PRAGMA {pragma}")
            db.execute("CREATE TABLE one (n INTEGER PRIMARY KEY, at INTEGER, pad BLOB)")
            db.execute("CREATE TABLE two (n INTEGER PRIMARY KEY, at INTEGER, pad BLOB)")
            count = 0
            while not stop.is_set():
                db.execute("BEGIN IMMEDIATE")
                db.execute("INSERT OR REPLACE INTO one VALUES (?, ?, randomblob(3000))", (count % 50, count))
                db.execute("INSERT OR REPLACE INTO two VALUES (?, ?, randomblob(3000))", (49 - count % 50, -count))
                db.execute("COMMIT")
                count += 1
                if count == 60:
                    ready.set()
                if count % 40 == 0:
                    stop.wait(0.02)  # a holder commits every few milliseconds, and rests

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert ready.wait(20)
        newest = copies = 0
        for _ in range(30):
            for path in tmp_path.glob("copy.sqlite*"):
                path.unlink()
            try:
                copy_database(source, target)
            except JournalError:
                continue  # it says so: that is allowed
            with closing(sqlite3.connect(target)) as copy:
                assert copy.execute("PRAGMA quick_check").fetchone()[0] == "ok"
                one, two = (
                    copy.execute(f"SELECT sum(at), max(abs(at)) FROM {name}").fetchone() for name in ("one", "two")
                )
            assert one[0] + two[0] == 0
            assert one[1] == two[1] >= newest
            newest = one[1]
            copies += 1
        assert copies
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("begun", [True, False], ids=["with a log", "without one"])
def test_a_log_that_begins_anew_between_two_copies_is_noticed(tmp_path: Path, begun: bool) -> None:
    source, target = tmp_path / "journal.sqlite", tmp_path / "copy.sqlite"
    copied: list[str] = []
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL" if begun else "journal_mode=TRUNCATE"):
            db.execute(f"PRAGMA {pragma}")
        db.executescript("CREATE TABLE one (n); CREATE TABLE two (n); INSERT INTO one VALUES (1)")

        def copy(from_: str, to: str) -> None:
            shutil.copyfile(from_, to)
            copied.append(Path(from_).name)
            if len(copied) == 1:  # what is in the log goes into the file, of which we have an older one
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA wal_checkpoint(RESTART)")
                db.execute("INSERT INTO two VALUES (2)")

        copy_database(source, target, copy)
        with closing(sqlite3.connect(target)) as made:
            assert made.execute("SELECT (SELECT sum(n) FROM one), (SELECT sum(n) FROM two)").fetchone() == (1, 2)
    assert copied[-2:] == ["journal.sqlite", "journal.sqlite-wal"]


def test_a_log_that_never_rests_is_said_to(tmp_path: Path) -> None:
    source = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.executescript("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; CREATE TABLE one (n)")

        def copy(from_: str, to: str) -> None:
            shutil.copyfile(from_, to)
            db.execute("PRAGMA wal_checkpoint(RESTART)")
            db.execute("INSERT INTO one VALUES (1)")

        with pytest.raises(JournalError, match="changes too fast to be copied"):
            copy_database(source, tmp_path / "copy.sqlite", copy)


def test_the_journal_itself_is_left_as_it_is(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal, journal.writing():
        journal.set_meta({"run": 3})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with copied_journal(tmp_path) as copy:
        assert copy.folder != tmp_path
        assert copy.meta()["run"] == 3
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert not copy.folder.exists()


def test_a_journal_that_is_not_there_or_open_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"journal.sqlite is not there"), copied_journal(tmp_path):
        pass
    Journal(tmp_path).close()
    take_lease(tmp_path)
    with (
        pytest.raises(JournalError, match=r"is open in this process; report on the job itself"),
        copied_journal(tmp_path),
    ):
        pass
