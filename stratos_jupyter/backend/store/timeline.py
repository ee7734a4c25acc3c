"""When and where attempts ran, and the first words of what they wrote: what a report reads of a journal.

No output is read but its beginning, so that 100,000 rows are read in a second, however much they wrote.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .journal import Journal
from .rows import Head, Span, selected

#: how many tasks are asked for at a time
_AT_A_TIME: Final = 500


def spans(journal: Journal) -> list[Span]:
    """Return every attempt that ended, whether it counts or not, in order of arrival."""
    return list(map(Span._make, journal.select(f"SELECT {selected(Span)} FROM results ORDER BY seq")))


def heads(journal: Journal, tasks: Iterable[int], nbytes: int) -> dict[int, Head]:
    """Return how the result of each of those tasks begins; a task that has none is left out."""
    wanted = list(tasks)
    fields = selected(Head, stdout="substr(stdout, 1, ?)")
    found: dict[int, Head] = {}
    for first in range(0, len(wanted), _AT_A_TIME):
        some = wanted[first : first + _AT_A_TIME]
        marks = ", ".join("?" * len(some))
        query = f"SELECT {fields} FROM results WHERE task IN ({marks}) AND counts ORDER BY seq"
        for row in journal.select(query, (nbytes, *some)):
            found[row[0]] = Head._make(row)  # the newest of each
    return found
