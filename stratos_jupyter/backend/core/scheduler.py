"""The scheduler of one job: events in, decisions out.

It reads no clock, does no I/O and knows no engine.

- A task is named by its index. An attempt is named by ``(task, attempt)``; attempts count from 1.
- Statuses may come twice, late, or for an attempt that was given up for lost. The first result of a task
  wins; whatever comes after it changes nothing.
- The cluster's failures never count as the command's. They have a bound of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, assert_never

from .batching import Average, BatchPolicy, Median, TaskQueue
from .decisions import (
    Decision,
    Decline,
    Finish,
    Kill,
    Launch,
    RecordEnding,
    Revive,
    Suppress,
    UnreportedAttempt,
    WithdrawUnstarted,
)
from .delay_scheduling import LocalityQueue
from .events import (
    Attached,
    BatchLost,
    Closed,
    DemandChanged,
    Ending,
    Event,
    InputsLocated,
    KillAsked,
    LaunchKnown,
    NodeBack,
    NodeUnreachable,
    Offer,
    OffersArrived,
    OffersRescinded,
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
from .explain import JobFacts, OfferHistory, OwnShare, WaitingTask, backing_off_text, place_text, reasons, throttle_text
from .in_flight import BatchesInFlight
from .launch_throttle import LaunchThrottle
from .locality import REFUSE_S, Locality
from .queues import Queues
from .resources import Resources
from .retries import Retries
from .rules import Rules
from .states import IN_FLIGHT, Reason, TaskState, Trigger
from .task_table import TaskTable

#: how often the cluster may lose a task before it is given up
LOST_BOUND: Final = 10
#: attempts are counted in two bytes; relaunches of a user's come on top
ATTEMPTS_MOST: Final = 60_000
#: nobody wants this offer: don't hear of it for an hour
USELESS_S: Final = 3600.0
#: how often it is looked who has run longer than his share of the median, in seconds
LATE_EVERY_S: Final = 0.5
#: how often it is looked, while offers are passed over, whether lines are too long to wait in, in seconds
LOOK_EVERY_S: Final = 0.1
#: what a command takes at least, as long as nobody knows, in seconds
LEAST_S: Final = 0.05
#: nobody is late before this, in seconds: the median of very short commands says nothing
LATE_LEAST_S: Final = 1.0


class Scheduler:
    """All tasks of one run of one job.

    Parameters
    ----------
    policy : BatchPolicy, optional
        How the engine wants commands bundled.
    rules : Rules, optional
        What the user wants done when tasks fail, and how fast the job may go.
    """

    def __init__(self, policy: BatchPolicy | None = None, rules: Rules | None = None) -> None:
        self._policy = policy or BatchPolicy()
        self._rules = rules or Rules()
        self._throttle = LaunchThrottle(self._rules)
        self._retries = Retries(self._rules)
        self.table = TaskTable()
        self._batches = BatchesInFlight()
        self._since: dict[int, float] = {}  # in flight and said to run: since when
        self._late: set[int] = set()  # in flight, asked to end because it runs too long
        self._lost_attempts: dict[int, set[int]] = {}  # by task: attempts lost by the cluster that may yet report
        self._relaunch_requested: set[int] = set()  # in flight, to be relaunched once ended
        self._relaunch_mem_mib: dict[int, float] = {}  # of them: with this much memory
        self._kill_requested: set[int] = set()  # in flight, asked to end: they never go back to a queue
        self._locality = Locality(self._rules, self._policy.alone)
        self._queues = Queues(self.table, self._retries, self._locality)
        self._wiser = False  # more is known of that since an offer was passed over
        self._looked_s = 0.0
        self._seen = OfferHistory()
        self._average = Average()
        self._median = Median()
        self._at_s = 0.0
        self._suppressed = True
        self._asked: Resources | None = None  # the least demand when offers were last asked for
        self._closed = False
        self._finished = False
        self.attempts_lost = 0
        self.attempts_retried = 0

    @property
    def nodes(self) -> int:
        """How many nodes have tasks of this job now."""
        return self._batches.nodes

    @property
    def launched(self) -> list[tuple[int, str, tuple[tuple[int, int], ...]]]:
        """What was launched and has not ended: batch, node, attempts."""
        return [
            (batch_id, batch.node, tuple((task, self.table.attempt(task)) for task in sorted(batch.tasks)))
            for batch_id, batch in self._batches.items()
        ]

    @property
    def rules(self) -> Rules:
        """The rules as they are now."""
        return self._rules

    @property
    def closed(self) -> bool:
        """Whether no more tasks will be added."""
        return self._closed

    @property
    def held(self) -> str:
        """Why nothing is launched although the queue may have tasks: ``paused``, or why it was halted; else ''."""
        return self._throttle.shut

    @property
    def stuck(self) -> bool:
        """Whether failures have halted the job and nothing of it runs: only the user can make it go on."""
        return self._throttle.halted and not len(self._batches)

    @property
    def backing_off(self) -> tuple[int, float | None]:
        """How many tasks wait before a retry, and when the next of these waits is over."""
        return len(self._retries.backing_off), self._retries.next_s

    @property
    def locality(self) -> Locality:
        """Where the tasks ran, seen from their inputs."""
        return self._locality

    def local_fraction(self, task: int, node: str) -> float | None:
        """Return which part of a task's input bytes lies on a node; None when it has none or nobody knows."""
        return self._locality.fraction(task, node)

    def is_being_killed(self, task: int) -> bool:
        """Say whether a task is in flight and asked to end."""
        return task in self._kill_requested

    @property
    def wakes_at(self) -> float | None:
        """When a `Tick` is wanted; None when only other events matter."""
        times = []
        if self._retries.next_s is not None:
            times.append(self._retries.next_s)
        if self._queues.anybody:
            opens_at = self._throttle.opens_at(self._at_s, self._batches.at_once)
            if opens_at is not None:
                times.append(opens_at)
            if self._queues.located and self._throttle.room(self._at_s, self._batches.at_once) != 0:
                limit_s = self._limit_s
                wakes = [near.wakes_at(self._at_s, limit_s) for near in self._queues.nears]
                times += [at_s for at_s in wakes if at_s is not None]
        if self._since and self._longest_s is not None:
            times.append(self._at_s + LATE_EVERY_S)
        return min(times, default=None)

    def flying(self) -> dict[int, tuple[str, float | None]]:
        """Return what is in flight: the node of each task, and since when it is said to run."""
        found = {}
        for batch_id in self._batches:
            batch = self._batches.get(batch_id)
            if batch is not None:
                found.update({task: (batch.node, self._since.get(task)) for task in batch.tasks})
        return found

    def submission_of(self, task: int) -> int:
        """Return which submission a task came with, from 0."""
        return self._queues.submission_of(task)

    def is_final_result(self, task: int, attempt: int, reason: Reason, code: int | None) -> bool:
        """Say whether this ending would be its task's result, rather than history; changes nothing.

        It is history when the task has its result already, or is tried again. Lost attempts are told by `RecordEnding`.
        """
        if reason is Reason.LOST or self.table.ended(task) or task in self._relaunch_requested:
            return False
        return self._counts(task, attempt) and not self._tries_again(task, reason, code)

    def accepts_result(self, task: int, attempt: int) -> bool:
        """Say whether the result of an attempt would still be its task's."""
        return not self.table.ended(task) and self._counts(task, attempt)

    def was_given_up(self, task: int, attempt: int) -> bool:
        """Say whether an attempt was given up for lost, while its task has no result."""
        return attempt in self._lost_attempts.get(task, ())

    def handle(self, event: Event) -> tuple[Decision, ...]:
        """Take in one event and return what is to be done, in order.

        Parameters
        ----------
        event : Event
            What happened. Events are to come in the order of their ``at_s``.

        Raises
        ------
        RefusedMove
            The event tells of something that cannot be.
        """
        self._at_s = max(self._at_s, event.at_s)
        if self._queues.located:
            self._locality.advance(self._at_s)
        decisions: list[Decision] = []
        match event:
            case TasksAdded():
                self._added(event)
            case OffersArrived():
                decisions = self._offers(event)
            case OffersRescinded():
                pass  # no offer is ever held unanswered
            case InputsLocated():
                self._locate(event)
            case OfferUnfit():
                self._seen.unfit(event.node, event.why)
            case TasksStarted():
                self._started(event)
            case TasksEnded():
                decisions = self._ended(event)
            case TasksReturned():
                decisions = self._returned(event)
            case BatchLost():
                decisions = self._batch_lost(event.batch_id)
            case NodeUnreachable():
                self._node(event.node, IN_FLIGHT - {TaskState.UNREACHABLE}, Trigger.AGENT_UNREACHABLE)
            case NodeBack():
                self._node(event.node, {TaskState.UNREACHABLE}, Trigger.AGENT_BACK)
            case KillAsked():
                decisions = self._kill(event)
            case RelaunchAsked():
                decisions = self._relaunch(event)
            case Superseded():
                decisions = self._supersede(event)
            case PauseAsked():
                self._throttle.pause(event.why)
                decisions = self._recall()
            case ResumeAsked():
                self._throttle.resume()
            case RulesChanged():
                decisions = self._change(event.rules)
            case DemandChanged():
                self._demand(event)
            case LaunchKnown():
                self._known(event)
            case Attached():
                decisions = self._attached(event.attempts)
            case Tick():
                decisions = self._tick()
            case Closed():
                self._closed = True
            case _:
                assert_never(event)
        self._settle_demand(decisions)
        return tuple(decisions)

    # -- offers -----------------------------------------------------------------------------------------

    def _added(self, event: TasksAdded) -> None:
        self._finished = False
        self._queues.add(event)

    # -- places -----------------------------------------------------------------------------------------

    def _locate(self, event: InputsLocated) -> None:
        for place in event.places:
            batch = self._batches.of(place.task)
            if self._queues.locate(place) and batch is not None:
                self._locality.count(place.task, batch.node)
        self._wiser = any(near.passed for near in self._queues.nears)

    @property
    def _limit_s(self) -> float:
        return self._locality.limit_s

    # -- offers -----------------------------------------------------------------------------------------

    def _offers(self, event: OffersArrived) -> list[Decision]:
        decisions: list[Decision] = []
        self._seen.came(event.at_s, event.offers)
        for offer in event.offers:
            if offer.names:
                self._locality.places.meet(offer)
        filled: dict[str, list[Launch]] = {}
        passed: set[str] = set()
        if self._queues.located:
            filled, passed = self._match([offer for offer in event.offers if offer.behind is None])
        for offer in event.offers:
            if offer.behind is not None:
                decisions.extend(self._line_up(offer, offer.behind) or [Decline((offer.offer_id,), 0.0)])
                continue
            launches = filled[offer.offer_id] if self._queues.located else self._fill(offer)
            if launches:
                decisions.extend(launches)
                self._seen.used(offer.node)
            elif offer.offer_id in passed:
                decisions.append(Decline((offer.offer_id,), REFUSE_S))
            else:
                decisions.append(Decline((offer.offer_id,), USELESS_S))
                self._seen.turned_down(offer, self._batches.count_on(offer.node))
        return decisions

    def _fill(self, offer: Offer) -> list[Launch]:
        """Launch what an offer has room for, highest priority first, where nobody prefers a node."""
        room = offer.resources
        launches: list[Launch] = []
        for queue in self._queues.order:
            made, room = self._pour(offer, room, queue, queue.peek)
            launches += made
        return launches

    def _match(self, offers: list[Offer]) -> tuple[dict[str, list[Launch]], set[str]]:
        """Launch what offers have room for: highest priority first, and there those whose inputs lie on the node.

        Returns
        -------
        launches : dict of str to list of Launch
            By offer.
        passed : set of str
            Offers that are passed over by who waits for another node.
        """
        limit_s = self._limit_s
        rooms = [offer.resources for offer in offers]
        launches: list[list[Launch]] = [[] for _ in offers]
        passed: list[tuple[LocalityQueue, Resources, int]] = []
        for near in self._queues.nears:
            for offer in offers:
                near.clock.come(offer.node, self._at_s)
        for queue in self._queues.order:
            apart = queue.near
            sources: list[Callable[[], int | None]] = [queue.peek]
            if apart is not None:
                sources.append(partial(apart.first_ready, limit_s))
                for number, offer in enumerate(offers):
                    made, rooms[number] = self._pour_local(offer, rooms[number], queue)
                    launches[number] += made
            if apart is not None:
                sources.append(apart.out_of_reach(limit_s, self._span_s))
            for number, offer in enumerate(offers):
                for source in sources:
                    made, rooms[number] = self._pour(offer, rooms[number], queue, source)
                    launches[number] += made
                if apart is not None and queue.demand.fits(rooms[number]) and apart.first() is not None:
                    passed.append((apart, queue.demand, number))
        made_of = {offer.offer_id: made for offer, made in zip(offers, launches, strict=True)}
        if self._shut:
            return made_of, set()
        waiting = self.table.counts[TaskState.QUEUED]
        for near, demand, number in passed:
            slots = min(demand.times_in(rooms[number]), waiting)
            self._locality.pass_over(near, offers[number].node, slots, self._at_s)
        self._locality.widen(self._batches.at_once)
        return made_of, {offers[number].offer_id for _, _, number in passed}

    def _span_s(self, host: int, tasks: float) -> float:
        """Return how long a host takes for so many tasks, at the pace of now; 0 where that is not known."""
        node, mean_s = self._locality.places.node(host), self._average.mean_s
        slots = 0 if node is None else self._batches.count_on(node)
        return (LEAST_S if mean_s is None else mean_s) * tasks / slots if slots else 0.0

    @property
    def _shut(self) -> bool:
        return self._throttle.room(self._at_s, self._batches.at_once) == 0

    def _pour(
        self,
        offer: Offer,
        room: Resources,
        queue: TaskQueue,
        source: Callable[[], int | None],
        most: Callable[[], int] | None = None,
    ) -> tuple[list[Launch], Resources]:
        """Launch from a source until it is dry or the room full; return what room is left too."""
        launches: list[Launch] = []
        while queue.demand.fits(room) and source() is not None and not self._shut:
            size = self._size() if most is None else min(self._size(), most())
            launches.append(self._launch(offer, queue, source, size))
            self._throttle.launched(self._at_s)
            room = room - queue.demand
        return launches, room

    def _pour_local(self, offer: Offer, room: Resources, queue: TaskQueue) -> tuple[list[Launch], Resources]:
        """Launch those whose inputs lie on the node; none of its slots is to take them all."""
        near, hosts = queue.near, self._locality.places.numbers(offer.node)
        if near is None or not hosts:
            return [], room

        def most() -> int:
            return -(-near.most_on(hosts) // (2 * (self._batches.count_on(offer.node) + 1)))

        return self._pour(offer, room, queue, partial(near.first_on, hosts), most)

    def _size(self) -> int:
        """Return how many commands the next batch should carry."""
        if self._throttle.spaced:
            return 1
        queued = self.table.counts[TaskState.QUEUED]
        slots = len(self._batches) + 1 + (self._locality.slots if self._queues.located else 0)  # those passed over too
        return self._policy.size(self._average.mean_s, queued, slots)

    def _line_up(self, offer: Offer, behind: int) -> list[Launch]:
        """Launch one batch behind another, where that is worth it."""
        mean_s = self._average.mean_s
        if mean_s is None or mean_s * 2 > self._policy.target_s:
            return []  # lining up behind a long command would tie its successor to one slot
        most = self._rules.max_tasks
        if self._throttle.shut or self._throttle.spaced or (most is not None and self._batches.at_once > most):
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
        """Return what tells who goes next on a node, the best first."""
        if queue.near is None:
            return [queue.peek]
        hosts = self._locality.places.numbers(node)
        return [partial(queue.near.first_on, hosts), queue.peek, partial(queue.near.first_ready, self._limit_s)]

    def _launch(self, offer: Offer, queue: TaskQueue, source: Callable[[], int | None], size: int) -> Launch:
        tasks: list[tuple[int, int]] = []
        while len(tasks) < size and (task := source()) is not None:
            self.table.move(task, Trigger.LAUNCHED)
            self._retries.wake(task)
            if self._queues.located:
                self._note_places(queue.near, task, offer.node)
            tasks.append((task, self.table.attempt(task)))
        batch_id = self._batches.add(offer.node, (task for task, _ in tasks), offer.behind)
        mean_s = self._average.mean_s
        expected_s = None if mean_s is None else mean_s * len(tasks)
        return Launch(offer.offer_id, offer.node, batch_id, queue.demand, tuple(tasks), expected_s, offer.behind)

    def _note_places(self, near: LocalityQueue | None, task: int, node: str) -> None:
        waited = near is not None and self._locality.places.chooses(task) and near.leave(task)
        self._locality.launched(task, node, waited)

    def _known(self, event: LaunchKnown) -> None:
        tasks = [
            task for task, attempt in event.tasks if attempt == self.table.attempt(task) and self.table.waits(task)
        ]
        if not tasks or self._batches.get(event.batch_id) is not None:
            return
        for task in tasks:
            near = None if task in self._retries else self._queues.of(task).near
            self.table.move(task, Trigger.LAUNCHED)
            self._retries.wake(task)
            if self._queues.located:
                self._note_places(near, task, event.node)
        behind = event.behind if event.behind is not None and self._batches.can_line_up(event.behind) else None
        self._batches.add(event.node, tasks, behind, event.batch_id)

    def _attached(self, attempts: frozenset[tuple[int, int]]) -> list[Decision]:
        """Give up what nobody has any more, and decide anew all that the last process may not have done."""
        decisions: list[Decision] = []
        for batch in [self._batches.get(batch_id) for batch_id in self._batches]:
            for task in sorted(batch.tasks) if batch is not None else ():
                if (task, self.table.attempt(task)) not in attempts:
                    decisions += self._cluster_failed(task)
        ending = tuple(
            (task, self.table.attempt(task)) for task in sorted(self._kill_requested | self._relaunch_requested)
        )
        if ending:
            decisions.append(Kill(ending))
        self._suppressed, self._asked, self._finished = True, None, False
        self._batches.skip()
        return decisions

    def demand_of(self, task: int) -> Resources:
        """Return what a task asks for now."""
        return self._retries.demand(task, self._queues.base(task))

    # -- statuses ---------------------------------------------------------------------------------------

    def _started(self, event: TasksStarted) -> None:
        for task, attempt in event.tasks:
            state = self.table.state(task)
            if attempt == self.table.attempt(task) and state in (TaskState.STAGING, TaskState.UNREACHABLE):
                self.table.move(task, Trigger.STARTED)
                self._since.setdefault(task, event.at_s)

    def _counts(self, task: int, attempt: int) -> bool:
        """Say whether an attempt may give its task a result."""
        return attempt == self.table.attempt(task) or self.was_given_up(task, attempt)

    def _tries_again(self, task: int, reason: Reason, code: int | None) -> bool:
        if task in self._kill_requested or self.table.attempt(task) >= ATTEMPTS_MOST:
            return False
        return self._retries.again(task, reason, code, self._queues.base(task))

    def _ended(self, event: TasksEnded) -> list[Decision]:
        decisions: list[Decision] = []
        for end in event.endings:
            if not self.table.ended(end.task) and self._counts(end.task, end.attempt):
                decisions += self._end(end)
        return decisions

    def _end(self, end: Ending) -> list[Decision]:
        task, attempt, reason = end.task, end.attempt, end.reason
        if reason is Reason.LOST:
            return self._cluster_failed(task) if attempt == self.table.attempt(task) else []
        again = self._tries_again(task, reason, end.code)
        decisions: list[Decision] = []
        if attempt != self.table.attempt(task):
            if again:
                self._lost_attempts[task].discard(attempt)  # told again after a kill, it must not count after all
                return []  # it was given up for lost, and its successor is the retry
            if task in self._batches:  # its successor runs in vain
                decisions.append(Kill(((task, self.table.attempt(task)),)))
        elif self.table.waits(task):
            raise self.table.refused(task, "ended but was never launched")
        state = self._rules.ending(reason, end.code)
        if reason in (Reason.EXIT, Reason.SIGNAL, Reason.OUTPUT):
            self._average.add(end.wall_s)
            if self._queues.located and (batch := self._batches.of(task)) is not None:
                self._locality.ended(task, batch.node, end.wall_s)
            if self._rules.timeout_share is not None and state is TaskState.FINISHED:
                self._median.add(end.wall_s)
        if again and task not in self._relaunch_requested:
            self._retry(task, attempt, reason)
        else:
            decisions += self._close(task, state, reason)
        return decisions

    def _retry(self, task: int, attempt: int, reason: Reason) -> None:
        due_s = self._retries.spend(task, attempt, reason, self._queues.base(task), self._at_s)
        self.attempts_retried += 1
        self._leave(task)
        self.table.move(task, Trigger.RETRIED)
        self.table.next_attempt(task)
        if due_s > self._at_s:
            self._retries.rest(task, due_s)
        else:
            self._queues.push(task)

    def _returned(self, event: TasksReturned) -> list[Decision]:
        decisions: list[Decision] = []
        for task, attempt in event.tasks:
            if attempt != self.table.attempt(task) or task not in self._batches:
                continue
            if task in self._kill_requested:
                decisions += self._settle_killed(task)
                continue
            self._locality.leave(task, began=False)
            self._leave(task)
            self._queue_again(task, Trigger.RETURNED)
        return decisions

    def _batch_lost(self, batch_id: int) -> list[Decision]:
        batch = self._batches.get(batch_id)
        decisions: list[Decision] = []
        for task in sorted(batch.tasks) if batch else ():
            decisions += self._cluster_failed(task)
        return decisions

    def _node(self, node: str, among: Iterable[TaskState], trigger: Trigger) -> None:
        wanted = frozenset(among)
        for batch in self._batches.on(node):
            for task in batch.tasks:
                if self.table.state(task) in wanted:
                    self.table.move(task, trigger)

    # -- what the user asks -----------------------------------------------------------------------------

    def _kill(self, event: KillAsked) -> list[Decision]:
        tasks: Iterable[int] = range(len(self.table)) if event.tasks is None else event.tasks
        queued: list[UnreportedAttempt] = []
        flying: list[tuple[int, int]] = []
        decisions: list[Decision] = []
        for task in tasks:
            self._relaunch_requested.discard(task)
            self._relaunch_mem_mib.pop(task, None)
            if self.table.waits(task):
                queued.append(UnreportedAttempt(task, self.table.attempt(task)))
                decisions += self._close(task, TaskState.KILLED, Reason.USER)
            elif not self.table.ended(task):
                flying.append((task, self.table.attempt(task)))
                self._kill_requested.add(task)
        if queued:
            decisions.append(RecordEnding(tuple(queued), TaskState.KILLED, Reason.USER))
        if flying:
            decisions.append(Kill(tuple(flying)))
        return decisions

    def _relaunch(self, event: RelaunchAsked) -> list[Decision]:
        flying: list[tuple[int, int]] = []
        for task in event.tasks:
            if task in self.table.superseded:
                continue
            if self.table.ended(task):
                self._begin_again(task, event.mem_mib)
            elif self.table.waits(task):
                moves = event.mem_mib is not None and self.demand_of(task).mem_mib != event.mem_mib
                if moves:
                    self._queues.leave(task)
                if event.mem_mib is not None:
                    self._retries.ask(task, event.mem_mib)
                if self._retries.wake(task) or moves:  # the user will not wait; or it goes to another queue
                    self._queues.push(task)
            else:
                flying.append((task, self.table.attempt(task)))
                self._relaunch_requested.add(task)
                if event.mem_mib is not None:
                    self._relaunch_mem_mib[task] = event.mem_mib
                self._kill_requested.discard(task)
        return [Kill(tuple(flying))] if flying else []

    def _supersede(self, event: Superseded) -> list[Decision]:
        self.table.supersede(event.tasks, event.restored)
        return self._kill(KillAsked(event.at_s, tuple(task for task in event.tasks if not self.table.ended(task))))

    def _change(self, rules: Rules) -> list[Decision]:
        self._rules = self._throttle.rules = self._retries.rules = self._locality.rules = rules
        most = rules.max_tasks
        return self._recall() if self._throttle.spaced or (most is not None and self._batches.at_once > most) else []

    def _demand(self, event: DemandChanged) -> None:
        waiting = self._queues.rebase(event.priority, event.demand)
        self._retries.forget_amounts()
        for task in waiting:
            self._queues.push(task)

    def _recall(self) -> list[Decision]:
        """Ask for what was launched and not started."""
        return [WithdrawUnstarted(tuple(self._batches))] if len(self._batches) else []

    def _tick(self) -> list[Decision]:
        for task in self._retries.rested(self._at_s):
            self._queues.push(task)
        longest_s = self._longest_s
        if longest_s is None:
            return []
        late = [
            task
            for task, since_s in self._since.items()
            if self._at_s - since_s > longest_s and task not in self._late and task not in self._kill_requested
            and self.table.state(task) is TaskState.RUNNING
        ]  # fmt: skip
        self._late.update(late)
        return [Kill(tuple((task, self.table.attempt(task)) for task in late), Reason.TIMEOUT)] if late else []

    @property
    def _longest_s(self) -> float | None:
        """How long a command may run by the median; None while nobody can tell."""
        share, median_s = self._rules.timeout_share, self._median.median_s
        return None if share is None or median_s is None else max(LATE_LEAST_S, share * median_s)

    # -- moves ------------------------------------------------------------------------------------------

    def _close(self, task: int, state: TaskState, reason: Reason) -> list[Decision]:
        self._queues.leave(task)
        self.table.end(task, state, reason)
        self._kill_requested.discard(task)
        self._lost_attempts.pop(task, None)  # a result is a result: what else its attempts report is history
        self._retries.wake(task)
        self._leave(task)
        if task in self._relaunch_requested:
            self._relaunch_requested.discard(task)
            self._begin_again(task)
            return []
        halted = self._throttle.ended(state in (TaskState.FAILED, TaskState.LOST))
        return self._recall() if halted else []

    def _settle_killed(self, task: int) -> list[Decision]:
        """End a task that was asked to end and that no node will report."""
        gone = self._gone(task)
        more = self._close(task, TaskState.KILLED, Reason.USER)
        return [RecordEnding((gone,), TaskState.KILLED, Reason.USER), *more]

    def _gone(self, task: int) -> UnreportedAttempt:
        batch = self._batches.of(task)
        return UnreportedAttempt(task, self.table.attempt(task), batch.node if batch else "", self._since.get(task))

    def _begin_again(self, task: int, mem_mib: float | None = None) -> None:
        self.table.begin_again(task)
        mem_mib = self._relaunch_mem_mib.pop(task, mem_mib)
        if mem_mib is not None:
            self._retries.ask(task, mem_mib)
        self._retries.forget(task)
        self._locality.forget_wait(task)
        self._finished = False
        self._queues.push(task)

    def _cluster_failed(self, task: int) -> list[Decision]:
        if task in self._kill_requested:
            return self._settle_killed(task)
        gone = self._gone(task)
        self.attempts_lost += 1
        self._lost_attempts.setdefault(task, set()).add(gone.attempt)
        if self.table.lose(task) >= LOST_BOUND:
            more = self._close(task, TaskState.LOST, Reason.LOST)
            return [RecordEnding((gone,), TaskState.LOST, Reason.LOST), *more]
        self._leave(task)
        self._queue_again(task, Trigger.REQUEUED)
        self.table.next_attempt(task)
        return [RecordEnding((gone,), TaskState.LOST, Reason.LOST, final=False)]

    def _leave(self, task: int) -> None:
        self._since.pop(task, None)
        self._late.discard(task)
        if self._queues.located:
            self._locality.leave(task)
        self._batches.leave(task)

    def _queue_again(self, task: int, trigger: Trigger) -> None:
        self.table.move(task, trigger)
        self._relaunch_requested.discard(task)  # it runs once more as it is
        if task in self._relaunch_mem_mib:
            self._retries.ask(task, self._relaunch_mem_mib.pop(task))
        self._queues.push(task)

    # -- demand -----------------------------------------------------------------------------------------

    def _wants_offers(self) -> bool:
        return self._queues.anybody and self._throttle.room(self._at_s, self._batches.at_once) != 0

    def _settle_demand(self, decisions: list[Decision]) -> None:
        """Append what follows from the state that an event left: offers wanted or not, the job's end."""
        if self._wants_offers():
            least = self._queues.least_demand()
            if self._suppressed or least != self._asked or (self._queues.located and self._calls_back()):
                decisions.append(Revive(least))
                self._passed_none()
            self._suppressed, self._asked = False, least
        elif not self._suppressed:
            self._suppressed = True
            decisions.append(Suppress())
            self._passed_none()
        if self._closed and not self._finished and not self.table.unended:
            self._finished = True
            decisions.append(Finish())

    def _calls_back(self) -> bool:
        """Say whether offers that were passed over are wanted after all."""
        limit_s = self._limit_s
        for queue in self._queues.order:
            near = queue.near
            if near is None or not near.passed:
                continue
            if self._wiser or near.calls(limit_s) or queue.peek() is not None:
                return True
            if self._at_s >= self._looked_s + LOOK_EVERY_S:
                self._looked_s = self._at_s
                if near.out_of_reach(limit_s, self._span_s)() is not None:
                    return True
        return False

    def _passed_none(self) -> None:
        self._wiser = False
        for near in self._queues.nears if self._queues.located else ():
            near.passed = False

    # -- to be asked ------------------------------------------------------------------------------------

    def why(self, at_s: float, task: int | None, job: str, engine: str = "") -> list[str]:
        """Say what a task, or what waits of the job, waits for; nothing when it doesn't.

        Parameters
        ----------
        at_s : float
            Now.
        task : int or None
            Which; None for all that wait.
        job : str
            How the job is named in a command that would help.
        engine : str
            What the engine has to say.
        """
        last_s = self._seen.last_s
        opens_at = self._throttle.opens_at(self._at_s, self._batches.at_once)
        facts = JobFacts(
            rules=self._rules,
            held=self.held,
            at_once=self._batches.at_once,
            begun=self.table.counts[TaskState.RUNNING] + self.table.counts[TaskState.UNREACHABLE],
            nodes=self.nodes,
            opens_s=None if opens_at is None else max(0.0, opens_at - at_s),
            silent_s=None if last_s is None else max(0.0, at_s - last_s),
            engine=engine,
            alone=self._policy.alone,
            own=self._own(),
        )
        if task is not None:
            if not self.table.waits(task):
                return [self._where(at_s, task)]
            return reasons(self._wait_of(at_s, task), facts, self._seen, job)
        lines: list[str] = []
        for queue in self._queues.order:
            for head in (queue.peek(), None if queue.near is None else queue.near.first()):
                if head is not None:
                    lines += reasons(self._wait_of(at_s, head, alone=False), facts, self._seen, job)
        if self._retries.backing_off and self._retries.next_s is not None:
            lines.append(backing_off_text(len(self._retries.backing_off), max(0.0, self._retries.next_s - at_s)))
            lines += throttle_text(facts, job)
        return list(dict.fromkeys(lines))

    def _own(self) -> dict[str, OwnShare]:
        """Return what the job has of each node."""
        found: dict[str, OwnShare] = {}
        for batch in self._batches.values():
            has = found.get(batch.node, OwnShare())
            takes = self.demand_of(min(batch.tasks)) if batch.before is None else Resources()
            found[batch.node] = OwnShare(has.launches + 1, has.amount + takes)
        return found

    def _where(self, at_s: float, task: int) -> str:
        """Say where a task is that does not wait."""
        state, batch, since_s = self.table.state(task), self._batches.of(task), self._since.get(task)
        return place_text(state, "" if batch is None else batch.node, None if since_s is None else at_s - since_s)

    def _wait_of(self, at_s: float, task: int, alone: bool = True) -> WaitingTask:
        queue, places = self._queues.of(task), self._locality.places
        due_s = self._retries.due_s(task)
        near = queue.near if places.chooses(task) and due_s is None else None
        until_s = None if near is None else near.clock.runs_until
        return WaitingTask(
            task=task if alone else None,
            demand=queue.demand,
            before=self._queues.before(task) if alone else 0,
            backing_off_s=None if due_s is None else max(0.0, due_s - at_s),
            local=tuple(places.hosts(task)) if near else (),
            sought=places.seeks(task),
            local_left_s=max(0.0, self._limit_s - near.waited_s(task)) if near else 0.0,
            passed=near.passed_by(task) if near else 0,
            passing=until_s is not None and until_s > at_s,
        )

    def story(self) -> dict[str, Any]:
        """Return all that a replay has to bring back, to be compared. What runs counts as launched."""
        table = self.table
        every = range(len(table))
        launched = (TaskState.STAGING, TaskState.RUNNING, TaskState.UNREACHABLE)
        states = [TaskState.STAGING if table.state(task) in launched else table.state(task) for task in every]
        return {
            "states": states,
            "attempts": [table.attempt(task) for task in every],
            "losses": [table.losses(task) for task in every],
            "reasons": {reason: count for reason, count in table.reasons.items() if count},
            "demands": [self._queues.of(task).demand for task in every],
            "batches": {batch_id: self._batches.get(batch_id) for batch_id in self._batches},
            "given up": {task: set(attempts) for task, attempts in self._lost_attempts.items()},
            "again, doomed": (set(self._relaunch_requested), dict(self._relaunch_mem_mib), set(self._kill_requested)),
            "retries": self._retries.story(),
            "held": self.held,
            "rules": self._rules,
            "closed": self._closed,
            "superseded": self.table.superseded,
            "lost, retried": (self.attempts_lost, self.attempts_retried),
        }

    def check(self) -> None:
        """Assert that the books agree with each other."""
        self.table.check()
        every = range(len(self.table))
        flying = {task for task in every if self.table.state(task) in IN_FLIGHT}
        self._batches.check(flying)
        assert self._relaunch_requested | self._kill_requested | set(self._since) | self._late <= flying
        assert not self._relaunch_requested & self._kill_requested
        assert set(self._relaunch_mem_mib) <= self._relaunch_requested
        assert self._suppressed != self._wants_offers()
        self._queues.check()
        self._locality.check(flying)
        assert not self._finished or not self.table.unended
