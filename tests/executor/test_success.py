"""What an executor finds of a command that ended well: what it made, and what it said."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.executor.process.success import SEARCH_LIMIT, SEARCH_S, missing
from tests.support.executor_client import Client


@pytest.fixture
def client() -> Iterator[Client]:
    with Client() as one:
        yield one


def test_what_is_there_and_holds_something_is_made(tmp_path: Path) -> None:
    (tmp_path / "full").write_text("x")
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "sub").mkdir()
    (tmp_path / "bare").mkdir()
    (tmp_path / "link").symlink_to("full")
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "odd\udcff\n").write_text("x")
    cwd = str(tmp_path)
    for name in ("full", "./full", f"{cwd}/full", "folder", "folder/", "link", "odd\udcff\n", "folder/../full"):
        assert missing(name, cwd) == ""
    said = {name: missing(name, cwd) for name in ("empty", "bare", "broken", "none/x", "full/x", "full/", "fifo")}
    assert said == {
        "empty": "empty is empty", "bare": "bare is empty", "broken": "broken was not made",
        "none/x": "none/x was not made", "full/x": "full/x was not made", "full/": "full/ was not made",
        "fifo": "fifo is neither a file nor a directory",
    }  # fmt: skip
    assert "null" in missing("a\0b", cwd)


def test_a_tilde_is_the_home_of_the_nodes_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "made").write_text("x")
    assert missing("~/made", "/") == ""
    assert missing("~made", str(tmp_path)) == "~made was not made"


def test_all_that_is_missing_is_said_once_all_of_the_task_has_ended(client: Client) -> None:
    client.context()
    commands = ["echo x > made; : > empty", "echo y > later", "exit 3", "echo z > '$(id) \"it'\\''s\"'"]
    client.batch(commands, makes=[["made", "empty", "none"], ["later"], ["never"], ['$(id) "it\'s"']])
    first, second, third, fourth = (client.wait(task) for task in range(4))
    assert (first.reason, first.code, first.note) == ("output", 0, "empty is empty; none was not made")
    assert (second.reason, second.code, second.note) == ("exit", 0, "")
    assert (third.reason, third.code, third.note) == ("exit", 3, "")
    assert (fourth.reason, fourth.note) == ("exit", "")


def test_only_a_code_that_is_well_is_looked_behind(client: Client) -> None:
    client.context(ok_exit=[[1, 2]])
    client.batch(["exit 1", "exit 0", "exit 2", "kill -9 $$"], makes=[["none"], ["none"], [], ["none"]])
    found = [(client.wait(task).reason, client.wait(task).code) for task in range(4)]
    assert found == [("output", 1), ("exit", 0), ("exit", 2), ("signal", 9)]


def test_a_signal_that_the_user_calls_well_is_its_code_whoever_waits_for_the_program(client: Client) -> None:
    client.context(ok_exit=[[0, 0], [137, 137], [141, 141]])
    ways = ["kill -9 $$", "sh -c 'kill -9 $$'; exit $?", "kill -PIPE $$", "exit 137", "kill -11 $$"]
    client.batch(ways)
    found = [(client.wait(task).reason, client.wait(task).code) for task in range(len(ways))]
    assert found == [("exit", 137), ("exit", 137), ("exit", 141), ("exit", 137), ("signal", 11)]


def test_a_program_that_is_not_there_has_made_nothing_whatever_code_is_well(client: Client) -> None:
    client.context(ok_exit=[[0, 127]])
    client.batch(["./none", "./none"], makes=[["file"]])
    assert [(client.wait(task).reason, client.wait(task).code) for task in (0, 1)] == [("output", 127), ("exit", 127)]
    assert client.wait(0).note == "file was not made"


def test_a_task_that_was_ended_keeps_its_reason(client: Client) -> None:
    client.context(fail_on=[["stdout", "up"]])
    client.batch(["trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done"], makes=[["none"]])
    client.wait_started(0)
    client.until(lambda: client.tail(0)["stdout"] == "up\n")
    client.kill(0)
    assert client.wait(0).reason == "user"


def test_a_pattern_is_searched_line_by_line_in_all_that_was_written(client: Client) -> None:
    big = 300_000  # more than is kept in memory
    lines = f"head -c {big} /dev/zero | tr '\\0' 'x'; echo; echo Error: é at the end; echo fine"
    client.context(fail_on=[["stderr", r"^Error: é"], ["stdout", "^ERROR$"]])
    client.batch([f"({lines}) >&2", "echo no ERROR", "echo a; echo ERROR; echo b", "printf '\\377Error: é' >&2"])
    notes = [client.wait(task).note for task in range(4)]
    assert notes == ["stderr matches ^Error: é: Error: é at the end", "", "stdout matches ^ERROR$: ERROR", ""]
    (record,) = client.run("echo Error >&2", output="disk", log_directory=str(client.folder), fail_on=[["stderr", "E"]])
    assert (record.reason, record.note) == ("output", "stderr matches E: Error")


def test_of_a_very_long_stream_the_beginning_and_the_end_are_searched(client: Client) -> None:
    fill = f"head -c {SEARCH_LIMIT} /dev/zero | tr '\\0' '.'"
    found = client.run(f"echo begins; {fill}", f"{fill}; echo; echo ends", fail_on=[["stdout", "^(begins|ends)$"]])
    assert [record.reason for record in found] == ["output", "output"]


def test_a_search_that_takes_for_ever_is_a_failure_and_the_next_task_runs(client: Client) -> None:
    hostile = "echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"
    slow, fine = client.run(hostile, "echo a", fail_on=[["stdout", "^(a+)+$!"]])
    assert (slow.reason, slow.code) == ("output", 0)
    assert f"takes longer than {SEARCH_S:g} s and was given up" in slow.note
    assert (fine.reason, fine.note) == ("exit", "")


def test_a_line_that_matches_is_bounded_and_can_be_shown(client: Client) -> None:
    (record,) = client.run("head -c 5000 /dev/zero | tr '\\0' x; printf '\\377'", fail_on=[["stdout", "x"]])
    assert re.fullmatch("stdout matches x: x{200}", record.note)
    (odd,) = client.run("printf '\\377y'", fail_on=[["stdout", "y"]])
    assert odd.note == "stdout matches y: \\udcffy"


def test_a_pattern_that_the_nodes_python_cannot_read_fails_the_task_and_says_so(client: Client) -> None:
    (record,) = client.run("echo x", fail_on=[["stdout", "(?P<broken"]])
    assert record.reason == "output"
    assert record.note.startswith("the python of this node cannot read the pattern (?P<broken: ")
