"""The slots of one job on this machine, the batches in them, and the attempts that those have left. PURE.

A *slot* is room for one command at a time: the batch that runs in it, and at most one lined up behind.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...core.resources import Resources
from .executor_link import ExecutorProcess

Attempt = tuple[int, int]


class Slot:
    """One slot.

    Attributes
    ----------
    number : int
        What its executor calls it.
    executor : ExecutorProcess
        The executor that runs what is in it.
    demand : Resources
        What it holds of the machine.
    batches : list of int
        The batch that runs, and the one behind it.
    """

    __slots__ = ("batches", "demand", "executor", "number")

    def __init__(self, number: int, executor: ExecutorProcess, demand: Resources) -> None:
        self.number = number
        self.executor = executor
        self.demand = demand
        self.batches: list[int] = []


class SlotTable:
    """All slots: a batch is in one slot, an attempt in one batch, until it is reported.

    A slot is there from its first batch until its last one has ended.
    """

    def __init__(self) -> None:
        self._slots: dict[int, Slot] = {}
        self._slot_of: dict[int, Slot] = {}  # by batch
        self._left: dict[int, set[Attempt]] = {}  # by batch: attempts not yet reported
        self._where: dict[Attempt, int] = {}  # attempt -> batch

    def __len__(self) -> int:
        return len(self._slots)

    def load(self, executor: ExecutorProcess) -> int:
        """Return how many slots an executor serves."""
        return sum(slot.executor is executor for slot in self._slots.values())

    def numbered(self, number: int) -> Slot | None:
        """Return the slot of that number."""
        return self._slots.get(number)

    def slot_of(self, batch: int) -> Slot | None:
        """Return the slot that a batch is in; None when the batch has ended."""
        return self._slot_of.get(batch)

    def batch_of(self, attempt: Attempt) -> int | None:
        """Return the batch that has an attempt; None when the attempt was reported."""
        return self._where.get(attempt)

    def executor_of(self, attempt: Attempt) -> ExecutorProcess | None:
        """Return the executor that has an attempt; None when the attempt was reported."""
        batch = self._where.get(attempt)
        return None if batch is None else self._slot_of[batch].executor

    def attempts(self) -> list[Attempt]:
        """Return all attempts that were not reported."""
        return list(self._where)

    def open(self, executor: ExecutorProcess, demand: Resources, number: int | None = None) -> Slot:
        """Make a slot, of the lowest number that is free when none is given."""
        if number is None:
            number = next(number for number in range(len(self._slots) + 1) if number not in self._slots)
        slot = self._slots[number] = Slot(number, executor, demand)
        return slot

    def put(self, slot: Slot, batch: int, attempts: Iterable[Attempt]) -> None:
        """Put a batch into a slot, behind what is in it."""
        slot.batches.append(batch)
        self._slot_of[batch] = slot
        left = self._left[batch] = set(attempts)
        self._where.update(dict.fromkeys(left, batch))

    def report(self, attempt: Attempt) -> int | None:
        """Note that an attempt was reported; return its batch when that has none left, which `end` takes out then."""
        batch = self._where.pop(attempt, None)
        if batch is None:
            return None
        left = self._left[batch]
        left.discard(attempt)
        return None if left else batch

    def lose(self, executor: ExecutorProcess) -> dict[int, list[Attempt]]:
        """Return the batches of an executor that is gone, with the attempts of each that were not reported.

        The attempts are forgotten; `end` takes the batches out.
        """
        batches = [batch for slot in self._slots.values() if slot.executor is executor for batch in slot.batches]
        lost = {batch: sorted(self._left[batch]) for batch in batches}
        for batch, left in lost.items():
            self._left[batch].clear()
            for attempt in left:
                del self._where[attempt]
        return lost

    def end(self, batch: int) -> Slot:
        """Take out a batch that has no attempt left, and its slot when nothing is in it any more; return the slot."""
        assert not self._left[batch]
        del self._left[batch]
        slot = self._slot_of.pop(batch)
        slot.batches.remove(batch)
        if not slot.batches:
            del self._slots[slot.number]
        return slot
