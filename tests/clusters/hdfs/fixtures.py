"""A real HDFS for tests, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.hdfs.build import Unavailable, servers
from tests.clusters.hdfs.cluster import Hdfs
from tests.conftest import require


@pytest.fixture(scope="session")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hdfs]:
    """Three DataNodes, which all tests share: none may harm it, or use a path that is not its own."""
    pytest.importorskip("hdfs")
    try:
        found = servers()
    except Unavailable as error:
        require("hdfs", str(error))
    with Hdfs(found, tmp_path_factory.mktemp("hdfs")) as cluster:
        yield cluster


@pytest.fixture
def breakable_hdfs(hdfs: Hdfs) -> Iterator[Hdfs]:
    """The same, whole again after the test."""
    yield hdfs
    hdfs.mend()


@pytest.fixture
def folder(hdfs: Hdfs, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A path on it for this test alone; nothing is there."""
    return f"/tests/{tmp_path.name}"
