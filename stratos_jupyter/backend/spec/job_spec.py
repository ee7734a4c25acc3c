"""JobSpec: what a job is, apart from its commands. PURE."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from ...errors import SpecError
from ..core.resources import Resources
from ..core.rules import RETRIES_MOST, Rules, as_tuples, check_known, recorded

#: what people type is bash, and a line that fails is not passed over
SHELL: Final = ("bash", "-e")
#: dtypes that a parsed column may have
DTYPES: Final = ("int", "float", "str", "bool")
#: the fields of the first records
_FIRST: Final = (
    *("job_id", "master", "role", "threads", "mem_mib", "disk_mib", "gpus", "output", "log_directory", "timeout_s"),
    *("linger_s", "priority", "cwd", "env", "where", "parse", "columns", "output_limit", "monitor", "monitor_source"),
    *("relauncher", "update_interval_s", "rules", "hdfs", "mounts", "fetch", "shell", "makes", "fail_on"),
    "threads_given",
)
_JOB_ID: Final = re.compile(r"[^\W_][\w.\-]{0,99}|_[\w.\-]{0,99}")


class OutputMode(StrEnum):
    """Where stdout and stderr of a task go."""

    SCHEDULER = "scheduler"
    DISK = "disk"
    MESOS = "mesos"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a job is, apart from its commands.

    Attributes
    ----------
    job_id : str
        The job's name.
    master : str
        The engine.
    role : str
        Whose resources are used.
    threads : float
        Processors a task.
    mem_mib, disk_mib : float
        Memory and disk a task, in MiB; 0 reserves none.
    gpus : float
        Graphics processors a task.
    output : OutputMode
        Where stdout and stderr go.
    log_directory : str
        For `OutputMode.DISK`.
    timeout_s : float or None
        A task is ended after this many seconds.
    linger_s : float or None
        What a task has put into the background is waited for this long once its command has ended; None for as long as
        it takes, 0 not at all.
    priority : int
        Higher goes first.
    nice : int
        How far commands stand back when other programs want the processors, 0 to 19.
    cwd : str
        Working directory; '' is the kernel's at submission.
    env : tuple of (str, str or None)
        Variables; None takes the value from the kernel. Values are never recorded.
    where : tuple of (str, str)
        Attributes that a node must have.
    parse : str
        How stdout becomes columns; '' for not at all.
    columns : tuple of (str, str)
        Name and dtype of each parsed column.
    output_limit : int
        What comes back of a stream, in bytes; the middle of a longer one is cut.
    monitor : str
        The program, with its arguments as a shell splits them, that watches each task; or a function's name.
    monitor_source : str
        The function's source; '' when `monitor` is a program.
    relauncher : str
        The program that says what runs instead of a task that its monitor ended.
    update_interval_s : float
        Seconds between two looks of the monitor.
    rules : Rules
        Retries, limits that depend on other tasks, and the job's pace.
    hdfs : str
        An alias, or addresses of WebHDFS; '' for none.
    mounts : tuple of (str, str)
        Where the commands see HDFS: local path and HDFS path.
    fetch : tuple of str
        A user and the addresses of WebHDFS, where files behind URLs are copied to the node for their tasks; empty
        where they are not.
    shell : tuple of str
        The shell that reads the commands, and its options; a command whose first line is ``#!`` names its own.
    makes : tuple of str
        The files that each task makes, with places as `products` has them.
    fail_on : tuple of (str, str)
        What makes a failure of a task that ends well: ``stderr`` or ``stdout`` and a pattern, or ``parse`` and ''.
    threads_given : bool
        Whether the user has said how many processors: then it goes before what this process's environment says.
    """

    job_id: str = "untitled"
    master: str = "local"
    role: str = "*"
    threads: float = 1
    mem_mib: float = 0
    disk_mib: float = 0
    gpus: float = 0
    output: OutputMode = OutputMode.SCHEDULER
    log_directory: str = ""
    timeout_s: float | None = None
    linger_s: float | None = None
    priority: int = 0
    nice: int = 0
    cwd: str = ""
    env: tuple[tuple[str, str | None], ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    parse: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    output_limit: int = 16 * 1024 * 1024
    monitor: str = ""
    monitor_source: str = ""
    relauncher: str = ""
    update_interval_s: float = 10.0
    rules: Rules = field(default_factory=Rules)
    hdfs: str = ""
    mounts: tuple[tuple[str, str], ...] = ()
    fetch: tuple[str, ...] = ()
    shell: tuple[str, ...] = SHELL
    makes: tuple[str, ...] = ()
    fail_on: tuple[tuple[str, str], ...] = ()
    threads_given: bool = field(default=False, compare=False)  # how it came about is no part of what the job is

    def demand(self) -> Resources:
        """Return what a task asks for."""
        return Resources(self.threads, self.mem_mib, self.disk_mib, self.gpus)

    def largest_demand(self) -> Resources:
        """Return what a task may come to ask for."""
        return replace(self.demand(), mem_mib=max(self.mem_mib, self.rules.mem_most_mib))

    @property
    def fails_on_parse(self) -> bool:
        """Whether a task fails whose stdout cannot be parsed."""
        return any(name == "parse" for name, _ in self.fail_on)

    @property
    def fail_on_streams(self) -> tuple[tuple[str, str], ...]:
        """What must not be in a stream: its name and a pattern."""
        return tuple((name, pattern) for name, pattern in self.fail_on if name != "parse")

    def check(self, fixed_columns: Collection[str]) -> None:
        """Refuse what makes no sense on any engine.

        Parameters
        ----------
        fixed_columns : collection of str
            Names of result columns that every job has, which a parsed column cannot have.

        Raises
        ------
        SpecError
            Names everything that is wrong.
        """
        bad: list[str] = []
        if not _JOB_ID.fullmatch(self.job_id):
            bad.append(
                f"job name {self.job_id!r}: use 1 to 100 letters, digits, '.', '-' or '_', with no '.' or '-' first"
            )
        # `not x > 0` rather than `x <= 0`: a NaN is refused too.
        if not 0 < self.threads < float("inf"):
            bad.append(f"--threads must be a finite number above 0, got {self.threads:g}")
        for name, amount in (("mem", self.mem_mib), ("disk", self.disk_mib)):
            if not 0 <= amount < float("inf"):
                bad.append(f"--{name} must be a finite number of MiB, 0 or more, got {amount:g}")
        if not 0 <= self.gpus < float("inf"):
            bad.append(f"--gpus must be a finite number, 0 or more, got {self.gpus:g}")
        if self.timeout_s is not None and not self.timeout_s > 0:
            bad.append(f"--timeout must be above 0 s, got {self.timeout_s:g}")
        if self.linger_s is not None and not self.linger_s >= 0:
            bad.append(f"--linger must be 0 s or more, got {self.linger_s:g}")
        if self.output is OutputMode.DISK and not self.log_directory:
            bad.append("--output disk needs a directory for the files: --log-dir DIR")
        if self.parse and self.output is not OutputMode.SCHEDULER:
            bad.append(f"--output {self.output} sends nothing back that could be parsed: leave one of them out")
        if self.fails_on_parse and not self.parse:
            bad.append("--fail-on parse needs something that parses: add --parse HOW")
        if self.fail_on_streams and self.output is OutputMode.NONE:
            bad.append("--output none keeps nothing that --fail-on could search: leave one of them out")
        if self.output_limit <= 0:
            bad.append(f"output_limit must be above 0 bytes, got {self.output_limit}")
        if not self.update_interval_s > 0:
            bad.append(f"--update-interval must be above 0 s, got {self.update_interval_s:g}")
        if self.relauncher and not self.monitor:
            bad.append("--relauncher needs a monitor, which says when: --monitor PROGRAM")
        if not 0 <= self.rules.retries <= RETRIES_MOST:
            bad.append(f"--retries must be 0 to {RETRIES_MOST:,}, got {self.rules.retries:,}")
        bad += [f"environment variable {name!r}: not a name" for name, _ in self.env if not name.isidentifier()]
        bad += [f"environment variable {name}: its value holds a NUL byte, which no program can be given"
                for name, value in self.env if value is not None and "\0" in value]  # fmt: skip
        names = [name for name, _ in self.columns]
        bad += [f"column {name!r} is there already" for name in names if name in fixed_columns]
        bad += [f"column {name!r} is named twice" for name in sorted({n for n in names if names.count(n) > 1})]
        bad += [
            f"column {name!r}: dtype {dtype!r} is none of {', '.join(DTYPES)}"
            for name, dtype in self.columns
            if dtype not in DTYPES
        ]
        if bad:
            raise SpecError("; ".join(bad))

    def begun(self) -> dict[str, Any]:
        """Return, as JSON can hold it, what the record of a run is read by: what its tasks ask for, as it began."""
        return {"demand": [self.threads, self.mem_mib, self.disk_mib, self.gpus], "priority": self.priority}

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it; of the environment only the names."""
        record = recorded(self, _FIRST)
        record["output"] = self.output.value
        record["env"] = [name for name, _ in self.env]
        record["rules"] = self.rules.to_record()
        return record

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> JobSpec:
        """Return the job of a record; its variables take their values from the kernel.

        Raises
        ------
        JournalError
            A newer version has written it.
        """
        values = {name: as_tuples(value) for name, value in record.items()}
        values["output"] = OutputMode(values["output"])
        values["rules"] = Rules.from_record(values["rules"])
        values["env"] = tuple((name, None) for name in values["env"])
        values.setdefault("shell", ("sh",))  # what read commands before one could choose
        check_known(JobSpec, record)
        return JobSpec(**values)
