"""Helpers: processes that look at a task from beside it and are no task themselves (monitors, relaunchers).

A helper has a session and a mark of its own, so its processes are never taken for the task's (owners.py). It is over
when its leader has exited: its group is killed before the leader is reaped, its pipes are read to their end, and the
sweep finds what has left the group. A helper that is dropped is killed and forgotten at once, gone or not: its
processes then belong to no task, and the sweep kills those.
"""

import errno
import os
import signal
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Tuple

from ..loop import READ, Loop
from ..output.monitored_stream import Newest
from ..process.spawn import CannotStart, Spawner
from ..work import Context

# Kept of standard error: its last line is shown.
_ERRORS_LIMIT = 4096
_CHUNK = 64 * 1024
# What may still be in a pipe when its writers are gone.
_REST = 1024 * 1024


class Helper:
    """One process that is no task.

    Parameters
    ----------
    mark : bytes
        What its processes are recognised by.
    out : Newest
        Takes its standard output.
    ended : callable
        Called with the helper when it has exited by itself.
    """

    pid = 0
    #: What wait4 said, once it has exited.
    status: Optional[Tuple[int, Any]] = None

    def __init__(self, mark: bytes, out: Any, ended: "Callable[[Helper], None]") -> None:
        self.mark = mark
        self.out = out
        self.err = Newest(_ERRORS_LIMIT)
        self.ended = ended
        #: The reading ends of its pipes, and what takes the bytes.
        self.pipes: Dict[int, Any] = {}

    @property
    def failure(self) -> str:
        """How it failed, with the last line of its standard error; "" for no failure."""
        status = self.status[0] if self.status else 0
        if not status:
            return ""
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            text = "was killed by signal {} ({})".format(number, _signal_name(number))
        else:
            text = "failed with exit code {}".format(os.WEXITSTATUS(status))
        last = last_line(self.err.get()[0])
        return "{}: {}".format(text, last) if last else text


class Helpers:
    """Starts helpers and keeps the books of those that live.

    Parameters
    ----------
    loop : Loop
        Tells when there is something to read.
    spawner : Spawner
        Starts programs.
    left : callable
        Called when a helper has gone: with True when something is left of it for sure.
    """

    def __init__(self, loop: Loop, spawner: Spawner, left: Callable[[bool], None]) -> None:
        self._loop = loop
        self._spawner = spawner
        self._left = left
        #: By the process id of their leader, which has not been reaped.
        self.live: Dict[int, Helper] = {}

    def start(self, helper: Helper, argv: List[bytes], context: Context, env: List[bytes], stdin: int = -1) -> None:
        """Start a program as `helper`; raises CannotStart."""
        ends: List[int] = []
        try:
            ends += os.pipe()
            ends += os.pipe()
            helper.pid = self._spawn(argv, context, [*env, helper.mark], ends[1], ends[3], stdin)
        except (CannotStart, OSError) as error:
            for fd in ends:
                os.close(fd)
            if isinstance(error, CannotStart):
                raise
            raise CannotStart(error.errno or 0) from None
        os.close(ends[1])
        os.close(ends[3])
        self.live[helper.pid] = helper
        for fd, taker in ((ends[0], helper.out), (ends[2], helper.err)):
            os.set_blocking(fd, False)
            helper.pipes[fd] = taker
            self._loop.watch(fd, READ, partial(self._readable, helper, fd))

    def exited(self, helper: Helper) -> None:
        """Reap a helper whose leader has exited; it is over."""
        if helper.status is None:
            _kill_group(helper.pid)
            _pid, status, usage = os.wait4(helper.pid, 0)
            helper.status = status, usage
        self._forget(helper)
        helper.ended(helper)

    def drop(self, helper: Helper) -> None:
        """Kill a helper and forget it, but for what it has said so far."""
        _kill_group(helper.pid)
        self._forget(helper)
        self._left(True)

    def drop_all(self) -> None:
        """Kill all helpers."""
        for helper in list(self.live.values()):
            self.drop(helper)

    def _spawn(self, argv: List[bytes], context: Context, env: List[bytes], out: int, err: int, stdin: int) -> int:
        name = argv[0]
        programs = (name,) if b"/" in name else tuple([(f or b".") + b"/" + name for f in context.search])
        try:
            return self._spawner.start(argv, programs, context.cwd, env, out, err, stdin)
        except CannotStart as error:
            if error.number != errno.ENOEXEC:
                raise
        # A script without `#!`: a shell would run it itself.
        paths = [os.path.join(context.cwd, path) for path in programs]
        script = next((path for path in paths if os.access(path, os.X_OK)), paths[0])
        return self._spawner.start([b"sh", script, *argv[1:]], (b"/bin/sh",), context.cwd, env, out, err, stdin)

    def _readable(self, helper: Helper, fd: int, _mask: int = 0) -> None:
        """Read a little, so that other descriptors have their turn."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        if data:
            helper.pipes[fd].take(data)
        else:
            self._close(helper, fd)

    def _close(self, helper: Helper, fd: int) -> None:
        del helper.pipes[fd]
        self._loop.unwatch(fd)
        os.close(fd)

    def _forget(self, helper: Helper) -> None:
        del self.live[helper.pid]
        held = False
        for fd, taker in list(helper.pipes.items()):
            rest = _REST
            while rest > 0:
                try:
                    data = os.read(fd, _CHUNK)
                except BlockingIOError:
                    held = True
                    break
                if not data:
                    break
                taker.take(data)
                rest -= len(data)
            held = held or rest <= 0
            self._close(helper, fd)
        self._left(held)


def explain_start(error: CannotStart, name: bytes) -> str:
    """Say in one line why the program `name` could not be started, and the cure."""
    shown = name.decode("utf-8", "replace")
    if error.number in (errno.ENOENT, errno.ENOTDIR):
        if b"/" not in name:
            return "cannot start: {}: not found in the PATH of the job".format(shown)
        return "cannot start: {}: not found; it, and what its first line names, must exist on this node".format(shown)
    if error.number == errno.EACCES:
        return "cannot start: {}: Permission denied; make it executable: chmod +x".format(shown)
    return ""


def last_line(data: bytes) -> str:
    """Return the last line of `data` that isn't blank."""
    return next((line for line in map(one_line, reversed(data.split(b"\n"))) if line), "")


def one_line(data: bytes, limit: int = 200) -> str:
    """Return `data` as a short text without any control characters."""
    text = data[: 8 * limit].decode("utf-8", "replace")
    text = "".join(char if char.isprintable() else " " for char in text).strip()
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"


def _kill_group(pid: int) -> None:
    """Kill the group of a helper whose leader has not been reaped."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass  # gone, or not ours any more (setuid)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
