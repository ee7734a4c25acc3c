"""Submissions: how commands come into a run, those that the user adds as well as those that monitors ask for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..core.events import RelaunchAsked, ResumeAsked, Superseded, TasksAdded
from ..spec.commands import Commands, plain_commands
from ..spec.job_spec import JobSpec
from ..spec.workload import CommandEnv, Fingerprints, Workload
from .loop import RunLoop
from .thread import Driver


class Submissions:
    """Gives commands their indices, and makes them known to the run's loop in the order of these.

    Parameters
    ----------
    commands : Workload
        Takes the commands in.
    driver : Driver
        The thread of the loop.
    loop : RunLoop
        Drives the run.
    spec : callable
        Returns the job's spec as it is now.

    Attributes
    ----------
    may_have_remote_inputs : callable
        Says whether some of the inputs of commands that run in a directory may have to be located.
    locate : callable
        Begins to find out where the inputs of these tasks are; returns at once.
    """

    def __init__(self, commands: Workload, driver: Driver, loop: RunLoop, spec: Callable[[], JobSpec]) -> None:
        self._commands = commands
        self._driver = driver
        self._loop = loop
        self._spec = spec
        self._numbering = threading.Lock()  # tasks are numbered in the order in which the driver hears of them
        self._promised: dict[str, int] | None = None
        self.may_have_remote_inputs: Callable[[Commands, str], bool] = lambda commands, cwd: False
        self.locate: Callable[[range], object] = lambda tasks: None

    def add(self, commands: Commands, env: CommandEnv, fingerprints: Fingerprints | None = None) -> range:
        """Add commands and return their indices."""
        return self._enter(commands, env, None, fingerprints)

    def add_from_monitor(self, origin: tuple[int, int], texts: Sequence[str]) -> None:
        """Add commands that the monitor of an attempt, (task, attempt), asked for; the driver thread calls this."""
        env = self._commands.command_env(self._commands.submission_of(origin[0]))
        self._enter(plain_commands(texts), env, origin, None)

    def extend(
        self,
        added: tuple[Commands, CommandEnv, Fingerprints] | None,
        superseded: Sequence[int],
        restored: Sequence[int],
        again: Sequence[int],
    ) -> range:
        """Add commands, and change which tasks belong to the job, in one turn of the loop; see `Job.extend`.

        Returns when that is done, and recorded.
        """
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
        self._driver.call(lambda: None)
        self.locate_again((*again, *restored))
        return tasks

    def locate_all(self) -> list[bool]:
        """Say of each submission whether inputs of its commands may have to be located."""
        return [self.may_have_remote_inputs(commands, env.cwd) for _, commands, env, _ in self._commands.submissions()]

    def locate_again(self, tasks: Sequence[int]) -> None:
        """Locate the inputs of tasks that wait again, which had ended when those of the others were located."""
        knows = self._loop.scheduler.locality.locations.knows
        unknown = [task for task in tasks if not knows(task)]
        if unknown:
            self.locate(range(min(unknown), max(unknown) + 1))

    def _enter(
        self, commands: Commands, env: CommandEnv, origin: tuple[int, int] | None, fingerprints: Fingerprints | None
    ) -> range:
        with self._numbering:
            tasks, enter = self._number(commands, env, origin, fingerprints)
            self._driver.post(enter)
        return tasks

    def _number(
        self, commands: Commands, env: CommandEnv, origin: tuple[int, int] | None, fingerprints: Fingerprints | None
    ) -> tuple[range, Callable[[], None]]:
        """Number commands, and return what makes them known on the driver thread; `_numbering` is held until then."""
        spec = self._spec()
        tasks = self._commands.add(commands, env, None if origin is None else origin[0], fingerprints)
        if self._promised is not None:
            self._promised.update(self._made_by(tasks))
        submission = self._commands.submission_of(tasks.start)
        sought = self.may_have_remote_inputs(commands, env.cwd)
        event = TasksAdded(self._loop.now(), len(tasks), spec.demand(), spec.priority, sought)

        def record() -> dict[str, Any]:
            return self._commands.record(submission, spec.cwd)

        def enter() -> None:
            self._loop.add(event, tasks.start, record, origin)
            if sought:
                self.locate(tasks)  # only now: the loop knows the tasks before it learns where their inputs are

        return tasks, enter

    # -- what tasks make --------------------------------------------------------------------------------

    def makes(self, task: int) -> tuple[str, ...]:
        """Return the files that a task makes, as its command would name them.

        What a task makes that a monitor asked for is not known.
        """
        made = self._spec().makes
        return self._commands.makes(task, made) if made else ()

    def promised(self) -> dict[str, int]:
        """Return which task makes which file, by its whole name, of those that belong to the job."""
        if self._promised is None:
            left_out = self._loop.scheduler.table.superseded
            self._promised = self._made_by(task for task in range(len(self._commands)) if task not in left_out)
        return dict(self._promised)

    def promise_anew(self) -> None:
        """Work out anew what tasks make: the spec is another one."""
        self._promised = None

    def _made_by(self, tasks: Iterable[int]) -> dict[str, int]:
        cwd = self._spec().cwd
        return {os.path.normpath(os.path.join(cwd, path)): task for task in tasks for path in self.makes(task)}
