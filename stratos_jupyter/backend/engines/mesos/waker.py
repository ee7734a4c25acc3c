"""Waiting for a socket, which another thread can end."""

from __future__ import annotations

import contextlib
import selectors
import socket

from ...forks import Inherited


class Waker:
    """Waits until one socket is ready, some time has passed, or another thread calls `wake`."""

    def __init__(self) -> None:
        self._ears, self._bell = socket.socketpair()
        for end in (self._ears, self._bell):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._ears, selectors.EVENT_READ)
        self._watched: tuple[socket.socket | None, int] = (None, 0)

    def wake(self) -> None:
        """End the wait that goes on, or the next one; from any thread."""
        with contextlib.suppress(OSError):  # as many as are in it have rung
            self._bell.send(b"\0")

    def wait(self, sock: socket.socket | None, events: int, timeout_s: float) -> int:
        """Wait, and return the events that the socket is ready for."""
        if self._watched != (sock, events):
            self._watch(sock, events)
        ready = 0
        for key, mask in self._selector.select(timeout_s):
            if key.fileobj is self._ears:
                with contextlib.suppress(BlockingIOError):
                    self._ears.recv(4096)
            else:
                ready = mask
        return ready

    def forget(self) -> None:
        """Watch no socket: the one that there was is about to be closed."""
        self._watch(None, 0)

    def _watch(self, sock: socket.socket | None, events: int) -> None:
        # Each call of the system costs a turn: a connection stays registered for as long as it stands.
        if self._watched[0] is not None:
            self._selector.unregister(self._watched[0])
        self._watched = (None, 0)
        if sock is not None:
            self._selector.register(sock, events)
            self._watched = (sock, events)

    def connections(self) -> list[Inherited]:
        """Return the sockets that a forked child must not keep open."""
        return [self._ears, self._bell]

    def close(self) -> None:
        """Close the own sockets."""
        self._selector.close()
        self._ears.close()
        self._bell.close()
