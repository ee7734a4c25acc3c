"""What line magics print: plain text, in which nothing that a task wrote can act."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .backend.core.states import IN_FLIGHT, TaskState
from .backend.core.views import JobView
from .commands import Commands
from .report import clean, duration_text, failure_reasons, plain_text, state_text
from .spec import JobSpec, OutputMode

if TYPE_CHECKING:
    from .backend.store.rows import ResultRow
    from .job import Job, TaskLog

#: how many commands ``--dry-run`` shows
SHOWN: Final = 3


def printable(text: str) -> str:
    """Return `text` with its lines and tabs, and everything else that could act spelled out."""
    return "\n".join("\t".join(clean(part, len(part)) for part in line.split("\t")) for line in text.split("\n"))


def counted(count: int, noun: str) -> str:
    """Return ``1 task``, ``5,000 tasks``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as text in columns, numbers to the right."""
    cells = [[f"{value:,}" if isinstance(value, int) else clean(str(value)) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    right = [bool(rows) and all(isinstance(row[n], int) for row in rows) for n in range(len(header))]
    lines = [
        "  ".join(text.rjust(width) if to_right else text.ljust(width)
                  for text, width, to_right in zip(line, widths, right, strict=True)).rstrip()
        for line in [list(header), *cells]
    ]  # fmt: skip
    return "\n".join(lines)


def jobs_text(jobs: Sequence[Job]) -> str:
    """Return a line for each job, the newest last."""
    if not jobs:
        return "no jobs yet; %stratos help glob shows how to begin one"
    rows = [
        (job.job_id, job.run, state_text(view)[0], view.done, view.failed, view.total, duration_text(view.elapsed_s))
        for job, view in ((job, job.view) for job in jobs)
    ]
    return table(("job", "run", "state", "done", "failed", "tasks", "time"), rows)


def status_text(view: JobView) -> str:
    """Return what there is to say of a job."""
    counts = ", ".join(f"{view[state]:,} {state.name.lower()}" for state in TaskState if view[state])
    lines = [plain_text(view), f"{state_text(view)[0]}: {counts or 'no tasks'}"]
    reasons = failure_reasons(view)
    if reasons:
        lines.append("why: " + ", ".join(f"{count:,} {reason}" for reason, count in reasons.items()))
    if view.attempts_retried:
        lines.append(f"{counted(view.attempts_retried, 'attempt')} failed and tried again")
    if view.held and view.unfinished:
        lines.append(f"nothing more is launched; %stratos resume {clean(view.job_id)} goes on")
    if view.attempts_lost:
        lines.append(f"{counted(view.attempts_lost, 'attempt')} lost by the cluster")
    return "\n".join(lines + [clean(notice) for notice in view.notices])


def remains_text(view: JobView) -> str:
    """Say what goes on once nobody waits for it, and how to end it."""
    name = clean(view.job_id)
    running = sum(view[state] for state in IN_FLIGHT)
    if not view.unfinished:
        return f"{name} has ended; %stratos results {name} returns its results"
    waiting = f"{view[TaskState.QUEUED]:,} wait"
    if view.held and view[TaskState.QUEUED]:
        waiting += f" ({view.held}; %stratos resume {name} launches them)"
    return f"{running:,} running go on, {waiting}; %stratos kill {name} ends them"


def preview_text(spec: JobSpec, commands: Commands) -> str:
    """Return what a submission would start."""
    lines = [f"{clean(spec.job_id)} on {clean(spec.master)}: {counted(len(commands), 'task')}, each {spec.demand()}"]
    first = range(min(SHOWN, len(commands)))
    lines += [f"{index}: " + printable(commands.command(index)).replace("\n", "\n   ") for index in first]
    if len(commands) > SHOWN:
        lines.append(f"… and {len(commands) - SHOWN:,} more")
    return "\n".join([*lines, "nothing was started"])


def log_text(job: Job, log: TaskLog) -> str:
    """Return a task's story: its command, its attempts, what it wrote."""
    lines = [f"{clean(job.job_id)} run {job.run}, task {log.task}: {log.state.name.lower()}"]
    lines += ["$ " + printable(log.command).replace("\n", "\n  ")]
    lines += [_attempt_text(row) for row in log.attempts]
    for name, text in (("stdout", log.stdout), ("stderr", log.stderr)):
        if text:
            lines += [f"--- {name}{', so far' if log.live else ''} ---", printable(text).removesuffix("\n")]
    if not log.stdout and not log.stderr:
        silent = "its output was discarded" if job.spec.output is OutputMode.NONE else "it has not written anything"
        lines.append(silent if log.attempts or log.live else "it has not started")
    return "\n".join(lines)


def _attempt_text(row: ResultRow) -> str:
    how = row.reason if row.exit_code is None else f"{row.reason} {row.exit_code}"
    took = "never started" if row.started_at is None else duration_text(row.finished_at - row.started_at)
    parts = [
        f"attempt {row.attempt}: {TaskState(row.state).name.lower()}, {how}, {took}"
        + (f" on {clean(row.node)}" if row.node else "")
    ]
    if row.note:
        parts.append(clean(row.note))
    parts += [f"{name} in {clean(path)}" for name, path in (("stdout", row.stdout_path), ("stderr", row.stderr_path))
              if path]  # fmt: skip
    return "; ".join(parts)
