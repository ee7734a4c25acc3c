"""The rows of a job's table: which tasks, in which order, and what is shown of the few on the screen.

Only the rows that are asked for are made. An order that is costly (a search through all commands, a sort by text) is
cached for 20 times as long as it took, so it takes at most 5 % of the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ..backend.core.states import IN_FLIGHT, TaskState
from ..backend.results.failure_groups import first_line, last_line, told
from ..backend.store.outputs import first_text, last_text
from ..report.text import clean
from .messages import Overtaken, Wanted
from .query import MOST_TEXT, Query
from .state_delta import SUPERSEDED, States
from .task_columns import ENDED, Indices, TaskColumns

if TYPE_CHECKING:
    from ..backend.store.rows import FirstRow
    from ..job import Job

#: what is read of an output to find its first line, in bytes
FIRST_BYTES: Final = 512
#: rows that one request may have
MOST_ROWS: Final = 500
#: an order is kept for this long, in seconds, or for so many times as long as it took
KEEP_S: Final = 0.25
KEEP_TIMES: Final = 20.0
#: searches that are kept
MOST_SEARCHES: Final = 8
#: tasks between two checks whether a search is still wanted
STRIDE: Final = 2000

_FLYING: Final = [int(state) for state in IN_FLIGHT]


@dataclass(slots=True)
class _Kept:
    order: Indices
    until_s: float


@dataclass(slots=True)
class _Search:
    """Which commands have a text in them, as far as they have been looked at."""

    upto: int = 0
    found: list[int] = field(default_factory=list)


class TaskRows:
    """The table of one job. Not for several threads at a time.

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
        self._columns = TaskColumns(job, clock)
        self._kept: dict[Query, _Kept] = {}
        self._searches: dict[str, _Search] = {}

    def page(self, query: Query, first: int, count: int, wanted: Wanted = lambda: True) -> dict[str, Any]:
        """Return some rows.

        Parameters
        ----------
        query : Query
            Which tasks.
        first, count : int
            Which of their rows.
        wanted : callable
            Says whether the rows are still waited for.

        Raises
        ------
        Overtaken
            They are not waited for any more.
        """
        kept = self._kept.get(query)
        order = self.order(query, wanted)
        again_s = 0.0  # when to ask once more for an order that may be out of date
        if kept is not None and kept.order is order:
            again_s = max(0.001, kept.until_s - time.monotonic())
        shown = order[first : first + min(count, MOST_ROWS)].tolist()
        rows, nodes = self.rows(shown), self._columns.node_names()
        return {"total": len(order), "first": first, "rows": rows, "nodes": nodes, "kept": again_s}

    def order(self, query: Query, wanted: Wanted = lambda: True) -> Indices:
        """Return all tasks of a query, in its order."""
        now = time.monotonic()
        kept = self._kept.get(query)
        if kept is not None and now < kept.until_s:
            return kept.order
        order = self._order(query, wanted)
        took_s = time.monotonic() - now
        self._kept = {other: it for other, it in self._kept.items() if now < it.until_s}
        self._kept[query] = _Kept(order, now + took_s + max(KEEP_S, KEEP_TIMES * took_s))
        return order

    def forget(self) -> None:
        """Drop all kept orders: a user has changed something and expects to see it."""
        self._kept.clear()

    def rows(self, tasks: Sequence[int]) -> list[list[Any]]:
        """Return the rows of a few tasks: the cells of `COLUMNS`, the stream that the output is of, and the inputs."""
        self._columns.update()
        job, states = self._job, self._columns.states()
        attempts = self._columns.attempts(len(states))
        flying = job.flying() if any(states[task] in _FLYING for task in tasks) else {}
        ended = [task for task in tasks if ENDED[states[task]]]
        firsts = job.firsts(ended, FIRST_BYTES) if ended else {}
        now_s, made = self._clock(), []
        for task in tasks:
            state, line, kind = int(states[task]), "", ""
            node, since = flying.get(task, ("", None))
            wall_s = None if since is None else max(0.0, now_s - since)
            code: int | None = None
            if ENDED[state] and (ending := self._columns.ending(task)) is not None:
                node, wall_s, code = ending
            if task in firsts:
                line, kind = _telling(firsts[task], state)
            made.append([
                task, state, clean(job.commands.command(task), MOST_TEXT), clean(node), int(attempts[task]),
                wall_s, code, line, kind, self._inputs(task),
            ])  # fmt: skip
        return made

    def _inputs(self, task: int) -> str:
        if not self._job.commands.placeholders:
            return ""
        values = self._job.commands.values(task)
        return clean("  ".join(values), MOST_TEXT)

    # -- which, and in which order ----------------------------------------------------------------------

    def _order(self, query: Query, wanted: Wanted) -> Indices:
        self._columns.update()
        states = self._columns.states()
        total = len(states)
        chosen = states != SUPERSEDED
        if query.states:
            chosen &= np.isin(states, query.states)
        if query.among is not None:
            among = np.zeros(total, np.bool_)
            among[[task for task in query.among if 0 <= task < total]] = True
            chosen &= among
        if query.node:
            chosen &= self._columns.on_node(query.node, states)
        if query.text:
            chosen &= self._having(query.text, total, wanted)
        tasks = np.flatnonzero(chosen)
        if query.sort == "task":
            return tasks[::-1] if query.down else tasks
        keys = self._keys(query.sort, states, tasks, wanted)
        if query.sort in ("time", "exit"):  # what is missing comes last, whichever way
            known = ~np.isnan(keys)
            lined = keys[known]
            order = np.argsort(-lined if query.down else lined, kind="stable")
            return np.concatenate((tasks[known][order], tasks[~known]))
        if query.down:  # equal ones stay in the order of their indices
            return tasks[::-1][np.argsort(keys[::-1], kind="stable")][::-1]
        return tasks[np.argsort(keys, kind="stable")]

    def _keys(self, sort: str, states: States, tasks: Indices, wanted: Wanted) -> npt.NDArray[Any]:
        numbers = self._columns.keys(sort, states)
        if numbers is not None:
            return numbers[tasks]
        if sort == "command":
            return self._texts(tasks, self._job.commands.command, wanted)
        return self._outputs(tasks, states, wanted)

    def _texts(self, tasks: Indices, text_of: Callable[[int], str], wanted: Wanted) -> npt.NDArray[Any]:
        texts = np.empty(len(tasks), object)
        for place, task in enumerate(tasks.tolist()):
            if place % STRIDE == 0:
                _give_way(wanted)
            texts[place] = text_of(task)
        return texts

    def _outputs(self, tasks: Indices, states: States, wanted: Wanted) -> npt.NDArray[Any]:
        texts = np.full(len(tasks), "", object)
        places = np.flatnonzero(ENDED[states[tasks]])
        for start in range(0, len(places), MOST_ROWS):
            _give_way(wanted)
            part = places[start : start + MOST_ROWS]
            firsts = self._job.firsts(tasks[part].tolist(), FIRST_BYTES)
            for place, task in zip(part.tolist(), tasks[part].tolist(), strict=True):
                if task in firsts:
                    texts[place] = _telling(firsts[task], int(states[task]))[0]
        return texts

    def _having(self, text: str, total: int, wanted: Wanted) -> npt.NDArray[np.bool_]:
        having = np.zeros(total, np.bool_)
        if text.startswith("#"):
            for part in text[1:].replace(",", " ").split():
                low, _, high = part.partition("-")
                if low.isdecimal() and (high.isdecimal() or not high):
                    having[int(low) : int(high or low) + 1] = True
            return having
        text = text.casefold()
        search = self._searches.get(text)
        if search is None:
            if len(self._searches) > MOST_SEARCHES:
                self._searches.clear()
            search = self._searches[text] = _Search()
        command = self._job.commands.command
        while search.upto < total:
            _give_way(wanted)
            after = min(total, search.upto + STRIDE)
            search.found += [task for task in range(search.upto, after) if text in command(task).casefold()]
            search.upto = after
        having[search.found] = True
        return having


def _give_way(wanted: Wanted) -> None:
    """Let other threads run; raise Overtaken when the answer is not waited for any more."""
    if not wanted():
        raise Overtaken
    time.sleep(0)


def _telling(first: FirstRow, state: int) -> tuple[str, str]:
    """Return what a row shows of the output of a task, and of which stream it is.

    It is the first line of stdout; where a task ended badly the last line of stderr, or of the note about it.
    """
    said = first_line(first_text(first.stdout, first.stdout_path, FIRST_BYTES))
    if said and state == TaskState.FINISHED:
        return clean(said, MOST_TEXT), "out"
    said_last = last_text(first.stderr_end, first.stderr_path, FIRST_BYTES)
    line = last_line(told(first.reason, said_last, first.note)) or last_line(first.note)
    return (clean(line, MOST_TEXT), "err") if line else (clean(said, MOST_TEXT), "out")
