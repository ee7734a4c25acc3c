"""Where runs are kept: ``<home>/jobs/<job>/<run>/``, private to the user."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from ...errors import JobNotFound, JournalError

#: in the home: what this user's keys are made with
SECRET: Final = "secret"
#: a submission takes no longer than this between making its folder and recording itself, in seconds
SUBMITTING_S: Final = 60.0
#: in a run's folder, once its submission is recorded
BEGUN: Final = "progress.json"


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


def secret_of(home: Path) -> bytes:
    """Return what this user's keys are made with: 32 random bytes in a file of the home, outside of all runs.

    Raises
    ------
    JournalError
        It cannot be made or read.
    """
    path = home / SECRET
    make_home(home)
    try:
        if not path.exists():
            aside = path.with_name(f"{SECRET}.{os.getpid()}.{secrets.token_hex(4)}")
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(32))
            with suppress(FileExistsError):
                os.link(aside, path)  # the first process has made it, whole
            aside.unlink()
        return path.read_bytes()
    except OSError as error:
        raise JournalError(f"cannot keep {path}: {error.strerror}") from error


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
                folder.mkdir(mode=0o700)  # the process that makes it has the number
            except FileExistsError:
                continue
            except FileNotFoundError:  # another process cleans up just now
                jobs.mkdir(mode=0o700, parents=True, exist_ok=True)
                run -= 1
                continue
            (folder / "sandbox").mkdir(mode=0o700)
            return run, folder
    except OSError as error:
        raise JournalError(
            f"cannot keep jobs in {home}: {error.strerror}; set STRATOS_HOME to another folder"
        ) from error


def runs(home: Path) -> list[tuple[str, int, Path]]:
    """Return every run that is kept: job, number and folder, by job and number.

    A folder whose submission was cut off before it was recorded is none.
    """
    found = (home / "jobs").glob(f"*/*/{BEGUN}")
    folders = [path.parent for path in found if path.parent.name.isdecimal()]
    return sorted((folder.parent.name, int(folder.name), folder) for folder in folders)


def cut_off(home: Path) -> list[tuple[str, int, Path]]:
    """Return the folders of submissions that were never recorded, long after they were made."""
    old = time.time() - SUBMITTING_S
    folders = [folder for folder in (home / "jobs").glob("*/*") if folder.name.isdecimal() and folder.is_dir()]
    found = [folder for folder in folders if not (folder / BEGUN).exists() and folder.stat().st_mtime < old]
    return sorted((folder.parent.name, int(folder.name), folder) for folder in found)


def newest_run(home: Path, job_id: str) -> tuple[int, Path]:
    """Return the number and folder of a job's newest run.

    Raises
    ------
    JobNotFound
        There is none.
    """
    mine = [(run, folder) for name, run, folder in runs(home) if name == job_id]
    if not mine:
        known = sorted({name for name, _, _ in runs(home)})
        there = f"; there is {', '.join(known[:20])}" if known else ""
        raise JobNotFound(f"no job {job_id!r} is kept in {home}{there}")
    return mine[-1]
