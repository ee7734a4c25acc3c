"""The snapshots of a run: how a `JobView` is made, and when it is shown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from ..core.scheduler import Scheduler
from ..core.states import TERMINAL
from ..core.views import JobView, RateMeter
from .replay import Replayed

log = logging.getLogger(__name__)

#: a view is shown at most this often, in seconds
SHOW_EVERY_S: Final = 0.1
#: notices that a view carries
NOTICES: Final = 5


def job_view(
    scheduler: Scheduler,
    *,
    job_id: str,
    run: int,
    engine: str,
    at_s: float,
    submitted_at: float,
    ended_at: float | None,
    left_behind: int = 0,
    left_first: int | None = None,
    rate_per_s: float | None = None,
    notices: tuple[str, ...] = (),
    page: str = "",
) -> JobView:
    """Return a snapshot of what a scheduler knows; the keywords are fields of `JobView`."""
    counts, reasons = scheduler.table.current()
    left = sum(counts) - sum(counts[state] for state in TERMINAL)
    locality = scheduler.locality
    return JobView(
        job_id=job_id,
        run=run,
        engine=engine,
        counts=tuple(counts),
        at_s=at_s,
        submitted_at=submitted_at,
        ended_at=ended_at,
        reasons=MappingProxyType({str(reason): n for reason, n in reasons.items() if n}),
        rate_per_s=rate_per_s,
        eta_s=left / rate_per_s if rate_per_s and left and not scheduler.held else None,
        nodes=scheduler.nodes,
        attempts_lost=scheduler.attempts_lost,
        attempts_retried=scheduler.attempts_retried,
        left_behind=left_behind,
        left_first=left_first,
        local_bytes=locality.local_bytes,
        remote_bytes=locality.remote_bytes,
        waited_s=locality.waited_s,
        held=scheduler.held,
        backing_off=scheduler.backing_off,
        notices=notices,
        page=page,
    )


class ViewPublisher:
    """Makes the views of one run, and shows each soon after something has changed.

    Parameters
    ----------
    show : callable
        Takes each new `JobView`.
    look : callable
        Returns the scheduler, and where the engine's own page of the job is.
    loop : asyncio.AbstractEventLoop
        The driver thread's loop.
    clock : callable
        Seconds since the epoch.
    job_id, run, engine
        What the views are headed with.
    """

    def __init__(
        self,
        show: Callable[[JobView], None],
        look: Callable[[], tuple[Scheduler, str]],
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        *,
        job_id: str,
        run: int,
        engine: str,
    ) -> None:
        self._show = show
        self._look = look
        self._loop = loop
        self._clock = clock
        self._job_id = job_id
        self._run = run
        self._engine = engine
        self._notices: list[str] = []
        self._meter = RateMeter()
        self._submitted_at = clock()
        self._ended_at: float | None = None
        self._left_behind = 0
        self._left_first: int | None = None
        self._shown_at = 0.0
        self._showing: asyncio.TimerHandle | None = None
        self._closed = False

    def restore(self, replayed: Replayed) -> None:
        """Take over what is recorded of the run."""
        self._submitted_at = replayed.submission_times[0] if replayed.submission_times else self._submitted_at
        self._left_behind, self._left_first = replayed.left_behind, replayed.left_first
        self._ended_at = replayed.ended_at

    def submitted(self, at_s: float) -> None:
        """Take in when the first submission was made."""
        self._submitted_at = at_s

    def goes_on(self) -> None:
        """Take in that there are tasks to run, after all had ended."""
        self._ended_at = None

    def left(self, task: int, count: int) -> None:
        """Take in that a task left processes behind."""
        self._left_behind += count
        self._left_first = task if self._left_first is None else self._left_first

    def notice(self, text: str, aloud: bool = True) -> None:
        """Show the user a line, once; not `aloud`: where the job is looked at, but not in the log."""
        if text not in self._notices:
            self._notices = [*self._notices, text][-NOTICES:]
            log.log(logging.WARNING if aloud else logging.INFO, "%s: %s", self._job_id, text)
            self.show_soon()

    def withdraw(self, text: str) -> None:
        """Show a line no longer."""
        if text in self._notices:
            self._notices = [notice for notice in self._notices if notice != text]
            self.show_soon()

    def show_soon(self) -> None:
        """Show a view, at most one in `SHOW_EVERY_S`."""
        if self._showing is not None or self._closed:
            return
        wait_s = self._shown_at + SHOW_EVERY_S - self._loop.time()
        if wait_s <= 0:
            self.show_now()
        else:
            self._showing = self._loop.call_later(wait_s, self.show_now)

    def show_now(self) -> None:
        """Show a view."""
        if self._showing is not None:
            self._showing.cancel()
            self._showing = None
        if not self._closed:
            self._shown_at = self._loop.time()
            self._show(self.view())

    def view(self) -> JobView:
        """Return a snapshot of the run."""
        scheduler, page = self._look()
        table = scheduler.table
        now = self._clock()
        if len(table) and not table.unended:
            self._ended_at = self._ended_at or now
        else:
            self._ended_at = None
        if scheduler.held:
            self._meter = RateMeter()  # an hour's pause says nothing about the pace after it
        else:
            counts, _ = table.current()
            self._meter.add(now, sum(counts[state] for state in TERMINAL))
        return job_view(
            scheduler,
            job_id=self._job_id,
            run=self._run,
            engine=self._engine,
            at_s=now,
            submitted_at=self._submitted_at,
            ended_at=self._ended_at,
            left_behind=self._left_behind,
            left_first=self._left_first,
            rate_per_s=self._meter.rate_per_s,
            notices=tuple(self._notices),
            page=page,
        )

    def close(self) -> None:
        """Show nothing more."""
        self._closed = True
        if self._showing is not None:
            self._showing.cancel()
