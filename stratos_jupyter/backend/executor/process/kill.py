"""End tasks so that nothing of them is left.

Only processes below us are looked at, let alone killed; owners.py tells which task each belongs to.

To end a task: TERM to all of it (and CONT, for a stopped process cannot obey); once only zombies are left it is over;
after the grace time KILL, again and again at growing intervals, because processes fork while we look; after ten
seconds of that we give up and say so. The leader is reaped last: as long as it is a zombie, its process id, hence
the group's, cannot belong to another process.

What a task leaves behind when it ends by itself is killed too, where we have adopted anything that may be its: what is
known to be its at once, and named in its note; the rest, which may be a neighbour's, by a sweep over /proc.
"""

import os
import signal
from contextlib import suppress
from time import monotonic, sleep
from typing import Callable, Dict, Iterable, List, Optional, Set, Tuple

from ..loop import Alarm, Loop
from ..monitor.helper_process import Helper
from ..work import Task
from .adopted import Adopted
from .cgroup import Cgroups
from .owners import Owner, Owners
from .procs import Census, Proc, census, process, reap_children, title

#: How long processes that survive KILL are waited for.
GIVE_UP_S = 10.0

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_GROWTH = 1.5
#: Between sweeps while tasks end; a slow sweep (many processes) is made rarer, to cost at most 2 %.
_SWEEP_EVERY_S = 0.5
_SWEEP_RARITY = 50
#: How often a look is repeated that finds only orphans that have just exited, ...
_LOOKS = 4
#: ... and for how long processes that fork and exit all the time are hunted in one turn.
_HUNT_S = 0.020
_LAST_SWEEP_S = 2.0


class Killer:
    """Ends tasks, and what tasks have left behind.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    running : dict
        Tasks by the process id of their leader, which has not been reaped.
    helpers : dict
        Helpers that live, by the process id of their leader.
    adopted : Adopted
        Reaps orphans.
    owners : Owners
        Finds the owner of a process.
    over : callable
        Gets each task of which nothing is left.
    cgroups : Cgroups
        Kill all that is in the group of a task.
    """

    def __init__(
        self,
        loop: Loop,
        running: Dict[int, Task],
        helpers: Dict[int, Helper],
        adopted: Adopted,
        owners: Owners,
        over: Callable[[Task], None],
        cgroups: Cgroups,
    ) -> None:
        self._loop = loop
        self._running = running
        self._helpers = helpers
        self._adopted = adopted
        self._owners = owners
        self._over = over
        self._cgroups = cgroups
        self._next_sweep = 0.0
        self._sweep = Alarm(loop, self._sweep_now)
        self._pause_s = _FIRST_PAUSE_S
        #: Orphans, with their start, that may belong to a task that is over: no note names them.
        self._doubtful: Set[Tuple[int, int]] = set()

    def end(self, task: Task, reason: str, grace_s: Optional[float] = None) -> None:
        """Begin to end a running task; `over` is called when it is done. A grace that it has can become shorter."""
        if grace_s is None:
            grace_s = task.batch.context.grace_s
        if task.reason:
            hard_at = monotonic() + grace_s
            if hard_at < task.hard_at and task.alarm is not None:
                task.hard_at = hard_at
                if grace_s > 0:
                    task.alarm.by(hard_at)
                else:
                    self._step(task)
            return
        task.reason = reason
        if task.monitor is not None:
            task.monitor.stop()
        task.hard_at = monotonic() + grace_s
        task.pause_s = _FIRST_PAUSE_S
        task.alarm = Alarm(self._loop, lambda: self._step(task))
        if grace_s > 0:
            self._ask(task)
            # Once the leader has exited, nothing else tells of an end.
            task.alarm.by(min(task.hard_at, monotonic() + task.pause_s) if task.exited else task.hard_at)
        else:
            self._step(task)

    def exited(self, task: Task) -> None:
        """See what is left of a task that is being ended and whose leader has exited."""
        self._step(task)

    def _step(self, task: Task) -> None:
        if self._running.get(task.pid) is not task or task.alarm is None:
            return
        left, unsure = self._look(task)
        now = monotonic()
        if task.exited and not left and not unsure:
            self._over(task)
            return
        if now < task.hard_at:
            # While the leader is there, its exit will tell.
            task.alarm.by(min(task.hard_at, now + task.pause_s) if task.exited else task.hard_at)
        elif now < task.hard_at + GIVE_UP_S:
            send_group(task, signal.SIGKILL)
            self._cgroups.kill(task)
            _send((proc.pid for proc in left), signal.SIGKILL)
            if unsure or any(proc.group != task.pid for proc in left):
                self._hunt(task)
            task.alarm.by(monotonic() + task.pause_s)
        else:
            pids = sorted(proc.pid for proc in left)
            if pids or not task.exited:
                task.note = "could not be ended: process {}".format(", ".join(map(str, pids or [task.pid])))
            self._over(task)
            return
        task.pause_s = min(task.pause_s * _GROWTH, _LONGEST_PAUSE_S)

    def _ask(self, task: Task) -> None:
        """Send TERM, once to each: programs take a second one for impatience."""
        others = [proc.pid for proc in self._look(task)[0] if proc.group != task.pid]
        for number in (signal.SIGTERM, signal.SIGCONT):
            send_group(task, number)
            _send(others, number)

    def _look(self, task: Task) -> Tuple[List[Proc], bool]:
        """Return the live processes of `task`, its leader included, and whether some may have been overlooked."""
        procs: List[Proc] = []
        for _again in range(_LOOKS):
            everybody = census()
            if everybody is None:
                # All that we can know of is the group; once its leader has exited, it has to count as gone.
                return [], False
            ((_task, procs),) = self._owners.shares(everybody, [task])
            exited = self._owners.just_exited(everybody)
            if procs or not any(task in self._owners.of(proc, everybody) for proc in exited):
                return procs, False
        return procs, True

    def _hunt(self, task: Optional[Task]) -> None:
        """KILL those orphans of `task`, or of no task, that fork and exit faster than a census can look."""
        owners: List[Owner] = [] if task is None else [task]
        known = [*self._running, *self._helpers]
        leaders = {pid: proc for pid, proc in ((pid, process(pid)) for pid in known) if proc is not None}
        everybody = Census(leaders)
        seen: Set[int] = set()
        until = monotonic() + _HUNT_S
        fresh = True
        while fresh and monotonic() < until:
            fresh = False
            for pid in self._adopted.pids() or ():
                if pid in leaders:
                    continue
                proc = None if self._adopted.reap(pid) or pid in seen else process(pid)
                if proc is None:
                    fresh = True  # it has just exited, or will at once: then its own child, if any, comes to us
                elif self._owners.of(proc, everybody) == owners:
                    _send([pid], signal.SIGKILL)
                    seen.add(pid)
                    fresh = True

    def end_rest(self, task: Task) -> List[bytes]:
        """Kill what is left of a task that has ended by itself; return the names of the programs."""
        everybody = census()
        if everybody is None:
            return []
        live = {(proc.pid, proc.started) for proc in everybody.procs.values()}
        self._doubtful &= live
        for proc in self._owners.children(everybody):
            owners = self._owners.of(proc, everybody)
            if len(owners) > 1 and task in owners:
                self._doubtful.add((proc.pid, proc.started))
        ((_task, procs),) = self._owners.shares(everybody, [task])
        others = everybody.family(proc.pid for proc in procs if (proc.pid, proc.started) in self._doubtful)
        names = [title(proc.pid)[0] for proc in procs if proc.pid != task.pid and proc not in others]
        self._cgroups.kill(task)
        _send([proc.pid for proc in procs if proc.pid != task.pid], signal.SIGKILL)
        if procs:
            self.sweep_soon()
        return names

    def task_ended(self) -> None:
        """Note that a task has ended by itself and may have left something behind."""
        self._sweep.by(max(self._next_sweep, monotonic() + _SWEEP_EVERY_S))

    def sweep_soon(self) -> None:
        """Sweep as soon as this turn is over: some process is left for sure, or nothing runs."""
        self._sweep.by(0.0)

    def _sweep_now(self) -> None:
        self.sweep()

    def sweep(self) -> bool:
        """Kill what belongs to no task that runs; True when there was something."""
        # Where nothing runs, what that reaps was an orphan.
        if not self._running and not self._helpers and not reap_children():
            return False
        before = monotonic()
        victims, unsure = self._look_for_orphans()
        if victims or unsure:
            _send((proc.pid for proc in victims), signal.SIGKILL)
            self._hunt(None)
        now = monotonic()
        self._next_sweep = now + max(_SWEEP_EVERY_S, _SWEEP_RARITY * (now - before))
        # When nothing runs, the system itself knows whether a process is left.
        left = bool(victims) or unsure if self._running or self._helpers else reap_children()
        if left:
            self._sweep.by(now + self._pause_s)
            self._pause_s = min(self._pause_s * _GROWTH, _LONGEST_PAUSE_S)
        else:
            self._pause_s = _FIRST_PAUSE_S
        return left

    def sweep_all(self) -> None:
        """Sweep until nothing is left, for a while: this process is about to exit."""
        until = monotonic() + _LAST_SWEEP_S
        while self.sweep() and monotonic() < until:
            sleep(_FIRST_PAUSE_S)

    def _look_for_orphans(self) -> Tuple[List[Proc], bool]:
        """Return the live processes that belong to no task, and whether some may have been overlooked."""
        victims: List[Proc] = []
        for _again in range(_LOOKS):
            everybody = census()
            if everybody is None:
                return [], False
            orphans = self._owners.children(everybody)
            victims = everybody.family(proc.pid for proc in orphans if not self._owners.of(proc, everybody))
            if victims or all(self._owners.of(proc, everybody) for proc in self._owners.just_exited(everybody)):
                return victims, False
        return victims, True


def send_group(task: Task, number: int) -> None:
    """Send a signal to the group of a task whose leader has not been reaped."""
    try:
        os.killpg(task.pid, number)
    except OSError:
        pass  # gone, or not ours any more (setuid)


def _send(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, number)
