"""Rows -> DataFrame; the only module that imports pandas.

The table keeps one array a column, indexed by task, and no object a task: numbers as numbers, texts as references.
Rows are parsed once, as they come; a DataFrame is made of the arrays each time one is asked for, by copying. So
nothing that a user does to theirs can reach ours, by whatever door (a shallow copy has some: ``df.x.array[0] = 1``
goes through pandas' copy-on-write), and none is kept beside the user's.

Columns: those of `columns.FRAME`, in its order; the placeholders' come after ``command``, and the parser's before
``parse_error``, which only a table with a parser has.
A placeholder or a parsed column whose name is taken gets a trailing ``_``: ``state_``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..core.states import TERMINAL, Reason, TaskState
from ..store.columns import FLOAT, FRAME, FRAME_NAMES, INT, TIME, Column
from ..store.rows import ResultRow
from .bounded_parsing import ParsedOutputs
from .parsers import ParseTrouble

if TYPE_CHECKING:
    from .parsers import Parsed, Parser

INDEX: Final = "task"
PARSE_ERROR: Final = FRAME_NAMES[-1]
#: the fixed columns that come before those of the placeholders, and those between them and the parsed ones
_BEFORE: Final = FRAME_NAMES[: FRAME_NAMES.index("command") + 1]
_AFTER: Final = FRAME_NAMES[len(_BEFORE) : -1]
#: those that are made when a DataFrame is
_MADE: Final = ("state", "command", "wall_s")
#: those that are read of the outputs; the others are kept as they are in a row
_READ: Final = ("stdout", "stderr", PARSE_ERROR)

#: Texts are pandas' own strings, kept as Python's. Not `object`, and not the default `str`: where pyarrow is installed,
#: pandas 3 hands both to it (object columns as soon as they are grouped, merged or made an index), and pyarrow refuses
#: a file name that is not UTF-8, the lone surrogates of which open() needs. This one is the same on pandas 2.2 and 3.
TEXT: Final = pd.StringDtype("python")

#: how many rows are taken at a time
CHUNK: Final = 4096
#: times beyond the year 9999 are a broken clock's: missing
LAST_S: Final = 253_402_300_799.0

_STATES: Final = np.array([state.name for state in TaskState], dtype=object)
#: in the place of a state
_NO_ROW: Final = 255
_ENDED: Final = np.array([state in TERMINAL for state in TaskState])

#: which cells to take: tasks, or -1 for a missing value
Where = npt.NDArray[np.int64]


class _TaskColumn:
    """A value for each task, missing until it is put. The last cell is always missing: that is what -1 takes."""

    def __init__(self, dtype: npt.DTypeLike, missing: Any) -> None:
        self._missing = missing
        self._cells: npt.NDArray[Any] = np.full(1, missing, dtype)

    def reserve(self, size: int) -> None:
        cells = np.full(size + 1, self._missing, self._cells.dtype)
        cells[: len(self._cells)] = self._cells
        self._cells = cells

    def put(self, tasks: Where, values: Sequence[Any]) -> None:
        self._cells[tasks] = np.array(values, self._cells.dtype)

    def clear(self, task: int) -> None:
        self._cells[task] = self._missing

    def cells(self, where: Where) -> npt.NDArray[Any]:
        """Return a copy of the cells as they are kept."""
        return self._cells[where]

    def taken(self, where: Where) -> Any:
        """Return the values as an array of its own, whose dtype pandas keeps."""
        return self.cells(where)


class _Floats(_TaskColumn):
    def __init__(self) -> None:
        super().__init__(np.float64, np.nan)  # numpy makes NaN of None by itself


class _Times(_Floats):
    def taken(self, where: Where) -> Any:
        seconds = self.cells(where)
        known = (seconds >= 0.0) & (seconds <= LAST_S)
        ticks = np.rint(np.where(known, seconds, 0.0) * 1e6).astype(np.int64)
        ticks[~known] = np.iinfo(np.int64).min  # NaT
        # us: about what time.time() can tell, and the default of pandas 3
        return pd.DatetimeIndex(ticks.view("M8[us]")).tz_localize("UTC")


class _Ints(_TaskColumn):
    def __init__(self) -> None:
        super().__init__(np.int64, 0)
        self._known = np.zeros(1, np.bool_)

    def reserve(self, size: int) -> None:
        super().reserve(size)
        self._known = np.concatenate((self._known, np.zeros(size + 1 - len(self._known), np.bool_)))

    def put(self, tasks: Where, values: Sequence[int | None]) -> None:
        super().put(tasks, [0 if value is None else value for value in values])
        self._known[tasks] = [value is not None for value in values]

    def clear(self, task: int) -> None:
        self._known[task] = False

    def taken(self, where: Where) -> Any:
        return pd.arrays.IntegerArray(self.cells(where), ~self._known[where])


class _Bools(_TaskColumn):
    def __init__(self) -> None:
        super().__init__(np.int8, -1)

    def put(self, tasks: Where, values: Sequence[bool | None]) -> None:
        super().put(tasks, [-1 if value is None else value for value in values])

    def taken(self, where: Where) -> Any:
        cells = self.cells(where)
        return pd.arrays.BooleanArray(cells == 1, cells < 0)


class _Texts(_TaskColumn):
    """Texts; with `shared`, equal ones are one object."""

    def __init__(self, shared: bool = False) -> None:
        super().__init__(object, None)
        self._shared: dict[str, str] | None = {} if shared else None

    def put(self, tasks: Where, values: Sequence[str | None]) -> None:
        if self._shared is not None:
            values = [None if value is None else self._shared.setdefault(value, value) for value in values]
        super().put(tasks, values)

    def taken(self, where: Where) -> Any:
        return pd.array(self.cells(where), dtype=TEXT)


class _Objects(_Texts):
    """Objects made of texts each time anew, so that a list or dict that a user changes is theirs alone."""

    def __init__(self, revive: Callable[[str], object]) -> None:
        super().__init__()
        self._revive = revive

    def taken(self, where: Where) -> Any:
        cells = self.cells(where)
        for at, text in enumerate(cells):
            if text is not None:
                cells[at] = self._made(text)
        return cells

    def _made(self, text: str) -> object:
        try:
            return self._revive(text)
        except RecursionError:  # JSON nested so deep that it was read only with less of a stack below
            return None


class ResultTable:
    """The results of one job, as they come.

    Not for several threads at a time.

    Parameters
    ----------
    placeholders : sequence of str
        What the commands' placeholders are called.
    parser : Parser or None
        What reads the stdout of a task that ended well by its exit code; the others have missing values and no error.
    command_of : callable
        Task index to command; asked when a DataFrame with that task is made, once for a task that has ended.
    values_of : callable
        Task index to one value for each placeholder; asked as the command is.
    text_of : callable
        Bytes, path and size of an output to its bounded text.
    outputs : ParsedOutputs, optional
        What has read them, by `parser`, for others as well.

    Attributes
    ----------
    placeholders : tuple of str
        As given.
    """

    def __init__(
        self,
        placeholders: Sequence[str],
        parser: Parser | None,
        command_of: Callable[[int], str],
        values_of: Callable[[int], Sequence[str | None]],
        text_of: Callable[[bytes | None, str, int], str],
        outputs: ParsedOutputs | None = None,
    ) -> None:
        self.placeholders = tuple(placeholders)
        self._outputs = ParsedOutputs(parser) if outputs is None and parser is not None else outputs
        self._command_of = command_of
        self._values_of = values_of
        self._text_of = text_of

        #: greatest attempt taken of each task, 0 for none; forgetting does not lower it
        self._attempt = np.zeros(1, np.int64)
        self._state = np.full(1, _NO_ROW, np.uint8)
        self._fixed = {column.name: _fixed_column(column) for column in FRAME if column.name not in _MADE}
        self._as_in_row = {name: column for name, column in self._fixed.items() if name not in _READ}
        self._stdout, self._stderr, self._error = (self._fixed[name] for name in _READ)
        self._parsed = [_column_of(dtype, parser) for _, dtype in parser.columns] if parser else []
        self._asked = [_Texts() for _ in ("command", *self.placeholders)]
        self._columns: list[_TaskColumn] = [*self._fixed.values(), *self._parsed, *self._asked]
        self._names = _names(self.placeholders, [name for name, _ in parser.columns] if parser else [])

    # -- taking rows ------------------------------------------------------------------------------------

    def update(self, rows: Iterable[ResultRow], until_s: float | None = None) -> int:
        """Take committed rows in order of arrival; return how many were taken.

        Of the attempts of a task the latest counts; one that was taken before, or came before one that was, changes
        nothing. So after an interrupt the same rows may be given again. By `until_s` of `time.monotonic` those are
        taken that are parsed by then, up to the first that is not.
        """
        left = iter(rows)
        count = 0
        while chunk := list(islice(left, CHUNK)):
            taken = self._take(chunk, until_s)
            count += taken
            if taken < len(chunk):
                break
        return count

    def forget(self, task: int, attempt: int) -> None:
        """Drop the row of a task that was relaunched, unless it is of this `attempt`; only a later one makes a new."""
        if task < len(self._state) - 1 and self._attempt[task] < attempt:
            self._state[task] = _NO_ROW
            for column in self._columns:
                column.clear(task)

    def _take(self, chunk: list[ResultRow], until_s: float | None) -> int:
        """Take rows up to the first that is not parsed in time; return how many."""
        while chunk and (unread := self._enter(chunk, until_s)) is not None:
            chunk = chunk[: next(place for place, row in enumerate(chunk) if row is unread)]
        return len(chunk)

    def _enter(self, chunk: list[ResultRow], until_s: float | None) -> ResultRow | None:
        """Enter rows; when one of them is not parsed in time, enter none and return the first such."""
        self._reserve(1 + max(row.task for row in chunk))
        latest: dict[int, ResultRow] = {}
        for row in chunk:
            other = latest.get(row.task)
            if row.attempt > (self._attempt[row.task] if other is None else other.attempt):
                latest[row.task] = row
        if not latest:
            return None
        rows = list(latest.values())
        text_of = self._text_of
        stdouts = [text_of(row.stdout, row.stdout_path, row.stdout_size) for row in rows]
        stderrs = [text_of(row.stderr, row.stderr_path, row.stderr_size) for row in rows]
        parsed, unread = self._parse(rows, stdouts, until_s)  # nothing has been changed until it is done
        if unread is not None:
            return unread
        tasks = np.fromiter(latest, np.int64, len(latest))
        fields = dict(zip(ResultRow._fields, zip(*rows, strict=True), strict=True))
        for name, column in self._as_in_row.items():
            column.put(tasks, fields[name])
        self._stdout.put(tasks, stdouts)
        self._stderr.put(tasks, stderrs)
        if parsed:
            for column, values in zip(self._parsed, zip(*(values for values, _ in parsed), strict=True), strict=True):
                column.put(tasks, values)
            self._error.put(tasks, [error or None for _, error in parsed])
        self._attempt[tasks] = fields["attempt"]
        self._state[tasks] = fields["state"]
        if self._outputs is not None:
            self._outputs.drop((row.task, row.attempt) for row in chunk)
        return None

    def _parse(
        self, rows: list[ResultRow], stdouts: list[str], until_s: float | None
    ) -> tuple[list[Parsed], ResultRow | None]:
        """Return what is read of rows; or the first that was not read in time."""
        if self._outputs is None:
            return [], None
        nothing: Parsed = (None,) * len(self._parsed), ""
        to_read = [
            place for place, row in enumerate(rows) if row.state == TaskState.FINISHED or row.reason == Reason.OUTPUT
        ]
        wanted = [((rows[place].task, rows[place].attempt), stdouts[place]) for place in to_read]
        read = self._outputs.read(wanted, until_s)
        if len(read) < len(wanted):
            return [], rows[to_read[len(read)]]
        found = [nothing] * len(rows)
        for place, values in zip(to_read, read, strict=True):
            found[place] = values
        return found, None

    def trouble(self, without: Collection[int] = ()) -> ParseTrouble:
        """Return what could not be parsed, but of the tasks `without`."""
        errors = self._error.cells(np.arange(len(self._state) - 1))
        tasks = _others(np.flatnonzero(np.array([error is not None for error in errors], np.bool_)), without)
        return ParseTrouble(len(tasks), int(tasks[0]), str(errors[tasks[0]])) if len(tasks) else ParseTrouble()

    def _reserve(self, size: int) -> None:
        have = len(self._state) - 1
        if size <= have:
            return
        size = max(size, 2 * have)
        self._attempt = np.concatenate((self._attempt, np.zeros(size - have, np.int64)))
        self._state = np.concatenate((self._state, np.full(size - have, _NO_ROW, np.uint8)))
        for column in self._columns:
            column.reserve(size)

    # -- giving DataFrames ------------------------------------------------------------------------------

    def frame(self, without: Collection[int] = ()) -> pd.DataFrame:
        """Return the tasks that have ended.

        Parameters
        ----------
        without : collection of int
            Tasks to leave out.

        Returns
        -------
        DataFrame, shape (n_ended, n_columns), index ``task``
            Sorted by task. The caller's own: changing it changes nothing here.
        """
        tasks = _others(np.flatnonzero(self._state != _NO_ROW), without)
        return self._frame(tasks, tasks, self._state[tasks])

    def frame_all(self, states: bytes, without: Collection[int] = ()) -> pd.DataFrame:
        """Return every task; one that has not ended has its command and missing values.

        Parameters
        ----------
        states : bytes
            The `TaskState` of each task by index; they count more than the rows do.
        without : collection of int
            Tasks to leave out.

        Returns
        -------
        DataFrame, shape (n_tasks, n_columns), index ``task``
            The caller's own, as with `frame`.
        """
        codes = np.frombuffer(states, np.uint8)
        tasks = np.arange(len(codes))
        have = np.zeros(len(codes), np.bool_)
        rows = self._state[:-1][: len(codes)] != _NO_ROW
        have[: len(rows)] = rows
        where = np.where(have & _ENDED[codes], tasks, -1)
        tasks = _others(tasks, without)
        return self._frame(tasks, where[tasks], codes[tasks])

    def _frame(self, tasks: Where, where: Where, codes: npt.NDArray[np.uint8]) -> pd.DataFrame:
        """Make a DataFrame of the cells at `where`, -1 being missing, for `tasks` in the states `codes`."""
        taken = {name: column.taken(where) for name, column in self._fixed.items()}
        started, finished = (self._fixed[name].cells(where) for name in ("started_at", "finished_at"))
        taken["state"] = pd.array(_STATES[codes], dtype=TEXT)
        taken["command"], *values = self._ask(tasks, where)
        taken["wall_s"] = np.maximum(finished - started, 0.0)
        arrays = [*(taken[name] for name in _BEFORE), *values, *(taken[name] for name in _AFTER)]
        arrays += [column.taken(where) for column in self._parsed]
        if self._outputs is not None:
            arrays.append(taken[PARSE_ERROR])
        index = pd.Index(tasks, name=INDEX)
        # As Series, since an array of objects would have its dtype guessed by what is in it.
        series = [pd.Series(array, index=index, dtype=array.dtype, copy=False) for array in arrays]
        return pd.DataFrame(dict(zip(self._names, series, strict=True)), index=index, copy=False)

    def _ask(self, tasks: Where, where: Where) -> Iterator[Any]:
        """Yield the columns of the commands and of each placeholder; the texts of ended tasks are kept."""
        columns = [column.cells(where) for column in self._asked]
        unknown = np.flatnonzero([text is None for text in columns[0]])
        if len(unknown):
            asked = tasks[unknown].tolist()
            command_of, values_of = self._command_of, self._values_of
            texts: list[Sequence[str | None]] = [[command_of(task) for task in asked]]
            if self.placeholders:
                texts += zip(*(values_of(task) for task in asked), strict=True)
            ended = where[unknown] >= 0
            for kept, cells, new in zip(self._asked, columns, texts, strict=True):
                cells[unknown] = np.array(new, object)
                kept.put(where[unknown][ended], cells[unknown][ended].tolist())
        return (pd.array(cells, dtype=TEXT) for cells in columns)


def _others(tasks: Where, without: Collection[int]) -> Where:
    return tasks[~np.isin(tasks, np.fromiter(without, np.int64, len(without)))] if without else tasks


def _fixed_column(column: Column) -> _TaskColumn:
    numbers = {INT: _Ints, FLOAT: _Floats, TIME: _Times}
    return numbers[column.dtype]() if column.dtype in numbers else _Texts(column.shared)


def _column_of(dtype: str, parser: Parser) -> _TaskColumn:
    match dtype:
        case "int":
            return _Ints()
        case "float":
            return _Floats()
        case "bool":
            return _Bools()
        case "str":
            return _Texts()
    assert parser.revive is not None, dtype
    return _Objects(parser.revive)


def _names(placeholders: Sequence[str], parsed: Sequence[str]) -> list[str]:
    """Return the names of all columns, each once."""
    taken = {INDEX, *FRAME_NAMES}

    def free(name: str) -> str:
        # A name that cannot be encoded would break the index of columns where pyarrow is installed.
        name = name.encode("utf-8", "backslashreplace").decode("utf-8")
        while name in taken:
            name += "_"
        taken.add(name)
        return name

    names = [*_BEFORE, *map(free, placeholders), *_AFTER, *map(free, parsed)]
    return [*names, PARSE_ERROR] if parsed else names
