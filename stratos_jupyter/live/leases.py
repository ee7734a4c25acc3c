"""Leases: which browsers show a widget now.

A browser that shows a widget takes a lease and renews it. It gives the lease back when the widget is hidden or scrolled
away; the lease of a browser that has gone runs out.
"""

from __future__ import annotations

import threading
import time
from typing import Final

#: a lease that is not renewed ends after this long, in seconds; a browser renews it three times in that time
LEASE_S: Final = 60.0
#: browsers that may hold a lease of one widget
MOST_PAGES: Final = 32


class Leases:
    """The leases of one widget, by page. Safe to use from several threads."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()
        #: whether a browser has ever taken one
        self.heard = False
        #: whether the last one was given back, and did not run out
        self.hidden = False

    def take(self, page: str) -> None:
        """Give a page a lease, or renew it."""
        with self._lock:
            self._until.pop(page, None)
            while len(self._until) >= MOST_PAGES:
                del self._until[next(iter(self._until))]
            self._until[page] = time.monotonic() + LEASE_S
            self.heard, self.hidden = True, False

    def give_back(self, page: str) -> None:
        """Take the lease of a page back."""
        with self._lock:
            self._until.pop(page, None)
            self.heard, self.hidden = True, not self._until

    @property
    def watched(self) -> bool:
        """Whether any lease is valid now."""
        now_s = time.monotonic()
        with self._lock:
            for page in [page for page, until_s in self._until.items() if until_s <= now_s]:
                del self._until[page]
            return bool(self._until)
