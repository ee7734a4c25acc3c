"""The executor of a Mesos agent: runs the commands of one job, and reports.

A Mesos task is a batch of commands; its launch holds the commands and what they share. They go on while the agent is
away, if the framework wants that (checkpoint), for as long as the agent says (recovery timeout). The executor exits
after a minute without work.
"""

import json
import os
import signal
import socket
import sys
from functools import partial
from time import monotonic
from typing import Any, Dict, List, Mapping, Optional

from .kernel_requests import read_kill, read_recall
from .loop import READ, Alarm, Loop
from .process.cgroup import Cgroups
from .process.launch import Launcher
from .process.procs import adopt_orphans
from .process.spawn import Spawner, keep_descriptors_to_ourselves
from .reporter import started
from .runner import Runner
from .transport.agent_client import AgentClient, AgentSettings, decoded
from .transport.launch_context import VERSION, LaunchContext, environment, read_json, read_launch
from .transport.status_updates import Updates
from .work import Malformed

#: Without work the executor exits after this.
IDLE_S = 60.0
#: How long the agent has to accept the first subscription.
FIRST_LINK_S = 60.0
#: The parts of the time to end that killing, and reporting, need.
KILL_S = 1.0
REPORT_S = 0.5
_LOOK_S = 0.05

_MESSAGE_BYTES = 1024 * 1024

_to_json = json.JSONEncoder(separators=(",", ":")).encode


class MesosExecutor:
    """Puts loop, agent and runner together.

    Parameters
    ----------
    env : mapping
        The environment of this process.
    guard : int
        A pipe that is at its end when the guard is gone.
    idle_s : float
        How long to wait for something to do.
    """

    def __init__(self, env: Mapping[str, str], guard: int, idle_s: float) -> None:
        self._settings = settings = AgentSettings(env)
        self._launch_context = LaunchContext(env)
        self._idle_s = idle_s
        self._loop = loop = Loop(self._signalled)
        loop.watch(guard, READ, self._guard_gone)
        executor_id = settings.ids["executor_id"]
        self._updates = Updates(loop, executor_id, self._update, self._answer, self._over, self._go_on)
        self._agent = AgentClient(loop, settings, self._updates.subscription, self._event, self._lost)
        self._runner = Runner(loop, self._updates, Launcher(Spawner()), Cgroups(loop))
        self._lost_at = self._busy_at = monotonic()
        self._recovery_s = FIRST_LINK_S
        self._lookout = Alarm(loop, self._look)
        self._stopping = False
        self._given_up = False
        self._end_at = 0.0

    def run(self) -> None:
        """Serve until told to stop, or alone or idle for too long."""
        loop, runner = self._loop, self._runner
        loop.catch_signals()
        self._agent.subscribe()
        self._look()
        try:
            while not self._stopping:
                loop.turn()
            while not (runner.idle and runner.clear()) and not self._late(REPORT_S):
                loop.turn()
            runner.flush()
            while not self._given_up and not (self._updates.settled and self._agent.quiet) and not self._late():
                loop.turn()
        finally:
            runner.abort()
            self._agent.close()

    # Beginning and end.

    def _stop(self, reason: str, within_s: Optional[float] = None) -> None:
        """End everything; within so many seconds, if that is said."""
        now = monotonic()
        if within_s is not None:
            end_at = now + within_s
            self._end_at = min(self._end_at or end_at, end_at)
        if not self._stopping or within_s is not None:
            self._stopping = True
            self._runner.stop(reason, None if within_s is None else max(0.0, within_s - KILL_S - REPORT_S))
        self._look()

    def _late(self, before_s: float = 0.0) -> bool:
        return bool(self._end_at) and monotonic() >= self._end_at - before_s

    def _look(self) -> None:
        """Look after the time."""
        now = monotonic()
        if self._end_at:
            self._lookout.by(now + _LOOK_S)
            return
        if not self._runner.empty or not self._updates.settled:
            self._busy_at = now
        if not self._agent.connected and now >= self._lost_at + self._recovery_s:
            self._give_up("the agent has not come back within {:g} s".format(self._recovery_s))
        elif not self._stopping and now >= self._busy_at + self._idle_s:
            self._stopping = True
        else:
            self._lookout.by(now + _LOOK_S + min(self._idle_s, self._recovery_s) / 8)

    def _give_up(self, why: str) -> None:
        """End because no agent takes reports."""
        _complain(why)
        self._given_up = True
        self._stop("lost", self._settings.grace_s)

    def _guard_gone(self, _mask: int) -> None:
        _complain("the guard has been killed")
        self._runner.abort()
        os._exit(1)

    def _signalled(self, numbers: bytes) -> None:
        self._runner.reap()
        if signal.SIGTERM in numbers:
            self._stop("lost", self._settings.grace_s)

    # The agent.

    def _lost(self) -> None:
        if self._agent.connected or self._given_up:
            return
        if self._updates.connected:
            self._updates.pause()
            self._lost_at = monotonic()
            self._recovery_s = self._settings.recovery_s
            if not self._settings.checkpoint:
                self._agent.close()
                self._give_up("the agent is gone, and nothing was to outlive it")
        self._look()

    def _event(self, event: Dict[str, Any]) -> None:
        kind = event["type"]
        try:
            if kind == "SUBSCRIBED":
                self._subscribed(event["subscribed"])
            elif kind == "LAUNCH":
                self._launch(event["launch"]["task"])
            elif kind == "ACKNOWLEDGED":
                told = event["acknowledged"]
                self._updates.acknowledged(told["task_id"]["value"], told["uuid"])
            elif kind == "MESSAGE":
                self._messages(decoded(event["message"]["data"]))
            elif kind == "KILL":
                self._kill(event["kill"])
            elif kind == "SHUTDOWN":
                self._stop("lost", self._settings.grace_s)
            elif kind == "ERROR":
                _complain("the agent says: {}".format(event["error"].get("message")))
                self._stop("lost", self._settings.grace_s)
        except (AttributeError, LookupError, TypeError, ValueError, Malformed) as error:
            _complain("event {}: {!r}".format(kind, error))
            self._answer(["notice", "event {}: {!r}".format(kind, error)[:500]])

    def _subscribed(self, what: Dict[str, Any]) -> None:
        capabilities = what.get("framework_info", {}).get("capabilities", [])
        self._updates.resume({"type": "TASK_KILLING_STATE"} in capabilities)
        self._runner.give_back()
        self._look()

    def _launch(self, task: Dict[str, Any]) -> None:
        info = {key: value for key, value in task.items() if key not in ("data", "executor")}
        try:
            batch = read_launch(decoded(task.get("data", "")), self._launch_context)
        except Malformed as error:
            self._updates.reject(info, str(error))
            return
        if self._updates.take_in(info, batch):
            self._busy_at = monotonic()
            self._runner.add(batch.id, batch)

    def _kill(self, kill: Dict[str, Any]) -> None:
        mesos_task = self._updates.killing(kill["task_id"]["value"])
        if mesos_task is not None:
            policy = kill.get("kill_policy") or mesos_task.info.get("kill_policy") or {}
            nanoseconds = policy.get("grace_period", {}).get("nanoseconds")
            grace_s = None if nanoseconds is None else float(nanoseconds) / 1e9
            self._runner.kill(list(mesos_task.left), "user", grace_s)
            self._runner.flush()

    def _update(self, update: Dict[str, Any]) -> None:
        self._agent.call("UPDATE", update=update)

    def _over(self, batch_id: int) -> None:
        self._busy_at = monotonic()
        self._loop.at(0.0, partial(self._runner.forget, batch_id))

    def _go_on(self) -> None:
        if not self._updates.congested:
            self._runner.resume()

    # The framework.

    def _messages(self, data: bytes) -> None:
        for message in read_json(data, b"["):
            verb, args = message[0], message[1:]
            if verb == "hello" and args == [VERSION]:
                self._greet()
            elif verb == "kill":
                self._runner.kill(*read_kill(args))
            elif verb == "recall":
                ids = read_recall(args)
                self._runner.recall(ids)
                self._answer(["recalled", sorted(ids)])
            elif verb == "tail" and len(args) == 4 and all(type(arg) is int for arg in args):
                self._answer(["tail", args[0], self._runner.tail(args[1], args[2], args[3])])
            elif verb == "stop" and not args:
                self._stop("user")
            else:
                raise Malformed("unknown message: {!r}".format(message)[:200])

    def _greet(self) -> None:
        """Tell a new framework the state of the executor."""
        self._runner.flush()
        facts = {
            "version": VERSION,
            "pid": os.getpid(),
            "python": "{}.{}.{}".format(*sys.version_info[:3]),
            "host": socket.gethostname(),
        }
        task_ids = self._updates.task_ids()
        held: Dict[int, List[List[int]]] = {batch_id: [] for batch_id in task_ids}
        for batch_id, _slot, attempts in self._runner.inventory():
            held.setdefault(batch_id, []).extend(attempts)
        inventory = [[batch_id, task_ids.get(batch_id, ""), attempts] for batch_id, attempts in held.items()]
        self._answer(["hello", facts], ["inventory", inventory], ["started", started(self._runner.tasks())])
        self._answer(["waiting", self._runner.waiting()])
        texts: List[str] = []
        size = 0
        for text in self._updates.kept():
            if size + len(text) > _MESSAGE_BYTES and texts:
                self._send('[["kept",[{}]]]'.format(",".join(texts)))
                texts, size = [], 0
            texts.append(text)
            size += len(text)
        self._send('[["kept",[{}]]]'.format(",".join(texts)))

    def _answer(self, *messages: List[Any]) -> None:
        self._send(_to_json(list(messages)))

    def _send(self, text: str) -> None:
        self._agent.message(text.encode("ascii"))


def _complain(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def serve(guard: int) -> int:
    """Run the executor, as the environment of a Mesos agent says."""
    keep_descriptors_to_ourselves()
    adopt_orphans()
    MesosExecutor(environment(), guard, IDLE_S).run()
    return 0
