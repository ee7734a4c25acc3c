"""What the Mesos engine concludes and says, told by a master that does as a test wants: rare moments of a real one."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from stratos_jupyter.backend.core.events import Closed, KillAsked, PauseAsked
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.engines.mesos import held_offers, master_events
from stratos_jupyter.backend.engines.mesos.executor_bundle import NO_PYTHON
from stratos_jupyter.backend.store.journal import Journal
from stratos_jupyter.errors import JournalError
from tests.support.mesos_engine import COMMAND, Rig, ended
from tests.support.waiting import until

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
        recorded.append([detail for _, what, detail in rig.journal.entries() if what == "launch"])
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


def test_commands_of_another_context_go_separately(make_rig: Callable[..., Rig]) -> None:
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


def test_long_commands_make_small_batches(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.add(100)
    rig.commands[5:] = ["x" * 500_000] * 94 + ["y" * 3_000_000]
    rig.subscribe()
    for task in range(5):
        rig.offer(cpus=1.0)
        rig.status(rig.launched()[-1], "TASK_FINISHED", ended=[ended(task)])
    done, sizes = 5, []
    while done < 100:
        rig.offer(cpus=1.0)
        told = json.loads(zlib.decompress(base64.b64decode(rig.launched()[-1]["data"])))
        rows = told["batch"][2]
        assert [row[0] for row in rows] == list(range(done, done + len(rows)))
        assert len(rows) == 1 or sum(len(row[2]) for row in rows) <= 2_000_000
        sizes.append(len(rows))
        rig.status(rig.launched()[-1], "TASK_FINISHED", ended=[ended(row[0]) for row in rows])
        done += len(rows)
    assert max(sizes) == 4
    assert sizes[-1] == 1


def test_what_a_cap_forbids_is_not_taken(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(max_cpus=3.0)
    rig.add(10)
    rig.subscribe()
    rig.offer(cpus=2.0)
    rig.offer(cpus=8.0, agent="a2", host="node2")
    assert len(rig.launched()) == 3
    rig.offer(cpus=8.0, agent="a3", host="node3")
    assert len(rig.launched()) == 3


def test_what_a_cap_forbids_comes_back_soon(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(max_cpus=1.0)
    rig.add(2)
    rig.subscribe()
    rig.offer(cpus=1.0)
    large = rig.offer(cpus=8.0, agent="a2")
    # What runs may have ended before the master hears of it: then nothing else would bring the first one back.
    assert ([large], 5.0) in rig.master.all("decline")
    rig.status(rig.launched()[0], "TASK_FINISHED", ended=[ended(0)])
    rig.offer(cpus=0.5, agent="a3")
    assert rig.master.all("decline")[-1][1] == 3600.0


def test_nodes_without_an_attribute_are_left_alone(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(where=(("rack", "r1"),))
    rig.add(1)
    rig.subscribe()
    wrong = rig.offer()
    right = rig.offer(attributes=[{"name": "rack", "type": "TEXT", "text": {"value": "r1"}}])
    assert ([wrong], 3600.0) in rig.master.all("decline")
    assert [ids for ids, _, _ in rig.master.all("accept")] == [[right]]


@pytest.mark.parametrize(
    ("start_s", "lasts_s", "gets"), [(1002, None, 0), (990, 60, 0), (900, 60, 2), (1500, None, 2), (900, None, 0)]
)
def test_a_node_about_to_be_taken_out_of_service_gets_nothing(
    rig: Rig, start_s: int, lasts_s: int | None, gets: int
) -> None:
    lasts = {} if lasts_s is None else {"duration": {"nanoseconds": lasts_s * 10**9}}
    rig.offer(unavailability={"start": {"nanoseconds": start_s * 10**9}, **lasts})
    assert len(rig.launched()) == gets


def test_two_agents_on_one_host_are_two_nodes(rig: Rig) -> None:
    rig.offer(cpus=1.0, agent="a1", host="node1")
    rig.offer(cpus=1.0, agent="a2", host="node1")
    assert [detail[1] for _, what, detail in rig.journal.entries() if what == "launch"] == ["node1", "node1#2"]
    assert rig.kept[-1]["nodes"] == {"a1": "node1", "a2": "node1#2"}


def test_offers_of_a_lost_connection_are_no_good(rig: Rig) -> None:
    rig.tell(master_events.Disconnected("cannot reach m1"))
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
        rig.loop.engine._on(master_events.Rescinded("o1"))
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
    batch = rig.launch_batch()
    rig.status(batch, "TASK_RUNNING", uuid="u1", ended=[ended(5), ended(6)])
    rig.status(batch, "TASK_FAILED", uuid="u2", reason="REASON_EXECUTOR_TERMINATED", source="SOURCE_AGENT")
    states = rig.states()
    assert states[5:7] == [TaskState.FINISHED] * 2
    assert set(states[7:]) == {TaskState.QUEUED}
    assert "u2" in [uuid for _, _, uuid in rig.master.all("acknowledge")]
    acts = [what for _, what, _ in rig.journal.entries()]
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


def test_what_was_given_up_is_no_part_of_the_cap(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(max_cpus=1.0)
    rig.add(2)
    rig.subscribe()
    rig.offer()
    (old,) = rig.launched()
    rig.status(old, "TASK_RUNNING")
    rig.status(old, "TASK_UNREACHABLE", uuid="", source="SOURCE_MASTER")
    rig.offer(agent="a2", host="node2")
    assert len(rig.launched()) == 1
    revived = len(rig.master.all("revive"))
    rig.tick(601.0)
    until(lambda: len(rig.master.all("revive")) > revived)  # what the cap forbade was declined for long
    rig.offer(agent="a2", host="node2")
    assert len(rig.launched()) == 2
    rig.status(rig.launched()[1], "TASK_RUNNING")
    rig.status(old, "TASK_FINISHED", uuid="u5", ended=[ended(0)])
    assert rig.driver.call(lambda: rig.loop.engine._state.batches.cpus) == 1.0


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
    rig.tell(master_events.ExecutorFailed("a1", executor_id, NO_PYTHON << 8))
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
    rig.tell(master_events.ExecutorFailed("a1", executor_id, NO_PYTHON << 8))
    assert "left out for 10 min" in rig.notices


def test_an_executor_that_went_to_sleep_is_no_failure(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (task,) = rig.launched()
    rig.status(task, "TASK_FINISHED", ended=[ended(0)])
    rig.tell(master_events.ExecutorFailed("a1", task["executor"]["executor_id"]["value"], 0))
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


def test_what_is_killed_by_nobodys_wish_here_is_launched_again(rig: Rig) -> None:
    rig.offer()
    first, second = rig.launched()
    rig.status(first, "TASK_RUNNING")
    rig.status(second, "TASK_RUNNING")
    rig.post(lambda at_s: KillAsked(at_s, (1,)))
    rig.status(first, "TASK_KILLED", ended=[ended(0, reason="user", code=-15)])
    rig.status(second, "TASK_KILLED", ended=[ended(1, reason="user", code=-15)])
    assert rig.states() == [TaskState.QUEUED, TaskState.KILLED]
    assert rig.lost == 1


def test_what_had_not_begun_when_an_agent_was_drained_is_no_loss(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    batch = rig.launch_batch()
    rig.status(batch, "TASK_RUNNING", started=[[5, 1, 4711, 1001.0]])
    count = int(next(label["value"] for label in batch["labels"]["labels"] if label["key"] == "stratos.commands"))
    assert count > 1
    killed = [ended(number, reason="user", code=-15) for number in range(5, 5 + count)]
    for record in killed[1:]:
        record[4] = record[5] = None
    rig.status(batch, "TASK_KILLED", ended=killed)
    assert rig.states()[5:] == [TaskState.QUEUED] * 35
    assert rig.lost == 1


def test_one_command_of_many_is_killed_by_a_message(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    batch = rig.launch_batch()
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
    rig.tell(master_events.Message("a1", task["executor"]["executor_id"]["value"], b'[["recalled",[1]]]'))
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
    rig.tell(master_events.FrameworkRefused("failover timeout passed", None))
    until(lambda: len(rig.masters) == 2)
    assert "id" not in rig.master.framework
    assert rig.states() == [TaskState.QUEUED] * 2
    rig.subscribe("f2")
    rig.offer()
    assert len(rig.launched()) == 2


def test_a_framework_that_somebody_ended_is_not_brought_back_unasked(rig: Rig) -> None:
    rig.offer()
    rig.tell(master_events.FrameworkRefused("Framework has been removed", 0.0))
    view = rig.driver.call(rig.loop.view)
    assert "ended from outside" in view.held
    assert rig.states() == [TaskState.QUEUED] * 2


def test_a_launch_that_never_left_goes_back(rig: Rig) -> None:
    rig.offer()
    ((_, tasks, _),) = rig.master.all("accept")
    what = {"accept": {"operations": [{"type": "LAUNCH", "launch": {"task_infos": tasks}}]}}
    rig.tell(master_events.CallLost("ACCEPT", what, "no connection", perhaps_arrived=False))
    assert rig.states() == [TaskState.QUEUED] * 2
    assert rig.driver.call(rig.loop.view).attempts_lost == 0


def test_a_launch_that_may_have_left_is_asked_about(rig: Rig) -> None:
    rig.offer()
    ((_, tasks, _),) = rig.master.all("accept")
    what = {"accept": {"operations": [{"type": "LAUNCH", "launch": {"task_infos": tasks}}]}}
    rig.tell(master_events.CallLost("ACCEPT", what, "reset", perhaps_arrived=True), master_events.Disconnected("reset"))
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
    rig = make_rig()

    def full(_: Mapping[str, Any]) -> None:
        raise JournalError("no room")

    rig.driver.call(lambda: setattr(rig.loop.engine._state, "_keep", full))
    rig.add(1)
    rig.subscribe()
    rig.offer()
    assert not rig.launched()
    assert "no room" in rig.notices
    rig.driver.call(lambda: setattr(rig.loop.engine._state, "_keep", rig.kept.append))
    rig.offer()
    assert len(rig.launched()) == 1


def test_a_disk_that_stays_full_holds_no_offer(make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make_rig()
    rig.add(2)
    rig.subscribe()
    monkeypatch.setattr(held_offers, "HELD_MOST_S", 0.05)

    def full(_: Journal) -> None:
        raise JournalError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "writing", full)
        held = rig.offer()
        until(lambda: ([held], held_offers.HELD_REFUSE_S) in rig.master.all("decline"))
        revived = len(rig.master.all("revive"))
    until(lambda: len(rig.master.all("revive")) > revived)  # it was declined for long
    assert not rig.launched()
    assert rig.states() == [TaskState.QUEUED] * 2
    rig.offer()
    assert len(rig.launched()) == 2
    assert rig.lost == 0


def test_inverse_offers_are_declined(rig: Rig) -> None:
    rig.tell(master_events.InverseOffers([{"id": {"value": "i1"}}]))
    assert rig.master.all("decline inverse") == [["i1"]]


def test_the_page_of_the_framework_is_told(rig: Rig) -> None:
    assert rig.driver.call(rig.loop.view).page == "http://m1:5050/#/frameworks/f1"
