"""Results that are parsed before they count: in order, away from the driver, and not for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.core.states import Reason
from stratos_jupyter.backend.engines.base import Result
from stratos_jupyter.backend.results.bounded_parsing import ParsedOutputs
from stratos_jupyter.backend.results.parse_check import Judge
from stratos_jupyter.backend.results.parsers import make_parser
from tests.support.waiting import until


def result(task: int, stdout: str, code: int = 0, note: str = "") -> Result:
    data = stdout.encode()
    return Result(task, 1, "n", Reason.EXIT, code, 1.0, 2.0, 0.0, 0.0, data, b"", "", "", len(data), 0, note)


class Desk:
    """A judge, and a driver that does what it is handed when the test says so."""

    def __init__(self, parse: str, function: Callable[[str], object] | None = None, most_s: float = 30.0) -> None:
        self.posted: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self.taken: list[Result] = []
        self.marks: list[object] = []
        self.said: list[str] = []
        self.doomed: set[int] = set()
        self.judge = Judge(self.posted.put)
        parser = make_parser(parse, (), function)
        job: Any = SimpleNamespace(
            spec=SimpleNamespace(fails_on_parse=True, parse=parse),
            recorded=SimpleNamespace(
                parser=parser,
                parsed_outputs=None if parser is None else ParsedOutputs(parser, most_s),
                output_of=lambda result: (result.stdout or b"").decode(),
            ),
            rules=Rules(ok_exit=((0, 1),)),
            is_being_killed=self.doomed.__contains__,
            notice=self.said.append,
            withdraw=self.said.remove,
        )
        self.judge.job = job

    def hand(self, *results: Result) -> bool:
        return self.judge(results, lambda judged: self._take(judged))

    def _take(self, judged: Sequence[Result]) -> None:
        self.taken += judged
        self.marks.append(len(self.taken))

    def drive(self, count: int) -> list[tuple[int, str, str]]:
        for _ in range(count):
            self.posted.get(timeout=20.0)()
        return [(one.task, str(one.reason), one.note) for one in self.taken]


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What a parser may wait for that takes longer than anybody waits."""
    event = threading.Event()
    yield event
    event.set()


def test_an_output_that_cannot_be_parsed_is_a_failure_of_what_ended_well() -> None:
    desk = Desk("float")
    assert desk.hand(result(0, "1.5"), result(1, "x", note="noted"), result(2, "x", code=3), result(3, "y", code=1))
    assert desk.drive(1) == [
        (0, "exit", ""),
        (1, "output", "noted; stdout cannot be parsed: 'x' is no float"),
        (2, "exit", ""),
        (3, "output", "stdout cannot be parsed: 'y' is no float"),
    ]
    assert [one.code for one in desk.taken] == [0, 0, 3, 1]


def test_what_need_not_be_parsed_is_not_kept_unless_something_waits_before_it(release: threading.Event) -> None:
    desk = Desk("f", lambda text: release.wait(20.0))
    assert not desk.hand(result(0, "", code=7))
    assert not desk.hand()
    assert desk.hand(result(1, "x"))
    assert desk.hand(result(2, "", code=7))
    assert desk.hand()
    assert desk.posted.empty()
    release.set()
    assert [task for task, _, _ in desk.drive(3)] == [1, 2]
    assert desk.marks == [1, 2, 2]
    assert not desk.hand()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), ValueError("odd"), GeneratorExit()])
def test_however_a_function_ends_it_is_a_failure_and_the_next_is_parsed(error: BaseException) -> None:
    def parse(text: str) -> float:
        if text == "bad":
            raise error
        return 1.0

    desk = Desk("parse", parse)
    desk.hand(result(0, "bad"), result(1, "good"))
    (first, second) = desk.drive(1)
    assert first[:2] == (0, "output")
    assert type(error).__name__ in first[2]
    assert second == (1, "exit", "")


def test_a_function_that_does_not_return_is_left_to_itself(release: threading.Event) -> None:
    began: list[str] = []

    def parse(text: str) -> float:
        began.append(text)
        if text == "stuck":
            release.wait(20.0)
        return 1.0

    desk = Desk("parse", parse, most_s=0.2)
    desk.hand(result(0, "stuck"), result(1, "good"))
    assert desk.drive(1) == [
        (0, "output", "stdout cannot be parsed: the parser took longer than 0.2 s"),
        (1, "exit", ""),
    ]
    assert began == ["stuck", "good"]


def test_its_threads_end_when_there_is_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stratos_jupyter.backend.results.parse_check.IDLE_S", 0.01)
    before = set(threading.enumerate())  # those of other tests idle for longer
    desk = Desk("float")
    for task in range(3):  # and begin again
        desk.hand(result(task, "1"))
        desk.drive(1)
        ours = {"stratos-judge", "stratos-parser"}
        until(lambda ours=ours: not ours & {thread.name for thread in set(threading.enumerate()) - before})
    assert [one.task for one in desk.taken] == [0, 1, 2]


def test_that_results_wait_is_said_until_they_do_not(monkeypatch: pytest.MonkeyPatch, release: threading.Event) -> None:
    monkeypatch.setattr("stratos_jupyter.backend.results.parse_check.SAY_AFTER_S", 0.05)
    desk = Desk("mine", lambda text: float(release.wait(20.0)))
    desk.hand(result(0, "x"))
    desk.hand(result(1, "x"))
    until(lambda: desk.said)
    assert desk.said == ["tasks that have ended wait until --parse mine has read what they wrote, for --fail-on"]
    release.set()
    desk.drive(2)
    until(lambda: not desk.said)


def test_what_the_user_ends_is_not_parsed_any_more(release: threading.Event) -> None:
    read: list[str] = []

    def parse(text: str) -> float:
        read.append(text)
        return float(release.wait(20.0))

    desk = Desk("mine", parse)
    desk.hand(result(0, "a"))
    desk.hand(result(1, "b"), result(2, "", code=7))
    until(lambda: read)
    desk.doomed |= {0, 1, 2}
    release.set()
    assert [one[:2] for one in desk.drive(2)] == [(0, "exit"), (1, "user"), (2, "exit")]
    assert read == ["a"]
