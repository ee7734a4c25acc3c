"""How a process comes to hold a run that another one began."""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import closing
from pathlib import Path

import pytest

from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.backend.store.journal import FILE_NAME, Journal
from stratos_jupyter.backend.store.lease import LEASE, WANTED, boot_id, process_start, read_lease, release_lease
from stratos_jupyter.errors import EngineError, JournalError, SpecError
from stratos_jupyter.runs import attach
from stratos_jupyter.runs.attach import (
    goes_on_without_notebook,
    open_released,
    parser_without_notebook,
    read_submissions,
    why_held,
)
from stratos_jupyter.runs.recorded_run import record_run
from tests.support.waiting import until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run that no process holds."""
    record_run(tmp_path, JobSpec(job_id="demo"), 1).close()
    release_lease(tmp_path)
    return tmp_path


def hold(folder: Path, *, background: bool = False, host: str | None = None) -> None:
    """Let this test's parent process hold the run."""
    pid = os.getppid()
    record = {"host": host or socket.gethostname(), "boot_id": boot_id(), "pid": pid, "started": process_start(pid)}
    (folder / LEASE).write_text(json.dumps({**record, "keeper": background}), "utf-8")


def test_a_run_that_no_process_holds_is_opened(folder: Path) -> None:
    open_released("demo", folder, steal=False).close()
    assert not (folder / WANTED).exists()


@pytest.mark.parametrize(("host", "sure"), [(None, ""), ("foam03", ", if that still runs")])
def test_a_living_holder_is_asked_only_by_stealing(folder: Path, host: str | None, sure: str) -> None:
    hold(folder, host=host)
    with pytest.raises(EngineError, match=rf"demo is held by process \d+ on \S+{sure}; attach it with --steal"):
        open_released("demo", folder, steal=False)
    assert not (folder / WANTED).exists()


@pytest.mark.parametrize("background", [True, False])
def test_a_holder_that_is_asked_may_let_go(folder: Path, background: bool) -> None:
    hold(folder, background=background)

    def let_go() -> None:
        until((folder / WANTED).exists)
        (folder / LEASE).unlink()

    thread = threading.Thread(target=let_go)
    thread.start()
    open_released("demo", folder, steal=not background).close()
    thread.join()


def test_a_holder_that_does_not_let_go_is_named_and_asked_no_longer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "LET_GO_S", 0.1)
    hold(folder, background=True)
    with pytest.raises(EngineError, match=r"demo: process \d+ on \S+ does not let go of it within 0.1 s"):
        open_released("demo", folder, steal=False)
    assert not (folder / WANTED).exists()


def test_a_lease_says_on_disk_what_version_0_1_0_reads(folder: Path) -> None:
    journal = record_run(folder / "2", JobSpec(job_id="demo"), 2) if (folder / "2").mkdir() is None else None
    assert journal is not None
    lease = read_lease(folder / "2")
    record = json.loads((folder / "2" / LEASE).read_text("utf-8"))
    journal.close()
    assert lease is not None
    assert (record["keeper"], lease.background) == (False, False)
    assert set(record) == {"host", "boot_id", "pid", "started", "keeper"}


def test_a_record_that_cannot_be_read_is_set_aside(folder: Path) -> None:
    journal = Journal(folder)
    with journal.writing():
        journal.set_meta({"spec": {"no": "spec"}})
    with pytest.raises(JournalError):
        read_submissions(journal)
    assert not (folder / FILE_NAME).exists()


def test_variables_that_have_no_value_here_hold_a_job() -> None:
    assert why_held([]) == ""
    assert why_held(["A", "B"]) == (
        "held: A, B is not set here; set os.environ['A'], os.environ['B'], then resume the job"
    )


def test_only_a_job_that_fails_by_a_function_needs_its_notebook() -> None:
    assert parser_without_notebook(JobSpec(parse="mine")) is None
    assert parser_without_notebook(JobSpec(parse="float", fail_on=(("parse", ""),))) is not None
    mine = JobSpec(job_id="demo", parse="mine", fail_on=(("parse", ""),))
    assert not goes_on_without_notebook(mine)
    with pytest.raises(SpecError, match="demo fails tasks whose output mine cannot parse, a function of its notebook"):
        parser_without_notebook(mine)


@pytest.mark.parametrize("where", ["spec", "rules"])
def test_a_record_of_a_newer_version_stays_as_it_is(folder: Path, where: str) -> None:
    spec = JobSpec(job_id="demo").to_record()
    (spec if where == "spec" else spec["rules"])["colour"] = "red"
    with closing(Journal(folder)) as journal, journal.writing():
        journal.set_meta({"spec": spec})
    journal = open_released("demo", folder, steal=False)
    with pytest.raises(
        JournalError, match=r"written by a newer version of stratos_jupyter \(colour\): attach it there"
    ):
        read_submissions(journal)
    Journal(folder).close()  # it is where it was, and no process has it open
    assert not list(folder.glob("*.broken-*"))
