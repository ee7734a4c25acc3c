"""Processes of this machine, read from /proc while they come and go."""

from __future__ import annotations

from pathlib import Path


def children_of_this_process() -> list[int]:
    """Return the ids of this process's children.

    The children of a thread that ends pass to another one, which may have been read already: then all are read again.
    """
    while True:
        found: list[int] = []
        try:
            for task in Path("/proc/self/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
        return found


def children_of(pid: int) -> list[int]:
    """Return the processes that the main thread of `pid` has started, or adopted; none when it has ended."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def below(pid: int) -> list[int]:
    """Return the children of a process, theirs, and so on, as far as they are there while they are looked at."""
    return [one for child in children_of(pid) for one in (child, *below(child))]


def is_stopped(pid: int) -> bool:
    """Say whether a process has been stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "T"
