"""The executor: a program on a node that runs commands and reports.

It outlives the kernel that started it: when the link is lost it goes on for as long as it was told to linger, and
tells the next kernel what it missed. Then, or when it is told to stop, it ends all tasks and exits. Interrupts and
hang-ups are meant for others; SIGTERM means stop.
"""

import os
import signal
import socket
import sys
from time import monotonic
from typing import Any, Dict, List, Optional

from .cgroup import Cgroups
from .launch import Launcher
from .link import Link
from .loop import Alarm, Loop
from .procs import adopt_orphans
from .runner import Runner
from .spawn import Spawner, keep_descriptors_to_ourselves
from .work import Context, Malformed, read_batch, read_kill, read_recall

VERSION = 1

#: The first kernel is given this long at least to connect.
FIRST_LINK_S = 30.0
#: Before we exit, the kernel is given this long to acknowledge the last results.
FAREWELL_S = 2.0


class Executor:
    """Puts loop, link and runner together.

    Parameters
    ----------
    listener : socket.socket
        Where kernels connect.
    linger_s : float
        How long to go on without a connection.
    use_cgroups : bool
        Let the kernel keep limits where we may make groups.
    """

    def __init__(self, listener: socket.socket, linger_s: float, use_cgroups: bool = True) -> None:
        self._linger_s = linger_s
        self._loop = Loop(self._signalled)
        self._link = Link(self._loop, listener, self._message, self._link_changed)
        self._runner = Runner(self._loop, self._link, Launcher(Spawner()), Cgroups(self._loop, use_cgroups))
        self._contexts: Dict[int, Context] = {}
        self._lost_at = monotonic() + max(0.0, FIRST_LINK_S - linger_s)
        self._alone = Alarm(self._loop, self._check_link)
        self._stopping = False

    def run(self) -> None:
        """Serve until told to stop, or alone for too long."""
        loop = self._loop
        loop.catch_signals()
        self._alone.by(self._lost_at + self._linger_s)
        try:
            while not self._stopping:
                loop.turn()
            while not (self._runner.idle and self._runner.clear()):
                loop.turn()
            self._farewell()
        finally:
            self._runner.abort()

    def _farewell(self) -> None:
        until = monotonic() + FAREWELL_S
        self._loop.at(until, lambda: None)
        self._runner.flush()
        while self._link.connected and not self._link.settled and monotonic() < until:
            self._loop.turn()

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._runner.stop()

    def _signalled(self, numbers: bytes) -> None:
        self._runner.reap()
        if signal.SIGTERM in numbers:
            self._stop()

    def _link_changed(self) -> None:
        if self._link.connected:
            self._contexts = {}  # the numbers were the other kernel's
        else:
            self._lost_at = monotonic()
            self._alone.by(self._lost_at + self._linger_s)

    def _check_link(self) -> None:
        if self._link.connected:
            return
        until = self._lost_at + self._linger_s
        if until <= monotonic():
            self._stop()
        else:
            self._alone.by(until)

    def _message(self, message: List[Any]) -> None:
        verb, args = message[0], message[1:]
        if verb == "batch":
            self._runner.add(*read_batch(args, self._contexts))
        elif verb == "ack" and len(args) == 1 and type(args[0]) is int:
            self._acknowledged(args[0])
        elif verb == "context" and len(args) == 2 and type(args[0]) is int and type(args[1]) is dict:
            self._contexts[args[0]] = Context(args[1])
        elif verb == "kill":
            self._runner.kill(*read_kill(args))
        elif verb == "recall":
            self._runner.recall(read_recall(args))
        elif verb == "tail" and len(args) == 4 and all(type(arg) is int for arg in args):
            self._link.say(["tail", args[0], self._runner.tail(args[1], args[2], args[3])])
        elif verb == "hello" and args[:1] == [VERSION]:
            self._greet()
        elif verb == "stop":
            self._stop()
        else:
            raise Malformed("unknown message: {!r}".format(message)[:200])

    def _acknowledged(self, seq: int) -> None:
        was_congested = self._link.congested
        self._link.acknowledged(seq)
        if was_congested and not self._link.congested:
            self._runner.resume()

    def _greet(self) -> None:
        python = "{}.{}.{}".format(*sys.version_info[:3])
        self._link.say(
            ["hello", {"version": VERSION, "pid": os.getpid(), "python": python, "host": socket.gethostname()}]
        )
        self._link.report_again()
        self._runner.announce()


def main(argv: Optional[List[str]] = None) -> int:
    """Run the executor: ``--listen-fd N --linger-s S --no-cgroup``."""
    given = sys.argv[1:] if argv is None else argv
    words = [word for word in given if word != "--no-cgroup"]
    options = dict(zip(words[::2], words[1::2]))
    unknown = set(options) - {"--listen-fd", "--linger-s"}
    if len(words) % 2 or unknown or "--listen-fd" not in options:
        sys.stderr.write("usage: --listen-fd N [--linger-s S] [--no-cgroup]\n")
        return 2
    keep_descriptors_to_ourselves()
    adopt_orphans()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, int(options["--listen-fd"]))
    Executor(listener, float(options.get("--linger-s", "0")), words == given).run()
    return 0
