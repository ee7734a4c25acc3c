"""One task's stdout -> the values of its row.

The rules, the same for every kind of parser:

- The columns and their dtypes are known before the first task starts; a parser never adds one.
- What cannot be read is a missing value and a text that says why, never an exception.
- A record told apart by position (tsv, csv, a tuple) whose number of fields is wrong is missing as a whole:
  it cannot be told which field is the one too many.
- What a program wrote as missing is missing without an error: an empty field or ``NA`` in a column of numbers,
  a JSON ``null``, a group of a pattern that took no part.
- Numbers may be Fortran's: ``1.5D+03``, ``.TRUE.``
- A parser sees the output as the row has it: past the output's bound its middle is cut.
"""

from __future__ import annotations

import csv
import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ...errors import SpecError
from ..spec.job_spec import DTYPES

#: of the one column that `lines` and `json` make by themselves: it holds Python objects
OBJECT: Final = "object"

Value = int | float | str | bool | None
#: one value for each column, and what went wrong ("" when nothing did)
Parsed = tuple[tuple[Value, ...], str]
Columns = tuple[tuple[str, str], ...]

_REGEX: Final = "regex:"
_KINDS: Final = "lines, tsv, csv, json, float, regex:PATTERN with named groups, or the name of a Python function"
_ABSENT: Final = object()
_INT64: Final = range(-(2**63), 2**63)
_FORTRAN: Final = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+))(?:[dD]([-+]?\d+)|([-+]\d{3}))")
_BOOLS: Final = dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True)
_BOOLS.update(dict.fromkeys(("false", "f", "no", "n", "off", "0"), False))
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


class _Unreadable(ValueError):
    """A text of ours about a value or a record that cannot be read."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression with named groups.

    Attributes
    ----------
    text : str
        As the user wrote it.
    names : tuple of str
        Of its groups.
    take : callable
        Makes values of the groups of a match; of None when there is none, and of a text that says why it is not known.
    """

    text: str
    names: tuple[str, ...]
    take: Callable[[Sequence[str | None] | str | None], Parsed]


class ParseTrouble(NamedTuple):
    """Outputs that could not be parsed: how many, the first such task, and what was wrong with its output."""

    outputs: int = 0
    task: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Parser:
    """Reads the values of some columns from a task's stdout; made by `make_parser`.

    Attributes
    ----------
    columns : tuple of (str, str)
        Name and dtype of each column: ``int float str bool``, or ``object`` for the column of `lines` and `json`.
    read : callable
        Text to values and error; may raise what it likes.
    revive : callable or None
        For a column of dtype ``object``, whose value is kept as text: makes a new object of it, each time it is asked.
    pattern : Pattern or None
        What is searched for, of a parser that does that.
    calls : bool
        Whether it calls a function of the user's.
    """

    columns: Columns
    read: Callable[[str], Parsed]
    revive: Callable[[str], object] | None = None
    pattern: Pattern | None = None
    calls: bool = False

    @property
    def nothing(self) -> tuple[Value, ...]:
        """The values of an output that cannot be read."""
        return (None,) * len(self.columns)

    @property
    def may_hang(self) -> bool:
        """Whether it cannot be known how long it takes."""
        return self.calls or self.pattern is not None

    def parse(self, text: str) -> Parsed:
        """Return one value for each column, None where it is missing, and what went wrong.

        Raises nothing but what is no `Exception` (a KeyboardInterrupt, say, while a user's function runs).
        """
        try:
            return self.read(text)
        except Exception as error:  # a user's function may raise anything
            return self.nothing, _described(error)


def is_known(parse: str) -> bool:
    """Say whether ``--parse`` names a kind that needs no function of a notebook."""
    return parse.startswith(_REGEX) or parse in ("lines", "tsv", "csv", "json", "float")


def parsed(parser: Parser, text: str) -> Parsed:
    """Return what `Parser.parse` does; a function that ends by SystemExit or its like could not parse the text either.

    Raises nothing but a KeyboardInterrupt.
    """
    try:
        return parser.parse(text)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return parser.nothing, _described(error)


def make_parser(
    parse: str, columns: Sequence[tuple[str, str]] = (), function: Callable[[str], object] | None = None
) -> Parser | None:
    """Make the parser that ``--parse`` and ``--columns`` ask for.

    Parameters
    ----------
    parse : str
        How to read stdout:

        ``tsv``, ``csv``
            One record: the last line that is neither empty nor begins with ``#`` (so a header may stand before
            it). Needs `columns`. A tsv line with no tab in it is split at blanks. A csv field may be quoted, but
            not go over several lines.
        ``json``
            An object; of `columns` its keys of these names, else one column ``json`` with the decoded value.
            When the whole of stdout is no JSON, its last line is tried.
        ``float``
            One number and nothing else; the column is called ``value``, or as `columns` says.
        ``lines``
            One column ``lines``, a list of str.
        ``regex:PATTERN``
            The first match; its named groups are the columns, str unless `columns` gives a dtype. ``^`` and
            ``$`` match at every line.
        a function's name
            See `function`.
        ``""``
            No parser.
    columns : sequence of (str, str)
        Names and dtypes, each one of ``int float str bool``.
    function : callable, optional
        What `parse` names, when that is a Python function. It gets the text of stdout. Without `columns` it
        returns a number, for a column ``value``. With them: a dict by their names (other keys are left out), or
        a tuple or list in their order, or a scalar when there is one column.

    Returns
    -------
    Parser or None
        None when nothing is to be parsed.

    Raises
    ------
    SpecError
        Naming everything that is wrong, and the cure.
    """
    wanted = tuple(columns)
    if function is None and not parse:
        if wanted:
            raise SpecError(f"--columns without --parse: add --parse tsv (or {_KINDS})")
        return None
    wrong = _wrong_columns(wanted)
    try:
        parser = _made(parse, wanted, function)
    except SpecError as error:
        wrong.append(str(error))
    if wrong:
        raise SpecError("; ".join(wrong))
    return parser


def _wrong_columns(columns: Columns) -> list[str]:
    names = [name for name, _ in columns]
    wrong = [
        f"--columns {name}:{dtype}: unknown dtype, use one of {', '.join(DTYPES)}"
        for name, dtype in columns
        if dtype not in DTYPES
    ]
    wrong += [f"--columns: {name!r} is there twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    if "" in names:
        wrong.append("--columns: a column has no name")
    return wrong


def _made(parse: str, columns: Columns, function: Callable[[str], object] | None) -> Parser:
    if function is not None:
        return _function_parser(parse, columns, function)
    if parse.startswith(_REGEX):
        return _regex_parser(parse.removeprefix(_REGEX), columns)
    match parse:
        case "tsv" | "csv":
            if not columns:
                raise SpecError(f"--parse {parse} needs names for its fields: add --columns name:float,other:int")
            return _record_parser(_tsv_fields if parse == "tsv" else _csv_fields, columns)
        case "json":
            return _json_parser(columns)
        case "float":
            return _float_parser(columns)
        case "lines":
            if columns:
                raise SpecError("--parse lines makes one column `lines`: leave out --columns, or use --parse tsv")
            return Parser((("lines", OBJECT),), lambda text: ((text,), ""), _lines)
        case _:
            raise SpecError(f"--parse {parse}: unknown, use one of {_KINDS}")


# --- the kinds ----------------------------------------------------------------------------------------------------


def _record_parser(split: Callable[[str, int], list[str]], columns: Columns) -> Parser:
    count = len(columns)
    convert = _converter(columns)

    def read(text: str) -> Parsed:
        fields = split(_record(text), count)
        if len(fields) == count + 1 and not fields[-1].strip():
            del fields[-1]  # a separator at the end of the line
        _check_count(len(fields), count)
        return convert(fields)

    return Parser(columns, read)


def _record(text: str) -> str:
    """Return the last line that says something, as a terminal would show it."""
    end = len(text)
    while end >= 0:
        start = text.rfind("\n", 0, end) + 1
        line = text[start:end].rstrip("\r").rpartition("\r")[2]  # a progress bar stands before the last \r
        if (said := line.lstrip()) and said[0] != "#":
            return line
        end = start - 1
    raise _Unreadable("nothing on stdout")


def _tsv_fields(line: str, count: int) -> list[str]:
    return line.split("\t") if "\t" in line or count == 1 else line.split()


def _csv_fields(line: str, count: int) -> list[str]:
    return next(csv.reader([line], strict=True))


def _json_parser(columns: Columns) -> Parser:
    if not columns:
        return Parser((("json", OBJECT),), lambda text: ((_json(text)[0],), ""), json.loads)
    convert = _converter(columns)

    def read(text: str) -> Parsed:
        decoded = _json(text)[1]
        if not isinstance(decoded, dict):
            raise _Unreadable(f"stdout holds a JSON {type(decoded).__name__}, --columns needs an object")
        return convert([decoded.get(name, _ABSENT) for name, _ in columns])

    return Parser(columns, read)


def _json(text: str) -> tuple[str, object]:
    """Return the JSON in `text`, as text and decoded."""
    try:
        source, decoded = text, json.loads(text)
    except ValueError as error:
        source = _record(text)
        try:
            decoded = json.loads(source)
        except ValueError:
            raise _Unreadable(f"stdout is no JSON: {error}") from None
    if _SURROGATE.search(source):
        # An escape may spell half of a character, which nothing could display.
        source = _displayable(json.dumps(decoded, ensure_ascii=False), "replace")
        decoded = json.loads(source)
    return source, decoded


def _float_parser(columns: Columns) -> Parser:
    # A name without a dtype reads as str: it is a float here.
    if len(columns) > 1 or any(dtype not in ("float", "str") for _, dtype in columns):
        raise SpecError("--parse float makes one float: use --columns NAME, or --parse tsv with these columns")
    named = tuple((name, "float") for name, _ in columns) or (("value", "float"),)

    def read(text: str) -> Parsed:
        if not (body := text.strip()):
            raise _Unreadable("nothing on stdout")
        return (_to_float(body),), ""

    return Parser(named, read)


def _lines(text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").split("\n")
    if not lines[-1]:
        del lines[-1]
    return lines


def _regex_parser(pattern: str, columns: Columns) -> Parser:
    try:
        search = re.compile(pattern, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        raise SpecError(f"--parse regex: {pattern!r} does not compile: {error}") from None
    groups = tuple(search.groupindex)
    if not groups:
        raise SpecError(f"--parse regex: {pattern!r} has no named group: write (?P<name>...) for each column")
    dtypes = dict(columns)
    if unknown := [name for name in dtypes if name not in groups]:
        raise SpecError(f"--columns: {', '.join(unknown)}: no such group in the pattern, it has {', '.join(groups)}")
    named = tuple((name, dtypes.get(name, "str")) for name in groups)
    convert = _converter(named)

    def take(found: Sequence[str | None] | str | None) -> Parsed:
        if found is None or isinstance(found, str):
            return (None,) * len(named), "the pattern is not in stdout" if found is None else found
        return convert(found)

    def read(text: str) -> Parsed:
        match = search.search(text)
        return take(None if match is None else [match[name] for name in groups])

    return Parser(named, read, pattern=Pattern(pattern, groups, take))


def _function_parser(name: str, columns: Columns, function: Callable[[str], object]) -> Parser:
    if not callable(function):
        raise SpecError(f"--parse {name}: it is a {type(function).__name__}, not a function; or use one of {_KINDS}")
    named = columns or (("value", "float"),)
    convert = _converter(named)

    def read(text: str) -> Parsed:
        got: Any = function(text)
        if hasattr(got, "tolist"):  # numpy's scalars and arrays
            got = got.tolist()
        if got is None:
            raise _Unreadable("the function returned None")
        if isinstance(got, Mapping | tuple | list):
            if not columns:
                raise _Unreadable(f"the function returned a {type(got).__name__}: name its values with --columns")
            if isinstance(got, Mapping):
                return convert([got.get(column, _ABSENT) for column, _ in columns])
            _check_count(len(got), len(columns))
            return convert(got)
        _check_count(1, len(named))
        return convert((got,))

    return Parser(named, read, calls=True)


def _check_count(got: int, count: int) -> None:
    if got != count:
        raise _Unreadable(f"{got} value{'s' * (got != 1)} for {count} column{'s' * (count != 1)}")


# --- values -------------------------------------------------------------------------------------------------------


def _converter(columns: Columns) -> Callable[[Iterable[object]], Parsed]:
    steps = [(name, _CONVERT.get(dtype, _to_str)) for name, dtype in columns]

    def convert(fields: Iterable[object]) -> Parsed:
        values: list[Value] = []
        wrong: list[str] = []
        for (name, step), field in zip(steps, fields, strict=True):
            try:
                values.append(step(field))
            except Exception as error:  # the conversion may be a method of a user's object
                values.append(None)
                wrong.append(f"{name}: {_described(error)}")
        return tuple(values), "; ".join(wrong)

    return convert


def _to_float(field: Any) -> float | None:
    if not isinstance(field, str):
        return None if _is_missing(field) else float(field)
    number = _number(field)
    if number is None and not _is_missing(field.strip()):
        raise _Unreadable(f"{_quoted(field)} is no float")
    return number


def _number(text: str) -> float | None:
    if "_" not in text:  # 1_000 is a number for Python alone
        try:
            return float(text)
        except ValueError:
            pass
    fortran = _FORTRAN.fullmatch(text.strip())
    return float(f"{fortran[1]}e{fortran[2] or fortran[3]}") if fortran else None


def _to_int(field: Any) -> int | None:
    number: int | None = None
    if isinstance(field, str):
        text = field.strip()
        if _is_missing(text):
            return None
        try:
            number = None if "_" in text else int(text)
        except ValueError:
            number = _whole(_number(text))
    elif isinstance(field, float):
        number = _whole(field)
    elif _is_missing(field):
        return None
    else:
        number = int(operator.index(field))
    if number is None:
        raise _Unreadable(f"{_quoted(str(field))} is no int")
    if number not in _INT64:
        raise _Unreadable("the int has more than 64 bits")
    return number


def _whole(number: float | None) -> int | None:
    """Return the int that a float stands for exactly, as 1e6 does."""
    return int(number) if number is not None and number.is_integer() and abs(number) < 2**53 else None


def _to_bool(field: Any) -> bool | None:
    if isinstance(field, str):
        word = field.strip()
        if _is_missing(word):
            return None
        known = _BOOLS.get(word.strip(".").lower())
    elif _is_missing(field):
        return None
    else:
        known = bool(field) if isinstance(field, int | float) and field in (0, 1) else None
    if known is None:
        raise _Unreadable(f"{_quoted(str(field))} is no bool")
    return known


def _to_str(field: Any) -> str | None:
    if isinstance(field, str):
        return _displayable(field)
    if _is_missing(field):
        return None
    return _displayable(json.dumps(field) if isinstance(field, dict | list | bool) else str(field))


_CONVERT: Final[Mapping[str, Callable[[Any], Value]]] = {
    "int": _to_int,
    "float": _to_float,
    "str": _to_str,
    "bool": _to_bool,
}


def _is_missing(field: object) -> bool:
    """Say whether a field was left empty on purpose; raise when it is not there at all."""
    if field is _ABSENT:
        raise _Unreadable("is not there")
    return field is None or (isinstance(field, str) and field in ("", "NA"))


# --- texts about what went wrong ----------------------------------------------------------------------------------


def _displayable(text: str, errors: str = "backslashreplace") -> str:
    """Return `text` as plain str without lone surrogates, which no notebook could be sent."""
    if type(text) is str and text.isascii():
        return text
    return str.encode(text, "utf-8", errors).decode("utf-8")


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")


def _described(error: BaseException) -> str:
    """Return one short line about `error`, whatever it is."""
    name = type(error).__name__
    try:
        text = str(error) if isinstance(error, _Unreadable) else f"{name}: {error}"
    except Exception:  # __str__ is the user's too
        text = name
    return _displayable(" ".join(text[:300].split()))
