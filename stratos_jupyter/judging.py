"""Results that are parsed before they count: those of a job that fails tasks whose output cannot be parsed.

Whether a task has finished decides on its retries, so it must be known before the scheduler hears of the result, and a
parser may be a function of the user's, which may take long, or for ever. So results wait here, unacknowledged and in
their order, while a thread parses them; the driver goes on meanwhile. Of a parser that takes too long the result is
that it does, and its thread is left to itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, TypeAlias

from .backend.core.states import Reason, TaskState
from .backend.engines.base import Result
from .parsing import parsed

if TYPE_CHECKING:
    from .job import Job
    from .parsing import Parser

#: how long one output may be parsed, in seconds
PARSE_MOST_S: Final = 30.0
#: how long a thread waits for more before it ends, in seconds
IDLE_S: Final = 10.0
#: of what a parser says, in characters
SAID: Final = 300

Done: TypeAlias = Callable[[Sequence[Result]], None]


class Judge:
    """Parses results of one job, in a thread of its own that begins with the first of them.

    Parameters
    ----------
    post : callable
        Runs a function on the driver thread.

    Attributes
    ----------
    job : Job or None
        Whose results; set once it is made.
    """

    def __init__(self, post: Callable[[Callable[[], object]], object], most_s: float = PARSE_MOST_S) -> None:
        self.job: Job | None = None
        self._post = post
        self._most_s = most_s
        self._waiting: SimpleQueue[tuple[Sequence[Result], Done]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._at_work = 0
        self._worker: _Worker | None = None

    @property
    def parser(self) -> Parser | None:
        """What must be able to read each result; None when results count as they are."""
        return None if self.job is None or not self.job.spec.fails_on_parse else self.job.parser

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
        while (taken := self._next()) is not None:
            results, done = taken
            judged = [self._judged(result) for result in results]

            def tell(judged: Sequence[Result] = judged, done: Done = done) -> None:
                self._at_work -= 1
                done(judged)

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
        if self._worker is not None:
            self._worker.end()
            self._worker = None
        return None

    def _judged(self, result: Result) -> Result:
        job, parser = self.job, self.parser
        if job is None or parser is None or not self._well(result):
            return result
        error = self._error(parser, job.output_of(result))
        if not error:
            return result
        note = "; ".join(filter(None, (result.note, f"stdout cannot be parsed: {error[:SAID]}")))
        return result._replace(reason=Reason.OUTPUT, note=note)

    def _error(self, parser: Parser, text: str) -> str:
        """Return what is wrong with an output; '' when it can be parsed."""
        worker = self._worker = self._worker or _Worker()
        error = worker.parse(parser, text, self._most_s)
        if error is None:
            worker.end()  # when its function returns, if ever
            self._worker = None
            return f"the parser took longer than {self._most_s:g} s"
        return error


class _Worker:
    """A thread that parses one text after another, and can be left to itself."""

    def __init__(self) -> None:
        self._texts: SimpleQueue[tuple[Parser, str, list[str], threading.Event] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="stratos-parser", daemon=True).start()

    def parse(self, parser: Parser, text: str, most_s: float) -> str | None:
        """Return what is wrong with a text, '' for nothing; None when that takes too long."""
        said: list[str] = []
        done = threading.Event()
        self._texts.put((parser, text, said, done))
        return said[0] if done.wait(most_s) else None

    def end(self) -> None:
        """End the thread once it has nothing more to do."""
        self._texts.put(None)

    def _run(self) -> None:
        while (taken := self._texts.get()) is not None:
            parser, text, said, done = taken
            try:
                said.append(parsed(parser, text)[1])
            except BaseException as error:  # nobody interrupts this thread: it is the function's own
                said.append(type(error).__name__)
            done.set()
