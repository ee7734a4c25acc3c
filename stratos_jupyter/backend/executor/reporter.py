"""Reports to the kernel, gathered for some milliseconds.

One frame for many results costs a fraction of a frame for each. A person does not see thirty milliseconds, and when
nothing is left to be run the report goes out at once.
"""

import os
import signal
from time import monotonic, time
from typing import Any, List, Optional, Sequence, Tuple

from .loop import Alarm, Loop
from .notes import joined, left_text
from .process.exits import Outcome
from .process.peak_memory import PeakMemory
from .record import ended_record, started_record
from .transport.base import ResultSink
from .work import CommandBatch, Task

FLUSH_S = 0.030

#: Of a signal that ends programs for what they did, or that ends them from outside, a shell makes 128 and its number.
_DEADLY = frozenset(
    (*(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL), *(signal.SIGABRT, signal.SIGKILL, signal.SIGTERM))
)


class Reporter:
    """Gathers what is to be told.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    link : ResultSink
        Takes the messages.
    peak_memory : PeakMemory
        Knows how much memory a task has had.
    """

    def __init__(self, loop: Loop, link: ResultSink, peak_memory: PeakMemory) -> None:
        self._peak_memory = peak_memory
        self._link = link
        self._records: List[List[Any]] = []
        self._new: List[Task] = []
        self._alarm = Alarm(loop, self.flush)

    def started(self, task: Task) -> None:
        """Tell that `task` runs, if it still does when it is told."""
        self._new.append(task)
        self._alarm.by(monotonic() + FLUSH_S)

    def ended(self, task: Task, outcome: Outcome, commands: Sequence[str] = ()) -> None:
        """Tell how `task` ended, and which commands are to be started instead."""
        status, usage = outcome
        reason = task.reason
        code = None
        if status is not None:
            code = os.WEXITSTATUS(status)
            signaled = os.WIFSIGNALED(status)
            # As a shell says it, which may or may not have waited for the program: that makes no difference.
            told = 128 + os.WTERMSIG(status) if signaled else code
            if not reason and told > 128 and task.batch.context.success.says("exit", told):
                code = told  # the user has named it
            elif code - 128 in _DEADLY and not reason:
                code, reason = code - 128, "signal"
            elif signaled:
                # For a task that we ended the sign tells a signal from an exit code.
                code = -os.WTERMSIG(status) if reason else os.WTERMSIG(status)
                reason = reason or "signal"
        out, err = task.out, task.err
        reason, note = _promised(task, reason or "exit", code, task.note)
        texts = out.result(), err.result()
        if task.left or out.trouble or err.trouble:
            note = joined(left_text(task.left), note, out.trouble, err.trouble)
        cpu_s = rss_mib = 0.0
        if usage is not None:
            cpu_s = usage.ru_utime + usage.ru_stime + task.used_s
            rss_mib = self._peak_memory.most_mib(task, usage)
        inputs: Sequence[str] = ()
        if task.after:
            inputs = [task.after, task.before] if task.before != task.after else [task.after]
        self._add(
            ended_record(
                task.number, task.attempt, task.batch.id, reason, code, task.started_at, task.finished_at,
                cpu_s, rss_mib, texts[0], texts[1], note, commands, inputs,
            )
        )  # fmt: skip

    def not_started(self, task: Task, reason: str, code: Optional[int], note: str = "") -> None:
        """Tell that `task` could not be started."""
        now = time()
        started_at = None if code is None else now
        reason, note = _promised(task, reason, code, note)
        note = "; ".join(filter(None, (note, task.out.trouble, task.err.trouble)))
        out, err = task.out.result(), task.err.result()
        self._add(
            ended_record(
                task.number, task.attempt, task.batch.id, reason, code, started_at, now,
                stdout=out, stderr=err, note=note,
            )
        )  # fmt: skip

    def never_started(self, batch: CommandBatch, number: int, attempt: int, reason: str) -> None:
        """Tell that a queued command will not be started."""
        self._add(ended_record(number, attempt, batch.id, reason, None, None, time()))

    def _add(self, record: List[Any]) -> None:
        self._records.append(record)
        self._alarm.by(monotonic() + FLUSH_S)

    def flush(self) -> None:
        """Tell it now."""
        if self._new:
            self.announce([task for task in self._new if task.active])
            self._new = []
        if self._records:
            records, self._records = self._records, []
            self._link.report(records)

    def announce(self, tasks: List[Task]) -> None:
        """Tell that `tasks` run."""
        if tasks:
            self._link.say(["started", started(tasks)])


def _promised(task: Task, reason: str, code: Optional[int], note: str) -> Tuple[str, str]:
    """Return reason and note of a task: others where its exit code is well, and what it was to make or say is not."""
    success = task.batch.context.success
    if not success.wants_more(task):
        return reason, note
    broken = success.broken(task) if success.says(reason, code) else ""
    return ("output", joined(note, broken)) if broken else (reason, note)


def started(tasks: List[Task]) -> List[List[Any]]:
    """Return what is told of tasks that run."""
    return [started_record(task.number, task.attempt, task.pid, task.started_at) for task in tasks]
