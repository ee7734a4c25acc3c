"""From a job to what a cell shows of it: its snapshots, on the kernel's main thread, and which of them are milestones.

Snapshots are made on the driver's thread; traits and displays belong to the kernel's event loop. `ViewFeed` posts the
newest snapshot with ``call_soon_threadsafe``, never more than one at a time. So a kernel that was busy for an hour
finds one snapshot to show, not 36,000. While a cell runs, the loop stands still: IPython's cell events show the newest
snapshot before and after each cell, because programs that execute notebooks see only what arrives while a cell runs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from IPython.core.interactiveshell import InteractiveShell

from ..backend.core.views import JobView

#: a running job's static snapshot is renewed at least this far apart, milestones aside, in seconds
SNAPSHOT_EVERY_S: Final = 30.0

Unsubscribe = Callable[[], None]


class ViewSource(Protocol):
    """What a display reads of a job."""

    @property
    def view(self) -> JobView:
        """The newest snapshot; never blocks."""

    def subscribe(self, callback: Callable[[JobView], None]) -> Unsubscribe:
        """Call `callback` with each new snapshot, on the driver's thread, until the returned function is called."""


class Milestones:
    """Picks the snapshots that are worth a new static one: the first, the first failure, each quarter, the end."""

    def __init__(self) -> None:
        self._last: JobView | None = None
        self._quarter = 0

    def due(self, view: JobView) -> bool:
        """Say whether `view` is a milestone, and take it as passed."""
        quarter = 4 * view.done // view.total if view.total else 0
        last = self._last
        if last is not None and not (
            view.ended_at != last.ended_at
            or (view.failed and not last.failed)
            or quarter > self._quarter
            or (view.ended_at is None and view.at_s - last.at_s >= SNAPSHOT_EVERY_S)
        ):
            return False
        self._last = view
        self._quarter = max(quarter, self._quarter)
        return True


class ViewFeed:
    """Carries a job's snapshots to the kernel's main thread.

    It is made, stopped and polled on the main thread; only `_arrive` runs on the driver's.

    Parameters
    ----------
    source : ViewSource
        The job.
    show : callable
        Shows a snapshot; called on the main thread.
    loop : asyncio.AbstractEventLoop or None
        The kernel's event loop. Without one, snapshots are shown around cells alone.
    shell : InteractiveShell, optional
        Its cell events show the newest snapshot around each cell.
    """

    def __init__(
        self,
        source: ViewSource,
        show: Callable[[JobView], None],
        loop: asyncio.AbstractEventLoop | None,
        shell: InteractiveShell | None = None,
    ) -> None:
        self._source = source
        self._show = show
        self._loop = loop
        self._shell = shell
        self._lock = threading.Lock()
        self._pending: JobView | None = None
        self._shown: JobView | None = None
        self._stopped = False
        self._unsubscribe: Unsubscribe | None = None
        if loop is not None:
            self._unsubscribe = source.subscribe(self._arrive)
        if shell is not None:
            shell.events.register("pre_run_cell", self._around_cell)
            shell.events.register("post_run_cell", self._around_cell)
        self.poll()

    def poll(self) -> None:
        """Show what is newest now."""
        with self._lock:  # drop the waiting one first: the job's own view is at least as new
            self._pending = None
        self._take(self._source.view)

    def stop(self) -> None:
        """Show nothing more."""
        if self._stopped:
            return
        self._stopped = True
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._shell is not None:
            self._shell.events.unregister("pre_run_cell", self._around_cell)
            self._shell.events.unregister("post_run_cell", self._around_cell)

    def _arrive(self, view: JobView) -> None:
        assert self._loop is not None
        with self._lock:
            waiting = self._pending is not None
            self._pending = view
        if waiting or self._stopped:
            return
        with suppress(RuntimeError):  # the loop is closed: the kernel is about to end
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            view, self._pending = self._pending, None
        if view is not None:
            self._take(view)

    def _around_cell(self, _info: object) -> None:
        self.poll()

    def _take(self, view: JobView) -> None:
        if not self._stopped and view is not self._shown:
            self._shown = view
            self._show(view)


def kernel_loop(shell: InteractiveShell | None) -> asyncio.AbstractEventLoop | None:
    """Return the event loop of the kernel that runs this cell, or None where there is no kernel."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        loop = getattr(getattr(getattr(shell, "kernel", None), "io_loop", None), "asyncio_loop", None)
        return loop if isinstance(loop, asyncio.AbstractEventLoop) else None
