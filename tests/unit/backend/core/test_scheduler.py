"""The scheduler, driven with events."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stratos_jupyter.backend.core.batching import BatchPolicy
from stratos_jupyter.backend.core.decisions import (
    Decline,
    Finish,
    Kill,
    Launch,
    RecordEnding,
    Revive,
    Suppress,
    UnreportedAttempt,
)
from stratos_jupyter.backend.core.events import (
    BatchLost,
    Closed,
    Ending,
    KillAsked,
    NodeBack,
    NodeUnreachable,
    Offer,
    OffersArrived,
    RelaunchAsked,
    TasksAdded,
    TasksEnded,
    TasksReturned,
    TasksStarted,
)
from stratos_jupyter.backend.core.lifecycle import LOST_BOUND
from stratos_jupyter.backend.core.matching import USELESS_S
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.scheduler import Scheduler
from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.errors import RefusedMove

ONE = Resources(cpus=1, mem_mib=100)
BIG = Resources(cpus=4, mem_mib=1000)


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler(BatchPolicy(target_s=5.0, most=100))
    yield scheduler
    scheduler.check()


def offers(*resources: Resources, node: str = "n1", behind: int | None = None) -> OffersArrived:
    return OffersArrived(0.0, tuple(Offer(f"o{i}", node, room, behind) for i, room in enumerate(resources)))


def ended(*tasks: int, attempt: int = 1, code: int | None = 0, reason: Reason = Reason.EXIT, wall_s: float = 1.0):
    return TasksEnded(0.0, tuple(Ending(task, attempt, reason, code, wall_s) for task in tasks))


def launches(decisions: tuple[object, ...]) -> list[Launch]:
    return [decision for decision in decisions if isinstance(decision, Launch)]


def flying(scheduler: Scheduler, count: int) -> list[Launch]:
    """Add `count` tasks and launch them all, one to a batch."""
    scheduler.handle(TasksAdded(0.0, count, ONE))
    return launches(scheduler.handle(offers(Resources(float(count), 100.0 * count))))


def warm(scheduler: Scheduler, wall_s: float) -> None:
    """Let five commands end, so that their mean is known."""
    flying(scheduler, 5)
    scheduler.handle(ended(*range(5), wall_s=wall_s))


def test_new_tasks_ask_for_offers_once(scheduler: Scheduler) -> None:
    assert scheduler.handle(TasksAdded(0.0, 2, ONE)) == (Revive(ONE),)
    assert scheduler.handle(TasksAdded(0.0, 2, BIG)) == ()


def test_a_smaller_demand_asks_again(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 1, BIG))
    assert scheduler.handle(TasksAdded(0.0, 1, ONE)) == (Revive(ONE),)


def test_an_offer_is_filled_and_not_overfilled(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 5, ONE))
    made = launches(scheduler.handle(offers(Resources(cpus=3, mem_mib=1000))))
    assert [launch.tasks for launch in made] == [((0, 1),), ((1, 1),), ((2, 1),)]


@pytest.mark.parametrize("room", [Resources(0.9, 1000), Resources(4, 99)])
def test_an_offer_nobody_fits_goes_back(scheduler: Scheduler, room: Resources) -> None:
    scheduler.handle(TasksAdded(0.0, 1, ONE))
    assert scheduler.handle(offers(room)) == (Decline(("o0",), USELESS_S),)


def test_the_last_queued_task_suppresses_offers(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 1, ONE))
    assert scheduler.handle(offers(BIG))[-1] == Suppress()


def test_higher_priority_goes_first_and_what_does_not_fit_is_passed_over(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 1, ONE, priority=0))
    scheduler.handle(TasksAdded(0.0, 1, ONE, priority=5))
    scheduler.handle(TasksAdded(0.0, 1, BIG, priority=9))
    made = launches(scheduler.handle(offers(Resources(2, 500))))
    assert [launch.tasks for launch in made] == [((1, 1),), ((0, 1),)]


def test_one_command_a_launch_until_five_have_ended(scheduler: Scheduler) -> None:
    warm(scheduler, wall_s=0.1)
    scheduler.handle(TasksAdded(0.0, 1000, ONE))
    first = launches(scheduler.handle(offers(ONE)))[0]
    assert len(first.tasks) == 50  # 5 s of 0.1 s
    assert first.expected_s == pytest.approx(5.0)


def test_long_commands_always_go_alone(scheduler: Scheduler) -> None:
    warm(scheduler, wall_s=60.0)
    scheduler.handle(TasksAdded(0.0, 10, ONE))
    assert [len(launch.tasks) for launch in launches(scheduler.handle(offers(BIG)))] == [1, 1, 1, 1]


def test_batches_shrink_towards_the_end(scheduler: Scheduler) -> None:
    warm(scheduler, wall_s=0.001)
    scheduler.handle(TasksAdded(0.0, 10, ONE))
    assert [len(launch.tasks) for launch in launches(scheduler.handle(offers(Resources(2, 200))))] == [5, 2]


def test_a_place_behind_is_taken_by_short_commands_only(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 100, ONE))
    assert scheduler.handle(offers(ONE, behind=1)) == (Decline(("o0",), 0.0),)
    launches(scheduler.handle(offers(Resources(5, 500))))
    scheduler.handle(ended(*range(5), wall_s=0.01))
    (first,) = launches(scheduler.handle(offers(ONE)))
    assert len(launches(scheduler.handle(offers(ONE, behind=first.batch_id)))) == 1
    assert scheduler.handle(offers(ONE, behind=first.batch_id)) == (Decline(("o0",), 0.0),)  # one behind another


def test_states_follow_the_statuses(scheduler: Scheduler) -> None:
    flying(scheduler, 1)
    assert scheduler.table.state(0) is TaskState.STAGING
    scheduler.handle(TasksStarted(0.0, ((0, 1),)))
    assert scheduler.table.state(0) is TaskState.RUNNING
    scheduler.handle(ended(0, code=3))
    assert scheduler.table.state(0) is TaskState.FAILED
    assert scheduler.table.reasons == {"exit": 1}


def test_a_repeated_status_changes_nothing(scheduler: Scheduler) -> None:
    flying(scheduler, 2)
    scheduler.handle(ended(0))
    before = list(scheduler.table.counts)
    assert scheduler.handle(ended(0, code=9)) == ()
    assert scheduler.handle(TasksStarted(0.0, ((0, 1),))) == ()
    assert scheduler.table.counts == before


def test_finish_comes_once_when_closed_and_all_have_ended(scheduler: Scheduler) -> None:
    flying(scheduler, 1)
    assert scheduler.handle(Closed(0.0)) == ()
    assert scheduler.handle(ended(0)) == (Finish(),)
    assert scheduler.handle(ended(0)) == ()


def test_closing_an_empty_job_finishes_it(scheduler: Scheduler) -> None:
    assert scheduler.handle(Closed(0.0)) == (Finish(),)


def test_unstarted_commands_come_back_unharmed(scheduler: Scheduler) -> None:
    flying(scheduler, 2)
    assert scheduler.handle(TasksReturned(0.0, ((1, 1),))) == (Revive(ONE),)
    assert scheduler.table.state(1) is TaskState.QUEUED
    assert launches(scheduler.handle(offers(ONE)))[0].tasks == ((1, 1),)  # the same attempt


def test_killing_splits_what_is_queued_from_what_flies(scheduler: Scheduler) -> None:
    flying(scheduler, 1)
    scheduler.handle(TasksAdded(0.0, 2, ONE))
    decisions = scheduler.handle(KillAsked(0.0))
    assert decisions == (
        RecordEnding((UnreportedAttempt(1, 1), UnreportedAttempt(2, 1)), TaskState.KILLED, Reason.USER),
        Kill(((0, 1),)),
        Suppress(),
    )
    scheduler.handle(ended(0, reason=Reason.USER, code=None))
    assert scheduler.table.state(0) is TaskState.KILLED


def test_killed_tasks_are_never_launched(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 3, ONE))
    scheduler.handle(KillAsked(0.0, (1,)))
    assert [launch.tasks[0][0] for launch in launches(scheduler.handle(offers(BIG)))] == [0, 2]


def test_relaunching_an_ended_task_makes_a_new_attempt(scheduler: Scheduler) -> None:
    flying(scheduler, 1)
    scheduler.handle(Closed(0.0))
    scheduler.handle(ended(0, code=1))
    assert scheduler.handle(RelaunchAsked(0.0, (0,))) == (Revive(ONE),)
    assert launches(scheduler.handle(offers(ONE)))[0].tasks == ((0, 2),)
    assert scheduler.handle(ended(0, attempt=1, code=0)) == ()  # the old attempt is over
    assert scheduler.handle(ended(0, attempt=2)) == (Finish(),)
    assert scheduler.table.reasons == {"exit": 1}


def test_relaunching_a_running_task_ends_it_first(scheduler: Scheduler) -> None:
    flying(scheduler, 1)
    assert scheduler.handle(RelaunchAsked(0.0, (0,))) == (Kill(((0, 1),)),)
    assert not scheduler.is_final_result(0, 1, Reason.USER, None)  # it is history
    assert scheduler.handle(ended(0, reason=Reason.USER, code=None)) == (Revive(ONE),)
    assert scheduler.table.state(0) is TaskState.QUEUED
    assert scheduler.table.attempt(0) == 2


def test_killing_takes_a_relaunch_back(scheduler: Scheduler) -> None:
    flying(scheduler, 1)
    scheduler.handle(RelaunchAsked(0.0, (0,)))
    scheduler.handle(KillAsked(0.0, (0,)))
    scheduler.handle(ended(0, reason=Reason.USER, code=None))
    assert scheduler.table.state(0) is TaskState.KILLED


def test_a_lost_batch_runs_again_and_only_what_was_not_reported(scheduler: Scheduler) -> None:
    warm(scheduler, wall_s=0.1)
    scheduler.handle(TasksAdded(0.0, 6, ONE))
    batch = launches(scheduler.handle(offers(ONE)))[0]
    assert batch.tasks == ((5, 1), (6, 1), (7, 1))
    scheduler.handle(ended(5))
    scheduler.handle(BatchLost(0.0, batch.batch_id))
    assert [scheduler.table.attempt(task) for task in (5, 6, 7)] == [1, 2, 2]
    assert scheduler.attempts_lost == 2


def test_a_task_the_cluster_keeps_losing_is_given_up(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 1, ONE))
    for _ in range(LOST_BOUND):
        batch = launches(scheduler.handle(offers(ONE)))[0]
        last = scheduler.handle(BatchLost(0.0, batch.batch_id))
    assert RecordEnding((UnreportedAttempt(0, LOST_BOUND, "n1"),), TaskState.LOST, Reason.LOST) in last
    assert scheduler.table.state(0) is TaskState.LOST


def test_the_first_result_wins_when_a_lost_attempt_reports_after_all(scheduler: Scheduler) -> None:
    batch = flying(scheduler, 1)[0]
    scheduler.handle(BatchLost(0.0, batch.batch_id))
    scheduler.handle(offers(ONE))
    assert scheduler.handle(ended(0, attempt=1)) == (Kill(((0, 2),)),)
    assert scheduler.handle(ended(0, attempt=2, code=1)) == ()
    assert scheduler.table.state(0) is TaskState.FINISHED


def test_a_partition_can_heal(scheduler: Scheduler) -> None:
    flying(scheduler, 2)
    scheduler.handle(TasksStarted(0.0, ((0, 1), (1, 1))))
    scheduler.handle(NodeUnreachable(0.0, "n1"))
    assert scheduler.table.counts[TaskState.UNREACHABLE] == 2
    scheduler.handle(NodeBack(0.0, "n1"))
    assert scheduler.table.counts[TaskState.RUNNING] == 2


def test_a_refused_move_changes_nothing_and_tells_its_story(scheduler: Scheduler) -> None:
    flying(scheduler, 1)
    scheduler.handle(TasksReturned(0.0, ((0, 1),)))
    before = scheduler.table.states()
    with pytest.raises(RefusedMove, match="never launched; before that: launched, returned") as caught:
        scheduler.handle(ended(0))
    assert caught.value.story == ("launched", "returned")
    assert scheduler.table.states() == before


@pytest.mark.slow
def test_a_million_queued_tasks_are_cheap(scheduler: Scheduler) -> None:
    import tracemalloc

    tracemalloc.start()
    scheduler.handle(TasksAdded(0.0, 1_000_000, ONE))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 10_000_000  # the promise is 200 bytes a task, the parameters apart


def test_an_attempt_lost_long_ago_cannot_end_a_relaunched_task(scheduler: Scheduler) -> None:
    batch = flying(scheduler, 1)[0]
    scheduler.handle(BatchLost(0.0, batch.batch_id))
    scheduler.handle(ended(0, attempt=1))
    scheduler.handle(RelaunchAsked(0.0, (0,)))
    scheduler.handle(ended(0, attempt=1))
    assert scheduler.table.state(0) is TaskState.QUEUED


def test_unstarted_commands_come_back_after_a_partition_too(scheduler: Scheduler) -> None:
    flying(scheduler, 1)
    scheduler.handle(NodeUnreachable(0.0, "n1"))
    scheduler.handle(NodeBack(0.0, "n1"))
    scheduler.handle(TasksReturned(0.0, ((0, 1),)))
    assert scheduler.table.state(0) is TaskState.QUEUED


def test_a_relaunch_of_what_is_handed_back_is_done_with_it(scheduler: Scheduler) -> None:
    flying(scheduler, 1)
    scheduler.handle(RelaunchAsked(0.0, (0,)))
    scheduler.handle(TasksReturned(0.0, ((0, 1),)))
    assert scheduler.is_final_result(0, 1, Reason.EXIT, 0)


@pytest.mark.parametrize("lost", [False, True])
def test_what_was_asked_to_end_never_goes_back_to_the_queue(scheduler: Scheduler, lost: bool) -> None:
    batch = flying(scheduler, 1)[0]
    scheduler.handle(KillAsked(0.0))
    event = BatchLost(0.0, batch.batch_id) if lost else TasksReturned(0.0, ((0, 1),))
    assert scheduler.handle(event) == (RecordEnding((UnreportedAttempt(0, 1, "n1"),), TaskState.KILLED, Reason.USER),)
    assert scheduler.table.state(0) is TaskState.KILLED


def test_a_relaunched_lost_task_may_be_lost_ten_times_again(scheduler: Scheduler) -> None:
    scheduler.handle(TasksAdded(0.0, 1, ONE))
    for _ in range(LOST_BOUND):
        scheduler.handle(BatchLost(0.0, launches(scheduler.handle(offers(ONE)))[0].batch_id))
    scheduler.handle(RelaunchAsked(0.0, (0,)))
    scheduler.handle(BatchLost(0.0, launches(scheduler.handle(offers(ONE)))[0].batch_id))
    assert scheduler.table.state(0) is TaskState.QUEUED
