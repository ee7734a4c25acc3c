"""Records of attempts: their positions are declared once, and the lists on the wire are as they ever were."""

from __future__ import annotations

import inspect
import json

import pytest

from stratos_jupyter.backend.core.states import Reason
from stratos_jupyter.backend.engines.base import Result
from stratos_jupyter.backend.engines.executor_records import result_of
from stratos_jupyter.backend.executor import record

SHORT = [3, 2, 7, "signal", 9, 1.0, 2.5, 0.25, 5.0, "out\udcff", {"path": "/e", "size": 4}, "a \udcff note"]


def positions() -> dict[int, str]:
    names = {name: value for name, value in vars(record).items() if name.isupper() and type(value) is int}
    return {value: name for name, value in names.items() if name not in ("PID", "RUNS_SINCE")}


def test_the_positions_are_those_of_the_record() -> None:
    fields = list(inspect.signature(record.ended_record).parameters)
    assert [positions()[place].lower() for place in range(len(fields))] == fields
    full = record.ended_record(*range(12), commands=["c"], inputs=["i"])
    assert full == [*range(12), ["c"], ["i"]]
    running = list(inspect.signature(record.started_record).parameters)
    assert [running[place] for place in (record.TASK, record.ATTEMPT, record.PID, record.RUNS_SINCE)] == running
    assert record.started_record(3, 2, 77, 1.5) == [3, 2, 77, 1.5]


@pytest.mark.parametrize(
    ("more", "wire"),
    [
        ({}, SHORT),
        ({"commands": ("a", "b")}, [*SHORT, ["a", "b"]]),
        ({"inputs": ["k"]}, [*SHORT, [], ["k"]]),
        ({"commands": ["a"], "inputs": ["k", "before"]}, [*SHORT, ["a"], ["k", "before"]]),
    ],
)
def test_what_is_written_is_what_is_read(more: dict[str, list[str]], wire: list[object]) -> None:
    sent = record.ended_record(*SHORT, **more)  # type: ignore[arg-type]
    assert sent == wire
    assert json.loads(json.dumps(sent)) == wire
    assert result_of(sent, "n1") == Result(
        task=3,
        attempt=2,
        node="n1",
        reason=Reason.SIGNAL,
        code=9,
        started_at=1.0,
        finished_at=2.5,
        cpu_s=0.25,
        max_rss_mib=5.0,
        stdout=b"out\xff",
        stderr=None,
        stdout_path="",
        stderr_path="/e",
        stdout_size=4,
        stderr_size=4,
        note="a \\udcff note",
        commands=tuple(more.get("commands", ())),
        inputs=tuple(more.get("inputs", ())),
    )


def test_a_record_of_what_never_started_says_nothing_of_it() -> None:
    assert record.ended_record(1, 2, 3, record.RETURNED, None, None, 9.0) == [
        *(1, 2, 3, "returned", None, None, 9.0, 0.0, 0.0, None, None, ""),
    ]
    assert record.RETURNED not in {reason.value for reason in Reason}


def test_a_newer_executor_may_say_more() -> None:
    sent = [*record.ended_record(*SHORT, commands=["a"], inputs=["k"]), "of a later version"]  # type: ignore[arg-type]
    assert result_of(sent, "n1").inputs == ("k",)
