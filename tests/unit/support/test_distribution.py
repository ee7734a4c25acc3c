"""The order of the tests, and which of them go to one process."""

from __future__ import annotations

from pathlib import Path

from tests.support.distribution import LONGEST, ONE_BY_ONE

ROOT = Path(__file__).parents[3]


def test_the_files_that_are_named_are_there() -> None:
    for file in (*LONGEST, *ONE_BY_ONE):
        assert (ROOT / file).is_file(), f"{file} is gone: mend tests/support/distribution.py"
