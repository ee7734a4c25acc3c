"""The columns of results: one row of `COLUMNS` is all that is decided of a column. PURE.

The journal's table and its statements, `ResultRow`, the DataFrame of results, the names that a parsed column cannot
have, and what the README's table says all come from here. A new column takes a row here and a field of `ResultRow`,
and what fills it.

The journal is read and written by name, never by position: one of another version may have its columns in another
order, and lacks those that came later: they are added when it is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ..core.states import Reason


class Source(StrEnum):
    """Where the value of a column comes from."""

    EXECUTOR = "executor"  # its record of the ended attempt
    KERNEL = "kernel"  # the scheduler, the engine, or the journal
    SPEC = "spec"  # what was submitted
    PARSER = "parser"  # what `--parse` reads of stdout


@dataclass(frozen=True, slots=True)
class Column:
    """One column of results.

    Attributes
    ----------
    name : str
        What it is called everywhere.
    source : Source
        Where its value comes from.
    sql : str
        Its type in the journal; '' for a column that is made of others and not recorded.
    dtype : str
        Its dtype in the DataFrame; '' for a column that is recorded only.
    meaning : str
        What it says, with its unit; Markdown on one line.
    shared : bool
        Whether a few texts are the values of many rows, so that equal ones are kept once.
    path : bool
        Whether it is the path of a file: bytes that may be no text.
    older : str
        What it is, as SQL writes it, in journals that were begun before there was the column; '' for NULL.
    """

    name: str
    source: Source
    sql: str = ""
    dtype: str = ""
    meaning: str = ""
    shared: bool = False
    path: bool = False
    older: str = ""


#: dtypes of the DataFrame
TEXT: Final = "string"
INT: Final = "Int64"
FLOAT: Final = "float64"
TIME: Final = "datetime64[us, UTC]"

_EXECUTOR, _KERNEL, _SPEC, _PARSER = Source

#: all columns, in the order of the DataFrame; the placeholders' come after `command`, the parser's before `parse_error`
COLUMNS: Final = (
    Column("seq", _KERNEL, "INTEGER PRIMARY KEY", meaning="place in the order of arrival, from 1"),
    Column("task", _KERNEL, "INTEGER NOT NULL", meaning="index of the task in its job"),
    Column("state", _KERNEL, "INTEGER NOT NULL", TEXT, "`FINISHED`, `FAILED`, `KILLED`, `LOST`"),
    Column(
        *("reason", _EXECUTOR, "TEXT NOT NULL", TEXT),
        ", ".join(f"`{reason}`" for reason in Reason),
        shared=True,
    ),
    Column(
        "command",
        _SPEC,
        "",
        TEXT,
        "its shell text; the placeholders' columns follow it (`file`; `c1`, `c2`, ...; or your names)",
    ),
    Column("node", _KERNEL, "TEXT NOT NULL", TEXT, "the machine that ran it", shared=True),
    Column("attempt", _KERNEL, "INTEGER NOT NULL", INT, "which attempt this is the result of, from 1"),
    Column("losses", _KERNEL, "INTEGER NOT NULL", INT, "how many attempts before it the cluster lost"),
    Column("origin", _KERNEL, "INTEGER", INT, "the task whose monitor asked for this one; missing for yours"),
    Column(
        *("exit_code", _EXECUTOR, "INTEGER", INT),
        "the exit code; a signal as its negative number; missing when nothing ran, or it is not known",
    ),
    Column("submitted_at", _KERNEL, "REAL NOT NULL", TIME, "when it was submitted"),
    Column("started_at", _EXECUTOR, "REAL", TIME, "when the attempt started; missing when it never did"),
    Column("finished_at", _EXECUTOR, "REAL NOT NULL", TIME, "when it ended"),
    Column("wall_s", _EXECUTOR, "", FLOAT, "from start to end, in seconds"),
    Column("cpu_s", _EXECUTOR, "REAL NOT NULL", FLOAT, "user and system time of its processes, in seconds"),
    Column(
        *("max_rss_mib", _EXECUTOR, "REAL NOT NULL", FLOAT),
        "the most memory that one of its processes had, in MiB: [docs/endings.md](docs/endings.md)",
    ),
    Column(
        *("local_fraction", _KERNEL, "REAL", FLOAT),
        "the part of its input bytes that lay on its node, 0 to 1; missing without inputs, or when that is unknown",
    ),
    Column("stdout", _EXECUTOR, "BLOB", TEXT, "what it wrote; with `--output disk` and `mesos` the file's path"),
    Column("stderr", _EXECUTOR, "BLOB", TEXT, "likewise"),
    Column("stdout_path", _EXECUTOR, "TEXT NOT NULL", meaning="the file that holds the whole of it, or ''", path=True),
    Column("stderr_path", _EXECUTOR, "TEXT NOT NULL", meaning="likewise", path=True),
    Column("stdout_size", _EXECUTOR, "INTEGER NOT NULL", meaning="bytes that the command wrote"),
    Column("stderr_size", _EXECUTOR, "INTEGER NOT NULL", meaning="likewise"),
    Column("note", _EXECUTOR, "TEXT NOT NULL", meaning="one line for a person, or ''"),
    Column("counts", _KERNEL, "INTEGER NOT NULL", meaning="1 for the result of its task, 0 for history"),
    Column("told", _KERNEL, "INTEGER NOT NULL", meaning="1 for what a node reported, 0 for what follows from it"),
    Column(
        "parse_error", _PARSER, "", TEXT, "why `--parse` could not read the output; only with `--parse`", shared=True
    ),
)

#: of the journal's table, in its order
RECORDED: Final = tuple(column for column in COLUMNS if column.sql)
#: of every DataFrame, in its order
FRAME: Final = tuple(column for column in COLUMNS if column.dtype)
#: names that a parsed column cannot have
FRAME_NAMES: Final = tuple(column.name for column in FRAME)
