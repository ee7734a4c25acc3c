"""The executor on other Pythons: the oldest and the newest that are found on this machine."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import require
from tests.support.executor_client import Client
from tests.support.pythons import other_pythons
from tests.support.waiting import until


@pytest.fixture(scope="module", params=["oldest", "newest"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    pythons = other_pythons()
    found = list(pythons)
    if not found:
        require("pythons", "no other python3 than {}.{} on this machine".format(*sys.version_info[:2]))
    version = found[0] if request.param == "oldest" else found[-1]
    if request.param == "newest" and len(found) == 1:
        require("pythons", f"no other python3 than {version}, which is the oldest, too")
    with Client(python=pythons[version]) as one:
        assert one.hello["python"].startswith(version + ".")
        yield one


def test_runs_commands(client: Client) -> None:
    (client.folder / "data").write_text("no program")
    plain, failing, odd, missing, denied = client.run(
        "env", "echo e >&2; exit 3", r"printf '\377'", "no-such-program", "./data"
    )
    assert f"STRATOS_TASK={client.label}." in plain.stdout
    assert (failing.code, failing.stderr) == (3, "e\n")
    assert odd.bytes() == b"\xff"
    assert (missing.code, missing.stderr) == (127, "bash: line 1: no-such-program: command not found\n")
    assert denied.code == 126


@pytest.mark.parametrize("name", ["Zürich \udcff", "a\nb"], ids=ascii)
def test_names_arrive_as_they_are(client: Client, name: str) -> None:
    first = 100 + len(client.ended)
    (client.folder / name).mkdir(exist_ok=True)
    client.context(cwd=str(client.folder / name), env={"NAME": name, "PATH": "/bin:/usr/bin"})
    client.batch(['printf %s "$NAME$STRATOS_FILE"; test -d "../$NAME"'], first=first, files=[name])
    record = client.wait(first)
    assert (record.stdout, record.code) == (name + name, 0)


def test_files_of_any_name(client: Client) -> None:
    (record,) = client.run("seq 100000", output="disk", log_directory=str(client.folder / "Ü\udcff"))
    assert record.bytes() == b"".join(b"%d\n" % i for i in range(1, 100001))


@pytest.mark.parametrize(
    ("command", "fields", "said"),
    [
        ("true " + "x" * 200_000, {}, "too long"),
        ("ls", {"cwd": "/nonexistent"}, "must exist on this node"),
        ("ls \0", {}, "NUL"),
    ],
    ids=["too-long", "no-cwd", "nul"],
)
def test_says_why_it_cannot_start(client: Client, command: str, fields: dict[str, str], said: str) -> None:
    (record,) = client.run(command, **fields)
    assert record.reason == "spawn"
    assert said in record.note


def test_kills_and_times_out(client: Client) -> None:
    first = 1000 + len(client.ended)
    client.context()
    client.batch(["setsid sleep 1000 & sleep 1000"], first=first)
    client.wait_started(first)
    client.send(["kill", [[first, 1]]])
    assert client.wait(first).reason == "user"
    assert not client.marked()
    (late,) = client.run("sleep 1000", timeout_s=0.1)
    assert (late.reason, late.code) == ("timeout", -signal.SIGTERM)
    client.run("setsid sleep 1000 >/dev/null 2>&1 &")
    until(lambda: not client.marked(), what="nothing left")


def test_many_in_two_slots(client: Client) -> None:
    first = 2000 + len(client.ended)
    client.context()
    for slot in range(2):
        client.batch([f"echo {i}" for i in range(100)], slot=slot, first=first + slot * 100)
    client.until(lambda: all((first + i, 1) in client.ended for i in range(200)))
    assert [client.ended[first + i, 1].stdout for i in range(200)] == [f"{i % 100}\n" for i in range(200)]


def test_signals_are_as_by_default(client: Client) -> None:
    for name in ("INT", "HUP", "PIPE"):
        assert client.run(f"kill -{name} $$; echo alive")[0].reason == "signal"
