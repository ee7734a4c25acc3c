"""The rows of a job's table: which tasks, in which order, and what is shown of the few on the screen.

Columns by task index, as the scheduler has them: filtering and sorting 100,000 tasks is a matter of milliseconds, and
only the rows that are asked for are ever made. What costs more (a search through all commands, an order by text) is
kept for a while, the longer the more it cost, so that it never takes more than a twentieth of the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ..backend.core.states import IN_FLIGHT, TERMINAL, TaskState
from ..backend.results.failure_groups import first_line, last_line, told
from ..backend.store.outputs import first_text, last_text
from ..report.text import clean
from .state_delta import SUPERSEDED, states_of

if TYPE_CHECKING:
    from ..backend.store.rows import FirstRow
    from ..job import Job

#: what a table can be sorted by
COLUMNS: Final = ("task", "state", "command", "node", "attempt", "time", "exit", "output")
#: what is read of an output to find its first line, and of a text that is shown
FIRST_BYTES: Final = 512
MOST_TEXT: Final = 240
#: rows that one request may have
MOST_ROWS: Final = 500
#: nodes that a filter lists
MOST_NODES: Final = 200
#: an order is kept for this long, and for so many times as long as it took
KEEP_S: Final = 0.25
KEEP_TIMES: Final = 20.0
#: tasks between two looks whether a search is still wanted
STRIDE: Final = 2000

Indices = npt.NDArray[np.int64]

_NO_EXIT: Final = np.iinfo(np.int32).min
_ENDED: Final = np.array([state in TERMINAL for state in TaskState] + [True])
_FLYING: Final = [int(state) for state in IN_FLIGHT]


class Overtaken(Exception):
    """A newer request has come meanwhile."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which tasks, and in which order.

    Attributes
    ----------
    states : tuple of int
        Those in one of these states; empty for all.
    node : str
        Those whose last attempt is on that node; '' for all.
    text : str
        Those whose command has this in it, in upper or lower case; ``#17`` and ``#3-7`` are indices.
    among : tuple of int or None
        Only of these.
    sort : str
        One of `COLUMNS`.
    down : bool
        The largest first.
    """

    states: tuple[int, ...] = ()
    node: str = ""
    text: str = ""
    among: tuple[int, ...] | None = None
    sort: str = "task"
    down: bool = False


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
        self._seq = 0
        self._attempt = np.zeros(0, np.uint16)
        self._exit = np.zeros(0, np.int32)
        self._node = np.zeros(0, np.int32)
        self._wall = np.zeros(0, np.float32)
        self._nodes: dict[str, int] = {"": 0}
        self._kept: dict[Query, _Kept] = {}
        self._searches: dict[str, _Search] = {}

    # -- asking -----------------------------------------------------------------------------------------

    def page(self, query: Query, first: int, count: int, wanted: Callable[[], bool] = lambda: True) -> dict[str, Any]:
        """Return some rows.

        Parameters
        ----------
        query : Query
            Which.
        first, count : int
            Of these, which rows of the screen.
        wanted : callable
            Says whether somebody still waits for them.

        Raises
        ------
        Overtaken
            Nobody does.
        """
        kept = self._kept.get(query)
        order = self.order(query, wanted)
        again_s = 0.0  # when to ask once more for an order that may be out of date
        if kept is not None and kept.order is order:
            again_s = max(0.001, kept.until_s - time.monotonic())
        shown = order[first : first + min(count, MOST_ROWS)].tolist()
        return {
            "total": len(order), "first": first, "rows": self.rows(shown), "nodes": self._node_names(), "kept": again_s
        }  # fmt: skip

    def order(self, query: Query, wanted: Callable[[], bool] = lambda: True) -> Indices:
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
        """Keep no order: something has been changed on purpose."""
        self._kept.clear()

    def rows(self, tasks: Sequence[int], inputs: bool = False) -> list[list[Any]]:
        """Return what is shown of a few tasks, in the order of `COLUMNS`, and what the output column shows of which."""
        self._update()
        job, states = self._job, self._states()
        attempts = self._attempts(len(states))
        flying = job.flying() if any(states[task] in _FLYING for task in tasks) else {}
        ended = [task for task in tasks if _ENDED[states[task]]]
        firsts = job.firsts(ended, FIRST_BYTES) if ended else {}
        names = list(self._nodes)
        now, made = self._clock(), []
        for task in tasks:
            state, line, kind = int(states[task]), "", ""
            node, since = flying.get(task, ("", None))
            wall = None if since is None else max(0.0, now - since)
            code: int | None = None
            if _ENDED[state] and task < len(self._attempt) and self._attempt[task]:
                node = names[self._node[task]]
                code = None if self._exit[task] == _NO_EXIT else int(self._exit[task])
                wall = None if np.isnan(self._wall[task]) else float(self._wall[task])
            if task in firsts:
                line, kind = _telling(firsts[task], state)
            made.append([
                task, state, clean(job.commands.command(task), MOST_TEXT), clean(node), int(attempts[task]),
                wall, code, line, kind, self._inputs(task),
            ])  # fmt: skip
        return made

    def _inputs(self, task: int) -> str:
        if not self._job.commands.placeholders:
            return ""
        values = self._job.commands.values(task)
        return clean("  ".join(values), MOST_TEXT)

    # -- columns ----------------------------------------------------------------------------------------

    def _states(self) -> npt.NDArray[np.uint8]:
        return states_of(self._job.states(), self._job.superseded)

    def _attempts(self, total: int) -> npt.NDArray[np.uint16]:
        attempts = np.ones(total, np.uint16)
        known = np.frombuffer(self._job.attempts(), np.uint16)[:total]
        attempts[: len(known)] = known
        return attempts

    def _update(self) -> None:
        """Take in what has ended since."""
        for seq, rows in self._job.facts(self._seq):
            self._reserve(1 + max((row.task for row in rows), default=-1))
            for row in rows:
                if row.attempt < self._attempt[row.task]:
                    continue  # an earlier attempt that is history
                self._attempt[row.task] = row.attempt
                self._exit[row.task] = _NO_EXIT if row.exit_code is None else row.exit_code
                self._node[row.task] = self._nodes.setdefault(row.node, len(self._nodes))
                self._wall[row.task] = np.nan if row.started_at is None else max(0.0, row.finished_at - row.started_at)
            self._seq = seq

    def _reserve(self, size: int) -> None:
        have = len(self._attempt)
        if size <= have:
            return
        more = max(size, 2 * have) - have
        self._attempt = np.concatenate((self._attempt, np.zeros(more, np.uint16)))
        self._exit = np.concatenate((self._exit, np.full(more, _NO_EXIT, np.int32)))
        self._node = np.concatenate((self._node, np.zeros(more, np.int32)))
        self._wall = np.concatenate((self._wall, np.full(more, np.nan, np.float32)))

    def _column(self, cells: npt.NDArray[Any], total: int, missing: Any) -> npt.NDArray[Any]:
        column = np.full(total, missing, cells.dtype)
        column[: min(total, len(cells))] = cells[:total]
        return column

    def _node_names(self) -> list[str]:
        return sorted(map(clean, filter(None, self._nodes)))[:MOST_NODES]

    # -- which, and in which order ----------------------------------------------------------------------

    def _order(self, query: Query, wanted: Callable[[], bool]) -> Indices:
        self._update()
        states = self._states()
        total = len(states)
        chosen = states != SUPERSEDED
        if query.states:
            chosen &= np.isin(states, query.states)
        if query.among is not None:
            among = np.zeros(total, np.bool_)
            among[[task for task in query.among if 0 <= task < total]] = True
            chosen &= among
        if query.node:
            nodes = self._nodes_of(states)
            codes = [code for name, code in self._nodes.items() if clean(name) == query.node]
            chosen &= np.isin(nodes, codes)
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

    def _nodes_of(self, states: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        nodes = self._column(self._node, len(states), 0)
        nodes[~_ENDED[states]] = 0
        for task, (node, _) in self._flying(len(states)):
            nodes[task] = self._nodes.setdefault(node, len(self._nodes))
        return nodes

    def _flying(self, total: int) -> list[tuple[int, tuple[str, float | None]]]:
        """Return what is in flight of the first `total` tasks: others may have been added since they were counted."""
        return [(task, where) for task, where in self._job.flying().items() if task < total]

    def _keys(
        self, sort: str, states: npt.NDArray[np.uint8], tasks: Indices, wanted: Callable[[], bool]
    ) -> npt.NDArray[Any]:
        total = len(states)
        match sort:
            case "state":
                return states[tasks]
            case "attempt":
                return self._attempts(total)[tasks]
            case "time":
                walls = self._column(self._wall, total, np.nan)
                walls[~_ENDED[states]] = np.nan
                now = self._clock()
                for task, (_, since) in self._flying(total):
                    walls[task] = np.nan if since is None else now - since
                return walls[tasks]
            case "exit":
                exits = self._column(self._exit, total, _NO_EXIT)
                exits[~_ENDED[states]] = _NO_EXIT
                return np.where(exits == _NO_EXIT, np.nan, exits.astype(np.float64))[tasks]
            case "node":
                nodes = self._nodes_of(states)
                ranks = np.zeros(len(self._nodes), np.int64)
                for rank, name in enumerate(sorted(self._nodes)):
                    ranks[self._nodes[name]] = rank
                return ranks[nodes][tasks]
            case "command":
                return self._texts(tasks, self._job.commands.command, wanted)
            case _:
                return self._outputs(tasks, states, wanted)

    def _texts(self, tasks: Indices, text_of: Callable[[int], str], wanted: Callable[[], bool]) -> npt.NDArray[Any]:
        texts = np.empty(len(tasks), object)
        for place, task in enumerate(tasks.tolist()):
            if place % STRIDE == 0:
                _give_way(wanted)
            texts[place] = text_of(task)
        return texts

    def _outputs(self, tasks: Indices, states: npt.NDArray[np.uint8], wanted: Callable[[], bool]) -> npt.NDArray[Any]:
        texts = np.full(len(tasks), "", object)
        places = np.flatnonzero(_ENDED[states[tasks]])
        for start in range(0, len(places), MOST_ROWS):
            _give_way(wanted)
            part = places[start : start + MOST_ROWS]
            firsts = self._job.firsts(tasks[part].tolist(), FIRST_BYTES)
            for place, task in zip(part.tolist(), tasks[part].tolist(), strict=True):
                if task in firsts:
                    texts[place] = _telling(firsts[task], int(states[task]))[0]
        return texts

    def _having(self, text: str, total: int, wanted: Callable[[], bool]) -> npt.NDArray[np.bool_]:
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
            if len(self._searches) > 8:
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


def _give_way(wanted: Callable[[], bool]) -> None:
    """Let other threads run, and stop when nobody waits any more."""
    if not wanted():
        raise Overtaken
    time.sleep(0)


def _telling(first: FirstRow, state: int) -> tuple[str, str]:
    """Return what a row shows of the output of a task, and of which stream it is.

    The first line of stdout; of what ended badly the last one of stderr, if there is one, or what is noted of it.
    """
    said = first_line(first_text(first.stdout, first.stdout_path, FIRST_BYTES))
    if said and state == TaskState.FINISHED:
        return clean(said, MOST_TEXT), "out"
    said_last = last_text(first.stderr_end, first.stderr_path, FIRST_BYTES)
    line = last_line(told(first.reason, said_last, first.note)) or last_line(first.note)
    return (clean(line, MOST_TEXT), "err") if line else (clean(said, MOST_TEXT), "out")


def query_of(asked: Mapping[str, Any], among: tuple[int, ...] | None = None) -> Query:
    """Read a query that a browser sends; what makes no sense in it is left out."""
    states = asked.get("states")
    sort = asked.get("sort")
    return Query(
        tuple(sorted({int(state) for state in states if state in range(SUPERSEDED)}))
        if isinstance(states, list)
        else (),
        str(asked.get("node") or ""),
        str(asked.get("text") or "").strip()[:MOST_TEXT],
        among,
        sort if sort in COLUMNS else "task",
        asked.get("down") is True,
    )
