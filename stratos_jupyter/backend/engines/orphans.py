"""What an executor that was killed leaves behind: its commands, which nobody watches any more.

They are found by the mark that every command's environment holds, as the executor itself finds them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

_NAME: Final = b"STRATOS_TASK="
#: what the mark of a task ends with in its own processes, in those of its monitor and of its relauncher
_HELPERS: Final = (b"", b".monitor", b".relauncher")
#: a process may fork while we look; after so many looks it is left alone
LOOKS: Final = 10


def end_orphans(marks: Collection[bytes]) -> None:
    """Kill every process of this user whose environment bears one of the marks.

    Parameters
    ----------
    marks : collection of bytes
        Values of ``STRATOS_TASK``.
    """
    for _ in range(LOOKS if marks else 0):
        found = _bearers(marks)
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _bearers(marks: Collection[bytes]) -> list[int]:
    """Return the processes that bear a mark; none where there is no /proc."""
    found = []
    marks = {mark + helper for mark in marks for helper in _HELPERS}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            environment = (entry / "environ").read_bytes().split(b"\0")
            if any(line.startswith(_NAME) and line[len(_NAME) :] in marks for line in environment):
                found.append(int(entry.name))
    return found
