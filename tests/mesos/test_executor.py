"""The executor on a real cluster."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.clusters.mesos.cluster import Cluster
from tests.clusters.mesos.fixtures import MakeCluster
from tests.mesos.executor_job import EXECUTOR, Job, job
from tests.support.executor_client import alive
from tests.support.processes import below, children_of
from tests.support.waiting import until

pytestmark = pytest.mark.mesos


@pytest.fixture
def one(mesos: Cluster) -> Iterator[Job]:
    """A job on the cluster that all of these tests share; the framework's end ends its executor."""
    with job(mesos) as found:
        yield found
    until(lambda: not mesos.processes(), what="the end of the executor")


def guard_of(cluster: Cluster) -> int:
    """The process that the agent has started."""
    parents = {}
    for pid in cluster.processes():
        with suppress(OSError):  # a command that ends just now
            parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    (pid,) = {pid for pid, parent in parents.items() if parent not in parents}
    return pid


def executor_of(cluster: Cluster) -> int:
    (child,) = children_of(guard_of(cluster))
    return child


def test_single_commands(one: Job) -> None:
    one.run("echo hello; pwd", number=1)
    assert one.wait(1)["state"] == "TASK_FINISHED"
    assert one.record(0).stdout.startswith("hello\n/")
    assert "/executors/" in one.record(0).stdout
    one.run("exit 3", number=2, first=1)
    last = one.wait(2)
    assert (last["state"], last["message"], last["source"]) == ("TASK_FAILED", "exit code 3", "SOURCE_EXECUTOR")


def test_a_batch_brings_results_as_they_come(one: Job, tmp_path: Path) -> None:
    go = tmp_path / "go"
    one.run(*[f"echo {i}" for i in range(200)], f"until [ -e {go} ]; do sleep 0.01; done")
    one.record(0)
    assert one.framework.states["b1"] == "TASK_RUNNING"
    one.record(199)
    assert [record.stdout for record in one.records] == [f"{i}\n" for i in range(200)]
    go.touch()
    assert one.wait()["state"] == "TASK_FINISHED"
    assert len(one.records) == 201


def test_batches_side_by_side(one: Job) -> None:
    infos = [one.batch(f"echo {i}", "sleep 0.1", number=i, first=10 * i) for i in range(1, 4)]
    one.launch(*infos)
    for i in range(1, 4):
        one.wait(i)
        assert one.record(10 * i).stdout == f"{i}\n"


def test_one_of_a_batch_is_killed_one_is_late_one_is_watched(one: Job, tmp_path: Path) -> None:
    monitor = tmp_path / "monitor"
    monitor.write_text("#!/bin/sh\ncase $2 in *bad*) echo stratos_relaunch;; esac\n")
    monitor.chmod(0o755)
    one.run(
        *("echo first", "sleep 60", "while :; do echo bad; sleep 0.1; done", "sleep 62", "echo last"),
        timeout_s=3.0,
        monitor={"argv": [str(monitor)]},
        update_interval_s=0.3,
    )
    one.pid(1)
    one.say(["kill", [[1, 1]], "user"])
    last = one.wait()
    assert [one.record(i).reason for i in range(5)] == ["exit", "user", "monitor", "timeout", "exit"]
    assert last["message"] == "3 of 5 commands failed"


def test_what_is_recalled(one: Job, tmp_path: Path) -> None:
    go = tmp_path / "go"
    one.run(f"until [ -e {go} ]; do sleep 0.01; done", "echo b", "echo c")
    one.pid(0)
    assert one.ask(["recall", [1]], "recalled") == [[1]]
    go.touch()
    one.wait()
    assert [one.record(i).reason for i in range(3)] == ["exit", "returned", "returned"]


def test_what_is_asked(one: Job) -> None:
    one.run("echo so far; sleep 60")
    pid = one.pid(0)
    assert one.ask(["tail", 7, 0, 1, 100], "tail") == [7, {"stdout": "so far\n", "stderr": "", "note": ""}]
    one.ask(["hello", 1], "kept")
    assert one.said("inventory") == [[[[1, "b1", [[0, 1]]]]]]
    assert one.said("hello")[0][0]["version"] == 1
    one.framework.kill("b1")
    assert one.wait()["state"] == "TASK_KILLED"
    assert not alive([pid])


def test_a_kill_with_its_grace(one: Job) -> None:
    one.run("trap '' TERM; echo ready; while :; do sleep 1; done", grace_s=60.0)
    one.pid(0)
    one.framework.until(lambda: one.ask(["tail", 1, 0, 1, 100], "tail")[1]["stdout"])
    one.framework.kill("b1", grace_s=0.1)
    one.framework.wait("b1", "TASK_KILLING", "TASK_KILLED")
    assert one.wait()["state"] == "TASK_KILLED"
    assert one.record(0).reason == "user"


def test_files_in_the_sandbox(one: Job, mesos: Cluster) -> None:
    one.run("echo in the sandbox", output="mesos")
    one.wait()
    sandbox = one.sandbox(mesos)
    found = mesos.get(f"/files/browse?path={sandbox.resolve()}/tasks/0", agent_index(one, mesos))
    assert {os.path.basename(file["path"]): file["size"] for file in found} == {"0.1.stdout": 15, "0.1.stderr": 0}
    assert (sandbox / "tasks/0/0.1.stdout").read_text() == "in the sandbox\n"


def agent_index(one: Job, cluster: Cluster) -> int:
    (agent,) = [agent for agent in cluster.active_agents() if agent["id"] == one.agent_id]
    return cluster.ports.index(int(re.sub(r".*:", "", agent["pid"])))


def test_a_shutdown(one: Job, mesos: Cluster) -> None:
    one.run("sleep 60")
    pid = one.pid(0)
    one.framework.shutdown(EXECUTOR, one.agent_id)
    one.framework.until(lambda: not mesos.processes())
    assert not alive([pid])


DAEMON = "setsid env -i sh -c 'setsid sleep 60 & setsid sleep 60' & setsid sleep 60 & echo; sleep 60"


@pytest.mark.parametrize("whom", ["executor", "guard"])
def test_nothing_outlives_an_executor(one: Job, mesos: Cluster, whom: str) -> None:
    one.run(DAEMON)
    pid = one.pid(0)
    executor = executor_of(mesos)

    pids = until(lambda: len(found := below(executor)) >= 5 and found)
    assert pid in pids
    os.kill(executor if whom == "executor" else guard_of(mesos), signal.SIGKILL)
    assert one.framework.wait("b1")["source"] == "SOURCE_AGENT"
    until(lambda: not alive([executor, *pids]))
    one.run("echo again", number=2, first=1)
    one.wait(2)
    assert one.record(1).stdout == "again\n"


def test_an_agent_that_is_killed_while_commands_run(make_mesos: MakeCluster) -> None:
    cluster = make_mesos()
    with job(cluster) as one:
        one.launch(
            one.batch(*[f"echo {i}; sleep 0.02" for i in range(100)], number=1),
            one.batch("sleep 60", number=2, first=100),
        )
        one.record(0)
        pid = one.pid(100)
        cluster.kill_agent(0)
        until(lambda: len(list(one.sandbox(cluster).iterdir())) >= 2)
        cluster.start_agent(0)
        one.wait(1)
        assert [record.stdout for record in one.records] == [f"{i}\n" for i in range(100)]
        assert alive([pid])
        one.framework.kill("b2")
        one.wait(2)
        assert one.record(100).reason == "user"


def test_an_agent_that_is_killed_while_nobody_acknowledges(make_mesos: MakeCluster) -> None:
    cluster = make_mesos()
    with job(cluster) as one:
        one.framework.ack = False
        one.run(*[f"echo {i}" for i in range(50)], "sleep 0.3", "echo last")
        one.framework.until(lambda: one.framework.updates)
        cluster.kill_agent(0)
        cluster.start_agent(0)
        one.framework.ack = True
        one.framework.until(lambda: one.framework.states.get("b1") == "TASK_FINISHED")
        one.take()
        assert {record.task for record in one.records} == set(range(52))


def test_without_checkpoint_nothing_outlives_the_agent(make_mesos: MakeCluster) -> None:
    cluster = make_mesos()
    with job(cluster, checkpoint=False) as one:
        one.run("sleep 60")
        pid = one.pid(0)
        cluster.kill_agent(0)
        until(lambda: not alive([pid, *cluster.processes()]))


def test_no_python_on_the_agent(make_mesos: MakeCluster, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("sh", "sleep"):
        (tmp_path / "bin" / name).symlink_to(f"/bin/{name}")
    cluster = make_mesos(executor_env={"PATH": str(tmp_path / "bin")})
    with job(cluster) as one:
        one.run("true")
        one.framework.wait("b1")
        one.framework.until(lambda: [event for event in one.framework.others if event["type"] == "FAILURE"])
        (failure,) = one.framework.others
        assert os.WEXITSTATUS(failure["failure"]["status"]) == 69
        assert "no python3 on this node" in (one.sandbox(cluster) / "stderr").read_text()
