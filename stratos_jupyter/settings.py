"""Settings: traitlets configuration, and environment variables below it.

An option on a magic line or a Processor's argument wins over ``%config`` and configuration files, those over the
environment, the environment over the default. ``%stratos config`` shows where each value comes from.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

import platformdirs
from traitlets import All, CFloat, CInt, CUnicode, Enum, TraitError, Unicode, observe, validate
from traitlets.config import SingletonConfigurable

from .backend.spec.job_spec import OutputMode
from .backend.spec.parse_hdfs import addresses, parse_mounts
from .backend.spec.parse_rules import (
    parse_count,
    parse_fail_on,
    parse_halt,
    parse_linger,
    parse_memory,
    parse_ok_exit,
    parse_rate,
    parse_retry_on,
    parse_timeout,
)
from .backend.spec.parse_values import as_amount, parse_duration_s, parse_shell, parse_size_mib
from .errors import SpecError

#: ``STRATOS_MASTER`` is the environment's word for the setting ``master``
PREFIX: Final = "STRATOS_"

DEFAULT: Final = "default"
FILE: Final = "config file"
CONFIG: Final = "%config"


class Stratos(SingletonConfigurable):
    """Settings of stratos_jupyter.

    In a notebook ``%config Stratos.threads = 2``, in a configuration file ``c.Stratos.threads = 2``, in the
    environment ``STRATOS_THREADS=2``, which is read once, when the first setting is needed.
    """

    master = Unicode(
        "local",
        help="Where tasks run: local, local[N] for N cores of this machine, or host:port of a Mesos master "
        "(mesos://host:port, zk://host:port,.../mesos).",
    ).tag(config=True)
    home = Unicode(
        platformdirs.user_state_dir("stratos_jupyter"), help="The directory that keeps journals and outputs."
    ).tag(config=True)
    role = Unicode("*", help="The Mesos role that asks for resources.").tag(config=True)
    threads = CFloat(1.0, help="Cores a task.").tag(config=True)
    mem = CUnicode("0", help="Memory a task, as 512M, 2G or 2G..16G; 0 for no limit.").tag(config=True)
    gpus = CFloat(0.0, help="Graphics processors a task.").tag(config=True)
    disk = CUnicode("0", help="Disk a task, as 512M or 2G; 0 for no limit.").tag(config=True)
    output = Enum([mode.value for mode in OutputMode], "scheduler", help="Where outputs go.").tag(config=True)
    log_directory = Unicode("", help="The directory for outputs when output is disk.").tag(config=True)
    output_limit = CUnicode(
        "", help="The most of one stream that comes back, past which the middle is cut; 16M, and 1M from a cluster."
    ).tag(config=True)
    timeout = CUnicode(
        "", help="The longest that a task may run, as 90s, 10m, or 200% of the median; empty for no limit."
    ).tag(config=True)
    linger = CUnicode(
        "",
        help="How long processes that a task has put into the background are waited for once its command has ended, as "
        "10s; 0 for not at all, empty for as long as they take.",
    ).tag(config=True)
    failover_timeout = CUnicode("", help="How long tasks go on when the kernel is gone; 1d, and 7d on a cluster.").tag(
        config=True
    )
    principal = Unicode("", help="Who we are, for a Mesos master that asks.").tag(config=True)
    secret = Unicode("", help="What proves it; it is neither shown nor written down.").tag(config=True)
    max_cpus = CUnicode("", help="The most cores of a cluster that one job may hold; empty for no bound.").tag(
        config=True
    )
    partition_wait = CUnicode("10m", help="How long a node of a cluster that cannot be reached is waited for.").tag(
        config=True
    )
    executor_uri = Unicode(
        "",
        help="Where the nodes of a cluster find the executor, if it is not to be sent: a path that all of them share.",
    ).tag(config=True)
    on_exit = Enum(
        ["leave", "detach", "kill"],
        "leave",
        help="What becomes of unfinished jobs when the kernel ends: what runs goes on (leave), a process in the "
        "background goes on with all of it (detach), or it is ended (kill).",
    ).tag(config=True)
    priority = CInt(0, help="Tasks of higher priority are launched first.").tag(config=True)
    update_interval = CUnicode("10s", help="How often a monitor looks at a task.").tag(config=True)
    retries = CInt(0, min=0, help="How often a task is tried again after failures of its own.").tag(config=True)
    retry_on = CUnicode("", help="Which failures those are, as exit:1,3,signal,memory; empty for all.").tag(config=True)
    retry_delay = CUnicode("1s", help="How long the first retry waits; each further one waits twice as long.").tag(
        config=True
    )
    halt = CUnicode("", help="After how many failed tasks to stop launching, as 5 or 10%; empty for never.").tag(
        config=True
    )
    ok_exit = CUnicode("0", help="All exit codes that mean that a task's work was done, as 0,1 or 0-2.").tag(
        config=True
    )
    fail_on = CUnicode(
        "", help="What makes a failure of a task that ends well, as stderr:REGEX,stdout:REGEX,parse; empty for nothing."
    ).tag(config=True)
    max_tasks = CUnicode("", help="How many tasks of a job may run at once; empty for no bound.").tag(config=True)
    rate = CUnicode("", help="How many tasks may be launched, as 10/s or 500/h; empty for no bound.").tag(config=True)
    delay = CUnicode("0s", help="How long to wait between two launches.").tag(config=True)
    hdfs = Unicode("", help="WebHDFS: http://HOST:9870, nn1:9870;nn2:9870, or an alias of ~/.hdfscli.cfg.").tag(
        config=True
    )
    hdfs_mounts = Unicode("/dfs=/", help="Where commands see HDFS, as /dfs=/,/data=/projects/data.").tag(config=True)

    locality_wait = CUnicode(
        "3s", help="How long a task waits for a node that holds its inputs, while others are offered; 0 for not at all."
    ).tag(config=True)

    shell = Unicode(
        "bash -e", help="The shell that reads commands, with its options: bash -e, sh, zsh, bash -euo pipefail."
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        self._origins: dict[str, str] = {}
        super().__init__(**kwargs)
        self._origins = dict.fromkeys(self.config.get(type(self).__name__, {}), FILE)
        self._read_environment()

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all settings."""
        return list(cls.class_own_traits(config=True))

    @classmethod
    def class_get_trait_help(cls, trait: Any, inst: Any = None, helptext: str | None = None) -> str:
        """Return what ``%config Stratos`` says of a setting: its value, but of the secret."""
        text: str = super().class_get_trait_help(trait, None if trait.name == "secret" else inst, helptext)
        return text

    def origin(self, name: str) -> str:
        """Say where the value of the setting `name` comes from."""
        return self._origins.get(name, DEFAULT)

    def assign(self, name: str, value: Any, origin: str) -> None:
        """Set the setting `name`, for the reason `origin`."""
        self.set_trait(name, value)
        self._origins[name] = origin

    def as_environment(self) -> dict[str, str]:
        """Return what is not the default, as variables that another process reads it from."""
        chosen = [name for name in self.names() if self.origin(name) != DEFAULT and name != "home"]
        return {PREFIX + name.upper(): str(getattr(self, name)) for name in chosen}

    def _read_environment(self) -> None:
        bad = []
        for name in self.names():
            variable = PREFIX + name.upper()
            value = os.environ.get(variable, "")
            if not value or name in self._origins:
                continue
            try:
                self.set_trait(name, value)
            except (TraitError, ValueError) as error:
                bad.append(f"{variable}={value}: {error}")
            else:
                self._origins[name] = variable
        if bad:
            raise SpecError("; ".join(bad) + ". Correct or unset these environment variables")

    @observe(All)
    def _note_origin(self, change: Any) -> None:
        if change["name"] in self.names():
            self._origins[change["name"]] = CONFIG

    @validate("home")
    def _absolute(self, proposal: Any) -> str:
        path: str = os.path.expanduser(proposal["value"])
        return os.path.abspath(path)

    @validate("disk")
    def _size(self, proposal: Any) -> str:
        return self._readable(proposal, parse_size_mib)

    @validate("output_limit")
    def _size_or_none(self, proposal: Any) -> str:
        return self._readable(proposal, parse_size_mib) if proposal["value"] else ""

    @validate("update_interval", "retry_delay", "delay", "partition_wait", "locality_wait")
    def _duration(self, proposal: Any) -> str:
        return self._readable(proposal, parse_duration_s)

    @validate("failover_timeout")
    def _duration_or_none(self, proposal: Any) -> str:
        return self._readable(proposal, parse_duration_s) if proposal["value"] else ""

    @validate("max_cpus")
    def _amount_or_none(self, proposal: Any) -> str:
        return self._readable(proposal, lambda text: as_amount("max_cpus", text)) if proposal["value"] else ""

    @validate("mem")
    def _memory(self, proposal: Any) -> str:
        return self._readable(proposal, parse_memory)

    @validate("timeout")
    def _timeout(self, proposal: Any) -> str:
        return self._readable(proposal, parse_timeout)

    @validate("linger")
    def _linger(self, proposal: Any) -> str:
        return self._readable(proposal, parse_linger)

    @validate("retry_on")
    def _retry_on(self, proposal: Any) -> str:
        return self._readable(proposal, parse_retry_on) if proposal["value"] else ""

    @validate("ok_exit")
    def _ok_exit(self, proposal: Any) -> str:
        return self._readable(proposal, parse_ok_exit)

    @validate("fail_on")
    def _fail_on(self, proposal: Any) -> str:
        return self._readable(proposal, parse_fail_on)

    @validate("halt")
    def _halt(self, proposal: Any) -> str:
        return self._readable(proposal, parse_halt)

    @validate("max_tasks")
    def _count(self, proposal: Any) -> str:
        return self._readable(proposal, parse_count)

    @validate("rate")
    def _rate(self, proposal: Any) -> str:
        return self._readable(proposal, parse_rate)

    @validate("shell")
    def _shell(self, proposal: Any) -> str:
        return self._readable(proposal, parse_shell)

    @validate("hdfs")
    def _hdfs(self, proposal: Any) -> str:
        return self._readable(proposal, addresses)

    @validate("hdfs_mounts")
    def _mounts(self, proposal: Any) -> str:
        return self._readable(proposal, parse_mounts)

    @staticmethod
    def _readable(proposal: Any, parse: Any) -> str:
        try:
            parse(proposal["value"])
        except SpecError as error:
            raise TraitError(str(error)) from None
        text: str = proposal["value"]
        return text


def current() -> Stratos:
    """Return the settings of this process; in a notebook, configured as the shell is."""
    shell: Any = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    try:
        settings = Stratos.instance() if Stratos.initialized() else Stratos.instance(parent=shell)
    except TraitError as error:
        raise SpecError(f"a configuration file sets Stratos wrongly: {error}") from None
    if shell is not None and settings not in shell.configurables:
        shell.configurables.append(settings)  # this is what makes %config know it
    return settings
