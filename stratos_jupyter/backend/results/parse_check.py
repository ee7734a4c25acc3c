"""Results that are parsed before they count: those of a job that fails tasks whose output cannot be parsed.

Whether a task has finished decides on its retries, so it must be known before the scheduler hears of the result, and a
parser may be a function of the user's, which may take long, or for ever. So results wait here, unacknowledged and in
their order, while they are parsed (`parsed_outputs`); the driver goes on meanwhile. Of a parser that takes too long the
result is that it does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, TypeAlias

from ..core.states import Reason, TaskState
from ..engines.base import Result

if TYPE_CHECKING:
    from ...job import Job
    from .parsers import Parser

log = logging.getLogger(__name__)

#: how long a thread waits for more before it ends, in seconds
IDLE_S: Final = 10.0
#: for how long results wait before the user is told, in seconds
SAY_AFTER_S: Final = 5.0
#: of what a parser says, in characters
SAID: Final = 300

Done: TypeAlias = Callable[[Sequence[Result]], None]


class Judge:
    """Has results of one job parsed, by a thread of its own that begins with the first of them.

    Parameters
    ----------
    post : callable
        Runs a function on the driver thread.

    Attributes
    ----------
    job : Job or None
        Whose results; set once it is made.
    """

    def __init__(self, post: Callable[[Callable[[], object]], object]) -> None:
        self.job: Job | None = None
        self._post = post
        self._waiting: SimpleQueue[tuple[Sequence[Result], Done]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._at_work = 0
        self._said = ""

    @property
    def parser(self) -> Parser | None:
        """What must be able to read each result; None when results count as they are."""
        return None if self.job is None or not self.job.spec.fails_on_parse else self.job.recorded.parser

    def __call__(self, results: Sequence[Result], done: Done) -> bool:
        """Take results in and call `done` on the driver thread, after that of all that was taken before.

        Returns
        -------
        bool
            False when they need not be parsed, and nothing waits before them: `done` is not called then.
        """
        if not self._at_work and (self.parser is None or not any(map(self._well, results))):
            return False
        self._at_work += 1
        with self._lock:
            self._waiting.put((results, done))
            if self._thread is None:
                # A daemon: an interpreter that ends must not wait for a user's function.
                self._thread = threading.Thread(target=self._run, name="stratos-judge", daemon=True)
                self._thread.start()
        return True

    def _well(self, result: Result) -> bool:
        assert self.job is not None
        return self.job.rules.ending(result.reason, result.code) is TaskState.FINISHED

    def _run(self) -> None:
        since_s: float | None = None
        while (taken := self._next()) is not None:
            results, done = taken
            since_s = since_s or time.monotonic()
            try:
                judged = self._judged(results, since_s + SAY_AFTER_S)
            except Exception as error:  # whatever it is: the results that come after these wait for them
                log.exception("outputs cannot be judged")
                said = f"{type(error).__name__}: {error}"
                judged = [_failed(result, said if self._well(result) else "") for result in results]

            def tell(judged: Sequence[Result] = judged, done: Done = done) -> None:
                self._at_work -= 1
                done(judged)

            if self._waiting.empty():
                since_s = None
                self._say("")
            with suppress(RuntimeError):  # the driver has been closed: the results come again to the next kernel
                self._post(tell)

    def _next(self) -> tuple[Sequence[Result], Done] | None:
        """Return what is to be judged; None when there has been nothing for a while, and the thread is to end."""
        with suppress(Empty):
            return self._waiting.get(timeout=IDLE_S)
        with self._lock:
            if not self._waiting.empty():
                return self._waiting.get()
            self._thread = None
        return None

    def _say(self, text: str) -> None:
        """Show the user that results wait; with '', no longer."""
        said, self._said = self._said, text
        with suppress(RuntimeError):  # the driver has been closed
            if said and said != text and self.job is not None:
                self.job.withdraw(said)
            if text and said != text and self.job is not None:
                self.job.notice(text)

    def _judged(self, results: Sequence[Result], say_at_s: float) -> list[Result]:
        job, parser = self.job, self.parser
        outputs = None if job is None or parser is None else job.recorded.parsed_outputs
        if job is not None and parser is not None:  # what the user has ended meanwhile need not be parsed any more
            results = [
                result._replace(reason=Reason.USER)
                if self._well(result) and job.is_being_killed(result.task)
                else result
                for result in results
            ]
        well = [result for result in results if self._well(result)] if outputs is not None else []
        if job is None or outputs is None or not well:
            return list(results)
        wanted = [((result.task, result.attempt), job.recorded.output_of(result)) for result in well]
        read = outputs.read(wanted, say_at_s)
        if len(read) < len(wanted):
            self._say(
                f"tasks that have ended wait until --parse {job.spec.parse} has read what they wrote, for --fail-on"
            )
            read = outputs.read(wanted)
        outputs.keep_few()
        wrong = {(result.task, result.attempt): error for result, (_, error) in zip(well, read, strict=True) if error}
        return [_failed(result, wrong.get((result.task, result.attempt), "")) for result in results]


def _failed(result: Result, error: str) -> Result:
    """Return a result as it counts when its output has that error; '' for none."""
    if not error:
        return result
    note = "; ".join(filter(None, (result.note, f"stdout cannot be parsed: {error[:SAID]}")))
    return result._replace(reason=Reason.OUTPUT, note=note)
