"""Opening the journal of a run that exists: one that is broken is set aside, so that other jobs go on."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from ...errors import JournalError
from .journal import FILE_NAME, Journal


def open_whole(folder: Path, *, aside: bool = True) -> Journal:
    """Return the journal of a run that exists; one that is broken is set aside.

    Raises
    ------
    JournalError
        There is none, another process has it open, or it is broken, and where it is now.
    """
    path = folder / FILE_NAME
    if not path.exists():
        raise JournalError(f"{path} is not there; this run cannot be attached")
    try:
        journal = Journal(folder)
    except JournalError as error:
        if not isinstance(error.__cause__, sqlite3.DatabaseError) or isinstance(
            error.__cause__, sqlite3.OperationalError
        ):
            raise
        broken = str(error.__cause__)
    else:
        try:
            broken = journal.broken()
        except JournalError:
            journal.close()
            raise
        if not broken:
            return journal
        journal.close()
    raise set_aside(folder, broken) if aside else JournalError(f"{path} is broken ({broken})")


def set_aside(folder: Path, why: str) -> JournalError:
    """Give a broken journal, which no process has open, another name; return what there is to say of it."""
    path = folder / FILE_NAME
    aside = f"{FILE_NAME}.broken-{time.strftime('%Y%m%d-%H%M%S')}"
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{ending}", folder / f"{aside}{ending}")
    return JournalError(
        f"{path} is broken ({why}); it is set aside as {aside}. Other jobs are not concerned; what still runs of this "
        "one is ended by %stratos clean, which removes its folder too"
    )
