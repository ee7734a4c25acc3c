"""What pymesos's scheduler driver does, done otherwise: the connection that brings events, and what they mean.

pymesos leaves the connection to a thread whose death interrupts the main thread, which is the kernel's; it asks for the
master's version and sleeps without a way to stop it, never misses a heartbeat, follows a leader and never goes back,
and asks for GPUs unasked. So `Subscription` stands before `pymesos.MesosSchedulerDriver` in the order of a class's
ancestors (`driver.py` makes that class) and keeps of it what makes calls, and the way to a leader by ZooKeeper.
"""

from __future__ import annotations

import json
import logging
import selectors
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Final

from ....errors import EngineError
from ...forks import Inherited
from .address import Master, ZooKeeper
from .backoff import Backoff
from .call_sender import PATH, CallSender, Route
from .event_stream import EventStream, StreamLost, connect
from .master_events import (
    Disconnected,
    Ended,
    FrameworkRefused,
    MasterError,
    MasterEvent,
    Subscribed,
    Unauthorised,
    read_event,
)
from .waker import Waker

#: how long a user waits for a word about a master that does not answer
PATIENCE_S: Final = 4.0
#: how long a master may take until we ask again
ANSWER_S: Final = 30.0
#: so many heartbeats missed, and the connection is taken for dead
MISSED: Final = 3
#: what a master says that names no interval
HEARTBEAT_S: Final = 15.0
#: the longest that the thread waits without looking at the clock
LOOK_S: Final = 0.5
#: how long what was called before `stop` may take
LAST_CALLS_S: Final = 2.0
#: how many masters may refer us to another before we wait
REFERRALS: Final = 4
#: in what the master says of a framework that has ended
REMOVED: Final = "has been removed"
#: in what it says of one that may not do what it asks for
UNAUTHORISED: Final = ("not authorized", "principal")

_log: Final = logging.getLogger(__name__)


class _Stop(Exception):
    """We were told to stop."""


class Subscription:
    """Stands before `pymesos.MesosSchedulerDriver`."""

    _framework: dict[str, Any]  # pymesos's

    def prepare(
        self,
        goal: Master | ZooKeeper,
        tell: Callable[[MasterEvent], None],
        parser: Callable[[], Any],
        authorization: str,
        suppressed: Iterable[str],
        clock: Callable[[], float],
    ) -> None:
        """Take in what pymesos knows nothing of."""
        self._goal = goal
        self._tell = tell
        self._parser = parser
        self._authorization = authorization  # a line of the head, or ''
        self._clock = clock
        self.suppressed = set(suppressed)
        self._leader: Master | None = None  # as ZooKeeper says
        self._no_leader = ""  # why it names none
        self._referred: Master | None = None  # as a master says, for one attempt: that may be out of date
        self._down = self._denied = False  # what has been told already
        self.torn_down: Future[None] | None = None  # of the call that ends the framework
        self._stop_by: float | None = None
        self._error = ""  # the last ERROR event of this connection
        self._removed = False
        self._subscribed = False
        self._left_at: float | None = None  # when the last subscription ended
        self._heartbeat_s = HEARTBEAT_S
        self._sock: socket.socket | None = None
        self._waker = Waker()
        self.call_sender = CallSender(tell, parser, self._waker.wake)
        self.thread = threading.Thread(target=self._run, name="stratos-mesos-events", daemon=True)
        self.ended: Future[None] = Future()

    # -- for others' threads ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the threads."""
        self.call_sender.thread.start()
        self.thread.start()

    def halt(self) -> None:
        """End, once the calls that there are have been brought, or it takes too long."""
        if self._stop_by is None:
            self._stop_by = self._clock() + LAST_CALLS_S
            self.call_sender.finish()
            self._waker.wake()

    def change_master(self, new_master: str | None) -> None:
        """Take in the leading master; called by pymesos's detector."""
        host, _, port = (new_master or "").rpartition(":")
        self._leader = Master(host, int(port)) if host else None
        self._no_leader = "" if host else f"no master leads, says {self._goal}"
        self._waker.wake()

    def no_leader(self, why: str) -> None:
        """Take in that no ZooKeeper can be asked for the leading master."""
        self._leader, self._no_leader = None, why
        self._waker.wake()

    def connections(self) -> list[Inherited]:
        """Return all connections."""
        streams = [] if self._sock is None else [self._sock]
        return [*self._waker.connections(), *streams, *self.call_sender.connections()]

    # -- what pymesos asks of a subclass ----------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """True: else pymesos drops a call without a word; `_send` says what becomes of it."""
        return True

    @property
    def framework(self) -> dict[str, Any]:
        """The FrameworkInfo as it was given; pymesos would ask for GPUs."""
        return dict(self._framework)

    def _send(self, body: dict[str, Any], done: Future[None] | None = None, **_: Any) -> None:
        self.call_sender.put(body["type"], body, done)

    def gen_request(self) -> bytes:
        """Return the request that subscribes."""
        subscribe: dict[str, Any] = {"framework_info": self.framework}
        if self.suppressed:
            subscribe["suppressed_roles"] = sorted(self.suppressed)
        call: dict[str, Any] = {"type": "SUBSCRIBE", "subscribe": subscribe}
        if "id" in self._framework:
            call["framework_id"] = self._framework["id"]
        text = json.dumps(call).encode("ascii")
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: {self._at}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json\r\n{self._authorization}Connection: close\r\nContent-Length: {len(text)}\r\n\r\n"
        )
        return head.encode("latin-1") + text

    # -- the thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        why, asked = "the driver was stopped", True
        try:
            why, asked = self._serve()
        except _Stop:
            pass
        except Exception as error:
            _log.debug("events end", exc_info=True)
            why, asked = f"a fault of ours: {type(error).__name__}: {error}", False
        try:
            self.call_sender.shut(why)
            self.call_sender.finish()
            self.call_sender.thread.join()
            if not asked:
                self._tell(Ended(why))
        except Exception:  # `tell` posts to a loop that is closed
            _log.debug("events end", exc_info=True)
        finally:
            self._waker.close()
            self.ended.set_result(None)

    def _serve(self) -> tuple[str, bool]:
        """Connect, again and again; return why that has an end, and whether that was asked for."""
        backoff, referrals = Backoff(), 0
        while True:
            at = self._next_master()
            self._subscribed, self._error, self._removed = False, "", False
            try:
                self._converse(at)
            except StreamLost as lost:
                if self._subscribed:
                    backoff.reset()
                    self._left_at = self._clock()
                if lost.leader is not None and referrals < REFERRALS:
                    self._referred, referrals = lost.leader, referrals + 1
                    continue
                self._referred, referrals = None, 0
                if self._removed or self._torn_down():
                    return str(lost), True
                self._lose(lost)
                if lost.final:
                    return str(lost), False
                if lost.unauthorised:
                    backoff.relax()
            self._rest(backoff.wait_s())

    def _torn_down(self) -> bool:
        """Whether the connection ended because we have ended the framework; the master may answer that call later."""
        try:
            if self.torn_down is not None:
                self.torn_down.result(LAST_CALLS_S)
                return True
        except (EngineError, TimeoutError):
            pass
        return False

    def _next_master(self) -> Master:
        """Return the master to ask; wait until ZooKeeper names one."""
        since = self._clock()
        given = self._goal if isinstance(self._goal, Master) else None
        while (at := self._referred or self._leader or given) is None:
            self._wait(None, 0, LOOK_S)
            if self._clock() - since > PATIENCE_S:
                self._lose(
                    StreamLost(self._no_leader or f"{self._goal} has not answered yet: does ZooKeeper run there?")
                )
        return at

    def _converse(self, at: Master) -> None:
        """Subscribe, and take in what comes until the connection ends."""
        self._at, leader = at, self._leader
        sock = connect(at, self._wait, self._waker.forget, PATIENCE_S)
        stream = EventStream(at, sock, self.gen_request(), self._parser())
        try:
            self._sock = sock
            began = heard = self._clock()
            while True:
                both = selectors.EVENT_READ | (selectors.EVENT_WRITE if stream.wants_to_write else 0)
                ready = self._wait(sock, both, LOOK_S)
                if self._leader not in (None, leader):
                    raise StreamLost(f"the leading master is another one now: {self._leader}")
                if ready & selectors.EVENT_WRITE:
                    stream.write()
                if ready & selectors.EVENT_READ:
                    heard = self._clock()
                    for event in stream.read():
                        if not self._subscribed:
                            self._stream_id = stream.stream_id
                        self.on_event(event)
                    continue
                quiet_s = self._clock() - (heard if self._subscribed else began)
                if self._subscribed and quiet_s > MISSED * self._heartbeat_s:
                    raise StreamLost(f"nothing was heard from {at} for {quiet_s:.0f} s")
                if not self._subscribed and stream.refused and quiet_s > PATIENCE_S:
                    raise stream.refusal()
                if not self._subscribed and quiet_s > PATIENCE_S:
                    waiting = StreamLost(f"{at} takes connections, and does not answer")
                    if quiet_s > ANSWER_S:
                        raise waiting
                    self._lose(waiting)
        except StreamLost as lost:
            raise self._explained(lost) from None
        finally:
            self._waker.forget()
            self._sock = None
            stream.close()

    def _explained(self, lost: StreamLost) -> StreamLost:
        """Return why the connection was lost, when the master has said why before it ended it."""
        if not self._error or self._removed:
            return lost
        if any(word in self._error.lower() for word in UNAUTHORISED):
            return StreamLost(f"{self._at}: {self._error}", unauthorised=True)
        return StreamLost(f"{self._at}: {self._error}", final=True)

    def _lose(self, lost: StreamLost) -> None:
        """Tell that there is no connection, unless that was told already."""
        self.call_sender.shut(str(lost))
        if lost.unauthorised and not self._denied:
            self._denied = True
            self._tell(Unauthorised(str(lost)))
        elif not (self._down or lost.unauthorised or lost.final):
            self._down = True
            self._tell(Disconnected(str(lost)))

    def _rest(self, seconds: float) -> None:
        """Wait before the next attempt, unless another master is named meanwhile."""
        until, leader = self._clock() + seconds, self._leader
        while (left := until - self._clock()) > 0 and self._leader == leader:
            self._wait(None, 0, min(left, LOOK_S))

    def _wait(self, sock: socket.socket | None, events: int, timeout_s: float) -> int:
        """Wait until a socket is ready, or the bell rings, or it is time to look at the clock; raises _Stop."""
        ready = self._waker.wait(sock, events, timeout_s)
        if self._stop_by is not None and (self.call_sender.over or self._clock() >= self._stop_by):
            raise _Stop
        return ready

    # -- events -----------------------------------------------------------------------------------------

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Take in an event; pymesos has a method for each, which has no word for half of what we want to know."""
        kind = event["type"]
        info = event.get(kind.lower(), {})
        if kind == "ERROR":
            self.on_error(info)
            return
        self._error = ""  # it goes on
        if kind == "SUBSCRIBED":
            self.on_subscribed(info)
        elif (read := read_event(kind, info)) is not None:
            self._tell(read)

    def on_subscribed(self, info: Mapping[str, Any]) -> None:
        """The master takes calls from now on."""
        self._framework["id"] = dict(info["framework_id"])
        self._heartbeat_s = float(info.get("heartbeat_interval_seconds") or HEARTBEAT_S)
        self._subscribed, self._down, self._denied = True, False, False
        self.call_sender.open(Route(self._at, self._stream_id, self._authorization))
        master = {"hostname": self._at.host, "port": self._at.port, **info.get("master_info", {})}
        self._tell(Subscribed(self._framework["id"]["value"], master, self._heartbeat_s))

    def on_error(self, info: Mapping[str, Any]) -> None:
        """The master complains; if that is more than a complaint, it ends the connection."""
        self._error = text = str(info.get("message", ""))
        if REMOVED in text:
            self._removed = True
            if not self._torn_down():
                away_s = None if self._left_at is None else self._clock() - self._left_at
                away_s = 0.0 if self._subscribed else away_s
                self._tell(FrameworkRefused(f"{self._at}: {text}", away_s))
        elif not any(word in text.lower() for word in UNAUTHORISED):
            self._tell(MasterError(text))
