"""A job under the Mesos engine, for whoever wants to tell it what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.mesos_engine import Rig


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(**options: Any) -> Rig:
        folder = tmp_path / str(len(rigs))
        folder.mkdir()
        rigs.append(Rig(folder, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.end()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """A job of two tasks, subscribed."""
    rig = make_rig()
    rig.add(2)
    rig.subscribe()
    return rig
