"""The one loop: readiness, timers, signals.

A single thread waits in one place for pipes, sockets, timers and signals. Callbacks never block. Timers cannot be
cancelled; an Alarm is for what is planned again and again, as it has one or two of them at most. Signals arrive as
bytes in a pipe, hence as readiness; their handlers do nothing, but they are handlers, because a signal that is
*ignored* stays ignored in every command that we start.
"""

import heapq
import os
import select
import signal
from time import monotonic
from typing import Any, Callable, Dict, List, Tuple

READ = select.POLLIN
WRITE = select.POLLOUT

HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_NEVER = float("inf")
# epoll and poll cannot count further than some weeks.
_LONGEST_S = 3600.0


class Loop:
    """Calls back when a descriptor is ready, a time has come, a signal has arrived.

    Parameters
    ----------
    on_signals : callable
        Gets the numbers of the signals that arrived, as bytes.
    """

    def __init__(self, on_signals: Callable[[bytes], None]) -> None:
        # epoll takes seconds, poll (macOS) milliseconds; their masks are the same bits.
        epoll = getattr(select, "epoll", None)
        self._poller: Any = epoll() if epoll else select.poll()
        self._unit = 1.0 if epoll else 1000.0
        self._calls: Dict[int, Callable[[int], None]] = {}
        self._timers: List[Tuple[float, int, Callable[[], None]]] = []
        self._planned = 0
        self._on_signals = on_signals
        self._wake = -1

    def catch_signals(self) -> None:
        """From now on signals arrive in this loop."""
        self._wake, write = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        for number in HANDLED:
            signal.signal(number, _nothing)
        # A mask is inherited: without SIGCHLD no command would ever end.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        self.watch(self._wake, READ, self._woken)

    def watch(self, fd: int, mask: int, call: Callable[[int], None]) -> None:
        """Call ``call(mask)`` whenever `fd` is ready, until :meth:`unwatch`."""
        self._poller.register(fd, mask)
        self._calls[fd] = call

    def rewatch(self, fd: int, mask: int) -> None:
        """Wait for other things on a descriptor that is watched already."""
        self._poller.modify(fd, mask)

    def unwatch(self, fd: int) -> None:
        """Forget `fd`; to be called before it is closed."""
        if self._calls.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Call ``call()`` once ``monotonic()`` has reached `when`."""
        self._planned += 1
        heapq.heappush(self._timers, (when, self._planned, call))

    def turn(self) -> None:
        """Wait for something and handle all that is due."""
        timers = self._timers
        wait = -1.0
        if timers:
            wait = min(max(0.0, timers[0][0] - monotonic()), _LONGEST_S) * self._unit
        calls = self._calls
        for fd, mask in self._poller.poll(wait):
            # Handling one event may have closed the descriptor of another one.
            call = calls.get(fd)
            if call is not None:
                call(mask)
        if timers:
            now = monotonic()
            due = []
            while timers and timers[0][0] <= now:
                due.append(heapq.heappop(timers)[2])
            # What these plan for now has to wait until descriptors have had their turn.
            for timer in due:
                timer()

    def _woken(self, _mask: int) -> None:
        try:
            numbers = os.read(self._wake, 4096)
        except BlockingIOError:
            return
        self._on_signals(numbers)


class Alarm:
    """A timer that may be planned many times and rings once, at the earliest of them.

    Parameters
    ----------
    loop : Loop
        Keeps the time.
    call : callable
        Called when it rings.
    """

    __slots__ = ("_call", "_loop", "_when")

    def __init__(self, loop: Loop, call: Callable[[], None]) -> None:
        self._loop = loop
        self._call = call
        self._when = _NEVER

    def by(self, when: float) -> None:
        """Ring at `when`, if it isn't to ring earlier."""
        if when < self._when:
            self._when = when
            self._loop.at(when, self._ring)

    def _ring(self) -> None:
        # A plan that was overtaken by an earlier one still comes here.
        if self._when <= monotonic():
            self._when = _NEVER
            self._call()


def _nothing(_number: int, _frame: object) -> None:
    """Handle a signal by having been interrupted."""
