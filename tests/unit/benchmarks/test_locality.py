"""A small edition of the benchmark's cluster: what waiting gains and what it costs."""

from __future__ import annotations

import importlib.util
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "locality.py"
    spec = importlib.util.spec_from_file_location("benchmarks_locality", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


def plan(bench: ModuleType, **changes: float) -> object:
    chosen = Namespace(
        nodes=20, slots=4, tasks=1000, replicas=3, holders=0, shortest=2.0, longest=20.0, taken=0.5, remote=1.0
    )
    return bench.planned(Namespace(**vars(chosen) | changes), seed=1)


def test_nearly_all_is_local_and_nothing_is_slower(bench: ModuleType) -> None:
    made = plan(bench)
    greedy, waiting = (bench.Cluster(made, wait_s, True).go() for wait_s in (0.0, 3.0))
    assert waiting.local >= 0.97 * 1000
    assert waiting.local >= greedy.local
    assert waiting.makespan_s <= 1.03 * greedy.makespan_s


def test_what_is_slower_elsewhere_is_waited_for(bench: ModuleType) -> None:
    made = plan(bench, remote=3.0, replicas=1, taken=0.0, shortest=0.5, longest=1.5)
    greedy, waiting = (bench.Cluster(made, wait_s, True).go() for wait_s in (0.0, 3.0))
    unknown = bench.Cluster(made, 3.0, False).go()
    assert waiting.local > greedy.local > 10 * unknown.local
    assert waiting.makespan_s < 0.6 * unknown.makespan_s


def test_one_node_that_has_it_all_traps_nobody(bench: ModuleType) -> None:
    """SPARK-18886: 500 tasks on the one executor that had their inputs, 499 idle."""
    made = plan(bench, holders=1, replicas=1, taken=0.0, shortest=0.3, longest=0.7)
    greedy, waiting = (bench.Cluster(made, wait_s, True).go() for wait_s in (0.0, 3.0))
    assert waiting.makespan_s <= 1.1 * greedy.makespan_s
