"""The most memory that one process of a task has had, as far as it can be told.

The system's own figure (``ru_maxrss``) is exact above our own size only: it begins with the most that *we* have had,
because a child is us until its program runs. Below that, what was seen counts: right after the start, when the task is
told of, and ever more rarely after that. A program that is short and small may have had more than was seen, but not
more than we have.
"""

import os
import sys
from collections import deque
from functools import partial
from time import monotonic
from typing import Any, Deque, Dict, List

from .loop import Alarm, Loop
from .procs import family, peak_kib, resident_pages
from .work import Task

_UNIT = 1048576.0 if sys.platform == "darwin" else 1024.0
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
#: The second look is made at this age.
_YOUNG_S = 0.002
#: The next look is made when a task is so many times as old, ...
_GROWTH = 3.0
#: ... and after this long at the latest.
_LONGEST_PAUSE_S = 30.0


class Sizes:
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
        self._fresh: List[Task] = []
        self._young: Deque[Task] = deque()
        self._look = Alarm(loop, self._look_at_young)

    def started(self, task: Task) -> None:
        """Note that a task has been started; `look_at_fresh` looks at it, a little later."""
        self._fresh.append(task)

    def look_at_fresh(self) -> None:
        """Look at those that have just been started; they are looked at once more when they are a little older."""
        fresh, self._fresh = self._fresh, []
        for task in fresh:
            self._see(task)
            self._young.append(task)
            self._look.by(task.started + _YOUNG_S)

    def _look_at_young(self) -> None:
        until = monotonic() - _YOUNG_S
        while self._young and self._young[0].started <= until:
            self._see(self._young.popleft())
        if self._young:
            self._look.by(self._young[0].started + _YOUNG_S)

    def _see(self, task: Task) -> None:
        if self._running.get(task.pid) is task:
            task.seen_kib = max(task.seen_kib, _PAGE_KIB * resident_pages(task.pid))

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
        return max(self.exact_mib(task, usage), task.seen_kib / 1024.0)
