"""Waiting for something to become true, with an end to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: how long to wait between two looks, in seconds
PAUSE_S = 0.01


def until(condition: Callable[[], T], timeout_s: float = 10.0, what: str = "") -> T:
    """Return the first true value of `condition`; fail when there is none within `timeout_s`.

    Parameters
    ----------
    condition : callable
        Looked at again and again, and once more when the time is over.
    timeout_s : float
        How long to wait, in seconds.
    what : str
        What is waited for, in words for the message.
    """
    pause = threading.Event()
    ends_at_s = time.monotonic() + timeout_s
    while True:
        late = time.monotonic() >= ends_at_s
        value = condition()
        if value:
            return value
        if late:
            raise AssertionError(f"{what or 'the condition'}: not within {timeout_s:g} s")
        pause.wait(PAUSE_S)
