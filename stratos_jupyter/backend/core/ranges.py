"""A set of task indices that comes in ranges."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator


class TaskRanges:
    """Ranges of tasks, ascending, disjoint; neighbours are one.

    Parameters
    ----------
    ranges : iterable of range
        What it begins with.
    """

    def __init__(self, ranges: Iterable[range] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for one in sorted(ranges, key=lambda one: one.start):
            self.add(one)

    def add(self, tasks: range) -> None:
        """Add tasks, all of them above those that there are."""
        if not tasks:
            return
        assert not self._stops or tasks.start >= self._stops[-1], "indices only go on"
        if self._stops and tasks.start == self._stops[-1]:
            self._stops[-1] = tasks.stop
        else:
            self._starts.append(tasks.start)
            self._stops.append(tasks.stop)

    def __contains__(self, task: int) -> bool:
        at = bisect_right(self._starts, task) - 1
        return at >= 0 and task < self._stops[at]

    def __iter__(self) -> Iterator[range]:
        return map(range, list(self._starts), list(self._stops))

    def __len__(self) -> int:
        """Return how many tasks there are."""
        return sum(self._stops) - sum(self._starts)
