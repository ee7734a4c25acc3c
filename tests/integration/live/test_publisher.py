"""Who looks at a widget, and what they are sent: with a real job behind it."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.job import Job
from stratos_jupyter.live import leases as leasing
from stratos_jupyter.live import publisher as publishing
from stratos_jupyter.live.leases import Leases
from stratos_jupyter.live.publisher import JobListPublisher, JobPublisher
from stratos_jupyter.live.view_record import view_record
from stratos_jupyter.session import Session
from stratos_jupyter.widgets import JobsWidget, JobWidget, heard_where_sent
from tests.support.waiting import until


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path / "home")
    yield session
    session.close()


@pytest.fixture
def job(session: Session) -> Job:
    return session.submit(JobSpec(job_id="demo", master="local[2]"), explicit_commands(["sleep 60"] * 6))


class Browser:
    """Takes in what a widget sends, as a page does."""

    def __init__(self, job: Job) -> None:
        self.messages: list[dict[str, Any]] = []
        self.threads: set[str] = set()
        self.states = bytearray()
        self.version = 0
        self.publisher = JobPublisher(job, self._take, lambda view, more: view_record(view, time.time(), more))

    def _take(self, message: dict[str, Any], buffers: Sequence[bytes]) -> None:
        self.threads.add(threading.current_thread().name)
        delta = message.get("tick", {}).get("delta")
        if delta is not None and delta.get("after", self.version) == self.version:
            data = zlib.decompress(buffers[0]) if delta["zip"] else buffers[0]
            count = delta.get("changed", 0)
            if "after" not in delta:
                self.states = bytearray(data)
            else:
                for i in range(count):
                    task = sum(data[plane * count + i] << (8 * plane) for plane in range(4))
                    self.states[task] = data[4 * count + i]
            self.version = delta["version"]
        self.messages.append(message)

    @property
    def ticks(self) -> list[dict[str, Any]]:
        return [message["tick"] for message in self.messages if "tick" in message]

    def answer(self, **request: Any) -> dict[str, Any]:
        number = len(self.messages) + 1000
        assert self.publisher.hear({"n": number, "page": "p", **request})
        return until(lambda: next((message for message in self.messages if message.get("n") == number), None))


@pytest.fixture
def browser(job: Job) -> Iterator[Browser]:
    browser = Browser(job)
    yield browser
    browser.publisher.close()


def test_who_looks_is_sent_all_and_then_what_changes(job: Job, browser: Browser) -> None:
    browser.publisher.hear({"ask": "watch", "page": "p", "have": 0})
    until(lambda: browser.version)
    until(lambda: bytes(browser.states) == job.states() and browser.states.count(TaskState.RUNNING) == 2)
    job.kill([3])
    until(lambda: browser.states[3] == TaskState.KILLED)
    assert "after" in browser.ticks[-1]["delta"]
    assert browser.ticks[-1]["view"]["counts"]["killed"] == 1
    assert {"spread", "max_tasks", "held", "attempts"} <= set(browser.ticks[-1]["view"])
    assert browser.threads == {"stratos-ticker"}


def test_who_does_not_look_is_sent_nothing(job: Job, browser: Browser) -> None:
    job.pause()
    assert browser.messages == []
    browser.publisher.hear({"ask": "watch", "page": "p", "have": 0})
    until(lambda: browser.ticks)
    browser.publisher.hear({"ask": "hide", "page": "p"})
    until(lambda: not browser.publisher.leases.watched)
    count = len(browser.messages)
    job.kill([5])
    until(lambda: job.view[TaskState.KILLED] == 1)
    other = Browser(job)  # whoever is served after it: the ticker has been at it meanwhile
    other.publisher.hear({"ask": "watch", "page": "q", "have": 0})
    until(lambda: other.ticks)
    other.publisher.close()
    assert len(browser.messages) == count
    browser.publisher.hear({"ask": "watch", "page": "p", "have": browser.version})
    until(lambda: browser.states[5] == TaskState.KILLED)


def test_one_browser_that_leaves_takes_nothing_from_another() -> None:
    leases = Leases()
    assert (leases.watched, leases.heard, leases.hidden) == (False, False, False)
    leases.take("one")
    leases.take("two")
    leases.give_back("one")
    assert (leases.watched, leases.hidden) == (True, False)
    leases.give_back("two")
    assert (leases.watched, leases.heard, leases.hidden) == (False, True, True)


def test_a_lease_that_is_not_renewed_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leasing, "LEASE_S", 0.05)
    leases = Leases()
    leases.take("page")
    assert leases.watched
    until(lambda: not leases.watched)
    assert not leases.hidden, "it may only be that the kernel could not hear it"


def test_who_lost_a_message_is_sent_all(job: Job, browser: Browser) -> None:
    browser.publisher.hear({"ask": "watch", "page": "p", "have": 0})
    until(lambda: browser.version)
    browser.publisher.hear({"ask": "watch", "page": "p"})  # renewed: nothing is said of what it has
    browser.publisher.hear({"ask": "watch", "page": "p", "have": browser.version + 5})
    until(lambda: sum("after" not in tick.get("delta", {"after": 0}) for tick in browser.ticks) == 2)


def test_many_changes_are_few_messages(session: Session) -> None:
    job = session.submit(JobSpec(job_id="many", master="local[2]"), explicit_commands(["true"] * 600))
    browser = Browser(job)
    try:
        began = time.monotonic()
        browser.publisher.hear({"ask": "watch", "page": "p", "have": 0})
        assert job.wait(60)
        until(lambda: bytes(browser.states) == job.states())
        took_s = time.monotonic() - began
        assert len(browser.ticks) <= 2 + took_s / publishing.TICK_S
    finally:
        browser.publisher.close()


def test_questions_are_answered_on_a_thread_of_their_own(job: Job, browser: Browser) -> None:
    answer = browser.answer(ask="rows", query={}, first=0, count=2)
    assert [row[0] for row in answer["answer"]["rows"]] == [0, 1]
    assert browser.answer(do="relaunch", mem="much")["error"].startswith("memory: 'much' is no size")
    assert browser.answer(ask="what")["error"]
    assert all(name.startswith("stratos-requests") for name in browser.threads)
    assert not browser.publisher.hear({"ask": "rows"}), "nobody can be answered without a number"


def test_of_one_table_the_newest_question_is_answered_and_the_others_are_said_to_be_overtaken(browser: Browser) -> None:
    with browser.publisher._asking:
        for number, reader in enumerate(("one", "one", "other"), 1):
            browser.publisher.hear({"n": number, "page": "p", "reader": reader, "ask": "rows", "query": {}, "count": 1})
    until(lambda: len(browser.messages) == 3)
    said = {message["n"]: message for message in browser.messages}
    assert said[1] == {"page": "p", "n": 1, "overtaken": True}
    assert [len(said[n]["answer"]["rows"]) for n in (2, 3)] == [1, 1]


def test_a_fault_of_ours_is_said_and_ends_nothing(
    job: Job, browser: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(job, "failure_groups", lambda: 1 / 0)
    assert browser.answer(ask="groups")["error"] == "internal error: ZeroDivisionError: division by zero"
    assert "answer" in browser.answer(ask="name", task=0)


def test_all_jobs_are_watched_at_once(session: Session, job: Job) -> None:
    messages: list[dict[str, Any]] = []
    publisher = JobListPublisher(
        session.jobs, lambda message, _: messages.append(message), lambda view: {"job": view.job_id}
    )
    publisher.hear({"ask": "watch", "page": "p", "have": 0})
    until(lambda: messages)
    assert messages[0] == {"tick": {"jobs": [{"job": "demo"}]}}
    session.submit(JobSpec(job_id="more", master="local[2]"), explicit_commands(["true"]))
    until(lambda: messages[-1]["tick"]["jobs"] == [{"job": "demo"}, {"job": "more"}])
    publisher.hear({"ask": "hide", "page": "p"})
    publisher.close()


def test_the_trait_rests_while_somebody_looks(job: Job) -> None:
    widget = JobWidget(job)
    widget.show(job.view)
    until(lambda: job.view[TaskState.RUNNING] == 2)
    widget.show(job.view)
    assert widget.view["counts"]["running"] == 2, "nobody looks: it is all that there is"
    assert zlib.decompress(widget.first) == job.states()
    widget._answer(widget, {"ask": "watch", "page": "p", "have": 0}, [])
    job.kill([5])
    until(lambda: job.view[TaskState.KILLED] == 1)
    widget.show(job.view)
    assert widget.view["counts"]["killed"] == 0
    job.pause()
    until(lambda: job.view.held)
    widget.show(job.view)
    assert widget.view["state"] == "paused", "a milestone, for whoever comes later"
    widget.close()


def test_the_jobs_widget_has_all_of_them_from_the_first(session: Session, job: Job) -> None:
    widget = JobsWidget(session.jobs, lambda: "as text")
    assert [view["job"] for view in widget.jobs] == ["demo"]
    assert repr(widget) == "as text"
    widget.close()


def test_a_comm_is_heard_where_its_browser_sends() -> None:
    class Comm:
        def _reply_subshell_for(self, data: object, default: object) -> object:
            return None

    comm = Comm()
    heard_where_sent(comm)
    assert comm._reply_subshell_for({}, "a subshell") == "a subshell"
    heard_where_sent(object())  # an ipykernel that has no such thing
