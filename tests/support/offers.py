"""A scheduler among nodes that offer when a test tells them to."""

from __future__ import annotations

from typing import TypeVar

from stratos_jupyter.backend.core.batching import BatchPolicy
from stratos_jupyter.backend.core.decisions import Decision, Launch
from stratos_jupyter.backend.core.events import (
    Ending,
    InputLocation,
    InputsLocated,
    Offer,
    OffersArrived,
    TasksAdded,
    TasksEnded,
    Tick,
)
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.core.scheduler import Scheduler
from stratos_jupyter.backend.core.states import Reason

ONE = Resources(1)
D = TypeVar("D", bound=Decision)


class Cluster:
    """A scheduler, a clock that a test sets, and nodes that offer when told."""

    def __init__(self, rules: Rules | None = None, policy: BatchPolicy | None = None) -> None:
        self.at_s = 1_700_000_000.0
        self.scheduler = Scheduler(policy or BatchPolicy(target_s=5.0, most=100), rules)

    def add(self, count: int, priority: int = 0, sought: bool = False, demand: Resources = ONE) -> tuple[Decision, ...]:
        return self.scheduler.handle(TasksAdded(self.at_s, count, demand, priority, sought))

    def place(self, *hosts: str | tuple[str, ...], first: int = 0, size: int = 100) -> tuple[Decision, ...]:
        """Tell of each task on which hosts all of its inputs lie."""
        places = [
            InputLocation(task, size, tuple((name, size) for name in ((names,) if isinstance(names, str) else names)))
            for task, names in enumerate(hosts, first)
        ]
        return self.scheduler.handle(InputsLocated(self.at_s, tuple(places)))

    def offer(
        self, node: str, cpus: float = 1, names: tuple[str, ...] = (), mem_mib: float = 0
    ) -> tuple[Decision, ...]:
        room = Resources(cpus, mem_mib)
        return self.scheduler.handle(OffersArrived(self.at_s, (Offer(node, node, room, None, names),)))

    def end(self, *tasks: int, wall_s: float = 10.0, code: int = 0) -> tuple[Decision, ...]:
        attempt = self.scheduler.table.attempt
        endings = tuple(Ending(task, attempt(task), Reason.EXIT, code, wall_s) for task in tasks)
        return self.scheduler.handle(TasksEnded(self.at_s, endings))

    def why(self, task: int | None = None, engine: str = "") -> list[str]:
        return self.scheduler.why(self.at_s, task, "demo", engine)

    def tick(self) -> tuple[Decision, ...]:
        assert self.scheduler.wakes_at is not None
        self.at_s = max(self.at_s, self.scheduler.wakes_at)
        return self.scheduler.handle(Tick(self.at_s))


def only(kind: type[D], decisions: tuple[Decision, ...]) -> list[D]:
    return [decision for decision in decisions if isinstance(decision, kind)]


def tasks(decisions: tuple[Decision, ...]) -> list[int]:
    return [task for launch in only(Launch, decisions) for task, _ in launch.tasks]
