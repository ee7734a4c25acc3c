"""Snapshots add up, and rates are those of the last ten seconds."""

from __future__ import annotations

import pytest

from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.core.views import JobView, RateMeter


def view(*counts: int, **more: float) -> JobView:
    return JobView("j", 1, "local", (*counts, *[0] * (8 - len(counts))), at_s=10.0, submitted_at=4.0, **more)


def test_sums() -> None:
    shown = view(5, 1, 2, 0, 10, 3, 1, 1)
    assert (shown.total, shown.done, shown.failed, shown.unfinished) == (23, 15, 5, 8)
    assert shown[TaskState.FAILED] == 3


def test_elapsed_stops_at_the_end() -> None:
    assert view(1).elapsed_s == 6.0
    assert view(0, ended_at=7.0).elapsed_s == 3.0


def test_a_rate_needs_two_samples() -> None:
    meter = RateMeter()
    assert meter.rate_per_s is None
    meter.add(0.0, 0)
    assert meter.rate_per_s is None
    meter.add(2.0, 10)
    assert meter.rate_per_s == 5.0


def test_the_rate_forgets_what_is_old() -> None:
    meter = RateMeter(window_s=10.0)
    for second in range(30):
        meter.add(float(second), second * (1 if second < 15 else 3))
    assert meter.rate_per_s == pytest.approx(3.0)


def test_a_relaunch_starts_the_rate_anew() -> None:
    meter = RateMeter()
    meter.add(0.0, 100)
    meter.add(1.0, 90)
    assert meter.rate_per_s is None
    meter.add(2.0, 92)
    assert meter.rate_per_s == 2.0
