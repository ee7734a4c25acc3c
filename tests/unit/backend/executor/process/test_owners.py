"""Whose a process is, read off a census; no process is started for that."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from stratos_jupyter.backend.executor.process.owners import Owners
from stratos_jupyter.backend.executor.process.procs import Census, Proc

# Process ids that no system has: so there is no mark to be read.
BASE = 1 << 23
FIRST, SECOND, HELPER, ORPHAN, CHILD = (BASE + number for number in range(5))


def proc(pid: int, parent: int = 0, session: int = 0, started: int = 10, zombie: bool = False) -> Proc:
    return Proc(pid, parent or os.getpid(), session or pid, session or pid, started, zombie, 1)


def census(*procs: Proc) -> Census:
    return Census({one.pid: one for one in procs})


def owner(pid: int) -> Any:
    return SimpleNamespace(pid=pid, mark=b"STRATOS_TASK=%d" % pid)


class Groups:
    """Cgroups in which one process may be."""

    def __init__(self) -> None:
        self.owners: dict[int, list[Any]] = {}

    def owner(self, pid: int) -> list[Any] | None:
        return self.owners.get(pid)

    def pids(self, task: Any) -> list[int]:
        return [pid for pid, owners in self.owners.items() if task in owners]


class Setting:
    """Two tasks and a helper that run."""

    def __init__(self) -> None:
        self.first, self.second, self.helper = owner(FIRST), owner(SECOND), owner(HELPER)
        self.groups = Groups()
        self.reaped: list[int] = []
        adopted: Any = SimpleNamespace(reap=self.reaped.append)
        groups: Any = self.groups
        self.running = {FIRST: self.first, SECOND: self.second}
        self.owners = Owners(self.running, {HELPER: self.helper}, adopted, groups)

    def of(self, one: Proc, *others: Proc) -> list[Any]:
        everybody = census(proc(FIRST), proc(SECOND, started=20), proc(HELPER, started=30), one, *others)
        return list(self.owners.of(one, everybody))


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_a_leader_is_its_own_tasks(setting: Setting) -> None:
    assert setting.of(proc(FIRST)) == [setting.first]
    assert setting.of(proc(HELPER)) == [setting.helper]


def test_a_session_tells_the_task(setting: Setting) -> None:
    assert setting.of(proc(ORPHAN, session=SECOND)) == [setting.second]


def test_an_orphan_may_belong_to_all_that_started_before_it(setting: Setting) -> None:
    assert setting.of(proc(ORPHAN, started=15)) == [setting.first]
    assert setting.of(proc(ORPHAN, started=25)) == [setting.first, setting.second]
    assert setting.of(proc(ORPHAN, started=35)) == [setting.first, setting.second, setting.helper]


def test_an_orphan_older_than_all_tasks_belongs_to_none(setting: Setting) -> None:
    assert setting.of(proc(ORPHAN, started=5)) == []


def test_a_group_tells_the_task(setting: Setting) -> None:
    setting.groups.owners[ORPHAN] = [setting.second]
    assert setting.of(proc(ORPHAN, started=15)) == [setting.second]
    setting.groups.owners[ORPHAN] = []  # of a task that is over
    assert setting.of(proc(ORPHAN, started=35)) == []


def test_shares_hold_descendants_but_nothing_doubtful(setting: Setting) -> None:
    everybody = census(
        proc(FIRST), proc(SECOND, started=20), proc(CHILD, parent=FIRST, session=CHILD), proc(ORPHAN, started=25)
    )
    shares = {task.pid: {one.pid for one in procs} for task, procs in setting.owners.shares(everybody, [setting.first])}
    assert shares == {FIRST: {FIRST, CHILD}}


def test_orphans_that_have_exited_are_reaped_and_leaders_are_not(setting: Setting) -> None:
    everybody = census(proc(FIRST, zombie=True), proc(ORPHAN, zombie=True), proc(CHILD, zombie=True, parent=FIRST))
    assert [one.pid for one in setting.owners.just_exited(everybody)] == [ORPHAN]
    assert {one.pid for one in setting.owners.children(everybody)} == {FIRST, ORPHAN}
    assert setting.reaped == [ORPHAN]
