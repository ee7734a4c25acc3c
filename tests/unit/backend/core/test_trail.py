"""The trail of the last events and decisions: complete, bounded, and free of what could act."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import fields
from typing import get_args

import pytest

from stratos_jupyter.backend.core import trail as trails
from stratos_jupyter.backend.core.decisions import Decision, Decline, Kill, Launch
from stratos_jupyter.backend.core.events import (
    Attached,
    BatchLost,
    Ending,
    Event,
    InputLocation,
    InputsLocated,
    KillAsked,
    Offer,
    OffersArrived,
    OfferUnfit,
    PauseAsked,
    RulesChanged,
    Superseded,
    TasksAdded,
    TasksEnded,
    Tick,
)
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.core.states import Reason
from stratos_jupyter.backend.core.trail import DECISIONS_MOST, EVENTS_MOST, LINE_MOST, LONG, PARTS_MOST, Trail
from stratos_jupyter.errors import RefusedMove
from tests.support.offers import ONE, Cluster

MANY = 100_000


def trail_size(trail: Trail) -> int:
    """Return how many objects of the core a trail keeps alive."""
    found: dict[int, object] = {}
    left: list[object] = [trail._entries]
    while left:
        one = left.pop()
        if id(one) not in found and not isinstance(one, type):
            found[id(one)] = one
            left += gc.get_referents(one)
    return len(found)


def test_what_happened_and_what_was_decided_on_it_can_be_read() -> None:
    cluster = Cluster()
    cluster.add(2)
    cluster.at_s += 60.0
    cluster.offer("foam01", 1)
    cluster.at_s += 1.5
    cluster.end(0, wall_s=1.25)
    assert cluster.scheduler.trail.lines(cluster.at_s + 0.5) == [
        "1 min ago  TasksAdded count=2 demand=(1 cpu) priority=0 sought=False -> Revive least=(1 cpu)",
        "2.0 s ago  OffersArrived [(offer_id='foam01' node='foam01' resources=(1 cpu))]"
        " -> Launch offer_id='foam01' node='foam01' batch_id=1 demand=(1 cpu) [0:1]",
        "0.5 s ago  TasksEnded [(0 1 exit 0 1.25)]",
    ]


def test_the_last_events_are_kept_and_ticks_that_led_to_nothing_are_not() -> None:
    trail = Trail()
    for number in range(1000):
        trail.note(BatchLost(float(number), number), ())
        trail.note(Tick(float(number)), ())
    lines = trail.lines(999.0)
    assert len(lines) == len(trail) == EVENTS_MOST
    assert "batch_id=800" in lines[0]
    assert "batch_id=999" in lines[-1]
    assert [line.split()[-1] for line in trail.lines(999.0, 2)] == ["batch_id=998", "batch_id=999"]
    trail.note(Tick(1000.0), (Kill(((1, 1),), Reason.TIMEOUT),))
    assert trail.lines(1000.0)[-1].endswith("Tick -> Kill reason=timeout [1:1]")


def test_everything_that_can_tell_of_many_is_known_to_be_long() -> None:
    kinds = (*get_args(Event), *get_args(Decision))
    long = {kind for kind in kinds if any("tuple" in field.type or "frozenset" in field.type for field in fields(kind))}
    assert set(LONG) == long


@pytest.mark.parametrize(
    "event",
    [
        Attached(0.0, frozenset((task, 1) for task in range(MANY))),
        InputsLocated(0.0, tuple(InputLocation(task, 9, (("a", 9),) * 9) for task in range(MANY))),
        KillAsked(0.0, tuple(range(MANY))),
        OffersArrived(0.0, tuple(Offer(str(task), "a", ONE) for task in range(MANY))),
        Superseded(0.0, (1,), tuple(range(MANY))),
        TasksEnded(0.0, tuple(Ending(task, 1, Reason.EXIT, 0, 1.0) for task in range(MANY))),
    ],
)
def test_an_event_of_many_tasks_is_not_kept_alive(event: Event) -> None:
    trail = Trail()
    trail.note(event, ())
    (line,) = trail.lines(0.0)
    assert type(event).__name__ in line
    assert f"{MANY + isinstance(event, Superseded):,} in all" in line
    assert trail_size(trail) < 100


def test_decisions_of_many_tasks_are_not_kept_alive() -> None:
    trail = Trail()
    tracemalloc.start()
    try:
        for number in range(EVENTS_MOST):
            tasks = tuple((task, 1) for task in range(1000, 2000))
            launches: list[Decision] = [Launch("o", "a", number, ONE, tasks, None) for _ in range(20)]
            trail.note(Tick(0.0), (*launches, Kill(tasks)))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 4_000_000, "a tenth of what the tasks alone take"
    assert f"{21 - DECISIONS_MOST} more" in trail.lines(0.0)[-1] or len(trail.lines(0.0)[-1]) == LINE_MOST


def test_a_line_is_bounded_and_what_comes_from_a_cluster_cannot_act() -> None:
    trail = Trail()
    hostile = "\x1b[2J\nrm -rf ~\u202e" + "x" * 10_000
    trail.note(OfferUnfit(0.0, hostile, hostile), (Decline((hostile,), 1.0),) * 3)
    trail.note(PauseAsked(0.0, hostile), ())
    trail.note(OffersArrived(0.0, (Offer(hostile, hostile, ONE, names=(hostile,)),) * PARTS_MOST), ())
    for line in trail.lines(0.0):
        assert line.isprintable()
        assert len(line) <= LINE_MOST


def test_kills_of_all_tasks_and_rules_can_be_read() -> None:
    trail = Trail()
    trail.note(KillAsked(0.0), ())
    trail.note(RulesChanged(0.0, Rules(retries=3)), ())
    trail.note(TasksAdded(0.0, 3, Resources(2, 1024), 1, True), ())
    assert [line.partition("  ")[2] for line in trail.lines(0.0)] == [
        "KillAsked ['all']",
        f"RulesChanged rules={repr(Rules(retries=3))[: trails.VALUE_MOST - 1]}…",
        "TasksAdded count=3 demand=(2 cpus, 1,024 MiB memory) priority=1 sought=True",
    ]


def test_an_impossible_event_carries_the_trail() -> None:
    cluster = Cluster()
    cluster.add(1)
    for _ in range(30):
        cluster.add(1)
    with pytest.raises(RefusedMove) as caught:
        cluster.end(0)
    (note,) = caught.value.__notes__
    lines = note.splitlines()
    assert len(lines) == 1 + trails.LINES_OF_ERROR
    assert "TasksEnded [(0 1 exit 0 10)]" in lines[-1], "the event that could not be is the last"
    assert "TasksAdded" in lines[-2]
    assert "TasksAdded" not in str(caught.value), "what a user reads stays short"


def test_offers_that_are_only_declined_push_out_nothing() -> None:
    cluster = Cluster()
    cluster.add(1)
    before = len(cluster.scheduler.trail)
    for _ in range(300):
        assert cluster.offer("small", 0.5), "declined"
    assert len(cluster.scheduler.trail) == before
