"""``--resume``: a cell that is run again, of which only that is run which is not done.

The tasks of the job's newest run are compared with the commands of the cell, by what they say and read, never by their
place. The same command is one with the same text, file and working directory.

- No task has this command: *new*, it is added to the run. It was superseded earlier, and nothing has changed since: it
  belongs to the run again.
- A task has, but its inputs or the variables of ``--env`` were others: *changed*, a task that is added supersedes it.
- A task has, and nothing has changed: it is *done*; or it is still *to run*; or it *failed*, and is run again. One that
  is done is run again, too, when a file that it makes (``--makes``) is gone or empty.
- A task whose command the cell no longer has is *gone*: superseded by nothing.

What is superseded stays on record, and is in no result.

Theory of operation
-------------------
Of an input there may be three fingerprints: *now*, as it was *submitted*, and as its task *left* it, which is recorded
where that is another one. No clock is asked: fingerprints are compared for being the same (`fingerprints.same_inputs`).

1. A finished task is up to date when its inputs are now as it left them. Work in place is done once.
2. It left nothing else than was submitted: they must be now as they were submitted.
3. Where the node saw something else before the task began than was seen here at its submission, either will do: files
   of the same name may be others there, or none, and what changed before a task began was read by it.
4. What has not ended reads, or has read, its inputs itself: it stays. What failed is run again in any case.
5. The states of tasks are taken before the inputs are looked at. So a task that ends meanwhile counts as one that has
   not ended: what it has just done to its inputs is no change.
6. A submission of which nothing is known (of version 0.1.0, without ``--resume``; an HDFS that could not say) counts as
   up to date, and that is said.

`plan` is pure; `resume` finds the run, and does what the plan says in one transaction. Options that say how tasks are
run, as ``--mem``, are those of the cell from then on; others cannot change within a run (`run_options`).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, TypeAlias

from .backend.core.rules import Rules
from .backend.core.states import TaskState
from .backend.results.parsers import Parser
from .backend.spec.commands import Commands, chosen
from .backend.spec.job_spec import JobSpec
from .backend.spec.workload import CommandEnv, Workload
from .backend.store.journal import open_whole
from .backend.store.lease import Holder, holder_of
from .backend.store.run_dirs import newest_run
from .errors import EngineError, JobNotFound
from .job import Job
from .runs.changed_options import refuse_others
from .runs.fingerprints import Fingerprint, env_fingerprint, matches_old
from .runs.lost_products import lost_products
from .runs.recorded_run import read_run
from .session import Session, restore_submissions

#: working directory, file and text: which command it is
Identity: TypeAlias = tuple[str, str | None, str]

#: why a run is held while it is compared
COMPARING: Final = "held: it is compared with its cell"


class Wanted(NamedTuple):
    """A command of the cell: which, and the fingerprints of its inputs now."""

    identity: Identity
    seen: Fingerprint


class Known(NamedTuple):
    """A task of the run.

    `seen` are fingerprints of its inputs with which it is up to date, and `old` one of version 0.1.0. It is `free` when
    any will do, since it has not finished. It has `worked` when it has changed its inputs itself.
    """

    task: int
    submission: int
    identity: Identity
    env: str
    seen: tuple[Fingerprint, ...] = ()
    old: str = ""
    free: bool = False
    superseded: bool = False
    worked: bool = False

    def reads(self, now: Fingerprint) -> bool:
        """Say whether it would read now what it has read."""
        if self.free or not (self.seen or self.old):
            return True
        return any(one.same(now, worked=self.worked) for one in self.seen) or (
            bool(self.old) and matches_old(self.old, now)
        )

    def blind(self, now: Fingerprint) -> bool:
        """Say whether that is only assumed."""
        return not self.free and not self.old and not any(one.tells(now) for one in self.seen or (Fingerprint(""),))


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
    blind : list of int
        Tasks of which nobody knows what their inputs were: they count as up to date.
    moved : list of int
        Tasks that have not ended, and whose inputs are others than when they were submitted.
    worked : list of int
        Tasks that are up to date, and have changed their inputs.
    old : list of int
        Tasks of version 0.1.0 that are replaced: it may be they that have changed their inputs.
    """

    new: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    restored: list[int] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    blind: list[int] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)
    worked: list[int] = field(default_factory=list)
    old: list[int] = field(default_factory=list)


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


def plan(cell: Sequence[Wanted], env: str, known: Iterable[Known]) -> Plan:
    """Compare the commands of a cell with the tasks of a run.

    Equal commands are matched one to one: first those with equal fingerprints, in order, then those that are up to date
    all the same, then the others.

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
            _remark(found, cell, pairs)
            count = min(len(places_left), len(tasks_left))
            found.changed += places_left[:count]
            found.replaced += [task.task for task in tasks_left[:count]]
            found.old += [task.task for task in tasks_left[:count] if task.old]
            found.gone += [task.task for task in tasks_left[count:]]
            found.new += places_left[count:]
        else:
            # What an older version wrote beside its output may have been overwritten by the newest: that alone counts.
            old = earlier.get(identity, [])
            newest = [task for task in old if task.submission == old[-1].submission]
            pairs, places_left, _ = _pairs(cell, those, env, newest)
            found.restored += [task.task for _, task in pairs]
            _remark(found, cell, pairs)
            found.new += places_left
    found.gone += [task.task for tasks in current.values() for task in tasks]
    found.new.sort()
    found.changed.sort()
    return found


def _pairs(
    cell: Sequence[Wanted], places: Sequence[int], env: str, tasks: Sequence[Known]
) -> tuple[list[tuple[int, Known]], list[int], list[Known]]:
    """Match equal commands with tasks of that command that are up to date; return also those without a partner."""
    # Tasks of one kind are as good as each other: however many lines of a cell are equal, they are few kinds.
    kinds: dict[tuple[object, ...], deque[Known]] = defaultdict(deque)
    for task in tasks:
        if task.env == env:
            kinds[task.seen, task.old, task.free, task.worked].append(task)
    pairs: list[tuple[int, Known]] = []
    rest = []
    for place in places:
        now = cell[place].seen
        equal = next((of for of in kinds.values() if of and of[0].seen[:1] == (now,)), None)
        if equal:
            pairs.append((place, equal.popleft()))
        else:
            rest.append(place)
    for place in rest:
        alike = next((of for of in kinds.values() if of and of[0].reads(cell[place].seen)), None)
        if alike:
            pairs.append((place, alike.popleft()))
    matched_places = {place for place, _ in pairs}
    matched_tasks = {task.task for _, task in pairs}
    return (
        pairs,
        [place for place in places if place not in matched_places],
        [task for task in tasks if task.task not in matched_tasks],
    )


def _remark(found: Plan, cell: Sequence[Wanted], pairs: Sequence[tuple[int, Known]]) -> None:
    """Note what there is to say of tasks that are kept."""
    for place, task in pairs:
        now = cell[place].seen
        if task.blind(now):
            found.blind.append(task.task)
        elif task.free and task.seen and not any(one.same(now) for one in task.seen):
            found.moved.append(task.task)
        elif task.worked and not task.free:
            found.worked.append(task.task)


# -- a run ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Run:
    """What is compared with a cell."""

    spec: JobSpec
    workload: Workload
    states: bytes
    superseded: frozenset[int]
    looks: Mapping[int, tuple[str, bool]]
    rules: Rules

    def state(self, task: int) -> int:
        """Return the state of a task; a monitor may just have asked for it."""
        return self.states[task] if task < len(self.states) else TaskState.QUEUED

    def finished(self, task: int, watched: Collection[int]) -> bool:
        """Say whether a task has done what it was to do, itself or by what its monitor asked for instead."""
        state = self.state(task)
        return state == TaskState.FINISHED or (state == TaskState.KILLED and task in watched)


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
    watched = {origin for origin, _ in run.workload.spawned()}
    for submission, (first, commands, around, fingerprints) in enumerate(run.workload.submissions()):
        if first in spawned:
            continue
        for index in range(len(commands)):
            task = first + index
            here, there, old = fingerprints.of(index)
            seen = (Fingerprint(here, there),) if here else ()
            agreed = False
            if (left := run.looks.get(task)) is not None:
                key, agreed = left
                seen = (Fingerprint(key, there), *(() if agreed else seen))
                old = ""
            free = not run.finished(task, watched)
            identity = _identity(around.cwd, commands, index)
            yield Known(task, submission, identity, fingerprints.env, seen, old, free, task in run.superseded, agreed)


def _work(run: _Run, found: Plan, lost: Callable[[int], bool] = lambda task: False) -> _Work:
    """Say what becomes of each task, and of those that monitors asked for, which share the fate of the watched one."""
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
    return _Work(tally, sorted(found.new + found.changed), sorted(superseded), sorted(restored), again)


def _says(run: _Run, found: Plan) -> Iterator[str]:
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


def _compare(run: _Run, spec: JobSpec, cell: Sequence[Wanted], env: str) -> _Work:
    return _work(run, plan(cell, env, _known(run)), lost_products(spec, run.workload))


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
    around = session.command_env(spec)
    env = env_fingerprint(session.home, spec, around.env)
    job = _open(session, spec.job_id)
    if job is None and not _is_kept(session, spec.job_id):
        looked = session.look(spec, commands, sure=True)
        tally = Tally(new=len(commands), says=looked.said)
        return (
            None if dry_run else session.submit(spec, commands, parser=parser, fingerprints=looked.fingerprints(env))
        ), tally
    attached = job is None and not dry_run
    if attached:
        job = session.attach(spec.job_id, hold=COMPARING, make_parser=lambda _: parser)
    try:
        run = _peek(session, spec.job_id) if job is None else _run_of(job)
        taken = refuse_others(run.spec, run.rules, spec)
        # Only now, by rule 5.
        looked = session.look(spec, commands, sure=True)
        cell = [Wanted(_identity(spec.cwd, commands, index), looked.of(index)) for index in range(len(commands))]
        work = _compare(run, spec, cell, env)
        tally = replace(work.tally, says=(*taken, *looked.said, *work.tally.says))
        if job is None or dry_run:
            return None, tally
        _surround(job, around)
        job.apply_cell(spec, parser)
    except BaseException:
        if attached and job is not None:  # leave it as it was: that it is held here is no matter of the next process
            session.let_go(job)
        raise
    added = None
    if work.added:
        added = chosen(commands, work.added), around, looked.fingerprints(env, work.added)
    job.extend(added, work.superseded, work.restored, work.again)
    for one in said:
        job.notice(one)
    return job, tally


def rejoin(session: Session, spec: JobSpec, parser: Parser | None = None) -> Job | None:
    """Hold the newest run of a job again, whose commands will be named part by part; None when none is kept.

    Options that say how tasks are run are those of `spec` from now on. What has not ended continues.

    Raises
    ------
    SpecError
        What tasks do is another thing than in that run; nothing has changed.
    EngineError
        Another living process holds the run.
    JournalError
        Its record cannot be read.
    """
    spec = session.check(spec)
    around = session.command_env(spec)
    job = _open(session, spec.job_id)
    attached = job is None
    if job is None:
        if not _is_kept(session, spec.job_id):
            return None
        job = session.attach(spec.job_id, hold=COMPARING, make_parser=lambda _: parser)
    try:
        refuse_others(job.spec, job.rules, spec)
        _surround(job, around)
        job.apply_cell(spec, parser)
    except BaseException:
        if attached:
            session.let_go(job)
        raise
    job.extend(None)
    return job


def resume_part(session: Session, job: Job, commands: Commands, named: Collection[int] = ()) -> tuple[Tally, set[int]]:
    """Run what is not done of some commands of a job, all of whose commands are not known: none of its tasks is gone.

    Parameters
    ----------
    session, job
        From `rejoin`.
    commands : Commands
        Resolved already.
    named : collection of int
        Tasks that earlier parts have named; equal commands are other tasks.

    Returns
    -------
    tally : Tally
        How many there are of each kind.
    tasks : set of int
        Which tasks the commands are.

    Raises
    ------
    SpecError
        Some cannot run; nothing has changed.
    """
    spec = job.spec
    session.check(spec, commands)
    around = session.command_env(spec)
    env = env_fingerprint(session.home, spec, around.env)
    run = _run_of(job)
    looked = session.look(spec, commands, sure=True)
    part = [Wanted(_identity(spec.cwd, commands, index), looked.of(index)) for index in range(len(commands))]
    found = plan(part, env, (task for task in _known(run) if task.task not in named))
    found.gone.clear()
    work = _work(run, found, lost_products(spec, run.workload))
    added = None
    if work.added:
        added = chosen(commands, work.added), around, looked.fingerprints(env, work.added)
    tasks = job.extend(added, work.superseded, work.restored, work.again)
    return replace(work.tally, says=(*looked.said, *work.tally.says)), {*found.kept, *found.restored, *tasks}


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
    return _Run(job.spec, job.commands, job.states(), job.superseded, job.looks(), job.rules)


def _peek(session: Session, job_id: str) -> _Run:
    """Read a run that nobody holds, and leave it as it is."""
    run, folder = newest_run(session.home, job_id)
    holder, lease = holder_of(folder)
    if lease is not None and holder in (Holder.ALIVE, Holder.ELSEWHERE):
        raise EngineError(f"run {run} of {job_id} is held by process {lease.pid} on {lease.host}: nobody else can look")
    with closing(open_whole(folder, aside=False)) as journal:
        recorded = read_run(journal)
        workload, looks = Workload(), journal.looks()
        restore_submissions(journal, workload, CommandEnv(recorded.spec.cwd, {}))
    table, rules = recorded.scheduler.table, recorded.scheduler.rules
    return _Run(recorded.spec, workload, table.states(), table.superseded, looks, rules)


def _surround(job: Job, around: CommandEnv) -> None:
    """Let the older commands of a run find what those of its cell do; only the variables can be others."""
    changed = False
    for submission, (_, _, old, _) in enumerate(job.commands.submissions()):
        changed = changed or old.env != around.env
        job.commands.set_command_env(submission, replace(around, cwd=old.cwd))
    job.edition += changed
