"""JobView: what is shown of a job, as one immutable snapshot.

Its size does not depend on the number of tasks: it is what a widget, a progress line and a report are drawn
from, at most ten times a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from .states import TERMINAL, TaskState

#: how long the rate looks back, in seconds
RATE_WINDOW_S = 10.0


@dataclass(frozen=True, slots=True)
class JobView:
    """A job at one moment.

    Attributes
    ----------
    job_id : str
        The job's name.
    run : int
        Which run of that job, counted from 1.
    engine : str
        What the user chose, as ``local[4]``.
    counts : tuple of int, shape (8,)
        How many tasks are in each `TaskState`, in its order.
    reasons : mapping of str to int
        How many terminal tasks ended for each reason.
    at_s, submitted_at : float
        Seconds since the epoch, of this view and of the job's first submission.
    ended_at : float or None
        When the last task ended; None while some have not.
    rate_per_s : float or None
        Tasks that ended a second, over the last 10 s; None before the first, and while nothing is launched.
    eta_s : float or None
        Seconds until the last task ends at that rate; None when it cannot be told.
    nodes : int
        How many nodes have tasks of this job now.
    attempts_lost : int
        Attempts that the cluster lost, not the command.
    attempts_retried : int
        Attempts that failed by themselves and were followed by another one.
    left_behind : int
        Processes that tasks left behind when they ended (daemons), which were ended.
    left_first : int or None
        The first task that left any.
    local_bytes, remote_bytes : int
        Bytes of inputs that lay on the node where the attempt was launched, and that did not; as far as is known.
    waited_s : float
        Seconds that tasks have waited for a node that holds their inputs, while others were offered.
    held : str
        Why nothing is launched now: ``paused``, or ``halted after ...``; else ''.
    backing_off : tuple of int and (float or None)
        How many tasks wait before they are tried again, and when the next of them is, in seconds since the epoch.
    notices : tuple of str
        What the user should know, newest last.
    page : str
        Where the engine's own page of the job is; '' when there is none.
    """

    job_id: str
    run: int
    engine: str
    counts: tuple[int, ...]
    at_s: float
    submitted_at: float
    ended_at: float | None = None
    reasons: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    rate_per_s: float | None = None
    eta_s: float | None = None
    nodes: int = 0
    attempts_lost: int = 0
    attempts_retried: int = 0
    left_behind: int = 0
    left_first: int | None = None
    local_bytes: int = 0
    remote_bytes: int = 0
    waited_s: float = 0.0
    held: str = ""
    backing_off: tuple[int, float | None] = (0, None)
    notices: tuple[str, ...] = ()
    page: str = ""

    def __getitem__(self, state: TaskState) -> int:
        return self.counts[state]

    @property
    def total(self) -> int:
        """How many tasks the job has."""
        return sum(self.counts)

    @property
    def done(self) -> int:
        """How many tasks have ended, in whatever way."""
        return sum(self.counts[state] for state in TERMINAL)

    @property
    def failed(self) -> int:
        """How many tasks ended otherwise than with exit code 0."""
        return self.done - self.counts[TaskState.FINISHED]

    @property
    def unfinished(self) -> int:
        """How many tasks have not ended."""
        return self.total - self.done

    @property
    def local_share(self) -> float | None:
        """Which share of the bytes of inputs lay on the nodes that read them; None where no place was known."""
        known = self.local_bytes + self.remote_bytes
        return self.local_bytes / known if known else None

    @property
    def elapsed_s(self) -> float:
        """Seconds from the first submission to the last ending, or to now."""
        return max(0.0, (self.at_s if self.ended_at is None else self.ended_at) - self.submitted_at)


class RateMeter:
    """How many tasks end a second, from samples of how many have ended."""

    def __init__(self, window_s: float = RATE_WINDOW_S) -> None:
        self._window_s = window_s
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, at_s: float, done: int) -> None:
        """Take in that `done` tasks have ended at `at_s`, in seconds."""
        samples = self._samples
        if samples and done < samples[-1][1]:
            samples.clear()  # a relaunch took some back
        samples.append((at_s, done))
        # The oldest sample may be older than the window: something must span it.
        while len(samples) > 2 and samples[1][0] <= at_s - self._window_s:
            samples.popleft()

    @property
    def rate_per_s(self) -> float | None:
        """Tasks a second over the window; None while nothing is known."""
        if len(self._samples) < 2:
            return None
        (from_s, before), (to_s, after) = self._samples[0], self._samples[-1]
        return (after - before) / (to_s - from_s) if to_s > from_s and after > before else None
