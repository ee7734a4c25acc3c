"""Processor: the interface that StratOS documents, from Python."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .backend.core.ranges import TaskRanges
from .backend.core.rules import Rules
from .backend.engines.registry import site_class
from .backend.spec.commands import Commands, explicit_commands, explicit_lines, reads, template_commands
from .errors import JobHalted, StreamClosed
from .job import Job
from .job_inputs import glob_on
from .processor_arguments import DEFAULTS, explained, read, said_of
from .resume import end_parts, rejoin, resume_part
from .session import Session, current
from .stream import Outputs, Stream

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@explained
class Processor:
    r"""Run a program over files, parameters or commands.

    A Processor is one run of a job: the indices of its tasks go on across its calls. The ``*_batch`` methods
    return when their tasks have ended, the ``*_stream`` methods at once. Several Processors run side by side.

    Parameters
    ----------
    master : str
        The engine: ``"local"``, ``"local[4]"``, or a Mesos master: ``"host:port"``, ``"mesos://host:port"``.
    role : str
        The role whose resources are used.
    threads_per_task : int or str
        Processors that each task gets; 1 on a local engine, when not given.
    mem_per_task : int or str
        Memory that each task gets, in MiB, or as ``"2G"``; one that uses more is ended. ``"2G..16G"`` doubles it for
        each attempt that died of memory. No limit on a local engine, when not given.
    disk_per_task : int or str
        Disk that each task gets, in MiB, likewise; ``$STRATOS_SANDBOX`` is a directory of its own then.
    monitor : str or callable
        A program that watches each task, called as ``monitor PID '<stdout>...</stdout><stderr>...</stderr>'`` on the
        task's node, with what was written since the last call. A line that it prints which begins with
        ``stratos_relaunch`` ends the task. Or a function ``def watch(pid, stdout, stderr)``, run by the node's python.
    relauncher : str
        A program, called as ``relauncher OUTPUT`` with what the monitor printed; it prints the commands to run
        instead, one a line.
    update_interval : int or str
        Seconds between two calls of the monitor.
    output : {"scheduler", "disk", "mesos", "none"}
        Where stdout and stderr of the tasks go: back here; to files in `log_directory`; to a file in the task's
        sandbox; nowhere.
    log_directory : str
        For ``output="disk"``.
    job_id : str
        The job's name.
    settings : mapping, optional
        Defaults for any argument by name; arguments that are given win.
    {further arguments}

    Raises
    ------
    SpecError
        Something cannot be; the message names all of it, and nothing has started.
    EngineError
        There is no such engine.

    References
    ----------
    The StratOS documentation, "Processor".

    Examples
    --------
    >>> job = Processor("local[2]", job_id="demo")
    >>> job.explicit_batch(["echo one", "echo two"])
    >>> job.get_results()
    ['one\n', 'two\n']
    """

    def __init__(
        self,
        master: str,
        role: str = DEFAULTS["role"],
        threads_per_task: float | str = DEFAULTS["threads_per_task"],
        mem_per_task: float | str = DEFAULTS["mem_per_task"],
        disk_per_task: float | str = DEFAULTS["disk_per_task"],
        monitor: str | Callable[[int, str, str], object] = DEFAULTS["monitor"],
        relauncher: str = DEFAULTS["relauncher"],
        update_interval: float | str = DEFAULTS["update_interval"],
        output: str = DEFAULTS["output"],
        log_directory: str = DEFAULTS["log_directory"],
        job_id: str = DEFAULTS["job_id"],
        settings: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        given = {
            "role": role,
            "threads_per_task": threads_per_task,
            "mem_per_task": mem_per_task,
            "disk_per_task": disk_per_task,
            "monitor": monitor,
            "relauncher": relauncher,
            "update_interval": update_interval,
            "output": output,
            "log_directory": log_directory,
            "job_id": job_id,
        }
        session = current()
        asked = said_of(master, {**given, **options}, settings or {})
        spec, parser = read(asked, session.check)
        job = rejoin(session, spec, parser) if asked.get("resume") else None
        resumed = job is not None
        self._begin(session, job or session.submit(spec, keep_open=True, parser=parser), resumed)

    def _begin(self, session: Session, job: Job, resumed: bool = False) -> None:
        self._session = session
        self._job = job
        #: of a run that is gone on with, the tasks that calls have named; None where all calls add tasks
        self._named: set[int] | None = set() if resumed else None
        self._closed = False
        self._stream: Stream | None = None
        self._streaming = False
        self._outputs = Outputs(job)

    @classmethod
    def attach(cls, job_id: str, *, steal: bool = False) -> Processor:
        """Go on with a job that another process began, by a Processor or a notebook's cell.

        `wait` waits for all that has not ended, `get_results` returns all outputs by index.

        Parameters
        ----------
        job_id : str
            Its name; its newest run is meant.
        steal : bool
            Take it over from a living process that holds it.

        Raises
        ------
        JobNotFound
            There is none of that name.
        EngineError
            Another living process holds it; the message names it.
        JournalError
            Its record cannot be read.
        """
        session = current()
        processor = cls.__new__(cls)
        processor._begin(session, session.attach(job_id, steal=steal))
        every = range(len(processor._job.commands))
        processor._stream = Stream(processor._job, [every], processor._explicit, processor._add)
        return processor

    def __repr__(self) -> str:
        return f"<Processor {self._job.job_id} on {self._job.spec.master}: {self._job!r}>"

    # -- batch ------------------------------------------------------------------------------------------

    def glob_batch(self, command: str, pattern: str) -> None:
        """Run a command for each file that matches a pattern, and wait for them all.

        Parameters
        ----------
        command : str
            Shell text; ``%f%`` stands for the file's name.
        pattern : str
            As `glob.glob` has it; the files are sorted.

        Raises
        ------
        SpecError
            Nothing matches, or the command has no ``%f%``; nothing has started.
        JobHalted
            So many tasks have failed that ``halt`` launches no more.
        """
        self._batch(self._glob(command, pattern))

    def template_batch(self, command_template: str, params: Any) -> None:
        """Run a command for each row of parameters, and wait for them all.

        Parameters
        ----------
        command_template : str
            Shell text; each ``%c%`` stands for the next value of a row, ``%name%`` for that column's.
        params : object
            Rows: a list of strings (split at commas), lists or dicts, or whatever else gives rows one by one. Or
            columns: a dict, in which a scalar stands for itself in each row, a DataFrame, an array.

        Raises
        ------
        SpecError
            A row has another number of values than the template has places, or a value is missing or cannot stand in
            a command; nothing has started.
        """
        self._batch(self._template(command_template, params))

    def explicit_batch(self, commands: str | Sequence[str]) -> None:
        """Run commands, and wait for them all.

        Parameters
        ----------
        commands : str or sequence of str
            One string holds commands between newlines or semicolons, outside quotes and loops; each must be complete
            by itself, and comments are none. A list is taken as it is, of scripts of several lines if need be.

        Raises
        ------
        SpecError
            Some are no complete commands, and which; nothing has started.
        """
        self._batch(self._explicit(commands))

    def _batch(self, commands: Commands) -> None:
        tasks = self._add(commands)
        self._streaming = False
        if not all(self._job.wait(tasks=some) for some in tasks) and self._job.halted:
            view = self._job.view
            raise JobHalted(
                f"{self._job.job_id}: {view.held}, {view.unfinished:,} tasks are not launched; resume() launches them"
            )

    # -- stream -----------------------------------------------------------------------------------------

    def glob_stream(self, command: str, pattern: str) -> None:
        """Like `glob_batch`, but return at once. ``stream.add(pattern)`` adds files.

        While a stream is open, all three ``*_stream`` methods add to it.
        """
        self._open(self._glob(command, pattern), lambda more: self._glob(command, more))

    def template_stream(self, command_template: str, params: Any) -> None:
        """Like `template_batch`, but return at once. ``stream.add(params)`` adds rows."""
        self._open(self._template(command_template, params), lambda more: self._template(command_template, more))

    def explicit_stream(self, commands: str | Sequence[str]) -> None:
        """Like `explicit_batch`, but return at once. ``stream.add(commands)`` adds commands."""
        self._open(self._explicit(commands), self._explicit)

    def _open(self, commands: Commands, make: Callable[[Any], Commands]) -> None:
        tasks = self._add(commands)
        self._streaming = True
        if self._stream is not None and not self._stream.closed():
            self._stream.join(tasks, make)  # wait() is to wait for all of them
        else:
            self._stream = Stream(self._job, tasks, make, self._add)

    @property
    def stream(self) -> Stream | None:
        """The newest stream; None before the first ``*_stream`` call."""
        return self._stream

    # -- results ----------------------------------------------------------------------------------------

    def get_results(self) -> list[str]:
        """Return what the tasks wrote to stdout.

        Returns
        -------
        list of str
            After a ``*_batch`` call: the outputs of all tasks of this Processor, by index. After a ``*_stream``
            call: those of the stream that arrived since the last call, in order of arrival. A task that failed keeps
            its place; an output that was not sent back is ''.
        """
        if self._streaming and self._stream is not None:
            return self._stream.get_results()
        return self._outputs.by_index()

    def wait(self) -> bool:
        """Wait until the stream's tasks have ended, and close it.

        Returns
        -------
        bool
            True when all have completed; False when there is no stream.
        """
        return self._stream.wait() if self._stream is not None else False

    # -- beyond StratOS ---------------------------------------------------------------------------------

    @property
    def job(self) -> Job:
        """The run behind this Processor."""
        return self._job

    @property
    def df(self) -> pd.DataFrame:
        """DataFrame, shape (n_ended, n_columns), index ``task``: one row for each ended task."""
        return self._job.df

    def kill(self, tasks: Iterable[int] | None = None) -> int:
        """End tasks, with all of their processes; all that have not ended when none are named.

        Returns
        -------
        int
            How many had not ended.
        """
        return self._job.kill(tasks)

    def relaunch(self, tasks: Iterable[int] | None = None) -> int:
        """Run tasks once more, all that failed when none are named, and return how many that is."""
        return self._job.relaunch(tasks)

    def pause(self) -> None:
        """Launch nothing more for now. Running tasks continue."""
        self._job.pause()

    def resume(self) -> None:
        """Launch on, after `pause` or after failures have halted the job."""
        self._job.resume()

    def set(self, **values: object) -> Rules:
        """Change the pace of the run while it runs, as ``max_tasks=8``; see `Job.set`."""
        return self._job.set(**values)

    def close(self) -> None:
        """Take no more commands. Running tasks continue."""
        if self._named and not self._closed:
            end_parts(self._job, self._named)
        self._closed = True
        self._job.close()

    def __await__(self) -> Generator[Any, None, bool]:
        return self._job.__await__()

    def __enter__(self) -> Processor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, and wait for the tasks unless an exception is on its way."""
        self.close()
        if kind is None:
            self._job.wait()

    # -- inside -----------------------------------------------------------------------------------------

    def _glob(self, command: str, pattern: str) -> Commands:
        spec = self._job.spec
        files = self._session.files(spec)
        return glob_on(files, spec, command, pattern, absolute=not site_class(spec.master).sees_files_here)

    def _template(self, text: str, params: Any) -> Commands:
        return template_commands(text, params, reads(self._job.spec))

    def _explicit(self, commands: str | Iterable[str]) -> Commands:
        shell = reads(self._job.spec)
        if isinstance(commands, str):
            return explicit_lines(commands, shell, semicolons=True)
        return explicit_commands(list(commands), shell)

    def _add(self, commands: Commands) -> list[range]:
        """Add commands, and return which tasks they are: of a run that is gone on with, some may be there already."""
        if self._closed:
            raise StreamClosed(f"{self._job.job_id} is closed, and takes no more commands")
        commands, said = self._session.resolve(self._job.spec, commands)
        if self._named is None:
            tasks = [self._session.add(self._job, commands)]
        else:
            tally, found = resume_part(self._session, self._job, commands, self._named)
            self._named |= found
            tasks = list(TaskRanges(range(task, task + 1) for task in found))
            log.info("%s: %s", self._job.job_id, "; ".join([str(tally), *tally.says]))
        for one in said:
            log.warning("%s: %s", self._job.job_id, one)
            self._job.notice(one)
        return tasks
