"""`HttpParser`: an HTTP response taken in piece by piece.

The names and what they mean are those of the http-parser of PyPI; the parsing is h11's.
"""

from __future__ import annotations

from typing import Final

import h11

HTTP_BOTH: Final = 2
HTTP_RESPONSE: Final = 1
HTTP_REQUEST: Final = 0

#: how many bytes of a head are taken in before it is an error, as the original has it
MAX_HEAD: Final = 80 * 1024


class Headers(dict[str, str]):
    """Headers by name, in whatever case; what came several times is joined by commas."""

    def __init__(self, items: list[tuple[bytes, bytes]] | None = None) -> None:
        super().__init__()
        for raw_name, raw_value in items or ():
            name, value = raw_name.decode("latin-1").title(), raw_value.decode("latin-1")
            self[name] = f"{self[name]}, {value}" if name in self else value

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.title())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.title())

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """Return a header's value."""
        return super().get(name.title(), default)


class HttpParser:
    """One HTTP response.

    Parameters
    ----------
    kind : int
        `HTTP_RESPONSE` or `HTTP_BOTH`; requests are not read.
    decompress : bool
        Must be false.
    """

    def __init__(self, kind: int = HTTP_BOTH, decompress: bool = False) -> None:
        if kind not in (HTTP_BOTH, HTTP_RESPONSE) or decompress:
            raise ValueError("this http-parser reads responses only, and does not decompress them")
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        # h11 reads a response only to a request.
        self._connection.send(h11.Request(method="GET", target="/", headers=[("Host", "")]))
        self._connection.send(h11.EndOfMessage())
        self._response: h11.Response | None = None
        self._headers = Headers()
        self._body: list[bytes] = []
        self._begun = self._complete = self._closed = False
        self._error: h11.RemoteProtocolError | None = None

    # `errno` must not be an attribute: pymesos takes a parser that has it for another one.

    def execute(self, data: bytes, length: int) -> int:
        """Take in the first `length` bytes of `data`; none at all means that the connection was closed.

        Returns
        -------
        int
            How many were taken. Fewer: the message is complete before them, or `get_errno` is not 0. A close in the
            midst of a message returns 1.
        """
        if self._error is not None or self._complete:
            return 0 if length or self._error is None else 1
        data = data if length == len(data) else data[:length]
        self._begun, self._closed = self._begun or bool(data), not length
        try:
            self._connection.receive_data(data)
            self._events()
        except h11.RemoteProtocolError as error:
            self._error = error
            return 0 if length else 1
        return length - (len(self._connection.trailing_data[0]) if self.is_message_complete() else 0)

    def _events(self) -> None:
        while True:
            event = self._connection.next_event()
            if event is h11.PAUSED:
                raise h11.RemoteProtocolError("the answer is no HTTP from here on")
            if event is h11.NEED_DATA:
                return
            if isinstance(event, h11.Data):
                self._body.append(event.data)
            elif isinstance(event, h11.Response):
                self._response = event
                self._headers = Headers(event.headers.raw_items())
            elif isinstance(event, h11.EndOfMessage):
                self._complete = True
                return
            elif isinstance(event, h11.ConnectionClosed):
                raise h11.RemoteProtocolError("the connection was closed before an answer came")

    # -- the head ---------------------------------------------------------------------------------------

    def is_message_begin(self) -> bool:
        """Whether anything has arrived."""
        return self._begun

    def is_headers_complete(self) -> bool:
        """Whether the head is complete."""
        return self._response is not None

    def get_status_code(self) -> int:
        """Return the status, 0 before the head is complete."""
        return 0 if self._response is None else self._response.status_code

    def get_version(self) -> tuple[int, int]:
        """Return the response's version of HTTP."""
        major, _, minor = (b"1.1" if self._response is None else self._response.http_version).partition(b".")
        return int(major), int(minor)

    def get_headers(self) -> Headers:
        """Return the headers."""
        return self._headers

    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return (self._headers.get("Transfer-Encoding") or "").lower() == "chunked"

    def should_keep_alive(self) -> bool:
        """Whether another response may come on the same connection, once this one is complete."""
        return self._complete and not self._closed and self._connection.their_state is h11.DONE

    # -- the body ---------------------------------------------------------------------------------------

    def is_partial_body(self) -> bool:
        """Whether some of the body has arrived that was not asked for."""
        return bool(self._body)

    def recv_body(self) -> bytes:
        """Return what has arrived of the body since the last call."""
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        return bytes(body)

    def is_message_complete(self) -> bool:
        """Whether the whole response is there."""
        return self._complete

    # -- errors -----------------------------------------------------------------------------------------

    def get_errno(self) -> int:
        """Return 0, or the HTTP status that comes nearest to what is wrong."""
        return 0 if self._error is None else self._error.error_status_hint

    def get_error(self) -> str:
        """Return what is wrong in words, or ''."""
        return "" if self._error is None else str(self._error)
