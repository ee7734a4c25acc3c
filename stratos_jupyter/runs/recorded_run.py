"""What the record of a run tells while nobody drives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..backend.core.resources import Resources
from ..backend.core.scheduler import Scheduler
from ..backend.run.replay import Replayed, replay
from ..backend.spec.job_spec import JobSpec
from ..backend.store.journal import Journal
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
