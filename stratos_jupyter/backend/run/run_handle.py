"""RunHandle: one run as other threads than the driver's hold it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ...errors import JobNotFound
from ..core.events import InputLocation, InputsLocated, PauseAsked
from ..core.rules import Rules
from ..core.views import JobView
from ..engines.base import Tail
from ..forks import Inherited
from ..store.journal import Journal
from .loop import RunLoop
from .thread import Driver

#: how often a waiting cell looks at the newest view, in seconds
PUMP_EVERY_S: Final = 0.1


class RunHandle:
    """One run that this process drives: its newest view, its states, its end, and how to wait for it.

    It knows nothing of commands, of what the job is, and of results: those are a `Job`'s. Any thread may call it; where
    a method must run on the driver thread, its docstring says so.

    Parameters
    ----------
    job_id : str
        The job's name.
    run : int
        Which run of that name this is, from 1.
    journal : Journal
        The run's record, which this process holds.
    driver : Driver
        The thread of its loop.
    make_loop : callable
        Makes the loop.
    """

    def __init__(
        self, job_id: str, run: int, journal: Journal, driver: Driver, make_loop: Callable[[], RunLoop]
    ) -> None:
        self.job_id = job_id
        self.run = run
        self._journal = journal
        self._driver = driver
        self._lock = threading.RLock()
        self._released = False
        self._subscribers: list[Callable[[JobView], None]] = []
        self._loop = make_loop()
        self._view = self._loop.view()

    def __repr__(self) -> str:
        name, view = type(self).__name__, self.view
        return f"<{name} {self.job_id} run {self.run}: {view.done:,}/{view.total:,} done, {view.failed:,} failed>"

    def call(self, function: Callable[[], object]) -> None:
        """Run a function on the driver thread."""
        self._driver.call(function)

    def let_go(self) -> None:
        """Drive the run no longer; what runs goes on. The driver thread calls this."""
        self._released = True
        self._loop.let_go()
        self._journal.close()
        if self._view.ended_at is None:
            left = (
                "this process has let go of it, and does not know how it goes on; "
                f"%stratos attach {self.job_id} brings it back"
            )
            notices = (*self._view.notices, left)
            self.show(replace(self._view, rate_per_s=None, eta_s=None, notices=notices))

    def release(self) -> None:
        """Let go of the journal, when all else is gone."""
        self._journal.close()

    def end(self) -> Future[None]:
        """End what runs; the future is done when all of it is gone."""
        return self._driver.call(self._loop.close)

    @property
    def released(self) -> bool:
        """Whether this process does not hold the run any more."""
        return self._released

    def _ours(self) -> None:
        """Raise JobNotFound when this process does not hold the run any more."""
        if self._released:
            raise JobNotFound(
                f"{self.job_id} run {self.run} is not held by this process any more; %stratos attach {self.job_id}, or "
                "Processor.attach, brings it back"
            )

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._journal.folder

    @property
    def journal(self) -> Journal:
        """Its record, to be read."""
        self._ours()
        return self._journal

    def connections(self) -> list[Inherited]:
        """Return the connections of which a forked child must not keep a copy open."""
        return self._loop.engine.connections()

    # -- what it is -------------------------------------------------------------------------------------

    @property
    def view(self) -> JobView:
        """The newest snapshot."""
        return self._view

    def view_now(self) -> JobView:
        """Return a snapshot of this moment: the newest one may be older, when nothing has happened since."""
        self._ours()
        return self._driver.call(self._loop.view)

    def subscribe(self, callback: Callable[[JobView], None]) -> Callable[[], None]:
        """Call back with each new view, on the driver thread, at most 10 times a second.

        Returns
        -------
        callable
            Ends the subscription.
        """
        with self._lock:
            self._subscribers = [*self._subscribers, callback]

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers = [other for other in self._subscribers if other is not callback]

        return unsubscribe

    def show(self, view: JobView) -> None:
        """Take in a new view; the driver thread calls this."""
        self._view = view
        for callback in self._subscribers:
            callback(view)

    @property
    def halted(self) -> bool:
        """Whether failures have halted it and nothing of it runs: only `resume` makes it go on."""
        return self._loop.scheduler.stuck and bool(self._view.unfinished)

    @property
    def rules(self) -> Rules:
        """Retries, limits and pace as they are now."""
        return self._loop.scheduler.rules

    def attempts(self) -> bytes:
        """Return the numbers of all present attempts by index, two bytes each, in this machine's order."""
        return self._loop.scheduler.table.attempts()

    def flying(self) -> dict[int, tuple[str, float | None]]:
        """Return what is in flight now: the node of each task, and since when it is said to run."""
        self._ours()
        return self._driver.call(self._loop.scheduler.flying)

    @property
    def superseded(self) -> frozenset[int]:
        """Tasks that belong to the job no longer, because its cell was run again: no result shows them."""
        return self._loop.scheduler.table.superseded

    def ended(self, task: int) -> bool:
        """Say whether a task is known to have ended; any thread may ask, for any number of tasks."""
        table = self._loop.scheduler.table
        return task < len(table) and table.ended(task)

    def is_being_killed(self, task: int) -> bool:
        """Say whether the user has asked to end a task whose end is not known; any thread may ask."""
        return self._loop.scheduler.is_being_killed(task)

    def _tail(self, task: int, attempt: int, nbytes: int) -> Tail | None:
        """Return the end of what a running attempt has written, and what there is to say of it; None for another."""
        return self._driver.call(lambda: self._loop.engine.tail(task, attempt, nbytes)).result(10.0)

    # -- telling ----------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Launch nothing more for now. What runs goes on."""
        self._ours()
        self._driver.call(lambda: self._loop.post_now(PauseAsked(self._loop.now())))

    def set_input_locations(self, places: tuple[InputLocation, ...]) -> None:
        """Take in where inputs are."""
        self._driver.post(lambda: self._loop.post(InputsLocated(self._loop.now(), places)))

    def notice(self, text: str) -> None:
        """Show the user a line, once."""
        self._driver.post(lambda: self._loop.notice(text))

    def withdraw(self, text: str) -> None:
        """Show a line no longer."""
        self._driver.post(lambda: self._loop.withdraw(text))

    # -- waiting ----------------------------------------------------------------------------------------

    def wait(
        self,
        timeout_s: float | None = None,
        tasks: range | None = None,
        pump: Callable[[JobView], None] | None = None,
    ) -> bool:
        """Wait until tasks have ended.

        An interrupt (`KeyboardInterrupt`) ends the waiting and leaves the tasks.

        Parameters
        ----------
        timeout_s : float, optional
            Give up after this many seconds.
        tasks : range, optional
            Which tasks; all when not given.
        pump : callable, optional
            Called on this thread with each new view while it waits.

        Returns
        -------
        bool
            True when they all have ended; False when the time is over, another process has taken the job over, or
            failures have halted it and nothing of it runs any more (`halted`).
        """
        self._ours()
        future = self._ended(tasks)
        until_s = None if timeout_s is None else self._loop.now() + timeout_s
        try:
            return self._watch(future, until_s, pump)
        finally:
            future.cancel()  # the wait is over; a future that is done stays so

    def _ended(self, tasks: range | None) -> Future[bool]:
        return self._driver.call(lambda: self._loop.wait(tasks))

    def _watch(self, future: Future[bool], until_s: float | None, pump: Callable[[JobView], None] | None) -> bool:
        shown: JobView | None = None
        while True:
            left_s = PUMP_EVERY_S if until_s is None else min(PUMP_EVERY_S, until_s - self._loop.now())
            try:
                ended = future.result(max(0.0, left_s))
            except FutureTimeout:
                ended = None
            if pump is not None and self._view is not shown:
                shown = self._view
                pump(shown)
            if ended is not None:
                return ended
            if until_s is not None and self._loop.now() >= until_s:
                return False

    def __await__(self) -> Generator[Any, None, bool]:
        return asyncio.wrap_future(self._ended(None)).__await__()
