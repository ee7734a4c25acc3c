"""How sure one can be of when a job ends."""

from __future__ import annotations

import pytest

from stratos_jupyter.live.eta import Forecast


def fed(paces: list[float], step_s: float = 1.0) -> Forecast:
    """Return a forecast that saw this many tasks end in each second."""
    forecast, done = Forecast(), 0.0
    for second, pace in enumerate([0.0, *paces]):
        done += pace
        forecast.add(second * step_s, int(done))
    return forecast


def test_nothing_is_said_before_something_is_known() -> None:
    assert Forecast().spread_s(10.0) is None
    assert fed([5.0] * 3).spread_s(10.0) is None
    assert fed([0.0] * 20).spread_s(10.0) is None
    assert fed([100.0] * 20).spread_s(None) is None


def test_a_steady_pace_is_sure_and_an_unsteady_one_is_not() -> None:
    steady, unsteady = fed([100.0] * 30).spread_s(60.0), fed([10.0] * 15 + [190.0] * 15).spread_s(60.0)
    assert steady is not None
    assert 57 < steady[0] < 60 < steady[1] < 63
    assert unsteady is not None
    assert unsteady[1] - unsteady[0] > 5 * (steady[1] - steady[0])


def test_few_endings_are_never_sure() -> None:
    few = fed([1.0] * 30).spread_s(60.0)
    assert few is not None
    assert few[0] < 48
    assert few[1] > 80


def test_what_was_longer_ago_than_a_minute_is_forgotten() -> None:
    forecast = fed([1000.0] * 60 + [100.0] * 70)
    assert forecast.doubt == pytest.approx(fed([100.0] * 61).doubt, rel=0.1)


def test_a_relaunch_begins_anew() -> None:
    forecast = fed([100.0] * 30)
    forecast.add(31.0, 5)
    assert forecast.doubt is None
