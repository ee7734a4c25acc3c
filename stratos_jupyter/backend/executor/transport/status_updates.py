"""Status updates for a Mesos agent, whose tasks are batches of our commands.

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
from ..record import ATTEMPT, CODE, REASON, RETURNED, TASK
from ..work import CommandBatch, Key
from .agent_client import encoded
from .base import ResultSink
from .mesos_task import MesosTask

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


class Updates(ResultSink):
    """Tells the agent.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    executor_id : dict
        Our id, as Mesos writes it.
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
        self._tasks: Dict[str, MesosTask] = {}
        self._of: Dict[Key, MesosTask] = {}
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
                task = self._of.get((row[TASK], row[ATTEMPT]))
                if task is not None:
                    task.started.append(row)
                    self._due.by(task.due)

    def report(self, records: List[List[Any]]) -> None:
        """Tell how tasks ended."""
        now = monotonic()
        for record in records:
            task = self._of.pop((record[TASK], record[ATTEMPT]), None)
            if task is None:
                continue
            text = _packed(_to_json(record))
            task.left.discard((record[TASK], record[ATTEMPT]))
            task.last = reason, code = record[REASON], record[CODE]
            task.well = task.batch is not None and task.batch.context.success.says(reason, code)
            task.failed += not (reason == RETURNED or task.well)
            task.ended.append(text)
            task.ended_bytes += len(text)
            self._waiting_bytes += len(text)
            self._keep(text)
            if task.rest or not task.results_told or task.ended_bytes >= UPDATE_BYTES:
                task.due = now
            self._due.by(task.due)
        self._look_at_room()

    # What Mesos says.

    def take_in(self, info: Dict[str, Any], batch: CommandBatch) -> bool:
        """Note a launch; False when it is known already."""
        task = MesosTask(info, batch)
        if task.task_id in self._tasks:
            return False
        self._tasks[task.task_id] = task
        self._of.update((key, task) for key in task.left)
        self._due.by(task.due)
        return True

    def reject(self, info: Dict[str, Any], why: str) -> None:
        """Note a launch of what cannot be run."""
        task = MesosTask(info, None)
        task.error = why
        if task.task_id not in self._tasks:
            self._tasks[task.task_id] = task
            task.due = 0.0
            self._due.by(0.0)

    def killing(self, task_id: str) -> Optional[MesosTask]:
        """Note that a task is to be killed; return it, None when there is no such task."""
        task = self._tasks.get(task_id)
        if task is None:
            return None
        task.killed = True
        if self._tell_killing and task.state != "TASK_KILLING" and not task.rest:
            task.state = "TASK_KILLING"
            task.due = 0.0
            self._due.by(0.0)
        return task

    def acknowledged(self, task_id: str, uuid: str) -> None:
        """Note that an update has been stored; what was acknowledged before is harmless."""
        task = self._tasks.get(task_id)
        update = None if task is None else task.unacknowledged
        if task is None or update is None or update["uuid"] != uuid:
            return
        task.unacknowledged = None
        task.acknowledged = True
        if task.closed:
            del self._tasks[task_id]
            if task.batch is not None:
                self._on_over(task.batch.id)
        else:
            self._due.by(task.due)

    def subscription(self) -> Dict[str, Any]:
        """Return what the agent must know of when we subscribe."""
        tasks = self._tasks.values()
        return {
            "unacknowledged_tasks": [task.info for task in tasks if not task.acknowledged],
            "unacknowledged_updates": [
                {"status": task.unacknowledged} for task in tasks if task.unacknowledged is not None
            ],
        }

    def resume(self, tell_killing: bool) -> None:
        """Send updates again after a subscription; `tell_killing` says whether TASK_KILLING is known there."""
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
        return not self._tasks

    def task_ids(self) -> Dict[int, str]:
        """Return the Mesos task of each batch of which not all has been acknowledged."""
        return {task.batch.id: task_id for task_id, task in self._tasks.items() if task.batch is not None}

    def kept(self) -> List[str]:
        """Return the newest results, each as JSON."""
        return [_unpacked(text) for text in self._kept]

    # Sending.

    def _send_due(self) -> None:
        if not self._listening:
            return
        now = monotonic()
        for task in list(self._tasks.values()):
            if task.unacknowledged is not None or task.closed:
                continue
            told = task.acknowledged
            if not (task.started or task.ended or task.rest or not told or task.due <= 0.0):
                continue
            if task.due > now:
                self._due.by(task.due)
            else:
                self._tell(task, now)

    def _tell(self, task: MesosTask, now: float) -> None:
        texts: List[str] = []
        size = 0
        while task.ended and (not texts or size < UPDATE_BYTES):
            text = task.ended.popleft()
            task.ended_bytes -= len(text)
            self._waiting_bytes -= len(text)
            texts.append(_unpacked(text))
            size += len(texts[-1])
        state, message = task.state, ""
        if task.rest and not task.ended:
            task.closed = True
            state, message = task.outcome()
        status: Dict[str, Any] = {
            "task_id": {"value": task.task_id},
            "executor_id": self._executor_id,
            "state": state,
            "source": "SOURCE_EXECUTOR",
            "uuid": _uuid(),
            "timestamp": time(),
        }
        if message:
            status["message"] = message
        if task.batch is not None:
            data = '{{"version":{},"batch":{},"started":{},"ended":[{}]}}'.format(
                VERSION, task.batch.id, _to_json(task.started), ",".join(texts)
            ).encode("ascii")
            status["data"] = encoded(zlib.compress(data, 1) if len(data) > _COMPRESS_BYTES else data)
        task.started = []
        task.results_told = task.results_told or bool(texts)
        task.due = now if task.ended and (task.rest or task.ended_bytes >= UPDATE_BYTES) else now + PAUSE_S
        task.unacknowledged = status
        self._look_at_room()
        self._send({"status": status})

    # Room.

    def _look_at_room(self) -> None:
        congested = self._waiting_bytes > WAITING_LIMIT
        if self.congested and not congested:
            self._loop.at(0.0, self._on_room)  # not now: the caller may be in the middle of its work
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
