"""Data locality on the real thing: Mesos agents where the DataNodes of a real HDFS are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from stratos_jupyter import Processor, magics
from stratos_jupyter import session as sessions
from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.job import Job
from stratos_jupyter.session import Session
from stratos_jupyter.settings import current as settings
from tests.clusters.both import agents_on, balanced, reader
from tests.clusters.hdfs.cluster import Hdfs, put
from tests.clusters.mesos.cluster import Cluster
from tests.support.waiting import until

pytestmark = [pytest.mark.hdfs, pytest.mark.mesos, pytest.mark.timeout(240)]

NO_HISTORY = Config({"HistoryManager": {"enabled": False}})

#: offers come nearly as often as on a real cluster, and each agent has an attribute of its own
LIKE_A_REAL_ONE: Final = {"allocation_interval_s": 0.2, "agent_flags": ["--attributes=rack:r{i}"]}

Why = Callable[[str], str]


@pytest.fixture(scope="module")
def cluster(hdfs: Hdfs, mesos_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Agents where the DataNodes are; offers come as often as on a real cluster."""
    with agents_on(hdfs, mesos_programs, tmp_path_factory.mktemp("both"), **LIKE_A_REAL_ONE) as found:
        yield found


@pytest.fixture
def session(state_home: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("STRATOS_MASTER", cluster.master)
    sessions.close()
    yield sessions.current()
    sessions.close()


@pytest.fixture
def cells(session: Session) -> Iterator[magics.StratosMagics]:
    """What runs magics."""
    shell = InteractiveShell(config=NO_HISTORY)
    magics.load(shell)
    found = magics.StratosMagics(shell)
    yield found
    magics.unload(shell)


@pytest.mark.slow
def test_a_job_of_300_tasks_reads_where_the_files_lie(
    hdfs: Hdfs, cluster: Cluster, folder: str, session: Session, cells: magics.StratosMagics, tmp_path: Path, capsys
) -> None:  # type: ignore[no-untyped-def]
    lies = balanced(hdfs, folder, 300, 20_000)
    read, where = reader(hdfs, tmp_path)
    cells.stratos(f"glob hdfs:{folder}/* --hdfs {hdfs.url} --env {where} --job snaps --wait", f"{read} %f%")
    job = session.job("snaps")
    view = job.view
    assert view[TaskState.FINISHED] == 300
    assert view.local_bytes + view.remote_bytes == 300 * 20_000
    assert view.local_bytes >= 0.95 * 300 * 20_000
    df = job.df
    assert df.stdout.tolist() == ["20000\n"] * 300
    # what it says of itself is so: the file lies on the node where the task ran
    local = [lies[name.removeprefix("hdfs:")] == node for name, node in zip(df.file, df.node, strict=True)]
    assert df.local_fraction.tolist() == [float(one) for one in local]
    assert sum(local) * 20_000 == view.local_bytes
    capsys.readouterr()
    cells.stratos("status snaps")
    assert "% of 5.7 MiB local" in capsys.readouterr().out


def test_copies_are_made_on_the_nodes_that_hold_the_files(
    hdfs: Hdfs, cluster: Cluster, folder: str, session: Session, cells: magics.StratosMagics
) -> None:
    lies = balanced(hdfs, folder, 12, 1000)
    cells.stratos(f"glob hdfs:{folder}/* --hdfs {hdfs.url} --fetch --job copies --wait", "stat -c '%s %n' %f%")
    job = session.job("copies")
    df = job.df
    assert df.exit_code.tolist() == [0] * 12, df.stderr.tolist()
    for path, said in zip(lies, df.stdout, strict=True):
        size, name = said.split()
        assert size == "1000"
        assert name.rpartition("/")[2] == path.rpartition("/")[2]
        assert name.startswith(str(cluster.folder))  # in a sandbox
        assert not Path(name).exists()
    assert (job.view.local_bytes, job.view.remote_bytes) == (12_000, 0)
    assert hdfs.url not in json.dumps([cluster.get(path) for path in ("/state", "/tasks", "/frameworks")])


# -- why tasks wait ------------------------------------------------------------------------------------------


@pytest.fixture
def why(cells: magics.StratosMagics, capsys: pytest.CaptureFixture[str]) -> Why:
    """Ask by the magic."""

    def ask(words: str) -> str:
        capsys.readouterr()
        cells.stratos(f"why {words}")
        return capsys.readouterr().out

    return ask


def hold(folder: Path) -> str:
    return f"until test -e {folder}/go; do sleep 0.02; done"


def job_of(session: Session, cluster: Cluster, texts: list[str], **spec: object) -> Job:
    given = {"job_id": "demo", "master": cluster.master, "output_limit": 1 << 20, **spec}
    return session.submit(JobSpec(**given), explicit_commands(texts))  # type: ignore[arg-type]


def test_why_names_the_attribute_that_offers_lack(cluster: Cluster, session: Session, why: Why, tmp_path: Path) -> None:
    job = job_of(session, cluster, [hold(tmp_path)] * 3, where=(("rack", "r1"),))
    until(lambda: job.view[TaskState.RUNNING] == 2, 30)
    until(lambda: "of 2 nodes did not fit: rack=r1" in why("demo 2"), 10, "what the others lack")
    (tmp_path / "go").touch()
    assert job.wait(30)
    assert set(job.df.node) == {"127.0.0.12"}


def test_why_names_the_memory_that_offers_lack(cluster: Cluster, session: Session, why: Why, tmp_path: Path) -> None:
    job = job_of(session, cluster, [hold(tmp_path)] * 4, mem_mib=600)
    until(lambda: job.view[TaskState.RUNNING] == 3, 30)
    until(lambda: "lacked 600 MiB memory (largest: 127.0.0.1" in why("demo"), 10, "what offers lack")
    said = why("demo 3")
    assert " beside this job's own tasks; with a smaller --mem more run at once." in said
    assert "Task 3 is 1st in the queue." in said
    (tmp_path / "go").touch()
    assert job.wait(30)


def test_why_says_that_all_is_busy_with_the_same_job(
    cluster: Cluster, session: Session, why: Why, tmp_path: Path
) -> None:
    job = job_of(session, cluster, [hold(tmp_path)] * 7, mem_mib=100)
    until(lambda: job.view[TaskState.RUNNING] == 6, 30)
    until(lambda: "3 nodes offered" in why("demo"), 30, "what is left of each node is offered")
    assert why("demo 6").splitlines()[:3] == [
        "The slots that 3 nodes offered are busy with this job's own tasks.",
        "6 commands of this job run at once on 3 nodes.",
        "Task 6 is 1st in the queue.",
    ]
    (tmp_path / "go").touch()
    assert job.wait(30)


def test_why_names_the_cap(cluster: Cluster, session: Session, why: Why, tmp_path: Path) -> None:
    settings().max_cpus = "2"
    job = job_of(session, cluster, [hold(tmp_path)] * 3)
    until(lambda: job.view[TaskState.RUNNING] == 2, 30)
    assert "hold 2 of the 2 cpus that it may have (max_cpus)" in why("demo 2")
    (tmp_path / "go").touch()
    assert job.wait(30)


def test_why_names_the_node_where_inputs_lie(
    hdfs: Hdfs, cluster: Cluster, folder: str, session: Session, why: Why, tmp_path: Path
) -> None:
    put(hdfs.url, f"{folder}/a", b"x" * 10, "127.0.0.13")
    texts = [f"{hold(tmp_path)}; : <[hdfs:{folder}/a]>"] * 3
    job = job_of(session, cluster, texts, hdfs=hdfs.url, rules=Rules(locality_wait_s=600))
    until(lambda: job.view[TaskState.RUNNING] == 2, 30)
    until(lambda: "passed over while waiting for a node where its inputs lie (127.0.0.13)" in why("demo 2"), 10)
    said = why("demo 2")
    assert " left; %stratos set demo locality_wait=0 waits no longer." in said
    job.set(locality_wait=0)
    until(lambda: job.view[TaskState.RUNNING] == 3, 30)
    (tmp_path / "go").touch()
    assert job.wait(30)
    df = job.df
    assert df.node.tolist()[:2] == ["127.0.0.13"] * 2
    assert df.local_fraction.tolist() == [1.0, 1.0, 0.0]


# -- trouble -------------------------------------------------------------------------------------------------


def test_a_datanode_dies_in_the_middle(
    breakable_hdfs: Hdfs, cluster: Cluster, folder: str, session: Session, tmp_path: Path
) -> None:
    hdfs = breakable_hdfs
    for n in range(12):
        put(hdfs.url, f"{folder}/{n:02}", b"x" * 100, hdfs.addresses[n % 3], replication=2)
    read, where = reader(hdfs, tmp_path)
    small = {"threads_per_task": 1, "mem_per_task": 100, "disk_per_task": 0}
    with Processor(
        cluster.master, job_id="dn", hdfs=hdfs.url, retries=20, retry_delay="1s", settings=small
    ) as processor:
        job = processor.job
        texts = [f"{hold(tmp_path)}; {where} {read} <[hdfs:{folder}/{n:02}]>" for n in range(12)]
        processor.explicit_stream(texts)
        until(lambda: job.view[TaskState.RUNNING] == 6, 30)
        hdfs.kill("datanode1")
        (tmp_path / "go").touch()
        assert job.wait(90)
        assert job.outputs(range(12)) == ["100\n"] * 12


def test_a_namenode_dies_in_the_middle(
    breakable_hdfs: Hdfs, cluster: Cluster, folder: str, session: Session, tmp_path: Path
) -> None:
    hdfs = breakable_hdfs
    for n in range(6):
        put(hdfs.url, f"{folder}/{n}", b"x" * 100, hdfs.addresses[n % 3])
    plain = job_of(session, cluster, [f"{hold(tmp_path)}; echo {n}" for n in range(6)], job_id="plain", hdfs=hdfs.url)
    until(lambda: plain.view[TaskState.RUNNING] == 6, 30)
    spec = JobSpec("marked", cluster.master, output_limit=1 << 20, hdfs=hdfs.url)
    marked = session.submit(spec, explicit_commands([f"echo <[hdfs:{folder}/{n}]>" for n in range(3)]), keep_open=True)
    places = marked._loop.scheduler.locality.locations
    until(lambda: places.knows(2), 10)
    hdfs.kill("namenode")
    more = marked.add(
        explicit_commands([f"echo <[hdfs:{folder}/{n}]>" for n in range(3, 6)]), session.command_env(spec)
    )
    until(lambda: marked.view.notices, 20)
    (notice,) = marked.view.notices
    assert notice.startswith(f"places of inputs are not known: HDFS {hdfs.url} cannot be reached")
    (tmp_path / "go").touch()
    assert plain.wait(60)
    assert plain.view[TaskState.FINISHED] == 6
    assert plain.view.notices == ()
    assert marked.wait(60, more)
    assert marked.outputs(range(6)) == [f"hdfs:{folder}/{n}\n" for n in range(6)]
    fractions = marked.df.local_fraction
    assert fractions[:3].notna().all()
    assert fractions[3:].isna().all()
    session.close()  # while it is still being tried again
