"""Lease: a file beside a run's journal that says which process holds the run, and that others can read.

The journal itself is locked while it is held, hence unreadable. A lease names host, boot and process; one of this
host is judged by whether that process lives, one of another host never: only its holder can let go of it. A
process that wants a run leaves a note; a holder that lives sees it within a second and lets go.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from ...errors import JournalError

LEASE: Final = "lease.json"
WANTED: Final = "wanted"


class Holder(StrEnum):
    """What is known of the process that holds a run."""

    NOBODY = "nobody"
    DEAD = "dead"
    US = "us"
    ALIVE = "alive"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Lease:
    """A process, such that no later one of its number is taken for it.

    Attributes
    ----------
    host : str
        Its machine.
    boot_id : str
        Which boot of it; '' where there is none.
    pid : int
        Its number.
    started : str
        When it started, in the system's ticks; '' where that cannot be told.
    background : bool
        Whether it goes on with the run in the background: such a process lets go of it for any other that asks.
    """

    host: str
    boot_id: str
    pid: int
    started: str
    background: bool = False

    def to_record(self) -> dict[str, Any]:
        """Return it as it is on disk, where `background` is called ``keeper``."""
        record = asdict(self)
        record["keeper"] = record.pop("background")
        return record

    def holder(self) -> Holder:
        """Say whether that process lives, as far as this one can know."""
        if self.host != socket.gethostname():
            return Holder.ELSEWHERE
        if self.boot_id != boot_id():
            return Holder.DEAD
        if self.pid == os.getpid() and self.started == process_start(self.pid):
            return Holder.US
        return Holder.ALIVE if lives(self.pid, self.started) else Holder.DEAD


def lives(pid: int, started: str) -> bool:
    """Say whether the process `pid` lives and is the one that started then."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    now = process_start(pid)
    return not started or not now or now == started


def process_start(pid: int) -> str:
    """Return when a process started, in the system's ticks; '' where that cannot be told, or when it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    words = stat.rpartition(")")[2].split()
    return "zombie" if words[0] in "ZX" else words[19]


def boot_id() -> str:
    """Return the id of this machine's boot; '' where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def ourselves() -> Lease:
    """Return what names this process."""
    pid = os.getpid()
    return Lease(socket.gethostname(), boot_id(), pid, process_start(pid), _background)


_background = False


def become_background() -> None:
    """Mark this process as one that goes on with runs in the background, until it ends."""
    global _background
    _background = True


def is_background() -> bool:
    """Say whether this process goes on with runs in the background."""
    return _background


def read_lease(folder: Path) -> Lease | None:
    """Return the lease of a run, of a process that holds or held it; None when there is none that can be read."""
    return _read(folder / LEASE)


def _read(path: Path) -> Lease | None:
    try:
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
        host, boot = str(record["host"]), str(record["boot_id"])
        return Lease(host, boot, int(record["pid"]), str(record["started"]), bool(record["keeper"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def holder_of(folder: Path) -> tuple[Holder, Lease | None]:
    """Return what is known of the process that holds a run, and its lease."""
    lease = read_lease(folder)
    return (Holder.NOBODY if lease is None else lease.holder()), lease


def take_lease(folder: Path) -> None:
    """Write down that this process holds a run, which is so once it has the journal open; JournalError if it cannot."""
    try:
        write_private(folder / LEASE, ourselves().to_record())
        want_no_longer(folder)
    except OSError as error:
        raise JournalError(f"cannot write {folder / LEASE}: {error.strerror}") from error


def release_lease(folder: Path) -> None:
    """Take that back, if it is this process's."""
    if read_lease(folder) == ourselves():
        (folder / LEASE).unlink(missing_ok=True)


def want(folder: Path) -> None:
    """Ask the process that holds a run to let go of it."""
    write_private(folder / WANTED, ourselves().to_record())


def want_no_longer(folder: Path) -> None:
    """Withdraw our request, or one of a process that is gone; keep that of a living one."""
    if not is_wanted(folder):
        (folder / WANTED).unlink(missing_ok=True)


def is_wanted(folder: Path) -> bool:
    """Say whether another process asks for the run, and lives as far as this one can know."""
    asks = _read(folder / WANTED)
    return asks is not None and asks.holder() not in (Holder.DEAD, Holder.US)


def write_private(path: Path, record: dict[str, Any]) -> None:
    """Write JSON aside and move it into place, readable by this user alone."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(record, file)
        os.replace(aside, path)
    except BaseException:  # a full disk has no room for halves
        aside.unlink(missing_ok=True)
        raise
