"""The kernel's end of the link to one local executor.

The kernel makes the socket, binds it in a folder that only the user can enter and hands the listening end to the
executor: whatever is sent before that is up waits in the socket, and a later kernel finds it by its path.

Frames: four bytes of length, big-endian, then a JSON array of messages; a message is an array whose first item
says what it is. Text that is not UTF-8 travels as surrogate escapes.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ...errors import EngineError

#: the wire's version
VERSION: Final = 1
_BACKEND: Final = str(Path(__file__).resolve().parents[1])
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
        Somebody else made the user's folder first.
    """
    base = Path(tempfile.gettempdir()) / f"stratos-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise EngineError(f"{base} is not a folder of yours alone; remove it, or set TMPDIR to a folder of your own")
    return Path(tempfile.mkdtemp(prefix="x", dir=base))


class Link(asyncio.Protocol):
    """One local executor: its process, and the connection to it.

    Attributes
    ----------
    process : subprocess.Popen
        The executor.
    up : bool
        Whether it has said that it is there.
    gone : Future
        Done when connection and process have ended.

    Parameters
    ----------
    log_path : Path
        Takes what the executor itself prints.
    receive : callable
        Takes each message that arrives.
    lost : callable
        Called once when the connection is gone.
    linger_s : float
        How long the executor waits for another kernel when this one is gone.
    """

    def __init__(
        self,
        log_path: Path,
        receive: Callable[[Link, list[Any]], None],
        lost: Callable[[Link], None],
        *,
        linger_s: float,
    ) -> None:
        self._receive = receive
        self._lost = lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[Any] = []
        self._loop = asyncio.get_running_loop()
        self.up = False
        self.gone: Future[None] = Future()
        self.folder = socket_folder()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.process = self._start(connection, log_path, linger_s)
        except OSError:
            connection.close()
            self._remove_folder()
            raise
        #: of the connection, for a forked child to close
        self.descriptor = connection.fileno()
        self.send(["hello", VERSION])
        self._connecting = self._loop.create_task(self._connect(connection))

    def _start(self, connection: socket.socket, log_path: Path, linger_s: float) -> subprocess.Popen[bytes]:
        path = str(self.folder / "sock")
        log_fd = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, open(log_fd, "ab") as log:
            listener.bind(path)
            listener.listen(4)
            connection.connect(path)  # it waits there for whoever will accept it
            connection.setblocking(False)
            return subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", "-c", _START, _BACKEND),
                    *("--listen-fd", str(listener.fileno()), "--linger-s", str(linger_s)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                start_new_session=True,  # a kernel's interrupt or restart must not reach it
                cwd="/",
            )

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
        """Tell whoever owns the link, and clean up."""
        self._transport = None
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
        self.send(["stop"])

    def _remove_folder(self) -> None:
        with suppress(OSError):  # whoever cleans up temporary files may have been here
            (self.folder / "sock").unlink()
            self.folder.rmdir()

    def _reap(self) -> None:
        """Take the exit status as soon as there is one, so that no zombie stays."""
        if self.process.poll() is None:
            self._loop.call_later(0.02, self._reap)
        else:
            self.gone.set_result(None)
