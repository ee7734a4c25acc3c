"""What the Mesos engine remembers, and what it forgets: each line of its books has a test that misses it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from stratos_jupyter.backend.core.events import KillAsked, PauseAsked, ResumeAsked
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.engines.mesos import master_events, retransmit
from tests.support.mesos_engine import Rig, ended
from tests.support.waiting import until

MakeRig = Callable[..., Rig]
AGENT = {"source": "SOURCE_AGENT"}


def executor_id(rig: Rig) -> str:
    return str(rig.launched()[-1]["executor"]["executor_id"]["value"])


def answer(rig: Rig, *messages: list[object], agent: str = "a1") -> None:
    rig.tell(master_events.Message(agent, executor_id(rig), json.dumps(messages).encode()))


def restarted(make_rig: MakeRig) -> tuple[Rig, list[dict[str, object]]]:
    """A job of three tasks, two of which another process has launched; both were said to run."""
    rig = make_rig()
    rig.add(3)
    rig.subscribe()
    rig.offer()
    both = rig.launched()
    for task in both:
        rig.status(task, "TASK_RUNNING")
    rig.restart()
    rig.subscribe()
    return rig, both


# --- batches ---


def test_what_the_master_takes_for_over_and_then_finds_is_not_given_up(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (task,) = rig.launched()
    rig.status(task, "TASK_RUNNING")
    rig.reconciled(task, "TASK_GONE")
    rig.reconciled(task, "TASK_RUNNING")
    rig.tick(61.0)
    assert rig.lost == 0


def test_what_ends_asks_for_more(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    before = len(rig.master.all("revive"))
    rig.status(rig.launched()[0], "TASK_FINISHED", ended=[ended(0)])
    until(lambda: len(rig.master.all("revive")) > before)


def test_what_runs_and_nobody_knows_is_ended(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (task,) = rig.launched()
    rig.status({**task, "task_id": {"value": "run1-77"}}, "TASK_RUNNING", uuid="u1")
    assert rig.master.all("kill") == [("run1-77", "a1")]
    assert ("a1", "run1-77", "u1") in rig.master.all("acknowledge")


def test_a_task_that_was_killed_before_it_began_is_no_loss_of_its_node(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    rig.post(lambda at_s: KillAsked(at_s, (0,)))
    rig.status(rig.launched()[0], "TASK_KILLED", source="SOURCE_MASTER", uuid="")
    assert rig.states()[0] is TaskState.KILLED
    assert rig.notices == ""


def test_an_end_of_a_partition_is_remembered(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (task,) = rig.launched()
    rig.status(task, "TASK_RUNNING")
    rig.status(task, "TASK_UNREACHABLE", uuid="", source="SOURCE_MASTER")
    rig.tick(500.0)
    rig.reconciled(task, "TASK_RUNNING")
    rig.tick(500.0)
    assert rig.lost == 0


def test_a_batch_that_was_given_up_is_lost_once(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.add(1)
    rig.subscribe()
    rig.offer()
    (old,) = rig.launched()
    rig.status(old, "TASK_RUNNING")
    rig.status(old, "TASK_UNREACHABLE", uuid="", source="SOURCE_MASTER")
    rig.tick(601.0)
    rig.status(old, "TASK_FAILED", reason="REASON_EXECUTOR_TERMINATED", **AGENT)
    assert [what for _, what, _ in rig.journal.entries()].count("lost") == 1


def test_data_without_a_uuid_is_no_result(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    rig.status(rig.launched()[0], "TASK_RUNNING", uuid="", ended=[ended(0)], reason="REASON_RECONCILIATION")
    assert rig.states()[0] is not TaskState.FINISHED
    assert not list(rig.journal.rows())


def test_what_a_cap_counts_comes_back(make_rig: MakeRig) -> None:
    rig = make_rig(max_cpus=1.0)
    rig.add(6)
    rig.subscribe()
    for task in range(3):
        rig.offer(cpus=1.0)
        rig.offer(cpus=1.0, agent="a2", host="node2")
        assert len(rig.launched()) == task + 1
        rig.status(rig.launched()[-1], "TASK_FINISHED", ended=[ended(task)])


def test_a_cap_holds_for_offers_of_one_event(make_rig: MakeRig) -> None:
    rig = make_rig(max_cpus=3.0)
    rig.add(10)
    rig.subscribe()
    rig.tell(master_events.Offers([rig.make_offer(agent=f"a{n}", host=f"node{n}") for n in range(4)]))
    assert len(rig.launched()) == 3


# --- executors and agents ---


def test_a_dead_executors_share_is_taken_again(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (first,) = rig.launched()
    rig.status(first, "TASK_RUNNING")
    rig.status(first, "TASK_FAILED", reason="REASON_EXECUTOR_TERMINATED", **AGENT)
    offer = rig.make_offer(cpus=1.0)
    rig.tell(master_events.Offers([offer]))
    second = rig.launched()[1]
    of_task = sum(one["scalar"]["value"] for one in second["resources"] if one["name"] == "cpus")
    assert of_task == 0.9  # the rest is the executor's


def test_the_end_of_an_older_executor_says_nothing_of_the_present_one(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    rig.status(rig.launched()[0], "TASK_RUNNING")
    rig.tell(master_events.ExecutorFailed("a1", "stratos-of-an-older-version", 9))
    rig.offer(cpus=0.9)
    assert rig.launched()[1]["resources"][0]["scalar"]["value"] == 0.9


def test_an_agent_that_drops_a_launch_is_left_alone_for_a_moment(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    rig.status(rig.launched()[0], "TASK_DROPPED", uuid="", source="SOURCE_MASTER")
    early = rig.offer(cpus=1.0)
    assert len(rig.launched()) == 1
    assert any(ids == [early] and refuse_s <= 1.0 for ids, refuse_s in rig.master.all("decline"))
    rig.clock_s += 1.1
    rig.offer(cpus=1.0)
    assert len(rig.launched()) == 2


def test_an_executor_that_never_left_has_to_be_started(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    ((_, tasks, _),) = rig.master.all("accept")
    what = {"accept": {"operations": [{"type": "LAUNCH", "launch": {"task_infos": tasks}}]}}
    rig.tell(master_events.CallLost("ACCEPT", what, "no connection", perhaps_arrived=False))
    rig.offer(cpus=1.0)
    assert rig.launched()[1]["resources"][0]["scalar"]["value"] == 0.9


def test_what_has_begun_is_not_taken_back(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    ((_, tasks, _),) = rig.master.all("accept")
    rig.status(tasks[0], "TASK_RUNNING")
    what = {"accept": {"operations": [{"type": "LAUNCH", "launch": {"task_infos": tasks}}]}}
    rig.tell(master_events.CallRefused("ACCEPT", what, 400, "which?"))
    assert rig.states()[0] is not TaskState.QUEUED


def test_a_notice_of_an_executor_is_withdrawn(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    answer(rig, ["notice", "the disk is full"])
    assert rig.notices == "the disk is full"
    answer(rig, ["notice", ""])
    assert rig.notices == ""


def test_what_waits_for_its_background_is_said_until_it_does_no_more(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    rows = [[task, 1, f"waiting for 1 background process: sort (pid {task})"] for task in range(5)]
    answer(rig, ["waiting", rows])
    assert rig.notices == (
        "task 0 is waiting for 1 background process: sort (pid 0); task 1 is waiting for 1 background process: sort "
        "(pid 1); task 2 is waiting for 1 background process: sort (pid 2); 2 more tasks"
    )
    answer(rig, ["waiting", []])
    assert rig.notices == ""
    answer(rig, ["waiting", rows])
    ((_, tasks, _),) = rig.master.all("accept")
    rig.tell(master_events.ExecutorFailed("a1", tasks[0]["executor"]["executor_id"]["value"], 9))
    assert "waiting" not in rig.notices


def test_only_names_that_cannot_be_guessed_are_kept(rig: Rig) -> None:
    rig.offer(cpus=1.0, agent="a1", host="node1")
    rig.offer(cpus=1.0, agent="a2", host="node2")
    assert rig.kept[-1]["nodes"] == {}


# --- questions and greetings ---


def test_why_says_what_is_wrong_with_the_connection(rig: Rig) -> None:
    def why() -> list[str]:
        return rig.driver.call(lambda: rig.loop.why(1))

    rig.tell(master_events.Unauthorised("m1:5050 answers 401"))
    told = "m1:5050 answers 401; set Stratos.principal and Stratos.secret, then detach the job and attach it"
    assert why()[0] == rig.notices == told
    rig.subscribe()
    assert why()[0] == "nothing has been offered yet"


def test_why_does_not_call_a_master_lost_that_is_being_greeted(rig: Rig) -> None:
    rig.restart()
    assert rig.driver.call(lambda: rig.loop.why(1))[0] == "the master has not answered yet"
    rig.subscribe()


def test_another_master_is_asked_about_what_was_heard_of_before(rig: Rig) -> None:
    rig.offer()
    for task in rig.launched():
        rig.status(task, "TASK_RUNNING")
    rig.tell(master_events.Disconnected("gone"))
    rig.subscribe()
    assert len(rig.master.all("reconcile")[-1]) == 2


def test_a_master_is_asked_for_all_it_knows_now_and_then(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.tick()
    assert [] not in rig.master.all("reconcile")
    monkeypatch.setattr(retransmit, "ASK_ALL_S", 0.0)
    rig.tick()
    assert [] in rig.master.all("reconcile")


def test_offers_that_are_not_wanted_go_back(rig: Rig) -> None:
    rig.post(PauseAsked)
    offer_id = rig.offer()
    assert ([offer_id], 1.0) in rig.master.all("decline")


def test_an_executor_that_has_answered_is_greeted_no_more(make_rig: MakeRig) -> None:
    rig, (one, _) = restarted(make_rig)
    rig.reconciled(one, "TASK_RUNNING")
    greeting = ("a1", one["executor"]["executor_id"]["value"], ["hello", 1])  # type: ignore[index]
    rig.tick()
    assert rig.master.all("message") == [greeting] * 2
    rig.tell(master_events.Message("a1", greeting[1], b'[["hello",{}]]'))
    rig.tick()
    assert rig.master.all("message") == [greeting] * 2


def test_an_executor_that_never_answers_is_not_greeted_for_ever(make_rig: MakeRig) -> None:
    rig, (one, _) = restarted(make_rig)
    rig.reconciled(one, "TASK_RUNNING")
    for _ in range(20):
        rig.tick()
    assert len(rig.master.all("message")) == retransmit.GREETINGS_MOST


def test_an_executor_that_has_ended_is_greeted_no_more(make_rig: MakeRig) -> None:
    rig, (one, _) = restarted(make_rig)
    rig.reconciled(one, "TASK_RUNNING")
    rig.tell(master_events.ExecutorFailed("a1", one["executor"]["executor_id"]["value"], 0))  # type: ignore[index]
    rig.tick()
    assert len(rig.master.all("message")) == 1


# --- what another process has launched ---


def test_what_it_never_sent_is_launched_after_a_moment(make_rig: MakeRig) -> None:
    rig, (one, other) = restarted(make_rig)
    for task in (one, other):
        rig.status({**task, "agent_id": {}, "executor": {"executor_id": {}}}, "TASK_UNKNOWN", uuid="",
                   reason="REASON_RECONCILIATION")  # fmt: skip
    rig.tick(4.0)
    assert rig.states()[:2] == [TaskState.STAGING] * 2
    rig.tick(2.0)
    assert rig.states()[:2] == [TaskState.QUEUED] * 2


def test_what_it_launched_may_have_run_and_is_lost(make_rig: MakeRig) -> None:
    rig, (one, _) = restarted(make_rig)
    rig.status(one, "TASK_FAILED", reason="REASON_EXECUTOR_TERMINATED", **AGENT)
    assert rig.lost == 1


def test_what_it_launched_counts_for_the_cap(make_rig: MakeRig) -> None:
    rig = make_rig(max_cpus=2.0)
    rig.add(6)
    rig.subscribe()
    rig.offer()
    rig.restart()
    rig.subscribe()
    rig.offer(agent="a2", host="node2")
    assert rig.launched() == []


def test_without_a_framework_nothing_of_it_is_left(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.add(2)
    rig.subscribe()
    rig.offer()
    rig.kept.append({**rig.kept[-1], "framework_id": ""})
    rig.restart()
    assert rig.states() == [TaskState.QUEUED] * 2


def test_another_framework_starts_its_own_executors(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    rig.status(rig.launched()[0], "TASK_FINISHED", ended=[ended(0)])
    rig.tell(master_events.Disconnected("gone"))
    rig.subscribe("f2")
    assert rig.kept[-1] == {"framework_id": "f2", "executors": {}, "nodes": {}}
    rig.offer(cpus=1.0)
    assert rig.launched()[-1]["executor"]["framework_id"] == {"value": "f2"}


def test_offers_of_before_a_subscription_are_no_good(rig: Rig) -> None:
    offer = rig.make_offer()
    subscribed = master_events.Subscribed("f1", {}, 15.0)
    rig.at_once(master_events.Offers([offer]), subscribed)
    assert rig.launched() == []
    rig.at_once(master_events.Offers([rig.make_offer()]), master_events.Disconnected("gone"), subscribed)
    assert rig.launched() == []
    rig.offer()
    assert len(rig.launched()) == 2


def test_what_a_former_connection_tells_late_is_nothing(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (task,) = rig.launched()
    rig.status(task, "TASK_RUNNING")
    former = rig.master
    rig.tell(master_events.FrameworkRefused("failover timeout passed", None))
    until(lambda: len(rig.masters) == 2)
    rig.subscribe("f2")
    former.tell(master_events.Disconnected("late"))
    rig.settle()
    assert "late" not in rig.notices


# --- the end ---


def test_who_closes_a_job_waits_for_what_runs(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    (task,) = rig.launched()
    rig.status(task, "TASK_RUNNING")
    closed = rig.driver.call(rig.loop.engine.close)
    rig.settle()
    assert not closed.done()
    assert rig.master.all("kill") == [("run1-1", "a1")]
    rig.status(task, "TASK_KILLED", ended=[ended(0, reason="user", code=-15)])
    closed.result(10.0)
    assert rig.master.all("teardown")


def test_a_job_that_is_being_closed_asks_for_nothing(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    rig.status(rig.launched()[0], "TASK_RUNNING")
    rig.driver.call(rig.loop.engine.close)
    rig.post(PauseAsked)
    rig.post(ResumeAsked)
    assert rig.driver.call(lambda: rig.loop.engine._connection.wanted) is False


def test_the_tail_of_what_runs_is_asked_for(rig: Rig) -> None:
    rig.offer(cpus=1.0)
    rig.status(rig.launched()[0], "TASK_RUNNING")
    asked = rig.driver.call(lambda: rig.loop.engine.tail(0, 1, 100))
    answer(rig, ["tail", 1, {"stdout": "so far", "stderr": "", "note": ""}])
    tail = asked.result(10.0)
    assert tail is not None
    assert tail.stdout == "so far"
    late = rig.driver.call(lambda: rig.loop.engine.tail(0, 1, 100))
    rig.driver.call(rig.loop.engine.let_go)
    assert late.result(0.0) is None
