"""The order of the tests, and which of them go to one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.distribution import LONGEST, ONE_BY_ONE, processes

ROOT = Path(__file__).parents[3]


def test_the_files_that_are_named_are_there() -> None:
    for file in (*LONGEST, *ONE_BY_ONE):
        assert (ROOT / file).is_file(), f"{file} is gone: mend tests/support/distribution.py"


@pytest.mark.parametrize(("processors", "started"), [(1, 2), (2, 4), (3, 4), (4, 4), (16, 16)])
def test_few_processors_have_more_processes_for_tests_mostly_wait(processors: int, started: int) -> None:
    assert processes(processors) == started
