"""Outputs parsed by what may take for ever: away from the thread that asks, each with a bound, each once.

A user's function may hang, and so may a pattern that goes back and forth. A function runs in a thread, which is left to
itself when it takes too long. A pattern is searched for in a process of its own, since Python holds all threads of this
one up during a search. What is read is kept until it is taken: a job that fails by its outputs (`judging`) and the
DataFrame see the same values, and none waits twice.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from .parsers import parsed

if TYPE_CHECKING:
    from .parsers import Parsed, Parser, Pattern

#: how long one output may be parsed by a function, in seconds
PARSE_MOST_S: Final = 30.0
#: how long a pattern may be searched for in one output, in seconds
SEARCH_MOST_S: Final = 2.0
#: how long the thread waits for more before it ends, in seconds
IDLE_S: Final = 10.0
#: how often it is looked how far a function is, in seconds
LOOK_EVERY_S: Final = 0.1
#: values that are kept of outputs that have not been taken
KEPT: Final = 1 << 16
#: outputs, and characters of them, that are handed over at a time
BATCH: Final = 256
BATCH_CHARACTERS: Final = 1 << 20

#: task and attempt
Key: TypeAlias = tuple[int, int]

#: searches for a pattern in texts, a list of them in a line; says of each the groups, None, or why it cannot be known
_SEARCH: Final = """
import json, re, signal, sys
def strike(*_): raise TimeoutError
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGALRM, strike)
text, names, most_s = json.loads(sys.argv[1])
pattern = re.compile(text, re.MULTILINE)
for line in sys.stdin:
    said = []
    for text in json.loads(line):
        try:
            signal.setitimer(signal.ITIMER_REAL, most_s)
            match = pattern.search(text)
            signal.setitimer(signal.ITIMER_REAL, 0)
            said.append(None if match is None else [match[name] for name in names])
        except TimeoutError:
            said.append(f"the search for the pattern takes longer than {most_s:g} s")
        except (RecursionError, MemoryError) as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            said.append(f"the search for the pattern fails: {type(error).__name__}")
    print(json.dumps(said), flush=True)
"""


class ParsedOutputs:
    """Reads the outputs of a job's attempts; any thread may ask.

    Parameters
    ----------
    parser : Parser
        What reads each.
    most_s, search_most_s : float
        How long a function may take for one, and the search for a pattern.
    """

    def __init__(self, parser: Parser, most_s: float = PARSE_MOST_S, search_most_s: float = SEARCH_MOST_S) -> None:
        self.parser = parser
        self._most_s = most_s
        self._search_most_s = search_most_s
        self._waiting: deque[tuple[Key, str]] = deque()
        self._asked: set[Key] = set()  # what waits, or is being read
        self._read: dict[Key, Parsed] = {}
        self._changed = threading.Condition()
        self._alive = False

    def read(self, wanted: Sequence[tuple[Key, str]], until_s: float | None = None) -> list[Parsed]:
        """Return the values of outputs, in order; by `until_s` of `time.monotonic`, of as many as are read by then.

        Those that are left are read on meanwhile. Raises nothing but a KeyboardInterrupt of the thread that asks.
        """
        if not self.parser.may_hang:
            return [parsed(self.parser, text) for _, text in wanted]
        found: list[Parsed] = []
        with self._changed:
            while True:
                # Taken as they come: another thread may drop them.
                while len(found) < len(wanted) and (values := self._read.get(wanted[len(found)][0])) is not None:
                    found.append(values)
                self._ask(wanted[len(found) :])
                if len(found) == len(wanted) or (until_s is not None and time.monotonic() >= until_s):
                    return found
                self._changed.wait(1.0 if until_s is None else max(0.0, min(1.0, until_s - time.monotonic())))

    def drop(self, keys: Iterable[Key]) -> None:
        """Keep the values of those no longer: they have been taken."""
        with self._changed:
            for key in keys:
                self._read.pop(key, None)

    def keep_few(self) -> None:
        """Drop values that have not been taken, where they are too many; asked for again, they are read again."""
        with self._changed:
            while len(self._read) > KEPT:
                del self._read[next(iter(self._read))]

    def _ask(self, wanted: Iterable[tuple[Key, str]]) -> None:
        for key, text in wanted:
            if key not in self._read and key not in self._asked:
                self._asked.add(key)
                self._waiting.append((key, text))
        if self._waiting and not self._alive:
            # A daemon: an interpreter that ends must not wait for a user's function.
            threading.Thread(target=self._run, name="stratos-outputs", daemon=True).start()
            self._alive = True
        self._changed.notify_all()

    # -- the thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        pattern = self.parser.pattern
        reader = _Calls(self.parser, self._most_s) if pattern is None else _Searches(pattern, self._search_most_s)
        try:
            while batch := self._next():
                keys = deque(key for key, _ in batch)
                try:
                    for values in reader.read([text for _, text in batch]):
                        self._keep([keys.popleft() for _ in values], values)
                except Exception as error:  # whatever it is: a thread waits for the answer
                    said = f"cannot be parsed: {type(error).__name__}: {error}"
                    self._keep(keys, [(self.parser.nothing, said)] * len(keys))
        finally:
            reader.end()

    def _keep(self, keys: Iterable[Key], values: Sequence[Parsed]) -> None:
        with self._changed:
            for key, value in zip(keys, values, strict=True):
                self._asked.discard(key)
                self._read[key] = value
            self._changed.notify_all()

    def _next(self) -> list[tuple[Key, str]]:
        """Return what is to be read; nothing when there has been none for a while, and the thread is to end."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting, IDLE_S):
                self._alive = False
                return []
            batch: list[tuple[Key, str]] = []
            characters = 0
            while self._waiting and len(batch) < BATCH and characters < BATCH_CHARACTERS:
                batch.append(self._waiting.popleft())
                characters += len(batch[-1][1])
            return batch


class _Calls:
    """Has a function read texts, in a thread that can be left to itself."""

    def __init__(self, parser: Parser, most_s: float) -> None:
        self._parser = parser
        self._most_s = most_s
        self._left: threading.Event | None = None  # set when the thread that reads is to stop

    def read(self, texts: Sequence[str]) -> Iterator[list[Parsed]]:
        """Yield the values of texts, some at a time."""
        begun = 0
        while begun < len(texts):
            said: list[Parsed] = []
            done, self._left = threading.Event(), threading.Event()
            mine = texts[begun:]
            work = (mine, said, done, self._left)
            threading.Thread(target=self._work, args=work, name="stratos-parser", daemon=True).start()
            seen, since_s = 0, time.monotonic()
            while seen < len(mine):
                done.wait(min(LOOK_EVERY_S, self._most_s))
                count, now_s = len(said), time.monotonic()
                if count > seen:
                    yield said[seen:count]
                    seen, since_s = count, now_s
                elif now_s - since_s >= self._most_s:
                    yield [(self._parser.nothing, f"the parser took longer than {self._most_s:g} s")]
                    seen += 1
                    self._left.set()
                    break
            begun += seen

    def _work(self, texts: Sequence[str], said: list[Parsed], done: threading.Event, left: threading.Event) -> None:
        for text in texts:
            try:
                value = parsed(self._parser, text)
            except BaseException as error:  # this thread is never interrupted: it is the function's own
                value = self._parser.nothing, type(error).__name__
            if left.is_set():
                return
            said.append(value)
        done.set()

    def end(self) -> None:
        """Have nothing more read."""
        if self._left is not None:
            self._left.set()


class _Searches:
    """Has a process search texts for a pattern."""

    def __init__(self, pattern: Pattern, most_s: float) -> None:
        self._pattern = pattern
        self._most_s = most_s
        self._process: subprocess.Popen[str] | None = None

    def read(self, texts: Sequence[str]) -> Iterator[list[Parsed]]:
        """Yield the values of texts, all at a time."""
        try:
            found = self._search(texts)
        except (OSError, ValueError) as error:
            self.end()
            found = [f"the pattern cannot be searched for: {type(error).__name__}: {error}"] * len(texts)
        yield [self._pattern.take(one) for one in found]

    def _search(self, texts: Sequence[str]) -> list[list[str | None] | str | None]:
        if self._process is None:
            asked = json.dumps([self._pattern.text, self._pattern.names, self._most_s])
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _SEARCH, asked],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="ascii",
            )
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(texts) + "\n")
        stdin.flush()
        found: list[list[str | None] | str | None] = json.loads(stdout.readline())
        return found

    def end(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(OSError):
                process.communicate()
