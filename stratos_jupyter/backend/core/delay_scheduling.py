"""Delay scheduling: tasks wait a little for a node that holds their inputs (Zaharia et al., EuroSys 2010).

- A task that prefers some nodes takes any of their offers at once. It passes over other offers that would do until
  such offers have been there for a time in all (`Locality.limit_s`); then it takes any. The time runs only while
  offers are passed over. An offer that was passed over counts until its node offers again, at most `PASSED_S`.
- So the tasks of one queue share one clock, and each task keeps only when it came, by that clock.
- A task whose preferred nodes cannot serve it within the limit, because their lines are too long, takes any offer at
  once: the last task of the longest line first.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final

from .input_locations import InputLocations

#: an offer that was passed over counts for this long, unless its node offers again before: a decline, and the cluster's
#: next round of offers
PASSED_S: Final = 2.0
#: a wait that lacks no more than this is over: seconds since the epoch have no more digits
EARLY_S: Final = 1e-3
#: offers whose moments are kept, to say how many have passed a task by
OFFERS_MOST: Final = 10_000


class PassingClock:
    """How long offers have been passed over.

    Attributes
    ----------
    passed_s : float
        For how long at least one offer was being passed over, in seconds.
    idle_s : float
        The same, times the tasks that each offer had room for; in seconds of one slot.
    slots : int
        How many tasks the offers have room for that are being passed over.
    """

    __slots__ = ("_at_s", "_line", "_nodes", "_offers", "idle_s", "passed_s", "slots")

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.idle_s = 0.0
        self.slots = 0
        self._offers: deque[float] = deque(maxlen=OFFERS_MOST)  # by this clock: when they were passed over
        self._at_s = 0.0
        self._nodes: dict[str, tuple[float, int]] = {}  # until when, and room for how many
        self._line: deque[tuple[float, str]] = deque()  # the same, soonest first; some are over already

    def pass_over(self, node: str, slots: int, at_s: float) -> None:
        """Pass over an offer of a node that has room for `slots` tasks."""
        self.come(node, at_s)
        until_s = at_s + PASSED_S
        self._nodes[node] = until_s, slots
        self._line.append((until_s, node))
        self.slots += slots
        self._offers.append(self.passed_s)

    def come(self, node: str, at_s: float) -> None:
        """Note that a node offers again."""
        self.advance(at_s)
        if node in self._nodes:
            self.slots -= self._nodes.pop(node)[1]

    def advance(self, at_s: float) -> None:
        """Let time pass."""
        line = self._line
        while line and line[0][0] <= at_s:
            until_s, node = line.popleft()
            if self._nodes.get(node, (None, 0))[0] == until_s:
                self._run(until_s)
                self.slots -= self._nodes.pop(node)[1]
        self._run(at_s)

    def offers(self, since_s: float) -> int:
        """Return how many were passed over since a time by this clock, of the last `OFFERS_MOST`."""
        return sum(passed_s >= since_s for passed_s in self._offers)

    def _run(self, at_s: float) -> None:
        passed_s = at_s - self._at_s
        if passed_s > 0:
            self._at_s = at_s
            if self._nodes:
                self.passed_s += passed_s
                self.idle_s += passed_s * self.slots

    @property
    def runs_until(self) -> float | None:
        """When the last offer that is being passed over stops counting, at the latest; None when there is none."""
        return self._line[-1][0] if self._nodes else None

    def check(self) -> None:
        """Assert that the sum agrees with its parts."""
        assert self.slots == sum(slots for _, slots in self._nodes.values())
        assert {(until_s, node) for node, (until_s, _) in self._nodes.items()} <= set(self._line)


class _WaitingLine:
    """Tasks in the order in which they came; those that came again are kept apart and go first.

    A task that waits no longer is skipped when it comes to the front, so that leaving costs nothing.
    """

    __slots__ = ("_again", "_fresh", "_head")

    def __init__(self) -> None:
        self._fresh = array("I")
        self._head = 0
        self._again: list[tuple[float, int]] = []

    def __len__(self) -> int:
        """Return how many there are at most."""
        return len(self._fresh) - self._head + len(self._again)

    def __iter__(self) -> Iterator[int]:
        yield from (task for _, task in self._again)
        yield from self._fresh[self._head :]

    def append(self, task: int) -> None:
        self._fresh.append(task)

    def extend(self, first: int, after: int) -> None:
        self._fresh.extend(range(first, after))

    def push(self, since_s: float, task: int) -> None:
        heappush(self._again, (since_s, task))

    def first_again(self, waits: Callable[[int], bool]) -> int | None:
        while self._again and not waits(self._again[0][1]):
            heappop(self._again)
        return self._again[0][1] if self._again else None

    def first_fresh(self, waits: Callable[[int], bool]) -> int | None:
        fresh, head = self._fresh, self._head
        while head < len(fresh) and not waits(fresh[head]):
            head += 1
        if head > 1024 and 2 * head > len(fresh):
            del fresh[:head]
            head = 0
        self._head = head
        return fresh[head] if head < len(fresh) else None

    def last_fresh(self, waits: Callable[[int], bool]) -> int | None:
        fresh = self._fresh
        while len(fresh) > self._head and not waits(fresh[-1]):
            fresh.pop()
        return fresh[-1] if len(fresh) > self._head else None


class LocalityQueue:
    """The tasks of one queue that prefer some node, by host.

    A task stands in the line of each host that it prefers, and in the line of all. While its hosts are being looked up
    it stands in the line of all only. No method takes a task out: a launch changes its state, and `waits` tells.

    Parameters
    ----------
    locations : InputLocations
        Where inputs lie.
    waits : callable
        Says whether a task waits in this queue.
    since : array of float
        By task, by this queue's clock: since when it waits; while it does not wait, how long it has waited.

    Attributes
    ----------
    passed : bool
        Whether an offer was passed over since offers were last asked for.
    """

    __slots__ = ("_all", "_hosts", "_load", "_locations", "_since", "_waits", "clock", "passed")

    def __init__(self, locations: InputLocations, waits: Callable[[int], bool], since: array[float]) -> None:
        self._locations = locations
        self._waits = waits
        self._since = since
        self._all = _WaitingLine()
        self._hosts: dict[int, _WaitingLine] = {}
        self._load: dict[int, float] = {}  # by host: the waiting tasks, each divided among its hosts
        self.clock = PassingClock()
        self.passed = False

    def __iter__(self) -> Iterator[int]:
        """Yield all tasks that wait; slow, for checks."""
        yield from {task for task in self._all if self._waits(task)}

    def add(self, task: int, again: bool) -> None:
        """Let a task wait here; `again` when it has waited before."""
        since = self._since
        if task >= len(since):
            since.extend(array("d", [0.0]) * (len(self._locations) - len(since)))
        since[task] = self.clock.passed_s - since[task]
        self.locate(task, again)
        if again:
            self._all.push(since[task], task)
        else:
            self._all.append(task)

    def expect(self, first: int, after: int) -> None:
        """Let tasks wait here whose hosts are being looked up."""
        since = self._since
        since.extend(array("d", [0.0]) * (after - len(since)))
        since[first:after] = array("d", [self.clock.passed_s]) * (after - first)
        self._all.extend(first, after)

    def locate(self, task: int, again: bool = False) -> None:
        """Put a task that waits here into the lines of the hosts that it prefers."""
        hosts = self._locations.preferred(task)
        for host in hosts:
            line = self._hosts.get(host)
            if line is None:
                line = self._hosts[host] = _WaitingLine()
            if again:
                line.push(self._since[task], task)
            else:
                line.append(task)
            self._load[host] = self._load.get(host, 0.0) + 1.0 / len(hosts)

    def leave(self, task: int) -> bool:
        """Note that a task waits no longer; say whether it had passed over offers."""
        self._since[task] = self.clock.passed_s - self._since[task]
        hosts = self._locations.preferred(task)
        for host in hosts:
            self._load[host] -= 1.0 / len(hosts)
        return self._since[task] > 0

    def first(self) -> int | None:
        """Return the task that has waited longest, or None when none waits."""
        again, fresh = self._all.first_again(self._waits), self._all.first_fresh(self._waits)
        if again is None or fresh is None:
            return fresh if again is None else again
        return again if self._since[again] <= self._since[fresh] else fresh

    def first_on(self, hosts: tuple[int, ...]) -> int | None:
        """Return the next task with its inputs on a node that is these hosts, or None."""
        found = None
        for line in [self._hosts[host] for host in hosts if host in self._hosts]:
            task = line.first_again(self._waits)
            if task is None:
                task = line.first_fresh(self._waits)
            if task is not None and (found is None or task < found):
                found = task
        return found

    def most_on(self, hosts: tuple[int, ...]) -> int:
        """Return how many tasks with their inputs on a node wait at most."""
        return sum(len(self._hosts[host]) for host in hosts if host in self._hosts)

    def waited_s(self, task: int) -> float:
        """Return for how long a task that waits here has passed over offers, in seconds."""
        return self.clock.passed_s - self._since[task]

    def passed_by(self, task: int) -> int:
        """Return how many offers a task that waits here has passed over."""
        return self.clock.offers(self._since[task])

    def first_ready(self, limit_s: float) -> int | None:
        """Return the next task that has waited long enough to take any offer, or None."""
        task = self.first()
        return task if task is not None and self.waited_s(task) >= limit_s - EARLY_S else None

    def out_of_reach(self, limit_s: float, span_s: Callable[[int, float], float]) -> Callable[[], int | None]:
        """Return what finds the next task that its own nodes cannot serve within a time: the last of the longest line.

        Parameters
        ----------
        limit_s : float
            That time.
        span_s : callable
            Tells how long a host takes for a line of so many tasks, in seconds.
        """
        load = self._load

        def far(host: int) -> float:
            return span_s(host, load[host])

        longest = [(-far_s, host) for host in load if (far_s := far(host)) > limit_s]
        heapify(longest)

        def last() -> int | None:
            while longest:
                task = self._hosts[longest[0][1]].last_fresh(self._waits)
                far_s = far(longest[0][1])
                if (
                    task is None
                    or far_s <= limit_s
                    or any(far(host) <= limit_s for host in self._locations.preferred(task))
                ):
                    heappop(longest)
                elif far_s < -longest[0][0]:
                    heapreplace(longest, (-far_s, longest[0][1]))
                else:
                    return task
            return None

        return last

    def wakes_at(self, at_s: float, limit_s: float) -> float | None:
        """Return when offers should be asked for again; None while none was passed over."""
        task, until_s = self.first(), self.clock.runs_until
        if not self.passed or task is None or until_s is None:
            return None
        return min(until_s, at_s + max(0.0, limit_s - self.waited_s(task)))

    def calls(self, limit_s: float) -> bool:
        """Say whether an offer that was passed over is wanted after all, or is overdue."""
        return self.passed and (self.first_ready(limit_s) is not None or self.clock.runs_until is None)

    def check(self) -> None:
        """Assert that each waiting task stands in the line of each of its hosts."""
        self.clock.check()
        load = dict.fromkeys(self._load, 0.0)
        for task in self:
            for host in self._locations.preferred(task):
                load[host] += 1.0 / len(self._locations.preferred(task))
            assert all(task in set(self._hosts[host]) for host in self._locations.preferred(task))
            assert self.waited_s(task) >= -1e-6
        assert all(abs(load[host] - self._load[host]) < 1e-6 for host in load)
