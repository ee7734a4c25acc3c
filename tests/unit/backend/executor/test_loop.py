"""The executor's loop: everybody has a turn."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from stratos_jupyter.backend.executor.loop import READ, Loop


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def test_a_timer_that_plans_itself_again_leaves_descriptors_their_turn(pipe: tuple[int, int]) -> None:
    loop = Loop(lambda _numbers: None)
    seen = []
    rings = 0

    def ring() -> None:
        nonlocal rings
        rings += 1
        if rings == 1:
            os.write(pipe[1], b"x")
        if not seen and rings < 1000:
            loop.at(0.0, ring)

    loop.watch(pipe[0], READ, seen.append)
    loop.at(0.0, ring)
    loop.turn()
    loop.turn()
    assert (len(seen), rings) == (1, 2)


def test_a_timer_may_be_years_away(pipe: tuple[int, int]) -> None:
    loop = Loop(lambda _numbers: None)
    seen = []
    loop.watch(pipe[0], READ, seen.append)
    loop.at(time.monotonic() + 1e9, lambda: None)
    os.write(pipe[1], b"x")
    loop.turn()
    assert seen
