"""What nobody needs any more: records of runs that have ended or were run again since, and executors of theirs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..backend.engines.local.executor_link import INFO, SPOOL
from ..backend.engines.local.executors import EXECUTORS
from ..backend.engines.local.orphans import end_orphans
from ..backend.store.journal import FILE_NAME, Journal, open_whole
from ..backend.store.lease import Holder, boot_id, lives
from ..backend.store.run_dirs import cut_off, runs
from ..errors import JournalBusy, JournalError
from .recorded_run import read_run
from .stored_run import StoredRun

#: how long an executor may take to end what it runs, in seconds: the grace of its tasks, and more
PATIENCE_S: Final = 8.0

#: why a run is not needed whose record has to be looked at once more before it goes
ENDED: Final = "all of it has ended"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A run that nobody needs.

    Attributes
    ----------
    job_id, run, folder
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
    folder: Path
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
        What was found; with `really`, what was removed of it.
    """
    every = [StoredRun.found(*found) for found in runs(home)]
    newest = {kept.job_id: kept.run for kept in every}
    cleaned = [_cut_off(*found) for found in cut_off(home)]
    cleaned += [found for kept in every if (found := _unneeded(kept, newest[kept.job_id])) is not None]
    return [found for found in cleaned if not really or _remove(found)]


def _cut_off(job_id: str, run: int, folder: Path) -> Cleaned:
    return Cleaned(job_id, run, folder, "its submission was cut off", _size(folder), 0)


def _unneeded(kept: StoredRun, newest: int) -> Cleaned | None:
    """Return a run if nobody needs it, and why."""
    if kept.holder not in (Holder.NOBODY, Holder.DEAD) or _elsewhere(kept.folder):
        return None
    if kept.run < newest:
        why = f"run {newest} followed"
    elif not (kept.folder / FILE_NAME).exists():
        why = "its record was broken"
    elif _has_tasks_to_go(kept.folder):
        return None
    else:
        why = ENDED
    return Cleaned(kept.job_id, kept.run, kept.folder, why, _size(kept.folder), len(_executors(kept.folder)))


def _has_tasks_to_go(folder: Path) -> bool:
    """Say whether a run that nobody holds has tasks that have not ended; one that cannot be read counts as such."""
    try:
        with closing(open_whole(folder, aside=False)) as journal:
            return _is_unfinished(journal)
    except JournalError:
        return True


def _is_unfinished(journal: Journal) -> bool:
    recorded = read_run(journal)
    kept = any((journal.folder / EXECUTORS).glob(f"*/{SPOOL}"))  # results that are not recorded yet
    return bool(recorded.scheduler.table.unended or recorded.replayed.spawned or kept)


def _remove(found: Cleaned) -> bool:
    """Remove a run, unless somebody has taken it meanwhile; nobody else can while it goes."""
    with ExitStack() as held:
        if (found.folder / FILE_NAME).exists():
            try:
                journal = held.enter_context(closing(open_whole(found.folder, aside=False)))
                if found.why == ENDED and _is_unfinished(journal):
                    return False
            except JournalBusy:
                return False
            except JournalError:
                if found.why == ENDED:
                    return False
        _end(found.folder)
        shutil.rmtree(found.folder, ignore_errors=True)
    with suppress(OSError):
        found.folder.parent.rmdir()
    return True


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
