"""Session: the composition root. It owns the driver thread and all open jobs of this process."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Final

from .backend.core.states import IN_FLIGHT
from .backend.engines.base import Engine
from .backend.engines.registry import site_for
from .backend.engines.sites import GRACE_S, EngineSettings, Site
from .backend.forks import close_inherited
from .backend.inputs.filesystems import FileSystems
from .backend.results.parse_check import Judge
from .backend.results.parsers import Parser
from .backend.run.loop import RunLoop
from .backend.run.run_work import RunWork
from .backend.run.thread import Driver
from .backend.spec.commands import Commands
from .backend.spec.job_spec import JobSpec
from .backend.spec.workload import CommandEnv, Fingerprints
from .backend.store.broken_journal import set_aside
from .backend.store.journal import Journal
from .backend.store.lease import (
    is_background,
    is_wanted,
    ourselves,
    read_lease,
    release_lease,
    take_lease,
)
from .backend.store.progress import write_progress
from .backend.store.run_dirs import make_home, new_run, newest_run, runs
from .errors import JobNotFound, JournalError, SpecError
from .job import Job
from .job_checks import check_added, check_job, command_env, too_large_of
from .job_inputs import JobInputs
from .runs.attach import goes_on_without_notebook, open_released, parser_without_notebook, read_submissions, why_held
from .runs.background import start_background
from .runs.fingerprints import ScannedInputs, env_fingerprint, inputs_left, scan_inputs
from .runs.recorded_run import record_run
from .runs.stored_run import StoredRun

log = logging.getLogger(__name__)

#: how often the lease of a job is looked at, in seconds
LOOK_EVERY_S: Final = 1.0


def default_home() -> Path:
    """Return where runs are kept: the setting ``home``, from ``%config``, ``STRATOS_HOME``, or the default."""
    from .settings import current as settings  # here, so that importing the package loads no traitlets

    return Path(settings().home)


def _chosen_settings() -> dict[str, str]:
    """Return the settings that the user has chosen in whatever way, as environment variables."""
    from .settings import current as settings

    return settings().as_environment()


def _engine_settings() -> EngineSettings:
    """Return the settings that concern engines, as they are now."""
    from .settings import current as settings

    chosen = settings()
    return EngineSettings(**{field.name: getattr(chosen, field.name) for field in fields(EngineSettings)})


class Session:
    """All open jobs of this process, and the thread that drives them.

    Parameters
    ----------
    home : Path, optional
        Where runs are kept; `default_home` when not given.
    """

    def __init__(self, home: Path | None = None) -> None:
        self.home = home or default_home()
        self._driver: Driver | None = None
        self._sites: dict[str, Site] = {}
        self._jobs: list[Job] = []
        self._inputs = JobInputs()
        self._lock = threading.RLock()

    # -- asking -----------------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """Return the open jobs, oldest first."""
        return list(self._jobs)

    def job(self, job_id: str | None = None) -> Job:
        """Return the newest run of that name, or the newest of all.

        Raises
        ------
        JobNotFound
            There is none.
        """
        for job in reversed(self._jobs):
            if job_id is None or job.job_id == job_id:
                return job
        if not self._jobs:
            raise JobNotFound("no job has been submitted here; a %%stratos cell submits one")
        known = ", ".join(dict.fromkeys(job.job_id for job in self._jobs))
        raise JobNotFound(f"no job {job_id!r} here; there is {known}")

    def site(self, master: str) -> Site:
        """Return where jobs of a master run.

        Raises
        ------
        EngineError
            `master` is no engine.
        """
        with self._lock:
            if master not in self._sites:
                self._sites[master] = site_for(master, self.home)
            return self._sites[master]

    # -- submitting -------------------------------------------------------------------------------------

    def check(self, spec: JobSpec, commands: Commands | None = None) -> JobSpec:
        """Refuse what cannot run, before anything starts.

        Returns
        -------
        JobSpec
            The same, its paths absolute.

        Raises
        ------
        SpecError
            Names everything that is wrong, and the cure.
        EngineError
            The engine does not exist.
        StorageError
            The HDFS that inputs are on cannot be.
        """
        spec = check_job(spec, commands, self.site(spec.master), _engine_settings())
        if commands is not None:
            self._inputs.check(spec, commands)
        return spec

    def resolve(self, spec: JobSpec, commands: Commands) -> tuple[Commands, list[str]]:
        """Return commands, told what the marks in them find, and what is to be said of marks that are no inputs."""
        return self._inputs.resolve(spec, commands)

    def files(self, spec: JobSpec) -> FileSystems:
        """Return the file systems that a job's inputs are on."""
        return self._inputs.files(spec)

    def command_env(self, spec: JobSpec) -> CommandEnv:
        """Return what a command submitted now finds around it: this process's environment, and the job's own.

        What the job names wins over everything, and a number of threads that the user gave over this process's own.
        """
        return command_env(spec)

    def submit(
        self,
        spec: JobSpec,
        commands: Commands | None = None,
        *,
        keep_open: bool = False,
        parser: Parser | None = None,
        fingerprints: Fingerprints | None = None,
    ) -> Job:
        """Start a new run of a job.

        Parameters
        ----------
        spec : JobSpec
            What it is.
        commands : Commands, optional
            What it runs; more can be added while it is open.
        keep_open : bool
            Whether more commands may come.
        parser : Parser, optional
            Makes columns of each task's output.
        fingerprints : Fingerprints, optional
            What the commands were made of.

        Returns
        -------
        Job
            At once; nothing has to have started yet.

        Raises
        ------
        SpecError, EngineError, StorageError
            It cannot run; nothing has started.
        JournalError
            It cannot be recorded; nothing has started.
        """
        spec = self.check(spec, commands)
        said: list[str] = []
        if commands is not None:
            commands, said = self.resolve(spec, commands)
        with self._lock:
            run, folder = new_run(self.home, spec.job_id)
            try:
                journal = record_run(folder, spec, run)
                try:
                    job = self._open(spec, run, journal, parser)
                except BaseException:
                    journal.close()
                    raise
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            self._begin_watch(job)
        if commands is not None:
            self.add(job, commands, fingerprints)
        for one in said:
            job.notice(one)
        if not keep_open:
            job.close()
        return job

    def add(self, job: Job, commands: Commands, fingerprints: Fingerprints | None = None) -> range:
        """Add commands to a job, with what they find around them now, and return their indices.

        Parameters
        ----------
        job : Job
            Takes them.
        commands : Commands
            To be added.
        fingerprints : Fingerprints, optional
            What their inputs are; taken here when not given, before any command can start and change them.

        Raises
        ------
        StreamClosed
            The job takes no more.
        SpecError
            They cannot be added, by what has changed since the job was submitted; names everything that is wrong.
        """
        check_added(job, commands)
        env = self.command_env(job.spec)
        if fingerprints is None:
            scanned = self.scan_inputs(job.spec, commands)
            fingerprints = scanned.fingerprints(env_fingerprint(self.home, job.spec, env.env))
            for one in scanned.said:
                job.notice(one)
        return job.add(commands, env, fingerprints)

    def scan_inputs(self, spec: JobSpec, commands: Commands, *, sure: bool = False) -> ScannedInputs:
        """Look at what commands read.

        Parameters
        ----------
        spec : JobSpec
            Their job.
        commands : Commands
            Of which the inputs are looked at.
        sure : bool
            Whether an HDFS that cannot say is an error; otherwise nothing is known of the inputs that are there.

        Raises
        ------
        StorageError
            HDFS cannot say.
        """
        found = self._inputs.scan(spec, commands, sure) if spec.hdfs else None
        return scan_inputs(commands, spec.cwd, found)

    def _open(self, spec: JobSpec, run: int, journal: Journal, parser: Parser | None) -> Job:
        """Make a job of a run that this process holds."""
        if self._driver is None:
            self._driver = Driver()
        driver, site, settings = self._driver, self.site(spec.master), _engine_settings()

        def make_loop(job: Job) -> RunLoop:
            def context(spec: JobSpec, env: CommandEnv) -> Mapping[str, object]:
                return site.context(spec, run, journal.folder, env)

            work = RunWork(job, self._inputs.here, context)

            def make_engine(loop: RunLoop) -> Engine:
                return site.make_engine(loop, work, spec, run, journal, settings)

            return driver.call(
                lambda: RunLoop(
                    journal,
                    make_engine,
                    driver.loop,
                    time.time,
                    job.show,
                    job.add_from_monitor,
                    judge=judge,
                    inputs_left=lambda result: inputs_left(job.commands.fingerprint(result.task), result),
                    rules=spec.rules,
                    job_id=spec.job_id,
                    run=run,
                    engine_name=spec.master,
                )
            )

        judge = Judge(driver.post)
        job = Job(spec, run, journal, driver, parser, make_loop)
        judge.job = job
        job.submissions.may_have_remote_inputs = functools.partial(self._inputs.may_have_remote_inputs, spec)
        job.submissions.locate = functools.partial(self._inputs.locate, job)
        job.largest = site.largest
        self._jobs.append(job)
        return job

    def _begin_watch(self, job: Job) -> None:
        """Watch a job from now on; not while it is being brought back, when no process can take it over."""
        driver = self._driver
        assert driver is not None
        driver.post(lambda: self._watch(job, driver))

    def _watch(self, job: Job, driver: Driver) -> None:
        """Each second: write down how far a job is, and let go of it when another process asks."""
        if job not in self._jobs:
            return
        if is_wanted(job.folder):
            log.warning("%s: another process takes it over", job.job_id)
            self._drop(job)
            return
        with suppress(OSError, JournalError):  # on a full disk it is done when there is room again
            write_progress(job.folder, job.view)
            if read_lease(job.folder) != ourselves():
                take_lease(job.folder)  # a process overwrote it that does not have the journal
        driver.loop.call_later(LOOK_EVERY_S, self._watch, job, driver)

    def stored_runs(self) -> list[StoredRun]:
        """Return the newest run of every job that is kept, by job."""
        newest = {name: (run, folder) for name, run, folder in runs(self.home)}
        return [StoredRun.found(name, run, folder) for name, (run, folder) in sorted(newest.items())]

    # -- attaching --------------------------------------------------------------------------------------

    def attach(
        self,
        job_id: str,
        *,
        steal: bool = False,
        make_parser: Callable[[JobSpec], Parser | None] | None = None,
        hold: str = "",
    ) -> Job:
        """Go on with the newest run of a job that another process began.

        What runs goes on, what ended meanwhile is there, what is queued is launched.

        Parameters
        ----------
        job_id : str
            Its name.
        steal : bool
            Ask a living process that holds it to let go; without it, only one that keeps it in the background is.
        make_parser : callable, optional
            Makes the parser of a spec, where it is a function of the notebook.
        hold : str
            Why nothing may be launched yet; '' when it may.

        Raises
        ------
        JobNotFound
            There is none of that name.
        EngineError
            Another living process holds it.
        JournalError
            Its record cannot be read; it has been set aside.
        SpecError
            Its tasks could not be started with the environment of this process; the run is as it was.
        """
        with self._lock:
            make_home(self.home)
            run, folder = newest_run(self.home, job_id)
            for job in reversed(self._jobs):
                if job.job_id == job_id and job.run == run:
                    return job
            journal = open_released(job_id, folder, steal)
            try:  # it has the journal open, hence the run: now it may say so
                take_lease(folder)
            except BaseException:
                journal.close()
                raise
            try:
                job = self._restore(run, journal, make_parser, hold)
            except BaseException:
                release_lease(folder)
                raise
            self._begin_watch(job)
            return job

    def _restore(
        self, run: int, journal: Journal, make_parser: Callable[[JobSpec], Parser | None] | None, hold: str
    ) -> Job:
        spec, submissions = read_submissions(journal)
        try:
            if bad := too_large_of(spec):
                raise SpecError("; ".join(bad))
            parser = make_parser(spec) if make_parser is not None else parser_without_notebook(spec)
            job = self._open(spec, run, journal, parser)
        except BaseException:
            journal.close()
            raise
        env = self.command_env(spec)
        for submission in submissions:
            submission.add_to(job.commands, env)
        try:
            job.restore(hold or why_held(job.absent()))
        except BaseException as error:
            self._jobs.remove(job)
            job.call(job.let_go)
            if isinstance(error, TypeError | ValueError):  # an entry is not what it should be
                raise set_aside(journal.folder, str(error)) from error
            raise
        return job

    def let_go(self, job: Job) -> None:
        """Hold a job no longer. What runs goes on, what is queued waits for the next process that attaches it."""
        with self._lock:
            if job in self._jobs:
                job.call(lambda: self._drop(job))

    def _drop(self, job: Job) -> None:
        """Let go of a job; on the driver thread."""
        self._jobs.remove(job)
        with suppress(OSError):
            write_progress(job.folder, job.view)
        job.let_go()
        release_lease(job.folder)

    def detach(self, job: Job) -> int:
        """Hand a job to a process of its own, which goes on with it in the background; return that process's id."""
        if job not in self._jobs:
            raise JobNotFound(f"{job.job_id} is not held by this process; attach it first")
        if not goes_on_without_notebook(job.spec):
            raise SpecError(
                f"{job.job_id} cannot go on in the background: --fail-on parse needs {job.spec.parse}, a function of "
                "this process. What runs goes on when the process ends; attach the job where the function is defined"
            )
        self.let_go(job)
        # Tasks that inherit this process's environment must not find settings in it that were not there.
        inherits = self.site(job.spec.master).inherits_environment
        return start_background(self.home, job, {} if inherits else _chosen_settings())

    # -- ending -----------------------------------------------------------------------------------------

    def drop_connections(self) -> None:
        """Close this process's copies of the connections to executors; only for a forked child."""
        ours = [connection for job in self._jobs for connection in job.connections()]
        for connection in (*ours, *self._inputs.connections()):
            close_inherited(connection)

    def close(self) -> None:
        """End what runs, let go of all jobs and of the driver thread."""
        with self._lock:
            jobs, self._jobs = self._jobs, []
            self._inputs.close()
            gone = wait([job.end() for job in jobs], timeout=GRACE_S + 5.0)
            if gone.not_done:
                log.warning("%d executors have not ended yet", len(gone.not_done))
            for job in jobs:
                job.release()
                with suppress(OSError):
                    write_progress(job.folder, job.view)
                release_lease(job.folder)
            if self._driver is not None:
                self._driver.close()
                self._driver = None
            self._sites.clear()


_current: Session | None = None
_current_lock = threading.Lock()


def current() -> Session:
    """Return this process's session, made on first use."""
    global _current
    with _current_lock:
        if _current is None:
            _current = Session()
            _look_after_ourselves()
        return _current


#: what a forked child has of its parent: kept, because ending it would end what belongs to the parent
_parents: list[Session] = []


def _forget_parent() -> None:
    """In a forked child: the parent's session is not ours. Let go of its connections; an own one is made on use."""
    global _current, _current_lock
    session, _current, _current_lock = _current, None, threading.Lock()
    if session is not None:
        _parents.append(session)
        session.drop_connections()


@functools.cache
def _look_after_ourselves() -> None:
    """Close the session when the interpreter ends, and forget it in forked children. Once a process."""
    atexit.register(_close_at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_parent)


def _close_at_exit() -> None:
    session = _current
    for job in session.jobs() if session is not None else []:
        if session is not None and job.view.unfinished:
            sys.stderr.write(f"stratos: {job.job_id} run {job.run}: {_leave(session, job)}\n")
    close()


def _leave(session: Session, job: Job) -> str:
    """Do with an unfinished job as the setting ``on_exit`` says, and say so."""
    from .settings import current as settings

    view = job.view
    running = sum(view[state] for state in IN_FLIGHT)
    match "leave" if is_background() else settings().on_exit:
        case "kill":
            return f"{view.unfinished:,} unfinished tasks end with this process"
        case "detach" if goes_on_without_notebook(job.spec):
            pid = session.detach(job)
            return f"{view.unfinished:,} unfinished tasks go on in the background, process {pid}"
        case _:
            session.let_go(job)
            return f"{running:,} running go on, {view.unfinished - running:,} wait; {_how_to_go_on(job)} with them"


def _how_to_go_on(job: Job) -> str:
    """Say by what a job goes on that its process leaves: without a notebook where that will do."""
    if not goes_on_without_notebook(job.spec):
        return f"%stratos attach {job.job_id}, in a notebook that defines {job.spec.parse}, goes on"
    if job.view.held:
        return f"%stratos attach {job.job_id} and %stratos resume {job.job_id}, in a notebook, go on"
    return f"python -m stratos_jupyter attach {job.job_id} --wait goes on"


def close() -> None:
    """Close this process's session, if there is one; the next use makes a new one."""
    global _current
    with _current_lock:
        session, _current = _current, None
    if session is not None:
        session.close()
