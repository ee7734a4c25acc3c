"""The spool as a file: what is read from it, whatever happened to it."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.executor.transport import spool as module
from stratos_jupyter.backend.executor.transport.outbox import Outbox
from stratos_jupyter.backend.executor.transport.spool import FRAME_LIMIT, Spool, pack, read_spool


def frame(number: int, size: int = 0) -> bytes:
    return pack([["ended", number, [[number, 1, "x" * size, "Zürich \udcff"]]]])


def numbers(path: Path) -> list[int]:
    return [records[0][0] for records in read_spool(str(path))]


def test_torn_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    whole = frame(1) + frame(2)
    last = frame(3)
    for length in range(len(last) + 1):
        path.write_bytes(whole + last[:length])
        assert numbers(path) == ([1, 2, 3] if length == len(last) else [1, 2])


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0\0\0\0",
        b"\0" * 100,
        b"\xff" * 100,
        struct.pack(">I", FRAME_LIMIT + 1),
        b"\0\0\0\4null",
        b"\0\0\0\2{}",
        b"\0\0\0\3[1]",
        b"\0\0\0\4[[]]",
        b'\0\0\0\x0d["ended",1,1]',
        b'\0\0\0\x0f[["ended",1,1]]',
        b'\0\0\0\x11[["ended",1,[1]]]',
        b"\0\0\0\2\xc3\xbc",
        struct.pack(">I", 100_000) + b"[" * 100_000,
    ],
    ids=lambda garbage: ascii(garbage[:20]),
)
def test_garbage_behind_the_last_frame_is_nothing(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "spool"
    path.write_bytes(frame(1) + garbage)
    assert numbers(path) == [1]
    path.write_bytes(garbage)
    assert numbers(path) == []


def test_text_survives(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "spool"))
    spool.append(frame(1))
    assert list(read_spool(spool.path)) == [[[1, 1, "", "Zürich \udcff"]]]
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o600


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    path.write_bytes(frame(1))
    spool = Spool(str(path))
    with pytest.raises(FileExistsError):
        spool.append(frame(2))
    spool.remove()
    assert numbers(path) == [1]


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(0, 400)),
            st.tuples(st.just("drop"), st.integers(0, 5)),
            st.tuples(st.just("vanish"), st.just(0)),
        ),
        max_size=40,
    )
)
def test_what_is_wanted_is_there_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("spool") / "spool"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WASTE_LIMIT", 500)
        spool = Spool(str(path))
        wanted: list[tuple[int, int, bytes]] = []
        dropped = 0
        for number, (step, size) in enumerate(steps):
            if step == "append":
                data = frame(number, size)
                wanted.append((number, spool.append(data), data))
            elif step == "drop" and wanted:
                gone, wanted = wanted[:size], wanted[size:]
                dropped += sum(len(data) for _, _, data in gone)
                spool.drop(wanted[0][1] if wanted else gone[-1][1] + len(gone[-1][2]))
            elif step == "vanish" and path.exists():
                path.unlink()
                spool.restore()
            for _, position, data in wanted:
                assert spool.read(position, len(data)) == data
            if path.exists():
                found = numbers(path)
                assert found[len(found) - len(wanted) :] == [number for number, _, _ in wanted]
                kept = sum(len(data) for _, _, data in wanted)
                assert path.stat().st_size <= kept + max(500, kept)
                assert wanted or not found
        spool.remove()
        assert not list(path.parent.iterdir())


def test_a_frame_that_somebody_has_cut_off_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outbox = Outbox(Spool(str(tmp_path / "spool")))
    first, data = outbox.add([[1, 1]])
    second, _ = outbox.add([[2, 1]])
    os.truncate(tmp_path / "spool", len(data) + 3)
    assert outbox.load(first) == data
    assert outbox.load(second) is None
    assert "results are lost" in capsys.readouterr().err


def test_the_spool_is_removed_only_when_all_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    for seq, there in ((1, True), (2, False)):
        outbox = Outbox(Spool(str(path)))
        outbox.add([[1, 1]])
        outbox.add([[2, 1]])
        outbox.acknowledge(seq)
        outbox.close()
        assert path.exists() == there
        path.unlink(missing_ok=True)


def test_what_cannot_be_written_stays_in_order(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "spool"
    outbox = Outbox(Spool(str(path)))
    outbox.add([[1, 1]])
    assert outbox.congested
    assert not outbox.safe
    kept, data = outbox.add([[2, 1]])
    for seq in (1, 2):
        outbox.acknowledge(seq)
        outbox.acknowledged()
    outbox.add([[3, 1]])
    assert outbox.load(kept) == data
    path.parent.mkdir()
    outbox.write()
    assert not outbox.congested
    assert numbers(path) == [1, 2, 3]
    assert outbox.load(kept) == data
    outbox.acknowledge(3)
    outbox.acknowledged()
    assert [kept.seq for kept in outbox.all()] == [2, 3]
