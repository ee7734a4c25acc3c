"""What rarely happens to the Mesos engine: at the wrong moment, twice, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from stratos_jupyter.backend.core.events import Closed, KillAsked, PauseAsked, RelaunchAsked
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.engines.mesos import engine, master_events
from stratos_jupyter.backend.engines.mesos.agents import KnownAgent
from tests.support.mesos_engine import Rig, ended
from tests.support.waiting import until

MakeRig = Callable[..., Rig]

# --- what is asked while a launch waits for the disk ---


def test_what_is_killed_before_it_is_sent_never_runs(rig: Rig) -> None:
    rig.at_once(master_events.Offers([rig.make_offer()]), lambda at_s: KillAsked(at_s, (0,)))
    assert [task["name"] for task in rig.launched()] == ["demo[1]"]
    assert rig.states() == [TaskState.KILLED, TaskState.STAGING]
    rig.tick()
    assert rig.master.all("kill") == []


def test_what_is_recalled_before_it_is_sent_stays(rig: Rig) -> None:
    rig.at_once(master_events.Offers([rig.make_offer()]), PauseAsked)
    assert rig.launched() == []
    assert rig.states() == [TaskState.QUEUED] * 2
    assert rig.master.all("decline")


def test_what_is_relaunched_before_it_is_sent_runs_and_is_not_killed(rig: Rig) -> None:
    rig.at_once(master_events.Offers([rig.make_offer()]), lambda at_s: RelaunchAsked(at_s, (0,)))
    rig.offer()
    assert sorted(task["name"] for task in rig.launched()) == ["demo[0]", "demo[1]"]
    rig.tick()
    assert rig.master.all("kill") == []


def test_a_kill_of_what_went_back_does_not_meet_its_next_launch(rig: Rig) -> None:
    offer = rig.make_offer()
    rig.at_once(
        master_events.Offers([offer]),
        lambda at_s: RelaunchAsked(at_s, (0,)),
        master_events.Rescinded(offer["id"]["value"]),
    )
    assert rig.launched() == []
    rig.offer()
    assert len(rig.launched()) == 2
    rig.tick()
    assert rig.master.all("kill") == []


def test_offers_that_come_together_are_taken_up_to_the_cap(make_rig: MakeRig) -> None:
    rig = make_rig(max_cpus=3.0)
    rig.add(10)
    rig.subscribe()
    rig.at_once(*(master_events.Offers([rig.make_offer(agent=f"a{n}", host=f"node{n}")]) for n in range(4)))
    assert len(rig.launched()) == 3


def test_what_cannot_be_launched_takes_nothing_else_with_it(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (first,) = rig.launched()

    def broken(task: int) -> str:
        raise ValueError("no such command")

    rig.command = broken  # type: ignore[method-assign]
    status = {
        "task_id": first["task_id"],
        "agent_id": first["agent_id"],
        "executor_id": first["executor"]["executor_id"],
        "state": "TASK_FINISHED",
        "uuid": "u1",
    }
    rig.at_once(master_events.Offers([rig.make_offer(cpus=1.0)]), master_events.Status(status))
    assert "no such command" in rig.notices
    assert ("a1", "run1-1", "u1") in rig.master.all("acknowledge")


# --- results of what counts as queued ---


def test_a_kept_result_of_what_went_back_is_taken(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (task,) = rig.launched()
    rig.status(task, "TASK_DROPPED", uuid="", source="SOURCE_MASTER")
    assert rig.states()[0] is TaskState.QUEUED
    executor_id = task["executor"]["executor_id"]["value"]
    rig.tell(master_events.Message("a1", executor_id, json.dumps([["kept", [ended(0)]]]).encode()))
    assert rig.states()[0] is TaskState.FINISHED
    assert rig.notices == ""


# --- the end of a framework ---


def finish(rig: Rig) -> None:
    """All results are told, but not the ends of the Mesos tasks."""
    rig.offer()
    for number, task in enumerate(rig.launched()):
        rig.status(task, "TASK_RUNNING", uuid=f"u{number}", ended=[ended(number)])


def hold(rig: Rig) -> Future[None]:
    """Let the master take its time with the end of the framework."""
    answer: Future[None] = Future()
    teardown = rig.master.teardown

    def slow() -> Future[None]:
        teardown()
        return answer

    rig.master.teardown = slow  # type: ignore[method-assign]
    return answer


def test_what_a_framework_had_is_forgotten_with_it(rig: Rig) -> None:
    finish(rig)
    rig.post(Closed)
    until(lambda: rig.kept[-1]["framework_id"] == "")
    assert rig.driver.call(lambda: len(rig.loop.engine._state.batches)) == 0


def test_a_framework_is_known_until_it_has_ended(rig: Rig) -> None:
    answer = hold(rig)
    finish(rig)
    rig.post(Closed)
    until(lambda: rig.master.all("teardown"))
    rig.settle()
    assert rig.kept[-1]["framework_id"] == "f1"
    closed = rig.driver.call(rig.loop.engine.close)
    rig.settle()
    assert not closed.done(), "who waits for the end waits for that too"
    answer.set_result(None)
    closed.result(10.0)
    until(lambda: rig.kept[-1]["framework_id"] == "")


def test_a_framework_that_could_not_be_ended_is_ended_later(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "END_AGAIN_S", 0.0)
    hold(rig).set_exception(OSError("the connection was lost"))
    finish(rig)
    rig.post(Closed)
    until(lambda: len(rig.masters) == 2)
    assert rig.master.framework["id"] == {"value": "f1"}
    rig.subscribe()
    until(lambda: rig.kept[-1]["framework_id"] == "")
    assert rig.master.all("teardown")


def test_what_comes_while_a_framework_ends_is_the_next_ones(rig: Rig) -> None:
    answer = hold(rig)
    finish(rig)
    rig.post(Closed)
    until(lambda: rig.master.all("teardown"))
    rig.add(1)
    rig.settle()
    assert len(rig.masters) == 1
    answer.set_result(None)
    until(lambda: len(rig.masters) == 2)
    assert "id" not in rig.master.framework


# --- executors that are killed ---


def test_an_executor_that_is_killed_once_costs_its_node_a_moment(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (task,) = rig.launched()
    rig.tell(master_events.ExecutorFailed("a1", task["executor"]["executor_id"]["value"], 9))
    rig.status(task, "TASK_FAILED", reason="REASON_EXECUTOR_TERMINATED", source="SOURCE_AGENT")
    assert "left out for 5 s" in rig.notices
    assert "it ended with signal 9;" in rig.notices
    rig.clock_s += 6.0
    rig.offer(cpus=1.0)
    again = rig.launched()[1]
    rig.tell(master_events.ExecutorFailed("a1", again["executor"]["executor_id"]["value"], 9))
    assert "left out for 10 s" in rig.notices


@pytest.mark.parametrize("status", [9, 137 << 8])
def test_what_a_killed_executor_may_have_begun_is_lost(rig: Rig, status: int) -> None:
    """A command that kills its executor at once would be launched for ever."""
    for turn in range(1, 11):
        rig.offer(cpus=1.0)
        task = rig.launched()[-1]
        rig.tell(master_events.ExecutorFailed("a1", task["executor"]["executor_id"]["value"], status))
        rig.status(task, "TASK_FAILED", reason="REASON_EXECUTOR_TERMINATED", source="SOURCE_AGENT")
        assert rig.driver.call(rig.loop.view).attempts_lost == turn
        rig.clock_s += 7 * 3600.0


def test_what_a_dead_executor_was_not_given_is_no_loss(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    first = rig.launched()[0]
    rig.status(first, "TASK_RUNNING")
    rig.offer(cpus=0.9)
    second = rig.launched()[1]
    rig.tell(master_events.ExecutorFailed("a1", first["executor"]["executor_id"]["value"], 9))
    rig.status(second, "TASK_DROPPED", reason="REASON_EXECUTOR_TERMINATED", source="SOURCE_AGENT")
    assert rig.lost == 0


def test_an_executor_that_exits_by_itself_loses_nothing(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (task,) = rig.launched()
    rig.tell(master_events.ExecutorFailed("a1", task["executor"]["executor_id"]["value"], 1 << 8))
    rig.status(task, "TASK_FAILED", reason="REASON_EXECUTOR_TERMINATED", source="SOURCE_AGENT")
    assert "it ended with exit code 1;" in rig.notices
    assert rig.driver.call(rig.loop.view).attempts_lost == 0


def test_an_agent_that_comes_back_as_another_is_called_as_it_was(rig: Rig) -> None:
    rig.offer(cpus=1.0, agent="a1", host="node1")
    rig.tell(master_events.AgentFailed("a1"))
    rig.offer(cpus=1.0, agent="a2", host="node1")  # the name is still that of what ran there
    assert [detail[1] for _, what, detail in rig.journal.entries() if what == "launch"] == ["node1", "node1#2"]
    rig.status(rig.launched()[1], "TASK_FAILED", ended=[ended(1, code=1)])
    rig.tell(master_events.AgentFailed("a2"))
    rig.add(1)
    rig.offer(cpus=1.0, agent="a3", host="node1")
    assert [detail[1] for _, what, detail in rig.journal.entries() if what == "launch"][-1] == "node1#2"


# --- calls that do not arrive ---


def lost(rig: Rig, verb: str, **what: Any) -> None:
    rig.tell(master_events.CallLost(verb, {"type": verb, **what}, "reset", perhaps_arrived=True))


def test_a_lost_wish_for_offers_is_said_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SAY_AGAIN_S", 0.0)
    before = len(rig.master.all("revive"))
    lost(rig, "REVIVE")
    until(lambda: len(rig.master.all("revive")) == before + 1)


def test_a_lost_refusal_is_said_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SAY_AGAIN_S", 0.0)
    lost(rig, "DECLINE", decline={"offer_ids": [{"value": "o7"}], "filters": {"refuse_seconds": 3600.0}})
    until(lambda: (["o7"], 1.0) in rig.master.all("decline"))


def test_what_is_lost_with_the_connection_is_not_said_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SAY_AGAIN_S", 0.0)
    before = list(rig.master.calls)
    rig.tell(master_events.Disconnected("gone"))
    lost(rig, "REVIVE")
    rig.settle()
    assert rig.master.calls == before


# --- notices ---


def test_a_long_complaint_is_said_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        rig.tell(master_events.MasterError("x" * 1_000_000))
    said = [record.getMessage() for record in caplog.records if "xxx" in record.getMessage()]
    assert len(said) == 1
    assert len(said[0]) < 400


def test_a_complaint_does_not_steer_a_terminal(rig: Rig) -> None:
    rig.tell(master_events.MasterError("\x1b[2J\x07red\r\nnews"))
    assert "red" in rig.notices
    assert rig.notices.replace("\n", "").isprintable()


# --- memory ---

MEMORY = {"reason": "REASON_CONTAINER_LIMITATION_MEMORY", "source": "SOURCE_AGENT", "message": "Memory limit exceeded"}


def test_the_only_command_of_a_container_is_charged_with_its_memory(make_rig: MakeRig) -> None:
    rig = make_rig()
    batch = rig.launch_batch()
    rig.status(batch, "TASK_RUNNING", uuid="u1", started=[[5, 1, 77, 999.0]])
    rig.status(batch, "TASK_RUNNING", uuid="u2", started=[[6, 1, 78, 999.5]], ended=[ended(5)])
    rig.status(batch, "TASK_FAILED", uuid="u3", **MEMORY)
    row = rig.journal_row(6)
    assert (row.reason, row.started_at, row.node) == ("memory", 999.5, "node1")
    assert "--mem" in row.note
    states = rig.states()
    assert states[5:7] == [TaskState.FINISHED, TaskState.FAILED]
    assert set(states[7:]) == {TaskState.QUEUED}
    assert "for its memory: Memory limit exceeded" in rig.notices
    assert "u3" in [uuid for _, _, uuid in rig.master.all("acknowledge")]


def test_of_several_commands_nobody_knows_which_it_was(rig: Rig) -> None:
    rig.offer()
    both = rig.launched()
    for number, task in enumerate(both):
        rig.status(task, "TASK_RUNNING", uuid=f"u{number}", started=[[number, 1, 77, 999.0]])
    for number, task in enumerate(both):
        rig.status(task, "TASK_FAILED", uuid=f"v{number}", **MEMORY)
    assert rig.states() == [TaskState.QUEUED] * 2
    assert rig.driver.call(rig.loop.view).attempts_lost == 2


def test_what_is_not_known_to_have_run_is_not_charged(make_rig: MakeRig) -> None:
    rig = make_rig()
    batch = rig.launch_batch()
    rig.status(batch, "TASK_RUNNING", uuid="u1", ended=[ended(5)])
    rig.status(batch, "TASK_FAILED", uuid="u3", **MEMORY)
    assert set(rig.states()[6:]) == {TaskState.QUEUED}


def test_a_container_that_ends_before_its_executor_begins_leaves_its_node_out(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    rig.status(rig.launched()[0], "TASK_FAILED", **MEMORY)
    assert "left out for 5 s, because no executor starts there: Memory limit exceeded" in rig.notices
    assert rig.states() == [TaskState.QUEUED] * 2


def test_an_agent_whose_executors_are_killed_is_left_out_for_seconds_only() -> None:
    agent = KnownAgent("a1", "node1")
    pauses = []
    for now_s in (0.0, 100.0, 200.0, 300.0):
        agent.killed = True
        pauses.append(agent.fail(now_s))
    assert pauses == [5.0, 10.0, 20.0, 40.0]
    agent.hear("e")
    assert [agent.fail(1000.0), agent.fail(2000.0), agent.fail(3000.0)] == [5.0, 300.0, 600.0]


# --- what is handed back ---


@pytest.mark.parametrize("over", [False, True])
def test_what_is_handed_back_twice_goes_back_once(rig: Rig, over: bool) -> None:
    """Its acknowledgement was lost, and it has been launched again meanwhile: nothing runs twice."""
    rig.offer(cpus=1.0)
    (first,) = rig.launched()
    state = "TASK_FINISHED" if over else "TASK_RUNNING"
    rig.status(first, state, uuid="u1", ended=[ended(0, reason="returned", code=None)])
    assert rig.states()[0] is TaskState.QUEUED
    rig.offer(cpus=2.0, agent="a2", host="node2")
    again = [task for task in rig.launched()[1:] if task["name"] == "demo[0]"]
    assert len(again) == 1
    rig.status(first, state, uuid="u1", ended=[ended(0, reason="returned", code=None)])
    assert rig.states()[0] is TaskState.STAGING
    assert rig.master.all("acknowledge").count(("a1", "run1-1", "u1")) == 2
    rig.status(again[0], "TASK_FINISHED", uuid="u2", ended=[ended(0)])
    assert rig.states()[0] is TaskState.FINISHED
