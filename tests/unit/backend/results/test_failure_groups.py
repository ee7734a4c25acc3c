"""What failed alike is one group; what did not is not."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stratos_jupyter.backend.core.states import Reason
from stratos_jupyter.backend.results.failure_groups import (
    MOST_GROUPS,
    MOST_TEXT,
    OTHER,
    Failures,
    ending_text,
    last_line,
    normal_form,
    signal_text,
)
from stratos_jupyter.report.text import clean

#: pieces that the patterns look for, next to each other in any order
PIECES = st.lists(
    st.sampled_from(
        ["a", "Z", "f00d", "1", "0x7f", "12", ".", "/", "-", ":", "'", '"', "`", "’", "‘", " ", "\t", "#", "=", "_",
         ",", "<path>", ".dat", "://", "e5", "T", "[", "(", "\r", "\n", "\x1b[0m", "\x1b", "\x00", "█", "é", "٣",
         "\ud800"]
    ),
    max_size=60,
).map("".join)  # fmt: skip
ANY_TEXT = st.one_of(PIECES, st.text(st.characters(), max_size=300))


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["cannot open header /dfs/snap_017.dat", "cannot open header /dfs/snap_211.dat"], "cannot open header <path>"),
        (["cannot open header snap_017.dat\n", "cannot open header data/b\n\n"], "cannot open header <path>"),
        (["cannot open 'a two.txt'", "cannot open '/dfs/my file.dat'"], "cannot open '<path>'"),
        (["no header in snap_017", "no header in snap_018"], "no header in snap_#"),
        (
            [
                "Traceback (most recent call last):\n  File 'x', line 3\nFileNotFoundError: [Errno 2] No: '/a/b c'",
                "Traceback (most recent call last):\n  File 'y', line 7\nFileNotFoundError: [Errno 2] No: '/d'\n",
            ],
            "FileNotFoundError: [Errno #] No: '<path>'",
        ),
        (["bash: line 12: foo: command not found", "bash: line 7: foo: command not found"],
         "bash: line #: foo: command not found"),
        (["/bin/sh: 1: foo: not found"], "<path>: #: foo: not found"),
        (["residual -1.5D-10 at step 7", "residual 3 at step 12,000"], "residual # at step #"),
        (["2026-01-02T03:04:05.678Z died", "2026-12-31T23:59:59Z died"], "# died"),
        (["At 10:11 halo12 0x7ffe12 (nil)", "At 1:59 halo345 0x0 (nil)"], "At # halo# (nil)"),
        (["id 9f86d081884c7d65 lost", "id 123e4567-e89b-12d3-a456-426614174000 lost", "id 5 lost"], "id # lost"),
        (["hdfs://nn:8020/a: refused", "file:///b: refused"], "<path>: refused"),
        (["cp: error reading '/x': Input/output error"], "cp: error reading '<path>': Input/output error"),
        (["shape (3, 4)", "shape (1)"], "shape (#)"),
        ([" 45%|███▌  | 45/100", "  5%|▌     | 5/100"], "#%|█ | #"),
        (["\x1b[31;1mbad\x1b[0m\x1b]0;title\x07 thing\x07", "bad  thing", "bad\tthing\r\n"], "bad thing"),
        (["10%\r20%\rdied at 30%\r   \r", "died at 5%"], "died at #%"),
        (["Killed\n", "x\n\nKilled\n \n"], "Killed"),
        (["", "\n \n", "\x1b[0m\n\x00\n"], ""),
    ],
)  # fmt: skip
def test_what_differs_from_task_to_task_is_a_mark(texts: list[str], form: str) -> None:
    assert [normal_form(text) for text in texts] == [form] * len(texts)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("line 12: foo: command not found", "line 12: bar: command not found"),
        ("KeyError: 'mass'", "KeyError: 'spin'"),
        ("numpy.linalg.LinAlgError: x", "json.decoder.JSONDecodeError: x"),
        ("error while loading shared libraries: libgsl.so.25", "error while loading shared libraries: libfftw3.so.3"),
        ("cp: '/x': Input/output error", "cp: '/x': Permission denied"),
        ("Killed", "Terminated"),
        ("residual nan", "residual inf"),
        ("cannot open 'utf-8' header", "cannot close 'utf-8' header"),
    ],
)
def test_other_words_are_another_form(one: str, other: str) -> None:
    assert normal_form(one) != normal_form(other)


@given(ANY_TEXT)
@example("'a/b'/c 'd")
@example("a" * 198 + " 1/2")
def test_a_form_is_bounded_plain_and_its_own_form(text: str) -> None:
    form = normal_form(text)
    assert len(form) <= MOST_TEXT
    assert form == normal_form(form) == form.strip()
    assert form == clean(form, MOST_TEXT)
    assert bool(form) == bool(last_line(text))


@given(ANY_TEXT)
def test_the_last_line_is_one_bounded_line(text: str) -> None:
    line = last_line(text)
    assert len(line) <= MOST_TEXT
    assert not set(line) & {"\n", "\r", "\t", "\x1b", "\x00", "\ud800"}
    assert normal_form(line) == normal_form(text) or len(line) > MOST_TEXT - 10


@given(st.integers(), st.integers(), st.sampled_from(["step {} of {}", "cannot read /a/{}/b_{}.dat", "at [{}, {}]"]))
def test_numbers_never_part_what_is_alike(first: int, second: int, message: str) -> None:
    assert normal_form(message.format(first, second)) == normal_form(message.format(second, 7))


@pytest.mark.parametrize(
    "piece",
    ["a", "/", "a/", "'", "'a ", '"a.', "\x1b[", "\x1b[1", "\x1b]", "1.", "1e", "af1", "a_1", "a.", "u:/", "# ", "‘",
     "‘.", "\n\x00", "\x1b[" + "1" * 1000],
)  # fmt: skip
def test_hostile_lines_take_no_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    before = time.process_time()
    normal_form(text)
    assert time.process_time() - before < 2.0  # it takes a fifth of a second; a pattern that goes back takes hours


def test_endings_have_names() -> None:
    assert [signal_text(9), signal_text(42)] == ["signal 9 (KILL)", "signal 42"]
    endings = [("exit", 3), ("signal", -11), ("timeout", -15), ("timeout", 143), ("spawn", None), ("lost", None)]
    assert [ending_text(reason, code) for reason, code in endings] == [
        "exit 3", "signal 11 (SEGV)", "timeout, signal 15 (TERM)", "timeout, exit 143", "spawn", "lost",
    ]  # fmt: skip


# -- groups ------------------------------------------------------------------------------------------------


def test_tasks_that_failed_alike_are_one_group_and_the_largest_is_first() -> None:
    failures = Failures()
    failures.add(9, Reason.SIGNAL, -11, "")
    for task in (7, 3, 5):
        failures.add(task, Reason.EXIT, 1, f"reading\ncannot open header /dfs/snap_{task:03d}.dat\n")
    failures.add(4, Reason.EXIT, 2, "cannot open header /dfs/snap_004.dat")
    first, *rest = failures.groups()
    assert (first.reason, first.exit_code, first.text) == ("exit", 1, "cannot open header <path>")
    assert first.example == "cannot open header /dfs/snap_007.dat"
    assert (first.count, first.tasks) == (3, (3, 5, 7))
    assert first.label == "exit 1: cannot open header <path>"
    assert [group.label for group in rest] == ["exit 2: cannot open header <path>", "signal 11 (SEGV)"]


def test_what_was_ended_from_outside_is_alike_however_it_ended() -> None:
    failures = Failures()
    failures.add(0, Reason.TIMEOUT, -15, "")
    failures.add(1, Reason.TIMEOUT, -9, "")
    failures.add(2, Reason.USER, -15, "interrupted at 3")
    failures.add(3, Reason.USER, None, "")
    failures.add(4, Reason.MEMORY, -9, "")
    failures.add(5, Reason.LOST, None, "")
    failures.add(6, Reason.SPAWN, None, "no such directory")
    assert [(group.label, group.tasks) for group in failures.groups()] == [
        ("timeout", (0, 1)), ("killed", (2, 3)), ("memory", (4,)), ("lost", (5,)),
        ("could not start: no such directory", (6,)),
    ]  # fmt: skip


def test_a_newer_failure_replaces_and_a_forgotten_one_is_gone() -> None:
    failures = Failures()
    failures.add(1, Reason.EXIT, 1, "one")
    failures.add(2, Reason.EXIT, 1, "one")
    failures.add(1, Reason.EXIT, 1, "two")
    assert [(group.text, group.tasks) for group in failures.groups()] == [("two", (1,)), ("one", (2,))]
    failures.forget(2)
    failures.forget(99)
    assert [group.text for group in failures.groups()] == ["two"]
    assert failures.groups(without={1}) == []
    assert list(failures) == [1]


def test_groups_are_bounded_and_places_come_free() -> None:
    failures = Failures()
    words = ["".join(chr(97 + int(digit)) for digit in str(number)) for number in range(MOST_GROUPS + 50)]
    for task, word in enumerate(words):
        failures.add(task, Reason.EXIT, 1, word)
    failures.add(len(words), Reason.EXIT, 2, "one more")
    groups = failures.groups()
    assert len(groups) == MOST_GROUPS + 2
    assert (groups[0].count, groups[0].label) == (50, f"exit 1: {OTHER}")
    assert sum(group.count for group in groups) == len(failures) == len(words) + 1
    for task in range(100):
        failures.forget(task)
    failures.add(0, Reason.EXIT, 1, "a new word")
    assert "a new word" in {group.text for group in failures.groups()}
