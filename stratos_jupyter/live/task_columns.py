"""What a job's table sorts and filters by: a column of each fact about its tasks, by task index.

Columns of ended attempts are kept and extended; states and what is in flight are read anew, because they change. At
100,000 tasks each of them costs milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ..backend.core.states import TERMINAL, TaskState
from ..report.text import clean
from .state_delta import States, states_of

if TYPE_CHECKING:
    from ..job import Job

Indices: TypeAlias = npt.NDArray[np.int64]

#: nodes that a filter lists
MOST_NODES: Final = 200
#: whether an attempt in a state has ended, by the state's number; so has a task that its job has let go of
ENDED: Final = np.array([state in TERMINAL for state in TaskState] + [True])
_NO_EXIT: Final = np.iinfo(np.int32).min


class TaskColumns:
    """The columns of one job. Not for several threads at a time.

    Parameters
    ----------
    job : Job
        The job.
    clock : callable
        Seconds since the epoch.
    """

    def __init__(self, job: Job, clock: Callable[[], float] = time.time) -> None:
        self._job = job
        self._clock = clock
        self._seq = 0
        self._attempt = np.zeros(0, np.uint16)
        self._exit = np.zeros(0, np.int32)
        self._node = np.zeros(0, np.int32)
        self._wall = np.zeros(0, np.float32)
        self._codes: dict[str, int] = {"": 0}  # of the nodes
        self._names: list[str] = []  # of the nodes, by their codes

    def update(self) -> None:
        """Take in the attempts that have ended since the last update."""
        for seq, rows in self._job.facts(self._seq):
            self._reserve(1 + max((row.task for row in rows), default=-1))
            for row in rows:
                if row.attempt < self._attempt[row.task]:
                    continue  # an earlier attempt that is history
                self._attempt[row.task] = row.attempt
                self._exit[row.task] = _NO_EXIT if row.exit_code is None else row.exit_code
                self._node[row.task] = self._codes.setdefault(row.node, len(self._codes))
                self._wall[row.task] = np.nan if row.started_at is None else max(0.0, row.finished_at - row.started_at)
            self._seq = seq

    # -- of some tasks ----------------------------------------------------------------------------------

    def ending(self, task: int) -> tuple[str, float | None, int | None] | None:
        """Return the node, run time and exit code of a task's newest ended attempt; None when none has ended."""
        if task >= len(self._attempt) or not self._attempt[task]:
            return None
        if len(self._names) < len(self._codes):
            self._names = list(self._codes)
        return (
            self._names[self._node[task]],
            None if np.isnan(self._wall[task]) else float(self._wall[task]),
            None if self._exit[task] == _NO_EXIT else int(self._exit[task]),
        )

    def node_names(self) -> list[str]:
        """Return the nodes of ended attempts, as a filter lists them."""
        return sorted(map(clean, filter(None, self._codes)))[:MOST_NODES]

    # -- of all tasks -----------------------------------------------------------------------------------

    def states(self) -> States:
        """Return the state of each task; `SUPERSEDED` for one that its job has let go of."""
        return states_of(self._job.states(), self._job.superseded)

    def attempts(self, total: int) -> npt.NDArray[np.uint16]:
        """Return the number of each task's newest attempt."""
        attempts = np.ones(total, np.uint16)
        known = np.frombuffer(self._job.attempts(), np.uint16)[:total]
        attempts[: len(known)] = known
        return attempts

    def on_node(self, name: str, states: States) -> npt.NDArray[np.bool_]:
        """Return which tasks are, or ended, on the node that is shown by this name."""
        nodes = self._nodes_of(states)
        codes = [code for node, code in self._codes.items() if clean(node) == name]
        return np.isin(nodes, codes)

    def keys(self, sort: str, states: States) -> npt.NDArray[Any] | None:
        """Return a number of each task to sort by, nan for an unknown one; None when the column is text."""
        total = len(states)
        match sort:
            case "state":
                return states
            case "attempt":
                return self.attempts(total)
            case "time":
                return self._times(states)
            case "exit":
                exits = _padded(self._exit, total, _NO_EXIT)
                exits[~ENDED[states]] = _NO_EXIT
                return np.where(exits == _NO_EXIT, np.nan, exits.astype(np.float64))
            case "node":
                nodes = self._nodes_of(states)
                ranks = np.zeros(len(self._codes), np.int64)
                for rank, name in enumerate(sorted(self._codes)):
                    ranks[self._codes[name]] = rank
                return ranks[nodes]
            case _:
                return None

    def _times(self, states: States) -> npt.NDArray[np.float32]:
        walls = _padded(self._wall, len(states), np.nan)
        walls[~ENDED[states]] = np.nan
        now_s = self._clock()
        for task, (_, since) in self._flying(len(states)):
            walls[task] = np.nan if since is None else now_s - since
        return walls

    def _nodes_of(self, states: States) -> npt.NDArray[np.int32]:
        nodes = _padded(self._node, len(states), 0)
        nodes[~ENDED[states]] = 0
        for task, (node, _) in self._flying(len(states)):
            nodes[task] = self._codes.setdefault(node, len(self._codes))
        return nodes

    def _flying(self, total: int) -> list[tuple[int, tuple[str, float | None]]]:
        """Return what is in flight of the first `total` tasks: others may have been added since they were counted."""
        return [(task, where) for task, where in self._job.flying().items() if task < total]

    def _reserve(self, size: int) -> None:
        have = len(self._attempt)
        if size <= have:
            return
        more = max(size, 2 * have) - have
        self._attempt = np.concatenate((self._attempt, np.zeros(more, np.uint16)))
        self._exit = np.concatenate((self._exit, np.full(more, _NO_EXIT, np.int32)))
        self._node = np.concatenate((self._node, np.zeros(more, np.int32)))
        self._wall = np.concatenate((self._wall, np.full(more, np.nan, np.float32)))


def _padded(cells: npt.NDArray[Any], total: int, missing: Any) -> npt.NDArray[Any]:
    """Return a copy of the first `total` cells, with `missing` where there are fewer."""
    column = np.full(total, missing, cells.dtype)
    column[: min(total, len(cells))] = cells[:total]
    return column
