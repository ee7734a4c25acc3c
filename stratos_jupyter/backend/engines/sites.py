"""What a site is: where the jobs of one master run, what it can do there, and its engine.

The registry makes sites; everything outside the engines asks a site, or its class, what it can do, and never which
engine it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Protocol, Self

from ..core.states import ZERO
from ..spec.job_spec import JobSpec, OutputMode
from ..spec.workload import CommandEnv
from ..store.journal import Journal
from .base import Engine, Largest, Sink, Work
from .executor_context import ExecutorContext
from .monitors import to_context

#: seconds between TERM and KILL
GRACE_S: Final = 5.0
#: for how long a task waits for an HDFS of which nothing comes, before its attempt counts as lost
FETCH_WAIT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The user's settings that concern engines, each as the user writes it; '' where nothing is set.

    Attributes
    ----------
    failover_timeout : str
        How long tasks go on without a kernel.
    partition_wait : str
        How long a node that cannot be reached is waited for.
    max_cpus : str
        The most cores of a cluster that one job may hold.
    executor_uri : str
        Where nodes find the executor, when it is not sent.
    principal, secret : str
        What authenticates the user to a master.
    """

    failover_timeout: str = ""
    partition_wait: str = "10m"
    max_cpus: str = ""
    executor_uri: str = ""
    principal: str = ""
    secret: str = field(default="", repr=False)


class Site(Protocol):
    """Where jobs run, as a user names it.

    Attributes
    ----------
    default_output_limit : str
        The most of a stream that comes back, unless the user says otherwise.
    output_modes : frozenset of OutputMode
        Where the output of tasks can go.
    sees_files_here : bool
        Whether tasks run where this process's files are, so that relative paths mean the same and what tasks make can
        be looked at.
    inherits_environment : bool
        Whether tasks find all of this process's environment; otherwise only what the job names.
    reserves_amounts : bool
        Whether a task gets no more memory and disk than it asks for.
    any_master_resumes : bool
        Whether a run may be resumed under another master of the same engine.
    """

    default_output_limit: ClassVar[str]
    output_modes: ClassVar[frozenset[OutputMode]]
    sees_files_here: ClassVar[bool]
    inherits_environment: ClassVar[bool]
    reserves_amounts: ClassVar[bool]
    any_master_resumes: ClassVar[bool]

    @classmethod
    def at(cls, master: str, home: Path) -> Self:
        """Return the site of a master; `home` is where runs are kept.

        Raises
        ------
        EngineError
            The engine knows no such master.
        """

    @property
    def largest(self) -> Largest | None:
        """The most that one of its nodes can ever give; None where that is not known."""

    @property
    def ends_with(self) -> str:
        """What ends all tasks when it ends, as a container or a batch job around this process; '' for nothing."""

    def describe(self) -> str:
        """Return what is there, as a clause for a person.

        Raises
        ------
        EngineError
            Nothing is there.
        """

    def check(self, spec: JobSpec, settings: EngineSettings) -> tuple[JobSpec, list[str]]:
        """Return the job with its paths absolute, and all that is wrong with it there.

        Raises
        ------
        EngineError
            The site cannot be used at all.
        """

    def context(self, spec: JobSpec, run: int, folder: Path, around: CommandEnv) -> ExecutorContext:
        """Return what an executor must know of a submission."""

    def make_engine(
        self, sink: Sink, work: Work, spec: JobSpec, run: int, journal: Journal, settings: EngineSettings
    ) -> Engine:
        """Make the engine of a run, on the driver thread."""


def common_context(spec: JobSpec) -> ExecutorContext:
    """Return what an executor must know of a job wherever it runs."""
    context: ExecutorContext = {
        "output": spec.output.value,
        "log_directory": spec.log_directory,
        "timeout_s": spec.timeout_s,
        "linger_s": spec.linger_s,
        "threads": f"{spec.threads:g}",
        "grace_s": GRACE_S,
        "shell": list(spec.shell),
        "look": True,
        **to_context(spec.monitor, spec.monitor_source, spec.relauncher, spec.update_interval_s),
    }
    if spec.nice:
        context["nice"] = spec.nice
    if spec.fetch:
        context["fetch"] = list(spec.fetch)
        context["fetch_wait_s"] = FETCH_WAIT_S
    if spec.rules.ok_exit != ZERO:
        context["ok_exit"] = spec.rules.ok_exit
    if spec.fail_on_streams:
        context["fail_on"] = spec.fail_on_streams
    return context
