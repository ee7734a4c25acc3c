"""Who looks at a widget, and the thread that shows it what changes.

A browser that shows a widget takes a lease, which it renews; one that hides it, or scrolls it away, gives it back, and
one that is gone lets it run out. While somebody looks, one thread of the process sends what has changed: the view, and
the states of the tasks as a delta, a few times a second, and so seldom that it stays below a bound of bytes. While
nobody looks, nothing is sent and nothing is computed.

It is a thread of its own because the kernel's loop stands still while a cell runs. It touches no trait: what it sends
are messages, which go out through the kernel's own thread for them.
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
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from ..backend.core.views import JobView
from ..errors import StratosError
from .eta import Forecast
from .requests import RequestHandler
from .state_delta import StateDelta, states_of
from .task_table import Overtaken

if TYPE_CHECKING:
    from ..job import Job

log = logging.getLogger(__name__)

#: a lease that is not renewed ends after this long, in seconds; a browser renews it three times in that time
LEASE_S: Final = 60.0
#: between two messages of one widget, in seconds
TICK_S: Final = 0.25
#: what a widget may send, in bytes a second: after a large message it waits the longer
BYTES_PER_S: Final = 40_000
#: what a message costs beside its buffers, in bytes
ENVELOPE: Final = 1200
#: nothing has changed for this long: the browser is told so, in seconds
HEARTBEAT_S: Final = 10.0
#: how often it is looked how all jobs are, in seconds, and how many of them are shown
JOBS_S: Final = 0.5
MOST_JOBS: Final = 50
#: browsers that may hold a lease of one widget
MOST_PAGES: Final = 32

Send = Callable[[dict[str, Any], Sequence[bytes]], None]


class Publisher(Protocol):
    """Something that the thread looks after."""

    def turn(self, now_s: float) -> float | None:
        """Do what is due; return when to come again, on the monotonic clock, or None."""


class Ticker:
    """The thread that looks after all widgets that somebody looks at."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[Publisher, float] = {}
        self._thread: threading.Thread | None = None

    def wake(self, live: Publisher, at_s: float) -> None:
        """Have `live` looked after at that time of the monotonic clock, or earlier if that was asked for."""
        with self._changed:
            if at_s < self._due.get(live, float("inf")):
                self._due[live] = at_s
                self._changed.notify()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="stratos-ticker", daemon=True)
                self._thread.start()

    def forget(self, live: Publisher) -> None:
        """Look after it no longer."""
        with self._changed:
            self._due.pop(live, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                first = min(self._due.values(), default=None)
                now_s = time.monotonic()
                if first is None or first > now_s:
                    self._changed.wait(None if first is None else first - now_s)
                    continue
                due = [live for live, at_s in self._due.items() if at_s <= now_s]
                for live in due:
                    del self._due[live]
            for live in due:
                try:
                    again = live.turn(now_s)
                except Exception:  # one widget that cannot be shown must not stop the others
                    log.exception("a widget cannot be shown")
                    again = time.monotonic() + HEARTBEAT_S
                if again is not None:
                    self.wake(live, again)


@cache
def ticker() -> Ticker:
    """Return this process's ticker, made on first use."""
    return Ticker()


@cache
def request_pool() -> ThreadPoolExecutor:
    """Return the threads that answer what browsers ask: a search must not make the one who clicks wait."""
    return ThreadPoolExecutor(2, "stratos-requests")


class Leases:
    """Which browsers look at a widget. For several threads."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()
        #: whether a browser has ever asked: one that has knows how to
        self.heard = False
        #: whether the last one that looked said that it does no longer
        self.hidden = False

    def take(self, page: str) -> None:
        """Let a browser look."""
        with self._lock:
            self._until.pop(page, None)
            while len(self._until) >= MOST_PAGES:
                del self._until[next(iter(self._until))]
            self._until[page] = time.monotonic() + LEASE_S
            self.heard, self.hidden = True, False

    def give_back(self, page: str) -> None:
        """Let it look no longer."""
        with self._lock:
            self._until.pop(page, None)
            self.heard, self.hidden = True, not self._until

    @property
    def watched(self) -> bool:
        """Whether somebody looks now."""
        now_s = time.monotonic()
        with self._lock:
            for page in [page for page, until_s in self._until.items() if until_s <= now_s]:
                del self._until[page]
            return bool(self._until)


class JobListPublisher:
    """What the browsers that look at the widget of all jobs are sent.

    Parameters
    ----------
    jobs : callable
        Returns the jobs.
    send : callable
        Sends a message and its buffers to all browsers; may be called from any thread.
    record : callable
        Makes of a view what is sent of it.
    """

    def __init__(self, jobs: Callable[[], Sequence[Job]], send: Send, record: Callable[[JobView], dict[str, Any]]):
        self.leases = Leases()
        self._jobs = jobs
        self._send = send
        self._record = record
        self._shown: list[JobView] | None = None
        self._sent_s = 0.0

    def hear(self, message: Mapping[str, Any]) -> bool:
        """Take in what a browser says, on whatever thread it comes; False when it is none of ours."""
        page = str(message.get("page") or "")[:64]
        match message.get("ask"):
            case "watch":
                self.leases.take(page)
                if "have" in message:
                    self._shown = None
                ticker().wake(self, time.monotonic())
            case "hide":
                self.leases.give_back(page)
            case _:
                return False
        return True

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


class JobPublisher:
    """What the browsers that look at one job's widget are sent.

    Parameters
    ----------
    job : Job
        The job.
    send : callable
        Sends a message and its buffers to all browsers; may be called from any thread.
    record : callable
        Makes of a view what is sent of it.
    """

    def __init__(self, job: Job, send: Send, record: Callable[[JobView, Mapping[str, Any]], dict[str, Any]]) -> None:
        self.leases = Leases()
        self._job = job
        self._send = send
        self._record = record
        self._requests = RequestHandler(job)
        self._delta = StateDelta()
        self._forecast = Forecast()
        self._asking = threading.Lock()  # one request at a time
        self._newest: dict[tuple[str, str], int] = {}  # of each table of each page: its newest request for rows
        self._whole = False
        self._shown: JobView | None = None
        self._sent_s = 0.0
        self._ready_s = 0.0
        self._unsubscribe: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._closed = False

    # -- what browsers say ------------------------------------------------------------------------------

    def hear(self, message: Mapping[str, Any]) -> bool:
        """Take in what a browser says, on whatever thread it comes; False when it is none of ours."""
        page = str(message.get("page") or "")[:64]
        match message.get("ask"):
            case "watch":
                self.leases.take(page)
                self._follow()
                if self._shown is None or ("have" in message and message["have"] != self._delta.version):
                    self._whole = True
                    self._shown = None
                ticker().wake(self, time.monotonic())
                return True
            case "hide":
                self.leases.give_back(page)
                return True
        number = message.get("n")
        if type(number) is not int or self._closed:
            return False
        if message.get("ask") == "rows":
            self._newest[_table(page, message)] = number
        request_pool().submit(self._answer, page, number, dict(message))
        return True

    def _answer(self, page: str, number: int, message: dict[str, Any]) -> None:
        def wanted() -> bool:
            return message.get("ask") != "rows" or self._newest.get(_table(page, message)) == number

        try:
            with self._asking:
                if not wanted():
                    raise Overtaken
                answer, buffers = self._requests.answer(message, wanted)
            reply: dict[str, Any] = {"answer": answer}
        except Overtaken:  # said, too: a browser that gets no answer tells its user that the kernel is busy
            reply, buffers = {"overtaken": True}, []
        except StratosError as error:
            reply, buffers = {"error": str(error)[:2000]}, []
        except Exception as error:
            log.exception("%s", message)
            reply, buffers = {"error": f"internal error: {type(error).__name__}: {error}"[:2000]}, []
        self._send({"page": page, "n": number, **reply}, buffers)

    def first(self) -> bytes:
        """Return a picture to begin with; it has no version, and what is sent later takes its place."""
        return zlib.compress(states_of(self._job.states(), self._job.superseded).tobytes(), 1)

    # -- what they are shown ----------------------------------------------------------------------------

    def _follow(self) -> None:
        with self._lock:
            if self._unsubscribe is None and not self._closed:
                self._unsubscribe = self._job.subscribe(self._arrived)

    def _arrived(self, _view: JobView) -> None:
        """Hear of a new view, on the driver thread."""
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
            message["picture"], data = change
            buffers = [data]
        self._send({"tick": message}, buffers)
        self._sent_s = now_s
        size = ENVELOPE + sum(map(len, buffers))
        self._ready_s = now_s + max(TICK_S, size / BYTES_PER_S)
        return now_s + HEARTBEAT_S

    def _more(self, view: JobView) -> dict[str, Any]:
        """Return what a view does not hold and a browser shows."""
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


def _table(page: str, message: Mapping[str, Any]) -> tuple[str, str]:
    """Return which table asks: a page may show a job twice."""
    return page, str(message.get("reader") or "")[:64]
