"""This machine as a site."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final, Self

from ....errors import SpecError
from ...spec.job_spec import SHELL, JobSpec, OutputMode
from ...spec.parse_values import parse_duration_s
from ...spec.workload import CommandEnv
from ...store.journal import Journal
from ...store.run_dirs import make_home
from ..base import Engine, Largest, Sink, Work
from ..executor_context import ExecutorContext
from ..monitors import program
from ..sites import EngineSettings, common_context
from .address import local_cpus
from .engine import LocalEngine
from .host import host_lifetime
from .machine import Machine, this_machine
from .orphans import RUN

#: how long executors wait for another kernel, where the user has not said otherwise
FAILOVER: Final = "1d"


class LocalSite:
    """This machine.

    Parameters
    ----------
    master : str
        ``local``, or ``local[N]`` for N cores.
    home : Path
        Where runs are kept.

    Raises
    ------
    EngineError
        `master` is no local engine.
    """

    default_output_limit: ClassVar = "16M"
    output_modes: ClassVar = frozenset(OutputMode)
    sees_files_here: ClassVar = True
    inherits_environment: ClassVar = True
    reserves_amounts: ClassVar = False
    any_master_resumes: ClassVar = True

    def __init__(self, master: str, home: Path) -> None:
        cpus = local_cpus(master)
        make_home(home)
        self.machine: Machine = this_machine(cpus, str(home))
        self._master = master

    @classmethod
    def at(cls, master: str, home: Path) -> Self:
        """Return the site of a master."""
        return cls(master, home)

    @property
    def largest(self) -> Largest:
        """What this machine has."""
        return self.machine.largest

    @property
    def ends_with(self) -> str:
        """What this process runs in, and its tasks with it."""
        return host_lifetime()

    def describe(self) -> str:
        """Return what the user calls it."""
        return self._master

    def check(self, spec: JobSpec, settings: EngineSettings) -> tuple[JobSpec, list[str]]:
        """Return the job with its paths absolute, and all that is wrong with it here."""
        bad: list[str] = []
        cwd = os.path.abspath(os.path.expanduser(spec.cwd or os.getcwd()))
        log_directory = os.path.join(cwd, os.path.expanduser(spec.log_directory)) if spec.log_directory else ""
        demand, largest = spec.largest_demand(), self.machine.largest
        if not demand.fits(largest.resources):
            bad.append(
                f"a task asks for {demand}, but the largest node, {largest.node}, has {largest.resources}; "
                "ask for less with --threads, --mem, --disk or --gpus"
            )
        if spec.where:
            asked = ", ".join(f"{name}={value}" for name, value in spec.where)
            bad.append(f"no node has {asked}: this machine has no attributes; leave --where out on a local engine")
        shell = spec.shell
        if "/" in shell[0]:
            shell = os.path.abspath(os.path.join(cwd, os.path.expanduser(shell[0]))), *shell[1:]
        if shell != SHELL and shutil.which(shell[0]) is None:
            bad.append(f"--shell {shlex.join(spec.shell)}: this machine has no {spec.shell[0]}; install it, or choose "
                       "another, as bash or sh")  # fmt: skip
        if not os.path.isdir(cwd):
            bad.append(f"the working directory {cwd} does not exist")
        if log_directory and not _can_be_made(log_directory):
            bad.append(f"the log directory {log_directory} cannot be made or written to")
        programs = {"monitor": "" if spec.monitor_source else spec.monitor, "relauncher": spec.relauncher}
        for what, text in programs.items():
            try:
                programs[what] = shlex.join(program(what, text, cwd)) if text else ""
            except SpecError as error:
                bad.append(str(error))
        monitor = spec.monitor if spec.monitor_source else programs["monitor"]
        spec = replace(spec, cwd=cwd, log_directory=log_directory, shell=shell)
        return replace(spec, monitor=monitor, relauncher=programs["relauncher"]), bad

    def context(self, spec: JobSpec, run: int, folder: Path, around: CommandEnv) -> ExecutorContext:
        """Return what an executor must know of a submission."""
        # After an attach the variables that the job names may come later.
        later = {name: os.environ[name] for name, _ in spec.env if name in os.environ}
        return {
            "cwd": around.cwd,
            "env": {**later, **around.env, RUN: str(folder)},
            "sandbox": str(folder / "sandbox"),
            "label": f"{spec.job_id}-{run}",
            **common_context(spec),
        }

    def make_engine(
        self, sink: Sink, work: Work, spec: JobSpec, run: int, journal: Journal, settings: EngineSettings
    ) -> Engine:
        """Make the engine of a run."""
        failover_s = parse_duration_s(settings.failover_timeout or FAILOVER)
        return LocalEngine(sink, work, self.machine, journal.folder, priority=spec.priority, failover_s=failover_s)


def _can_be_made(folder: str) -> bool:
    """Say whether a folder is there and can be written to, or can be made."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
