"""Where output goes, how much of it, and that nothing in it does harm."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from stratos_jupyter import Processor
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.session import Session


def test_scheduler_sends_both_streams_back(session: Session) -> None:
    job = session.submit(JobSpec(), explicit_commands(["echo out; echo err >&2"]))
    assert job.wait(20)
    frame = job.df
    assert (frame.stdout[0], frame.stderr[0]) == ("out\n", "err\n")


def test_disk_leaves_files_in_the_directory(session: Session, tmp_path: Path) -> None:
    processor = Processor("local", output="disk", log_directory=str(tmp_path / "logs"), job_id="kept")
    processor.explicit_batch(["echo out; echo err >&2"])
    assert processor.get_results() == [""]
    written = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert written == {"kept-1.0.1.stdout": "out\n", "kept-1.0.1.stderr": "err\n"}
    assert processor.df.stdout[0] == str(tmp_path / "logs" / "kept-1.0.1.stdout")


def test_mesos_leaves_files_in_the_sandbox_and_shows_the_path(session: Session) -> None:
    processor = Processor("local", output="mesos")
    processor.explicit_batch(["echo out"])
    assert processor.get_results() == [""]
    path = processor.job.rows()[0].stdout_path
    assert Path(path).read_text() == "out\n"
    assert processor.df.stdout[0] == path


def test_none_discards(session: Session) -> None:
    processor = Processor("local", output="none")
    processor.explicit_batch(["echo out"])
    assert processor.get_results() == [""]
    assert processor.df.stdout[0] == ""


def test_a_hundred_megabytes_are_bounded_and_all_there(session: Session) -> None:
    job = session.submit(JobSpec(), explicit_commands(["head -c 100000000 /dev/zero | tr '\\0' 'x'"]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert job.wait(60)
    row = job.rows()[0]
    assert row.stdout is None
    assert Path(row.stdout_path).stat().st_size == row.stdout_size == 100_000_000
    text = job.df.stdout[0]
    assert len(text) < job.spec.output_limit + 1000
    assert row.stdout_path in text
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mib < 150


def test_bytes_that_are_no_text_and_no_newline_at_the_end(session: Session) -> None:
    job = session.submit(JobSpec(), explicit_commands([r"printf '\377\000ab'", "printf last"]))
    assert job.wait(20)
    assert list(job.df.stdout) == ["\\xff\x00ab", "last"]


def test_a_million_lines(session: Session) -> None:
    job = session.submit(JobSpec(), explicit_commands(["seq 1000000"]))
    assert job.wait(60)
    assert job.outputs([0])[0].count("\n") == 1_000_000


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "\x1b[31mred", "\u202etxt"])
def test_hostile_text_is_only_text(session: Session, text: str) -> None:
    job = session.submit(JobSpec(), explicit_commands([f"printf %s '{text}'"]))
    assert job.wait(20)
    assert job.df.stdout[0] == text


def test_the_log_of_a_running_task_is_live(session: Session) -> None:
    from tests.support.waiting import until

    job = session.submit(JobSpec(), explicit_commands(["echo begun; sleep 1000"]))
    until(lambda: job.log(0).stdout == "begun\n")
    assert job.log(0).live
    job.kill()
    assert job.wait(20)
    log = job.log(0)
    assert (log.live, log.stdout, [row.reason for row in log.attempts]) == (False, "begun\n", ["user"])
