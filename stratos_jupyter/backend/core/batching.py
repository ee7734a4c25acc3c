"""Which task goes next, and how many go together.

Queues are indexed by priority, demand and host: placing a task costs O(log n) and never scans a queue. Fresh tasks
are ranges, so a million of them cost a few bytes; only what is queued a second time is listed one by one.
"""

from __future__ import annotations

import math
from array import array
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from .delay_scheduling import LocalityQueue
from .resources import Resources

#: commands that must have ended before their mean duration is trusted
KNOWN_AFTER: Final = 5

#: weight of the newest duration in the moving average
ALPHA: Final = 0.1


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How an engine wants commands bundled.

    Attributes
    ----------
    target_s : float
        How long one launch should take, by the moving average.
    most : int
        The most commands that one launch carries.
    alone : bool
        Whether the engine has one node only.
    """

    target_s: float = 5.0
    most: int = 1000
    alone: bool = False

    def size(self, mean_s: float | None, queued: int, batches: int) -> int:
        """Return how many commands the next batch should carry.

        Parameters
        ----------
        mean_s : float or None
            What a command takes on average; None while nobody knows.
        queued, batches : int
            Tasks that wait, and batches in flight. Towards a job's end the batches shrink, so that no slot
            is left with the last long one.
        """
        if mean_s is None:
            return 1
        by_time = self.most if mean_s <= 0 else int(self.target_s / mean_s)
        by_share = math.ceil(queued / (2 * max(1, batches)))
        return max(1, min(by_time, by_share, self.most))


class Average:
    """The moving average of how long a command takes."""

    __slots__ = ("_mean_s", "_seen")

    def __init__(self) -> None:
        self._mean_s = 0.0
        self._seen = 0

    def add(self, wall_s: float) -> None:
        """Take in one more duration, in seconds."""
        self._seen += 1
        # The first few count alike; an average that starts with one outlier would follow it for long.
        self._mean_s += (wall_s - self._mean_s) * max(ALPHA, 1.0 / self._seen)

    @property
    def mean_s(self) -> float | None:
        """Seconds a command, or None until five have ended."""
        return self._mean_s if self._seen >= KNOWN_AFTER else None


class Median:
    """The median of how long a command takes."""

    __slots__ = ("_walls",)

    def __init__(self) -> None:
        self._walls = array("f")

    def add(self, wall_s: float) -> None:
        """Take in one more duration, in seconds."""
        insort(self._walls, wall_s)

    @property
    def median_s(self) -> float | None:
        """Seconds a command, or None until five have ended."""
        walls = self._walls
        middle = len(walls) // 2
        if len(walls) < KNOWN_AFTER:
            return None
        return walls[middle] if len(walls) % 2 else (walls[middle - 1] + walls[middle]) / 2


class TaskQueue:
    """Queued tasks of one priority and one demand, lowest index first.

    Those that prefer some node stand in `near`, and are none of the others. Entries may be stale (a task killed while
    it waited): `waits` tells which still count.
    """

    __slots__ = ("_again", "_fresh", "_waits", "demand", "near")

    def __init__(self, demand: Resources, waits: Callable[[int], bool]) -> None:
        self.demand = demand
        self.near: LocalityQueue | None = None
        self._fresh: deque[tuple[int, int]] = deque()
        self._again: list[int] = []
        self._waits = waits

    def part(self, near: LocalityQueue, waits: Callable[[int], bool]) -> None:
        """Keep those apart from now on that prefer some node; `waits` tells who still counts of the others."""
        self.near, self._waits = near, waits

    @property
    def empty(self) -> bool:
        """Whether nobody waits."""
        return self.peek() is None and (self.near is None or self.near.first() is None)

    def extend(self, first: int, after: int) -> None:
        """Queue the fresh tasks from `first` up to, not including, `after`."""
        self._fresh.append((first, after))

    def push(self, task: int) -> None:
        """Queue one task again."""
        heappush(self._again, task)

    def __iter__(self) -> Iterator[int]:
        """Yield all that wait, for who checks the books."""
        if self.near is not None:
            yield from self.near
        yield from {task for task in self._again if self._waits(task)}
        for first, after in self._fresh:
            yield from filter(self._waits, range(first, after))

    def peek(self) -> int | None:
        """Return the task that goes next of those that go anywhere, or None when none waits.

        Whoever launches it changes its state: that takes it out.
        """
        if not self._again and self._fresh and self._waits(self._fresh[0][0]):
            return self._fresh[0][0]  # nearly always
        while self._again and not self._waits(self._again[0]):
            heappop(self._again)
        while self._fresh:
            first, after = self._fresh[0]
            while first < after and not self._waits(first):
                first += 1
            if first < after:
                self._fresh[0] = (first, after)
                break
            self._fresh.popleft()
        heads = [self._again[0]] if self._again else []
        if self._fresh:
            heads.append(self._fresh[0][0])
        return min(heads) if heads else None
