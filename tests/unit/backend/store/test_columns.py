"""A result column has one home: what `columns.COLUMNS` says of each holds wherever the column is seen."""

from __future__ import annotations

import re
import sqlite3
import types
import typing
from pathlib import Path

import pytest

from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.engines.base import Result
from stratos_jupyter.backend.results.parsers import make_parser
from stratos_jupyter.backend.results.table import ResultTable
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.backend.store import rows
from stratos_jupyter.backend.store.columns import COLUMNS, FRAME, FRAME_NAMES, RECORDED, Column, Source
from stratos_jupyter.backend.store.journal import FILE_NAME, Journal
from stratos_jupyter.backend.store.rows import EndingRow, FactRow, FirstRow, Head, ResultRow, Span, ToldRow
from stratos_jupyter.backend.store.timeline import heads, spans
from stratos_jupyter.errors import SpecError

RESULT = Result(
    task=3,
    attempt=2,
    node="n1",
    reason=Reason.SIGNAL,
    code=9,
    started_at=11.0,
    finished_at=12.5,
    cpu_s=0.25,
    max_rss_mib=7.0,
    stdout=b"out\xff",
    stderr=None,
    stdout_path="",
    stderr_path="/logs/\udcff",
    stdout_size=4,
    stderr_size=5,
    note="a note",
)
ROW = ResultRow.of_result(
    RESULT, state=TaskState.KILLED, losses=1, origin=2, submitted_at=10.0, local_fraction=0.5, counts=True
)
#: the table of version 0.1.0
FIRST_TABLE = """
CREATE TABLE results (
    seq INTEGER PRIMARY KEY, task INTEGER NOT NULL, attempt INTEGER NOT NULL, state INTEGER NOT NULL,
    reason TEXT NOT NULL, exit_code INTEGER, node TEXT NOT NULL, submitted_at REAL NOT NULL, started_at REAL,
    finished_at REAL NOT NULL, cpu_s REAL NOT NULL, max_rss_mib REAL NOT NULL, local_fraction REAL,
    stdout BLOB, stderr BLOB, stdout_path TEXT NOT NULL, stderr_path TEXT NOT NULL,
    stdout_size INTEGER NOT NULL, stderr_size INTEGER NOT NULL, note TEXT NOT NULL,
    losses INTEGER NOT NULL, origin INTEGER, counts INTEGER NOT NULL, told INTEGER NOT NULL
);
CREATE UNIQUE INDEX results_attempt ON results (task, attempt);
"""


def columns_of(path: Path) -> dict[str, tuple[str, bool, bool]]:
    """Type, NOT NULL and PRIMARY KEY of each column of a journal's results, by name."""
    with sqlite3.connect(path) as database:
        found = database.execute("PRAGMA table_info(results)").fetchall()
    database.close()
    return {name: (kind, bool(required), bool(key)) for _, name, kind, required, _, key in found}


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_each_column_is_where_its_row_says(column: Column, tmp_path: Path) -> None:
    Journal(tmp_path).close()
    assert (column.name in columns_of(tmp_path / FILE_NAME)) == bool(column.sql)
    assert (column.name in ResultRow._fields) == bool(column.sql)
    parser = make_parser("float", ())
    frame = ResultTable((), parser, str, lambda task: (), lambda data, path, size: "").frame()
    assert (column.name in frame) == bool(column.dtype)
    if column.dtype:
        assert str(frame[column.name].dtype) == column.dtype
    assert column.meaning


def test_a_frame_has_the_columns_in_their_order() -> None:
    frame = ResultTable((), make_parser("float", ()), str, lambda task: (), lambda data, path, size: "").frame()
    assert [name for name in frame if name != "value"] == [column.name for column in FRAME]


def test_no_parsed_column_is_called_as_a_fixed_one() -> None:
    for column in FRAME:
        with pytest.raises(SpecError, match=f"column '{column.name}' is there already"):
            JobSpec(parse="tsv", columns=((column.name, "str"),)).check(FRAME_NAMES)


def test_what_may_be_missing_may_be_null() -> None:
    hints = typing.get_type_hints(ResultRow)
    for column in RECORDED:
        optional = isinstance(hints[column.name], types.UnionType)
        assert optional == ("NOT NULL" not in column.sql and "KEY" not in column.sql), column.name


@pytest.mark.parametrize("row", [EndingRow, FactRow, FirstRow, Head, Span, ToldRow])
def test_the_other_rows_are_of_these_columns(row: type[ResultRow]) -> None:
    assert set(row._fields) - {"stderr_end"} <= set(ResultRow._fields)


def test_a_row_of_a_result_has_each_value_at_its_name() -> None:
    assert ROW._asdict() == {
        "seq": 0,
        "task": 3,
        "state": TaskState.KILLED,
        "reason": "signal",
        "node": "n1",
        "attempt": 2,
        "losses": 1,
        "origin": 2,
        "exit_code": -9,
        "submitted_at": 10.0,
        "started_at": 11.0,
        "finished_at": 12.5,
        "cpu_s": 0.25,
        "max_rss_mib": 7.0,
        "local_fraction": 0.5,
        "stdout": b"out\xff",
        "stderr": None,
        "stdout_path": "",
        "stderr_path": "/logs/\udcff",
        "stdout_size": 4,
        "stderr_size": 5,
        "note": "a note",
        "counts": 1,
        "told": 1,
    }
    assert type(ROW.state) is int
    assert type(ROW.counts) is int


def test_a_row_of_what_no_node_reported_has_each_value_at_its_name() -> None:
    row = ResultRow.of_unreported(
        3, 2, state=TaskState.LOST, reason=Reason.LOST, node="n1", losses=4, origin=1, submitted_at=10.0,
        started_at=11.0, finished_at=12.0, note="gone", counts=False,
    )  # fmt: skip
    nothing = ROW._replace(
        reason="lost", exit_code=None, cpu_s=0.0, max_rss_mib=0.0, local_fraction=None, stdout=None, stderr_path="",
        stdout_size=0, stderr_size=0,
    )  # fmt: skip
    assert row == nothing._replace(
        state=int(TaskState.LOST), losses=4, origin=1, finished_at=12.0, note="gone", counts=0, told=0
    )


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with journal.writing():
        journal.add_results([(5, ROW)])
    assert list(journal.rows()) == journal.attempts(3) == journal.failures(1) == [ROW._replace(seq=5)]
    (event,) = journal.told()
    assert (event.seq, event.at_s, event.what) == (5, 12.5, "result")
    assert event.detail == ToldRow(3, 2, "signal", -9, 11.0, 12.5)
    assert spans(journal) == [Span(*(getattr(ROW, name) for name in Span._fields))]
    assert heads(journal, [3], 2) == {3: Head(*(getattr(ROW, name) for name in Head._fields))._replace(stdout=b"ou")}
    assert journal.firsts([3], 2) == {3: FirstRow(3, 2, b"ou", "", None, "/logs/\udcff", "a note", "signal")}
    assert [rows for _, rows in journal.facts()] == [[FactRow(5, 3, 2, TaskState.KILLED, -9, "n1", 11.0, 12.5)]]
    ending = EndingRow(5, 3, 2, TaskState.KILLED, "signal", -9, None, "/logs/\udcff", "a note")
    assert [rows for _, rows in journal.endings()] == [[ending]]
    journal.close()


def test_a_journal_whose_columns_are_in_another_order_is_read_and_written_by_name(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    path = tmp_path / FILE_NAME
    with sqlite3.connect(path) as database:
        new = columns_of(path)
        database.executescript(f"DROP TABLE results; {FIRST_TABLE}")
        values = (
            "9, 0, 1, 4, 'exit', 0, 'n0', 1.0, 2.0, 3.0, 0.5, 6.0, NULL, x'61', NULL, '', '', 1, 0, '', 0, NULL, 1, 1"
        )
        database.execute(f"INSERT INTO results VALUES ({values})")
    database.close()
    assert columns_of(path) == new  # but for their order
    journal = Journal(tmp_path)
    with journal.writing():
        journal.add_results([(10, ROW)])
    old, row = journal.rows()
    assert (old.seq, old.task, old.state, old.node, old.stdout, old.stdout_size) == (9, 0, 4, "n0", b"a", 1)
    assert row == ROW._replace(seq=10)
    journal.close()
    assert list(columns_of(path))[:3] == ["seq", "task", "attempt"]  # the file is not rewritten


def test_a_journal_that_was_begun_before_there_was_a_column_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    with journal.writing():
        journal.add_results([(5, ROW)])
    journal.close()
    new = Column("peers", Source.KERNEL, "INTEGER NOT NULL", older="7"), Column("zone", Source.KERNEL, "TEXT")
    monkeypatch.setattr(rows, "RECORDED", (*RECORDED, *new))
    for _ in range(2):
        journal = Journal(tmp_path)
        assert list(journal.rows()) == [ROW._replace(seq=5)]
        journal.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        assert database.execute("SELECT peers, zone FROM results").fetchall() == [(7, None)]
    database.close()


def test_a_column_that_came_later_says_what_older_journals_have() -> None:
    first = set(re.findall(r"(\w+) (?:INTEGER|REAL|TEXT|BLOB)", FIRST_TABLE))
    assert len(first) == 24
    for column in RECORDED:
        assert column.name in first or column.older or "NOT NULL" not in column.sql, column.name


def test_what_comes_from_the_executor_is_in_its_record() -> None:
    told = set(Result._fields) - {"task", "attempt", "node"}
    for column in COLUMNS:
        name = {"exit_code": "code", "wall_s": "finished_at"}.get(column.name, column.name)
        assert (name in told) == (column.source is Source.EXECUTOR), column.name


def test_the_table_is_well_formed() -> None:
    names = [column.name for column in COLUMNS]
    assert len(names) == len(set(names))
    assert all(re.fullmatch("[a-z_]+", name) for name in names)
    assert all(column.sql or column.dtype for column in COLUMNS)
    assert all("\n" not in column.meaning for column in COLUMNS)
