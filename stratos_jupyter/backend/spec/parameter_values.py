"""One value of a row of parameters as the text that a command gets. PURE.

A value is what its user would write for it. One that has no such text is refused with its row, its column and a cure.
Types of pandas and NumPy are told apart by name, because neither is loaded here.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

from ...errors import SpecError

#: wrong values that a message names
SHOWN: Final = 5
#: what is missing, by the name of its type: pandas', NumPy's
_MISSING: Final = frozenset({"NAType", "NaTType", "MaskedConstant"})
#: how a missing value of pandas shows once it has become text
_MISSING_TEXT: Final = "<NA>"
_CURES: Final = {
    "missing": "leave rows with missing values out, or fill them: df.dropna() or df.fillna(...), then "
    ".convert_dtypes(), which makes whole numbers ints again",
    "empty": "fill what is empty, or leave such rows out; an argument that is to be empty is written ''",
    "newline": "take line ends off: line.strip(), df[column].str.strip()",
    "nul": "no command can hold a NUL",
    "nested": "each value must be one text or number: give a row for each, or join them",
    "span": "say in which unit: .total_seconds()",
    "object": "give what is to stand in the command: a text, a number, a path or a date",
}


class _Bad(NamedTuple):
    kind: str
    what: str


class _Absent:
    """Stands for a column that a row by name does not have."""


ABSENT: Final = _Absent()


def row_texts(names: Sequence[str], rows: Sequence[Sequence[object]]) -> list[tuple[str, ...]]:
    """Return rows as texts; raises SpecError that names what has no text, by row and column."""
    found: list[tuple[str, ...]] = []
    wrong: list[str] = []
    kinds: dict[str, None] = {}
    count = 0
    for number, row in enumerate(rows):
        texts = []
        for place, value in enumerate(row):
            text = value_text(value)
            if isinstance(text, _Bad):
                count += 1
                kinds[text.kind] = None
                if len(wrong) < SHOWN:
                    column = names[place] if place < len(names) else f"c{place + 1}"
                    wrong.append(f"row {number}, column {column} {text.what}")
            else:
                texts.append(text)
        found.append(tuple(texts))
    if wrong:
        more = f"; and {count - len(wrong):,} values more" if count > len(wrong) else ""
        cures = ". ".join(cure[0].upper() + cure[1:] for cure in map(_CURES.__getitem__, kinds))
        raise SpecError(f"the parameters have values that no command can get: {'; '.join(wrong)}{more}. {cures}")
    return found


def value_text(value: object) -> str | _Bad:
    """Return what a value is in a command, or what is wrong with it."""
    kind = type(value)
    if kind is str:
        return _checked(value)  # type: ignore[arg-type]  # it is one
    if kind is int or kind is bool:
        return str(value)
    if is_missing(value):
        return _Bad("missing", "is missing" if value is None or value is ABSENT else f"is missing ({value})")
    if kind is float:
        return str(value)
    return _other_text(value)


def _other_text(value: Any) -> str | _Bad:
    name = type(value).__name__
    if isinstance(value, Enum):
        return value_text(value.value)
    if hasattr(value, "__fspath__") and not isinstance(value, type):
        return value_text(value.__fspath__())
    if isinstance(value, str):
        return _checked(str(value))
    if isinstance(value, bytes | bytearray):
        return _checked(bytes(value).decode("utf-8", "surrogateescape"))
    if isinstance(value, complex) or name.startswith("complex"):
        return _Bad("object", f"is a {name}")
    if hasattr(value, "total_seconds") or name == "timedelta64":
        return _Bad("span", f"is a span of time ({value})")
    if getattr(value, "shape", None) == () and hasattr(value, "item") and not hasattr(value, "unit"):
        if type(value).__module__ == "numpy" and name != "ndarray":
            return str(value) if name != "void" else _Bad("nested", "is a record")
        return value_text(value.item())
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if hasattr(value, "__iter__") or hasattr(value, "__len__"):
        return _Bad("nested", f"is a {name}")
    if callable(value) or vars(type(value)).get("__str__", type(value).__str__) is object.__str__:
        return _Bad("object", f"is a {name}, which has no text of its own")
    return _checked(str(value))


def is_missing(value: object) -> bool:
    """Say whether a value stands for none, as None, NaN or pandas' NA."""
    if value is None or value is ABSENT or type(value).__name__ in _MISSING:
        return True
    try:
        return bool(value != value)
    except Exception:  # what can't be compared, as an array or a signalling NaN
        return type(value).__name__ == "Decimal"


def _checked(text: str) -> str | _Bad:
    if text.isalnum():
        return text
    if "\0" in text:
        return _Bad("nul", "holds a NUL")
    if "\r" in text:
        return _Bad("newline", "holds a carriage return")
    if not text.strip():
        return _Bad("empty", "is empty")
    if text[-1] == "\n":
        return _Bad("newline", "ends in a newline")
    if text == _MISSING_TEXT:
        return _Bad("missing", f"is missing ({text})")
    return text
