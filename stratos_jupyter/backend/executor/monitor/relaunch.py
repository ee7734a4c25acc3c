"""Relaunchers: asked once what to start instead of a task that its monitor has ended.

The task is over, and its slot goes on; only its record waits for the answer. What a relauncher prints counts if it
exits with 0 and in time: commands, one a line.
"""

from time import monotonic
from typing import Any, Callable, Dict, List, Set

from ..loop import Alarm, Loop
from ..process.exits import Outcome
from ..process.spawn import CannotStart, explain
from ..work import Key, Task
from .function import COMMANDS_LIMIT
from .helper_process import Helper, Helpers, explain_start
from .monitor import TaskMonitor, environment

#: How long a relauncher may take.
RELAUNCHER_S = 60.0


class PrintedCommands:
    """The output of a relauncher: whole lines, up to the limit."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._too_long = False

    def take(self, data: bytes) -> None:
        """Keep `data`."""
        room = COMMANDS_LIMIT - len(self._data)
        self._too_long = self._too_long or len(data) > room
        self._data += data[: max(room, 0)]

    def get(self) -> List[str]:
        """Return the commands."""
        data = bytes(self._data)
        if self._too_long:
            data = data[: data.rfind(b"\n") + 1]  # half a command is none
        return [line.decode("utf-8", "surrogateescape") for line in data.split(b"\n") if line.strip()]

    @property
    def trouble(self) -> str:
        """What was wrong with the output; "" for nothing."""
        return "only the first 4 MiB of the relauncher's commands are kept" if self._too_long else ""


class _Pending:
    """A record that waits."""

    def __init__(self, task: Task, outcome: Outcome) -> None:
        self.task = task
        self.outcome = outcome
        self.deadline = monotonic() + RELAUNCHER_S
        self.helper: Any = None


class Relaunchers:
    """Asks relaunchers.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    helpers : Helpers
        Starts them.
    report : callable
        Gets each task whose record can be reported.
    """

    def __init__(self, loop: Loop, helpers: Helpers, report: Callable[[Task, Outcome], None]) -> None:
        self._helpers = helpers
        self._report = report
        self._pending: Dict[Task, _Pending] = {}
        self._alarm = Alarm(loop, self._check_time)
        self._stopping = False

    @property
    def waiting(self) -> List[Task]:
        """Tasks that are over and have not been reported."""
        return list(self._pending)

    def ask(self, monitor: TaskMonitor, outcome: Outcome) -> bool:
        """Ask what follows a task that is over; False when its record need not wait."""
        task = monitor.task
        if monitor.output is None or not monitor.plan.relauncher:
            return False
        if self._stopping:
            monitor.notes.add("relauncher not asked: the executor was stopped")
            return False
        argv = [*monitor.plan.relauncher, monitor.output]
        context = task.batch.context
        pending = _Pending(task, outcome)
        pending.helper = Helper(
            task.mark + b".relauncher", PrintedCommands(), lambda helper: self._answered(pending, helper)
        )
        try:
            self._helpers.start(pending.helper, argv, context, environment(task))
        except CannotStart as error:
            monitor.notes.add("relauncher: " + (explain_start(error, argv[0]) or explain(error, context.cwd)))
            return False
        self._pending[task] = pending
        self._alarm.by(pending.deadline)
        return True

    def kill(self, wanted: Set[Key]) -> None:
        """Let nothing follow those of the tasks that are `wanted`."""
        for task, pending in list(self._pending.items()):
            if (task.number, task.attempt) in wanted:
                self._drop(pending, "relauncher killed with the task")

    def stop(self) -> None:
        """Kill all of them, report what waits."""
        self._stopping = True
        for pending in list(self._pending.values()):
            self._drop(pending, "relauncher killed: the executor was stopped")

    def _check_time(self) -> None:
        now = monotonic()
        for pending in list(self._pending.values()):
            if pending.deadline <= now:
                self._drop(pending, "relauncher killed: it ran longer than {:g} s".format(RELAUNCHER_S))
            else:
                self._alarm.by(pending.deadline)

    def _drop(self, pending: _Pending, why: str) -> None:
        self._helpers.drop(pending.helper)
        self._close(pending, why)

    def _answered(self, pending: _Pending, helper: Helper) -> None:
        failure = helper.failure
        if failure:
            self._close(pending, "relauncher " + failure)
        else:
            pending.task.monitor.commands = helper.out.get()
            self._close(pending, helper.out.trouble)

    def _close(self, pending: _Pending, trouble: str) -> None:
        task = pending.task
        del self._pending[task]
        if trouble:
            task.monitor.notes.add(trouble)
        self._report(task, pending.outcome)
