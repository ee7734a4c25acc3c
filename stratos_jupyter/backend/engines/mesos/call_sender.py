"""Brings calls to the master, one after the other, on a connection of its own.

Calls are taken in without waiting. A thread sends what has gathered in one go and then reads the answers, which come in
the order of the calls: so a busy kernel, where each turn of a thread may take 5 ms, costs a turn for many calls and not
for each. A call belongs to the subscription that there was when it was made. When that is gone it is not sent to the
next one: it is told as lost, as is every call whose answer did not come.
"""

from __future__ import annotations

import json
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

from ....errors import EngineError
from ...forks import Inherited
from .address import Master
from .master_events import CallLost, CallRefused, MasterEvent

PATH: Final = "/api/v1/scheduler"
#: how many calls are sent before their answers are read
AT_ONCE: Final = 256
CONNECT_S: Final = 5.0
#: a connection that was idle for so long may have been closed by somebody on the way
IDLE_S: Final = 2.0
#: how long the master may take for an answer
ANSWER_S: Final = 30.0

_log: Final = logging.getLogger(__name__)


class Route:
    """The way to a master, for as long as one subscription lasts."""

    def __init__(self, master: Master, stream_id: str, authorization: str) -> None:
        self.master = master
        self.alive = True
        #: why it is not alive
        self.why = ""
        self.sock: socket.socket | None = None
        self._head = (
            f"POST {PATH} HTTP/1.1\r\nHost: {master}\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
            f"Mesos-Stream-Id: {stream_id}\r\n{authorization}Content-Length: "
        ).encode("latin-1")

    def request(self, body: Mapping[str, Any]) -> bytes:
        """Return the bytes of a call."""
        text = json.dumps(body, separators=(",", ":")).encode("ascii")
        return b"%b%d\r\n\r\n%b" % (self._head, len(text), text)


class Call(NamedTuple):
    """A call on its way."""

    route: Route | None
    kind: str
    body: Mapping[str, Any]
    done: Future[None] | None


class CallSender:
    """One ordered queue of calls, and the thread that brings them.

    Parameters
    ----------
    tell : callable
        Takes what became of calls that were not accepted; called from the thread.
    parser : callable
        Makes a parser of one HTTP response.
    ended : callable
        Called from the thread when it ends.
    """

    def __init__(
        self, tell: Callable[[MasterEvent], None], parser: Callable[[], Any], ended: Callable[[], None]
    ) -> None:
        self._tell = tell
        self._parser = parser
        self._ended = ended
        self._queue: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._route: Route | None = None
        self._why = "no master has been subscribed to yet"
        #: the thread will bring nothing more
        self.over = False
        self._heard_at = 0.0
        self.thread = threading.Thread(target=self._run, name="stratos-mesos-calls", daemon=True)

    # -- for others' threads ----------------------------------------------------------------------------

    def put(self, kind: str, body: Mapping[str, Any], done: Future[None] | None = None) -> None:
        """Take a call in."""
        self._queue.put(Call(self._route, kind, body, done))
        if self.over:
            self._drop()

    def open(self, route: Route) -> None:
        """From now on calls go this way."""
        self._route = route

    def shut(self, why: str) -> None:
        """The way is no more; what is on it is lost."""
        self._why = why
        route, self._route = self._route, None
        if route is not None:
            route.why, route.alive = why, False
            _shut(route.sock)  # ends the wait for an answer on it

    def finish(self) -> None:
        """Deliver what there is, and end."""
        self._queue.put(None)

    def connections(self) -> list[Inherited]:
        """Return the connection, where there is one."""
        route = self._route
        return [] if route is None or route.sock is None else [route.sock]

    # -- the thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        last: Route | None = None
        try:
            going = True
            while going:
                calls: list[Call] = []
                item = self._queue.get()
                while True:
                    if item is None:
                        going = False
                        break
                    calls.append(item)
                    if len(calls) >= AT_ONCE:
                        break
                    try:
                        item = self._queue.get_nowait()
                    except queue.Empty:
                        break
                route = self._route
                if last is not None and last is not route:
                    _close(last)
                last = route
                self._deliver(calls, route)
        except Exception:
            # Only `tell` can have raised, as the loop that it posts to is closed.
            _log.debug("calls end", exc_info=True)
        finally:
            if last is not None:
                _close(last)
            self.over = True
            try:
                self._drop()
            except Exception:
                _log.debug("calls end", exc_info=True)
            self._ended()

    def _drop(self) -> None:
        """Tell of calls that came when the thread had ended, in whichever thread."""
        try:
            while True:
                call = self._queue.get_nowait()
                if call is not None:
                    self._lost(call, self._why, False)
        except queue.Empty:
            pass

    def _deliver(self, calls: Sequence[Call], route: Route | None) -> None:
        going: list[Call] = []
        requests: list[bytes] = []
        for call in calls:
            if call.route is None or call.route is not route:
                self._lost(call, self._why if call.route is None else call.route.why or self._why, False)
                continue
            try:
                requests.append(call.route.request(call.body))
            except (TypeError, ValueError) as error:
                self._lost(call, f"it is no JSON: {error}", False)
            else:
                going.append(call)
        if not going or route is None:
            return
        sent = answered = 0
        try:
            sock = self._connected(route)
            sent = len(going)
            sock.sendall(b"".join(requests))
            for call, (status, text) in zip(going, self._answers(sock, sent), strict=False):
                answered += 1
                self._answered(call, status, text)
            why = route.why or f"{route.master} ended the connection"
        except (OSError, ValueError) as error:
            why = route.why or f"{route.master}: {error}"
        if answered < len(going):
            _close(route)
            for call in going[answered:]:
                self._lost(call, why, bool(sent))

    def _connected(self, route: Route) -> socket.socket:
        """Return the connection, a new one when the old one was closed while nothing happened."""
        if route.sock is not None:
            if time.monotonic() - self._heard_at < IDLE_S:  # to look costs a busy kernel's thread three turns
                return route.sock
            route.sock.setblocking(False)
            try:
                route.sock.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                route.sock.settimeout(ANSWER_S)
                return route.sock
            except OSError:
                pass
            _close(route)
        sock = socket.create_connection((route.master.host, route.master.port), CONNECT_S)
        route.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(ANSWER_S)
        if not route.alive:  # it was shut before it could be seen that there is a connection
            raise ConnectionAbortedError(route.why)
        return sock

    def _answers(self, sock: socket.socket, count: int) -> Any:
        """Yield status and text of each answer, in order, until all are there or no more come."""
        data = b""
        for _ in range(count):
            parser, text = self._parser(), b""
            while not parser.is_message_complete():
                if not data:
                    data = sock.recv(65536)
                    self._heard_at = time.monotonic()
                taken = parser.execute(data, len(data))
                if parser.get_errno() or not (data or parser.is_message_complete()):
                    return
                data = data[taken:]
                text += parser.recv_body()
            yield parser.get_status_code(), text.decode("utf-8", "replace")
            if not parser.should_keep_alive():
                return

    def _answered(self, call: Call, status: int, text: str) -> None:
        if status in (200, 202):
            if call.done is not None:
                call.done.set_result(None)
            return
        self._tell(CallRefused(call.kind, call.body, status, text.strip()[:1000]))
        if call.done is not None:
            call.done.set_exception(EngineError(f"{call.kind}: {status} {text.strip()[:1000]}"))

    def _lost(self, call: Call, why: str, perhaps_arrived: bool) -> None:
        self._tell(CallLost(call.kind, call.body, why, perhaps_arrived))
        if call.done is not None:
            call.done.set_exception(EngineError(f"{call.kind}: {why}"))


def _close(route: Route) -> None:
    sock, route.sock = route.sock, None
    if sock is not None:
        sock.close()


def _shut(sock: socket.socket | None) -> None:
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
