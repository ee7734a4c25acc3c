"""What the Mesos engine concludes and says, told by a master that does as a test wants: rare moments of a real one."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from stratos_jupyter.backend.core.events import Closed, Event, KillAsked, PauseAsked, TasksAdded
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.backend.driver import Driver
from stratos_jupyter.backend.engines.loop import JobLoop
from stratos_jupyter.backend.engines.mesos import happenings as on
from stratos_jupyter.backend.engines.mesos import wire
from stratos_jupyter.backend.engines.mesos.engine import MesosEngine
from stratos_jupyter.backend.engines.mesos.packing import NO_PYTHON
from stratos_jupyter.backend.engines.mesos.terms import Terms
from stratos_jupyter.backend.store.journal import Journal
from stratos_jupyter.commands import explicit_commands
from tests.waiting import until

MASTER = {"hostname": "m1", "address": {"port": 5050}}
COMMAND = {"shell": True, "value": "exec an-executor"}


class Master:
    """Notes all calls; a test says what happens."""

    def __init__(self, framework: Mapping[str, Any], tell: Callable[[on.Happening], None]) -> None:
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

    def descriptors(self) -> list[int]:
        return []

    def all(self, verb: str) -> list[Any]:
        return [what for said, what in self.calls if said == verb]


class Rig:
    """A job's loop over the engine, with a clock of its own."""

    def __init__(self, folder: Path, kept: Mapping[str, Any] | None = None, **terms: Any) -> None:
        self.clock_s = 1000.0
        self.masters: list[Master] = []
        self.kept: list[Mapping[str, Any]] = []
        self.journal = Journal(folder)
        self.commands: list[str] = []
        self.calls: dict[int, int] = {}
        self.views: list[JobView] = []
        self.driver = Driver()
        self.contexts: dict[int, dict[str, object]] = {}
        self._first = kept or {}
        who = wire.Who("demo", 1, "anna", "*")
        self.terms = Terms(who, COMMAND, **terms)
        self.loop = self.driver.call(self._make_loop)
        self._offers = 0

    def _make_loop(self) -> JobLoop:
        return JobLoop(
            self.journal, self._engine, self.driver.loop, lambda: self.clock_s, self.views.append,
            lambda attempt, commands: None, rules=Rules(), job_id="demo", run=1, engine_name="m1:5050",
        )  # fmt: skip

    def _engine(self, loop: JobLoop) -> MesosEngine:
        return MesosEngine(loop, self, self.terms, self._speak, self._first, self.kept.append)

    def _speak(self, framework: Mapping[str, Any], tell: Callable[[on.Happening], None]) -> Master:
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

    def call_of(self, task: int) -> int:
        return self.calls[task]

    def context(self, call: int) -> Mapping[str, object]:
        return self.contexts.get(call, {"env": {}})

    # what a test does

    def add(self, count: int, mem_mib: float = 0.0, context: dict[str, object] | None = None) -> None:
        first = len(self.commands)
        call = len(set(self.calls.values()))
        self.calls.update(dict.fromkeys(range(first, first + count), call))
        if context is not None:
            self.contexts[call] = context
        made = explicit_commands([f"echo {task}" for task in range(first, first + count)])
        self.commands += [made.command(index) for index in range(count)]
        event = TasksAdded(self.clock_s, count, Resources(1.0, mem_mib))
        self.driver.call(lambda: self.loop.add(event, first, made.to_record))
        until(lambda: len(self.loop.scheduler.table) == first + count)

    def post(self, make: Callable[[float], Event]) -> None:
        self.driver.call(lambda: self.loop.post_now(make(self.clock_s)))

    def tell(self, *happenings: on.Happening) -> None:
        """Let something happen, and all that follows from it."""
        for happening in happenings:
            self.master.tell(happening)
        for _ in range(6):
            self.driver.call(lambda: None)

    def subscribe(self, framework_id: str = "f1") -> None:
        until(lambda: self.masters)
        self.tell(on.Subscribed(framework_id, MASTER, 15.0))

    def offer(self, cpus: float = 2.0, agent: str = "a1", host: str = "node1", **more: Any) -> str:
        self._offers += 1
        offer_id = f"o{self._offers}"
        resources = [
            {"name": name, "type": "SCALAR", "scalar": {"value": value}}
            for name, value in (("cpus", cpus), ("mem", 1024.0), ("disk", 1000.0))
        ]
        values = {"id": {"value": offer_id}, "agent_id": {"value": agent}, "hostname": host, "resources": resources}
        self.tell(on.Offers([{**values, **more}]))
        return offer_id

    def launched(self) -> list[dict[str, Any]]:
        return [task for _, tasks, _ in self.master.all("accept") for task in tasks]

    def status(
        self, task: Mapping[str, Any], state: str, *, uuid: str = "u", ended: Sequence[Any] = (), **more: Any
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
        if ended:
            data = json.dumps({"version": 1, "batch": 1, "ended": list(ended)}).encode()
            status["data"] = base64.b64encode(zlib.compress(data)).decode()
        self.tell(on.Status(status))

    def reconciled(self, task: Mapping[str, Any], state: str) -> None:
        self.status(task, state, uuid="", reason="REASON_RECONCILIATION")

    def tick(self, after_s: float = 1.0) -> None:
        self.clock_s += after_s
        self.driver.call(self.loop.engine._repeats.tick)
        for _ in range(6):
            self.driver.call(lambda: None)

    def states(self) -> list[TaskState]:
        table = self.loop.scheduler.table
        return self.driver.call(lambda: [table.state(task) for task in range(len(table))])

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


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(**options: Any) -> Rig:
        folder = tmp_path / str(len(rigs))
        folder.mkdir()
        rigs.append(Rig(folder, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.end()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """A job of two tasks, subscribed."""
    rig = make_rig()
    rig.add(2)
    rig.subscribe()
    return rig


# --- launching ---


def test_launches_take_the_offer_and_nothing_else(rig: Rig) -> None:
    offer_id = rig.offer(cpus=2.0)
    ((offer_ids, tasks, refuse_s),) = rig.master.all("accept")
    assert offer_ids == [offer_id]
    assert refuse_s == 5.0
    assert [task["name"] for task in tasks] == ["demo[0]", "demo[1]"]
    assert [task["task_id"]["value"] for task in tasks] == ["run1-1", "run1-2"]
    everything = [one for task in tasks for one in task["resources"]] + tasks[0]["executor"]["resources"]
    for name, there in (("cpus", 2.0), ("mem", 1024.0)):
        assert sum(one["scalar"]["value"] for one in everything if one["name"] == name) <= there
    assert tasks[0]["executor"] == tasks[1]["executor"]
    assert rig.states() == [TaskState.STAGING] * 2


def test_a_launch_is_on_disk_before_it_is_sent(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.add(1)
    rig.subscribe()
    recorded: list[list[Any]] = []
    accept = rig.master.accept

    def look(*args: Any) -> None:
        recorded.append([detail for _, what, detail in rig.journal.acts() if what == "launch"])
        accept(*args)

    rig.master.accept = look  # type: ignore[method-assign]
    rig.offer()
    assert recorded == [[[1, "node1", None, [[0, 1]]]]]


def test_commands_and_environment_are_nowhere_to_be_seen(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.add(1, context={"env": {"TOKEN": "very-secret"}})
    rig.subscribe()
    rig.offer()
    (task,) = rig.launched()
    data = base64.b64decode(task.pop("data"))
    told = json.loads(data if data[:1] == b"{" else zlib.decompress(data))
    assert told["context"]["env"] == {"TOKEN": "very-secret"}
    assert told["batch"][2] == [[0, 1, "echo 0", None]]
    assert "secret" not in json.dumps(task)
    assert "echo" not in json.dumps(task)


def test_the_framework_is_known_before_anything_is_launched(rig: Rig) -> None:
    assert rig.kept == [{"framework_id": "f1", "executors": {}, "nodes": {}}]
    rig.offer()
    (executor,) = rig.kept[-1]["executors"].values()
    assert executor["command"] == COMMAND


def test_an_executor_that_runs_is_used_again(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (first,) = rig.launched()
    rig.status(first, "TASK_FINISHED", ended=[ended(0)])
    rig.offer(cpus=0.9)
    second = rig.launched()[1]
    assert second["executor"] == first["executor"]
    assert second["resources"][0]["scalar"]["value"] == 0.9


def test_commands_with_other_surroundings_go_separately(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.add(6, context={"env": {"A": "1"}})
    rig.subscribe()
    while len(rig.launched()) < 5:
        rig.offer(cpus=1.0)
        task = rig.launched()[-1]
        rig.status(task, "TASK_FINISHED", ended=[ended(len(rig.launched()) - 1)])
    rig.add(10, context={"env": {"A": "2"}})
    rig.offer(cpus=1.0)
    rig.offer(cpus=1.0)
    names = [task["name"] for task in rig.launched()[5:]]
    assert names[0].startswith("demo[5")
    for task in rig.launched()[5:]:
        data = base64.b64decode(task["data"])
        told = json.loads(data if data[:1] == b"{" else zlib.decompress(data))
        rows = told["batch"][2]
        assert {told["context"]["env"]["A"]} == {"1" if row[0] < 6 else "2" for row in rows}


def test_what_a_cap_forbids_is_not_taken(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(max_cpus=3.0)
    rig.add(10)
    rig.subscribe()
    rig.offer(cpus=2.0)
    rig.offer(cpus=8.0, agent="a2", host="node2")
    assert len(rig.launched()) == 3
    rig.offer(cpus=8.0, agent="a3", host="node3")
    assert len(rig.launched()) == 3


def test_nodes_without_an_attribute_are_left_alone(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(where=(("rack", "r1"),))
    rig.add(1)
    rig.subscribe()
    wrong = rig.offer()
    right = rig.offer(attributes=[{"name": "rack", "type": "TEXT", "text": {"value": "r1"}}])
    assert ([wrong], 3600.0) in rig.master.all("decline")
    assert [ids for ids, _, _ in rig.master.all("accept")] == [[right]]


def test_a_node_about_to_be_taken_out_of_service_gets_nothing(rig: Rig) -> None:
    rig.offer(unavailability={"start": {"nanoseconds": int(1002e9)}})
    assert not rig.launched()


def test_two_agents_on_one_host_are_two_nodes(rig: Rig) -> None:
    rig.offer(cpus=1.0, agent="a1", host="node1")
    rig.offer(cpus=1.0, agent="a2", host="node1")
    assert [detail[1] for _, what, detail in rig.journal.acts() if what == "launch"] == ["node1", "node1#2"]
    assert rig.kept[-1]["nodes"] == {"a1": "node1", "a2": "node1#2"}


def test_offers_of_a_lost_connection_are_no_good(rig: Rig) -> None:
    rig.tell(on.Disconnected("cannot reach m1"))
    assert "cannot reach m1" in rig.notices
    rig.subscribe()
    assert rig.notices == ""
    rig.offer()
    assert len(rig.launched()) == 2


def test_a_rescinded_offer_costs_nothing(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.add(1)
    rig.subscribe()
    perform = rig.loop.engine.perform

    def rescind(decisions: Sequence[Any]) -> None:
        rig.loop.engine._on(on.Rescinded("o1"))
        rig.loop.engine.perform = perform
        perform(decisions)

    rig.loop.engine.perform = rescind
    rig.offer()
    assert rig.states() == [TaskState.QUEUED]
    assert rig.driver.call(rig.loop.view).attempts_lost == 0


# --- statuses ---


def test_results_are_recorded_then_acknowledged(rig: Rig) -> None:
    rig.offer()
    first = rig.launched()[0]
    rig.status(first, "TASK_RUNNING", uuid="u1")
    rig.status(first, "TASK_FINISHED", uuid="u2", ended=[ended(0, stdout="out\n")])
    rows = list(rig.journal.rows())
    assert [(row.task, row.stdout, row.node) for row in rows] == [(0, b"out\n", "node1")]
    assert [uuid for _, _, uuid in rig.master.all("acknowledge")] == ["u1", "u2"]
    assert rig.states()[0] is TaskState.FINISHED


def test_a_repeated_status_is_acknowledged_again_and_changes_nothing(rig: Rig) -> None:
    rig.offer()
    first = rig.launched()[0]
    for _ in range(3):
        rig.status(first, "TASK_FINISHED", uuid="u2", ended=[ended(0)])
    assert len(list(rig.journal.rows())) == 1
    assert len(rig.master.all("acknowledge")) == 3


def test_what_the_master_says_itself_is_not_acknowledged(rig: Rig) -> None:
    rig.offer()
    first = rig.launched()[0]
    rig.reconciled(first, "TASK_RUNNING")
    rig.status(first, "TASK_LOST", uuid="", reason="REASON_AGENT_REMOVED", source="SOURCE_MASTER")
    assert rig.master.all("acknowledge") == []


def test_what_a_lost_batch_had_reported_stays(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.add(40)
    rig.subscribe()
    for task in range(5):
        rig.offer(cpus=1.0)
        rig.status(rig.launched()[-1], "TASK_FINISHED", ended=[ended(task)])
    rig.offer(cpus=1.0)
    batch = rig.launched()[-1]
    rig.status(batch, "TASK_RUNNING", uuid="u1", ended=[ended(5), ended(6)])
    rig.status(batch, "TASK_FAILED", uuid="u2", reason="REASON_EXECUTOR_TERMINATED", source="SOURCE_AGENT")
    states = rig.states()
    assert states[5:7] == [TaskState.FINISHED] * 2
    assert set(states[7:]) == {TaskState.QUEUED}
    assert "u2" in [uuid for _, _, uuid in rig.master.all("acknowledge")]
    acts = [what for _, what, _ in rig.journal.acts()]
    assert "lost" in acts


def test_a_dropped_launch_is_no_loss(rig: Rig) -> None:
    rig.offer()
    rig.status(rig.launched()[0], "TASK_DROPPED", uuid="", reason="REASON_INVALID_OFFERS", source="SOURCE_MASTER")
    assert rig.states()[0] is TaskState.QUEUED
    assert rig.driver.call(rig.loop.view).attempts_lost == 0
    assert rig.master.all("revive")


def test_reconciliation_waits_for_the_agents_own_word(rig: Rig) -> None:
    rig.offer()
    first, second = rig.launched()
    for task in (first, second):
        rig.status(task, "TASK_RUNNING")
        rig.reconciled(task, "TASK_FINISHED")
    rig.tick(30.0)
    assert rig.states() == [TaskState.STAGING] * 2
    rig.status(first, "TASK_FINISHED", uuid="u9", ended=[ended(0)])
    rig.tick(31.0)
    assert rig.states() == [TaskState.FINISHED, TaskState.QUEUED]


def test_a_partition_heals(rig: Rig) -> None:
    rig.offer()
    first, second = rig.launched()
    for task in (first, second):
        rig.status(task, "TASK_RUNNING")
        rig.status(task, "TASK_UNREACHABLE", uuid="", source="SOURCE_MASTER")
    assert rig.states() == [TaskState.UNREACHABLE] * 2
    rig.tick(599.0)
    assert rig.states() == [TaskState.UNREACHABLE] * 2
    rig.reconciled(first, "TASK_RUNNING")
    assert rig.states() == [TaskState.RUNNING] * 2


def test_a_partition_that_lasts_is_given_up_and_the_first_result_wins(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.add(1)
    rig.subscribe()
    rig.offer()
    (old,) = rig.launched()
    rig.status(old, "TASK_RUNNING")
    rig.status(old, "TASK_UNREACHABLE", uuid="", source="SOURCE_MASTER")
    rig.tick(601.0)
    assert rig.states() == [TaskState.QUEUED]
    rig.offer(agent="a2", host="node2")
    new = rig.launched()[1]
    rig.status(new, "TASK_RUNNING")
    rig.reconciled(old, "TASK_RUNNING")  # it is back, and both run
    rig.status(new, "TASK_FINISHED", uuid="u5", ended=[ended(0, attempt=2)])
    rig.tick()
    assert [row.attempt for row in rig.journal.rows()] == [2]
    assert (old["task_id"]["value"], "a1") in rig.master.all("kill")


def test_the_old_attempt_of_a_partition_may_win(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.add(1)
    rig.subscribe()
    rig.offer()
    (old,) = rig.launched()
    rig.status(old, "TASK_RUNNING")
    rig.status(old, "TASK_UNREACHABLE", uuid="", source="SOURCE_MASTER")
    rig.tick(601.0)
    rig.offer(agent="a2", host="node2")
    new = rig.launched()[1]
    rig.status(new, "TASK_RUNNING")
    rig.status(old, "TASK_FINISHED", uuid="u5", ended=[ended(0, attempt=1)])
    assert [row.attempt for row in rig.journal.rows()] == [1]
    assert (new["task_id"]["value"], "a2") in rig.master.all("kill")


# --- executors that do not start ---


def test_a_node_without_python_is_left_out_and_said_so(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (task,) = rig.launched()
    executor_id = task["executor"]["executor_id"]["value"]
    rig.tell(on.ExecutorFailed("a1", executor_id, NO_PYTHON << 8))
    rig.status(task, "TASK_FAILED", reason="REASON_EXECUTOR_TERMINATED", source="SOURCE_AGENT")
    assert "there is no python3" in rig.notices
    assert "left out for 5 min" in rig.notices
    assert rig.states() == [TaskState.QUEUED] * 2
    assert rig.driver.call(rig.loop.view).attempts_lost == 0
    again = rig.offer(cpus=1.0)
    assert any(ids == [again] and 290 < refuse_s <= 300 for ids, refuse_s in rig.master.all("decline"))
    rig.clock_s += 301.0
    rig.offer(cpus=1.0)
    assert len(rig.launched()) == 2
    rig.tell(on.ExecutorFailed("a1", executor_id, NO_PYTHON << 8))
    assert "left out for 10 min" in rig.notices


def test_an_executor_that_went_to_sleep_is_no_failure(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (task,) = rig.launched()
    rig.status(task, "TASK_FINISHED", ended=[ended(0)])
    rig.tell(on.ExecutorFailed("a1", task["executor"]["executor_id"]["value"], 0))
    assert rig.notices == ""
    rig.offer(cpus=1.0)
    assert len(rig.launched()) == 2


def test_a_task_that_missed_its_sleeping_executor_is_no_failure_of_the_node(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (first,) = rig.launched()
    rig.status(first, "TASK_FINISHED", ended=[ended(0)])
    rig.offer(cpus=0.9)  # it has just exited, and nobody knows
    second = rig.launched()[1]
    rig.status(
        second, "TASK_ERROR", uuid="", reason="REASON_TASK_INVALID", message="more resources", source="SOURCE_MASTER"
    )
    assert rig.states()[1] is TaskState.QUEUED
    rig.offer(cpus=1.0)
    assert len(rig.launched()) == 3
    assert rig.notices == ""


# --- kills ---


def test_the_only_command_of_a_task_is_killed_by_the_master(rig: Rig) -> None:
    rig.offer()
    first = rig.launched()[0]
    rig.status(first, "TASK_RUNNING")
    rig.post(lambda at_s: KillAsked(at_s, (0,)))
    assert rig.master.all("kill") == [("run1-1", "a1")]
    rig.tick()
    assert rig.master.all("kill") == [("run1-1", "a1")] * 2  # until its end is heard
    rig.status(first, "TASK_KILLED", ended=[ended(0, reason="user", code=-15)])
    rig.tick()
    assert len(rig.master.all("kill")) == 2


def test_one_command_of_many_is_killed_by_a_message(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.add(40)
    rig.subscribe()
    for task in range(5):
        rig.offer(cpus=1.0)
        rig.status(rig.launched()[-1], "TASK_FINISHED", ended=[ended(task)])
    rig.offer(cpus=1.0)
    batch = rig.launched()[-1]
    rig.status(batch, "TASK_RUNNING")
    rig.post(lambda at_s: KillAsked(at_s, (7,)))
    said = [what[2] for what in rig.master.all("message")]
    assert said == [["kill", [[7, 1]], "user"]]
    assert rig.master.all("kill") == []
    rig.tick()
    assert len(rig.master.all("message")) == 2
    rig.status(batch, "TASK_RUNNING", uuid="u7", ended=[ended(7, reason="user", code=-15)])
    rig.tick()
    assert len(rig.master.all("message")) == 2


def test_a_recall_is_repeated_until_it_is_answered(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.add(1)
    rig.subscribe()
    rig.offer()
    (task,) = rig.launched()
    rig.status(task, "TASK_RUNNING")
    rig.post(PauseAsked)
    rig.tick()
    recalls = [what[2] for what in rig.master.all("message")]
    assert recalls == [["recall", [1]]] * 2
    rig.tell(on.Message("a1", task["executor"]["executor_id"]["value"], b'[["recalled",[1]]]'))
    rig.tick()
    assert len(rig.master.all("message")) == 2


# --- the life of a framework ---


def test_a_job_that_ends_takes_its_framework_along(rig: Rig) -> None:
    rig.offer()
    rig.post(Closed)
    for number, task in enumerate(rig.launched()):
        rig.status(task, "TASK_FINISHED", uuid=f"u{number}", ended=[ended(number)])
    calls = [verb for verb, _ in rig.master.calls]
    assert calls.index("teardown") > max(place for place, verb in enumerate(calls) if verb == "acknowledge")
    until(lambda: rig.kept[-1]["framework_id"] == "")


def test_a_job_that_goes_on_after_its_end_is_another_framework(rig: Rig) -> None:
    rig.offer()
    rig.post(Closed)
    for number, task in enumerate(rig.launched()):
        rig.status(task, "TASK_FINISHED", uuid=f"u{number}", ended=[ended(number)])
    until(lambda: rig.kept[-1]["framework_id"] == "")
    rig.add(1)
    until(lambda: len(rig.masters) == 2)
    assert "id" not in rig.master.framework
    rig.subscribe("f2")
    rig.offer()
    assert [task["name"] for task in rig.launched()] == ["demo[2]"]
    assert rig.launched()[0]["executor"]["framework_id"] == {"value": "f2"}


def test_an_attached_job_asks_about_all_that_was_launched(tmp_path: Path, make_rig: Callable[..., Rig]) -> None:
    first = make_rig()
    first.add(3)
    first.subscribe()
    first.offer(cpus=2.0)
    done, left = first.launched()
    first.status(done, "TASK_RUNNING")
    first.status(left, "TASK_RUNNING")
    first.driver.call(first.loop.let_go)
    first.journal.close()

    rig = Rig.__new__(Rig)
    rig.__dict__.update(first.__dict__)
    rig.masters, rig.kept, rig._first = [], [], first.kept[-1]
    rig.journal = first.journal = Journal(first.journal.folder)
    rig.loop = first.loop = rig.driver.call(rig._make_loop)
    rig.driver.call(lambda: rig.loop.restore(Resources(1.0), 0))
    until(lambda: rig.masters)
    assert rig.master.framework["id"] == {"value": "f1"}
    rig.subscribe()
    assert [sorted(asked) for asked in rig.master.all("reconcile")] == [[("run1-1", ""), ("run1-2", "")]]
    rig.reconciled(done, "TASK_RUNNING")
    executor_id = done["executor"]["executor_id"]["value"]
    assert rig.master.all("message") == [("a1", executor_id, ["hello", 1])]
    rig.status(done, "TASK_FINISHED", uuid="u1", ended=[ended(0)])
    rig.reconciled(left, "TASK_UNKNOWN")
    rig.tick(61.0)
    assert rig.states() == [TaskState.FINISHED, TaskState.QUEUED, TaskState.QUEUED]
    rig.offer(cpus=2.0)
    names = [task["task_id"]["value"] for task in rig.launched()]
    assert all(int(name.rpartition("-")[2]) > 2 for name in names)  # never a name that was used


def test_a_framework_that_the_master_has_forgotten_begins_anew(rig: Rig) -> None:
    rig.offer()
    for task in rig.launched():
        rig.status(task, "TASK_RUNNING")
    rig.tell(on.FrameworkRefused("failover timeout passed", None))
    until(lambda: len(rig.masters) == 2)
    assert "id" not in rig.master.framework
    assert rig.states() == [TaskState.QUEUED] * 2
    rig.subscribe("f2")
    rig.offer()
    assert len(rig.launched()) == 2


def test_a_framework_that_somebody_ended_is_not_brought_back_unasked(rig: Rig) -> None:
    rig.offer()
    rig.tell(on.FrameworkRefused("Framework has been removed", 0.0))
    view = rig.driver.call(rig.loop.view)
    assert "ended from outside" in view.held
    assert rig.states() == [TaskState.QUEUED] * 2


def test_a_launch_that_never_left_goes_back(rig: Rig) -> None:
    rig.offer()
    ((_, tasks, _),) = rig.master.all("accept")
    what = {"accept": {"operations": [{"type": "LAUNCH", "launch": {"task_infos": tasks}}]}}
    rig.tell(on.CallLost("ACCEPT", what, "no connection", perhaps_arrived=False))
    assert rig.states() == [TaskState.QUEUED] * 2
    assert rig.driver.call(rig.loop.view).attempts_lost == 0


def test_a_launch_that_may_have_left_is_asked_about(rig: Rig) -> None:
    rig.offer()
    ((_, tasks, _),) = rig.master.all("accept")
    what = {"accept": {"operations": [{"type": "LAUNCH", "launch": {"task_infos": tasks}}]}}
    rig.tell(on.CallLost("ACCEPT", what, "reset", perhaps_arrived=True), on.Disconnected("reset"))
    assert rig.states() == [TaskState.STAGING] * 2
    rig.subscribe()
    assert len(rig.master.all("reconcile")[-1]) == 2


def test_a_launch_of_which_nothing_is_heard_is_asked_about(rig: Rig) -> None:
    rig.offer()
    rig.tick(10.0)
    assert rig.master.all("reconcile") == []
    rig.tick(21.0)
    assert len(rig.master.all("reconcile")) == 1


def test_a_disk_that_is_full_launches_nothing(make_rig: Callable[..., Rig]) -> None:
    from stratos_jupyter.errors import JournalError

    rig = make_rig()

    def full(_: Mapping[str, Any]) -> None:
        raise JournalError("no room")

    rig.driver.call(lambda: setattr(rig.loop.engine._desk, "_keep", full))
    rig.add(1)
    rig.subscribe()
    rig.offer()
    assert not rig.launched()
    assert "no room" in rig.notices
    rig.driver.call(lambda: setattr(rig.loop.engine._desk, "_keep", rig.kept.append))
    rig.offer()
    assert len(rig.launched()) == 1


def test_inverse_offers_are_declined(rig: Rig) -> None:
    rig.tell(on.InverseOffers([{"id": {"value": "i1"}}]))
    assert rig.master.all("decline inverse") == [["i1"]]


def test_the_page_of_the_framework_is_told(rig: Rig) -> None:
    assert rig.driver.call(rig.loop.view).page == "http://m1:5050/#/frameworks/f1"
