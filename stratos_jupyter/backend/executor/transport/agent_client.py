"""The link to a Mesos agent: its v1 HTTP API for executors.

One connection brings events, for as long as we are subscribed; another one takes calls, one after the other. Nothing
here blocks. When anything is wrong with either of them both are closed, and we subscribe again after a moment: what was
not acknowledged is said then, so no call is repeated by itself. The agent answers with 503 while it recovers.
"""

import json
import random
import sys
from base64 import b64decode, b64encode
from collections import deque
from time import monotonic
from typing import Any, Callable, Deque, Dict, Mapping, Optional, Union

from ..loop import Alarm, Loop
from ..work import Malformed
from .http_connection import HttpConnection
from .http_reply import RecordReader, Reply

#: We try again after half of this at least, and after twice as long each time, up to what the agent tells us.
FIRST_PAUSE_S = 0.05
#: What may wait to be sent before messages, which need not arrive, are dropped.
MESSAGES_LIMIT = 16 * 1024 * 1024

# A connection that has lasted for so long was a good one.
_STABLE_S = 1.0
_ERROR_LIMIT = 1000
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "secs": 1.0, "mins": 60.0, "hrs": 3600.0, "days": 86400.0}
_UNITS["weeks"] = 7 * _UNITS["days"]


class AgentSettings:
    """What the agent says in the environment: its address, our ids, its time limits.

    Parameters
    ----------
    env : mapping
        The environment of this process; KeyError when no agent has started it.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        endpoint = env["MESOS_AGENT_ENDPOINT"]
        host, _colon, port = endpoint.rpartition(":")
        #: A path is that of a Unix socket.
        self.address: Union[str, Any] = env.get("MESOS_DOMAIN_SOCKET") or (host.strip("[]"), int(port))
        self.host = endpoint
        # Several agents may share one process, and then one port.
        self.path = "/{}/api/v1/executor".format(env.get("MESOS_SLAVE_PID", "").partition("@")[0] or "slave(1)")
        self.ids = {
            "framework_id": {"value": env["MESOS_FRAMEWORK_ID"]},
            "executor_id": {"value": env["MESOS_EXECUTOR_ID"]},
        }
        token = env.get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN")
        self.authorization = "Authorization: Bearer {}\r\n".format(token) if token else ""
        self.checkpoint = env.get("MESOS_CHECKPOINT") == "1"
        self.recovery_s = seconds(env.get("MESOS_RECOVERY_TIMEOUT"), 900.0)
        self.backoff_s = seconds(env.get("MESOS_SUBSCRIPTION_BACKOFF_MAX"), 2.0)
        self.grace_s = seconds(env.get("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"), 5.0)


class AgentClient:
    """Talks to the agent.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    settings : AgentSettings
        Where the agent is.
    subscription : callable
        Returns what is to be said when we subscribe.
    on_event : callable
        Gets each event; raises Malformed.
    on_lost : callable
        Called when we are no longer subscribed, or cannot be; we try again afterwards, until :meth:`close`.
    """

    def __init__(
        self,
        loop: Loop,
        settings: AgentSettings,
        subscription: Callable[[], Dict[str, Any]],
        on_event: Callable[[Dict[str, Any]], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._settings = settings
        self._subscription = subscription
        self._on_event = on_event
        self._on_lost = on_lost
        self._events: Optional[HttpConnection] = None
        self._calls: Optional[HttpConnection] = None
        self._waiting: Deque[bytes] = deque()  # the first one may be on its way
        self._waiting_bytes = 0
        self._asked = False  # the first one is on its way
        self._records = RecordReader()
        self._error = bytearray()
        self._pause_s = FIRST_PAUSE_S
        self._since = 0.0
        self._trouble = ""
        self._again = Alarm(loop, self._connect)
        self._closed = False
        #: Whether we are subscribed.
        self.connected = False

    @property
    def quiet(self) -> bool:
        """Whether all calls have been answered."""
        return not self._waiting

    def subscribe(self) -> None:
        """Connect, now and after each loss of the connection."""
        self._again.by(0.0)

    def call(self, kind: str, **fields: Any) -> None:
        """Make a call, if we are subscribed."""
        if self.connected:
            self._enqueue(self._request(kind, fields))

    def message(self, data: bytes) -> None:
        """Send a message to the framework, if that is possible soon."""
        if self._waiting_bytes < MESSAGES_LIMIT:
            self.call("MESSAGE", message={"data": encoded(data)})

    def close(self) -> None:
        """Close both connections for good."""
        self._closed = True
        self._hang_up()

    # Events.

    def _connect(self) -> None:
        if self._closed or self._events is not None:
            return
        self._records = RecordReader()
        self._error = bytearray()
        events = self._events = HttpConnection(self._loop, self._settings.address, self._heard, self._failed)
        events.open()
        if self._events is events:
            events.send(self._request("SUBSCRIBE", {"subscribe": self._subscription()}))

    def _heard(self, connection: HttpConnection, reply: Reply, body: bytes) -> None:
        if reply.status != 200:
            self._error += body[: _ERROR_LIMIT - len(self._error)]
            if reply.done:
                self._refused("SUBSCRIBE", reply, bytes(self._error))
            return
        for record in self._records.take(body):
            try:
                event = json.loads(record.decode("utf-8"))
                kind = event["type"]
            except (KeyError, TypeError, ValueError):
                raise Malformed("no event: {!r}".format(record[:200])) from None
            if kind == "SUBSCRIBED":
                self.connected = True
                self._since = monotonic()
            self._on_event(event)
            if self._events is not connection:
                return
        if reply.done:
            self._failed("the agent has ended the connection")

    # Calls.

    def _request(self, kind: str, fields: Dict[str, Any]) -> bytes:
        body = json.dumps(dict(fields, type=kind, **self._settings.ids)).encode("ascii")
        head = (
            "POST {} HTTP/1.1\r\nHost: {}\r\n{}Content-Type: application/json\r\nAccept: application/json\r\n"
            "Content-Length: {}\r\n\r\n"
        ).format(self._settings.path, self._settings.host, self._settings.authorization, len(body))
        return head.encode("latin-1") + body

    def _enqueue(self, request: bytes) -> None:
        self._waiting.append(request)
        self._waiting_bytes += len(request)
        self._ask()

    def _ask(self) -> None:
        if self._asked or not self._waiting:
            return
        self._asked = True
        if self._calls is None or not self._calls.live:
            self._calls = HttpConnection(self._loop, self._settings.address, self._answered, self._call_failed)
            self._calls.open()
        if self._calls is not None:
            self._calls.send(self._waiting[0])

    def _answered(self, _connection: HttpConnection, reply: Reply, body: bytes) -> None:
        self._error += body[: _ERROR_LIMIT - len(self._error)]
        if not reply.done:
            return
        error, self._error = bytes(self._error), bytearray()
        if reply.status != 202:
            self._refused("a call", reply, error)
            return
        self._asked = False
        self._waiting_bytes -= len(self._waiting.popleft())
        if reply.headers.get("connection", "").lower() == "close" and self._calls is not None:
            self._calls.close()
        self._ask()

    # Trouble.

    def _call_failed(self, why: str) -> None:
        if self._asked:
            self._failed(why)
        else:
            self._calls = None  # it was idle: the next call makes another one

    def _refused(self, what: str, reply: Reply, body: bytes) -> None:
        self._failed("{}: {} {}".format(what, reply.status, body.decode("utf-8", "replace").strip()))

    def _failed(self, why: str) -> None:
        if self._closed or (self._events is None and not self.connected):
            return
        if self.connected or why != self._trouble:  # once, not each time that we try
            sys.stderr.write("connection to the agent: {}\n".format(why))
            sys.stderr.flush()
        self._trouble = why
        if self.connected and monotonic() > self._since + _STABLE_S:
            self._pause_s = FIRST_PAUSE_S
        self._hang_up()
        most = min(self._pause_s, self._settings.backoff_s)
        self._pause_s = min(2 * self._pause_s, self._settings.backoff_s / 4)
        self._again.by(monotonic() + random.uniform(most / 2, most))
        # Not now: the caller is in the middle of its work.
        self._loop.at(0.0, self._on_lost)

    def _hang_up(self) -> None:
        self.connected = False
        for connection in (self._events, self._calls):
            if connection is not None:
                connection.close()
        self._events = self._calls = None
        self._asked = False
        self._waiting.clear()
        self._waiting_bytes = 0


def seconds(text: Optional[str], default: float) -> float:
    """Return a duration as Mesos writes it ("15mins") in seconds."""
    if text:
        number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
        try:
            return float(number) * _UNITS[text[len(number) :]]
        except (KeyError, ValueError):
            sys.stderr.write("no duration: {!r}\n".format(text))
    return default


def encoded(data: bytes) -> str:
    """Return bytes as Mesos wants them in JSON."""
    return b64encode(data).decode("ascii")


def decoded(text: Any) -> bytes:
    """Return the bytes that Mesos has put into JSON; raises Malformed."""
    try:
        return b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise Malformed("no base64") from None
