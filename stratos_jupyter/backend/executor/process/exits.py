"""Exits of leaders: seen first, reaped later.

``waitid`` with WNOWAIT tells which child has exited and leaves it a zombie. So the process id, hence the number of the
group and of the session, stays taken until all is done that needs it. ``waitid`` names such a zombie each time that it
is asked; while one is held, each leader is therefore asked by itself. Unknown children are adopted orphans. A system
without ``waitid`` reaps when it asks.
"""

import os
from typing import Any, Callable, Dict, Optional, Set, Tuple, Union

from ..loop import Loop
from ..monitor.helper_process import Helper, Helpers
from ..work import Task
from .adopted import Adopted

_waitid: Any = getattr(os, "waitid", None)
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT if _waitid else 0
_ALL = os.P_ALL if _waitid else 0
_ONE = os.P_PID if _waitid else 0

# With very short tasks a leader has always exited; the connection and the timers need their turn, too.
_SHARE = 16

#: Status as of wait4, and the resources used; both None for a leader that could not be ended.
Outcome = Tuple[Optional[int], Any]


class Exits:
    """Learns of exits.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    running : dict
        Tasks by the process id of their leader; :meth:`reap` removes them.
    helpers : Helpers
        Gets each helper that has exited.
    adopted : Adopted
        Reaps orphans.
    on_exit : callable
        Gets each task whose leader has exited; either reaps or holds it.
    on_orphans : callable
        Called when orphans have exited while a leader is held.
    """

    def __init__(
        self,
        loop: Loop,
        running: Dict[int, Task],
        helpers: Helpers,
        adopted: Adopted,
        on_exit: Callable[[Task], None],
        on_orphans: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._helpers = helpers
        self._running = running
        self._adopted = adopted
        self._on_exit = on_exit
        self._on_orphans = on_orphans
        self._held: Set[int] = set()

    def look(self) -> None:
        """Find the children that have exited since the last look."""
        running = self._running
        share = _SHARE
        while _waitid and not self._held:
            if not share:
                self._loop.at(0.0, self.look)
                return
            share -= 1
            try:
                found = _waitid(_ALL, 0, _LOOK)
            except ChildProcessError:
                return
            if found is None:
                return
            task = running.get(found.si_pid)
            if task is not None:
                task.exited = True
                task.well = _well(task, found)
                self._on_exit(task)
            elif found.si_pid in self._helpers.live:
                self._helpers.exited(self._helpers.live[found.si_pid])
            else:
                self._adopted.reap(found.si_pid)
        for task in list(running.values()):
            if not task.exited and self.has_exited(task):
                task.exited = True
                self._on_exit(task)
        for helper in list(self._helpers.live.values()):
            # One that has been dropped meanwhile is a helper no longer.
            if self._helpers.live.get(helper.pid) is helper and self.has_exited(helper):
                self._helpers.exited(helper)
        if self._adopted.reap_all():
            self._on_orphans()

    def hold(self, task: Task) -> None:
        """Leave the leader of `task` a zombie for a while."""
        self._held.add(task.pid)

    def reap(self, task: Task) -> Outcome:
        """Reap the leader; return how it ended and what it used."""
        pid = task.pid
        del self._running[pid]
        if pid in self._held:
            self._held.discard(pid)
            # What exited meanwhile has not been looked at in the quick way.
            self._loop.at(0.0, self.look)
        if task.status is None:
            # A leader that could not be ended is an orphan from now on.
            found, status, usage = os.wait4(pid, 0 if task.exited else os.WNOHANG)
            return (status, usage) if found == pid else (None, None)
        return task.status

    def has_exited(self, task: Union[Task, Helper]) -> bool:
        """Ask whether a leader that has not been reaped has exited."""
        if task.status is not None:
            return True
        try:
            if _waitid:
                seen = _waitid(_ONE, task.pid, _LOOK)
                if seen is not None and isinstance(task, Task):
                    task.well = _well(task, seen)
                return seen is not None
            found, status, usage = os.wait4(task.pid, os.WNOHANG)
        except ChildProcessError:
            return False
        if found == task.pid:
            task.status = (status, usage)
            if isinstance(task, Task):
                told = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                task.well = task.batch.context.success.says("exit", told)
        return task.status is not None


def _well(task: Task, found: Any) -> bool:
    told = found.si_status if found.si_code == os.CLD_EXITED else 128 + found.si_status  # as a shell says it
    return task.batch.context.success.says("exit", told)
