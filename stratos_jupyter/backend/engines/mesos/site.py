"""A Mesos cluster as a site."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import shlex
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from ....errors import EngineError, SpecError
from ...spec.job_spec import JobSpec, OutputMode
from ...spec.parse_values import parse_duration_s
from ...spec.workload import CommandEnv
from ...store.journal import Journal
from ..base import Engine, Largest, Sink, Work
from ..executor_context import ExecutorContext
from ..local.orphans import RUN
from ..sites import EngineSettings, common_context
from ..task_environment import THREADS, thread_count
from . import master_events
from .address import ZooKeeper, parse_master
from .cluster_info import ask_master
from .driver import MesosDriver, check_installed
from .engine import MesosEngine
from .executor_bundle import pack_executor
from .framework import FrameworkConfig, Keep, MasterClient
from .messages import JobIdentity
from .offers import lacks, room

#: in the journal: what the next process needs to go on with a framework
KEPT: Final = "mesos"
#: how long a framework's tasks go on without a kernel, where the user has not said otherwise
FAILOVER: Final = "7d"
#: Mesos counts a longer time in no number
FAILOVER_MOST_S: Final = 100_000 * 86400.0
#: no part of a role has that in it
_NOT_IN_ROLE: Final = re.compile(r"[\t-\r \x7f]")


class MesosSite:
    """A Mesos cluster.

    Parameters
    ----------
    master : str
        ``host:port``, ``mesos://host:port`` or ``zk://host:port,.../path``.

    Raises
    ------
    EngineError
        `master` is none of these.
    """

    default_output_limit: ClassVar = "1M"  # agents keep on disk what they send
    output_modes: ClassVar = frozenset(OutputMode)
    sees_files_here: ClassVar = False
    inherits_environment: ClassVar = False
    reserves_amounts: ClassVar = True
    any_master_resumes: ClassVar = False
    ends_with = ""

    def __init__(self, master: str) -> None:
        self._master = master
        self._where = parse_master(master)
        #: the most that one agent has, as far as the master told when it was asked last
        self.largest: Largest | None = None

    @classmethod
    def at(cls, master: str, home: Path) -> Self:
        """Return the site of a master."""
        return cls(master)

    def describe(self) -> str:
        """Say what is there.

        Raises
        ------
        EngineError
            Nothing, or no Mesos.
        """
        check_installed()
        info = ask_master(self._where)
        if isinstance(self._where, ZooKeeper):
            return f"the Mesos cluster whose leader {self._where} knows"
        if info.agents is None:
            return f"the Mesos {info.version} cluster at {self._where}"
        cpus = sum(resources.cpus for _, resources, _ in info.agents)
        count = len(info.agents)
        return f"the Mesos {info.version} cluster at {self._where}, {count:,} {'agent' if count == 1 else 'agents'} " \
               f"with {cpus:g} cpus"  # fmt: skip

    def check(self, spec: JobSpec, settings: EngineSettings) -> tuple[JobSpec, list[str]]:
        """Return the job with its paths absolute, and all that is wrong with it there."""
        check_installed()
        info = ask_master(self._where, role=spec.role)
        bad = _refused(spec, settings)
        demand = spec.largest_demand()
        asked = ", ".join(f"{name}={value}" for name, value in spec.where)
        fitting = [agent for agent in info.agents or () if not lacks(agent[2], spec.where)]
        rooms = [(node, room(has, has_executor=False, cpus=demand.cpus)) for node, has, _ in fitting]
        self.largest = max(
            (Largest(node, has) for node, has in rooms), key=lambda one: one.resources.mem_mib, default=None
        )
        if rooms and not any(demand.fits(has) for _, has in rooms):
            node, has = max(rooms, key=lambda one: (one[1].cpus, one[1].mem_mib))
            such = f" with {asked}" if asked else ""
            such += f" for --role {spec.role}" if spec.role != "*" else ""
            bad.append(
                f"a task asks for {demand}, but the largest agent{such}, {node}, has {has} "
                "beside the job's executor; ask for less with --threads, --mem, --disk or --gpus"
            )
        if info.agents and not fitting:
            known = sorted({f"{name}={value}" for _, _, told in info.agents for name, value in told.items()})
            bad.append(f"no agent has {asked}; there is {', '.join(known[:20]) or 'no attribute at all'}")
        for option, path in (("--cwd", spec.cwd), ("--log-dir", spec.log_directory)):
            if path and not os.path.isabs(path):
                bad.append(f"{option} {path}: on a cluster it must be absolute, as the nodes see it")
        programs = {"monitor": "" if spec.monitor_source else spec.monitor, "relauncher": spec.relauncher}
        for what, text in programs.items():
            try:
                programs[what] = shlex.join(_program(text)) if text else ""
            except (SpecError, ValueError) as error:
                bad.append(f"{what} {text!r}: {error}")
        monitor = spec.monitor if spec.monitor_source else programs["monitor"]
        return replace(spec, monitor=monitor, relauncher=programs["relauncher"]), bad

    def context(self, spec: JobSpec, run: int, folder: Path, around: CommandEnv) -> ExecutorContext:
        """Return what an executor must know of a submission: of this kernel's environment only what the user named."""
        env = {name: around.env[name] for name, _ in spec.env if name in around.env}
        env |= {name: os.environ[name] for name, _ in spec.env if name not in env and name in os.environ}
        if spec.threads_given:
            env = {THREADS: str(thread_count(spec.threads)), **env}
        here = hashlib.sha256(f"{socket.gethostname()} {folder}".encode("utf-8", "surrogateescape")).hexdigest()[:8]
        return {
            "cwd": spec.cwd,
            "env": {**env, RUN: here},
            "inherit": True,
            "sandbox": "",
            "label": f"{spec.job_id}-{run}-{here}",  # jobs of the same name may be on one node
            "output_limit": spec.output_limit,
            **common_context(spec),
        }

    def make_engine(
        self, sink: Sink, work: Work, spec: JobSpec, run: int, journal: Journal, settings: EngineSettings
    ) -> Engine:
        """Make the engine of a run."""
        identity = JobIdentity(spec.job_id, run, _user(), spec.role)
        config = FrameworkConfig(
            identity,
            mesos_command(settings.executor_uri),
            cpus=spec.threads,
            where=spec.where,
            gpus=bool(spec.gpus),
            failover_s=parse_duration_s(settings.failover_timeout or FAILOVER),
            partition_wait_s=parse_duration_s(settings.partition_wait),
            max_cpus=float(settings.max_cpus) if settings.max_cpus else None,
            principal=settings.principal,
            hostname=socket.gethostname(),
        )

        def make_client(
            framework: Mapping[str, Any], tell: Callable[[master_events.MasterEvent], None]
        ) -> MasterClient:
            return MesosDriver(self._master, framework, tell, principal=settings.principal, secret=settings.secret)

        return MesosEngine(sink, work, config, make_client, journal.meta().get(KEPT, {}), _keeper(journal))


def _refused(spec: JobSpec, settings: EngineSettings) -> list[str]:
    """Return what a master would refuse when it is told of the job, or what none of its offers could ever do."""
    bad = []
    parts = spec.role.split("/")
    odd = any(part in ("", ".", "..", "*") or part.startswith("-") or _NOT_IN_ROLE.search(part) for part in parts)
    if odd and spec.role != "*":
        bad.append(f"--role {spec.role!r}: Mesos knows roles as astro or astro/jets, without spaces, and * for all")
    if spec.gpus % 1:
        bad.append(f"--gpus {spec.gpus:g}: Mesos gives whole ones only")
    if settings.max_cpus and spec.threads > float(settings.max_cpus):
        bad.append(
            f"--threads {spec.threads:g}: a job may hold {float(settings.max_cpus):g} cpus only; ask for less, or set "
            "Stratos.max_cpus"
        )
    if parse_duration_s(settings.failover_timeout or FAILOVER) > FAILOVER_MOST_S:
        days = FAILOVER_MOST_S / 86400
        bad.append(f"failover_timeout {settings.failover_timeout}: Mesos takes {days:,.0f} days at most")
    if (uri := settings.executor_uri) and "://" not in uri and not os.path.isabs(uri):
        bad.append(f"executor_uri {uri}: it must be absolute, as the nodes see it, or an address that they fetch")
    if ":" in settings.principal:
        bad.append(
            f"principal {settings.principal!r}: it has no colon in it, which is what separates it from the secret"
        )
    try:
        _user()
    except EngineError as error:
        bad.append(str(error))
    return bad


def _user() -> str:
    """Return the user that commands run as; raises EngineError where a container has numbers for users only."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise EngineError(
            f"user {os.getuid()} has no name here: set USER in the environment to whom commands are to run as there"
        ) from None


def mesos_command(uri: str = "") -> dict[str, Any]:
    """Return the ``CommandInfo`` that an agent starts the executor with, which it finds at `uri` if not in it."""
    packed = pack_executor(uri)
    command: dict[str, Any] = {"shell": True, "value": packed.command}
    if packed.uris:
        command["uris"] = [{"value": one, "extract": False} for one in packed.uris]
    return command


def _keeper(journal: Journal) -> Keep:
    def keep(info: Mapping[str, Any]) -> None:
        with journal.writing():
            journal.set_meta({KEPT: info})

    return keep


def _program(text: str) -> list[str]:
    """Return the words of a program on the nodes; a path that this machine knows is made absolute."""
    whole = os.path.abspath(os.path.expanduser(text))
    if os.path.isfile(whole):
        return [whole]
    words = shlex.split(text)
    if not words:
        raise SpecError("it names no program")
    if "/" in words[0]:
        words[0] = os.path.abspath(os.path.expanduser(words[0]))
    return words
