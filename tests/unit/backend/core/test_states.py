"""The table of moves has the shape that the rest relies on."""

from __future__ import annotations

import pytest

from stratos_jupyter.backend.core.states import IN_FLIGHT, MOVES, TERMINAL, Reason, TaskState, Trigger, ending


def test_nothing_leaves_a_terminal_state() -> None:
    assert not [move for move in MOVES if move[0] in TERMINAL]


def test_every_state_is_queued_in_flight_or_terminal() -> None:
    assert {TaskState.QUEUED} | IN_FLIGHT | TERMINAL == set(TaskState)


def test_every_cue_leads_somewhere() -> None:
    assert {trigger for _, trigger in MOVES} == set(Trigger)


@pytest.mark.parametrize("state", sorted(IN_FLIGHT | {TaskState.QUEUED}))
@pytest.mark.parametrize("trigger", [Trigger.SUCCEEDED, Trigger.FAILED, Trigger.KILLED, Trigger.LOST])
def test_every_live_state_can_end_in_every_way(state: TaskState, trigger: Trigger) -> None:
    assert MOVES[state, trigger] in TERMINAL


@pytest.mark.parametrize("state", sorted(IN_FLIGHT))
def test_what_is_in_flight_can_be_queued_again(state: TaskState) -> None:
    assert MOVES[state, Trigger.REQUEUED] is TaskState.QUEUED


@pytest.mark.parametrize(
    ("reason", "code", "state"),
    [
        (Reason.EXIT, 0, TaskState.FINISHED),
        (Reason.EXIT, 3, TaskState.FAILED),
        (Reason.SIGNAL, 9, TaskState.FAILED),
        (Reason.TIMEOUT, None, TaskState.FAILED),
        (Reason.MEMORY, None, TaskState.FAILED),
        (Reason.SPAWN, None, TaskState.FAILED),
        (Reason.USER, None, TaskState.KILLED),
        (Reason.USER, 0, TaskState.KILLED),
        (Reason.MONITOR, None, TaskState.KILLED),
        (Reason.LOST, None, TaskState.LOST),
    ],
)
def test_a_reason_decides_the_state(reason: Reason, code: int | None, state: TaskState) -> None:
    assert ending(reason, code) is state
