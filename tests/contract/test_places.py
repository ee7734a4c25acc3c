"""Tasks and the nodes that hold their inputs, on the scripted engine: through the loop, the journal and a replay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.core.events import InputLocation, InputsLocated, OfferUnfit, PauseAsked, TasksAdded
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.engines.base import Engine, Sink
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.workload import CommandEnv
from tests.contract.conftest import Run
from tests.support.scripted_engine import Outcome, ScriptedEngine
from tests.support.waiting import until

NODES, SLOTS, TASKS = 20, 4, 2000


class ClusterRun(Run):
    """Twenty nodes on which a command takes 5 ms."""

    def _engine(self, sink: Sink) -> Engine:
        nodes = {f"n{number}": Resources(float(SLOTS)) for number in range(NODES)}
        return ScriptedEngine(sink, self, lambda *_: Outcome(after_s=0.005), nodes, self.driver.loop)

    def add_sought(self, count: int) -> range:
        made = explicit_commands(["true"] * count)
        tasks = self.workload.add(made, CommandEnv(str(self.folder), {}))
        event = TasksAdded(self.loop.now(), len(tasks), Resources(1.0), sought=True)
        self.driver.call(lambda: self.loop.add(event, tasks.start, made.to_record))
        return tasks

    def tell(self, *places: InputLocation) -> None:
        self.driver.post(lambda: self.loop.post(InputsLocated(self.loop.now(), places)))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[ClusterRun]:
    run = ClusterRun("scripted", tmp_path, rules=Rules(locality_wait_s=0.3))
    yield run
    run.check()
    run.check_replay()
    run.end()


def test_a_large_job_runs_where_its_inputs_lie(run: ClusterRun) -> None:
    tasks = run.add_sought(TASKS)
    for first in range(0, TASKS, 100):  # in pieces, as they are found
        run.tell(
            *(
                InputLocation(task, 10, ((f"N{task % NODES}", 10), ("elsewhere", 4)))
                for task in range(first, first + 100)
            )
        )
    run.wait(tasks)
    fractions = [row.local_fraction for row in run.rows()]
    assert len(fractions) == TASKS
    assert set(fractions) <= {0.0, 1.0}
    assert sum(fractions) >= 0.95 * TASKS
    assert all(row.local_fraction == (row.node == f"n{row.task % NODES}") for row in run.rows())
    assert run.view.local_bytes + run.view.remote_bytes == 10 * TASKS
    assert run.view.local_bytes == 10 * sum(fractions)


def test_all_on_one_node_does_not_hold_the_job_there(run: ClusterRun) -> None:
    tasks = run.add_sought(TASKS)
    run.tell(*(InputLocation(task, 10, (("n7", 10),)) for task in tasks))
    run.wait(tasks)
    assert len({row.node for row in run.rows()}) == NODES
    assert 0 < run.view.local_bytes < run.view.remote_bytes


def test_what_lies_on_no_node_of_the_cluster_runs_after_the_wait(run: ClusterRun) -> None:
    tasks = run.add_sought(50)
    run.tell(*(InputLocation(task, 10, (("gone", 10),)) for task in tasks))
    run.wait(tasks)
    assert {row.local_fraction for row in run.rows()} == {0.0}
    assert run.view.waited_s > 0


def test_nobody_knows_where_the_inputs_lie(run: ClusterRun) -> None:
    tasks = run.add_sought(50)
    run.tell(*(InputLocation(task, 0, ()) for task in tasks))
    run.wait(tasks)
    assert {row.local_fraction for row in run.rows()} == {None}
    assert (run.view.local_bytes, run.view.remote_bytes) == (0, 0)


def test_the_loop_can_say_why(run: ClusterRun) -> None:
    run.post(PauseAsked)
    run.post(lambda at_s: OfferUnfit(at_s, "n1", "rack"))
    run.add_sought(1)
    until(lambda: run.driver.call(lambda: run.loop.why(0)) == [
        "nothing is launched: paused; %stratos resume contract goes on"
    ])  # fmt: skip
