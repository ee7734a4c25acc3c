"""How far a run is: a small file beside its journal, which is locked while a process holds the run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ..core.states import IN_FLIGHT, TaskState
from ..core.views import JobView
from .lease import write_private
from .run_dirs import BEGUN

PROGRESS: Final = BEGUN


@dataclass(frozen=True, slots=True)
class Progress:
    """A run as it was when it was last written down.

    Attributes
    ----------
    submitted_at, at_s : float
        Seconds since the epoch: of its first submission, and of this.
    total, done, failed, running : int
        Tasks.
    held : str
        Why nothing is launched; '' when nothing is in the way.
    """

    submitted_at: float
    at_s: float
    total: int
    done: int
    failed: int
    running: int
    held: str


def begin_progress(folder: Path, at_s: float) -> None:
    """Write down that a run has begun, which makes it one; raises OSError."""
    write_private(folder / PROGRESS, asdict(Progress(at_s, at_s, 0, 0, 0, 0, "")))


def write_progress(folder: Path, view: JobView) -> None:
    """Write down how far a run is, if that has changed; raises OSError."""
    record = {
        "submitted_at": view.submitted_at,
        "at_s": view.at_s,
        "total": view.total,
        "done": view.done,
        "failed": view.failed,
        "running": sum(view[state] for state in IN_FLIGHT if state is not TaskState.STAGING),
        "held": view.held,
    }
    old = read_progress(folder)
    if old is None or any(getattr(old, name) != value for name, value in record.items() if name != "at_s"):
        write_private(folder / PROGRESS, record)


def read_progress(folder: Path) -> Progress | None:
    """Return how far a run was; None when that is not written down."""
    try:
        return Progress(**json.loads((folder / PROGRESS).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
