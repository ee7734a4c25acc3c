"""The owner of a process: a task, a helper, or none.

A process belongs to a task when it descends from the task's leader, is in its group or session, or carries its mark.
We adopt orphans (PR_SET_CHILD_SUBREAPER), so all that our tasks ever started stays below us: nothing else is looked
at. An orphan without session and mark (``setsid``, double fork, ``env -i``) belongs to whichever running task was there
before it; when only one was, it is that one's, when none is left, it is nobody's. What helpers (monitors, relaunchers)
start is found in the same way and is never a task's.
"""

import os
from typing import Dict, Iterable, List, Optional, Tuple, Union

from ..monitor.helper_process import Helper
from ..work import Task
from .adopted import Adopted
from .cgroup import Cgroups
from .procs import Census, Proc, mark

#: What a process may belong to.
Owner = Union[Task, Helper]


class Owners:
    """Finds the owners of processes.

    Parameters
    ----------
    running : dict
        Tasks by the process id of their leader, which has not been reaped.
    helpers : dict
        Helpers that live, by the process id of their leader.
    adopted : Adopted
        Reaps orphans.
    cgroups : Cgroups
        Whatever is in the group of a task belongs to it.
    """

    def __init__(
        self, running: Dict[int, Task], helpers: Dict[int, Helper], adopted: Adopted, cgroups: Cgroups
    ) -> None:
        self._running = running
        self._helpers = helpers
        self._adopted = adopted
        self._cgroups = cgroups

    def just_exited(self, everybody: Census) -> List[Proc]:
        """Return the orphans that are zombies: their own children may be too young for this census."""
        return [
            proc
            for proc in everybody.children(os.getpid())
            if proc.zombie and proc.pid not in self._running and proc.pid not in self._helpers
        ]

    def shares(self, everybody: Census, tasks: Iterable[Task]) -> List[Tuple[Task, List[Proc]]]:
        """Return the live processes of each of these tasks."""
        roots = {task.pid: self._cgroups.pids(task) for task in tasks}
        for proc in self.children(everybody):
            owners = self.of(proc, everybody)
            if len(owners) == 1 and owners[0].pid in roots:
                roots[owners[0].pid].append(proc.pid)
        return [(self._running[pid], everybody.family(found)) for pid, found in roots.items()]

    def children(self, everybody: Census) -> List[Proc]:
        """Return our children; zombies that we adopted are reaped on the way."""
        found = []
        for proc in everybody.children(os.getpid()):
            if proc.zombie and proc.pid not in self._running and proc.pid not in self._helpers:
                self._adopted.reap(proc.pid)
            found.append(proc)
        return found

    def of(self, proc: Proc, everybody: Census) -> List[Owner]:
        """Return the owner of a child of ours; [] for none, several where it may be any of these."""
        running, helpers = self._running, self._helpers
        for number in (proc.pid, proc.session, proc.group):
            owner: Optional[Owner] = running.get(number) or helpers.get(number)
            if owner is not None:
                return [owner]
        of_group = self._cgroups.owner(proc.pid)
        if of_group is not None:
            return list(of_group)
        # Otherwise only one that was there before it can have started it.
        procs = everybody.procs
        owners: List[Owner] = [*running.values(), *helpers.values()]
        owners = [one for one in owners if one.pid in procs and procs[one.pid].started <= proc.started]
        found = mark(proc.pid)
        return owners if found is None else [one for one in owners if one.mark == found]
