"""The text of an output, bounded.

An output is bytes in memory or a file of any size. What a person or a parser gets is text of at most `limit`
bytes of it: whole when it fits, else half head and half tail with a line between that says how much was cut
and where the whole of it is. Only the head and the tail of a file are ever read.
"""

from __future__ import annotations

import os
import stat
from io import FileIO


def bounded_text(data: bytes | None, path: str, size: int, limit: int) -> str:
    r"""Return an output as text, its middle cut out when it is larger than `limit`.

    Parameters
    ----------
    data : bytes or None
        The whole output, or its head and its tail, half of it each, where the file is on another node and holds more;
        None when it is in the file at `path`, or when there is none.
    path : str
        The file that holds the whole output; "" when there is none.
    size : int
        How many bytes the command wrote, as recorded; what the file holds now counts more.
    limit : int
        How many bytes of the output to show at most; the line that marks the cut comes on top.

    Returns
    -------
    str
        UTF-8 text; bytes that are no UTF-8 read ``\xff``, so it can always be encoded again. A file that is
        gone or cannot be read gives one line in square brackets that says so; no OSError is raised.
    """
    limit = max(0, limit)
    if data is not None:
        whole = max(size, len(data)) if path else len(data)
        if whole <= min(limit, len(data)):
            return data.decode("utf-8", "backslashreplace")
        head, tail = limit // 2, limit - limit // 2
        if whole > len(data):
            head, tail = min(head, len(data) // 2), min(tail, len(data) - len(data) // 2)
        return _joined(data[:head], data[len(data) - tail :], whole, path)
    if not path:
        return ""
    try:
        return _file_text(path, limit)
    except FileNotFoundError:
        return f"[gone: {_shown(path)}, {size:,} bytes when it was written]"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return f"[cannot read: {_shown(path)}: {reason}]"


def last_text(data: bytes | None, path: str, nbytes: int) -> str:
    """Return the end of an output as text; "" where there is none or it cannot be read.

    Parameters
    ----------
    data : bytes or None
        The output, or the end of it; None when it is in the file at `path`, or when there is none.
    path : str
        The file that holds the whole output; "" when there is none.
    nbytes : int
        How many bytes of it to take at most.
    """
    if data is None and path:
        data = _part(path, nbytes + 1, at_end=True)  # one byte more tells whether the rest begins within a character
    if not data:
        return ""
    if len(data) > nbytes:
        data = data[len(data) - nbytes :]
        data = data[_torn_at_start(data) :]
    return data.decode("utf-8", "backslashreplace")


def first_text(data: bytes | None, path: str, nbytes: int) -> str:
    """Return the beginning of an output as text; "" where there is none or it cannot be read.

    Parameters
    ----------
    data : bytes or None
        The output, or the beginning of it; None when it is in the file at `path`, or when there is none.
    path : str
        The file that holds the whole output; "" when there is none.
    nbytes : int
        How many bytes of it to take at most.
    """
    if data is None and path:
        data = _part(path, nbytes)
    data = (data or b"")[:nbytes]
    return data[: len(data) - _torn_at_end(data)].decode("utf-8", "backslashreplace")


def _part(path: str, count: int, *, at_end: bool = False) -> bytes:
    """Return the first or the last bytes of a file; b"" where there is none or it cannot be read."""
    try:
        with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not _is_file(status):
                return b""
            return _read(file, max(0, status.st_size - count) if at_end else 0, count)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return b""


def _file_text(path: str, limit: int) -> str:
    with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not _is_file(status):
            return f"[not a file: {_shown(path)}]"
        size = status.st_size
        if size <= limit:
            return _read(file, 0, size).decode("utf-8", "backslashreplace")
        head, tail = limit // 2, limit - limit // 2
        return _joined(_read(file, 0, head), _read(file, size - tail, tail), size, path)


def _is_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)


def _open_without_waiting(path: str, flags: int) -> int:
    # A FIFO that stands where the file was must not hang the notebook. Windows has neither.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read(file: FileIO, at: int, count: int) -> bytes:
    """Read `count` bytes; fewer when the file has shrunk meanwhile."""
    file.seek(at)
    parts = []
    while count > 0 and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _joined(head: bytes, tail: bytes, size: int, path: str) -> str:
    head = head[: len(head) - _torn_at_end(head)]
    tail = tail[_torn_at_start(tail) :]
    where = f"; the whole of it: {_shown(path)}" if path else ""
    mark = f"\n[... {size - len(head) - len(tail):,} bytes cut{where} ...]\n"
    return head.decode("utf-8", "backslashreplace") + mark + tail.decode("utf-8", "backslashreplace")


def _torn_at_end(head: bytes) -> int:
    """Count the last bytes of `head` that begin a UTF-8 character without ending it: 0 to 3."""
    for count in range(1, min(3, len(head)) + 1):
        byte = head[-count]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return count if needed > count else 0
        if byte < 0x80:
            return 0
    return 0


def _torn_at_start(tail: bytes) -> int:
    """Count the first bytes of `tail` that go on with a UTF-8 character: 0 to 3."""
    count = 0
    while count < min(3, len(tail)) and 0x80 <= tail[count] < 0xC0:
        count += 1
    return count


def _shown(path: str) -> str:
    """Return `path` on one line and without what cannot be encoded."""
    text = path.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
