"""One connection to a Mesos agent: requests go out, replies come in, nothing blocks."""

import os
import socket
from typing import Any, Callable, Optional

from ..loop import READ, WRITE, Loop
from ..work import Malformed
from .http_reply import Reply

_CHUNK = 256 * 1024


class HttpConnection:
    """One connection to the agent.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    address : str or tuple
        Where it goes.
    on_reply : callable
        Gets the wire, a reply, and what has come of its body, again and again until the reply is done.
    on_failed : callable
        Called when the connection cannot be made or has ended, with the reason.
    """

    def __init__(
        self,
        loop: Loop,
        address: Any,
        on_reply: "Callable[[HttpConnection, Reply, bytes], None]",
        on_failed: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._address = address
        self._on_reply = on_reply
        self._on_failed = on_failed
        self._socket: Optional[socket.socket] = None
        self._up = False
        self._out = bytearray()
        self._in = bytearray()
        self._reply = Reply()

    @property
    def live(self) -> bool:
        """Whether it has not been closed."""
        return self._socket is not None

    def open(self) -> None:
        """Begin to connect."""
        unix = isinstance(self._address, str)
        family = socket.AF_UNIX if unix else socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            if not unix:
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self._socket.connect(self._address)
            except BlockingIOError:
                if unix:
                    raise  # its queue is full
            self._loop.watch(self._socket.fileno(), READ | WRITE, self._ready)
        except OSError as error:
            self._fail(error)

    def send(self, data: bytes) -> None:
        """Send `data`, as soon as that is possible."""
        self._out += data
        if self._up:
            self._write()

    def close(self) -> None:
        """End it, without a call of `on_failed`."""
        if self._socket is not None:
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _ready(self, mask: int) -> None:
        if not self._up:
            number = 0 if self._socket is None else self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                self._fail(OSError(number, os.strerror(number)))
                return
            self._up = True
        if mask & WRITE and self._socket is not None:
            self._write()
        if mask & ~WRITE and self._socket is not None:
            self._read()

    def _write(self) -> None:
        if self._socket is None:
            return
        try:
            while self._out:
                with memoryview(self._out) as view:
                    size = self._socket.send(view[:_CHUNK])
                del self._out[:size]
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail(error)
            return
        self._loop.rewatch(self._socket.fileno(), READ | WRITE if self._out else READ)

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        if not data:
            self._fail(OSError(0, "the agent has ended it"))
            return
        self._in += data
        try:
            while self._in and self._socket is not None:
                reply = self._reply
                body = reply.take(self._in)
                if reply.done:
                    self._reply = Reply()
                if reply.status and (body or reply.done):
                    self._on_reply(self, reply, body)
                if not reply.done:
                    break
        except Malformed as error:
            self._fail(OSError(0, str(error)))

    def _fail(self, error: OSError) -> None:
        self.close()
        self._on_failed(error.strerror or str(error))
