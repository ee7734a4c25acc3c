"""A job's view as the browser gets it: small, JSON, in the browser's words.

Its keys are the contract with ``static/``: what draws a job there reads nothing else of a view.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..backend.core.states import TaskState
from ..backend.core.views import JobView
from ..report.text import MAX_NOTICES, clean, failure_reasons, inputs_text, state_text


def view_record(view: JobView, now_s: float, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the record of a view.

    Parameters
    ----------
    view : JobView
        The newest snapshot.
    now_s : float
        The kernel's time, in seconds since the epoch. Elapsed and remaining time are of this moment: a snapshot can
        be older, because nothing is published while nothing happens.
    more : mapping, optional
        What `JobPublisher` adds for a browser that shows the job now.
    """
    state, tone = state_text(view)
    running = view.ended_at is None
    age_s = max(0.0, now_s - view.at_s) if running else 0.0
    return {
        "job": clean(view.job_id),
        "run": view.run,
        "engine": clean(view.engine),
        "state": state,
        "tone": tone,
        "counts": {state.name.lower(): view[state] for state in TaskState},
        "total": view.total,
        "done": view.done,
        "failed": view.failed,
        "reasons": failure_reasons(view),
        "rate": view.rate_per_s,
        "elapsed": view.elapsed_s + age_s,
        "eta": None if view.eta_s is None else max(0.0, view.eta_s - age_s),
        "nodes": view.nodes,
        "attempts_lost": view.attempts_lost,
        "notices": [clean(notice) for notice in view.notices[-MAX_NOTICES:]],
        "submitted_at": view.submitted_at,
        "ended_at": view.ended_at,
        "ended": not running,
        "at_s": now_s,
        "local": view.local_share,
        "inputs": inputs_text(view),
        "held": view.held,
        "resting": view.backing_off[0],
        "retried": view.attempts_retried,
        **(more or {}),
    }
