"""What is asked of a master before a job starts, and what is said when somebody else answers, or nobody."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from stratos_jupyter.backend.engines.mesos.address import Master, parse_master
from stratos_jupyter.backend.engines.mesos.cluster_info import ask_master
from stratos_jupyter.backend.engines.mesos.site import MesosSite
from stratos_jupyter.backend.engines.sites import EngineSettings
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.errors import EngineError

VERSION = {"version": "1.11.0"}
Serve = Callable[..., Master]


def agent(cpus: float, mem: float, host: str = "node1", **attributes: Any) -> dict[str, Any]:
    return {
        "hostname": host, "active": True, "attributes": attributes, "resources": {"cpus": cpus, "mem": mem, "disk": 1e4}
    }  # fmt: skip


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers that answer paths with values as JSON, bytes as they are, and numbers as errors."""
    with ExitStack() as stack:

        def start(**pages: Any) -> Master:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    answer = pages.get(self.path[1:], 404)
                    if isinstance(answer, int):
                        self.send_error(answer)
                        return
                    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *_: object) -> None:
                    pass

            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return Master("127.0.0.1", server.server_port)

        yield start


def test_a_master_tells_its_agents(serve: Serve) -> None:
    info = ask_master(serve(version=VERSION, slaves={"slaves": [agent(2, 1024), {**agent(9, 9), "active": False}]}))
    assert info.version == "1.11.0"
    assert info.agents is not None
    assert [(node, has.cpus) for node, has, _ in info.agents] == [("node1", 2.0)]


@pytest.mark.parametrize("slaves", [401, 403, 500, {"else": 1}, [1], b"no json"])
def test_a_master_that_does_not_tell_everybody_is_one(serve: Serve, slaves: Any) -> None:
    assert ask_master(serve(version=VERSION, slaves=slaves)).agents is None


@pytest.mark.parametrize("version", [404, b"<html>", [1], None, {"version": 3}, {"release": "1"}])
def test_whoever_is_no_master_is_said_to_be_none(serve: Serve, version: Any) -> None:
    with pytest.raises(EngineError, match=r"^what answers at 127\.0\.0\.1:\d+ .*5050 mostly\)$") as raised:
        ask_master(serve(version=version))
    assert raised.type is EngineError


def test_an_agent_is_said_to_be_one(serve: Serve) -> None:
    with pytest.raises(EngineError, match="is a Mesos agent, and no master"):
        ask_master(serve(version=VERSION))


def test_what_the_environment_names_for_the_web_is_not_asked(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert ask_master(serve(version=VERSION, slaves=401)).version == "1.11.0"


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"])
def test_whoever_takes_his_time_is_not_waited_for(greeting: bytes) -> None:
    """A timeout of a socket's counts from the last byte."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as stack:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    connection.sendall(greeting)
                    while not over.wait(0.02):
                        connection.sendall(b" " if greeting else b"")
                except OSError:
                    pass

        over = threading.Event()
        thread = threading.Thread(target=drip)
        thread.start()
        stack.callback(thread.join)
        stack.callback(over.set)
        begun = time.monotonic()
        with pytest.raises(EngineError, match=r"no answer within 0\.2 s|timed out"):
            ask_master(Master("127.0.0.1", server.getsockname()[1]), 0.2)
        assert time.monotonic() - begun < 5.0


def test_whoever_speaks_another_language_is_no_master() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(EngineError, match=r"is no Mesos master; is the port right\? \(5050 mostly\)$"):
            ask_master(Master("127.0.0.1", server.getsockname()[1]))
        thread.join()


@pytest.mark.parametrize("host", ["a.b..c", "x" * 300])
def test_a_name_that_cannot_be_is_said_so(host: str) -> None:
    with pytest.raises(EngineError, match="is no host's name"):
        ask_master(Master(host, 5050))


def test_a_zookeeper_is_looked_for() -> None:
    with pytest.raises(EngineError, match=r"no ZooKeeper of zk://127\.0\.0\.1:9/mesos.*Connection refused"):
        ask_master(parse_master("zk://127.0.0.1:9/mesos"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        hosts = f"127.0.0.1:9,127.0.0.1:{server.getsockname()[1]}"
        assert ask_master(parse_master(f"zk://{hosts}/mesos")).agents is None


# --- what fits ---


def wrong(address: Master, **spec: Any) -> str:
    return "; ".join(MesosSite(str(address)).check(JobSpec("demo", master=str(address), **spec), EngineSettings())[1])


def test_what_fits_into_any_agent_is_no_error(serve: Serve) -> None:
    """Not just into the one with most processors."""
    where = serve(version=VERSION, slaves={"slaves": [agent(64, 256), agent(4, 8192, "node2")]})
    assert wrong(where, mem_mib=4096.0) == ""
    assert wrong(where, threads=32.0) == ""
    assert "largest agent, node1" in wrong(where, threads=32.0, mem_mib=4096.0)


def test_the_jobs_executor_needs_its_share(serve: Serve) -> None:
    where = serve(version=VERSION, slaves={"slaves": [agent(2, 1024)]})
    assert wrong(where, threads=2.0, mem_mib=960.0) == ""
    assert "960 MiB" in wrong(where, threads=2.0, mem_mib=1000.0)


def test_agents_of_another_kind_are_not_counted(serve: Serve) -> None:
    where = serve(version=VERSION, slaves={"slaves": [agent(64, 65536), agent(2, 1024, "node2", rack="r1")]})
    assert wrong(where, threads=8.0) == ""
    assert "largest agent with rack=r1, node2, has 2 cpus" in wrong(where, threads=8.0, where=(("rack", "r1"),))
    assert "no agent has rack=r2; there is rack=r1" in wrong(where, where=(("rack", "r2"),))


def test_what_is_relative_on_the_nodes_is_refused(serve: Serve) -> None:
    where = serve(version=VERSION, slaves=401)
    said = wrong(where, cwd="here", log_directory="logs", relauncher=" ")
    assert "--cwd here: on a cluster it must be absolute" in said
    assert "--log-dir logs" in said
    assert "relauncher ' ': it names no program" in said
