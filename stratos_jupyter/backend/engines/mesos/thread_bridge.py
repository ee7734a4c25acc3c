"""From the driver's threads to the loop of another thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from .master_events import MasterEvent


class ThreadBridge:
    """Hands events to a loop in their order, and wakes it once for all that gather.

    To wake a loop is a call of the system: for each event it would cost a thread its turn, which takes 5 ms to come
    back while the kernel computes.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        Its thread handles them.
    handle : callable
        Takes each of them there.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, handle: Callable[[MasterEvent], None]) -> None:
        self._loop = loop
        self._handle = handle
        self._gathered: deque[MasterEvent] = deque()
        self._rung = False

    def __call__(self, event: MasterEvent) -> None:
        """Hand one over, from any thread; raises RuntimeError when the loop is closed."""
        self._gathered.append(event)
        if not self._rung:
            self._rung = True
            self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        self._rung = False  # before they are taken: what comes now rings again
        gathered = self._gathered
        try:
            for _ in range(len(gathered)):  # others have their turns on the loop too
                self._handle(gathered.popleft())
        finally:
            if gathered and not self._rung:
                self._rung = True
                self._loop.call_soon(self._take)
