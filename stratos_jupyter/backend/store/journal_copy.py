"""A copy of a run's journal, to be read while another process holds and writes the journal itself."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ...errors import JournalError
from .broken_journal import open_whole
from .journal import FILE_NAME, Journal
from .lease import Holder, holder_of

#: how often the record of a run is copied while its holder keeps it busy
TRIES: Final = 20


@contextmanager
def copied_journal(folder: Path) -> Iterator[Journal]:
    """Open a copy of a run's record: its holder has the record itself locked, and writes on."""
    path = folder / FILE_NAME
    if not path.exists():
        raise JournalError(f"{path} is not there; nothing can be reported of this run")
    if holder_of(folder)[0] is Holder.US:  # closing a copy's source would drop the locks that this process has on it
        raise JournalError(f"{path} is open in this process; report on the job itself")
    with tempfile.TemporaryDirectory(prefix="stratos-report-") as name:
        try:
            copy_database(path, Path(name) / FILE_NAME)
        except OSError as error:
            raise JournalError(f"cannot read {path}: {error.strerror}") from error
        journal = open_whole(Path(name), aside=False)
        try:
            yield journal
        finally:
            journal.close()


def copy_database(source: Path, target: Path, copy: Callable[[str, str], object] = shutil.copyfile) -> None:
    """Copy a database of SQLite that another process may be writing, as it was after one of its transactions.

    What is committed goes to the end of the -wal. From there it is moved into the file itself now and then, after which
    the -wal begins anew, with other salts. So a file that is copied before a -wal that has not begun anew since is
    whole, with that: what had been moved into the one is still in the other. A transaction that is torn at the end of
    the -wal is not taken for one, by its checksum.
    """
    wal = f"{source}-wal"
    for _ in range(TRIES):
        Path(f"{target}-wal").unlink(missing_ok=True)
        before = _salts(wal), _stamp(source)
        copy(str(source), str(target))
        if before[0]:
            copy(wal, f"{target}-wal")
        if (_salts(wal), before[1] if before[0] else _stamp(source)) == before:
            return
        time.sleep(0.05)
    raise JournalError(f"{source} changes too fast to be copied; attach the job to report on it, or wait until it ends")


def _salts(wal: str) -> bytes:
    """Return what tells one -wal from the next; b'' while there is none."""
    try:
        with open(wal, "rb") as file:
            return file.read(24)[16:]
    except FileNotFoundError:
        return b""


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
