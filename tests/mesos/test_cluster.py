"""The cluster that other tests rely on does what a cluster does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clusters.mesos.cluster import Cluster
from tests.clusters.mesos.fixtures import MakeCluster
from tests.clusters.mesos.rawframework import Framework, Refused, scalar, shell, task
from tests.support.executor_client import alive
from tests.support.waiting import until

pytestmark = pytest.mark.mesos


def hold(until_there: Path) -> str:
    """A command that goes on until a file is there."""
    return f"until [ -e {until_there} ]; do sleep 0.02; done"


def test_commands_run_on_every_agent(mesos: Cluster) -> None:
    with Framework(mesos.master) as framework:
        framework.until(lambda: len(framework.offers) == 2)
        offers = list(framework.offers.values())
        assert [scalar(offer, "cpus") for offer in offers] == [2, 2]
        for name, offer in zip("ab", offers, strict=True):
            framework.launch(offer, [task(name, command=shell(f"test {name} = a"))])
        assert framework.wait("a")["state"] == "TASK_FINISHED"
        assert framework.wait("b")["state"] == "TASK_FAILED"


def test_a_kill_and_a_reconciliation(mesos: Cluster, tmp_path: Path) -> None:
    with Framework(mesos.master) as framework:
        framework.launch(framework.offer(), [task("long", command=shell(hold(tmp_path / "never")))])
        framework.wait("long", "TASK_RUNNING")
        framework.reconcile("long", "unknown")
        framework.until(lambda: framework.states.get("unknown"))
        assert framework.states == {"long": "TASK_RUNNING", "unknown": "TASK_UNKNOWN"}
        framework.kill("long", grace_s=1)
        assert framework.wait("long")["state"] == "TASK_KILLED"
    framework.subscribe()
    with pytest.raises(Refused, match="removed"):  # it has been torn down
        framework.until(lambda: False)


def test_an_agent_that_was_killed_comes_back_with_its_executors(make_mesos: MakeCluster, tmp_path: Path) -> None:
    cluster = make_mesos()
    with Framework(cluster.master) as framework:
        framework.launch(framework.offer(), [task("t", command=shell(hold(tmp_path / "go")))])
        framework.wait("t", "TASK_RUNNING")
        cluster.kill_agent(0)
        cluster.start_agent(0)
        cluster.wait_agents()
        (tmp_path / "go").touch()
        assert framework.wait("t")["state"] == "TASK_FINISHED"


def test_an_agent_that_is_cut_off_comes_back(make_mesos: MakeCluster, tmp_path: Path) -> None:
    cluster = make_mesos(agent_timeout_s=2)
    with Framework(cluster.master) as framework:
        framework.launch(framework.offer(), [task("t", command=shell(hold(tmp_path / "never")))])
        framework.wait("t", "TASK_RUNNING")
        cluster.pause_agent(0)
        framework.wait("t", "TASK_UNREACHABLE")
        cluster.resume_agent(0)
        framework.wait("t", "TASK_RUNNING")


def test_a_master_comes_back(make_mesos: MakeCluster, tmp_path: Path) -> None:
    cluster = make_mesos(agent_timeout_s=2)
    with Framework(cluster.master) as framework:
        framework.launch(framework.offer(), [task("t", command=shell(hold(tmp_path / "go")))])
        framework.wait("t", "TASK_RUNNING")
        cluster.kill_master()
        with pytest.raises(ConnectionError):
            framework.until(lambda: False)
        cluster.start_master()
        framework.subscribe()
        (tmp_path / "go").touch()
        assert framework.wait("t")["state"] == "TASK_FINISHED"


def test_nothing_outlives_the_cluster(make_mesos: MakeCluster, tmp_path: Path) -> None:
    cluster = make_mesos()
    with Framework(cluster.master) as framework:
        pid_file = tmp_path / "pid"
        command = f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; {hold(tmp_path / 'never')}"
        framework.launch(framework.offer(), [task("t", command=shell(command))])
        pid = int(until(lambda: pid_file.exists() and pid_file.read_text()))
        assert pid in cluster.processes()
        cluster.stop()
        assert not alive([pid])
        assert not cluster.processes()
