"""Copies of files on HDFS, from a server that breaks off, is on standby or hangs; on an old Python too."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from tests.conftest import require
from tests.support.executor_client import Client
from tests.support.pythons import other_pythons
from tests.support.waiting import until

DATA = bytes(range(256)) * 12_000
HUGE = 1 << 60
REPLICAS = ("127.0.0.21", "127.0.0.22", "127.0.0.23")
PYTHONS = list(other_pythons().items())[:1]


class WebHdfs(BaseHTTPRequestHandler):
    """Answers by the last word of a path."""

    let_go = threading.Event()
    asked: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        name = path.rpartition("/")[2]
        query = dict(parse_qsl(urlsplit(self.path).query))
        data = DATA[int(query.get("offset", 0)) :]
        if name == "gone":
            self._refuse(404, "FileNotFoundException", "does not exist: \u2603\nat")
        elif name == "standby":
            self._refuse(403, "StandbyException", "on standby\n\tat org.x")
        elif name == "folder":
            self._say(200, json.dumps({"FileStatus": {"length": 0, "type": "DIRECTORY"}}).encode())
        elif name == "tiny":
            status = json.dumps({"FileStatus": {"length": 4}}).encode()
            self._say(200, status if "op=GETFILESTATUS" in self.path else b"tiny")
        elif "op=GETFILESTATUS" in self.path:
            self._say(200, json.dumps({"FileStatus": {"length": HUGE if name == "huge" else len(DATA)}}).encode())
        elif name == "moved":
            self.send_response(307)
            self.send_header("Location", self.path.replace("moved", "whole"))
            self.end_headers()
        elif name == "replicas":  # the replica of one node has gone, that of the next breaks off, the third is whole
            dead = query.get("excludedatanodes", "").split(",")
            where = next((host for host in REPLICAS if host not in dead), None)
            if where is None:
                self._refuse(403, "IOException", "No active nodes contain this block")
                return
            self.asked.append((where, query.get("offset", "0")))
            port = 9 if where == REPLICAS[0] else self.server.server_address[1]
            self.send_response(307)
            self.send_header("Location", f"http://{where}:{port}" + self.path.replace("replicas", f"at-{where}"))
            self.end_headers()
        elif name.startswith("at-"):
            self._say(200, data, most=1_000_000 if name == f"at-{REPLICAS[1]}" else None)
        elif name == "hangs":
            self._say(200, DATA, most=2_000_000)
            self.wfile.flush()
            self.let_go.wait(30)
        elif name == "unsized":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(DATA)
        else:
            self._say(
                200,
                data,
                most=1_000_000 if name == "broken" and query["offset"] == "0" else 0 if name == "broken" else None,
            )

    def _refuse(self, code: int, kind: str, message: str) -> None:
        self._say(code, json.dumps({"RemoteException": {"exception": kind, "message": message}}).encode())

    def _say(self, code: int, body: bytes, most: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:most])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("", 0), WebHdfs) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        WebHdfs.let_go.set()
        server.shutdown()


@pytest.fixture(scope="module", params=["ours", "oldest"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    if request.param == "oldest" and not PYTHONS:
        require("pythons", "no other python3 than {}.{} on this machine".format(*sys.version_info[:2]))
    with Client(**({"python": PYTHONS[0][1]} if request.param == "oldest" else {})) as one:
        yield one


def start(client: Client, command: str, name: str, *web: str, **fields: object) -> int:
    first = 1 + max([task for task, _ in client.ended], default=0)
    client.context(fetch=["me", *web], **fields)
    client.batch([command], first=first, files=[f"hdfs://nn:8020/a/{name}"])
    return first


def copies(client: Client) -> list[Path]:
    return list(client.folder.rglob("*.copy"))


@pytest.mark.parametrize("name", ["whole", "moved", "unsized", "Zürich '\"$x\n/whole"])
def test_the_copy_is_whole_and_removed(client: Client, web: str, name: str) -> None:
    record = client.wait(start(client, 'wc -c < "$STRATOS_FILE"; touch "$STRATOS_FILE.more"', name, web))
    assert (record.code, record.stdout.strip(), record.stderr) == (0, str(len(DATA)), None)
    assert copies(client) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone", "does not exist: \u2603"),
        ("folder", "it is a directory"),
        ("huge", f"no room for its {HUGE:,} bytes on this node: "),
    ],
)
def test_what_cannot_be_copied_at_all_fails_its_task(client: Client, web: str, name: str, said: str) -> None:
    record = client.wait(start(client, "echo never", name, web))
    assert (record.reason, record.code, record.stdout) == ("exit", 74, None)
    assert record.stderr.startswith(f"stratos: cannot fetch hdfs://nn:8020/a/{name}: {said}")
    assert copies(client) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("broken", r"DataNode 127.0.0.1:\d+: the connection ended after 1,000,000 of 3,072,000 bytes"),
        ("standby", r"NameNode 127.0.0.1:\d+: on standby"),
    ],
)
def test_where_the_cluster_fails_the_attempt_is_lost(client: Client, web: str, name: str, said: str) -> None:
    record = client.wait(start(client, "echo never", name, web, fetch_wait_s=0.5))
    assert (record.reason, record.stdout) == ("lost", None)
    assert re.fullmatch(f"stratos: cannot fetch hdfs://nn:8020/a/{name}: {said}", record.note)
    assert copies(client) == list(client.folder.rglob("*.why")) == []


def test_a_command_that_exits_with_that_code_is_not_lost(client: Client, web: str) -> None:
    record = client.wait(start(client, "exit 75", "whole", web))
    assert (record.reason, record.code) == ("exit", 75)


def test_no_exit_code_that_the_user_calls_success_is_that_of_a_file_that_was_not_copied(
    client: Client, web: str
) -> None:
    record = client.wait(start(client, "echo never", "gone", web, ok_exit=[[0, 100]]))
    assert (record.reason, record.code, record.stdout) == ("output", 74, None)
    assert record.note == "stratos: cannot fetch hdfs://nn:8020/a/gone: does not exist: \u2603"
    assert client.wait(start(client, "exit 74", "whole", web, ok_exit=[[0, 100]])).reason == "exit"


def test_another_replica_goes_on_where_one_broke_off(client: Client, web: str) -> None:
    WebHdfs.asked.clear()
    record = client.wait(start(client, 'sha256sum < "$STRATOS_FILE"', "replicas", web))
    assert record.stdout == f"{hashlib.sha256(DATA).hexdigest()}  -\n"
    assert WebHdfs.asked == [(REPLICAS[0], "0"), (REPLICAS[1], "0"), (REPLICAS[2], "1000000")]


def test_the_next_address_is_asked_where_one_is_down(client: Client, web: str) -> None:
    record = client.wait(start(client, 'wc -c < "$STRATOS_FILE"', "whole", "http://127.0.0.1:9", web))
    assert record.stdout.strip() == str(len(DATA))
    record = client.wait(start(client, "echo never", "standby", "http://127.0.0.1:9", web, fetch_wait_s=0.5))
    assert "NameNode 127.0.0.1:9: Connection refused; NameNode " in record.note
    record = client.wait(start(client, "echo never", "gone", web, "http://127.0.0.1:9"))
    assert "does not exist" in record.stderr


def test_a_server_that_comes_back_is_waited_for(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    task = start(client, 'wc -c < "$STRATOS_FILE"', "whole", f"http://127.0.0.1:{port}")
    client.until(lambda: copies(client))
    with ThreadingHTTPServer(("127.0.0.1", port), WebHdfs) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        record = client.wait(task)
        server.shutdown()
    assert (record.code, record.stdout.strip()) == (0, str(len(DATA)))


def test_a_script_gets_the_copy_as_its_argument(client: Client, web: str) -> None:
    script = "#!/usr/bin/env python3\nimport os, sys\n(name,) = sys.argv[1:]\n"
    script += "print(os.path.getsize(name), name == os.environ['STRATOS_FILE'])"
    record = client.wait(start(client, script, "whole", web))
    assert (record.stdout, record.stderr) == (f"{len(DATA)} True\n", None)
    script = '#!/bin/sh\necho "$1"; wc -c < "$STRATOS_COPY_1"'
    client.batch([script], first=900, files=["a b"], copies=[["hdfs:/b/whole"]])
    assert client.wait(900).stdout == f"a b\n{len(DATA)}\n"


def test_a_task_has_copies_of_all_that_it_names(client: Client, web: str) -> None:
    task = 1 + max([task for task, _ in client.ended], default=0)
    client.context(fetch=["me", web])
    shown = 'for f in "$STRATOS_FILE" "$STRATOS_COPY_1" "$STRATOS_COPY_2"; do echo "${f##*/} $(wc -c < "$f")"; done'
    client.batch([shown], first=task, files=["hdfs:/a/whole"], copies=[["hdfs:/b/whole", "hdfs:/a/two words"]])
    assert client.wait(task).stdout == "".join(f"{name} {len(DATA)}\n" for name in ("whole", "whole", "two words"))
    client.batch(
        ['cat "$STRATOS_COPY_1" | wc -c; echo ${STRATOS_FILE-none}'], first=task + 1, copies=[["hdfs:/b/whole"]]
    )
    assert client.wait(task + 1).stdout.split() == [str(len(DATA)), "none"]
    assert copies(client) == []


def test_a_task_has_copies_of_more_files_than_one_argument_holds(client: Client, web: str) -> None:
    task = 1 + max([task for task, _ in client.ended], default=0)
    client.context(fetch=["me", web])
    names = [f"hdfs:/a/{'long' * 50}/{number}/tiny" for number in range(400)]
    client.batch(['cat "$STRATOS_COPY_1" "$STRATOS_COPY_400"'], first=task, copies=[names])
    assert client.wait(task).stdout == "tiny" * 2


def test_a_script_finds_the_copy_as_its_argument(client: Client, web: str) -> None:
    script = '#!/bin/sh -e\n[ "$1" = "$STRATOS_FILE" ]; wc -c < "$1"; echo $#'
    assert client.wait(start(client, script, "two words", web)).stdout.split() == [str(len(DATA)), "1"]
    task = 1 + max([task for task, _ in client.ended], default=0)
    client.context(fetch=["me", web])
    client.batch(
        ['#!/bin/sh -e\necho "$1"; wc -c < "$STRATOS_COPY_1"'], first=task, files=["here"], copies=[["hdfs:/a/b"]]
    )
    assert client.wait(task).stdout.split() == ["here", str(len(DATA))]


@pytest.mark.parametrize("way", ["kill", "timeout"])
def test_half_a_copy_is_removed_too(client: Client, web: str, way: str) -> None:
    limit = {"timeout_s": 1.0} if way == "timeout" else {}
    task = start(client, "echo never", "hangs", web, **limit)
    # All that has come is in it, so that another replica goes on from there.
    client.until(lambda: [path.stat().st_size for copy in copies(client) for path in copy.iterdir()] == [2_000_000])
    if way == "kill":
        client.send(["kill", [[task, 1]]])
    assert client.wait(task).reason == ("user" if way == "kill" else way)
    assert copies(client) == []
    until(lambda: not client.marked(), what="nothing left")


def test_the_command_begins_as_any_other(client: Client, web: str) -> None:
    env = {"PATH": "/bin:/usr/bin", "A": "b"}
    plain = client.run("env | grep -v ^STRATOS_ | sort; cat /proc/self/status | grep ^Sig[BIC]", env=env)[0]
    task = start(
        client, "env | grep -v ^STRATOS_ | sort; cat /proc/self/status | grep ^Sig[BIC]", "whole", web, env=env
    )
    assert client.wait(task).stdout == plain.stdout
    assert client.wait(start(client, "no-such-program", "whole", web)).code == 127
    assert client.wait(start(client, "-x || echo $0", "whole", web)).stdout == "bash\n"
