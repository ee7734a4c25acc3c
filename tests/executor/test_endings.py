"""How tasks of a real executor end, and that nothing of them is left: /proc is searched for their marks."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.executor.process.input_state import look
from tests.support.executor_client import Client, alive
from tests.support.processes import is_stopped
from tests.support.waiting import until

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


# Background processes, which are waited for.

#: Ways to leave something in one's session: the script "late" waits at the gate, then writes into the file "result".
BACKGROUND = {
    "ampersand": "sh late &",
    "ampersand, quiet": "sh late >/dev/null 2>&1 &",
    "nohup": "nohup sh late >/dev/null 2>&1 &",
    "nohup, holds the pipes": "nohup sh late &",
    "subshell": "(sh late &);",
    "subshell of a subshell": "( ( sh late & ) & );",
    "disown": "bash -c 'sh late & disown';",
    "deaf": "(trap '' TERM INT HUP; sh late) &",
    "pipeline": "echo a | sh late &",
    "process substitution": "bash -c 'echo a | tee >(sh late) >/dev/null';",
    "coprocess": "bash -c 'coproc sh late';",
    "job control": "bash -c 'set -m; sh late & set +m';",
    "other group": "set -m; sh late & set +m;",
    "closed pipes": "sh late >&- 2>&- &",
    "no mark": "env -i PATH=$PATH sh late &",
    "python": '{python} -c \'import subprocess; subprocess.Popen(["sh", "late"])\';',
    "below a daemon": "(sh late & exec setsid sleep 1000) &",
}


@pytest.mark.parametrize("way", BACKGROUND)
def test_what_is_in_the_background_is_waited_for(client: Client, way: str) -> None:
    os.mkfifo(client.folder / "gate")
    (client.folder / "late").write_text("echo $$ > pid; read x < gate; echo late > result\n")
    text = BACKGROUND[way].format(python=f"{shlex.quote(sys.executable)} -I -S")
    client.context()
    client.batch([text + " until test -s pid; do sleep 0.01; done; echo first", "cat result"])
    pid = pid_in(client.folder / "pid")
    client.wait_started(0)
    until(lambda: client.tail(0)["note"].startswith("waiting for"), what="the task waiting")
    assert f"(pid {pid})" in client.tail(0)["note"]
    assert client.tail(0)["stdout"] == "first\n"
    assert not client.ended
    opened_at = time.time()
    (client.folder / "gate").write_text("")
    record, following = client.wait(0), client.wait(1)
    assert (record.reason, record.code, record.stdout) == ("exit", 0, "first\n")
    assert record.finished_at >= opened_at
    assert following.stdout == "late\n"
    assert record.note == ("1 process that it left behind was ended: sleep" if way == "below a daemon" else "")
    gone(client)


def test_all_that_a_reader_in_the_background_has_read_is_written(client: Client) -> None:
    """bash doesn't wait for what stands in ``>( )``."""
    (record,) = client.run("bash -c 'seq 1500000 | tee >(sort -rn > sorted) > /dev/null'")
    assert (record.reason, record.code, record.note) == ("exit", 0, "")
    assert (client.folder / "sorted").stat().st_size == sum(len(f"{i}\n") for i in range(1, 1_500_001))


def test_processor_time_and_memory_of_the_background_count(client: Client) -> None:
    eat = "x = bytearray(60 << 20)\nfor i in range(10**7): pass"
    (record,) = client.run(f"{shlex.quote(sys.executable)} -I -S -c '{eat}' & echo a")
    assert record.cpu_s > 0.1
    assert 60 < record.max_rss_mib < 90


def test_output_of_the_background_is_the_tasks(client: Client) -> None:
    (record,) = client.run("(sleep 0.1; seq 100000; echo late >&2) & echo first")
    assert (len(record.bytes()), record.bytes("stderr")) == (6 + 588895, b"late\n")


def test_exit_code_is_the_leaders(client: Client) -> None:
    good, bad = client.run("(sleep 0.1; exit 7) & exit 0", "(sleep 0.1; echo kept > kept) & exit 3")
    assert (good.reason, good.code, bad.reason, bad.code) == ("exit", 0, "exit", 3)
    assert (client.folder / "kept").exists()


def test_background_of_a_failed_leader_has_the_grace_time(client: Client) -> None:
    """A process that writes down what the leader said can finish that; a server ends."""
    (record,) = client.run("sleep 1000 & sleep 1000 & kill -9 $$", grace_s=0.3)
    assert (record.reason, record.code) == ("signal", signal.SIGKILL)
    assert record.note == "2 processes that it left behind were ended: sleep"
    assert record.started_at is not None
    assert record.finished_at - record.started_at >= 0.3
    gone(client)


@pytest.mark.parametrize(("ending", "code"), [("exit 7", 7), ("kill -USR1 $$", 128 + signal.SIGUSR1)])
def test_background_of_a_leader_with_another_exit_code_that_is_well_is_waited_for(
    client: Client, ending: str, code: int
) -> None:
    os.mkfifo(client.folder / "gate")
    (client.folder / "late").write_text("read x < gate; echo late > result\n")
    client.context(ok_exit=[[0, 0], [7, 7], [138, 138]], grace_s=0.0)
    client.batch([f"sh late & {ending}"])
    client.wait_started(0)
    until(lambda: client.tail(0)["note"].startswith("waiting for"), what="the task waiting")
    (client.folder / "gate").write_text("")
    record = client.wait(0)
    assert (record.reason, record.code, record.note) == ("exit", code, "")
    assert (client.folder / "result").read_text() == "late\n"
    gone(client)


def test_time_limit_does_not_hide_why_the_leader_failed(client: Client) -> None:
    (record,) = client.run("sleep 1000 & exit 3", timeout_s=0.2, grace_s=0.6)
    assert (record.reason, record.code, record.note) == ("exit", 3, "1 process that it left behind was ended: sleep")


@pytest.mark.parametrize("bound", ["linger_s", "timeout_s"])
def test_bound_of_waiting(client: Client, bound: str) -> None:
    late, following = client.run("sleep 1000 & sleep 1000 & echo first", "echo on", **{bound: 0.3})
    assert (late.reason, late.code, late.stdout) == ("timeout", 0, "first\n")
    sleeps = r"sleep \(pid \d+\), sleep \(pid \d+\)"
    assert re.fullmatch(rf"waited [\d.e-]+ s for 2 background processes: {sleeps}", late.note), late.note
    assert following.stdout == "on\n"
    gone(client)


def test_background_gets_term_and_the_grace_time_when_the_bound_strikes(client: Client) -> None:
    saver = "trap 'echo saved; exit' TERM; echo $$ > pid; while :; do sleep 0.01; done"
    (client.folder / "saver").write_text(saver)
    (record,) = client.run("sh saver & until test -s pid; do sleep 0.01; done", linger_s=0.1, grace_s=15.0)
    assert (record.reason, record.stdout) == ("timeout", "saved\n")


@pytest.mark.parametrize("quiet", [False, True], ids=["holds the pipes", "quiet"])
def test_no_time_to_linger_ends_the_background_at_once(client: Client, quiet: bool) -> None:
    silence = ">/dev/null 2>&1 " if quiet else ""
    record, following = client.run(f"sleep 1000 {silence}& echo $! > pid", "echo on", linger_s=0.0)
    assert (record.reason, record.code, following.stdout) == ("exit", 0, "on\n")
    assert record.note == "1 process that it left behind was ended: sleep"
    assert record.started_at is not None
    assert record.finished_at - record.started_at < 5
    gone(client, pid_in(client.folder / "pid"))


def test_talkative_background_does_not_hold_up_the_end_without_lingering(client: Client) -> None:
    (record,) = client.run("yes & echo $! > pid", linger_s=0.0)
    assert record.code == 0
    gone(client, pid_in(client.folder / "pid"))


def waits(client: Client, task: int = 0, text: str = "waiting for") -> bool:
    """Whether a task is said to wait for its background."""
    tail = client.tail(task)
    return tail is not None and text in tail["note"]


def test_kill_while_it_waits(client: Client) -> None:
    client.context()
    client.batch(["sleep 1000 & echo $! > pid", "echo next"])
    pid = pid_in(client.folder / "pid")
    until(lambda: waits(client))
    client.kill(0)
    record = client.wait(0)
    assert (record.reason, record.code) == ("user", 0)
    assert re.fullmatch(rf"waited [\d.e-]+ s for 1 background process: sleep \(pid {pid}\)", record.note)
    assert not alive([pid])
    assert client.wait(1).stdout == "next\n"


def test_stopped_background_is_waited_for_and_said(client: Client) -> None:
    client.context()
    client.batch([WAYS["stopped"] + " echo first"])
    pid = pid_in(client.folder / "up")
    until(lambda: waits(client, text=f"(pid {pid}, stopped)"))
    os.kill(pid, signal.SIGCONT)
    assert (client.wait(0).reason, client.wait(0).stdout) == ("exit", "first\n")


LEAVER = """
import os, time
open("up", "w").write(str(os.getpid()))
while not os.path.exists("go"):
    time.sleep(0.01)
os.setsid()
time.sleep(1000)
"""
#: Leaves the session after its child, which has exited there, and never looks at that.
CARELESS = """
import os, time
if os.fork() == 0:
    os._exit(0)
os.setsid()
open("up", "w").write("1")
time.sleep(1000)
"""


def test_process_that_leaves_the_session_is_waited_for_no_longer(client: Client) -> None:
    (client.folder / "leave.py").write_text(LEAVER)
    client.context()
    client.batch([f"{shlex.quote(sys.executable)} -I -S leave.py & true"])
    pid = pid_in(client.folder / "up")
    until(lambda: waits(client))
    (client.folder / "go").touch()
    record = client.wait(0)
    assert (record.reason, record.code) == ("exit", 0)
    assert record.note.startswith("1 process that it left behind was ended: ")
    gone(client, pid)


def test_zombie_in_the_session_is_not_waited_for(client: Client) -> None:
    (client.folder / "careless.py").write_text(CARELESS)
    (record,) = client.run(f"{shlex.quote(sys.executable)} -I -S careless.py & until test -s up; do sleep 0.01; done")
    assert (record.reason, record.code) == ("exit", 0)
    gone(client)


def test_neighbours_go_on_while_one_waits(client: Client) -> None:
    client.context()
    client.batch(["sleep 1000 & echo $! > pid", "touch ran"], slot=0)
    pid_in(client.folder / "pid")
    client.batch(["(sleep 0.01 &); echo $0"] * 50, slot=1, first=10)
    client.batch([f"{daemon('up', 'quiet')}; cat up"], slot=2, first=200)
    assert [client.wait(task).stdout for task in (10, 59)] == ["bash\n"] * 2
    assert client.wait(200).note.startswith("1 process that it left behind was ended")
    assert not (client.folder / "ran").exists()
    client.kill(0)
    assert client.wait(0).reason == "user"


def test_new_kernel_hears_of_what_waits() -> None:
    with Client(failover_s=60, prelude="import executor.process.linger; executor.process.linger.SAY_S = 0.1") as client:
        client.context()
        client.batch(["mkfifo gate; cat gate & true"])
        client.until(lambda: client.waiting)
        ((task, attempt, text),) = client.waiting
        assert (task, attempt) == (0, 1)
        assert re.fullmatch(r"waiting for 1 background process: cat \(pid \d+\)", text)
        client.waiting = []
        client.started.clear()
        client.connect()
        client.until(lambda: client.waiting)
        assert (0, 1) in client.started
        assert client.inventory == {(0, 1): (1, 0)}
        (client.folder / "gate").write_text("")
        assert client.wait(0).reason == "exit"
        client.until(lambda: not client.waiting)


NO_LIST = "import executor.process.adopted; executor.process.adopted.Adopted.pids = lambda self: None"
NO_ORPHANS = "import executor.main; executor.main.adopt_orphans = lambda: False"


@pytest.mark.parametrize("lack", [NO_LIST, NO_ORPHANS], ids=["no list", "no orphans"])
@pytest.mark.parametrize("way", ["ampersand, quiet", "job control", "process substitution", "below a daemon"])
def test_where_nothing_tells_of_children_all_processes_are_looked_at(way: str, lack: str) -> None:
    with Client(prelude=lack) as client:
        (client.folder / "daemon.py").write_text(DAEMON)
        (client.folder / "late").write_text("echo $$ > pid; sleep 0.3; echo late > result\n")
        text = BACKGROUND[way] + " until test -s pid; do sleep 0.01; done"
        _, following = client.run(text, "cat result")
        assert following.stdout == "late\n"
        if lack == NO_LIST:  # otherwise it is init's, and nobody finds it
            (left,) = client.run(daemon("up", "quiet"))
            assert left.note.startswith("1 process that it left behind was ended: ")
            gone(client)


def test_daemon_that_may_be_another_tasks_is_in_nobodys_note(client: Client) -> None:
    client.context()
    client.batch(["mkfifo gate; cat gate; echo fine"], slot=0)
    client.wait_started(0)
    client.batch([daemon("pid", "quiet", unmarked=True)], slot=1, first=1)
    pid = pid_in(client.folder / "pid")
    assert client.wait(1).note == ""
    (client.folder / "gate").write_text("")
    assert (client.wait(0).stdout, client.wait(0).note) == ("fine\n", "")
    gone(client, pid)


def test_late_batch_hands_back_what_is_behind_one_that_waits(client: Client) -> None:
    client.context()
    client.batch(["sleep 1000 & true", "touch ran"], expected_s=0.01)
    behind = client.wait(1)
    assert (behind.reason, behind.started_at) == ("returned", None)
    assert waits(client)
    client.kill(0)
    assert client.wait(0).reason == "user"
    assert not (client.folder / "ran").exists()


# Daemons, which are not.


@pytest.mark.parametrize("unmarked", [False, True], ids=["marked", "unmarked"])
@pytest.mark.parametrize("quiet", [False, True], ids=["holds the pipes", "quiet"])
def test_daemon_is_found_after_the_end(client: Client, quiet: bool, unmarked: bool) -> None:
    (record,) = client.run(daemon("pid", *(["quiet"] if quiet else []), unmarked=unmarked))
    assert (record.reason, record.code) == ("exit", 0)
    assert re.fullmatch("1 process that it left behind was ended: python[0-9.]*", record.note)
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
    client.batch([daemon("pid", unmarked=unmarked) + "; setsid sh -c 'echo $$ > other; exec sleep 1000'; :"])
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
    until(lambda: is_stopped(pid))
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
    (record,) = limited.run(leave(limited, way), limits=LIMITS, linger_s=0.0)
    assert (record.reason, record.code) == ("exit", 0)
    until(lambda: none_left(limited), what="nothing left")


@pytest.mark.parametrize("way", WAYS)
def test_end_of_waiting_leaves_nothing(limited: Client, way: str) -> None:
    """What stays in the session is waited for, and ended when the time is over; what has left it isn't."""
    # By sh: when bash ends, it ends jobs of its own that are stopped.
    (record,) = limited.run(leave(limited, way), limits=LIMITS, linger_s=0.3, grace_s=0.1, shell=["sh"])
    assert record.code == 0
    assert record.reason == ("timeout" if way in STAY else "exit")
    until(lambda: none_left(limited), what="nothing left")


#: of the ways above, those of which something stays in the session
STAY = {"deaf", "nohup", "pipes", "stopped", "other group", "other group, stopped", "tree", "chain"}
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
        ["echo a", "no-such", "seq 100000", "sleep 0.2 &", "kill $$", "exec >&-", daemon("pid")], slot=0, first=100
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
