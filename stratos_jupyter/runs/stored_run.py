"""StoredRun: summary of a run in the state directory, without opening its journal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..backend.store.lease import Holder, Lease, holder_of
from ..backend.store.progress import read_progress


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run in the user's state directory.

    Attributes
    ----------
    job_id, run, folder
        Which.
    holder : Holder
        Whether a process holds it.
    lease : Lease or None
        Which process.
    at_s : float
        When it was last written down, in seconds since the epoch.
    total, done, failed : int
        Tasks, as they were then.
    held : str
        Why nothing was launched; '' when nothing was in the way.
    """

    job_id: str
    run: int
    folder: Path
    holder: Holder
    lease: Lease | None
    at_s: float
    total: int
    done: int
    failed: int
    held: str

    @staticmethod
    def found(job_id: str, run: int, folder: Path) -> StoredRun:
        """Look at a run."""
        holder, lease = holder_of(folder)
        progress = read_progress(folder)
        if progress is None:
            return StoredRun(job_id, run, folder, holder, lease, folder.stat().st_mtime, 0, 0, 0, "")
        return StoredRun(
            *(job_id, run, folder, holder, lease),
            *(progress.at_s, progress.total, progress.done, progress.failed, progress.held),
        )

    @property
    def ended(self) -> bool:
        """Whether all of its tasks had ended, as far as is known."""
        return bool(self.total) and self.done == self.total

    @property
    def state(self) -> str:
        """How it was, in a word or three."""
        if self.ended:
            return "ended"
        return self.held or ("running" if self.holder in (Holder.US, Holder.ALIVE) else "unfinished")

    @property
    def holder_text(self) -> str:
        """Which process holds it, for a person."""
        lease = self.lease
        if lease is None or self.holder in (Holder.NOBODY, Holder.DEAD):
            return "nobody"
        if self.holder is Holder.US:
            return "this process"
        where = " (in the background)" if lease.background else ""
        return f"process {lease.pid} on {lease.host}{where}"
