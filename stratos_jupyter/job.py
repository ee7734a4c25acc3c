"""Job: what a user holds of one run."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass, replace
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
    Superseded,
    TasksAdded,
)
from .backend.core.phrases import sentences
from .backend.core.rules import Rules
from .backend.core.states import TaskState
from .backend.core.views import JobView
from .backend.engines.base import Largest, Result, Tail
from .backend.executor.notes import WAITING
from .backend.forks import Inherited
from .backend.results.bounded_parsing import ParsedOutputs
from .backend.results.failure_groups import Failures, Group, told
from .backend.run.loop import RunLoop
from .backend.run.thread import Driver
from .backend.spec.commands import Commands, plain_commands
from .backend.spec.job_spec import JobSpec, OutputMode
from .backend.spec.options import CHANGES, read_changes
from .backend.spec.workload import CommandEnv, Fingerprints, Workload
from .backend.store.journal import Journal
from .backend.store.outputs import bounded_text, last_text
from .backend.store.rows import FactRow, FirstRow, ResultRow
from .errors import JobNotFound, SpecError, StreamClosed
from .runs.fingerprints import same_inputs, saw_any
from .runs.recorded_run import begun

if TYPE_CHECKING:
    import pandas as pd

    from .backend.results.parsers import Parser
    from .backend.results.table import ResultTable

#: how often a waiting cell looks at the newest view, in seconds
PUMP_EVERY_S: Final = 0.1
#: what a log shows of a stream, in bytes
LOG_BYTES: Final = 64 * 1024
#: where the last line of a stderr is looked for, in bytes
END_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class TaskLog:
    """Everything there is to read of one task.

    Attributes
    ----------
    task : int
        Its index.
    command : str
        The shell text.
    state : TaskState
        Where it is now.
    attempts : tuple of ResultRow
        Every attempt that ended, first to last.
    stdout, stderr : str
        Of the attempt that runs, or else of the last one; each at most 64 KiB, its end when it runs.
    live : bool
        Whether the two are of an attempt that still runs.
    attempt : int
        Which attempt the two are of, from 1; 0 when none has begun.
    note : str
        What there is to say of the attempt that runs, as what its monitor said last.
    """

    task: int
    command: str
    state: TaskState
    attempts: tuple[ResultRow, ...]
    stdout: str
    stderr: str
    live: bool
    attempt: int
    note: str = ""


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
        self._parser = parser
        self._outputs: ParsedOutputs | None = None
        self._lock = threading.RLock()
        self._numbering = threading.Lock()  # tasks are numbered in the order in which the driver hears of them
        self._closed = False
        self._released = False
        self._subscribers: list[Callable[[JobView], None]] = []
        #: says whether it is to be found out where the inputs of some commands are
        self.may_have_remote_inputs: Callable[[Commands, str], bool] = lambda commands, cwd: False
        #: finds that out, of these tasks, and tells `set_input_locations`
        self.locate: Callable[[range], object] = lambda tasks: None
        self._table: ResultTable | None = None
        self._table_seq = 0
        self._unparsed = 0
        self._relaunched: set[int] = set()
        self._promised: dict[str, int] | None = None
        self._failures = Failures()
        self._failures_seq = 0
        self._failures_lock = threading.Lock()
        #: the most that one node has; None where nobody can tell
        self.largest: Largest | None = None
        self._loop = make_loop(self)
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
        sought = [
            self.may_have_remote_inputs(commands, around.cwd) for _, commands, around, _ in self.commands.submissions()
        ]
        tasks = range(len(self.commands))

        demand, priority = begun(self.spec, self._journal.meta())

        def bring_back() -> None:
            self._loop.restore(demand, priority, why_held, sought.__getitem__)

        self._driver.call(bring_back)
        if any(sought):
            self.locate(tasks)
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
        self._ours()
        yield from self._journal.facts(after_seq)

    def firsts(self, tasks: Sequence[int], nbytes: int) -> dict[int, FirstRow]:
        """Return how the outputs of a few ended tasks begin; see `Journal.firsts`."""
        self._ours()
        return self._journal.firsts(tasks, nbytes)

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

    def makes(self, task: int) -> tuple[str, ...]:
        """Return the files that a task makes, as its command would name them.

        What runs instead of a task that its monitor ended makes something that nobody has said.
        """
        return self.commands.makes(task, self.spec.makes) if self.spec.makes else ()

    def promised(self) -> dict[str, int]:
        """Return which task makes which file, by its whole name, of those that belong to the job."""
        if self._promised is None:
            left_out = self.superseded
            self._promised = {
                os.path.normpath(os.path.join(self.spec.cwd, path)): task
                for task in range(len(self.commands))
                if task not in left_out
                for path in self.makes(task)
            }
        return dict(self._promised)

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
            tasks = self._enter(commands, command_env, fingerprints=fingerprints)
            counts = list(self._view.counts)
            counts[TaskState.QUEUED] += len(tasks)
            self._view = replace(self._view, counts=tuple(counts), ended_at=None)
        return tasks

    def _enter(
        self,
        commands: Commands,
        command_env: CommandEnv,
        origin: tuple[int, int] | None = None,
        fingerprints: Fingerprints | None = None,
    ) -> range:
        with self._numbering:
            tasks, enter = self._number(commands, command_env, origin, fingerprints)
            self._driver.post(enter)
        return tasks

    def _number(
        self,
        commands: Commands,
        command_env: CommandEnv,
        origin: tuple[int, int] | None,
        fingerprints: Fingerprints | None,
    ) -> tuple[range, Callable[[], None]]:
        """Number commands, and return what makes them known on the driver thread; `_numbering` is held until then."""
        tasks = self.commands.add(commands, command_env, None if origin is None else origin[0], fingerprints)
        if self._promised is not None:
            made = ((task, path) for task in tasks for path in self.makes(task))
            self._promised.update({os.path.normpath(os.path.join(self.spec.cwd, path)): task for task, path in made})
        submission = self.commands.submission_of(tasks.start)
        sought = self.may_have_remote_inputs(commands, command_env.cwd)
        event = TasksAdded(self._loop.now(), len(tasks), self.spec.demand(), self.spec.priority, sought)

        def record() -> dict[str, Any]:
            return self.commands.record(submission, self.spec.cwd)

        def enter() -> None:
            self._loop.add(event, tasks.start, record, origin)
            if sought:
                self.locate(tasks)  # only now: places must not be known before the tasks are

        return tasks, enter

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
            with self._numbering:
                at_s = self._loop.now()
                tasks, enter = (range(0), None) if added is None else self._number(*added[:2], None, added[2])

                def take_in() -> None:  # in one turn of the loop, hence one transaction
                    if superseded or restored:
                        self._loop.post(Superseded(at_s, tuple(superseded), tuple(restored)))
                    if enter is not None:
                        enter()
                    if again:
                        self._loop.post(RelaunchAsked(at_s, tuple(again)))
                    self._loop.post_now(ResumeAsked(at_s))  # what was held goes on

                self._driver.post(take_in)
            self._relaunched.update(again)
            self._driver.call(lambda: None)  # that is done, and the view shows it
            self._seek_again((*again, *restored))
        return tasks

    def _seek_again(self, tasks: Sequence[int]) -> None:
        """Find out where the inputs are of tasks that wait again, and had ended when that was found out of others."""
        knows = self._loop.scheduler.locality.places.knows
        unknown = [task for task in tasks if not knows(task)]
        if unknown:
            self.locate(range(min(unknown), max(unknown) + 1))

    @property
    def superseded(self) -> frozenset[int]:
        """Tasks that belong to the job no longer, because its cell was run again: no result shows them."""
        return self._loop.scheduler.table.superseded

    def looks(self) -> dict[int, tuple[str, bool]]:
        """Return what ended tasks have left their inputs as; see `Journal.looks`."""
        return self._journal.looks()

    def inputs_left(self, result: Result) -> tuple[str, bool] | None:
        """Say what an attempt has left its inputs as, unless that is as they were submitted; the driver thread calls.

        Returns
        -------
        key : str
            What they are.
        agreed : bool
            Whether its node saw, before it started, what had been seen here, and not just that nothing is there; or it
            has changed what an earlier attempt may have changed before.
        """
        after, before = result.inputs[0], result.inputs[-1]
        submitted = self.commands.fingerprint(result.task)
        if not submitted:  # by version 0.1.0
            return after, False
        if same_inputs(submitted, after):
            return None
        agreed = same_inputs(submitted, before) or (result.attempt > 1 and not same_inputs(before, after))
        return after, agreed and saw_any(submitted)

    def apply_cell(self, spec: JobSpec, parser: Parser | None) -> None:
        """Take over what may change between two runs of a cell: `CHANGES`, and how outputs are read.

        What runs goes on as it is; from the next launch on, all tasks are run as the cell says now.
        """
        with self._lock:
            old = self.spec
            self.spec = replace(old, **{name: getattr(spec, name) for name in CHANGES})
            if self.spec.to_record() != old.to_record() or self.spec.env != old.env:
                self.edition += 1
            if parser is not None or (old.parse, old.columns) != (spec.parse, spec.columns):
                self._parser, self._outputs, self._table = parser, None, None
            self._promised = None
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
        around = self.commands.command_env(self.commands.submission_of(origin[0]))
        self._enter(plain_commands(texts), around, origin)

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
        self._seek_again(chosen)
        with self._lock:
            self._relaunched.update(chosen)
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

    def rows(self, after_seq: int = 0) -> list[ResultRow]:
        """Return committed results in order of arrival, after the one numbered `after_seq`."""
        self._ours()
        return list(self._journal.rows(after_seq))

    def failures(self, most: int) -> list[ResultRow]:
        """Return the first `most` results that did not finish well, by task."""
        self._ours()
        left_out, states = self.superseded, self.states()
        among = sum(states[task] > TaskState.FINISHED for task in left_out)
        return [row for row in self._journal.failures(most + among) if row.task not in left_out][:most]

    def failure_groups(self) -> list[Group]:
        """Return the tasks that did not finish well, grouped by what they have in common, the largest group first.

        One that was relaunched is left out until it has ended. Only what is new since the last time is read.
        """
        self._ours()
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
            # their new end may have been read while it was being made known.
            states = self.states()
            begun = {task for task in failures if states[task] <= TaskState.FINISHED}
            return failures.groups(without=begun | self.superseded)

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

    def output_of(self, result: Result) -> str:
        """Return what is parsed of a result that has not been recorded."""
        return self.text_of(result.stdout, result.stdout_path, result.stdout_size)

    def parse_trouble(self, within_s: float | None = None) -> tuple[int, int, str]:
        """Return how many results could not be parsed, the first such task, and what was wrong with its output.

        Parses what has not been parsed yet, as far as that can be done `within_s` seconds; `unparsed` says how many are
        left. Without such a result, or a parser, the first is 0.
        """
        if self._parser is None:
            return 0, 0, ""
        with self._lock:
            return self._results(within_s).trouble(self.superseded)

    @property
    def unparsed(self) -> int:
        """How many results there were the last time that had not been parsed in time, and are in no table."""
        return self._unparsed

    def text_of(self, data: bytes | None, path: str, size: int) -> str:
        """Return a stream as text, bounded by the job's ``output_limit``; the path of its file where it stays there."""
        if path and not self._sends_back:
            return path
        return bounded_text(data, path, size, self.spec.output_limit)

    def output(self, row: ResultRow) -> str:
        """Return what a result's command wrote to stdout, where it was sent back; else ''."""
        return self.text_of(row.stdout, row.stdout_path, row.stdout_size) if self._sends_back else ""

    @property
    def _sends_back(self) -> bool:
        return self.spec.output is OutputMode.SCHEDULER

    def outputs(self, tasks: Iterable[int]) -> list[str]:
        """Return the stdout of each of those tasks; '' where none was sent back or it has not ended."""
        self._ours()
        wanted = list(tasks)
        found: dict[int, ResultRow] = {}
        among = set(wanted)
        for row in self._journal.rows():
            if row.task in among:
                found[row.task] = row
        return [self.output(found[task]) if task in found else "" for task in wanted]

    def log(self, task: int, nbytes: int = LOG_BYTES) -> TaskLog:
        """Return everything there is to read of one task, `nbytes` bytes of each stream at most.

        Raises
        ------
        JobNotFound
            There is no such task.
        """
        self._ours()
        self._known([task])
        attempts = tuple(self._journal.attempts(task))
        table = self._loop.scheduler.table
        live: Tail | None = None
        attempt = attempts[-1].attempt if attempts else 0
        if task < len(table) and not table.ended(task):
            now = table.attempt(task)
            live = self._driver.call(lambda: self._loop.engine.tail(task, now, nbytes)).result(10.0)
        if live is not None:
            stdout, stderr = live.stdout, live.stderr
            attempt = now
        elif attempts:
            last = attempts[-1]
            stdout = bounded_text(last.stdout, last.stdout_path, last.stdout_size, nbytes)
            stderr = bounded_text(last.stderr, last.stderr_path, last.stderr_size, nbytes)
        else:
            stdout = stderr = ""
        command, state = self.commands.command(task), self.state(task)
        return TaskLog(
            task, command, state, attempts, stdout, stderr, live is not None, attempt, live.note if live else ""
        )

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
            live = self._driver.call(lambda: self._loop.engine.tail(task, attempt, 0)).result(10.0)
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
        self._ours()
        with self._lock:
            table = self._results(within_s)
            left_out = self.superseded
            return table.frame_all(self.states(), left_out) if all else table.frame(left_out)

    def _results(self, within_s: float | None = None) -> ResultTable:
        from .backend.results.table import ResultTable  # here, so that importing the package does not load pandas

        placeholders = self.commands.placeholders
        if self._table is None or self._table.placeholders != placeholders:
            commands = self.commands
            outputs = self.parsed_outputs
            self._table = ResultTable(
                placeholders, self._parser, commands.command, commands.values, self.text_of, outputs
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
        for task in list(self._relaunched):
            if self.state(task) < TaskState.FINISHED:
                # the row of its new end may have been read already, while that was being made known
                self._table.forget(task, self._loop.scheduler.table.attempt(task))
            else:
                self._relaunched.discard(task)
        return self._table

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
