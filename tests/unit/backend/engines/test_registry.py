"""Which engine a master names, and what is said of one that names none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.engines import registry
from stratos_jupyter.backend.engines.local.site import LocalSite
from stratos_jupyter.backend.engines.mesos.site import MesosSite
from stratos_jupyter.backend.engines.registry import SiteEntry, entry_of, may_resume, site_class, site_for
from stratos_jupyter.errors import EngineError


@pytest.fixture
def cloud() -> Iterator[SiteEntry]:
    entry = SiteEntry(
        "cloud",
        ("cloud", "cloud:REGION"),
        lambda master: master.startswith("cloud"),
        lambda: LocalSite,
        lambda: ["cloud"],
    )
    registry.register(entry)
    yield entry
    registry.unregister("cloud")


@pytest.mark.parametrize(("master", "engine"), [
    ("local", "local"), ("local[4]", "local"), ("local[x]", "local"), ("local4", "local"), ("localhost", "mesos"),
    ("localhost:5050", "mesos"), ("local1:5050", "mesos"), ("local.lan", "mesos"), ("mesos://local:5050", "mesos"),
    ("mesos", "mesos"), ("node7", "mesos"), ("focal", "mesos"), (" http://head:80/ ", "mesos"), ("[::1]:5050", "mesos"),
    ("zk://a:2181,b/mesos", "mesos"), ("zk://no-path", "mesos"), ("https://head", "mesos"), ("me:secret@head", "mesos"),
])  # fmt: skip
def test_each_master_has_one_engine(master: str, engine: str) -> None:
    assert entry_of(master).name == engine


@pytest.mark.parametrize("master", ["", "two words:5050", "head:99999", "ftp://head:21", "slurm://head"])
def test_a_master_that_names_no_engine_is_told_all_that_there_are(master: str) -> None:
    known = "local, local[4], host:port, mesos://host:port or zk://host1:2181,host2:2181/mesos"
    with pytest.raises(EngineError) as caught:
        site_for(master, Path())
    assert str(caught.value) == f"{master!r} names no engine: write {known}"


@pytest.mark.parametrize("master", ["loacl", "loca", "llocal", "lcal[4]", "lcoal[4]"])
def test_a_slip_of_the_pen_is_no_hosts_name(master: str) -> None:
    with pytest.raises(EngineError, match="names no engine, did you mean local: write local, "):
        entry_of(master)


@pytest.mark.parametrize("master", ["local/x", "local4", "local[0]", "local[four]"])
def test_what_is_meant_for_this_machine_is_refused_by_this_machine(master: str) -> None:
    with pytest.raises(EngineError, match=r"is no local engine: write local, or local\[4\]"):
        site_for(master, Path())


def test_an_engine_can_be_added(cloud: SiteEntry) -> None:
    assert entry_of("cloud:eu") is cloud
    assert site_class("cloud") is LocalSite
    assert registry.choices()[0] == "local"
    assert registry.choices()[-1] == "cloud"
    with pytest.raises(EngineError, match=r"did you mean cloud: write local, local\[4\], cloud, cloud:REGION, host:"):
        entry_of("coud")
    with pytest.raises(ValueError, match="there is an engine 'cloud' already"):
        registry.register(cloud)
    with pytest.raises(ValueError, match="there is an engine 'local' already"):
        registry.register(registry.SITES[0])


def test_what_a_site_can_do_is_known_of_its_class() -> None:
    assert site_class("local[2]").sees_files_here
    assert not site_class("head:5050").sees_files_here
    assert site_class("head:5050") is MesosSite


def test_runs_of_this_machine_are_resumed_with_any_number_of_cores() -> None:
    assert may_resume("local", "local[2]")
    assert may_resume("head:5050", "head:5050")
    assert not may_resume("head:5050", "mesos://head:5050")
    assert not may_resume("local", "head:5050")
    assert not may_resume("two words", "local")


def test_an_engine_is_loaded_when_it_is_chosen() -> None:
    program = (
        "import sys; from stratos_jupyter.backend.engines import registry; "
        "print(*(name for name in sys.modules if name.endswith(('.engine', '.site', 'pymesos', 'asyncio'))), 'x'); "
        "registry.site_class('local'); print(*(name for name in sys.modules if 'mesos.engine' in name), 'x')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["x", "x"]
