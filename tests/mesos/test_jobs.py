"""Jobs on a real cluster, and what of them is seen there."""

from __future__ import annotations

import base64
import json
import os
import socketserver
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from stratos_jupyter import Processor
from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.spec.commands import explicit_commands, template_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec, OutputMode
from stratos_jupyter.backend.store.progress import read_progress
from stratos_jupyter.errors import EngineError, SpecError
from stratos_jupyter.magic.text import status_text
from stratos_jupyter.resume import resume
from stratos_jupyter.runs.lost_products import lost_products
from stratos_jupyter.session import Session
from stratos_jupyter.settings import current as settings
from tests.clusters.mesos.cluster import Cluster
from tests.clusters.mesos.fixtures import MakeCluster
from tests.mesos.conftest import submit
from tests.support.executor_client import alive
from tests.support.waiting import until

pytestmark = pytest.mark.mesos


def one_line(job: object) -> list[str]:
    return [(row.stdout or b"").decode() for row in sorted(job.rows(), key=lambda row: row.task)]  # type: ignore[attr-defined]


def hold(folder: Path) -> str:
    return f"until [ -e {folder}/go ]; do sleep 0.02; done"


# --- what commands find ---


def test_commands_find_the_agents_environment_and_what_was_named(
    mesos: Cluster, session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OF_THE_KERNEL", "never")
    monkeypatch.setenv("HANDED_ON", "two words; it's")
    job = submit(
        session,
        mesos,
        "echo ${OF_THE_KERNEL:-nothing}",
        "echo $HANDED_ON $GIVEN",
        'test "$(pwd)" = "$MESOS_SANDBOX" && echo in its sandbox',
        "env | grep -c AUTHENTICATION_TOKEN",
        "echo $STRATOS_THREADS $OMP_NUM_THREADS",
        threads=0.5,
        env=(("HANDED_ON", None), ("GIVEN", "7")),
    )
    assert job.wait(30)
    assert one_line(job) == ["nothing\n", "two words; it's 7\n", "in its sandbox\n", "0\n", "0.5 1\n"]
    away = submit(session, mesos, "pwd", cwd=str(tmp_path))
    assert away.wait(30)
    assert one_line(away) == [f"{tmp_path}\n"]


def test_a_long_output_comes_back_cut_and_stays_whole_in_the_sandbox(mesos: Cluster, session: Session) -> None:
    job = submit(session, mesos, "echo begin; head -c 300000 /dev/zero | tr '\\0' x; echo end", output_limit=1000)
    assert job.wait(30)
    (row,) = job.rows()
    text = job.output(row)
    assert text.startswith("begin\nxxx")
    assert text.endswith("xxxend\n")
    assert "bytes cut; the whole of it: " in text
    assert len(text) < 1000 + len(row.stdout_path) + 100
    assert row.stdout_size == 300_010
    assert Path(row.stdout_path).stat().st_size == 300_010


def test_outputs_in_the_sandbox_are_seen_there(mesos: Cluster, session: Session) -> None:
    job = submit(session, mesos, "echo kept", output=OutputMode.MESOS)
    assert job.wait(30)
    (row,) = job.rows()
    assert Path(row.stdout_path).read_text() == "kept\n"
    assert str(mesos.folder) in row.stdout_path
    assert "/executors/" in row.stdout_path
    assert job.df.stdout[0] == row.stdout_path


def test_names_that_are_no_text_and_files_of_this_folder(
    mesos: Cluster, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["plain", "two words", "it's", "-dash", "Zürich", os.fsdecode(b"not-utf8-\xff"), "new\nline", "$(id)"]
    for name in names:
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    with Processor(mesos.master, threads_per_task=1, mem_per_task=64, disk_per_task=0, job_id="names") as job:
        job.glob_batch("ls -d %f%", "*")  # a relative pattern: nodes have another folder
        found = sorted(job.get_results())
    assert found == sorted(f"{tmp_path}/{name}\n".encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
                           for name in names)  # fmt: skip


# --- what the cluster sees ---


def test_names_are_plain_and_nothing_secret_is_to_be_seen(mesos: Cluster, session: Session, tmp_path: Path) -> None:
    job = submit(
        session,
        mesos,
        *[f"echo hush-command; {hold(tmp_path)}"] * 2,
        job_id="Galaxien_é",
        env=(("TOKEN", "hush-value"),),
    )
    until(lambda: job.view[TaskState.RUNNING] == 2, 30)
    seen = json.dumps([mesos.get(path) for path in ("/state", "/tasks", "/frameworks", "/slaves")])
    sent = base64.b64encode(b"hush").decode()[:5]
    assert "hush" not in seen
    assert sent not in seen
    (framework,) = mesos.get("/master/frameworks")["frameworks"]
    assert framework["name"] == "stratos: Galaxien_?"
    assert framework["checkpoint"] is True
    (first, second) = sorted(framework["tasks"], key=lambda task: task["name"])
    assert [first["name"], second["name"]] == ["Galaxien_?[0]", "Galaxien_?[1]"]
    labels = {one["key"]: one["value"] for one in first["labels"]}
    assert labels == {
        "stratos.job": "Galaxien_?",
        "stratos.run": "1",
        "stratos.tasks": "0",
        "stratos.commands": "1",
    }
    assert f"on the cluster: http://127.0.0.1:{mesos.port}/#/frameworks/{framework['id']}" in status_text(job.view)
    (tmp_path / "go").touch()
    assert job.wait(30)
    until(lambda: not mesos.get("/master/frameworks")["frameworks"])


def test_the_journal_holds_no_secret(mesos: Cluster, session: Session) -> None:
    settings().principal, settings().secret = "me", "hush-secret"
    job = submit(session, mesos, "echo a", env=(("TOKEN", "hush-value"),))
    assert job.wait(30)
    for path in job.folder.rglob("*"):
        if path.is_file():
            assert b"hush" not in path.read_bytes(), path


# --- what is offered ---


def test_a_role_uses_what_is_reserved_for_it(make_mesos: MakeCluster, session: Session, tmp_path: Path) -> None:
    cluster = make_mesos(1, resources="cpus(astro):1;mem(astro):256;cpus(*):1;mem(*):256;disk(*):1000")
    job = submit(session, cluster, *[hold(tmp_path)] * 3, role="astro", job_id="astro")
    until(lambda: job.view[TaskState.RUNNING] == 2, 30)
    (framework,) = cluster.get("/master/frameworks")["frameworks"]
    assert framework["roles"] == ["astro"]
    (agent,) = cluster.get("/master/slaves")["slaves"]
    assert agent["used_resources"]["cpus"] == 2
    (tmp_path / "go").touch()
    assert job.wait(30)


def test_what_is_reserved_for_others_counts_for_nobody_else(make_mesos: MakeCluster, session: Session) -> None:
    cluster = make_mesos(
        1, resources="cpus(astro):2;mem(astro):256;cpus(*):1;mem(*):256;disk(*):1000;cpus(other):8;mem(other):4096"
    )
    assert session.site(cluster.master).describe().endswith("1 agent with 11 cpus")
    with pytest.raises(SpecError, match=r"largest agent for --role astro, 127\.0\.0\.1, has 3 cpus, 448 MiB memory"):
        session.check(JobSpec("x", master=cluster.master, role="astro", threads=4))
    with pytest.raises(SpecError, match=r"largest agent, 127\.0\.0\.1, has 1 cpu, 192 MiB memory"):
        session.check(JobSpec("x", master=cluster.master, threads=2))
    job = submit(session, cluster, "echo below", role="astro/jets", threads=3)
    assert job.wait(30)


def test_attributes_choose_nodes_and_unknown_ones_are_refused(make_mesos: MakeCluster, session: Session) -> None:
    cluster = make_mesos(1, agent_flags=["--attributes=rack:r1;level:3"])
    job = submit(session, cluster, "echo here", where=(("rack", "r1"), ("level", "3")))
    assert job.wait(30)
    with pytest.raises(SpecError, match="no agent has rack=r9; there is level=3, rack=r1"):
        session.check(JobSpec("x", master=cluster.master, where=(("rack", "r9"),)))


def test_attributes_that_are_ranges_and_long_numbers(make_mesos: MakeCluster, session: Session) -> None:
    cluster = make_mesos(1, agent_flags=["--attributes=slots:[1-3,7-9];asset:1234567.125;f:0.1"])
    where = (("slots", "1-3,7-9"), ("asset", "1234567.125"), ("f", ".1"))
    job = submit(session, cluster, "echo here", where=where)
    assert job.wait(30)
    with pytest.raises(SpecError, match=r"has asset=1234568; there is asset=1234567.125, f=0.1, slots=1-3,7-9"):
        session.check(JobSpec("x", master=cluster.master, where=(("asset", "1234568"),)))


def test_gpus_are_asked_for_and_given(make_mesos: MakeCluster, session: Session, tmp_path: Path) -> None:
    cluster = make_mesos(1)
    with pytest.raises(SpecError, match=r"asks for 1 cpu, 1 gpu, but the largest agent, 127\.0\.0\.1, has 2 cpus"):
        session.check(JobSpec("x", master=cluster.master, gpus=1))
    rich = make_mesos(1, resources="cpus:2;mem:1024;disk:1000;gpus:1")
    job = submit(session, rich, *[hold(tmp_path)] * 2, gpus=1)
    until(lambda: job.view[TaskState.RUNNING] == 1, 30)
    (agent,) = rich.get("/master/slaves")["slaves"]
    assert agent["used_resources"]["gpus"] == 1
    (tmp_path / "go").touch()
    assert job.wait(30)


def test_what_no_agent_could_give_is_refused(mesos: Cluster, session: Session) -> None:
    with pytest.raises(SpecError, match=r"largest agent.*ask for less"):
        session.check(JobSpec("x", master=mesos.master, threads=64))
    with pytest.raises(SpecError, match=r"--cwd data: on a cluster it must be absolute"):
        session.check(JobSpec("x", master=mesos.master, cwd="data"))


def test_what_leaves_no_room_for_the_executor_is_refused(make_mesos: MakeCluster, session: Session) -> None:
    cluster = make_mesos(1, resources="cpus:2;mem:1024;disk:1000")
    with pytest.raises(SpecError, match=r"has 2 cpus, 960 MiB memory, .* beside the job's executor; ask for less"):
        session.check(JobSpec("x", master=cluster.master, mem_mib=1000))
    session.check(JobSpec("x", master=cluster.master, mem_mib=960))


def test_a_cap_holds(mesos: Cluster, session: Session, tmp_path: Path) -> None:
    settings().max_cpus = "3"
    job = submit(session, mesos, *[hold(tmp_path)] * 4)
    until(lambda: job.view[TaskState.RUNNING] == 3, 30)
    (framework,) = mesos.get("/master/frameworks")["frameworks"]
    assert framework["used_resources"]["cpus"] <= 3.2
    (tmp_path / "go").touch()
    assert job.wait(30)


def test_a_job_without_work_holds_no_offer(mesos: Cluster, session: Session, tmp_path: Path) -> None:
    job = submit(session, mesos, hold(tmp_path))
    until(lambda: job.view[TaskState.RUNNING] == 1, 30)
    until(lambda: not mesos.get("/master/frameworks")["frameworks"][0]["offered_resources"]["cpus"])
    other = submit(session, mesos, "echo other", "echo jobs", "echo go on", job_id="other")
    assert other.wait(30)
    (tmp_path / "go").touch()
    assert job.wait(30)


def test_many_commands_in_few_tasks(mesos: Cluster, session: Session) -> None:
    job = submit(session, mesos, *(f"echo {i}" for i in range(500)))
    assert job.wait(60)
    assert one_line(job) == [f"{i}\n" for i in range(500)]
    launches = [detail for _, what, detail in job._journal.entries() if what == "launch"]
    assert len(launches) < 60


# --- as a user says it ---


def test_connecting_says_what_is_there(mesos: Cluster, session: Session) -> None:
    for text in (mesos.master, f"mesos://{mesos.master}"):
        assert session.site(text).describe() == f"the Mesos 1.11.0 cluster at {mesos.master}, 2 agents with 4 cpus"


def test_what_is_no_master_is_said_so(session: Session, mesos: Cluster) -> None:
    agent = f"127.0.0.1:{mesos.ports[0]}"
    with pytest.raises(EngineError, match="a Mesos agent, and no master"):
        session.site(agent).describe()
    with socketserver.TCPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with pytest.raises(EngineError, match=r"says 501 .* to /version; is it a Mesos master"):
            session.site(f"127.0.0.1:{other.server_address[1]}").describe()
        other.shutdown()
    with pytest.raises(EngineError):
        session.check(JobSpec("x", master="ftp://nowhere"), explicit_commands(["true"]))


def test_a_monitor_function_runs_there(mesos: Cluster, session: Session) -> None:
    source = "def watch(pid, stdout, stderr):\n    return relaunch('echo instead') if 'bad' in stdout else None\n"
    job = submit(session, mesos, "echo bad; sleep 1000", monitor="watch", monitor_source=source, update_interval_s=0.5)
    assert job.wait(30)
    assert job.df.reason.tolist() == ["monitor", "exit"]
    assert job.df.stdout.tolist() == ["bad\n", "instead\n"]


def test_the_end_of_what_runs_is_seen(mesos: Cluster, session: Session, tmp_path: Path) -> None:
    job = submit(session, mesos, f"echo so far; {hold(tmp_path)}")
    until(lambda: job.view[TaskState.RUNNING] == 1, 30)
    until(lambda: job.log(0).stdout == "so far\n", 10)
    (tmp_path / "go").touch()
    assert job.wait(30)


def test_a_job_with_the_wrong_secret_goes_on_with_the_right_one(
    make_mesos: MakeCluster, session: Session, tmp_path: Path
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text('{"credentials": [{"principal": "me", "secret": "hush"}]}')
    flags = ["--authenticate_http_frameworks=true", "--http_framework_authenticators=basic"]
    cluster = make_mesos(1, master_flags=[*flags, f"--credentials={credentials}"])
    settings().principal, settings().secret = "me", "wrong"
    job = submit(session, cluster, "echo a")
    until(lambda: any("then detach the job and attach it" in notice for notice in job.view.notices), 30)
    settings().secret = "hush"
    session.detach(job)
    job = session.attach("demo")
    assert job.wait(30)
    assert one_line(job) == ["a\n"]


def test_a_keeper_goes_on_with_all_that_was_chosen(make_mesos: MakeCluster, session: Session, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text('{"credentials": [{"principal": "me", "secret": "hush"}]}')
    flags = ["--authenticate_http_frameworks=true", "--http_framework_authenticators=basic"]
    cluster = make_mesos(1, master_flags=[*flags, f"--credentials={credentials}"])
    settings().principal, settings().secret = "me", "hush"
    job = submit(session, cluster, hold(tmp_path), "echo a", "echo b", env=(("TOKEN", "mine"),))
    until(lambda: job.view[TaskState.RUNNING] >= 1, 30)
    folder = job.folder
    pid = session.detach(job)
    (tmp_path / "go").touch()
    until(lambda: (progress := read_progress(folder)) is not None and progress.done == 3, 60)
    until(lambda: not alive([pid]), 30, "the end of the keeper")
    assert b"hush" not in (folder / "keeper.log").read_bytes()
    assert one_line(session.attach("demo"))[1:] == ["a\n", "b\n"]


# --- when a task has finished ---


def test_what_success_is_is_looked_at_on_the_node(mesos: Cluster, session: Session, tmp_path: Path) -> None:
    spec = JobSpec(
        "made",
        master=mesos.master,
        cwd=str(tmp_path),
        makes=("%c1%.out",),
        fail_on=(("stderr", "^Error"),),
        rules=Rules(ok_exit=((0, 1),)),
        threads=2,
        threads_given=True,
        env=(("MKL_NUM_THREADS", "9"),),
    )
    body = "echo $OMP_NUM_THREADS $MKL_NUM_THREADS ${STRATOS_PYTHON:-none} > %made%.out; %then%"
    rows = {
        "c1": ["a", "b", "c", "d"],
        "made": ["a", "x", "c", "d"],
        "then": ["exit 1", "true", "echo Error >&2", "exit 2"],
    }
    job = session.submit(spec, template_commands(body, rows))
    assert job.wait(30)
    found = {row.task: (TaskState(row.state).name, row.reason, row.exit_code, row.note) for row in job.rows()}
    assert found == {
        0: ("FINISHED", "exit", 1, ""),
        1: ("FAILED", "output", 0, "b.out was not made"),
        2: ("FAILED", "output", 0, "stderr matches ^Error: Error"),
        3: ("FAILED", "exit", 2, ""),
    }
    assert (tmp_path / "a.out").read_text() == "2 9 none\n"
    lost = lost_products(spec, job.commands)
    assert [task for task in range(4) if lost(task)] == [1]
    (tmp_path / "a.out").unlink()
    assert lost(0)
    assert not lost_products(replace(spec, makes=("/of/the/nodes/alone",)), job.commands)(0)


# --- running again ---


def test_work_in_place_is_done_once_and_what_only_nodes_see_is_no_change(
    mesos: Cluster, session: Session, tmp_path: Path
) -> None:
    inputs = [tmp_path / name for name in ("a", "b")]
    for path in inputs:
        path.write_text("1\n")
    lines = [f"echo calibrated >> <[{path}]>" for path in inputs] + ["echo 1 > own; cat <[own]>"]  # in its sandbox
    spec = JobSpec("demo", mesos.master, output_limit=1 << 20)
    job = submit(session, mesos, *lines)
    assert job.wait(30)
    for _ in range(2):
        again, tally = resume(session, spec, explicit_commands(lines))
        assert (tally.done, tally.changed, tally.new) == (3, 0, 0)
        session.let_go(job)
        job = session.attach("demo")
        assert again is not None
    assert [path.read_text().count("calibrated") for path in inputs] == [1, 1]
    os.replace(inputs[1], inputs[0])
    _, tally = resume(session, spec, explicit_commands(lines), dry_run=True)
    assert (tally.done, tally.changed) == (1, 2)
