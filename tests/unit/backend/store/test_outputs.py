"""The text of an output is bounded, whatever the bytes are and wherever they are."""

from __future__ import annotations

import os
import re
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.store import outputs
from stratos_jupyter.backend.store.outputs import bounded_text, last_text

MARK = re.compile(r"\n\[\.\.\. ([\d,]+) bytes cut(?:; the whole of it: (.*))? \.\.\.\]\n")


def parts(text: str) -> tuple[str, int, str]:
    match = MARK.search(text)
    assert match, text
    return text[: match.start()], int(match[1].replace(",", "")), text[match.end() :]


def test_what_fits_is_whole() -> None:
    assert bounded_text(b"abc\n", "", 4, 4) == "abc\n"
    assert bounded_text(b"", "", 0, 0) == ""
    assert bounded_text(None, "", 0, 10) == ""


def test_bytes_that_are_no_utf8_are_spelled_out() -> None:
    assert bounded_text(b"caf\xe9 \xff\n", "", 7, 100) == "caf\\xe9 \\xff\n"


def test_the_middle_is_cut_and_the_mark_says_how_much_and_where() -> None:
    text = bounded_text(b"a" * 600 + b"b" * 1400, "/dfs/out.txt", 2000, 10)
    assert text == "aaaaa\n[... 1,990 bytes cut; the whole of it: /dfs/out.txt ...]\nbbbbb"
    assert "whole" not in bounded_text(b"a" * 20, "", 20, 10)


def test_a_file_is_whole_when_it_fits_and_else_cut(tmp_path: Path) -> None:
    path = tmp_path / "stdout"
    path.write_bytes(b"0123456789")
    assert bounded_text(None, str(path), 10, 10) == "0123456789"
    head, cut, tail = parts(bounded_text(None, str(path), 10, 5))
    assert (head, cut, tail) == ("01", 5, "789")


def test_only_the_head_and_tail_of_a_file_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(b"first")
        file.seek(1 << 40)
        file.write(b"last")
    read: list[int] = []
    real = outputs._read

    def count(file: FileIO, at: int, wanted: int) -> bytes:
        read.append(wanted)
        return real(file, at, wanted)

    monkeypatch.setattr(outputs, "_read", count)
    head, cut, tail = parts(bounded_text(None, str(path), 0, 64))
    assert head.startswith("first")
    assert tail.endswith("last")
    assert sum(read) == 64
    assert cut == (1 << 40) + 4 - 64


def test_a_file_that_is_gone_says_so(tmp_path: Path) -> None:
    path = str(tmp_path / "never")
    assert bounded_text(None, path, 1234567, 10) == f"[gone: {path}, 1,234,567 bytes when it was written]"


def test_what_is_no_file_says_so_and_hangs_nobody(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert bounded_text(None, str(fifo), 5, 10) == f"[not a file: {fifo}]"
    assert bounded_text(None, str(tmp_path), 5, 10).startswith(f"[cannot read: {tmp_path}: ")
    assert bounded_text(None, str(tmp_path / "x" / ".." / "y"), 5, 10).startswith("[gone: ")
    assert bounded_text(None, "nul\0nul", 5, 10).startswith("[cannot read: nul")


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stdout"
    path.write_bytes(b"x")

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(outputs, "_read", fail)
    assert bounded_text(None, str(path), 1, 10) == f"[cannot read: {path}: Input/output error]"


def test_a_file_that_shrinks_meanwhile_gives_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stdout"
    path.write_bytes(b"x" * 100)
    real = outputs._read

    def shrink(file: FileIO, at: int, count: int) -> bytes:
        os.truncate(path, 4)
        return real(file, at, count)

    monkeypatch.setattr(outputs, "_read", shrink)
    assert parts(bounded_text(None, str(path), 100, 10)) == ("xxxx", 96, "")


@pytest.mark.parametrize("name", ["two words", "caf\udce9", "new\nline", "tab\t"])
def test_the_mark_stays_one_line_that_can_be_encoded(name: str) -> None:
    text = bounded_text(b"x" * 100, f"/dfs/{name}", 100, 10)
    assert len(text.split("\n")) == 3
    text.encode()


@pytest.mark.parametrize("character", ["a", "é", "€", "😀"])
def test_a_character_that_just_fits_is_kept(character: str) -> None:
    data = (character * 10).encode()
    assert parts(bounded_text(data, "", 0, len(character.encode()) * 2))[::2] == (character, character)


@given(st.text(min_size=1).map(str.encode), st.integers(-1, 60))
def test_characters_are_never_torn(data: bytes, limit: int) -> None:
    text = bounded_text(data, "", len(data), limit)
    if len(data) <= max(0, limit):
        assert text == data.decode()
        return
    head, cut, tail = parts(text)
    assert data.decode().startswith(head)
    assert data.decode().endswith(tail)
    assert len(head.encode()) + cut + len(tail.encode()) == len(data)
    assert max(0, limit) - 6 <= len(head.encode()) + len(tail.encode()) <= max(0, limit)


@given(st.binary(max_size=200), st.integers(0, 100))
def test_any_bytes_give_text_that_can_be_encoded(data: bytes, limit: int) -> None:
    bounded_text(data, "", len(data), limit).encode()


def test_the_end_of_an_output_is_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stderr"
    with path.open("wb") as file:
        file.seek(1 << 40)
        file.write("the last é".encode())
    read: list[int] = []
    real = outputs._read

    def count(file: FileIO, at: int, wanted: int) -> bytes:
        read.append(wanted)
        return real(file, at, wanted)

    monkeypatch.setattr(outputs, "_read", count)
    assert last_text(None, str(path), 7) == "last é"[-6:]
    assert sum(read) <= 8
    assert last_text(None, str(path), 1) == ""  # only a part of the é
    assert last_text(b"caf\xe9", "", 10) == "caf\\xe9"
    assert last_text("aéb".encode(), "", 2) == "b"


def test_an_end_that_cannot_be_read_is_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty").touch()
    for path in ("", str(tmp_path / "gone"), str(tmp_path), str(tmp_path / "fifo"), str(tmp_path / "empty"), "a\0b"):
        assert last_text(None, path, 10) == "", path
    assert last_text(b"", "", 10) == ""


# --- head and tail of a file that is on another node ---


def test_what_came_back_of_a_longer_output_says_where_the_whole_of_it_is() -> None:
    text = bounded_text(b"HEADTAIL", "/node/out", 1000, 100)
    assert text == "HEAD\n[... 992 bytes cut; the whole of it: /node/out ...]\nTAIL"
    assert bounded_text(b"HEADTAIL", "/node/out", 1000, 4) == (
        "HE\n[... 996 bytes cut; the whole of it: /node/out ...]\nIL"
    )


def test_what_came_back_whole_is_whole() -> None:
    assert bounded_text(b"HEADTAIL", "/node/out", 8, 100) == "HEADTAIL"
    assert bounded_text(b"HEADTAIL", "", 1000, 100) == "HEADTAIL"
