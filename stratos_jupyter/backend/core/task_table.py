"""The tasks of one run as columns.

An array for each thing that is known of every task, by index: a million queued tasks cost a few bytes each.
What is known of tasks in flight alone stands in a dict that is emptied as they end.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from typing import Final

from ...errors import RefusedMove
from .states import IN_FLIGHT, MOVES, TERMINAL, Reason, TaskState, Trigger

_REASONS: Final = tuple(Reason)
_STATES: Final = tuple(TaskState)
#: `MOVES` by the state that is left: this is looked up several times for each task
_AFTER: Final = [{trigger: after for (before, trigger), after in MOVES.items() if before is state} for state in _STATES]
_TRIGGER_OF: Final = {
    TaskState.FINISHED: Trigger.SUCCEEDED,
    TaskState.FAILED: Trigger.FAILED,
    TaskState.KILLED: Trigger.KILLED,
    TaskState.LOST: Trigger.LOST,
}


class TaskTable:
    """State, attempt and reason of every task, with the sums over them.

    Attributes
    ----------
    counts : list of int, shape (8,)
        How many tasks are in each state.
    reasons : Counter of str
        How many terminal tasks ended for each reason.
    superseded : frozenset of int
        Tasks that belong to the job no longer. They keep their states, and both sums count them.
    """

    def __init__(self) -> None:
        self._state = bytearray()
        self._attempt = array("H")
        self._losses = bytearray()
        self._reason = bytearray()
        self._story: dict[int, list[str]] = {}
        self.counts = [0] * len(TaskState)
        self.reasons: Counter[str] = Counter()
        self.superseded: frozenset[int] = frozenset()
        self._leaving: set[int] = set()  # of them, those that had not ended when last looked at
        self._left = [0] * len(TaskState)  # of the others, the sums
        self._left_reasons: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._state)

    def extend(self, count: int) -> None:
        """Append `count` tasks, each queued for its first attempt."""
        self._state.extend(bytes(count))
        self._attempt.extend(array("H", [1]) * count)
        self._losses.extend(bytes(count))
        self._reason.extend(bytes(count))
        self.counts[TaskState.QUEUED] += count

    def state(self, task: int) -> TaskState:
        """Return the state of a task."""
        return _STATES[self._state[task]]

    def states(self) -> bytes:
        """Return all states, one byte each."""
        return bytes(self._state)

    def attempt(self, task: int) -> int:
        """Return the number of a task's present attempt, from 1."""
        return self._attempt[task]

    def attempts(self) -> bytes:
        """Return the numbers of all present attempts, two bytes each, in this machine's order."""
        return self._attempt.tobytes()

    def in_flight(self) -> set[int]:
        """Return the tasks that are launched and have not ended; looks at all of them."""
        return {task for task, state in enumerate(self._state) if state in IN_FLIGHT}

    def waits(self, task: int) -> bool:
        """Say whether a task is queued."""
        return self._state[task] == 0

    def ended(self, task: int) -> bool:
        """Say whether a task is terminal."""
        return self._state[task] >= TaskState.FINISHED

    @property
    def unended(self) -> int:
        """How many tasks are not terminal."""
        return len(self._state) - sum(self.counts[state] for state in TERMINAL)

    def move(self, task: int, trigger: Trigger) -> None:
        """Apply a trigger to the present attempt of a task.

        Raises
        ------
        RefusedMove
            The table of moves does not hold this one; nothing has changed.
        """
        before = self._state[task]
        after = _AFTER[before].get(trigger)
        if after is None:
            raise self.refused(task, f"cannot go on from {_STATES[before].name} when '{trigger}'")
        self._state[task] = after
        self.counts[before] -= 1
        self.counts[after] += 1
        self._story.setdefault(task, []).append(trigger)

    def refused(self, task: int, what: str) -> RefusedMove:
        """Return the error for a move of `task` that cannot be, with all that the task has seen."""
        return RefusedMove(f"task {task} attempt {self._attempt[task]} {what}", self._story.get(task, ()))

    def end(self, task: int, state: TaskState, reason: Reason) -> None:
        """Bring the present attempt of a task to a terminal state."""
        self.move(task, _TRIGGER_OF[state])
        self._story.pop(task, None)
        self.reasons[reason] += 1
        self._reason[task] = _REASONS.index(reason)

    def begin_again(self, task: int) -> None:
        """Queue a new attempt of a terminal task; the attempt that ended stays as it is."""
        self.counts[self._state[task]] -= 1
        self.reasons[_REASONS[self._reason[task]]] -= 1
        self._state[task] = TaskState.QUEUED
        self.counts[TaskState.QUEUED] += 1
        self._attempt[task] += 1
        self._losses[task] = 0

    def supersede(self, tasks: Iterable[int], restored: Iterable[int]) -> None:
        """Leave tasks out of `current` from now on, and take others in again. None of those left out begins again."""
        self.superseded = (self.superseded | frozenset(tasks)) - frozenset(restored)
        self._leaving = set(self.superseded)
        self._left, self._left_reasons = [0] * len(TaskState), Counter()

    def current(self) -> tuple[list[int], Counter[str]]:
        """Return `counts` and `reasons` without the tasks that are superseded; those that ended are looked at once."""
        if not self.superseded:
            return self.counts, self.reasons
        ended = [task for task in self._leaving if self.ended(task)]
        self._leaving.difference_update(ended)
        for task in ended:
            self._left[self._state[task]] += 1
            self._left_reasons[_REASONS[self._reason[task]]] += 1
        counts = [count - left for count, left in zip(self.counts, self._left, strict=True)]
        for task in self._leaving:
            counts[self._state[task]] -= 1
        return counts, self.reasons - self._left_reasons

    def losses(self, task: int) -> int:
        """Return how often the cluster has lost a task since the user launched it last."""
        return self._losses[task]

    def lose(self, task: int) -> int:
        """Count one loss by the cluster and return how many this task has had."""
        self._losses[task] += 1
        return self._losses[task]

    def next_attempt(self, task: int) -> None:
        """Number the attempt that follows one which was lost or failed."""
        self._attempt[task] += 1

    def check(self) -> None:
        """Assert that the sums agree with the columns."""
        assert [self._state.count(state) for state in TaskState] == self.counts
        assert sum(self.reasons.values()) == sum(self.counts[state] for state in TERMINAL)
        assert min(self.reasons.values(), default=0) >= 0
        assert len(self._attempt) == len(self._losses) == len(self._reason) == len(self._state)
        assert all(not self.ended(task) for task in self._story)
        counts, reasons = self.current()
        others = [task for task in range(len(self)) if task not in self.superseded]
        assert counts == [sum(self._state[task] == state for task in others) for state in TaskState]
        assert sum(reasons.values()) == sum(counts[state] for state in TERMINAL)
