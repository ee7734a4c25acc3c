"""PARAMS of every kind: what a user means by them, or a refusal with row and column."""

from __future__ import annotations

import csv
import datetime
import decimal
import enum
import io
import itertools
import json
import shlex
import sqlite3
import subprocess
import sys
import uuid
from collections import deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.spec.commands import template_commands
from stratos_jupyter.backend.spec.parameters import rows_of
from stratos_jupyter.errors import SpecError

Point = namedtuple("Point", "a b")


@dataclass
class Model:
    """A row by name."""

    seed: int
    kind: str = "nfw"


class Kind(enum.Enum):
    """Values of a column."""

    NFW = "nfw"
    TWO = 2


class Level(enum.IntEnum):
    """Numbers with names."""

    HIGH = 9


def rows(sql: str) -> sqlite3.Cursor:
    base = sqlite3.connect(":memory:")
    base.row_factory = sqlite3.Row
    return base.execute(sql)


FRAME = pd.DataFrame({"i": [1, 2], "f": [0.1, 1.0], "s": ["a b", "c"], "t": [True, False]})
TEXTS = [("1", "0.1", "a b", "True"), ("2", "1.0", "c", "False")]

#: what is given; names; rows
MEANT: list[tuple[str, Callable[[], Any], tuple[str, ...], list[tuple[str, ...]]]] = [
    ("strings", lambda: ["0.5, 30", "0.7,40"], ("c1", "c2"), [("0.5", "30"), ("0.7", "40")]),
    ("lines", lambda: io.StringIO("a\nb\n"), ("c1",), [("a",), ("b",)]),
    ("lists", lambda: [[1, "x"], (2.5, True)], ("c1", "c2"), [("1", "x"), ("2.5", "True")]),
    ("scalars", lambda: (1, 2), ("c1",), [("1",), ("2",)]),
    ("range", lambda: range(2), ("c1",), [("0",), ("1",)]),
    ("generator", lambda: (i * i for i in range(3)), ("c1",), [("0",), ("1",), ("4",)]),
    ("zip", lambda: zip([1, 2], "ab", strict=True), ("c1", "c2"), [("1", "a"), ("2", "b")]),
    ("product", lambda: itertools.product([1], "xy"), ("c1", "c2"), [("1", "x"), ("1", "y")]),
    ("keys", lambda: {"a": 1, "b": 2}.keys(), ("c1",), [("a",), ("b",)]),
    ("items", lambda: {"a": 1, "b": 2}.items(), ("c1", "c2"), [("a", "1"), ("b", "2")]),
    ("values", lambda: {"a": 1, "b": 2}.values(), ("c1",), [("1",), ("2",)]),
    ("deque", lambda: deque([1, 2]), ("c1",), [("1",), ("2",)]),
    ("columns", lambda: {"n": [1, 2], "s": ("x", "y")}, ("n", "s"), [("1", "x"), ("2", "y")]),
    ("constant", lambda: {"seed": range(3), "m": "nfw", "k": 2}, ("seed", "m", "k"),
     [("0", "nfw", "2"), ("1", "nfw", "2"), ("2", "nfw", "2")]),
    ("constants", lambda: {"a": 1, "m": "nfw"}, ("a", "m"), [("1", "nfw")]),
    ("constant path", lambda: {"a": iter([1, 2]), "p": Path("/x")}, ("a", "p"), [("1", "/x"), ("2", "/x")]),
    ("dicts", lambda: [{"a": 1, "b": "x"}, {"b": "y", "a": 2}], ("a", "b"), [("1", "x"), ("2", "y")]),
    ("namedtuples", lambda: [Point(1, "x"), Point(2, "y")], ("a", "b"), [("1", "x"), ("2", "y")]),
    ("dataclasses", lambda: [Model(1), Model(2, "x")], ("seed", "kind"), [("1", "nfw"), ("2", "x")]),
    ("csv", lambda: csv.DictReader(io.StringIO("a,b\n1,x\n2,y\n")), ("a", "b"), [("1", "x"), ("2", "y")]),
    ("csv lists", lambda: csv.reader(io.StringIO("1,x\n2,y\n")), ("c1", "c2"), [("1", "x"), ("2", "y")]),
    ("sqlite3", lambda: rows("select 1 as a, 'x' as b"), ("a", "b"), [("1", "x")]),
    ("paths", lambda: [Path("/d/a b"), Path("c")], ("c1",), [("/d/a b",), ("c",)]),
    ("glob of paths", lambda: sorted(Path("/").glob("etc")), ("c1",), [("/etc",)]),
    ("bytes", lambda: [b"abc", b"\xff"], ("c1",), [("abc",), ("\udcff",)]),
    ("numbers", lambda: [decimal.Decimal("1.50"), Fraction(1, 3), 10**30, 1e-7, float("inf")], ("c1",),
     [("1.50",), ("1/3",), ("1" + "0" * 30,), ("1e-07",), ("inf",)]),
    ("enums", lambda: [Kind.NFW, Kind.TWO, Level.HIGH], ("c1",), [("nfw",), ("2",), ("9",)]),
    ("dates", lambda: [datetime.date(2024, 1, 2), pd.Timestamp("2024-01-02T03:04:05").to_pydatetime()], ("c1",),
     [("2024-01-02",), ("2024-01-02T03:04:05",)]),
    ("uuid", lambda: [uuid.UUID(int=1)], ("c1",), [("00000000-0000-0000-0000-000000000001",)]),
    ("frame", lambda: FRAME, ("i", "f", "s", "t"), TEXTS),
    ("frame's rows", lambda: FRAME[["i", "s"]].itertuples(index=False), ("i", "s"), [("1", "a b"), ("2", "c")]),
    ("frame's records", lambda: FRAME.to_dict("records"), ("i", "f", "s", "t"), TEXTS),
    ("frame's dict", lambda: FRAME.to_dict("list"), ("i", "f", "s", "t"), TEXTS),
    ("filtered", lambda: FRAME[FRAME.i > 1], ("i", "f", "s", "t"), TEXTS[1:]),
    ("numbered columns", lambda: pd.DataFrame([[1, "x"]]), ("0", "1"), [("1", "x")]),
    ("nullable", lambda: pd.DataFrame({"n": pd.array([1, 2], "Int64"), "b": pd.array([True, False], "boolean"),
     "s": pd.array(["x", "y"], "string")}), ("n", "b", "s"), [("1", "True", "x"), ("2", "False", "y")]),
    ("filled", lambda: pd.DataFrame({"n": [1, None]}).dropna().convert_dtypes(), ("n",), [("1",)]),
    ("categories", lambda: pd.DataFrame({"k": pd.Categorical(["u", "v"])}), ("k",), [("u",), ("v",)]),
    ("float32", lambda: pd.DataFrame({"x": np.array([0.1, 2], "f4")}), ("x",), [("0.1",), ("2.0",)]),
    ("days", lambda: pd.DataFrame({"d": pd.date_range("2024-01-01", periods=2)}), ("d",),
     [("2024-01-01",), ("2024-01-02",)]),
    ("hours", lambda: pd.DataFrame({"d": pd.date_range("2024-01-01", periods=2, freq="h")}), ("d",),
     [("2024-01-01T00:00:00",), ("2024-01-01T01:00:00",)]),
    ("series", lambda: pd.Series([1, 2], name="seed"), ("seed",), [("1",), ("2",)]),
    ("nameless series", lambda: FRAME["i"].rename(None), ("c1",), [("1",), ("2",)]),
    ("index", lambda: pd.Index(["a", "b"]), ("c1",), [("a",), ("b",)]),
    ("series of frame rows", lambda: [FRAME[["i", "s"]].iloc[0]], ("i", "s"), [("1", "a b")]),
    ("polars", lambda: pl.DataFrame({"n": [1, 2], "x": [0.5, 1.0], "s": ["a", "b"]}), ("n", "x", "s"),
     [("1", "0.5", "a"), ("2", "1.0", "b")]),
    ("polars series", lambda: pl.Series("q", [0.1], dtype=pl.Float32), ("q",), [("0.1",)]),
    ("polars rows", lambda: pl.DataFrame({"n": [1]}).iter_rows(named=True), ("n",), [("1",)]),
    ("polars dates", lambda: pl.DataFrame({"d": [datetime.date(2024, 1, 1)]}), ("d",), [("2024-01-01",)]),
    ("array", lambda: np.arange(2), ("c1",), [("0",), ("1",)]),
    ("floats", lambda: np.linspace(0, 1, 3), ("c1",), [("0.0",), ("0.5",), ("1.0",)]),
    ("array of rows", lambda: np.array([[1, 2], [3, 4]]), ("c1", "c2"), [("1", "2"), ("3", "4")]),
    ("narrow floats", lambda: np.array([[0.1, 0.2]], "f4"), ("c1", "c2"), [("0.1", "0.2")]),
    ("arrays in a dict", lambda: {"x": np.array([0.1], "f4"), "n": np.int64(3)}, ("x", "n"), [("0.1", "3")]),
    ("structured", lambda: np.array([(1, "a")], dtype=[("n", int), ("s", "U3")]), ("n", "s"), [("1", "a")]),
    ("structured row", lambda: list(np.array([(1, "a")], dtype=[("n", int), ("s", "U3")])), ("n", "s"), [("1", "a")]),
    ("byte strings", lambda: np.array([b"ab", b"c"]), ("c1",), [("ab",), ("c",)]),
    ("moments", lambda: np.array(["2024-01-01T05"], "M8[ns]"), ("c1",), [("2024-01-01T05:00:00",)]),
    ("NumPy days", lambda: np.array(["2024-01-01"], "M8[ns]"), ("c1",), [("2024-01-01",)]),
    ("NumPy scalars", lambda: [np.float32(0.1), np.int8(3), np.bool_(True), np.str_("a"), np.float64(2)], ("c1",),
     [("0.1",), ("3",), ("True",), ("a",), ("2.0",)]),
    ("0-d arrays", lambda: [np.array(5)], ("c1",), [("5",)]),
    ("unmasked", lambda: np.ma.array([1, 2], mask=[False, False]), ("c1",), [("1",), ("2",)]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "names", "texts"), [one[1:] for one in MEANT], ids=[one[0] for one in MEANT])
def test_each_kind_is_what_a_user_means(
    make: Callable[[], Any], names: tuple[str, ...], texts: list[tuple[str, ...]]
) -> None:
    assert rows_of(make()) == (names, texts)


#: what is given, and what is said
REFUSED: list[tuple[str, Callable[[], Any], str]] = [
    ("nan", lambda: pd.DataFrame({"n": [1, None, 3]}), r"row 1, column n is missing \(nan\).*dropna.*convert_dtypes"),
    ("NA", lambda: pd.DataFrame({"n": pd.array([pd.NA, 1], dtype="Int64")}), r"row 0, column n is missing \(<NA>\)"),
    ("NaT", lambda: pd.DataFrame({"d": [pd.Timestamp("2024"), pd.NaT]}), r"row 1, column d is missing \(NaT\)"),
    ("object", lambda: pd.DataFrame({"s": ["a", None]}), "row 1, column s is missing"),
    ("text of NA", lambda: pd.DataFrame({"s": pd.array([1, pd.NA], "Int64")}).astype("string").fillna("<NA>"),
     r"row 1, column s is missing \(<NA>\)"),
    ("None", lambda: [["a", None]], "row 0, column c2 is missing"),
    ("float nan", lambda: [1.0, float("nan")], r"row 1, column c1 is missing \(nan\)"),
    ("NumPy nan", lambda: np.array([[1, np.nan]]), "row 0, column c2 is missing"),
    ("Decimal nan", lambda: [decimal.Decimal("nan"), decimal.Decimal("sNaN")], "row 0.*row 1"),
    ("masked", lambda: np.ma.array([1, 2], mask=[False, True]), "row 1, column c1 is missing"),
    ("NumPy NaT", lambda: np.array(["NaT"], "M8[s]"), "row 0, column c1 is missing"),
    ("polars null", lambda: pl.DataFrame({"n": [1, None]}), "row 1, column n is missing"),
    ("missing key", lambda: [{"a": 1, "b": 2}, {"a": 3}], "row 1, column b is missing"),
    ("empty cell", lambda: csv.DictReader(io.StringIO("a,b\n1,\n")), "row 0, column b is empty.*is written ''"),
    ("short csv row", lambda: csv.DictReader(io.StringIO("a,b\n1\n")), "row 0, column b is missing"),
    ("empty part", lambda: ["0.5,"], "row 0, column c2 is empty"),
    ("blank", lambda: [["  "]], "row 0, column c1 is empty"),
    ("newline", lambda: {"f": ["a\n", "b"]}, r"row 0, column f ends in a newline.*strip\(\)"),
    ("crlf", lambda: [["a\r\n"]], "row 0, column c1 holds a carriage return"),
    ("cr", lambda: [["a\rb"]], "holds a carriage return"),
    ("nul", lambda: [["a\0b"]], "row 0, column c1 holds a NUL"),
    ("nested list", lambda: [[1, [2, 3]]], "row 0, column c2 is a list"),
    ("nested dict", lambda: [{"a": {"b": 1}}], "row 0, column a is a dict"),
    ("nested array", lambda: {"a": [np.arange(2)]}, "row 0, column a is a ndarray"),
    ("nested generator", lambda: {"a": [(i for i in "ab")]}, "row 0, column a is a generator"),
    ("iterrows", lambda: FRAME.iterrows(), "row 0, column c2 is a Series"),
    ("span", lambda: [datetime.timedelta(1)], r"is a span of time.*total_seconds\(\)"),
    ("NumPy span", lambda: np.array([1], "m8[s]"), "is a span of time"),
    ("complex", lambda: [1j, np.complex64(1)], "row 0, column c1 is a complex; row 1"),
    ("function", lambda: [len], "row 0, column c1 is a builtin_function_or_method, which has no text"),
    ("class", lambda: [[Kind]], "row 0, column c1 is a"),
    ("object", lambda: [object()], "row 0, column c1 is a object, which has no text"),
    ("uneven", lambda: {"a": [1, 2], "b": [3]}, "differ in length: a has 2, b has 1.*without brackets"),
    ("set", lambda: {1, 2}, r"a set, which has no order: give sorted\(...\)"),
    ("column of a set", lambda: {"a": {1, 2}}, "column a of the parameters is a dict or a set"),
    ("column of a dict", lambda: {"a": {"x": 1}}, "column a of the parameters is a dict or a set"),
    ("row that is a set", lambda: [{1, 2}], "row 0, column c1 is a set"),
    ("empty", list, "empty: there is nothing to run"),
    ("empty frame", lambda: FRAME[:0], "empty"),
    ("used up", lambda: iter([]), "make it a list"),
    ("endless", itertools.count, "go on after 2,000,000 rows"),
    ("twice", lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns of the name 'a'"),
    ("1 and '1'", lambda: {1: [1], "1": [2]}, "two columns of the name '1'"),
    ("nameless", lambda: {" ": [1]}, "the name ' '"),
    ("levels", lambda: pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "several levels"),
    ("lazy", lambda: pl.DataFrame({"a": [1]}).lazy(), r"LazyFrame that has not been computed: give .collect\(\)"),
    ("three dimensions", lambda: np.zeros((2, 2, 2)), "an array of 3 dimensions"),
    ("some by name", lambda: [{"a": 1}, [2]], "some rows of the parameters have names, others none: row 1 is a list"),
    ("text", lambda: "a,b", "the parameters are a str"),
    ("bytes", lambda: b"ab", "the parameters are a bytes"),
    ("number", lambda: 3, "the parameters are a int"),
    ("nothing", lambda: None, "the parameters are a NoneType"),
    ("path", lambda: Path("/"), "the parameters are a PosixPath"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "said"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED])
def test_what_is_not_meant_is_refused_with_row_and_column(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(SpecError, match=f"(?s){said}"):
        rows_of(make())


def test_all_that_is_wrong_is_said_at_once_and_in_bounds() -> None:
    frame = pd.DataFrame({"n": [1, None] * 500, "s": ["x\n", "y"] * 500})
    with pytest.raises(SpecError) as caught:
        rows_of(frame)
    said = str(caught.value)
    assert "row 0, column s ends in a newline; row 1, column n is missing (nan)" in said
    assert "and 995 values more" in said
    assert len(said) < 1000


values = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.decimals(),
    st.dates(),
    st.datetimes(),
    st.binary(max_size=5),
    st.text(max_size=8),
    st.lists(st.integers(), max_size=2),
)


@given(st.lists(st.lists(values, min_size=2, max_size=2), min_size=1, max_size=5))
def test_no_value_is_another_words_text(params: list[list[Any]]) -> None:
    try:
        names, found = rows_of(params)
    except SpecError:
        return  # refused, which is tested above
    assert names == ("c1", "c2")
    for row, texts in zip(params, found, strict=True):
        for value, text in zip(row, texts, strict=True):
            assert value is not None
            assert value == value
            assert text.strip()
            assert not text.endswith("\n")
            assert not set(text) & {"\r", "\0"}
            if isinstance(value, int | float | decimal.Decimal) and not isinstance(value, bool):
                assert type(value)(text) == value


def test_quoted_values_reach_a_program_as_they_are() -> None:
    given = ["a b", "it's", "$(id)", "x\ny", "*"]
    commands = template_commands("printf '%s\\0' %c%", [[shlex.quote(text)] for text in given])
    seen = [
        subprocess.run(["bash", "-c", commands.command(at)], capture_output=True, check=True).stdout.decode()
        for at in range(len(given))
    ]
    assert seen == [text + "\0" for text in given]


def test_neither_pandas_nor_polars_is_loaded() -> None:
    code = (
        "import sys, json; from stratos_jupyter.backend.spec.parameters import rows_of; rows_of([{'a': 1}]); "
        "print(json.dumps([name for name in ('pandas', 'polars', 'numpy') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_series_is_a_column_whose_texts_are_not_split() -> None:
    assert rows_of(pd.Series(["Doe, Jane", "Roe, R."], name="who")) == (("who",), [("Doe, Jane",), ("Roe, R.",)])
    assert rows_of(pd.Series([(1, 2), (3, 4)], name="pairs"))[1] == [("1", "2"), ("3", "4")]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("'a,b', 2", ("'a,b'", "2")),
        ('"x, y",z', ('"x, y"', "z")),
        ("it's, 4", ("it's", "4")),
        ("a='1,2',b", ("a='1,2'", "b")),
    ],
)
def test_a_comma_in_quotes_splits_no_text(text: str, values: tuple[str, ...]) -> None:
    assert rows_of([text])[1] == [values]


def test_what_is_an_index_is_said() -> None:
    frame = pd.DataFrame({"sample": ["a", "b"], "n": [1, 2]})
    with pytest.raises(SpecError, match=r"%sample% is the index of the parameters, .*reset_index"):
        template_commands("p %sample% %n%", frame.set_index("sample"))
    with pytest.raises(SpecError, match=r"have an index, but no columns: give .reset_index"):
        rows_of(frame.set_index(["sample", "n"]))
    both = frame.set_index("sample", drop=False)
    assert template_commands("p %sample% %n%", both).command(1) == "p b 2"


def test_a_column_that_has_been_used_up_is_said() -> None:
    once = {"x": iter([1, 2])}
    assert rows_of(once)[1] == [("1",), ("2",)]
    with pytest.raises(SpecError, match="gives its rows only once"):
        rows_of(once)


@pytest.mark.parametrize("dtype", ["i4", "u8", "f8", "?", "U3"])
def test_an_array_is_its_rows_whatever_it_is_made_of(dtype: str) -> None:
    array = np.array([[0, 1], [2, 3]]).astype(dtype)
    assert rows_of(array)[1] == [tuple(str(value) for value in row) for row in array]
    assert rows_of(np.ma.array(array))[1] == rows_of(array)[1]
