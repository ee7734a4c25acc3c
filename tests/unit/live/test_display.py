"""Which snapshots of a job are milestones."""

from __future__ import annotations

from dataclasses import replace

from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.live.display import Milestones
from tests.support.views import view_at


def due(milestones: Milestones, *views: JobView) -> list[bool]:
    return [milestones.due(view) for view in views]


def test_the_milestones_of_a_short_job() -> None:
    milestones = Milestones()
    passed = [done for done in range(101) if milestones.due(view_at(done, at_s=1000 + done / 100))]
    assert passed == [0, 25, 50, 75, 100]


def test_the_first_failure_is_a_milestone() -> None:
    views = view_at(0), view_at(1), view_at(2, failed=1), view_at(3, failed=2)
    assert due(Milestones(), *views) == [True, False, True, False]


def test_a_long_job_is_renewed_every_30_s_while_it_runs() -> None:
    times = [view_at(1, at_s=at_s) for at_s in (0.0, 29.0, 30.0, 59.0, 60.0)]
    assert due(Milestones(), *times) == [True, False, True, False, True]
    ended = [replace(view_at(100, at_s=at_s), ended_at=1.0) for at_s in (0.0, 100.0)]
    assert due(Milestones(), *ended) == [True, False]


def test_a_job_that_goes_on_and_ends_again_is_two_more_milestones() -> None:
    first, again = view_at(100), view_at(100, 101)
    assert due(Milestones(), first, again, view_at(101, 101)) == [True, True, True]
