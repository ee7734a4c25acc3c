"""Job: what a user holds of one run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from .backend.core.events import (
    Closed,
    DemandChanged,
    KillAsked,
    RelaunchAsked,
    ResumeAsked,
    RulesChanged,
)
from .backend.core.phrases import sentences
from .backend.core.rules import Rules
from .backend.core.states import TaskState
from .backend.engines.base import Largest
from .backend.executor.notes import WAITING
from .backend.results.failure_groups import Group
from .backend.results.job_results import JobResults
from .backend.results.parsers import ParseTrouble
from .backend.results.task_log import LOG_BYTES, TaskLog
from .backend.run.loop import RunLoop
from .backend.run.run_handle import RunHandle
from .backend.run.submissions import Submissions
from .backend.run.thread import Driver
from .backend.spec.commands import Commands
from .backend.spec.job_spec import JobSpec
from .backend.spec.options import CHANGES, read_changes
from .backend.spec.workload import CommandEnv, Fingerprints, Workload
from .backend.store.journal import Journal
from .backend.store.rows import FactRow, FirstRow, ResultRow
from .errors import JobNotFound, SpecError, StreamClosed
from .runs.recorded_run import begun

if TYPE_CHECKING:
    import pandas as pd

    from .backend.results.parsers import Parser


class Job(RunHandle):
    """One run of a job.

    Made by `Session.submit`; every method may be called from any thread and none waits for a task but `wait`.

    Attributes
    ----------
    spec : JobSpec
        What the job is, apart from its commands.
    job_id : str
        Its name.
    run : int
        Which run of that name this is, from 1.
    commands : Workload
        The commands by task index.
    """

    def __init__(
        self,
        spec: JobSpec,
        run: int,
        journal: Journal,
        driver: Driver,
        parser: Parser | None,
        make_loop: Callable[[Job], RunLoop],
    ) -> None:
        self.spec = spec
        self.commands = Workload()
        #: how often `spec` has changed
        self.edition = 0
        self._closed = False
        #: the most that one node has; None where that is not known
        self.largest: Largest | None = None
        super().__init__(spec.job_id, run, journal, driver, lambda: make_loop(self))
        #: how commands come into it
        self.submissions = Submissions(self.commands, driver, self._loop, lambda: self.spec)
        #: what is read of its record
        self.recorded = JobResults(journal, self.commands, self._loop.scheduler.table, self.states, spec, parser)

    def restore(self, why_held: str) -> None:
        """Bring back what is recorded of this run, whose commands are known, and find what was left running.

        Parameters
        ----------
        why_held : str
            Why nothing may be launched yet; '' when it may.

        Raises
        ------
        JournalError
            What is recorded cannot have happened.
        """
        # Before the first offers come: they must not be filled by tasks that are to run elsewhere.
        sought = self.submissions.locate_all()
        tasks = range(len(self.commands))

        demand, priority = begun(self.spec, self._journal.meta())

        def bring_back() -> None:
            self._loop.restore(demand, priority, why_held, sought.__getitem__)

        self._driver.call(bring_back)
        if any(sought):
            self.submissions.locate(tasks)
        self._closed = self._loop.scheduler.closed
        self._view = self._loop.view()

    # -- what it is -------------------------------------------------------------------------------------

    def state(self, task: int) -> TaskState:
        """Return the state of one task."""
        self._known([task])
        return self._loop.scheduler.table.state(task) if task < len(self._loop.scheduler.table) else TaskState.QUEUED

    def states(self) -> bytes:
        """Return the states of all tasks, one byte each, by index."""
        states = self._loop.scheduler.table.states()
        return states + bytes(len(self.commands) - len(states))

    def mem_of(self, task: int) -> float:
        """Return how much memory a task asks for now, in MiB; 0 where it has no bound."""
        return self._loop.demand_of(task).mem_mib if task < len(self._loop.scheduler.table) else self.spec.mem_mib

    def facts(self, after_seq: int = 0) -> Generator[tuple[int, list[FactRow]]]:
        """Yield what a table shows of ended attempts, a part at a time; see `Journal.facts`."""
        yield from self._read.facts(after_seq)

    def firsts(self, tasks: Sequence[int], nbytes: int) -> dict[int, FirstRow]:
        """Return how the outputs of a few ended tasks begin; see `Journal.firsts`."""
        return self._read.firsts(tasks, nbytes)

    def _known(self, tasks: Iterable[int]) -> tuple[int, ...]:
        """Return the indices, or raise JobNotFound for those that are no tasks."""
        listed = tuple(tasks)
        total = len(self.commands)
        wrong = [task for task in listed if not 0 <= task < total]
        if wrong:
            shown = ", ".join(map(str, wrong[:5]))
            its = f"its tasks are 0 to {total - 1}" if total else "it has none yet"
            raise JobNotFound(f"{self.job_id} has no task {shown}; {its}")
        return listed

    # -- adding -----------------------------------------------------------------------------------------

    def add(self, commands: Commands, command_env: CommandEnv, fingerprints: Fingerprints | None = None) -> range:
        """Add commands and return their indices.

        Raises
        ------
        StreamClosed
            The job takes no more.
        """
        self._ours()
        with self._lock:
            if self._closed:
                raise StreamClosed(f"{self.job_id} is closed: wait() has ended it; a new stream or job takes more")
            tasks = self.submissions.add(commands, command_env, fingerprints)
            counts = list(self._view.counts)
            counts[TaskState.QUEUED] += len(tasks)
            self._view = replace(self._view, counts=tuple(counts), ended_at=None)
        return tasks

    def extend(
        self,
        added: tuple[Commands, CommandEnv, Fingerprints] | None,
        superseded: Sequence[int] = (),
        restored: Sequence[int] = (),
        again: Sequence[int] = (),
    ) -> range:
        """Make it the job of a cell that was run again, in one go; it takes commands although it was closed.

        Parameters
        ----------
        added : tuple, optional
            Commands to run that are not among its tasks.
        superseded, restored : sequence of int
            Tasks that belong to the job no longer, and that do so again.
        again : sequence of int
            Tasks to run once more.

        Returns
        -------
        range
            The indices of the commands that were added.
        """
        self._ours()
        with self._lock:
            tasks = self.submissions.extend(added, superseded, restored, again)
            self.recorded.relaunched(again)
        return tasks

    def apply_cell(self, spec: JobSpec, parser: Parser | None, command_env: CommandEnv) -> None:
        """Take over what may change between two runs of a cell: `CHANGES`, variables, and how outputs are read.

        What runs goes on as it is; from the next launch on, all tasks are run as the cell says now.
        """
        with self._lock:
            old = self.spec
            self.spec = replace(old, **{name: getattr(spec, name) for name in CHANGES})
            if self.commands.set_env(command_env.env):
                self.edition += 1
            if self.spec.to_record() != old.to_record() or self.spec.env != old.env:
                self.edition += 1
            self.recorded.read_by(self.spec, parser)
            self.submissions.promise_anew()
            if self.rules != spec.rules:
                self._driver.call(lambda: self._loop.post_now(RulesChanged(self._loop.now(), spec.rules)))
            if (old.demand(), old.priority) != (spec.demand(), spec.priority):
                changed = DemandChanged(self._loop.now(), spec.demand(), spec.priority)
                self._driver.call(lambda: self._loop.post_now(changed))
            # Last: should this process die before, the next one finds that the spec is another one, and does it again.
            kept = self._journal.meta()
            # The record is read by the rules, and what tasks asked for, that it began with.
            record = {**self.spec.to_record(), "rules": kept["spec"]["rules"]}
            if json.loads(json.dumps(record)) != kept["spec"]:
                with self._journal.writing():
                    self._journal.set_meta({"spec": record, "begun": kept.get("begun", old.begun())})

    def add_from_monitor(self, origin: tuple[int, int], texts: Sequence[str]) -> None:
        """Add commands that an attempt's monitor asked for; the driver thread calls this."""
        self.submissions.add_from_monitor(origin, texts)

    def close(self) -> None:
        """Say that no more commands will come."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._driver.post(lambda: self._loop.post(Closed(self._loop.now())))

    # -- acting -----------------------------------------------------------------------------------------

    def kill(self, tasks: Iterable[int] | None = None) -> int:
        """End tasks, with all of their processes.

        Parameters
        ----------
        tasks : iterable of int, optional
            Which; all that have not ended when not given.

        Returns
        -------
        int
            How many had not ended, and will now.

        Raises
        ------
        JobNotFound
            There is no such task.
        """
        self._ours()
        chosen = None if tasks is None else self._known(tasks)
        states = self.states()
        among = range(len(states)) if chosen is None else set(chosen)
        count = sum(states[task] < TaskState.FINISHED for task in among)
        self._driver.post(lambda: self._loop.post(KillAsked(self._loop.now(), chosen)))
        return count

    def relaunch(self, tasks: Iterable[int] | None = None, mem_mib: float | None = None) -> int:
        """Run tasks once more; those that run now are ended first.

        Parameters
        ----------
        tasks : iterable of int, optional
            Which; all that failed or were lost when not given.
        mem_mib : float, optional
            How much memory each of them may have from now on, in MiB; as much as before when not given.

        Returns
        -------
        int
            How many tasks that is.

        Raises
        ------
        JobNotFound
            There is no such task.
        SpecError
            No node has so much memory; nothing has changed.
        """
        self._ours()
        if mem_mib is not None:
            self._check_mem(mem_mib)
        chosen = self.failed() if tasks is None else tuple(dict.fromkeys(self._known(tasks)))
        if old := [task for task in chosen if task in self.superseded]:
            shown = ", ".join(map(str, old[:5]))
            raise JobNotFound(f"{shown} of {self.job_id}: superseded when its cell was run again; its record stays")
        self._driver.call(lambda: self._loop.post_now(RelaunchAsked(self._loop.now(), chosen, mem_mib)))
        self.submissions.locate_again(chosen)
        self.recorded.relaunched(chosen)
        return len(chosen)

    def _check_mem(self, mem_mib: float) -> None:
        if not mem_mib > 0:
            raise SpecError(f"memory must be above 0 MiB, got {mem_mib:g}")
        largest = self.largest
        if largest is not None and not replace(self.spec.demand(), mem_mib=mem_mib).fits(largest.resources):
            raise SpecError(
                f"{mem_mib:,.0f} MiB: the largest node, {largest.node}, has {largest.resources.mem_mib:,.0f} MiB"
            )

    def failed(self) -> tuple[int, ...]:
        """Return the tasks that ended as FAILED or LOST."""
        bad = (TaskState.FAILED, TaskState.LOST)
        left_out = self.superseded
        return tuple(task for task, state in enumerate(self.states()) if state in bad and task not in left_out)

    def absent(self) -> list[str]:
        """Return the environment variables that the job names and that have no value here."""
        given = self.commands.command_env(0).env if len(self.commands) else {}
        return [name for name, _ in self.spec.env if name not in given and name not in os.environ]

    def resume(self) -> None:
        """Launch on, after `pause` or after failures have halted the job.

        Raises
        ------
        SpecError
            A variable that the job names has no value here; nothing has changed.
        """
        self._ours()
        if absent := self.absent():
            each = ", ".join(f"os.environ[{name!r}]" for name in absent)
            raise SpecError(f"{self.job_id} needs {', '.join(absent)}, which is not set here; set {each} first")
        self._driver.call(lambda: self._loop.post_now(ResumeAsked(self._loop.now())))

    def set(self, **values: object) -> Rules:
        """Change the job's pace while it runs.

        Parameters
        ----------
        **values
            ``max_tasks=8``, ``rate="10/s"``, ``halt="10%"``: options that may change meanwhile, which
            ``%stratos help set`` lists, each as a cell has it. None, or ``"none"``, takes a bound away.

        Returns
        -------
        Rules
            As they are now.

        Raises
        ------
        SpecError
            An option cannot be changed, or a value cannot be; names all of these, and nothing has changed.
        """
        self._ours()
        changes = read_changes(values)

        def change() -> None:
            rules = replace(self._loop.scheduler.rules, **changes)
            self._loop.post_now(RulesChanged(self._loop.now(), rules))

        self._driver.call(change)
        return self.rules

    # -- results ----------------------------------------------------------------------------------------

    @property
    def _read(self) -> JobResults:
        """What is read of its record, which only the process that holds the run can do."""
        self._ours()
        return self.recorded

    def rows(self, after_seq: int = 0) -> list[ResultRow]:
        """Return committed results in order of arrival, after the one numbered `after_seq`."""
        return self._read.rows(after_seq)

    def failures(self, most: int) -> list[ResultRow]:
        """Return the first `most` results that did not finish well, by task."""
        return self._read.failures(most)

    def failure_groups(self) -> list[Group]:
        """Return the tasks that did not finish well, grouped by what they have in common, the largest group first.

        One that was relaunched is left out until it has ended. Only what is new since the last time is read.
        """
        return self._read.failure_groups()

    def parse_trouble(self, within_s: float | None = None) -> ParseTrouble:
        """Return which results could not be parsed; none without a parser.

        Parses what has not been parsed yet, as far as that can be done within `within_s` seconds; `unparsed` says how
        many are left.
        """
        return self._read.parse_trouble(within_s) if self.recorded.parser is not None else ParseTrouble()

    @property
    def unparsed(self) -> int:
        """How many results there were the last time that had not been parsed in time, and are in no table."""
        return self.recorded.unparsed

    def output(self, row: ResultRow) -> str:
        """Return what a result's command wrote to stdout, where it was sent back; else ''."""
        return self.recorded.output(row)

    def outputs(self, tasks: Iterable[int]) -> list[str]:
        """Return the stdout of each of those tasks; '' where none was sent back or it has not ended."""
        return self._read.outputs(tasks)

    def log(self, task: int, nbytes: int = LOG_BYTES) -> TaskLog:
        """Return everything there is to read of one task, `nbytes` bytes of each stream at most.

        Raises
        ------
        JobNotFound
            There is no such task.
        """
        self._ours()
        self._known([task])
        return self.recorded.log(task, lambda attempt: self._tail(task, attempt, nbytes), nbytes)

    def why(self, task: int | None = None, *, trace: bool = False) -> str:
        """Say in plain words what waits for what, from the offers that were seen, and what would change it.

        Parameters
        ----------
        task : int, optional
            Which; all that wait when not given.
        trace : bool, optional
            Add the last events of the job, and what the scheduler decided on each, a line for each.

        Raises
        ------
        JobNotFound
            There is no such task.
        """
        self._ours()
        text = self._why(task)
        if trace:
            lines = self._driver.call(lambda: self._loop.scheduler.trail.lines(self._loop.now()))
            text = "\n".join([text, "", "The last events, and what was decided on each:", *(lines or ["none yet"])])
        return text

    def _why(self, task: int | None) -> str:
        if task is not None:
            self._known([task])
            if task >= len(self._loop.scheduler.table):
                return sentences(["it is being written down"])
            lines = self._driver.call(lambda: self._loop.why(task))
            return sentences([*lines, *self._waits_for(task)])
        view = self.view_now()
        waiting, launched, away = (
            view[state] for state in (TaskState.QUEUED, TaskState.STAGING, TaskState.UNREACHABLE)
        )
        total = len(self.commands)
        waiting += max(0, total - view.total)  # they are being written down
        head = f"{waiting:,} of {total:,} tasks wait, {view[TaskState.RUNNING]:,} run"
        head += f", {launched:,} are launched and not known to run" if launched else ""
        head += f", {away:,} are on nodes that do not answer" if away else ""
        ended = [notice for notice in view.notices if f" is {WAITING}" in notice]
        return sentences([head, *ended, *(self._driver.call(lambda: self._loop.why(None)) if waiting else ())])

    def _waits_for(self, task: int) -> list[str]:
        """Say in clauses which background processes a task that runs waits for."""
        table = self._loop.scheduler.table
        if table.state(task) is not TaskState.RUNNING:
            return []
        attempt = table.attempt(task)
        note = ""
        with suppress(FutureTimeout):
            live = self._tail(task, attempt, 0)
            note = "" if live is None else live.note
        return [f"its command has ended, it is {note}"] if note.startswith(WAITING) else []

    @property
    def df(self) -> pd.DataFrame:
        """DataFrame, shape (n_ended, n_columns), index ``task``: one row for each ended task."""
        return self.results()

    def results(self, all: bool = False, within_s: float | None = None) -> pd.DataFrame:
        """Return the results as a DataFrame.

        Parameters
        ----------
        all : bool
            Also the tasks that have not ended.
        within_s : float, optional
            How long outputs may be parsed for it, in seconds: those that are not by then are not in it, and `unparsed`
            says how many. As long as it takes when not given.

        Returns
        -------
        DataFrame, shape (n_tasks, n_columns), index ``task``
            A snapshot: it does not change when more tasks end.
        """
        return self._read.frame(all, within_s)
