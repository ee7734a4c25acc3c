"""Adopted orphans: children of ours that we did not start, because their own parents have exited.

One read of ``/proc/self/task/<pid>/children`` names all children. A live process that a task started is one of them,
or below one of them. So when all children are leaders, nothing is left of a task whose leader has exited; that is the
usual case, and it costs one system call. The list only grows while it is read, because only this process reaps. Where
the system has no such list, or orphans don't come to us, all of /proc is searched.

A session's number stays taken while its leader is a zombie. Hence a process in the session of a task's leader belongs
to that task. What an adopted process of a session has used counts for its task.
"""

import os
from contextlib import suppress
from typing import Any, Container, Dict, List, Optional

from ..work import Task
from .procs import Proc, adopts_orphans, census, process

_PAGE_BYTES = 65536
# The kernel hands out at most one page at a time: less than this is all.
_WHOLE_BYTES = 2048
#: As often it is looked again when something has just exited.
_LOOKS = 4


class Adopted:
    """Tells orphans from leaders.

    Parameters
    ----------
    running : dict
        Tasks by the process id of their leader, which has not been reaped.
    helpers : container
        Process ids of the leaders of helpers.
    """

    def __init__(self, running: Dict[int, Task], helpers: Container[int]) -> None:
        self._running = running
        self._helpers = helpers
        self._fd = -1
        if adopts_orphans():
            with suppress(OSError):
                path = "/proc/self/task/{}/children".format(os.getpid())
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def pids(self) -> Optional[List[int]]:
        """Return our children that are no leaders, zombies too; None where the system cannot tell."""
        if self._fd < 0:
            return None
        data = os.pread(self._fd, _PAGE_BYTES, 0)
        if len(data) > _WHOLE_BYTES:
            more = data
            while more:
                more = os.pread(self._fd, _PAGE_BYTES, len(data))
                data += more
        running, helpers = self._running, self._helpers
        return [pid for pid in map(int, data.split()) if pid not in running and pid not in helpers]

    def reap(self, pid: int) -> bool:
        """Reap a child that is no leader; False when it has not exited."""
        try:
            session = os.getsid(pid)
            found, _status, usage = os.wait4(pid, os.WNOHANG)
        except OSError:
            return True  # it is no child any more
        if found != pid:
            return False
        task = self._running.get(session)
        if task is not None:
            task.add_usage(usage)
        return True

    def rest(self, task: Task) -> bool:
        """Say whether a process of the session of `task`, whose leader has exited, lives.

        Where it can be seen that nothing at all is left of the task, in its session or not, it is `alone` from now on.
        """
        strangers: List[int] = []
        for _again in range(_LOOKS):
            pids = self.pids()
            if pids is None:
                return bool(session(task)) if os.path.isdir("/proc/self") else _group_lives(task.pid)
            strangers = []
            exited = False
            for pid in pids:
                try:
                    number = os.getsid(pid)
                except OSError:
                    continue
                if number == task.pid:
                    if not self.reap(pid):
                        return True
                    exited = True
                elif number not in self._running and not self.reap(pid):
                    strangers.append(pid)
            if not exited:
                break
            # What it left, if anything, has come to us just now.
        else:
            return True  # each forks and exits
        if not strangers:
            task.alone = True
            return False
        # One that left the session may have left a child in it. It can only have come from a leader older than itself.
        leader = process(task.pid)
        procs = [process(pid) for pid in strangers]
        if leader is not None and all(proc is None or proc.started < leader.started for proc in procs):
            task.alone = True
            return False
        return bool(session(task))

    def reap_all(self) -> bool:
        """Reap all that have exited; True when there were any."""
        return sum(map(self.reap, self.pids() or ())) > 0


def session(task: Task) -> List[Proc]:
    """Return the live processes of the session of `task`, but for its leader; none where there is no /proc."""
    everybody = census()
    procs: Any = () if everybody is None else everybody.procs.values()
    return [proc for proc in procs if proc.session == task.pid and proc.pid != task.pid and not proc.zombie]


def _group_lives(pid: int) -> bool:
    """Say whether a process of a group lives whose leader has exited; a zombie takes no signal (macOS)."""
    try:
        os.killpg(pid, 0)
    except OSError:
        return False
    return True
