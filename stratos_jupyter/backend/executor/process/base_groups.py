"""Where memory cgroups might be made: our own group, or its parent where our own one limits nothing.

A group for a task only ever narrows what we were given. So a base is one whose limits, and those above it, hold for
whatever is made in it.
"""

import os
import re
from contextlib import suppress
from typing import Dict, List, NamedTuple, Optional

from .cgroup_files import groups_in, read_text
from .procs import start_time

#: Of an executor: its process id and its start time.
_FOLDER = re.compile(r"stratos-(\d+)-(\d+)\Z", re.ASCII)
_UNLIMITED = 1 << 60


class BaseGroup(NamedTuple):
    """A group in which groups might be made."""

    version: int
    path: str
    #: It is not our own group: only where our own one limits nothing.
    parent: bool = False


def base_groups(cgroup: str, mountinfo: str) -> List[BaseGroup]:
    """Return where a memory group might be made, best first, by the texts of these files of /proc/self."""
    own: Dict[str, str] = {}
    for line in cgroup.splitlines():
        number, controllers, path = line.split(":", 2)
        own["" if number == "0" else "memory" if "memory" in controllers.split(",") else controllers] = path
    found = []
    for line in mountinfo.splitlines():
        left, _dash, right = line.partition(" - ")
        words, kind = left.split(" "), right.split(" ")
        root, mount = _plain(words[3]), _plain(words[4])
        if kind[0] == "cgroup" and "memory" in kind[-1].split(",") and "memory" in own:
            base = _below(own["memory"], root, mount)
            if base:
                found.append(BaseGroup(1, base))
        elif kind[0] == "cgroup2" and "" in own:
            base = _below(own[""], root, mount)
            if base:
                found.append(BaseGroup(2, base))
                if base != mount:
                    found.append(BaseGroup(2, os.path.dirname(base), True))
    return sorted(found, key=lambda base: (base.version, base.parent))


def _below(path: str, root: str, mount: str) -> Optional[str]:
    """Return where the group `path` is, when `root` of its hierarchy is mounted at `mount`."""
    rest = os.path.relpath(path, root)
    if rest.split("/")[0] == ".." or ".." in path.split("/"):
        return None  # out of our sight
    return mount if rest == "." else os.path.join(mount, rest)


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)


def harmless(base: BaseGroup) -> bool:
    """Say whether all limits that hold for us hold in a new group at `base`, too."""
    if base.version == 1:
        # Old kernels may have groups whose limit doesn't hold for the groups in them.
        with suppress(FileNotFoundError):
            if read_text(base.path + "/memory.use_hierarchy").strip() != "0":
                return True
        return int(read_text(base.path + "/memory.limit_in_bytes")) > _UNLIMITED
    return not base.parent or without_limits(own_below(base.path))


def own_below(parent: str) -> str:
    """Return our own group, which is below `parent`; ValueError when it is not."""
    for base in base_groups(read_text("/proc/self/cgroup"), read_text("/proc/self/mountinfo")):
        if base.version == 2 and not base.parent and os.path.dirname(base.path) == parent:
            return base.path
    raise ValueError(parent)


def without_limits(path: str) -> bool:
    """Say whether a group of version 2 limits nothing that tasks could notice."""
    for name in ("memory.max", "memory.high", "memory.swap.max", "pids.max", "cpu.max"):
        with suppress(FileNotFoundError):
            if not read_text(os.path.join(path, name)).startswith("max"):
                return False
    return True


def remove_leftovers(path: str) -> None:
    """Remove the empty folders of executors that are no more."""
    for name in os.listdir(path):
        found = _FOLDER.match(name)
        if found and start_time(int(found.group(1))) != int(found.group(2)):
            folder = os.path.join(path, name)
            for child in groups_in(folder):
                with suppress(OSError):
                    os.rmdir(child)
            with suppress(OSError):
                os.rmdir(folder)
