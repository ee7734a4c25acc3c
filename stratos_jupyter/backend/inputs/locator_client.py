"""The kernel's side of the locator process: requests, and their answers, each within a time limit."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from ...errors import StorageError
from ..forks import Inherited
from .hdfs import Located

# the modules of this process are found by that one, wherever they were found
_START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from stratos_jupyter.backend.inputs.locator_process import start; start()"
)
#: longer than any chain of time-outs of its requests, in seconds
ANSWER_S: Final = 180.0
_CHUNK: Final = 1 << 20


class LocatorProcess:
    """The process that asks HDFS, and the pipes to it.

    Parameters
    ----------
    name : str
        The HDFS.
    """

    def __init__(self, name: str) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt of the notebook is no matter of it
            )
        except OSError as error:
            raise StorageError(f"no process can be started to ask HDFS: {error.strerror}") from None
        self._rest = b""
        self._send(sys.path)
        self._send(name)

    def ask(self, paths: Sequence[str]) -> list[Located | None]:
        """Return where files are, None where that is not known.

        Raises
        ------
        StorageError
            HDFS cannot be asked.
        """
        self._send(paths)
        trouble, found = json.loads(self._line())
        if trouble:
            raise StorageError(trouble)
        return [None if one is None else _located(*one) for one in found]

    def connections(self) -> list[Inherited]:
        """Return the pipes, of which a forked child must not keep a copy open."""
        pipes = (self._process.stdin, self._process.stdout)
        return [pipe for pipe in pipes if pipe is not None]

    def end(self) -> None:
        """End the process: an `ask` that waits raises StorageError. Any thread may call this."""
        self._process.kill()

    def close(self) -> None:
        """End the process, and close the pipes."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._process.wait()

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode("ascii") + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise StorageError("the process that asks HDFS has ended") from None

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        until_s = time.monotonic() + ANSWER_S
        while b"\n" not in self._rest:
            try:
                ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, until_s - time.monotonic()))
                data = os.read(self._process.stdout.fileno(), _CHUNK) if ready else None
            except (OSError, ValueError):
                data = b""  # it was closed
            if data is None:
                raise StorageError("HDFS does not answer")
            if not data:
                raise StorageError("the process that asks HDFS has ended")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def _located(size: int, hosts: Sequence[tuple[str, int]]) -> Located:
    return Located(size, tuple((sys.intern(host), share) for host, share in hosts))
