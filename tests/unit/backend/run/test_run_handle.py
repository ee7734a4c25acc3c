"""A run as other threads than the driver's hold it."""

from __future__ import annotations

import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.backend.run.run_handle import RunHandle
from stratos_jupyter.errors import JobNotFound
from tests.support.hostile_text import view_of


class Rig:
    """A run whose loop is one future, on a driver that runs each function at once."""

    def __init__(self, folder: Path, view: JobView) -> None:
        self.done: Future[bool] = Future()
        self.log: list[str] = []
        loop: Any = SimpleNamespace(
            view=lambda: view, wait=lambda tasks: self.done, now=time.monotonic, let_go=lambda: self.log.append("loop")
        )
        driver: Any = SimpleNamespace(call=lambda function: function(), post=lambda function: function())
        journal: Any = SimpleNamespace(folder=folder, close=lambda: self.log.append("journal"))
        self.it = RunHandle("demo", 1, journal, driver, lambda: loop)


def test_who_subscribes_hears_each_view_until_that_ends(tmp_path: Path) -> None:
    rig = Rig(tmp_path, view_of())
    heard: list[JobView] = []
    end = rig.it.subscribe(heard.append)
    first, second = view_of(running=1), view_of(finished=1)
    rig.it.show(first)
    end()
    rig.it.show(second)
    assert heard == [first]
    assert rig.it.view is second


def test_waiting_shows_each_view_once_and_gives_up_in_time(tmp_path: Path) -> None:
    rig = Rig(tmp_path, view_of(running=1))
    pumped: list[JobView] = []
    assert rig.it.wait(0.25, pump=pumped.append) is False
    assert pumped == [rig.it.view]
    assert rig.done.cancelled(), "the loop need not answer any more"


def test_waiting_ends_when_the_loop_says_so(tmp_path: Path) -> None:
    rig = Rig(tmp_path, view_of(running=1))
    rig.done.set_result(True)
    assert rig.it.wait() is True


def test_a_run_that_was_let_go_keeps_its_last_view_and_says_how_it_comes_back(tmp_path: Path) -> None:
    rig = Rig(tmp_path, view_of(running=1, rate_per_s=3.0, eta_s=5.0))
    rig.it.let_go()
    assert rig.log == ["loop", "journal"]
    assert rig.it.released
    assert (rig.it.view.rate_per_s, rig.it.view.eta_s) == (None, None)
    assert rig.it.view.notices[-1].endswith("%stratos attach demo brings it back")
    for ask in (lambda: rig.it.journal, rig.it.view_now, rig.it.wait, rig.it.pause, rig.it.flying):
        with pytest.raises(JobNotFound, match=r"demo run 1 is not held by this process any more; %stratos attach demo"):
            ask()


def test_a_run_that_has_ended_needs_no_such_notice(tmp_path: Path) -> None:
    rig = Rig(tmp_path, view_of(finished=1, ended_at=3.0))
    rig.it.let_go()
    assert rig.it.view.notices == ()
