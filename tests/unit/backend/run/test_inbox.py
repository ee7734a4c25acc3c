"""The inbox: results are judged in their order, and what tells of losses waits behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stratos_jupyter.backend.core.events import Attached, KillAsked, OffersArrived
from stratos_jupyter.backend.core.states import Reason
from stratos_jupyter.backend.engines.base import Result
from stratos_jupyter.backend.run.inbox import Arrived, Inbox, Item, as_they_are

KILL = KillAsked(1.0)
ATTACHED = Attached(1.0, frozenset())
OFFERS = OffersArrived(1.0, ())


def result(task: int) -> Result:
    return Result(task, 1, "n", Reason.EXIT, 0, 1.0, 2.0, 0.0, 0.0, None, None, "", "", 0, 0, "")


class SlowJudge:
    """Judges when a test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, results: Sequence[Result], take: Callable[[Sequence[Result]], None]) -> bool:
        if results or self.waiting:
            self.waiting.append(lambda: take(results))
        return bool(self.waiting)

    def go_on(self) -> None:
        self.waiting.pop(0)()


def kinds(items: Sequence[Item]) -> list[type]:
    return [type(item) for item in items]


def test_what_needs_no_judging_is_there_at_once_and_wakes_the_loop() -> None:
    woken: list[int] = []
    inbox = Inbox(as_they_are, lambda: woken.append(len(inbox)))
    inbox.post(KILL)
    inbox.post_results([result(0)], lambda: None)
    inbox.put_first([OFFERS])
    assert woken == [1, 2]
    assert kinds(inbox.take()) == [OffersArrived, KillAsked]  # no result after what could make history of it
    assert kinds(inbox.take()) == [Arrived]
    assert not inbox


def test_what_tells_of_losses_waits_for_the_results_before_it_and_offers_wait_for_that() -> None:
    judge = SlowJudge()
    inbox = Inbox(judge, lambda: None)
    ended: list[str] = []
    inbox.post_results([result(0)], lambda: None)
    inbox.post(ATTACHED)
    inbox.post(OFFERS)
    inbox.post(KILL)
    inbox.after_results(lambda: ended.append("all"))
    assert kinds(inbox.take()) == [KillAsked]
    for expected in (Arrived, Attached, OffersArrived):
        assert not ended
        judge.go_on()
        assert kinds(inbox.take()) == [expected]
    judge.go_on()
    assert ended == ["all"]
    inbox.post(OFFERS)
    assert kinds(inbox.take()) == [OffersArrived]


def test_two_results_of_one_task_come_one_by_one_and_are_acknowledged_together() -> None:
    acknowledged: list[bool] = []
    inbox = Inbox(as_they_are, lambda: None)
    inbox.post_results([result(0), result(0)], lambda: acknowledged.append(True))
    taken: list[Arrived] = []
    while inbox:
        some = inbox.take()
        assert len({one.task for item in some if isinstance(item, Arrived) for one in item.results}) <= 1
        taken += [item for item in some if isinstance(item, Arrived)]
    assert [len(item.results) for item in taken] == [1, 1, 0]
    for item in taken:
        item.acknowledge()
    assert acknowledged == [True]


def test_what_is_done_after_the_results_is_done_at_once_where_none_is_judged() -> None:
    ended: list[bool] = []
    Inbox(as_they_are, lambda: None).after_results(lambda: ended.append(True))
    assert ended == [True]
