"""Sets of tasks that come in ranges."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.core.ranges import TaskRanges


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=20))
def test_they_hold_what_was_added_and_neighbours_are_one(pieces: list[tuple[int, int]]) -> None:
    ranges, added, at = TaskRanges(), [], 0
    for gap, count in pieces:
        ranges.add(range(at + gap, at + gap + count))
        added += range(at + gap, at + gap + count)
        at += gap + count
    assert len(ranges) == len(added)
    assert [task for task in range(at + 1) if task in ranges] == added
    held = list(ranges)
    assert [task for one in held for task in one] == added
    assert all(one.stop < other.start for one, other in pairwise(held)), "neighbours are one"
    assert list(TaskRanges(reversed(held))) == held
