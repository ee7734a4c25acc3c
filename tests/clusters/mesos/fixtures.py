"""A real Mesos cluster for tests, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.clusters.mesos.build import Unavailable, programs
from tests.clusters.mesos.cluster import Cluster
from tests.conftest import require

#: a test does not wait for a second between two offers, unless that is what it is about
INTERVAL_S = 0.05

MakeCluster = Callable[..., Cluster]


@pytest.fixture(scope="session")
def mesos_programs() -> Path:
    """The folder of the programs; built at the first time."""
    try:
        return programs()
    except Unavailable as error:
        require("mesos", str(error))


@pytest.fixture
def make_mesos(mesos_programs: Path, tmp_path: Path) -> Iterator[MakeCluster]:
    """Start a cluster of one's own: takes what `Cluster` takes."""
    with ExitStack() as stack:
        count = iter(range(100))

        def make(agents: int = 1, **options: Any) -> Cluster:
            options.setdefault("allocation_interval_s", INTERVAL_S)
            return stack.enter_context(Cluster(mesos_programs, tmp_path / f"mesos{next(count)}", agents, **options))

        yield make


@pytest.fixture(scope="module")
def mesos(mesos_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two agents that the tests of a module share, so none of them may harm it."""
    folder = tmp_path_factory.mktemp("mesos")
    with Cluster(mesos_programs, folder, 2, allocation_interval_s=INTERVAL_S) as cluster:
        yield cluster
