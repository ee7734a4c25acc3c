"""How commands come into a run: numbered in the order in which its loop hears of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from stratos_jupyter.backend.core.events import Event, RelaunchAsked, ResumeAsked, Superseded, TasksAdded
from stratos_jupyter.backend.run.submissions import Submissions
from stratos_jupyter.backend.spec.commands import explicit_commands, glob_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.backend.spec.workload import CommandEnv, Workload

ENV = CommandEnv("/w", {"A": "1"})


class Rig:
    """Submissions to a loop that notes what it hears, on a driver that runs each function at once."""

    def __init__(self, **spec: Any) -> None:
        self.heard: list[object] = []
        self.spec = JobSpec(cwd="/w", **spec)
        self.commands = Workload()
        self.known: set[int] = set()
        scheduler = SimpleNamespace(
            locality=SimpleNamespace(locations=SimpleNamespace(knows=self.known.__contains__)),
            table=SimpleNamespace(superseded=frozenset()),
        )
        self.scheduler = scheduler
        loop: Any = SimpleNamespace(
            now=lambda: 1.0, add=self.add, post=self.heard.append, post_now=self.heard.append, scheduler=scheduler
        )
        driver: Any = SimpleNamespace(post=lambda function: function(), call=lambda function: function())
        self.it = Submissions(self.commands, driver, loop, lambda: self.spec)
        self.it.locate = lambda tasks: self.heard.append(tasks)

    def add(self, event: TasksAdded, first: int, record: Callable[[], dict[str, Any]], origin: object) -> None:
        self.heard.append((first, event.count, event.sought, record().get("commands"), origin))

    def events(self) -> list[Event]:
        return [one for one in self.heard if isinstance(one, Superseded | RelaunchAsked | ResumeAsked)]


def test_commands_are_located_once_the_loop_knows_them() -> None:
    rig = Rig()
    rig.it.may_have_remote_inputs = lambda commands, cwd: len(commands) == 2
    assert rig.it.add(explicit_commands(["a"]), ENV) == range(1)
    assert rig.it.add(explicit_commands(["b", "c"]), ENV) == range(1, 3)
    assert rig.heard == [(0, 1, False, ["a"], None), (1, 2, True, ["b", "c"], None), range(1, 3)]
    assert rig.it.locate_all() == [False, True]


def test_what_a_monitor_asks_for_has_the_environment_of_what_it_watches() -> None:
    rig = Rig()
    rig.it.add(explicit_commands(["a"]), ENV)
    rig.it.add_from_monitor((0, 2), ["b"])
    assert rig.heard[-1] == (1, 1, False, ["b"], (0, 2))
    assert rig.commands.command_env(1) == ENV
    assert rig.commands.spawned() == [(0, range(1, 2))]


@pytest.mark.parametrize("adds", [True, False])
def test_a_cell_that_is_run_again_changes_all_in_one_turn(adds: bool) -> None:
    rig = Rig()
    rig.it.add(explicit_commands(["a", "b", "c"]), ENV)
    rig.known.update([0, 2])
    added = (explicit_commands(["d"]), ENV, None) if adds else None
    assert rig.it.extend(added, [0], [1], [2]) == (range(3, 4) if adds else range(0))
    superseded, again, resumed = rig.events()
    assert superseded == Superseded(1.0, (0,), (1,))
    assert again == RelaunchAsked(1.0, (2,))
    assert isinstance(resumed, ResumeAsked)
    assert rig.heard[-1] == range(1, 2), "of those that wait again, what had ended when the others were located"


def test_numbers_follow_the_order_in_which_the_loop_hears_of_them() -> None:
    rig = Rig()
    threads = [
        threading.Thread(target=lambda: [rig.it.add(explicit_commands(["x"]), ENV) for _ in range(200)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [first for first, *_ in rig.heard] == list(range(800))


def test_what_tasks_make_is_kept_up_to_date() -> None:
    rig = Rig(makes=("%f%.out",))
    rig.it.add(glob_commands("prog %f%", ["a"]), ENV)
    assert rig.it.promised() == {"/w/a.out": 0}
    rig.it.add(glob_commands("prog %f%", ["b"]), ENV)
    assert rig.it.promised() == {"/w/a.out": 0, "/w/b.out": 1}
    rig.scheduler.table.superseded = frozenset([0])
    rig.it.promise_anew()
    assert rig.it.promised() == {"/w/b.out": 1}
    rig.spec = JobSpec(cwd="/w")
    assert rig.it.makes(0) == ()
