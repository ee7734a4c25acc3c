"""What nobody needs any more: records of runs that have ended or were run again since, and executors of theirs."""

from __future__ import annotations

import json
import os
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .backend.engines.link import INFO
from .backend.engines.local import EXECUTORS
from .backend.engines.orphans import end_orphans
from .backend.store.home import runs
from .backend.store.journal import FILE_NAME
from .backend.store.lease import Holder, boot_id, lives
from .kept import Kept


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A run that nobody needs.

    Attributes
    ----------
    job_id, run
        Which.
    why : str
        Why not.
    size : int
        What its folder takes, in bytes.
    executors : int
        How many of its executors live.
    """

    job_id: str
    run: int
    why: str
    size: int
    executors: int


def clean_home(home: Path, *, really: bool) -> list[Cleaned]:
    """Find the runs that nobody needs, and with `really` end their executors and remove them.

    A run is needed while somebody holds it, and while it is the newest of its job, has tasks to go
    and a record that can be read.

    Parameters
    ----------
    home : Path
        Where runs are kept.
    really : bool
        Whether to do it.

    Returns
    -------
    list of Cleaned
        What was found.
    """
    every = [Kept.found(*found) for found in runs(home)]
    newest = {kept.job_id: kept.run for kept in every}
    cleaned = []
    for kept in every:
        if kept.holder not in (Holder.NOBODY, Holder.DEAD):
            continue
        if kept.ended and kept.total:
            why = "all of it has ended"
        elif kept.run < newest[kept.job_id]:
            why = f"run {newest[kept.job_id]} followed"
        elif not (kept.folder / FILE_NAME).exists():
            why = "its record was broken"
        elif not kept.total:
            why = "it has no tasks"
        else:
            continue
        pids = _executors(kept.folder)
        cleaned.append(Cleaned(kept.job_id, kept.run, why, _size(kept.folder), len(pids)))
        if really:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            if not pids:
                end_orphans(kept.folder, ())
            shutil.rmtree(kept.folder, ignore_errors=True)
            with suppress(OSError):
                kept.folder.parent.rmdir()
    return cleaned


def _executors(folder: Path) -> list[int]:
    """Return the processes of a run's executors."""
    found = []
    for path in (folder / EXECUTORS).glob(f"*/{INFO}"):
        with suppress(OSError, ValueError, KeyError):
            info = json.loads(path.read_text("utf-8"))
            if info["boot_id"] == boot_id() and info["pid"] and lives(info["pid"], info["started"]):
                found.append(int(info["pid"]))
    return found


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total
