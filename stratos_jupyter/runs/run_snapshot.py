"""RunSnapshot: a run at one moment, whether this process holds it or only reads its record."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..backend.core.rules import Rules
from ..backend.core.states import TaskState
from ..backend.spec.job_spec import JobSpec
from ..backend.spec.workload import Workload
from ..backend.store.journal import Journal
from .recorded_run import RecordedRun, read_workload

if TYPE_CHECKING:
    from ..job import Job


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """A run at one moment.

    Attributes
    ----------
    journal : Journal
        Its record, which goes on where the run does.
    spec : JobSpec
        What the job is.
    workload : Workload
        Its commands by task index.
    states : bytes
        The state of each task by index.
    superseded : frozenset of int
        Tasks that belong to the job no longer.
    rules : Rules
        Retries, limits and pace.
    """

    journal: Journal
    spec: JobSpec
    workload: Workload
    states: bytes
    superseded: frozenset[int]
    rules: Rules

    @staticmethod
    def of_job(job: Job) -> RunSnapshot:
        """Return a run that this process holds, as it is now."""
        return RunSnapshot(job.journal, job.spec, job.commands, job.states(), job.superseded, job.rules)

    @staticmethod
    def of_record(recorded: RecordedRun, journal: Journal) -> RunSnapshot:
        """Return a run as its journal has it."""
        spec, table, rules = recorded.spec, recorded.scheduler.table, recorded.scheduler.rules
        return RunSnapshot(journal, spec, read_workload(journal, spec.cwd), table.states(), table.superseded, rules)

    def state(self, task: int) -> int:
        """Return the state of a task; a monitor may just have asked for it."""
        return self.states[task] if task < len(self.states) else TaskState.QUEUED

    def finished(self, task: int, watched: Collection[int]) -> bool:
        """Say whether a task has done what it was to do, itself or by what its monitor asked for instead.

        Parameters
        ----------
        task : int
            Its index.
        watched : collection of int
            The tasks whose monitors asked for something.
        """
        state = self.state(task)
        return state == TaskState.FINISHED or (state == TaskState.KILLED and task in watched)
