"""A job as text."""

from __future__ import annotations

from typing import Any

import pytest

from stratos_jupyter.backend.core.states import Reason
from stratos_jupyter.report.text import (
    MAX_TEXT,
    clean,
    facts,
    failure_reasons,
    moment_text,
    plain_text,
    ranges_text,
    state_text,
)
from tests.support.hostile_text import HOSTILE, view_of


def test_one_line_says_how_far_how_fast_how_long() -> None:
    view = view_of(finished=809, failed=3, running=2, queued=186, rate_per_s=140.2, eta_s=1.24)
    assert plain_text(view) == (
        "demo run 1 on local[2]: 812/1,000 done (3 failed), 140/s, 1.2 s left  [################....]"
    )


def test_one_line_of_a_job_that_has_ended_says_how_long_it_took() -> None:
    view = view_of(finished=1000, ended_at=1125.0, rate_per_s=140.0, at_s=5000.0)
    assert plain_text(view) == "demo run 1 on local[2]: 1,000/1,000 done in 2 min 05 s  [####################]"


def test_one_line_of_a_job_without_tasks() -> None:
    assert plain_text(view_of()) == "demo run 1 on local[2]: 0/0 done  [....................]"


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, ("no tasks yet", "idle")),
        ({"queued": 3}, ("queued", "idle")),
        ({"queued": 3, "finished": 1}, ("queued", "idle")),
        ({"staging": 1}, ("running", "live")),
        ({"running": 1, "failed": 1}, ("running", "live")),
        ({"unreachable": 1, "queued": 9}, ("nodes unreachable", "bad")),
        ({"finished": 2}, ("waits for more tasks", "idle")),
        ({"finished": 2, "ended_at": 1001.0}, ("finished", "good")),
        ({"finished": 2, "killed": 1, "ended_at": 1001.0}, ("stopped", "stopped")),
        ({"finished": 2, "killed": 1, "failed": 1, "ended_at": 1001.0}, ("ended with failures", "bad")),
        ({"finished": 2, "lost": 1, "ended_at": 1001.0}, ("ended with failures", "bad")),
    ],
)
def test_a_job_s_state_in_words(counts: dict[str, Any], expected: tuple[str, str]) -> None:
    assert state_text(view_of(**counts)) == expected


def test_exit_code_0_is_no_failure() -> None:
    view = view_of(finished=90, failed=8, killed=2, reasons={Reason.EXIT: 93, Reason.TIMEOUT: 5, Reason.USER: 2})
    assert failure_reasons(view) == {"timed out": 5, "by exit code": 3, "killed": 2}
    assert failure_reasons(view_of(finished=90, reasons={Reason.EXIT: 90})) == {}


def test_every_reason_has_its_words() -> None:
    for reason in Reason:
        assert failure_reasons(view_of(failed=1, reasons={reason: 1}))


@pytest.mark.parametrize("text", HOSTILE)
def test_cleaned_text_is_one_short_line_that_any_page_can_hold(text: str) -> None:
    shown = clean(text)
    shown.encode()  # no lone surrogates
    assert shown.isprintable() or "🌌" in shown
    assert len(clean("a" * 500)) == MAX_TEXT
    assert clean("plain, Zürich 🌌") == "plain, Zürich 🌌"


def test_what_cannot_be_shown_is_spelled_out() -> None:
    assert clean("e" + "\u0301" * 90) == "e" + "\u0301" * 3
    assert clean("a\nb\udcff\u202e\x1b") == "a↵b\\xff\\u202e\\x1b"


def test_a_time_that_no_calendar_has_is_a_number() -> None:
    assert moment_text(0) == "1970-01-01 00:00:00 UTC"
    assert moment_text(1e300) == "1e+300 s"


def test_the_facts_say_what_there_is_to_say() -> None:
    view = view_of(
        finished=3, failed=1, running=1, rate_per_s=2.0, eta_s=5.0, nodes=2, attempts_lost=3, attempts_retried=4
    )
    assert dict(facts(view)) == {
        "Done": "4 of 5",
        "Failed": "1",
        "Submitted": "1970-01-01 00:16:40 UTC",
        "Elapsed": "5.8 s",
        "Speed": "2.0/s",
        "Left": "about 5.0 s",
        "Nodes": "2",
        "Attempts retried": "4",
        "Attempts lost": "3 (by the cluster, not by the commands)",
    }
    assert {"Speed", "Left"}.isdisjoint(dict(facts(view_of(finished=1, ended_at=1001.0, rate_per_s=2.0))))


def test_indices_are_named_as_relaunch_reads_them() -> None:
    assert ranges_text([3, 4, 5, 9]) == "3-5,9"
    assert ranges_text(range(0, 100, 2)) == "0,2,4,6 …"
