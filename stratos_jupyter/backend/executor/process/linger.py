"""Waiting for what a task has put into the background: ``tee >(sort > f)``, ``a &``, ``nohup b &``.

A task whose leader has exited goes on as long as a process of its session lives. Its exit code is the leader's.

Rule 1. A process that has left the session (``setsid``, a daemon) is not waited for: it is ended with the task.
Rule 2. Without a bound of the job (``linger_s``) they are waited for to their end; the task's own time limit holds. A
bound that strikes ends the task for the reason "timeout".
Rule 3. After a leader that has failed they are given the grace time: a process that writes down the leader's output can
finish that, and a server does not hold the task. What is left then is ended, and the reason stays the leader's.
Rule 4. They are looked at whenever an orphan has exited, and now and then, because leaving a session makes no signal.
"""

from time import monotonic
from typing import Any, Callable, Dict, List, Optional

from ..loop import Alarm, Loop
from ..monitor.helper_process import one_line
from ..notes import WAITING
from ..work import Task
from .adopted import Adopted, session
from .procs import Proc, title

#: What is waited for is told after this long, and again when it has changed after this long.
SAY_S = 10.0

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0
_GROWTH = 1.5
#: Named in a line; of tasks that wait, told of at once.
_NAMES = 5
_ROWS = 50


class LingeringTask:
    """A task that lingers."""

    def __init__(self, task: Task, bound_s: Optional[float]) -> None:
        self.task = task
        self.since = now = monotonic()
        self.until = None if bound_s is None else now + bound_s
        self.pause_s = _FIRST_PAUSE_S
        self.due = now + _FIRST_PAUSE_S
        self.say_at = now + SAY_S


class Lingering:
    """Waits for background processes of tasks.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    running : dict
        Tasks by the process id of their leader.
    adopted : Adopted
        Tells whether some are left.
    ended : callable
        Gets each task whose waiting is over: nothing of its session is left, or what is left is waited for no longer.
    expired : callable
        Gets each task whose bound strikes.
    tell : callable
        Gets, whenever they change, the rows of tasks that have waited for long: number, attempt, text.
    """

    def __init__(
        self,
        loop: Loop,
        running: Dict[int, Task],
        adopted: Adopted,
        ended: Callable[[Task], None],
        expired: Callable[[Task], None],
        tell: Callable[[List[List[Any]]], None],
    ) -> None:
        self._running = running
        self._adopted = adopted
        self._ended = ended
        self._expired = expired
        self._tell = tell
        self._waits: Dict[int, LingeringTask] = {}
        self._told: List[List[Any]] = []
        self._alarm = Alarm(loop, self.look)

    def takes(self, task: Task) -> bool:
        """Begin to wait for background processes of a task whose leader has exited; False when there are none."""
        context = task.batch.context
        bound_s = context.linger_s
        if not task.well:
            bound_s = context.grace_s if bound_s is None else min(bound_s, context.grace_s)
        if not self._adopted.rest(task) or bound_s == 0:
            return False
        task.lingers = True
        wait = self._waits[task.pid] = LingeringTask(task, bound_s)
        self._alarm.by(wait.due)
        return True

    def look(self) -> None:
        """Look whether what is waited for is still there."""
        for wait in list(self._waits.values()):
            self._look_at(wait)
        for wait in self._waits.values():
            self._alarm.by(wait.due)
        self._say()

    def _look_at(self, wait: LingeringTask) -> None:
        task = wait.task
        now = monotonic()
        over = self._running.get(task.pid) is not task
        if over or task.reason:  # it is being ended
            del self._waits[task.pid]
        elif not self._adopted.rest(task):
            self._end(wait)
        elif wait.until is not None and wait.until <= now:
            if task.well:
                del self._waits[task.pid]
                self._expired(task)
            else:
                self._end(wait)
        elif wait.due <= now:
            wait.pause_s = min(wait.pause_s * _GROWTH, _LONGEST_PAUSE_S)
            wait.due = now + wait.pause_s
            if wait.until is not None:
                wait.due = min(wait.due, wait.until)
            if wait.say_at <= now:
                wait.say_at = now + SAY_S
                task.waiting = WAITING + background(task)

    def _end(self, wait: LingeringTask) -> None:
        del self._waits[wait.task.pid]
        wait.task.lingers = False
        self._ended(wait.task)

    def _say(self) -> None:
        rows = self.rows()
        if rows != self._told:
            self._told = rows
            self._tell(rows)

    def rows(self) -> List[List[Any]]:
        """Return what is to be told of tasks that are waited with for long."""
        tasks = [wait.task for wait in self._waits.values() if wait.task.waiting]
        return [[task.number, task.attempt, task.waiting] for task in tasks[:_ROWS]]


def background(task: Task) -> str:
    """Return what a task that lingers waits for, for a person: ``1 background process: sort (pid 4711)``."""
    procs = session(task)
    if not procs:
        return "background processes"
    return "{} background process{}: {}".format(len(procs), "" if len(procs) == 1 else "es", _listed(procs))


def _listed(procs: List[Proc]) -> str:
    texts = []
    for proc in sorted(procs, key=lambda proc: (proc.started, proc.pid))[:_NAMES]:
        name, stopped = title(proc.pid)
        texts.append("{} (pid {}{})".format(one_line(name, 40) or "?", proc.pid, ", stopped" if stopped else ""))
    more = len(procs) - len(texts)
    return ", ".join(texts) + (" and {:,} more".format(more) if more else "")
