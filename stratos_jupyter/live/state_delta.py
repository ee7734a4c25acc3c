"""The states of all tasks as a browser has them: one byte a task, sent as what has changed.

PURE. What was sent has a version. A delta names the version that it follows: a browser that has another one asks for
all states.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

#: in the place of a state: the task belongs to the job no longer
SUPERSEDED: Final = 8
#: up to so many bytes are not worth compressing
SMALL: Final = 512

States = npt.NDArray[np.uint8]


def states_of(states: bytes, superseded: Iterable[int] = ()) -> States:
    """Return the states as they are sent, `SUPERSEDED` for tasks that the job has let go of."""
    codes = np.frombuffer(states, np.uint8)
    gone = [task for task in superseded if task < len(codes)]
    if gone:
        codes = codes.copy()
        codes[gone] = SUPERSEDED
    return codes


def packed(data: bytes) -> tuple[bool, bytes]:
    """Return data as it is sent: whether it is compressed, and the bytes."""
    if len(data) <= SMALL:
        return False, data
    small = zlib.compress(data, 1)
    return (True, small) if len(small) < len(data) else (False, data)


class StateDelta:
    """What has been sent of the states of one job."""

    def __init__(self) -> None:
        self.version = 0
        self._sent: States = np.zeros(0, np.uint8)

    def whole(self, states: States) -> tuple[dict[str, Any], bytes]:
        """Return all of it."""
        self.version += 1
        self._sent = states.copy()
        zipped, data = packed(states.tobytes())
        return {"version": self.version, "total": len(states), "zip": zipped}, data

    def change(self, states: States) -> tuple[dict[str, Any], bytes] | None:
        """Return what has changed since the last one: indices of four bytes, then a byte each; None for nothing.

        Tasks that were added are queued unless the delta says otherwise.
        """
        before = self._sent
        if len(states) < len(before):
            return self.whole(states)
        old = np.zeros(len(states), np.uint8)
        old[: len(before)] = before
        changed = np.flatnonzero(old != states)
        if not len(changed) and len(states) == len(before):
            return None
        if 5 * len(changed) > max(SMALL, len(states)):
            return self.whole(states)
        after, self.version = self.version, self.version + 1
        self._sent = states.copy()
        # Byte planes: the upper bytes of neighbours are alike.
        planes = changed.astype("<u4").view(np.uint8).reshape(-1, 4).T.tobytes()
        zipped, data = packed(planes + states[changed].tobytes())
        return {
            "version": self.version, "after": after, "total": len(states), "changed": len(changed), "zip": zipped,
        }, data  # fmt: skip
