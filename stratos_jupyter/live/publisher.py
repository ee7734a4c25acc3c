"""What the browsers that show a widget are sent: what has changed, and the answers to what they ask.

While no browser shows a widget, nothing is sent and nothing is computed. While one does, it is sent the view, and the
states of the tasks as a delta, a few times a second; less often where messages are large.
"""

from __future__ import annotations

import logging
import operator
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ..backend.core.views import JobView
from ..errors import StratosError
from .eta import Forecast
from .leases import Leases
from .messages import Message, Overtaken, page_of, reader_of, request, verb_in, verbs_of
from .requests import RequestHandler
from .state_delta import StateDelta, states_of
from .ticker import ticker

if TYPE_CHECKING:
    from ..job import Job

log = logging.getLogger(__name__)

#: between two messages of one widget, in seconds
TICK_S: Final = 0.25
#: what a widget may send, in bytes a second: after a large message the next one waits longer
BYTES_PER_S: Final = 40_000
#: what a message costs beside its buffers, in bytes
ENVELOPE: Final = 1200
#: a view that has not changed is sent again after this long, in seconds: a browser asks after 12 s of silence
HEARTBEAT_S: Final = 10.0
#: how often the views of all jobs are compared, in seconds, and how many of them are sent
JOBS_S: Final = 0.5
MOST_JOBS: Final = 50

Send: TypeAlias = Callable[[dict[str, Any], Sequence[bytes]], None]


@cache
def request_pool() -> ThreadPoolExecutor:
    """Return the threads that answer what browsers ask: a slow search must not delay a click on another widget."""
    return ThreadPoolExecutor(2, "stratos-requests")


class Publisher:
    """What both widgets have in common: the leases, and the verbs that have no answer.

    Parameters
    ----------
    send : callable
        Sends a message and its buffers to all browsers; may be called from any thread.
    """

    def __init__(self, send: Send) -> None:
        self.leases = Leases()
        self._send = send
        self._verbs = verbs_of(self)

    def hear(self, message: Message) -> bool:
        """Take in what a browser says, on any thread, without waiting; return False when it is for another."""
        method = self._verbs.get(verb_in(message, "ask"))
        if method is None:
            return False
        method(page_of(message), message)
        return True

    @request("hide")
    def _hide(self, page: str, _message: Message) -> None:
        self.leases.give_back(page)


class JobListPublisher(Publisher):
    """What the browsers that show the widget of all jobs are sent.

    Parameters
    ----------
    jobs : callable
        Returns the jobs.
    send : callable
        Sends a message and its buffers to all browsers; may be called from any thread.
    record : callable
        Makes the record of a view that is sent.
    """

    def __init__(self, jobs: Callable[[], Sequence[Job]], send: Send, record: Callable[[JobView], dict[str, Any]]):
        super().__init__(send)
        self._jobs = jobs
        self._record = record
        self._shown: list[JobView] | None = None
        self._sent_s = 0.0

    @request("watch")
    def _watch(self, page: str, message: Message) -> None:
        self.leases.take(page)
        if "have" in message:
            self._shown = None
        ticker().wake(self, time.monotonic())

    def turn(self, now_s: float) -> float | None:
        """Send what has changed; on the ticker's thread."""
        if not self.leases.watched:
            return None
        views, before = [job.view for job in self._jobs()], self._shown
        same = before is not None and len(before) == len(views) and all(map(operator.is_, before, views))
        if not same or now_s - self._sent_s >= HEARTBEAT_S:
            self._shown, self._sent_s = views, now_s
            self._send({"tick": {"jobs": [self._record(view) for view in views[-MOST_JOBS:]]}}, [])
        return now_s + JOBS_S

    def close(self) -> None:
        """Send nothing more."""
        ticker().forget(self)


class JobPublisher(Publisher):
    """What the browsers that show one job's widget are sent.

    Parameters
    ----------
    job : Job
        The job.
    send : callable
        Sends a message and its buffers to all browsers; may be called from any thread.
    record : callable
        Makes the record of a view that is sent.
    """

    def __init__(self, job: Job, send: Send, record: Callable[[JobView, Mapping[str, Any]], dict[str, Any]]) -> None:
        super().__init__(send)
        self._job = job
        self._record = record
        self._requests = RequestHandler(job)
        self._delta = StateDelta()
        self._forecast = Forecast()
        self._asking = threading.Lock()  # one request at a time
        self._newest: dict[tuple[str, str], int] = {}  # number of the newest request for rows, by table
        self._whole = False
        self._shown: JobView | None = None
        self._sent_s = 0.0
        self._ready_s = 0.0
        self._unsubscribe: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._closed = False

    # -- what browsers say ------------------------------------------------------------------------------

    def hear(self, message: Message) -> bool:
        """Take in what a browser says, on any thread; what has a number is answered by `request_pool`."""
        if super().hear(message):
            return True
        page, number = page_of(message), message.get("n")
        if type(number) is not int or self._closed:
            return False
        if message.get("ask") == "rows":
            self._newest[_table_of(message)] = number
        request_pool().submit(self._answer, page, number, dict(message))
        return True

    @request("watch")
    def _watch(self, page: str, message: Message) -> None:
        self.leases.take(page)
        self._follow()
        if self._shown is None or ("have" in message and message["have"] != self._delta.version):
            self._whole = True
            self._shown = None
        ticker().wake(self, time.monotonic())

    def _answer(self, page: str, number: int, message: dict[str, Any]) -> None:
        def wanted() -> bool:
            return message.get("ask") != "rows" or self._newest.get(_table_of(message)) == number

        try:
            with self._asking:
                if not wanted():
                    raise Overtaken
                answer, buffers = self._requests.answer(message, wanted)
            reply: dict[str, Any] = {"answer": answer}
        except Overtaken:  # is answered, too: without an answer the browser would say that the kernel is busy
            reply, buffers = {"overtaken": True}, []
        except StratosError as error:
            reply, buffers = {"error": str(error)[:2000]}, []
        except Exception as error:
            log.exception("%s", message)
            reply, buffers = {"error": f"internal error: {type(error).__name__}: {error}"[:2000]}, []
        self._send({"page": page, "n": number, **reply}, buffers)

    def first(self) -> bytes:
        """Return all states, compressed, without a version: what is sent later takes their place."""
        return zlib.compress(states_of(self._job.states(), self._job.superseded).tobytes(), 1)

    # -- what they are shown ----------------------------------------------------------------------------

    def _follow(self) -> None:
        with self._lock:
            if self._unsubscribe is None and not self._closed:
                self._unsubscribe = self._job.subscribe(self._arrived)

    def _arrived(self, _view: JobView) -> None:
        """Note that there is a new view, on the driver's thread."""
        ticker().wake(self, self._ready_s)

    def turn(self, now_s: float) -> float | None:
        """Send what has changed; on the ticker's thread."""
        if self._closed or not self.leases.watched:
            self._leave()
            return None
        if now_s < self._ready_s and not self._whole:
            return self._ready_s
        whole, self._whole = self._whole, False
        view = self._job.view
        if view is self._shown and not whole and now_s - self._sent_s < HEARTBEAT_S:
            return self._sent_s + HEARTBEAT_S
        self._shown = view
        self._forecast.add(view.at_s, view.done)
        states = states_of(self._job.states(), self._job.superseded)
        change = self._delta.whole(states) if whole else self._delta.change(states)
        message: dict[str, Any] = {"view": self._record(view, self._more(view))}
        buffers: list[bytes] = []
        if change is not None:
            message["delta"], data = change
            buffers = [data]
        self._send({"tick": message}, buffers)
        self._sent_s = now_s
        size = ENVELOPE + sum(map(len, buffers))
        self._ready_s = now_s + max(TICK_S, size / BYTES_PER_S)
        return now_s + HEARTBEAT_S

    def _more(self, view: JobView) -> dict[str, Any]:
        """Return what a browser shows and a view does not hold."""
        return {
            "spread": self._forecast.spread_s(view.eta_s),
            "max_tasks": self._job.rules.max_tasks,
            "attempts": int(np.frombuffer(self._job.attempts(), np.uint16).sum(dtype=np.int64)),
        }

    def _leave(self) -> None:
        with self._lock:
            unsubscribe, self._unsubscribe = self._unsubscribe, None
            self._shown = None
        if unsubscribe is not None:
            unsubscribe()

    def close(self) -> None:
        """Send nothing more."""
        self._closed = True
        self._leave()
        ticker().forget(self)


def _table_of(message: Message) -> tuple[str, str]:
    """Return which table of which page asks."""
    return page_of(message), reader_of(message)
