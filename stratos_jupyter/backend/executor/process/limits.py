"""Limits of memory and disk, checked now and then.

Memory: where cgroups can be made, a task with a limit is in one from its first moment, and the kernel keeps the limit.
A process that it ends makes the reason "memory", whatever the script around it makes of that, and the rest is ended.

Elsewhere: the resident sizes of all processes of a task are read four times a second, and those of its leader's family
in between: so often that growth is seen before it has taken half of what is left. Pages of files don't count, since the
system takes them back when it needs room, as it does within a group. A page that several processes share counts once
for each of them in these sums. Their proportional shares decide; they cost more to read, and are read only once the
simple sum is above the limit. What was too quick for all of that is judged when the task has ended. A task above its
limit gets KILL without grace, for it would take its neighbours' memory meanwhile.

Disk: the bytes allocated in the task's scratch folder, and in the files of its output in the sandbox, once a second. A
folder is walked in short turns, however much is in it.

A look that takes long is made less often: looking takes at most 2 % of the processor's time.
"""

import os
from time import monotonic, process_time
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from ..loop import Alarm, Loop
from ..notes import joined
from ..work import Task, encode
from .cgroup import Cgroups
from .exits import Outcome
from .fetch import judge_fetch, remove_copy
from .kill import Killer
from .launch import Failure
from .owners import Owners
from .peak_memory import PeakMemory
from .procs import Proc, census, family, huge_pages, in_use, resident_pages, share
from .scratch import measure, remove_scratch
from .script import remove_script

MIB = 1048576.0

_MEMORY_EVERY_S = 0.25
#: A task is looked at first, and gets its group, this long after its start was noticed.
_FIRST_LOOK_S = 0.03
_DISK_EVERY_S = 1.0
_RARITY = 50
#: What a new task may cost before its turn would have come, for its group is better made early.
_FIRST_RARITY = 10
#: Between two looks at what grows, at least; and how fast a program may grow that is younger than this.
_PEEK_EVERY_S = 0.005
_GROWTH_BYTES_S = 2048 * MIB
_YOUNG_S = 1.0
#: A walk goes on for this long, then pauses for that long.
_TURN_S = 0.002
_PAUSE_S = 0.010
_ENTRIES = 32

#: In a group the kernel keeps the limit and ends what has to be ended, which may be one child only. What is in use may
#: be more than the group knows of: pages from before, programs that others have read. More than this may not be.
_SLACK_BYTES = 16 * MIB

_PAGE = os.sysconf("SC_PAGE_SIZE")
#: What one fault brings in of a file at most.
_FAULT_AROUND_BYTES = 65536


class Limits:
    """Watches tasks that have limits.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    running : dict
        Tasks by the process id of their leader.
    killer : Killer
        Ends tasks.
    owners : Owners
        Knows which processes are whose.
    cgroups : Cgroups
        Groups for those with a limit of memory.
    peak_memory : PeakMemory
        Knows what those that are over have had.
    """

    def __init__(
        self,
        loop: Loop,
        running: Dict[int, Task],
        killer: Killer,
        owners: Owners,
        cgroups: Cgroups,
        peak_memory: PeakMemory,
    ) -> None:
        self._loop = loop
        self._peak_memory = peak_memory
        self._running = running
        self._killer = killer
        self._owners = owners
        self._cgroups = cgroups
        self._memory = Alarm(loop, self._look_at_memory)
        self._disk = Alarm(loop, self._look_at_disk)
        self._peek = Alarm(loop, self._peek_at_memory)
        self._huge_pages = huge_pages()
        self._first_look = 0.0
        self._walk: Iterator[None] = iter(())

    def start(self, task: Task, start: Callable[[Task], Optional[Failure]]) -> Optional[Failure]:
        """Start a task by calling `start`, in a group if it has a limit of memory and there can be one."""
        if not task.batch.mem_mib or not self._cgroups.enter(task):
            return start(task)
        failure: Optional[Failure] = None
        fits = True
        try:
            failure = start(task)
        finally:
            fits = self._cgroups.leave(task)
        if failure is not None:
            self._cgroups.over(task)
        elif not fits:
            self._loop.at(0.0, lambda: self._end_full(task))
        return failure

    def _end_full(self, task: Task) -> None:
        if self._running.get(task.pid) is task and task.active:
            self._killer.end(task, "memory", 0.0)
            task.note = _full(task)

    def watch(self, task: Task) -> None:
        """Look after a task from now on."""
        if task.batch.mem_mib and task.cgroup:
            self._memory.by(monotonic() + _MEMORY_EVERY_S)
        elif task.batch.mem_mib:
            self._memory.by(max(self._first_look, monotonic() + _FIRST_LOOK_S))
            self._peek.by(monotonic())
        if task.batch.disk_mib:
            self._disk.by(monotonic() + _DISK_EVERY_S)

    def ended(self, task: Task, outcome: Outcome) -> None:
        """See what a task that is over died of; remove what it had of us."""
        if task.cgroup:
            self._explain(task, outcome)
            self._cgroups.over(task)
        elif task.batch.mem_mib and not task.reason and outcome[1] is not None:
            peak = self._peak_memory.exact_mib(task, outcome[1]) * MIB
            faults = outcome[1].ru_minflt + task.used_faults
            most = without_files(peak, task.mapped_bytes, faults, self._huge_pages)
            if most > task.batch.mem_mib * MIB + _SLACK_BYTES:
                task.reason = "memory"
                task.note = joined(_used("used", most, task.batch.mem_mib, "mem"), task.note)
        judge_fetch(task, outcome[0])
        remove_scratch(task)
        remove_copy(task)
        remove_script(task)

    def _look_at_memory(self) -> None:
        before = process_time()
        tasks = [task for task in self._running.values() if task.batch.mem_mib and task.known and task.active]
        everybody = census() if tasks else None
        if everybody is None:
            return
        for task, procs in self._owners.shares(everybody, tasks):
            if task.cgroup and not task.reason and self._cgroups.kills(task) and self._cgroups.harm(task).full:
                self._end_full(task)
                continue
            self._cgroups.enclose(task, task.batch.mem_mib, [proc.pid for proc in procs])
            limit = task.batch.mem_mib * MIB
            if task.cgroup:
                limit += _SLACK_BYTES
            had = sum(proc.pages for proc in procs) * _PAGE
            if had > limit:
                used = _used_bytes(procs, limit)
                if used > limit:
                    self._killer.end(task, "memory", 0.0)
                    if task.reason == "memory":
                        task.note = _used("used", used, task.batch.mem_mib, "mem")
                else:
                    own = sum(_own_bytes(proc.pid)[0] for proc in procs)
                    task.surplus_bytes = own - used if own else 0.0  # 0: it has ended meanwhile
        now, took_s = monotonic(), process_time() - before
        self._first_look = now + _FIRST_RARITY * took_s
        self._memory.by(now + max(_MEMORY_EVERY_S, _RARITY * took_s))

    def _peek_at_memory(self) -> None:
        """Look at the families of leaders that have no group, as often as what grows there needs it."""
        before, now = process_time(), monotonic()
        next_s = _MEMORY_EVERY_S
        some = False
        for task in self._running.values():
            if not task.batch.mem_mib or task.cgroup or task.reason or not task.known or not task.active:
                continue
            some = True
            pairs = [_own_bytes(pid) for pid in family(task.pid)]
            used, mapped = sum(own for own, _others in pairs), max(others for _own, others in pairs)
            left = task.batch.mem_mib * MIB - used + task.surplus_bytes
            if left <= 0:
                self._memory.by(0.0)
                next_s = min(next_s, _FIRST_LOOK_S)
            rate = (used - task.used_bytes) / max(now - task.used_at, 0.001) if task.used_at else 0.0
            task.mapped_bytes = max(mapped, task.mapped_bytes)
            if now - task.started < _YOUNG_S:
                rate = max(rate, _GROWTH_BYTES_S)
            if left > 0 and rate > 0:
                next_s = min(next_s, left / rate / 2)
            task.used_bytes, task.used_at = used, now
            now = monotonic()
        if some:
            self._peek.by(now + max(next_s, _PEEK_EVERY_S, _RARITY * (process_time() - before)))

    def _explain(self, task: Task, outcome: Outcome) -> None:
        """Say so when the kernel killed something of a task for memory, unless it was ended for another reason."""
        harm = self._cgroups.harm(task)
        status, _usage = outcome
        kills = harm.kills
        if kills is None:
            kills = int(harm.full and status is not None and os.WIFSIGNALED(status))
        if not kills or task.reason:
            return
        note = _full(task) if harm.full else "the node had no memory left"
        if status == 0:
            note = "one of its processes was killed: " + note
        task.reason = "memory"
        task.note = joined(note, task.note)

    def _look_at_disk(self) -> None:
        """Continue the walk through all folders, or begin another one."""
        try:
            next(self._walk)
        except StopIteration:
            tasks = [task for task in self._running.values() if task.batch.disk_mib and task.known and task.active]
            if tasks:
                self._walk = self._walk_all(tasks)
                self._disk.by(0.0)
            return
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
            if used > limit and not task.reason and task.active:
                self._killer.end(task, "disk")
                task.note = _used("wrote", used, task.batch.disk_mib, "disk")
        yield


def without_files(peak: float, mapped: int, faults: int, huge: bool) -> float:
    """Return how much of the most memory that a process has had can be its own.

    The system's figure has pages of files in it. What was not seen of them is told by the faults: each brings in one
    page of memory, but of a file as many as are at hand.

    Parameters
    ----------
    peak : float
        The system's figure, in bytes.
    mapped : int
        Bytes of files that were seen.
    faults : int
        Page faults of all processes.
    huge : bool
        Whether a fault may bring in 2 MiB of memory as well: then it only tells how much may be of files.
    """
    if huge:
        return peak - max(mapped, faults * _FAULT_AROUND_BYTES)
    return min(peak - mapped, faults * float(_PAGE))


def _own_bytes(pid: int) -> Tuple[int, int]:
    """Return the private bytes of a process, as far as a quick look tells, and its others."""
    pages, others = resident_pages(pid)
    return _PAGE * (pages - others), _PAGE * others


def _used_bytes(procs: List[Proc], enough: float) -> float:
    """Return the memory of processes; what they share counts once only if it is more than `enough` otherwise."""
    used = 0.0
    for look in (in_use, share):
        found = ((look(proc.pid), proc) for proc in procs)
        used = float(sum(proc.pages * _PAGE if nbytes is None else nbytes for nbytes, proc in found))
        if used <= enough:
            break
    return used


def _full(task: Task) -> str:
    return "used all of its {:,.0f} MiB; ask for more with --mem".format(task.batch.mem_mib)


def _used(verb: str, nbytes: float, limit_mib: float, option: str) -> str:
    return "{} {:,.0f} MiB of {:,.0f} MiB; ask for more with --{}".format(verb, nbytes / MIB, limit_mib, option)
