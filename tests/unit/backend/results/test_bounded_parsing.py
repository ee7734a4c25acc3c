"""Outputs that are parsed in bounded time, each once, whatever a function or a pattern does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from stratos_jupyter.backend.results import bounded_parsing as parsed_outputs
from stratos_jupyter.backend.results.bounded_parsing import ParsedOutputs
from stratos_jupyter.backend.results.parsers import make_parser
from tests.support.waiting import until


def outputs(parse: str, function: Callable[[str], object] | None = None, most_s: float = 30.0) -> ParsedOutputs:
    parser = make_parser(parse, (), function)
    assert parser is not None
    return ParsedOutputs(parser, most_s, search_most_s=0.2)


def named(*texts: str) -> list[tuple[tuple[int, int], str]]:
    return [((task, 1), text) for task, text in enumerate(texts)]


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_function_that_hangs_is_left_and_the_others_are_read(release: threading.Event) -> None:
    def function(text: str) -> float:
        if text == "stuck":
            release.wait(20.0)
        return float(text)

    read = outputs("f", function, most_s=0.2).read(named("1", "stuck", "2", "stuck", "3"))
    slow = ((None,), "the parser took longer than 0.2 s")
    assert read == [((1.0,), ""), slow, ((2.0,), ""), slow, ((3.0,), "")]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), ValueError("odd")])
def test_however_a_function_ends_is_an_error_of_its_output(error: BaseException) -> None:
    def function(text: str) -> float:
        if text == "bad":
            raise error
        return 1.0

    first, second = outputs("f", function).read(named("bad", "good"))
    assert first[0] == (None,)
    assert type(error).__name__ in first[1]
    assert second == ((1.0,), "")


def test_a_search_without_end_is_given_up_and_holds_up_no_thread() -> None:
    reading = outputs("regex:^(?P<v>(a+)+)$")
    beats = [time.monotonic()]
    done = threading.Event()

    def beat() -> None:
        while not done.wait(0.01):
            beats.append(time.monotonic())

    thread = threading.Thread(target=beat)
    thread.start()
    read = reading.read(named("aa", "a" * 60 + "b", "no", "a\udcff", "aaa"))
    done.set()
    thread.join()
    assert read == [
        (("aa",), ""),
        ((None,), "the search for the pattern takes longer than 0.2 s"),
        *[((None,), "the pattern is not in stdout")] * 2,
        (("aaa",), ""),
    ]
    assert len(beats) > 5


def test_each_is_read_once_until_it_is_taken() -> None:
    seen: list[str] = []

    def function(text: str) -> float:
        seen.append(text)
        return float(text)

    reading = outputs("f", function)
    wanted = named(*map(str, range(1000)))
    assert reading.read(wanted[:600]) == reading.read(wanted)[:600]
    assert seen == [text for _, text in wanted]
    reading.drop([(0, 1)])
    reading.read(wanted)
    assert seen[1000:] == ["0"]


def test_what_one_thread_takes_another_may_be_waiting_for(release: threading.Event) -> None:
    def function(text: str) -> float:
        if text == "2":
            release.wait(20.0)
        return float(text)

    reading = outputs("f", function)
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(reading.read(named("1", "2"))))
    thread.start()
    until(lambda: reading.read(named("1"), time.monotonic()))
    reading.drop([(0, 1)])
    release.set()
    thread.join(20.0)
    assert found == [[((1.0,), ""), ((2.0,), "")]]


def test_what_nobody_takes_is_dropped_and_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsed_outputs, "KEPT", 2)
    seen: list[str] = []

    def function(text: str) -> float:
        seen.append(text)
        return float(text)

    reading = outputs("f", function)
    reading.read(named("1", "2", "3"))
    reading.keep_few()
    assert [values for values, _ in reading.read(named("1", "2", "3"))] == [(1.0,), (2.0,), (3.0,)]
    assert seen == ["1", "2", "3", "1"]


def test_who_does_not_wait_gets_what_there_is(release: threading.Event) -> None:
    def function(text: str) -> float:
        if text == "2":
            release.wait(20.0)
        return float(text)

    reading = outputs("f", function)
    wanted = named("1", "2", "3")
    until(lambda: reading.read(wanted, time.monotonic()) == [((1.0,), "")])
    release.set()
    until(lambda: len(reading.read(wanted, time.monotonic())) == 3)


def names_since(before: set[threading.Thread]) -> set[str]:
    return {thread.name for thread in set(threading.enumerate()) - before}


def test_threads_and_processes_end_when_there_is_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsed_outputs, "IDLE_S", 0.01)
    before = set(threading.enumerate())  # those of other tests idle for longer
    for reading in (outputs("regex:(?P<v>.)"), outputs("f", len)):
        for task in range(3):  # and begin again
            assert reading.read([((task, 1), "x")])[0][1] == ""
            until(lambda: not names_since(before) & {"stratos-outputs", "stratos-parser"})
