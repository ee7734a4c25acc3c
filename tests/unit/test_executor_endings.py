"""How tasks of a real executor end, and that nothing of them is left: /proc is searched for their marks."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.executor.seen import look
from tests.executor_client import Client, alive
from tests.waiting import until

#: Leaves the group and the session, forks again so that nobody is its parent, writes its process id.
DAEMON = """
import os, signal, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if "quiet" in sys.argv:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
        with open(sys.argv[1] + ".new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        while True:
            signal.pause()
    os._exit(0)
os.wait()
while not os.path.exists(sys.argv[1]):
    pass
"""


@pytest.fixture
def client() -> Iterator[Client]:
    with Client() as one:
        (one.folder / "daemon.py").write_text(DAEMON)
        yield one


def daemon(*words: str, unmarked: bool = False) -> str:
    return " ".join(
        [*(["env", "-i"] if unmarked else []), shlex.quote(sys.executable), "-I", "-S", "daemon.py", *words]
    )


def pid_in(path: Path) -> int:
    """The process id that a task writes to a file."""
    return int(until(lambda: path.exists() and path.read_text().strip(), what=f"a process id in {path}"))


def gone(client: Client, *pids: int) -> bool:
    """Whether nothing of the client's tasks is left in the end."""
    return bool(until(lambda: not client.marked() and not alive(pids), what="no process left"))


# Ends of its own.


def test_background_child_that_holds_the_pipes_is_killed_soon(client: Client) -> None:
    (record,) = client.run("echo a; sleep 1000 & echo $! > pid")
    assert (record.reason, record.code, record.stdout) == ("exit", 0, "a\n")
    assert record.started_at is not None
    assert record.finished_at - record.started_at < 5
    gone(client, pid_in(client.folder / "pid"))


def test_last_words_of_a_background_child_still_count(client: Client) -> None:
    (client.folder / "late").mkdir()
    (record,) = client.run(
        "(while ! test -e gone; do :; done; echo late) & (sleep 0.02; touch gone) >/dev/null 2>&1 & echo first"
    )
    assert record.stdout == "first\nlate\n"


def test_talkative_background_child_does_not_hold_up_the_end(client: Client) -> None:
    (record,) = client.run("yes & echo $! > pid")
    assert record.code == 0
    gone(client, pid_in(client.folder / "pid"))


def test_background_child_with_redirected_output_is_killed_at_once(client: Client) -> None:
    record, following = client.run("sleep 1000 >/dev/null 2>&1 & echo $! > pid", "echo on")
    assert (record.code, following.stdout) == (0, "on\n")
    gone(client, pid_in(client.folder / "pid"))


@pytest.mark.parametrize("unmarked", [False, True], ids=["marked", "unmarked"])
@pytest.mark.parametrize("quiet", [False, True], ids=["holds the pipes", "quiet"])
def test_daemon_is_found_after_the_end(client: Client, quiet: bool, unmarked: bool) -> None:
    (record,) = client.run(daemon("pid", *(["quiet"] if quiet else []), unmarked=unmarked))
    assert (record.reason, record.code) == ("exit", 0)
    gone(client, pid_in(client.folder / "pid"))


@pytest.mark.parametrize("unmarked", [False, True], ids=["marked", "unmarked"])
def test_daemon_is_found_while_others_run(client: Client, unmarked: bool) -> None:
    """The neighbour was there first, so an unmarked daemon could be its; it has to wait for the neighbour's end."""
    client.context()
    client.batch(["mkfifo gate; cat gate; echo fine"], slot=0)
    client.wait_started(0)
    client.batch([daemon("pid", "quiet", unmarked=unmarked), "cat pid"], slot=1, first=1)
    pid = int(client.wait(2).stdout)
    if unmarked:
        assert alive([pid])
        until(lambda: (client.folder / "gate").exists())
        (client.folder / "gate").write_text("")
    until(lambda: not alive([pid]), what="the daemon gone")
    if not unmarked:
        assert alive([client.started[0, 1]])
        (client.folder / "gate").write_text("")
    assert client.wait(0).stdout == "fine\n"
    gone(client)


def test_task_that_closes_its_pipes_goes_on(client: Client) -> None:
    (record,) = client.run("echo a; exec >&- 2>&-; sleep 0.05; touch done; exit 4")
    assert (record.code, record.stdout) == (4, "a\n")
    assert (client.folder / "done").exists()


def test_children_of_its_own_are_left_alone_while_it_runs(client: Client) -> None:
    (record,) = client.run("(sleep 0.7; echo child) & wait; echo parent")
    assert record.stdout == "child\nparent\n"


# Killed.


def test_kill_of_a_running_task(client: Client) -> None:
    client.context()
    client.batch(["sleep 1000", "echo next"])
    client.wait_started(0)
    client.send(["kill", [[0, 1]]])
    record = client.wait(0)
    assert (record.reason, record.code) == ("user", -signal.SIGTERM)
    assert client.wait(1).stdout == "next\n"
    assert not client.marked()


def test_kill_names_one_attempt(client: Client) -> None:
    client.context()
    client.batch(["mkfifo gate; cat gate"], attempt=2)
    client.wait_started(0, 2)
    client.send(["kill", [[0, 1], [5, 2]]])
    client.tail(0, attempt=2)
    (client.folder / "gate").write_text("")
    assert client.wait(0, 2).reason == "exit"


def test_kill_before_the_start(client: Client) -> None:
    client.context()
    client.batch(["mkfifo gate; cat gate", "touch ran", "echo c"])
    client.batch(["touch ran"], first=10)
    client.send(["kill", [[1, 1], [10, 1]]])
    for task in (1, 10):
        record = client.wait(task)
        assert (record.reason, record.code, record.started_at, record.stdout) == ("user", None, None, None)
    until(lambda: (client.folder / "gate").exists())
    (client.folder / "gate").write_text("")
    assert client.wait(2).stdout == "c\n"
    assert not (client.folder / "ran").exists()


def test_task_that_ends_itself_on_term_says_how(client: Client) -> None:
    client.context()
    client.batch(["trap 'echo bye; exit 5' TERM; mkfifo gate; cat gate & wait"])
    client.wait_started(0)
    until(lambda: (client.folder / "gate").exists())
    client.send(["kill", [[0, 1]]])
    record = client.wait(0)
    assert (record.reason, record.code, record.stdout) == ("user", 5, "bye\n")


def test_descendants_have_the_grace_time_too(client: Client) -> None:
    """The shell dies of TERM at once; its child may still save its work."""
    saver = "trap 'while ! test -e go; do :; done; echo saved; exit' TERM; echo $$ > pid; while :; do sleep 0.01; done"
    (client.folder / "saver").write_text(saver)
    client.context(grace_s=15.0)
    client.batch(["sh saver & echo $$ > shell; wait"])
    client.wait_started(0)
    pid_in(client.folder / "pid")
    shell = pid_in(client.folder / "shell")
    client.send(["kill", [[0, 1]]])
    until(lambda: not alive([shell]), what="the shell gone")
    (client.folder / "go").touch()
    assert client.wait(0).stdout == "saved\n"


def test_term_comes_once(client: Client) -> None:
    script = "import signal,os\nn=[]\nsignal.signal(15,lambda *_:n.append(1))\nopen('up','w').close()\n"
    script += "while not n: signal.pause()\nprint(len(n), flush=True)\nsignal.pause()\n"
    (client.folder / "count.py").write_text(script)
    client.context(grace_s=0.3)
    client.batch([f"{shlex.quote(sys.executable)} -I -S count.py"])
    until(lambda: (client.folder / "up").exists())
    client.send(["kill", [[0, 1]]])
    record = client.wait(0)
    assert (record.stdout, record.code) == ("1\n", -signal.SIGKILL)


@pytest.mark.parametrize("grace_s", [0.0, 0.2])
def test_whoever_ignores_term_is_killed(client: Client, grace_s: float) -> None:
    client.context(grace_s=grace_s)
    client.batch(
        ["trap '' TERM; (trap '' TERM; echo $$ > pid; while :; do sleep 1000; done) & while :; do sleep 1000; done"]
    )
    client.wait_started(0)
    pid = pid_in(client.folder / "pid")
    client.send(["kill", [[0, 1]]])
    record = client.wait(0)
    assert (record.reason, record.code) == ("user", -signal.SIGKILL)
    assert not client.marked()
    assert not alive([pid])


@pytest.mark.parametrize("unmarked", [False, True], ids=["marked", "unmarked"])
def test_nothing_of_a_killed_task_is_left_when_it_is_reported(client: Client, unmarked: bool) -> None:
    client.context(grace_s=0.1)
    client.batch([daemon("pid", unmarked=unmarked) + "; setsid sh -c 'echo $$ > other; exec sleep 1000'"])
    client.wait_started(0)
    pids = pid_in(client.folder / "pid"), pid_in(client.folder / "other")
    client.send(["kill", [[0, 1]]])
    client.wait(0)
    assert not client.marked()
    assert not alive(pids)


def test_stopped_task_is_ended_too(client: Client) -> None:
    client.context()
    client.batch(["trap 'echo woken; exit' TERM; touch up; while :; do kill -STOP $$; done"])
    pid = client.wait_started(0)
    until(lambda: (client.folder / "up").exists())
    until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "T")
    client.send(["kill", [[0, 1]]])
    assert client.wait(0).stdout == "woken\n"


def test_neighbours_of_a_killed_task_live(client: Client) -> None:
    client.context()
    client.batch(["mkfifo gate; cat gate; echo fine"], slot=0)
    client.batch(["sleep 1000"], slot=1, first=1)
    client.wait_started(0)
    client.wait_started(1)
    client.send(["kill", [[1, 1]]])
    client.wait(1)
    (client.folder / "gate").write_text("")
    assert client.wait(0).stdout == "fine\n"


def test_many_are_killed_together(client: Client) -> None:
    client.context()
    for slot in range(8):
        client.batch(["sleep 1000"] * 50, slot=slot, first=slot * 50)
    for slot in range(8):
        client.wait_started(slot * 50)
    client.send(["kill", [[task, 1] for task in range(400)]])
    client.until(lambda: len(client.records) == 400)
    assert {record.reason for record in client.records} == {"user"}
    assert sum(record.started_at is not None for record in client.records) == 8
    assert not client.marked()


def test_timeout(client: Client) -> None:
    late, following = client.run("echo begun; sleep 1000", "echo on", timeout_s=0.2)
    assert (late.reason, late.code, late.stdout) == ("timeout", -signal.SIGTERM, "begun\n")
    assert late.started_at is not None
    assert 0.2 <= late.finished_at - late.started_at < 5
    assert following.stdout == "on\n"
    gone(client)


# Nothing is left, whatever they do and however they end.

#: Each child forks another one and exits, without end (a test that fails must not leave it for ever, so: 30 s).
CHAIN = """
import os, sys, time
end = time.monotonic() + 30
for fd in (1, 2):
    os.dup2(os.open(os.devnull, os.O_RDWR), fd)
with open("up.new", "w") as file:
    file.write(str(os.getpid()))
os.rename("up.new", "up")
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    if "setsid" in sys.argv:
        os.setsid()
"""

#: Each leaves something behind, and has made the file "up" once that is there; "{python}" runs a script.
WAYS = {
    "deaf": "(trap '' TERM INT HUP; echo $$ > up; while :; do sleep 1000; done) &",
    "setsid": "setsid sh -c 'echo $$ > up; exec sleep 1000' &",
    "setsid, deaf": """setsid sh -c 'trap "" TERM; echo $$ > up; while :; do sleep 1000; done' &""",
    "daemon": "{python} daemon.py up;",
    "quiet daemon": "{python} daemon.py up quiet;",
    "unmarked daemon": "env -i {python} daemon.py up;",
    "nohup": "nohup sh -c 'echo $$ > up; exec sleep 1000' >/dev/null 2>&1 &",
    "pipes": "sh -c 'echo $$ > up; exec sleep 1000' &",
    "no mark": "env -i setsid sh -c 'echo $$ > up; exec sleep 1000' &",
    "chain": "{python} chain.py &",
    "chain with setsid": "{python} chain.py setsid &",
    "chain without mark": "env -i {python} chain.py setsid &",
    "stopped": "sh -c 'echo $$ > up; kill -STOP $$' & until grep -q '^State:.T' /proc/$!/status; do :; done;",
    "stopped in a session": "setsid sh -c 'echo $$ > up; kill -STOP $$; sleep 1000' &",
    "other group": "set -m; sh -c 'echo $$ > up; exec sleep 1000' & set +m;",
    "other group, stopped": "set -m; sh -c 'echo $$ > up; kill -STOP $$; sleep 1000' & set +m;",
    "tree": "sh leaves.sh & sh tree.sh & (sh tree.sh) &",
}


def leave(client: Client, way: str) -> str:
    """Return a command that leaves something behind, and is over as soon as that is there."""
    (client.folder / "chain.py").write_text(CHAIN)
    (client.folder / "tree.sh").write_text("sleep 1000 & setsid sh leaves.sh & sleep 1000")
    (client.folder / "leaves.sh").write_text(
        "sleep 1000 & setsid sleep 1000 & (setsid sleep 1000 &) ; echo $$ > up; wait"
    )
    python = f"{shlex.quote(sys.executable)} -I -S"
    return WAYS[way].format(python=python) + " until test -s up; do sleep 0.01; done"


def left(client: Client) -> list[int]:
    """Processes whose working directory is the client's folder: a way to find them that the executor doesn't know."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{name}/cwd") == str(client.folder):
                found.append(int(name))
        except OSError:
            continue
    return alive(found)


def none_left(client: Client) -> bool:
    """Whether nothing is left, looking often enough to meet those that fork all the time."""
    return not any(left(client) for _look in range(5))


@pytest.fixture(params=["groups", "no groups"])
def limited(request: pytest.FixtureRequest) -> Iterator[Client]:
    """Tasks with a memory limit may have a cgroup, which helps; without one nothing may be left either."""
    with Client(options=["--no-cgroup"] if request.param == "no groups" else []) as one:
        (one.folder / "daemon.py").write_text(DAEMON)
        yield one
    assert none_left(one)


LIMITS = {"mem_mib": 500.0}


@pytest.mark.parametrize("way", WAYS)
def test_kill_leaves_nothing(limited: Client, way: str) -> None:
    limited.context(grace_s=0.1)
    limited.batch([leave(limited, way) + "; sleep 1000"], limits=LIMITS)
    pid = pid_in(limited.folder / "up")
    limited.wait_started(0)
    limited.kill(0)
    record = limited.wait(0)
    assert (record.reason, record.note) == ("user", "")
    assert not alive([pid])
    assert none_left(limited)


@pytest.mark.parametrize("way", WAYS)
def test_task_that_ends_by_itself_leaves_nothing(limited: Client, way: str) -> None:
    (record,) = limited.run(leave(limited, way), limits=LIMITS)
    assert (record.reason, record.code) == ("exit", 0)
    until(lambda: none_left(limited), what="nothing left")


SOME = ["deaf", "quiet daemon", "no mark", "chain with setsid", "stopped in a session", "tree"]


@pytest.mark.parametrize("way", SOME)
def test_timeout_leaves_nothing(limited: Client, way: str) -> None:
    (record,) = limited.run(leave(limited, way) + "; sleep 1000", limits=LIMITS, timeout_s=0.5, grace_s=0.1)
    assert (record.reason, record.note) == ("timeout", "")
    assert none_left(limited)


@pytest.mark.parametrize("way", SOME)
def test_too_much_memory_leaves_nothing(limited: Client, way: str) -> None:
    eat = f"exec {shlex.quote(sys.executable)} -I -S -c 'x = bytearray(200 << 20); import signal; signal.pause()'"
    (record,) = limited.run(f"{leave(limited, way)}; {eat}", limits={"mem_mib": 64.0}, grace_s=60.0)
    assert record.reason == "memory"
    until(lambda: none_left(limited), what="nothing left")


@pytest.mark.parametrize("how", ["message", "SIGTERM", "connection"])
@pytest.mark.parametrize("way", SOME)
def test_end_of_the_executor_leaves_nothing(limited: Client, way: str, how: str) -> None:
    limited.context(grace_s=0.1)
    limited.batch([leave(limited, way) + "; sleep 1000"], limits=LIMITS)
    limited.batch(["sleep 1000"], slot=1, first=10)
    pid_in(limited.folder / "up")
    limited.wait_started(0)
    if how == "message":
        limited.send(["stop"])
    elif how == "SIGTERM":
        limited.process.terminate()
    limited.socket.close()
    assert limited.process.wait(20) == 0
    assert none_left(limited)


@pytest.mark.parametrize("way", ["deaf", "setsid", "quiet daemon", "chain with setsid", "stopped in a session"])
def test_neighbours_of_the_stubborn_go_on(limited: Client, way: str) -> None:
    limited.context(grace_s=0.1)
    limited.batch(["mkfifo gate; cat gate; echo fine"], slot=1, first=10)
    limited.wait_started(10)
    limited.batch([leave(limited, way) + "; sleep 1000"])
    pid_in(limited.folder / "up")
    limited.wait_started(0)
    limited.kill(0)
    assert limited.wait(0).note == ""
    # A link of a chain may be born while its parent dies; on a busy machine the sweep ends it a moment later.
    until(lambda: set(left(limited)) <= set(family(limited.started[10, 1])), what="nothing of the stubborn to be left")
    (limited.folder / "gate").write_text("")
    assert limited.wait(10).stdout == "fine\n"


def family(leader: int) -> list[int]:
    """A process and its children."""
    return [leader, *(int(line.split(maxsplit=1)[0]) for line in children(leader))]


# Batches that are late.


def test_late_batch_hands_back_what_has_not_started(client: Client) -> None:
    client.context()
    first = client.batch(["mkfifo gate; cat gate; echo done", "touch ran", "touch ran"], expected_s=0.01)
    behind = client.batch(["touch ran"], first=10, expected_s=0.01)
    patient = client.batch(["echo patient"], first=20)
    records = [client.wait(task) for task in (1, 2, 10)]
    assert [record.batch for record in records] == [first, first, behind]
    for record in records:
        assert (record.reason, record.code, record.started_at) == ("returned", None, None)
    later = client.batch(["touch ran"], first=30, expected_s=0.01)
    assert client.wait(30)[2:4] == (later, "returned")
    (client.folder / "gate").write_text("")
    assert client.wait(0).stdout == "done\n"
    assert client.wait(20)[2:4] == (patient, "exit")
    assert not (client.folder / "ran").exists()


def test_batch_in_time_keeps_its_commands(client: Client) -> None:
    client.context()
    client.batch(["sleep 0.1"] * 4, expected_s=10.0)
    client.batch(["echo a"], first=10, expected_s=0.01)  # waits for longer than that, but nobody is late
    assert client.wait(3).code == 0
    assert client.wait(10).stdout == "a\n"


# The executor itself.


def test_leaks_neither_descriptors_nor_zombies(client: Client) -> None:
    folder = Path(f"/proc/{client.process.pid}/fd")
    client.run("echo a")
    before = sorted(folder.iterdir())
    client.context(grace_s=0.1)
    client.batch(
        ["echo a", "no-such", "seq 100000", "sleep 1000 &", "kill $$", "exec >&-", daemon("pid")], slot=0, first=100
    )
    client.batch(["sleep 1000"], slot=1, first=200)
    client.batch(["echo a"] * 200, slot=2, first=300)
    client.context(2, cwd="/nonexistent")
    client.batch(["echo a"] * 20, slot=3, first=600, context=2)
    client.wait_started(200)
    client.send(["kill", [[200, 1], [499, 1]]])
    client.until(lambda: len(client.records) == 1 + 7 + 1 + 200 + 20)
    until(lambda: sorted(folder.iterdir()) == before, what="the descriptors from before")
    until(lambda: not children(client.process.pid), what="no children")


def children(parent: int) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            line = path.read_text()
        except OSError:
            continue
        if int(line.rpartition(") ")[2].split()[1]) == parent:
            found.append(line)
    return found


def test_interrupts_and_hang_ups_are_for_others(client: Client) -> None:
    client.context()
    client.batch(["mkfifo gate; cat gate; echo fine"])
    client.wait_started(0)
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(client.process.pid, number)
    client.tail(0)
    (client.folder / "gate").write_text("")
    assert client.wait(0).stdout == "fine\n"


@pytest.mark.parametrize("how", ["message", "SIGTERM"])
def test_stop_ends_all_hands_back_the_rest_and_exits(client: Client, how: str) -> None:
    client.context(grace_s=0.2)
    client.batch([daemon("pid", "quiet"), "trap '' TERM; while :; do sleep 1000; done", "echo c"])
    client.batch(["sleep 1000"], slot=1, first=10)
    client.wait_started(1)
    client.wait_started(10)
    pid = pid_in(client.folder / "pid")
    if how == "message":
        client.send(["stop"])
    else:
        client.process.terminate()
    assert (client.wait(1).reason, client.wait(10).reason) == ("user", "user")
    assert client.wait(2)[3:6] == ("returned", None, None)
    assert client.process.wait(10) == 0
    assert not client.marked()
    assert not alive([pid])


def test_what_a_command_has_left_its_inputs_as_is_told(client: Client) -> None:
    for name in ("file", "table", "Zürich"):
        (client.folder / name).write_text("1")
    first = look(["file"], os.fsencode(client.folder))[0]
    client.context(look=True)
    client.batch(["cat file", "echo 2 >> file", "true", "echo >> table", "exit 1"],
                 files=["file", "file", None, "file", "Zürich"], limits={"inputs": {"3": ["table"]}})  # fmt: skip
    client.wait(4)
    assert client.ended[0, 1].inputs == [first]
    left = look(["file"], os.fsencode(client.folder))[0]
    assert client.ended[1, 1].inputs == [left, first]
    assert client.ended[2, 1].inputs == ()
    assert client.ended[3, 1].inputs[0] == look(["table"], os.fsencode(client.folder))[0]
    assert client.ended[4, 1].inputs == [look(["Zürich"], os.fsencode(client.folder))[0]]


def test_inputs_are_not_looked_at_unless_that_is_asked(client: Client) -> None:
    client.context()
    client.batch(["true"], files=["file"])
    assert client.wait(0).inputs == ()
