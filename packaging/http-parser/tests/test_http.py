"""HttpParser, held against what an answer says however it is cut."""

from __future__ import annotations

import pytest
from http_parser.http import HTTP_REQUEST, HttpParser
from hypothesis import given
from hypothesis import strategies as st

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMesos-Stream-Id: abc\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def chunks(*bodies: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(body), body) for body in bodies)


def feed(*pieces: bytes) -> tuple[HttpParser, bytes]:
    parser, body = HttpParser(), b""
    for piece in pieces:
        assert parser.execute(piece, len(piece)) == len(piece), parser.get_error()
        body += parser.recv_body()
    return parser, body


def test_a_stream_of_chunks_cut_at_every_byte() -> None:
    answer = CHUNKED + chunks(b"12\n", b"x" * 300, b"\r\n0\r\n\r\n") + b"0\r\n\r\n"
    for cut in range(1, len(answer)):
        parser, body = feed(answer[:cut], answer[cut:])
        assert body == b"12\n" + b"x" * 300 + b"\r\n0\r\n\r\n"
        assert parser.is_message_complete()


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=8), st.data())
def test_a_stream_of_chunks_cut_anywhere(bodies: list[bytes], data: st.DataObject) -> None:
    answer = CHUNKED + chunks(*bodies) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(answer) - 1), max_size=20)))
    pieces = [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    parser, body = feed(*pieces)
    assert body == b"".join(bodies)
    assert parser.is_message_complete()
    assert parser.get_errno() == 0


def test_each_chunk_is_there_as_soon_as_it_has_arrived() -> None:
    parser, _ = feed(CHUNKED)
    for body in (b"a", b"bc" * 5000):
        assert not parser.is_partial_body()
        piece = chunks(body)
        assert parser.execute(piece, len(piece)) == len(piece)
        assert parser.is_partial_body()
        assert parser.recv_body() == body
    assert not parser.is_message_complete()


def test_the_head() -> None:
    parser = HttpParser()
    assert (parser.is_message_begin(), parser.is_headers_complete(), parser.get_status_code()) == (False, False, 0)
    parser.execute(CHUNKED[:-2], len(CHUNKED) - 2)
    assert (parser.is_message_begin(), parser.is_headers_complete(), parser.get_status_code()) == (True, False, 0)
    parser.execute(b"\r\n", 2)
    assert parser.is_headers_complete()
    assert parser.get_status_code() == 200
    assert parser.get_version() == (1, 1)
    assert parser.is_chunked()
    headers = parser.get_headers()
    assert headers["mesos-stream-id"] == headers["MESOS-STREAM-ID"] == headers.get("Mesos-Stream-Id") == "abc"
    assert "CONTENT-TYPE" in headers
    assert "content-length" not in headers
    assert headers.get("content-length") is None
    assert {name.upper(): value for name, value in headers.items()}["TRANSFER-ENCODING"] == "chunked"


def test_a_header_that_comes_twice_is_joined() -> None:
    parser, _ = feed(b"HTTP/1.1 200 OK\r\nVia: a\r\nvia: b\r\nContent-Length: 0\r\n\r\n")
    assert parser.get_headers()["Via"] == "a, b"


def test_only_the_given_length_counts() -> None:
    answer = HEAD + b"Content-Length: 3\r\n\r\nabc"
    parser = HttpParser()
    assert parser.execute(answer + b"not ours", len(answer)) == len(answer)
    assert parser.recv_body() == b"abc"
    assert parser.is_message_complete()


@pytest.mark.parametrize(
    "ending", [b"Content-Length: 2\r\n\r\nok", b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"]
)
def test_what_follows_a_message_is_left(ending: bytes) -> None:
    first, second = HEAD + ending, b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    parser = HttpParser()
    assert parser.execute(first + second, len(first + second)) == len(first)
    assert (parser.is_message_complete(), parser.should_keep_alive(), parser.get_errno()) == (True, True, 0)
    assert parser.recv_body() == b"ok"
    assert parser.execute(second, len(second)) == 0
    following, body = feed(second)
    assert (following.get_status_code(), body, following.is_message_complete()) == (202, b"", True)


def test_connection_close() -> None:
    answer = HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok"
    parser = HttpParser()
    assert parser.execute(answer + b"more", len(answer) + 4) == len(answer)
    assert parser.is_message_complete()
    assert not parser.should_keep_alive()


def test_without_a_length_the_body_ends_with_the_connection() -> None:
    parser, body = feed(HEAD + b"\r\nsome", b" more")
    assert body == b"some more"
    assert not parser.is_message_complete()
    assert parser.execute(b"", 0) == 0
    assert parser.is_message_complete()
    assert parser.get_errno() == 0
    assert not parser.should_keep_alive()


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answers_that_have_no_body(status: bytes) -> None:
    parser, body = feed(b"HTTP/1.1 " + status + b"\r\n\r\n")
    assert parser.is_message_complete()
    assert body == b""


def test_what_comes_before_the_answer_is_passed_over() -> None:
    parser, body = feed(b"HTTP/1.1 100 Continue\r\n\r\n", HEAD + b"Content-Length: 1\r\n\r\nx")
    assert parser.get_status_code() == 200
    assert body == b"x"


@pytest.mark.parametrize("head", [b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_length_without_its_body_is_incomplete(head: bytes) -> None:
    # As an answer to HEAD would be, too: nothing in it says that it is one.
    parser, _ = feed(HEAD + head)
    assert parser.execute(b"", 0) == 1
    assert parser.get_errno() != 0
    assert "clos" in parser.get_error()
    assert not parser.is_message_complete()


def test_a_close_before_any_answer_is_an_error() -> None:
    parser = HttpParser()
    assert parser.execute(b"", 0) == 1
    assert parser.get_errno() != 0


@pytest.mark.parametrize(
    "size", [b"xyz", b"-1", b"", b" ", b"1 2", b"0x10", b"fffffffffffffffffffffffff"], ids=lambda size: repr(size)
)
def test_bad_sizes_of_chunks(size: bytes) -> None:
    parser, body = feed(CHUNKED + chunks(b"good"))
    assert body == b"good"
    bad = size + b"\r\nabc\r\n"
    assert parser.execute(bad, len(bad)) != len(bad)
    assert parser.get_errno() != 0
    assert parser.execute(b"more", 4) != 4  # and it stays so
    assert not parser.is_message_complete()


def test_a_body_that_came_before_an_error_is_not_lost() -> None:
    parser, answer = HttpParser(), CHUNKED + chunks(b"good") + b"bad\n\r\n"
    assert parser.execute(answer, len(answer)) != len(answer)
    assert parser.recv_body() == b"good"


def test_a_chunk_longer_than_it_said() -> None:
    parser, answer = HttpParser(), CHUNKED + b"2\r\nabc\r\n"
    assert parser.execute(answer, len(answer)) != len(answer)
    assert parser.get_errno() != 0


@pytest.mark.parametrize("junk", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_answer(junk: bytes) -> None:
    parser = HttpParser()
    assert parser.execute(junk, len(junk)) != len(junk)
    assert parser.get_errno() != 0
    assert not parser.is_headers_complete()


def test_large_headers_pass_and_huge_ones_do_not() -> None:
    parser, _ = feed(HEAD + b"X-Large: " + b"x" * 60_000, b"\r\nContent-Length: 0\r\n\r\n")
    assert len(parser.get_headers()["x-large"]) == 60_000
    parser, line = HttpParser(), b"X-Huge: " + b"x" * 1000 + b"\r\n"
    parser.execute(HEAD, len(HEAD))
    assert any(parser.execute(line, len(line)) != len(line) for _ in range(100))
    assert parser.get_errno() == 431


@given(st.binary(max_size=300))
def test_no_bytes_at_all_raise(data: bytes) -> None:
    for start in (b"", b"HTTP/1.1 ", CHUNKED):
        parser, answer = HttpParser(), start + data
        taken = parser.execute(answer, len(answer))
        assert taken == len(answer) or parser.get_errno() or parser.is_message_complete()


def test_what_it_cannot_do_it_says() -> None:
    with pytest.raises(ValueError, match="responses only"):
        HttpParser(kind=HTTP_REQUEST)
    with pytest.raises(ValueError, match="does not decompress"):
        HttpParser(decompress=True)


def test_it_is_not_taken_for_the_other_parser() -> None:
    assert not hasattr(HttpParser(), "errno")  # pymesos asks
