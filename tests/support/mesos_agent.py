"""The agent's side of Mesos's HTTP API for executors, and a real executor that talks to it.

It does what an agent does, and what only a bad day brings: replies torn into pieces, connections that end, times in
which it is away or recovers. Everything that waits has a deadline.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.support.executor_client import BACKEND, DEADLINE_S, Record
from tests.support.waiting import until

Json = dict[str, Any]

SETUP = f"import sys; sys.path.insert(0, {str(BACKEND)!r}); from executor.guard import main; "
TERMINAL = ("TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR")
PATH = "/slave(1)/api/v1/executor"


def whole(data: bytes) -> list[bytes]:
    """What is sent as one chunk, in one piece."""
    return [data]


def torn(data: bytes) -> list[bytes]:
    """A chunk for each byte."""
    return [data[i : i + 1] for i in range(len(data))]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def unpacked(text: str) -> Any:
    """What an executor has sent as data."""
    data = base64.b64decode(text, validate=True)
    return json.loads(data if data[:1] in b"[{" else zlib.decompress(data))


class FakeAgent:
    """An agent, and its one executor.

    Parameters
    ----------
    python : str
        What to run the executor with.
    checkpoint : bool
        Whether the framework's tasks outlive the agent.
    recovery_s : float
        How long the executor waits for the agent.
    pieces : callable
        How the body of a stream is divided into chunks.
    dribble : bool
        Send each byte of a stream by itself, whatever the chunks.
    unix : bool
        Listen on a Unix socket.
    prelude : str
        Python that the executor runs before it begins.
    command : sequence of str, optional
        What starts the executor.
    env : mapping
        More of its environment.
    """

    def __init__(
        self,
        python: str = sys.executable,
        *,
        checkpoint: bool = True,
        recovery_s: float = 60.0,
        pieces: Callable[[bytes], list[bytes]] = whole,
        dribble: bool = False,
        unix: bool = False,
        prelude: str = "pass",
        command: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stratos-agent-"))
        self.sandbox = self.folder / "sandbox"
        self.sandbox.mkdir()
        self.label = f"m{os.getpid()}-{self.folder.name[-8:]}"
        self.pieces = pieces
        self.dribble = dribble
        #: acknowledge updates as they come
        self.ack = True
        #: what calls are answered with, instead of 202, and subscriptions instead of 200
        self.status = 0
        self.calls: list[Json] = []
        self.updates: list[Json] = []
        self.subscriptions: list[Json] = []
        self.messages: list[Any] = []
        self.records: list[Record] = []
        self.ended: dict[tuple[int, int], Record] = {}
        self.started: dict[tuple[int, int], int] = {}
        self._lock = threading.RLock()
        self._stream: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._unix = str(self.folder / "agent.sock") if unix else ""
        self.port = 0
        self.start()
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "MESOS_AGENT_ENDPOINT": f"127.0.0.1:{self.port}",
            "MESOS_SLAVE_PID": f"slave(1)@127.0.0.1:{self.port}",
            "MESOS_FRAMEWORK_ID": "framework",
            "MESOS_EXECUTOR_ID": "executor",
            "MESOS_SANDBOX": str(self.sandbox),
            "MESOS_DIRECTORY": str(self.sandbox),
            "MESOS_CHECKPOINT": str(int(checkpoint)),
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "5secs",
            "LIBPROCESS_PORT": "0",
            **({"MESOS_RECOVERY_TIMEOUT": f"{recovery_s:g}secs", "MESOS_SUBSCRIPTION_BACKOFF_MAX": "2secs"}),
            **({"MESOS_DOMAIN_SOCKET": self._unix} if unix else {}),
            **(env or {}),
        }
        self.stderr = self.folder / "stderr"
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                list(command) or [python, "-I", "-S", "-c", f"{SETUP}{prelude}; sys.exit(main())"],
                cwd=self.sandbox,
                env=env,
                stdin=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        self.subscribed()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- the agent's life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Be there, on the same port as before."""
        self._listener = socket.socket(socket.AF_UNIX if self._unix else socket.AF_INET)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(self._unix or ("127.0.0.1", self.port))
        self._listener.listen()
        if not self._unix:
            self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Be away."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        if self._unix:
            Path(self._unix).unlink(missing_ok=True)
        self.drop()

    def drop(self, calls_only: bool = False) -> None:
        """End connections."""
        with self._lock:
            for connection in list(self._connections):
                if not (calls_only and connection is self._stream):
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
            if not calls_only:
                self._stream = None

    def subscribed(self, times: int = 1) -> None:
        """Wait until the executor has subscribed so often."""
        self.until(lambda: len(self.subscriptions) >= times and self._stream is not None, what="a subscription")

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as file:
                while self._answer(connection, file):
                    pass
        except OSError:
            pass
        with self._lock:
            self._connections.discard(connection)
            if self._stream is connection:
                self._stream = None

    def _answer(self, connection: socket.socket, file: Any) -> bool:
        line = file.readline()
        if not line:
            return False
        assert line == f"POST {PATH} HTTP/1.1\r\n".encode(), line
        length = 0
        while (head := file.readline()) not in (b"\r\n", b""):
            name, _, value = head.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        call = json.loads(file.read(length))
        if self.status:
            text = b"the agent does not want it"
            connection.sendall(b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%s" % (self.status, len(text), text))
            return True
        with self._lock:
            self.calls.append(call)
            assert call["framework_id"] == {"value": "framework"}
            assert call["executor_id"] == {"value": "executor"}
            if call["type"] == "SUBSCRIBE":
                self.subscriptions.append(call["subscribe"])
                self._stream = connection
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                capabilities = [{"type": "TASK_KILLING_STATE"}]
                self.send("SUBSCRIBED", subscribed={"framework_info": {"capabilities": capabilities}})
                for update in call["subscribe"]["unacknowledged_updates"]:
                    self._update(update["status"])
                return True
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            if call["type"] == "UPDATE":
                self._update(call["update"]["status"])
            elif call["type"] == "MESSAGE":
                self.messages += json.loads(base64.b64decode(call["message"]["data"], validate=True))
        return True

    def _update(self, status: Json) -> None:
        self.updates.append(status)
        if "data" in status:
            data = unpacked(status["data"])
            for task, attempt, pid, _at in data["started"]:
                self.started[task, attempt] = pid
            for row in data["ended"]:
                record = Record(*row)
                self.records.append(record)
                self.ended.setdefault((record.task, record.attempt), record)
        if self.ack:
            self.acknowledge(status)

    # -- events -----------------------------------------------------------------------------------------

    def send(self, kind: str, **fields: Any) -> None:
        """Send an event, if the executor is there."""
        self.send_raw(json.dumps({"type": kind, **fields}).encode())

    def send_raw(self, record: bytes) -> None:
        """Send a record."""
        body = b"%d\n%s" % (len(record), record)
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in self.pieces(body))
        with self._lock:
            if self._stream is None:
                return
            with suppress(OSError):
                for piece in torn(chunks) if self.dribble else [chunks]:
                    self._stream.sendall(piece)

    def acknowledge(self, status: Json) -> None:
        self.send("ACKNOWLEDGED", acknowledged={"task_id": status["task_id"], "uuid": status["uuid"]})

    def launch(
        self,
        *commands: str,
        batch: int = 1,
        first: int = 0,
        task_id: str = "",
        expected_s: float | None = None,
        limits: Json | None = None,
        info: Json | None = None,
        compress: bool = False,
        **context: Any,
    ) -> str:
        """Launch a batch; what isn't said of its context is harmless."""
        known: Json = {
            "cwd": "",
            "env": {},
            "inherit": True,
            "output": "scheduler",
            "log_directory": "",
            "sandbox": "",
            "label": self.label,
            "timeout_s": None,
            "threads": "1",
            "grace_s": 5.0,
            "monitor": None,
            "relauncher": None,
            "update_interval_s": 10.0,
            "output_limit": 1 << 20,
            "ok_exit": None,
            "look": None,
        }
        assert set(context) <= set(known)
        rows = [[first + i, 1, command, None] for i, command in enumerate(commands)]
        what = {"version": 1, "context": {**known, **context}, "batch": [batch, expected_s, rows, limits]}
        data = json.dumps(what).encode()
        return self.launch_data(zlib.compress(data) if compress else data, task_id or f"t{batch}", info)

    def launch_data(self, data: bytes, task_id: str, info: Json | None = None) -> str:
        task = {
            "name": task_id,
            "task_id": {"value": task_id},
            "agent_id": {"value": "agent"},
            "executor": {"executor_id": {"value": "executor"}},
            "resources": [],
            "data": encoded(data),
            **(info or {}),
        }
        self.send("LAUNCH", launch={"task": task})
        return task_id

    def kill(self, task_id: str, grace_s: float | None = None) -> None:
        policy = {} if grace_s is None else {"kill_policy": {"grace_period": {"nanoseconds": int(grace_s * 1e9)}}}
        self.send("KILL", kill={"task_id": {"value": task_id}, **policy})

    def say(self, *messages: Any) -> None:
        """Send messages of the framework."""
        self.send("MESSAGE", message={"data": encoded(json.dumps(list(messages)).encode())})

    # -- waiting ----------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], Any], timeout_s: float = DEADLINE_S, what: str = "") -> Any:
        return until(condition, timeout_s, what)

    def states(self, task_id: str) -> list[str]:
        """The states of a task that were told, in order."""
        with self._lock:
            return [status["state"] for status in self.updates if status["task_id"]["value"] == task_id]

    def wait(self, task_id: str) -> Json:
        """Wait for the terminal update of a task."""
        self.until(lambda: any(state in TERMINAL for state in self.states(task_id)), what=f"the end of {task_id}")
        with self._lock:
            return next(
                status
                for status in self.updates
                if status["task_id"]["value"] == task_id and status["state"] in TERMINAL
            )

    def wait_started(self, task: int) -> int:
        """Wait until a command runs; return its process id."""
        self.until(lambda: (task, 1) in self.started, what=f"the start of {task}")
        return self.started[task, 1]

    def said(self, verb: str) -> list[Any]:
        """Messages that the executor has sent to the framework."""
        with self._lock:
            return [message[1:] for message in self.messages if message[0] == verb]

    def exit_code(self, timeout_s: float = DEADLINE_S) -> int:
        """Wait until the executor has exited."""
        return self.process.wait(timeout_s)

    def marked(self) -> list[int]:
        """Processes of its commands."""
        mark = f"STRATOS_TASK={self.label}.".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    if any(line.startswith(mark) for line in (entry / "environ").read_bytes().split(b"\0")):
                        found.append(int(entry.name))
        return found
