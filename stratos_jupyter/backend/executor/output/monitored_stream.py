"""The part of the streams that a monitor gets: the newest since its last call, and how that is passed on.

Linux takes at most 128 KiB in one argument, its final NUL included. What doesn't fit is cut at its beginning, and a
mark there says how much. No argument can hold a NUL byte: U+FFFD stands for it. Everything else is passed as it is,
but never half a character: what has been written of one so far waits for its rest.
"""

from typing import Any, Tuple

from .streams import OutputStream

#: The most that one argument may hold (MAX_ARG_STRLEN without the final NUL).
ARGUMENT_LIMIT = 128 * 1024 - 1

_TAGS = (b"<stdout>", b"</stdout><stderr>", b"</stderr>")
_NUL, _FOR_NUL = b"\0", b"\xef\xbf\xbd"
_CONTINUATION = bytes(range(0x80, 0xC0))
#: What may gather above the limit before it is cut.
_SLACK = 64 * 1024

#: The newest bytes, and how many came before them.
Heard = Tuple[bytes, int]


class Newest:
    """Keeps the newest of the bytes that it takes.

    Parameters
    ----------
    limit : int
        How many bytes at least.
    """

    def __init__(self, limit: int = ARGUMENT_LIMIT) -> None:
        self._limit = limit
        self._kept = bytearray()
        #: All that it has taken.
        self.size = 0

    def take(self, data: bytes) -> None:
        """Keep `data`."""
        self.size += len(data)
        self._kept += data
        if len(self._kept) > self._limit + _SLACK:
            self._cut(self._kept)
            del self._kept[: -self._limit]

    def take_line(self, data: bytes) -> None:
        """Keep `data`, on a line of its own."""
        if self._kept and not self._kept.endswith(b"\n"):
            self.take(b"\n")
        self.take(data)

    def skip(self, count: int) -> None:
        """Count bytes that came, but were not taken."""
        self.size += count

    def _cut(self, kept: bytearray) -> None:
        """Look at what is about to be cut."""

    def get(self) -> Heard:
        """Return what is kept, and how many bytes came before it."""
        data = bytes(self._kept[-self._limit :])
        return data, self.size - len(data)


class MonitoredStream(OutputStream):
    """A stream that a monitor hears."""

    def __init__(self, task: Any, name: str, mode: str) -> None:
        super().__init__(task, name, mode)
        self._recent = Newest()
        self._waiting = 0

    def take(self, data: bytes) -> None:
        """Keep `data`, and remember it for the monitor."""
        super().take(data)
        self._recent.take(data)

    def hear(self) -> Heard:
        """Return what has come since the last call."""
        data, cut = self._recent.get()
        # Half a character waits, unless nothing has come to complete it since the last call.
        wait = _unfinished(data) if self.fd >= 0 and self._recent.size > self._waiting else 0
        self._recent = Newest()
        self._waiting = wait
        if wait:
            self._recent.take(data[-wait:])
            data = data[:-wait]
        return data, cut

    def put_back(self, heard: Heard) -> None:
        """Take back what could not be passed on, for the next call."""
        data, cut = heard
        rest, _none = self._recent.get()
        self._recent = Newest()
        self._recent.skip(cut)
        self._recent.take(data)
        self._recent.take(rest)


def argument(out: Heard, err: Heard) -> bytes:
    """Return a monitor's argument; the stream that has less leaves the other one its room."""
    room = ARGUMENT_LIMIT - sum(map(len, _TAGS))
    text_out = fit(out, max(room // 2, room - _cost(err)))
    text_err = fit(err, room - len(text_out))
    return _TAGS[0] + text_out + _TAGS[1] + text_err + _TAGS[2]


def fit(heard: Heard, room: int = ARGUMENT_LIMIT) -> bytes:
    """Return the newest of `heard` that fits into `room` as it can be passed, marked where it was cut."""
    data, cut = heard
    if cut or _cost(heard) > room:
        data, more = _newest(data, room - len(_mark(cut + len(data))))
        return _mark(cut + more) + data.replace(_NUL, _FOR_NUL)
    return data.replace(_NUL, _FOR_NUL)


def newest_text(heard: Heard) -> str:
    """Return `heard` as text for Python, where NUL is a character like any other."""
    data, cut = heard
    if cut:
        mark = _mark(cut + len(data))
        room = ARGUMENT_LIMIT - len(mark)
        start = _whole(data, max(0, len(data) - room))
        data = _mark(cut + start) + data[start:]
    return data.decode("utf-8", "backslashreplace")


def _cost(heard: Heard) -> int:
    """Return how many bytes `heard` takes once it can be passed."""
    data, cut = heard
    return len(data) + (len(_FOR_NUL) - 1) * data.count(_NUL) + (len(_mark(cut)) if cut else 0)


def _mark(cut: int) -> bytes:
    return "[... {:,} bytes cut ...]".format(cut).encode("ascii")


def _newest(data: bytes, room: int) -> Heard:
    low, high = 0, len(data)
    while low < high:
        middle = (low + high) // 2
        if len(data) - middle + (len(_FOR_NUL) - 1) * data.count(_NUL, middle) <= room:
            high = middle
        else:
            low = middle + 1
    start = _whole(data, low)
    return data[start:], start


def _whole(data: bytes, start: int) -> int:
    """Return where the first whole character at or after `start` begins."""
    half = data[start : start + 4]
    skipped = len(half) - len(half.lstrip(_CONTINUATION))
    return start + skipped if skipped < 4 else start


def _unfinished(data: bytes) -> int:
    """Return how many bytes at the end are the beginning of a character."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if byte < 0xF8 and back < length else 0
    return 0
