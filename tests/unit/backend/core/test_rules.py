"""Retries, limits and pace: the books behind the scheduler, and how they are written."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.core.batching import KNOWN_AFTER, Median
from stratos_jupyter.backend.core.launch_throttle import LaunchThrottle
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.retries import RETRY_MOST_S, Retries
from stratos_jupyter.backend.core.rules import OWN_FAILURES, Cause, Halt, Rules
from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.spec.options import NAMED
from stratos_jupyter.backend.spec.parse_rules import (
    codes_text,
    fail_on_text,
    parse_count,
    parse_fail_on,
    parse_halt,
    parse_linger,
    parse_memory,
    parse_ok_exit,
    parse_rate,
    parse_retries,
    parse_retry_on,
    parse_timeout,
)
from stratos_jupyter.errors import SpecError

BASE = Resources(1, 2048)


# --- which failures are tried again ---


@pytest.mark.parametrize("reason", list(Reason))
def test_only_a_tasks_own_failures_are_tried_again(reason: Reason) -> None:
    code = 1 if reason is Reason.EXIT else None
    assert Rules(retries=1).retry_for(reason, code) is (reason in OWN_FAILURES)


def test_success_is_no_failure() -> None:
    assert not Rules().retry_for(Reason.EXIT, 0)
    assert not Rules(retry_on=(Cause(Reason.EXIT),)).retry_for(Reason.EXIT, 0)


def test_what_is_said_of_failures_to_retry_on_names_all_of_them() -> None:
    with pytest.raises(SpecError) as caught:
        parse_retry_on("hope")
    for told in (str(caught.value), NAMED["retry_on"].help, NAMED["retry_on"].manual):
        assert [reason for reason in OWN_FAILURES if not re.search(rf"\b{reason}\b", told)] == []


def test_what_to_retry_on_can_be_narrowed() -> None:
    rules = Rules(retry_on=parse_retry_on("exit:1,137,signal:9,timeout"))
    wanted = [(Reason.EXIT, 1), (Reason.EXIT, 137), (Reason.SIGNAL, 9), (Reason.TIMEOUT, None)]
    assert all(rules.retry_for(*failure) for failure in wanted)
    assert Rules(retry_on=parse_retry_on("exit:137")).retry_for(Reason.SIGNAL, 9)
    assert not Rules(retry_on=parse_retry_on("exit:1")).retry_for(Reason.SIGNAL, 9)
    assert not any(rules.retry_for(*failure) for failure in [(Reason.EXIT, 2), (Reason.SIGNAL, 11), (Reason.MEMORY, 1)])


def test_the_wait_grows_is_jittered_and_has_a_bound() -> None:
    retries = Retries(Rules(retries=50, retry_delay_s=1.0))
    waits = [retries.spend(0, attempt, Reason.EXIT, BASE, 100.0) - 100.0 for attempt in range(1, 20)]
    longest = [min(RETRY_MOST_S, 2.0**n) for n in range(19)]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, longest, strict=True))
    others = {round(Retries(Rules(retries=1)).spend(task, 1, Reason.EXIT, BASE, 0.0), 6) for task in range(100)}
    assert len(others) > 90  # what failed together does not come back together


def test_retries_are_spent() -> None:
    retries = Retries(Rules(retries=2))
    for attempt in (1, 2):
        assert retries.again(0, Reason.EXIT, 1, BASE)
        retries.spend(0, attempt, Reason.EXIT, BASE, 0.0)
    assert not retries.again(0, Reason.EXIT, 1, BASE)
    assert retries.again(1, Reason.EXIT, 1, BASE)
    retries.forget(0)
    assert retries.again(0, Reason.EXIT, 1, BASE)


def test_memory_doubles_after_death_of_memory_and_of_nothing_else() -> None:
    retries = Retries(Rules(retries=1, mem_most_mib=10_000))
    assert retries.again(0, Reason.EXIT, 1, BASE)
    retries.spend(0, 1, Reason.EXIT, BASE, 0.0)
    assert retries.demand(0, BASE) == BASE
    sizes = []
    attempt = 2
    while retries.again(0, Reason.MEMORY, None, BASE):
        assert retries.spend(0, attempt, Reason.MEMORY, BASE, 5.0) == 5.0  # it does not wait
        sizes.append(retries.demand(0, BASE).mem_mib)
        attempt += 1
    assert sizes == [4096, 8192, 10_000]
    assert retries.demand(1, BASE) == BASE


def test_at_the_most_memory_a_retry_is_a_retry() -> None:
    retries = Retries(Rules(retries=1, mem_most_mib=2048))
    assert retries.again(0, Reason.MEMORY, None, BASE)
    assert retries.spend(0, 1, Reason.MEMORY, BASE, 0.0) > 0.0
    assert not retries.again(0, Reason.MEMORY, None, BASE)


def test_who_rests_is_called_in_time_and_once() -> None:
    retries = Retries(Rules())
    retries.rest(3, 2.0)
    retries.rest(1, 1.0)
    retries.rest(2, 1.5)
    assert retries.next_s == 1.0
    assert retries.wake(1)
    assert not retries.wake(1)
    assert retries.next_s == 1.5
    assert retries.rested(1.9) == [2]
    retries.rest(1, 5.0)
    assert retries.rested(9.0) == [3, 1]
    assert retries.backing_off == set()


# --- the gate ---


def launch(gate: LaunchThrottle, at_s: float, running: int = 0) -> int:
    """Launch all that may be launched, and return how many that was."""
    count = 0
    while (room := gate.room(at_s, running + count)) != 0:
        assert room is None or room > 0
        gate.launched(at_s)
        count += 1
        if count > 10_000:
            return count
    return count


def test_an_open_gate_bounds_nothing() -> None:
    gate = LaunchThrottle(Rules())
    assert gate.room(0.0, 1_000_000) is None
    assert gate.opens_at(0.0, 0) is None


def test_only_so_many_at_once() -> None:
    gate = LaunchThrottle(Rules(max_tasks=3))
    assert [gate.room(0.0, running) for running in (0, 2, 3, 5)] == [3, 1, 0, 0]


def test_a_rate_is_kept_however_often_it_is_asked() -> None:
    gate = LaunchThrottle(Rules(rate_per_s=10))
    launched = sum(launch(gate, 0.013 * step) for step in range(1000))  # 13 s
    assert 130 <= launched <= 132


def test_a_high_rate_lets_small_bursts_through() -> None:
    gate = LaunchThrottle(Rules(rate_per_s=1000))
    assert launch(gate, 0.0) == 1
    assert launch(gate, 7.0) == 101  # a tenth of a second's worth
    assert launch(gate, 7.05) == 50


def test_a_delay_keeps_launches_apart() -> None:
    gate = LaunchThrottle(Rules(delay_s=0.5))
    assert [launch(gate, at_s) for at_s in (0.0, 0.1, 0.49, 0.5, 0.6, 5.0)] == [1, 0, 0, 1, 0, 1]


@given(st.sampled_from([0.1, 3.0, 10.0, 250.0]), st.sampled_from([0.0, 0.02, 1.0]), st.sampled_from([0.0, 3.7, 1.7e9]))
def test_the_gate_opens_when_it_said(rate: float, delay_s: float, at_s: float) -> None:
    gate = LaunchThrottle(Rules(rate_per_s=rate, delay_s=delay_s))
    for _ in range(20):
        assert launch(gate, at_s) > 0
        opens_at = gate.opens_at(at_s, 0)
        assert opens_at is not None
        assert opens_at > at_s
        at_s = opens_at


def test_failures_halt_and_the_user_goes_on() -> None:
    gate = LaunchThrottle(Rules(halt=Halt(2)))
    assert gate.ended(True) == ""
    assert gate.ended(False) == ""
    assert gate.ended(True) == "halted after 2 failed"
    assert gate.room(0.0, 0) == 0
    assert gate.ended(True) == ""  # said once
    gate.resume()
    assert gate.room(0.0, 0) is None
    assert gate.ended(True) == ""  # counted from here on
    assert gate.ended(True)


def test_a_part_that_failed_halts_once_there_are_enough() -> None:
    gate = LaunchThrottle(Rules(halt=Halt(3, 0.1)))
    assert [gate.ended(failed) for failed in (True, True)] == ["", ""]
    for _ in range(28):
        gate.ended(False)
    assert gate.ended(True) == ""  # 3 of 31
    gate = LaunchThrottle(Rules(halt=Halt(3, 0.1)))
    assert [bool(gate.ended(failed)) for failed in [False] * 20 + [True] * 3] == [False] * 22 + [True]
    assert gate.held == "halted after 3 of 23 failed"


def test_a_pause_does_not_hide_a_halt() -> None:
    gate = LaunchThrottle(Rules(halt=Halt(1)))
    gate.ended(True)
    gate.pause("paused")
    assert gate.held == "halted after 1 failed"


def test_the_median() -> None:
    median = Median()
    for wall_s in [5.0, 1.0, 3.0, 2.0]:
        median.add(wall_s)
    assert median.median_s is None
    assert KNOWN_AFTER == 5
    median.add(100.0)
    assert median.median_s == 3.0
    median.add(4.0)
    assert median.median_s == 3.5


# --- as they are written ---


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_halt, "5", Halt(5)),
        (parse_halt, "10%", Halt(3, 0.1)),
        (parse_halt, "100 %", Halt(3, 1.0)),
        (parse_halt, "", None),
        (parse_rate, "10/s", 10.0),
        (parse_rate, "10", 10.0),
        (parse_rate, "30/m", 0.5),
        (parse_rate, "none", None),
        (parse_count, "8", 8),
        (parse_count, "none", None),
        (parse_retries, "0", 0),
        (parse_timeout, "90s", (90.0, None)),
        (parse_timeout, "1.5m", (90.0, None)),
        (parse_timeout, "250%", (None, 2.5)),
        (parse_timeout, "", (None, None)),
        (parse_timeout, "none", (None, None)),
        (parse_linger, "10s", 10.0),
        (parse_linger, "0", 0.0),
        (parse_linger, "", None),
        (parse_linger, "none", None),
        (parse_memory, "2G", (2048.0, 0.0)),
        (parse_memory, "512..2G", (512.0, 2048.0)),
        (parse_retry_on, "", ()),
        (parse_retry_on, "exit", (Cause(Reason.EXIT),)),
        (parse_retry_on, "1,2", (Cause(Reason.EXIT, 1), Cause(Reason.EXIT, 2))),
        (parse_retry_on, "signal:9,11", (Cause(Reason.SIGNAL, 9), Cause(Reason.SIGNAL, 11))),
        (
            parse_retry_on,
            "exit:1,137, signal,timeout,memory,disk",
            (
                *(Cause(Reason.EXIT, 1), Cause(Reason.EXIT, 137), Cause(Reason.SIGNAL)),
                *(Cause(Reason.TIMEOUT), Cause(Reason.MEMORY), Cause(Reason.DISK)),
            ),
        ),
    ],
)
def test_what_is_written_is_read(parse, text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "cure"),
    [
        (parse_halt, "0", "write 5, or 10%"),
        (parse_halt, "0%", "write 5, or 10%"),
        (parse_halt, "101%", "write 5, or 10%"),
        (parse_halt, "-1", "write 5, or 10%"),
        (parse_rate, "0", "write 10/s"),
        (parse_rate, "fast", "write 10/s"),
        (parse_rate, "10/week", "write 10/s"),
        (parse_count, "0", "1 or more"),
        (parse_count, "1.5", "1 or more"),
        (parse_retries, "-1", "0 to 10,000"),
        (parse_timeout, "50%", "more than 100%"),
        (parse_timeout, "soon", "90s"),
        (parse_linger, "for ever", "90s"),
        (parse_linger, "-1", "90s"),
        (parse_memory, "16G..2G", "2G..16G"),
        (parse_memory, "0..2G", "2G..16G"),
        (parse_memory, "2G..", "2G.*write 512"),
        (parse_retry_on, "lost", "exit, exit:1"),
        (parse_retry_on, "user", "exit, exit:1"),
        (parse_retry_on, "timeout:5", "exit, exit:1"),
        (parse_retry_on, "exit:x", "exit, exit:1"),
        (parse_retry_on, "exit:", "exit, exit:1"),
        (parse_retry_on, "exit:0", "exit, exit:1"),
        (parse_retry_on, " ", "exit, exit:1"),
        (parse_retry_on, "exit,", "exit, exit:1"),
        (parse_retries, "10001", "0 to 10,000"),
    ],
)
def test_what_cannot_be_read_says_the_cure(parse, text: str, cure: str) -> None:
    with pytest.raises(SpecError, match=cure):
        parse(text)


@given(
    st.builds(
        Rules,
        retries=st.integers(0, 9),
        retry_on=st.lists(st.builds(Cause, st.sampled_from(sorted(OWN_FAILURES)), st.none() | st.integers(1, 9))).map(
            tuple
        ),
        halt=st.none() | st.builds(Halt, st.integers(1, 9), st.floats(0, 1)),
        max_tasks=st.none() | st.integers(1, 9),
    )
)
def test_rules_come_back_from_their_record(rules: Rules) -> None:
    assert Rules.from_record(rules.to_record()) == rules


# --- when a task has finished ---


@pytest.mark.parametrize(
    ("text", "codes"),
    [("", ((0, 0),)), ("0", ((0, 0),)), ("0,1", ((0, 1),)), ("1", ((1, 1),)), (" 4 - 6 , 0 ", ((0, 0), (4, 6))),
     ("0-255", ((0, 255),)), ("1,1,3,2", ((1, 3),))],
)  # fmt: skip
def test_codes_that_are_well(text: str, codes: tuple[tuple[int, int], ...]) -> None:
    assert parse_ok_exit(text) == codes
    assert parse_ok_exit(codes_text(codes)) == codes


@pytest.mark.parametrize("text", ["x", "-1", "256", "3-1", "0,,1", "1.0", "0;1", "none", "0-", "٣", "1" * 30])
def test_codes_that_cannot_be(text: str) -> None:
    with pytest.raises(SpecError, match="write all that mean success, as 0,1 or 0-2"):
        parse_ok_exit(text)


def test_everything_that_is_wrong_with_codes_is_said_at_once() -> None:
    with pytest.raises(SpecError, match="'x' is no exit code; 300: exit codes go from 0 to 255; 3-1 runs backwards"):
        parse_ok_exit("x,300,3-1")


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)).map(sorted), min_size=1))
def test_a_code_is_well_where_some_range_has_it(ranges: list[list[int]]) -> None:
    codes = parse_ok_exit(",".join(f"{first}-{last}" for first, last in ranges))
    rules = Rules.from_record(json.loads(json.dumps(Rules(ok_exit=codes, retries=1).to_record())))
    for code in range(256):
        well = any(first <= code <= last for first, last in ranges)
        assert rules.ending(Reason.EXIT, code) is (TaskState.FINISHED if well else TaskState.FAILED)
        assert rules.retry_for(Reason.EXIT, code) is not well
    assert rules.ending(Reason.SIGNAL, ranges[0][0]) is TaskState.FAILED
    assert rules.ending(Reason.OUTPUT, ranges[0][0]) is TaskState.FAILED
    assert rules.ending(Reason.EXIT, None) is TaskState.FAILED


def test_rules_that_were_recorded_before_there_were_such_codes_are_read() -> None:
    record = {name: value for name, value in Rules(retries=3).to_record().items() if name != "ok_exit"}
    assert Rules.from_record(record) == Rules(retries=3)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", ()),
        ("parse", (("parse", ""),)),
        ("stderr:Error", (("stderr", "Error"),)),
        (r"stderr:a{1,2},b, stdout:^x$ ,parse", (("stderr", "a{1,2},b"), ("stdout", "^x$"), ("parse", ""))),
        ("stderr:parse,parser", (("stderr", "parse,parser"),)),
        ("stderr:stdout: x", (("stderr", "stdout: x"),)),
        ("parse,parse", (("parse", ""),)),
    ],
)
def test_what_makes_a_failure_of_a_task_that_ends_well(text: str, rules: tuple[tuple[str, str], ...]) -> None:
    assert parse_fail_on(text) == rules
    assert parse_fail_on(fail_on_text(rules)) == rules


def test_everything_that_is_wrong_with_these_is_said_at_once() -> None:
    with pytest.raises(SpecError) as raised:
        parse_fail_on(["stder:x", "stderr:(", "stdout:a*", "stderr:", "parse:x", "stderr"])
    said = str(raised.value)
    assert said.count("is none of stderr:REGEX, stdout:REGEX, parse") == 3
    assert said.count("every task would fail") == 2
    assert "stderr:(: the pattern does not compile" in said
