"""The link to the kernel: frames over a Unix socket, one connection at a time.

A frame is four bytes of length, big-endian, and a JSON array of messages. Results are numbered, kept until they are
acknowledged, and sent again, in order, on a new connection; everything else that is said while nobody listens is
forgotten. Nothing here blocks: what the socket doesn't take waits in a queue. A frame that cannot be understood
ends the connection.
"""

import json
import os
import socket
import struct
from collections import deque
from typing import Any, Callable, Deque, List, Optional, Tuple

from .loop import READ, WRITE, Loop
from .work import Malformed

#: Results that nobody has acknowledged; above it no new command is started.
KEPT_LIMIT = 64 * 1024 * 1024

_FRAME_LIMIT = 256 * 1024 * 1024
_CHUNK = 256 * 1024
_LENGTH = struct.Struct(">I")
_to_json = json.JSONEncoder(separators=(",", ":")).encode


class Link:
    """Talks to the kernel.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    listener : socket.socket
        The listening socket.
    on_message : callable
        Gets each message; raises Malformed.
    on_change : callable
        Called when a connection has come or gone.
    """

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        on_message: Callable[[List[Any]], None],
        on_change: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._on_message = on_message
        self._on_change = on_change
        self._peer: Optional[socket.socket] = None
        self._in = bytearray()
        self._out: Deque[bytes] = deque()
        self._sent = 0  # of the first frame in _out
        self._seq = 0
        self._kept: Deque[Tuple[int, bytes]] = deque()
        self._kept_bytes = 0
        #: Whether too many results wait for the kernel.
        self.congested = False
        listener.setblocking(False)
        listener.listen(16)
        loop.watch(listener.fileno(), READ, self._accept)

    @property
    def connected(self) -> bool:
        """Whether somebody listens."""
        return self._peer is not None

    @property
    def settled(self) -> bool:
        """Whether all has been sent and all results have been acknowledged."""
        return not self._out and not self._kept

    def say(self, *messages: List[Any]) -> None:
        """Send messages that need not arrive."""
        if self._peer is not None:  # spares making the frame
            self._send(_frame(list(messages)))

    def report(self, records: List[List[Any]]) -> None:
        """Send results that must arrive."""
        self._seq += 1
        frame = _frame([["ended", self._seq, records]])
        self._kept.append((self._seq, frame))
        self._kept_bytes += len(frame)
        self.congested = self._kept_bytes > KEPT_LIMIT
        self._send(frame)

    def acknowledged(self, seq: int) -> None:
        """Forget the results up to `seq`."""
        kept = self._kept
        while kept and kept[0][0] <= seq:
            self._kept_bytes -= len(kept.popleft()[1])
        self.congested = self._kept_bytes > KEPT_LIMIT

    def report_again(self) -> None:
        """Send all results that have not been acknowledged."""
        for _seq, frame in list(self._kept):
            self._send(frame)

    def _send(self, frame: bytes) -> None:
        if self._peer is not None:
            self._out.append(frame)
            if len(self._out) == 1:
                self._write()

    def _write(self) -> None:
        peer = self._peer
        if peer is None:
            return
        out = self._out
        try:
            while out:
                frame = out[0]
                self._sent += peer.send(memoryview(frame)[self._sent :] if self._sent else frame)
                if self._sent == len(frame):
                    out.popleft()
                    self._sent = 0
        except BlockingIOError:
            self._loop.rewatch(peer.fileno(), READ | WRITE)
        except OSError:
            self._drop()

    def _accept(self, _mask: int) -> None:
        try:
            peer, _address = self._listener.accept()
        except OSError:
            return
        if not _is_ours(peer):
            peer.close()
            return
        self._hang_up()
        peer.setblocking(False)
        self._peer = peer
        self._loop.watch(peer.fileno(), READ, self._ready)
        self._on_change()

    def _ready(self, mask: int) -> None:
        if mask & WRITE:
            peer = self._peer
            self._write()
            if peer is not None and peer is self._peer and not self._out:
                self._loop.rewatch(peer.fileno(), READ)
        if mask & ~WRITE:
            self._read()

    def _read(self) -> None:
        peer = self._peer
        if peer is None:
            return
        try:
            data = peer.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop()
            return
        self._in += data
        try:
            while self._peer is peer:
                messages = self._next_frame()
                if messages is None:
                    break
                for message in messages:
                    self._on_message(message)
        except Malformed:
            self._drop()

    def _next_frame(self) -> Optional[List[List[Any]]]:
        buffer = self._in
        if len(buffer) < 4:
            return None
        (length,) = _LENGTH.unpack_from(buffer)
        if length > _FRAME_LIMIT:
            raise Malformed("a frame of {} bytes".format(length))
        if len(buffer) < 4 + length:
            return None
        try:
            messages = json.loads(buffer[4 : 4 + length].decode("utf-8"))
        except ValueError:
            raise Malformed("no JSON") from None
        del buffer[: 4 + length]
        if type(messages) is not list or not all(type(one) is list and one for one in messages):
            raise Malformed("no array of messages")
        return messages

    def _hang_up(self) -> None:
        if self._peer is not None:
            self._loop.unwatch(self._peer.fileno())
            self._peer.close()
            self._peer = None
        self._in.clear()
        self._out.clear()
        self._sent = 0

    def _drop(self) -> None:
        self._hang_up()
        # Not now: whoever was sending something is in the middle of it.
        self._loop.at(0.0, self._on_change)


def _frame(messages: List[Any]) -> bytes:
    body = _to_json(messages).encode("ascii")
    return _LENGTH.pack(len(body)) + body


def _is_ours(peer: socket.socket) -> bool:
    """Whether the same user is at the other end; where that cannot be asked, the folder of the socket decides."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return bool(uid == os.getuid())
