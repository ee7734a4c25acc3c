"""What nobody needs any more: records of runs that have ended or were run again since, and executors of theirs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .backend.core.scheduler import Scheduler
from .backend.engines.link import INFO, SPOOL
from .backend.engines.local import EXECUTORS
from .backend.engines.orphans import end_orphans
from .backend.engines.replay import replay
from .backend.store.home import runs
from .backend.store.journal import FILE_NAME, open_whole
from .backend.store.lease import Holder, boot_id, lives
from .errors import JournalError, StratosError
from .kept import Kept
from .spec import JobSpec

#: how long an executor may take to end what it runs, in seconds: the grace of its tasks, and more
PATIENCE_S: Final = 8.0


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
        if _elsewhere(kept.folder):
            continue
        if kept.run < newest[kept.job_id]:
            why = f"run {newest[kept.job_id]} followed"
        elif not (kept.folder / FILE_NAME).exists():
            why = "its record was broken"
        elif _has_tasks_to_go(kept.folder):
            continue
        else:
            why = "all of it has ended"
        pids = _executors(kept.folder)
        cleaned.append(Cleaned(kept.job_id, kept.run, why, _size(kept.folder), len(pids)))
        if really:
            _end(kept.folder)
            shutil.rmtree(kept.folder, ignore_errors=True)
            with suppress(OSError):
                kept.folder.parent.rmdir()
    return cleaned


def _has_tasks_to_go(folder: Path) -> bool:
    """Say whether a run that nobody holds has tasks that have not ended; one that cannot be read counts as such."""
    try:
        journal = open_whole(folder, aside=False)  # which fails while somebody has it
    except JournalError:
        return True
    try:
        spec = JobSpec.from_record(journal.meta()["spec"])
        scheduler = Scheduler()
        replayed = replay(journal, scheduler, spec.demand(), spec.priority)
        return bool(scheduler.table.unended or replayed.spawned or any((folder / EXECUTORS).glob(f"*/{SPOOL}")))
    except (StratosError, KeyError, TypeError):
        return True
    finally:
        journal.close()


def _executors(folder: Path) -> list[int]:
    """Return the processes of a run's executors."""
    found = []
    for path in (folder / EXECUTORS).glob(f"*/{INFO}"):
        with suppress(OSError, ValueError, KeyError):
            info = json.loads(path.read_text("utf-8"))
            if info["boot_id"] == boot_id() and info["pid"] and lives(info["pid"], info["started"]):
                found.append(int(info["pid"]))
    return found


def _elsewhere(folder: Path) -> bool:
    """Say whether a run has executors on another machine, of which nobody here can tell whether they live."""
    for path in (folder / EXECUTORS).glob(f"*/{INFO}"):
        with suppress(OSError, ValueError, KeyError):
            if json.loads(path.read_text("utf-8"))["host"] != socket.gethostname():
                return True
    return False


def _end(folder: Path) -> None:
    """End a run's executors, with all that they run."""
    for number, patience_s in ((signal.SIGTERM, PATIENCE_S), (signal.SIGKILL, 1.0)):
        for pid in _executors(folder):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        until = time.monotonic() + patience_s
        while _executors(folder) and time.monotonic() < until:
            time.sleep(0.02)
    end_orphans(folder, ())


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total
