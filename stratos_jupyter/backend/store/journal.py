"""The journal: what must survive, in one SQLite file for each run of a job.

A result is committed here before its status is acknowledged to the engine and before it is shown.

- One file a run, because the file is locked for as long as a process holds the run: WAL with
  ``locking_mode=EXCLUSIVE`` needs no shared memory, so that network homes work. Its holder is named in ``lease.json``
  beside it, which other processes can read.
- ``synchronous=FULL``: a commit is on disk. One transaction takes all that gathered while the one before it
  was being synced, so that the delay of a result is one sync.
- Parameters are stored once a submission, compressed; rows come as tasks end. ``(task, attempt)`` is recorded once:
  a status that is delivered again changes nothing.
- Where files cannot be locked (a network file system without a lock daemon) it is opened without locks.
- Values of environment variables are never written here.

Tables:

- ``meta``: format, job, spec.
- ``calls``: one row a submission, with its commands; ``origin`` is the task and attempt whose monitor asked for them,
  ``cwd`` where they run when that is not the spec's, ``here``, ``there``, ``keys`` and ``env`` what they were made of.
- ``results``: one row an ended attempt, with the columns of ``columns.py``. ``counts`` is 0 for history: its task had
  its result already, or was tried again. Rows that are not ``told`` are no node's word but follow from what stands
  before them.
- ``looks``: the key of an attempt's inputs when it had ended, where that is another one than at its submission;
  ``agreed`` is 1 when its node saw before its start what had been seen then.
- ``acts``: the entries that are neither; what else a replay needs: launches, commands that a monitor asked for, and
  what the user asked.

``seq`` is one order over submissions, results and entries: in it, a replay tells the scheduler what it was told.
"""

from __future__ import annotations

import heapq
import itertools
import json
import logging
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from ...errors import JournalBusy, JournalError
from ..core.states import TaskState
from .file_locks import locks_work
from .rows import (
    INSERT_RESULT,
    RESULT_FIELDS,
    RESULTS_TABLE,
    EndingRow,
    FactRow,
    FirstRow,
    JournalEntry,
    RecordedEvent,
    ResultRow,
    ToldRow,
    missing_columns,
    selected,
    values_of,
)

log = logging.getLogger(__name__)

FORMAT: Final = 2
FILE_NAME: Final = "journal.sqlite"
#: rows that a reader takes at a time, so that the writer never waits long for the lock
CHUNK: Final = 5000

_SCHEMA: Final = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE calls (
    seq INTEGER PRIMARY KEY, first INTEGER NOT NULL, count INTEGER NOT NULL, at_s REAL NOT NULL,
    commands BLOB NOT NULL
);
{RESULTS_TABLE}CREATE TABLE acts (seq INTEGER PRIMARY KEY, at_s REAL NOT NULL, act TEXT NOT NULL, detail TEXT NOT NULL);
"""
#: came after the others; a version that does not know it loses nothing but what is in it
_MORE: Final = """
CREATE TABLE IF NOT EXISTS looks (
    task INTEGER NOT NULL, attempt INTEGER NOT NULL, key TEXT NOT NULL, agreed INTEGER NOT NULL,
    PRIMARY KEY (task, attempt)
) WITHOUT ROWID;
"""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


class Journal:
    """The record of one run, open and held by this process.

    Every method may be called from any thread. Writes belong inside `writing`, one thread at a time.

    Parameters
    ----------
    folder : Path
        The run's folder.

    Raises
    ------
    JournalError
        The file cannot be read or written, or is of another format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        path = folder / FILE_NAME
        try:
            # SQLite gives -wal the permissions of the file itself, so this makes both private. One that is there is
            # not opened: closing it again would drop the locks that this process may have on it.
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            where = f"file:{quote(os.fsencode(path))}"
            if not locks_work(folder):
                log.warning("%s: files here are not locked; the lease alone says which process holds this run", folder)
                where += "?vfs=unix-none"
            # A process that has it open keeps it open: there is nothing to wait for.
            self._db = sqlite3.connect(where, timeout=1.0, uri=True, isolation_level=None, check_same_thread=False)
            self._db.text_factory = _text
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"{path}: {error}") from error
        try:
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
                self._db.execute(f"PRAGMA {pragma}")
            self._prepare()
        except (sqlite3.Error, JournalError) as error:
            self._db.close()
            if isinstance(error, JournalError):
                raise
            busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            raise (JournalBusy if busy else JournalError)(f"{path}: {error}") from error

    def _prepare(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={FORMAT}; COMMIT;")
        elif version != FORMAT:
            raise JournalError(
                f"{self.folder / FILE_NAME} has format {version}, this version of stratos_jupyter reads {FORMAT}"
            )
        self._db.execute(_MORE)
        have = {name for _, name, *_ in self._db.execute("PRAGMA table_info(results)")}
        for statement in missing_columns(have) if have else ():  # a file without the table is broken: see `broken`
            self._db.execute(statement)

    def broken(self) -> str:
        """Say what is wrong with the file; '' when it is whole."""
        with self._lock:
            try:
                found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
                empty = self._db.execute("SELECT 1 FROM meta").fetchone() is None
            except sqlite3.OperationalError as error:  # no room, a disk that fails: the file may be whole
                raise JournalError(f"cannot read {self.folder / FILE_NAME}: {error}") from error
            except sqlite3.Error as error:
                return str(error)
        if found != "ok":
            return " ".join(str(found).split())
        return "nothing is recorded in it" if empty else ""

    # -- writing ----------------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Gather writes into one transaction; on leaving, it is on disk.

        Raises
        ------
        JournalError
            It could not be written; nothing of it was.
        """
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise JournalError(f"cannot write {self.folder / FILE_NAME}: {error}") from error
                raise

    def set_meta(self, values: dict[str, Any]) -> None:
        """Keep facts about the run, each as JSON."""
        rows = [(key, json.dumps(value)) for key, value in values.items()]
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def numbers(self) -> Iterator[int]:
        """Return the numbers that entries may have, in order; to be asked for inside `writing`."""
        parts = " UNION ALL ".join(f"SELECT max(seq) AS seq FROM {name}" for name in ("calls", "results", "acts"))
        return itertools.count((self._db.execute(f"SELECT max(seq) FROM ({parts})").fetchone()[0] or 0) + 1)

    def add_submission(self, seq: int, first: int, count: int, at_s: float, record: dict[str, Any]) -> None:
        """Keep the commands of one submission, compressed."""
        # Level 1: 100,000 paths must not make a cell wait; they still shrink tenfold.
        blob = zlib.compress(json.dumps(record).encode("ascii"), 1)
        self._db.execute(
            "INSERT INTO calls (seq, first, count, at_s, commands) VALUES (?, ?, ?, ?, ?)",
            (seq, first, count, at_s, blob),
        )

    def add_results(self, rows: Iterable[tuple[int, ResultRow]]) -> None:
        """Keep ended attempts, each with its number."""
        self._db.executemany(INSERT_RESULT, itertools.starmap(values_of, rows))

    def add_looks(self, looks: Iterable[tuple[int, int, str, int]]) -> None:
        """Keep what the inputs of attempts were when they had ended: task, attempt, key, and whether views agree."""
        self._db.executemany("INSERT OR IGNORE INTO looks (task, attempt, key, agreed) VALUES (?, ?, ?, ?)", looks)

    def forget_lost(self, attempts: Iterable[tuple[int, int]]) -> None:
        """Drop what was recorded of attempts that were given up for lost and have a result after all."""
        self._db.executemany(
            "DELETE FROM results WHERE task = ? AND attempt = ? AND NOT counts AND reason = 'lost'", attempts
        )

    def add_entries(self, entries: Iterable[tuple[int, JournalEntry]]) -> None:
        """Keep entries, each with its number."""
        rows = [(seq, at_s, what, json.dumps(detail, separators=(",", ":"))) for seq, (at_s, what, detail) in entries]
        self._db.executemany("INSERT INTO acts (seq, at_s, act, detail) VALUES (?, ?, ?, ?)", rows)

    # -- reading ----------------------------------------------------------------------------------------

    def meta(self) -> dict[str, Any]:
        """Return all facts about the run."""
        with self._lock:
            return {key: json.loads(value) for key, value in self._db.execute("SELECT key, value FROM meta")}

    def submissions(self) -> list[tuple[int, int, float, dict[str, Any]]]:
        """Return every submission: first task, count, when, and the record of its commands."""
        with self._lock:
            rows = self._db.execute("SELECT first, count, at_s, commands FROM calls ORDER BY seq").fetchall()
        return [(first, count, at_s, json.loads(zlib.decompress(blob))) for first, count, at_s, blob in rows]

    def entries(self) -> list[JournalEntry]:
        """Return every entry in order."""
        with self._lock:
            rows = self._db.execute("SELECT at_s, act, detail FROM acts ORDER BY seq").fetchall()
        return [JournalEntry(at_s, what, json.loads(detail)) for at_s, what, detail in rows]

    def told(self) -> Iterator[RecordedEvent]:
        """Yield everything that the scheduler was told, in that order."""
        with self._lock:
            submissions = self._db.execute("SELECT seq, at_s, first, count FROM calls ORDER BY seq").fetchall()
            entries = self._db.execute("SELECT seq, at_s, act, detail FROM acts ORDER BY seq").fetchall()
            results = self._db.execute(
                f"SELECT seq, {selected(ToldRow)} FROM results WHERE told ORDER BY seq"
            ).fetchall()
        ended = ((seq, ToldRow(*values)) for seq, *values in results)
        return heapq.merge(
            (RecordedEvent(seq, at_s, "call", (first, count)) for seq, at_s, first, count in submissions),
            (RecordedEvent(seq, at_s, what, json.loads(detail)) for seq, at_s, what, detail in entries),
            (RecordedEvent(seq, row.finished_at, "result", row) for seq, row in ended),
        )

    def rows(self, after_seq: int = 0) -> Iterator[ResultRow]:
        """Yield the results that count, in order of arrival, after the one numbered `after_seq`."""
        query = f"SELECT {RESULT_FIELDS} FROM results WHERE seq > ? AND counts ORDER BY seq LIMIT ?"
        while True:
            with self._lock:
                chunk = self._db.execute(query, (after_seq, CHUNK)).fetchall()
            yield from map(ResultRow._make, chunk)
            if len(chunk) < CHUNK:
                return
            after_seq = chunk[-1][0]

    def failures(self, most: int) -> list[ResultRow]:
        """Return the first `most` results, by task, whose last attempt did not finish well."""
        query = (
            f"SELECT {RESULT_FIELDS} FROM results AS it WHERE counts AND state != ? AND NOT EXISTS (SELECT 1 FROM"
            " results AS later WHERE later.task = it.task AND later.attempt > it.attempt AND later.counts)"
            " ORDER BY task, attempt LIMIT ?"
        )
        with self._lock:
            found = self._db.execute(query, (int(TaskState.FINISHED), most)).fetchall()
        return list(map(ResultRow._make, found))

    def endings(self, after_seq: int = 0, nbytes: int = 4096) -> Iterator[tuple[int, list[EndingRow]]]:
        """Yield what tells of failures among the results that count, a part at a time, in order of arrival.

        These are the attempts that did not finish well, and the later attempts that did, of tasks that may have failed
        before. No stdout is read, and of each stderr its last `nbytes` bytes, and one more where there is more.

        Parameters
        ----------
        after_seq : int
            The rows up to this one are known.
        nbytes : int
            How much of each stderr.

        Yields
        ------
        seq : int
            The rows up to this one are known now.
        rows : list of EndingRow
            Those of this part.
        """
        # In a row, `counts` comes after the outputs, and is read through them: the condition on it stands last.
        query = (
            f"SELECT {selected(EndingRow, stderr_end='substr(stderr, :end)')} FROM results"
            " WHERE seq > :after AND seq <= :last AND (state != :finished OR attempt > 1) AND counts ORDER BY seq"
        )
        for seq, found in self._parts(query, after_seq, end=-nbytes - 1, finished=int(TaskState.FINISHED)):
            yield seq, list(map(EndingRow._make, found))

    def facts(self, after_seq: int = 0) -> Iterator[tuple[int, list[FactRow]]]:
        """Yield what a table shows of ended attempts, a part at a time, in order of arrival; no output is read.

        Later attempts that do not count are left out; a first one that does not is followed by one that does.

        Yields
        ------
        seq : int
            The rows up to this one are known now.
        rows : list of FactRow
            Those of this part.
        """
        query = (
            f"SELECT {selected(FactRow)} FROM results"
            " WHERE seq > :after AND seq <= :last AND (attempt = 1 OR counts) ORDER BY seq"
        )
        for seq, found in self._parts(query, after_seq):
            yield seq, list(map(FactRow._make, found))

    def _parts(self, query: str, after_seq: int, **values: int) -> Iterator[tuple[int, list[Any]]]:
        """Yield what a query finds from ``:after`` to ``:last``, a part at a time, and up to which row that is."""
        with self._lock:
            newest = self._db.execute("SELECT max(seq) FROM results").fetchone()[0] or 0
        while after_seq < newest:
            bounds = {"after": after_seq, "last": min(after_seq + CHUNK, newest)}
            with self._lock:
                found = self._db.execute(query, {**values, **bounds}).fetchall()
            after_seq = bounds["last"]
            yield after_seq, found

    def firsts(self, tasks: Sequence[int], nbytes: int) -> dict[int, FirstRow]:
        """Return what tells of the last attempt that ended of each of a few tasks: `nbytes` of each stream."""
        marks = ",".join("?" * len(tasks))
        query = (
            f"SELECT {selected(FirstRow, stdout='substr(stdout, 1, ?)', stderr_end='substr(stderr, ?)')}"
            f" FROM results WHERE task IN ({marks}) ORDER BY task, counts, attempt"
        )
        with self._lock:
            found = self._db.execute(query, (nbytes, -nbytes - 1, *tasks)).fetchall()
        return {row[0]: FirstRow._make(row) for row in found}

    def looks(self) -> dict[int, tuple[str, bool]]:
        """Return what the inputs of each task were when the attempt had ended whose result it has.

        Those are left out that were then as at their submission. The second is whether the node saw that, too, before
        its start: then the attempt has changed them, or something else did while it ran.
        """
        query = (
            "SELECT task, key, agreed FROM looks AS it WHERE attempt ="
            " (SELECT max(attempt) FROM results WHERE results.task = it.task AND counts)"
        )
        with self._lock:
            return {task: (key, bool(agreed)) for task, key, agreed in self._db.execute(query)}

    def attempts(self, task: int) -> list[ResultRow]:
        """Return every ended attempt of one task, first to last."""
        with self._lock:
            query = f"SELECT {RESULT_FIELDS} FROM results WHERE task = ? ORDER BY attempt"
            found = self._db.execute(query, (task,)).fetchall()
        return list(map(ResultRow._make, found))

    def select(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows that a query finds; for what only reads."""
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def contents(self) -> tuple[dict[str, Any], list[tuple[int, int, float, dict[str, Any]]]]:
        """Return all facts about the run, and every submission; what cannot be read is a ValueError."""
        try:
            return self.meta(), self.submissions()
        except (sqlite3.Error, TypeError, zlib.error) as error:
            raise ValueError(str(error)) from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()
