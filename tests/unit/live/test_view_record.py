"""What the browser gets of a job's view."""

from __future__ import annotations

import json
from dataclasses import replace

from stratos_jupyter.live.view_record import view_record
from tests.support.views import view_at


def test_the_record_is_json_and_small_whatever_the_job() -> None:
    million = view_at(500_000, 1_000_000, failed=1000)
    hostile = replace(million, job_id="\udcff" * 10**6, notices=("x" * 10**6,) * 1000)
    assert len(json.dumps(view_record(million, 2000.0))) < 1000
    assert len(json.dumps(view_record(hostile, 2000.0)).encode()) < 8000


def test_the_record_counts_by_the_names_of_states() -> None:
    record = view_record(view_at(60, failed=3), 1060.0)
    assert record["counts"] == {
        "queued": 40,
        "staging": 0,
        "running": 0,
        "unreachable": 0,
        "finished": 57,
        "failed": 3,
        "killed": 0,
        "lost": 0,
    }
    assert (record["total"], record["done"], record["failed"]) == (100, 60, 3)
    assert record["reasons"] == {"by exit code": 3}


def test_the_record_is_of_its_own_moment() -> None:
    record = view_record(view_at(60), 1062.0)  # two seconds after the snapshot, of which nobody heard since
    assert (record["elapsed"], record["eta"], record["at_s"]) == (62.0, 2.0, 1062.0)


def test_an_ended_job_grows_no_older() -> None:
    record = view_record(view_at(100), 9000.0)
    assert (record["elapsed"], record["ended"], record["ended_at"]) == (100.0, True, 1100.0)


def test_the_record_says_where_inputs_lay_once_that_is_known() -> None:
    assert (view_record(view_at(60), 0.0)["local"], view_record(view_at(60), 0.0)["inputs"]) == (None, "")
    known = replace(view_at(60), local_bytes=3 << 20, remote_bytes=1 << 20, waited_s=12.0)
    record = view_record(known, 0.0)
    assert record["local"] == 0.75
    assert record["inputs"] == "75.0 % of 4.0 MiB local, 12 s of all tasks together waited for that"
