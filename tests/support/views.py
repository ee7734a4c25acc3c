"""Views of a job that never ran."""

from __future__ import annotations

from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.core.views import JobView


def view_at(done: int, total: int = 100, *, failed: int = 0, at_s: float | None = None) -> JobView:
    """Return the view of a job of which some tasks have ended; a task takes a second, and one runs at a time."""
    counts = [0] * 8
    counts[TaskState.QUEUED] = total - done
    counts[TaskState.FINISHED] = done - failed
    counts[TaskState.FAILED] = failed
    now_s = 1000.0 + done if at_s is None else at_s
    return JobView(
        "demo",
        1,
        "local[2]",
        tuple(counts),
        at_s=now_s,
        submitted_at=1000.0,
        ended_at=now_s if total and done == total else None,
        reasons={Reason.EXIT: done} if done else {},
        rate_per_s=10.0 if done else None,
        eta_s=(total - done) / 10 if 0 < done < total else None,
        nodes=1,
    )
