"""An executor outlives its kernel, and its results outlive it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.executor.transport.spool import read_spool
from tests.conftest import require
from tests.support.executor_client import DEADLINE_S, Client, LinkLost, Record
from tests.support.pythons import other_pythons
from tests.support.waiting import until

#: Who lingers does so for longer than any test takes.
LONG_S = 300.0
GATE = "mkfifo gate; cat gate; echo done"


@pytest.fixture(scope="module", params=["this", "oldest"])
def python(request: pytest.FixtureRequest) -> str:
    """This Python, and the oldest that is found."""
    if request.param == "this":
        return sys.executable
    pythons = other_pythons()
    if not pythons:
        require("pythons", "no other python3 on this machine")
    return next(iter(pythons.values()))


def spooled(client: Client) -> list[Record]:
    return [Record(*record) for records in read_spool(str(client.spool)) for record in records]


def quiet_after(seconds: float) -> str:
    return f"import executor.main as m; m.QUIET_S = {seconds}"


# The connection is lost.


@pytest.mark.parametrize("spool", [False, True], ids=["memory", "spool"])
def test_nothing_is_lost_however_often_the_connection_is(python: str, spool: bool) -> None:
    with Client(python=python, failover_s=LONG_S, spool=spool) as client:
        client.context()
        for slot in range(2):
            client.batch([f"echo {i}; sleep 0.00{i % 5}" for i in range(150)], slot=slot, first=slot * 150)
        for number in range(1, 9):
            client.ack = number % 3 > 0
            client.until(lambda number=number: len(client.ended) >= 30 * number)
            client.connect()
            assert client.inventory is not None
            assert not set(client.inventory) & client.ended_before
            assert len(client.inventory) + len(client.ended_before) == 300
        client.ack = True
        client.until(lambda: len(client.ended) == 300)
        assert [client.ended[i, 1].stdout for i in range(300)] == [f"{i % 150}\n" for i in range(300)]
        assert {record.reason for record in client.records} == {"exit"}
        assert len({(record.task, record.finished_at) for record in client.records}) == 300  # nothing ran twice
        client.connect()
        assert client.inventory == {}


def test_a_new_kernel_is_told_what_there_is(python: str) -> None:
    with Client(python=python, failover_s=LONG_S, spool=True) as client:
        client.ack = False
        client.context()
        client.run("echo kept")
        running = client.batch([GATE, "echo next"], first=10)
        behind = client.batch(["echo last"], first=20)
        other = client.batch(["sleep 1000", "true"], slot=3, first=30)
        client.wait_started(10)
        client.wait_started(30)
        client.started.clear()
        client.connect()
        assert client.inventory == {
            (10, 1): (running, 0),
            (11, 1): (running, 0),
            (20, 1): (behind, 0),
            (30, 1): (other, 3),
            (31, 1): (other, 3),
        }
        assert client.verbs[:3] == ["hello", "ended", "inventory"]
        client.wait_started(10)
        assert set(client.started) == {(10, 1), (30, 1)}


def test_a_result_that_is_held_back_comes_before_the_inventory(client: Client) -> None:
    """What has ended this very moment is in one of the two, whenever a kernel comes."""
    for i in range(30):
        client.context()  # a hello begins anew
        client.batch(["true"], first=i)
        client.batch([f"sleep 0.00{i % 4}"], first=100 + i, slot=1)
        client.send(["hello", 1])
        client.until(lambda i=i: client.verbs.count("inventory") == i + 2)
        assert client.inventory is not None
        known = {*client.inventory, *client.ended_before}
        assert known == {(number, 1) for number in (*range(i + 1), *range(100, 101 + i))}
        assert not set(client.inventory) & client.ended_before


def test_a_task_that_waits_for_its_relauncher_is_in_the_inventory(client: Client) -> None:
    folder = client.folder
    for name, text in (
        ("monitor", "echo stratos_relaunch"),
        ("relauncher", "touch asked; while ! test -e go; do sleep 0.01; done; echo new"),
    ):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    client.context(
        monitor={"argv": ["./monitor"]}, relauncher={"argv": ["./relauncher"]}, update_interval_s=0.1, grace_s=1.0
    )
    batch = client.batch(["sleep 1000"])
    until(lambda: (folder / "asked").exists())
    client.connect()
    assert client.inventory == {(0, 1): (batch, 0)}
    (folder / "go").touch()
    assert client.wait(0).commands == ["new"]
    client.connect()
    assert client.inventory == {}


def test_what_is_queued_goes_on_without_a_kernel_though_it_is_late(client: Client) -> None:
    client.context()
    client.batch(["mkfifo gate; cat gate", "echo a", "touch b"], expected_s=0.01)
    client.batch(["mkfifo other; cat other", "echo c"], expected_s=0.01, first=10, slot=1)
    # They are late a quarter of a second after they began; this is told in time.
    client.wait_started(0)
    client.wait_started(10)
    began = time.monotonic()
    client.socket.close()
    until(lambda: time.monotonic() > began + 0.5)
    assert (client.folder / "gate").is_fifo()
    (client.folder / "gate").write_text("")
    until(lambda: (client.folder / "b").exists())
    client.connect()
    assert [client.wait(i).reason for i in range(3)] == ["exit"] * 3
    assert client.wait(11).reason == "returned"  # now there is somebody who can do better
    (client.folder / "other").write_text("")
    assert client.wait(10).code == 0


# The executor is lost.


def test_killed_executor_has_all_that_it_reported_on_disk(python: str) -> None:
    with Client(python=python, failover_s=LONG_S, spool=True) as client:
        client.ack = False
        client.context(grace_s=0.0)
        for slot in range(2):
            client.batch([f"echo {i}" for i in range(2000)], slot=slot, first=slot * 2000)
        client.until(lambda: len(client.ended) > 200)
        client.process.kill()
        client.process.wait(DEADLINE_S)
        with contextlib.suppress(LinkLost):
            client.until(lambda: False)
        on_disk = spooled(client)
        assert client.records == on_disk[: len(client.records)]
        assert len({record.task for record in on_disk}) == len(on_disk)
        assert all(record.stdout == f"{record.task % 2000}\n" for record in on_disk)


def test_what_was_acknowledged_long_ago_leaves_the_disk(python: str) -> None:
    with Client(python=python, failover_s=LONG_S, spool=True) as client:
        for i in range(60):
            client.run(f"head -c 60000 /dev/zero | tr '\\0' {i % 10}")
        client.tail(0)  # the last acknowledgement has been read
        assert client.spool.stat().st_size < 2 << 20
        assert [record.task for record in spooled(client)][-2:] == [58, 59]
        client.records.clear()
        client.connect()
        assert [record.task for record in client.records] == [58, 59]
        assert client.records[1].stdout == "9" * 60000


# The disk is full, or not there.


def test_a_missing_folder_stops_launching_and_loses_nothing(python: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with Client(python=python, failover_s=LONG_S, spool=folder / "spool") as client:
        client.ack = False
        client.context()
        client.batch(["echo 0", *["sleep 0.05"] * 20])
        client.batch(["mkfifo gate; cat gate", "touch ran"], first=100, slot=1)
        client.wait(0)
        client.until(lambda: client.notices)
        assert client.notices == [
            f"results cannot be kept on disk: No such file or directory: {folder}/spool; "
            "nothing new is started until they can"
        ]
        client.wait_started(100)
        (client.folder / "gate").write_text("")
        client.wait(100)  # is sent nevertheless
        client.batch(["touch ran"], first=200, slot=2)
        client.connect()
        assert client.inventory is not None
        assert len(client.inventory) + len(client.ended_before) == 24
        client.until(lambda: len(client.notices) == 2)  # a new kernel is told, too
        assert len(client.ended) < 15
        assert not (client.folder / "ran").exists()
        folder.mkdir()
        client.until(lambda: len(client.ended) == 24)
        assert client.notices[2:] == [""]
        tasks = [record.task for record in spooled(client)]
        assert sorted(tasks) == sorted({record.task for record in client.records})
        assert tasks.index(0) < tasks.index(100) < tasks.index(20)


def test_a_full_disk_tears_no_frame(python: str) -> None:
    """The limit of a file's size stands for it: writes are cut short in the same way."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10000, resource.RLIM_INFINITY))"
    with Client(python=python, failover_s=LONG_S, spool=True, prelude=limit) as client:
        client.ack = False
        client.context()
        commands = [f"echo {'x' * 2000}; echo >> count; sleep 0.04" for _ in range(20)]  # each has a frame of its own
        client.batch(commands)
        client.until(lambda: client.notices)
        assert client.notices[0].startswith("results cannot be kept on disk: File too large: ")
        assert client.notices[0].endswith("; nothing new is started until there is room")
        assert 0 < len(spooled(client)) < 6
        assert sum(len(json.dumps(record)) for record in spooled(client)) < client.spool.stat().st_size < 10000
        count = (client.folder / "count").stat().st_size
        client.tail(0)
        assert count < 12
        resource.prlimit(client.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        client.until(lambda: len(client.ended) == 20)
        assert client.notices[1:] == [""]
        assert [record.task for record in spooled(client)] == list(range(20))


def test_a_disk_that_is_really_full() -> None:
    folder = Path(os.path.realpath("/tmp")) / f"stratos-test-full-{os.getpid()}"
    folder.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)], capture_output=True, text=True
        )
        if done.returncode:
            require("mounts", f"no small disk can be had: {done.stderr.strip()}")
        try:
            with Client(failover_s=LONG_S, spool=folder / "spool") as client:
                (folder / "other").write_bytes(b"x" * 50_000)
                client.ack = False
                client.context()
                client.batch([f"head -c 5000 /dev/zero | tr '\\0' {i % 10}; sleep 0.04" for i in range(20)])
                client.until(lambda: client.notices)
                assert "No space left on device: " in client.notices[0]
                assert client.notices[0].endswith("; nothing new is started until there is room")
                before = len(spooled(client))
                assert before < 5
                assert all(len(record.stdout) == 5000 for record in spooled(client))
                (folder / "other").unlink()
                # 64 KiB are not enough for all twenty: acknowledgements make room.
                client.ack = True
                client.until(lambda: len(client.ended) > before + 2)
                client.connect()
                client.until(lambda: len(client.ended) == 20)
                assert [client.ended[i, 1].stdout for i in range(20)] == [str(i % 10) * 5000 for i in range(20)]
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    finally:
        folder.rmdir()


def test_a_spool_that_somebody_removes_is_made_again() -> None:
    with Client(failover_s=LONG_S, spool=True) as client:
        client.ack = False
        client.run("echo a")
        client.spool.unlink()
        client.run("echo b")
        assert [record.stdout for record in spooled(client)] == ["a\n", "b\n"]
        client.spool.unlink()
        client.socket.close()
        client.process.send_signal(signal.SIGTERM)
        assert client.process.wait(DEADLINE_S) == 0
        assert [record.stdout for record in spooled(client)] == ["a\n", "b\n"]


# A kernel that is slow.


def test_results_that_wait_on_disk_need_no_memory() -> None:
    with Client(failover_s=LONG_S, spool=True) as client:
        client.ack = False
        client.context()
        for slot in range(2):
            client.batch(["head -c 65536 /dev/zero"] * 150, slot=slot, first=slot * 150)
        until(lambda: client.spool.exists() and client.spool.stat().st_size > 300 * 6 * 65536, 30)
        status = Path(f"/proc/{client.process.pid}/status")
        if status.exists():
            (rss_kib,) = [int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS")]
            assert rss_kib < 100 * 1024  # there are 113 MiB of results
        client.until(lambda: len(client.ended) == 300)
        assert {record.stdout for record in client.records} == {"\0" * 65536}
        assert client.seqs == sorted(client.seqs)


def test_no_more_is_spooled_than_is_allowed() -> None:
    limit = "from executor.transport import outbox; outbox.SPOOL_LIMIT = 1 << 20"
    with Client(failover_s=LONG_S, spool=True, prelude=limit) as client:
        client.ack = False
        client.context()
        client.batch(["head -c 65536 /dev/zero; echo >> count; sleep 0.01"] * 20)
        client.until(lambda: client.spool.exists() and client.spool.stat().st_size > 1 << 20)
        client.tail(0)
        count = (client.folder / "count").stat().st_size
        assert count < 10
        client.until(lambda: len(client.ended) >= count)
        client.tail(0)
        assert len(client.ended) == count
        client.ack = True
        client.connect()
        client.until(lambda: len(client.ended) == 20)
        assert not client.notices


# Nobody comes.


def test_when_lingering_is_over_all_is_in_the_spool(python: str) -> None:
    with Client(python=python, failover_s=2.0, spool=True) as client:
        client.ack = False
        client.context(grace_s=0.2)
        client.batch(["echo a; trap '' TERM; while :; do sleep 1000; done", "echo never"])
        client.batch(["echo b"], first=10, slot=1)
        client.batch(["echo c; sleep 0.5; echo d"], first=20, slot=2)
        client.wait_started(0)
        client.socket.close()
        assert client.process.wait(DEADLINE_S) == 0
        found = {record.task: record for record in spooled(client)}
        assert Counter(record.reason for record in found.values()) == {"lost": 1, "returned": 1, "exit": 2}
        assert (found[0].reason, found[0].code, found[0].stdout) == ("lost", -signal.SIGKILL, "a\n")
        assert found[1].reason == "returned"
        assert found[20].stdout == "c\nd\n"
        assert not client.marked()


def test_told_to_stop_without_a_kernel_all_is_in_the_spool(python: str) -> None:
    with Client(python=python, failover_s=LONG_S, spool=True) as client:
        client.context(grace_s=0.2)
        client.run("echo a")
        client.batch(["sleep 1000", "echo never"], first=1)
        client.wait_started(1)
        client.socket.close()
        client.process.send_signal(signal.SIGTERM)
        assert client.process.wait(DEADLINE_S) == 0
        found = {record.task: record.reason for record in spooled(client)}
        assert (found[1], found[2]) == ("user", "returned")
        assert not client.marked()


def test_told_to_stop_by_a_kernel_that_hears_the_end_no_spool_stays(python: str) -> None:
    with Client(python=python, failover_s=LONG_S, spool=True) as client:
        client.run("echo a")
        assert client.spool.exists()
        client.batch(["sleep 1000", "echo never"], first=1)
        client.wait_started(1)
        client.send(["stop"])
        with contextlib.suppress(LinkLost):
            client.until(lambda: False)
        assert client.process.wait(DEADLINE_S) == 0
        assert [client.ended[i, 1].reason for i in (1, 2)] == ["user", "returned"]
        assert not client.spool.exists()


def test_with_nothing_to_do_and_nobody_there_it_exits_early() -> None:
    with Client(failover_s=LONG_S, spool=True, prelude=quiet_after(0.4)) as client:
        client.ack = False
        client.context()
        client.batch([GATE])
        client.wait_started(0)
        client.socket.close()
        began = time.monotonic()
        until(lambda: time.monotonic() > began + 0.8)
        assert client.process.poll() is None  # there is something to do
        (client.folder / "gate").write_text("")
        assert client.process.wait(DEADLINE_S) == 0
        assert [record.stdout for record in spooled(client)] == ["done\n"]


def test_without_a_spool_it_stays_for_what_was_not_acknowledged() -> None:
    with Client(failover_s=1.5, prelude=quiet_after(0.2)) as client:
        client.ack = False
        client.run("echo a")
        client.socket.close()
        began = time.monotonic()
        assert client.process.wait(DEADLINE_S) == 0
        assert time.monotonic() - began > 1.4
    with Client(failover_s=LONG_S, prelude=quiet_after(0.2)) as client:
        client.run("echo a")
        client.tail(0)  # the acknowledgement has been read
        client.socket.close()
        assert client.process.wait(DEADLINE_S) == 0


def test_with_a_kernel_there_it_stays() -> None:
    with Client(failover_s=0.1, prelude=quiet_after(0.05)) as client:
        began = time.monotonic()
        until(lambda: time.monotonic() > began + 0.5)
        assert client.run("echo a")[0].stdout == "a\n"


def test_a_disk_is_waited_for_before_the_end() -> None:
    """Lingering is over, and what was lost cannot be written: somebody may make room, or come."""
    with Client(failover_s=0.3, spool=Path("/proc/nowhere")) as client:
        client.ack = False
        client.context(grace_s=0.1)
        client.batch(["sleep 1000"])
        client.wait_started(0)
        client.socket.close()
        until(lambda: not client.marked())
        client.ack = True
        client.connect()
        assert client.wait(0).reason == "lost"
        assert client.process.wait(DEADLINE_S) == 0


# Who is not a kernel.


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(failover_s=LONG_S) as one:
        yield one


def connected(client: Client) -> socket.socket:
    stranger = socket.socket(socket.AF_UNIX)
    stranger.connect(client.address)  # waits while there are many
    stranger.settimeout(DEADLINE_S)
    return stranger


def test_strangers_that_say_nothing_harm_nobody(client: Client) -> None:
    client.context()
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(connected(client)) for _ in range(40)]
        assert client.run("echo a")[0].stdout == "a\n"
        client.batch([GATE], first=5)
        client.wait_started(5)
        assert strangers[0].recv(1) == b""  # so many are not needed
        client.socket.close()
        (client.folder / "gate").write_text("")
        until(lambda: not client.marked())
        strangers[-1].setblocking(False)
        client.connect()
        assert client.wait(5).stdout == "done\n"
        with pytest.raises(BlockingIOError):
            strangers[-1].recv(1)  # was told nothing


@pytest.mark.parametrize("message", [["stop"], ["kill", [[0, 1]]], ["hello", 99], ["hello"], ["ack", 9]], ids=str)
def test_strangers_that_say_no_hello_are_not_heard(client: Client, message: list[object]) -> None:
    client.context()
    client.batch([GATE])
    client.wait_started(0)
    with connected(client) as stranger:
        kernel, client.socket = client.socket, stranger
        client.send(message, ["hello", 1])
        client.socket = kernel
        assert stranger.recv(1) == b""
    (client.folder / "gate").write_text("")
    assert client.wait(0).code == 0
    assert client.process.poll() is None


def test_half_a_frame_of_one_kernel_is_not_continued_by_the_next(client: Client) -> None:
    client.socket.sendall(b"\0\0\0\x20[[")
    client.connect()
    assert client.run("echo a")[0].stdout == "a\n"
    # Nor the other way: a kernel that has read half of a large frame.
    client.batch(["head -c 60000 /dev/zero"] * 30, first=10)
    client.socket.recv(5)
    until(lambda: not client.marked())
    client.connect()
    client.until(lambda: len(client.ended) == 31)
