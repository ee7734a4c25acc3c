"""Views: at most ten a second, none after the end, and what they tell beside the scheduler."""

from __future__ import annotations

from stratos_jupyter.backend.core.events import Ending, KillAsked, Offer, OffersArrived, TasksAdded, TasksEnded
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.scheduler import Scheduler
from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.backend.run.replay import Replayed
from stratos_jupyter.backend.run.view_publisher import NOTICES, SHOW_EVERY_S, ViewPublisher


class Timer:
    def __init__(self, function) -> None:
        self.function = function
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Rig:
    """A publisher whose clock a test sets, and which is its own event loop."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.timers: list[Timer] = []
        self.shown: list[JobView] = []
        self.scheduler = Scheduler()
        look = lambda: (self.scheduler, "http://m")  # noqa: E731
        self.it = ViewPublisher(self.shown.append, look, self, lambda: self.now_s, job_id="x", run=2, engine="local")  # type: ignore[arg-type]

    def time(self) -> float:
        return self.now_s

    def call_later(self, wait_s: float, function) -> Timer:
        assert 0 < wait_s <= SHOW_EVERY_S
        self.timers.append(Timer(function))
        return self.timers[-1]


def test_views_are_shown_at_once_and_then_at_most_ten_times_a_second() -> None:
    rig = Rig()
    for _ in range(5):
        rig.it.show_soon()
    assert len(rig.shown) == 1
    (timer,) = rig.timers
    rig.now_s += SHOW_EVERY_S
    timer.function()
    assert [view.at_s for view in rig.shown] == [100.0, 100.0 + SHOW_EVERY_S]
    assert (rig.shown[0].job_id, rig.shown[0].run, rig.shown[0].engine, rig.shown[0].page) == (
        "x",
        2,
        "local",
        "http://m",
    )


def test_nothing_is_shown_after_the_end() -> None:
    rig = Rig()
    rig.it.show_now()
    rig.it.show_soon()
    rig.it.close()
    assert rig.timers[0].cancelled
    rig.it.show_now()
    rig.it.notice("late")
    assert len(rig.shown) == 1


def test_a_notice_is_shown_once_until_it_is_withdrawn_and_few_are_kept() -> None:
    rig = Rig()
    for text in ("a", "b", "a"):
        rig.it.notice(text)
    assert rig.it.view().notices == ("a", "b")
    rig.it.withdraw("a")
    rig.it.withdraw("never said")
    assert rig.it.view().notices == ("b",)
    for number in range(NOTICES):
        rig.it.notice(str(number))
    assert rig.it.view().notices == tuple(map(str, range(NOTICES)))


def test_the_end_is_when_the_last_task_ended_until_more_come() -> None:
    rig = Rig()
    assert rig.it.view().ended_at is None
    rig.scheduler.handle(TasksAdded(100.0, 1, Resources(1)))
    rig.scheduler.handle(KillAsked(100.0))
    rig.now_s = 103.0
    assert rig.it.view().ended_at == 103.0
    rig.now_s = 110.0
    assert rig.it.view().ended_at == 103.0
    rig.it.goes_on()
    assert rig.it.view().ended_at == 110.0


def test_the_end_of_a_run_that_had_ended_is_the_one_recorded() -> None:
    rig = Rig()
    rig.scheduler.handle(TasksAdded(10.0, 1, Resources(1)))
    rig.scheduler.handle(KillAsked(12.0))
    rig.it.restore(Replayed(submission_times=[10.0], ended_at=13.0))
    assert (rig.it.view().ended_at, rig.it.view().elapsed_s) == (13.0, 3.0)
    rig.scheduler.handle(TasksAdded(100.0, 1, Resources(1)))
    assert rig.it.view().ended_at is None


def test_the_pace_says_when_the_rest_will_have_ended() -> None:
    rig = Rig()
    rig.scheduler.handle(TasksAdded(100.0, 4, Resources(1)))
    rig.scheduler.handle(OffersArrived(100.0, (Offer("o", "n", Resources(4)),)))
    assert rig.it.view().eta_s is None
    rig.scheduler.handle(TasksEnded(101.0, (Ending(0, 1, Reason.EXIT, 0, 1.0), Ending(1, 1, Reason.EXIT, 0, 1.0))))
    rig.now_s = 101.0
    view = rig.it.view()
    assert (view.rate_per_s, view.eta_s, view.nodes, view[TaskState.FINISHED]) == (2.0, 1.0, 1, 2)
    assert view.reasons == {"exit": 2}


def test_what_is_recorded_of_processes_left_behind_is_counted_on() -> None:
    rig = Rig()
    rig.it.restore(Replayed(submission_times=[7.0, 9.0], left_behind=2, left_first=5))
    rig.it.left(3, 4)
    view = rig.it.view()
    assert (view.submitted_at, view.left_behind, view.left_first) == (7.0, 6, 5)
    rig.it.submitted(8.0)
    assert rig.it.view().submitted_at == 8.0
