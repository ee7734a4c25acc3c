"""Why a task waits, in plain words, from the offers that were seen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stratos_jupyter.backend.core.batching import BatchPolicy
from stratos_jupyter.backend.core.decisions import Decline
from stratos_jupyter.backend.core.events import (
    KillAsked,
    NodeUnreachable,
    Offer,
    OfferUnfit,
    PauseAsked,
    RelaunchAsked,
    RulesChanged,
    TasksStarted,
)
from stratos_jupyter.backend.core.offer_history import NODES_MOST, REASONS_MOST, OfferHistory
from stratos_jupyter.backend.core.phrases import sentences
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.rules import Halt, Rules
from tests.support.offers import ONE, Cluster, only, tasks

GIB = 1024.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.scheduler.check()


def begin(cluster: Cluster, *tasks: int) -> None:
    attempt = cluster.scheduler.table.attempt
    cluster.scheduler.handle(TasksStarted(cluster.at_s, tuple((task, attempt(task)) for task in tasks)))


def test_nothing_was_offered(cluster: Cluster) -> None:
    cluster.add(20)
    assert cluster.why() == ["nothing has been offered yet"]
    assert cluster.why(17) == ["nothing has been offered yet", "task 17 is 18th in the queue"]


def test_offers_lack_memory(cluster: Cluster) -> None:
    cluster.add(1, demand=Resources(1, 8 * GIB))
    for number in range(60):
        cluster.offer(f"foam{number:02}", 4, mem_mib=6.2 * GIB if number == 3 else 4 * GIB)
    assert cluster.why(0)[0] == (
        "60 offers lacked 8 GiB memory (largest: foam03, 6.2 GiB); a smaller --mem would fit it"
    )
    cluster.offer("foam03", 4, mem_mib=7 * GIB)  # the newest of a node counts, and all are counted
    assert "61 offers lacked 8 GiB memory (largest: foam03, 7 GiB)" in cluster.why(0)[0]


def test_what_fits_one_queue_may_lack_something_for_another(cluster: Cluster) -> None:
    cluster.add(1, priority=1, demand=Resources(8))
    cluster.add(1, demand=Resources(1, 64 * GIB))
    cluster.offer("a", 2, mem_mib=GIB)
    assert "lacked 8 cores (largest: a, 2)" in cluster.why(0)[0]
    assert "lacked 64 GiB memory (largest: a, 1 GiB)" in cluster.why(1)[0]
    assert len(cluster.why()) >= 2


def test_an_engine_may_refuse_offers_by_itself(cluster: Cluster) -> None:
    cluster.add(1)
    for node in ("a", "b", "a"):
        cluster.scheduler.handle(OfferUnfit(cluster.at_s, node, "rack=1 is asked for (--where)"))
    assert cluster.why(0)[0] == "3 offers of 2 nodes did not fit: rack=1 is asked for (--where)"


def test_a_block_is_waited_for(cluster: Cluster) -> None:
    cluster.add(1)
    cluster.place(("foam01", "foam02"))
    for number in range(27):
        cluster.offer(f"n{number}")
        cluster.at_s += 1.6 / 27
    cluster.offer("n0")
    assert cluster.why(0)[0] == (
        "28 offers passed over while waiting for a node where its inputs lie (foam01, foam02), 1.4 s left; "
        "%stratos set demo locality_wait=0 waits no longer"
    )


def test_only_offers_count_that_have_passed_that_task_by(cluster: Cluster) -> None:
    cluster.add(1)
    cluster.place("foam01")
    for _ in range(5):
        cluster.offer("n0")
        cluster.at_s += 0.1
    cluster.add(1)
    cluster.place("foam01", first=1)
    cluster.at_s += 0.1
    cluster.offer("n0")
    assert cluster.why(0)[0].startswith("6 offers passed over")
    assert cluster.why(1)[0].startswith("1 offer passed over")


def test_places_are_waited_for(cluster: Cluster) -> None:
    cluster.add(2, sought=True)
    cluster.offer("a")
    assert cluster.why()[0].startswith(
        "1 offer passed over while waiting to hear where the inputs of the first of them lie, 3.0 s left"
    )


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        (Rules(max_tasks=2), "2 commands run, and at most 2 may at once; %stratos set demo max_tasks=none"),
        (Rules(rate_per_s=0.5), "the pace is 0.5 launches a second, the next is due in 2.0 s; %stratos set demo rate"),
        (Rules(delay_s=5), "the pace is 5 s between launches, the next is due in 5.0 s; %stratos set demo delay=none"),
    ],
)
def test_the_pace_is_slow(cluster: Cluster, rules: Rules, text: str) -> None:
    cluster.scheduler.handle(RulesChanged(cluster.at_s, rules))
    cluster.add(9)
    begin(cluster, *tasks(cluster.offer("a", 9)))
    (line,) = cluster.why()
    assert line.startswith(text)


def test_the_job_is_held(cluster: Cluster) -> None:
    cluster.add(1)
    cluster.scheduler.handle(PauseAsked(cluster.at_s))
    assert cluster.why(0) == ["nothing is launched: paused; %stratos resume demo goes on"]


def test_the_job_is_halted() -> None:
    cluster = Cluster(Rules(halt=Halt(1)))
    cluster.add(2)
    cluster.offer("a")
    cluster.end(0, code=1)
    assert cluster.why(1) == ["nothing is launched: halted after 1 failed; %stratos resume demo goes on"]


def test_a_task_rests_before_a_retry() -> None:
    cluster = Cluster(Rules(retries=1, retry_delay_s=100.0))
    cluster.add(1)
    cluster.offer("a")
    cluster.end(0, code=1)
    (line,) = cluster.why(0)
    assert line.startswith("it failed and is tried again in ")
    assert line.endswith("; %stratos relaunch demo 0 does not wait for that")
    assert cluster.why()[0].startswith("1 task rests before a retry")
    cluster.scheduler.handle(PauseAsked(cluster.at_s))
    held = "nothing is launched: paused; %stratos resume demo goes on"
    assert (cluster.why(0)[1:], cluster.why()[1:]) == ([held], [held])


def test_all_is_busy(cluster: Cluster) -> None:
    cluster.add(4)
    cluster.offer("a", 2)
    assert cluster.why(3)[0] == "2 launches of this job are on 1 node"
    begin(cluster, 0, 1)
    cluster.at_s += 12.0
    assert cluster.why(3) == [
        "2 commands of this job run at once on 1 node",
        "nothing has been offered for 12 s: it takes what comes free",
        "task 3 is 2nd in the queue",
    ]


def test_an_engine_knows_better(cluster: Cluster) -> None:
    cluster.add(1)
    said = "all 2 cores of this machine are busy with this job's tasks"
    assert cluster.why(0, said) == [said, "task 0 is 1st in the queue"]


def test_where_a_task_stands(cluster: Cluster) -> None:
    cluster.add(10)
    cluster.add(5, priority=1)
    cluster.scheduler.handle(KillAsked(cluster.at_s, (3, 11)))
    assert cluster.why(14)[-1] == "task 14 is 4th in the queue"
    assert cluster.why(4)[-1] == "task 4 is 8th in the queue"


def test_a_task_that_does_not_wait(cluster: Cluster) -> None:
    cluster.add(2)
    cluster.offer("a", 2)
    assert cluster.why(0) == [
        "it was launched on a and has not begun: others of its batch go first, or its executor starts"
    ]
    cluster.scheduler.handle(TasksStarted(cluster.at_s, ((0, 1),)))
    cluster.at_s += 3.0
    assert cluster.why(0) == ["it has run on a for 3.0 s"]
    cluster.scheduler.handle(NodeUnreachable(cluster.at_s, "a"))
    assert cluster.why(0) == ["it is on a, which does not answer now; it may still run"]
    cluster.end(0)
    assert cluster.why(0) == ["it has ended: finished"]
    assert cluster.why() == []
    cluster.scheduler.handle(RelaunchAsked(cluster.at_s, (0,)))
    assert cluster.why(0)[-1] == "task 0 is 1st in the queue"


def test_what_was_used_lacks_nothing(cluster: Cluster) -> None:
    cluster.add(2)
    cluster.offer("a", 0.5)
    assert "lacked 1 core (largest: a, 0.5)" in cluster.why()[0]
    assert tasks(cluster.offer("a", 1)) == [0]
    assert not any("lacked" in line for line in cluster.why())


def test_what_the_jobs_own_tasks_leave_is_not_too_small(cluster: Cluster) -> None:
    cluster.add(9)
    for node in ("a", "b"):
        assert len(tasks(cluster.offer(node, 2))) == 2
        cluster.offer(node, 0.1)
    assert cluster.why(8) == [
        "the slots that 2 nodes offered are busy with this job's own tasks",
        "4 launches of this job are on 2 nodes",
        "task 8 is 5th in the queue",
    ]
    cluster.end(0, 1)  # what comes free there is given to somebody else
    assert cluster.why(8)[0] == "the slots that 1 node offered are busy with this job's own tasks"
    cluster.offer("a", 0.3)
    assert cluster.why(8)[:2] == [
        "the slots that 1 node offered are busy with this job's own tasks",
        "1 offer lacked 1 core (largest: a, 0.3)",
    ]


def test_what_own_tasks_leave_may_be_of_use_to_smaller_ones(cluster: Cluster) -> None:
    cluster.add(4, demand=Resources(1, 6 * GIB))
    cluster.offer("a", 4, mem_mib=8 * GIB)
    cluster.offer("a", 3, mem_mib=2 * GIB)
    assert cluster.why(3)[0] == (
        "1 offer lacked 6 GiB memory (largest: a, 2 GiB) beside this job's own tasks; "
        "with a smaller --mem more run at once"
    )
    cluster.offer("b", 4, mem_mib=5 * GIB)
    assert "1 offer lacked 6 GiB memory (largest: b, 5 GiB); a smaller --mem would fit it" in cluster.why(3)


def test_what_an_engine_refused_of_a_node_is_forgotten_once_it_offers(cluster: Cluster) -> None:
    cluster.add(3)
    for node in ("a", "b"):
        cluster.scheduler.handle(OfferUnfit(cluster.at_s, node, "an executor that starts"))
    cluster.offer("a")
    assert cluster.why()[0] == "1 offer of 1 node did not fit: an executor that starts"
    cluster.offer("b")
    assert not any("did not fit" in line for line in cluster.why())


def test_launches_that_have_not_begun_are_not_said_to_run(cluster: Cluster) -> None:
    cluster.scheduler.handle(RulesChanged(cluster.at_s, Rules(max_tasks=2)))
    cluster.add(9)
    cluster.offer("a", 9)
    assert cluster.why()[0].startswith("2 commands are launched, and at most 2 may run at once; %stratos set demo")


def test_no_block_is_waited_for_while_nothing_is_offered(cluster: Cluster) -> None:
    cluster.add(3)
    cluster.place("a", "a", "a")
    assert tasks(cluster.offer("a", 1)) == [0]
    offered = "once other nodes offer, it waits for a node where its inputs lie (a), 3.0 s at most"
    assert cluster.why(1)[0] == offered
    assert only(Decline, cluster.offer("b", 1))
    assert "1 offer passed over" in cluster.why(1)[0]
    cluster.tick()  # b is taken by others meanwhile, and a is busy
    assert cluster.why(1)[0] == offered.replace("3.0 s", "1.0 s")


def test_what_is_remembered_is_bounded() -> None:
    seen = OfferHistory()
    for number in range(NODES_MOST + 10):
        seen.turned_down(Offer("o", f"n{number}", Resources(0.5)))
        seen.unfit(f"n{number}", "rack")
    for number in range(REASONS_MOST + 10):
        seen.unfit("a", f"reason {number}")
    assert [lack.nodes for lack in seen.lacks(ONE, {})[0]] == [NODES_MOST]
    assert max(nodes for _, _, nodes in seen.unfits()) == NODES_MOST
    assert len(seen.unfits()) == REASONS_MOST


def test_this_machine_is_no_node() -> None:
    cluster = Cluster(policy=BatchPolicy(alone=True))
    cluster.add(3)
    cluster.offer("here", 2)
    begin(cluster, 0, 1)
    assert cluster.why()[0] == "2 commands of this job run at once on this machine"


def test_clauses_become_sentences() -> None:
    assert sentences(["it waits", "%stratos kill ends it"]) == "It waits.\n%stratos kill ends it."
