"""What follows for a run from the plan of a cell that is run again."""

from __future__ import annotations

from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.spec.commands import (
    explicit_commands,
)
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.backend.spec.workload import CommandEnv, Workload
from stratos_jupyter.runs.fingerprints import Fingerprint, ScannedInputs
from stratos_jupyter.runs.resume_plan import Wanted, plan
from stratos_jupyter.runs.resume_work import ResumeWork, Tally, known_tasks, resume_work
from stratos_jupyter.runs.run_snapshot import RunSnapshot
from tests.support.fingerprints import fingerprint as key


def test_a_tally_says_what_is_not_zero() -> None:
    assert str(Tally(120, 3, 4877)) == "+120 new, 3 changed, 4,877 done"
    assert str(Tally(0, 0, 1, 5, 12, 3)) == "+0 new, 0 changed, 1 done, 5 failed run again, 12 still to run, 3 gone"


def test_what_a_monitor_asked_for_shares_the_fate_of_the_watched_task() -> None:
    workload, around = Workload(), CommandEnv("/w", {})
    keys = ScannedInputs([key("k")] * 3, []).fingerprints("")
    workload.add(explicit_commands(["stays", "goes", "alone"]), around, None, keys)
    workload.add(explicit_commands(["instead of 0", "goes"]), around, 0)
    workload.add(explicit_commands(["instead of 1"]), around, 1)
    workload.add(explicit_commands(["instead of 3"]), around, 3)
    states = [TaskState.KILLED, TaskState.KILLED, TaskState.KILLED]  # by their monitors, and the last by the user
    states += [TaskState.FAILED, TaskState.FINISHED, TaskState.RUNNING, TaskState.FINISHED]
    run = RunSnapshot(None, JobSpec(), workload, bytes(states), frozenset(), Rules())
    assert [task.task for task in known_tasks(run, {})] == [0, 1, 2]
    cell = [Wanted(("/w", None, text), Fingerprint(key("k"))) for text in ("stays", "alone")]
    found = plan(cell, "", known_tasks(run, {}))
    # 0 was replaced by 3 and 4, of which 3 failed although 6 ran after it; 2 nobody replaced; 5 goes with 1.
    assert resume_work(run, found) == ResumeWork(Tally(done=3, failed=2, gone=1), [], [1, 5], [], [2, 3])
