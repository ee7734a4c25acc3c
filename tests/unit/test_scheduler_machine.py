"""Random events: whatever happens in whatever order, the books agree and no task is lost or run twice at once."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stratos_jupyter.backend.core.decisions import Finish, Kill, Launch, Settle
from stratos_jupyter.backend.core.events import (
    BatchLost,
    Closed,
    Ending,
    Event,
    KillAsked,
    NodeBack,
    NodeUnreachable,
    Offer,
    OffersArrived,
    RelaunchAsked,
    TasksAdded,
    TasksEnded,
    TasksReturned,
    TasksStarted,
)
from stratos_jupyter.backend.core.placement import BatchPolicy
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.scheduler import Scheduler
from stratos_jupyter.backend.core.states import TERMINAL, Reason, TaskState

DEMANDS = [Resources(1.0), Resources(0.5, 10), Resources(2.0, 100, 5)]
REASONS = [Reason.EXIT, Reason.SIGNAL, Reason.TIMEOUT, Reason.USER, Reason.SPAWN]


class SchedulerMachine(RuleBasedStateMachine):
    """A cluster that does as it pleases."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(BatchPolicy(target_s=1.0, most=4))
        self.nodes: dict[int, str] = {}  # batch -> node
        self.running: dict[tuple[int, int], int] = {}  # attempt on a node -> batch
        self.started: set[tuple[int, int]] = set()
        self.seen: list[Ending] = []
        self.closed = False
        self.finishes = 0

    def feed(self, event: Event) -> None:
        for decision in self.scheduler.handle(event):
            match decision:
                case Launch():
                    for attempt in decision.tasks:
                        assert attempt not in self.running, "one attempt runs once"
                        task = attempt[0]
                        live = [one for one in self.running if one[0] == task]
                        assert all(self.lost(one) for one in live), "one live attempt a task"
                        self.running[attempt] = decision.batch_id
                    self.nodes[decision.batch_id] = decision.node
                case Kill():
                    for attempt in decision.tasks:
                        assert attempt in self.running, "only what runs is killed"
                case Settle():
                    assert decision.state in TERMINAL
                case Finish():
                    self.finishes += 1

    def lost(self, attempt: tuple[int, int]) -> bool:
        return attempt[1] < self.scheduler.table.attempt(attempt[0])

    @rule(count=st.integers(1, 5), demand=st.sampled_from(DEMANDS), priority=st.integers(0, 2))
    def add(self, count: int, demand: Resources, priority: int) -> None:
        if not self.closed:
            self.feed(TasksAdded(0.0, count, demand, priority))

    @rule(cpus=st.floats(0.1, 8), mem=st.floats(0, 500), node=st.sampled_from("ab"), behind=st.booleans())
    def offer(self, cpus: float, mem: float, node: str, behind: bool) -> None:
        before = set(self.nodes)
        self.feed(OffersArrived(0.0, (Offer("o", node, Resources(cpus, mem, 50), 1 if behind else None),)))
        assert not behind or len(set(self.nodes) - before) <= 1

    @precondition(lambda self: self.running)
    @rule(data=st.data(), reason=st.sampled_from(REASONS), code=st.integers(0, 2), wall_s=st.floats(0, 2))
    def end(self, data: st.DataObject, reason: Reason, code: int, wall_s: float) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[attempt]
        self.started.discard(attempt)
        ending = Ending(*attempt, reason, code, wall_s)
        self.seen.append(ending)
        self.feed(TasksEnded(0.0, (ending,)))

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        before = self.scheduler.table.states()
        self.feed(TasksEnded(0.0, (data.draw(st.sampled_from(self.seen)),)))
        assert self.scheduler.table.states() == before

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.running)))
        self.started.add(attempt)
        self.feed(TasksStarted(0.0, (attempt,)))

    @precondition(lambda self: set(self.running) - self.started)
    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(sorted(set(self.running) - self.started)))
        if not self.lost(attempt):
            del self.running[attempt]
            self.feed(TasksReturned(0.0, (attempt,)))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), silent=st.booleans())
    def lose(self, data: st.DataObject, silent: bool) -> None:
        batch = data.draw(st.sampled_from(sorted(set(self.running.values()))))
        if silent:  # it is gone for good; else it may yet report
            self.running = {one: of for one, of in self.running.items() if of != batch}
        self.feed(BatchLost(0.0, batch))

    @rule(node=st.sampled_from("ab"), back=st.booleans())
    def partition(self, node: str, back: bool) -> None:
        self.feed(NodeBack(0.0, node) if back else NodeUnreachable(0.0, node))

    @precondition(lambda self: len(self.scheduler.table))
    @rule(data=st.data(), all_of_them=st.booleans())
    def kill(self, data: st.DataObject, all_of_them: bool) -> None:
        task = data.draw(st.integers(0, len(self.scheduler.table) - 1))
        self.feed(KillAsked(0.0, None if all_of_them else (task,)))

    @precondition(lambda self: len(self.scheduler.table))
    @rule(data=st.data())
    def relaunch(self, data: st.DataObject) -> None:
        task = data.draw(st.integers(0, len(self.scheduler.table) - 1))
        # A node that lost an attempt for good cannot report it later; one that only seemed lost still can.
        self.feed(RelaunchAsked(0.0, (task,)))

    @rule()
    def close(self) -> None:
        self.closed = True
        self.feed(Closed(0.0))

    @invariant()
    def books_agree(self) -> None:
        self.scheduler.check()

    @invariant()
    def what_flies_is_on_a_node_or_lost(self) -> None:
        table = self.scheduler.table
        for task in range(len(table)):
            if table.state(task) in (TaskState.STAGING, TaskState.RUNNING):
                assert (task, table.attempt(task)) in self.running

    def teardown(self) -> None:
        """Given a patient cluster, everything ends."""
        for attempt in list(self.running):
            self.feed(TasksEnded(0.0, (Ending(*attempt, Reason.EXIT, 0, 0.1),)))
        self.running.clear()
        for _ in range(200):
            if not self.scheduler.table.unended:
                break
            self.feed(OffersArrived(0.0, (Offer("o", "a", Resources(8, 1000, 100)),)))
            for attempt in list(self.running):
                del self.running[attempt]
                self.feed(TasksEnded(0.0, (Ending(*attempt, Reason.EXIT, 0, 0.1),)))
        assert not self.scheduler.table.unended
        self.scheduler.check()


TestSchedulerMachine = SchedulerMachine.TestCase
