"""Commands that monitors ask for: each is taken in once, and a kill in between concerns it."""

from __future__ import annotations

from collections.abc import Sequence

from stratos_jupyter.backend.run.adoption import Adoptions
from stratos_jupyter.backend.run.replay import Replayed


class Rig:
    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses
        self.added: list[tuple[tuple[int, int], Sequence[str]]] = []
        self.notices: list[str] = []
        self.it = Adoptions(self.add, self.notices.append, "x")

    def add(self, attempt: tuple[int, int], commands: Sequence[str]) -> None:
        if self.refuses:
            raise ValueError("no room")
        self.added.append((attempt, commands))


def test_commands_are_pending_until_they_are_a_submission() -> None:
    rig = Rig()
    rig.it.take((3, 1), ["a", "b"])
    assert rig.added == [((3, 1), ["a", "b"])]
    assert rig.it.pending
    assert rig.it.is_taken((3, 1))
    assert not rig.it.arrived((3, 1), range(7, 9))
    assert not rig.it.pending
    assert rig.it.is_taken((3, 1))  # and is not taken in again
    assert rig.it.became == [(3, range(7, 9))]


def test_a_kill_in_between_concerns_what_they_become() -> None:
    rig = Rig()
    for attempt in ((3, 1), (4, 2)):
        rig.it.take(attempt, ["a"])
    rig.it.kill([4])
    assert not rig.it.arrived((3, 1), range(5, 6))
    assert rig.it.arrived((4, 2), range(6, 7))
    rig.it.take((5, 1), ["a"])
    rig.it.kill(None)
    assert rig.it.arrived((5, 1), range(7, 8))
    rig.it.kill(None)  # nothing is pending
    rig.it.take((6, 1), ["a"])
    assert not rig.it.arrived((6, 1), range(8, 9))


def test_commands_that_cannot_be_added_are_said_and_nothing_waits_for_them() -> None:
    rig = Rig(refuses=True)
    rig.it.take((3, 1), ["a"])
    assert not rig.it.pending
    assert not rig.it.is_taken((3, 1))
    assert rig.notices == ["what the monitor of task 3 asked for cannot run: no room"]


def test_what_is_recorded_and_has_become_no_submission_is_added_again() -> None:
    rig = Rig()
    rig.it.restore(Replayed(spawned={(2, 1): ["b"]}, became=[(1, range(3, 4))], adopted={(1, 1), (2, 1)}))
    assert rig.added == [((2, 1), ["b"])]
    assert rig.it.pending
    assert rig.it.is_taken((1, 1))
    assert rig.it.became == [(1, range(3, 4))]
