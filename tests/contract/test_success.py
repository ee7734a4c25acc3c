"""When a task has finished is the user's to define, alike on every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from stratos_jupyter.backend.core.events import Attached, BatchLost
from stratos_jupyter.backend.core.rules import Cause, Halt, Rules
from stratos_jupyter.backend.core.states import IN_FLIGHT, Reason, TaskState
from stratos_jupyter.backend.engines.base import Result
from tests.contract.conftest import Run
from tests.support.waiting import until

#: what engines do that really run something
REAL = pytest.mark.parametrize("engine", ["local", pytest.param("mesos", marks=pytest.mark.mesos)])


def ended(run: Run) -> dict[int, tuple[str, str, int | None, int]]:
    return {row.task: (TaskState(row.state).name, row.reason, row.exit_code, row.attempt) for row in run.rows()}


@pytest.mark.parametrize("run", [Rules(ok_exit=((0, 1), (4, 6)), retries=1, retry_delay_s=0.01)], indirect=True)
def test_codes_that_are_well_finish_a_task_and_are_kept(run: Run) -> None:
    run.add("exit 1", "exit 0", "exit 2", "exit 5", "kill -9 $$")
    run.wait()
    assert ended(run) == {
        0: ("FINISHED", "exit", 1, 1),
        1: ("FINISHED", "exit", 0, 1),
        2: ("FAILED", "exit", 2, 2),
        3: ("FINISHED", "exit", 5, 1),
        4: ("FAILED", "signal", -9, 2),
    }
    assert (run.view[TaskState.FINISHED], run.view.failed) == (3, 2)


@pytest.mark.parametrize("run", [Rules(ok_exit=((3, 3),), halt=Halt(2))], indirect=True)
def test_where_it_is_not_named_zero_is_a_failure_as_any_other(run: Run) -> None:
    run.add("exit 3", "exit 0", "exit 0")
    until(lambda: run.view.done == 3)
    assert ended(run) == {0: ("FINISHED", "exit", 3, 1), 1: ("FAILED", "exit", 0, 1), 2: ("FAILED", "exit", 0, 1)}
    assert "2" in run.view.held


@REAL
@pytest.mark.parametrize("run", [Rules(retries=1, retry_delay_s=0.01, retry_on=(Cause(Reason.OUTPUT),))], indirect=True)
def test_a_task_that_does_not_make_what_it_promises_fails_and_may_be_tried_again(run: Run) -> None:
    run.promised = {0: ["a.fits"], 1: ["b.fits"], 2: ["c.fits", "sub"], 3: ["d"]}
    run.add(
        "case $STRATOS_TASK in *.2) echo x > a.fits;; esac",
        ": > b.fits",
        "mkdir sub && echo x > sub/y && echo x > c.fits",
        "exit 7",
        "echo promises nothing",
    )
    run.wait()
    assert ended(run) == {
        0: ("FINISHED", "exit", 0, 2),
        1: ("FAILED", "output", 0, 2),
        2: ("FINISHED", "exit", 0, 1),
        3: ("FAILED", "exit", 7, 1),
        4: ("FINISHED", "exit", 0, 1),
    }
    notes = {row.task: [one.note for one in run.journal.attempts(row.task)] for row in run.rows()}
    assert notes == {0: ["a.fits was not made", ""], 1: ["b.fits is empty"] * 2, 2: [""], 3: [""], 4: [""]}
    assert run.view.reasons == {"exit": 4, "output": 1}


@REAL
def test_a_task_that_says_what_it_must_not_fails(run: Run) -> None:
    run.fields["fail_on"] = [["stderr", "^Error"], ["stdout", r"nan\b"]]
    run.add("echo fine; echo no Error >&2", "echo Error: gone >&2", "echo 1 nan 2", "echo Error >&2; exit 3")
    run.wait()
    assert {task: end[:3] for task, end in ended(run).items()} == {
        0: ("FINISHED", "exit", 0),
        1: ("FAILED", "output", 0),
        2: ("FAILED", "output", 0),
        3: ("FAILED", "exit", 3),
    }
    notes = {row.task: row.note for row in run.rows()}
    assert notes == {0: "", 1: "stderr matches ^Error: Error: gone", 2: r"stdout matches nan\b: 1 nan 2", 3: ""}


@pytest.mark.parametrize("run", [Rules(retries=1, retry_delay_s=0.01)], indirect=True)
def test_results_that_are_judged_count_as_they_are_found(run: Run) -> None:
    waiting: list[Callable[[], object]] = []

    def judge(results: Sequence[Result], take: Callable[[Sequence[Result]], None]) -> bool:
        found = [
            one._replace(reason=Reason.OUTPUT, note="no number") if one.stdout == b"a\n" else one for one in results
        ]
        waiting.append(lambda: take(found))
        return True

    run.judge = judge
    run.add("echo a", "echo 1")
    until(lambda: waiting)
    assert run.rows() == []  # nothing counts, and nothing is acknowledged, before it is judged

    def all_judged() -> bool:
        for done in [waiting.pop(0) for _ in list(waiting)]:
            run.driver.call(done)
        return run.view.done == 2

    until(all_judged)
    assert ended(run) == {0: ("FAILED", "output", 0, 2), 1: ("FINISHED", "exit", 0, 1)}
    assert [row.note for row in run.journal.attempts(0)] == ["no number", "no number"]
    run.judge = lambda results, take: False


@pytest.mark.parametrize("engine", ["scripted", "local"])
def test_what_waits_to_be_judged_is_not_lost_by_what_is_heard_after_it(run: Run) -> None:
    waiting: list[Callable[[], object]] = []

    def judge(results: Sequence[Result], take: Callable[[Sequence[Result]], None]) -> bool:
        waiting.append(lambda: take(results))
        return True

    run.judge = judge
    run.add("echo a")
    until(lambda: waiting)
    run.driver.call(lambda: run.loop.post(Attached(run.loop.now())))  # nobody has the attempt any more
    run.driver.call(lambda: run.loop.post(BatchLost(run.loop.now(), 1)))
    assert run.state(0) in IN_FLIGHT
    run.judge = lambda results, take: False
    for done in waiting:
        run.driver.call(done)
    run.wait()
    assert ended(run) == {0: ("FINISHED", "exit", 0, 1)}
    assert run.view.attempts_lost == 0
