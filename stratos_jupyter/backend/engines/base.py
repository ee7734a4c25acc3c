"""What an engine is: the only thing that performs decisions.

An engine runs on the driver thread. It tells what happens through its `Sink` and performs what the scheduler
decides. It keeps every result until it is acknowledged, and delivers it again when in doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from ..core.batching import BatchPolicy
from ..core.decisions import Decision
from ..core.events import Event
from ..core.in_flight import LaunchedBatch
from ..core.resources import Resources
from ..core.states import Reason
from ..forks import Inherited


class Result(NamedTuple):
    """How an attempt ended, as an engine tells it.

    Attributes
    ----------
    task, attempt : int
        Which attempt.
    node : str
        Where it ran.
    reason : Reason
        Why it ended.
    code : int or None
        Exit code, or the signal's number for `Reason.SIGNAL`.
    started_at : float or None
        Seconds since the epoch; None when it never started.
    finished_at : float
        Seconds since the epoch.
    cpu_s, max_rss_mib : float
        What ``wait4`` says of the command and its children: user and system time, peak memory.
    stdout, stderr : bytes or None
        The whole stream when it is small; None when it is in a file or was discarded.
    stdout_path, stderr_path : str
        The file that holds the whole stream, or ''.
    stdout_size, stderr_size : int
        How many bytes the command wrote.
    note : str
        One line for a person, or ''.
    commands : tuple of str
        What is to run instead, where a monitor ended the attempt.
    inputs : tuple of str
        The key of the inputs when it had ended, and the one before it started, where that is another; empty where
        no node looked.
    """

    task: int
    attempt: int
    node: str
    reason: Reason
    code: int | None
    started_at: float | None
    finished_at: float
    cpu_s: float
    max_rss_mib: float
    stdout: bytes | None
    stderr: bytes | None
    stdout_path: str
    stderr_path: str
    stdout_size: int
    stderr_size: int
    note: str
    commands: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


class Tail(NamedTuple):
    """The end of what a running attempt has written so far, and its note: a line for a person, or ''."""

    stdout: str
    stderr: str
    note: str


class Sink(Protocol):
    """Where an engine tells what happens; all of it on the driver thread."""

    def post(self, event: Event) -> None:
        """Something happened."""

    def post_results(self, results: Sequence[Result], acknowledge: Callable[[], None]) -> None:
        """Attempts ended; `acknowledge` is called once that is on disk."""

    def notice(self, text: str, aloud: bool = True) -> None:
        """Show the user a line, once; not `aloud`: where the job is looked at, but not in the log."""

    def withdraw(self, text: str) -> None:
        """What was said by that notice is so no longer."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def demand_of(self, task: int) -> Resources:
        """Return what a task asks for now."""

    def accepts_result(self, task: int, attempt: int) -> bool:
        """Say whether the result of an attempt would still be its task's."""


class Work(Protocol):
    """What an engine needs to know of a task that it launches."""

    def command(self, task: int) -> str:
        """Return the shell text."""

    def file(self, task: int) -> str | None:
        """Return the file behind ``%f%``, or None."""

    def makes(self, task: int) -> Sequence[str]:
        """Return the files that the task makes, as their names are to its command."""

    def inputs(self, task: int) -> Sequence[str] | None:
        """Return what a node is to look at of what the task reads; None: its file, if it has one."""

    def copies(self, task: int) -> tuple[str, ...]:
        """Return the URLs of the other files of which the command finds copies, by ``STRATOS_COPY_1`` and so on."""

    def context_of(self, task: int) -> int:
        """Return which context the task runs in."""

    def context(self, number: int) -> Mapping[str, object]:
        """Return what an executor must know of that context: the wire's ``context``."""


class Engine(Protocol):
    """Performs decisions for one run.

    Attributes
    ----------
    writes_ahead : bool
        Whether a launch must be on disk before it is performed.
    page : str
        Where the cluster's own page of the job is; '' when there is none.
    """

    writes_ahead: bool
    page: str

    @property
    def policy(self) -> BatchPolicy:
        """How this engine wants commands bundled."""

    def perform(self, decisions: Sequence[Decision]) -> None:
        """Perform all that followed from one event; launches on one offer belong together."""

    def tail(self, task: int, attempt: int, nbytes: int) -> Future[Tail | None]:
        """Ask for the last bytes of what a running attempt has written; None when it does not run."""

    def connections(self) -> list[Inherited]:
        """Return the connections of which a forked child must not keep a copy open."""

    def attach(self, launched: Sequence[LaunchedBatch]) -> None:
        """Find what an earlier process has left running, and tell of it by `Attached`, once; offer nothing before.

        Parameters
        ----------
        launched : sequence of LaunchedBatch
            What is known to have been launched and not to have ended.
        """

    def let_go(self) -> None:
        """End all connections; running tasks continue, and the next process to attach finds them."""

    def close(self) -> Future[None]:
        """End what runs and let go of everything; the future is done when all of it is gone."""


@runtime_checkable
class ExplainsOffers(Protocol):
    """An engine that knows more than its offers tell of why tasks wait."""

    def why_not_offering(self) -> str:
        """Return what keeps it from offering, as a clause for a person; '' when nothing does."""


@runtime_checkable
class Ranked(Protocol):
    """An engine that shares what it has with those of other jobs, the highest `priority` first."""

    priority: int


@dataclass(frozen=True, slots=True)
class Largest:
    """The most that one node of an engine can ever offer, and which node that is."""

    node: str
    resources: Resources
