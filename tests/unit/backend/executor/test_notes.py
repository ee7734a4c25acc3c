"""What notes say of processes that were left behind can be read off them again; what waits is told in one line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.engines.linger_notice import NAMED, TEXT, linger_notice
from stratos_jupyter.backend.executor.notes import joined, left_count, left_text

NAMES = st.lists(st.text(min_size=1, max_size=15), max_size=40)


def test_what_was_left_behind_in_words() -> None:
    assert left_text(["ssh"]) == "1 process that it left behind was ended: ssh"
    assert left_text(["ssh", "sleep", "ssh"]) == "3 processes that it left behind were ended: ssh, sleep"
    assert left_text(list("abcdefg")) == "7 processes that it left behind were ended: a, b, c, d, e, ..."


@given(NAMES, st.text())
def test_count_is_read_off_the_note_whatever_the_names_are(names: list[str], rest: str) -> None:
    note = joined(left_text(names), rest)
    assert left_count(note) == (len(names) or left_count(rest))


@given(st.text(), NAMES)
def test_what_others_say_is_not_counted(said: str, names: list[str]) -> None:
    """A monitor's last line, or the name of a program, may read like anything."""
    assert left_count(joined("monitor: " + said, left_text(names))) == 0


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 9), st.text()), max_size=60))
def test_line_on_what_waits_is_bounded(rows: list[tuple[int, int, str]]) -> None:
    text = linger_notice(rows)
    assert bool(text) == bool(rows)
    assert len(text) < NAMED * (TEXT + 30) + 30
    assert (f"{len(rows) - NAMED} more task" in text) == (len(rows) > NAMED)
