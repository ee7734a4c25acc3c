"""Jobs and where their inputs are: asked in the background, and told to the job's loop as it becomes known."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, overload

from .backend.core.events import InputLocation
from .backend.forks import Inherited
from .backend.inputs.filesystems import FileSystems, OnHdfs
from .backend.inputs.locator import Locator
from .backend.inputs.marked_inputs import check_copies, resolve_marks
from .backend.inputs.mounts import is_url
from .backend.spec.commands import Commands, GlobCommands, glob_commands, reads
from .backend.spec.parse_hdfs import Mounts
from .errors import SpecError, StorageError

if TYPE_CHECKING:
    from .backend.spec.job_spec import JobSpec
    from .job import Job

log = logging.getLogger(__name__)

#: how long a submission waits for HDFS to say which files its inputs are, in seconds
ASKED_S: Final = 10.0
#: of so many commands the inputs are looked at before a job starts
CHECKED: Final = 100


def glob_on(files: FileSystems, spec: JobSpec, text: str, pattern: str, *, absolute: bool) -> GlobCommands:
    """Return a command for each file that a pattern finds, by its `absolute` name or as the pattern is written.

    Raises
    ------
    SpecError
        Nothing matches, or no command can be made of it.
    StorageError
        HDFS cannot say.
    """
    found = files.expand(pattern, spec.cwd, absolute=absolute, files_only=bool(spec.fetch))
    if spec.fetch and "<[" not in text and not all(map(is_url, found)):
        raise SpecError(
            f"{pattern!r}: --fetch copies files of URLs, as hdfs:/PATH; others the command finds where they are"
        )
    return glob_commands(text, found, bool(spec.fetch), reads(spec))


class JobInputs:
    """The file systems of all jobs of a session, each with what asks where files are."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Mounts], tuple[FileSystems, Locator]] = {}
        self._lock = threading.Lock()

    def files(self, spec: JobSpec) -> FileSystems:
        """Return the file systems of a job; nothing is asked yet."""
        return self._of(spec)[0]

    def _of(self, spec: JobSpec) -> tuple[FileSystems, Locator]:
        with self._lock:
            key = spec.hdfs, spec.mounts
            if key not in self._known:
                files = FileSystems(*key)
                self._known[key] = files, Locator(files)
            return self._known[key]

    def may_have_remote_inputs(self, spec: JobSpec, commands: Commands, cwd: str) -> bool:
        """Say whether commands may have inputs on an HDFS, without asking it."""
        if not spec.hdfs or not len(commands):
            return False
        return commands.may_have_remote_inputs(lambda name: self._is_on_hdfs(spec, name, cwd))

    def resolve(self, spec: JobSpec, commands: Commands) -> tuple[Commands, list[str]]:
        """Return commands, told what their marks find, and what is to be said of marks that are no inputs."""
        files, cwd = self.files(spec), spec.cwd or os.getcwd()
        commands, said = resolve_marks(files, commands, cwd)
        if not spec.fetch:
            return commands, said
        check_copies(files, commands, cwd)
        fetched = commands.with_fetch()
        if not any(map(is_url, _copied(fetched))):
            said = [*said, "--fetch: nothing is marked, as <[hdfs:/PATH]>, so nothing is copied"]
        return fetched, said

    def check(self, spec: JobSpec, commands: Commands) -> None:
        """Raise StorageError if the HDFS alias of any input is unknown. Makes no request."""
        if self.may_have_remote_inputs(spec, commands, spec.cwd):
            tasks = range(min(len(commands), CHECKED))
            names = (name for task in tasks for name in (*commands.inputs(task), *_patterns(commands, task)))
            if any(self._is_on_hdfs(spec, name, spec.cwd) for name in names):
                self.files(spec).connect()

    def here(self, spec: JobSpec, names: Sequence[str], cwd: str) -> list[str]:
        """Return those names that are not on HDFS."""
        return [name for name in names if not self._is_on_hdfs(spec, name, cwd)]

    def scan(self, spec: JobSpec, commands: Commands, sure: bool) -> OnHdfs:
        """Return which files the inputs of commands on HDFS are now.

        Raises
        ------
        StorageError
            It cannot say, and is to be `sure`; otherwise that is known after `ASKED_S` at the latest.
        """
        if not self.may_have_remote_inputs(spec, commands, spec.cwd):
            return OnHdfs({})
        every = dict.fromkeys(name for index in range(len(commands)) for name in commands.inputs(index))
        names = [name for name in every if self._is_on_hdfs(spec, name, spec.cwd)]
        files = self.files(spec)
        fresh = not commands.from_pattern
        if sure:
            return OnHdfs(files.look(names, spec.cwd, fresh=fresh))
        unknown = OnHdfs(dict.fromkeys(names), known=False)
        answers: queue.SimpleQueue[OnHdfs] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(OnHdfs(files.look(names, spec.cwd, fresh=fresh)))
            except (SpecError, StorageError) as error:
                log.info("inputs of %s on HDFS are not known: %s", spec.job_id, error)
                answers.put(unknown)

        threading.Thread(target=ask, name="stratos-look", daemon=True).start()
        try:
            return answers.get(timeout=ASKED_S)
        except queue.Empty:
            return unknown

    def locate(self, job: Job, tasks: range) -> None:
        """Find out where the inputs of some tasks are, and tell the job of each of them; returns at once."""
        if job.spec.hdfs and tasks:
            _, locator = self._of(job.spec)
            locator.find(tasks.start, _Inputs(job, tasks), _tell(job), _trouble(job))

    def _is_on_hdfs(self, spec: JobSpec, name: str, cwd: str) -> bool:
        try:
            return self.files(spec).find(name, cwd) is not None
        except SpecError:
            return False

    def connections(self) -> list[Inherited]:
        """Return the connections of which a forked child must not keep a copy open."""
        return [connection for _, locator in self._known.values() for connection in locator.connections()]

    def close(self) -> None:
        """Ask for nothing more."""
        with self._lock:
            known, self._known = self._known, {}
        for _, locator in known.values():
            locator.close()


def _copied(commands: Commands) -> Iterator[str]:
    """Yield the files of the first commands of which there may be copies."""
    for index in range(min(len(commands), CHECKED)):
        yield commands.file(index) or ""
        yield from commands.copies(index)


def _patterns(commands: Commands, index: int) -> list[str]:
    """Return the patterns in the marks of a command, whose files have not been looked for yet."""
    return [word.pattern for mark in commands.marks(index) for word in mark.words if word.pattern]


class _Inputs(Sequence[tuple[str, ...]]):
    """The inputs of tasks of a job, of those that have not ended; made when they are asked for."""

    def __init__(self, job: Job, tasks: range) -> None:
        self._job = job
        self._tasks = tasks

    def __len__(self) -> int:
        return len(self._tasks)

    @overload
    def __getitem__(self, index: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[str, ...]]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, ...] | Sequence[tuple[str, ...]]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        task = self._tasks[index]
        if self._job.released or self._job.ended(task):
            return ()
        commands = self._job.commands
        names = commands.inputs(task)
        if all(name[:1] == "/" or is_url(name) for name in names):
            return names
        # Where commands run in a folder that only the node will know, a relative name says nothing.
        cwd = commands.command_env(commands.root_of(task)).cwd
        whole = (name if is_url(name) else os.path.join(cwd, name) for name in names)
        return tuple(name for name in whole if name[:1] == "/" or is_url(name))


def _tell(job: Job) -> Callable[[tuple[InputLocation, ...]], None]:
    def tell(places: tuple[InputLocation, ...]) -> None:
        with suppress(RuntimeError):  # the driver has been closed
            job.set_input_locations(places)

    return tell


def _trouble(job: Job) -> Callable[[str], None]:
    """Return what shows the newest trouble, and only that."""
    shown = ""

    def say(trouble: str) -> None:
        nonlocal shown
        with suppress(RuntimeError):
            if shown:
                job.withdraw(shown)
            shown = f"places of inputs are not known: {trouble}" if trouble else ""
            if shown:
                job.notice(shown)

    return say
