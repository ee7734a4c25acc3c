"""What local executors leave in a run's folder, and how a run that no process holds is ended on this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ...store.lease import boot_id, lives
from .executor_link import INFO, SPOOL
from .executors import EXECUTORS
from .orphans import end_orphans

#: how long an executor may take to end what it runs, in seconds: the grace of its tasks, and more
PATIENCE_S: Final = 8.0


def has_unrecorded(run: Path) -> bool:
    """Say whether executors of a run kept results that may not be recorded."""
    return any((run / EXECUTORS).glob(f"*/{SPOOL}"))


def living(run: Path) -> list[int]:
    """Return the processes of a run's executors on this machine."""
    found = []
    for info in _infos(run):
        with suppress(KeyError):
            if info["boot_id"] == boot_id() and info["pid"] and lives(info["pid"], info["started"]):
                found.append(int(info["pid"]))
    return found


def on_another_machine(run: Path) -> bool:
    """Say whether a run has executors on another machine: whether they live cannot be told from here."""
    return any(info.get("host", socket.gethostname()) != socket.gethostname() for info in _infos(run))


def end_run(run: Path) -> None:
    """End a run's executors, with all that they run."""
    for number, patience_s in ((signal.SIGTERM, PATIENCE_S), (signal.SIGKILL, 1.0)):
        for pid in living(run):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        until = time.monotonic() + patience_s
        while living(run) and time.monotonic() < until:
            time.sleep(0.02)
    end_orphans(run, ())


def _infos(run: Path) -> Iterator[Mapping[str, Any]]:
    """Yield what is known of each executor; one whose file cannot be read is left out."""
    for path in (run / EXECUTORS).glob(f"*/{INFO}"):
        with suppress(OSError, ValueError):
            info = json.loads(path.read_text("utf-8"))
            if isinstance(info, dict):
                yield info
