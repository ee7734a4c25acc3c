"""What /proc says: every process, its parent, and the mark in its environment.

One census is one pass over /proc, about 10 us a process. On a system without /proc there is none.
"""

import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple


class Proc(NamedTuple):
    """One process, as /proc/<pid>/stat has it."""

    pid: int
    parent: int
    group: int
    session: int
    #: Clock ticks since boot.
    started: int
    #: It has exited, and its parent has not looked yet.
    zombie: bool
    #: Pages of memory that it has in use, shared ones included.
    pages: int


class Census:
    """All processes at one moment.

    Parameters
    ----------
    procs : dict
        By process id.
    """

    def __init__(self, procs: Dict[int, Proc]) -> None:
        self.procs = procs
        self._children: Dict[int, List[int]] = {}
        for proc in procs.values():
            self._children.setdefault(proc.parent, []).append(proc.pid)

    def children(self, pid: int) -> List[Proc]:
        """Return the children of `pid`."""
        return [self.procs[child] for child in self._children.get(pid, ())]

    def family(self, roots: Iterable[int]) -> List[Proc]:
        """Return `roots` and all their descendants, without those that have exited."""
        found: Set[int] = set()
        stack = list(roots)
        while stack:
            pid = stack.pop()
            if pid not in found:
                found.add(pid)
                stack.extend(self._children.get(pid, ()))
        return [self.procs[pid] for pid in found if pid in self.procs and not self.procs[pid].zombie]


def census() -> Optional[Census]:
    """Look at all processes; None where there is no /proc."""
    procs: Dict[int, Proc] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return None
    for name in names:
        if name.isdigit():
            proc = process(int(name))
            if proc is not None:
                procs[proc.pid] = proc
    return Census(procs) if procs else None


def process(pid: int) -> Optional[Proc]:
    """Look at one process; None when there is none."""
    data = _read("/proc/{}/stat".format(pid), 1024)
    # The name of the program stands in parentheses and may hold anything, even a parenthesis.
    words = data[data.rfind(b")") + 2 :].split(None, 22)
    if len(words) < 22:
        return None
    exited = words[0] in (b"Z", b"X")
    return Proc(pid, int(words[1]), int(words[2]), int(words[3]), int(words[19]), exited, int(words[21]))


def title(pid: int) -> Tuple[bytes, bool]:
    """Return the name of the program of `pid`, and whether it has been stopped."""
    data = _read("/proc/{}/stat".format(pid), 1024)
    end = data.rfind(b")")
    return data[data.find(b"(") + 1 : max(end, 0)], data[end + 2 : end + 3] in (b"T", b"t")


def family(pid: int) -> List[int]:
    """Return `pid` and what descends from it by their main threads: quick, but not all that there may be."""
    found = [pid]
    for one in found:
        found += [int(word) for word in _read("/proc/{0}/task/{0}/children".format(one), 65536).split()]
    return found


def resident_pages(pid: int) -> Tuple[int, int]:
    """Return the pages of memory that `pid` has in use now, and how many of them are files' or shared memory."""
    words = _read("/proc/{}/statm".format(pid), 128).split()
    return (int(words[1]), int(words[2])) if len(words) > 2 else (0, 0)


def peak_kib(pid: int) -> int:
    """Return the most memory that the program of `pid` has had in use so far, in KiB; 0 where that cannot be read."""
    return _figures(pid, "status").get(b"VmHWM:", 0)


def mark(pid: int) -> Optional[bytes]:
    """Return the mark ``STRATOS_TASK=...`` in the environment that `pid` was started with."""
    return next((line for line in lines(pid) if line.startswith(b"STRATOS_TASK=")), None)


def lines(pid: int) -> List[bytes]:
    """Return the environment that `pid` was started with, as far as that can be seen."""
    return _read("/proc/{}/environ".format(pid), 4 * 1024 * 1024).split(b"\0")


def start_time(pid: int) -> Optional[int]:
    """Return when `pid` was started, in clock ticks since boot; None when there is no such process."""
    proc = process(pid)
    return None if proc is None else proc.started


def in_use(pid: int) -> Optional[int]:
    """Return the bytes of memory of `pid`, shared memory too, pages of files not; None where that cannot be read."""
    found = _figures(pid, "status")
    return (found[b"RssAnon:"] + found.get(b"RssShmem:", 0)) * 1024 if b"RssAnon:" in found else None


def share(pid: int) -> Optional[int]:
    """Return what `in_use` does, but of what is shared only its share."""
    found = _figures(pid, "smaps_rollup")
    if b"Pss_Anon:" in found:
        return (found[b"Pss_Anon:"] + found.get(b"Pss_Shmem:", 0)) * 1024
    # Linux before 5.4 has one figure for all.
    all_kib, own_bytes = found.get(b"Pss:"), in_use(pid)
    if all_kib is None or own_bytes is None:
        return own_bytes if all_kib is None else all_kib * 1024
    return min(all_kib * 1024, own_bytes)


def huge_pages() -> bool:
    """Say whether any program may be given 2 MiB of memory by one fault."""
    return b"[always]" in _read("/sys/kernel/mm/transparent_hugepage/enabled", 128)


def _figures(pid: int, name: str) -> Dict[bytes, int]:
    """Return the figures, in KiB, of a file of `pid`."""
    lines = [line.split() for line in _read("/proc/{}/{}".format(pid, name), 16384).splitlines()]
    return {words[0]: int(words[1]) for words in lines if words[2:] == [b"kB"]}


def _read(path: str, size: int) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""  # it has gone, or is not ours to look at
    try:
        return os.read(fd, size)
    except OSError:
        return b""
    finally:
        os.close(fd)


def adopt_orphans() -> bool:
    """Become the parent of every descendant whose own parent exits (Linux); False where that is unknown."""
    set_child_subreaper = 36
    return _prctl(set_child_subreaper, 1)


def adopts_orphans() -> bool:
    """Say whether we are that."""
    try:
        import ctypes
    except ImportError:
        return False
    get_child_subreaper, answer = 37, ctypes.c_int(0)
    return _prctl(get_child_subreaper, ctypes.byref(answer)) and answer.value == 1


def reap_children() -> bool:
    """Reap our children that have exited, whichever they are; say whether any is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _prctl(what: int, argument: Any) -> bool:
    try:
        import ctypes

        return int(ctypes.CDLL(None).prctl(what, argument, 0, 0, 0)) == 0
    except (AttributeError, ImportError, OSError):
        return False
