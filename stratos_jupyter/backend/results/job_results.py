"""JobResults: what a run's journal tells of its tasks, as rows, texts, groups of failures and a DataFrame."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from ..core.states import TaskState
from ..core.task_table import TaskTable
from ..engines.base import Result, Tail
from ..spec.job_spec import JobSpec, OutputMode
from ..spec.workload import Workload
from ..store.journal import Journal
from ..store.outputs import bounded_text, last_text
from ..store.rows import FactRow, FirstRow, ResultRow
from .bounded_parsing import ParsedOutputs
from .failure_groups import Failures, Group, told
from .parsers import ParseTrouble
from .task_log import LOG_BYTES, TaskLog

if TYPE_CHECKING:
    import pandas as pd

    from .parsers import Parser
    from .table import ResultTable

#: where the last line of a stderr is looked for, in bytes
END_BYTES: Final = 4096


class JobResults:
    """What is read of one run's record. Any thread may ask; nothing is written.

    What costs time is kept and brought up to date with what has been recorded since: the table of results, with the
    columns parsed from outputs, and the groups of failures. Each has a lock of its own.

    Parameters
    ----------
    journal : Journal
        The run's record.
    commands : Workload
        Its commands by task index.
    table : TaskTable
        The states of its tasks, as the scheduler has them.
    states : callable
        Returns the states of all tasks, one byte each, those that the scheduler has not heard of as well.
    spec : JobSpec
        Says how much of an output is read, and whether it was sent back.
    parser : Parser, optional
        Makes columns of each task's stdout.
    """

    def __init__(
        self,
        journal: Journal,
        commands: Workload,
        table: TaskTable,
        states: Callable[[], bytes],
        spec: JobSpec,
        parser: Parser | None = None,
    ) -> None:
        self._journal = journal
        self._commands = commands
        self._tasks = table
        self._states = states
        self._spec = spec
        self._parser = parser
        self._outputs: ParsedOutputs | None = None
        self._lock = threading.RLock()
        self._table: ResultTable | None = None
        self._table_seq = 0
        self._unparsed = 0
        self._relaunched: set[int] = set()
        self._failures = Failures()
        self._failures_seq = 0
        self._failures_lock = threading.Lock()

    def read_by(self, spec: JobSpec, parser: Parser | None) -> None:
        """Read outputs as another spec and parser say, from now on."""
        with self._lock:
            anew = parser is not None or (self._spec.parse, self._spec.columns) != (spec.parse, spec.columns)
            self._spec = spec
            if anew:
                self._parser, self._outputs, self._table = parser, None, None

    def relaunched(self, tasks: Iterable[int]) -> None:
        """Show these tasks in no table until they have ended anew."""
        with self._lock:
            self._relaunched.update(tasks)

    # -- rows -------------------------------------------------------------------------------------------

    def rows(self, after_seq: int = 0) -> list[ResultRow]:
        """Return committed results in order of arrival, after the one numbered `after_seq`."""
        return list(self._journal.rows(after_seq))

    def facts(self, after_seq: int = 0) -> Generator[tuple[int, list[FactRow]]]:
        """Yield what a table shows of ended attempts, a part at a time; see `Journal.facts`."""
        yield from self._journal.facts(after_seq)

    def firsts(self, tasks: Sequence[int], nbytes: int) -> dict[int, FirstRow]:
        """Return how the outputs of a few ended tasks begin; see `Journal.firsts`."""
        return self._journal.firsts(tasks, nbytes)

    # -- failures ---------------------------------------------------------------------------------------

    def failures(self, most: int) -> list[ResultRow]:
        """Return the first `most` results that did not finish well, by task."""
        left_out, states = self._tasks.superseded, self._states()
        among = sum(states[task] > TaskState.FINISHED for task in left_out)
        return [row for row in self._journal.failures(most + among) if row.task not in left_out][:most]

    def failure_groups(self) -> list[Group]:
        """Return the tasks that did not finish well, grouped by what they have in common, the largest group first.

        One that was relaunched is left out until it has ended. Only what is new since the last time is read.
        """
        with self._failures_lock:
            failures = self._failures
            for seq, rows in self._journal.endings(self._failures_seq, END_BYTES):
                for row in rows:
                    if row.state == TaskState.FINISHED:
                        failures.forget(row.task)
                    else:
                        text = last_text(row.stderr_end, row.stderr_path, END_BYTES)
                        failures.add(row.task, row.reason, row.exit_code, told(row.reason, text, row.note))
                self._failures_seq = seq  # only now: what an interrupt leaves half done comes again
            # Asked after the rows: those that have begun again by now are left out, not forgotten, for the row of
            # their new end may have been read before the scheduler's state followed it.
            states = self._states()
            begun = {task for task in failures if states[task] <= TaskState.FINISHED}
            return failures.groups(without=begun | self._tasks.superseded)

    # -- texts ------------------------------------------------------------------------------------------

    @property
    def parser(self) -> Parser | None:
        """What makes columns of each task's stdout."""
        return self._parser

    @property
    def parsed_outputs(self) -> ParsedOutputs | None:
        """What reads each task's stdout by `parser`, in bounded time; None without one."""
        outputs, parser = self._outputs, self._parser
        if parser is not None and (outputs is None or outputs.parser is not parser):
            outputs = self._outputs = ParsedOutputs(parser)
        return outputs

    @property
    def _sends_back(self) -> bool:
        return self._spec.output is OutputMode.SCHEDULER

    def text_of(self, data: bytes | None, path: str, size: int) -> str:
        """Return a stream as text, bounded by the job's ``output_limit``; the path of its file where it stays there."""
        if path and not self._sends_back:
            return path
        return bounded_text(data, path, size, self._spec.output_limit)

    def output_of(self, result: Result) -> str:
        """Return what is parsed of a result that has not been recorded."""
        return self.text_of(result.stdout, result.stdout_path, result.stdout_size)

    def output(self, row: ResultRow) -> str:
        """Return what a result's command wrote to stdout, where it was sent back; else ''."""
        return self.text_of(row.stdout, row.stdout_path, row.stdout_size) if self._sends_back else ""

    def outputs(self, tasks: Iterable[int]) -> list[str]:
        """Return the stdout of each of those tasks; '' where none was sent back or it has not ended."""
        wanted = list(tasks)
        found: dict[int, ResultRow] = {}
        among = set(wanted)
        for row in self._journal.rows():
            if row.task in among:
                found[row.task] = row
        return [self.output(found[task]) if task in found else "" for task in wanted]

    def log(self, task: int, tail: Callable[[int], Tail | None], nbytes: int = LOG_BYTES) -> TaskLog:
        """Return everything there is to read of one task, `nbytes` bytes of each stream at most.

        Parameters
        ----------
        task : int
            Its index.
        tail : callable
            Returns the end of what the attempt of that number has written; None when it does not run.
        nbytes : int
            At most so many of each stream.
        """
        attempts = tuple(self._journal.attempts(task))
        attempt, live = attempts[-1].attempt if attempts else 0, None
        if task < len(self._tasks) and not self._tasks.ended(task):
            now = self._tasks.attempt(task)
            live = tail(now)
        stdout = stderr = ""
        if live is not None:
            attempt, stdout, stderr = now, live.stdout, live.stderr
        elif attempts:
            last = attempts[-1]
            stdout = bounded_text(last.stdout, last.stdout_path, last.stdout_size, nbytes)
            stderr = bounded_text(last.stderr, last.stderr_path, last.stderr_size, nbytes)
        command, state = self._commands.command(task), TaskState(self._states()[task])
        note = live.note if live else ""
        return TaskLog(task, command, state, attempts, stdout, stderr, live is not None, attempt, note)

    # -- the table --------------------------------------------------------------------------------------

    def frame(self, all: bool = False, within_s: float | None = None) -> pd.DataFrame:
        """Return the results as a DataFrame; see `Job.results`."""
        with self._lock:
            table = self._up_to_date(within_s)
            left_out = self._tasks.superseded
            return table.frame_all(self._states(), left_out) if all else table.frame(left_out)

    @property
    def unparsed(self) -> int:
        """How many results there were the last time that had not been parsed in time, and are in no table."""
        return self._unparsed

    def parse_trouble(self, within_s: float | None = None) -> ParseTrouble:
        """Return which results could not be parsed; none without a parser.

        Parses what has not been parsed yet, as far as that can be done within `within_s` seconds; `unparsed` says how
        many are left.
        """
        if self._parser is None:
            return ParseTrouble()
        with self._lock:
            return self._up_to_date(within_s).trouble(self._tasks.superseded)

    def _up_to_date(self, within_s: float | None) -> ResultTable:
        from .table import ResultTable  # here, so that importing the package does not load pandas

        commands = self._commands
        placeholders = commands.placeholders
        if self._table is None or self._table.placeholders != placeholders:
            self._table = ResultTable(
                placeholders, self._parser, commands.command, commands.values, self.text_of, self.parsed_outputs
            )
            self._table_seq = 0
        rows = self.rows(self._table_seq)
        self._unparsed = 0
        if rows:
            until_s = None if within_s is None else time.monotonic() + within_s
            taken = self._table.update(rows, until_s)
            self._unparsed = len(rows) - taken
            if taken:
                self._table_seq = rows[taken - 1].seq  # only now: an interrupt must not lose rows
        if self._relaunched:
            states = self._states()
            for task in list(self._relaunched):
                if states[task] < TaskState.FINISHED:
                    # its newest row may have been read before the scheduler's state followed it
                    self._table.forget(task, self._tasks.attempt(task))
                else:
                    self._relaunched.discard(task)
        return self._table
