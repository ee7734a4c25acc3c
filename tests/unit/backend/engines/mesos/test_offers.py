"""Offers as amounts, and which of their resources launches take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.core.resources import SLACK, Resources
from stratos_jupyter.backend.engines.mesos.offers import (
    EXECUTOR,
    OfferResources,
    attributes,
    lacks,
    names,
    room,
    share,
)


def scalar(name: str, value: float, **more: object) -> dict[str, object]:
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}, "allocation_info": {"role": "astro"}, **more}


RESERVED = {"reservations": [{"type": "DYNAMIC", "role": "astro"}]}


def test_an_offer_is_the_sum_of_its_plain_amounts() -> None:
    pool = OfferResources(
        [
            scalar("cpus", 2.5),
            scalar("cpus", 1, **RESERVED),
            scalar("mem", 512),
            scalar("disk", 100),
            scalar("disk", 999, disk={"source": {"type": "MOUNT"}}),
            scalar("disk", 999, disk={"persistence": {"id": "x"}}),
            scalar("cpus", 8, revocable={}),
            scalar("gpus", 2),
            {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 2}]}},
        ]
    )
    assert pool.left == Resources(3.5, 512, 100, 2)


def test_what_is_reserved_goes_first_and_keeps_its_reservation() -> None:
    pool = OfferResources([scalar("cpus", 2), scalar("cpus", 1, **RESERVED), scalar("mem", 64)])
    taken = pool.take(Resources(1.5, 32))
    assert taken == [scalar("cpus", 1, **RESERVED), scalar("cpus", 0.5), scalar("mem", 32)]
    assert pool.left == Resources(1.5, 32)


@given(
    st.lists(st.floats(0.001, 64).map(lambda x: round(x, 3)), min_size=1, max_size=4),
    st.lists(st.floats(0, 16).map(lambda x: round(x, 3)), max_size=6),
)
def test_nothing_is_taken_twice_and_nothing_is_lost(parts: list[float], wanted: list[float]) -> None:
    pool = OfferResources([scalar("cpus", part) for part in parts])
    taken = sum(one["scalar"]["value"] for cpus in wanted for one in pool.take(Resources(cpus)))
    assert taken <= sum(wanted) + SLACK
    assert taken + pool.left.cpus == pytest.approx(sum(parts), abs=1e-6)
    assert taken == pytest.approx(min(sum(wanted), sum(parts)), abs=1e-6)


@pytest.mark.parametrize(
    ("cpus", "has_executor", "launched"),
    [(2.0, False, 2), (1.9, True, 2), (16.0, False, 16), (0.9, True, 1), (1.0, False, 1), (0.85, True, 0)],
)
def test_the_executor_costs_no_command_its_place(cpus: float, has_executor: bool, launched: int) -> None:
    pool = OfferResources([scalar("cpus", cpus), scalar("mem", 1000)])
    left = room(pool.left, has_executor=has_executor, cpus=1.0)
    if not has_executor:
        pool.take(EXECUTOR)
    taken = []
    while Resources(1.0).fits(left):
        left = left - Resources(1.0)
        taken.append(pool.take(share(Resources(1.0), pool.left)))
    assert len(taken) == launched
    assert all(one[0]["name"] == "cpus" and one[0]["scalar"]["value"] >= 0.9 for one in taken)


def test_small_commands_leave_the_executor_its_share() -> None:
    left = room(Resources(1.0, 512), has_executor=False, cpus=0.1)
    assert left.cpus == pytest.approx(0.9)


def test_an_offer_without_memory_for_the_executor_is_no_room() -> None:
    assert room(Resources(4, 80), has_executor=False, cpus=1) == Resources()
    assert room(Resources(4, 80), has_executor=True, cpus=1).mem_mib == 80


def test_memory_that_nobody_named_comes_in_proportion() -> None:
    pool = OfferResources([scalar("cpus", 4), scalar("mem", 4096)])
    amounts = []
    for _ in range(4):
        amount = share(Resources(1.0), pool.left)
        amounts.append(amount.mem_mib)
        pool.take(amount)
    assert amounts == [1024] * 4


def test_memory_that_was_named_is_what_is_taken() -> None:
    assert share(Resources(1, 300), Resources(4, 4096)) == Resources(1, 300)


def test_attributes_of_all_kinds() -> None:
    offer = {
        "attributes": [
            {"name": "rack", "type": "TEXT", "text": {"value": "r1"}},
            {"name": "level", "type": "SCALAR", "scalar": {"value": 3.0}},
            {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 5}]}},
        ]
    }
    told = attributes(offer)
    assert told == {"rack": "r1", "level": "3", "ports": "1-5"}
    assert lacks(told, [("rack", "r1"), ("level", "3.0")]) == ""
    assert lacks(told, [("rack", "r2"), ("level", "3"), ("zone", "x")]) == "rack=r2, zone=x"
    assert lacks({}, []) == ""


def test_all_that_a_node_may_be_called() -> None:
    address = {"hostname": "foam03.example.org", "ip": "10.1.1.3", "port": 5051}
    offer = {"hostname": "foam03.example.org", "url": {"address": address}}
    assert names(offer) == ("foam03.example.org", "10.1.1.3", "foam03")
    assert names({"hostname": "127.0.0.11"}) == ("127.0.0.11",)
