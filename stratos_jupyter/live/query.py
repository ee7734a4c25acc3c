"""Which tasks of a job a browser's table shows, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .state_delta import SUPERSEDED

#: what a table can be sorted by
COLUMNS: Final = ("task", "state", "command", "node", "attempt", "time", "exit", "output")
#: the longest text that is searched for
MOST_TEXT: Final = 240


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
