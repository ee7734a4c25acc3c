"""A plain framework over Mesos's v1 scheduler API: what a caller wants to do, and nothing by itself.

One connection brings events, as records of a stream, a thread reads them; another one takes calls. Updates are
acknowledged as they are handled, unless that is turned off.
"""

from __future__ import annotations

import base64
import http.client
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

Json = dict[str, Any]

PATH = "/api/v1/scheduler"
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
TERMINAL = frozenset(
    f"TASK_{name}" for name in ("FINISHED", "FAILED", "KILLED", "LOST", "ERROR", "DROPPED", "GONE", "GONE_BY_OPERATOR")
)
CAPABILITIES = ("PARTITION_AWARE", "TASK_KILLING_STATE", "MULTI_ROLE", "RESERVATION_REFINEMENT")
DEADLINE_S = 30.0


class Refused(Exception):
    """The master does not want a call, or us."""


class Framework:
    """A framework.

    Parameters
    ----------
    master : str
        Host and port.
    ack : bool
        Acknowledge updates as they are handled.
    framework_id : str
        Of a framework that subscribes again.
    **info
        More fields of FrameworkInfo.
    """

    def __init__(self, master: str, *, ack: bool = True, framework_id: str = "", **info: Any) -> None:
        self._master = master
        self.ack = ack
        self.id = framework_id
        self.info: Json = {
            "user": "root",
            "name": "raw",
            "roles": ["*"],
            "checkpoint": True,
            "failover_timeout": 3600.0,
            "capabilities": [{"type": name} for name in CAPABILITIES],
            **info,
        }
        #: offers that have not been answered
        self.offers: dict[str, Json] = {}
        #: every update, in order
        self.updates: list[Json] = []
        #: the newest state of each task
        self.states: dict[str, str] = {}
        #: messages of executors
        self.messages: list[bytes] = []
        #: all other events
        self.others: list[Json] = []
        self._events: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        self._stream_id = ""
        self._stream: http.client.HTTPConnection | None = None
        self._calls: http.client.HTTPConnection | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.subscribe()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.call("TEARDOWN")
        except (OSError, Refused):
            pass  # the master is not there, or has done so itself
        self.disconnect()

    # -- the connection ---------------------------------------------------------------------------------

    def subscribe(self) -> None:
        """Connect, as a new framework or as the one that we are."""
        self.disconnect()
        self._stream = http.client.HTTPConnection(self._master, timeout=DEADLINE_S)
        subscribe: Json = {"framework_info": self.info}
        call: Json = {"type": "SUBSCRIBE", "subscribe": subscribe}
        if self.id:
            call["framework_id"] = self.info["id"] = {"value": self.id}
        self._stream.request("POST", PATH, json.dumps(call), HEADERS)
        response = self._stream.getresponse()
        if response.status != 200:
            raise Refused(f"SUBSCRIBE: {response.status} {response.read().decode()}")
        self._stream_id = response.headers["Mesos-Stream-Id"]
        self._events = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, args=(response, self._events), daemon=True)
        self._reader.start()
        self.until(lambda: self.id)

    def disconnect(self) -> None:
        """Drop the connections; the framework lives on until its failover timeout."""
        if self._stream is not None:
            if self._stream.sock is not None:
                self._stream.sock.shutdown(2)
            self._stream.close()
            self._stream = None
        if self._reader is not None:
            self._reader.join(DEADLINE_S)
            self._reader = None
        if self._calls is not None:
            self._calls.close()
            self._calls = None
        self.offers.clear()

    def _read(self, response: http.client.HTTPResponse, events: queue.SimpleQueue[Json | None]) -> None:
        try:
            while head := response.readline():
                events.put(json.loads(response.read(int(head))))
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass  # AttributeError: http.client's, of a response that was closed meanwhile
        events.put(None)

    def call(self, kind: str, **fields: Any) -> None:
        """Make a call."""
        body = json.dumps({"type": kind, "framework_id": {"value": self.id}, **fields})
        self._calls = self._calls or http.client.HTTPConnection(self._master, timeout=DEADLINE_S)
        try:
            self._calls.request("POST", PATH, body, {**HEADERS, "Mesos-Stream-Id": self._stream_id})
            response = self._calls.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._calls = None
            raise ConnectionError(repr(error)) from None
        if response.status != 202:
            raise Refused(f"{kind}: {response.status} {text.decode()}")

    # -- events -----------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], Any], timeout_s: float = DEADLINE_S, what: str = "") -> None:
        """Handle events until a condition holds."""
        ends_at = time.monotonic() + timeout_s
        while not condition():
            left = ends_at - time.monotonic()
            assert left > 0, f"{what or 'the condition'}: not within {timeout_s:g} s; states: {self.states}"
            # Not for longer: the condition may be about something that no event tells of.
            self.handle(min(left, 0.05))

    def handle(self, timeout_s: float = 0.0) -> None:
        """Handle what has arrived; wait for it for a while."""
        try:
            event = self._events.get(timeout=timeout_s) if timeout_s else self._events.get_nowait()
            while True:
                if event is None:
                    raise ConnectionError("the master has ended the connection")
                self._handle(event)
                event = self._events.get_nowait()
        except queue.Empty:
            pass

    def _handle(self, event: Json) -> None:
        match event["type"]:
            case "SUBSCRIBED":
                self.id = event["subscribed"]["framework_id"]["value"]
            case "OFFERS":
                self.offers.update({offer["id"]["value"]: offer for offer in event["offers"]["offers"]})
            case "RESCIND":
                self.offers.pop(event["rescind"]["offer_id"]["value"], None)
            case "UPDATE":
                status = event["update"]["status"]
                self.updates.append(status)
                self.states[status["task_id"]["value"]] = status["state"]
                if self.ack:
                    self.acknowledge(status)
            case "MESSAGE":
                self.messages.append(base64.b64decode(event["message"]["data"]))
            case "HEARTBEAT":
                pass
            case "ERROR":
                raise Refused(event["error"]["message"])
            case _:
                self.others.append(event)

    # -- calls ------------------------------------------------------------------------------------------

    def offer(self, agent: str = "", cpus: float = 0.0) -> Json:
        """Wait for an offer, of this agent if that is said, of so many cpus at least."""

        def fitting() -> Iterator[Json]:
            for offer in self.offers.values():
                if agent in ("", offer["agent_id"]["value"]) and scalar(offer, "cpus") >= cpus:
                    yield offer

        self.until(lambda: next(fitting(), None), what="an offer")
        return next(fitting())

    def launch(self, offer: Json, tasks: Sequence[Json], refuse_s: float = 0.0) -> None:
        """Launch tasks on an offer, each made by :func:`task`."""
        agent_id = offer["agent_id"]
        infos = [{**info, "agent_id": agent_id} for info in tasks]
        self.offers.pop(offer["id"]["value"], None)
        self.call(
            "ACCEPT",
            accept={
                "offer_ids": [offer["id"]],
                "operations": [{"type": "LAUNCH", "launch": {"task_infos": infos}}],
                "filters": {"refuse_seconds": refuse_s},
            },
        )

    def decline(self, *offers: Json, refuse_s: float = 0.0) -> None:
        for offer in offers:
            self.offers.pop(offer["id"]["value"], None)
        ids = [offer["id"] for offer in offers]
        self.call("DECLINE", decline={"offer_ids": ids, "filters": {"refuse_seconds": refuse_s}})

    def acknowledge(self, status: Json) -> None:
        """Acknowledge an update; one of reconciliation has no uuid, and must not be."""
        if "uuid" in status:
            fields = {name: status[name] for name in ("agent_id", "task_id", "uuid")}
            self.call("ACKNOWLEDGE", acknowledge=fields)

    def kill(self, task_id: str, grace_s: float | None = None) -> None:
        policy = {} if grace_s is None else {"kill_policy": {"grace_period": {"nanoseconds": int(grace_s * 1e9)}}}
        self.call("KILL", kill={"task_id": {"value": task_id}, **policy})

    def shutdown(self, executor_id: str, agent_id: str) -> None:
        self.call("SHUTDOWN", shutdown={"executor_id": {"value": executor_id}, "agent_id": {"value": agent_id}})

    def message(self, executor_id: str, agent_id: str, data: bytes) -> None:
        fields = {"executor_id": {"value": executor_id}, "agent_id": {"value": agent_id}, "data": encoded(data)}
        self.call("MESSAGE", message=fields)

    def reconcile(self, *task_ids: str) -> None:
        self.call("RECONCILE", reconcile={"tasks": [{"task_id": {"value": task_id}} for task_id in task_ids]})

    def revive(self) -> None:
        self.call("REVIVE")

    def suppress(self) -> None:
        self.call("SUPPRESS")

    # -- what is known ----------------------------------------------------------------------------------

    def wait(self, task_id: str, *states: str, timeout_s: float = DEADLINE_S) -> Json:
        """Wait until a task is in one of the states, or in a terminal one; return that update."""
        wanted = frozenset(states) or TERMINAL
        self.until(lambda: self.states.get(task_id) in wanted, timeout_s, f"{task_id} in {', '.join(sorted(wanted))}")
        return self.of(task_id)[-1]

    def of(self, task_id: str) -> list[Json]:
        """The updates of a task."""
        return [status for status in self.updates if status["task_id"]["value"] == task_id]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def scalar(offer: Json, name: str) -> float:
    """How much of a resource is in an offer."""
    return float(sum(found["scalar"]["value"] for found in offer["resources"] if found["name"] == name))


def resources(**amounts: float) -> list[Json]:
    return [{"name": name, "type": "SCALAR", "scalar": {"value": amount}} for name, amount in amounts.items()]


def task(task_id: str, *, cpus: float = 0.1, mem: float = 32, **fields: Any) -> Json:
    """A TaskInfo: with `command` for Mesos's own executor, or with `executor` and `data`."""
    return {"name": task_id, "task_id": {"value": task_id}, "resources": resources(cpus=cpus, mem=mem), **fields}


def shell(command: str, **fields: Any) -> Json:
    return {"shell": True, "value": command, **fields}
