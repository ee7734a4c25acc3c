"""What a browser may have done: each action asks the job, and returns a line about it for the user.

An action does not wait: that something has happened is seen in the next view, like every other change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..backend.core.phrases import plural
from ..backend.spec.parse_values import parse_size_mib
from ..errors import JobNotFound, SpecError, UsageError
from ..report.text import clean
from .failures import find_group
from .messages import Message, action, whole_number

if TYPE_CHECKING:
    from ..job import Job


class JobActions:
    """The actions on one job.

    Parameters
    ----------
    job : Job
        The job.
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    @action("pause")
    def pause(self, _message: Message) -> str:
        """Launch nothing more; running tasks continue."""
        self._job.pause()
        return "paused; what runs goes on"

    @action("resume")
    def resume(self, _message: Message) -> str:
        """Launch again."""
        self._job.resume()
        return "launching goes on"

    @action("kill")
    def kill(self, message: Message) -> str:
        """End the tasks that the message names, or all."""
        tasks = self._chosen(message)
        count = self._job.kill(tasks)
        return f"{plural(count, 'task')} asked to end" if count else "these tasks have ended already"

    @action("relaunch")
    def relaunch(self, message: Message) -> str:
        """Run tasks again: those that the message names, or all that failed; with as much memory as it says."""
        mem = message.get("mem")
        mem_mib = None
        if mem is not None:
            try:
                mem_mib = parse_size_mib(str(mem)[:40])
            except SpecError as error:
                raise SpecError(f"memory: {error}") from None
        count = self._job.relaunch(self._chosen(message), mem_mib)
        more = "" if mem_mib is None else f", with {mem_mib:,.0f} MiB each"
        waits = f"; the job is {clean(self._job.view.held)}, resume launches them" if self._job.view.held else ""
        return (
            f"{plural(count, 'task')} {'runs' if count == 1 else 'run'} once more{more}{waits}"
            if count
            else "no task has failed"
        )

    @action("limit")
    def limit(self, message: Message) -> str:
        """Bound how many tasks run at once, or lift the bound."""
        most = message.get("most")
        self._job.set(max_tasks=None if most is None else whole_number(message, "most"))
        return (
            "no bound on how many run at once" if most is None else f"at most {whole_number(message, 'most'):,} at once"
        )

    def _chosen(self, message: Message) -> Iterable[int] | None:
        """Return the tasks that an action is for; None for those that it takes by itself."""
        key, ranges = message.get("group"), message.get("tasks")
        if isinstance(key, str):
            group = find_group(self._job, key)
            if group is None:
                raise JobNotFound("these tasks have changed since: no task fails in this way any more")
            return group.tasks
        if ranges is None:
            return None
        total = len(self._job.commands)
        chosen = np.zeros(total, np.bool_)
        for part in ranges if isinstance(ranges, list) else [None]:
            if not (isinstance(part, list) and len(part) == 2 and all(type(edge) is int for edge in part)):
                raise UsageError("tasks are to be named by ranges of their indices")
            first, last = part
            if not 0 <= first <= last < total:
                raise JobNotFound(f"{self._job.job_id} has no tasks {first}-{last}")
            chosen[first : last + 1] = True
        chosen[[task for task in self._job.superseded if task < total]] = False
        found: list[int] = np.flatnonzero(chosen).tolist()
        return found
