"""Limits of memory and disk, kept by a real executor, with and without cgroups; what it is told to give back."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.executor.cgroup import Place, _without_limits, counts, places
from stratos_jupyter.backend.executor.scratch import measure
from tests.executor_client import Client, Record, alive
from tests.waiting import until

PYTHON = f"{shlex.quote(sys.executable)} -I -S"
HOG = f"{PYTHON} -c 'x = bytearray(200 << 20); open(\"full\", \"w\").close(); import signal; signal.pause()'"


def groups(client: Client) -> list[Path]:
    """Folders of the client's executor among the memory groups of this machine."""
    try:
        text = Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
    except OSError:
        return []
    name = f"stratos-{client.process.pid}-*"
    return [path for place in places(*text) if os.access(place.path, os.R_OK) for path in Path(place.path).glob(name)]


def task_groups(client: Client) -> list[Path]:
    return [path for folder in groups(client) for path in folder.glob("t[0-9]*")]


@pytest.fixture(scope="module")
def have_cgroups(tmp_path_factory: pytest.TempPathFactory) -> bool:
    with Client() as client:
        client.context()
        client.batch(["mkfifo gate; cat gate"], limits={"mem_mib": 100})
        client.wait_started(0)
        watched_twice(client)
        found = bool(groups(client))
        (client.folder / "gate").write_text("")
        client.wait(0)
    return found


def watched_twice(client: Client) -> None:
    """Wait until the executor has looked at the memory of its tasks: one that takes too much is ended."""
    client.batch([HOG], slot=99, first=9900, limits={"mem_mib": 50})
    assert client.wait(9900).reason == "memory"


@pytest.fixture(params=["groups", "sampling"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(options=["--no-cgroup"] if request.param == "sampling" else []) as one:
        yield one
        until(lambda: not task_groups(one), what="no group left")
    assert not groups(one)


def no_less(record: Record) -> None:
    assert (record.reason, record.code) == ("memory", -signal.SIGKILL)
    assert re.fullmatch(r"(used [\d,]+ MiB of|used all of its) 64 MiB; ask for more with --mem", record.note)


def test_task_that_takes_too_much_memory(client: Client) -> None:
    hog, following = client.run(HOG, "echo on", limits={"mem_mib": 64})
    no_less(hog)
    assert (following.reason, following.stdout) == ("exit", "on\n")
    assert not client.marked()
