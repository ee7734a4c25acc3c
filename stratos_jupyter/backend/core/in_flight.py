"""The launches in flight: the tasks and the node of each, and which batch is queued behind which in one slot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

#: more launches than one process makes between two records
SKIPPED: Final = 100_000


class LaunchedBatch(NamedTuple):
    """What is known of a launch that has not ended: its number, its node, and the attempts (task and which) of it."""

    batch_id: int
    node: str
    attempts: tuple[tuple[int, int], ...]


class BatchInFlight:
    """A launch in flight.

    Attributes
    ----------
    node : str
        Where it is.
    tasks : set of int
        Which of its tasks have not been reported.
    before, after : int or None
        The batch that it waits for in the same resources, and the one that waits for it.
    """

    __slots__ = ("after", "before", "node", "tasks")

    def __init__(self, node: str, tasks: Iterable[int], before: int | None) -> None:
        self.node = node
        self.tasks = set(tasks)
        self.before = before
        self.after: int | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BatchInFlight) and (self.node, self.tasks, self.before, self.after) == (
            *(other.node, other.tasks, other.before, other.after),
        )

    __hash__ = None  # type: ignore[assignment]  # it changes


class BatchesInFlight:
    """All launches in flight.

    Attributes
    ----------
    at_once : int
        How many commands run at the same time: one for each launch that waits for no other.
    """

    def __init__(self) -> None:
        self._batches: dict[int, BatchInFlight] = {}
        self._of: dict[int, int] = {}
        self._on: Counter[str] = Counter()
        self._next = 1
        self.at_once = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[int]:
        return iter(self._batches)

    def __contains__(self, task: int) -> bool:
        return task in self._of

    def items(self) -> Iterator[tuple[int, BatchInFlight]]:
        """Yield all launches by their numbers."""
        return iter(self._batches.items())

    def values(self) -> Iterator[BatchInFlight]:
        """Yield all launches."""
        return iter(self._batches.values())

    def skip(self) -> None:
        """Leave out the numbers that an earlier process may have given to launches that were not recorded."""
        self._next += SKIPPED

    def get(self, batch_id: int) -> BatchInFlight | None:
        """Return a launch, or None when all of it has been reported."""
        return self._batches.get(batch_id)

    def of(self, task: int) -> BatchInFlight | None:
        """Return the launch that carries a task, or None."""
        batch_id = self._of.get(task)
        return None if batch_id is None else self._batches[batch_id]

    def on(self, node: str) -> list[BatchInFlight]:
        """Return the launches on a node."""
        return [batch for batch in self._batches.values() if batch.node == node]

    @property
    def nodes(self) -> int:
        """How many nodes have launches."""
        return len(self._on)

    def count_on(self, node: str) -> int:
        """Return how many launches a node has."""
        return self._on[node]

    def can_line_up(self, behind: int) -> bool:
        """Say whether a launch is there, and none behind it."""
        batch = self._batches.get(behind)
        return batch is not None and batch.after is None

    def add(self, node: str, tasks: Iterable[int], behind: int | None, batch_id: int | None = None) -> int:
        """Take in a launch, under a new number or the one that it has."""
        if batch_id is None:
            batch_id = self._next
        self._next = max(self._next, batch_id + 1)
        batch = self._batches[batch_id] = BatchInFlight(node, tasks, behind)
        self._on[node] += 1
        for task in batch.tasks:
            self._of[task] = batch_id
        if behind is None:
            self.at_once += 1
        else:
            self._batches[behind].after = batch_id
        return batch_id

    def leave(self, task: int) -> None:
        """Take a task out of its launch, if it is in one; a launch without tasks is gone."""
        batch_id = self._of.pop(task, None)
        if batch_id is None:
            return
        batch = self._batches[batch_id]
        batch.tasks.discard(task)
        if batch.tasks:
            return
        del self._batches[batch_id]
        self._on[batch.node] -= 1
        if not self._on[batch.node]:
            del self._on[batch.node]
        if batch.before is not None:
            self._batches[batch.before].after = batch.after
        if batch.after is not None:
            self._batches[batch.after].before = batch.before
        elif batch.before is None:
            self.at_once -= 1

    def check(self, flying: set[int]) -> None:
        """Assert that the books agree, and carry just the tasks in `flying`."""
        assert flying == set(self._of), "rule 6: a task in flight has a batch, and no other has"
        assert {task for batch in self._batches.values() for task in batch.tasks} == flying
        assert all(batch.tasks for batch in self._batches.values())
        assert all(task in self._batches[batch_id].tasks for task, batch_id in self._of.items())
        for batch_id, batch in self._batches.items():
            assert batch.before is None or self._batches[batch.before].after == batch_id
            assert batch.after is None or self._batches[batch.after].before == batch_id
        assert self._on == Counter(batch.node for batch in self._batches.values())
        assert self.at_once == sum(batch.before is None for batch in self._batches.values())
