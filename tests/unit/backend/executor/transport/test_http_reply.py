"""What comes from an agent is understood however it was torn."""

from __future__ import annotations

import pytest

from stratos_jupyter.backend.executor.transport.http_reply import HEAD_LIMIT, RecordReader, Reply
from stratos_jupyter.backend.executor.work import Malformed

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n"
WANTED = [b'{"type":"A"}', b"{", b"", '{"type":"üüüü"}'.encode()]
RECORDS = b"".join(b"%d\n%s" % (len(record), record) for record in WANTED)


def chunks(data: bytes, size: int) -> bytes:
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def fed(data: bytes, size: int) -> tuple[Reply, bytes, bytearray]:
    """A reply that was given `data` in pieces, its body, and what it left."""
    reply, buffer, body = Reply(), bytearray(), b""
    for i in range(0, len(data), size):
        buffer += data[i : i + size]
        body += reply.take(buffer)
    return reply, body, buffer


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 16, 1000])
def test_chunks_and_pieces_of_any_size(chunk: int, piece: int) -> None:
    reply, body, left = fed(CHUNKED + chunks(RECORDS, chunk), piece)
    assert (reply.status, reply.headers["x"], reply.done, left) == (200, "y", False, b"")
    assert body == RECORDS


@pytest.mark.parametrize("cut", range(len(RECORDS) + 1))
def test_records_that_are_cut_anywhere(cut: int) -> None:
    records = RecordReader()
    assert records.take(RECORDS[:cut]) + records.take(RECORDS[cut:]) == WANTED


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-length:  4\r\n\r\nbusy", b"busy"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad Request\r\nContent-Length: 1\r\n\r\nx", b"x"),
        (CHUNKED + chunks(b"the end", 3) + b"0\r\n\r\n", b"the end"),
        (CHUNKED + chunks(b"the end", 3) + b"0\r\nTrailer: t\r\n\r\n", b"the end"),
        (b"HTTP/1.1 204 No\r\n\r\n", b""),
    ],
)
def test_where_a_reply_ends_the_next_one_begins(data: bytes, body: bytes, size: int) -> None:
    reply, found, _left = fed(data, size)
    assert (reply.done, found) == (True, body)
    buffer = bytearray(data + b"HTTP/1.1 202 Accepted\r\n")
    reply = Reply()
    assert reply.take(buffer) == body
    assert buffer == b"HTTP/1.1 202 Accepted\r\n"


def test_without_a_length_a_body_lasts_as_long_as_the_connection() -> None:
    reply, body, _left = fed(b"HTTP/1.0 500 Oops\r\n\r\nand so on", 4)
    assert (reply.status, reply.done, body) == (500, False, b"and so on")


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        CHUNKED + b"-5\r\n",
        CHUNKED + b"\r\n",
        CHUNKED + b"fffffffffff\r\n",
        CHUNKED + b"1\r\nabc\r\n",
        b"x" * (HEAD_LIMIT + 1),
    ],
)
def test_what_is_no_reply(data: bytes) -> None:
    with pytest.raises(Malformed):
        Reply().take(bytearray(data))


@pytest.mark.parametrize("data", [b"\n", b"x", b"1x", b"-1\n", b" 1\n", b"1" * 20, b"999999999999\n"])
def test_what_is_no_record(data: bytes) -> None:
    with pytest.raises(Malformed):
        RecordReader().take(data)
