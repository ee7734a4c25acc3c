"""A summary of a job, from the job itself or from what is recorded of it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ..backend.core.states import TERMINAL, TaskState
from ..backend.core.views import JobView
from ..backend.results.failure_groups import Group, first_line
from ..backend.results.job_results import JobResults
from ..backend.run.view_publisher import job_view
from ..backend.spec.job_spec import OutputMode
from ..backend.store.journal import Journal
from ..backend.store.journal_copy import copied_journal
from ..backend.store.outputs import bounded_text
from ..backend.store.rows import Span
from ..backend.store.run_dirs import newest_run
from ..backend.store.timeline import heads, spans
from ..errors import StratosError
from ..job import Job
from ..runs.recorded_run import RecordedRun, read_run
from ..runs.run_snapshot import RunSnapshot
from .summary import LEFT_OUT, JobSummary, Row

#: how many tasks a snapshot shows, and a report
FEW: Final = 10
MANY: Final = 200
#: how many of those that ran longest a report shows
SLOWEST: Final = 10
#: where the first line of an output is looked for, in bytes
BEGINNING: Final = 400


def summary_of(job: Job, view: JobView | None = None) -> JobSummary:
    """Return what a snapshot tells of a job, as of `view`; of a job that cannot be read any more, that alone."""
    try:
        return _short(job, view)
    except (StratosError, sqlite3.Error):  # another process has it now; a display must not break a cell
        return JobSummary(view or job.view)


def _short(job: Job, view: JobView | None) -> JobSummary:
    run = RunSnapshot.of_job(job)
    placeholders, rows = run.workload.placeholders, _rows(run, _first(run, FEW))
    return JobSummary(view or job.view, job.failure_groups(), _marked(run), placeholders, rows)


def full_summary_of(job: Job) -> JobSummary:
    """Return what a report tells of a job."""
    view = job.view_now()
    return replace(_full(RunSnapshot.of_job(job), view, job.failure_groups()), running=_running(job))


def full_summary_of_record(home: Path, job_id: str) -> JobSummary:
    """Return what a report tells of the newest run of a job that this process does not hold.

    Raises
    ------
    JobNotFound
        There is none of that name.
    JournalError
        Its record cannot be read.
    """
    run, folder = newest_run(home, job_id)
    with copied_journal(folder) as journal:
        recorded = read_run(journal)
        found = RunSnapshot.of_record(recorded, journal)
        table = recorded.scheduler.table
        results = JobResults(journal, found.workload, table, table.states, found.spec)
        return _full(found, _view(recorded, run, journal), results.failure_groups())


def _full(run: RunSnapshot, view: JobView, groups: list[Group]) -> JobSummary:
    ran = spans(run.journal)
    wall = {span.task: span.finished_at - span.started_at for span in ran if span.started_at is not None}
    known = (task for task in wall if task < len(run.states))  # others were added since
    ended = [task for task in known if run.states[task] in TERMINAL and task not in run.superseded]
    slowest = sorted(ended, key=lambda task: (-wall[task], task))[:SLOWEST]
    return JobSummary(
        view,
        groups,
        _marked(run),
        run.workload.placeholders,
        _rows(run, _first(run, MANY)),
        _rows(run, slowest),
        ran,
        MappingProxyType(run.spec.to_record()),
    )


def _running(job: Job) -> list[Span]:
    flying = job.flying()
    attempts = memoryview(job.attempts()).cast("H")
    now = time.time()
    return [
        Span(task, attempts[task], TaskState.RUNNING, "", None, node, since, now, 0.0, 0.0, None)
        for task, (node, since) in sorted(flying.items())
        if since is not None
    ]


def _marked(run: RunSnapshot) -> bytes:
    if not run.superseded:
        return run.states
    marked = bytearray(run.states)
    for task in run.superseded:
        marked[task] = LEFT_OUT
    return bytes(marked)


def _first(run: RunSnapshot, most: int) -> list[int]:
    found = []
    for task in range(len(run.states)):
        if task not in run.superseded:
            found.append(task)
            if len(found) == most:
                break
    return found


def _rows(run: RunSnapshot, tasks: Iterable[int]) -> list[Row]:
    chosen = list(tasks)
    known = heads(run.journal, chosen, BEGINNING)
    sent_back = run.spec.output is OutputMode.SCHEDULER
    made = []
    for task in chosen:
        commands = run.workload
        row = Row(task, TaskState(run.states[task]), commands.command(task), commands.values(task))
        head = known.get(task)
        if head is not None:
            size, path = head.stdout_size, head.stdout_path
            text = bounded_text(head.stdout, path, size, BEGINNING) if sent_back else path
            wall_s = None if head.started_at is None else max(0.0, head.finished_at - head.started_at)
            row = replace(
                row,
                node=head.node,
                reason=head.reason,
                exit_code=head.exit_code,
                wall_s=wall_s,
                output=first_line(text),
            )
        made.append(row)
    return made


# -- a run that this process does not hold --------------------------------------------------------------------


def _view(recorded: RecordedRun, run: int, journal: Journal) -> JobView:
    scheduler, replayed = recorded.scheduler, recorded.replayed
    return job_view(
        scheduler,
        job_id=recorded.spec.job_id,
        run=run,
        engine=recorded.spec.master,
        at_s=time.time(),
        submitted_at=min(replayed.submission_times, default=journal.meta()["created_at"]),
        ended_at=replayed.ended_at,
        left_behind=replayed.left_behind,
        left_first=replayed.left_first,
    )
