"""Questions for the end of a running task's output."""

from __future__ import annotations

from stratos_jupyter.backend.engines.base import Tail
from stratos_jupyter.backend.engines.tails import TailRequests, no_tail


def test_each_question_gets_its_own_answer_once() -> None:
    tails = TailRequests()
    (one, first), (other, second) = tails.ask(), tails.ask()
    tails.answer(other, {"stdout": "out", "stderr": "err", "note": "note"})
    tails.answer(other, None)
    assert second.result(0) == Tail("out", "err", "note")
    assert not first.done()
    tails.answer(one, {"stdout": "", "stderr": ""})  # an older executor has no notes
    assert first.result(0) == Tail("", "", "")
    tails.answer(12345, None)


def test_what_is_left_at_the_end_is_answered_with_nothing() -> None:
    tails = TailRequests()
    (_, given_up), (_, waiting) = tails.ask(), tails.ask()
    given_up.cancel()
    tails.end()
    assert waiting.result(0) is None
    assert no_tail().result(0) is None
