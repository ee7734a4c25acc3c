"""Memory cgroups: a limit that the kernel itself keeps, where groups can be made.

Below a group that base_groups.py finds there is one folder of ours, ``stratos-<pid>-<start time>``, and in it a group
for each task with a memory limit. The executor enters that group to start the task and then goes back, so no process of
the task was ever elsewhere; this costs some 20 us. Groups only narrow what was given: the executor never leaves its
own group, except where that sets no limit at all and the kernel's rules (version 2: no processes beside child groups)
leave the parent as the only place. No permission is asked for; where a step fails there are no groups, and memory is
watched by sampling alone.

Every process in a task's group belongs to the task, even one that has shed its parents, session and environment.
"""

import errno
import os
import re
from contextlib import suppress
from time import monotonic, sleep
from typing import Dict, List, NamedTuple, Optional

from ..loop import Alarm, Loop
from ..work import Task
from .base_groups import BaseGroup, base_groups, harmless, own_below, remove_leftovers
from .cgroup_files import counts, kill_group, move_into, pids_in, read_text, remove_group, write_text
from .procs import start_time

#: A group is full when the next piece doesn't go in (version 1's own count of that stays 0 on newer kernels).
_NEARLY = 0.9

_HUNT_S = 0.005
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0
_CLOSING_S = 1.0


class Harm(NamedTuple):
    """What the kernel did in a group."""

    #: Processes that it killed; None where it doesn't count them (Linux before 4.13).
    kills: Optional[int]
    #: Whether the group's own limit was reached: otherwise it was the node that had no memory left.
    full: bool


class Cgroups:
    """Makes and removes groups.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    wanted : bool
        Try at all.
    """

    def __init__(self, loop: Loop, wanted: bool = True) -> None:
        self._pid = os.getpid()
        self._wanted = wanted
        self._bases: Optional[List[BaseGroup]] = None if wanted else []
        self._proven = False
        #: Our own group, where we may come back to it; else "".
        self._home = ""
        self._folder = ""
        self._made = 0
        self._inside = re.compile(r"")
        self._tasks: Dict[str, Task] = {}
        self._doomed: List[str] = []
        self._remove = Alarm(loop, self._remove_doomed)
        self._pause_s = _FIRST_PAUSE_S

    def enter(self, task: Task) -> bool:
        """Go into a new group for `task` ourselves: what we start then is in it before it can take any memory.

        It has no limit yet, which would be ours as well; :meth:`leave` sets it. False where there is no such group.
        """
        while self._find() and self._home:
            try:
                self._open(task)
                write_text(task.cgroup + "/cgroup.procs", "0")
                self._proven = True
                return True
            except OSError:
                self._forget(task)
                if self._proven:
                    return False
                self._leave_base()
        return False

    def leave(self, task: Task) -> bool:
        """Go back to our own group; False when what was started has taken more than its limit already."""
        try:
            write_text(self._home + "/cgroup.procs", "0")
        except OSError:  # the executor stays in there: so no limit is set, and the group must not be killed
            self._tasks.pop(os.path.basename(task.cgroup), None)
            task.cgroup = self._home = ""
            return True
        try:
            self._limit(task.cgroup, int(task.batch.mem_mib * 1048576))
        except OSError as error:
            return error.errno != errno.EBUSY
        return True

    def kills(self, task: Task) -> int:
        """Return how many processes of a task the kernel has ended so far because its group was full."""
        name = "/memory.oom_control" if self._version() == 1 else "/memory.events"
        try:
            return counts(read_text(task.cgroup + name)).get("oom_kill", 0)
        except (OSError, ValueError):
            return 0

    def enclose(self, task: Task, mem_mib: float, pids: List[int]) -> None:
        """Move these processes of a task into its group, which is made at the first call."""
        if task.cgroup:
            inside = set(self.pids(task))
            name = os.path.basename(task.cgroup)
            with suppress(OSError):
                move_into([pid for pid in pids if pid not in inside and self._name(pid) != name], task.cgroup)
            return
        while self._find():
            try:
                self._make(task, int(mem_mib * 1048576), pids)
                return
            except OSError:
                self._forget(task)
                if self._proven:
                    return
                self._leave_base()

    def owner(self, pid: int) -> Optional[List[Task]]:
        """Return the task whose group `pid` is in, [] for a group of a task that is over, None for no group of ours."""
        name = self._name(pid) if self._folder else None
        if name is None:
            return None
        return [self._tasks[name]] if name in self._tasks else []

    def pids(self, task: Task) -> List[int]:
        """Return what is in the group of a task."""
        return pids_in(task.cgroup) if task.cgroup else []

    def kill(self, task: Task) -> None:
        """KILL what is in the group of a task, again and again for a moment: they may fork meanwhile."""
        if task.cgroup:
            until = monotonic() + _HUNT_S
            while self.pids(task) and monotonic() < until:
                kill_group(task.cgroup)

    def harm(self, task: Task) -> Harm:
        """Return what the kernel did to a task."""
        try:
            if self._version() == 1:
                most = int(read_text(task.cgroup + "/memory.max_usage_in_bytes"))
                with suppress(OSError):
                    most = max(most, int(read_text(task.cgroup + "/memory.memsw.max_usage_in_bytes")))
                full = most >= _NEARLY * int(read_text(task.cgroup + "/memory.limit_in_bytes"))
                return Harm(counts(read_text(task.cgroup + "/memory.oom_control")).get("oom_kill"), full)
            events = counts(read_text(task.cgroup + "/memory.events"))
            return Harm(events.get("oom_kill", 0), events.get("max", 0) > 0)
        except (OSError, ValueError):
            return Harm(0, False)

    def over(self, task: Task) -> None:
        """Kill what is left in the group of a task, and remove it."""
        if task.cgroup:
            self._forget(task)
            if self._doomed:
                self._remove.by(monotonic() + self._pause_s)

    def close(self) -> None:
        """Remove all that we made; what is in it is killed."""
        for task in list(self._tasks.values()):
            self._forget(task)
        until = monotonic() + _CLOSING_S
        while self._folder:
            self._doomed = [path for path in self._doomed if not remove_group(path)]
            if remove_group(self._folder):
                self._folder = ""
            elif monotonic() > until:
                return
            else:
                sleep(_FIRST_PAUSE_S)

    def _find(self) -> bool:
        """Have a folder of our own, if there is any place for it."""
        if self._folder:
            return True
        if self._bases is None:
            try:
                self._bases = base_groups(read_text("/proc/self/cgroup"), read_text("/proc/self/mountinfo"))
            except OSError:
                self._bases = []
        while self._bases and not self._folder:
            try:
                self._enter(self._bases[0])
            except (OSError, ValueError):
                self._leave_base()
        return bool(self._folder)

    def _enter(self, base: BaseGroup) -> None:
        if not harmless(base):
            raise ValueError(base)
        remove_leftovers(base.path)
        self._home = own_below(base.path) if base.parent else base.path
        try:
            write_text(self._home + "/cgroup.procs", "0")  # we are there: this says whether we may come back
        except OSError:
            self._home = ""
        name = "stratos-{}-{}".format(self._pid, start_time(self._pid))
        folder = os.path.join(base.path, name)
        os.mkdir(folder, 0o700)
        self._folder = folder
        self._inside = re.compile("/" + name + r"/(\w+)")
        if base.version == 2:
            write_text(folder + "/cgroup.subtree_control", "+memory")

    def _leave_base(self) -> None:
        if self._folder:
            remove_group(self._folder)
            self._folder = ""
        if self._bases:
            del self._bases[0]

    def _make(self, task: Task, limit: int, pids: List[int]) -> None:
        self._open(task)
        self._limit(task.cgroup, limit)
        self._proven = move_into(pids, task.cgroup) or self._proven

    def _open(self, task: Task) -> None:
        self._made += 1
        name = "t{}".format(self._made)
        path = os.path.join(self._folder, name)
        os.mkdir(path, 0o700)
        task.cgroup = path
        self._tasks[name] = task

    def _limit(self, path: str, limit: int) -> None:
        if self._version() == 1:
            write_text(path + "/memory.limit_in_bytes", str(limit))
            with suppress(OSError):  # there may be no accounting of swap
                write_text(path + "/memory.memsw.limit_in_bytes", str(limit))
        else:
            write_text(path + "/memory.max", str(limit))
            with suppress(OSError):
                write_text(path + "/memory.swap.max", "0")

    def _version(self) -> int:
        return self._bases[0].version if self._bases else 0

    def _name(self, pid: int) -> Optional[str]:
        try:
            found = self._inside.search(read_text("/proc/{}/cgroup".format(pid)))
        except OSError:
            return None
        return found.group(1) if found else None

    def _forget(self, task: Task) -> None:
        path, task.cgroup = task.cgroup, ""
        if path:
            self._tasks.pop(os.path.basename(path), None)
            if not remove_group(path):
                self._doomed.append(path)

    def _remove_doomed(self) -> None:
        self._doomed = [path for path in self._doomed if not remove_group(path)]
        if self._doomed:
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            self._remove.by(monotonic() + self._pause_s)
        else:
            self._pause_s = _FIRST_PAUSE_S
