"""Job: what a user holds of one run."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .backend.core.events import (
    Closed,
    DemandChanged,
    InputLocation,
    InputsLocated,
    KillAsked,
    PauseAsked,
    RelaunchAsked,
    ResumeAsked,
    RulesChanged,
)
from .backend.core.phrases import sentences
from .backend.core.rules import Rules
from .backend.core.states import TaskState
from .backend.core.views import JobView
from .backend.engines.base import Largest, Tail
from .backend.executor.notes import WAITING
from .backend.forks import Inherited
from .backend.results.failure_groups import Group
from .backend.results.job_results import JobResults
from .backend.results.task_log import LOG_BYTES, TaskLog
from .backend.run.loop import RunLoop
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

#: how often a waiting cell looks at the newest view, in seconds
PUMP_EVERY_S: Final = 0.1


class Job:
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
        self.job_id = spec.job_id
        self.run = run
        self.commands = Workload()
        #: how often `spec` has changed
        self.edition = 0
        self._journal = journal
        self._driver = driver
        self._lock = threading.RLock()
        self._closed = False
        self._released = False
        self._subscribers: list[Callable[[JobView], None]] = []
        #: the most that one node has; None where nobody can tell
        self.largest: Largest | None = None
        self._loop = make_loop(self)
        #: how commands come into it
        self.submissions = Submissions(self.commands, driver, self._loop, lambda: self.spec)
        #: what is read of its record
        self.recorded = JobResults(journal, self.commands, self._loop.scheduler.table, self.states, spec, parser)
        self._view = self._loop.view()

    def __repr__(self) -> str:
        view = self.view
        return f"<Job {self.job_id} run {self.run}: {view.done:,}/{view.total:,} done, {view.failed:,} failed>"

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
        # Known before the first offers come, which would be filled by anybody else.
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

    def call(self, function: Callable[[], object]) -> None:
        """Run a function on the driver thread."""
        self._driver.call(function)

    def let_go(self) -> None:
        """Drive the run no longer; what runs goes on. The driver thread calls this."""
        self._released = True
        self._loop.let_go()
        self._journal.close()
        if self._view.ended_at is None:
            left = (
                "this process has let go of it, and does not know how it goes on; "
                f"%stratos attach {self.job_id} brings it back"
            )
            notices = (*self._view.notices, left)
            self.show(replace(self._view, rate_per_s=None, eta_s=None, notices=notices))

    def _ours(self) -> None:
        """Raise JobNotFound when this process does not hold the run any more."""
        if self._released:
            raise JobNotFound(
                f"{self.job_id} run {self.run} is not held by this process any more; %stratos attach {self.job_id}, or "
                "Processor.attach, brings it back"
            )

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._journal.folder

    @property
    def journal(self) -> Journal:
        """Its record, to be read."""
        self._ours()
        return self._journal

    # -- what it is -------------------------------------------------------------------------------------

    @property
    def view(self) -> JobView:
        """The newest snapshot."""
        return self._view

    def view_now(self) -> JobView:
        """Return a snapshot of this moment: the newest one may be older, when nothing has happened since."""
        self._ours()
        return self._driver.call(self._loop.view)

    @property
    def halted(self) -> bool:
        """Whether failures have halted it and nothing of it runs: only `resume` makes it go on."""
        return self._loop.scheduler.stuck and bool(self._view.unfinished)

    def state(self, task: int) -> TaskState:
        """Return the state of one task."""
        self._known([task])
        return self._loop.scheduler.table.state(task) if task < len(self._loop.scheduler.table) else TaskState.QUEUED

    def states(self) -> bytes:
        """Return the states of all tasks, one byte each, by index."""
        states = self._loop.scheduler.table.states()
        return states + bytes(len(self.commands) - len(states))

    def attempts(self) -> bytes:
        """Return the numbers of all present attempts by index, two bytes each, in this machine's order."""
        return self._loop.scheduler.table.attempts()

    def flying(self) -> dict[int, tuple[str, float | None]]:
        """Return what is in flight now: the node of each task, and since when it is said to run."""
        self._ours()
        return self._driver.call(self._loop.scheduler.flying)

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

    @property
    def superseded(self) -> frozenset[int]:
        """Tasks that belong to the job no longer, because its cell was run again: no result shows them."""
        return self._loop.scheduler.table.superseded

    def looks(self) -> dict[int, tuple[str, bool]]:
        """Return what ended tasks have left their inputs as; see `Journal.looks`."""
        return self._journal.looks()

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

    def ended(self, task: int) -> bool:
        """Say whether a task is known to have ended; any thread may ask, for any number of tasks."""
        table = self._loop.scheduler.table
        return task < len(table) and table.ended(task)

    def is_being_killed(self, task: int) -> bool:
        """Say whether the user has asked to end a task whose end is not known; any thread may ask."""
        return self._loop.scheduler.is_being_killed(task)

    @property
    def released(self) -> bool:
        """Whether this process does not hold the run any more."""
        return self._released

    def set_input_locations(self, places: tuple[InputLocation, ...]) -> None:
        """Take in where inputs are."""
        self._driver.post(lambda: self._loop.post(InputsLocated(self._loop.now(), places)))

    def notice(self, text: str) -> None:
        """Show the user a line, once."""
        self._driver.post(lambda: self._loop.notice(text))

    def withdraw(self, text: str) -> None:
        """Show a line no longer."""
        self._driver.post(lambda: self._loop.withdraw(text))

    # -- waiting ----------------------------------------------------------------------------------------

    def _ended(self, tasks: range | None) -> Future[bool]:
        return self._driver.call(lambda: self._loop.wait(tasks))

    def wait(
        self,
        timeout_s: float | None = None,
        tasks: range | None = None,
        pump: Callable[[JobView], None] | None = None,
    ) -> bool:
        """Wait until tasks have ended.

        An interrupt (`KeyboardInterrupt`) ends the waiting and leaves the tasks.

        Parameters
        ----------
        timeout_s : float, optional
            Give up after this many seconds.
        tasks : range, optional
            Which tasks; all when not given.
        pump : callable, optional
            Called on this thread with each new view while it waits.

        Returns
        -------
        bool
            True when they all have ended; False when the time is over, another process has taken the job over, or
            failures have halted it and nothing of it runs any more (`halted`).
        """
        self._ours()
        future = self._ended(tasks)
        until_s = None if timeout_s is None else self._loop.now() + timeout_s
        try:
            return self._watch(future, until_s, pump)
        finally:
            future.cancel()  # nobody waits for it any more; what is done stays done

    def _watch(self, future: Future[bool], until_s: float | None, pump: Callable[[JobView], None] | None) -> bool:
        shown: JobView | None = None
        while True:
            left_s = PUMP_EVERY_S if until_s is None else min(PUMP_EVERY_S, until_s - self._loop.now())
            try:
                ended = future.result(max(0.0, left_s))
            except FutureTimeout:
                ended = None
            if pump is not None and self._view is not shown:
                shown = self._view
                pump(shown)
            if ended is not None:
                return ended
            if until_s is not None and self._loop.now() >= until_s:
                return False

    def __await__(self) -> Generator[Any, None, bool]:
        return asyncio.wrap_future(self._ended(None)).__await__()

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

    def pause(self) -> None:
        """Launch nothing more for now. What runs goes on."""
        self._ours()
        self._driver.call(lambda: self._loop.post_now(PauseAsked(self._loop.now())))

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

    @property
    def rules(self) -> Rules:
        """Retries, limits and pace as they are now."""
        return self._loop.scheduler.rules

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

    def parse_trouble(self, within_s: float | None = None) -> tuple[int, int, str]:
        """Return how many results could not be parsed, the first such task, and what was wrong with its output.

        Parses what has not been parsed yet, as far as that can be done `within_s` seconds; `unparsed` says how many are
        left. Without such a result, or a parser, the first is 0.
        """
        return self._read.parse_trouble(within_s) if self.recorded.parser is not None else (0, 0, "")

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

    def _tail(self, task: int, attempt: int, nbytes: int) -> Tail | None:
        """Return the end of what a running attempt has written, and what there is to say of it; None for another."""
        return self._driver.call(lambda: self._loop.engine.tail(task, attempt, nbytes)).result(10.0)

    def why(self, task: int | None = None) -> str:
        """Say in plain words what waits for what, from the offers that were seen, and what would change it.

        Parameters
        ----------
        task : int, optional
            Which; all that wait when not given.

        Raises
        ------
        JobNotFound
            There is no such task.
        """
        self._ours()
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

    # -- watching ---------------------------------------------------------------------------------------

    def subscribe(self, callback: Callable[[JobView], None]) -> Callable[[], None]:
        """Call back with each new view, on the driver thread, at most 10 times a second.

        Returns
        -------
        callable
            Ends the subscription.
        """
        with self._lock:
            self._subscribers = [*self._subscribers, callback]

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers = [other for other in self._subscribers if other is not callback]

        return unsubscribe

    def show(self, view: JobView) -> None:
        """Take in a new view; the driver thread calls this."""
        self._view = view
        for callback in self._subscribers:
            callback(view)

    def connections(self) -> list[Inherited]:
        """Return the connections of which a forked child must not keep a copy open."""
        return self._loop.engine.connections()

    def end(self) -> Future[None]:
        """End what runs; the future is done when all of it is gone."""
        return self._driver.call(self._loop.close)

    def release(self) -> None:
        """Let go of the journal, when all else is gone."""
        self._journal.close()
