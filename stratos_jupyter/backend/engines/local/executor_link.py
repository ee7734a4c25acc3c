"""One local executor: its process, and the kernel's end of the connection to it.

The kernel makes the socket, binds it in a folder that only the user can enter and hands the listening end to the
executor: whatever is sent before that is up waits in the socket, and a later kernel finds it by its path.

Frames: four bytes of length, big-endian, then a JSON array of messages; a message is an array whose first item
says what it is. Text that is not UTF-8 travels as surrogate escapes.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ....errors import EngineError
from ...store.lease import boot_id, lives, process_start, write_private

#: in an executor's folder: which process it is, and results that may not be recorded yet
INFO: Final = "executor.json"
SPOOL: Final = "spool"
#: what it prints itself
LOG: Final = "log"
#: what says that an executor has ended, or can never be reached again
GONE: Final = (ConnectionRefusedError, FileExistsError, FileNotFoundError)
#: the wire's version
VERSION: Final = 1
_BACKEND: Final = str(Path(__file__).resolve().parents[2])
_START: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from executor.main import main; sys.exit(main(sys.argv[2:]))"
)


def socket_folder() -> Path:
    """Return a new folder for a socket, under one that is the user's alone.

    It lies in the system's temporary directory, because a socket's path may have 107 bytes and a home's may be
    longer than that.

    Raises
    ------
    EngineError
        The user's folder belongs to another user, or others can enter it.
    """
    base = Path(tempfile.gettempdir()) / f"stratos-{os.getuid()}"
    with suppress(FileExistsError):  # whatever it is
        base.mkdir(mode=0o700)
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise EngineError(f"{base} is not a folder of yours alone; remove it, or set TMPDIR to a folder of your own")
    return Path(tempfile.mkdtemp(prefix="x", dir=base))


class ExecutorProcess(asyncio.Protocol):
    """One local executor: its process, and the connection to it.

    Attributes
    ----------
    record : Path
        Its folder in the run's: which process it is, and the spool of results that may not be recorded yet.
    pid : int
        The executor's process.
    up : bool
        Whether it has said that it is there.
    gone : Future
        Done when connection and process have ended.

    Parameters
    ----------
    record : Path
        The folder. Where it names an executor that an earlier process has started, that one is connected to; else one
        is started.
    receive : callable
        Takes each message that arrives.
    lost : callable
        Called once when the connection is gone.
    failover_s : float
        How long the executor waits for another kernel when this one is gone.

    Raises
    ------
    OSError
        It cannot be started, or it cannot be connected to; one of `GONE` where the one that there was has ended.
    """

    def __init__(
        self,
        record: Path,
        receive: Callable[[ExecutorProcess, list[Any]], None],
        lost: Callable[[ExecutorProcess], None],
        *,
        failover_s: float = 0.0,
    ) -> None:
        self.record = record
        self._receive = receive
        self._lost = lost
        self._process: subprocess.Popen[bytes] | None = None
        self._letting_go = self._stopping = False
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[Any] = []
        self._loop = asyncio.get_running_loop()
        self.up = False
        self.gone: Future[None] = Future()
        info = json.loads((record / INFO).read_text("utf-8")) if (record / INFO).exists() else None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.folder = Path(info["folder"]) if info is not None else socket_folder()
            try:
                if info is not None:
                    self._find(connection, info)
                else:
                    self._start(connection, failover_s)
            except OSError as error:
                if info is None or isinstance(error, GONE):
                    self._remove_folder()
                raise
        except BaseException:
            connection.close()
            raise
        #: what is sent and received; the transport closes this very object
        self.connection = connection
        self.send(["hello", VERSION])
        self._connecting = self._loop.create_task(self._connect(connection))
        # One that is cancelled before it has begun closes nothing.
        self._connecting.add_done_callback(lambda task: connection.close() if task.cancelled() else None)

    def _find(self, connection: socket.socket, info: Mapping[str, Any]) -> None:
        self.pid, self._started = int(info["pid"]), str(info["started"])
        if info["host"] != socket.gethostname():
            raise OSError(errno.EHOSTUNREACH, f"it is on {info['host']}: attach there")
        if info["boot_id"] != boot_id() or (self.pid and not lives(self.pid, self._started)):
            raise ConnectionRefusedError(f"executor {self.pid} has ended")
        connection.setblocking(False)  # a stopped executor with a full queue of connections must not block the kernel
        try:
            connection.connect(str(self.folder / "sock"))
        except GONE:
            if self.pid:
                self.kill()  # it lives, and can never be reached again
            raise

    def _start(self, connection: socket.socket, failover_s: float) -> None:
        self.record.parent.mkdir(mode=0o700, exist_ok=True)
        self.record.mkdir(mode=0o700)
        self.pid, self._started = 0, ""
        self._note()  # before it runs: if the kernel dies now, the executor can still be found
        path = str(self.folder / "sock")
        log_fd = os.open(self.record / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, open(log_fd, "ab") as log:
            listener.bind(path)
            listener.listen(4)
            connection.connect(path)  # it waits in the socket until the executor accepts it
            connection.setblocking(False)
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", "-c", _START, _BACKEND),
                    *("--listen-fd", str(listener.fileno()), "--failover-s", str(failover_s)),
                    *("--spool", str(self.record / SPOOL)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                start_new_session=True,  # a kernel's interrupt or restart must not reach it
                cwd="/",
            )
        self.pid, self._started = self._process.pid, process_start(self._process.pid)
        self._note()

    def _note(self) -> None:
        info = {"folder": str(self.folder), "pid": self.pid, "started": self._started, "boot_id": boot_id()}
        write_private(self.record / INFO, {**info, "host": socket.gethostname()})

    def learn(self, pid: int) -> None:
        """Take in which process it is, where an earlier kernel died before it could write that down."""
        if not self.pid:
            self.pid, self._started = pid, process_start(pid)
            self._note()

    async def _connect(self, connection: socket.socket) -> None:
        await self._loop.create_unix_connection(lambda: self, sock=connection)

    # -- asyncio.Protocol -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what has gathered."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take frames apart."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= 4:
            end = start + 4 + int.from_bytes(buffer[start : start + 4], "big")
            if len(buffer) < end:
                break
            for message in json.loads(buffer[start + 4 : end]):
                self._receive(self, message)
            start = end
        del buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the pool, and clean up."""
        self._transport = None
        if self._letting_go:
            self._be_gone()
            return
        if not self._stopping and self._process is not None and self._process.poll() is None:
            self.kill()  # it lives and does not talk to us: what it runs must not go on beside what runs instead
        self._reap()
        self._remove_folder()
        self._lost(self)

    # -- ours -------------------------------------------------------------------------------------------

    def send(self, message: list[Any]) -> None:
        """Send a message, together with others of the same turn."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(message)

    def _flush(self) -> None:
        if self._outgoing and self._transport is not None:
            body = json.dumps(self._outgoing, separators=(",", ":")).encode("ascii")
            self._outgoing.clear()
            self._transport.write(len(body).to_bytes(4, "big") + body)

    def stop(self) -> None:
        """Ask the executor to end its tasks and itself."""
        self._stopping = True
        self.send(["stop"])

    def let_go(self) -> None:
        """End the connection; the executor continues, for the next kernel."""
        self._letting_go = True
        self._flush()
        self._connecting.cancel()
        if self._transport is not None:
            self._transport.close()
        else:
            self._be_gone()

    def _be_gone(self) -> None:
        """Say so, once: it may be let go of while it ends."""
        if not self.gone.done():
            self.gone.set_result(None)

    def kill(self) -> None:
        """Kill the executor's process."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _remove_folder(self) -> None:
        with suppress(OSError):  # a cleaner of temporary files may have been here
            (self.folder / "sock").unlink()
            self.folder.rmdir()

    def _reap(self) -> None:
        """Take the exit status as soon as there is one, so that no zombie stays."""
        ended = self._process.poll() is not None if self._process else not lives(self.pid, self._started)
        if not ended:
            self._loop.call_later(0.02, self._reap)
        else:
            self._be_gone()
