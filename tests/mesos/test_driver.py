"""The driver and a real master."""

from __future__ import annotations

import base64
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stratos_jupyter.backend.engines.mesos.master_events import (
    CallLost,
    CallRefused,
    Disconnected,
    Ended,
    ExecutorFailed,
    FrameworkRefused,
    MasterError,
    Message,
    Offers,
    Status,
    Subscribed,
    Unauthorised,
)
from tests.clusters.mesos.cluster import Cluster
from tests.clusters.mesos.fixtures import MakeCluster
from tests.clusters.mesos.rawframework import resources, shell, task
from tests.support.mesos_driver import Driven, threads
from tests.support.waiting import until

pytestmark = pytest.mark.mesos

ECHO = shell(f"exec {shlex.quote(sys.executable)} {shlex.quote(str(Path(__file__).with_name('echo_executor.py')))}")


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    assert not threads()


class Framework(Driven):
    """A driver that has subscribed, with what these tests do often; it ends the framework, unless it is to be kept."""

    kept = False

    def __enter__(self) -> Framework:  # type: ignore[override]
        super().__enter__()
        self.id = self.wait(Subscribed).framework_id
        return self

    def __exit__(self, *args: Any) -> None:
        if not self.kept:
            self.driver.teardown()
        super().__exit__(*args)

    def launch(self, *tasks: dict[str, Any]) -> str:
        """Launch tasks on the next offer, and return its agent."""
        offer = self.wait(Offers).offers[0]
        infos = [{**info, "agent_id": offer["agent_id"]} for info in tasks]
        operations = [{"type": "LAUNCH", "launch": {"task_infos": infos}}]
        self.driver.accept([offer["id"]["value"]], operations, 0.0)
        return str(offer["agent_id"]["value"])

    def status(self, *states: str, acknowledge: bool = True) -> dict[str, Any]:
        """Wait for a status in one of these states; acknowledge all until then."""
        while True:
            status = self.wait(Status).status
            if acknowledge and "uuid" in status:
                self.driver.acknowledge(status["agent_id"]["value"], status["task_id"]["value"], status["uuid"])
            if status["state"] in states:
                return status

    def statuses(self, state: str) -> list[dict[str, Any]]:
        return [event.status for event in self.of(Status) if event.status["state"] == state]

    def nothing_was_lost(self) -> bool:
        return not self.of(CallLost) and not self.of(CallRefused)


def hold(until_there: Path) -> dict[str, Any]:
    return shell(f"until [ -e {until_there} ]; do sleep 0.02; done")


def echo(name: str, data: bytes | None = None, **fields: Any) -> dict[str, Any]:
    """A task of the executor that sends messages back."""
    executor = {"type": "CUSTOM", "executor_id": {"value": "echo"}, "command": ECHO, "resources": resources(cpus=0.1)}
    more = {} if data is None else {"data": base64.b64encode(data).decode()}
    return task(name, executor=executor, **more, **fields)


# -- what it is for -------------------------------------------------------------------------------------


def test_a_task_from_its_offer_to_its_end(mesos: Cluster) -> None:
    with Framework(mesos.master) as framework:
        subscribed = framework.of(Subscribed)[0]
        assert subscribed.master["version"].startswith("1.11")
        assert subscribed.heartbeat_s == 15
        agent = framework.launch(task("t", command=shell("exit 3")))
        status = framework.status("TASK_FAILED")
        assert status["agent_id"]["value"] == agent
        assert "status 3" in status["message"]
        assert framework.nothing_was_lost()


def test_offers_are_declined_suppressed_and_revived(mesos: Cluster) -> None:
    with Framework(mesos.master, suppressed_roles=["*"]) as framework:
        framework.driver.reconcile([("unknown", "")])  # that was answered, and no offer came
        framework.status("TASK_UNKNOWN")
        assert not framework.of(Offers)
        framework.driver.revive()
        offers = [*framework.wait(Offers).offers]
        while len(offers) < 2:
            offers += framework.wait(Offers).offers
        framework.driver.decline([offer["id"]["value"] for offer in offers], 3600.0)
        framework.driver.suppress(["*"])
        framework.driver.revive(["*"])  # whatever was refused before
        framework.wait(Offers)
        assert framework.nothing_was_lost()


def test_a_kill_with_a_grace_time(mesos: Cluster, tmp_path: Path) -> None:
    with Framework(mesos.master) as framework:
        command = shell(f"trap 'touch {tmp_path}/term' TERM; touch {tmp_path}/up; while :; do sleep 0.02; done")
        agent = framework.launch(task("t", command=command))
        framework.status("TASK_RUNNING")
        until((tmp_path / "up").exists)
        framework.driver.kill("t", agent, 0.1)
        framework.status("TASK_KILLED")
        assert (tmp_path / "term").exists()


def test_a_kill_right_after_the_launch_does_not_overtake_it(mesos: Cluster, tmp_path: Path) -> None:
    with Framework(mesos.master) as framework:
        for i in range(10):
            framework.driver.revive()
            framework.launch(task(f"t{i}", command=hold(tmp_path / "never")))
            framework.driver.kill(f"t{i}")
            assert framework.status("TASK_KILLED", "TASK_FINISHED", "TASK_FAILED")["state"] == "TASK_KILLED"


def test_reconciliation_names_the_agent(mesos: Cluster, tmp_path: Path) -> None:
    with Framework(mesos.master) as framework:
        agent = framework.launch(task("t", command=hold(tmp_path / "go")))
        framework.status("TASK_RUNNING")
        framework.driver.reconcile([("t", agent), ("gone", agent), ("elsewhere", "no-such-agent"), ("unknown", "")])
        found = {}
        while len(found) < 4:
            status = framework.wait(Status).status
            assert status["reason"] == "REASON_RECONCILIATION"
            assert "uuid" not in status
            found[status["task_id"]["value"]] = status["state"]
        # Without the agent's id the master could not say that a task is gone from an agent that it knows.
        assert found["t"] == "TASK_RUNNING"
        assert found["gone"] == "TASK_GONE"
        assert {found["elsewhere"], found["unknown"]} == {"TASK_UNKNOWN"}
        framework.driver.reconcile([])
        assert framework.status("TASK_RUNNING")["task_id"]["value"] == "t"


def test_messages_to_and_from_an_executor(mesos: Cluster) -> None:
    odd = bytes(range(256)) * 100
    with Framework(mesos.master) as framework:
        agent = framework.launch(echo("t", b"hold"))
        framework.status("TASK_RUNNING")
        framework.driver.message(agent, "echo", odd)
        assert framework.wait(Message) == Message(agent, "echo", odd)
        assert base64.b64decode(framework.status("TASK_FINISHED")["data"]) == odd


def test_an_executor_is_shut_down(mesos: Cluster) -> None:
    with Framework(mesos.master) as framework:
        agent = framework.launch(echo("t", b"hold"))
        framework.status("TASK_RUNNING")
        framework.driver.shutdown_executor("echo", agent)
        failed = framework.wait(ExecutorFailed)
        assert (failed.agent_id, failed.executor_id, type(failed.status)) == (agent, "echo", int)
        status = framework.wait(Status).status
        assert (status["state"], status["reason"]) == ("TASK_FAILED", "REASON_EXECUTOR_TERMINATED")


def test_five_hundred_tasks_and_nothing_is_lost(mesos: Cluster) -> None:
    with Framework(mesos.master) as framework:
        framework.launch(*(echo(f"t{i}", cpus=0.001, mem=0.1) for i in range(500)))
        for _ in range(500):
            framework.status("TASK_FINISHED")
        assert len({status["task_id"]["value"] for status in framework.statuses("TASK_FINISHED")}) == 500
        assert framework.nothing_was_lost()


@pytest.mark.slow
def test_what_is_not_acknowledged_comes_again(mesos: Cluster) -> None:
    with Framework(mesos.master) as framework:
        framework.launch(echo("t"))
        first = framework.status("TASK_FINISHED", acknowledge=False)
        again = framework.status("TASK_FINISHED")  # after 10 s, says Mesos
        assert again["uuid"] == first["uuid"]
        assert framework.nothing_was_lost()


def test_a_call_that_the_master_refuses(mesos: Cluster) -> None:
    with Framework(mesos.master) as framework:
        framework.driver.acknowledge("a", "t", "no uuid")
        refused = framework.wait(CallRefused)
        assert (refused.call, refused.status) == ("ACKNOWLEDGE", 400)
        assert "UUID" in refused.text
        framework.driver.reconcile([("unknown", "")])  # and it goes on
        framework.status("TASK_UNKNOWN")


# -- masters that go and come ---------------------------------------------------------------------------


def test_a_master_that_was_killed_and_comes_back(make_mesos: MakeCluster, tmp_path: Path) -> None:
    cluster = make_mesos(agent_timeout_s=2)
    with Framework(cluster.master) as framework:
        agent = framework.launch(task("t", command=hold(tmp_path / "go")))
        framework.status("TASK_RUNNING")
        cluster.kill_master()
        framework.wait(Disconnected)
        framework.driver.kill("t", agent)
        framework.wait(CallLost, lambda lost: lost.call == "KILL")
        cluster.start_master()
        assert framework.wait(Subscribed).framework_id == framework.id
        (tmp_path / "go").touch()
        framework.status("TASK_FINISHED")
    assert len(framework.of(Disconnected)) == 1


def test_a_master_that_stands_still(make_mesos: MakeCluster) -> None:
    cluster = make_mesos()
    with Framework(cluster.master) as framework:
        cluster.pause_master()
        framework.driver.reconcile([])
        framework.clock.ahead_s += 50  # three heartbeats
        assert "nothing was heard" in framework.wait(Disconnected).why
        until(lambda: framework.of(CallLost))  # it may be told before the other
        assert framework.of(CallLost)[0].perhaps_arrived
        framework.clock.ahead_s += 20  # past the wait before the next attempt
        cluster.resume_master()
        assert framework.wait(Subscribed).framework_id == framework.id
        framework.launch(task("t", command=shell("true")))
        framework.status("TASK_FINISHED")


def test_a_framework_that_another_process_takes_over(mesos: Cluster) -> None:
    with Framework(mesos.master) as first, Framework(mesos.master, first.id) as second:
        assert second.id == first.id
        assert first.wait(MasterError).text == "Framework failed over"
        assert "Framework failed over" in first.wait(Ended).why
        second.launch(task("t", command=shell("true")))
        second.status("TASK_FINISHED")
        assert not second.of(Disconnected)  # the first has not come back to take it away


def test_a_framework_goes_on_in_another_driver(mesos: Cluster, tmp_path: Path) -> None:
    with Framework(mesos.master) as first:
        first.launch(task("t", command=hold(tmp_path / "go")))
        first.status("TASK_RUNNING")
        first.kept = True
    assert not first.of(Ended)
    with Framework(mesos.master, first.id) as second:
        assert second.id == first.id
        (tmp_path / "go").touch()
        second.status("TASK_FINISHED")


def test_a_framework_whose_time_is_over_is_refused_and_can_begin_anew(mesos: Cluster) -> None:
    with Driven(mesos.master, info={"failover_timeout": 0.0}) as driven:
        framework_id = driven.wait(Subscribed).framework_id
    until(lambda: ended(mesos, framework_id))
    with Driven(mesos.master, framework_id) as driven:
        refused = driven.wait(FrameworkRefused)
        assert refused.why == f"{mesos.master}: Framework has been removed"
        assert refused.away_s is None
        assert driven.driver.framework_id == framework_id
    assert not driven.of(Ended)
    with Framework(mesos.master) as anew:
        assert anew.id != framework_id


def ended(cluster: Cluster, framework_id: str) -> bool:
    found = cluster.get("/master/frameworks")["completed_frameworks"]
    return framework_id in [framework["id"] for framework in found]


def test_a_teardown_of_ours_is_the_end(mesos: Cluster, tmp_path: Path) -> None:
    with Framework(mesos.master) as framework:
        framework.launch(task("t", command=hold(tmp_path / "never")))
        framework.status("TASK_RUNNING")
        framework.driver.teardown().result(10)
        assert ended(mesos, framework.id)
        until(lambda: not threads())
        framework.kept = True
    assert not framework.of(Disconnected)
    assert not framework.of(FrameworkRefused)
    assert not framework.of(Ended)


def test_a_teardown_by_somebody_else_is_told(mesos: Cluster) -> None:
    with Driven(mesos.master) as driven:
        framework_id = driven.wait(Subscribed).framework_id
        mesos.get("/api/v1", body={"type": "TEARDOWN", "teardown": {"framework_id": {"value": framework_id}}})
        away_s = driven.wait(FrameworkRefused).away_s
        assert away_s is not None
        assert away_s < 60  # less than its failover timeout, so it was no accident
    assert len(driven.of(Disconnected)) == 1


def test_a_framework_that_is_no_good(mesos: Cluster) -> None:
    with Driven(mesos.master, info={"roles": ["two words"]}) as driven:
        assert "invalid role" in driven.wait(MasterError).text
        assert "invalid role" in driven.wait(Ended).why


# -- who we are -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(mesos_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master that asks frameworks who they are."""
    folder = tmp_path_factory.mktemp("strict")
    credentials = folder / "credentials.json"
    credentials.write_text(json.dumps({"credentials": [{"principal": "me", "secret": "hunter2"}]}))
    credentials.chmod(0o600)
    flags = ["--authenticate_http_frameworks=true", "--http_framework_authenticators=basic"]
    with Cluster(
        mesos_programs,
        folder,
        1,
        allocation_interval_s=0.05,
        master_flags=[*flags, f"--credentials={credentials}"],
    ) as cluster:
        yield cluster


def test_the_right_secret(strict: Cluster) -> None:
    with Framework(strict.master, principal="me", secret="hunter2") as framework:
        framework.launch(task("t", command=shell("true")))
        framework.status("TASK_FINISHED")
        assert framework.nothing_was_lost()


@pytest.mark.parametrize(
    "identity", [{}, {"principal": "me", "secret": "hunter3"}, {"principal": "you", "secret": "x"}]
)
def test_the_wrong_secret(strict: Cluster, identity: dict[str, str]) -> None:
    with Driven(strict.master, **identity) as driven:
        why = driven.wait(Unauthorised, timeout_s=5).why
        assert why.startswith(f"{strict.master} answers 401")
        assert "hunter" not in why
    assert not driven.of(Disconnected)


def test_a_principal_that_is_another_one(strict: Cluster) -> None:
    with Driven(strict.master, info={"principal": "you"}, principal="me", secret="hunter2") as driven:
        driven.wait(Subscribed)  # ours says the same in both places
