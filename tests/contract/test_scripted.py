"""What only a cluster that obeys can be made to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from stratos_jupyter.backend.core.events import KillAsked
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.engines.base import Result
from tests.contract.conftest import Run
from tests.support.waiting import until


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run("scripted", tmp_path)
    yield run
    run.check()
    run.end()


def test_results_that_come_twice_are_recorded_once(run: Run) -> None:
    post_results = run.loop.post_results

    def twice(results: Sequence[Result], acknowledge: Callable[[], None]) -> None:
        post_results(results, lambda: None)
        post_results(results, acknowledge)

    run.loop.post_results = twice
    run.add(*(f"echo {i}" for i in range(20)))
    run.wait()
    until(lambda: not run.loop.engine.unacknowledged)
    assert sorted(row.task for row in run.rows()) == list(range(20))


def test_what_was_not_acknowledged_is_delivered_again(run: Run) -> None:
    post_results = run.loop.post_results
    run.loop.post_results = lambda results, acknowledge: None  # lost on the way
    run.add("echo x")
    until(lambda: run.loop.engine.unacknowledged)
    run.loop.post_results = post_results
    run.driver.call(run.loop.engine.deliver_again)
    run.wait()
    assert [row.stdout for row in run.rows()] == [b"x\n"]


def test_a_lost_batch_runs_again(run: Run) -> None:
    run.add("sleep 1000")
    until(lambda: run.state(0) is TaskState.RUNNING)
    engine = run.loop.engine
    run.driver.call(lambda: engine.lose(engine.batches[0]))
    until(lambda: run.state(0) is TaskState.RUNNING)
    view = run.driver.call(run.loop.view)
    assert view.attempts_lost == 1
    run.post(KillAsked)
    run.wait()
    assert [row.attempt for row in run.rows()] == [2]
