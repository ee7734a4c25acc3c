"""What a task may use of memory and disk, looked at now and then.

Memory: resident sizes of all of its processes, four times a second. A page that several processes share counts once for
each of them there, so it is their proportional shares that decide, which are dearer to ask for and therefore asked for
only once the simple sum is too much. Whoever takes too much gets KILL without grace, for it would take its neighbours'
memory meanwhile. Where we may make cgroups, the kernel sees to what is too quick for us; a task gets its group when it
is first looked at, so short ones cost nothing.

Disk: what is allocated in the task's scratch folder, and in the files of its output in the sandbox, once a second. A
folder is walked in short turns, however much is in it.

Whatever takes long is done less often: at most 2 % of the time goes into looking.
"""

import os
from time import monotonic
from typing import Dict, Iterator, List

from .cgroup import Cgroups
from .exits import Outcome
from .fetch import judge_fetch, remove_copy
from .kill import Killer
from .loop import Alarm, Loop
from .procs import Proc, census, share
from .scratch import measure, remove_scratch
from .work import Task, encode

MIB = 1048576.0

_MEMORY_EVERY_S = 0.25
#: A task is looked at first, and gets its group, this long after its start was noticed.
_FIRST_LOOK_S = 0.03
_DISK_EVERY_S = 1.0
_RARITY = 50
#: What a new task may cost before its turn would have come, for its group is better made early.
_FIRST_RARITY = 10
#: A walk goes on for this long, then pauses for that long.
_TURN_S = 0.002
_PAUSE_S = 0.010
_ENTRIES = 32

#: In a group the kernel keeps the limit and ends what has to be ended, which may be one child only. What is in use may
#: be more than the group knows of: pages from before, programs that others have read. More than this may not be.
_SLACK_BYTES = 16 * MIB

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Limits:
    """Watches tasks that have limits.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    running : dict
        Tasks by the process id of their leader.
    killer : Killer
        Knows which processes are whose, and ends tasks.
    cgroups : Cgroups
        Groups for those with a limit of memory.
    """

    def __init__(self, loop: Loop, running: Dict[int, Task], killer: Killer, cgroups: Cgroups) -> None:
        self._running = running
        self._killer = killer
        self._cgroups = cgroups
        self._memory = Alarm(loop, self._look_at_memory)
        self._disk = Alarm(loop, self._look_at_disk)
        self._first_look = 0.0
        self._walk: Iterator[None] = iter(())
        self._walk_s = 0.0

    def watch(self, task: Task) -> None:
        """Look after a task from now on."""
        if task.batch.mem_mib:
            self._memory.by(max(self._first_look, monotonic() + _FIRST_LOOK_S))
        if task.batch.disk_mib:
            self._disk.by(monotonic() + _DISK_EVERY_S)

    def ended(self, task: Task, outcome: Outcome) -> None:
        """See what a task that is over died of; remove what it had of us."""
        if task.cgroup:
            self._explain(task, outcome)
            self._cgroups.over(task)
        judge_fetch(task, outcome[0])
        remove_scratch(task)
        remove_copy(task)

    def _look_at_memory(self) -> None:
        before = monotonic()
        tasks = [task for task in self._running.values() if task.batch.mem_mib and task.known and not task.exited]
        everybody = census() if tasks else None
        if everybody is None:
            return
        for task, procs in self._killer.shares(everybody, tasks):
            self._cgroups.enclose(task, task.batch.mem_mib, [proc.pid for proc in procs])
            limit = task.batch.mem_mib * MIB
            if task.cgroup:
                limit += _SLACK_BYTES
            if sum(proc.pages for proc in procs) * _PAGE > limit:
                used = _shares(procs)
                if used > limit:
                    self._killer.end(task, "memory", 0.0)
                    if task.reason == "memory":
                        task.note = _used("used", used, task.batch.mem_mib, "mem")
        now = monotonic()
        self._first_look = now + _FIRST_RARITY * (now - before)
        self._memory.by(now + max(_MEMORY_EVERY_S, _RARITY * (now - before)))

    def _explain(self, task: Task, outcome: Outcome) -> None:
        """Say so when the kernel killed something of a task for memory, unless it was ended for another reason."""
        harm = self._cgroups.harm(task)
        status, _usage = outcome
        kills = harm.kills
        if kills is None:
            kills = int(harm.full and status is not None and os.WIFSIGNALED(status))
        if not kills or task.reason:
            return
        if harm.full:
            note = "used all of its {:,.0f} MiB; ask for more with --mem".format(task.batch.mem_mib)
        else:
            note = "the node had no memory left"
        if status == 0:
            task.note = "one of its processes was killed: {}".format(note)
        else:
            task.reason = "memory"
            task.note = note

    def _look_at_disk(self) -> None:
        """Go on with a walk through all folders, or begin another one."""
        before = monotonic()
        try:
            next(self._walk)
        except StopIteration:
            tasks = [task for task in self._running.values() if task.batch.disk_mib and task.known and not task.exited]
            if tasks:
                self._walk = self._walk_all(tasks)
                self._walk_s = 0.0
                self._disk.by(0.0)
            return
        self._walk_s += monotonic() - before
        self._disk.by(monotonic() + _PAUSE_S)

    def _walk_all(self, tasks: List[Task]) -> Iterator[None]:
        """Walk through the folders of tasks; yields when others shall have their turn."""
        until = monotonic() + _TURN_S
        for task in tasks:
            limit = task.batch.disk_mib * MIB
            used = task.out.allocated() + task.err.allocated()
            for count, nbytes in enumerate(measure(encode(task.scratch))):
                used += nbytes
                if used > limit:
                    break
                if count % _ENTRIES == 0 and monotonic() > until:
                    yield
                    until = monotonic() + _TURN_S
            if used > limit and not task.reason and not task.exited:
                self._killer.end(task, "disk")
                task.note = _used("wrote", used, task.batch.disk_mib, "disk")
        yield


def _shares(procs: List[Proc]) -> float:
    found = ((share(proc.pid), proc) for proc in procs)
    return float(sum(proc.pages * _PAGE if nbytes is None else nbytes for nbytes, proc in found))


def _used(verb: str, nbytes: float, limit_mib: float, option: str) -> str:
    return "{} {:,.0f} MiB of {:,.0f} MiB; ask for more with --{}".format(verb, nbytes / MIB, limit_mib, option)
