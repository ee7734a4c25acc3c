"""Where runs are kept: ``<home>/jobs/<job>/<run>/``, private to the user."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any, Final

from ...errors import JournalError

LEASE: Final = "lease.json"


def make_home(home: Path) -> None:
    """Make the folder that all runs are kept in.

    Raises
    ------
    JournalError
        It cannot be made.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(f"cannot keep jobs in {home}: {error.strerror}; set STRATOS_HOME to another") from error


def new_run(home: Path, job_id: str) -> tuple[int, Path]:
    """Make the folder of a job's next run.

    Returns
    -------
    run : int
        Its number, from 1.
    folder : Path
        The folder, mode 0700.

    Raises
    ------
    JournalError
        It cannot be made.
    """
    jobs = home / "jobs" / job_id
    try:
        for folder in (home, home / "jobs", jobs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        run = max((int(entry.name) for entry in jobs.iterdir() if entry.name.isdecimal()), default=0)
        while True:
            run += 1
            folder = jobs / str(run)
            try:
                folder.mkdir(mode=0o700)  # whoever makes it has the number
            except FileExistsError:
                continue
            (folder / "sandbox").mkdir(mode=0o700)
            return run, folder
    except OSError as error:
        raise JournalError(
            f"cannot keep jobs in {home}: {error.strerror}; set STRATOS_HOME to another folder"
        ) from error


def process_start(pid: int) -> str:
    """Return when a process started, in the kernel's ticks; '' where that cannot be told.

    Together with the boot's id it tells a process from a later one of the same number.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def boot_id() -> str:
    """Return the id of this machine's boot; '' where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def write_lease(folder: Path) -> None:
    """Write down that this process holds a run; raises JournalError when it cannot.

    The journal itself is locked while it is held, so that this lies beside it, where others can read it.
    """
    pid = os.getpid()
    lease: dict[str, Any] = {
        "host": socket.gethostname(),
        "boot_id": boot_id(),
        "pid": pid,
        "started": process_start(pid),
    }
    aside = folder / f"{LEASE}.{pid}"
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(lease, file)
        os.replace(aside, folder / LEASE)
    except OSError as error:
        raise JournalError(f"cannot write {folder / LEASE}: {error.strerror}") from error
