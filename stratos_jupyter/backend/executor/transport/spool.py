"""Results on disk: a file of frames, which outlives this process.

A frame is what travels on the wire: four bytes of length, big-endian, and a JSON array of messages. It is written
before it is sent, without fsync: what has been written stays when this process dies. Frames come at the end and are
dropped at the beginning, so what is wanted is always one piece; when the file holds more that is not, that piece is
written aside and put in its place. Positions count all bytes that were ever written, whatever has been cut off since.

This module imports no other one of the executor: the kernel reads what a dead executor has left.
"""

import errno
import json
import os
import struct
from contextlib import suppress
from typing import Any, Iterator, List

#: No frame is longer.
FRAME_LIMIT = 256 * 1024 * 1024
#: So much that is not wanted any more may lie in the file, however little is wanted.
WASTE_LIMIT = 1024 * 1024

LENGTH = struct.Struct(">I")
_CHUNK = 1024 * 1024
_to_json = json.JSONEncoder(separators=(",", ":")).encode


def pack(messages: List[Any]) -> bytes:
    """Return the frame of these messages."""
    body = _to_json(messages).encode("ascii")
    return LENGTH.pack(len(body)) + body


class Spool:
    """The file; everything here raises OSError when the disk doesn't do its part.

    Parameters
    ----------
    path : str
        Where it is; made when first needed, and then nothing may be there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        self._begin = 0  # the position of the file's first byte
        self._wanted = 0  # of the first one that is wanted
        self._end = 0
        self._torn = False  # something lies behind the end
        self._patience = WASTE_LIMIT

    def append(self, frame: bytes) -> int:
        """Write a frame, whole or not at all; return its position."""
        self.restore()
        if self._torn:
            self._cut()
        try:
            _write(self._fd, frame, self._end - self._begin)
        except OSError:
            self._torn = True
            with suppress(OSError):
                self._cut()
            raise
        position = self._end
        self._end += len(frame)
        return position

    def restore(self) -> None:
        """Make the file if there is none, because it is new or was removed."""
        if self._fd < 0:
            self._fd = _create(self.path)
        elif not os.fstat(self._fd).st_nlink:
            self._rewrite()

    def read(self, position: int, length: int) -> bytes:
        """Read back the frame at `position`."""
        frame = os.pread(self._fd, length, position - self._begin)
        if len(frame) != length or LENGTH.unpack_from(frame)[0] != length - LENGTH.size:
            raise OSError(errno.EIO, "a frame is not there any more", self.path)
        return frame

    def drop(self, position: int) -> None:
        """Forget what lies before `position`."""
        self._wanted = position
        waste, wanted = position - self._begin, self._end - position
        if waste and not wanted:
            os.ftruncate(self._fd, 0)
            self._begin = position
        elif waste > max(self._patience, wanted):
            self._patience = 2 * waste  # in case it fails
            self._rewrite()
            self._patience = WASTE_LIMIT

    def drop_all(self) -> None:
        """Forget everything."""
        self.drop(self._end)

    def remove(self) -> None:
        """Remove the file."""
        if self._fd >= 0:
            there = os.fstat(self._fd).st_nlink
            os.close(self._fd)
            self._fd = -1
            if there:
                os.unlink(self.path)

    def _cut(self) -> None:
        os.ftruncate(self._fd, self._end - self._begin)
        self._torn = False

    def _rewrite(self) -> None:
        """Put a file that holds only what is wanted in place of the old one."""
        aside = self.path + ".new"
        with suppress(FileNotFoundError):
            os.unlink(aside)
        fd = _create(aside)
        try:
            at = self._wanted
            while at < self._end:
                data = os.pread(self._fd, min(_CHUNK, self._end - at), at - self._begin)
                if not data:
                    raise OSError(errno.EIO, "the end is missing", self.path)
                _write(fd, data, at - self._wanted)
                at += len(data)
            os.replace(aside, self.path)
        except OSError:
            os.close(fd)
            with suppress(OSError):
                os.unlink(aside)
            raise
        os.close(self._fd)
        self._fd = fd
        self._begin = self._wanted
        self._torn = False


def read_spool(path: str) -> Iterator[List[List[Any]]]:
    """Yield the records of each whole frame; whatever follows the last one is no result."""
    with open(path, "rb") as file:
        left = os.fstat(file.fileno()).st_size
        while left > LENGTH.size:
            head = file.read(LENGTH.size)
            if len(head) < LENGTH.size:
                return
            (length,) = LENGTH.unpack(head)
            left -= LENGTH.size + length
            if left < 0 or length > FRAME_LIMIT:
                return
            try:
                messages = json.loads(file.read(length).decode("ascii"))
                found = [records for verb, _seq, records in messages if verb == "ended"]
            except (RecursionError, TypeError, ValueError):
                return
            for records in found:
                if type(records) is not list or not all(type(record) is list for record in records):
                    return
                yield records


def _create(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)


def _write(fd: int, data: bytes, offset: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, memoryview(data)[done:], offset + done)
