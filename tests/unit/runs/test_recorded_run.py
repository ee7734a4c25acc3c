"""The record of a run: what goes in comes out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.backend.spec.workload import CommandEnv, Fingerprints, Workload
from stratos_jupyter.backend.store.journal import Journal
from stratos_jupyter.errors import JournalError
from stratos_jupyter.runs.recorded_run import RecordedSubmission, begun, read_run, read_workload, record_run
from stratos_jupyter.runs.run_snapshot import RunSnapshot

KEYS = Fingerprints("e", "1" * 32 + "2" * 32)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = record_run(tmp_path, JobSpec(job_id="demo", cwd="/w"), 1)
    yield journal
    journal.close()


def written() -> Workload:
    workload = Workload()
    workload.add(explicit_commands(["a", "b"]), CommandEnv("/w", {"SECRET": "s"}), None, KEYS)
    workload.add(explicit_commands(["c"]), CommandEnv("/elsewhere", {"SECRET": "s"}))
    return workload


def record(journal: Journal, workload: Workload) -> None:
    with journal.writing():
        for seq, at, (first, commands, _, _) in zip(journal.numbers(), range(9), workload.submissions(), strict=False):
            journal.add_submission(seq, first, len(commands), 1.0, workload.record(at, "/w"))


def test_commands_come_back_without_their_variables(journal: Journal) -> None:
    record(journal, written())
    workload = read_workload(journal, "/w")
    assert [workload.command(task) for task in range(3)] == ["a", "b", "c"]
    assert [env.cwd for _, _, env, _ in workload.submissions()] == ["/w", "/elsewhere"]
    assert all(env.env == {} for _, _, env, _ in workload.submissions())
    assert [keys for *_, keys in workload.submissions()] == [KEYS, Fingerprints()]


def test_what_a_monitor_asked_for_goes_back_to_what_it_watched() -> None:
    one = RecordedSubmission.from_record({"kind": "explicit", "commands": ["x"], "origin": [1, 3]})
    workload = written()
    one.add_to(workload, CommandEnv("/w", {}))
    assert workload.spawned() == [(1, range(3, 4))]


@pytest.mark.parametrize("record", [{}, {"kind": "explicit"}, {"kind": "none"}, {"kind": "explicit", "commands": 3}])
def test_a_submission_that_is_none_is_an_error_that_says_so(record: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        RecordedSubmission.from_record(record)


def test_a_record_is_read_by_what_its_tasks_asked_for_when_it_began() -> None:
    spec = JobSpec(mem_mib=500, priority=2)
    assert begun(spec, {}) == (spec.demand(), 2)
    assert begun(spec, {"begun": {"demand": [1.0, 100.0, 0.0, 0.0], "priority": 7}}) == (Resources(1, 100), 7)


def test_a_snapshot_of_a_record_is_the_run_as_it_was(journal: Journal) -> None:
    record(journal, written())
    snapshot = RunSnapshot.of_record(read_run(journal), journal)
    assert snapshot.spec.job_id == "demo"
    assert len(snapshot.workload) == len(snapshot.states) == 3
    assert snapshot.state(0) == snapshot.state(99) == TaskState.QUEUED
    assert not snapshot.finished(0, {0})


def test_a_record_without_a_spec_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(JournalError, match=f"the record in {tmp_path} cannot be read"):
        read_run(journal)
    journal.close()
