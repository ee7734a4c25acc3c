"""What is known of one run: the books that the parts of the scheduler share."""

from __future__ import annotations

from .batching import Average, BatchPolicy
from .decisions import Decision, WithdrawUnstarted
from .in_flight import BatchesInFlight
from .launch_throttle import LaunchThrottle
from .locality import Locality
from .offer_history import OfferHistory
from .queues import Queues
from .resources import Resources
from .retries import Retries
from .rules import Rules
from .task_table import TaskTable


class SchedulerState:
    """The books of one run. Each of them checks itself; the parts of the scheduler keep them in step.

    Parameters
    ----------
    policy : BatchPolicy
        How the engine wants commands bundled.
    rules : Rules
        The rules of the job.

    Attributes
    ----------
    table : TaskTable
        State and attempt of every task.
    retries : Retries
        Failures of each task's own, and which tasks back off before the next attempt.
    locality : Locality
        Where inputs lie, and what waiting for them has cost and saved.
    queues : Queues
        The pending tasks.
    throttle : LaunchThrottle
        Whether the job may launch now.
    batches : BatchesInFlight
        What is launched and has not ended.
    offers : OfferHistory
        What became of offers.
    average : Average
        How long a command takes.
    running_since : dict of int to float
        When each task in flight was reported to run, in seconds.
    """

    __slots__ = (
        *("average", "batches", "locality", "offers", "policy", "queues", "retries", "rules", "running_since"),
        *("table", "throttle"),
    )

    def __init__(self, policy: BatchPolicy, rules: Rules) -> None:
        self.policy = policy
        self.rules = rules
        self.table = TaskTable()
        self.retries = Retries(rules)
        self.locality = Locality(rules, policy.alone)
        self.queues = Queues(self.table, self.retries, self.locality)
        self.throttle = LaunchThrottle(rules)
        self.batches = BatchesInFlight()
        self.offers = OfferHistory()
        self.average = Average()
        self.running_since: dict[int, float] = {}

    def change_rules(self, rules: Rules) -> None:
        """Let other rules hold from now on."""
        self.rules = self.throttle.rules = self.retries.rules = self.locality.rules = rules

    def may_launch(self, at_s: float) -> bool:
        """Say whether the throttle lets at least one command through now."""
        return self.throttle.room(at_s, self.batches.at_once) != 0

    def demand_of(self, task: int) -> Resources:
        """Return what a task asks for now."""
        return self.retries.demand(task, self.queues.base(task))

    def withdraw_unstarted(self) -> list[Decision]:
        """Ask for what is launched and has not started."""
        return [WithdrawUnstarted(tuple(self.batches))] if len(self.batches) else []

    def check(self) -> None:
        """Assert that the books agree with each other."""
        in_flight = self.table.in_flight()
        self.table.check()
        self.batches.check(in_flight)
        self.queues.check()
        self.locality.check(in_flight)
        assert set(self.running_since) <= in_flight
