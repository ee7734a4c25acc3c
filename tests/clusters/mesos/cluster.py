"""Starts and stops a real Mesos cluster on the loopback interface, of the programs that build.py makes.

Everything lies in one folder; every process is ended by its own id, executors and their commands too.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.support.waiting import until

HERE = Path(__file__).resolve().parent
#: our stand-ins for programs that the library doesn't hold
STAND_INS = {"mesos-fetcher": "fetcher.py", "mesos-executor": "executor.py"}
#: ports below those that the system gives to whoever asks for any: nobody takes them while an agent is away
PORTS = range(15_000, 32_000)
START_S = 30.0


class Cluster:
    """A master and some agents.

    Parameters
    ----------
    programs : Path
        What build.py made.
    folder : Path
        For all that it writes.
    agents : int
        How many.
    resources : str
        Of each agent.
    allocation_interval_s : float
        How often the master makes offers; a real cluster's is 1 s.
    agent_timeout_s : int
        How long until the master calls an agent unreachable, and until an agent looks for a master that came back.
    addresses : sequence of str, optional
        One for each agent, and its hostname: 127.0.0.11 and so on, to stand beside the nodes of something else.
    executor_env : mapping, optional
        The environment of executors, besides what is Mesos's own; a PATH to this Python when not given.
    master_flags, agent_flags : sequence of str
        More flags, as ``--name=value``; in an agent's ``{i}`` is its number.
    """

    def __init__(
        self,
        programs: Path,
        folder: Path,
        agents: int = 1,
        *,
        resources: str = "cpus:2;mem:1024;disk:5000",
        allocation_interval_s: float = 1.0,
        agent_timeout_s: int = 75,
        addresses: Sequence[str] = (),
        executor_env: Mapping[str, str] | None = None,
        master_flags: Sequence[str] = (),
        agent_flags: Sequence[str] = (),
    ) -> None:
        self.folder = folder.resolve()
        self.resources = resources
        self.addresses = list(addresses) or ["127.0.0.1"] * agents
        self._programs = programs
        own = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        self._executor_env = json.dumps({"PATH": own} if executor_env is None else dict(executor_env))
        self._master_flags = [
            f"--allocation_interval={round(allocation_interval_s * 1000)}ms",
            *("--agent_ping_timeout=1secs", f"--max_agent_ping_timeouts={agent_timeout_s}"),
            *master_flags,
        ]
        self._agent_flags = agent_flags
        self.port = free_port("127.0.0.1")
        self.ports = [free_port(address) for address in self.addresses]
        self._master: subprocess.Popen[bytes] | None = None
        self._agents: list[subprocess.Popen[bytes] | None] = [None] * len(self.addresses)

    @property
    def master(self) -> str:
        """The master's address, as a framework wants it."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        launcher = self.folder / "launcher"
        launcher.mkdir(exist_ok=True)
        (launcher / "mesos-containerizer").symlink_to(self._programs / "mesos-containerizer")
        for name, source in STAND_INS.items():
            (launcher / name).write_text(f"#!{sys.executable}\n{(HERE / source).read_text()}")
            (launcher / name).chmod(0o755)
        try:
            self.start_master()
            for i in range(len(self._agents)):
                self.start_agent(i)
            if self._agents:  # a master alone may be one that does not lead, and does not say
                self.wait_agents()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- the master -------------------------------------------------------------------------------------

    def start_master(self) -> None:
        """Start the master; it comes back with what its replicated log knows."""
        flags = [f"--work_dir={self.folder}/master", *self._master_flags]
        self._master = self._start("mesos-master", "master", "127.0.0.1", self.port, flags)

        def ask() -> None:
            try:
                self.get("/api/v1", body={"type": "GET_HEALTH"})
            except ConnectionError as error:
                # It answers with 503 until it has its registry back, and with 307 when another master leads.
                if not str(error).endswith("307"):
                    raise

        self._wait_up(self._master, "master", ask)

    def kill_master(self, number: int = signal.SIGKILL) -> None:
        """Kill the master, and wait until it is gone."""
        assert self._master is not None
        self._master.send_signal(number)
        self._master.wait(START_S)

    def revive_master(self) -> bool:
        """Start the master again if it has ended by itself; say whether it had."""
        ended = self._master is None or self._master.poll() is not None
        if ended:
            self.start_master()
        return ended

    def pause_master(self) -> None:
        """Let the master take connections, and no more."""
        assert self._master is not None
        self._master.send_signal(signal.SIGSTOP)
        os.waitpid(self._master.pid, os.WUNTRACED)  # all of its threads stand

    def resume_master(self) -> None:
        """Let a paused master go on."""
        assert self._master is not None
        self._master.send_signal(signal.SIGCONT)

    # -- agents -----------------------------------------------------------------------------------------

    def start_agent(self, i: int) -> None:
        """Start agent `i`, for the first time or again: then it recovers its executors."""
        address, folder = self.addresses[i], self.folder / f"agent{i}"
        flags = [
            f"--master={self.master}",
            f"--work_dir={folder}/data",
            f"--runtime_dir={folder}/run",
            f"--fetcher_cache_dir={folder}/fetch",
            f"--launcher_dir={self.folder}/launcher",
            "--launcher=posix",
            "--isolation=posix/cpu,posix/mem",
            "--no-systemd_enable_support",
            "--no-hostname_lookup",
            "--registration_backoff_factor=50ms",
            "--executor_registration_timeout=30secs",
            f"--resources={self.resources}",
            f"--executor_environment_variables={self._executor_env}",
            *(flag.replace("{i}", str(i)) for flag in self._agent_flags),
        ]
        process = self._start("mesos-agent", f"agent{i}", address, self.ports[i], flags)
        self._agents[i] = process
        self._wait_up(process, f"agent{i}", lambda: self.get("/slave(1)/health", i))

    def agent_pid(self, i: int) -> int:
        """Return the process id of agent `i`."""
        return self._agent(i).pid

    def kill_agent(self, i: int, number: int = signal.SIGKILL) -> None:
        """End agent `i`, and wait until it is gone.

        After SIGKILL or SIGTERM its executors live on, and it finds them again when it is started within a while; at
        SIGUSR1 it ends them and leaves the cluster.
        """
        self._agent(i).send_signal(number)
        self._agent(i).wait(START_S)

    def pause_agent(self, i: int) -> None:
        """Cut agent `i` off, as by a partition of the network."""
        self._agent(i).send_signal(signal.SIGSTOP)
        os.waitpid(self._agent(i).pid, os.WUNTRACED)

    def resume_agent(self, i: int) -> None:
        """Let a paused agent go on."""
        self._agent(i).send_signal(signal.SIGCONT)

    def active_agents(self) -> list[dict[str, Any]]:
        """Return what the master knows of the agents that are there."""
        found: list[dict[str, Any]] = self.get("/master/slaves")["slaves"]
        return [agent for agent in found if agent["active"]]

    def wait_agents(self, count: int | None = None) -> None:
        """Wait until so many agents are there, or all of them."""
        wanted = len(self._agents) if count is None else count
        until(lambda: len(self.active_agents()) == wanted, START_S, f"{wanted} agents")

    def tasks(self, state: str = "") -> list[dict[str, Any]]:
        """Return what the master knows of tasks, of those in one state only if that is said."""
        found: list[dict[str, Any]] = self.get("/master/tasks?limit=100000")["tasks"]
        return [task for task in found if state in ("", task["state"])]

    # -- all of it --------------------------------------------------------------------------------------

    def get(self, path: str, agent: int | None = None, body: Any = None) -> Any:
        """Return what the master, or an agent, says at `path`; raises OSError when it doesn't."""
        host, port = ("127.0.0.1", self.port) if agent is None else (self.addresses[agent], self.ports[agent])
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try:
            if body is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        except http.client.HTTPException as error:
            raise ConnectionError(repr(error)) from None
        finally:
            connection.close()
        if response.status != 200:
            raise ConnectionError(f"{path}: {response.status}")
        return json.loads(text) if text else None

    def processes(self) -> list[int]:
        """Return the processes of executors and commands: those whose environment names a sandbox of this cluster."""
        mark = os.fsencode(f"={self.folder}/")
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    lines = (entry / "environ").read_bytes().split(b"\0")
                except OSError:
                    continue
                if any(line.startswith((b"MESOS_SANDBOX" + mark, b"MESOS_DIRECTORY" + mark)) for line in lines):
                    found.append(int(entry.name))
        return found

    def stop(self) -> None:
        """End everything."""
        for process in (*self._agents, self._master):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

        def gone() -> bool:
            left = self.processes()
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return not left

        until(gone, START_S, "the end of all executors")

    def log(self, name: str) -> str:
        """Return the end of what a program has written: "master", "agent0" and so on."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]

    def _agent(self, i: int) -> subprocess.Popen[bytes]:
        process = self._agents[i]
        assert process is not None
        return process

    def _start(self, program: str, name: str, address: str, port: int, flags: Sequence[str]) -> subprocess.Popen[bytes]:
        env = {key: value for key, value in os.environ.items() if not key.startswith(("MESOS_", "LIBPROCESS_"))}
        env.update(LIBPROCESS_SSL_ENABLED="false", LIBPROCESS_NUM_WORKER_THREADS="4")
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [str(self._programs / program), f"--ip={address}", f"--port={port}", f"--hostname={address}", *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                cwd=self.folder,
                start_new_session=True,
            )

    def _wait_up(self, process: subprocess.Popen[bytes], name: str, ask: Any) -> None:
        def up() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{name} does not come up:\n{self.log(name)}")
            try:
                ask()
            except OSError:
                return False
            return True

        until(up, START_S, f"{name}, which does not come up; see {self.folder}/{name}.log")


def free_port(address: str) -> int:
    """Return a port of `address` that nobody has."""
    rng = random.Random(f"{os.getpid()}.{time.monotonic_ns()}")
    for _attempt in range(1000):
        port = rng.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port on {address}")
