"""What locality costs and saves: how long tasks may wait for a node that holds their inputs.

No task waits longer than a wait can save, and none waits once waiting has cost more than it saves.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from math import sqrt
from typing import Final

from .delay_scheduling import LocalityQueue, PassingClock
from .input_locations import InputLocations
from .rules import Rules

#: an offer that is passed over is given back for this long, in seconds
REFUSE_S: Final = 1.0
#: waiting may cost this part of the time for which commands have run, beside what it saves
COST_SHARE: Final = 0.02
#: attempts that must have ended, here and there, before their durations are compared
KNOWN_AFTER: Final = 30
#: so many standard errors above the mean is what they may differ by
SURELY: Final = 2.0


class _Walls:
    """How long attempts took: their number, mean and spread, as Welford counts them."""

    __slots__ = ("_squares", "count", "mean_s")

    def __init__(self) -> None:
        self.count = 0
        self.mean_s = 0.0
        self._squares = 0.0

    def add(self, wall_s: float) -> None:
        self.count += 1
        off_s = wall_s - self.mean_s
        self.mean_s += off_s / self.count
        self._squares += off_s * (wall_s - self.mean_s)

    @property
    def error2(self) -> float:
        """The square of the mean's standard error."""
        return self._squares / (self.count * max(1, self.count - 1))


class Locality:
    """A job's books on where its tasks ran, and on what the waiting for that has cost and saved.

    Parameters
    ----------
    rules : Rules
        ``locality_wait_s`` of it is used.
    alone : bool
        Whether the engine has one node only: there is nothing to wait for then.

    Attributes
    ----------
    locations : InputLocations
        Where inputs lie.
    since : array of float
        For `LocalityQueue`, one for all queues.
    local_bytes, remote_bytes : int
        Bytes of inputs that lay on the node where an attempt was launched, and that did not.
    """

    def __init__(self, rules: Rules, alone: bool = False) -> None:
        self.rules = rules
        self.locations = InputLocations()
        self.since = array("d")
        self.local_bytes = 0
        self.remote_bytes = 0
        self._alone = alone
        self._counted: dict[int, tuple[int, int]] = {}  # in flight: the bytes that were counted
        self._clocks: list[PassingClock] = []
        self._widest = 0
        self._busy_s = 0.0
        self._patient = 0  # launched where their inputs lie, after passing over offers
        self._here, self._there = _Walls(), _Walls()

    def new_queue(self, waits: Callable[[int], bool]) -> LocalityQueue:
        """Return the index of one more queue."""
        made = LocalityQueue(self.locations, waits, self.since)
        self._clocks.append(made.clock)
        return made

    def forget_wait(self, task: int) -> None:
        """Let a task that does not wait have its whole wait again."""
        if task < len(self.since):
            self.since[task] = 0.0

    def fraction(self, task: int, node: str) -> float | None:
        """Return which part of a task's input bytes lies on a node; None when that is not known."""
        share = self.locations.share(task, node)
        return None if share is None else share[0] / sum(share)

    def count(self, task: int, node: str) -> None:
        """Count the bytes of an attempt on a node."""
        share = self.locations.share(task, node)
        if share is not None:
            self._counted[task] = share
            self.local_bytes += share[0]
            self.remote_bytes += share[1]

    def leave(self, task: int, began: bool = True) -> None:
        """Note that an attempt is over; one that never began has read nothing."""
        local, remote = self._counted.pop(task, (0, 0))
        if not began:
            self.local_bytes -= local
            self.remote_bytes -= remote

    def launched(self, task: int, node: str, waited: bool) -> None:
        """Note that a task is launched on a node, and whether it had passed over offers before."""
        self.count(task, node)
        if waited and (self.fraction(task, node) or 0.0) >= 0.5:
            self._patient += 1

    def pass_over(self, near: LocalityQueue, node: str, slots: int, at_s: float) -> None:
        """Let the tasks of a queue pass over an offer of a node, which has room left for `slots` tasks."""
        near.clock.pass_over(node, slots, at_s)
        near.passed = True

    def widen(self, at_once: int) -> None:
        """Note how many commands run at once, and how many more could."""
        self._widest = max(self._widest, at_once + self.slots)

    def ended(self, task: int, node: str, wall_s: float) -> None:
        """Note how long a command took on a node."""
        self._busy_s += wall_s
        fraction = self.fraction(task, node)
        if fraction is not None:
            (self._here if fraction >= 0.5 else self._there).add(wall_s)

    def check(self, flying: set[int]) -> None:
        """Assert that what is counted of tasks in flight is of those in `flying`."""
        assert set(self._counted) <= flying
        assert self.local_bytes >= sum(local for local, _ in self._counted.values())
        assert self.remote_bytes >= sum(remote for _, remote in self._counted.values())

    def advance(self, at_s: float) -> None:
        """Let time pass."""
        for clock in self._clocks:
            clock.advance(at_s)

    @property
    def slots(self) -> int:
        """How many tasks the offers have room for that are being passed over."""
        return max((clock.slots for clock in self._clocks), default=0)

    @property
    def waited_s(self) -> float:
        """Seconds for which tasks could have run, and waited; of all tasks together."""
        return sum(clock.idle_s for clock in self._clocks)

    @property
    def _compared(self) -> bool:
        return min(self._here.count, self._there.count) >= KNOWN_AFTER

    @property
    def saved_s(self) -> float:
        """Seconds that the waiting has saved, as far as durations here and there tell."""
        return self._patient * max(0.0, self._there.mean_s - self._here.mean_s) if self._compared else 0.0

    @property
    def pays(self) -> bool:
        """Whether waiting has not cost more than it saves.

        It may cost one wait on each slot that the job has had or could have had at once, to begin with, then what it
        has saved and a small part of the time for which commands have run.
        """
        allowed_s = self.rules.locality_wait_s * self._widest + COST_SHARE * self._busy_s + self.saved_s
        return self.waited_s <= allowed_s

    @property
    def limit_s(self) -> float:
        """How long to wait now: no longer than a command surely gains by it, once that is known."""
        wait_s = self.rules.locality_wait_s
        if wait_s <= 0 or self._alone or not self.pays:
            return 0.0
        if not self._compared:
            return wait_s
        gain_s = self._there.mean_s - self._here.mean_s + SURELY * sqrt(self._here.error2 + self._there.error2)
        return min(wait_s, max(0.0, gain_s))
