"""One subscription's connection: a request, then an answer that goes on for as long as the subscription lasts."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from .address import Master, parse_leader
from .recordio import RecordIOReader

#: the most that is read at once
READ: Final = 256 * 1024


class StreamLost(Exception):
    """There is no connection, or not any more; the message says why.

    Attributes
    ----------
    leader : Master or None
        The master to ask instead.
    unauthorised : bool
        The master does not accept us.
    final : bool
        It will not help to try again.
    """

    def __init__(
        self, why: str, *, leader: Master | None = None, unauthorised: bool = False, final: bool = False
    ) -> None:
        super().__init__(why)
        self.leader = leader
        self.unauthorised = unauthorised
        self.final = final


class HttpParser(Protocol):
    """What `http_parser.http.HttpParser` offers."""

    def execute(self, data: bytes, length: int) -> int: ...  # noqa: D102
    def is_headers_complete(self) -> bool: ...  # noqa: D102
    def is_message_complete(self) -> bool: ...  # noqa: D102
    def get_status_code(self) -> int: ...  # noqa: D102
    def get_headers(self) -> Any: ...  # noqa: D102
    def recv_body(self) -> bytes: ...  # noqa: D102
    def get_errno(self) -> int: ...  # noqa: D102
    def get_error(self) -> str: ...  # noqa: D102


class EventStream:
    """A connected socket that does not block, and what is read from it.

    Parameters
    ----------
    master : Master
        The other end.
    sock : socket
        The connection; the stream closes it.
    request : bytes
        What is sent first.
    parser : HttpParser
        A new one.
    """

    def __init__(self, master: Master, sock: socket.socket, request: bytes, parser: HttpParser) -> None:
        self.master = master
        self.sock = sock
        self._request = memoryview(request)
        self._parser = parser
        self._records = RecordIOReader()
        self._said = b""  # the body of an answer other than the one that we want

    @property
    def wants_to_write(self) -> bool:
        """Whether some of the request is left."""
        return bool(self._request)

    @property
    def stream_id(self) -> str:
        """The subscription's id, that each call bears."""
        return str(self._parser.get_headers().get("Mesos-Stream-Id") or "")

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()

    def write(self) -> None:
        """Send what is left of the request, as far as it goes."""
        try:
            self._request = self._request[self.sock.send(self._request) :]
        except BlockingIOError:
            pass
        except OSError as error:
            raise StreamLost(f"{self.master}: {in_words(error)}") from None

    def read(self) -> list[dict[str, Any]]:
        """Return the events that have arrived; raises Lost at the end of the stream, and for an answer that is none."""
        try:
            data = self.sock.recv(READ)
        except BlockingIOError:
            return []
        except OSError as error:
            raise StreamLost(f"{self.master}: {in_words(error)}") from None
        parser = self._parser
        parser.execute(data, len(data))
        if not parser.is_headers_complete():
            if parser.get_errno() and data:
                raise StreamLost(f"{self.master} does not speak HTTP as a Mesos master does: {parser.get_error()}")
            if not data:
                raise StreamLost(f"{self.master} ended the connection without an answer")
            return []
        if parser.get_status_code() != 200:
            self._said += parser.recv_body()
            if not data or parser.is_message_complete() or parser.get_errno():
                raise self.refusal()
            return []
        try:
            events = self._records.feed(parser.recv_body())
        except ValueError as error:
            raise StreamLost(f"{self.master} sends what is no event: {error}") from None
        if not events:
            if parser.get_errno() and data:
                raise StreamLost(f"{self.master} sends what is no HTTP: {parser.get_error()}")
            if not data or parser.is_message_complete():
                raise StreamLost(f"{self.master} ended the connection")
        return events

    @property
    def refused(self) -> bool:
        """Whether the answer is another one than we want."""
        return self._parser.is_headers_complete() and self._parser.get_status_code() != 200

    def refusal(self) -> StreamLost:
        """Say what an answer other than the one that we want means."""
        status, said = self._parser.get_status_code(), self._said.decode("utf-8", "replace").strip()[:500]
        told = f"{self.master} answers {status}{': ' if said else ''}{said}"
        if status in (307, 308):
            location = str(self._parser.get_headers().get("Location") or "")
            if leader := parse_leader(location):
                return StreamLost(f"{self.master} is not the leading master, which is {leader}", leader=leader)
            return StreamLost(f"{self.master} names a leading master that we cannot speak to: {location!r}")
        if status == 503:
            return StreamLost(f"{self.master} is not ready: it has no leading master yet, or is just recovering (503)")
        if status in (401, 403):
            return StreamLost(told, unauthorised=True)
        return StreamLost(told)


def connect(
    master: Master, wait: Callable[[socket.socket, int, float], int], done: Callable[[], None], patience_s: float
) -> socket.socket:
    """Connect to a master.

    Parameters
    ----------
    master : Master
        Which master.
    wait : callable
        Waits until a socket is ready for what is asked of it, for so many seconds at most, and returns what it is ready
        for, if anything; may raise to give up.
    done : callable
        Called when a socket is not waited for any more, before it is closed.
    patience_s : float
        How long to wait for each of the host's addresses.

    Raises
    ------
    Lost
        None of its addresses takes a connection.
    """
    try:
        found = socket.getaddrinfo(master.host, master.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StreamLost(f"cannot reach {master}: no address of {master.host} is known: {text}") from None
    why = "it has no address"
    for family, kind, protocol, _, address in found:
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            why = in_words(error)
            continue
        try:
            sock.setblocking(False)
            code = sock.connect_ex(address)
            if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
                gives_up_at = time.monotonic() + patience_s
                while not wait(sock, selectors.EVENT_WRITE, left := gives_up_at - time.monotonic()) and left > 0:
                    pass  # something else has woken us
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if left > 0 else errno.ETIMEDOUT
        except BaseException:
            done()
            sock.close()
            raise
        if not code:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return sock
        done()
        sock.close()
        why = in_words(OSError(code, os.strerror(code)))
    raise StreamLost(f"cannot reach {master}: {why}")


def in_words(error: OSError) -> str:
    """Return what is wrong without numbers: connection refused."""
    text = error.strerror or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]
