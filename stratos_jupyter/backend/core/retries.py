"""Retry policy: which attempts are retried, when, and with how much memory.

The wait before a retry grows twofold and is jittered, so that tasks which failed together do not come back together.
The jitter is a hash of task and attempt: random enough for that, and the same when a journal is replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from heapq import heappop, heappush
from typing import Final

from .resources import SLACK, Resources
from .rules import Rules
from .states import Reason

#: the longest wait before a retry, in seconds
RETRY_MOST_S: Final = 300.0


class Retries:
    """The books on failures of each task's own.

    Parameters
    ----------
    rules : Rules
        ``retries``, ``retry_on``, ``retry_delay_s`` and ``mem_most_mib`` of it are used.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._failures: dict[int, int] = {}
        self._doublings: dict[int, int] = {}
        self._heap: list[tuple[float, int]] = []
        self._until: dict[int, float] = {}
        #: memory that the user asked for, in MiB, by task: it takes the place of the submission's
        self.asked: dict[int, float] = {}

    def ask(self, task: int, mem_mib: float) -> None:
        """Let a task ask for `mem_mib` from now on; what it grew to is forgotten."""
        self.asked[task] = mem_mib
        self._doublings.pop(task, None)

    def forget_amounts(self) -> None:
        """Let every task ask for what its submission does; what it grew to, or the user asked for, is forgotten."""
        self.asked.clear()
        self._doublings.clear()

    def demand(self, task: int, base: Resources) -> Resources:
        """Return what a task asks for, whose submission asked for `base`."""
        doublings = self._doublings.get(task)
        least_mib = self.asked.get(task, base.mem_mib) if self.asked else base.mem_mib
        if not doublings and least_mib == base.mem_mib:
            return base
        mem_mib = min(least_mib * 2**doublings, max(self.rules.mem_most_mib, least_mib)) if doublings else least_mib
        return replace(base, mem_mib=mem_mib)

    def _grows(self, task: int, reason: Reason, base: Resources) -> bool:
        return reason is Reason.MEMORY and self.demand(task, base).mem_mib + SLACK < self.rules.mem_most_mib

    def again(self, task: int, reason: Reason, code: int | None, base: Resources) -> bool:
        """Say whether a task that failed so is tried again; changes nothing."""
        if self._grows(task, reason, base):
            return True
        return self._failures.get(task, 0) < self.rules.retries and self.rules.retry_for(reason, code)

    def spend(self, task: int, attempt: int, reason: Reason, base: Resources, at_s: float) -> float:
        """Book a failure after which the task is tried again; return when that may be, in seconds.

        One that died of memory and gets more of it spends no retry, and need not wait.
        """
        if self._grows(task, reason, base):
            self._doublings[task] = self._doublings.get(task, 0) + 1
            return at_s
        failures = self._failures[task] = self._failures.get(task, 0) + 1
        longest_s = min(RETRY_MOST_S, self.rules.retry_delay_s * 2.0 ** min(failures - 1, 30))
        return at_s + longest_s * (0.5 + 0.5 * _jitter(task, attempt))

    def forget(self, task: int) -> None:
        """Give a task all its retries again. Memory that it grew to stays."""
        self._failures.pop(task, None)

    def rest(self, task: int, until_s: float) -> None:
        """Let a task back off until a moment."""
        self._until[task] = until_s
        heappush(self._heap, (until_s, task))

    def out_of(self, demand: Resources, base: Callable[[int], Resources]) -> Callable[[int], bool]:
        """Return what says whether a task backs off, or asks for something else than `demand` by now.

        It is asked several times for each task: hence no method, and nothing looked up anew.
        """
        until, doublings, asked = self._until, self._doublings, self.asked

        def answer(task: int) -> bool:
            if not (until or doublings or asked):
                return False
            grew = task in doublings or task in asked
            return task in until or (grew and self.demand(task, base(task)) != demand)

        return answer

    def wake(self, task: int) -> bool:
        """End the back-off of a task; return False when it was not backing off."""
        return self._until.pop(task, None) is not None

    def rested(self, at_s: float) -> list[int]:
        """Return the tasks whose back-off is over, and end it."""
        found = []
        while self.next_s is not None and self.next_s <= at_s:
            task = heappop(self._heap)[1]
            del self._until[task]
            found.append(task)
        return found

    def __contains__(self, task: int) -> bool:
        """Say whether a task backs off."""
        return task in self._until

    def due_s(self, task: int) -> float | None:
        """Return when a task's back-off is over; None when it does not back off."""
        return self._until.get(task)

    @property
    def backing_off(self) -> set[int]:
        """The tasks that back off."""
        return set(self._until)

    def story(self) -> tuple[dict[int, int], dict[int, int], dict[int, float]]:
        """Return the failures and doublings of each task, and the memory that the user asked for."""
        return dict(self._failures), dict(self._doublings), dict(self.asked)

    @property
    def next_s(self) -> float | None:
        """When the next back-off is over, in seconds; None when no task backs off."""
        heap = self._heap
        while heap and self._until.get(heap[0][1]) != heap[0][0]:
            heappop(heap)  # it was woken
        return heap[0][0] if heap else None


def _jitter(task: int, attempt: int) -> float:
    """Return a number from 0 to 1 that looks random."""
    mixed = (task * 0x9E3779B97F4A7C15 + attempt * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    mixed = ((mixed ^ (mixed >> 31)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (mixed >> 11) / float(1 << 53)
