"""The scripted engine: a cluster that does as a test says, with no process and no clock of its own.

It makes offers of the nodes that it is given and ends each command as its script tells, in the order of the
script's times, under the loop's clock. It is what the contract is tried on at scale, and in every state that a
real cluster reaches by accident only. It is no engine of the package: within `scripted` the registry knows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import ClassVar, Final, Self

from stratos_jupyter.backend.core.batching import BatchPolicy
from stratos_jupyter.backend.core.decisions import (
    Decision,
    Decline,
    Finish,
    Kill,
    Launch,
    RecordEnding,
    Revive,
    Suppress,
    WithdrawUnstarted,
)
from stratos_jupyter.backend.core.events import Attached, BatchLost, Offer, OffersArrived, TasksReturned, TasksStarted
from stratos_jupyter.backend.core.in_flight import LaunchedBatch
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.states import Reason
from stratos_jupyter.backend.engines import registry
from stratos_jupyter.backend.engines.base import Engine, Largest, Result, Sink, Tail, Work
from stratos_jupyter.backend.engines.registry import SiteEntry
from stratos_jupyter.backend.engines.sites import EngineSettings
from stratos_jupyter.backend.forks import Inherited
from stratos_jupyter.backend.spec.job_spec import JobSpec, OutputMode
from stratos_jupyter.backend.spec.workload import CommandEnv
from stratos_jupyter.backend.store.journal import Journal

#: what is refused for longer comes back when something changes only, in seconds
REFUSE_MOST_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ends.

    Attributes
    ----------
    after_s : float or None
        Seconds from its start to its end; None: only when it is killed.
    reason : Reason
        Why.
    code : int or None
        Exit code or signal.
    stdout, stderr : bytes
        What it writes.
    commands : tuple of str
        What its monitor wants run instead.
    """

    after_s: float | None = 0.0
    reason: Reason = Reason.EXIT
    code: int | None = 0
    stdout: bytes = b""
    stderr: bytes = b""
    commands: tuple[str, ...] = ()


#: tells the outcome of a command, given its task, attempt and text
Script = Callable[[int, int, str], Outcome]


class ScriptedEngine:
    """Runs one job by a script.

    Parameters
    ----------
    sink, work
        As every engine has them.
    script : callable
        Tells each command's outcome.
    nodes : mapping of str to Resources
        What there is.
    loop : asyncio.AbstractEventLoop
        Whose clock is used.
    """

    writes_ahead = False
    page = ""

    def __init__(
        self,
        sink: Sink,
        work: Work,
        script: Script,
        nodes: Mapping[str, Resources],
        loop: asyncio.AbstractEventLoop,
        policy: BatchPolicy | None = None,
    ) -> None:
        self.policy = policy or BatchPolicy()
        self.unacknowledged: list[Result] = []
        self._sink = sink
        self._work = work
        self._script = script
        self._free = dict(nodes)
        self._loop = loop
        self._wants = False
        self._offers: dict[str, tuple[str, Resources]] = {}
        self._names = count(1)
        self._batches: dict[int, tuple[Launch, list[tuple[int, int]]]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def perform(self, decisions: Sequence[Decision]) -> None:
        """Perform all that followed from one event."""
        answered: set[str] = set()
        for decision in decisions:
            match decision:
                case Launch():
                    node, room = self._offers[decision.offer_id]
                    self._offers[decision.offer_id] = node, room - decision.demand
                    answered.add(decision.offer_id)
                    self._batches[decision.batch_id] = decision, list(decision.tasks)
                    self._run_next(decision.batch_id)
                case Decline():
                    answered.update(decision.offer_ids)
                    if decision.refuse_s < REFUSE_MOST_S:
                        self._loop.call_later(decision.refuse_s, self._offer)
                case Revive():
                    self._wants = True
                    self._loop.call_soon(self._offer)
                case Suppress():
                    self._wants = False
                case Kill():
                    self._kill(decision.tasks, decision.reason)
                case WithdrawUnstarted():
                    self._recall(decision.batches)
                case Finish() | RecordEnding():
                    pass  # nothing of it concerns a node
        for offer_id in answered:
            node, room = self._offers.pop(offer_id)
            self._free[node] = self._free[node] + room

    def _offer(self) -> None:
        if not self._wants:
            return
        for node, room in self._free.items():
            if room.cpus > 0:
                offer = Offer(f"scripted-{next(self._names)}", node, room)
                self._offers[offer.offer_id] = node, room
                self._free[node] = Resources()
                self._sink.post(OffersArrived(self._sink.now(), (offer,)))

    def _run_next(self, batch_id: int) -> None:
        launch, left = self._batches[batch_id]
        if not left:
            del self._batches[batch_id]
            self._free[launch.node] = self._free[launch.node] + launch.demand
            self._loop.call_soon(self._offer)
            return
        task, attempt = left[0]
        outcome = self._script(task, attempt, self._work.command(task))
        if outcome.after_s is None:
            self._sink.post(TasksStarted(self._sink.now(), ((task, attempt),)))
        else:
            self._timers[batch_id] = self._loop.call_later(outcome.after_s, self._end, batch_id, outcome)

    def _end(self, batch_id: int, outcome: Outcome) -> None:
        self._timers.pop(batch_id, None)
        launch, left = self._batches[batch_id]
        task, attempt = left.pop(0)
        self._report(launch.node, task, attempt, outcome)
        self._run_next(batch_id)

    def _report(self, node: str, task: int, attempt: int, outcome: Outcome) -> None:
        now = self._sink.now()
        result = Result(
            task, attempt, node, outcome.reason, outcome.code, now - (outcome.after_s or 0.0), now, 0.0, 1.0,
            outcome.stdout, outcome.stderr, "", "", len(outcome.stdout), len(outcome.stderr), "", outcome.commands,
        )  # fmt: skip
        self.unacknowledged.append(result)
        self._sink.post_results([result], partial(self.unacknowledged.remove, result))

    def deliver_again(self) -> None:
        """Deliver what was not acknowledged once more, as an engine does that is in doubt."""
        for result in self.unacknowledged:
            self._sink.post_results([result], partial(self.unacknowledged.remove, result))

    def _recall(self, batches: Sequence[int]) -> None:
        for batch_id in batches:
            if batch_id in self._batches:
                left = self._batches[batch_id][1]
                unstarted = tuple(left[1:])
                del left[1:]
                self._sink.post(TasksReturned(self._sink.now(), unstarted))

    def _kill(self, attempts: Sequence[tuple[int, int]], reason: Reason) -> None:
        for attempt in attempts:
            for batch_id, (launch, left) in list(self._batches.items()):
                if attempt in left:
                    running = left[0] == attempt
                    left.remove(attempt)
                    self._report(launch.node, *attempt, Outcome(reason=reason, code=None))
                    if running:
                        timer = self._timers.pop(batch_id, None)
                        if timer is not None:
                            timer.cancel()
                        self._run_next(batch_id)

    def lose(self, batch_id: int) -> None:
        """Lose a batch with all that it had not reported."""
        launch, _ = self._batches.pop(batch_id)
        timer = self._timers.pop(batch_id, None)
        if timer is not None:
            timer.cancel()
        self._free[launch.node] = self._free[launch.node] + launch.demand
        self._sink.post(BatchLost(self._sink.now(), batch_id))
        self._loop.call_soon(self._offer)

    @property
    def batches(self) -> list[int]:
        """The batches in flight."""
        return list(self._batches)

    def tail(self, task: int, attempt: int, nbytes: int) -> Future[Tail | None]:
        """Answer None: nothing here writes as it goes."""
        future: Future[Tail | None] = Future()
        future.set_result(None)
        return future

    def connections(self) -> list[Inherited]:
        """Return none: nothing is connected to."""
        return []

    def attach(self, launched: Sequence[LaunchedBatch]) -> None:
        """Tell that nothing is left: what is scripted here ends with its process."""
        self._sink.post(Attached(self._sink.now()))

    def let_go(self) -> None:
        """Stop the clock."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def close(self) -> Future[None]:
        """Let go of the timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._batches.clear()
        gone: Future[None] = Future()
        gone.set_result(None)
        return gone


def shell_script(task: int, attempt: int, command: str) -> Outcome:
    """What a shell would do of the few commands that the contract uses."""
    word, _, rest = command.strip().partition(" ")
    match word:
        case "case":
            return Outcome(code=3 if attempt == 1 else 0)
        case "echo":
            return Outcome(after_s=0.001, stdout=rest.encode() + b"\n")
        case "exit":
            return Outcome(code=int(rest))
        case "sleep":
            return Outcome(after_s=None)
        case "kill":
            return Outcome(reason=Reason.SIGNAL, code=9)
    raise AssertionError(f"the script does not know {command!r}")


#: what the master ``scripted`` is
NAME: Final = "scripted"


class ScriptedSite:
    """A cluster of two nodes of one core each, whose tasks read and write no files."""

    default_output_limit: ClassVar = "2M"
    output_modes: ClassVar = frozenset({OutputMode.SCHEDULER})
    sees_files_here: ClassVar = True
    inherits_environment: ClassVar = False
    reserves_amounts: ClassVar = False
    any_master_resumes: ClassVar = False
    ends_with = "unit test"

    script: Script = staticmethod(shell_script)
    nodes: Mapping[str, Resources] = {"n1": Resources(1.0), "n2": Resources(1.0)}

    @classmethod
    def at(cls, master: str, home: Path) -> Self:
        """Return the site."""
        return cls()

    @property
    def largest(self) -> Largest:
        """One of its nodes."""
        return max((Largest(*node) for node in self.nodes.items()), key=lambda node: node.resources.cpus)

    def describe(self) -> str:
        """Say what is there."""
        return f"a script on {len(self.nodes)} nodes"

    def check(self, spec: JobSpec, settings: EngineSettings) -> tuple[JobSpec, list[str]]:
        """Refuse what asks for more than a node."""
        fits = spec.largest_demand().fits(self.largest.resources)
        return spec, [] if fits else [f"a task asks for {spec.largest_demand()}, and no node has it"]

    def context(self, spec: JobSpec, run: int, folder: Path, around: CommandEnv) -> Mapping[str, object]:
        """Return nothing: there is no executor."""
        return {}

    def make_engine(
        self, sink: Sink, work: Work, spec: JobSpec, run: int, journal: Journal, settings: EngineSettings
    ) -> Engine:
        """Make the engine of a run."""
        return ScriptedEngine(sink, work, self.script, self.nodes, asyncio.get_running_loop())


@contextmanager
def scripted() -> Iterator[None]:
    """Add the scripted engine to those that the registry knows."""
    registry.register(SiteEntry(NAME, (NAME,), lambda master: master == NAME, lambda: ScriptedSite))
    try:
        yield
    finally:
        registry.unregister(NAME)
