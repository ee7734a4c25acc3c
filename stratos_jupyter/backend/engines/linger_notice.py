"""The notice about tasks whose commands have ended and whose background processes have not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

#: tasks that a line names; a name is no longer than this
NAMED: Final = 3
TEXT: Final = 300


def linger_notice(rows: Sequence[Sequence[Any]]) -> str:
    """Return a line for a person, '' when nothing waits.

    Parameters
    ----------
    rows : sequence
        Task, attempt, and what the executor says of it, for each of them.
    """
    parts = [f"task {int(task)} is {text!s:.{TEXT}}" for task, _, text in rows[:NAMED]]
    more = len(rows) - len(parts)
    if more > 0:
        parts.append(f"{more:,} more task{'' if more == 1 else 's'}")
    return "; ".join(parts)
