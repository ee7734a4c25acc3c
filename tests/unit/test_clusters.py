"""What a cluster could give, asked of a master that says what the test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stratos_jupyter.clusters import MesosSite
from stratos_jupyter.spec import JobSpec


class Agents(BaseHTTPRequestHandler):
    """A master with two agents: many processors, much memory."""

    def do_GET(self) -> None:
        rich = [("a", {"cpus": 16, "mem": 2048, "disk": 100}), ("b", {"cpus": 4, "mem": 65536, "disk": 100})]
        slaves = [{"hostname": name, "active": True, "resources": has} for name, has in rich]
        body = json.dumps({"version": "1.11.0", "slaves": slaves}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def master() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Agents) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(("threads", "mem_mib", "fits"), [(2, 50_000, True), (16, 1000, True), (16, 50_000, False)])
def test_any_agent_that_is_large_enough_will_do(master: str, threads: float, mem_mib: float, fits: bool) -> None:
    spec = JobSpec("x", master=master, threads=threads, mem_mib=mem_mib)
    _, bad = MesosSite(master).check(spec)
    assert (not bad) == fits, bad
