"""``--resume``: a cell that is run again, of which only that is run which is not done.

The tasks of the job's newest run are compared with the commands of the cell, by what they say and read, never by their
place. The same command is one with the same text, file and working directory.

- No task has this command: *new*, it is added to the run. It was superseded earlier, and nothing has changed since: it
  belongs to the run again.
- A task has, but its inputs or the variables of ``--env`` were others: *changed*, a task that is added supersedes it.
- A task has, and nothing has changed: it is *done*; or it is still *to run*; or it *failed*, and is run again.
- A task whose command the cell no longer has is *gone*: superseded by nothing.

What is superseded stays on record, and is in no result. A call that was made without ``--resume`` has no keys of its
inputs: one that was changed after the task began counts as changed.

`plan` is pure; `resume` finds the run, and does what the plan says in one transaction.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, TypeAlias

from .backend.core.states import TaskState
from .backend.store.home import newest_run
from .backend.store.journal import open_whole
from .backend.store.lease import Holder, holder_of
from .commands import Commands, chosen
from .errors import EngineError, JobNotFound, SpecError
from .job import Job
from .keys import env_key, input_keys, keys_of
from .parsing import Parser
from .recorded import read_run
from .session import Session, restore_calls
from .spec import JobSpec
from .workload import Surroundings, Workload

#: working directory, file and text: which command it is
Identity: TypeAlias = tuple[str, str | None, str]

#: why a run is held while it is compared
COMPARING: Final = "held: it is compared with its cell"

#: what all tasks of a run share, and what the user calls it
_SHARED: Final = {
    "master": "the engine",
    "role": "--role",
    "threads": "--threads",
    "mem_mib": "--mem",
    "disk_mib": "--disk",
    "where": "--where",
    "output": "--output",
    "log_directory": "--log-dir",
    "output_limit": "the setting output_limit",
    "timeout_s": "--timeout",
    "linger_s": "--linger",
    "priority": "--priority",
    "monitor": "--monitor",
    "monitor_source": "the monitor's source",
    "relauncher": "--relauncher",
    "fetch": "--fetch",
}


class Wanted(NamedTuple):
    """A command of the cell: which, the key of its inputs, and when they were changed."""

    identity: Identity
    key: str
    changed_at: float


class Known(NamedTuple):
    """A task of the run.

    `key` is '' and `started_at` counts where inputs were not looked at; that is None while it has no result.
    """

    task: int
    call: int
    identity: Identity
    env: str
    key: str
    started_at: float | None
    superseded: bool


@dataclass(slots=True)
class Plan:
    """What is to be done: commands by their place in the cell, tasks by their index.

    Attributes
    ----------
    new, changed : list of int
        Commands to add, ascending each.
    kept, restored : list of int
        Tasks that stay as they are, and those that were superseded and are wanted again.
    replaced, gone : list of int
        Tasks that are superseded by what is changed, and by nothing.
    """

    new: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    restored: list[int] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many there are of each kind."""

    new: int = 0
    changed: int = 0
    done: int = 0
    failed: int = 0
    waiting: int = 0
    gone: int = 0

    def __str__(self) -> str:
        parts = [f"+{self.new:,} new", f"{self.changed:,} changed", f"{self.done:,} done"]
        more = {"failed run again": self.failed, "still to run": self.waiting, "gone": self.gone}
        return ", ".join(parts + [f"{count:,} {what}" for what, count in more.items() if count])


def plan(cell: Sequence[Wanted], env: str, known: Iterable[Known]) -> Plan:
    """Compare the commands of a cell with the tasks of a run.

    Equal commands are matched one to one: first those with equal keys, in order, then the others, in order.

    Parameters
    ----------
    cell : sequence of Wanted
        The commands.
    env : str
        The key of the variables that the cell names.
    known : iterable of Known
        The tasks that the user asked for, by index.
    """
    found = Plan()
    current: dict[Identity, list[Known]] = defaultdict(list)
    earlier: dict[Identity, list[Known]] = defaultdict(list)
    for task in known:
        (earlier if task.superseded else current)[task.identity].append(task)
    places: dict[Identity, list[int]] = defaultdict(list)
    for place, wanted in enumerate(cell):
        places[wanted.identity].append(place)
    for identity, those in places.items():
        tasks = current.pop(identity, [])
        if tasks:
            pairs, places_left, tasks_left = _pairs(cell, those, env, tasks)
            found.kept += [task.task for _, task in pairs]
            count = min(len(places_left), len(tasks_left))
            found.changed += places_left[:count]
            found.replaced += [task.task for task in tasks_left[:count]]
            found.gone += [task.task for task in tasks_left[count:]]
            found.new += places_left[count:]
        else:
            # What an older version wrote beside its output may have been overwritten by the newest: that alone counts.
            old = earlier.get(identity, [])
            newest = [task for task in old if task.call == old[-1].call]
            pairs, places_left, _ = _pairs(cell, those, env, newest)
            found.restored += [task.task for _, task in pairs]
            found.new += places_left
    found.gone += [task.task for tasks in current.values() for task in tasks]
    found.new.sort()
    found.changed.sort()
    return found


def _pairs(
    cell: Sequence[Wanted], places: Sequence[int], env: str, tasks: Sequence[Known]
) -> tuple[list[tuple[int, Known]], list[int], list[Known]]:
    """Match equal commands with tasks of that command of which nothing has changed; return who has no partner too."""
    by_key: dict[str, deque[Known]] = defaultdict(deque)
    for task in tasks:
        if task.env == env:
            by_key[task.key].append(task)
    pairs: list[tuple[int, Known]] = []
    for place in places:
        wanted = cell[place]
        keyless = by_key[""]
        if by_key[wanted.key]:
            pairs.append((place, by_key[wanted.key].popleft()))
        elif keyless and (keyless[0].started_at is None or wanted.changed_at <= keyless[0].started_at):
            pairs.append((place, keyless.popleft()))
    matched_places = {place for place, _ in pairs}
    matched_tasks = {task.task for _, task in pairs}
    return (
        pairs,
        [place for place in places if place not in matched_places],
        [task for task in tasks if task.task not in matched_tasks],
    )


# -- a run ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Run:
    """What is compared with a cell."""

    spec: JobSpec
    workload: Workload
    states: bytes
    superseded: frozenset[int]
    starts: Callable[[], Mapping[int, float]]


@dataclass(frozen=True, slots=True)
class _Work:
    """What follows for a run: commands to add by their place in the cell, tasks by their index."""

    tally: Tally
    added: list[int]
    superseded: list[int]
    restored: list[int]
    again: list[int]


def _identity(cwd: str, commands: Commands, index: int) -> Identity:
    return cwd, commands.file(index), commands.command(index)


def _known(run: _Run) -> Iterator[Known]:
    spawned = {tasks.start for _, tasks in run.workload.spawned()}
    calls = list(run.workload.calls())
    starts = run.starts() if any(not keys.inputs for *_, keys in calls) else {}
    for call, (first, commands, around, keys) in enumerate(calls):
        if first in spawned:
            continue
        for index in range(len(commands)):
            task = first + index
            yield Known(
                *(task, call, _identity(around.cwd, commands, index), keys.env, keys.of(index)),
                *(starts.get(task), task in run.superseded),
            )


def _work(run: _Run, found: Plan) -> _Work:
    """Say what becomes of each task, and of those that monitors asked for, which share the fate of the watched one."""
    superseded, restored, kept = set(found.replaced + found.gone), set(found.restored), set(found.kept)
    watched = set()  # their monitors asked for something to run instead: that counts
    for origin, tasks in run.workload.spawned():
        for group in (superseded, restored, kept):
            if origin in group:
                group.update(tasks)
        watched.add(origin)

    def state(task: int) -> int:
        return run.states[task] if task < len(run.states) else TaskState.QUEUED  # a monitor may just have asked for it

    def finished(task: int) -> bool:
        return state(task) == TaskState.FINISHED or (state(task) == TaskState.KILLED and task in watched)

    done = {task for task in kept | restored if finished(task)}
    failed = {task for task in kept - done if state(task) > TaskState.FINISHED}
    begun_again = restored - done
    tally = Tally(
        new=len(found.new) + len(begun_again),
        changed=len(found.changed),
        done=len(done),
        failed=len(failed),
        waiting=len(kept) - len(kept & done) - len(failed),
        gone=len(found.gone),
    )
    again = sorted(failed | begun_again)
    return _Work(tally, sorted(found.new + found.changed), sorted(superseded), sorted(restored), again)


def _compare(run: _Run, cell: Sequence[Wanted], env: str) -> _Work:
    return _work(run, plan(cell, env, _known(run)))


# -- doing it ---------------------------------------------------------------------------------------------


def resume(
    session: Session, spec: JobSpec, commands: Commands, *, parser: Parser | None = None, dry_run: bool = False
) -> tuple[Job | None, Tally]:
    """Run of a cell what is not done, in the newest run of its job; all of it, in a new one, when none is kept.

    Parameters
    ----------
    session : Session
        Holds the run from now on, unless it does already.
    spec, commands
        The cell.
    parser : Parser, optional
        Makes columns of each task's output, of those that are done as well.
    dry_run : bool
        Only say how many there are of each kind.

    Returns
    -------
    job : Job or None
        None when nothing was to be done.
    tally : Tally
        How many there are of each kind.

    Raises
    ------
    SpecError
        It cannot run, or not in that run; nothing has changed.
    EngineError
        Another living process holds the run.
    JournalError
        Its record cannot be read.
    """
    spec = session.check(spec, commands)
    commands, said = session.resolve(spec, commands)
    around = session.surroundings(spec)
    env = env_key(session.home, spec, around.env)
    inputs, changed_at = input_keys(commands, spec.cwd, session.files(spec).look if spec.hdfs else None)
    cell = [
        Wanted(_identity(spec.cwd, commands, index), inputs[index], changed_at[index]) for index in range(len(commands))
    ]
    job = _open(session, spec.job_id)
    if job is None and not _is_kept(session, spec.job_id):
        if dry_run:
            return None, Tally(new=len(cell))
        job = session.submit(spec, commands, parser=parser, keys=keys_of(env, inputs))
        return job, Tally(new=len(cell))
    if dry_run:
        run = _peek(session, spec.job_id) if job is None else _run_of(job)
        _refuse_others(run.spec, spec)
        return None, _compare(run, cell, env).tally
    attached = job is None
    if job is None:
        job = session.attach(spec.job_id, hold=COMPARING, make_parser=lambda _: parser)
    try:
        _refuse_others(job.spec, spec)
        work = _compare(_run_of(job), cell, env)
        if attached:
            _surround(job, around)
        job.now_is(spec, parser)
    except BaseException:
        if attached:  # leave it as it was: that it is held here is no matter of the next process
            session.let_go(job)
        raise
    added = None
    if work.added:
        added = chosen(commands, work.added), around, keys_of(env, [inputs[place] for place in work.added])
    job.renew(added, work.superseded, work.restored, work.again)
    for one in said:
        job.notice(one)
    return job, work.tally


def _open(session: Session, job_id: str) -> Job | None:
    try:
        return session.job(job_id)
    except JobNotFound:
        return None


def _is_kept(session: Session, job_id: str) -> bool:
    try:
        newest_run(session.home, job_id)
    except JobNotFound:
        return False
    return True


def _run_of(job: Job) -> _Run:
    return _Run(job.spec, job.commands, job.states(), job.superseded, job.starts)


def _peek(session: Session, job_id: str) -> _Run:
    """Read a run that nobody holds, and leave it as it is."""
    run, folder = newest_run(session.home, job_id)
    holder, lease = holder_of(folder)
    if lease is not None and holder in (Holder.ALIVE, Holder.ELSEWHERE):
        raise EngineError(f"run {run} of {job_id} is held by process {lease.pid} on {lease.host}: nobody else can look")
    with closing(open_whole(folder, aside=False)) as journal:
        recorded = read_run(journal)
        workload, starts = Workload(), journal.starts()
        restore_calls(journal, workload, Surroundings(recorded.spec.cwd, {}))
    table = recorded.scheduler.table
    return _Run(recorded.spec, workload, table.states(), table.superseded, lambda: starts)


def _surround(job: Job, around: Surroundings) -> None:
    """Let the older commands of a run find what those of its cell do; only the variables can be others."""
    for call, (_, _, old, _) in enumerate(job.commands.calls()):
        job.commands.surround(call, replace(around, cwd=old.cwd))


def _refuse_others(old: JobSpec, new: JobSpec) -> None:
    """Refuse to go on with a run whose tasks would share something else."""
    bad = [
        f"{name} is {_shown(getattr(new, what))}, and was {_shown(getattr(old, what))}"
        for what, name in _SHARED.items()
        if getattr(new, what) != getattr(old, what)
    ]
    if new.rules.mem_most_mib != old.rules.mem_most_mib:
        bad.append(f"--mem grows to {new.rules.mem_most_mib:g} MiB, and did to {old.rules.mem_most_mib:g}")
    if new.monitor and new.update_interval_s != old.update_interval_s:
        bad.append(f"--update-interval is {new.update_interval_s:g} s, and was {old.update_interval_s:g} s")
    if bad:
        raise SpecError(
            f"{'; '.join(bad)}: the tasks of one run of {new.job_id} share it. Leave it as it was, or leave --resume "
            "out and run all of them anew"
        )


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float | int) else repr(str(value)) if value else "not set"
