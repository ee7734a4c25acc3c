"""Monitors and relaunchers of a real executor: what they are given, what they do, and that nothing of them stays."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require
from tests.support.executor_client import DEADLINE_S, Client, Record, alive
from tests.support.pythons import other_pythons
from tests.support.waiting import until

#: The most that one argument may hold.
LIMIT = 128 * 1024 - 1
#: Between two calls of a shell script, and of a function, which takes longer to start.
OFTEN_S = 0.2
FUNCTION_S = 1.0
#: Of the executor of most tests here: a relauncher may take this long.
SHORT = "from executor.monitor import relaunch; relaunch.RELAUNCHER_S = 1.0"


@pytest.fixture
def client() -> Iterator[Client]:
    with Client() as one:
        yield one


@pytest.fixture(scope="module", params=["this", "oldest"])
def any_client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """An executor of this Python, and of the oldest that is found."""
    python = sys.executable
    if request.param == "oldest":
        pythons = other_pythons()
        if not pythons:
            require("pythons", "no other python3 on this machine")
        python = next(iter(pythons.values()))
    with Client(python=python, prelude=SHORT) as one:
        yield one


def script(client: Client, name: str, text: str, first: str = "#!/bin/sh") -> dict[str, list[str]]:
    """A program as a context names it."""
    path = client.folder / name
    path.write_text(f"{first}\n{text}\n")
    path.chmod(0o755)
    return {"argv": [str(path)]}


def function(body: str, name: str = "watch") -> dict[str, Any]:
    """A Python function as a context names it."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return {"python": {"source": f"def {name}(pid, stdout, stderr):\n{lines}", "name": name}}


def watched(client: Client, command: str = "echo a; sleep 1000", task: int | None = None, **fields: Any) -> int:
    """Start a task with a monitor that is called often; returns its number."""
    client.context(**{"update_interval_s": OFTEN_S, "grace_s": 1.0, **fields})
    number = 1 + max((one.task for one in client.records), default=-1) if task is None else task
    client.batch([command], first=number)
    return number


def ended(client: Client, *words: str, **fields: Any) -> Record:
    """Run a task with a monitor until it is over."""
    return client.wait(watched(client, *words, **fields))


def at_once(client: Client, monitors: list[dict[str, Any]], **fields: Any) -> int:
    """Start a task for each of these functions, all at once; returns the number of the first."""
    first = 1 + max((one.task for one in client.records), default=-1)
    for i, monitor in enumerate(monitors):
        client.context(i, monitor=monitor, update_interval_s=FUNCTION_S, **fields)
        client.batch(["echo a; sleep 1000"], slot=i, first=first + i, context=i)
    return first


def kill(client: Client, task: int) -> Record:
    client.wait_started(task)
    client.send(["kill", [[task, 1]]])
    return client.wait(task)


def note(client: Client, task: int, text: str) -> str:
    """Wait until the note of a running task holds a text; returns the note."""
    client.wait_started(task)
    client.until(lambda: text in client.tail(task)["note"])
    return str(client.tail(task)["note"])


def calls(path: Path) -> list[bytes]:
    """The arguments that a recording monitor was given, one a call."""
    return path.read_bytes().split(b"\n--\n")[:-1] if path.exists() else []


def recorder(client: Client) -> dict[str, list[str]]:
    """A monitor that writes down what it is given."""
    return script(client, "recorder", r"""printf '%s\n--\n' "$2" >> seen""")


def nothing_left(client: Client, *pids: int) -> bool:
    return bool(until(lambda: not client.marked() and not alive(pids), what="no process left"))


def pid_in(path: Path) -> int:
    return int(until(lambda: path.exists() and path.read_text().strip(), what=f"a process id in {path}"))


THIS_PYTHON = pytest.mark.parametrize("any_client", ["this"], indirect=True)


# Ending a task.


def test_a_monitor_ends_the_task(any_client: Client) -> None:
    record = ended(any_client, monitor=script(any_client, "m", "echo stratos_relaunch 0.5"))
    assert (record.reason, record.code, record.stdout, record.commands) == ("monitor", -signal.SIGTERM, "a\n", ())
    nothing_left(any_client)


def test_a_relauncher_says_what_comes_instead(any_client: Client) -> None:
    monitor = script(any_client, "m", "echo before; echo 'stratos_relaunch   0.5 x'; echo '  after '")
    relauncher = script(
        any_client, "r", r"""printf '%s' "$1" > asked; pwd; printf '\n%s\n' "$STRATOS_FILE"; echo "$#" """
    )
    any_client.context(monitor=monitor, relauncher=relauncher, update_interval_s=OFTEN_S)
    first = 1 + max((one.task for one in any_client.records), default=-1)
    any_client.batch(["sleep 1000", "echo next"], first=first, files=["the file", None])
    record = any_client.wait(first)
    assert record.reason == "monitor"
    assert record.commands == [str(any_client.folder), "the file", "1"]
    assert (any_client.folder / "asked").read_text() == "before\n0.5 x\n  after"
    assert any_client.wait(first + 1).stdout == "next\n"
    nothing_left(any_client)


def test_a_line_must_begin_with_the_keyword(client: Client) -> None:
    number = watched(client, monitor=script(client, "m", "echo 'I say stratos_relaunch'"))
    assert note(client, number, "monitor: ") == "monitor: I say stratos_relaunch"
    assert kill(client, number).reason == "user"


def test_the_keyword_counts_however_much_follows(client: Client) -> None:
    monitor = script(client, "m", "echo stratos_relaunch; seq 200000")
    relauncher = script(client, "r", """printf '%s' "$1" > asked""")
    record = ended(client, monitor=monitor, relauncher=relauncher)
    assert record.reason == "monitor"
    said = (client.folder / "asked").read_bytes()
    whole = 1 + len("stratos_relaunch\n") + sum(len(str(i)) + 1 for i in range(1, 200001)) - 1
    match = re.match(rb"\[\.\.\. ([\d,]+) bytes cut \.\.\.\]", said)
    assert match
    assert LIMIT - 10 <= len(said) <= LIMIT
    assert int(match[1].replace(b",", b"")) + len(said) - len(match[0]) == whole - 1  # stripped at its end
    assert said.endswith(b"\n199999\n200000")


def test_the_keyword_in_the_middle_of_a_cut_line_does_not_count(client: Client) -> None:
    """What is cut leaves the keyword at the beginning of what is kept, but not at the beginning of a line."""
    text = f"print('x' * 200000 + 'stratos_relaunch'.ljust({LIMIT}, '.'), end='')"
    monitor = {"argv": [sys.executable, "-I", "-S", "-c", text]}
    number = watched(client, monitor=monitor, update_interval_s=FUNCTION_S)
    assert note(client, number, "monitor: ").startswith("monitor: [... 200,0")
    assert kill(client, number).reason == "user"


def test_a_failing_monitor_is_heard_all_the_same(client: Client) -> None:
    record = ended(client, monitor=script(client, "m", "echo stratos_relaunch; echo 'oh no' >&2; exit 3"))
    assert record.reason == "monitor"
    assert record.note == "monitor failed with exit code 3: oh no"


# What it is given.


@pytest.mark.parametrize("mode", ["scheduler", "disk", "mesos", "none"])
def test_it_gets_what_is_new_in_every_mode(any_client: Client, mode: str) -> None:
    for name in ("seen", "go1", "go2", "go3"):
        (any_client.folder / name).unlink(missing_ok=True)
    seen = any_client.folder / "seen"
    step = "while ! test -e go{0}; do sleep 0.01; done; "
    command = "echo one; echo err >&2; " + step.format(1) + "printf '\\377<b>two'; " + step.format(2) + "echo bye"
    number = watched(
        any_client, command, output=mode, log_directory=str(any_client.folder / "logs"), monitor=recorder(any_client)
    )
    until(lambda: calls(seen), what="a first call")
    assert calls(seen)[0] == b"<stdout>one\n</stdout><stderr>err\n</stderr>"
    nothing = b"<stdout></stdout><stderr></stderr>"
    until(lambda: nothing in calls(seen), what="a call without news")
    (any_client.folder / "go1").touch()
    until(lambda: set(calls(seen)) >= {b"<stdout>\xff<b>two</stdout><stderr></stderr>"}, what="a call with news")
    (any_client.folder / "go2").touch()
    record = any_client.wait(number)
    assert record.code == 0
    assert record.bytes() == (b"" if mode == "none" else b"one\n\xff<b>twobye\n")
    told = calls(seen)
    assert [one for one in told if one != nothing][:2] == [told[0], b"<stdout>\xff<b>two</stdout><stderr></stderr>"]


def test_it_gets_the_process_id_and_a_mark_of_its_own(client: Client) -> None:
    monitor = script(
        client, "m", 'echo "$1 $PPID $STRATOS_TASK $STRATOS_FILE $EXTRA" > new; pwd >> new; mv new seen; read x'
    )
    client.context(monitor=monitor, update_interval_s=OFTEN_S, env={"EXTRA": "e e", "PATH": os.environ["PATH"]})
    client.batch(["sleep 1000"], files=["f f"])
    pid = client.wait_started(0)
    until(lambda: (client.folder / "seen").exists())
    words = f"{pid} {client.process.pid} {client.label}.0.1.monitor f f e e\n{client.folder}\n"
    assert (client.folder / "seen").read_text() == words
    kill(client, 0)


def test_newest_output_is_kept_and_the_rest_is_counted(client: Client) -> None:
    """1.6 MB of standard output and a little of standard error; the largest argument just fits."""
    text = r"""
import sys, time
sys.stdout.buffer.write("\u20ac\0".encode() * 400000)
sys.stderr.write("error\n")
sys.stdout.flush()
open("done", "w")
time.sleep(1000)
"""
    (client.folder / "talk.py").write_text(text)
    number = watched(client, f"{shlex.quote(sys.executable)} -I talk.py", monitor=recorder(client), output="none")
    until(lambda: (client.folder / "done").exists())
    seen = client.folder / "seen"
    until(lambda: calls(seen)[-1:] == [b"<stdout></stdout><stderr></stderr>"], what="a call without news")
    kill(client, number)
    size = 0
    for call in calls(seen):
        pattern = rb"<stdout>(?:\[\.\.\. ([\d,]+) bytes cut \.\.\.\])?(.*)</stdout><stderr>(?:error\n)?</stderr>"
        match = re.fullmatch(pattern, call, re.DOTALL)
        assert match
        size += int((match[1] or b"0").replace(b",", b"")) + len(match[2].decode().replace("\ufffd", "\0").encode())
        assert set(match[2].decode()) <= {"\u20ac", "\ufffd"}
        assert len(call) <= LIMIT
    assert size == 1_600_000
    assert max(map(len, calls(seen))) >= LIMIT - 6


def test_half_a_character_waits_for_its_rest(client: Client) -> None:
    seen = client.folder / "seen"
    command = r"printf 'a\342\202'; while ! test -e go; do sleep 0.01; done; printf '\254b'; sleep 1000"
    number = watched(client, command, monitor=recorder(client))
    until(lambda: calls(seen), what="a first call")
    assert calls(seen)[0] == b"<stdout>a</stdout><stderr></stderr>"
    # Nothing comes: it is passed as it is.
    until(lambda: b"<stdout>\xe2\x82</stdout><stderr></stderr>" in calls(seen), what="the half")
    (client.folder / "go").touch()
    until(lambda: b"<stdout>\xacb</stdout><stderr></stderr>" in calls(seen), what="the rest")
    kill(client, number)


# Trouble.


def test_a_hanging_monitor_is_killed_when_the_next_is_due(any_client: Client) -> None:
    pids = any_client.folder / "pids"
    pids.unlink(missing_ok=True)
    monitor = script(
        any_client, "m", "trap '' TERM; (trap '' TERM; sleep 1000) & echo $$ $! >> pids; echo said; wait; wait"
    )
    number = watched(any_client, monitor=monitor, update_interval_s=0.2)
    note(any_client, number, "(3 times)")
    record = kill(any_client, number)
    assert record.reason == "user"
    assert re.fullmatch(r"monitor killed: it ran longer than 0\.2 s \(\d+ times\); monitor: said", record.note)
    nothing_left(any_client, *map(int, pids.read_text().split()))


def test_a_hanging_monitor_is_heard_all_the_same(client: Client) -> None:
    record = ended(client, monitor=script(client, "m", "echo stratos_relaunch; sleep 1000"), update_interval_s=0.3)
    assert (record.reason, record.note) == ("monitor", "monitor killed: it ran longer than 0.3 s")
    nothing_left(client)


def test_half_a_line_of_a_killed_monitor_is_no_verdict(client: Client) -> None:
    # Without a buffer Python writes each argument of print() by itself.
    relauncher = script(client, "r", 'echo "echo [$1]"')
    half = script(client, "m", "test -e whole && echo stratos_relaunch 0.25; printf 'stratos_relaunch 0.'; sleep 1000")
    number = watched(client, monitor=half, relauncher=relauncher, update_interval_s=0.2)
    note(client, number, "(3 times)")
    (client.folder / "whole").touch()
    record = client.wait(number)
    assert (record.reason, record.commands) == ("monitor", ["echo [0.25]"])
    nothing_left(client)


def test_a_line_without_an_end_is_a_verdict_of_a_monitor_that_ends(client: Client) -> None:
    relauncher = script(client, "r", 'echo "echo [$1]"')
    record = ended(client, monitor=script(client, "m", "printf 'stratos_relaunch 0.25'"), relauncher=relauncher)
    assert (record.reason, record.commands) == ("monitor", ["echo [0.25]"])


def test_a_crashing_monitor_is_noted(client: Client) -> None:
    number = watched(client, monitor=script(client, "m", "echo first >&2; echo 'last words' >&2; kill -SEGV $$"))
    assert "monitor was killed by signal 11 (SIGSEGV): last words" in note(client, number, "(2 times)")
    assert len(kill(client, number).note) < 200


def test_many_different_troubles_stay_short(client: Client) -> None:
    number = watched(client, monitor=script(client, "m", "date +%N%N%N%N%N%N%N%N%N%N%N%N >&2; exit 1"))
    note(client, number, "more troubles of the monitor")
    assert len(kill(client, number).note) < 1024


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["./nothing"], "monitor: cannot start: ./nothing: not found; it, and what its first line names, must exist"),
        (["no-such-program"], "monitor: cannot start: no-such-program: not found in the PATH of the job"),
        (["./data"], "monitor: cannot start: ./data: Permission denied; make it executable: chmod .x"),
        (["sh", "x" * 140_000], "too long"),
        (["sh", "a\0b"], "NUL|null"),
    ],
    ids=["no-file", "no-program", "not-executable", "too-long", "nul"],
)
def test_a_monitor_that_cannot_start_is_tried_once(any_client: Client, argv: list[str], said: str) -> None:
    (any_client.folder / "data").write_text("no program")
    (any_client.folder / "go").unlink(missing_ok=True)
    command = "while ! test -e go; do sleep 0.01; done; sleep 0.2; echo fine"
    number = watched(any_client, command, monitor={"argv": argv}, update_interval_s=0.05)
    note(any_client, number, "cannot start")
    (any_client.folder / "go").touch()
    record = any_client.wait(number)
    assert (record.reason, record.stdout) == ("exit", "fine\n")
    assert re.search(said, record.note)
    assert "times" not in record.note


def test_a_script_without_an_interpreter_is_run_by_the_shell(any_client: Client) -> None:
    monitor = script(any_client, "bare", 'echo "stratos_relaunch $#"', first="")
    for argv in ([*monitor["argv"], "x"], ["./bare", "x"], ["bare", "x"]):
        env = {"PATH": f"/nonexistent:{any_client.folder}:{os.environ['PATH']}"}
        relauncher = script(any_client, "r", 'echo "$1"')
        record = ended(any_client, monitor={"argv": argv}, relauncher=relauncher, env=env)
        assert (record.reason, record.commands, record.note) == ("monitor", ["3"], "")


@pytest.mark.parametrize("unmarked", [False, True], ids=["marked", "unmarked"])
def test_what_a_monitor_leaves_behind_is_killed(any_client: Client, unmarked: bool) -> None:
    left = any_client.folder / f"left{unmarked}"
    prefix = "env -i" if unmarked else ""
    left.unlink(missing_ok=True)
    monitor = script(
        any_client,
        "m",
        f"test -e {left} && exit\n{prefix} setsid sh -c 'echo $$ > {left}; exec sleep 1000' >/dev/null 2>&1 &\n"
        f"while ! test -s {left}; do sleep 0.01; done",
    )
    number = watched(any_client, monitor=monitor, update_interval_s=0.5)
    pid = pid_in(left)
    if not unmarked:
        until(lambda: not alive([pid]), what="the daemon gone")
        assert alive([any_client.wait_started(number)])
    kill(any_client, number)
    nothing_left(any_client, pid)


def test_a_monitor_watches_what_a_task_waits_for(client: Client) -> None:
    monitor = script(client, "m", "case $2 in *bad*) echo stratos_relaunch;; esac")
    client.context(monitor=monitor, update_interval_s=0.1)
    client.batch(["(sleep 0.5; echo bad; sleep 1000) & echo good"])
    record = client.wait(0)
    assert (record.reason, record.code, record.stdout) == ("monitor", 0, "good\nbad\n")
    assert " for 1 background process: sleep (pid " in record.note
    nothing_left(client)


def test_a_monitor_is_no_part_of_its_task(client: Client) -> None:
    """Sweeps go on around it, and it isn't killed with a neighbour."""
    # What it has started is an orphan that has left the group, yet carries its mark.
    daemon = "import os; os.fork() and os._exit(0); os.setsid(); open('deep', 'w').write(str(os.getpid()))"
    (client.folder / "daemon.py").write_text(f"{daemon}\nimport time; time.sleep(1000)")
    python = shlex.quote(sys.executable)
    monitor = script(client, "m", f"{python} -I -S daemon.py; while ! test -e go; do sleep 0.01; done; echo heard")
    number = watched(client, monitor=monitor, update_interval_s=0.5, task=0)
    client.context(2)
    # Commands that leave something behind make for sweeps.
    client.batch(
        ["(setsid sleep 1000 &) ; setsid sleep 1000 & sleep 0.02"] * 3 + ["sleep 1000"], slot=1, first=1, context=2
    )
    pid = pid_in(client.folder / "deep")
    kill(client, 4)
    assert {client.wait(i).code for i in (1, 2, 3)} == {0}
    assert alive([pid])
    (client.folder / "go").touch()
    note(client, number, "monitor: heard")
    until(lambda: not alive([pid]), what="the daemon gone")
    kill(client, number)
    nothing_left(client)


# The end of a task while its monitor runs.


@THIS_PYTHON
@pytest.mark.parametrize("way", ["itself", "user", "timeout", "crash"])
def test_the_monitor_ends_with_its_task(any_client: Client, way: str) -> None:
    for name in ("pid", "go"):
        (any_client.folder / name).unlink(missing_ok=True)
    monitor = script(any_client, "m", "trap '' TERM; echo $$ > pid; echo stratos_relaunch; sleep 1000")
    command = {
        "itself": "while ! test -e pid; do sleep 0.01; done; echo fine",
        "crash": "while ! test -e pid; do sleep 0.01; done; kill -9 $$",
    }
    number = watched(
        any_client,
        command.get(way, "sleep 1000"),
        monitor=monitor,
        relauncher=script(any_client, "r", "echo no"),
        update_interval_s=1.0,
        timeout_s=1.5 if way == "timeout" else None,
    )
    pid = pid_in(any_client.folder / "pid")
    if way == "user":
        any_client.send(["kill", [[number, 1]]])
    record = any_client.wait(number)
    assert record.reason == {"itself": "exit", "crash": "signal"}.get(way, way)
    assert record.commands == ()
    nothing_left(any_client, pid)


def test_neighbours_of_a_monitored_task_are_unharmed(client: Client) -> None:
    monitor = script(client, "m", 'case "$2" in *bad*) echo stratos_relaunch;; esac')
    client.context(monitor=monitor, update_interval_s=0.1)
    sleepers = ["echo good; sleep 0.3; echo done"] * 2
    client.batch([sleepers[0], "echo bad; sleep 1000", sleepers[1], "echo short"], slot=0, first=0)
    client.batch(sleepers * 2, slot=1, first=10)
    reasons = {i: client.wait(i).reason for i in (0, 1, 2, 3, 10, 11, 12, 13)}
    assert reasons == {i: "monitor" if i == 1 else "exit" for i in reasons}
    assert client.ended[3, 1].stdout == "short\n"
    nothing_left(client)


def test_no_monitor_is_called_while_a_task_is_being_ended(client: Client) -> None:
    monitor = script(client, "m", "echo >> calls; echo stratos_relaunch")
    command = "trap '' TERM; echo ready; while :; do sleep 0.01; done"
    record = ended(client, command, monitor=monitor, grace_s=0.5)
    assert (record.reason, record.code) == ("monitor", -signal.SIGKILL)
    assert (client.folder / "calls").read_text() == "\n"


# Relaunchers.


def test_the_slot_goes_on_while_the_relauncher_runs(client: Client) -> None:
    monitor = script(client, "m", "echo stratos_relaunch")
    relauncher = script(client, "r", "echo > asked; while ! test -e go; do sleep 0.01; done; echo new")
    client.context(monitor=monitor, relauncher=relauncher, update_interval_s=0.1)
    client.batch(["echo out; sleep 1000", "echo next"])
    assert client.wait(1).stdout == "next\n"
    assert (0, 1) not in client.ended
    until(lambda: (client.folder / "asked").exists())
    assert client.tail(0)["stdout"] == "out\n"
    (client.folder / "go").touch()
    record = client.wait(0)
    assert (record.reason, record.stdout, record.commands) == ("monitor", "out\n", ["new"])


@THIS_PYTHON
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo new; echo first >&2; echo why >&2; exit 3", "relauncher failed with exit code 3: why"),
        ("echo new; kill -KILL $$", "relauncher was killed by signal 9 (SIGKILL)"),
        ("echo new; trap '' TERM; sleep 1000", "relauncher killed: it ran longer than 1 s"),
    ],
    ids=["fails", "crashes", "hangs"],
)
def test_a_relauncher_in_trouble_gives_no_commands(any_client: Client, text: str, said: str) -> None:
    relauncher = script(any_client, "r", text)
    record = ended(any_client, monitor=script(any_client, "m", "echo stratos_relaunch"), relauncher=relauncher)
    assert (record.reason, record.commands, record.note) == ("monitor", (), said)
    nothing_left(any_client)


def test_a_relauncher_that_cannot_start(client: Client) -> None:
    relauncher = {"argv": ["./nothing"]}
    record = ended(client, monitor=script(client, "m", "echo stratos_relaunch"), relauncher=relauncher)
    assert (record.reason, record.commands) == ("monitor", ())
    assert record.note.startswith("relauncher: cannot start: ./nothing: not found; ")


def test_commands_come_as_they_are(any_client: Client) -> None:
    relauncher = script(any_client, "r", r"printf 'a\rb\013c\342\200\250d\n\n \t\n  e \\\n\377\302\205f\r\nlast'")
    record = ended(any_client, monitor=script(any_client, "m", "echo stratos_relaunch"), relauncher=relauncher)
    assert record.commands == ["a\rb\x0bc\u2028d", "  e \\", "\udcff\x85f\r", "last"]


def test_a_huge_answer_is_cut_at_a_whole_command(client: Client) -> None:
    relauncher = script(client, "r", "yes 0123456789 | head -c 6000000")
    record = ended(client, monitor=script(client, "m", "echo stratos_relaunch"), relauncher=relauncher)
    assert set(record.commands) == {"0123456789"}
    assert len(record.commands) == 4 * 1024 * 1024 // 11
    assert record.note == "only the first 4 MiB of the relauncher's commands are kept"


def test_kill_during_a_relauncher_means_no_commands(client: Client) -> None:
    relauncher = script(client, "r", "echo $$ > pid; sleep 1000")
    number = watched(client, monitor=script(client, "m", "echo stratos_relaunch"), relauncher=relauncher)
    pid = pid_in(client.folder / "pid")
    client.send(["kill", [[number, 1]]])
    record = client.wait(number)
    assert (record.reason, record.commands, record.note) == ("monitor", (), "relauncher killed with the task")
    nothing_left(client, pid)


def test_kill_while_the_monitor_ends_the_task_means_no_commands(client: Client) -> None:
    """The task takes its time to go; until then its user may still change his mind."""
    command = (
        "trap 'touch asked; while ! test -e go; do sleep 0.01; done; exit 7' TERM; echo a; while :; do sleep 0.01; done"
    )
    monitor = function("return relaunch('new')")
    number = watched(client, command, monitor=monitor, update_interval_s=FUNCTION_S, grace_s=20.0)
    until(lambda: (client.folder / "asked").exists())
    client.send(["kill", [[number, 1]]], ["tail", 77, 0, 0, 0])
    client.until(lambda: 77 in client.replies)
    (client.folder / "go").touch()
    record = client.wait(number)
    assert (record.reason, record.code, record.commands) == ("monitor", 7, ())


@pytest.mark.parametrize("who", ["monitor", "relauncher"])
def test_an_executor_that_stops_leaves_nothing(client: Client, who: str) -> None:
    hang = script(
        client, "hang", "trap '' TERM; setsid sh -c 'echo $$ > pid2; exec sleep 1000' & echo $$ > pid; wait; wait"
    )
    monitor = hang if who == "monitor" else script(client, "m", "echo stratos_relaunch")
    number = watched(client, monitor=monitor, relauncher=hang, update_interval_s=0.5)
    pids = pid_in(client.folder / "pid"), pid_in(client.folder / "pid2")
    client.process.send_signal(signal.SIGTERM)
    record = client.wait(number)
    if who == "relauncher":
        assert (record.reason, record.note) == ("monitor", "relauncher killed: the executor was stopped")
    else:
        assert record.reason == "user"
    assert record.commands == ()
    client.process.wait(DEADLINE_S)
    assert not alive(pids)
    assert not client.marked()


# Python functions.


def test_how_functions_end_a_task(any_client: Client) -> None:
    relauncher = script(any_client, "r", 'echo "again $1"')
    cases = {
        "if 'a' in stdout: return relaunch('echo \\udcff', 'two\\nlines', ' ')": ["echo \udcff", "two\nlines"],
        "return relaunch()": (),
        "print('stratos_relaunch 0.1')": ["again 0.1"],
        "print('x', end=''); return 'stratos_relaunch 0.1'": ["again x", "0.1"],
        "import os; os.system('echo stratos_relaunch 0.1')": ["again 0.1"],
    }
    first = at_once(any_client, [function(body) for body in cases], relauncher=relauncher)
    for i, commands in enumerate(cases.values()):
        record = any_client.wait(first + i)
        assert (record.reason, record.commands) == ("monitor", commands)
        assert record.note == ""


def test_what_a_function_is_given(any_client: Client) -> None:
    body = (
        "import os, sys\n"
        "text = repr((pid, stdout, stderr, sys.stdin.read(), os.getcwd(), os.environ['STRATOS_TASK']))\n"
        "with open('given.new', 'w') as file: file.write(ascii(text))\n"
        "os.rename('given.new', 'given')\n"
        "print('\\u20ac')\n"
        "return relaunch()"
    )
    (any_client.folder / "given").unlink(missing_ok=True)
    number = watched(
        any_client,
        r"printf 'a\377\000\342\202\254'; echo e >&2; sleep 1000",
        monitor=function(body),
        update_interval_s=FUNCTION_S,
    )
    record = any_client.wait(number)
    given = eval(eval((any_client.folder / "given").read_text()))  # both are literals
    pid = any_client.started[number, 1]
    mark = f"{any_client.label}.{number}.1.monitor"
    assert given == (pid, "a\\xff\0\u20ac", "e\n", "", str(any_client.folder), mark)
    assert (record.reason, record.note) == ("monitor", "monitor: \u20ac")


def test_trouble_with_functions(any_client: Client) -> None:
    cases = {
        "1 / 0": "watch: ZeroDivisionError: division by zero",
        "return 3": "watch: returned 3; it must return what relaunch(...) gives, a str or None",
        "relaunch('x')": "watch: called relaunch() and didn't return what that gave, so the task goes on",
        "return relaunch(b'x')": "watch: TypeError: relaunch() takes commands, each one a str; got b'x'",
        "import os; os._exit(3)": "watch failed with exit code 3",
        "import os; os._exit(0)": "watch ended without an answer",
        "import os; os.kill(os.getpid(), 9)": "watch was killed by signal 9 (SIGKILL)",
        "import sys; sys.exit(2)": "watch: SystemExit: 2",
        "raise ValueError('one\\ntwo')": "watch: ValueError: one",
    }
    monitors = [function(body) for body in cases]
    monitors += [{"python": {"source": source, "name": "watch"}} for source in ("def watch(:", "x = 1")]
    said = [*cases.values(), "watch: SyntaxError: invalid syntax", "watch: its source doesn't define it"]
    first = at_once(any_client, monitors)
    for i, text in enumerate(said):
        assert note(any_client, first + i, text).startswith(text)
    assert {kill(any_client, first + i).reason for i in range(len(said))} == {"user"}


@THIS_PYTHON
def test_a_function_that_hangs_is_killed(any_client: Client) -> None:
    body = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here'); time.sleep(1000)"
    number = watched(any_client, monitor=function(body), update_interval_s=FUNCTION_S)
    assert note(any_client, number, "ran longer") == "monitor killed: it ran longer than 1 s; monitor: here"
    kill(any_client, number)
    nothing_left(any_client)


def test_a_function_cannot_ask_for_more_than_a_bound(client: Client) -> None:
    record = ended(client, monitor=function("return relaunch(*['0123456789'] * 500000)"), update_interval_s=4)
    assert len(record.commands) == 4 * 1024 * 1024 // 11
    assert record.note == "watch: only the first 4 MiB of its commands are kept, 118,700 were dropped"


@pytest.mark.parametrize(
    "fields",
    [
        {"monitor": {}},
        {"monitor": {"argv": []}},
        {"monitor": {"argv": "text"}},
        {"monitor": {"argv": [1]}},
        {"monitor": {"python": {"source": 1, "name": "x"}}},
        {"monitor": {"argv": ["x"]}, "relauncher": {}},
        {"monitor": {"argv": ["x"]}, "update_interval_s": 0},
        {"monitor": 3},
    ],
)
def test_a_malformed_monitor_ends_the_link(client: Client, fields: dict[str, Any]) -> None:
    client.context(**fields)
    assert client.lost()


def test_without_waitid() -> None:
    """A system that cannot ask who has exited without reaping him."""
    with Client(prelude="from executor.process import exits; exits._waitid = None") as client:
        relauncher = script(client, "r", 'echo "again $1"')
        monitor = script(client, "m", "echo >> calls; test $(wc -l < calls) -lt 3 || echo stratos_relaunch 0.1")
        record = ended(client, monitor=monitor, relauncher=relauncher)
        assert (record.reason, record.commands) == ("monitor", ["again 0.1"])
        nothing_left(client)
