"""What a run's record tells of its tasks, brought up to date with what is recorded since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.core.states import Reason, TaskState, Trigger
from stratos_jupyter.backend.core.task_table import TaskTable
from stratos_jupyter.backend.engines.base import Result, Tail
from stratos_jupyter.backend.results.job_results import JobResults
from stratos_jupyter.backend.results.parsers import make_parser
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec, OutputMode
from stratos_jupyter.backend.spec.workload import CommandEnv, Workload
from stratos_jupyter.backend.store.journal import Journal
from stratos_jupyter.backend.store.rows import ResultRow


class Rig:
    """The record of a run of three tasks, and what a scheduler knows of them."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder)
        self.commands = Workload()
        self.commands.add(explicit_commands(["one", "two", "three"]), CommandEnv("/w", {}))
        self.table = TaskTable()
        self.table.extend(3)
        self.spec = JobSpec(job_id="demo")
        self.results = JobResults(self.journal, self.commands, self.table, self.table.states, self.spec)

    def ends(self, task: int, state: TaskState, out: str = "", err: str = "", path: str = "") -> None:
        """Record how the present attempt of a task ended, as the loop does: first on disk, then in the table."""
        data = out.encode()
        reported = Result(
            *(task, self.table.attempt(task), "n", Reason.EXIT, int(state != TaskState.FINISHED), 1.0, 2.0, 0.0, 0.0),
            *(data, err.encode(), path, "", len(data), len(err), ""),
        )
        row = ResultRow.of_result(
            reported, state=state, losses=0, origin=None, submitted_at=0.5, local_fraction=None, counts=True
        )
        with self.journal.writing():
            self.journal.add_results(zip(self.journal.numbers(), [row], strict=False))
        self.table.move(task, Trigger.LAUNCHED)
        self.table.end(task, state, Reason.EXIT)

    def groups(self) -> list[tuple[str, tuple[int, ...]]]:
        return [(group.label, group.tasks) for group in self.results.failure_groups()]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.journal.close()


def test_failures_are_grouped_as_they_come_and_leave_when_they_run_again(rig: Rig) -> None:
    rig.ends(0, TaskState.FAILED, err="no such file a1")
    assert rig.groups() == [("exit 1: no such file a1", (0,))]
    rig.ends(1, TaskState.FAILED, err="no such file a1")
    assert rig.groups() == [("exit 1: no such file a1", (0, 1))]
    rig.table.begin_again(0)
    assert rig.groups() == [("exit 1: no such file a1", (1,))], "left out while it runs"
    rig.ends(0, TaskState.FINISHED)
    rig.table.supersede([1], [])
    assert rig.groups() == []
    assert rig.results.failures(5) == []


def test_the_table_has_a_relaunched_task_again_once_it_has_ended_anew(rig: Rig) -> None:
    rig.ends(0, TaskState.FAILED, "before")
    rig.ends(1, TaskState.FINISHED, "other")
    assert list(rig.results.frame().stdout) == ["before", "other"]
    rig.table.begin_again(0)
    rig.results.relaunched([0])
    assert list(rig.results.frame().index) == [1]
    assert list(rig.results.frame(all=True).index) == [0, 1, 2]
    rig.ends(0, TaskState.FINISHED, "after")
    assert list(rig.results.frame().stdout) == ["after", "other"]


def test_another_parser_reads_all_outputs_anew_and_the_same_spec_keeps_the_table(rig: Rig) -> None:
    rig.ends(0, TaskState.FINISHED, "1.5")
    assert "value" not in rig.results.frame()
    table = rig.results._table
    rig.results.read_by(rig.spec, None)
    rig.results.frame()
    assert rig.results._table is table
    spec = JobSpec(job_id="demo", parse="float")
    rig.results.read_by(spec, make_parser("float", ()))
    assert list(rig.results.frame().value) == [1.5]
    rig.ends(1, TaskState.FINISHED, "x")
    count, task, error = rig.results.parse_trouble()
    assert (count, task) == (1, 1)
    assert "no float" in error


def test_what_stays_on_the_node_is_told_by_its_path(rig: Rig) -> None:
    rig.results.read_by(JobSpec(job_id="demo", output=OutputMode.DISK), None)
    rig.ends(0, TaskState.FINISHED, "out", path="/logs/demo.out")
    (row,) = rig.results.rows()
    assert rig.results.text_of(row.stdout, row.stdout_path, row.stdout_size) == "/logs/demo.out"
    assert rig.results.output(row) == ""
    assert rig.results.outputs([0, 1]) == ["", ""]


def test_a_log_shows_the_attempt_that_runs_or_else_the_last_that_ended(rig: Rig) -> None:
    nothing = rig.results.log(0, lambda attempt: None)
    assert (nothing.command, nothing.state, nothing.attempt, nothing.live) == ("one", TaskState.QUEUED, 0, False)
    rig.ends(0, TaskState.FAILED, "first", "broken")
    ended = rig.results.log(0, lambda attempt: pytest.fail("it does not run"))
    assert (ended.stdout, ended.stderr, ended.attempt, ended.live) == ("first", "broken", 1, False)
    assert rig.results.log(0, lambda attempt: None, 2).stdout.startswith("f")
    rig.table.begin_again(0)
    live = rig.results.log(0, lambda attempt: Tail(f"out of {attempt}", "", "noted"))
    assert (live.stdout, live.attempt, live.live, live.note) == ("out of 2", 2, True, "noted")
    assert [row.attempt for row in live.attempts] == [1]
