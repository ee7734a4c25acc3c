"""Waiting: answered once, after a view was shown, for the tasks that are meant and what came of them."""

from __future__ import annotations

import pytest

from stratos_jupyter.backend.core.events import KillAsked, TasksAdded
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.scheduler import Scheduler
from stratos_jupyter.backend.run.waiter import Waiters


class Rig:
    def __init__(self, tasks: int) -> None:
        self.scheduler = Scheduler()
        self.scheduler.handle(TasksAdded(1.0, tasks, Resources(1)))
        self.shown = 0
        self.it = Waiters()

    def look(self) -> None:
        self.it.look(self.scheduler, self.show)

    def show(self) -> None:
        self.shown += 1


def test_each_is_answered_when_its_own_tasks_have_ended() -> None:
    rig = Rig(4)
    some, every = rig.it.add(range(1, 3), ()).future, rig.it.add(None, ()).future
    rig.look()
    assert (rig.shown, some.done(), every.done()) == (0, False, False)
    rig.scheduler.handle(KillAsked(2.0, (1, 2)))
    rig.look()
    assert (rig.shown, some.result(0), every.done(), len(rig.it)) == (1, True, False, 1)
    rig.scheduler.handle(KillAsked(2.0))
    rig.look()
    assert (rig.shown, every.result(0), len(rig.it)) == (2, True, 0)
    rig.look()
    assert rig.shown == 2


def test_what_came_of_a_task_is_waited_for_too() -> None:
    rig = Rig(4)
    before, later = rig.it.add(range(1), [(0, range(2, 3))]).future, rig.it.add(range(1), ()).future
    rig.it.follow(0, range(3, 4))
    rig.scheduler.handle(KillAsked(2.0, (0, 2)))
    rig.look()
    assert not before.done()
    assert not later.done()
    rig.scheduler.handle(KillAsked(2.0, (3,)))
    rig.look()
    assert before.result(0)
    assert later.result(0)


def test_all_are_told_when_nothing_will_happen_before_the_user_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(1)
    waits, given_up = rig.it.add(None, ()).future, rig.it.add(None, ()).future
    given_up.cancel()
    rig.look()
    assert not waits.done()
    monkeypatch.setattr(Scheduler, "stuck", True)
    rig.look()
    assert waits.result(0) is False
    assert given_up.cancelled()
    assert len(rig.it) == 0
