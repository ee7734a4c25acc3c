"""Monitors: programs, or Python functions, that look at a task while it runs and may end it.

Each task has its own rhythm: a first call when one interval of its run is over, then one each interval; what cannot
be done in time is left out and not made good later. A call that still runs when the next one is due is killed. Trouble
with a monitor is noted on the task and stops nothing. As soon as a task ends, for whatever reason, its monitor is
killed and what it would have said is void.
"""

import errno
import re
from time import monotonic
from typing import Callable, List, Optional, Set, Tuple

from ..loop import Alarm, Loop
from ..notes import Notes
from ..output.monitored_stream import MonitoredStream, Newest, argument, fit
from ..process.spawn import CannotStart, explain
from ..work import Task, encode
from .function import Question, program
from .helper_process import Helper, Helpers, explain_start, last_line
from .plan import WatchPlan

#: A line that begins with this ends the task.
KEYWORD = b"stratos_relaunch"

_LINE = re.compile(rb"^" + KEYWORD, re.MULTILINE)
_WORD = re.compile(rb"^" + KEYWORD + rb"[ \t]*", re.MULTILINE)
# How long one turn of the loop may start monitors.
_SHARE_S = 0.02
# Errors that may have passed by the next call.
_PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY, errno.ENOSPC)


class Printed(Newest):
    """The output of a monitor; the keyword counts even in the part that is cut."""

    asked = False
    _start = 0

    def _cut(self, kept: bytearray) -> None:
        # `^` matches where the whole begins, but not where a search does.
        self.asked = self.asked or _LINE.search(kept, self._start) is not None
        self._start = 1


class TaskMonitor:
    """The monitor of one task."""

    def __init__(self, monitors: "Monitors", task: Task, plan: WatchPlan) -> None:
        self._monitors = monitors
        self.task = task
        self.plan = plan
        self.due = task.started + plan.interval_s
        self.helper: Optional[Helper] = None
        self.question: Optional[Question] = None
        self.notes = Notes()
        #: What the monitor printed when it ended the task, for the relauncher; None when that is not asked.
        self.output: Optional[bytes] = None
        #: What the monitor itself wants to be started instead.
        self.commands: List[str] = []

    def stop(self) -> None:
        """Watch no longer."""
        self._monitors.forget(self)

    def renounce(self) -> None:
        """Let nothing follow the end of the task."""
        self.output = None
        self.commands = []


class Monitors:
    """Calls monitors.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    helpers : Helpers
        Starts what we call.
    read : callable
        Reads what a task has written so far.
    end : callable
        Ends a task because its monitor says so.
    """

    def __init__(self, loop: Loop, helpers: Helpers, read: Callable[[Task], None], end: Callable[[Task], None]) -> None:
        self._helpers = helpers
        self._read = read
        self._end = end
        self._watched: Set[TaskMonitor] = set()
        self._alarm = Alarm(loop, self._call_those_due)

    def watch(self, task: Task, plan: WatchPlan) -> None:
        """Watch a task from now on."""
        task.monitor = monitor = TaskMonitor(self, task, plan)
        if not task.reason:
            self._watched.add(monitor)
            self._alarm.by(monitor.due)

    def forget(self, monitor: TaskMonitor) -> None:
        """Watch a task no longer; a monitor that runs is killed."""
        self._watched.discard(monitor)
        if monitor.helper is not None:
            self._helpers.drop(monitor.helper)
            monitor.helper = None
        self._close(monitor)

    def _call_those_due(self) -> None:
        began = monotonic()
        for monitor in sorted(self._watched, key=lambda monitor: monitor.due):
            now = monotonic()
            if monitor.due > now or now - began > _SHARE_S:
                self._alarm.by(max(monitor.due, now))
                return
            self._call(monitor, now)
            if monitor in self._watched:
                self._alarm.by(monitor.due)

    def _call(self, monitor: TaskMonitor, now: float) -> None:
        interval_s = monitor.plan.interval_s
        monitor.due += interval_s * (1 + int((now - monitor.due) / interval_s))
        if monitor.due <= now:
            monitor.due = now + interval_s
        helper = monitor.helper
        if helper is not None:
            monitor.helper = None
            self._helpers.drop(helper)
            monitor.notes.add("monitor killed: it ran longer than {:g} s".format(interval_s))
            self._close(monitor)
            self._judge(monitor, helper, killed=True)
            if monitor not in self._watched:
                return
        self._read(monitor.task)
        failure = self._start(monitor)
        if failure is not None:
            lasting, text = failure
            monitor.notes.add("monitor: " + text)
            self._close(monitor)
            if lasting:
                self._watched.discard(monitor)

    def _start(self, monitor: TaskMonitor) -> Optional[Tuple[bool, str]]:
        """Call a monitor; when that fails, return whether it always would, and why."""
        task, plan = monitor.task, monitor.plan
        context = task.batch.context
        streams = [stream for stream in (task.out, task.err) if isinstance(stream, MonitoredStream)]
        heard = [stream.hear() for stream in streams]
        stdin = -1
        try:
            if plan.argv:
                argv = [*plan.argv, b"%d" % task.pid, argument(*heard)]
            else:
                monitor.question = Question(plan, task.pid, *heard)
                stdin = monitor.question.stdin
                argv = program()
            helper = Helper(task.mark + b".monitor", Printed(), lambda helper: self._ended(monitor, helper))
            self._helpers.start(helper, argv, context, environment(task), stdin)
        except CannotStart as error:
            failure = explain_start(error, argv[0]) or explain(error, context.cwd)
            lasting = error.number not in _PASSING
        except OSError as error:
            failure = "cannot be asked: {}; its question goes through the folder for temporary files".format(error)
            lasting = False
        else:
            monitor.helper = helper
            return None
        for stream, one in zip(streams, heard):
            stream.put_back(one)
        return lasting, failure

    def _ended(self, monitor: TaskMonitor, helper: Helper) -> None:
        """Note that a monitor has exited."""
        monitor.helper = None
        name = monitor.plan.name
        answer = None
        if monitor.question is not None:
            answer = monitor.question.answer()
            self._close(monitor)
        if helper.failure:
            monitor.notes.add("{} {}".format(name or "monitor", helper.failure))
        elif name and answer is None:
            monitor.notes.add("{} ended without an answer".format(name))
        if answer is not None:
            if answer.trouble:
                monitor.notes.add(answer.trouble)
            if answer.text:
                helper.out.take_line(answer.text)
            if answer.commands is not None:
                self._say(monitor, fit(helper.out.get()))
                monitor.commands = answer.commands
                self._end_task(monitor)
                return
        self._judge(monitor, helper)

    def _judge(self, monitor: TaskMonitor, helper: Helper, killed: bool = False) -> None:
        """See what a monitor has printed."""
        text = fit(helper.out.get())
        self._say(monitor, text)
        if killed:
            # Its last line may lack what it was about to say; `helper.out.asked` tells of lines long finished.
            text = text[: text.rfind(b"\n") + 1]
        if helper.out.asked or _LINE.search(text):
            monitor.output = _WORD.sub(b"", text).strip()
            self._end_task(monitor)

    def _end_task(self, monitor: TaskMonitor) -> None:
        self._end(monitor.task)
        if monitor.task.reason != "monitor":
            monitor.renounce()  # it has ended by itself in this very moment

    def _say(self, monitor: TaskMonitor, text: bytes) -> None:
        """Keep the last line for a person."""
        last = text.rstrip().rpartition(b"\n")[2]
        if last and not last.startswith(KEYWORD):
            monitor.notes.said = last_line(last)

    def _close(self, monitor: TaskMonitor) -> None:
        if monitor.question is not None:
            monitor.question.close()
            monitor.question = None


def environment(task: Task) -> List[bytes]:
    """Return the environment of a task, but for its mark."""
    file = task.item[3]
    env = task.batch.context.env
    return env if file is None else [*env, b"STRATOS_FILE=" + encode(file)]
