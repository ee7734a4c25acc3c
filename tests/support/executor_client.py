"""A small client of the executor: starts a real one and talks to it over its socket.

Everything that waits has a deadline. Results are gathered by task and attempt; whatever arrives twice is kept twice,
so that a test can see it.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import stratos_jupyter.backend.executor as package

BACKEND = Path(package.__file__).resolve().parents[1]
SETUP = f"import sys; sys.path.insert(0, {str(BACKEND)!r}); from executor.main import main; "
START = SETUP + "sys.exit(main())"

#: How long anything may take; generous, because machines that run tests are busy.
DEADLINE_S = 20.0

Message = list[Any]


class Record(NamedTuple):
    """What the executor says of a task that has ended."""

    task: int
    attempt: int
    batch: int
    reason: str
    code: int | None
    started_at: float | None
    finished_at: float
    cpu_s: float
    max_rss_mib: float
    stdout: Any
    stderr: Any
    note: str
    commands: Sequence[str] = ()
    inputs: Sequence[str] = ()

    def bytes(self, name: str = "stdout") -> bytes:
        """The whole stream, wherever it is."""
        stream = getattr(self, name)
        if isinstance(stream, dict):
            data = Path(stream["path"]).read_bytes()
            assert len(data) == stream["size"]
            return data
        return (stream or "").encode("utf-8", "surrogateescape")


class LinkLost(Exception):
    """The executor has closed the connection."""


class Client:
    """An executor, and a connection to it.

    Parameters
    ----------
    python : str
        What to run it with.
    failover_s : float
        How long it goes on without a connection.
    ack : bool
        Acknowledge results as they arrive.
    inherit : sequence of int
        Descriptors that the executor is born with.
    prelude : str
        Python that the executor runs before it begins.
    options : sequence of str
        What else it is started with.
    spool : bool or Path
        Whether it keeps results on disk, or where: in its folder when that isn't said.
    """

    def __init__(
        self,
        python: str = sys.executable,
        failover_s: float = 0.0,
        ack: bool = True,
        inherit: Sequence[int] = (),
        prelude: str = "pass",
        options: Sequence[str] = (),
        spool: bool | Path = False,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stratos-test-"))
        self.ack = ack
        self.label = f"t{os.getpid()}-{self.folder.name[-8:]}"
        self.hello: dict[str, Any] = {}
        self.seqs: list[int] = []
        self.records: list[Record] = []
        self.ended: dict[tuple[int, int], Record] = {}
        self.started: dict[tuple[int, int], int] = {}
        self.replies: dict[int, Any] = {}
        #: What the executor has, by its last word, with batch and slot of each attempt.
        self.inventory: dict[tuple[int, int], tuple[int, int]] | None = None
        #: What had ended before that word.
        self.ended_before: set[tuple[int, int]] = set()
        self.notices: list[str] = []
        #: Which tasks have waited for background processes for long: task, attempt, text.
        self.waiting: list[list[Any]] = []
        #: The verbs of all messages of this connection.
        self.verbs: list[str] = []
        self.spool = spool if isinstance(spool, Path) else self.folder / "spool"
        self._buffer = bytearray()
        self._batches = 0
        address = str(self.folder / "link")
        program = f"{SETUP}{prelude}; sys.exit(main())"
        spooling = ["--spool", str(self.spool)] if spool else []
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(address)
            listener.listen()
            self.process = subprocess.Popen(
                [
                    *(python, "-I", "-S", "-c", program),
                    *("--listen-fd", str(listener.fileno()), "--failover-s", str(failover_s), *spooling, *options),
                ],
                pass_fds=[listener.fileno(), *inherit],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.address = address
        self.socket = socket.socket()
        self.connect()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self) -> None:
        """Make a new connection, say hello and hear all that follows."""
        self.socket.close()
        self._buffer.clear()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(self.address)
        self.hello = {}
        self.inventory = None
        self.verbs.clear()
        self.send(["hello", 1])
        self.until(lambda: self.inventory is not None)

    def send(self, *messages: Message) -> None:
        """Send messages in one frame."""
        body = json.dumps(list(messages)).encode("ascii")
        self.socket.sendall(struct.pack(">I", len(body)) + body)

    def context(self, number: int = 1, **fields: Any) -> None:
        """Send a context; what isn't given is harmless."""
        known = {
            "cwd": str(self.folder),
            "env": {"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            "output": "scheduler",
            "log_directory": "",
            "sandbox": str(self.folder / "sandbox"),
            "label": self.label,
            "timeout_s": None,
            "linger_s": None,
            "threads": "2",
            "grace_s": 5.0,
            "shell": None,
            "monitor": None,
            "relauncher": None,
            "update_interval_s": 10.0,
            "fetch": None,
            "ok_exit": None,
            "fail_on": None,
            "look": None,
            "fetch_wait_s": 20.0,
            "nice": None,
        }
        assert set(fields) <= set(known)
        self.send(["context", number, {**known, **fields}])

    def batch(
        self,
        commands: Sequence[str],
        slot: int = 0,
        first: int = 0,
        attempt: int = 1,
        expected_s: float | None = None,
        context: int = 1,
        files: Sequence[str | None] | None = None,
        limits: dict[str, Any] | None = None,
        makes: Sequence[Sequence[str]] = (),
        copies: Sequence[Sequence[str]] = (),
    ) -> int:
        """Send a batch; returns its id."""
        self._batches += 1
        rows = [[first + i, attempt, text, files[i] if files else None, *(copies[i] if copies else ())]
                for i, text in enumerate(commands)]  # fmt: skip
        if makes:
            limits = {**(limits or {}), "makes": {place: list(paths) for place, paths in enumerate(makes)}}
        more = [] if limits is None else [limits]
        self.send(["batch", slot, self._batches, context, expected_s, rows, *more])
        return self._batches

    def kill(self, *tasks: int, reason: str | None = None) -> None:
        """End first attempts of tasks."""
        self.send(["kill", [[task, 1] for task in tasks], *([] if reason is None else [reason])])

    def recall(self, *batches: int) -> None:
        """Ask for what has not been started of batches."""
        self.send(["recall", list(batches)])

    def run(self, *commands: str, limits: dict[str, Any] | None = None, **fields: Any) -> list[Record]:
        """Run commands one after another in slot 0 and wait for their records."""
        first = 1 + max((task for task, _attempt in self.ended), default=-1)
        self.context(**fields)
        self.batch(commands, first=first, limits=limits)
        return [self.wait(first + i) for i in range(len(commands))]

    def wait(self, task: int, attempt: int = 1, timeout_s: float = DEADLINE_S) -> Record:
        """Wait for the record of a task."""
        self.until(lambda: (task, attempt) in self.ended, timeout_s)
        return self.ended[task, attempt]

    def wait_started(self, task: int, attempt: int = 1) -> int:
        """Wait until a task is said to run; returns its process id."""
        self.until(lambda: (task, attempt) in self.started)
        return self.started[task, attempt]

    def tail(self, task: int, nbytes: int = 1000, attempt: int = 1) -> Any:
        """Ask for the last bytes of a task's streams."""
        request = len(self.replies) + 1
        self.send(["tail", request, task, attempt, nbytes])
        self.until(lambda: request in self.replies)
        return self.replies[request]

    def until(self, condition: Callable[[], Any], timeout_s: float = DEADLINE_S) -> None:
        """Handle messages until a condition holds."""
        ends_at = time.monotonic() + timeout_s
        while not condition():
            left = ends_at - time.monotonic()
            assert left > 0, f"not in time; ended: {Counter(record.reason for record in self.records)}"
            if select.select([self.socket], [], [], min(left, 0.05))[0]:
                self.receive()

    def receive(self) -> None:
        """Read what is there and handle whole frames."""
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if not data:
            raise LinkLost
        self._buffer += data
        while len(self._buffer) >= 4:
            (length,) = struct.unpack_from(">I", self._buffer)
            if len(self._buffer) < 4 + length:
                break
            messages = json.loads(self._buffer[4 : 4 + length].decode("ascii"))
            del self._buffer[: 4 + length]
            for message in messages:
                self._handle(message)

    def lost(self) -> bool:
        """Whether the executor closes the connection in time."""
        try:
            self.until(lambda: False)
        except LinkLost:
            return True
        return False

    def _handle(self, message: Message) -> None:
        verb, *args = message
        self.verbs.append(verb)
        if verb == "ended":
            seq, rows = args
            self.seqs.append(seq)
            for row in rows:
                record = Record(*row)
                self.records.append(record)
                self.ended.setdefault((record.task, record.attempt), record)
            if self.ack:
                self.send(["ack", seq])
        elif verb == "started":
            for task, attempt, pid, _started_at in args[0]:
                self.started[task, attempt] = pid
        elif verb == "tail":
            self.replies[args[0]] = args[1]
        elif verb == "hello":
            self.hello = args[0]
        elif verb == "inventory":
            rows = [(tuple(key), (batch, slot)) for batch, slot, keys in args[0] for key in keys]
            self.inventory = dict(rows)
            self.ended_before = set(self.ended)
            assert len(self.inventory) == len(rows)
        elif verb == "waiting":
            self.waiting = args[0]
        elif verb == "notice":
            self.notices.append(args[0])
        else:
            raise AssertionError(message)

    def marked(self, task: int | None = None) -> list[int]:
        """Processes that carry the mark of a task, or of any task of this client."""
        mark = "STRATOS_TASK={}.{}".format(self.label, "" if task is None else f"{task}.")
        return [pid for pid, env in _environments() if any(line.startswith(mark.encode()) for line in env)]


def alive(pids: Iterable[int]) -> list[int]:
    """Those of `pids` that live; a zombie doesn't."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1]
        except OSError:
            continue
        if state not in (b"Z", b"X"):
            found.append(pid)
    return found


def _environments() -> Iterable[tuple[int, list[bytes]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
