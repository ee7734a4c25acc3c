"""The ledger of this machine: nothing is given twice, nobody starves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stratos_jupyter.backend.core.events import Offer
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.engines.local.machine import Machine, this_machine

TOTAL = Resources(4.0, 1000.0, 1000.0)
ONE = Resources(1.0, 10.0, 0.0)


class Job:
    """A job that takes as much of each offer as it is told to."""

    def __init__(self, machine: Machine, priority: int = 0, take: Callable[[Resources], int] | None = None) -> None:
        self.priority = priority
        self.wants: Resources | None = ONE
        self.held = Resources()
        self.offers: list[Offer] = []
        self._machine = machine
        machine.join(self)

    def offer(self, offer: Offer) -> None:
        self.offers.append(offer)

    def take(self, count: int) -> int:
        """Answer the oldest offer with up to `count` tasks."""
        offer = self.offers.pop(0)
        taken = Resources()
        done = 0
        while done < count and (taken + ONE).fits(offer.resources):
            taken = taken + ONE
            done += 1
        self.held = self.held + taken
        self._machine.answer(offer.offer_id, taken)
        return done

    def end(self) -> None:
        self.held = self.held - ONE
        self._machine.release(ONE)


@pytest.fixture
def machine() -> Machine:
    return Machine("here", TOTAL)


def test_one_job_is_offered_all_of_it(machine: Machine) -> None:
    job = Job(machine)
    machine.offer_round()
    assert job.offers[0].resources == TOTAL


def test_what_is_offered_is_set_aside_until_it_is_answered(machine: Machine) -> None:
    job, other = Job(machine), Job(machine)
    other.wants = None
    machine.offer_round()
    other.wants = ONE
    machine.offer_round()
    assert other.offers == []
    job.take(1)
    machine.offer_round()
    assert other.offers


def test_two_jobs_get_equal_shares(machine: Machine) -> None:
    jobs = [Job(machine), Job(machine)]
    for job in jobs:
        machine.offer_round()
        assert job.take(9) == 2


def test_a_newcomer_gets_what_becomes_free(machine: Machine) -> None:
    job = Job(machine)
    machine.offer_round()
    assert job.take(4) == 4
    newcomer = Job(machine)
    machine.offer_round()
    job.end()
    machine.offer_round()
    assert newcomer.take(9) == 1


def test_higher_priority_is_served_first(machine: Machine) -> None:
    job = Job(machine)
    machine.offer_round()
    job.take(4)
    low, high = Job(machine), Job(machine, priority=1)
    job.end()
    machine.offer_round()
    assert (len(low.offers), len(high.offers)) == (0, 1)


def test_a_large_command_is_not_cut_to_its_share(machine: Machine) -> None:
    job, other = Job(machine), Job(machine)
    job.wants = Resources(3.0)
    other.wants = None
    machine.offer_round()
    assert job.offers[0].resources.cpus >= 3.0


def test_a_job_that_leaves_gives_its_offer_back(machine: Machine) -> None:
    job = Job(machine)
    machine.offer_round()
    machine.leave(job)
    assert machine.free == TOTAL


def test_this_machine_has_what_it_has() -> None:
    machine = this_machine(None, "/")
    assert machine.total.cpus >= 1
    assert machine.total.mem_mib > 100
    assert this_machine(2.5, "/").total.cpus == 2.5


def test_a_wide_command_of_higher_priority_is_not_starved_by_narrow_ones(machine: Machine) -> None:
    narrow = Job(machine)
    machine.offer_round()
    narrow.take(4)
    wide = Job(machine, priority=1)
    wide.wants = Resources(2.0)
    narrow.end()
    machine.offer_round()
    assert narrow.offers == []  # one is free, and kept for the wide one
    narrow.end()
    machine.offer_round()
    assert wide.offers[0].resources.cpus == 2.0


class LedgerMachine(RuleBasedStateMachine):
    """Jobs come and go, take and give back."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine("here", TOTAL)
        self.jobs: list[Job] = []

    @rule(priority=st.integers(0, 1))
    def come(self, priority: int) -> None:
        if len(self.jobs) < 4:
            self.jobs.append(Job(self.machine, priority))

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        idle = [job for job in self.jobs if not job.held.cpus]
        if idle:
            job = data.draw(st.sampled_from(idle))
            self.jobs.remove(job)
            self.machine.leave(job)

    @rule(data=st.data(), count=st.integers(0, 4))
    def take(self, data: st.DataObject, count: int) -> None:
        asked = [job for job in self.jobs if job.offers]
        if asked:
            data.draw(st.sampled_from(asked)).take(count)

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        busy = [job for job in self.jobs if job.held.cpus >= 1]
        if busy:
            data.draw(st.sampled_from(busy)).end()

    @rule()
    def round(self) -> None:
        self.machine.offer_round()

    @invariant()
    def nothing_is_given_twice(self) -> None:
        given = self.machine.free
        for job in self.jobs:
            given = given + job.held
            for offer in job.offers:
                given = given + offer.resources
        assert given == TOTAL


TestLedgerMachine = LedgerMachine.TestCase
