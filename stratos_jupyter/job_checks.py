"""What is checked of a job before anything of it starts, and what its commands will find around them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .backend.engines.registry import site_class
from .backend.engines.sites import EngineSettings, Site
from .backend.engines.task_environment import TOGETHER_MOST, task_environment, thread_variables, too_large
from .backend.spec.commands import Commands
from .backend.spec.job_spec import JobSpec
from .backend.spec.products import promise
from .backend.spec.workload import CommandEnv
from .backend.store.columns import FRAME_NAMES
from .errors import SpecError

if TYPE_CHECKING:
    from .job import Job


def command_env(spec: JobSpec) -> CommandEnv:
    """Return what a command submitted now finds around it: this process's environment, and the job's own.

    What the job names wins over everything, and a number of threads that the user gave over this process's own.
    """
    env = task_environment()
    if spec.threads_given:
        env |= thread_variables(spec.threads, env)
    env |= {name: os.environ[name] for name, value in spec.env if value is None and name in os.environ}
    env |= {name: value for name, value in spec.env if value is not None}
    return CommandEnv(spec.cwd, env)


def too_large_of(spec: JobSpec) -> list[str]:
    """Say which variables of a job's tasks no program could be started with."""
    env = command_env(spec).env
    if site_class(spec.master).inherits_environment:
        return too_large(env)
    return too_large({name: env[name] for name, _ in spec.env if name in env}, TOGETHER_MOST)


def check_job(spec: JobSpec, commands: Commands | None, site: Site, settings: EngineSettings) -> JobSpec:
    """Refuse a job that cannot run.

    Parameters
    ----------
    spec : JobSpec
        The job.
    commands : Commands, optional
        Its commands, where they are known.
    site : Site
        Where it runs.
    settings : EngineSettings
        What the user has chosen for engines.

    Returns
    -------
    JobSpec
        The same, its paths absolute.

    Raises
    ------
    SpecError
        Names everything that is wrong, and the cure.
    """
    bad: list[str] = []
    try:
        spec.check(FRAME_NAMES)
    except SpecError as error:
        bad.append(str(error))
    if commands is not None and not len(commands):
        bad.append("there is no command to run")
    spec, more = site.check(spec, settings)
    bad += more
    if spec.output not in site.output_modes:
        bad.append(f"--output {spec.output}: jobs of {spec.master} have {', '.join(sorted(site.output_modes))}")
    absent = [name for name, value in spec.env if value is None and name not in os.environ]
    if absent:
        bad.append(f"{', '.join(absent)} is not set here; write --env NAME=value, or set it in os.environ first")
    bad += too_large_of(spec)
    if commands is not None:
        bad += promise(spec.makes, commands, spec.cwd, 0, {})
    if bad:
        raise SpecError("; ".join(bad))
    return spec


def check_added(job: Job, commands: Commands) -> None:
    """Refuse commands that cannot be added to a job, by what has changed since it was submitted; names all of that."""
    bad = too_large_of(job.spec)
    if job.spec.makes:
        bad += promise(job.spec.makes, commands, job.spec.cwd, len(job.commands), job.submissions.promised())
    if bad:
        raise SpecError("; ".join(bad))
