"""What fails on a cluster, on a real one: nothing that was recorded is lost or run again, nothing is left behind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from urllib.request import urlopen

import pytest

from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.errors import EngineError
from stratos_jupyter.job import Job
from stratos_jupyter.session import Session
from stratos_jupyter.settings import current as settings
from tests.clusters.mesos.fixtures import MakeCluster
from tests.faults.kernels import is_up, kill, start
from tests.mesos.conftest import begun, executors, noting, submit
from tests.support.executor_client import alive
from tests.support.waiting import until

pytestmark = pytest.mark.mesos


def gated(folder: Path, task: int) -> str:
    """A command that says that it has begun, waits for a file, and says which it was."""
    return noting(folder, f"until [ -e {folder}/go ]; do sleep 0.02; done; echo {task}")


def running(job: Job, count: int) -> None:
    until(
        lambda: job.view[TaskState.RUNNING] == count, 30, f"{count} running, not {job.view.counts} {job.view.notices}"
    )


def outputs(job: Job) -> dict[int, str]:
    """What each task's result says, which is there once."""
    rows = list(job.rows())
    assert len({row.task for row in rows}) == len(rows)
    return {row.task: (row.stdout or b"").decode() for row in rows}


def expected(count: int) -> dict[int, str]:
    return {task: f"{task}\n" for task in range(count)}


def test_an_agent_that_comes_back_has_lost_nothing(make_mesos: MakeCluster, session: Session, tmp_path: Path) -> None:
    cluster = make_mesos(2)
    job = submit(session, cluster, *(gated(tmp_path, task) for task in range(6)))
    running(job, 4)
    before = executors(cluster)
    cluster.kill_agent(0)
    (tmp_path / "go").touch()  # what runs there ends while its agent is away
    until(lambda: job.view.done >= 2, 30)
    cluster.start_agent(0)
    assert job.wait(60)
    assert outputs(job) == expected(6)
    assert set(begun(tmp_path).values()) == {1}
    assert job.view.attempts_lost == 0
    assert len(before) >= 2


def test_what_an_agent_that_never_comes_back_had_runs_elsewhere(
    make_mesos: MakeCluster, session: Session, tmp_path: Path
) -> None:
    settings().partition_wait = "1s"
    cluster = make_mesos(2, agent_timeout_s=2)
    job = submit(session, cluster, *(gated(tmp_path, task) for task in range(4)))
    running(job, 4)
    cluster.kill_agent(0)
    for pid in executors(cluster, "agent0"):
        kill(pid)
    until(lambda: job.view[TaskState.UNREACHABLE] or job.view.attempts_lost, 30)
    (tmp_path / "go").touch()
    assert job.wait(60)
    assert outputs(job) == expected(4)
    assert job.view.attempts_lost == 2
    assert sorted(begun(tmp_path).values()) == [1, 1, 2, 2]


def test_an_executor_that_is_killed_takes_its_commands_along(
    make_mesos: MakeCluster, session: Session, tmp_path: Path
) -> None:
    cluster = make_mesos(1)
    done = submit(session, cluster, "echo first", job_id="warm")
    assert done.wait(30)
    job = submit(session, cluster, *(gated(tmp_path, task) for task in range(2)))
    running(job, 2)
    commands = set(cluster.processes()) - set(executors(cluster))
    assert commands
    for pid in executors(cluster):
        kill(pid)
    until(lambda: job.view.attempts_lost == 2, 30)
    until(lambda: not alive(commands), 10, "the end of what a dead executor ran")
    (tmp_path / "go").touch()
    assert job.wait(60)
    assert outputs(job) == expected(2)
    assert [row.attempt for row in job.rows()] == [2, 2]


def test_a_master_that_comes_back_finds_all_of_it(make_mesos: MakeCluster, session: Session, tmp_path: Path) -> None:
    cluster = make_mesos(2, agent_timeout_s=5)  # so long they wait before they look for the master again
    job = submit(session, cluster, *(gated(tmp_path, task) for task in range(8)))
    running(job, 4)
    cluster.kill_master()
    until(lambda: any("what runs goes on" in notice for notice in job.view.notices), 30)
    (tmp_path / "go").touch()
    cluster.start_master()
    assert job.wait(60), job.view
    assert outputs(job) == expected(8)
    assert set(begun(tmp_path).values()) == {1}
    assert job.view.attempts_lost == 0
    assert not job.view.notices


SUBMIT = """
from stratos_jupyter.session import current
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
job = current().submit(JobSpec("demo", master={master!r}), explicit_commands({texts!r}))
print("up", flush=True)
job.wait(600)
"""


def test_a_kernel_that_dies_is_followed_by_the_next(
    make_mesos: MakeCluster, session: Session, tmp_path: Path, state_home: Path
) -> None:
    cluster = make_mesos(2)
    texts = [gated(tmp_path, task) for task in range(8)]
    kernel = start(SUBMIT.format(master=cluster.master, texts=texts), state_home)
    is_up(kernel)
    until(lambda: sum(begun(tmp_path).values()) == 4, 30)
    kill(kernel.pid)
    kernel.communicate()
    before = executors(cluster)
    frameworks = cluster.get("/master/frameworks")["frameworks"]
    (tmp_path / "go").touch()
    job = session.attach("demo")
    assert job.wait(60), job.view
    assert outputs(job) == expected(8)
    assert set(begun(tmp_path).values()) == {1}
    assert job.view.attempts_lost == 0
    assert len(before) >= 2
    assert set(executors(cluster)) <= set(before)  # they were used again
    after = cluster.get("/master/frameworks")
    assert [one["id"] for one in frameworks] == [
        one["id"] for one in after["frameworks"] + after["completed_frameworks"]
    ]


def test_everything_is_killed_at_once(
    make_mesos: MakeCluster, session: Session, tmp_path: Path, state_home: Path
) -> None:
    cluster = make_mesos(2)
    texts = [noting(tmp_path, f"sleep 0.3; echo {task}") for task in range(24)]
    kernel = start(SUBMIT.format(master=cluster.master, texts=texts), state_home)
    is_up(kernel)
    until(lambda: sum(begun(tmp_path).values()) >= 8, 30)
    kill(kernel.pid)
    kernel.communicate()
    cluster.kill_master()
    recorded = set()
    for pid in executors(cluster):
        kill(pid)
    for agent in range(2):
        cluster.kill_agent(agent)
    cluster.start_master()
    for agent in range(2):
        cluster.start_agent(agent)
    job = session.attach("demo")
    recorded = {row.task for row in job.rows()}
    again = {task for task, count in begun(tmp_path).items() if count > 1}
    assert job.wait(90), job.view
    assert outputs(job) == expected(24)
    counts = begun(tmp_path)
    again = {task for task, count in counts.items() if count > 1}
    assert not again & recorded  # what had been recorded did not run again
    assert max(counts.values()) <= 3


def test_a_framework_whose_failover_time_has_passed_begins_anew(
    make_mesos: MakeCluster, session: Session, tmp_path: Path, state_home: Path
) -> None:
    cluster = make_mesos(1)
    texts = ["echo 0", *(gated(tmp_path, task) for task in range(1, 3))]
    kernel = start(SUBMIT.format(master=cluster.master, texts=texts), state_home, {"STRATOS_FAILOVER_TIMEOUT": "1s"})
    is_up(kernel)
    until(lambda: sum(begun(tmp_path).values()) == 2, 30)
    kill(kernel.pid)
    kernel.communicate()
    until(lambda: cluster.get("/master/frameworks")["completed_frameworks"], 30, "the end of the framework")
    (tmp_path / "go").touch()
    job = session.attach("demo")
    assert job.wait(60), job.view
    assert outputs(job) == expected(3)
    assert begun(tmp_path) == {1: 2, 2: 2}
    assert [row.attempt for row in job.rows() if row.task == 0] == [1]


def test_a_node_without_python_is_left_out(make_mesos: MakeCluster, session: Session, tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("sh", "sleep", "cat", "mkdir"):
        (bare / name).symlink_to(f"/bin/{name}")
    cluster = make_mesos(1, executor_env={"PATH": str(bare)})
    job = submit(session, cluster, "echo a")
    until(lambda: any("no python3" in notice for notice in job.view.notices), 30)
    until(lambda: job.view[TaskState.QUEUED] == 1)
    assert job.view.attempts_lost == 0


def test_a_master_that_is_not_there_is_said_so_at_once(session: Session) -> None:
    with pytest.raises(EngineError, match=r"cannot reach a Mesos master at 127\.0\.0\.1:9: Connection refused"):
        session.site("127.0.0.1:9").describe()


def test_a_partition_and_its_end(make_mesos: MakeCluster, session: Session, tmp_path: Path) -> None:
    cluster = make_mesos(1, agent_timeout_s=2)
    job = submit(session, cluster, *(gated(tmp_path, task) for task in range(2)))
    running(job, 2)
    cluster.pause_agent(0)
    until(lambda: job.view[TaskState.UNREACHABLE] == 2, 30)
    cluster.resume_agent(0)
    running(job, 2)
    (tmp_path / "go").touch()
    assert job.wait(60)
    assert outputs(job) == expected(2)
    assert set(begun(tmp_path).values()) == {1}
    assert job.view.attempts_lost == 0


def test_what_runs_on_an_agent_that_is_drained_runs_elsewhere(
    make_mesos: MakeCluster, session: Session, tmp_path: Path
) -> None:
    cluster = make_mesos(2)
    job = submit(session, cluster, *(gated(tmp_path, task) for task in range(4)))
    running(job, 4)
    agent_id = cluster.get("/master/slaves")["slaves"][0]["id"]
    cluster.get("/api/v1", body={"type": "DRAIN_AGENT", "drain_agent": {"agent_id": {"value": agent_id}}})
    until(lambda: job.view.attempts_lost == 2, 30)
    (tmp_path / "go").touch()
    assert job.wait(60)
    assert outputs(job) == expected(4)
    assert sorted(begun(tmp_path).values()) == [1, 1, 2, 2]


def test_what_comes_twice_is_recorded_once(
    make_mesos: MakeCluster, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_mesos(1)
    spec = JobSpec("demo", master=cluster.master)
    job = session.submit(spec, explicit_commands(["sleep 1; echo 0"]), keep_open=True)
    running(job, 1)
    driver = job._loop.engine._connection._client
    acknowledge = driver.acknowledge
    told: Counter[str] = Counter()

    def forget_the_first(agent_id: str, task_id: str, uuid: str) -> None:
        told[uuid] += 1
        if told[uuid] > 1:  # an agent says it again after 10 s
            acknowledge(agent_id, task_id, uuid)

    monkeypatch.setattr(driver, "acknowledge", forget_the_first)
    assert job.wait(30)
    until(lambda: max(told.values()) > 1, 30, "the status to come again")
    assert outputs(job) == {0: "0\n"}
    assert len(job.log(0).attempts) == 1


def test_a_framework_that_an_operator_ends_stays_ended(make_mesos: MakeCluster, session: Session) -> None:
    cluster = make_mesos(1)
    job = submit(session, cluster, "sleep 1000")
    running(job, 1)
    commands = cluster.processes()
    framework_id = job._loop.engine._state.framework_id
    with urlopen(f"http://{cluster.master}/master/teardown", f"frameworkId={framework_id}".encode(), timeout=10):
        pass
    until(lambda: "ended from outside" in job.view.held, 30)
    until(lambda: not alive(commands), 30, "the end of what ran")
    assert job.view[TaskState.QUEUED] == 1
    job.resume()
    running(job, 1)
    job.kill()
    assert job.wait(30)


def test_nothing_is_left_when_a_job_is_killed(make_mesos: MakeCluster, session: Session) -> None:
    cluster = make_mesos(1)
    job = submit(session, cluster, "sleep 1000", "setsid sleep 1000 & sleep 1000", "echo never")
    running(job, 2)
    job.kill()
    assert job.wait(30)
    assert {row.reason for row in job.rows()} == {"user"}
    until(lambda: not cluster.processes(), 30, "the end of all processes")
    assert not cluster.get("/master/frameworks")["frameworks"]
