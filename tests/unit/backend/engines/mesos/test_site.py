"""What a cluster could give, asked of a master that says what the test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stratos_jupyter.backend.engines.mesos.site import MesosSite
from stratos_jupyter.backend.engines.sites import EngineSettings
from stratos_jupyter.backend.spec.job_spec import JobSpec


class TwoAgents(BaseHTTPRequestHandler):
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
    with ThreadingHTTPServer(("127.0.0.1", 0), TwoAgents) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def wrong(spec: JobSpec, **settings: str) -> list[str]:
    """Return what a site says is wrong with a job."""
    return MesosSite(spec.master).check(spec, EngineSettings(**settings))[1]


@pytest.mark.parametrize(("threads", "mem_mib", "fits"), [(2, 50_000, True), (16, 1000, True), (16, 50_000, False)])
def test_any_agent_that_is_large_enough_will_do(master: str, threads: float, mem_mib: float, fits: bool) -> None:
    spec = JobSpec("x", master=master, threads=threads, mem_mib=mem_mib)
    bad = wrong(spec)
    assert (not bad) == fits, bad


def test_roles_that_a_master_would_refuse_are_refused(master: str) -> None:
    for role in ("", "-x", "a b", "a/../b", "..", "a//b", "/a", "a/", "a/*", "tab\there"):
        bad = wrong(JobSpec("x", master=master, role=role))
        assert bad == [f"--role {role!r}: Mesos knows roles as astro or astro/jets, without spaces, and * for all"]
    for role in ("*", "astro", "astro/jets", "a.b", "...", "x-y", "Zürich"):
        assert wrong(JobSpec("x", master=master, role=role)) == []


def test_what_could_never_run_there_is_refused(master: str) -> None:
    settings = {
        "max_cpus": "1.5",
        "failover_timeout": "1000000d",
        "principal": "me:too",
        "executor_uri": "~/stratos_executor.py",
    }
    assert wrong(JobSpec("x", master=master, threads=2), **settings) == [
        "--threads 2: a job may hold 1.5 cpus only; ask for less, or set Stratos.max_cpus",
        "failover_timeout 1000000d: Mesos takes 100,000 days at most",
        "executor_uri ~/stratos_executor.py: it must be absolute, as the nodes see it, or an address that they fetch",
        "principal 'me:too': it has no colon in it, which is what separates it from the secret",
    ]
    settings = {
        "max_cpus": "2",
        "failover_timeout": "100000d",
        "principal": "me",
        "executor_uri": "/shared/stratos_executor.py",
    }
    assert wrong(JobSpec("x", master=master, threads=2), **settings) == []


def test_half_a_graphics_processor_is_none(master: str) -> None:
    bad = wrong(JobSpec("x", master=master, gpus=0.5))
    assert "--gpus 0.5: Mesos gives whole ones only" in bad


def test_a_user_without_a_name_is_told_to_have_one(master: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2_147_483_641)  # as in a container: nobody is called so
    said = "user 2147483641 has no name here: set USER in the environment to whom commands are to run as there"
    assert wrong(JobSpec("x", master=master)) == [said]
    monkeypatch.setenv("USER", "anna")
    assert wrong(JobSpec("x", master=master)) == []
