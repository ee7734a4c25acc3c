"""The commands of a run: what its submissions gave, joined under one numbering.

PURE, like the commands themselves. Calls are only ever appended, and a list's append is atomic, so a reader
needs no lock; writers hold one of their own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..core.ranges import TaskRanges
from .commands import Commands
from .products import makes

#: characters of the fingerprint of one command's inputs
FINGERPRINT_CHARS: Final = 32


@dataclass(frozen=True, slots=True)
class CommandEnv:
    """What the commands of a submission find around them.

    Attributes
    ----------
    cwd : str
        Absolute working directory.
    env : mapping of str to str
        The complete environment. It never goes into a journal.
    """

    cwd: str
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """What the commands of a submission were made of, so that one can tell what has changed since.

    Attributes
    ----------
    env : str
        Of the variables that the user named, with their values, which cannot be told from it; '' for none.
    here, there : str
        Of the inputs of each command that are files here, and of those on HDFS: `FINGERPRINT_CHARS` characters a
        command, one after another; '' when they were not looked at.
    old : str
        Of all of them, as version 0.1.0 made it; '' for another version's submissions.
    """

    env: str = ""
    here: str = ""
    there: str = ""
    old: str = ""

    def of(self, index: int) -> tuple[str, str, str]:
        """Return the fingerprints of a command's inputs: here, there, and as of old; '' for what was not looked at."""
        span = slice(index * FINGERPRINT_CHARS, (index + 1) * FINGERPRINT_CHARS)
        return self.here[span], self.there[span], self.old[span]


class Workload:
    """All commands of one run, by task index.

    Attributes
    ----------
    placeholders : tuple of str
        Columns that the submissions' placeholders make in a DataFrame, in order of their first appearance.
    """

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._roots: list[int] = []
        self._submissions: list[tuple[Commands, CommandEnv, Fingerprints]] = []
        self._length = 0
        self._spawned: list[tuple[int, range]] = []
        self.placeholders: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self._length

    def add(
        self,
        commands: Commands,
        command_env: CommandEnv,
        origin: int | None = None,
        fingerprints: Fingerprints | None = None,
    ) -> range:
        """Append the commands of a submission, which `origin`'s monitor may have asked for; return their indices."""
        first = self._length
        new = tuple(name for name in commands.placeholders if name not in self.placeholders)
        self.placeholders += new
        self._submissions.append((commands, command_env, fingerprints or Fingerprints()))
        self._roots.append(len(self._roots) if origin is None else self._roots[self.submission_of(origin)])
        self._firsts.append(first)
        self._length = first + len(commands)
        tasks = range(first, self._length)
        if origin is not None:
            self._spawned.append((origin, tasks))
        return tasks

    def origin(self, task: int) -> int | None:
        """Return the task whose monitor asked for this one; None when the user did."""
        return next((origin for origin, tasks in self._spawned if task in tasks), None)

    def spawned_by(self, task: int) -> list[range]:
        """Return the tasks that the monitor of this one asked for."""
        return [tasks for origin, tasks in self._spawned if origin == task]

    def with_spawned(self, ranges: Sequence[range]) -> TaskRanges:
        """Return ranges of tasks, and those that the monitors of these tasks asked for, and so on."""
        first, more = TaskRanges(ranges), TaskRanges()
        for origin, tasks in list(self._spawned):  # in the order of their indices: each comes after its origin
            if (origin in first or origin in more) and tasks.start not in first:
                more.add(tasks)
        return TaskRanges([*first, *more])

    def submission_of(self, task: int) -> int:
        """Return which submission a task belongs to, from 0."""
        return bisect_right(self._firsts, task) - 1

    def root_of(self, task: int) -> int:
        """Return the user's own submission that a task goes back to: its environment is that of all that came of it."""
        return self._roots[self.submission_of(task)]

    def command_env(self, submission: int) -> CommandEnv:
        """Return what the commands of a submission find around them."""
        return self._submissions[submission][1]

    def set_env(self, env: Mapping[str, str]) -> bool:
        """Let all commands find these variables from now on, in their own directories; say whether others did."""
        changed = False
        for submission, (commands, old, fingerprints) in enumerate(self._submissions):
            changed = changed or old.env != env
            self._submissions[submission] = commands, CommandEnv(old.cwd, env), fingerprints
        return changed

    def submissions(self) -> Iterator[tuple[int, Commands, CommandEnv, Fingerprints]]:
        """Yield every submission: its first task, its commands, their environment, and their fingerprints."""
        for first, (commands, command_env, fingerprints) in zip(
            list(self._firsts), list(self._submissions), strict=False
        ):
            yield first, commands, command_env, fingerprints

    def spawned(self) -> list[tuple[int, range]]:
        """Return the tasks that monitors asked for, each submission of them with the task that was watched."""
        return list(self._spawned)

    def _find(self, task: int) -> tuple[Commands, int]:
        if not 0 <= task < self._length:
            raise IndexError(task)
        submission = bisect_right(self._firsts, task) - 1
        return self._submissions[submission][0], task - self._firsts[submission]

    def record(self, submission: int, cwd: str) -> dict[str, Any]:
        """Return a submission as JSON can hold it; `cwd` is the run's, and goes without saying."""
        commands, command_env, fingerprints = self._submissions[submission]
        more = {
            "cwd": command_env.cwd if command_env.cwd != cwd else "",
            "env": fingerprints.env,
            "here": fingerprints.here,
            "there": fingerprints.there,
            "keys": fingerprints.old,
        }
        return {**commands.to_record(), **{name: text for name, text in more.items() if text}}

    def command(self, task: int) -> str:
        """Return the shell text of a task."""
        commands, index = self._find(task)
        return commands.command(index)

    def file(self, task: int) -> str | None:
        """Return the file behind ``%f%``, or None."""
        commands, index = self._find(task)
        return commands.file(index)

    def copies(self, task: int) -> tuple[str, ...]:
        """Return the URLs of the other files of which a task's command finds copies."""
        commands, index = self._find(task)
        return commands.copies(index)

    def inputs(self, task: int) -> tuple[str, ...]:
        """Return the paths whose placement matters, as the command names them."""
        commands, index = self._find(task)
        return commands.inputs(index)

    def makes(self, task: int, templates: Sequence[str]) -> tuple[str, ...]:
        """Return the files that a task makes; nothing is known of one that a monitor asked for."""
        commands, index = self._find(task)
        submission = self.submission_of(task)
        return makes(templates, commands, index) if self._roots[submission] == submission else ()

    def fingerprint(self, task: int) -> str:
        """Return the fingerprint of a task's inputs that are files here, as submitted; '' where none was taken."""
        submission = self.submission_of(task)
        return self._submissions[submission][2].of(task - self._firsts[submission])[0]

    def values(self, task: int) -> tuple[str, ...]:
        """Return one value for each of the run's `placeholders`; '' where the task's submission has no such one."""
        commands, index = self._find(task)
        values = commands.values(index)
        if commands.placeholders == self.placeholders:
            return values
        by_name = dict(zip(commands.placeholders, values, strict=True))
        return tuple(by_name.get(name, "") for name in self.placeholders)
