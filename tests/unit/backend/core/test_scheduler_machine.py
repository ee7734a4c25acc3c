"""Random events: whatever happens in whatever order, the books agree and no task is lost or run twice at once."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from stratos_jupyter.backend.core.batching import BatchPolicy
from stratos_jupyter.backend.core.decisions import Finish, Kill, Launch, RecordEnding, WithdrawUnstarted
from stratos_jupyter.backend.core.events import (
    BatchLost,
    Closed,
    DemandChanged,
    Ending,
    Event,
    InputLocation,
    InputsLocated,
    KillAsked,
    LaunchKnown,
    NodeBack,
    NodeUnreachable,
    Offer,
    OffersArrived,
    OfferUnfit,
    PauseAsked,
    RelaunchAsked,
    ResumeAsked,
    RulesChanged,
    Superseded,
    TasksAdded,
    TasksEnded,
    TasksReturned,
    TasksStarted,
    Tick,
)
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.rules import OWN_FAILURES, Cause, Halt, Rules
from stratos_jupyter.backend.core.scheduler import Scheduler
from stratos_jupyter.backend.core.states import TERMINAL, Reason, TaskState

DEMANDS = [Resources(1.0), Resources(0.5, 10), Resources(2.0, 100, 5)]
REASONS = [reason for reason in Reason if reason is not Reason.LOST]
RULES = st.builds(
    Rules,
    retries=st.integers(0, 3),
    retry_on=st.lists(
        st.builds(Cause, st.sampled_from(sorted(OWN_FAILURES)), st.none() | st.integers(0, 2)), max_size=2
    ).map(tuple),
    retry_delay_s=st.sampled_from([0.0, 0.1, 1.0]),
    mem_most_mib=st.sampled_from([0.0, 15.0, 300.0]),
    timeout_share=st.none() | st.sampled_from([1.5, 3.0]),
    halt=st.none() | st.builds(Halt, st.integers(1, 4), st.sampled_from([0.0, 0.5])),
    max_tasks=st.none() | st.integers(1, 4),
    rate_per_s=st.none() | st.sampled_from([0.5, 5.0]),
    delay_s=st.sampled_from([0.0, 0.0, 0.3]),
    locality_wait_s=st.sampled_from([0.0, 0.5, 3.0]),
)
#: node a has two names, node b one; nobody ever offers c
HOSTS = ["10.0.0.1", "A.example.", "b", "c"]
NAMES = {"a": ("10.0.0.1", "a.example"), "b": ()}


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
        self.at_s = 0.0
        self.relaunched: set[int] = set()

    @initialize(rules=RULES)
    def begin(self, rules: Rules) -> None:
        self.scheduler = Scheduler(BatchPolicy(target_s=1.0, most=4), rules)

    def feed(self, event: Event) -> None:
        held = self.scheduler.held
        for decision in self.scheduler.handle(event):
            match decision:
                case Launch():
                    assert not held, "nothing is launched while the job is held"
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
                case WithdrawUnstarted():
                    assert set(decision.batches) <= set(self.running.values())
                case RecordEnding():
                    assert decision.state in TERMINAL
                    for gone in decision.tasks:
                        final = self.scheduler.table.ended(gone.task)
                        assert not decision.final or final or gone.task in self.relaunched
                case Finish():
                    self.finishes += 1

    def lost(self, attempt: tuple[int, int]) -> bool:
        return attempt[1] < self.scheduler.table.attempt(attempt[0])

    @rule(passed_s=st.sampled_from([0.0, 0.1, 1.0, 30.0]))
    def let_time_pass(self, passed_s: float) -> None:
        self.at_s += passed_s
        self.feed(Tick(self.at_s))

    @rule(which=st.sampled_from([PauseAsked, ResumeAsked]))
    def hold(self, which: type[PauseAsked] | type[ResumeAsked]) -> None:
        self.feed(which(self.at_s))

    @rule(rules=RULES)
    def change(self, rules: Rules) -> None:
        now = self.scheduler.rules
        self.feed(
            RulesChanged(
                self.at_s, replace(now, max_tasks=rules.max_tasks, rate_per_s=rules.rate_per_s, halt=rules.halt)
            )
        )

    @rule(demand=st.sampled_from(DEMANDS), priority=st.integers(0, 2))
    def demand(self, demand: Resources, priority: int) -> None:
        self.feed(DemandChanged(self.at_s, demand, priority))
        waiting = [task for task in range(len(self.scheduler.table)) if self.scheduler.table.waits(task)]
        assert {self.scheduler.demand_of(task) for task in waiting} <= {demand}

    @rule(count=st.integers(1, 5), demand=st.sampled_from(DEMANDS), priority=st.integers(0, 2), sought=st.booleans())
    def add(self, count: int, demand: Resources, priority: int, sought: bool) -> None:
        if not self.closed:
            self.feed(TasksAdded(self.at_s, count, demand, priority, sought))

    @rule(
        data=st.data(),
        hosts=st.lists(
            st.tuples(st.sampled_from(HOSTS), st.integers(0, 100)), max_size=4, unique_by=lambda one: one[0]
        ),
        ahead=st.integers(0, 3),
    )
    def locate(self, data: st.DataObject, hosts: list[tuple[str, int]], ahead: int) -> None:
        """Places may become known before the task is, while it waits, runs or after it ended, and twice."""
        first = data.draw(st.integers(0, len(self.scheduler.table) + ahead))
        place = tuple(sorted(hosts, key=lambda one: -one[1]))
        self.feed(InputsLocated(self.at_s, tuple(InputLocation(task, 100, place) for task in range(first, first + 3))))

    @precondition(lambda self: self.scheduler.table.counts[TaskState.QUEUED])
    @rule(data=st.data(), node=st.sampled_from("ab"))
    def find(self, data: st.DataObject, node: str) -> None:
        """Whoever attaches may find launches that nobody knew of, also of tasks that rest before a retry."""
        table = self.scheduler.table
        task = data.draw(st.sampled_from([task for task in range(len(table)) if table.waits(task)]))
        batch_id = max(self.nodes, default=0) + 1
        self.feed(LaunchKnown(self.at_s, batch_id, node, ((task, table.attempt(task)),)))
        self.running[task, table.attempt(task)] = batch_id
        self.nodes[batch_id] = node

    @rule(node=st.sampled_from("ab"))
    def refuse(self, node: str) -> None:
        self.feed(OfferUnfit(self.at_s, node, "rack=1"))

    @precondition(lambda self: self.scheduler.wakes_at is not None)
    @rule()
    def wake(self) -> None:
        """Whoever asks to be woken is told something, or asks for a later time: the clock never spins."""
        for _ in range(50):
            wakes_at = self.scheduler.wakes_at
            if wakes_at is None or wakes_at > self.at_s + 1.0:
                return
            before = self.at_s
            self.at_s = max(self.at_s, wakes_at)
            self.feed(Tick(self.at_s))
            again = self.scheduler.wakes_at
            if again is None or again > before:
                return
        raise AssertionError("it wants to be woken at once, again and again")

    @rule(
        cpus=st.floats(0.1, 8),
        mem=st.floats(0, 500),
        node=st.sampled_from("ab"),
        behind=st.booleans(),
        passed_s=st.sampled_from([0.0, 0.4, 1.0]),
    )
    def offer(self, cpus: float, mem: float, node: str, behind: bool, passed_s: float) -> None:
        before = set(self.nodes)
        if passed_s:
            self.let_time_pass(passed_s)
        most, running = self.scheduler.rules.max_tasks, self.scheduler.at_once
        last = max(self.nodes, default=1)
        self.feed(
            OffersArrived(
                self.at_s, (Offer("o", node, Resources(cpus, mem, 50), last if behind else None, NAMES[node]),)
            )
        )
        new = len(set(self.nodes) - before)
        assert not behind or new <= 1
        assert behind or not new or most is None or running + new <= most

    @precondition(lambda self: self.running)
    @rule(data=st.data(), reason=st.sampled_from(REASONS), code=st.integers(0, 2), wall_s=st.floats(0, 2))
    def end(self, data: st.DataObject, reason: Reason, code: int, wall_s: float) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[attempt]
        self.started.discard(attempt)
        ending = Ending(*attempt, reason, code, wall_s)
        self.seen.append(ending)
        settles = self.scheduler.is_final_result(*attempt, reason, code)
        ended = self.scheduler.table.ended(attempt[0])
        self.feed(TasksEnded(self.at_s, (ending,)))
        # What was recorded as a result is one, and what was recorded as history is none.
        assert self.scheduler.table.ended(attempt[0]) == (settles or ended)

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        before = self.scheduler.table.states()
        self.feed(TasksEnded(self.at_s, (data.draw(st.sampled_from(self.seen)),)))
        assert self.scheduler.table.states() == before

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.running)))
        self.started.add(attempt)
        self.feed(TasksStarted(self.at_s, (attempt,)))

    @precondition(lambda self: set(self.running) - self.started)
    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(sorted(set(self.running) - self.started)))
        if not self.lost(attempt):
            del self.running[attempt]
            self.feed(TasksReturned(self.at_s, (attempt,)))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), silent=st.booleans())
    def lose(self, data: st.DataObject, silent: bool) -> None:
        batch = data.draw(st.sampled_from(sorted(set(self.running.values()))))
        if silent:  # it is gone for good; else it may yet report
            self.running = {one: of for one, of in self.running.items() if of != batch}
        self.feed(BatchLost(self.at_s, batch))

    @rule(node=st.sampled_from("ab"), back=st.booleans())
    def partition(self, node: str, back: bool) -> None:
        self.feed(NodeBack(self.at_s, node) if back else NodeUnreachable(self.at_s, node))

    @precondition(lambda self: len(self.scheduler.table))
    @rule(data=st.data(), all_of_them=st.booleans())
    def kill(self, data: st.DataObject, all_of_them: bool) -> None:
        task = data.draw(st.integers(0, len(self.scheduler.table) - 1))
        self.feed(KillAsked(self.at_s, None if all_of_them else (task,)))

    @precondition(lambda self: len(self.scheduler.table))
    @rule(data=st.data())
    def relaunch(self, data: st.DataObject) -> None:
        task = data.draw(st.integers(0, len(self.scheduler.table) - 1))
        # A node that lost an attempt for good cannot report it later; one that only seemed lost still can.
        self.relaunched.add(task)
        mem_mib = data.draw(st.sampled_from([None, None, 16.0, 64.0]))
        self.feed(RelaunchAsked(self.at_s, (task,), mem_mib))

    @precondition(lambda self: len(self.scheduler.table))
    @rule(data=st.data(), back=st.booleans())
    def supersede(self, data: st.DataObject, back: bool) -> None:
        task = data.draw(st.integers(0, len(self.scheduler.table) - 1))
        was = self.scheduler.table.superseded
        self.feed(Superseded(self.at_s, (), (task,)) if back else Superseded(self.at_s, (task,)))
        assert self.scheduler.table.superseded == (was - {task} if back else was | {task})
        assert back or self.scheduler.table.ended(task) or self.scheduler.is_being_killed(task)

    @rule()
    def close(self) -> None:
        self.closed = True
        self.feed(Closed(self.at_s))

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
            self.feed(TasksEnded(self.at_s, (Ending(*attempt, Reason.EXIT, 0, 0.1),)))
        self.running.clear()
        self.feed(ResumeAsked(self.at_s))
        for _ in range(500):
            if not self.scheduler.table.unended:
                break
            self.at_s = max(self.at_s, self.scheduler.wakes_at or 0.0)
            self.feed(Tick(self.at_s))
            self.feed(OffersArrived(self.at_s, (Offer("o", "a", Resources(8, 1000, 100), names=NAMES["a"]),)))
            self.at_s += 0.1  # else whoever waits for another node does so for ever
            for attempt in list(self.running):
                del self.running[attempt]
                self.feed(TasksEnded(self.at_s, (Ending(*attempt, Reason.EXIT, 0, 0.1),)))
        assert not self.scheduler.table.unended
        self.scheduler.check()


#: in CI this many runs are made, each of up to thirty events; elsewhere a few new ones each time
EXAMPLES = 6_000 if os.environ.get("CI") else 100
#: so many tests share them, for processes that run at the same time
PARTS = 8 if os.environ.get("CI") else 2


@pytest.mark.timeout(600)
@pytest.mark.no_cover  # counting lines would double its time, and what it reaches others reach as well
@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happens_the_books_agree(part: int) -> None:
    class Machine(SchedulerMachine):
        pass

    if os.environ.get("CI"):
        seed(part)(Machine)  # else each part would make the same runs
    each = settings(max_examples=EXAMPLES // PARTS, stateful_step_count=30)
    run_state_machine_as_test(Machine, settings=each)
