"""Memory cgroups: a limit that the kernel itself keeps, where we may make groups of our own.

Below the group that we are in ourselves we make one folder, ``stratos-<pid>-<start time>``, and in it a group for
each task with a memory limit. We go into that ourselves to start the task, and come back, so nothing of the task was
ever elsewhere; going costs some 20 us. Groups only ever narrow what we were given: we never leave our own group,
except where it sets no limit at all and the kernel's rules (version 2: no processes beside child groups) leave the
parent as the only place. Nobody has to allow any of this; where something fails, there are no groups, and memory is
watched by sampling alone.

Whatever is in a task's group belongs to the task, even a process that has shed its parents, session and environment.
"""

import errno
import os
import re
import signal
from contextlib import suppress
from time import monotonic, sleep
from typing import Dict, Iterable, List, NamedTuple, Optional

from ..loop import Alarm, Loop
from ..work import Task
from .procs import start_time

_FOLDER = re.compile(r"stratos-(\d+)-(\d+)\Z", re.ASCII)
_UNLIMITED = 1 << 60
#: A group is full when the next piece doesn't go in (version 1's own count of that stays 0 on newer kernels).
_NEARLY = 0.9

_HUNT_S = 0.005
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0
_CLOSING_S = 1.0


class BaseGroup(NamedTuple):
    """A group in which groups might be made."""

    version: int
    path: str
    #: It is not our own group: only where our own one limits nothing.
    parent: bool = False


class Harm(NamedTuple):
    """What the kernel did in a group."""

    #: Processes that it killed; None where it doesn't count them (Linux before 4.13).
    kills: Optional[int]
    #: Whether the group's own limit was reached: otherwise it was the node that had no memory left.
    full: bool


class Cgroups:
    """Makes and removes groups.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    wanted : bool
        Try at all.
    """

    def __init__(self, loop: Loop, wanted: bool = True) -> None:
        self._pid = os.getpid()
        self._wanted = wanted
        self._bases: Optional[List[BaseGroup]] = None if wanted else []
        self._proven = False
        #: Our own group, where we may come back to it; else "".
        self._home = ""
        self._folder = ""
        self._made = 0
        self._inside = re.compile(r"")
        self._tasks: Dict[str, Task] = {}
        self._doomed: List[str] = []
        self._remove = Alarm(loop, self._remove_doomed)
        self._pause_s = _FIRST_PAUSE_S

    def enter(self, task: Task) -> bool:
        """Go into a new group for `task` ourselves: what we start then is in it before it can take any memory.

        It has no limit yet, which would be ours as well; :meth:`leave` sets it. False where there is no such group.
        """
        while self._find() and self._home:
            try:
                self._open(task)
                _write(task.cgroup + "/cgroup.procs", "0")
                self._proven = True
                return True
            except OSError:
                self._forget(task)
                if self._proven:
                    return False
                self._leave_base()
        return False

    def leave(self, task: Task) -> bool:
        """Go back to our own group; False when what was started has taken more than its limit already."""
        try:
            _write(self._home + "/cgroup.procs", "0")
        except OSError:  # we stay where we are: there must be no limit, and nobody may kill all that is in there
            self._tasks.pop(os.path.basename(task.cgroup), None)
            task.cgroup = self._home = ""
            return True
        try:
            self._limit(task.cgroup, int(task.batch.mem_mib * 1048576))
        except OSError as error:
            return error.errno != errno.EBUSY
        return True

    def kills(self, task: Task) -> int:
        """Return how many processes of a task the kernel has ended so far because its group was full."""
        name = "/memory.oom_control" if self._version() == 1 else "/memory.events"
        try:
            return counts(_read(task.cgroup + name)).get("oom_kill", 0)
        except (OSError, ValueError):
            return 0

    def enclose(self, task: Task, mem_mib: float, pids: List[int]) -> None:
        """See to it that these processes of a task are in its group; make it at the first time."""
        if task.cgroup:
            inside = set(self.pids(task))
            name = os.path.basename(task.cgroup)
            with suppress(OSError):
                _move([pid for pid in pids if pid not in inside and self._name(pid) != name], task.cgroup)
            return
        while self._find():
            try:
                self._make(task, int(mem_mib * 1048576), pids)
                return
            except OSError:
                self._forget(task)
                if self._proven:
                    return
                self._leave_base()

    def owner(self, pid: int) -> Optional[List[Task]]:
        """Return whose group `pid` is in: a task's, nobody's any more; None when in none of ours."""
        name = self._name(pid) if self._folder else None
        if name is None:
            return None
        return [self._tasks[name]] if name in self._tasks else []

    def pids(self, task: Task) -> List[int]:
        """Return what is in the group of a task."""
        return _pids(task.cgroup) if task.cgroup else []

    def kill(self, task: Task) -> None:
        """KILL what is in the group of a task, again and again for a moment: they may fork meanwhile."""
        if task.cgroup:
            until = monotonic() + _HUNT_S
            while self.pids(task) and monotonic() < until:
                _kill(task.cgroup)

    def harm(self, task: Task) -> Harm:
        """Return what the kernel did to a task."""
        try:
            if self._version() == 1:
                most = int(_read(task.cgroup + "/memory.max_usage_in_bytes"))
                with suppress(OSError):
                    most = max(most, int(_read(task.cgroup + "/memory.memsw.max_usage_in_bytes")))
                full = most >= _NEARLY * int(_read(task.cgroup + "/memory.limit_in_bytes"))
                return Harm(counts(_read(task.cgroup + "/memory.oom_control")).get("oom_kill"), full)
            events = counts(_read(task.cgroup + "/memory.events"))
            return Harm(events.get("oom_kill", 0), events.get("max", 0) > 0)
        except (OSError, ValueError):
            return Harm(0, False)

    def over(self, task: Task) -> None:
        """Kill what is left in the group of a task, and remove it."""
        if task.cgroup:
            self._forget(task)
            if self._doomed:
                self._remove.by(monotonic() + self._pause_s)

    def close(self) -> None:
        """Remove all that we made; what is in it is killed."""
        for task in list(self._tasks.values()):
            self._forget(task)
        until = monotonic() + _CLOSING_S
        while self._folder:
            self._doomed = [path for path in self._doomed if not _remove(path)]
            if _remove(self._folder):
                self._folder = ""
            elif monotonic() > until:
                return
            else:
                sleep(_FIRST_PAUSE_S)

    def _find(self) -> bool:
        """Have a folder of our own, if there is any place for it."""
        if self._folder:
            return True
        if self._bases is None:
            try:
                self._bases = base_groups(_read("/proc/self/cgroup"), _read("/proc/self/mountinfo"))
            except OSError:
                self._bases = []
        while self._bases and not self._folder:
            try:
                self._enter(self._bases[0])
            except (OSError, ValueError):
                self._leave_base()
        return bool(self._folder)

    def _enter(self, base: BaseGroup) -> None:
        if not _harmless(base):
            raise ValueError(base)
        _remove_leftovers(base.path)
        self._home = _own_below(base.path) if base.parent else base.path
        try:
            _write(self._home + "/cgroup.procs", "0")  # we are there: this says whether we may come back
        except OSError:
            self._home = ""
        name = "stratos-{}-{}".format(self._pid, start_time(self._pid))
        folder = os.path.join(base.path, name)
        os.mkdir(folder, 0o700)
        self._folder = folder
        self._inside = re.compile("/" + name + r"/(\w+)")
        if base.version == 2:
            _write(folder + "/cgroup.subtree_control", "+memory")

    def _leave_base(self) -> None:
        if self._folder:
            _remove(self._folder)
            self._folder = ""
        if self._bases:
            del self._bases[0]

    def _make(self, task: Task, limit: int, pids: List[int]) -> None:
        self._open(task)
        self._limit(task.cgroup, limit)
        self._proven = _move(pids, task.cgroup) or self._proven

    def _open(self, task: Task) -> None:
        self._made += 1
        name = "t{}".format(self._made)
        path = os.path.join(self._folder, name)
        os.mkdir(path, 0o700)
        task.cgroup = path
        self._tasks[name] = task

    def _limit(self, path: str, limit: int) -> None:
        if self._version() == 1:
            _write(path + "/memory.limit_in_bytes", str(limit))
            with suppress(OSError):  # there may be no accounting of swap
                _write(path + "/memory.memsw.limit_in_bytes", str(limit))
        else:
            _write(path + "/memory.max", str(limit))
            with suppress(OSError):
                _write(path + "/memory.swap.max", "0")

    def _version(self) -> int:
        return self._bases[0].version if self._bases else 0

    def _name(self, pid: int) -> Optional[str]:
        try:
            found = self._inside.search(_read("/proc/{}/cgroup".format(pid)))
        except OSError:
            return None
        return found.group(1) if found else None

    def _forget(self, task: Task) -> None:
        path, task.cgroup = task.cgroup, ""
        if path:
            self._tasks.pop(os.path.basename(path), None)
            if not _remove(path):
                self._doomed.append(path)

    def _remove_doomed(self) -> None:
        self._doomed = [path for path in self._doomed if not _remove(path)]
        if self._doomed:
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            self._remove.by(monotonic() + self._pause_s)
        else:
            self._pause_s = _FIRST_PAUSE_S


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


def counts(text: str) -> Dict[str, int]:
    """Read lines of a name and a number."""
    pairs = [line.split() for line in text.splitlines()]
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _harmless(base: BaseGroup) -> bool:
    """Whether what goes into a new group at `base` stays under all limits that hold for us."""
    if base.version == 1:
        # Old kernels may have groups whose limit doesn't hold for the groups in them.
        with suppress(FileNotFoundError):
            if _read(base.path + "/memory.use_hierarchy").strip() != "0":
                return True
        return int(_read(base.path + "/memory.limit_in_bytes")) > _UNLIMITED
    return not base.parent or _without_limits(_own_below(base.path))


def _own_below(parent: str) -> str:
    for base in base_groups(_read("/proc/self/cgroup"), _read("/proc/self/mountinfo")):
        if base.version == 2 and not base.parent and os.path.dirname(base.path) == parent:
            return base.path
    raise ValueError(parent)


def _without_limits(path: str) -> bool:
    for name in ("memory.max", "memory.high", "memory.swap.max", "pids.max", "cpu.max"):
        with suppress(FileNotFoundError):
            if not _read(os.path.join(path, name)).startswith("max"):
                return False
    return True


def _remove_leftovers(path: str) -> None:
    """Remove the empty folders of executors that are no more."""
    for name in os.listdir(path):
        found = _FOLDER.match(name)
        if found and start_time(int(found.group(1))) != int(found.group(2)):
            folder = os.path.join(path, name)
            for child in _children(folder):
                with suppress(OSError):
                    os.rmdir(child)
            with suppress(OSError):
                os.rmdir(folder)


def _remove(path: str) -> bool:
    """Remove a group and those in it; what is in them is killed. False when that takes a while yet."""
    for _again in range(3):
        try:
            os.rmdir(path)
            return True
        except FileNotFoundError:
            return True
        except OSError:
            if os.getpid() in _pids(path):
                return False  # we could not go back from there
            for child in _children(path):
                _remove(child)
            _kill(path)
    return False


def _kill(path: str) -> None:
    try:
        _write(path + "/cgroup.kill", "1")  # version 2, since Linux 5.14
    except OSError:
        for pid in _pids(path):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _children(path: str) -> List[str]:
    try:
        return [entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _pids(path: str) -> List[int]:
    try:
        # 0 stands for a process that our /proc doesn't know.
        return [int(word) for word in _read(path + "/cgroup.procs").split() if word != "0"]
    except OSError:
        return []


def _move(pids: Iterable[int], path: str) -> bool:
    """Move processes into a group; True when one was moved. Raises OSError when there were some and none may be."""
    moved = False
    failure: Optional[OSError] = None
    for pid in pids:
        try:
            _write(path + "/cgroup.procs", str(pid))
            moved = True
        except ProcessLookupError:
            pass
        except OSError as error:  # it may be another user's by now
            failure = error
    if failure is not None and not moved:
        raise failure
    return moved


def _read(path: str) -> str:
    with open(path, "rb", buffering=0) as file:
        return file.readall().decode("utf-8", "surrogateescape")


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)
