"""The files of a cgroup: what they say, which processes and groups are in it, and how both are removed."""

import os
import signal
from contextlib import suppress
from typing import Dict, Iterable, List, Optional


def counts(text: str) -> Dict[str, int]:
    """Read lines of a name and a number."""
    pairs = [line.split() for line in text.splitlines()]
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def remove_group(path: str) -> bool:
    """Remove a group and those in it; what is in them is killed. False when that takes a while yet."""
    for _again in range(3):
        try:
            os.rmdir(path)
            return True
        except FileNotFoundError:
            return True
        except OSError:
            if os.getpid() in pids_in(path):
                return False  # we could not go back from there
            for child in groups_in(path):
                remove_group(child)
            kill_group(path)
    return False


def kill_group(path: str) -> None:
    """Send KILL to all that is in a group."""
    try:
        write_text(path + "/cgroup.kill", "1")  # version 2, since Linux 5.14
    except OSError:
        for pid in pids_in(path):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def groups_in(path: str) -> List[str]:
    """Return the groups that are directly in a group."""
    try:
        return [entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def pids_in(path: str) -> List[int]:
    """Return the processes that are directly in a group."""
    try:
        # 0 stands for a process that our /proc doesn't know.
        return [int(word) for word in read_text(path + "/cgroup.procs").split() if word != "0"]
    except OSError:
        return []


def move_into(pids: Iterable[int], path: str) -> bool:
    """Move processes into a group; True when one was moved. Raises OSError when there were some and none may be."""
    moved = False
    failure: Optional[OSError] = None
    for pid in pids:
        try:
            write_text(path + "/cgroup.procs", str(pid))
            moved = True
        except ProcessLookupError:
            pass
        except OSError as error:  # it may be another user's by now
            failure = error
    if failure is not None and not moved:
        raise failure
    return moved


def read_text(path: str) -> str:
    """Return what a file says; raises OSError."""
    with open(path, "rb", buffering=0) as file:
        return file.readall().decode("utf-8", "surrogateescape")


def write_text(path: str, text: str) -> None:
    """Write `text` by one call, as the kernel wants it; raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)
