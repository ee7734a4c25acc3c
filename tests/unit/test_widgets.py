"""The Python half of the widget, and what a cell shows."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from stratos_jupyter import widgets
from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.backend.results.failure_groups import Group
from stratos_jupyter.report.snapshot import HIDE_LOST_WIDGET
from stratos_jupyter.report.summary import JobSummary
from stratos_jupyter.widgets import HEARTBEAT_S, NOTHING, JobDisplay, JobWidget
from tests.support.views import view_at


class FakeJob:
    """A job as a display sees it: the newest view, and callbacks from a thread of its own."""

    def __init__(self, view: JobView) -> None:
        self.view = view
        self.subscribers: list[Callable[[JobView], None]] = []

    def subscribe(self, callback: Callable[[JobView], None]) -> Callable[[], None]:
        self.subscribers.append(callback)
        return lambda: self.subscribers.remove(callback)

    def publish(self, *views: JobView) -> None:
        """Publish from another thread, and wait until it has."""

        def run() -> None:
            for view in views:
                self.view = view
                for callback in list(self.subscribers):
                    callback(view)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def widget() -> Iterator[JobWidget]:
    widget = JobWidget(clock=Clock())
    yield widget
    widget.close()


def far(line: str) -> str:
    """Return how far a line of text says that a job is."""
    found = re.search(r"\d+/\d+", line)
    assert found is not None
    return found[0]


def turn(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop do what waits for it now."""
    loop.run_until_complete(asyncio.sleep(0))


def sent(widget: JobWidget) -> list[dict[str, Any]]:
    """Return the list that each view from now on is added to."""
    seen: list[dict[str, Any]] = []
    widget.observe(lambda change: seen.append(change["new"]), "view")
    return seen


# -- the widget -------------------------------------------------------------------------------------


def test_beside_the_widget_is_a_line_of_text(widget: JobWidget) -> None:
    widget.show(view_at(60))
    data = (widget._repr_mimebundle_() or ({}, {}))[0]
    assert data["text/plain"].startswith("demo run 1 on local[2]: 60/100 done, 10/s, 4.0 s left")
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/html"] == NOTHING  # the snapshot below says it all


def test_an_unchanged_view_is_sent_only_as_a_heartbeat(widget: JobWidget) -> None:
    seen = sent(widget)
    widget.show(view_at(60))
    widget.show(replace(view_at(60), at_s=1061.0))
    assert len(seen) == 1
    widget._clock.now_s += HEARTBEAT_S  # type: ignore[attr-defined]
    widget.show(replace(view_at(60), at_s=1070.0))
    assert len(seen) == 2


def test_the_browser_may_ask_for_the_view_again(widget: JobWidget) -> None:
    widget.show(view_at(60))
    seen = sent(widget)
    widget._clock.now_s += 1.0  # type: ignore[attr-defined]
    widget._handle_custom_msg({"ask": "watch"}, [])
    assert [record["done"] for record in seen] == [60]
    widget._handle_custom_msg({"ask": "for trouble"}, [])
    widget._handle_custom_msg(None, [])
    assert len(seen) == 1


def test_asked_before_it_has_anything_to_show_it_stays_silent(widget: JobWidget) -> None:
    widget._handle_custom_msg({"ask": "watch"}, [])
    assert widget.view == {}


def test_snapshots_are_shown_on_the_loop_and_never_on_the_driver_s_thread(
    widget: JobWidget, loop: asyncio.AbstractEventLoop
) -> None:
    job = FakeJob(view_at(0))
    threads = []
    widget.observe(lambda _change: threads.append(threading.current_thread()), "view")
    widget.follow(job, loop)
    job.publish(view_at(1))
    assert widget.view["done"] == 0
    turn(loop)
    assert widget.view["done"] == 1
    assert set(threads) == {threading.current_thread()}


def test_a_busy_loop_finds_one_snapshot_the_newest(widget: JobWidget, monkeypatch: pytest.MonkeyPatch) -> None:
    job = FakeJob(view_at(0))
    handed: list[Callable[[], None]] = []
    busy = SimpleNamespace(call_soon_threadsafe=handed.append)
    widget.follow(job, busy)  # type: ignore[arg-type]
    seen = sent(widget)
    job.publish(*(view_at(done) for done in range(1, 100)))
    assert len(handed) == 1
    handed.pop()()
    assert [record["done"] for record in seen] == [99]
    job.publish(view_at(100))
    assert len(handed) == 1


def test_what_happened_before_it_subscribed_is_shown(widget: JobWidget, loop: asyncio.AbstractEventLoop) -> None:
    widget.follow(FakeJob(view_at(100)), loop)
    assert widget.view["ended"]


def test_a_job_that_ended_and_goes_on_is_still_followed(widget: JobWidget, loop: asyncio.AbstractEventLoop) -> None:
    job = FakeJob(view_at(100))
    widget.follow(job, loop)
    job.publish(view_at(100, 101))
    turn(loop)
    assert not widget.view["ended"]


def test_a_closed_widget_hears_nothing_more(loop: asyncio.AbstractEventLoop) -> None:
    widget = JobWidget()
    job = FakeJob(view_at(0))
    widget.follow(job, loop)
    job.publish(view_at(1))
    widget.close()
    turn(loop)
    assert job.subscribers == []
    assert widget.view["done"] == 0


def test_following_another_job_leaves_the_first(widget: JobWidget, loop: asyncio.AbstractEventLoop) -> None:
    first, second = FakeJob(view_at(1)), FakeJob(view_at(2))
    widget.follow(first, loop)
    widget.follow(second, loop)
    assert (len(first.subscribers), len(second.subscribers)) == (0, 1)


def test_a_closed_loop_does_not_hurt_the_driver(widget: JobWidget) -> None:
    job = FakeJob(view_at(0))
    loop = asyncio.new_event_loop()
    widget.follow(job, loop)
    loop.close()
    job.publish(view_at(1), view_at(2))  # an exception in its thread would fail this test


# -- what a cell shows ------------------------------------------------------------------------------


class Screen:
    """What a front end was told to show, in place of IPython's two functions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[tuple[str, str, Any]] = []
        monkeypatch.setattr(widgets, "display", lambda what, **options: self._take("new", what, options))
        monkeypatch.setattr(widgets, "update_display", lambda what, **options: self._take("again", what, options))

    def _take(self, how: str, what: Any, options: dict[str, Any]) -> None:
        assert options["display_id"]
        self.shown.append((how, options["display_id"], what))

    @property
    def snapshots(self) -> list[str]:
        return [far(what["text/plain"]) for _, _, what in self.shown if isinstance(what, dict)]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    return Screen(monkeypatch)


@pytest.fixture
def shell() -> InteractiveShell:
    return InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))


@pytest.fixture
def kernel_shell(shell: InteractiveShell) -> InteractiveShell:
    shell.kernel = SimpleNamespace()  # type: ignore[attr-defined]  # its being there is what counts
    return shell


def test_a_cell_shows_a_widget_and_a_snapshot_each_under_its_own_id(
    screen: Screen, kernel_shell: InteractiveShell
) -> None:
    JobDisplay(shell=kernel_shell).pump(view_at(0))
    (how_w, id_w, widget), (how_s, id_s, bundle) = screen.shown
    assert (how_w, how_s) == ("new", "new")
    assert id_w != id_s
    assert isinstance(widget, JobWidget)
    assert set(bundle) == {"text/html", "text/plain"}


def test_the_snapshot_is_renewed_at_milestones_and_the_widget_each_time(
    screen: Screen, kernel_shell: InteractiveShell
) -> None:
    display = JobDisplay(shell=kernel_shell)
    for done in range(101):
        display.pump(view_at(done, at_s=1000 + done / 100))
        assert display.widget is not None
        assert display.widget.view["done"] == done
    assert screen.snapshots == ["0/100", "25/100", "50/100", "75/100", "100/100"]
    assert [how for how, _, _ in screen.shown].count("new") == 2


def test_what_a_snapshot_tells_is_asked_at_milestones_with_its_view(
    screen: Screen, kernel_shell: InteractiveShell
) -> None:
    asked = []

    def tell(view: JobView) -> JobSummary:
        asked.append(view.done)
        return JobSummary(view, [Group("exit", 1, "no such galaxy", "", (3,))] if view.failed else ())

    display = JobDisplay(tell=tell, shell=kernel_shell)
    for done in range(30):
        display.pump(view_at(done, failed=done > 1))
    assert asked == [0, 2, 25]
    html = screen.shown[-1][2]["text/html"]
    assert "no such galaxy" in html
    assert html.startswith(HIDE_LOST_WIDGET)


def test_a_followed_job_is_shown_around_cells_even_where_no_loop_turns(
    screen: Screen, kernel_shell: InteractiveShell, loop: asyncio.AbstractEventLoop
) -> None:
    job = FakeJob(view_at(0))
    JobDisplay(shell=kernel_shell).follow(job, loop)
    job.publish(view_at(30))
    kernel_shell.run_cell("pass")
    assert screen.snapshots == ["0/100", "30/100"]
    turn(loop)  # what was handed over meanwhile is older news
    assert screen.snapshots == ["0/100", "30/100"]


def test_what_waits_for_the_loop_never_replaces_what_is_newer(
    screen: Screen, kernel_shell: InteractiveShell, loop: asyncio.AbstractEventLoop
) -> None:
    job = FakeJob(view_at(0))
    display = JobDisplay(shell=kernel_shell)
    display.follow(job, loop)
    job.publish(view_at(30))
    job.view = view_at(31)
    kernel_shell.run_cell("pass")
    turn(loop)
    assert display.widget is not None
    assert display.widget.view["done"] == 31


def test_a_closed_display_leaves_the_shell_and_the_job(
    screen: Screen, kernel_shell: InteractiveShell, loop: asyncio.AbstractEventLoop
) -> None:
    before = {event: list(callbacks) for event, callbacks in kernel_shell.events.callbacks.items()}
    job = FakeJob(view_at(0))
    display = JobDisplay(shell=kernel_shell)
    display.follow(job, loop)
    display.follow(job, loop)
    assert len(job.subscribers) == 1
    display.close()
    display.close()
    assert job.subscribers == []
    assert kernel_shell.events.callbacks == before


def test_a_terminal_prints_a_line_at_each_milestone(
    screen: Screen, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    job = FakeJob(view_at(0))
    display = JobDisplay(shell=shell)
    display.follow(job)
    for done in (10, 60, 100):
        job.publish(view_at(done))
        shell.run_cell("pass")
    assert job.subscribers == []  # nothing may print while the user types
    assert [far(line) for line in capsys.readouterr().out.splitlines()] == ["0/100", "60/100", "100/100"]
    assert screen.shown == []
    assert display.widget is None
