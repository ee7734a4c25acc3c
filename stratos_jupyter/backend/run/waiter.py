"""Who waits until tasks have ended."""

from __future__ import annotations

from concurrent.futures import Future

from ..core.ranges import TaskRanges
from ..core.scheduler import Scheduler


class Waiter:
    """Somebody who waits until tasks have ended, and those that their monitors asked for.

    Its cursor moves on, so all looks cost O(n) together.
    """

    def __init__(self, tasks: range | None) -> None:
        self.future: Future[bool] = Future()
        self._every = tasks is None
        self._tasks = TaskRanges([] if tasks is None else [tasks])
        self._cursor = 0 if tasks is None else tasks.start

    def follow(self, origin: int, tasks: range) -> None:
        """Wait for `tasks` as well, where the monitor that asked for them was that of a task that is waited for."""
        if origin in self._tasks:
            self._tasks.add(tasks)

    def answer(self, ended: bool) -> None:
        """Wait no longer."""
        if self.future.set_running_or_notify_cancel():  # whoever waited may have given up
            self.future.set_result(ended)

    def look(self, scheduler: Scheduler) -> bool:
        """Say whether all that is waited for has ended."""
        table = scheduler.table
        if self._every:
            return table.unended == 0
        for tasks in self._tasks:
            self._cursor = max(self._cursor, tasks.start)
            while self._cursor < tasks.stop:
                if self._cursor >= len(table) or not table.ended(self._cursor):
                    return False
                self._cursor += 1
        return True
