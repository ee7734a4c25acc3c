"""Rows become a DataFrame whose columns and dtypes never change, and which is the user's alone."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.core.states import TERMINAL, TaskState
from stratos_jupyter.backend.results.parsers import OBJECT, Parser, make_parser
from stratos_jupyter.backend.results.table import CHUNK, ResultTable
from stratos_jupyter.backend.store.outputs import bounded_text
from stratos_jupyter.backend.store.rows import ResultRow
from tests.support.waiting import until

FIXED_DTYPES = {
    "state": "string",
    "reason": "string",
    "command": "string",
    "file": "string",
    "node": "string",
    "attempt": "Int64",
    "losses": "Int64",
    "origin": "Int64",
    "exit_code": "Int64",
    "submitted_at": "datetime64[us, UTC]",
    "started_at": "datetime64[us, UTC]",
    "finished_at": "datetime64[us, UTC]",
    "wall_s": "float64",
    "cpu_s": "float64",
    "max_rss_mib": "float64",
    "local_fraction": "float64",
    "stdout": "string",
    "stderr": "string",
}
COLUMNS = (("n", "int"), ("vel_disp", "float"), ("name", "str"), ("ok", "bool"))
PARSED_DTYPES = {"n": "Int64", "vel_disp": "float64", "name": "string", "ok": "boolean", "parse_error": "string"}
LIMIT = 1 << 20
AT_S = 1_700_000_000.25


def row(task: int, stdout: bytes | None = b"", **changes: Any) -> ResultRow:
    made = ResultRow(
        seq=1,
        task=task,
        attempt=1,
        state=TaskState.FINISHED,
        reason="exit",
        exit_code=0,
        node="node1",
        submitted_at=AT_S,
        started_at=AT_S + 1,
        finished_at=AT_S + 3.5,
        cpu_s=2.0,
        max_rss_mib=10.0,
        local_fraction=None,
        stdout=stdout,
        stderr=None,
        stdout_path="",
        stderr_path="",
        stdout_size=len(stdout or b""),
        stderr_size=0,
        note="",
        losses=0,
        origin=None,
        counts=1,
        told=1,
    )
    return made._replace(**changes)


def table(
    parser: Parser | None = None,
    placeholders: tuple[str, ...] = ("file",),
    command_of: Callable[[int], str] = lambda task: f"wc f{task}",
    values_of: Callable[[int], tuple[str, ...]] | None = None,
) -> ResultTable:
    values = values_of or (lambda task: tuple(f"{name}{task}" for name in placeholders))
    return ResultTable(placeholders, parser, command_of, values, partial(bounded_text, limit=LIMIT))


def parsed(parse: str, *columns: tuple[str, str], function: Any = None) -> Parser:
    parser = make_parser(parse, columns, function)
    assert parser is not None
    return parser


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def check_dtypes(frame: pd.DataFrame, expected: dict[str, str]) -> None:
    # "string" has a storage too, which pandas 2 spells out
    assert {name: dtype.removesuffix("[python]") for name, dtype in dtypes(frame).items()} == expected
    assert list(frame.columns) == list(expected)
    assert (frame.index.name, str(frame.index.dtype)) == ("task", "int64")
    for name, dtype in expected.items():
        assert dtype != "string" or frame[name].dtype == pd.StringDtype("python")


# --- columns and values ---


def test_columns_are_there_from_the_empty_table_on() -> None:
    check_dtypes(table().frame(), FIXED_DTYPES)
    check_dtypes(table().frame_all(b""), FIXED_DTYPES)
    check_dtypes(table(parsed("tsv", *COLUMNS)).frame(), FIXED_DTYPES | PARSED_DTYPES)
    assert len(table().frame()) == 0


def test_a_row() -> None:
    made = table()
    made.update([row(3, b"12 f3\n", stderr=b"warn\xff", local_fraction=0.5)])
    frame = made.frame()
    check_dtypes(frame, FIXED_DTYPES)
    assert frame.index.tolist() == [3]
    got = frame.loc[3]
    assert got.state == "FINISHED"
    assert got.reason == "exit"
    assert got.command == "wc f3"
    assert got.file == "file3"
    assert got.node == "node1"
    assert got.attempt == 1
    assert got.exit_code == 0
    assert got.started_at == pd.Timestamp("2023-11-14 22:13:21.25", tz="UTC")
    assert got.finished_at - got.submitted_at == pd.Timedelta("3.5s")
    assert (got.wall_s, got.cpu_s, got.max_rss_mib, got.local_fraction) == (2.5, 2.0, 10.0, 0.5)
    assert (got.stdout, got.stderr) == ("12 f3\n", "warn\\xff")


def test_what_never_started_has_no_times_and_no_exit_code() -> None:
    made = table()
    made.update(
        [
            row(0, None, state=TaskState.KILLED, reason="user", exit_code=None, started_at=None),
            row(1, b"", state=TaskState.FAILED, reason="signal", exit_code=-9),
        ]
    )
    frame = made.frame()
    check_dtypes(frame, FIXED_DTYPES)
    missing = frame.loc[0]
    assert all(pd.isna(missing[name]) for name in ("exit_code", "started_at", "wall_s", "local_fraction"))
    assert missing.stdout == ""
    assert frame.state.tolist() == ["KILLED", "FAILED"]
    assert frame.exit_code[1] == -9


@pytest.mark.parametrize("at_s", [float("nan"), float("inf"), -1.0, 1e300])
def test_a_broken_clock_gives_a_missing_time(at_s: float) -> None:
    made = table()
    made.update([row(0, started_at=at_s), row(1)])
    frame = made.frame()
    assert pd.isna(frame.started_at[0])
    assert not pd.isna(frame.started_at[1])
    repr(frame)


def test_rows_are_sorted_by_task_however_they_come() -> None:
    made = table()
    made.update([row(5, b"5"), row(1, b"1")])
    made.update([row(3, b"3")])
    assert made.frame().index.tolist() == [1, 3, 5]
    assert made.frame().stdout.tolist() == ["1", "3", "5"]


def test_an_output_in_a_file_is_read_bounded(tmp_path: Any) -> None:
    path = tmp_path / "stdout"
    path.write_bytes(b"x" * 100)
    made = ResultTable((), None, str, lambda task: (), partial(bounded_text, limit=10))
    made.update([row(0, None, stdout_path=str(path), stdout_size=100, stderr_path="/gone/for/good", stderr_size=5)])
    got = made.frame().loc[0]
    assert got.stdout.startswith("xxxxx\n[... 90 bytes cut")
    assert got.stderr.startswith("[gone: /gone/for/good")


def test_names_that_are_taken_get_an_underscore() -> None:
    parser = parsed("tsv", ("state_", "str"), ("file", "str"), ("x", "int"))
    made = table(parser, ("state", "file", "task", "parse_error"))
    made.update([row(0, b"a\tb\t1")])
    frame = made.frame()
    assert list(frame.columns[3:7]) == ["state_", "file", "task_", "parse_error_"]
    assert list(frame.columns[-4:]) == ["state__", "file_", "x", "parse_error"]
    assert frame.loc[0, "state"] == "FINISHED"
    assert frame.loc[0, "state_"] == "state0"
    assert frame.loc[0, "file_"] == "b"
    frame.reset_index()


# --- attempts ---


def test_a_later_attempt_replaces_the_earlier() -> None:
    made = table(parsed("float"))
    made.update([row(0, b"1", state=TaskState.FAILED, exit_code=1), row(1, b"7")])
    made.update([row(0, b"2", attempt=2)])
    frame = made.frame()
    assert frame.value.tolist() == [2.0, 7.0]
    assert frame.attempt.tolist() == [2, 1]
    assert frame.exit_code.tolist() == [0, 0]


def test_an_earlier_attempt_changes_nothing_whenever_it_comes() -> None:
    made = table(parsed("float"))
    made.update([row(0, b"2", attempt=2), row(0, b"1"), row(0, b"3", attempt=2)])
    made.update([row(0, b"1"), row(0, b"4", attempt=2)])
    assert made.frame().value.tolist() == [2.0]


def test_a_forgotten_task_comes_back_with_a_later_attempt_only() -> None:
    made = table(parsed("float"))
    made.update([row(0, b"1"), row(1, b"7")])
    made.forget(0, 1)
    assert made.frame().index.tolist() == [0, 1]  # it is of this attempt
    made.forget(0, 2)
    made.forget(0, 2)
    made.forget(99, 2)
    assert made.frame().index.tolist() == [1]
    made.update([row(0, b"1")])
    assert made.frame().index.tolist() == [1]
    made.update([row(0, b"2", attempt=2)])
    assert made.frame().value.tolist() == [2.0, 7.0]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 4), st.booleans()), max_size=30), st.integers(1, 7))
def test_the_latest_attempt_counts_in_whatever_portions(events: list[tuple[int, int, bool]], portion: int) -> None:
    made = table(parsed("float"))
    seen: dict[int, int] = {}
    shown: dict[int, float] = {}
    pending: list[ResultRow] = []
    for number, (task, attempt, forget) in enumerate(events):
        if forget:
            made.update(pending)
            pending.clear()
            made.forget(task, 99)
            shown.pop(task, None)
            continue
        pending.append(row(task, str(number).encode(), attempt=attempt))
        if attempt > seen.get(task, 0):
            seen[task], shown[task] = attempt, float(number)
        if len(pending) >= portion:
            made.update(pending)
            pending.clear()
    made.update(pending)
    frame = made.frame()
    assert dict(zip(frame.index, frame.value, strict=True)) == shown
    assert frame.index.tolist() == sorted(shown)


# --- every task ---


def test_every_task_with_missing_values_for_those_that_have_not_ended() -> None:
    made = table(parsed("tsv", *COLUMNS))
    made.update([row(1, b"1\t2\tx\ttrue"), row(3, b"bad")])
    states = bytes([TaskState.QUEUED, TaskState.FINISHED, TaskState.RUNNING, TaskState.FINISHED, TaskState.LOST])
    frame = made.frame_all(states)
    check_dtypes(frame, FIXED_DTYPES | PARSED_DTYPES)
    assert frame.index.tolist() == [0, 1, 2, 3, 4]
    assert frame.state.tolist() == ["QUEUED", "FINISHED", "RUNNING", "FINISHED", "LOST"]
    assert frame.command.tolist() == [f"wc f{task}" for task in range(5)]
    assert frame.file.tolist() == [f"file{task}" for task in range(5)]
    rest = frame.drop(columns=["state", "command", "file"])
    assert rest.loc[[0, 2, 4]].isna().all(axis=None)
    assert frame.n.tolist() == [pd.NA, 1, pd.NA, pd.NA, pd.NA]
    assert frame.parse_error.notna().tolist() == [0, 0, 0, 1, 0]


def test_the_states_count_more_than_the_rows() -> None:
    made = table()
    made.update([row(0, b"old"), row(7, b"later")])
    frame = made.frame_all(bytes([TaskState.RUNNING, TaskState.QUEUED]))
    assert frame.state.tolist() == ["RUNNING", "QUEUED"]
    assert frame.stdout.isna().all()
    assert made.frame().stdout.tolist() == ["old", "later"]


@given(st.binary(max_size=12).map(lambda data: bytes(byte % 8 for byte in data)), st.sets(st.integers(0, 15)))
def test_every_task_for_any_states_and_rows(states: bytes, ended: set[int]) -> None:
    made = table(parsed("json"))
    made.update([row(task, b"{}") for task in ended])
    frame = made.frame_all(states)
    assert frame.index.tolist() == list(range(len(states)))
    shown = {task for task in ended if task < len(states) and states[task] in TERMINAL}
    assert set(frame.index[frame.node.notna()]) == shown
    assert [value for value in frame["json"] if value is not None] == [{}] * len(shown)


def test_commands_are_asked_once_for_a_task_that_has_ended() -> None:
    asked: list[int] = []

    def command_of(task: int) -> str:
        asked.append(task)
        return f"c{task}"

    made = table(command_of=command_of)
    made.update([row(0), row(2)])
    assert asked == []
    made.frame()
    made.frame()
    assert asked == [0, 2]
    made.update([row(1)])
    assert made.frame().command.tolist() == ["c0", "c1", "c2"]
    assert made.frame_all(bytes([4, 4, 4, 0])).command.tolist() == ["c0", "c1", "c2", "c3"]
    assert asked == [0, 2, 1, 3]


def test_a_long_command_is_whole() -> None:
    made = table(command_of=lambda task: "x" * 200_000)
    made.update([row(0)])
    assert made.frame().command[0] == "x" * 200_000


# --- parsing ---


def test_parsed_columns() -> None:
    made = table(parsed("tsv", *COLUMNS))
    made.update([row(0, b"3\t1.5\tsnap\ttrue\n"), row(1, b"many\t2.5\tsnap\tfalse\n"), row(2, b"\n"), row(3, None)])
    frame = made.frame()
    check_dtypes(frame, FIXED_DTYPES | PARSED_DTYPES)
    assert frame.n.tolist() == [3, pd.NA, pd.NA, pd.NA]
    assert frame.vel_disp.tolist()[:2] == [1.5, 2.5]
    assert frame.vel_disp.mean() == 2.0
    assert frame.ok.tolist()[:2] == [True, False]
    assert frame.parse_error.isna().tolist() == [True, False, False, False]
    assert frame.parse_error[1] == "n: 'many' is no int"


@pytest.mark.parametrize("parser", [parsed("tsv", *COLUMNS), parsed("json"), parsed("lines"), parsed("float")])
def test_dtypes_do_not_depend_on_what_was_printed(parser: Parser) -> None:
    made = table(parser)
    expected = made.frame().dtypes
    for task, stdout in enumerate(
        [b"", b"1\t2\t3\t1", b"[1, 2]", b"{}", b"1.5", b"null", b"\xff\x00", None, b'"text"']
    ):
        made.update([row(task, stdout)])
        pd.testing.assert_series_equal(made.frame().dtypes, expected)
        pd.testing.assert_series_equal(made.frame_all(bytes([4, 0] * 9)).dtypes, expected)


@pytest.mark.parametrize("state", sorted(TERMINAL - {TaskState.FINISHED}))
def test_only_what_finished_is_parsed(state: TaskState) -> None:
    made = table(parsed("mine", function=lambda text: pytest.fail("called")))
    made.update([row(0, b"1.5", state=state)])
    got = made.frame().loc[0]
    assert got[["value", "parse_error"]].isna().all()


def test_a_row_is_parsed_once() -> None:
    seen: list[str] = []

    def function(text: str) -> float:
        seen.append(text)
        return 1.0

    made = table(parsed("mine", function=function))
    made.update([row(0, b"a"), row(0, b"b", attempt=2), row(1, b"c")])
    made.update([row(0, b"a"), row(1, b"c")])
    made.frame()
    made.frame_all(bytes(5))
    assert seen == ["b", "c"]


def test_an_interrupted_parse_can_be_taken_up_again() -> None:
    read: list[str] = []
    release = threading.Event()

    def function(text: str) -> float:
        read.append(text)
        if text == "1":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # a user's, while it waits for this
            release.wait(20.0)
        return float(text)

    made = table(parsed("mine", function=function))
    rows = [row(0, b"0"), row(1, b"1"), row(2, b"2")]
    with pytest.raises(KeyboardInterrupt):
        made.update(rows)
    check_dtypes(made.frame(), FIXED_DTYPES | {"value": "float64", "parse_error": "string"})
    release.set()
    assert made.update(rows) == 3
    assert made.frame().value.tolist() == [0.0, 1.0, 2.0]
    assert read == ["0", "1", "2"], "each once"


def test_rows_are_taken_up_to_the_first_that_is_not_parsed_in_time() -> None:
    release = threading.Event()

    def function(text: str) -> float:
        if text == "2":
            release.wait(20.0)
        return float(text)

    made = table(parsed("mine", function=function))
    rows = [row(0, b"0"), row(1, b"1"), row(3, b"x", state=TaskState.FAILED), row(2, b"2"), row(4, b"4")]
    until(lambda: made.update(rows, time.monotonic()) == 3)
    assert made.frame().index.tolist() == [0, 1, 3]
    assert made.update(rows[3:], time.monotonic()) == 0
    release.set()
    assert made.update(rows[3:]) == 2
    assert made.frame().value.tolist()[:3] == [0.0, 1.0, 2.0]
    assert made.frame().index.tolist() == [0, 1, 2, 3, 4]


def test_lists_of_equal_length_stay_lists() -> None:
    made = table(parsed("lines"))
    made.update([row(0, b"a\nb\n"), row(1, b"c\nd\n")])
    assert made.frame().lines.tolist() == [["a", "b"], ["c", "d"]]


def test_what_cannot_be_made_again_on_a_deeper_stack_is_missing() -> None:
    def revive(text: str) -> object:
        raise RecursionError

    made = table(Parser((("json", OBJECT),), lambda text: ((text,), ""), revive))
    made.update([row(0, b"[]")])
    assert made.frame()["json"].tolist() == [None]


# --- the user's own ---


def mutations() -> dict[str, Callable[[pd.DataFrame], object]]:
    def assign(target: Any, key: Any, value: Any) -> None:
        target[key] = value

    return {
        "loc": lambda frame: assign(frame.loc, (0, "stdout"), "mine"),
        "column": lambda frame: assign(frame, "cpu_s", -1.0),
        "array": lambda frame: assign(frame["exit_code"].array, 0, 99),
        "text array": lambda frame: assign(frame["command"].array, 0, "mine"),
        "numpy": lambda frame: assign(frame["cpu_s"].array.to_numpy(copy=False), 0, -1.0),
        "mask": lambda frame: assign(frame["exit_code"].array._mask, 0, True),
        "index": lambda frame: assign(frame.index.array.to_numpy(copy=False), 0, 42),
        "list": lambda frame: frame["json"][0]["list"].append(3),
        "drop": lambda frame: frame.pop("state"),
        "columns": lambda frame: setattr(frame, "columns", [str(name).upper() for name in frame.columns]),
    }


@pytest.mark.parametrize("name", mutations())
@pytest.mark.parametrize("all_tasks", [False, True])
def test_whatever_a_user_does_to_theirs_ours_stays(name: str, all_tasks: bool) -> None:
    made = table(parsed("json"))
    made.update([row(0, b'{"list": [1, 2]}'), row(1, b"{}")])
    make = partial(made.frame_all, bytes([4, 4])) if all_tasks else made.frame
    make()
    theirs, kept = make(), make()
    try:
        mutations()[name](theirs)
    except ValueError as error:
        assert "read-only" in str(error)  # noqa: PT017  # pandas 3 refuses some of these itself
    pd.testing.assert_frame_equal(make(), kept)
    assert make()["json"].tolist() == [{"list": [1, 2]}, {}]


# --- hostile texts ---

AWKWARD = [
    "two words",
    "it's",
    'say "hi"',
    "$(id)",
    "Zürich",
    "new\nline",
    "-dash",
    "caf\udce9.dat",
    "😀",
    "<script>alert(1)</script>",
    "\x01\x1b[31m",
    "%f%",
    "",
]


def test_file_names_stay_as_they_are_and_can_be_worked_with() -> None:
    made = table(command_of=lambda task: f"wc {AWKWARD[task]}", values_of=lambda task: (AWKWARD[task],))
    made.update([row(task) for task in range(len(AWKWARD))])
    frame = made.frame()
    assert frame.file.tolist() == AWKWARD
    assert all(type(name) is str for name in frame.file)
    bad = AWKWARD[7]
    assert frame[frame.file == bad].index.tolist() == [7]
    assert frame.groupby("file").size()[bad] == 1
    assert frame.merge(frame[["file", "cpu_s"]], on="file").shape[0] == len(AWKWARD)
    assert frame.sort_values("file").shape == frame.shape
    assert frame.file.nunique() == len(AWKWARD)
    assert frame.file.astype("category").cat.categories.size == len(AWKWARD)
    assert frame.set_index("file").loc[bad, "cpu_s"] == 2.0
    assert frame.file.str.endswith(".dat").sum() == 1


def test_any_text_can_be_displayed() -> None:
    made = table(
        parsed("lines"), command_of=lambda task: f"wc {AWKWARD[task]}", values_of=lambda task: (AWKWARD[task],)
    )
    made.update([row(task, AWKWARD[task].encode("utf-8", "surrogateescape")) for task in range(len(AWKWARD))])
    for frame in (made.frame(), made.frame_all(bytes([4, 0] * 6))):
        assert "caf" in repr(frame) or "..." in repr(frame)
        html = frame._repr_html_()  # type: ignore[operator]
        assert "<script>" not in html
        assert "caf\udce9" in frame.to_string()
        assert "&lt;script&gt;" in frame.to_html()
        repr(frame.iloc[0])
        frame.describe(include="all")


def test_a_placeholder_that_cannot_be_encoded_has_a_name_that_can() -> None:
    made = table(None, ("caf\udce9",))
    made.update([row(0)])
    assert made.frame().columns[3] == "caf\\udce9"


# --- speed and size, loosely: to catch a cost for each task that should not be there ---


def test_memory_for_each_task_is_small_and_repeated_texts_are_shared() -> None:
    count = 3 * CHUNK

    def rows() -> list[ResultRow]:
        return [row(task, b"", reason="".join(["ex", "it"]), node="".join(["node", "1"])) for task in range(count)]

    made = table(parsed("float"))
    made.update(rows())  # the first time also loads what numpy loads late
    del made
    gc.collect()
    tracemalloc.start()
    try:
        made = table(parsed("float"))
        made.update(rows())
        gc.collect()
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    frame = made.frame()
    assert len({id(text) for text in frame.reason}) == len({id(text) for text in frame.node}) == 1
    assert used / count < 450


def test_rows_come_in_any_portion_and_number() -> None:
    made, at_once = table(), table()
    rows = [row(task, str(task).encode()) for task in range(2 * CHUNK + 5)]
    at_once.update(iter(rows))
    for first in range(0, len(rows), 1000):
        made.update(rows[first : first + 1000])
    pd.testing.assert_frame_equal(made.frame(), at_once.frame())
    assert np.array_equal(made.frame().stdout.astype(int), np.arange(len(rows)))


def test_parsing_and_outputs_load_no_pandas() -> None:
    code = (
        "import sys, stratos_jupyter.backend.results.parsers, stratos_jupyter.backend.store.outputs;"
        "sys.exit(any(name in sys.modules for name in ('pandas', 'numpy', 'IPython')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
