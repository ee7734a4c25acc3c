"""Matching: which tasks each offer takes.

An offer is filled by priority. Within one priority and demand go first the tasks whose inputs lie on the node, then
the tasks that take any node, then the tasks that have waited for their nodes long enough, then the tasks whose own
nodes cannot serve them within that time (`delay_scheduling` has the rule). What is left of an offer that such a task
could use is passed over: it is declined for a second, not for an hour.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from .batching import TaskQueue
from .decisions import Decision, Decline, Launch
from .delay_scheduling import LocalityQueue
from .events import LaunchKnown, Offer, OffersArrived
from .locality import REFUSE_S
from .resources import Resources
from .scheduler_state import SchedulerState
from .states import TaskState, Trigger

#: an offer that no task can use is declined for this long, in seconds
USELESS_S: Final = 3600.0
#: what a command takes at least while no duration is known, in seconds
LEAST_S: Final = 0.05


class Matcher:
    """Turns offers into launches; every task that it launches leaves its queue.

    Parameters
    ----------
    state : SchedulerState
        The books of the run.
    """

    def __init__(self, state: SchedulerState) -> None:
        self._policy = state.policy
        self._table = state.table
        self._retries = state.retries
        self._locality = state.locality
        self._queues = state.queues
        self._throttle = state.throttle
        self._batches = state.batches
        self._history = state.offers
        self._average = state.average

    def answer(self, event: OffersArrived, at_s: float) -> list[Decision]:
        """Return a `Launch` or a `Decline` for each offer.

        Parameters
        ----------
        event : OffersArrived
            The offers.
        at_s : float
            Now; not before the moment of any earlier event.
        """
        decisions: list[Decision] = []
        self._history.came(event.at_s, event.offers)
        for offer in event.offers:
            if offer.names:
                self._locality.locations.meet(offer)
        filled: dict[str, list[Launch]] = {}
        passed: set[str] = set()
        if self._queues.located:
            filled, passed = self._fill_by_locality([offer for offer in event.offers if offer.behind is None], at_s)
        for offer in event.offers:
            if offer.behind is not None:
                decisions.extend(self._line_up(offer, offer.behind) or [Decline((offer.offer_id,), 0.0)])
                continue
            launches = filled[offer.offer_id] if self._queues.located else self._fill(offer, at_s)
            if launches:
                decisions.extend(launches)
                self._history.used(offer.node)
            elif offer.offer_id in passed:
                decisions.append(Decline((offer.offer_id,), REFUSE_S))
            else:
                decisions.append(Decline((offer.offer_id,), USELESS_S))
                self._history.turned_down(offer, self._batches.count_on(offer.node))
        return decisions

    def take_in(self, event: LaunchKnown) -> None:
        """Note a launch that was made elsewhere: by an earlier process, as its journal says, or by the engine."""
        tasks = [
            task for task, attempt in event.tasks if attempt == self._table.attempt(task) and self._table.waits(task)
        ]
        if not tasks or self._batches.get(event.batch_id) is not None:
            return
        for task in tasks:
            near = None if task in self._retries else self._queues.of(task).near
            self._table.move(task, Trigger.LAUNCHED)
            self._retries.wake(task)
            if self._queues.located:
                self._note_located(task, near, event.node)
        behind = event.behind if event.behind is not None and self._batches.can_line_up(event.behind) else None
        self._batches.add(event.node, tasks, behind, event.batch_id)

    def span_s(self, host: int, tasks: float) -> float:
        """Return how long a host takes for so many tasks, in seconds at the pace of now; 0 where it is not known."""
        node, mean_s = self._locality.locations.node(host), self._average.mean_s
        slots = 0 if node is None else self._batches.count_on(node)
        return (LEAST_S if mean_s is None else mean_s) * tasks / slots if slots else 0.0

    # -- filling offers ---------------------------------------------------------------------------------

    def _fill(self, offer: Offer, at_s: float) -> list[Launch]:
        """Fill one offer, highest priority first, where no task prefers a node."""
        room = offer.resources
        launches: list[Launch] = []
        for queue in self._queues.order:
            made, room = self._pour(offer, room, queue, queue.peek, at_s)
            launches += made
        return launches

    def _fill_by_locality(self, offers: list[Offer], at_s: float) -> tuple[dict[str, list[Launch]], set[str]]:
        """Fill offers together: the local tasks of all of them go before any task that goes anywhere.

        Returns
        -------
        launches : dict of str to list of Launch
            By offer.
        passed : set of str
            Offers that are passed over: a task that waits for another node could use what is left of them.
        """
        limit_s = self._locality.limit_s
        rooms = [offer.resources for offer in offers]
        launches: list[list[Launch]] = [[] for _ in offers]
        passed: list[tuple[LocalityQueue, Resources, int]] = []
        for near in self._queues.locality_queues:
            for offer in offers:
                near.clock.come(offer.node, at_s)
        for queue in self._queues.order:
            near_of = queue.near
            sources: list[Callable[[], int | None]] = [queue.peek]
            if near_of is not None:
                for number, offer in enumerate(offers):
                    made, rooms[number] = self._pour_local(offer, rooms[number], queue, at_s)
                    launches[number] += made
                sources += [partial(near_of.first_ready, limit_s), near_of.out_of_reach(limit_s, self.span_s)]
            for number, offer in enumerate(offers):
                for source in sources:
                    made, rooms[number] = self._pour(offer, rooms[number], queue, source, at_s)
                    launches[number] += made
                if near_of is not None and queue.demand.fits(rooms[number]) and near_of.first() is not None:
                    passed.append((near_of, queue.demand, number))
        made_of = {offer.offer_id: made for offer, made in zip(offers, launches, strict=True)}
        if self._held_back(at_s):
            return made_of, set()
        waiting = self._table.counts[TaskState.QUEUED]
        for near, demand, number in passed:
            slots = min(demand.times_in(rooms[number]), waiting)
            self._locality.pass_over(near, offers[number].node, slots, at_s)
        self._locality.widen(self._batches.at_once)
        return made_of, {offers[number].offer_id for _, _, number in passed}

    def _pour(
        self,
        offer: Offer,
        room: Resources,
        queue: TaskQueue,
        source: Callable[[], int | None],
        at_s: float,
        most: Callable[[], int] | None = None,
    ) -> tuple[list[Launch], Resources]:
        """Launch from a source until it is empty or the room is full.

        Returns
        -------
        launches : list of Launch
            What was launched.
        room : Resources
            What is left.
        """
        launches: list[Launch] = []
        while queue.demand.fits(room) and source() is not None and not self._held_back(at_s):
            size = self._size() if most is None else min(self._size(), most())
            launches.append(self._launch(offer, queue, source, size))
            self._throttle.launched(at_s)
            room = room - queue.demand
        return launches, room

    def _pour_local(
        self, offer: Offer, room: Resources, queue: TaskQueue, at_s: float
    ) -> tuple[list[Launch], Resources]:
        """Launch tasks whose inputs lie on the node, so many at a time that all of its slots get some."""
        near, hosts = queue.near, self._locality.locations.numbers(offer.node)
        if near is None or not hosts:
            return [], room

        def most() -> int:
            return -(-near.most_on(hosts) // (2 * (self._batches.count_on(offer.node) + 1)))

        return self._pour(offer, room, queue, partial(near.first_on, hosts), at_s, most)

    def _line_up(self, offer: Offer, behind: int) -> list[Launch]:
        """Launch one batch behind another, where that is worth it."""
        mean_s = self._average.mean_s
        if mean_s is None or mean_s * 2 > self._policy.target_s:
            return []  # lining up behind a long command would tie its successor to one slot
        throttle = self._throttle
        most = throttle.rules.max_tasks
        if throttle.held or throttle.spaced or (most is not None and self._batches.at_once > most):
            return []
        if not self._batches.can_line_up(behind):
            return []
        for queue in self._queues.order:
            if queue.demand.fits(offer.resources):
                for source in self._sources(queue, offer.node):
                    if source() is not None:
                        return [self._launch(offer, queue, source, self._size())]
        return []

    def _sources(self, queue: TaskQueue, node: str) -> list[Callable[[], int | None]]:
        """Return where the next task for a node comes from, the best source first."""
        if queue.near is None:
            return [queue.peek]
        hosts = self._locality.locations.numbers(node)
        return [
            partial(queue.near.first_on, hosts),
            queue.peek,
            partial(queue.near.first_ready, self._locality.limit_s),
        ]

    def _held_back(self, at_s: float) -> bool:
        return self._throttle.room(at_s, self._batches.at_once) == 0

    def _size(self) -> int:
        """Return how many commands the next batch should carry."""
        if self._throttle.spaced:
            return 1
        queued = self._table.counts[TaskState.QUEUED]
        slots = len(self._batches) + 1
        if self._queues.located:
            slots += self._locality.slots  # slots that are passed over will carry batches, too
        return self._policy.size(self._average.mean_s, queued, slots)

    # -- launching --------------------------------------------------------------------------------------

    def _launch(self, offer: Offer, queue: TaskQueue, source: Callable[[], int | None], size: int) -> Launch:
        tasks: list[tuple[int, int]] = []
        table, retries, located = self._table, self._retries, self._queues.located
        while len(tasks) < size and (task := source()) is not None:
            table.move(task, Trigger.LAUNCHED)  # this takes it out of its queue
            retries.wake(task)
            if located:
                self._note_located(task, queue.near, offer.node)
            tasks.append((task, table.attempt(task)))
        batch_id = self._batches.add(offer.node, (task for task, _ in tasks), offer.behind)
        mean_s = self._average.mean_s
        expected_s = None if mean_s is None else mean_s * len(tasks)
        return Launch(offer.offer_id, offer.node, batch_id, queue.demand, tuple(tasks), expected_s, offer.behind)

    def _note_located(self, task: int, near: LocalityQueue | None, node: str) -> None:
        waited = near is not None and self._locality.locations.chooses(task) and near.leave(task)
        self._locality.launched(task, node, waited)
