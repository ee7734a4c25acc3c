"""What a monitor hears: bounds, cuts, and that no byte is lost or counted twice."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.executor.output.monitored_stream import (
    ARGUMENT_LIMIT,
    MonitoredStream,
    Newest,
    argument,
    fit,
    newest_text,
)

MARK = re.compile(rb"\[\.\.\. ([\d,]+) bytes cut \.\.\.\]")
TAGS = len(b"<stdout></stdout><stderr></stderr>")


def cut_of(text: bytes) -> tuple[int, bytes]:
    """How much a text says that was cut, and the rest of it."""
    match = MARK.match(text)
    return (int(match[1].replace(b",", b"")), text[match.end() :]) if match else (0, text)


@given(
    st.lists(st.sampled_from([b"a", b"\0", "\u20ac".encode(), "\U0001f600".encode()]), max_size=60),
    st.integers(40, 200),
)
def test_all_that_is_cut_is_counted(pieces: list[bytes], room: int) -> None:
    data = b"".join(pieces)
    text = fit((data, 0), room)
    assert len(text) <= room
    cut, kept = cut_of(text)
    kept = kept.decode().replace("\ufffd", "\0").encode()
    assert data[cut:] == kept
    if cut:
        assert len(text) > room - 8  # for a character more there was no room


def test_one_that_is_short_leaves_its_room_to_the_other() -> None:
    for out, err in ((b"o" * 300_000, b"e"), (b"o", b"e" * 300_000), (b"o" * 300_000, b"e" * 300_000)):
        whole = argument((out, 0), (err, 0))
        assert len(whole) == ARGUMENT_LIMIT
        match = re.fullmatch(rb"<stdout>(.*)</stdout><stderr>(.*)</stderr>", whole)
        assert match
        for text, data in zip(match.groups(), (out, err), strict=True):
            cut, kept = cut_of(text)
            assert cut + len(kept) == len(data)
            assert len(data) == 1 or len(kept) > 60_000
    for size in range(ARGUMENT_LIMIT - TAGS - 3, ARGUMENT_LIMIT - TAGS + 3):
        whole = argument((b"o" * (size - 10), 0), (b"e" * 10, 0))
        assert len(whole) <= ARGUMENT_LIMIT
        assert (b"cut" in whole) == (size > ARGUMENT_LIMIT - TAGS)


def test_what_was_cut_before_counts() -> None:
    newest = Newest()
    for _ in range(1000):
        newest.take(b"x" * 1000)
    data, cut = newest.get()
    assert (len(data), len(data) + cut) == (ARGUMENT_LIMIT, 1_000_000)
    counted, kept = cut_of(fit((data, cut)))
    assert counted + len(kept) == 1_000_000
    text = newest_text((data, cut))
    counted, kept = cut_of(text.encode())
    assert counted + len(kept) == 1_000_000


@pytest.mark.parametrize("piece", [b"\xff", b"\x80"])
def test_bytes_that_are_no_text_are_passed(piece: bytes) -> None:
    cut, kept = cut_of(fit((piece * 1000, 0), 100))
    assert cut + len(kept) == 1000
    assert set(kept) == set(piece)
    assert newest_text((piece, 0)) == f"\\x{piece[0]:02x}"


@given(st.lists(st.binary(max_size=4), max_size=20), st.data())
def test_each_byte_is_heard_once(pieces: list[bytes], draw: st.DataObject) -> None:
    """Whatever is heard when, taken back or not."""
    read, write = os.pipe()
    stream = MonitoredStream(None, "stdout", "none")
    stream.fd = read
    heard = []
    for piece in pieces:
        stream.take(piece)
        if draw.draw(st.booleans()):
            one = stream.hear()
            if draw.draw(st.booleans()):
                stream.put_back(one)
            else:
                heard.append(one[0])
    stream.fd = -1
    heard.append(stream.hear()[0])
    os.close(read)
    os.close(write)
    assert b"".join(heard) == b"".join(pieces)


@given(st.text(), st.lists(st.integers(0, 400), max_size=6))
def test_no_half_character_is_heard(text: str, cuts: list[int]) -> None:
    data = text.encode("utf-8", "replace")
    stream = MonitoredStream(None, "stdout", "none")
    stream.fd = 0
    places = sorted({*(min(cut, len(data)) for cut in cuts), len(data)})
    start = 0
    for place in places:
        stream.take(data[start:place])
        start = place
        stream.hear()[0].decode()
