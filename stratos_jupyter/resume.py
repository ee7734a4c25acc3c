"""``--resume``: a cell that is run again, of which only that is run which is not done.

`runs.resume_plan` compares the commands of the cell with the tasks of the job's newest run, and has the rules;
`runs.resume_work` says what follows for each task. Here the run is found, and what follows is done in one transaction.
Options that say how tasks are run, as ``--mem``, are those of the cell from then on; others cannot change within a run
(`runs.changed_options`).
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from dataclasses import replace
from typing import Final

from .backend.core.states import TaskState
from .backend.results.parsers import Parser
from .backend.spec.commands import Commands
from .backend.spec.job_spec import JobSpec
from .backend.spec.products import promise
from .backend.spec.workload import CommandEnv, Fingerprints
from .backend.store.broken_journal import open_whole
from .backend.store.lease import Holder, holder_of
from .backend.store.run_dirs import newest_run
from .errors import EngineError, JobNotFound, SpecError
from .job import Job
from .runs.changed_options import refuse_others
from .runs.fingerprints import ScannedInputs, env_fingerprint
from .runs.lost_products import lost_products
from .runs.recorded_run import read_run
from .runs.resume_plan import Plan, Wanted, plan
from .runs.resume_work import ResumeWork, Tally, identity_of, known_tasks, resume_work
from .runs.run_snapshot import RunSnapshot
from .session import Session

#: why a run is held while it is compared
COMPARING: Final = "held: it is compared with its cell"


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
    command_env = session.command_env(spec)
    env = env_fingerprint(session.home, spec, command_env.env)
    job = _open(session, spec.job_id)
    if job is None and not _is_kept(session, spec.job_id):
        scanned = session.scan_inputs(spec, commands, sure=True)
        tally = Tally(new=len(commands), says=scanned.said)
        return (
            None if dry_run else session.submit(spec, commands, parser=parser, fingerprints=scanned.fingerprints(env))
        ), tally
    attached = job is None and not dry_run
    if attached:
        job = session.attach(spec.job_id, hold=COMPARING, make_parser=lambda _: parser)
    try:
        run, left = _peek(session, spec.job_id) if job is None else (RunSnapshot.of_job(job), job.journal.looks())
        taken = refuse_others(run.spec, run.rules, spec)
        # Only now, by rule 5.
        scanned = session.scan_inputs(spec, commands, sure=True)
        found = plan(_wanted(spec, commands, scanned), env, known_tasks(run, left))
        work = resume_work(run, found, lost_products(spec, run.workload))
        tally = replace(work.tally, says=(*taken, *scanned.said, *work.tally.says))
        if job is None or dry_run:
            return None, tally
        job.apply_cell(spec, parser, command_env)
    except BaseException:
        if attached and job is not None:  # the run is as it was: the next process must not find it held
            session.let_go(job)
        raise
    _do(job, work, commands, command_env, scanned.fingerprints(env, work.added))
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
    command_env = session.command_env(spec)
    job = _open(session, spec.job_id)
    attached = job is None
    if job is None:
        if not _is_kept(session, spec.job_id):
            return None
        job = session.attach(spec.job_id, hold=COMPARING, make_parser=lambda _: parser)
    try:
        refuse_others(job.spec, job.rules, spec)
        job.apply_cell(spec, parser, command_env)
    except BaseException:
        if attached:
            session.let_go(job)
        raise
    job.extend(None)
    return job


def resume_part(session: Session, job: Job, commands: Commands, named: Collection[int] = ()) -> tuple[Tally, set[int]]:
    """Run what is not done of a part of a job's commands; more parts may follow.

    A task that no part has named yet is gone when it has ended, and comes back as it is when a later part names it.
    What has not ended continues until `end_parts`.

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
    command_env = session.command_env(spec)
    env = env_fingerprint(session.home, spec, command_env.env)
    run = RunSnapshot.of_job(job)
    left = job.journal.looks()
    scanned = session.scan_inputs(spec, commands, sure=True)
    tasks = (task for task in known_tasks(run, left) if task.task not in named)
    found = plan(_wanted(spec, commands, scanned), env, tasks)
    found.gone = [task for task in found.gone if run.state(task) >= TaskState.FINISHED]
    work = resume_work(run, found, lost_products(spec, run.workload))
    if work.added:
        promised = {path: task for path, task in job.submissions.promised().items() if task not in work.superseded}
        if bad := promise(spec.makes, commands.select(work.added), spec.cwd, len(job.commands), promised):
            raise SpecError("; ".join(bad))
    added = range(0)
    if work.added or work.superseded or work.restored or work.again:
        added = _do(job, work, commands, command_env, scanned.fingerprints(env, work.added))
    return replace(work.tally, says=(*scanned.said, *work.tally.says)), {*found.kept, *found.restored, *added}


def _wanted(spec: JobSpec, commands: Commands, scanned: ScannedInputs) -> list[Wanted]:
    return [Wanted(identity_of(spec.cwd, commands, index), scanned.of(index)) for index in range(len(commands))]


def _do(job: Job, work: ResumeWork, commands: Commands, command_env: CommandEnv, fingerprints: Fingerprints) -> range:
    """Do what follows for a run, in one transaction; return the tasks that were added."""
    added = (commands.select(work.added), command_env, fingerprints) if work.added else None
    return job.extend(added, work.superseded, work.restored, work.again)


def end_parts(job: Job, named: Collection[int]) -> None:
    """Say that no part follows: the tasks that none has named are gone."""
    run = RunSnapshot.of_job(job)
    unnamed = (one for one in known_tasks(run, {}) if one.task not in named and not one.superseded)
    work = resume_work(run, Plan(gone=[one.task for one in unnamed]))
    if work.superseded:
        job.extend(None, work.superseded)


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


def _peek(session: Session, job_id: str) -> tuple[RunSnapshot, dict[int, tuple[str, bool]]]:
    """Read a run that no process holds, and what its tasks have left their inputs as; nothing is changed."""
    run, folder = newest_run(session.home, job_id)
    holder, lease = holder_of(folder)
    if lease is not None and holder in (Holder.ALIVE, Holder.ELSEWHERE):
        raise EngineError(f"run {run} of {job_id} is held by process {lease.pid} on {lease.host}: nobody else can look")
    with closing(open_whole(folder, aside=False)) as journal:
        return RunSnapshot.of_record(read_run(journal), journal), journal.looks()
