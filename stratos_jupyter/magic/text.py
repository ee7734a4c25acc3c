"""What line magics print: plain text, in which nothing that a task wrote can act."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ..backend.core.phrases import duration_text, plural
from ..backend.core.states import IN_FLIGHT, ZERO, Reason, TaskState
from ..backend.core.views import JobView
from ..backend.inputs.mounts import is_url
from ..backend.results.failure_groups import Group, ending_text, last_line
from ..backend.results.parsers import ParseTrouble
from ..backend.spec.commands import Commands
from ..backend.spec.file_template import VERBATIM
from ..backend.spec.job_spec import JobSpec, OutputMode
from ..backend.spec.parse_rules import codes_text, fail_on_text
from ..backend.spec.products import makes
from ..backend.store.outputs import last_text
from ..report.text import clean, failure_reasons, inputs_text, plain_text, ranges_text, state_text

if TYPE_CHECKING:
    from ..backend.results.task_log import TaskLog
    from ..backend.store.rows import ResultRow
    from ..job import Job
    from ..runs.cleanup import Cleaned
    from ..runs.stored_run import StoredRun

NO_TROUBLE: Final = ParseTrouble()
#: how many commands ``--dry-run`` shows
SHOWN: Final = 3
#: how many groups of failures a status shows, and how much of what they say
GROUPS: Final = 5
LABEL: Final = 72
#: how much of a file's name a dry run shows
PATH: Final = 240
#: where the last line of an earlier attempt's stderr is looked for, in bytes
END_BYTES: Final = 4096


def printable(text: str) -> str:
    """Return `text` with its lines and tabs, and everything else that could act spelled out."""
    return "\n".join("\t".join(clean(part, len(part)) for part in line.split("\t")) for line in text.split("\n"))


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


def runs_text(kept: Sequence[StoredRun]) -> str:
    """Return a line for each job that can be attached."""
    if not kept:
        return "no job is kept"
    rows = [
        (run.job_id, run.run, run.state, run.done, run.failed, run.total, _local_time(run.at_s), run.holder_text)
        for run in sorted(kept, key=lambda run: run.at_s)
    ]
    return table(("job", "run", "state", "done", "failed", "tasks", "last seen", "held by"), rows)


def cleaning_text(found: Sequence[Cleaned], done: bool) -> str:
    """Return what was removed, or would be."""
    if not found:
        return "nothing to clean: every record is of a job that has tasks to go, or is open"
    size = sum(one.size for one in found) / 1024 / 1024
    rows = [(one.job_id, one.run, one.why, round(one.size / 1024 / 1024), one.executors) for one in found]
    shown = table(("job", "run", "why", "MiB", "executors"), rows)
    ending = f"removed, {size:,.0f} MiB" if done else f"{size:,.0f} MiB; %stratos clean --yes removes them"
    return f"{shown}\n{ending}"


def status_text(
    view: JobView,
    groups: Sequence[Group] = (),
    lives_in: str = "",
    unparsed: ParseTrouble = NO_TROUBLE,
    unread: int = 0,
) -> str:
    """Return what there is to say of a job; `groups` are its failures, the largest first.

    `lives_in` is what its tasks end with, beside this machine; `unparsed` is what `Job.parse_trouble` says, of all but
    `unread` outputs, which have not been parsed yet.
    """
    counts = ", ".join(f"{view[state]:,} {state.name.lower()}" for state in TaskState if view[state])
    lines = [plain_text(view), f"{state_text(view)[0]}: {counts or 'no tasks'}"]
    reasons = failure_reasons(view)
    if reasons:
        lines.append("why: " + ", ".join(f"{count:,} {reason}" for reason, count in reasons.items()))
    if unparsed.outputs:
        first = f"task {unparsed.task}: {clean(unparsed.error)}"
        lines.append(f"{plural(unparsed.outputs, 'output')} could not be parsed (parse_error); {first}")
    if unread:
        lines.append(f"{plural(unread, 'output')} still being parsed")
    if view.attempts_retried:
        lines.append(f"{plural(view.attempts_retried, 'attempt')} failed and tried again")
    backing_off, next_at = view.backing_off
    if backing_off and next_at is not None:
        soon = duration_text(max(0.0, next_at - view.at_s))
        lines.append(f"{plural(backing_off, 'task')} wait before a retry, the next is due in {soon}")
    if view.held and view.unfinished:
        lines.append(f"nothing more is launched; %stratos resume {clean(view.job_id)} goes on")
    if view.attempts_lost:
        lines.append(f"{plural(view.attempts_lost, 'attempt')} lost by the cluster")
    if view.left_behind:
        what = (
            "process that a task left behind was" if view.left_behind == 1 else "processes that tasks left behind were"
        )
        whose = f"the first by task {view.left_first}; %stratos log {clean(view.job_id)} {view.left_first} names it"
        lines.append(f"{view.left_behind:,} {what} ended, {whose}")
    if inputs := inputs_text(view):
        lines.append(f"inputs: {inputs}")
    if lives_in and view.unfinished:
        lines.append(f"its tasks outlive this kernel, but not this {clean(lives_in)}")
    if view.page:
        lines.append(f"on the cluster: {clean(view.page)}")
    lines += [clean(notice) for notice in view.notices]
    return "\n".join(lines + _group_lines(groups))


def _group_lines(groups: Sequence[Group]) -> list[str]:
    shown = groups[:GROUPS]
    counts = [f"{group.count:,}" for group in shown]
    width = max(map(len, counts), default=0)
    lines = []
    for group, count in zip(shown, counts, strict=True):
        lines.append(f"  {count:>{width}} × {clean(group.label, LABEL)}")
        lines.append(f"  {'':{width}}   {'task' if group.count == 1 else 'tasks'} {ranges_text(group.tasks)}")
    if len(groups) > GROUPS:
        rest = groups[GROUPS:]
        lines.append(f"  and {sum(group.count for group in rest):,} more in {plural(len(rest), 'group')}")
    return lines


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


def preview_text(spec: JobSpec, commands: Commands, body: str = "", said: Sequence[str] = ()) -> str:
    """Return what a submission would start, and what of the user's text it would change.

    Parameters
    ----------
    spec : JobSpec
        The job; its working directory is known.
    commands : Commands
        Its commands, told what their marks find.
    body : str
        The cell's own text.
    said : sequence of str
        What there is to say of marks.
    """
    lines = [f"{clean(spec.job_id)} on {clean(spec.master)}: {plural(len(commands), 'task')}, each {spec.demand()}"]
    if not len(commands) or not commands.command(0).startswith("#!"):
        lines.append(f"read by {clean(shlex.join(spec.shell))}")
    if success := _success_text(spec):
        lines.append(success)
    for index in range(min(SHOWN, len(commands))):
        lines.append(f"{index}: " + printable(commands.command(index)).replace("\n", "\n   "))
        if spec.makes:
            lines.append("   makes " + ", ".join(map(clean, makes(spec.makes, commands, index))))
        lines += [f"   {line}" for line in _changes(spec, commands, index)]
    if len(commands) > SHOWN:
        lines.append(f"… and {len(commands) - SHOWN:,} more")
    lines += [clean(one, len(one)) for one in said]
    if "\r\n" in body:
        lines.append("the line ends of the cell are read as Unix has them")
    if comments := commands.comments_in(body):
        lines.append(f"{plural(comments, 'line')} with a comment left out")
    return "\n".join([*lines, "nothing was started"])


def _success_text(spec: JobSpec) -> str:
    """Say what of a job means that a task has finished; '' where that is exit code 0 alone."""
    ok, fails = codes_text(spec.rules.ok_exit), fail_on_text(spec.fail_on)
    if spec.rules.ok_exit == ZERO and not fails:
        return ""
    zero = "" if spec.rules.ending(Reason.EXIT, 0) is TaskState.FINISHED else ", and exit code 0 is a failure"
    return clean(f"finished: exit code {ok}{zero}" + (f"; failed: {fails}" if fails else ""))


def _changes(spec: JobSpec, commands: Commands, index: int) -> list[str]:
    """Say what was taken out of the text of a command, and what was put into it."""
    lines = []
    name = commands.file(index)
    if name is not None and commands.names_file:
        own = commands.named_values(index)["f"]
        if commands.fetch and is_url(own):
            lines.append(f"%f% is a copy of {clean(own, PATH)} on the task's node")
        elif name != own:
            lines.append(f"%f% is {clean(name, PATH)}: ./ stands before a name that begins with a dash")
        elif not VERBATIM.fullmatch(own):
            lines.append(f"%f% is {clean(own, PATH)}, quoted for its place")
    elif name is not None:
        first = ", and its first argument" if commands.command(index).startswith("#!") else ""
        lines.append(f"$STRATOS_FILE{first} is {clean(name, PATH)}")
    for mark in commands.marks(index):
        for word in mark.words:
            files = word.files(commands.found)
            shown = ", ".join(clean(_whole(spec, file), PATH) for file in files[:SHOWN])
            more = f" and {len(files) - SHOWN:,} more" if len(files) > SHOWN else ""
            leads = shown or ("known to the task alone" if word.variable else "no file")
            lines.append(f"input, by its mark: {clean(word.text, PATH)} is {leads}{more}")
    for number, url in enumerate(commands.copies(index)[:SHOWN]):
        lines.append(f"$STRATOS_COPY_{number + 1} is a copy of {clean(url, PATH)} on the task's node")
    return lines


def _whole(spec: JobSpec, name: str) -> str:
    return name if "://" in name or is_url(name) else os.path.join(spec.cwd, name)


def log_text(job: Job, log: TaskLog) -> str:
    """Return a task's story: its command, its attempts, what it wrote."""
    lines = [f"{clean(job.job_id)} run {job.run}, task {log.task}: {log.state.name.lower()}"]
    lines += ["$ " + printable(log.command).replace("\n", "\n  ")]
    origin = job.commands.origin(log.task)
    if origin is not None:
        lines.append(f"runs because of task {origin}, which its monitor ended")
    spawned = [task for tasks in job.commands.spawned_by(log.task) for task in tasks]
    if spawned:
        lines.append(f"its monitor ended it; instead of it: {ranges_text(spawned)}")
    several = len({row.attempt for row in log.attempts} | {log.attempt}) > 1
    for row in log.attempts:
        lines.append(_attempt_text(row))
        # below are the streams of one attempt only; a line of each tells them apart
        said = last_line(last_text(row.stderr, row.stderr_path, END_BYTES)) if several else ""
        lines += [f"    {clean(said)}"] if said else []
    if log.note:
        lines.append(f"so far: {clean(log.note)}")
    which = (f" of attempt {log.attempt}" if several else "") + (", so far" if log.live else "")
    for name, text in (("stdout", log.stdout), ("stderr", log.stderr)):
        if text:
            lines += [f"--- {name}{which} ---", printable(text).removesuffix("\n")]
    if not log.stdout and not log.stderr:
        silent = "its output was discarded" if job.spec.output is OutputMode.NONE else "it has not written anything"
        lines.append(silent if log.attempts or log.live else "it has not started")
    if _ended_silently(job, log):
        shell = shlex.join([*job.spec.shell, "-x"])
        lines.append(f"the shell ends at the first command that fails, and that one said nothing: --shell '{shell}' "
                     "shows each command as it runs")  # fmt: skip
    return "\n".join(lines)


def _ended_silently(job: Job, log: TaskLog) -> bool:
    """Say whether one cannot tell from what a task wrote which of its commands failed."""
    last = log.attempts[-1] if log.attempts else None
    if log.live or last is None or last.state != TaskState.FAILED or last.reason != "exit" or not last.exit_code:
        return False
    by_shell = "-e" in job.spec.shell and not log.command.startswith("#!")
    return by_shell and not log.stderr and job.spec.output is not OutputMode.NONE


def _attempt_text(row: ResultRow) -> str:
    parts = [f"attempt {row.attempt}: {TaskState(row.state).name.lower()}, {ending_text(row.reason, row.exit_code)}"]
    if row.node:
        parts[0] += f" on {clean(row.node)}"
    if row.started_at is None:
        parts[0] += ", never started"
    else:
        parts[0] += f", started {_local_time(row.started_at)}, ran {duration_text(row.finished_at - row.started_at)}"
    if row.note:
        parts.append(clean(row.note))
    parts += [f"{name} in {clean(path)}" for name, path in (("stdout", row.stdout_path), ("stderr", row.stderr_path))
              if path]  # fmt: skip
    return "; ".join(parts)


def _local_time(at_s: float) -> str:
    try:
        return datetime.fromtimestamp(at_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):  # the clock of its node is broken
        return "at an unknown time"
