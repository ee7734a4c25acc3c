"""Batch sizes, and the queue of one priority and demand.

Fresh tasks are kept as ranges, so a million of them cost a few bytes; only a task that is queued a second time is
listed by itself. Taking the next task costs O(log n) at most and never scans a queue.
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
            What a command takes on average; None while that is not known.
        queued, batches : int
            Tasks that wait, and batches in flight. Towards a job's end the batches shrink: otherwise one slot
            would still work through a long batch when the others have run out of tasks.
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

    Tasks that prefer some node are kept apart, in `near`. Entries may be stale, as of a task that was killed while it
    waited: `waits` tells which still count.
    """

    __slots__ = ("_again", "_fresh", "_waits", "demand", "near")

    def __init__(self, demand: Resources, waits: Callable[[int], bool]) -> None:
        self.demand = demand
        self.near: LocalityQueue | None = None
        self._fresh: deque[tuple[int, int]] = deque()
        self._again: list[int] = []
        self._waits = waits

    def set_apart(self, near: LocalityQueue, waits: Callable[[int], bool]) -> None:
        """Keep tasks that prefer some node in `near` from now on; `waits` tells which of the others still wait."""
        self.near, self._waits = near, waits

    @property
    def empty(self) -> bool:
        """Whether no task waits."""
        return self.peek() is None and (self.near is None or self.near.first() is None)

    def extend(self, first: int, after: int) -> None:
        """Queue the fresh tasks from `first` up to, not including, `after`."""
        self._fresh.append((first, after))

    def push(self, task: int) -> None:
        """Queue one task again."""
        heappush(self._again, task)

    def __iter__(self) -> Iterator[int]:
        """Yield all tasks that wait; slow, for checks."""
        if self.near is not None:
            yield from self.near
        yield from {task for task in self._again if self._waits(task)}
        for first, after in self._fresh:
            yield from filter(self._waits, range(first, after))

    def peek(self) -> int | None:
        """Return the next task that takes any node, or None when none waits.

        It stays in the queue until its state changes: a launch takes it out.
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
