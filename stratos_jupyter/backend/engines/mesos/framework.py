"""A job as a Mesos framework: its configuration, and the state that the parts of its engine share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from ....errors import JournalError
from ...core.events import BatchLost, TasksReturned
from ...forks import Inherited
from ..base import Sink
from . import master_events
from .agents import KnownAgents
from .batches import Attempt, MesosBatch, MesosBatches
from .messages import JobIdentity


@dataclass(frozen=True, slots=True)
class FrameworkConfig:
    """How a job is a framework of a cluster.

    Attributes
    ----------
    identity : JobIdentity
        What it is called there.
    command : mapping
        The ``CommandInfo`` that starts its executor.
    cpus : float
        What its commands ask for each.
    where : tuple of (str, str)
        Attributes that a node must have.
    gpus : bool
        Whether nodes with graphics processors are wanted.
    failover_s : float
        How long its tasks go on without a kernel.
    partition_wait_s : float
        How long a node that cannot be reached is waited for.
    max_cpus : float or None
        The most that it may hold.
    principal, hostname : str
        What the framework authenticates with, and the host that it runs on.
    """

    identity: JobIdentity
    command: Mapping[str, Any]
    cpus: float = 1.0
    where: tuple[tuple[str, str], ...] = ()
    gpus: bool = False
    failover_s: float = 7 * 86400.0
    partition_wait_s: float = 600.0
    max_cpus: float | None = None
    principal: str = ""
    hostname: str = ""


class MasterClient(Protocol):
    """A client of the master; no method waits for an answer."""

    def start(self) -> None:
        """Subscribe, and again whenever the connection is lost."""

    def accept(self, offer_ids: Sequence[str], operations: Sequence[Mapping[str, Any]], refuse_s: float) -> None:
        """Launch tasks."""

    def decline(self, offer_ids: Sequence[str], refuse_s: float) -> None:
        """Give offers back."""

    def decline_inverse(self, offer_ids: Sequence[str]) -> None:
        """Say that resources cannot be given back now."""

    def revive(self, roles: Sequence[str] = ()) -> None:
        """Ask for offers."""

    def suppress(self, roles: Sequence[str] = ()) -> None:
        """Ask for none."""

    def acknowledge(self, agent_id: str, task_id: str, uuid: str) -> None:
        """Say that a status is recorded."""

    def kill(self, task_id: str, agent_id: str = "", grace_s: float | None = None) -> None:
        """End a task."""

    def message(self, agent_id: str, executor_id: str, data: bytes) -> None:
        """Send something to an executor."""

    def reconcile(self, tasks: Sequence[tuple[str, str]]) -> None:
        """Ask about tasks, by their ids and agents; about all when there are none."""

    def teardown(self) -> Future[None]:
        """End the framework, with all that runs."""

    def stop(self) -> Future[None]:
        """Close the connection; what was said before is brought first."""

    def connections(self) -> list[Inherited]:
        """Return the connections of which a forked child must not keep a copy open."""


#: makes the client of a framework, which tells of events on a thread of its own
MakeClient = Callable[[Mapping[str, Any], Callable[[master_events.MasterEvent], None]], MasterClient]
#: writes down what the next process needs; raises JournalError
Keep = Callable[[Mapping[str, Any]], None]


class FrameworkState:
    """What the parts of one job's engine share.

    Attributes
    ----------
    sink : Sink
        Takes what happens.
    config : FrameworkConfig
        How the job is to be run.
    framework_id : str
        '' before the master has given one.
    executors : dict of str to dict
        Each ``ExecutorInfo`` that was launched, by its id: a master wants to see the very same again.
    agents : KnownAgents
        Those that were met.
    batches : MesosBatches
        Those that have not ended.
    """

    def __init__(self, sink: Sink, config: FrameworkConfig, kept: Mapping[str, Any], keep: Keep) -> None:
        self.sink = sink
        self.config = config
        self.framework_id = str(kept.get("framework_id", ""))
        self.executors: dict[str, dict[str, Any]] = dict(kept.get("executors", {}))
        self.agents = KnownAgents(kept.get("nodes", {}))
        self.batches = MesosBatches()
        self._kept = dict(kept)
        self._keep = keep
        self._said: dict[str, str] = {}

    def write_down(self) -> bool:
        """Keep what the next process needs, before anything depends on it; False when that cannot be done."""
        now = {"framework_id": self.framework_id, "executors": dict(self.executors), "nodes": self.agents.names()}
        if now == self._kept:
            return True
        try:
            self._keep(now)
        except JournalError as error:
            self.say("disk", f"nothing is launched while the framework cannot be written down: {error}")
            return False
        self._kept = now
        self.unsay("disk")
        return True

    def begin_anew(self) -> None:
        """Forget the framework, which the master has ended with all that it had."""
        self.framework_id = ""
        self.executors.clear()
        for agent in self.agents:
            agent.lose()
        for batch in self.batches:
            self.lose(batch)
        self.batches.kills.clear()
        self.batches.recalls.clear()
        self.write_down()

    def hand_back(self, attempts: Iterable[Attempt]) -> None:
        """Let attempts be launched elsewhere that nothing has been done for."""
        returned = tuple(attempts)
        for attempt in returned:
            self.batches.kills.pop(attempt, None)  # else it would be ended when it is launched once more
        if returned:
            self.sink.post(TasksReturned(self.sink.now(), returned))

    def lose(self, batch: MesosBatch) -> None:
        """Forget a batch; what it had not reported is lost."""
        if self.batches.remove(batch) and not batch.given_up:
            self.sink.post(BatchLost(self.sink.now(), batch.batch_id))

    def say(self, about: str, text: str, aloud: bool = True) -> None:
        """Show the user a line, in place of the last one about the same."""
        text = "".join(letter if letter.isprintable() else " " for letter in text[:300])
        if self._said.get(about) != text:
            self.unsay(about)
            self._said[about] = text
            self.sink.notice(text, aloud)

    def say_or_unsay(self, about: str, text: str, aloud: bool = True) -> None:
        """Show the user a line about that, or none any more when it is ''."""
        if text:
            self.say(about, text, aloud)
        else:
            self.unsay(about)

    def said(self, about: str) -> str:
        """Return the line about that, which is shown now; '' when none is."""
        return self._said.get(about, "")

    def unsay(self, about: str) -> None:
        """Show it no longer."""
        text = self._said.pop(about, "")
        if text:
            self.sink.withdraw(text)
