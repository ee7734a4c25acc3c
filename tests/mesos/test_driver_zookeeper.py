"""The driver, masters that elect one of them, and the ZooKeeper that they do so by: all of them real."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stratos_jupyter.backend.engines.mesos.master_events import Disconnected, Subscribed
from tests.clusters.mesos.cluster import Cluster, free_port
from tests.conftest import require
from tests.support.mesos_driver import Driven, threads
from tests.support.waiting import until

JAR = Path("/usr/share/java/zookeeper.jar")
CONFIGURATION = """
tickTime=300
dataDir={folder}
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
"""


class ZooKeeper:
    """A ZooKeeper of one's own."""

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port('127.0.0.1')}"
        self._folder = folder
        folder.mkdir()
        port = self.address.partition(":")[2]
        (folder / "zoo.cfg").write_text(CONFIGURATION.format(folder=folder, port=port))

    def __enter__(self) -> ZooKeeper:
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["java", "-Xmx64m", "-cp", str(JAR), main, str(self._folder / "zoo.cfg")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def wait_up(self) -> None:
        host, port = self.address.split(":")

        def up() -> bool:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            try:
                socket.create_connection((host, int(port)), 1).close()
            except OSError:
                return False
            return True

        until(up, 30, "ZooKeeper")


@pytest.fixture
def zookeeper(tmp_path: Path) -> ZooKeeper:
    if not JAR.exists():
        require("zookeeper", "no ZooKeeper (Debian: zookeeper)")
    return ZooKeeper(tmp_path / "zookeeper")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.slow
def test_the_leader_is_found_and_followed(
    zookeeper: ZooKeeper, stack: ExitStack, mesos_programs: Path, tmp_path: Path
) -> None:
    uri = f"zk://{zookeeper.address}/mesos/test"

    def master(name: str) -> Cluster:
        flags = [f"--zk={uri}", "--quorum=1", "--registry=in_memory"]
        return stack.enter_context(Cluster(mesos_programs, tmp_path / name, 0, master_flags=flags))

    with Driven(uri) as driven:
        # Nothing runs yet, then ZooKeeper without masters, then a master.
        driven.clock.ahead_s += 5
        assert f"{uri} has not answered yet" in driven.wait(Disconnected).why
        stack.enter_context(zookeeper)
        zookeeper.wait_up()
        leader = master("leader")
        subscribed = driven.wait(Subscribed, timeout_s=40)
        assert subscribed.master["port"] == leader.port
        # A master that does not lead sends us to the one that does.
        other = master("other")
        with Driven(other.master) as redirected:
            assert redirected.wait(Subscribed).master["port"] == leader.port
            assert not redirected.of(Disconnected)
            # The leader dies: ZooKeeper names the other one, and whoever was sent away from that one asks it again.
            leader.kill_master()
            for one, framework_id in ((driven, subscribed.framework_id), (redirected, redirected.driver.framework_id)):
                one.wait(Disconnected)
                one.clock.ahead_s += 20
                again = one.wait(Subscribed, timeout_s=40)
                assert (again.master["port"], again.framework_id) == (other.port, framework_id)
    until(lambda: not threads(), what="the end of all threads")
