"""The most memory that one process of a task has had, as far as it can be told.

The system's own figure (``ru_maxrss``) is exact above our own size only: it begins with the most that *we* have had,
because a child is us until its program runs. Below that, what was seen counts: after 5 ms, when the task is told of,
and ever more rarely after that. Of what was too short to be seen, the pages that it faulted in are counted: no less
was ever touched, unless it gave some back. A program that is short and small may have had more than that, but not
more than us.
"""

import os
import sys
from collections import deque
from functools import partial
from time import monotonic
from typing import Any, Deque, Dict

from ..loop import Alarm, Loop
from ..work import Task
from .procs import family, peak_kib, resident_pages

_UNIT = 1048576.0 if sys.platform == "darwin" else 1024.0
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
#: The first look is made at this age.
_YOUNG_S = 0.005
#: What ends sooner may have been seen too early, on a busy machine.
_SHORT_S = 0.1
#: The next look is made when a task is so many times as old, ...
_GROWTH = 3.0
#: ... and after this long at the latest.
_LONGEST_PAUSE_S = 30.0


class PeakMemory:
    """Looks at the memory of tasks.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    running : dict
        Tasks by the process id of their leader.
    """

    def __init__(self, loop: Loop, running: Dict[int, Task]) -> None:
        self._loop = loop
        self._running = running
        self._pid = os.getpid()
        self._own_kib = peak_kib(self._pid)
        self._young: Deque[Task] = deque()
        self._look = Alarm(loop, self._look_at_young)

    def started(self, task: Task) -> None:
        """Note that a task has been started."""
        self._young.append(task)
        self._look.by(task.started + _YOUNG_S)

    def _look_at_young(self) -> None:
        young = self._young
        until = monotonic() - _YOUNG_S
        while young and young[0].started <= until:
            task = young.popleft()
            if self._running.get(task.pid) is task:
                task.seen_kib = _PAGE_KIB * resident_pages(task.pid)[0]
        if young:
            self._look.by(young[0].started + _YOUNG_S)

    def watch(self, task: Task) -> None:
        """Look at a task now and then from now on."""
        if self._running.get(task.pid) is not task or not task.active:
            return
        task.seen_kib = max([task.seen_kib, *map(peak_kib, family(task.pid))])
        if task.seen_kib <= self._own_kib:  # else the system's figure will be exact
            age_s = monotonic() - task.started
            pause_s = min((_GROWTH - 1.0) * age_s, _LONGEST_PAUSE_S)
            self._loop.at(monotonic() + pause_s, partial(self.watch, task))

    def exact_mib(self, task: Task, usage: Any) -> float:
        """Return the most that a process of a task that is over has had, where the system can tell; else 0."""
        most = usage.ru_maxrss
        if most > self._own_kib:
            self._own_kib = peak_kib(self._pid)  # it may have grown
        return float(max(task.used_rss, most if most > self._own_kib else 0)) / _UNIT

    def most_mib(self, task: Task, usage: Any) -> float:
        """Return the most that a process of a task that is over has had, as far as is known."""
        seen_kib = task.seen_kib
        if task.finished_at - task.started_at < _SHORT_S:
            seen_kib = max(seen_kib, min(_PAGE_KIB * usage.ru_minflt, self._own_kib))
        return max(self.exact_mib(task, usage), seen_kib / 1024.0)
