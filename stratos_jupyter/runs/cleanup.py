"""Removes what is not needed any more: records of runs that have ended or were run again, and their executors."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..backend.engines.local import leftovers
from ..backend.store.broken_journal import open_whole
from ..backend.store.journal import FILE_NAME, Journal
from ..backend.store.lease import Holder
from ..backend.store.run_dirs import cut_off, runs
from ..errors import JournalBusy, JournalError
from .recorded_run import read_run
from .stored_run import StoredRun

#: why a run is not needed whose record has to be looked at once more before it goes
ENDED: Final = "all of it has ended"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A run that is not needed.

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
    """Find the runs that are not needed, and with `really` end their executors and remove them.

    A run is needed while a process holds it, and while it is the newest of its job, has tasks to go
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
    """Return a run if it is not needed, and why."""
    if kept.holder not in (Holder.NOBODY, Holder.DEAD) or leftovers.on_another_machine(kept.folder):
        return None
    if kept.run < newest:
        why = f"run {newest} followed"
    elif not (kept.folder / FILE_NAME).exists():
        why = "its record was broken"
    elif _has_tasks_to_go(kept.folder):
        return None
    else:
        why = ENDED
    return Cleaned(kept.job_id, kept.run, kept.folder, why, _size(kept.folder), len(leftovers.living(kept.folder)))


def _has_tasks_to_go(folder: Path) -> bool:
    """Say whether a run that no process holds has tasks that have not ended; one that cannot be read counts as such."""
    try:
        with closing(open_whole(folder, aside=False)) as journal:
            return _is_unfinished(journal)
    except JournalError:
        return True


def _is_unfinished(journal: Journal) -> bool:
    recorded = read_run(journal)
    kept = leftovers.has_unrecorded(journal.folder)
    return bool(recorded.scheduler.table.unended or recorded.replayed.spawned or kept)


def _remove(found: Cleaned) -> bool:
    """Remove a run, unless a process has taken it meanwhile; none can while it goes."""
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
        leftovers.end_run(found.folder)
        shutil.rmtree(found.folder, ignore_errors=True)
    with suppress(OSError):
        found.folder.parent.rmdir()
    return True


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total
