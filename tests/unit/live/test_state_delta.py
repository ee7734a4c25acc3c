"""The states of the tasks as a browser has them."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.live.state_delta import SUPERSEDED, StateDelta, states_of


def applied(have: bytearray, message: dict[str, Any], data: bytes) -> bytearray:
    """Do as a browser does."""
    if message["zip"]:
        data = zlib.decompress(data)
    if "after" not in message:
        return bytearray(data)
    count = message["changed"]
    have = have + bytes(message["total"] - len(have))
    for i in range(count):
        task = sum(data[plane * count + i] << (8 * plane) for plane in range(4))
        have[task] = data[4 * count + i]
    return have


@given(st.lists(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 7)), max_size=60), max_size=8), st.data())
def test_who_applies_all_changes_has_the_picture(steps: list[list[tuple[int, int]]], data: st.DataObject) -> None:
    delta, have, version, states = StateDelta(), bytearray(), 0, bytearray(300)
    for step in steps:
        states += bytes(data.draw(st.sampled_from([0, 0, 1, 700])))
        for task, state in step:
            states[task % len(states)] = state
        change = delta.change(states_of(bytes(states)))
        if change is None:
            assert have == states
            continue
        message, buffer = change
        assert message.get("after", version) == version
        have, version = applied(have, message, buffer), message["version"]
        assert have == states


def test_a_few_changes_among_many_tasks_are_small_and_many_are_bounded() -> None:
    delta = StateDelta()
    states = np.zeros(100_000, np.uint8)
    message, data = delta.whole(states)
    assert (message["total"], message["zip"]) == (100_000, True)
    assert len(data) < 1000
    states[np.arange(0, 100_000, 400)] = 4
    change = delta.change(states)
    assert change is not None
    assert change[0]["changed"] == 250
    assert len(change[1]) < 1250
    states = np.random.default_rng(1).integers(0, 8, 100_000, np.uint8)
    change = delta.change(states)
    assert change is not None
    assert "after" not in change[0]
    assert len(change[1]) < 50_000


def test_nothing_new_is_nothing_to_send() -> None:
    delta = StateDelta()
    delta.whole(states_of(bytes(10)))
    assert delta.change(states_of(bytes(10))) is None
    assert delta.change(states_of(bytes(11))) is not None


def test_superseded_tasks_are_marked() -> None:
    assert bytes(states_of(b"\4\4\0", {1, 7})) == bytes([4, SUPERSEDED, 0])
