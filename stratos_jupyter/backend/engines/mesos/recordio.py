"""Mesos's RecordIO: a stream of JSON texts, each after its length in bytes and a newline."""

from __future__ import annotations

import json
from typing import Any, Final

#: a length has no more digits
DIGITS: Final = 12


class RecordIOReader:
    """Takes such a stream apart, however it is cut.

    A record that comes in many pieces is gathered in one buffer, and is copied once more, when its text is decoded.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length = -1  # of the record that comes next, when it is known

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Take in some bytes, and return the records that are complete; raises ValueError when it is no such stream."""
        buffer = self._buffer
        buffer += data
        records: list[dict[str, Any]] = []
        start = 0
        with memoryview(buffer) as view:
            while True:
                if self._length < 0:
                    end = buffer.find(b"\n", start, start + DIGITS + 1)
                    if end < 0:
                        if len(buffer) - start > DIGITS:
                            raise ValueError(f"no length of a record: {bytes(buffer[start : start + 20])!r}")
                        break
                    self._length = int(buffer[start:end])
                    if self._length < 0:
                        raise ValueError(f"a negative length of a record: {self._length}")
                    start = end + 1
                end = start + self._length
                if len(buffer) < end:
                    break
                records.append(json.loads(str(view[start:end], "utf-8")))
                start, self._length = end, -1
        del buffer[:start]
        return records
