"""RunWork: what an engine may know of a run's tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from ..spec.job_spec import JobSpec
from ..spec.workload import CommandEnv

if TYPE_CHECKING:
    from ...job import Job

#: more submissions than a run can have
SUBMISSIONS_MOST: Final = 1 << 32

#: of the names of inputs of a job, as they are from a directory, those that are not on HDFS
NotOnHdfs: TypeAlias = Callable[[JobSpec, Sequence[str], str], Sequence[str]]
#: what an executor must know of commands with that spec and env
Context: TypeAlias = Callable[[JobSpec, CommandEnv], Mapping[str, object]]


class RunWork:
    """The tasks of a job as its engine sees them (`engines.base.Work`).

    Parameters
    ----------
    job : Job
        Whose tasks.
    not_on_hdfs : callable
        Returns those names of inputs that a node may look at itself.
    context : callable
        Returns what an executor must know.
    """

    def __init__(self, job: Job, not_on_hdfs: NotOnHdfs, context: Context) -> None:
        self._job = job
        self._not_on_hdfs = not_on_hdfs
        self._context = context
        self.command = job.commands.command
        self.file = job.commands.file
        self.copies = job.commands.copies

    def makes(self, task: int) -> Sequence[str]:
        """Return the files that the task makes, as their names are to its command."""
        return self._job.submissions.makes(task)

    def context_of(self, task: int) -> int:
        """Return the context of a task: its submission, and what the job says of all tasks at the moment."""
        return self._job.commands.root_of(task) + SUBMISSIONS_MOST * self._job.edition

    def inputs(self, task: int) -> Sequence[str] | None:
        """Return which inputs of a task a node is to look at, where those are not just its file."""
        commands, spec = self._job.commands, self._job.spec
        names: Sequence[str] = commands.inputs(task)
        file = commands.file(task)
        if not names and file is None:  # as of most, and all of them are asked for
            return None
        cwd = commands.command_env(commands.submission_of(task)).cwd
        if spec.hdfs:
            names = self._not_on_hdfs(spec, names, cwd)
        if not cwd:  # in a folder that only the node knows
            names = [name for name in names if name[:1] in ("/", "~")]
        return None if list(names) == ([] if file is None else [file]) else list(names)

    def context(self, number: int) -> Mapping[str, object]:
        """Return what an executor must know of the tasks for which `context_of` says this."""
        return self._context(self._job.spec, self._job.commands.command_env(number % SUBMISSIONS_MOST))
