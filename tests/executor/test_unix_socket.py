"""The link between a real executor and its kernel: what is kept, what is sent again, what ends it."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stratos_jupyter.backend.executor.transport.outbox import MEMORY_LIMIT
from tests.conftest import require
from tests.support.executor_client import START, Client
from tests.support.waiting import until


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(failover_s=60) as one:
        yield one


def test_results_are_numbered_and_come_once(client: Client) -> None:
    client.context()
    client.batch(["true"] * 100)
    client.until(lambda: len(client.ended) == 100)
    client.run("true")  # in case something else were on its way
    assert client.seqs == list(range(1, len(client.seqs) + 1))
    assert len(client.records) == 101


def test_results_are_sent_again_in_order_until_the_acknowledgement_after_next(client: Client) -> None:
    client.ack = False
    client.context()
    for first in range(6):
        client.batch(["echo a"], first=first)
        client.wait(first)

    def sent_again_after(*seqs: int) -> list[int]:
        client.send(*[["ack", seq] for seq in seqs])
        client.tail(0)  # a reply, so the acknowledgement has been read
        client.seqs.clear()
        client.connect()
        return client.seqs

    assert client.seqs == [1, 2, 3, 4, 5, 6]
    assert sent_again_after(1) == [1, 2, 3, 4, 5, 6]
    assert sent_again_after(3) == [1, 2, 3, 4, 5, 6]
    assert sent_again_after(2, 3) == [1, 2, 3, 4, 5, 6]  # nothing that was not known
    assert sent_again_after(4, 5) == [2, 3, 4, 5, 6]  # one transaction
    assert sent_again_after(100) == [4, 5, 6]
    client.ack = True
    client.run("echo b")
    assert client.seqs == [4, 5, 6, 7]
    assert sent_again_after() == [6, 7]


def test_tasks_go_on_without_a_kernel_and_are_found_again(client: Client) -> None:
    client.context()
    client.batch(["mkfifo gate; cat gate; echo done", "echo next"])
    client.batch(["mkfifo other; cat other"], slot=1, first=10)
    pid = client.wait_started(0)
    client.wait_started(10)
    client.socket.close()
    (client.folder / "gate").write_text("")
    client.started.clear()
    client.connect()
    assert client.wait(0).stdout == "done\n"
    assert client.wait(1).stdout == "next\n"
    assert client.wait_started(10) != pid  # told again, because it still runs
    (client.folder / "other").write_text("")
    assert client.wait(10).code == 0


def test_new_connection_replaces_the_old_one(client: Client) -> None:
    old = client.socket.dup()
    client.connect()
    old.settimeout(10)
    assert old.recv(1) == b""
    assert client.run("echo a")[0].stdout == "a\n"


def test_contexts_are_the_connections_own(client: Client) -> None:
    client.context()
    client.connect()
    client.batch(["echo a"])
    assert client.lost()


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\4null",
        b"\0\0\0\3[1]",
        b"\0\0\0\4[[]]",
        b"\0\0\0\2\xff\xfe",
        b"\0\0\0\1[",
        *(
            struct.pack(">I", len(body)) + body
            for body in (
                json.dumps([message]).encode()
                for message in (
                    ["what"],
                    ["hello", 99],
                    ["batch", 0, 1, 1, None],
                    ["batch", 0, 1, 77, None, [[0, 1, "true", None]]],
                    ["batch", 0, 1, 1, None, [[0, 1, 5, None]]],
                    ["batch", 0, 1, 1, None, [["0", 1, "true", None]]],
                    ["batch", 0, 1, 1, "soon", [[0, 1, "true", None]]],
                    ["context", 1, {}],
                    ["context", 1, {"cwd": "/", "env": 5, "sandbox": "/", "label": "x", "output": "none"}],
                    ["context", 1, {"cwd": "/", "env": {}, "sandbox": "/", "label": "x", "output": "printer"}],
                    ["context", 1, {"cwd": "/\ud800", "env": {}, "sandbox": "/", "label": "x", "output": "none"}],
                    ["kill"],
                    ["kill", [1]],
                    ["ack", "1"],
                    ["tail", 1],
                )
            )
        ),
    ],
    ids=lambda frame: ascii(frame[4:60]),
)
def test_malformed_frame_ends_the_connection_and_nothing_else(lasting: Client, frame: bytes) -> None:
    lasting.context()
    lasting.socket.sendall(frame)
    assert lasting.lost()
    lasting.connect()
    assert lasting.run("echo a")[0].stdout == "a\n"


@pytest.fixture(scope="module")
def lasting() -> Iterator[Client]:
    with Client(failover_s=60) as one:
        yield one


def test_frame_may_come_in_pieces(client: Client) -> None:
    body = json.dumps([["tail", 1, 0, 1, 10], ["tail", 2, 0, 1, 10]]).encode()
    for byte in struct.pack(">I", len(body)) + body:
        client.socket.sendall(bytes([byte]))
    client.until(lambda: len(client.replies) == 2)


def test_link_lost_without_lingering_ends_all() -> None:
    with Client(failover_s=0) as client:
        client.context(grace_s=0.2)
        client.batch(["trap '' TERM; while :; do sleep 1000; done"])
        client.batch(["sleep 1000"], slot=1, first=1)
        client.wait_started(0)
        client.wait_started(1)
        client.socket.close()
        assert client.process.wait(10) == 0
        assert not client.marked()


def test_lingers_for_as_long_as_told() -> None:
    with Client(failover_s=0.3) as client:
        for _ in range(3):
            client.connect()
        client.run("true")
        client.socket.close()
        assert client.process.wait(10) == 0


def test_slow_kernel_blocks_nothing_and_bounds_what_waits(client: Client) -> None:
    """Nobody reads: commands go on until 64 MiB of results wait, then no new one starts, until they are read."""
    client.ack = False
    client.context()
    text = "head -c 65536 /dev/zero; echo x >> count"  # each NUL is six characters on the wire
    for slot in range(2):
        client.batch([text] * 300, slot=slot, first=slot * 300)
    count = client.folder / "count"
    limit = MEMORY_LIMIT // (6 * 65536)

    def held() -> bool:
        return count.exists() and count.stat().st_size // 2 >= limit

    until(held, 20)
    with pytest.raises(AssertionError):
        until(lambda: count.stat().st_size // 2 > limit + 150, 0.3)
    client.ack = True
    for seq in client.seqs:
        client.send(["ack", seq])
    client.until(lambda: len(client.ended) == 600)
    assert {len(record.stdout) for record in client.records} == {65536}


def test_what_the_executor_was_born_with_stays_its_own() -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    with Client(inherit=[write]) as client:
        os.close(write)
        assert client.run("ls /proc/self/fd")[0].stdout.split() == ["0", "1", "2", "3"]
    assert os.read(read, 1) == b""
    os.close(read)


def test_usage_is_said() -> None:
    done = subprocess.run([sys.executable, "-I", "-S", "-c", START, "--nonsense"], capture_output=True, timeout=20)
    assert done.returncode == 2
    assert b"usage" in done.stderr


def test_another_user_is_not_listened_to(client: Client) -> None:
    if os.getuid() != 0:
        require("root", "only root can be somebody else")
    client.folder.chmod(0o755)
    os.chmod(client.address, 0o777)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(10)
        os.seteuid(65534)
        try:
            stranger.connect(client.address)
        finally:
            os.seteuid(0)
        assert stranger.recv(1) == b""
    assert client.run("echo a")[0].stdout == "a\n"
