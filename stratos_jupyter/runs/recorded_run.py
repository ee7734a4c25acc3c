"""The record of a run: how it begins, and what it tells while no process drives the run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..backend.core.resources import Resources
from ..backend.core.scheduler import Scheduler
from ..backend.run.replay import Replayed, replay
from ..backend.spec.commands import Commands, commands_from_record
from ..backend.spec.job_spec import JobSpec
from ..backend.spec.workload import CommandEnv, Fingerprints, Workload
from ..backend.store.journal import Journal
from ..backend.store.lease import take_lease
from ..backend.store.progress import begin_progress
from ..errors import JournalError


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run as its journal has it.

    Attributes
    ----------
    spec : JobSpec
        What the job is.
    scheduler : Scheduler
        As it was, under the rules of the job.
    replayed : Replayed
        What else there is to know.
    """

    spec: JobSpec
    scheduler: Scheduler
    replayed: Replayed


class RecordedSubmission(NamedTuple):
    """Commands as they came into a run, without their environment, which is never recorded.

    `origin` is the task whose monitor asked for them, and None for the user's own. `cwd` is None where it is the run's.
    """

    commands: Commands
    origin: int | None
    cwd: str | None
    fingerprints: Fingerprints

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> RecordedSubmission:
        """Read it from its record; raises KeyError, TypeError or ValueError when that is not what it should be."""
        origin = record.get("origin")
        fingerprints = Fingerprints(*(record.get(name, "") for name in ("env", "here", "there", "keys")))
        return RecordedSubmission(
            commands_from_record(record), None if origin is None else origin[0], record.get("cwd"), fingerprints
        )

    def add_to(self, workload: Workload, env: CommandEnv) -> None:
        """Add the commands to a workload; they find the variables of `env`, and its directory where they have none."""
        if self.cwd is not None:
            env = replace(env, cwd=self.cwd)
        workload.add(self.commands, env, self.origin, self.fingerprints)


def record_run(folder: Path, spec: JobSpec, run: int) -> Journal:
    """Record a submission in a new folder, hold it, and return its journal; JournalError when that cannot be."""
    take_lease(folder)
    journal = Journal(folder)
    try:
        now = time.time()
        with journal.writing():
            journal.set_meta({"job_id": spec.job_id, "run": run, "created_at": now, "spec": spec.to_record()})
        begin_progress(folder, now)
    except OSError as error:
        journal.close()
        raise JournalError(f"cannot keep {spec.job_id} in {folder}: {error.strerror}") from error
    except BaseException:
        journal.close()
        raise
    return journal


def begun(spec: JobSpec, facts: Mapping[str, Any]) -> tuple[Resources, int]:
    """Return what the tasks of a run asked for when it began, and their priority: by these its record is read."""
    kept = facts.get("begun")
    return (spec.demand(), spec.priority) if kept is None else (Resources(*kept["demand"]), kept["priority"])


def read_run(journal: Journal) -> RecordedRun:
    """Read a run, and leave it as it is.

    Raises
    ------
    JournalError
        It cannot be read, or cannot have happened.
    """
    try:
        facts, _ = journal.contents()
        spec = JobSpec.from_record(facts["spec"])
        demand, priority = begun(spec, facts)
    except (KeyError, TypeError, ValueError) as error:
        raise JournalError(f"the record in {journal.folder} cannot be read: {error}") from error
    scheduler = Scheduler(rules=spec.rules)
    return RecordedRun(spec, scheduler, replay(journal, scheduler, demand, priority))


def read_workload(journal: Journal, cwd: str) -> Workload:
    """Read the commands of a run whose working directory is `cwd`; they have no environment."""
    workload, env = Workload(), CommandEnv(cwd, {})
    for _, _, _, record in journal.submissions():
        RecordedSubmission.from_record(record).add_to(workload, env)
    return workload
