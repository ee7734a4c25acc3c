"""Stdout becomes values or a text that says why not; bad options are refused before anything starts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.results.parsers import OBJECT, Parsed, Parser, make_parser
from stratos_jupyter.errors import SpecError

TWO = (("n", "int"), ("vel_disp", "float"))
DTYPES = {"int": int, "float": float, "str": str, "bool": bool, OBJECT: str}


def made(parse: str, columns: Any = (), function: Any = None) -> Parser:
    parser = make_parser(parse, columns, function)
    assert parser is not None
    return parser


def one(dtype: str, field: str) -> Parsed:
    return made("tsv", (("x", dtype),)).parse(field)


# --- tsv and csv ---


@pytest.mark.parametrize(
    "text",
    [
        "3\t1.5\n",
        "3\t1.5",
        "3\t1.5\r\n",
        "# n\tvel_disp\n3\t1.5\n",
        "n\tvel_disp\n3\t1.5\n\n   \n",
        "3\t1.5\n  # done in 2 s\n",
        "\n3 \t 1.5\t\n",
        "   3      1.5\n",  # aligned with blanks, as wc does
        " 10%\r 90%\r3\t1.5\n",
    ],
)
def test_tsv_reads_the_last_line_that_says_something(text: str) -> None:
    assert made("tsv", TWO).parse(text) == ((3, 1.5), "")


def test_a_single_tsv_column_keeps_its_blanks() -> None:
    assert one("str", "two words\n") == (("two words",), "")


@pytest.mark.parametrize(
    ("text", "fields"), [('1,"a,b"\n', (1, "a,b")), ('x,y\n2,"say ""hi"""\n', (2, 'say "hi"')), ("3,\n", (3, ""))]
)
def test_csv_knows_quotes(text: str, fields: tuple[object, ...]) -> None:
    assert made("csv", (("n", "int"), ("name", "str"))).parse(text) == (fields, "")


@pytest.mark.parametrize(("text", "says"), [("1\n", "1 value for 2 columns"), ("1\t2\t3\n", "3 values for 2 columns")])
def test_a_record_with_a_wrong_number_of_fields_is_missing_as_a_whole(text: str, says: str) -> None:
    assert made("tsv", TWO).parse(text) == ((None, None), says)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "\r\n"])
@pytest.mark.parametrize("parse", ["tsv", "csv"])
def test_no_record_is_missing(parse: str, text: str) -> None:
    assert made(parse, TWO).parse(text) == ((None, None), "nothing on stdout")


def test_a_field_that_cannot_be_read_leaves_the_others() -> None:
    values, error = made("tsv", TWO).parse("many\t1.5\n")
    assert values == (None, 1.5)
    assert error == "n: 'many' is no int"
    values, error = made("tsv", TWO).parse("x\ty\n")
    assert values == (None, None)
    assert error == "n: 'x' is no int; vel_disp: 'y' is no float"


def test_a_csv_quote_that_never_ends_is_missing() -> None:
    values, error = made("csv", TWO).parse('1,"2\n')
    assert values == (None, None)
    assert error


# --- values ---


@pytest.mark.parametrize(
    ("dtype", "field", "value"),
    [
        ("float", "1.5", 1.5),
        ("float", "-1e-3", -1e-3),
        ("float", "1.5D+03", 1500.0),
        ("float", "1.5d3", 1500.0),
        ("float", "0.25-101", 0.25e-101),
        ("float", "-inf", -math.inf),
        ("float", "NA", None),
        ("int", "-7", -7),
        ("int", "1e6", 1_000_000),
        ("int", "1.0D1", 10),
        ("int", "12.0", 12),
        ("int", "-9223372036854775808", -(2**63)),
        ("int", "NA", None),
        ("bool", "True", True),
        ("bool", ".FALSE.", False),
        ("bool", "T", True),
        ("bool", "0", False),
        ("bool", "NA", None),
        ("str", "NA", "NA"),
        ("str", " x ", " x "),
    ],
)
def test_fields(dtype: str, field: str, value: object) -> None:
    (got,), error = one(dtype, field)
    assert (got, type(got), error) == (value, type(value), "")


@pytest.mark.parametrize(
    ("dtype", "field"),
    [
        ("float", "abc"),
        ("float", "1_000"),
        ("float", "********"),
        ("int", "1_000"),
        ("int", "1.5"),
        ("int", "nan"),
        ("int", "inf"),
        ("int", "9223372036854775808"),
        ("int", "9007199254740993.0"),  # more than a float can tell
        ("int", "9" * 5000),
        ("bool", "2"),
        ("bool", "maybe"),
    ],
)
def test_fields_that_cannot_be_read(dtype: str, field: str) -> None:
    (got,), error = one(dtype, field)
    assert got is None
    assert error.startswith("x: ")
    assert len(error) < 100


def test_an_empty_field_is_a_missing_value_and_no_error() -> None:
    assert made("csv", (*TWO, ("ok", "bool"), ("name", "str"))).parse(",,,\n") == ((None, None, None, ""), "")


# --- json ---


def test_json_keys_are_columns() -> None:
    parser = made("json", (*TWO, ("ok", "bool"), ("name", "str")))
    text = '{"n": 3, "vel_disp": 1, "ok": false, "name": "\\u00e9", "other": [1]}\n'
    assert parser.parse(text) == ((3, 1.0, False, "é"), "")
    assert parser.parse('{"n": null, "vel_disp": "1.5", "ok": 1, "name": {"a": 1}}') == (
        (None, 1.5, True, '{"a": 1}'),
        "",
    )
    assert parser.parse('{"n": 3.0}') == (
        (3, None, None, None),
        "vel_disp: is not there; ok: is not there; name: is not there",
    )


def test_json_after_other_lines() -> None:
    assert made("json", TWO).parse('reading...\n{"n": 1, "vel_disp": 2}\n') == ((1, 2.0), "")


@pytest.mark.parametrize("text", ["[1, 2]", "3", "null", "{", "", "\udce9", "[" * 100_000])
def test_json_that_is_no_object_is_missing(text: str) -> None:
    values, error = made("json", TWO).parse(text)
    assert values == (None, None)
    assert error


def test_json_without_columns_is_one_object_made_anew_each_time() -> None:
    parser = made("json")
    assert parser.columns == (("json", OBJECT),)
    assert parser.revive is not None
    (kept,), error = parser.parse('{"a": [1, 2.5, null]}\n')
    assert error == ""
    assert isinstance(kept, str)
    first, second = parser.revive(kept), parser.revive(kept)
    assert first == second == {"a": [1, 2.5, None]}
    assert first is not second
    assert parser.parse("no\n")[0] == (None,)


@pytest.mark.parametrize("columns", [(), (("a", "str"),)])
def test_half_a_character_in_json_can_be_displayed_all_the_same(columns: Any) -> None:
    parser = made("json", columns)
    (kept,), error = parser.parse('{"a": "x\\ud83dy", "b": "\\ud83d\\ude00"}')
    assert error == ""
    assert isinstance(kept, str)
    if parser.revive:
        assert parser.revive(kept) == {"a": "x?y", "b": "😀"}
    kept.encode()


# --- float, lines, regex ---


def test_float_is_one_number() -> None:
    assert made("float").columns == (("value", "float"),)
    assert made("float", (("sigma", "str"),)).columns == (("sigma", "float"),)  # a bare name reads as str
    assert made("float").parse(" 1.5\n\n") == ((1.5,), "")
    assert made("float").parse("") == ((None,), "nothing on stdout")
    assert made("float").parse("1\n2\n")[0] == (None,)


def test_lines_are_a_list_made_anew_each_time() -> None:
    parser = made("lines")
    assert parser.columns == (("lines", OBJECT),)
    assert parser.revive is not None
    for text, lines in {
        "": [],
        "\n": [""],
        "a\n\nb": ["a", "", "b"],
        "a\r\nb\x0cc\u2028d\n": ["a", "b\x0cc\u2028d"],
    }.items():
        (kept,), error = parser.parse(text)
        assert isinstance(kept, str)
        assert error == ""
        assert kept is text  # the table has that text already
        assert parser.revive(kept) == lines
        assert parser.revive(kept) is not parser.revive(kept)


def test_regex_groups_are_columns() -> None:
    parser = made(r"regex:^sigma = (?P<sigma>\S+)(?: +(?P<unit>\w+))?$", (("sigma", "float"),))
    assert parser.columns == (("sigma", "float"), ("unit", "str"))
    assert parser.parse("x\nsigma = 1.5 km\nsigma = 2\n") == ((1.5, "km"), "")
    assert parser.parse("sigma = 2") == ((2.0, None), "")
    assert parser.parse("sigma = two") == ((None, None), "sigma: 'two' is no float")
    assert parser.parse("none") == ((None, None), "the pattern is not in stdout")


# --- functions ---


@pytest.mark.parametrize(
    ("columns", "returned", "values"),
    [
        ((), 1.5, (1.5,)),
        ((), 3, (3.0,)),
        ((), "2.5", (2.5,)),
        ((), np.float32(0.5), (0.5,)),
        ((("x", "str"),), "abc", ("abc",)),
        ((("x", "str"),), b"abc", ("b'abc'",)),
        ((("x", "int"),), np.int64(4), (4,)),
        ((("x", "bool"),), np.bool_(True), (True,)),
        (TWO, {"n": 1, "vel_disp": 2.0, "more": 3}, (1, 2.0)),
        (TWO, (1, None), (1, None)),
        (TWO, [True, "3"], (1, 3.0)),
        (TWO, np.array([1.0, 2.5]), (1, 2.5)),
    ],
)
def test_what_functions_return(columns: Any, returned: object, values: tuple[object, ...]) -> None:
    assert made("f", columns, lambda text: returned).parse("") == (values, "")


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no str")

    def __float__(self) -> float:
        raise ZeroDivisionError("no float")

    __index__ = __bool__ = __len__ = __float__


class HostileError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message")


@pytest.mark.parametrize(
    ("columns", "returned", "says"),
    [
        ((), None, "the function returned None"),
        ((), {"a": 1}, "a dict: name its values with --columns"),
        ((), (1, 2), "a tuple: name its values with --columns"),
        ((), "abc", "'abc' is no float"),
        ((), 1j, "TypeError"),
        ((), 10**400, "OverflowError"),
        ((), Hostile(), "ZeroDivisionError: no float"),
        ((("x", "str"),), Hostile(), "RuntimeError: no str"),
        ((("x", "bool"),), Hostile(), "RuntimeError"),
        ((("x", "int"),), Hostile(), "ZeroDivisionError"),
        ((("x", "int"),), 2**63, "more than 64 bits"),
        (TWO, 1, "1 value for 2 columns"),
        (TWO, (1, 2, 3), "3 values for 2 columns"),
        (TWO, {"n": 1}, "vel_disp: is not there"),
    ],
)
def test_what_functions_should_not_return(columns: Any, returned: object, says: str) -> None:
    values, error = made("f", columns, lambda text: returned).parse("")
    assert None in values
    assert says in error


@pytest.mark.parametrize("raised", [ValueError("a\nb" + "x" * 1000), HostileError(), KeyError("\ud800"), MemoryError()])
def test_whatever_a_function_raises_becomes_one_short_line(raised: Exception) -> None:
    def function(text: str) -> object:
        raise raised

    values, error = made("f", TWO, function).parse("")
    assert values == (None, None)
    assert type(raised).__name__ in error
    assert len(error) <= 300
    assert error.isprintable()


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_passes(raised: type[BaseException]) -> None:
    def function(text: str) -> object:
        raise raised

    with pytest.raises(raised):
        made("f", (), function).parse("")


# --- what is refused at once ---


def test_nothing_to_parse() -> None:
    assert make_parser("", ()) is None


@pytest.mark.parametrize(
    ("parse", "columns", "function", "says"),
    [
        ("", TWO, None, "add --parse tsv"),
        ("tsv", (), None, "--parse tsv needs names for its fields: add --columns"),
        ("csv", (), None, "add --columns"),
        ("TSV", TWO, None, "--parse TSV: unknown, use one of lines, tsv, csv, json, float, regex:"),
        ("lines", TWO, None, "leave out --columns"),
        ("float", TWO, None, "--parse float makes one float"),
        ("float", (("n", "int"),), None, "--parse float makes one float"),
        ("regex:(", (), None, "does not compile"),
        ("regex:a(b)c", (), None, "no named group: write (?P<name>...)"),
        ("regex:(?P<a>b)", TWO, None, "n, vel_disp: no such group in the pattern, it has a"),
        ("mine", (), 3, "--parse mine: it is a int, not a function"),
        ("tsv", (("n", "double"),), None, "--columns n:double: unknown dtype, use one of int, float, str, bool"),
        ("tsv", (("n", "int"), ("n", "int")), None, "'n' is there twice"),
        ("tsv", (("", "int"),), None, "a column has no name"),
    ],
)
def test_bad_options_are_refused_with_the_cure(parse: str, columns: Any, function: Any, says: str) -> None:
    with pytest.raises(SpecError, match=re.escape(says)):
        make_parser(parse, columns, function)


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        make_parser("xml", (("a", "double"), ("b", "int"), ("b", "int")))
    for says in ("a:double", "'b' is there twice", "--parse xml"):
        assert says in str(caught.value)


# --- anything at all ---

PARSERS = [
    made("tsv", (*TWO, ("name", "str"), ("ok", "bool"))),
    made("tsv", (("n", "int"),)),
    made("csv", (("x", "float"), ("name", "str"))),
    made("json", (*TWO, ("name", "str"), ("ok", "bool"))),
    made("json"),
    made("float"),
    made("lines"),
    made(r"regex:(?P<n>\S+)\s(?P<ok>\S+)", (("n", "int"), ("ok", "bool"))),
]
TEXTS = st.text() | st.text("0123456789.eEdD+-_ \t\n\r,\"'#NA{}[]:\\u") | st.floats().map(repr) | st.integers().map(str)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just("n"), inner, max_size=4),
)


def check(parser: Parser, parsed: Parsed) -> None:
    values, error = parsed
    assert len(values) == len(parser.columns)
    for (_, dtype), value in zip(parser.columns, values, strict=True):
        assert value is None or type(value) is DTYPES[dtype]
        if dtype == "int" and value is not None:
            assert -(2**63) <= value < 2**63  # type: ignore[operator]
    error.encode()


@given(st.sampled_from(PARSERS), TEXTS.map(lambda text: text.encode("utf-8", "replace").decode()))
def test_parsers_never_raise_and_keep_their_dtypes(parser: Parser, text: str) -> None:
    parsed = parser.parse(text)
    check(parser, parsed)
    for (_, dtype), value in zip(parser.columns, parsed[0], strict=True):
        if dtype == OBJECT and value is not None:
            assert parser.revive is not None
            parser.revive(str(value))
        elif isinstance(value, str):
            value.encode()


@given(st.sampled_from([(), TWO, (("a", "str"),), (("n", "bool"), ("b", "str"))]), VALUES | st.tuples(VALUES, VALUES))
def test_functions_may_return_anything(columns: Any, returned: object) -> None:
    function: Callable[[str], object] = lambda text: returned  # noqa: E731
    parser = made("f", columns, function)
    check(parser, parser.parse("text"))
