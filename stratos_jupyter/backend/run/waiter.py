"""Waiting until tasks have ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from ..core.ranges import TaskRanges
from ..core.scheduler import Scheduler


class Waiter:
    """One wait until tasks have ended, and those that their monitors asked for.

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
        if self.future.set_running_or_notify_cancel():  # its caller may have given up
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


class Waiters:
    """All that waits for tasks of one run."""

    def __init__(self) -> None:
        self._waiters: list[Waiter] = []

    def add(self, tasks: range | None, became: Iterable[tuple[int, range]]) -> Waiter:
        """Return a new one; `became` are tasks that monitors asked for before."""
        waiter = Waiter(tasks)
        for origin, spawned in became:
            waiter.follow(origin, spawned)
        self._waiters.append(waiter)
        return waiter

    def follow(self, origin: int, tasks: range) -> None:
        """Let those wait for `tasks` as well that wait for the task whose monitor asked for them."""
        for waiter in self._waiters:
            waiter.follow(origin, tasks)

    def look(self, scheduler: Scheduler, show: Callable[[], None]) -> None:
        """Answer those whose tasks have ended, and all when nothing will happen before the user acts.

        `show` is called before any is answered: a caller that waited for the end must not see an older view.
        """
        if not self._waiters:
            return
        done = [waiter for waiter in self._waiters if waiter.future.cancelled() or waiter.look(scheduler)]
        if done:
            show()
        self._waiters = [waiter for waiter in self._waiters if waiter not in done]
        for waiter in done:
            waiter.answer(True)
        if scheduler.stuck:
            show()
            self.give_up()

    def give_up(self) -> None:
        """Answer all that their tasks have not ended."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.answer(False)

    def __len__(self) -> int:
        return len(self._waiters)
