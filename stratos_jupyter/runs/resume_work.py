"""What follows for a run from the plan of a cell that is run again: which tasks are added, left out, run again.

PURE, but for the files that finished tasks are to have made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..backend.core.states import TaskState
from ..backend.spec.commands import Commands
from .fingerprints import Fingerprint
from .resume_plan import Identity, Known, Plan
from .run_snapshot import RunSnapshot


@dataclass(frozen=True, slots=True)
class Tally:
    """How many there are of each kind, and what else there is to say, a line each."""

    new: int = 0
    changed: int = 0
    done: int = 0
    failed: int = 0
    waiting: int = 0
    gone: int = 0
    unmade: int = 0
    says: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"+{self.new:,} new", f"{self.changed:,} changed", f"{self.done:,} done"]
        more = {
            "whose files are gone run again": self.unmade,
            "failed run again": self.failed,
            "still to run": self.waiting,
            "gone": self.gone,
        }
        return ", ".join(parts + [f"{count:,} {what}" for what, count in more.items() if count])


@dataclass(frozen=True, slots=True)
class ResumeWork:
    """What follows for a run: commands to add by their place in the cell, tasks by their index."""

    tally: Tally
    added: list[int]
    superseded: list[int]
    restored: list[int]
    again: list[int]


def identity_of(cwd: str, commands: Commands, index: int) -> Identity:
    """Return which command one of a cell or a submission is."""
    return cwd, commands.file(index), commands.command(index)


def known_tasks(run: RunSnapshot, left: Mapping[int, tuple[str, bool]]) -> Iterator[Known]:
    """Yield the tasks of a run that the user asked for, as they are compared with a cell.

    Parameters
    ----------
    run : RunSnapshot
        The run.
    left : mapping of int to (str, bool)
        What tasks have left their inputs as, by task; see `Journal.looks`.
    """
    spawned = {tasks.start for _, tasks in run.workload.spawned()}
    watched = {origin for origin, _ in run.workload.spawned()}
    for submission, (first, commands, command_env, fingerprints) in enumerate(run.workload.submissions()):
        if first in spawned:
            continue
        for index in range(len(commands)):
            task = first + index
            here, there, old = fingerprints.of(index)
            seen = (Fingerprint(here, there),) if here else ()
            agreed = False
            if (its := left.get(task)) is not None:
                key, agreed = its
                seen = (Fingerprint(key, there), *(() if agreed else seen))
                old = ""
            free = not run.finished(task, watched)
            identity = identity_of(command_env.cwd, commands, index)
            yield Known(task, submission, identity, fingerprints.env, seen, old, free, task in run.superseded, agreed)


def resume_work(run: RunSnapshot, found: Plan, lost: Callable[[int], bool] = lambda task: False) -> ResumeWork:
    """Say what becomes of each task, and of those that monitors asked for, which share the fate of the watched one.

    Parameters
    ----------
    run : RunSnapshot
        The run.
    found : Plan
        How its tasks compare with the cell.
    lost : callable
        Says of a finished task whether a file that it made is gone.
    """
    superseded, restored, kept = set(found.replaced + found.gone), set(found.restored), set(found.kept)
    watched = set()  # their monitors asked for something to run instead: that counts
    for origin, tasks in run.workload.spawned():
        for group in (superseded, restored, kept):
            if origin in group:
                group.update(tasks)
        watched.add(origin)

    ended_well = {task for task in kept | restored if run.finished(task, watched)}
    unmade = {task for task in ended_well if run.state(task) == TaskState.FINISHED and lost(task)}
    done = ended_well - unmade
    failed = {task for task in kept - ended_well if run.state(task) > TaskState.FINISHED}
    begun_again = restored - done
    tally = Tally(
        new=len(found.new) + len(begun_again),
        changed=len(found.changed),
        done=len(done),
        failed=len(failed),
        waiting=len(kept) - len(kept & ended_well) - len(failed),
        gone=len(found.gone),
        unmade=len(kept & unmade),
        says=tuple(_says(run, found)),
    )
    again = sorted(failed | begun_again | (kept & unmade))
    return ResumeWork(tally, sorted(found.new + found.changed), sorted(superseded), sorted(restored), again)


def _says(run: RunSnapshot, found: Plan) -> Iterator[str]:
    if found.blind:
        yield (
            f"{_tasks(found.blind)}: what the input was is not on record, and it counts as unchanged. To run all tasks "
            "anew, leave --resume out"
        )
    if found.old:
        yield (
            f"{_tasks(found.old)}: run by version 0.1.0, which did not record what tasks leave. Where they work in "
            "place, that is what has changed"
        )
    moving = [task for task in found.moved if run.state(task) in (TaskState.RUNNING, TaskState.UNREACHABLE)]
    if moving:
        yield (
            f"{_tasks(moving)}: running, and the input changed since the submission. It goes on. If the task did not "
            f"change it, run it again: %stratos relaunch {run.spec.job_id} {moving[0]}"
        )
    if found.worked:
        yield (
            f"{_tasks(found.worked)}: done, and the input changed meanwhile, as by work in place. If the task did not "
            f"change it, run it again: %stratos relaunch {run.spec.job_id} {found.worked[0]}"
        )


def _tasks(tasks: Sequence[int]) -> str:
    return f"task {tasks[0]}" if len(tasks) == 1 else f"{len(tasks):,} tasks, as {tasks[0]}"
