"""Questions for the end of a running task's output, until an executor answers."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from itertools import count
from typing import Any

from .base import Tail


class TailRequests:
    """The questions that have no answer yet, by the number that an executor repeats in its answer."""

    def __init__(self) -> None:
        self._futures: dict[int, Future[Tail | None]] = {}
        self._numbers = count(1)

    def ask(self) -> tuple[int, Future[Tail | None]]:
        """Return the number of a new question, and the future of its answer."""
        number, future = next(self._numbers), Future[Tail | None]()
        self._futures[number] = future
        return number, future

    def answer(self, number: int, answer: Mapping[str, Any] | None) -> None:
        """Give the answer; None when the task does not run, or nothing was heard. A second answer is ignored."""
        future = self._futures.pop(number, None)
        if future is not None and not future.cancelled():
            told = None if answer is None else Tail(answer["stdout"], answer["stderr"], answer.get("note", ""))
            future.set_result(told)

    def end(self) -> None:
        """Answer all that is left with None."""
        for number in list(self._futures):
            self.answer(number, None)


def no_tail() -> Future[Tail | None]:
    """Return the answer for a task that does not run."""
    future = Future[Tail | None]()
    future.set_result(None)
    return future
