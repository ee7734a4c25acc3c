"""Success of a command that has ended by itself: its exit code, the files that it makes, what it must not print.

This is judged when all of the task has ended and its streams are complete, and only after an exit code that means
success. Of a very large stream the beginning and the end are searched. The time of a search is bounded, too, since
some patterns take for ever.
"""

import os
import re
import signal
import stat
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Tuple

#: Of a stream that is larger, half at its beginning and half at its end are searched.
SEARCH_LIMIT = 16 * 1024 * 1024
#: How long one search may take.
SEARCH_S = 2.0
#: What is said of all that is missing, and of a line that was found, in characters.
_SAID = 600
_LINE = 200

_ZERO = ((0, 0),)


class _TooSlow(Exception):
    pass


class Success:
    """The conditions that a command of a job must fulfil.

    Parameters
    ----------
    fields : dict
        Of a context: ok_exit, ranges of exit codes; fail_on, pairs of a stream and a pattern.
    """

    __slots__ = ("_ok", "_patterns")

    def __init__(self, fields: Dict[str, Any]) -> None:
        self._ok = [(int(first), int(last)) for first, last in fields.get("ok_exit") or _ZERO]
        self._patterns: List[Tuple[str, str, Any]] = []
        for name, text in fields.get("fail_on") or ():
            if name not in ("stdout", "stderr"):
                raise ValueError(name)
            try:
                pattern: Any = re.compile(text, re.MULTILINE)
            except (re.error, OverflowError, RecursionError) as error:  # newer pythons know more of patterns
                pattern = str(error)
            self._patterns.append((name, text, pattern))

    def says(self, reason: str, code: Optional[int]) -> bool:
        """Say whether a reason and an exit code mean that the work was done."""
        if reason == "exit" and code is not None:
            for first, last in self._ok:
                if first <= code <= last:
                    return True
        return False

    def wants_more(self, task: Any) -> bool:
        """Say whether `broken` has anything to look at for a task; few jobs want more than an exit code."""
        return bool(self._patterns or task.batch.makes)

    def broken(self, task: Any) -> str:
        """Say in one line what a task whose exit code is well has not fulfilled; "" for nothing."""
        paths = task.batch.makes.get((task.number, task.attempt), ())
        if not paths and not self._patterns:
            return ""
        cwd = task.batch.context.cwd.decode("utf-8", "surrogateescape")
        said = [text for text in (missing(path, cwd) for path in paths) if text]
        for name, text, pattern in self._patterns:
            said.append(_found(name, text, pattern, task.out if name == "stdout" else task.err))
        return "; ".join(filter(None, said)).replace("\n", "\\n")[:_SAID]


def missing(path: str, cwd: str) -> str:
    """Say why a file is not what a task was to make; "" when it is there, and not empty.

    Parameters
    ----------
    path : str
        Its name; text with surrogate escapes.
    cwd : str
        Where a relative one starts.
    """
    name = os.path.join(cwd, os.path.expanduser(path) if path[:1] == "~" else path)
    name_b = name.encode("utf-8", "surrogateescape")
    try:
        try:
            found = os.stat(name_b)
        except FileNotFoundError:
            # A file server's client remembers for a while that a file was not there, until the folder is opened anew.
            os.close(os.open(os.path.dirname(name_b) or b".", os.O_RDONLY))
            found = os.stat(name_b)
        if stat.S_ISDIR(found.st_mode):
            empty = not os.listdir(name_b)
        elif stat.S_ISREG(found.st_mode):
            empty = not found.st_size
        else:
            return "{} is neither a file nor a directory".format(path)
    except (FileNotFoundError, NotADirectoryError):
        return "{} was not made".format(path)
    except (OSError, ValueError) as error:
        return "{}: {}".format(path, os.strerror(error.errno or 0) if isinstance(error, OSError) else error)
    return "{} is empty".format(path) if empty else ""


def _found(name: str, text: str, pattern: Any, stream: Any) -> str:
    """Say which line of a stream has a pattern; "" for none."""
    if isinstance(pattern, str):
        return "the python of this node cannot read the pattern {}: {}".format(text, pattern)
    try:
        parts = stream.parts(SEARCH_LIMIT)
    except OSError as error:
        return "{} cannot be searched: {}".format(name, os.strerror(error.errno or 0))
    try:
        with _bounded(SEARCH_S):
            for part in parts:
                whole = part.decode("utf-8", "surrogateescape")
                match = pattern.search(whole)
                if match is not None:
                    return "{} matches {}: {}".format(name, text, _line_at(whole, match.start()))
    except _TooSlow:
        return "{}: the search for {} takes longer than {:g} s and was given up".format(name, text, SEARCH_S)
    except (RecursionError, MemoryError) as error:
        return "{}: the search for {} fails: {}".format(name, text, error)
    return ""


def _line_at(text: str, at: int) -> str:
    start = max(text.rfind("\n", 0, at) + 1, at - _LINE // 2)
    end = text.find("\n", at)
    line = text[start : len(text) if end < 0 else end][:_LINE]
    return line.encode("utf-8", "backslashreplace").decode().strip()


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Raise _TooSlow in what takes longer; the engine of patterns looks for signals while it searches."""

    def strike(_number: int, _frame: Any) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
