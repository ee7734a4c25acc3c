"""What stands where a master should: it answers as it is told, where a real one cannot be made to."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any, Self

Json = dict[str, Any]

HEARTBEAT_S = 15.0


class ScriptedMaster:
    """Speaks Mesos's v1 scheduler API, on the loopback interface.

    Parameters
    ----------
    answer : callable, optional
        Returns the whole answer to a request, given its call and its head, or '' for the usual one: a stream that
        begins with SUBSCRIBED, or 202.
    """

    def __init__(self, answer: Callable[[Json, str], str] = lambda call, head: "") -> None:
        self._answer = answer
        #: every call that has arrived, and its head
        self.calls: list[Json] = []
        self.heads: list[str] = []
        #: what comes with SUBSCRIBED
        self.subscribed: Json = {"framework_id": {"value": "f1"}, "heartbeat_interval_seconds": HEARTBEAT_S}
        #: connections of those that have subscribed
        self.streams: list[socket.socket] = []
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.hang_up()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def hang_up(self) -> None:
        """End all connections."""
        self.streams.clear()
        for connection in self._connections:
            _end(connection)

    def hang_up_calls(self) -> None:
        """End the connections that calls came on, and no streams."""
        for connection in self._connections:
            if connection not in self.streams:
                _end(connection)

    def hang_up_streams(self) -> None:
        """End the streams, and nothing else."""
        while self.streams:
            _end(self.streams.pop())

    def send(self, *events: Json) -> None:
        """Send events to whoever subscribed last, all of them in one go."""
        self.streams[-1].sendall(b"".join(chunk(event) for event in events))

    def kinds(self) -> list[str]:
        return [call["type"] for call in self.calls]

    def _thread(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        try:
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                self._thread(self._serve, connection)
        except OSError:
            pass

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            try:
                while head := self._head(lines):
                    length = next(int(line[15:]) for line in head.splitlines() if line.startswith("Content-Length:"))
                    call = json.loads(lines.read(length))
                    self.calls.append(call)
                    self.heads.append(head)
                    if said := self._answer(call, head):
                        connection.sendall(said.encode())
                    elif call["type"] == "SUBSCRIBE":
                        self._stream(connection)
                    else:
                        connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            except (OSError, ValueError):
                pass

    def _head(self, lines: Any) -> str:
        head = ""
        while (line := lines.readline().decode()) not in ("", "\r\n"):
            head += line
        return head

    def _stream(self, connection: socket.socket) -> None:
        head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nMesos-Stream-Id: s1\r\n\r\n"
        self.streams.append(connection)  # first: whoever hears of it may ask us to send more
        connection.sendall(head.encode() + chunk({"type": "SUBSCRIBED", "subscribed": self.subscribed}))


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def chunk(event: Json) -> bytes:
    """Return an event as a record, and that as a chunk."""
    text = json.dumps(event).encode()
    record = b"%d\n%b" % (len(text), text)
    return b"%x\r\n%b\r\n" % (len(record), record)


def answer(status: str, text: str = "", *headers: str) -> str:
    """Return an answer that is no stream."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(text.encode())}"]
    return "\r\n".join(lines) + "\r\n\r\n" + text
