"""A summary of a job, from the job itself or from what is recorded of it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ..backend.core.states import TERMINAL, TaskState
from ..backend.core.views import JobView
from ..backend.results.failure_groups import Failures, Group, first_line, told
from ..backend.spec.job_spec import JobSpec, OutputMode
from ..backend.spec.workload import CommandEnv, Workload
from ..backend.store.journal import FILE_NAME, Journal, open_whole
from ..backend.store.lease import Holder, holder_of
from ..backend.store.outputs import bounded_text, last_text
from ..backend.store.rows import Span
from ..backend.store.run_dirs import newest_run
from ..backend.store.timeline import heads, spans
from ..errors import JournalError, StratosError
from ..job import END_BYTES, Job
from ..runs.recorded_run import RecordedRun, read_run
from ..session import restore_submissions
from .summary import LEFT_OUT, JobSummary, Row

if TYPE_CHECKING:
    from ..backend.core.task_table import TaskTable

#: how many tasks a snapshot shows, and a report
FEW: Final = 10
MANY: Final = 200
#: how many of those that ran longest a report shows
SLOWEST: Final = 10
#: where the first line of an output is looked for, in bytes
BEGINNING: Final = 400
#: how often the record of a run is copied while its holder keeps it busy
TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class _Run:
    journal: Journal
    view: JobView
    spec: JobSpec
    states: bytes
    left_out: frozenset[int]
    commands: Workload


def summary_of(job: Job, view: JobView | None = None) -> JobSummary:
    """Return what a snapshot tells of a job, as of `view`; of a job that cannot be read any more, that alone."""
    try:
        return _short(job, view)
    except (StratosError, sqlite3.Error):  # another process has it now; a display must not break a cell
        return JobSummary(view or job.view)


def _short(job: Job, view: JobView | None) -> JobSummary:
    run = _open(job, view)
    return JobSummary(
        run.view, job.failure_groups(), _marked(run), run.commands.placeholders, _rows(run, _first(run, FEW))
    )


def full_summary_of(job: Job) -> JobSummary:
    """Return what a report tells of a job."""
    return replace(_full(_open(job, job.view_now()), job.failure_groups()), running=_running(job))


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
    with _copied(folder) as journal:
        recorded = read_run(journal)
        commands = Workload()
        restore_submissions(journal, commands, CommandEnv(recorded.spec.cwd, {}))
        table = recorded.scheduler.table
        found = _Run(
            journal,
            _view(recorded, run, journal),
            recorded.spec,
            table.states(),
            table.superseded,
            commands,
        )
        return _full(found, _groups(journal, table))


def _open(job: Job, view: JobView | None) -> _Run:
    return _Run(job.journal, view or job.view, job.spec, job.states(), job.superseded, job.commands)


def _full(run: _Run, groups: list[Group]) -> JobSummary:
    ran = spans(run.journal)
    wall = {span.task: span.finished_at - span.started_at for span in ran if span.started_at is not None}
    known = (task for task in wall if task < len(run.states))  # others were added since
    ended = [task for task in known if run.states[task] in TERMINAL and task not in run.left_out]
    slowest = sorted(ended, key=lambda task: (-wall[task], task))[:SLOWEST]
    return JobSummary(
        run.view,
        groups,
        _marked(run),
        run.commands.placeholders,
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


def _marked(run: _Run) -> bytes:
    if not run.left_out:
        return run.states
    marked = bytearray(run.states)
    for task in run.left_out:
        marked[task] = LEFT_OUT
    return bytes(marked)


def _first(run: _Run, most: int) -> list[int]:
    found = []
    for task in range(len(run.states)):
        if task not in run.left_out:
            found.append(task)
            if len(found) == most:
                break
    return found


def _rows(run: _Run, tasks: Iterable[int]) -> list[Row]:
    chosen = list(tasks)
    known = heads(run.journal, chosen, BEGINNING)
    sent_back = run.spec.output is OutputMode.SCHEDULER
    made = []
    for task in chosen:
        commands = run.commands
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


# -- what nobody here holds -----------------------------------------------------------------------------------


def _view(recorded: RecordedRun, run: int, journal: Journal) -> JobView:
    scheduler, spec = recorded.scheduler, recorded.spec
    counts, reasons = scheduler.table.current()
    ended_at: float | None = None
    if len(scheduler.table) and not scheduler.table.unended:
        (ended_at,) = journal.select("SELECT max(finished_at) FROM results")[0]
    return JobView(
        job_id=spec.job_id,
        run=run,
        engine=spec.master,
        counts=tuple(counts),
        at_s=time.time(),
        submitted_at=min(recorded.replayed.submission_times, default=journal.meta()["created_at"]),
        ended_at=ended_at,
        reasons=MappingProxyType({str(reason): n for reason, n in reasons.items() if n}),
        attempts_lost=scheduler.attempts_lost,
        attempts_retried=scheduler.attempts_retried,
        left_behind=recorded.replayed.left_behind,
        left_first=recorded.replayed.left_first,
        held=scheduler.held,
        backing_off=scheduler.backing_off,
    )


def _groups(journal: Journal, table: TaskTable) -> list[Group]:
    failures = Failures()
    for _, rows in journal.endings(0, END_BYTES):
        for row in rows:
            if row.state == TaskState.FINISHED:
                failures.forget(row.task)
            else:
                text = last_text(row.stderr_end, row.stderr_path, END_BYTES)
                failures.add(row.task, row.reason, row.exit_code, told(row.reason, text, row.note))
    begun = {task for task in failures if table.state(task) <= TaskState.FINISHED}
    return failures.groups(without=begun | table.superseded)


@contextmanager
def _copied(folder: Path) -> Iterator[Journal]:
    """Open a copy of a run's record: whoever holds the run has the record itself locked, and goes on writing it."""
    path = folder / FILE_NAME
    if not path.exists():
        raise JournalError(f"{path} is not there; nothing can be reported of this run")
    if holder_of(folder)[0] is Holder.US:  # closing a copy's source would drop the locks that this process has on it
        raise JournalError(f"{path} is open in this process; report on the job itself")
    with tempfile.TemporaryDirectory(prefix="stratos-report-") as name:
        try:
            _copy(path, Path(name) / FILE_NAME)
        except OSError as error:
            raise JournalError(f"cannot read {path}: {error.strerror}") from error
        journal = open_whole(Path(name), aside=False)
        try:
            yield journal
        finally:
            journal.close()


def _copy(source: Path, target: Path, copy: Callable[[str, str], object] = shutil.copyfile) -> None:
    """Copy a database of SQLite that another process may be writing, as it was after one of its transactions.

    What is committed goes to the end of the -wal. From there it is moved into the file itself now and then, after which
    the -wal begins anew, with other salts. So a file that is copied before a -wal that has not begun anew since is
    whole, with that: what had been moved into the one is still in the other. A transaction that is torn at the end of
    the -wal is not taken for one, by its checksum.
    """
    wal = f"{source}-wal"
    for _ in range(TRIES):
        Path(f"{target}-wal").unlink(missing_ok=True)
        before = _salts(wal), _stamp(source)
        copy(str(source), str(target))
        if before[0]:
            copy(wal, f"{target}-wal")
        if (_salts(wal), before[1] if before[0] else _stamp(source)) == before:
            return
        time.sleep(0.05)
    raise JournalError(f"{source} changes too fast to be copied; attach the job to report on it, or wait until it ends")


def _salts(wal: str) -> bytes:
    """Return what tells one -wal from the next; b'' while there is none."""
    try:
        with open(wal, "rb") as file:
            return file.read(24)[16:]
    except FileNotFoundError:
        return b""


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
