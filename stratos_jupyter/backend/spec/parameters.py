"""PARAMS: whatever holds parameters, as rows of texts for a shell.

PURE. One gate for all of it: lists, dicts, frames, arrays and whatever gives its rows one by one, told apart by what
they can do, since neither pandas nor polars nor NumPy is loaded here. A value is what its user would write for it, or
it is refused with row and column; nothing that is missing becomes a word of a command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from enum import Enum
from itertools import islice
from typing import Any, Final, TypeAlias

from ...errors import SpecError
from .parameter_values import ABSENT, SHOWN, is_missing, row_texts

#: names of the columns; rows
Table: TypeAlias = tuple[tuple[str, ...], list[tuple[str, ...]]]

#: so many rows at most may come from what does not say how many it has
ROWS: Final = 2_000_000
#: types of rows that have no names; most have one of them
_NAMELESS: Final = frozenset({str, list, tuple, int, float, bool})
#: floats of fewer digits than Python's own: pandas', Arrow's
_NARROW: Final = frozenset({"Float32", "Float16", "float", "halffloat"})
#: kinds of numbers and texts of NumPy of which Python's own show the same digits
_EXACT: Final = frozenset("biuU")

#: a text whose quotes close, and its parts between commas outside of them
_PART: Final = re.compile(r"""(?:^|(?<=,))((?>[^,'"]++|'[^']*+'|"[^"]*+")*+)(?=,|$)""", re.DOTALL)
_PARTS: Final = re.compile(r"""(?>[^'"]++|'[^']*+'|"[^"]*+")*+""", re.DOTALL)

_EXPECTED: Final = "give a list of strings, a list of lists or dicts, a dict of columns, a DataFrame or an array"


def rows_of(params: object) -> Table:
    """Return the names of the columns, and the rows, of a template's parameters.

    Parameters
    ----------
    params : object
        Rows: a list or anything else that can be gone through, of texts (split at commas, their parts stripped), of
        lists, of scalars, or of records (dicts, named tuples, dataclasses). Or columns: a dict, in which a scalar
        stands for itself in each row, a DataFrame, a Series, an array. Rows without names have the columns ``c1`` to
        ``cn``, as many as the first has.

    Raises
    ------
    SpecError
        It is none of these, is empty, or names all that is wrong in it: values that are missing or that no command can
        hold, by row (from 0) and column; columns that differ in length.
    """
    names, rows = _table(params)
    if not rows:
        raise SpecError(f"the parameters are empty: there is nothing to run{_why_empty(params)}")
    _check_names(names)
    return names, row_texts(names, rows)


# -- rows and columns -----------------------------------------------------------------------------------------


def _table(params: object) -> tuple[tuple[str, ...], list[Sequence[object]]]:
    columns = _columns(params)
    if columns is not None:
        return _joined(columns)
    if isinstance(params, Set) and not hasattr(params, "mapping"):  # the views of a dict have an order
        raise SpecError("the parameters are a set, which has no order: give sorted(...) of it")
    if hasattr(params, "ndim") and params.ndim != 1 and params.ndim != 2:
        raise SpecError(f"the parameters are an array of {params.ndim} dimensions: give one of 1 or 2")
    if isinstance(params, str | bytes | bytearray) or not isinstance(params, Iterable) or hasattr(params, "__fspath__"):
        raise SpecError(f"the parameters are a {type(params).__name__}: {_EXPECTED}")
    elements = _elements(params)
    if (name := _series_name(params)) and all(map(_is_scalar, elements)):
        return (name,), [(value,) for value in elements]
    named = [_record(element) for element in elements]
    if any(record is not None for record in named):
        return _by_name(elements, named)
    rows = [_row(element) for element in elements]
    return tuple(f"c{place}" for place in range(1, len(rows[0]) + 1)) if rows else (), rows


def _series_name(params: object) -> str:
    """Return the name of a Series, which is a column; '' of what has none."""
    name = getattr(params, "name", None) if hasattr(params, "dtype") else None
    return "" if name is None or isinstance(name, tuple) else str(name)


def _columns(params: object) -> list[tuple[object, object]] | None:
    """Return the columns of what has some, by name; None of other things."""
    kind = type(params).__name__
    if isinstance(params, Mapping):
        return list(params.items())
    for late in ("compute", "collect", "toPandas"):
        if callable(getattr(type(params), late, None)):
            raise SpecError(f"the parameters are a {kind} that has not been computed: give .{late}() of it")
    if hasattr(params, "columns") and hasattr(params, "iloc"):  # pandas
        return [(name, params.iloc[:, place]) for place, name in enumerate(params.columns)]
    if hasattr(params, "get_columns"):  # polars
        return [(column.name, column) for column in params.get_columns()]
    if hasattr(params, "column_names") and hasattr(params, "to_pydict"):  # Arrow
        return list(zip(params.column_names, params.columns, strict=True)) if hasattr(params, "columns") else None
    if hasattr(params, "colnames"):  # astropy
        return [(name, params[name]) for name in params.colnames]  # type: ignore[index]  # it has columns
    fields = getattr(getattr(params, "dtype", None), "names", None)
    if fields and getattr(params, "ndim", 0) == 1:  # a structured array
        return [(name, params[name]) for name in fields]  # type: ignore[index]  # likewise
    return None


def _joined(columns: Sequence[tuple[object, object]]) -> tuple[tuple[str, ...], list[Sequence[object]]]:
    names = tuple(str(name) for name, _ in columns)
    if wrong := [str(name) for name, _ in columns if isinstance(name, tuple)]:
        shown = ", ".join(wrong[:SHOWN])
        raise SpecError(f"the parameters have columns of several levels, {shown}: join each name to one text")
    unordered = [name for name, values in columns if isinstance(values, Mapping | Set)]
    if unordered:
        shown = ", ".join(map(str, unordered[:SHOWN]))
        raise SpecError(f"column {shown} of the parameters is a dict or a set: give a list, or sorted(...) of it")
    whole = {place: _elements(values) for place, (_, values) in enumerate(columns) if not _is_scalar(values)}
    lengths = {names[place]: len(values) for place, values in whole.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} has {length:,}" for name, length in list(lengths.items())[: 2 * SHOWN])
        raise SpecError(
            f"the columns of the parameters differ in length: {shown}; a value that is the same in each row is written "
            "without brackets"
        )
    count = next(iter(lengths.values()), 1 if columns else 0)
    every = [whole.get(place, [values] * count) for place, (_, values) in enumerate(columns)]
    return names, list(zip(*every, strict=True))


def _record(element: Any) -> Mapping[str, object] | None:
    """Return the values of a row by name; None of one without names."""
    if type(element) in _NAMELESS:
        return None
    if isinstance(element, Mapping):
        return {str(name): value for name, value in element.items()}
    if isinstance(element, type):
        return None
    fields = getattr(element, "_fields", None) if isinstance(element, tuple) else None
    fields = fields or getattr(element, "__dataclass_fields__", None)
    fields = fields or [one.name for one in getattr(element, "__attrs_attrs__", ())]
    fields = fields or getattr(type(element), "model_fields", None)  # pydantic
    if fields:
        return {name: getattr(element, name) for name in fields}
    dtype_names = getattr(getattr(element, "dtype", None), "names", None)
    if dtype_names and getattr(element, "shape", None) == ():
        return {name: element[name] for name in dtype_names}  # of a structured array
    if not (callable(getattr(element, "keys", None)) and hasattr(element, "__getitem__")):
        return None
    return {str(name): element[name] for name in list(element.keys())}  # a row of sqlite3, or of pandas


def _by_name(
    elements: Sequence[object], named: Sequence[Mapping[str, object] | None]
) -> tuple[tuple[str, ...], list[Sequence[object]]]:
    odd = [row for row, record in enumerate(named) if record is None]
    if odd:
        shown = ", ".join(f"row {row} is a {type(elements[row]).__name__}" for row in odd[:SHOWN])
        raise SpecError(f"some rows of the parameters have names, others none: {shown}")
    names = tuple(dict.fromkeys(name for record in named for name in record or ()))
    return names, [[(record or {}).get(name, ABSENT) for name in names] for record in named]


def _row(element: object) -> Sequence[object]:
    if isinstance(element, str) and not isinstance(element, Enum):
        quoted = "," in element and ("'" in element or '"' in element) and _PARTS.fullmatch(element)
        parts = _PART.findall(element) if quoted else element.split(",")
        return tuple(part.strip() for part in parts)
    if _is_scalar(element) or isinstance(element, Mapping | Set):
        return (element,)
    return _elements(element)


def _elements(values: Any) -> list[object]:
    """Return the elements of a column, a row or all rows, as little changed as may be."""
    if type(values) is list or type(values) is tuple:
        return list(values)
    dtype = getattr(values, "dtype", None)
    kind, size = getattr(dtype, "kind", ""), getattr(dtype, "itemsize", 8)
    if (kind == "f" and size != 8) or str(dtype or getattr(values, "type", "")) in _NARROW:
        # Python's own floats would show digits that a narrow one does not have.
        return list(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if hasattr(values, "ndim") and hasattr(values, "tolist") and (kind in _EXACT or (kind == "f" and size == 8)):
        return list(values.tolist())  # of NumPy, or pandas: all at once
    if kind == "M":
        return _dates(list(values))
    for convert in ("to_pylist", "to_list"):  # Arrow; polars and pandas
        if hasattr(values, convert):
            return list(getattr(values, convert)())
    if hasattr(values, "__len__"):
        return list(values)
    found = list(islice(values, ROWS + 1))
    if len(found) > ROWS:
        raise SpecError(f"the parameters go on after {ROWS:,} rows: make them a list of the rows that are meant")
    return found


def _dates(values: list[Any]) -> list[object]:
    """Return moments without their time of day where all of them are days, as pandas shows them."""
    texts = [value if is_missing(value) else _moment(value) for value in values]
    if all(not isinstance(text, str) or text.endswith("T00:00:00") for text in texts):
        return [text.removesuffix("T00:00:00") if isinstance(text, str) else text for text in texts]
    return texts


def _moment(value: Any) -> str:
    text = str(value.isoformat() if hasattr(value, "isoformat") else value)  # NumPy's say as much by themselves
    return text.rstrip("0").rstrip(".") if "." in text and not hasattr(value, "isoformat") else text


def _is_scalar(value: object) -> bool:
    if isinstance(value, str | bytes | bytearray | Enum | type) or hasattr(value, "__fspath__"):
        return True
    return getattr(value, "shape", None) == () or not isinstance(value, Iterable)


def _why_empty(params: object) -> str:
    """Say why what seems to have rows may have none."""
    held = list(params.values()) if isinstance(params, Mapping) else [params]
    if any(isinstance(values, Iterator) for values in held):
        return "; what gives its rows only once may have given them: make it a list"
    if hasattr(params, "iloc") and len(getattr(params, "index", ())):
        return "; its rows have an index, but no columns: give .reset_index()"
    return ""


def index_names(params: object) -> tuple[str, ...]:
    """Return the names of a frame's index, which are no columns of it."""
    names = getattr(getattr(params, "index", None), "names", None) if hasattr(params, "iloc") else None
    return tuple(str(name) for name in names or () if name is not None)


def _check_names(names: Sequence[str]) -> None:
    bad = [f"two columns of the name {name!r}" for name in dict.fromkeys(names) if names.count(name) > 1]
    bad += [
        f"a column with the name {name!r:.60}, for which nothing can be written between two %"
        for name in names
        if not name.strip() or "\n" in name or "\r" in name
    ]
    if bad:
        raise SpecError(f"the parameters have {'; '.join(bad[:SHOWN])}: rename them")
