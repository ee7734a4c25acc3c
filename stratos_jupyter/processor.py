"""Processor: the interface that StratOS documents, from Python."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from .backend.core.rules import Rules
from .backend.core.states import ZERO
from .backend.engines.monitors import function_source
from .backend.engines.registry import output_limit, site_class
from .backend.inputs.hdfs import plain_access
from .backend.spec.commands import Commands, explicit_commands, explicit_lines, reads, template_commands
from .backend.spec.job_spec import SHELL, JobSpec, OutputMode
from .backend.spec.parse_hdfs import checked_address, parse_mounts
from .backend.spec.parse_rules import (
    PARSE,
    parse_count,
    parse_fail_on,
    parse_halt,
    parse_linger,
    parse_memory,
    parse_ok_exit,
    parse_rate,
    parse_retries,
    parse_retry_on,
    parse_timeout,
)
from .backend.spec.parse_values import parse_duration_s, parse_number, parse_shell, parse_size_mib
from .backend.spec.products import parse_makes
from .errors import JobHalted, SpecError, StorageError
from .job import Job
from .job_inputs import glob_on
from .session import Session, current
from .stream import Outputs, Stream

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


class _Unset:
    """Marks a default, so that one can tell it from the same value given; shows as that value in a signature."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


_DEFAULTS: Final[dict[str, Any]] = {
    "role": _Unset("*"),
    "threads_per_task": _Unset(2),
    "mem_per_task": _Unset(1024),
    "disk_per_task": _Unset(2048),
    "monitor": _Unset(""),
    "relauncher": _Unset(""),
    "update_interval": _Unset(10),
    "output": _Unset("scheduler"),
    "log_directory": _Unset(""),
    "job_id": _Unset("untitled"),
    "timeout": _Unset(""),
    "linger": _Unset(""),
    "retries": _Unset(0),
    "retry_on": _Unset(""),
    "retry_delay": _Unset("1s"),
    "halt": _Unset(""),
    "max_tasks": _Unset(""),
    "rate": _Unset(""),
    "delay": _Unset(0),
    "locality_wait": _Unset("3s"),
    "priority": _Unset(0),
    "gpus_per_task": _Unset(0),
    "hdfs": _Unset(""),
    "fetch": _Unset(False),
    "shell": _Unset("bash -e"),
    "ok_exit": _Unset("0"),
    "makes": _Unset(""),
    "fail_on": _Unset(""),
}
#: on this machine nobody else takes what is not reserved
_LOCAL_DEFAULTS: Final[dict[str, Any]] = {"threads_per_task": 1, "mem_per_task": 0, "disk_per_task": 0}


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
    timeout : float or str
        The longest that a task may run: seconds, ``"10m"``, or ``"200%"`` of the median of those that finished.
    linger : float or str
        How long processes that a task has put into the background are waited for once its command has ended: seconds,
        or ``"10s"``; 0 for not at all. To their end, when not given.
    retries : int or str
        How often a task is tried again after failures of its own.
    retry_on : str
        Which failures those are, as ``"exit:1,3,signal,timeout,memory,disk,output"``; all of them when ''.
    retry_delay : float or str
        How long the first retry waits; each further one waits twice as long.
    halt : int or str
        After how many failed tasks to stop launching: ``5``, or ``"10%"`` of those that have ended.
    max_tasks : int or str
        How many tasks may run at once.
    rate : float or str
        How many may be launched: ``"10/s"``, ``"500/h"``.
    delay : float or str
        How long to wait between two launches.
    locality_wait : float or str
        How long a task waits for a node that holds its inputs, while others are offered.
    priority : int or str
        Tasks of higher priority are launched first.
    gpus_per_task : float or str
        Graphics processors that each task gets.
    hdfs : str
        Where files on HDFS are looked for: ``"http://HOST:9870"``, ``"nn1:9870;nn2:9870"``, or an alias of
        ``~/.hdfscli.cfg``. When not given, the setting ``hdfs``, from ``%config`` or ``STRATOS_HDFS``.
    fetch : bool
        Whether ``%f%`` of a file behind a URL, as ``hdfs:/PATH``, and ``<[hdfs:/PATH]>``, are copies on the task's
        node, removed after the task.
    shell : str
        The shell that reads the commands, with its options: ``"bash -e"``, ``"sh"``, ``"bash -euo pipefail"``.
    ok_exit : int, str or iterable of int
        All exit codes that mean that the work was done: ``"0,1"``, ``"0-2"``.
    makes : str, path or sequence of them
        Files that each task makes, as ``"out/%file.stem%.fits"``, or directories: they must be there after the task,
        and not be empty.
    fail_on : str or sequence of str
        What makes a failure of a task that ends well: ``"stderr:REGEX"``, ``"stdout:REGEX"``.

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
        role: str = _DEFAULTS["role"],
        threads_per_task: float | str = _DEFAULTS["threads_per_task"],
        mem_per_task: float | str = _DEFAULTS["mem_per_task"],
        disk_per_task: float | str = _DEFAULTS["disk_per_task"],
        monitor: str | Callable[[int, str, str], object] = _DEFAULTS["monitor"],
        relauncher: str = _DEFAULTS["relauncher"],
        update_interval: float | str = _DEFAULTS["update_interval"],
        output: str = _DEFAULTS["output"],
        log_directory: str = _DEFAULTS["log_directory"],
        job_id: str = _DEFAULTS["job_id"],
        settings: Mapping[str, Any] | None = None,
        *,
        timeout: float | str = _DEFAULTS["timeout"],
        linger: float | str = _DEFAULTS["linger"],
        retries: int | str = _DEFAULTS["retries"],
        retry_on: str = _DEFAULTS["retry_on"],
        retry_delay: float | str = _DEFAULTS["retry_delay"],
        halt: int | str = _DEFAULTS["halt"],
        max_tasks: int | str = _DEFAULTS["max_tasks"],
        rate: float | str = _DEFAULTS["rate"],
        delay: float | str = _DEFAULTS["delay"],
        locality_wait: float | str = _DEFAULTS["locality_wait"],
        priority: int | str = _DEFAULTS["priority"],
        gpus_per_task: float | str = _DEFAULTS["gpus_per_task"],
        hdfs: str = _DEFAULTS["hdfs"],
        fetch: bool = _DEFAULTS["fetch"],
        shell: str = _DEFAULTS["shell"],
        ok_exit: int | str | Iterable[int] = _DEFAULTS["ok_exit"],
        makes: str | PurePath | Sequence[str | PurePath] = _DEFAULTS["makes"],
        fail_on: str | Sequence[str] = _DEFAULTS["fail_on"],
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
            "timeout": timeout,
            "linger": linger,
            "retries": retries,
            "retry_on": retry_on,
            "retry_delay": retry_delay,
            "halt": halt,
            "max_tasks": max_tasks,
            "rate": rate,
            "delay": delay,
            "locality_wait": locality_wait,
            "priority": priority,
            "gpus_per_task": gpus_per_task,
            "hdfs": hdfs,
            "fetch": fetch,
            "shell": shell,
            "ok_exit": ok_exit,
            "makes": makes,
            "fail_on": fail_on,
        }
        spec = _spec(master, given, settings or {})
        session = current()
        self._begin(session, session.submit(spec, keep_open=True))

    def _begin(self, session: Session, job: Job) -> None:
        self._session = session
        self._job = job
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
        processor._stream = Stream(processor._job, every, processor._explicit, processor._add)
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
        if not self._job.wait(tasks=tasks) and self._job.halted:
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
        """Launch nothing more for now. What runs goes on."""
        self._job.pause()

    def resume(self) -> None:
        """Launch on, after `pause` or after failures have halted the job."""
        self._job.resume()

    def close(self) -> None:
        """Take no more commands. What runs goes on."""
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

    def _add(self, commands: Commands) -> range:
        commands, said = self._session.resolve(self._job.spec, commands)
        tasks = self._session.add(self._job, commands)
        for one in said:
            log.warning("%s: %s", self._job.job_id, one)
            self._job.notice(one)
        return tasks


def _spec(master: str, given: Mapping[str, Any], settings: Mapping[str, Any]) -> JobSpec:
    unknown = sorted(set(settings) - set(_DEFAULTS) - {"master"})
    if unknown:
        raise SpecError(
            f"settings: unknown {', '.join(map(repr, unknown))}. Known: {', '.join(['master', *_DEFAULTS])}"
        )
    from .settings import current as configured  # here, so that importing the package loads no traitlets

    reserves = site_class(str(master)).reserves_amounts
    values: dict[str, Any] = {}
    for name, value in given.items():
        if not isinstance(value, _Unset):
            values[name] = value
        elif name in settings:
            values[name] = settings[name]
        elif name in ("hdfs", "shell"):
            values[name] = getattr(configured(), name)
        elif not reserves and name in _LOCAL_DEFAULTS:
            values[name] = _LOCAL_DEFAULTS[name]
        else:
            values[name] = value.value
    bad: list[str] = []

    def read(name: str, parse: Callable[[Any], Any], otherwise: Any) -> Any:
        text = "" if values[name] is None else values[name]
        several = isinstance(text, list | tuple | set | frozenset | range)
        if several and name in ("ok_exit", "retry_on"):
            text = ",".join(map(str, text))
        elif not (several and name in ("makes", "fail_on")):
            text = str(text)
        if not text:
            return otherwise
        try:
            return parse(text)
        except SpecError as error:
            bad.append(f"{name}: {error}")
            return otherwise

    def number(name: str) -> float:
        try:
            return parse_number(str(values[name]))
        except SpecError as error:
            bad.append(f"{name}: {error}")
            return 1.0

    threads = number("threads_per_task")
    mem_mib, mem_most_mib = read("mem_per_task", parse_memory, (0.0, 0.0))
    disk_mib = read("disk_per_task", parse_size_mib, 0.0)
    priority = int(number("priority"))
    gpus = number("gpus_per_task")
    hdfs = read("hdfs", checked_address, "")
    shell = read("shell", parse_shell, SHELL)
    fetch: tuple[str, ...] = ()
    if values["fetch"]:
        try:
            fetch = plain_access(hdfs)
        except (SpecError, StorageError) as error:
            bad.append(str(error))
    update_interval_s = read("update_interval", parse_duration_s, 10.0)
    timeout_s, timeout_share = read("timeout", parse_timeout, (None, None))
    linger_s = read("linger", parse_linger, None)
    rules = Rules(
        retries=read("retries", parse_retries, 0),
        retry_on=read("retry_on", parse_retry_on, ()),
        retry_delay_s=read("retry_delay", parse_duration_s, 1.0),
        mem_most_mib=mem_most_mib,
        timeout_share=timeout_share,
        halt=read("halt", parse_halt, None),
        max_tasks=read("max_tasks", parse_count, None),
        rate_per_s=read("rate", parse_rate, None),
        delay_s=read("delay", parse_duration_s, 0.0),
        locality_wait_s=read("locality_wait", parse_duration_s, 3.0),
        ok_exit=read("ok_exit", parse_ok_exit, ZERO),
    )
    makes = read("makes", parse_makes, ())
    fail_on = read("fail_on", parse_fail_on, ())
    if (PARSE, "") in fail_on:
        bad.append(f"fail_on: {PARSE} is for cells, which have --parse; here, name what is wrong: stdout:REGEX")
    monitor, source = values["monitor"], ""
    if callable(monitor):
        try:
            source = function_source(monitor)
        except SpecError as error:
            bad.append(str(error))
        monitor = getattr(monitor, "__name__", "monitor")
    try:
        output = OutputMode(values["output"])
    except ValueError:
        bad.append(f"output: {values['output']!r} is none of {', '.join(OutputMode)}")
        output = OutputMode.SCHEDULER
    if bad:
        raise SpecError("; ".join(bad))
    return JobSpec(
        output_limit=output_limit(str(master)),
        gpus=gpus,
        job_id=str(values["job_id"]),
        master=str(master),
        role=str(values["role"]),
        threads=threads,
        threads_given=not isinstance(given["threads_per_task"], _Unset) or "threads_per_task" in settings,
        mem_mib=mem_mib,
        disk_mib=disk_mib,
        output=output,
        log_directory=str(values["log_directory"]),
        timeout_s=timeout_s,
        linger_s=linger_s,
        priority=priority,
        hdfs=hdfs,
        fetch=fetch,
        shell=shell,
        mounts=parse_mounts(configured().hdfs_mounts) if hdfs else (),
        monitor=str(monitor),
        monitor_source=source,
        relauncher=str(values["relauncher"]),
        update_interval_s=update_interval_s,
        rules=rules,
        makes=makes,
        fail_on=fail_on,
    )
