"""The thread that serves the widgets which a browser shows: it sends each of them what has changed, when that is due.

It is a thread of its own because the kernel's event loop stands still while a cell runs. It touches no trait: it sends
messages, which leave through the kernel's own thread for them.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import cache
from typing import Final, Protocol

log = logging.getLogger(__name__)

#: a widget whose update failed is tried again after this long, in seconds
RETRY_S: Final = 10.0


class Ticking(Protocol):
    """What the thread serves."""

    def turn(self, now_s: float) -> float | None:
        """Send what is due; return when to be called again, on the monotonic clock, or None for not at all."""


class Ticker:
    """One daemon thread for all publishers of the process; it starts with the first wake."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[Ticking, float] = {}
        self._thread: threading.Thread | None = None

    def wake(self, publisher: Ticking, at_s: float) -> None:
        """Call `publisher.turn` at that time of the monotonic clock, or earlier if an earlier wake says so."""
        with self._changed:
            if at_s < self._due.get(publisher, float("inf")):
                self._due[publisher] = at_s
                self._changed.notify()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="stratos-ticker", daemon=True)
                self._thread.start()

    def forget(self, publisher: Ticking) -> None:
        """Drop the wake of a publisher."""
        with self._changed:
            self._due.pop(publisher, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                first = min(self._due.values(), default=None)
                now_s = time.monotonic()
                if first is None or first > now_s:
                    self._changed.wait(None if first is None else first - now_s)
                    continue
                due = [publisher for publisher, at_s in self._due.items() if at_s <= now_s]
                for publisher in due:
                    del self._due[publisher]
            for publisher in due:
                try:
                    again = publisher.turn(now_s)
                except Exception:  # one widget that cannot be shown must not stop the others
                    log.exception("a widget cannot be shown")
                    again = time.monotonic() + RETRY_S
                if again is not None:
                    self.wake(publisher, again)


@cache
def ticker() -> Ticker:
    """Return this process's ticker, made on first use."""
    return Ticker()
