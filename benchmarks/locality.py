"""How many bytes are read where they lie, and what does the waiting for that cost? On a simulated cluster, or a real.

The scheduler is the real one; the cluster, its clock, and whoever else uses it are simulated. Others hold half of the
slots, each for a while, so offers come from everywhere. Three ways are compared on the same blocks and durations:

- `waiting`  places are known, tasks wait for theirs (`locality_wait`);
- `greedy`   places are known, what is local goes first, nobody waits;
- `random`   nobody knows where anything lies.

Nothing is slower for being read from afar, unless `--remote` says so: what waiting costs is seen at its worst.
"""

from __future__ import annotations

import argparse
import heapq
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from stratos_jupyter.backend.core.decisions import Decision, Decline, Launch, Revive, Suppress
from stratos_jupyter.backend.core.events import (
    Ending,
    Event,
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

BLOCK = 128 * 1024 * 1024
#: the master looks for what is free so often, in seconds
CYCLE_S = 1.0
#: asking for offers more often than this does not help, in seconds
REVIVE_S = 0.1
#: what is left of an offer that was used in part does not come back for this long, in seconds
PART_S = 5.0
#: as the scheduler is told of places
PIECE = 1000
EPOCH_S = 1_700_000_000.0  # times are as large as real ones
ONE = Resources(1.0)


@dataclass(frozen=True)
class Plan:
    """Blocks and durations."""

    nodes: int
    slots: int
    hosts: Sequence[tuple[int, ...]]  # by task
    walls: Sequence[float]
    others: int
    others_s: tuple[float, float]
    remote: float
    seed: int


@dataclass
class Outcome:
    """What came of it."""

    local: int = 0
    ended: int = 0
    makespan_s: float = 0.0
    waited_s: float = 0.0
    decide_s: float = 0.0
    events: int = 0


@dataclass
class Cluster:
    """Agents, a master that allocates, another framework, and one job."""

    plan: Plan
    wait_s: float
    tells: bool
    scheduler: Scheduler = field(init=False)
    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        plan = self.plan
        self.scheduler = Scheduler(rules=Rules(locality_wait_s=self.wait_s))
        self.random = random.Random(plan.seed + 1)
        self.now = EPOCH_S
        self.free = [plan.slots] * plan.nodes
        self.theirs = 0
        self.ours = 0
        self.filters = [0.0] * plan.nodes
        self.wants = False
        self.asked = False
        self.reviving = False
        self.revived_at = 0.0
        self.heap: list[tuple[float, int, str, tuple[int, int, float]]] = []
        self.numbers = count()
        self.ticks_at = float("inf")
        self.offers: dict[str, int] = {}

    def at(self, when: float, what: str, detail: tuple[int, int, float] = (0, 0, 0.0)) -> None:
        heapq.heappush(self.heap, (when, next(self.numbers), what, detail))

    def tell(self, event: Event) -> None:
        began = time.perf_counter()
        decisions = self.scheduler.handle(event)
        self.outcome.decide_s += time.perf_counter() - began
        self.outcome.events += 1
        self.perform(decisions)
        wakes_at = self.scheduler.wakes_at
        if wakes_at is not None and not self.now <= self.ticks_at <= wakes_at:
            self.ticks_at = max(self.now, wakes_at)
            self.at(self.ticks_at, "tick")

    def perform(self, decisions: Sequence[Decision]) -> None:
        used: set[int] = set()
        for decision in decisions:
            match decision:
                case Launch():
                    node = self.offers[decision.offer_id]
                    used.add(node)
                    self.free[node] -= 1
                    self.ours += 1
                    self.run(node, decision.tasks)
                case Decline():
                    for offer_id in decision.offer_ids:
                        self.filters[self.offers[offer_id]] = self.now + decision.refuse_s
                case Revive():
                    self.wants, self.asked = True, True
                case Suppress():
                    self.wants = False
        for node in used:
            self.filters[node] = self.now + PART_S if self.free[node] else 0.0

    def run(self, node: int, tasks: Sequence[tuple[int, int]]) -> None:
        at_s = self.now
        for number, (task, attempt) in enumerate(tasks):
            local = node in self.plan.hosts[task]
            self.outcome.local += local
            wall_s = self.plan.walls[task] * (1.0 if local else self.plan.remote)
            at_s += wall_s
            last = number == len(tasks) - 1
            self.at(at_s, "last" if last else "ended", (task, attempt, wall_s) if not last else (task, node, wall_s))

    def allocate(self) -> None:
        """Give what is free to whoever holds less, agent by agent, as the master's allocator does."""
        offers = []
        self.offers.clear()
        offered = 0
        for node in self.random.sample(range(self.plan.nodes), self.plan.nodes):
            room = self.free[node]
            if not room:
                continue
            wanted = self.wants and self.filters[node] <= self.now
            if self.theirs < self.plan.others and (not wanted or self.theirs < self.ours + offered):
                taken = min(room, self.plan.others - self.theirs)
                self.free[node] -= taken
                self.theirs += taken
                for _ in range(taken):
                    self.at(self.now + self.random.uniform(*self.plan.others_s), "theirs", (node, 0, 0.0))
            elif wanted:
                offer = Offer(
                    f"o{next(self.numbers)}", f"node{node}", Resources(float(room)), names=(f"10.0.0.{node}",)
                )
                self.offers[offer.offer_id] = node
                offered += room
                offers.append(offer)
        if offers:
            self.tell(OffersArrived(self.now, tuple(offers)))

    def go(self) -> Outcome:
        plan, total = self.plan, len(self.plan.walls)
        while self.theirs < plan.others:  # they were here first
            node = self.random.randrange(plan.nodes)
            if self.free[node]:
                self.free[node] -= 1
                self.theirs += 1
                self.at(self.now + self.random.uniform(0, plan.others_s[1]), "theirs", (node, 0, 0.0))
        self.at(self.now + CYCLE_S, "cycle")
        self.tell(TasksAdded(self.now, total, ONE, sought=self.tells))
        if self.tells:
            for first in range(0, total, PIECE):
                self.at(self.now + 0.05 * (1 + first // PIECE), "places", (first, min(total, first + PIECE), 0.0))
        while self.outcome.ended < total:
            self.now, _, what, detail = heapq.heappop(self.heap)
            self.happen(what, detail)
            if self.asked and self.wants:
                if self.now >= self.revived_at + REVIVE_S:
                    self.asked, self.revived_at = False, self.now
                    self.filters = [0.0] * plan.nodes
                    self.allocate()
                else:
                    self.asked = False
                    if not self.reviving:
                        self.reviving = True
                        self.at(self.revived_at + REVIVE_S, "revive")
        self.outcome.makespan_s = self.now - EPOCH_S
        self.outcome.waited_s = self.scheduler.locality.waited_s
        self.scheduler.check()
        return self.outcome

    def happen(self, what: str, detail: tuple[int, int, float]) -> None:
        match what:
            case "ended" | "last":
                task, attempt, wall_s = detail
                self.outcome.ended += 1
                if what == "last":
                    self.free[attempt] += 1
                    self.ours -= 1
                    self.asked = self.wants
                    attempt = self.scheduler.table.attempt(task)
                self.tell(TasksEnded(self.now, (Ending(task, attempt, Reason.EXIT, 0, wall_s),)))
            case "theirs":
                self.free[detail[0]] += 1
                self.theirs -= 1
            case "places":
                self.tell(InputsLocated(self.now, tuple(self.places(*detail[:2]))))
            case "cycle":
                self.allocate()
                self.at(self.now + CYCLE_S, "cycle")
            case "tick":
                if self.now >= self.ticks_at:
                    self.ticks_at = float("inf")
                    self.tell(Tick(self.now))
            case "revive":
                self.asked, self.reviving = True, False

    def places(self, first: int, after: int) -> Iterator[InputLocation]:
        for task in range(first, after):
            # half of them under the one name of their node, half under the other
            hosts = tuple((f"node{node}" if node % 2 else f"10.0.0.{node}", BLOCK) for node in self.plan.hosts[task])
            yield InputLocation(task, BLOCK, hosts)


def planned(chosen: argparse.Namespace, seed: int) -> Plan:
    dice = random.Random(seed)
    among = range(chosen.nodes if not chosen.holders else chosen.holders)
    return Plan(
        nodes=chosen.nodes,
        slots=chosen.slots,
        hosts=[tuple(dice.sample(among, min(chosen.replicas, len(among)))) for _ in range(chosen.tasks)],
        walls=[dice.uniform(chosen.shortest, chosen.longest) for _ in range(chosen.tasks)],
        others=int(chosen.nodes * chosen.slots * chosen.taken),
        others_s=(5.0, 60.0),
        remote=chosen.remote,
        seed=seed,
    )


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--slots", type=int, default=16, help="of a node; default 16")
    parser.add_argument("--tasks", type=int, default=50_000, help="of one block each; default 50000")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--holders", type=int, default=0, help="nodes that hold blocks; default all")
    parser.add_argument("--shortest", type=float, default=2.0, metavar="S", help="task, in seconds; default 2")
    parser.add_argument("--longest", type=float, default=20.0, metavar="S", help="task, in seconds; default 20")
    parser.add_argument("--taken", type=float, default=0.5, help="part of the slots that others hold; default 0.5")
    parser.add_argument("--remote", type=float, default=1.0, help="how much longer a task takes elsewhere; default 1.0")
    parser.add_argument("--wait", type=float, default=3.0, metavar="S", help="locality_wait; default 3")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--real", action="store_true", help="then also on a real HDFS and a real Mesos, of three nodes")
    parser.add_argument("--real-tasks", type=int, default=300, help="there; default 300")
    return parser.parse_args()


def main() -> None:
    chosen = options()
    print(f"{chosen.nodes} nodes x {chosen.slots} slots, {chosen.taken:.0%} taken by others")
    print(f"{chosen.tasks:,} tasks of {chosen.shortest:g}-{chosen.longest:g} s, elsewhere x {chosen.remote:g}; "
          f"{chosen.replicas} replicas on {chosen.holders or chosen.nodes} nodes")  # fmt: skip
    print(f"{'seed':>4}  {'placement':10}{'local':>8}{'makespan':>11}{'to greedy':>11}{'to random':>11}{'waited':>10}"
          f"{'us/event':>10}")  # fmt: skip
    reached = True
    for seed in map(int, chosen.seeds.split(",")):
        plan = planned(chosen, seed)
        ways = {"random": (0.0, False), "greedy": (0.0, True), "waiting": (chosen.wait, True)}
        found = {name: Cluster(plan, wait_s, tells).go() for name, (wait_s, tells) in ways.items()}
        for name, one in found.items():
            local = one.local / chosen.tasks
            ratios = [one.makespan_s / found[other].makespan_s for other in ("greedy", "random")]
            print(f"{seed:4}  {name:10}{local:8.1%}{one.makespan_s:9.1f} s{ratios[0]:11.3f}{ratios[1]:11.3f}"
                  f"{one.waited_s:8.1f} s{one.decide_s / one.events * 1e6:10.1f}")  # fmt: skip
            if name == "waiting":
                reached = reached and local >= 0.95 and max(ratios) <= 1.02
    verdict = "reached" if reached else "missed"
    print(f"target: waiting has at least 95 % local and at most 1.02 of either makespan: {verdict}")
    if chosen.real:
        from locality_real import main as on_real_nodes  # here, for it needs what the tests need

        print(flush=True)
        on_real_nodes(chosen.real_tasks, chosen.wait, [int(seed) for seed in chosen.seeds.split(",")])


if __name__ == "__main__":
    main()
