"""Tasks wait a little for a node that holds their inputs."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from stratos_jupyter.backend.core.batching import BatchPolicy
from stratos_jupyter.backend.core.decisions import Decline, Launch, Revive
from stratos_jupyter.backend.core.delay_scheduling import PASSED_S
from stratos_jupyter.backend.core.events import (
    BatchLost,
    InputLocation,
    InputsLocated,
    KillAsked,
    RelaunchAsked,
    RulesChanged,
    TasksReturned,
    Tick,
)
from stratos_jupyter.backend.core.input_locations import InputLocations
from stratos_jupyter.backend.core.locality import KNOWN_AFTER, REFUSE_S
from stratos_jupyter.backend.core.matching import USELESS_S
from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.core.states import TaskState
from tests.support.offers import ONE, Cluster, only, tasks


@pytest.fixture
def make() -> Iterator[Callable[..., Cluster]]:
    made: list[Cluster] = []

    def build(rules: Rules | None = None, policy: BatchPolicy | None = None) -> Cluster:
        made.append(Cluster(rules, policy))
        return made[-1]

    yield build
    for one in made:
        one.scheduler.check()


@pytest.fixture
def cluster(make: Callable[..., Cluster]) -> Cluster:
    return make()


def test_whoever_is_at_home_goes_first(cluster: Cluster) -> None:
    cluster.add(4)
    cluster.place("a", "b", "a", "b")
    assert tasks(cluster.offer("b", 2)) == [1, 3]
    assert tasks(cluster.offer("a", 2)) == [0, 2]


def test_an_offer_of_another_node_is_passed_over_for_a_second(cluster: Cluster) -> None:
    cluster.add(1)
    cluster.place("a")
    assert cluster.offer("b") == (Decline(("b",), REFUSE_S),)
    assert cluster.offer("a")[0].node == "a"


def test_what_is_too_small_is_still_refused_for_an_hour(cluster: Cluster) -> None:
    cluster.add(1)
    cluster.place("a")
    assert cluster.offer("b", 0.5) == (Decline(("b",), USELESS_S),)


def test_a_wait_that_runs_out_asks_for_offers_again(cluster: Cluster) -> None:
    cluster.add(1)
    cluster.place("a")
    began_s = cluster.at_s
    for _ in range(4):
        assert tasks(cluster.offer("b")) == []
        cluster.at_s += 0.9
    cluster.at_s = began_s + 2.7
    assert only(Revive, cluster.tick()) == [Revive(ONE)]
    assert cluster.at_s == pytest.approx(began_s + 3.0)
    assert tasks(cluster.offer("b")) == [0]
    assert cluster.scheduler.locality.remote_bytes == 100


@pytest.mark.parametrize("every_s", [0.05, 0.4, 1.0, 1.9])
def test_a_node_that_never_offers_is_waited_for_three_seconds_in_all(cluster: Cluster, every_s: float) -> None:
    cluster.add(1)
    cluster.place("gone")
    began_s = cluster.at_s
    while not tasks(cluster.offer("b")):
        cluster.at_s += every_s
    assert 3.0 - 0.01 <= cluster.at_s - began_s <= 3.0 + every_s


def test_time_counts_only_while_offers_pass_by(cluster: Cluster) -> None:
    cluster.add(1)
    cluster.place("a")
    cluster.at_s += 1000.0  # nobody offers anything
    assert tasks(cluster.offer("b")) == []
    cluster.at_s += 1000.0  # it passed by once; that counts for two seconds
    cluster.scheduler.handle(Tick(cluster.at_s))
    assert cluster.scheduler.locality.waited_s == pytest.approx(PASSED_S)
    assert tasks(cluster.offer("b")) == []


def test_offers_that_do_not_come_back_are_asked_for(cluster: Cluster) -> None:
    cluster.add(1)
    cluster.place("a")
    cluster.offer("b")
    assert only(Revive, cluster.tick()) == [Revive(ONE)]
    assert cluster.scheduler.wakes_at is None  # once is enough


def test_without_a_wait_nobody_waits(make: Callable[..., Cluster]) -> None:
    cluster = make(Rules(locality_wait_s=0.0))
    cluster.add(2)
    cluster.place("a", "b")
    assert tasks(cluster.offer("b", 2)) == [1, 0]


def test_on_an_engine_of_one_node_nobody_waits(make: Callable[..., Cluster]) -> None:
    cluster = make(policy=BatchPolicy(alone=True))
    cluster.add(1)
    cluster.place("elsewhere")
    assert tasks(cluster.offer("here")) == [0]
    assert cluster.scheduler.local_fraction(0, "here") == 0.0


def test_a_job_whose_wait_is_taken_away_asks_for_what_it_passed_over(cluster: Cluster) -> None:
    cluster.add(1)
    cluster.place("a")
    cluster.offer("b")
    changed = cluster.scheduler.handle(RulesChanged(cluster.at_s, Rules(locality_wait_s=0.0)))
    assert only(Revive, changed) == [Revive(ONE)]
    assert tasks(cluster.offer("b")) == [0]


def test_who_prefers_no_node_takes_what_others_pass_over(cluster: Cluster) -> None:
    cluster.add(3)
    cluster.place("a", "a")
    assert tasks(cluster.offer("b", 3)) == [2]
    assert cluster.scheduler.locality.waited_s == 0.0


def test_a_new_task_that_prefers_no_node_asks_for_what_was_passed_over(cluster: Cluster) -> None:
    cluster.add(1)
    cluster.place("a")
    cluster.offer("b")
    assert cluster.add(1) == (Revive(ONE),)
    assert tasks(cluster.offer("b")) == [1]


def test_a_lower_priority_uses_what_a_higher_one_passes_over_and_that_counts_all_the_same(cluster: Cluster) -> None:
    cluster.add(1, priority=9)
    cluster.add(50)
    cluster.place("a")
    seen: list[int] = []
    while 0 not in seen:
        seen += tasks(cluster.offer("b"))
        cluster.at_s += 0.5
    assert seen == [1, 2, 3, 4, 5, 6, 0]
    assert cluster.scheduler.locality.waited_s == 0.0  # nothing stood idle


@pytest.mark.parametrize("host", ["10.0.0.7", "foam07", "Foam07.example.", "foam07.example"])
def test_a_node_is_known_by_all_of_its_names(cluster: Cluster, host: str) -> None:
    cluster.add(1)
    cluster.place(host)
    names = ("10.0.0.7", "foam07", "foam07.example")
    assert tasks(cluster.offer("other", names=("10.0.0.70",))) == []
    assert tasks(cluster.offer("node 7", names=names)) == [0]
    assert cluster.scheduler.local_fraction(0, "node 7") == 1.0


def test_a_node_is_known_by_the_address_that_the_storage_has_beside_a_name(cluster: Cluster) -> None:
    cluster.add(5)
    cluster.place("dn1.lab/10.0.0.1", "DN1.lab", "dn2.lab/10.0.0.9", "dn3.lab/10.0.0.9", "dn4.lab/10.0.0.4")
    assert cluster.why(0)[0].endswith("where its inputs lie (dn1.lab), 3.0 s at most")
    assert tasks(cluster.offer("10.0.0.2", names=("10.0.0.2",))) == []
    assert tasks(cluster.offer("10.0.0.9", names=("10.0.0.9",))) == []  # two hosts seem to be there
    assert tasks(cluster.offer("10.0.0.1", 2, names=("10.0.0.1",))) == [0, 1]
    assert cluster.scheduler.local_fraction(0, "10.0.0.1") == 1.0
    assert tasks(cluster.offer("dn2.lab", names=("dn2.lab", "10.0.0.4"))) == [2]  # its name says more


def test_longer_names_of_the_storage_are_known_unless_two_hosts_share_the_first_part(cluster: Cluster) -> None:
    cluster.add(4)
    cluster.place("node1.dc", "node2.dc", "node3.east", "node3.west")
    assert tasks(cluster.offer("Node1", names=("Node1", "10.0.0.1"))) == [0]
    assert tasks(cluster.offer("x", names=("node2.other", "node2"))) == []  # another node of that short name
    assert tasks(cluster.offer("node3", names=("node3",))) == []
    assert tasks(cluster.offer("node2")) == [1]
    assert tasks(cluster.offer("node3.west", names=("node3.west", "node3"))) == [3]
    assert tasks(cluster.offer("node3.east", names=("node3.east", "node3"))) == [2]


@pytest.mark.parametrize(
    ("hosts", "preferred"),
    [
        ((("a", 60), ("b", 40)), ["a"]),
        ((("a", 60), ("b", 55), ("c", 10)), ["a", "b"]),
        ((("b", 40), ("a", 60)), ["a"]),
        (tuple((f"n{i}", 10) for i in range(10)), []),
        ((("a", 0),), []),
        ((), []),
    ],
)
def test_the_largest_share_is_waited_for(hosts: tuple[tuple[str, int], ...], preferred: list[str]) -> None:
    places = InputLocations()
    places.learn(InputLocation(3, 100, hosts))
    assert places.chooses(3) == bool(preferred)
    assert not places.knows(3) or places.hosts(3) == preferred
    assert not places.chooses(2)
    assert not places.chooses(4)


def test_the_fraction_is_of_bytes(cluster: Cluster) -> None:
    cluster.add(1)
    cluster.scheduler.handle(InputsLocated(cluster.at_s, (InputLocation(0, 200, (("a", 150), ("b", 50))),)))
    found = [cluster.scheduler.local_fraction(0, node) for node in ("a", "b", "c")]
    assert found == [0.75, 0.25, 0.0]
    assert cluster.scheduler.local_fraction(1, "a") is None


def test_places_may_come_late_or_never(cluster: Cluster) -> None:
    cluster.add(3)
    assert tasks(cluster.offer("b", 2)) == [0, 1]
    cluster.end(1)
    cluster.place("b", "a", "a", "c")  # one runs, one has ended, one waits, one is not there yet
    assert (cluster.scheduler.locality.local_bytes, cluster.scheduler.locality.remote_bytes) == (100, 0)
    cluster.add(2)
    assert tasks(cluster.offer("c", 2)) == [3, 4]
    assert tasks(cluster.offer("a")) == [2]


def test_whoever_is_sought_waits_to_hear(cluster: Cluster) -> None:
    cluster.add(3, sought=True)
    assert cluster.offer("b", 3) == (Decline(("b",), REFUSE_S),)
    assert cluster.place("b", (), "a") == (Revive(ONE),)  # of the second one nothing is found
    assert tasks(cluster.offer("b", 3)) == [0, 1]


def test_whoever_is_sought_and_never_heard_of_waits_for_three_seconds(cluster: Cluster) -> None:
    cluster.add(2, sought=True)
    began_s = cluster.at_s
    while not (launched := tasks(cluster.offer("b", 2))):
        cluster.at_s += 0.5
    assert launched == [0, 1]
    assert cluster.at_s - began_s == pytest.approx(3.0)


def test_those_that_prefer_a_node_go_out_as_one_batch(cluster: Cluster) -> None:
    cluster.add(5)
    cluster.offer("x", 5)
    cluster.end(*range(5), wall_s=0.1)
    cluster.add(40)
    cluster.place(*("a", "b") * 20, first=5)
    (batch,) = only(Launch, cluster.offer("a"))
    assert [task for task, _ in batch.tasks] == list(range(5, 25, 2))  # half of them: its next slot is to have some
    (batch,) = only(Launch, cluster.offer("b"))
    assert batch.tasks[0] == (6, 1)


def test_a_task_that_comes_back_has_waited_already(make: Callable[..., Cluster]) -> None:
    cluster = make(Rules(retries=3, retry_delay_s=0.0))
    cluster.add(1)
    cluster.place("a")
    began_s, waited = cluster.at_s, 0.0
    for _ in range(3):
        offered_s = cluster.at_s
        while not (launched := only(Launch, cluster.offer("b"))):
            cluster.at_s += 0.5
        waited += cluster.at_s - offered_s
        cluster.scheduler.handle(BatchLost(cluster.at_s, launched[0].batch_id))
    assert cluster.at_s - began_s == pytest.approx(3.0)
    assert waited == pytest.approx(3.0)


def test_a_task_that_the_user_runs_again_waits_anew(cluster: Cluster) -> None:
    cluster.add(1)
    cluster.place("a")
    while not tasks(cluster.offer("b")):
        cluster.at_s += 0.5
    cluster.end(0)
    cluster.scheduler.handle(RelaunchAsked(cluster.at_s, (0,)))
    assert tasks(cluster.offer("b")) == []
    assert tasks(cluster.offer("a")) == [0]


def test_what_never_began_has_read_nothing(cluster: Cluster) -> None:
    cluster.add(1)
    cluster.place("a")
    cluster.offer("a")
    assert cluster.scheduler.locality.local_bytes == 100
    cluster.scheduler.handle(TasksReturned(cluster.at_s, ((0, 1),)))
    assert cluster.scheduler.locality.local_bytes == 0
    assert tasks(cluster.offer("a")) == [0]


def test_killing_empties_the_lines(cluster: Cluster) -> None:
    cluster.add(3)
    cluster.place("a", "a", "b")
    cluster.offer("c")
    cluster.scheduler.handle(KillAsked(cluster.at_s))
    assert cluster.scheduler.table.counts[TaskState.KILLED] == 3
    assert cluster.scheduler.wakes_at is None


def run_some(cluster: Cluster, node: str, count: int, wall_s: float, home: str) -> None:
    """Let tasks whose inputs are at `home` run on a node."""
    rules = cluster.scheduler.rules
    first = len(cluster.scheduler.table)
    cluster.scheduler.handle(RulesChanged(cluster.at_s, Rules(locality_wait_s=0.0)))
    cluster.add(count)
    cluster.place(*[home] * count, first=first)
    launched = tasks(cluster.offer(node, count))
    assert len(launched) == count
    cluster.end(*launched, wall_s=wall_s)
    cluster.scheduler.handle(RulesChanged(cluster.at_s, rules))


@pytest.mark.parametrize(("there_s", "waits_s"), [(10.0, 0.0), (11.0, 1.0), (100.0, 3.0)])
def test_nobody_waits_longer_than_is_gained(cluster: Cluster, there_s: float, waits_s: float) -> None:
    run_some(cluster, "a", KNOWN_AFTER, 10.0, home="a")
    run_some(cluster, "b", KNOWN_AFTER, there_s, home="a")
    assert cluster.scheduler.locality.limit_s == pytest.approx(waits_s)


def test_a_few_runs_prove_nothing(cluster: Cluster) -> None:
    run_some(cluster, "a", KNOWN_AFTER, 10.0, home="a")
    run_some(cluster, "b", KNOWN_AFTER - 1, 10.0, home="a")
    assert cluster.scheduler.locality.limit_s == 3.0


def test_waiting_that_costs_more_than_it_saves_ends(make: Callable[..., Cluster]) -> None:
    """New tasks come all the time, and the one node that has their inputs never offers again."""
    cluster = make(policy=BatchPolicy(target_s=0.001))
    began_s = cluster.at_s
    for task in range(200):
        cluster.add(1)
        cluster.place("busy", first=task)
        while not tasks(cluster.offer("b")):
            cluster.at_s += 0.25
        cluster.at_s += 0.1
        cluster.end(task, wall_s=0.1)
    waited_s = cluster.at_s - began_s - 200 * 0.1
    assert waited_s == pytest.approx(cluster.scheduler.locality.waited_s, abs=1.0)
    assert waited_s <= 3.0 + 0.02 * 20.0 + 3.25  # one wait on its one slot, a little, and the last that was begun


def test_a_line_that_is_too_long_is_not_waited_in(cluster: Cluster) -> None:
    """SPARK-18886: all inputs on one node must not hold the job there."""
    cluster.add(105)
    cluster.place(*["a"] * 105)
    cluster.end(*tasks(cluster.offer("a", 5)), wall_s=10.0)
    assert tasks(cluster.offer("a", 2)) == [5, 6]
    # 98 of 10 s in two slots: none of the last is reached in 3 s
    assert tasks(cluster.offer("b", 16)) == list(range(104, 88, -1))
    assert cluster.scheduler.locality.waited_s == 0.0


def test_the_end_of_a_line_is_waited_in(cluster: Cluster) -> None:
    cluster.add(13)
    cluster.place(*["a"] * 13)
    cluster.end(*tasks(cluster.offer("a", 5)), wall_s=3.0)
    assert len(tasks(cluster.offer("a", 4))) == 4
    assert tasks(cluster.offer("b", 16)) == []  # four of 3 s in four slots


@pytest.mark.slow
def test_places_of_a_million_tasks_are_cheap() -> None:
    cluster, count, piece = Cluster(), 100_000, 1000
    hosts = [(f"n{i}", f"n{i + 30}", f"n{i + 60}") for i in range(30)]
    tracemalloc.start()
    try:
        cluster.add(count, sought=True)
        for first in range(0, count, piece):
            cluster.place(*(hosts[task % 30] for task in range(first, first + piece)), first=first, size=1 << 27)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 150 * count  # the promise is 200 bytes a task, the parameters apart
