"""Where jobs run: what is checked there before one starts, what its commands find around them, and its engine."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from ....errors import SpecError
from ...core.states import ZERO
from ...run.loop import RunLoop
from ...spec.job_spec import SHELL, JobSpec
from ...spec.parse_values import parse_duration_s, parse_size_mib
from ...spec.workload import CommandEnv
from ...store.journal import Journal
from ...store.run_dirs import make_home
from ..base import Engine, Largest, Work
from ..monitors import program, to_context
from .engine import LocalEngine, local_cpus
from .machine import Machine, this_machine
from .orphans import RUN

#: seconds between TERM and KILL
GRACE_S: Final = 5.0
#: for how long a task waits for an HDFS of which nothing comes, before its attempt counts as lost
FETCH_WAIT_S: Final = 120.0
#: the most of a stream that comes back, where the user has not said otherwise; agents keep what they send on disk
LIMIT_HERE: Final = "16M"
LIMIT_THERE: Final = "1M"


class Site(Protocol):
    """Where jobs run, as a user names it."""

    @property
    def largest(self) -> Largest | None:
        """The most that one of its nodes can ever give; None where that is not known."""

    def describe(self) -> str:
        """Say what is there; raises EngineError where that is nothing."""

    def check(self, spec: JobSpec) -> tuple[JobSpec, list[str]]:
        """Return the job with its paths absolute, and all that is wrong with it there.

        Raises
        ------
        EngineError
            The site cannot be had at all.
        """

    def context(self, spec: JobSpec, run: int, folder: Path, around: CommandEnv) -> Mapping[str, object]:
        """Return what an executor must know of a call: the wire's ``context``."""

    def make_engine(self, loop: RunLoop, work: Work, spec: JobSpec, run: int, journal: Journal) -> Engine:
        """Make the engine of a run, on the driver thread."""


def is_local(master: str) -> bool:
    """Say whether jobs of that master run on this machine; a host may be called localhost, or local1:5050."""
    return master.startswith("local") and not master.startswith("localhost") and not set(master) & {":", "."}


def default_failover_s() -> float:
    """Return how long executors wait for another kernel: the setting ``failover_timeout``, in seconds."""
    from ....settings import current as settings  # here, so that importing the package loads no traitlets

    return parse_duration_s(settings().failover_timeout or "1d")


def output_limit(master: str, given: str = "") -> int:
    """Return how much of a stream comes back, in bytes, where the user's own word for it is `given`."""
    return int(parse_size_mib(given or (LIMIT_HERE if is_local(master) else LIMIT_THERE)) * 1024 * 1024)


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

    def __init__(self, master: str, home: Path) -> None:
        cpus = local_cpus(master)
        make_home(home)
        self.machine: Machine = this_machine(cpus, str(home))
        self._master = master

    @property
    def largest(self) -> Largest:
        """What this machine has."""
        return self.machine.largest

    def describe(self) -> str:
        """Return what the user calls it."""
        return self._master

    def check(self, spec: JobSpec) -> tuple[JobSpec, list[str]]:
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

    def context(self, spec: JobSpec, run: int, folder: Path, around: CommandEnv) -> Mapping[str, object]:
        """Return what an executor must know of a call."""
        # After an attach the variables that the job names may come later.
        later = {name: os.environ[name] for name, _ in spec.env if name in os.environ}
        return {
            "cwd": around.cwd,
            "env": {**later, **around.env, RUN: str(folder)},
            "sandbox": str(folder / "sandbox"),
            "label": f"{spec.job_id}-{run}",
            **common_context(spec),
        }

    def make_engine(self, loop: RunLoop, work: Work, spec: JobSpec, run: int, journal: Journal) -> Engine:
        """Make the engine of a run."""
        failover_s = default_failover_s()
        return LocalEngine(loop, work, self.machine, journal.folder, priority=spec.priority, failover_s=failover_s)


def common_context(spec: JobSpec) -> dict[str, object]:
    """Return what an executor must know of a job wherever it runs."""
    return {
        "output": spec.output.value,
        "log_directory": spec.log_directory,
        "timeout_s": spec.timeout_s,
        "linger_s": spec.linger_s,
        "threads": f"{spec.threads:g}",
        "grace_s": GRACE_S,
        "shell": list(spec.shell),
        "look": True,
        **({"fetch": list(spec.fetch), "fetch_wait_s": FETCH_WAIT_S} if spec.fetch else {}),
        **({"ok_exit": spec.rules.ok_exit} if spec.rules.ok_exit != ZERO else {}),
        **({"fail_on": spec.fail_on_streams} if spec.fail_on_streams else {}),
        **to_context(spec.monitor, spec.monitor_source, spec.relauncher, spec.update_interval_s),
    }


def _can_be_made(folder: str) -> bool:
    """Say whether a folder is there and can be written to, or can be made."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
