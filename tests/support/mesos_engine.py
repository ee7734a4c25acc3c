"""The Mesos engine under a job's loop, with a master that does as a test wants, and a clock of its own."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from stratos_jupyter.backend.core.events import Event, TasksAdded
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.backend.engines.mesos import master_events, messages
from stratos_jupyter.backend.engines.mesos.engine import MesosEngine
from stratos_jupyter.backend.engines.mesos.framework import FrameworkConfig
from stratos_jupyter.backend.forks import Inherited
from stratos_jupyter.backend.run.loop import RunLoop
from stratos_jupyter.backend.run.thread import Driver
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.store.journal import Journal, ResultRow
from tests.support.waiting import until

MASTER = {"hostname": "m1", "address": {"port": 5050}}
COMMAND = {"shell": True, "value": "exec an-executor"}


class Master:
    """Notes all calls; a test says what happens."""

    def __init__(self, framework: Mapping[str, Any], tell: Callable[[master_events.MasterEvent], None]) -> None:
        self.framework = framework
        self.tell = tell
        self.calls: list[tuple[str, Any]] = []

    def start(self) -> None:
        self.calls.append(("start", None))

    def accept(self, offer_ids: Sequence[str], operations: Sequence[Mapping[str, Any]], refuse_s: float) -> None:
        tasks = [task for operation in operations for task in operation["launch"]["task_infos"]]
        self.calls.append(("accept", (list(offer_ids), tasks, refuse_s)))

    def decline(self, offer_ids: Sequence[str], refuse_s: float) -> None:
        self.calls.append(("decline", (list(offer_ids), refuse_s)))

    def decline_inverse(self, offer_ids: Sequence[str]) -> None:
        self.calls.append(("decline inverse", list(offer_ids)))

    def revive(self, roles: Sequence[str] = ()) -> None:
        self.calls.append(("revive", None))

    def suppress(self, roles: Sequence[str] = ()) -> None:
        self.calls.append(("suppress", None))

    def acknowledge(self, agent_id: str, task_id: str, uuid: str) -> None:
        self.calls.append(("acknowledge", (agent_id, task_id, uuid)))

    def kill(self, task_id: str, agent_id: str = "", grace_s: float | None = None) -> None:
        self.calls.append(("kill", (task_id, agent_id)))

    def message(self, agent_id: str, executor_id: str, data: bytes) -> None:
        self.calls += [("message", (agent_id, executor_id, one)) for one in json.loads(data)]

    def reconcile(self, tasks: Sequence[tuple[str, str]]) -> None:
        self.calls.append(("reconcile", list(tasks)))

    def teardown(self) -> Future[None]:
        self.calls.append(("teardown", None))
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def stop(self) -> Future[None]:
        self.calls.append(("stop", None))
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def connections(self) -> list[Inherited]:
        return []

    def all(self, verb: str) -> list[Any]:
        return [what for said, what in self.calls if said == verb]


class Rig:
    """A job's loop over the engine, with a clock of its own."""

    def __init__(self, folder: Path, kept: Mapping[str, Any] | None = None, **config: Any) -> None:
        self.clock_s = 1000.0
        self.masters: list[Master] = []
        self.kept: list[Mapping[str, Any]] = []
        self.journal = Journal(folder)
        self.commands: list[str] = []
        self.calls: dict[int, int] = {}
        self.views: list[JobView] = []
        self.promised: dict[int, list[str]] = {}
        self.driver = Driver()
        self.contexts: dict[int, dict[str, object]] = {}
        self._first = kept or {}
        identity = messages.JobIdentity("demo", 1, "anna", "*")
        self.config = FrameworkConfig(identity, COMMAND, **config)
        self.loop = self.driver.call(self._make_loop)
        self._offers = 0

    def _make_loop(self) -> RunLoop:
        return RunLoop(
            self.journal, self._engine, self.driver.loop, lambda: self.clock_s, self.views.append,
            lambda attempt, commands: None, rules=Rules(), job_id="demo", run=1, engine_name="m1:5050",
        )  # fmt: skip

    def _engine(self, loop: RunLoop) -> MesosEngine:
        return MesosEngine(loop, self, self.config, self._speak, self._first, self.kept.append)

    def _speak(self, framework: Mapping[str, Any], tell: Callable[[master_events.MasterEvent], None]) -> Master:
        self.masters.append(Master(framework, tell))
        return self.masters[-1]

    @property
    def master(self) -> Master:
        return self.masters[-1]

    # Work

    def command(self, task: int) -> str:
        return self.commands[task]

    def file(self, task: int) -> str | None:
        return None

    def makes(self, task: int) -> list[str]:
        return self.promised.get(task, [])

    def inputs(self, task: int) -> None:
        return None

    def copies(self, task: int) -> tuple[str, ...]:
        return ()

    def context_of(self, task: int) -> int:
        return self.calls[task]

    def context(self, number: int) -> Mapping[str, object]:
        return self.contexts.get(number, {"env": {}})

    # what a test does

    def add(self, count: int, mem_mib: float = 0.0, context: dict[str, object] | None = None) -> None:
        first = len(self.commands)
        number = len(set(self.calls.values()))
        self.calls.update(dict.fromkeys(range(first, first + count), number))
        if context is not None:
            self.contexts[number] = context
        made = explicit_commands([f"echo {task}" for task in range(first, first + count)])
        self.commands += [made.command(index) for index in range(count)]
        event = TasksAdded(self.clock_s, count, Resources(1.0, mem_mib))
        self.driver.call(lambda: self.loop.add(event, first, made.to_record))
        until(lambda: len(self.loop.scheduler.table) == first + count)

    def post(self, make: Callable[[float], Event]) -> None:
        self.driver.call(lambda: self.loop.post_now(make(self.clock_s)))

    def tell(self, *events: master_events.MasterEvent) -> None:
        """Let something happen, and all that follows from it."""
        for event in events:
            self.master.tell(event)
        for _ in range(6):
            self.driver.call(lambda: None)

    def subscribe(self, framework_id: str = "f1") -> None:
        until(lambda: self.masters)
        self.tell(master_events.Subscribed(framework_id, MASTER, 15.0))

    def make_offer(self, cpus: float = 2.0, agent: str = "a1", host: str = "node1", **more: Any) -> dict[str, Any]:
        self._offers += 1
        offer_id = f"o{self._offers}"
        resources = [
            {"name": name, "type": "SCALAR", "scalar": {"value": value}}
            for name, value in (("cpus", cpus), ("mem", 1024.0), ("disk", 1000.0))
        ]
        values = {"id": {"value": offer_id}, "agent_id": {"value": agent}, "hostname": host, "resources": resources}
        return {**values, **more}

    def offer(self, *args: Any, **more: Any) -> str:
        offer = self.make_offer(*args, **more)
        self.tell(master_events.Offers([offer]))
        return str(offer["id"]["value"])

    def launch_batch(self) -> dict[str, Any]:
        """Add 40 tasks, let five of them end, and return the Mesos task in which the next ones are launched."""
        self.add(40)
        self.subscribe()
        for task in range(5):
            self.offer(cpus=1.0)
            self.status(self.launched()[-1], "TASK_FINISHED", ended=[ended(task)])
        self.offer(cpus=1.0)
        return self.launched()[-1]

    def at_once(self, *steps: master_events.MasterEvent | Callable[[float], Event]) -> None:
        """Let things happen before the loop has its next turn."""

        def happen() -> None:
            for step in steps:
                if callable(step):
                    self.loop.post(step(self.clock_s))
                else:
                    self.loop.engine._on(step)

        self.driver.call(happen)
        self.settle()

    def settle(self) -> None:
        """Let all that follows happen too."""
        for _ in range(8):
            self.driver.call(lambda: None)

    def launched(self) -> list[dict[str, Any]]:
        return [task for _, tasks, _ in self.master.all("accept") for task in tasks]

    def status(
        self,
        task: Mapping[str, Any],
        state: str,
        *,
        uuid: str = "u",
        started: Sequence[Any] = (),
        ended: Sequence[Any] = (),
        **more: Any,
    ) -> None:
        status: dict[str, Any] = {
            "task_id": task["task_id"],
            "agent_id": task["agent_id"],
            "executor_id": task["executor"]["executor_id"],
            "state": state,
            **more,
        }
        if uuid:
            status["uuid"] = uuid
        if started or ended:
            told = {"version": 1, "batch": 1, "started": list(started), "ended": list(ended)}
            data = json.dumps(told).encode()
            status["data"] = base64.b64encode(zlib.compress(data)).decode()
        self.tell(master_events.Status(status))

    def reconciled(self, task: Mapping[str, Any], state: str) -> None:
        self.status(task, state, uuid="", reason="REASON_RECONCILIATION")

    def restart(self) -> None:
        """Go on with the job as another process would."""
        self.driver.call(self.loop.let_go)
        self.journal.close()
        self._first = self.kept[-1]
        self.masters, self.kept = [], []
        self.journal = Journal(self.journal.folder)
        self.loop = self.driver.call(self._make_loop)
        self.driver.call(lambda: self.loop.restore(Resources(1.0), 0))
        self.settle()

    @property
    def lost(self) -> int:
        """How many attempts the cluster has lost."""
        return self.driver.call(self.loop.view).attempts_lost

    def tick(self, after_s: float = 1.0) -> None:
        self.clock_s += after_s
        self.driver.call(self.loop.engine._retransmitter.tick)
        for _ in range(6):
            self.driver.call(lambda: None)

    def states(self) -> list[TaskState]:
        table = self.loop.scheduler.table
        return self.driver.call(lambda: [table.state(task) for task in range(len(table))])

    def journal_row(self, task: int) -> ResultRow:
        """Return the result of a task."""
        (row,) = [row for row in self.journal.rows() if row.task == task]
        return row

    @property
    def notices(self) -> str:
        return "\n".join(self.driver.call(self.loop.view).notices)

    def end(self) -> None:
        self.driver.call(self.loop.scheduler.check)
        self.driver.call(self.loop.let_go)
        self.driver.close()
        self.journal.close()


def ended(task: int, attempt: int = 1, reason: str = "exit", code: int | None = 0, stdout: str = "x\n") -> list[Any]:
    return [task, attempt, 1, reason, code, 1000.0, 1001.0, 0.1, 2.0, stdout, "", ""]
