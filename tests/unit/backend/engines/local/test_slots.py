"""The slots of a job on this machine."""

from __future__ import annotations

from typing import Any

import pytest

from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.engines.local.slots import SlotTable

ONE = Resources(1.0)


@pytest.fixture
def executors() -> list[Any]:
    return [object(), object()]


def test_a_slot_is_there_from_its_first_batch_to_the_end_of_its_last(executors: list[Any]) -> None:
    slots = SlotTable()
    slot = slots.open(executors[0], ONE)
    slots.put(slot, 1, [(0, 1), (1, 1)])
    slots.put(slot, 2, [(2, 1)])
    assert slot.batches == [1, 2]
    assert slots.batch_of((1, 1)) == 1
    assert slots.executor_of((2, 1)) is executors[0]
    assert slots.report((0, 1)) is None  # its batch has one left
    assert slots.report((0, 1)) is None  # told twice
    assert slots.report((1, 1)) == 1
    assert slots.end(1) is slot
    assert (slots.slot_of(1), slots.slot_of(2), slot.batches) == (None, slot, [2])
    assert slots.report((2, 1)) == 2
    slots.end(2)
    assert len(slots) == 0
    assert slots.executor_of((2, 1)) is None


def test_the_lowest_free_number_is_given_again(executors: list[Any]) -> None:
    slots = SlotTable()
    for batch in range(3):
        slots.put(slots.open(executors[0], ONE), batch, [(batch, 1)])
    assert slots.report((1, 1)) == 1
    slots.end(1)
    assert slots.open(executors[1], ONE).number == 1
    assert slots.open(executors[1], ONE, 7).number == 7
    assert slots.numbered(7) is not None
    assert [slots.load(one) for one in executors] == [2, 2]


def test_an_executor_that_is_gone_takes_its_batches_along(executors: list[Any]) -> None:
    slots = SlotTable()
    slots.put(slots.open(executors[0], ONE), 1, [(1, 1), (0, 1)])
    slots.put(slots.open(executors[1], ONE), 2, [(2, 1)])
    assert slots.lose(executors[0]) == {1: [(0, 1), (1, 1)]}
    assert slots.attempts() == [(2, 1)]
    slots.end(1)
    assert slots.load(executors[0]) == 0
    with pytest.raises(AssertionError):
        slots.end(2)  # it has an attempt left
