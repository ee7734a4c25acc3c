"""Reports of real jobs: open here, held by another process, held by nobody."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from stratos_jupyter import session as sessions
from stratos_jupyter.__main__ import main
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.results.failure_groups import Group
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.errors import JobNotFound, JournalError
from stratos_jupyter.report.collect import full_summary_of, full_summary_of_record, summary_of
from stratos_jupyter.report.page import report_html, write_report
from stratos_jupyter.report.summary import LEFT_OUT, JobSummary
from stratos_jupyter.session import Session
from tests.faults.kernels import start
from tests.support.waiting import until

COMMANDS = ["echo first; echo second", "echo no mass in 1.dat >&2; exit 3", "printf '\033[31mred\033[0m'", "exit 4"]

HOLD = """
from stratos_jupyter.session import current
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
texts = ["echo early", "echo no mass >&2; exit 3", "sleep 60"]
job = current().submit(JobSpec("demo", master="local[1]"), explicit_commands(texts))
while job.view.done < 2 or not job.rows():
    pass
print("up", flush=True)
job.wait()
"""


def text_of(path: Path) -> str:
    """Return the words of a page."""
    page = re.sub(r"<(style|title)>.*?</\1>", "", path.read_text("utf-8"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def same(one: JobSummary, other: JobSummary) -> None:
    assert one.view.counts == other.view.counts
    assert one.view.reasons == other.view.reasons
    assert (one.view.job_id, one.view.run, one.view.engine) == (other.view.job_id, other.view.run, other.view.engine)
    for name in ("groups", "states", "placeholders", "rows", "slowest", "spans", "settings"):
        assert getattr(one, name) == getattr(other, name), name


@pytest.fixture
def holder(state_home: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a process that holds `demo`, of which two tasks have ended and one runs."""
    made: list[subprocess.Popen[str]] = []

    def hold() -> subprocess.Popen[str]:
        process = start(HOLD, state_home)
        made.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return process

    yield hold
    for process in made:
        process.kill()
        process.communicate()


def test_an_account_has_what_was_the_case(session: Session) -> None:
    job = session.submit(JobSpec("demo", master="local[2]"), explicit_commands(COMMANDS))
    assert job.wait(30)
    summary = full_summary_of(job)
    assert [(row.state, row.output, row.exit_code) for row in summary.rows] == [
        (TaskState.FINISHED, "first", 0),
        (TaskState.FAILED, "", 3),
        (TaskState.FINISHED, "red", 0),
        (TaskState.FAILED, "", 4),
    ]
    assert [row.command for row in summary.rows] == COMMANDS
    assert [(group.label, group.tasks) for group in summary.groups] == [
        ("exit 3: no mass in <path>", (1,)),
        ("exit 4", (3,)),
    ]
    assert sorted(span.task for span in summary.spans) == [0, 1, 2, 3]
    assert {row.task for row in summary.slowest} == {0, 1, 2, 3}
    assert summary.states == job.states()
    assert summary.running == []
    short = summary_of(job)
    assert (short.rows, short.groups, short.spans) == (summary.rows, summary.groups, ())


def test_what_runs_has_a_node_and_a_length(session: Session) -> None:
    job = session.submit(JobSpec("demo", master="local[1]"), explicit_commands(["echo", "sleep 60", "echo"]))
    until(lambda: job.view[TaskState.RUNNING] == 1 and job.view.done == 1)
    summary = full_summary_of(job)
    (one,) = summary.running
    assert (one.task, one.attempt, one.state, one.node) == (1, 1, TaskState.RUNNING, summary.spans[0].node)
    assert one.started_at is not None
    assert summary.view.submitted_at <= one.started_at <= one.finished_at <= time.time()
    later = full_summary_of(job)
    assert later.view.elapsed_s > summary.view.elapsed_s  # although nothing has happened in between
    html = report_html(summary, 0.0)
    assert "task 1: runs" in html
    used = set(re.findall(r"var\((--[\w-]+)", html))
    assert used <= set(re.findall(r"(--[\w-]+):", html))  # a colour that is not there is not drawn


def test_tasks_that_end_while_it_is_made_do_no_harm(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    job = session.submit(JobSpec("demo", master="local[1]"), explicit_commands(["true"]), keep_open=True)
    assert job.wait(30)
    groups = job.failure_groups

    def meanwhile() -> list[Group]:
        job.add(explicit_commands(["true"]), job.commands.command_env(0))
        until(lambda: len(job.rows()) == 2)
        return groups()

    monkeypatch.setattr(job, "failure_groups", meanwhile)
    summary = full_summary_of(job)
    assert len(summary.spans) == 2
    assert [row.task for row in summary.slowest] == [0]


def test_tasks_that_belong_to_the_job_no_longer_are_left_out(session: Session) -> None:
    job = session.submit(JobSpec("demo", master="local[2]"), explicit_commands(COMMANDS), keep_open=True)
    assert job.wait(30)
    job.extend(None, superseded=[0, 3])
    until(lambda: job.superseded == {0, 3})
    summary = full_summary_of(job)
    assert [row.task for row in summary.rows] == [1, 2]
    assert summary.states[0] == summary.states[3] == LEFT_OUT
    assert [group.tasks for group in summary.groups] == [(1,)]


def test_retries_are_spans_and_a_task_that_runs_again_has_no_result(session: Session, tmp_path: Path) -> None:
    text = f"test -e {tmp_path}/go || exit 3; sleep 60"
    job = session.submit(JobSpec("demo", master="local[1]"), explicit_commands([text]))
    assert job.wait(30)
    (tmp_path / "go").touch()
    job.relaunch([0])
    until(lambda: job.state(0) is TaskState.RUNNING)
    summary = full_summary_of(job)
    assert [(row.state, row.reason) for row in summary.rows] == [(TaskState.RUNNING, "exit")]
    assert summary.groups == []
    assert [(span.task, span.attempt) for span in summary.spans] == [(0, 1)]
    job.kill()
    assert job.wait(30)


def test_a_job_that_is_not_held_any_more_tells_what_its_view_tells(session: Session) -> None:
    job = session.submit(JobSpec("demo", master="local[1]"), explicit_commands(["echo 1"]))
    assert job.wait(30)
    session.let_go(job)
    until(lambda: job not in session.jobs())
    summary = until(lambda: not (found := summary_of(job)).rows and found)
    assert summary == JobSummary(job.view)


def test_the_record_tells_what_the_job_told(session: Session, state_home: Path) -> None:
    job = session.submit(JobSpec("demo", master="local[2]"), explicit_commands(COMMANDS))
    assert job.wait(30)
    told = full_summary_of(job)
    with pytest.raises(JournalError, match="open in this process"):
        full_summary_of_record(state_home, "demo")
    sessions.close()
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (state_home / "jobs/demo/1").iterdir())
    recorded = full_summary_of_record(state_home, "demo")
    same(recorded, told)
    assert recorded.view.ended_at is not None
    after = sorted((path.name, path.stat().st_mtime_ns) for path in (state_home / "jobs/demo/1").iterdir())
    assert after == before


def test_the_magic_writes_a_report(shell: InteractiveShell, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(cell: str) -> Any:
        done = shell.run_cell(cell, store_history=False)
        done.raise_error()

    run("%%stratos explicit --job demo --wait\n" + "\n".join(COMMANDS))
    run("%stratos report")
    run("%stratos report demo -o 'the report.html'")
    assert re.search(rf"{tmp_path}/demo-1\.html: \d+ KiB\n{tmp_path}/the report\.html: ", capsys.readouterr().out)
    assert "no mass in 1.dat" in text_of(tmp_path / "the report.html")
    sessions.close()
    run("%stratos report demo -o after.html")
    assert "no mass in 1.dat" in text_of(tmp_path / "after.html")
    with pytest.raises(JobNotFound, match="no job 'other' is kept"):
        run("%stratos report other")
    with pytest.raises(JobNotFound, match="no job has been submitted here"):
        run("%stratos report")


def test_a_job_that_another_process_holds_is_reported_and_left_alone(
    holder: Callable[[], subprocess.Popen[str]],
    session: Session,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    process = holder()
    assert main(["report", "demo", "-o", str(tmp_path / "it.html")]) == 0
    assert "it.html: " in capsys.readouterr().out
    text = text_of(tmp_path / "it.html")
    assert "2 of 3" in text
    assert "exit 3: no mass" in text
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert main(["report", "demo", "-o", str(tmp_path / "it.html")]) == 0
    assert "2 of 3" in text_of(tmp_path / "it.html")
    job = session.attach("demo")
    job.kill()
    assert job.wait(30)


def test_no_job_of_that_name(capsys: pytest.CaptureFixture[str], session: Session) -> None:
    assert main(["report", "other"]) == 1
    assert "JobNotFound: no job 'other' is kept" in capsys.readouterr().err


def test_values_of_variables_are_in_no_report(session: Session, tmp_path: Path) -> None:
    spec = JobSpec("demo", master="local[1]", env=(("TOKEN", "hunter2"),))
    job = session.submit(spec, explicit_commands(['test "$TOKEN" = hunter2']))
    assert job.wait(30)
    path, _ = write_report(full_summary_of(job), str(tmp_path), 0.0)
    text = text_of(path)
    assert "1 of 1" in text
    assert "env TOKEN" in text
    assert text.count("hunter2") == 2  # the command itself, in two tables


# -- a record that is written while it is copied ------------------------------------------------------


def test_a_record_that_is_gone_is_named(tmp_path: Path, session: Session) -> None:
    job = session.submit(JobSpec("demo", master="local[1]"), explicit_commands(["true"]))
    assert job.wait(30)
    folder = job.folder
    sessions.close()
    os.unlink(folder / "journal.sqlite")
    with pytest.raises(JournalError, match=r"journal\.sqlite is not there"):
        full_summary_of_record(sessions.current().home, "demo")
