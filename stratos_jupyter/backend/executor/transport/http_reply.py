"""Replies of an agent: HTTP/1.1, and the records of a stream in it.

Both are fed with whatever has arrived, however it was torn, and give what is complete. The body of a reply has a
length, comes in chunks, or lasts as long as the connection. A record is its length in decimal digits, a newline, and so
many bytes.
"""

from typing import Dict, List, Optional

from ..work import Malformed

#: No line of a reply's head is longer, and neither is the head.
HEAD_LIMIT = 64 * 1024
#: No record is longer.
RECORD_LIMIT = 256 * 1024 * 1024

_DIGITS_MOST = 20
_FOREVER = -1


class Reply:
    """One reply, taken from the bytes of a connection."""

    def __init__(self) -> None:
        #: 0 until the head is there.
        self.status = 0
        self.headers: Dict[str, str] = {}
        #: Whether all of it has come; what follows belongs to the next one.
        self.done = False
        self._chunked = False
        self._trailers = False
        #: What is left of the body, or of a chunk with the line end after it.
        self._left = 0

    def take(self, buffer: bytearray) -> bytes:
        """Take what belongs to this reply out of `buffer`; return what of it is body."""
        body = bytearray()
        while not self.done:
            if not self.status:
                going_on = self._take_head(buffer)
            elif self._chunked:
                going_on = self._take_chunk(buffer, body)
            else:
                going_on = self._take_plain(buffer, body)
            if not going_on:
                break
        return bytes(body)

    def _take_head(self, buffer: bytearray) -> bool:
        line = _line(buffer, b"\r\n\r\n")
        if line is None:
            return False
        lines = line.decode("latin-1").split("\r\n")
        words = lines[0].split(None, 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise Malformed("no HTTP: {!r}".format(lines[0][:200]))
        status = int(words[1])
        if status < 200:
            return True  # something else follows
        for text in lines[1:]:
            name, _colon, value = text.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self._chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        length = self.headers.get("content-length")
        if length is not None and not length.isdigit():
            raise Malformed("a body of {} bytes".format(length[:200]))
        self._left = _FOREVER if length is None else int(length)
        if status in (204, 304):
            self._left = 0
        self.done = not self._chunked and not self._left
        if self._chunked:
            self._left = 0
        self.status = status
        return True

    def _take_plain(self, buffer: bytearray, body: bytearray) -> bool:
        count = len(buffer) if self._left == _FOREVER else min(self._left, len(buffer))
        if not count:
            return False
        body += buffer[:count]
        del buffer[:count]
        if self._left != _FOREVER:
            self._left -= count
            self.done = not self._left
        return True

    def _take_chunk(self, buffer: bytearray, body: bytearray) -> bool:
        if self._left > 2:
            count = min(self._left - 2, len(buffer))
            if not count:
                return False
            body += buffer[:count]
            del buffer[:count]
            self._left -= count
            return True
        line = _line(buffer, b"\r\n")
        if line is None:
            return False
        if self._left:  # the line end after a chunk
            self._left = 0
            if line:
                raise Malformed("a chunk without an end")
        elif self._trailers:
            self.done = not line
        else:
            size = _hexadecimal(line)
            self._trailers = not size
            self._left = size + 2 if size else 0
        return True


class RecordReader:
    """Takes records out of a stream."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def take(self, data: bytes) -> List[bytes]:
        """Return the records that `data` completes."""
        buffer = self._buffer
        buffer += data
        found: List[bytes] = []
        while True:
            end = buffer.find(b"\n", 0, _DIGITS_MOST)
            digits = bytes(buffer[:end]) if end >= 0 else bytes(buffer[:_DIGITS_MOST])
            endless = end < 0 and len(digits) == _DIGITS_MOST
            if end == 0 or endless or not (digits or b"0").isdigit():
                raise Malformed("no record: {!r}".format(digits))
            if end < 0:
                return found
            size = int(digits)
            if size > RECORD_LIMIT:
                raise Malformed("a record of {} bytes".format(size))
            if len(buffer) < end + 1 + size:
                return found
            found.append(bytes(buffer[end + 1 : end + 1 + size]))
            del buffer[: end + 1 + size]


def _line(buffer: bytearray, end: bytes) -> Optional[bytes]:
    """Take what comes before `end` out of `buffer`; None when that isn't there yet."""
    at = buffer.find(end)
    if at < 0:
        if len(buffer) > HEAD_LIMIT:
            raise Malformed("a line of more than {} bytes".format(HEAD_LIMIT))
        return None
    line = bytes(buffer[:at])
    del buffer[: at + len(end)]
    return line


def _hexadecimal(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    try:
        size = int(digits, 16)
    except ValueError:
        size = -1
    if not 0 <= size <= RECORD_LIMIT:
        raise Malformed("a chunk of {!r} bytes".format(digits[:200]))
    return size
