"""What a job may ask for: all that is wrong is said at once, with the cure."""

from __future__ import annotations

from typing import Any

import pytest

from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.spec.job_spec import JobSpec, OutputMode
from stratos_jupyter.errors import SpecError

NAN, ENDLESS = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"job_id": "-x"}, r"job name '-x': use 1 to 100 letters"),
        ({"threads": 0}, "--threads must be a finite number above 0, got 0"),
        ({"threads": NAN}, "--threads must be a finite number above 0, got nan"),
        ({"mem_mib": -1}, "--mem must be a finite number of MiB, 0 or more, got -1"),
        ({"disk_mib": ENDLESS}, "--disk must be a finite number of MiB, 0 or more, got inf"),
        ({"gpus": -1}, "--gpus must be a finite number, 0 or more, got -1"),
        ({"timeout_s": 0}, "--timeout must be above 0 s, got 0"),
        ({"linger_s": NAN}, "--linger must be 0 s or more, got nan"),
        ({"output": OutputMode.DISK}, "--log-dir DIR"),
        ({"output": OutputMode.NONE, "parse": "tsv"}, "--output none sends nothing back that could be parsed"),
        ({"output_limit": 0}, "output_limit must be above 0 bytes, got 0"),
        ({"update_interval_s": 0}, "--update-interval must be above 0 s, got 0"),
        ({"relauncher": "halve"}, "--relauncher needs a monitor"),
        ({"rules": Rules(retries=-1)}, "--retries must be 0 to 10,000, got -1"),
        ({"env": (("A-B", "1"),)}, "environment variable 'A-B': not a name"),
        ({"env": (("A", "\0"),)}, "environment variable A: its value holds a NUL byte"),
        ({"columns": (("state", "int"),)}, "column 'state' is there already"),
        ({"columns": (("x", "int"), ("x", "str"))}, "column 'x' is named twice"),
        ({"columns": (("x", "complex"),)}, "column 'x': dtype 'complex' is none of int, float, str, bool"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        JobSpec(**fields).check({"state"})


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SpecError, match=r"--threads .*; --mem .*; --gpus "):
        JobSpec(threads=0, mem_mib=-1, gpus=NAN).check(())


#: what the first records have; a version that knows no more refuses a record with more
FIRST = (
    "job_id master role threads mem_mib disk_mib gpus output log_directory timeout_s linger_s priority cwd env where "
    "parse columns output_limit monitor monitor_source relauncher update_interval_s rules hdfs mounts fetch shell "
    "makes fail_on threads_given"
)
FIRST_RULES = (
    "retries retry_on retry_delay_s mem_most_mib timeout_share halt max_tasks rate_per_s delay_s "
    "locality_wait_s ok_exit"
)


def test_a_record_that_uses_nothing_new_is_read_by_earlier_versions() -> None:
    record = JobSpec("demo").to_record()
    assert set(record) == set(FIRST.split())
    assert set(record["rules"]) == set(FIRST_RULES.split())
    assert JobSpec.from_record(record) == JobSpec("demo")


def test_what_is_new_is_recorded_where_it_is_used() -> None:
    record = JobSpec("demo", nice=5).to_record()
    assert record["nice"] == 5
    assert JobSpec.from_record(record).nice == 5
