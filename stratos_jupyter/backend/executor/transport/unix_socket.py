"""The connection to the kernel: frames over a Unix socket, one kernel at a time.

A frame is four bytes of length, big-endian, and a JSON array of messages. Results are numbered, kept (outbox.py), and
sent again, in order, to a kernel that says hello; all other messages are dropped while no kernel is connected. Nothing
here blocks: what the socket doesn't take waits in a queue. A frame that cannot be understood ends the connection.

A new connection is a stranger until it has said hello: it is told nothing, and the kernel that is there stays. With a
hello it takes that kernel's place.
"""

import socket
from functools import partial
from time import monotonic
from typing import Any, Callable, List, Optional, Union

from ..loop import READ, WRITE, Alarm, Loop
from ..work import Malformed
from .base import ResultSink
from .outbox import KeptFrame, Outbox
from .peer import Peer, is_ours
from .spool import pack

VERSION = 1

#: How often a spool that cannot be written is tried again.
RETRY_S = 1.0
#: The most strangers at a time: of more, the one that has waited longest is dropped.
STRANGERS_MOST = 16

_CHUNK = 256 * 1024
# The most that one turn sends.
_SHARE = 4 * 1024 * 1024


class KernelConnection(ResultSink):
    """Talks to the kernel.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    listener : socket.socket
        The listening socket.
    outbox : Outbox
        Keeps results.
    on_hello : callable
        Called when a kernel has said hello; is to call :meth:`welcome`.
    on_message : callable
        Gets each other message; raises Malformed.
    on_lost : callable
        Called when the kernel is gone.
    on_room : callable
        Called when new commands may be started again.
    """

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        outbox: Outbox,
        on_hello: Callable[[], None],
        on_message: Callable[[List[Any]], None],
        on_lost: Callable[[], None],
        on_room: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._outbox = outbox
        self._on_hello = on_hello
        self._on_message = on_message
        self._on_lost = on_lost
        self._on_room = on_room
        self._peer: Optional[Peer] = None
        self._guest: Optional[Peer] = None  # has just said hello
        self._strangers: List[Peer] = []
        self._trouble = ""
        self._retry = Alarm(loop, self._write_again)
        listener.setblocking(False)
        listener.listen(16)
        loop.watch(listener.fileno(), READ, self._accept)

    @property
    def connected(self) -> bool:
        """Whether a kernel listens."""
        return self._peer is not None

    @property
    def settled(self) -> bool:
        """Whether all has been sent and all results have been acknowledged."""
        return self._outbox.settled and (self._peer is None or not self._peer.out)

    @property
    def spooled(self) -> bool:
        """Whether results are kept on disk, if that can be done."""
        return self._outbox.spooled

    @property
    def safe(self) -> bool:
        """Whether no result is lost when this process ends now."""
        safe = self._outbox.safe
        self._look_at_outbox()
        return safe

    def say(self, *messages: List[Any]) -> None:
        """Send messages that need not arrive."""
        if self._peer is not None:  # spares making the frame
            self._send(self._peer, pack(list(messages)))

    def report(self, records: List[List[Any]]) -> None:
        """Send results that must arrive."""
        kept, frame = self._outbox.add(records)
        self._look_at_outbox()
        peer = self._peer
        if peer is not None:
            # What has to wait need not wait in memory.
            self._send(peer, kept if peer.out else frame)

    def acknowledged(self, seq: int) -> None:
        """Note that the results up to `seq` have been recorded."""
        self._outbox.acknowledge(seq)

    def welcome(self, message: List[Any]) -> None:
        """Answer a hello with `message` and all results that are kept."""
        peer, self._guest = self._guest, None
        if peer is None:
            return
        self._peer = peer
        peer.out.extend([pack([message]), *self._outbox.all()])
        self._write(peer)

    def warn(self) -> None:
        """Tell a new kernel what is wrong."""
        if self._trouble:
            self.say(["notice", self._trouble])

    def _look_at_outbox(self) -> None:
        """Say what has become of the spool; see whether there is room."""
        outbox = self._outbox
        if bool(outbox.trouble) != bool(self._trouble):
            self._trouble = outbox.trouble
            self.say(["notice", self._trouble])
        if outbox.trouble:
            self._retry.by(monotonic() + RETRY_S)
        if self.congested and not outbox.congested:
            self._loop.at(0.0, self._on_room)  # not now: the caller may be in the middle of its work
        self.congested = outbox.congested

    def _write_again(self) -> None:
        self._outbox.write()
        self._look_at_outbox()

    def _send(self, peer: Peer, frame: Union[bytes, KeptFrame]) -> None:
        peer.out.append(frame)
        if len(peer.out) == 1:
            self._write(peer)

    def _write(self, peer: Peer) -> None:
        out = peer.out
        share = _SHARE
        try:
            while out and share > 0:
                frame = out[0]
                if isinstance(frame, KeptFrame):
                    loaded = self._outbox.load(frame)
                    if loaded is None:
                        out.popleft()
                        continue
                    out[0] = frame = loaded
                size = peer.connection.send(memoryview(frame)[peer.sent :] if peer.sent else frame)
                share -= size
                peer.sent += size
                if peer.sent == len(frame):
                    out.popleft()
                    peer.sent = 0
        except BlockingIOError:
            pass
        except OSError:
            self._drop(peer)
            return
        if out:
            self._loop.rewatch(peer.connection.fileno(), READ | WRITE)

    def _accept(self, _mask: int) -> None:
        try:
            connection, _address = self._listener.accept()
        except OSError:
            return
        if not is_ours(connection):
            connection.close()
            return
        connection.setblocking(False)
        peer = Peer(connection)
        self._strangers.append(peer)
        if len(self._strangers) > STRANGERS_MOST:
            self._hang_up(self._strangers[0])
        self._loop.watch(connection.fileno(), READ, partial(self._ready, peer))

    def _ready(self, peer: Peer, mask: int) -> None:
        if mask & WRITE:
            self._write(peer)
            if peer.open and not peer.out:
                self._loop.rewatch(peer.connection.fileno(), READ)
        if mask & ~WRITE and peer.open:
            self._read(peer)

    def _read(self, peer: Peer) -> None:
        try:
            data = peer.connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(peer)
            return
        peer.received += data
        try:
            while peer.open:
                messages = peer.next_frame()
                if messages is None:
                    break
                for message in messages:
                    self._handle(peer, message)
                self._outbox.acknowledged()
                self._look_at_outbox()
        except Malformed:
            self._drop(peer)

    def _handle(self, peer: Peer, message: List[Any]) -> None:
        if message[0] == "hello":
            if message[1:2] != [VERSION]:
                raise Malformed("another version: {!r}".format(message)[:200])
            if self._peer is not None and self._peer is not peer:
                self._hang_up(self._peer)
            if peer in self._strangers:
                self._strangers.remove(peer)
            self._guest = peer
            self._on_hello()
        elif self._peer is peer:
            self._on_message(message)
        elif peer.open:
            raise Malformed("no hello: {!r}".format(message)[:200])

    def _hang_up(self, peer: Peer) -> None:
        if peer.open:
            peer.open = False
            self._loop.unwatch(peer.connection.fileno())
            peer.connection.close()
        if peer is self._peer:
            self._peer = None
        elif peer in self._strangers:
            self._strangers.remove(peer)

    def _drop(self, peer: Peer) -> None:
        was_kernel = peer is self._peer
        self._hang_up(peer)
        if was_kernel:
            # Not now: the caller may be in the middle of sending.
            self._loop.at(0.0, self._on_lost)
