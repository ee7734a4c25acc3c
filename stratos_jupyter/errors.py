"""The whole error tree.

StratosError
├── SpecError (ValueError)        what was asked cannot be run; nothing was started
├── UsageError                    a magic line that cannot be read
├── JobNotFound (LookupError)     no job, run or task of that name
├── StreamClosed                  commands added to a stream that was closed
├── JobHalted                     failures have halted a job that somebody waits for
├── EngineError                   an engine cannot be reached or started
├── StorageError                  a file system cannot be reached, or refuses
├── JournalError                  the record of a job cannot be read or written
│   └── JournalBusy               because another process has it open
└── RefusedMove                   the scheduler was told something that cannot be (a fault of ours)

Every one of them says what is wrong and what to do about it, and is shown in a notebook without our frames.
"""

from __future__ import annotations

from collections.abc import Sequence


class StratosError(Exception):
    """Root of every error that a user can meet; shown in a notebook without our own frames."""

    def _render_traceback_(self) -> list[str]:
        # IPython asks the exception itself for its traceback: one line is all that a user needs.
        return [f"{type(self).__name__}: {self}"]


class SpecError(StratosError, ValueError):
    """What was asked cannot be run; raised before anything has started.

    The message names everything that is wrong, and the cure.
    """


class UsageError(StratosError):
    """A magic line that cannot be read."""


class JobNotFound(StratosError, LookupError):
    """There is no job, run or task of that name."""


class StreamClosed(StratosError):
    """Commands were added to a stream after ``wait()`` had closed it."""


class JobHalted(StratosError):
    """So many tasks have failed that nothing more is launched; who waits would wait for ever."""


class EngineError(StratosError):
    """An engine cannot be reached or started."""


class StorageError(StratosError):
    """A file system cannot be reached, or refuses.

    Attributes
    ----------
    path : str
        The only path that it concerns; '' when it concerns the file system as a whole.
    absent : bool
        Whether that is because nothing is there.
    unknown_operation : bool
        Whether that is because the server does not know what it was asked to do.
    passing : bool
        Whether it is likely to be over soon, as a restart is.
    """

    def __init__(
        self,
        what: str,
        *,
        path: str = "",
        absent: bool = False,
        unknown_operation: bool = False,
        passing: bool = False,
    ) -> None:
        super().__init__(what)
        self.path = path
        self.absent = absent
        self.unknown_operation = unknown_operation
        self.passing = passing


class JournalError(StratosError):
    """The record of a job cannot be read or written."""


class JournalBusy(JournalError):
    """Another process has the record of a job open."""


class RefusedMove(StratosError):
    """A move that the state machine does not know.

    Parameters
    ----------
    what : str
        The move that was refused.
    story : sequence of str
        Every event that this task saw, oldest first.
    """

    def __init__(self, what: str, story: Sequence[str] = ()) -> None:
        super().__init__(what + ("; before that: " + ", ".join(story) if story else ""))
        self.story = tuple(story)
