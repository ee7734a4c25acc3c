"""How amounts, times and counts are written for people."""

from __future__ import annotations

import pytest

from stratos_jupyter.backend.core.phrases import (
    amount_text,
    duration_text,
    length_text,
    ordinal,
    plural,
    rate_text,
    seconds_text,
    size_text,
)

GIB = 1024**3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0.0 s"),
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (86400 * 3 + 4 * 3600, "3 d 04 h"),
    ],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("per_s", "text"),
    [(1234.5, "1,234/s"), (9.96, "10/s"), (2.5, "2.5/s"), (0.2, "12/min"), (0.001, "3.6/h"), (0, "0.0/h")],
)
def test_rates_take_the_unit_that_reads_well(per_s: float, text: str) -> None:
    assert rate_text(per_s) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0"),
        (0.0537, "53.7 ms"),
        (0.99949, "999 ms"),
        (0.9996, "1 s"),
        (4.214, "4.21 s"),
        (42, "42 s"),
        (61, "1 min 01 s"),
    ],
)
def test_short_times_can_be_told_apart(seconds: float, text: str) -> None:
    assert length_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1,023 B"), (1024, "1.0 KiB"), (150 * 1024, "150 KiB"), (int(6.2 * GIB), "6.2 GiB"),
     (5000 * 1024 * GIB, "5,000 TiB")],
)  # fmt: skip
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (112, "112th"), (1021, "1,021st")],
)
def test_ordinals(number: int, text: str) -> None:
    assert ordinal(number) == text


@pytest.mark.parametrize(
    ("name", "amount", "text"), [("cpus", 0.5, "0.5"), ("mem_mib", 512.0, "512 MiB"), ("disk_mib", 6348.8, "6.2 GiB")]
)
def test_amounts(name: str, amount: float, text: str) -> None:
    assert amount_text(name, amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.9, "9.9 s"), (59, "59 s"), (90, "2 min"), (5400, "1.5 h")]
)
def test_rough_times(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_one_of_a_thing_is_no_plural() -> None:
    assert [plural(count, "task") for count in (0, 1, 5000)] == ["0 tasks", "1 task", "5,000 tasks"]
    assert plural(2, "launch", "launches") == "2 launches"
