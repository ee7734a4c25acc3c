"""Copies of files on HDFS, from a server that breaks off, is on standby or hangs; on an old Python too."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.executor_client import Client, other_pythons
from tests.waiting import until

DATA = b"x" * 3_000_000
PYTHONS = sorted(other_pythons().items(), key=lambda one: int(one[0].partition(".")[2]))[:1]


class WebHdfs(BaseHTTPRequestHandler):
    """Answers by the last word of a path."""

    let_go = threading.Event()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        name = path.rpartition("/")[2]
        if "op=GETFILESTATUS" in self.path:
            self._say(200, json.dumps({"FileStatus": {"length": len(DATA)}}).encode())
        elif name == "moved":
            self.send_response(307)
            self.send_header("Location", self.path.replace("moved", "whole"))
            self.end_headers()
        elif name == "standby":
            error = {"RemoteException": {"exception": "StandbyException", "message": "on standby\n\tat org.x"}}
            self._say(403, json.dumps(error).encode())
        elif name == "gone":
            error = {"RemoteException": {"exception": "FileNotFoundException", "message": "does not exist: \u2603\nat"}}
            self._say(404, json.dumps(error).encode())
        elif name == "hangs":
            self._say(200, DATA, most=2_000_000)
            self.wfile.flush()
            self.let_go.wait(30)
        elif name == "unsized":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(DATA)
        else:
            self._say(200, DATA, most=1_000_000 if name == "broken" else None)

    def _say(self, code: int, body: bytes, most: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:most])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), WebHdfs) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        WebHdfs.let_go.set()
        server.shutdown()


@pytest.fixture(scope="module", params=["ours", "oldest"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    if request.param == "oldest" and not PYTHONS:
        pytest.skip("no other python3 than {}.{} on this machine".format(*sys.version_info[:2]))
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
        ("broken", "the connection ended after 1,000,000 of 3,000,000 bytes"),
        ("gone", "does not exist: \u2603"),
        ("standby", "on standby"),
    ],
)
def test_what_went_wrong_is_said(client: Client, web: str, name: str, said: str) -> None:
    record = client.wait(start(client, "echo never", name, web))
    assert (record.code, record.stdout) == (74, None)
    assert record.stderr == f"stratos: cannot fetch hdfs://nn:8020/a/{name}: {said}\n"
    assert copies(client) == []


def test_the_next_address_is_asked_where_one_is_down(client: Client, web: str) -> None:
    record = client.wait(start(client, 'wc -c < "$STRATOS_FILE"', "whole", "http://127.0.0.1:9", web))
    assert record.stdout.strip() == str(len(DATA))
    record = client.wait(start(client, "echo never", "standby", "http://127.0.0.1:9", web))
    assert record.stderr.endswith(": Connection refused\n")
    record = client.wait(start(client, "echo never", "gone", web, "http://127.0.0.1:9"))
    assert "does not exist" in record.stderr


@pytest.mark.parametrize("way", ["kill", "timeout"])
def test_half_a_copy_is_removed_too(client: Client, web: str, way: str) -> None:
    limit = {"timeout_s": 1.0} if way == "timeout" else {}
    task = start(client, "echo never", "hangs", web, **limit)
    client.until(lambda: any(path.stat().st_size for copy in copies(client) for path in copy.iterdir()))
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
