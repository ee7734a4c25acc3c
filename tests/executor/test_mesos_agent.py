"""The executor of a Mesos agent, against the agent's side of its API."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stratos_jupyter.backend.executor.process.input_state import look
from stratos_jupyter.backend.executor.transport.agent_client import AgentSettings, seconds
from tests.support.executor_client import alive
from tests.support.mesos_agent import FakeAgent, encoded, torn
from tests.support.processes import below, children_of
from tests.support.pythons import other_pythons
from tests.support.waiting import until

MakeAgent = Callable[..., FakeAgent]


def pythons() -> dict[str, str]:
    """This Python, and the oldest and the newest of the others."""
    others = list(other_pythons().items())
    return {"own": sys.executable, **dict(others[:1] + others[-1:])}


@pytest.fixture(params=list(pythons()))
def python(request: pytest.FixtureRequest) -> str:
    return pythons()[request.param]


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Iterator[MakeAgent]:
    agents = []

    def start(python: str = sys.executable, **options: Any) -> FakeAgent:
        agents.append(FakeAgent(python, **options))
        return agents[-1]

    yield start
    for agent in agents:
        with agent:
            agent.ack = True
        assert not agent.marked()


@pytest.fixture
def agent(make: MakeAgent) -> FakeAgent:
    return make()


# -- what is run --------------------------------------------------------------------------------------------


def test_runs_a_batch(make: MakeAgent, python: str) -> None:
    agent = make(python)
    agent.launch("echo hello; echo oops >&2", "exit 3", "no-such-program", r"printf '\377'", batch=7, compress=True)
    last = agent.wait("t7")
    hello, three, missing, odd = (agent.ended[i, 1] for i in range(4))
    assert (hello.stdout, hello.stderr, hello.code, hello.batch) == ("hello\n", "oops\n", 0, 7)
    assert (three.code, missing.code, missing.stderr) == (3, 127, "bash: line 1: no-such-program: command not found\n")
    assert odd.bytes() == b"\xff"
    assert (last["state"], last["message"]) == ("TASK_FINISHED", "2 of 4 commands failed")
    assert last["source"] == "SOURCE_EXECUTOR"


def test_the_context_of_a_command(make: MakeAgent, python: str) -> None:
    agent = make(python, env={"ODD": "Zürich\udcff", "MESOS_EXECUTOR_AUTHENTICATION_TOKEN": "secret"})
    agent.launch("pwd; env", env={"MINE": "a\nb", "HOME": "/home"})
    agent.wait("t1")
    where, *lines = agent.ended[0, 1].stdout.splitlines()
    assert where == str(agent.sandbox)
    assert {"ODD=Zürich\udcff", "MINE=a", "b", "HOME=/home", f"MESOS_SANDBOX={agent.sandbox}"} <= set(lines)
    names = {line.partition("=")[0] for line in lines}
    assert not {name for name in names if name.startswith(("MESOS_", "LIBPROCESS_"))} - {"MESOS_SANDBOX"}
    assert "LC_CTYPE" not in names


def test_an_environment_of_its_own_and_another_folder(agent: FakeAgent) -> None:
    (agent.folder / "else where").mkdir()
    agent.launch("pwd; /usr/bin/env", inherit=False, env={"PATH": "/bin"}, cwd=str(agent.folder / "else where"))
    agent.wait("t1")
    where, *lines = agent.ended[0, 1].stdout.splitlines()
    assert where == str(agent.folder / "else where")
    assert "HOME" not in {line.partition("=")[0] for line in lines}


@pytest.mark.parametrize(
    ("command", "state", "message"),
    [
        ("true", "TASK_FINISHED", "exit code 0"),
        ("exit 3", "TASK_FAILED", "exit code 3"),
        ("kill -9 $$", "TASK_FAILED", "signal 9"),
        ("sleep 30", "TASK_FAILED", "timeout"),
    ],
)
def test_how_a_single_command_ends(agent: FakeAgent, command: str, state: str, message: str) -> None:
    agent.launch(command, timeout_s=0.1)
    last = agent.wait("t1")
    assert (last["state"], last["message"]) == (state, message)


@pytest.mark.parametrize(("command", "state"), [("exit 3", "TASK_FINISHED"), ("true", "TASK_FAILED")])
def test_what_is_well_is_the_users_to_say(agent: FakeAgent, command: str, state: str) -> None:
    agent.launch(command, ok_exit=[[1, 3]])
    assert agent.wait("t1")["state"] == state
    agent.launch("exit 1", "exit 0", "exit 4", batch=2, first=1, ok_exit=[[1, 3]])
    assert agent.wait("t2")["message"] == "2 of 3 commands failed"


def test_a_task_that_ends_at_once_needs_one_update(agent: FakeAgent) -> None:
    agent.launch("true", batch=1)
    agent.wait("t1")
    agent.launch("sleep 0.3", batch=2, first=1)
    agent.wait("t2")
    assert agent.states("t1") == ["TASK_FINISHED"]
    assert agent.states("t2")[0] == "TASK_RUNNING"
    assert (1, 1) in agent.started


def test_results_come_as_they_are_there(agent: FakeAgent) -> None:
    go = agent.folder / "go"
    agent.launch("echo first", f"until [ -e {go} ]; do sleep 0.01; done; echo last")
    agent.until(lambda: (0, 1) in agent.ended)
    go.touch()
    agent.wait("t1")
    assert agent.states("t1")[-1] == "TASK_FINISHED"
    assert [record.stdout for record in agent.records] == ["first\n", "last\n"]


def test_the_background_of_a_task_is_waited_for_and_said(make: MakeAgent) -> None:
    agent = make(prelude="import executor.process.linger; executor.process.linger.SAY_S = 0.1")
    agent.launch(f"(until [ -e {agent.folder}/go ]; do sleep 0.01; done; echo late) & echo first")
    agent.until(lambda: agent.said("waiting") and agent.said("waiting")[-1][0])
    ((task, attempt, text),) = agent.said("waiting")[-1][0]
    assert (task, attempt) == (0, 1)
    assert text.startswith("waiting for ")
    assert agent.states("t1")[-1] == "TASK_RUNNING"
    before = len(agent.said("waiting"))
    agent.say(["hello", 1])
    agent.until(lambda: len(agent.said("waiting")) > before and agent.said("waiting")[-1][0])
    (agent.folder / "go").touch()
    assert agent.wait("t1")["state"] == "TASK_FINISHED"
    assert agent.ended[0, 1].stdout == "first\nlate\n"
    agent.until(lambda: agent.said("waiting")[-1][0] == [])


def test_many_results_travel_together(agent: FakeAgent) -> None:
    agent.launch(*[f"echo {i}" for i in range(300)])
    agent.wait("t1")
    assert [record.stdout for record in agent.records] == [f"{i}\n" for i in range(300)]
    took_s = agent.records[-1].finished_at - agent.records[0].started_at
    assert len(agent.states("t1")) <= 4 + took_s / 0.1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"version":2}',
        b'{"version":1,"context":{},"batch":[1,null,[[0,1,"true",null]],null]}',
        b'{"version":1,"context":5,"batch":[]}',
        b"\xff\xff",
    ],
)
def test_a_launch_that_is_none(agent: FakeAgent, data: bytes) -> None:
    agent.launch_data(data, "odd")
    assert agent.wait("odd")["state"] == "TASK_ERROR"
    agent.launch("true")
    assert agent.wait("t1")["state"] == "TASK_FINISHED"


def test_a_launch_that_comes_twice_runs_once(agent: FakeAgent) -> None:
    for _again in range(2):
        agent.launch("sleep 60")
    agent.wait_started(0)
    agent.say(["hello", 1])
    agent.until(lambda: agent.said("inventory"))
    assert agent.said("inventory") == [[[[1, "t1", [[0, 1]]]]]]
    agent.kill("t1")
    agent.wait("t1")


def test_nothing_stays_of_a_batch_that_is_over(make: MakeAgent) -> None:
    count = "len(self._runner._slots) + len(self._updates._tasks) + len(self._updates._of)"
    agent = make(
        prelude="import executor.mesos_main as m; greet = m.MesosExecutor._greet; "
        f"m.MesosExecutor._greet = lambda self: (self._answer(['notice', {count}]), greet(self))"
    )
    for batch in range(1, 6):
        agent.launch("true", "echo a", batch=batch, first=10 * batch)
        agent.wait(f"t{batch}")

    def left() -> int:
        before = len(agent.said("notice"))
        agent.say(["hello", 1])
        agent.until(lambda: len(agent.said("notice")) > before)
        return int(agent.said("notice")[-1][0])

    agent.until(lambda: left() == 0, what="nothing")


# -- the connection -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"pieces": torn}, {"dribble": True}, {"unix": True}], ids=["torn", "slow", "unix"])
def test_however_the_events_come(make: MakeAgent, python: str, options: Any) -> None:
    agent = make(python, **options)
    agent.launch("echo ü", "echo b")
    agent.wait("t1")
    assert [record.stdout for record in agent.records] == ["ü\n", "b\n"]


def test_one_update_at_a_time(agent: FakeAgent) -> None:
    go = agent.folder / "go"
    agent.ack = False
    agent.launch("true", f"until [ -e {go} ]; do sleep 0.01; done", "true")
    agent.until(lambda: agent.updates)
    go.touch()

    def kept() -> int:
        before = len(agent.said("kept"))
        agent.say(["hello", 1])
        agent.until(lambda: len(agent.said("kept")) > before)
        return len(agent.said("kept")[-1][0])

    agent.until(lambda: kept() == 3)
    assert kept() == 3
    (first,) = agent.updates  # all have ended, and that is not told yet
    agent.acknowledge(first)
    agent.until(lambda: len(agent.updates) == 2)
    second = agent.updates[1]
    assert (second["state"], second["uuid"] != first["uuid"]) == ("TASK_FINISHED", True)
    agent.acknowledge(first)  # once more, which says nothing of the second one
    agent.drop()
    agent.subscribed(2)
    assert agent.subscriptions[1] == {"unacknowledged_tasks": [], "unacknowledged_updates": [{"status": second}]}


def test_what_is_not_acknowledged_is_sent_again(make: MakeAgent, python: str) -> None:
    agent = make(python)
    agent.ack = False
    agent.launch("echo a", info={"kill_policy": {"grace_period": {"nanoseconds": 1}}})
    agent.until(lambda: agent.updates)
    (update,) = agent.updates
    agent.ack = True
    agent.drop()
    agent.subscribed(2)
    again = agent.subscriptions[1]
    assert again["unacknowledged_updates"] == [{"status": update}]
    (task,) = again["unacknowledged_tasks"]
    assert (task["task_id"], task["agent_id"], task["resources"]) == ({"value": "t1"}, {"value": "agent"}, [])
    agent.launch("echo b", batch=2, first=1)
    agent.wait("t2")
    agent.drop()
    agent.subscribed(3)
    assert agent.subscriptions[2] == {"unacknowledged_tasks": [], "unacknowledged_updates": []}


@pytest.mark.parametrize("calls_only", [False, True], ids=["all", "calls"])
def test_connections_that_end_all_the_time(agent: FakeAgent, calls_only: bool) -> None:
    for batch in range(1, 11):
        first = 20 * batch
        agent.launch(*[f"echo {first + i}" for i in range(20)], batch=batch, first=first)
        agent.until(lambda first=first: (first, 1) in agent.ended)
        agent.drop(calls_only)
        agent.wait(f"t{batch}")
        agent.until(lambda: agent._stream is not None)
    assert {record.stdout for record in agent.ended.values()} == {f"{i}\n" for i in range(20, 220)}


def test_an_agent_that_is_away_while_commands_run(make: MakeAgent, python: str) -> None:
    agent = make(python)
    agent.launch("sleep 0.2; echo a", "sleep 0.2; echo b", "echo c")
    agent.wait_started(0)
    agent.stop()
    # Nobody but its processes can tell that all have ended.
    until(lambda: not agent.marked())
    assert not agent.ended
    agent.start()
    agent.wait("t1")
    assert [record.stdout for record in agent.records] == ["a\n", "b\n", "c\n"]


def test_an_agent_that_recovers(agent: FakeAgent) -> None:
    agent.launch("sleep 0.3; echo a")
    agent.wait_started(0)
    agent.status = 503
    agent.drop()
    until(lambda: not agent.marked())
    agent.status = 0
    agent.wait("t1")
    assert agent.records[0].stdout == "a\n"


def test_calls_that_are_refused(agent: FakeAgent) -> None:
    agent.status = 403  # not subscribed, says the agent
    agent.launch("echo a")
    agent.until(lambda: b"403" in agent.stderr.read_bytes())
    agent.status = 0
    agent.wait("t1")
    assert [record.stdout for record in agent.records] == ["a\n"]


def test_an_agent_that_does_not_come_back(make: MakeAgent, python: str) -> None:
    agent = make(python, recovery_s=0.3)
    agent.launch("trap '' TERM; while :; do sleep 1; done", grace_s=0.1)
    pid = agent.wait_started(0)
    agent.stop()
    assert agent.exit_code() == 0
    assert not alive([pid])
    assert b"has not come back within 0.3 s" in agent.stderr.read_bytes()


def test_without_checkpoint_nothing_outlives_the_agent(make: MakeAgent) -> None:
    agent = make(checkpoint=False)
    agent.launch("sleep 60")
    pid = agent.wait_started(0)
    agent.stop()
    assert agent.exit_code() == 0
    assert not alive([pid])


def test_no_record_at_all(agent: FakeAgent) -> None:
    agent.send_raw(b"no JSON")
    agent.subscribed(2)
    agent.send("LAUNCH")
    agent.send("SOMETHING_NEW")
    agent.launch("echo a")
    agent.wait("t1")


# -- ending commands ----------------------------------------------------------------------------------------


def test_a_killed_task(make: MakeAgent, python: str) -> None:
    agent = make(python)
    agent.launch("sleep 60")
    pid = agent.wait_started(0)
    agent.kill("t1")
    last = agent.wait("t1")
    assert (last["state"], agent.ended[0, 1].reason) == ("TASK_KILLED", "user")
    assert "TASK_KILLING" in agent.states("t1")
    assert not alive([pid])
    agent.kill("t1")
    agent.kill("unknown")


STUBBORN = "trap '' TERM; echo ready; while :; do sleep 1; done"


def ready(agent: FakeAgent, task: int) -> None:
    """Wait until a stubborn command is so."""
    request = 0

    def is_ready() -> bool:
        nonlocal request
        request += 1
        agent.say(["tail", request, task, 1, 100])
        until(lambda: agent.said("tail") and agent.said("tail")[-1][0] == request)
        answer = agent.said("tail")[-1][1]
        return answer is not None and "ready" in answer["stdout"]

    until(is_ready)


@pytest.mark.parametrize("where", ["event", "task", "context"])
def test_the_grace_of_a_kill(agent: FakeAgent, where: str) -> None:
    policy = {"kill_policy": {"grace_period": {"nanoseconds": 100_000_000 if where == "task" else 60_000_000_000}}}
    agent.launch(
        STUBBORN,
        grace_s=0.1 if where == "context" else 60.0,
        info=policy if where != "context" else None,
    )
    ready(agent, 0)
    agent.kill("t1", grace_s=0.1 if where == "event" else None)
    agent.wait("t1")
    assert agent.ended[0, 1].reason == "user"


def test_a_second_kill_may_be_harder(agent: FakeAgent) -> None:
    agent.launch(STUBBORN, grace_s=60.0)
    ready(agent, 0)
    agent.kill("t1")
    agent.until(lambda: "TASK_KILLING" in agent.states("t1"))
    agent.kill("t1", grace_s=0.05)
    agent.wait("t1")


def test_one_of_a_batch_is_killed(agent: FakeAgent) -> None:
    agent.launch("echo a", "sleep 60", "echo c", "echo d")
    agent.wait_started(1)
    for _again in range(2):
        agent.say(["kill", [[1, 1], [3, 1], [99, 1]], "user"])
    last = agent.wait("t1")
    assert [agent.ended[i, 1].reason for i in range(4)] == ["exit", "user", "exit", "user"]
    assert (last["state"], last["message"]) == ("TASK_FINISHED", "2 of 4 commands failed")
    assert len(agent.records) == 4


def test_a_killed_batch(agent: FakeAgent) -> None:
    agent.launch("sleep 60", "echo b", "echo c")
    agent.wait_started(0)
    agent.kill("t1")
    assert agent.wait("t1")["state"] == "TASK_KILLED"
    assert Counter(record.reason for record in agent.records) == {"user": 3}


def test_what_is_recalled_comes_back(agent: FakeAgent) -> None:
    go = agent.folder / "go"
    agent.launch(f"until [ -e {go} ]; do sleep 0.01; done", "echo b", "echo c")
    agent.wait_started(0)
    agent.say(["recall", [1, 5]])
    agent.say(["recall", [1, 5]])
    agent.until(lambda: len(agent.said("recalled")) == 2)
    go.touch()
    agent.wait("t1")
    assert [agent.ended[i, 1].reason for i in range(3)] == ["exit", "returned", "returned"]
    assert agent.said("recalled") == [[[1, 5]], [[1, 5]]]


def test_a_late_batch_comes_back(agent: FakeAgent) -> None:
    agent.launch("sleep 0.6", "echo b", expected_s=0.05)
    agent.wait("t1")
    assert [agent.ended[i, 1].reason for i in range(2)] == ["exit", "returned"]


def test_stop(agent: FakeAgent) -> None:
    agent.launch("sleep 60", "echo b")
    agent.wait_started(0)
    agent.say(["stop"])
    assert agent.exit_code() == 0
    assert [agent.ended[i, 1].reason for i in range(2)] == ["user", "returned"]
    assert agent.wait("t1")


@pytest.mark.parametrize("kind", ["SHUTDOWN", "ERROR", "SIGTERM"])
def test_a_shutdown(make: MakeAgent, kind: str) -> None:
    agent = make(env={"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "2secs"})
    agent.launch(STUBBORN, grace_s=60.0)
    ready(agent, 0)
    if kind == "SIGTERM":
        agent.process.send_signal(signal.SIGTERM)
    else:
        agent.send(kind, **({"error": {"message": "you are wrong"}} if kind == "ERROR" else {}))
    assert agent.exit_code(10) == 0
    assert agent.ended[0, 1].reason == "lost"
    assert (b"you are wrong" in agent.stderr.read_bytes()) == (kind == "ERROR")


def executor_of(agent: FakeAgent) -> int:
    (child,) = children_of(agent.process.pid)
    return child


DAEMON = "setsid env -i sh -c 'setsid sleep 60 & setsid sleep 60' & setsid sleep 60 & sleep 60"


def daemons(agent: FakeAgent) -> list[int]:
    """Have a command leave processes everywhere; return all of them."""
    agent.launch(DAEMON)
    agent.wait_started(0)
    return list(until(lambda: len(pids := below(executor_of(agent))) >= 5 and pids))


def test_nothing_outlives_an_executor_that_is_killed(make: MakeAgent, python: str) -> None:
    agent = make(python)
    pids = daemons(agent)
    os.kill(executor_of(agent), signal.SIGKILL)
    assert agent.exit_code() == 128 + signal.SIGKILL
    assert not alive(pids)


def test_nothing_outlives_a_guard_that_is_killed(make: MakeAgent, python: str) -> None:
    agent = make(python)
    pids = [executor_of(agent), *daemons(agent)]
    agent.process.kill()
    until(lambda: not alive(pids))


def test_what_nobody_adopts_is_found_by_its_mark(make: MakeAgent) -> None:
    agent = make(
        prelude="import executor.guard, executor.mesos_main; "
        "executor.guard.adopt_orphans = executor.mesos_main.adopt_orphans = lambda: False"
    )
    agent.launch("setsid sleep 60 & sleep 60")
    agent.wait_started(0)
    pids = until(lambda: len(pids := agent.marked()) >= 3 and pids)
    os.kill(executor_of(agent), signal.SIGKILL)
    assert agent.exit_code() == 128 + signal.SIGKILL
    assert not alive(pids)


def test_what_its_former_run_has_left_is_ended_first(make: MakeAgent, tmp_path: Path, python: str) -> None:
    """It was killed together with its guard; what another executor runs is no concern of ours."""
    runs, others = tmp_path / "e1" / "runs", tmp_path / "e2" / "runs"
    own = runs / "b"
    own.mkdir(parents=True)
    left, lives = (
        subprocess.Popen(["sleep", "60"], env={"MESOS_SANDBOX": f"{folder}/a"}, start_new_session=True)
        for folder in (runs, others)
    )
    try:
        agent = make(python, env={"MESOS_SANDBOX": str(own)})
        agent.launch("echo here")
        agent.wait("t1")
        assert left.wait(10.0) == -signal.SIGKILL
        assert lives.poll() is None
    finally:
        for process in (left, lives):
            process.kill()
            process.wait()


def test_an_executor_with_nothing_to_do_exits(make: MakeAgent) -> None:
    agent = make(prelude="import executor.mesos_main; executor.mesos_main.IDLE_S = 0.3")
    agent.launch("sleep 0.6")
    assert agent.wait("t1")["state"] == "TASK_FINISHED"
    assert agent.exit_code() == 0


def test_an_executor_whose_results_wait_does_not_exit(make: MakeAgent) -> None:
    agent = make(prelude="import executor.mesos_main; executor.mesos_main.IDLE_S = 0.1")
    agent.ack = False
    agent.launch("true")
    agent.until(lambda: agent.updates)
    with pytest.raises(Exception, match="timed out"):
        agent.process.wait(1.0)
    agent.ack = True
    for update in list(agent.updates):
        agent.acknowledge(update)
    assert agent.exit_code() == 0


# -- what is asked ------------------------------------------------------------------------------------------


def test_hello(make: MakeAgent, python: str) -> None:
    agent = make(python)
    go = agent.folder / "go"
    agent.launch("echo a", f"until [ -e {go} ]; do sleep 0.01; done", "echo c", batch=3)
    agent.wait_started(1)
    agent.until(lambda: (0, 1) in agent.ended)
    agent.say(["hello", 1])
    agent.until(lambda: agent.said("kept"))
    ((facts,),) = agent.said("hello")
    assert facts["version"] == 1
    assert facts["pid"] == executor_of(agent)
    assert agent.said("inventory") == [[[[3, "t3", [[1, 1], [2, 1]]]]]]
    assert agent.said("started")[0][0][0][:3] == [1, 1, agent.started[1, 1]]
    ((kept,),) = agent.said("kept")
    assert [row[9] for row in kept] == ["a\n"]
    go.touch()
    agent.wait("t3")


def test_what_is_kept_is_bounded(make: MakeAgent) -> None:
    agent = make(
        prelude="import executor.transport.status_updates; executor.transport.status_updates.KEPT_LIMIT = 3000"
    )
    agent.launch(*[f"echo {i:01000}" for i in range(10)])
    agent.wait("t1")
    agent.say(["hello", 1])
    agent.until(lambda: agent.said("kept"))
    ((kept,),) = agent.said("kept")
    assert [row[0] for row in kept] == [8, 9]


def test_odd_messages(agent: FakeAgent) -> None:
    for message in ([], 5, ["hello", 2], ["nonsense"], ["kill", 3], ["tail", 1], ["recall", "x"], ["batch", 1]):
        agent.say(message)
    agent.send("MESSAGE", message={"data": "no base64"})
    agent.send("MESSAGE", message={"data": encoded(b"no JSON")})
    agent.until(lambda: len(agent.said("notice")) == 10)
    agent.launch("true")
    agent.wait("t1")


# -- output -------------------------------------------------------------------------------------------------


def test_output_comes_back_up_to_its_limit(make: MakeAgent, python: str) -> None:
    agent = make(python)
    agent.launch("seq 20000", "seq 200000 >&2", output_limit=200_000)
    agent.wait("t1")
    fits, large = agent.ended[0, 1].stdout, agent.ended[1, 1].stderr
    assert fits == "".join(f"{i}\n" for i in range(1, 20001))
    whole = "".join(f"{i}\n" for i in range(1, 200001))
    assert (large["head"], large["tail"]) == (whole[:100_000], whole[-100_000:])
    assert large["size"] == len(whole)
    assert Path(large["path"]).read_text() == whole
    assert Path(large["path"]).is_relative_to(agent.sandbox)
    assert [path for path in (agent.sandbox / "tasks").rglob("*") if path.is_file()] == [Path(large["path"])]


def test_bytes_that_are_no_text_come_back(agent: FakeAgent) -> None:
    agent.launch("head -c 300000 /dev/urandom | tee noise")
    agent.wait("t1")
    assert agent.ended[0, 1].bytes() == (agent.sandbox / "noise").read_bytes()


def test_output_in_the_sandbox(agent: FakeAgent) -> None:
    agent.launch("echo a", "echo b >&2", first=1000, output="mesos")
    agent.wait("t1")
    assert (agent.sandbox / "tasks" / "1" / "1000.1.stdout").read_text() == "a\n"
    assert agent.ended[1001, 1].bytes("stderr") == b"b\n"


def test_output_in_files_of_the_node(agent: FakeAgent) -> None:
    agent.launch("echo a", output="disk", log_directory=str(agent.folder / "logs"))
    agent.wait("t1")
    assert (agent.folder / "logs" / f"{agent.label}.0.1.stdout").read_text() == "a\n"


def test_output_that_nobody_wants(agent: FakeAgent) -> None:
    agent.launch("seq 100000", output="none")
    agent.wait("t1")
    assert (agent.ended[0, 1].stdout, list(agent.sandbox.iterdir())) == (None, [])


def test_a_tail(agent: FakeAgent) -> None:
    agent.launch("echo one; echo two; sleep 60")
    agent.wait_started(0)
    agent.say(["tail", 1, 0, 1, 4], ["tail", 2, 9, 1, 4])
    agent.until(lambda: len(agent.said("tail")) == 2)
    first, second = agent.said("tail")
    assert first[1]["stdout"] in ("two\n", "one\n", "")
    assert second == [2, None]
    agent.kill("t1")
    agent.wait("t1")


def test_a_monitor_in_a_batch(agent: FakeAgent) -> None:
    monitor = agent.folder / "monitor"
    monitor.write_text("#!/bin/sh\ncase $2 in *bad*) echo stratos_relaunch;; esac\n")
    monitor.chmod(0o755)
    agent.launch(
        "echo good; sleep 0.4",
        "while :; do echo bad; sleep 0.05; done",
        "echo good",
        monitor={"argv": [str(monitor)]},
        update_interval_s=0.2,
    )
    agent.wait("t1")
    assert [agent.ended[i, 1].reason for i in range(3)] == ["exit", "monitor", "exit"]


def test_limits_of_a_batch(agent: FakeAgent) -> None:
    hungry = f"{sys.executable} -S -c 'import time; x = bytearray(80 << 20); time.sleep(60)'"
    agent.launch(hungry, "echo $STRATOS_SANDBOX", limits={"mem_mib": 40, "disk_mib": 10})
    agent.wait("t1")
    assert agent.ended[0, 1].reason == "memory"
    assert agent.ended[1, 1].stdout == f"{agent.sandbox}/tasks/0/1.1.scratch\n"


def test_when_too_much_waits_nothing_new_is_started(make: MakeAgent) -> None:
    agent = make(
        prelude="import executor.transport.status_updates; executor.transport.status_updates.WAITING_LIMIT = 2000"
    )
    agent.ack = False
    agent.launch(*[f"echo {i:01000}; touch {i}" for i in range(200)])

    def held() -> int:
        before = len(agent.said("inventory"))
        agent.say(["hello", 1])
        agent.until(lambda: len(agent.said("inventory")) > before)
        return len(agent.said("inventory")[-1][0][0][2])

    def done() -> int:
        return len(list(agent.sandbox.iterdir()))

    agent.until(lambda: agent.updates and not agent.marked() and held() == 200 - done())
    stuck_at = done()
    assert 2 <= stuck_at < 150
    for _again in range(5):
        assert held() == 200 - stuck_at
    assert not agent.marked()
    agent.ack = True
    agent.acknowledge(agent.updates[0])
    agent.wait("t1")
    assert len(agent.records) == 200


# -- where the agent is -------------------------------------------------------------------------------------


def test_durations() -> None:
    given = ("15mins", "2secs", "0ns", "1.5hrs", "100ms", "2weeks", None, "", "soon", "5parsecs")
    assert [seconds(text, 7.0) for text in given] == [900, 2, 0, 5400, 0.1, 1209600, 7, 7, 7, 7]


def test_the_place_of_an_agent() -> None:
    env = {"MESOS_AGENT_ENDPOINT": "[::1]:5051", "MESOS_FRAMEWORK_ID": "f", "MESOS_EXECUTOR_ID": "e"}
    settings = AgentSettings(env)
    assert (settings.address, settings.path, settings.checkpoint) == (("::1", 5051), "/slave(1)/api/v1/executor", False)
    assert (settings.recovery_s, settings.backoff_s, settings.grace_s) == (900, 2, 5)
    other = AgentSettings(
        {
            **env,
            "MESOS_SLAVE_PID": "slave(7)@10.0.0.1:5051",
            "MESOS_DOMAIN_SOCKET": "/run/agent.sock",
            "MESOS_EXECUTOR_AUTHENTICATION_TOKEN": "abc",
            "MESOS_CHECKPOINT": "1",
        }
    )
    assert (other.address, other.path) == ("/run/agent.sock", "/slave(7)/api/v1/executor")
    assert (other.authorization, other.checkpoint) == ("Authorization: Bearer abc\r\n", True)
    assert json.dumps(other.ids)


def test_what_a_command_has_left_its_inputs_as_is_told(agent: FakeAgent, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("1")
    first = look(["in"], os.fsencode(tmp_path))[0]
    agent.launch("echo >> in", "cat in", limits={"inputs": {0: ["in"], 1: ["in"]}}, look=True, cwd=str(tmp_path))
    agent.wait("t1")
    after = look(["in"], os.fsencode(tmp_path))[0]
    assert agent.ended[0, 1].inputs == [after, first]
    assert agent.ended[1, 1].inputs[0] == after
