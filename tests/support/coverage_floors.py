"""How much of the code the tests must reach, checked at the end of a run with ``--cov``."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final

import pytest

#: the least that is reached, in per cent: of the whole, and of the rooms that decide
FLOORS: Final = {"": 90.0, "backend/core/": 97.0, "backend/spec/": 97.0}


def measures(config: pytest.Config) -> bool:
    """Return whether this process gathers what all have reached."""
    return bool(config.getoption("cov_source", None)) and not hasattr(config, "workerinput")


def reached() -> Iterator[tuple[str, float]]:
    """Return each room with the share that the tests have reached of it, in per cent."""
    import coverage

    measured = coverage.Coverage()
    measured.load()
    for room in FLOORS:
        yield room, measured.report(include=[f"*/stratos_jupyter/{room}*"], file=io.StringIO())


def check(session: pytest.Session) -> list[str]:
    """Return a line a room; where one is below its floor, the run has failed."""
    lines = []
    for room, share in reached():
        below = share < FLOORS[room]
        session.testsfailed += below
        said = f"tests reach {share:.1f} % of stratos_jupyter/{room}, and must reach {FLOORS[room]:g} %"
        lines.append(f"ERROR: {said}" if below else said)
    return lines
