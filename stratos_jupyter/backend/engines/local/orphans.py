"""What an executor that was killed leaves behind: commands and monitors that no executor watches.

They are found by what every command's environment holds: the folder of its run, and its mark.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

#: names the run that a process belongs to, in its environment
RUN: Final = "STRATOS_RUN"

_RUN: Final = f"{RUN}=".encode()
_TASK: Final = b"STRATOS_TASK="
#: what the mark of a task ends with in its own processes, in those of its monitor and of its relauncher
_HELPERS: Final = (b"", b".monitor", b".relauncher")
#: a process may fork while we look; after so many looks it is left alone
LOOKS: Final = 10


def end_orphans(run: Path, watched: Collection[bytes]) -> None:
    """Kill every process of a run that no executor watches.

    Parameters
    ----------
    run : Path
        The run's folder.
    watched : collection of bytes
        Values of ``STRATOS_TASK`` of the attempts that an executor has.
    """
    for _ in range(LOOKS):
        found = bearers(run, watched)
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def bearers(run: Path, watched: Collection[bytes] = ()) -> list[int]:
    """Return the processes of a run, without those of attempts that are watched; none where there is no /proc."""
    ours = _RUN + os.fsencode(run)
    spared = {_TASK + mark + helper for mark in watched for helper in _HELPERS}
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            environment = (entry / "environ").read_bytes().split(b"\0")
            if ours in environment and any(line.startswith(_TASK) and line not in spared for line in environment):
                found.append(int(entry.name))
    return found
