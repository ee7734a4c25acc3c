"""One stream of one task: where its bytes go, and how much of them stays in memory.

Bytes gather in memory up to 64 KiB; a stream that has more to say goes to a file, all of it. So 1 GB of output costs
the same memory as 64 KiB. The modes "disk" and "mesos" want the file always, "none" keeps only what a tail may ask
for. Whatever happens to the file, the pipe is read on: a full disk must not stop the command that fills it.
"""

import errno
import fcntl
import os
from contextlib import suppress
from typing import Any, Dict, List, Optional, Union

#: Of a stream, what is kept in memory and sent back as text.
MEMORY_LIMIT = 64 * 1024
#: Of a file, what a tail may ask for.
TAIL_LIMIT = 1024 * 1024
#: The most that one event reads of one stream, so that others have their turn; also the size of a large pipe.
FAIR_SHARE = 1024 * 1024

_CHUNK = 64 * 1024
_LARGE_CHUNK = 256 * 1024
# fcntl.F_SETPIPE_SZ, which Python knows since 3.10.
_SET_PIPE_SIZE = 1031

Result = Union[None, str, Dict[str, Any]]


class OutputStream:
    """The bytes of standard output or standard error of one task.

    Parameters
    ----------
    task : Task
        The owner of the stream; names paths when a file is needed.
    name : str
        "stdout" or "stderr".
    mode : str
        Where output goes.
    """

    #: The reading end of the pipe; -1 when it was at its end.
    fd = -1
    #: Whether the end has been seen.
    ended = False
    #: One line for a person, when not all could be kept.
    trouble = ""

    _head: Union[bytes, bytearray] = b""
    _size = 0
    _chunk = _CHUNK
    _file = -1
    _stored = 0
    _path = ""

    def __init__(self, task: Any, name: str, mode: str) -> None:
        self._task = task
        self._name = name
        self._mode = mode

    def read(self, limit: int = FAIR_SHARE) -> bool:
        """Read what is there, at most about `limit` bytes; True at the end of the stream."""
        while True:
            try:
                data = os.read(self.fd, self._chunk)
            except BlockingIOError:
                return False
            if not data:
                self.ended = True
                return True
            self.take(data)
            limit -= len(data)
            if limit <= 0:
                return False

    def result(self) -> Result:
        """What the record says of this stream; closes the file."""
        result: Result = None
        if self._file >= 0:
            limit = self._task.batch.context.output_limit
            if limit and self._mode == "scheduler":
                result = self._sent_back(limit)
            try:
                os.close(self._file)  # some file systems (NFS) tell only now that the disk is full
            except OSError as error:
                self._failed(error)
            self._file = -1
        if result is not None:
            return result
        if self._path:
            return {"path": self._path, "size": self._stored}
        if self._mode == "none" or not self._head:
            return None
        return self._head.decode("utf-8", "surrogateescape")

    def parts(self, limit: int) -> List[bytes]:
        """Return all that has come; of more than `limit` bytes its beginning and its end. Before `result`."""
        if self._file < 0:
            return [bytes(self._head)]
        if self._stored <= limit:
            return [os.pread(self._file, self._stored, 0)]
        half = limit // 2
        return [os.pread(self._file, half, 0), os.pread(self._file, half, self._stored - half)]

    def _sent_back(self, limit: int) -> Result:
        """Return what is in the file, if it is no more than `limit`, else its head and its tail."""
        head = min(limit, self._stored)
        tail = 0
        if self._stored > limit:
            head, tail = limit // 2, limit - limit // 2
        try:
            texts = [
                os.pread(self._file, count, at).decode("utf-8", "surrogateescape")
                for count, at in ((head, 0), (tail, self._stored - tail))
            ]
            if not tail:
                os.unlink(self._path.encode("utf-8", "surrogateescape"))
                return texts[0]
        except OSError as error:
            self._failed(error)
            return None
        return {"path": self._path, "size": self._stored, "head": texts[0], "tail": texts[1]}

    def allocated(self) -> int:
        """Return the bytes that its file takes on the disk, where that is the sandbox's."""
        if self._file < 0 or self._mode == "disk":
            return 0
        return os.fstat(self._file).st_blocks * 512

    def tail(self, nbytes: int) -> str:
        """Return the last bytes so far as text, without half a character at its head."""
        if self._file >= 0:
            nbytes = min(nbytes, TAIL_LIMIT, self._stored)
            data = os.pread(self._file, nbytes, self._stored - nbytes)
        else:
            data = bytes(self._head[-nbytes:]) if nbytes > 0 else b""
        if len(data) < self._size:
            rest = data.lstrip(bytes(range(0x80, 0xC0)))
            data = rest if len(data) - len(rest) < 4 else data
        return data.decode("utf-8", "surrogateescape")

    def take(self, data: bytes) -> None:
        """Keep `data`."""
        if not self._size and self._mode == "scheduler":
            # Most streams are one piece, which fits.
            self._size = len(data)
            self._head = data
            return
        self._size += len(data)
        if self._size > _CHUNK and self._chunk == _CHUNK:
            self._grow()
        if self._path:
            self._write(data)
            return
        if not isinstance(self._head, bytearray):
            self._head = bytearray(self._head)
        if self._mode == "none":
            self._head += data
            if len(self._head) > 2 * MEMORY_LIMIT:
                del self._head[:-MEMORY_LIMIT]
        elif self._size <= MEMORY_LIMIT:
            self._head += data
        elif not self.trouble:
            self._spill(data)

    def make_file(self) -> None:
        """Make the file, in the modes that want it always; raises OSError."""
        self._open()

    def _spill(self, data: bytes) -> None:
        try:
            self._open()
        except OSError as error:
            self._head += data[: MEMORY_LIMIT - len(self._head)]
            self.trouble = "{}: only the first 64 KiB are kept, {}: {}".format(
                self._name, os.strerror(error.errno or 0), self._place()
            )
            return
        head, self._head = self._head, b""
        self._write(head)
        self._write(data)

    def _write(self, data: Union[bytes, bytearray]) -> None:
        if self.trouble:
            return
        view = memoryview(data)
        try:
            while view:
                done = os.write(self._file, view)
                self._stored += done
                view = view[done:]
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        if not self.trouble:
            self.trouble = "{}: {} after {:.1f} MiB".format(
                self._name, os.strerror(error.errno or 0), self._stored / 1048576
            )

    def _place(self) -> str:
        context, number, attempt = self._task.batch.context, self._task.number, self._task.attempt
        if self._mode == "disk":
            return os.path.join(context.log_directory, "{}.{}.{}.{}".format(context.label, number, attempt, self._name))
        return os.path.join(context.sandbox, str(number // 1000), "{}.{}.{}".format(number, attempt, self._name))

    def _open(self) -> None:
        # The user may share the log directory; the sandbox is private.
        folder_mode, file_mode = (0o777, 0o666) if self._mode == "disk" else (0o700, 0o600)
        path = self._place()
        name = path.encode("utf-8", "surrogateescape")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            self._file = os.open(name, flags, file_mode)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(name), folder_mode, exist_ok=True)
            self._file = os.open(name, flags, file_mode)
        self._path = path

    def _grow(self) -> None:
        """Make the pipe of a talkative stream larger: fewer wake-ups for both sides."""
        self._chunk = _LARGE_CHUNK
        with suppress(OSError):  # not Linux, or this user has too many large ones
            fcntl.fcntl(self.fd, _SET_PIPE_SIZE, FAIR_SHARE)


def explain(error: OSError, place: Optional[str] = None) -> str:
    """Say in one line why a stream's file cannot be made, and the cure."""
    text = "cannot start: {}".format(os.strerror(error.errno or 0))
    if place is not None:
        text += ": {}".format(place)
    if error.errno in (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EROFS):
        text += "; choose a log directory that can be made and written to on this node"
    return text
