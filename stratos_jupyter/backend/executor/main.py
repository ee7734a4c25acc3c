"""The executor: a program on a node that runs commands and reports.

It outlives the kernel that started it. Without a connection it goes on for as long as it was told to, and tells the
next kernel what that one missed and what runs. After that time, or when it is told to stop, it ends all tasks and
exits. Without a connection and without work it exits earlier. Results that were not acknowledged stay in the spool.
Interrupts and hang-ups are meant for other processes; SIGTERM means stop.
"""

import os
import signal
import socket
import sys
from time import monotonic
from typing import Any, Dict, List, Optional

from .kernel_requests import read_batch, read_kill, read_recall
from .loop import Alarm, Loop
from .process.cgroup import Cgroups
from .process.launch import Launcher
from .process.procs import adopt_orphans
from .process.spawn import Spawner, keep_descriptors_to_ourselves
from .runner import Runner
from .transport.outbox import Outbox
from .transport.spool import Spool
from .transport.unix_socket import VERSION, KernelConnection
from .work import Context, Malformed

#: The least time that the first kernel has to connect.
FIRST_LINK_S = 30.0
#: How long the kernel has to acknowledge the last results before the executor exits.
FAREWELL_S = 2.0
#: Unless told to stop, the executor waits this long for room in the spool before it gives up the last results.
LAST_HOPE_S = 600.0
#: Without work and without a connection it exits after this.
QUIET_S = 60.0


class Executor:
    """Puts loop, link and runner together.

    Parameters
    ----------
    listener : socket.socket
        Where kernels connect.
    failover_s : float
        How long to go on without a connection.
    use_cgroups : bool
        Let the kernel keep limits where we may make groups.
    spool : Spool, optional
        Where results are kept.
    """

    def __init__(
        self, listener: socket.socket, failover_s: float, use_cgroups: bool = True, spool: Optional[Spool] = None
    ) -> None:
        self._failover_s = failover_s
        self._quiet_s = min(QUIET_S, failover_s)
        self._loop = Loop(self._signalled)
        self._outbox = Outbox(spool)
        self._link = KernelConnection(
            self._loop, listener, self._outbox, self._greet, self._message, self._link_lost, self._go_on
        )
        self._runner = Runner(self._loop, self._link, Launcher(Spawner()), Cgroups(self._loop, use_cgroups))
        self._contexts: Dict[int, Context] = {}
        self._lost_at = monotonic() + max(0.0, FIRST_LINK_S - failover_s)
        self._busy_at = 0.0
        self._alone = Alarm(self._loop, self._check_link)
        self._stopping = False
        self._told = False  # to stop: by the kernel, or by SIGTERM

    def run(self) -> None:
        """Serve until told to stop, or alone for too long."""
        loop = self._loop
        loop.catch_signals()
        self._check_link()
        try:
            while not self._stopping:
                loop.turn()
            while not (self._runner.idle and self._runner.clear()):
                loop.turn()
            self._farewell()
        finally:
            self._runner.abort()

    def _farewell(self) -> None:
        """Get rid of the last results: to the kernel, or else to the disk."""
        link = self._link
        self._runner.flush()
        since, connected = monotonic(), link.connected
        while not link.settled:
            now = monotonic()
            if link.connected != connected:
                since, connected = now, link.connected
            until = since + (FAREWELL_S if connected or self._told else LAST_HOPE_S)
            # Without a kernel only a disk is worth waiting for.
            if until <= now or (not connected and (link.safe or not link.spooled)):
                break
            self._loop.at(min(until, now + 1.0), _nothing)
            self._loop.turn()
        self._outbox.close()

    def _stop(self, reason: str = "user") -> None:
        self._told = self._told or reason == "user"
        if not self._stopping:
            self._stopping = True
            self._runner.stop(reason)

    def _signalled(self, numbers: bytes) -> None:
        self._runner.reap()
        if signal.SIGTERM in numbers:
            self._stop()

    def _link_lost(self) -> None:
        if not self._link.connected:
            self._lost_at = monotonic()
            self._check_link()

    def _check_link(self) -> None:
        """Exit when no kernel was connected for too long, or for a shorter while without work."""
        if self._link.connected or self._stopping:
            return
        now = monotonic()
        if not self._runner.empty or not (self._link.safe or self._outbox.homeless):
            self._busy_at = now
        until = self._lost_at + self._failover_s
        quiet_until = max(self._lost_at, self._busy_at) + self._quiet_s
        if min(until, quiet_until) <= now:
            self._stop("lost")
        else:
            self._alone.by(min(until, quiet_until, max(now, self._lost_at) + self._quiet_s / 4))

    def _message(self, message: List[Any]) -> None:
        verb, args = message[0], message[1:]
        if verb == "batch":
            self._runner.add(*read_batch(args, self._contexts))
        elif verb == "ack" and len(args) == 1 and type(args[0]) is int:
            self._link.acknowledged(args[0])
        elif verb == "context" and len(args) == 2 and type(args[0]) is int and type(args[1]) is dict:
            self._contexts[args[0]] = Context(args[1])
        elif verb == "kill":
            self._runner.kill(*read_kill(args))
        elif verb == "recall":
            self._runner.recall(read_recall(args))
        elif verb == "tail" and len(args) == 4 and all(type(arg) is int for arg in args):
            self._link.say(["tail", args[0], self._runner.tail(args[1], args[2], args[3])])
        elif verb == "stop":
            self._stop()
        else:
            raise Malformed("unknown message: {!r}".format(message)[:200])

    def _go_on(self) -> None:
        if not self._link.congested:
            self._runner.resume()

    def _greet(self) -> None:
        """Tell a new kernel the state of the executor, in an order that the kernel relies on."""
        self._contexts = {}  # the numbers were the other kernel's
        self._runner.flush()  # the new kernel is not connected yet: these results come last of what is kept
        python = "{}.{}.{}".format(*sys.version_info[:3])
        self._link.welcome(
            ["hello", {"version": VERSION, "pid": os.getpid(), "python": python, "host": socket.gethostname()}]
        )
        self._link.say(["inventory", self._runner.inventory()])
        self._runner.announce()
        self._link.warn()


def main(argv: Optional[List[str]] = None) -> int:
    """Run the executor: ``--listen-fd N --failover-s S --spool PATH --no-cgroup``."""
    given = sys.argv[1:] if argv is None else argv
    words = [word for word in given if word != "--no-cgroup"]
    options = dict(zip(words[::2], words[1::2]))
    unknown = set(options) - {"--listen-fd", "--failover-s", "--spool"}
    if len(words) % 2 or unknown or "--listen-fd" not in options:
        sys.stderr.write("usage: --listen-fd N [--failover-s S] [--spool PATH] [--no-cgroup]\n")
        return 2
    keep_descriptors_to_ourselves()
    adopt_orphans()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, int(options["--listen-fd"]))
    spool = Spool(os.path.abspath(options["--spool"])) if "--spool" in options else None
    Executor(listener, float(options.get("--failover-s", "0")), words == given, spool).run()
    return 0


def _nothing() -> None:
    """Wake the loop."""
