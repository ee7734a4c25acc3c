"""What a Mesos agent is told of its tasks, each of them a batch of commands of ours.

At most one update of a task is unacknowledged at any time; what happens meanwhile is gathered. The first results go at
once, later ones in one update each 100 ms or 256 KiB, the last ones in the terminal update. That a task runs is told a
moment after its launch, because most of those that are short have ended by then. What is not acknowledged is sent again
whenever we subscribe. An agent acknowledges what it has stored, not what the framework has seen: so the newest results
are kept for a while after that, for a framework that has lost them.
"""

import json
import os
import zlib
from base64 import b64encode
from collections import deque
from time import monotonic, time
from typing import Any, Callable, Deque, Dict, List, Optional, Union

from ..loop import Alarm, Loop
from ..work import Batch, Key
from .agent_client import encoded
from .base import Outlet
from .mesos_task import Ticket

VERSION = 1

#: The time between two updates of a task, and what is not waited with.
PAUSE_S = 0.1
UPDATE_BYTES = 256 * 1024
#: What may wait for the agent; above it no new command is started.
WAITING_LIMIT = 16 * 1024 * 1024
#: What is kept of results that have been told.
KEPT_LIMIT = 4 * 1024 * 1024

# What is smaller gains nothing; what is larger is kept compressed.
_COMPRESS_BYTES = 512
_LARGE_BYTES = 32 * 1024

_to_json = json.JSONEncoder(separators=(",", ":")).encode


class Updates(Outlet):
    """Tells the agent.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    executor_id : dict
        Who we are.
    send : callable
        Makes a call UPDATE, if that is possible at the moment.
    speak : callable
        Sends a message to the framework, if that is possible at the moment.
    on_over : callable
        Gets the id of each batch of which everything has been acknowledged.
    on_room : callable
        Called when new commands may be started again.
    """

    def __init__(
        self,
        loop: Loop,
        executor_id: Dict[str, str],
        send: Callable[[Dict[str, Any]], None],
        speak: Callable[[List[Any]], None],
        on_over: Callable[[int], None],
        on_room: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._executor_id = executor_id
        self._send = send
        self._speak = speak
        self._on_over = on_over
        self._on_room = on_room
        self._tickets: Dict[str, Ticket] = {}
        self._of: Dict[Key, Ticket] = {}
        self._due = Alarm(loop, self._send_due)
        self._waiting_bytes = 0
        self._kept: Deque[Union[bytes, str]] = deque()
        self._kept_bytes = 0
        self._listening = False
        self._tell_killing = False

    # What the runner sees.

    @property
    def connected(self) -> bool:
        """Whether the agent listens."""
        return self._listening

    def say(self, *messages: List[Any]) -> None:
        """Tell which tasks run; what else there is to say goes to the framework."""
        for message in messages:
            verb, rows = message
            if verb != "started":
                self._speak(message)
                continue
            for row in rows:
                ticket = self._of.get((row[0], row[1]))
                if ticket is not None:
                    ticket.started.append(row)
                    self._due.by(ticket.due)

    def report(self, records: List[List[Any]]) -> None:
        """Tell how tasks ended."""
        now = monotonic()
        for record in records:
            ticket = self._of.pop((record[0], record[1]), None)
            if ticket is None:
                continue
            text = _packed(_to_json(record))
            ticket.left.discard((record[0], record[1]))
            ticket.last = reason, code = record[3], record[4]
            ticket.well = ticket.batch is not None and ticket.batch.context.success.says(reason, code)
            ticket.failed += not (reason == "returned" or ticket.well)
            ticket.ended.append(text)
            ticket.ended_bytes += len(text)
            self._waiting_bytes += len(text)
            self._keep(text)
            if ticket.rest or not ticket.results_told or ticket.ended_bytes >= UPDATE_BYTES:
                ticket.due = now
            self._due.by(ticket.due)
        self._look_at_room()

    # What Mesos says.

    def take_in(self, info: Dict[str, Any], batch: Batch) -> bool:
        """Note a launch; False when it is known already."""
        ticket = Ticket(info, batch)
        if ticket.task_id in self._tickets:
            return False
        self._tickets[ticket.task_id] = ticket
        self._of.update((key, ticket) for key in ticket.left)
        self._due.by(ticket.due)
        return True

    def reject(self, info: Dict[str, Any], why: str) -> None:
        """Note a launch of what cannot be run."""
        ticket = Ticket(info, None)
        ticket.error = why
        if ticket.task_id not in self._tickets:
            self._tickets[ticket.task_id] = ticket
            ticket.due = 0.0
            self._due.by(0.0)

    def killing(self, task_id: str) -> Optional[Ticket]:
        """Note that a task is to be killed; return it, None when there is no such task."""
        ticket = self._tickets.get(task_id)
        if ticket is None:
            return None
        ticket.killed = True
        if self._tell_killing and ticket.state != "TASK_KILLING" and not ticket.rest:
            ticket.state = "TASK_KILLING"
            ticket.due = 0.0
            self._due.by(0.0)
        return ticket

    def acknowledged(self, task_id: str, uuid: str) -> None:
        """Note that an update has been stored; what was acknowledged before is harmless."""
        ticket = self._tickets.get(task_id)
        update = None if ticket is None else ticket.unacknowledged
        if ticket is None or update is None or update["uuid"] != uuid:
            return
        ticket.unacknowledged = None
        ticket.acknowledged = True
        if ticket.closed:
            del self._tickets[task_id]
            if ticket.batch is not None:
                self._on_over(ticket.batch.id)
        else:
            self._due.by(ticket.due)

    def subscription(self) -> Dict[str, Any]:
        """Return what the agent must know of when we subscribe."""
        tickets = self._tickets.values()
        return {
            "unacknowledged_tasks": [ticket.info for ticket in tickets if not ticket.acknowledged],
            "unacknowledged_updates": [
                {"status": ticket.unacknowledged} for ticket in tickets if ticket.unacknowledged is not None
            ],
        }

    def resume(self, tell_killing: bool) -> None:
        """Go on: we have subscribed; say whether tasks that are being killed are to be told of."""
        self._listening = True
        self._tell_killing = tell_killing
        self._due.by(0.0)

    def pause(self) -> None:
        """Gather only: the agent is away."""
        self._listening = False

    # What the framework asks.

    @property
    def settled(self) -> bool:
        """Whether everything has been acknowledged."""
        return not self._tickets

    def task_ids(self) -> Dict[int, str]:
        """Return the Mesos task of each batch of which not all has been acknowledged."""
        return {ticket.batch.id: task_id for task_id, ticket in self._tickets.items() if ticket.batch is not None}

    def kept(self) -> List[str]:
        """Return the newest results, each as JSON."""
        return [_unpacked(text) for text in self._kept]

    # Sending.

    def _send_due(self) -> None:
        if not self._listening:
            return
        now = monotonic()
        for ticket in list(self._tickets.values()):
            if ticket.unacknowledged is not None or ticket.closed:
                continue
            told = ticket.acknowledged
            if not (ticket.started or ticket.ended or ticket.rest or not told or ticket.due <= 0.0):
                continue
            if ticket.due > now:
                self._due.by(ticket.due)
            else:
                self._tell(ticket, now)

    def _tell(self, ticket: Ticket, now: float) -> None:
        texts: List[str] = []
        size = 0
        while ticket.ended and (not texts or size < UPDATE_BYTES):
            text = ticket.ended.popleft()
            ticket.ended_bytes -= len(text)
            self._waiting_bytes -= len(text)
            texts.append(_unpacked(text))
            size += len(texts[-1])
        state, message = ticket.state, ""
        if ticket.rest and not ticket.ended:
            ticket.closed = True
            state, message = ticket.outcome()
        status: Dict[str, Any] = {
            "task_id": {"value": ticket.task_id},
            "executor_id": self._executor_id,
            "state": state,
            "source": "SOURCE_EXECUTOR",
            "uuid": _uuid(),
            "timestamp": time(),
        }
        if message:
            status["message"] = message
        if ticket.batch is not None:
            data = '{{"version":{},"batch":{},"started":{},"ended":[{}]}}'.format(
                VERSION, ticket.batch.id, _to_json(ticket.started), ",".join(texts)
            ).encode("ascii")
            status["data"] = encoded(zlib.compress(data, 1) if len(data) > _COMPRESS_BYTES else data)
        ticket.started = []
        ticket.results_told = ticket.results_told or bool(texts)
        ticket.due = now if ticket.ended and (ticket.rest or ticket.ended_bytes >= UPDATE_BYTES) else now + PAUSE_S
        ticket.unacknowledged = status
        self._look_at_room()
        self._send({"status": status})

    # Room.

    def _look_at_room(self) -> None:
        congested = self._waiting_bytes > WAITING_LIMIT
        if self.congested and not congested:
            self._loop.at(0.0, self._on_room)  # not now: somebody may be in the middle of something
        self.congested = congested

    def _keep(self, text: Union[bytes, str]) -> None:
        self._kept.append(text)
        self._kept_bytes += len(text)
        while self._kept_bytes > KEPT_LIMIT:
            self._kept_bytes -= len(self._kept.popleft())


def _packed(text: str) -> Union[bytes, str]:
    return zlib.compress(text.encode("ascii"), 1) if len(text) > _LARGE_BYTES else text


def _unpacked(text: Union[bytes, str]) -> str:
    return zlib.decompress(text).decode("ascii") if isinstance(text, bytes) else text


def _uuid() -> str:
    """Return a random UUID as Mesos wants it in JSON; without its version it takes none."""
    data = bytearray(os.urandom(16))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    return b64encode(bytes(data)).decode("ascii")
