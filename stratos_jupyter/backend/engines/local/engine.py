"""The local engine: the real executor, on this machine.

It starts the same program as a cluster's nodes run, each in a session of its own, talks to it over a Unix
socket and makes offers of this machine's cores and memory. Nothing of a command runs in the kernel's process.

While a slot works on a batch of short commands, the engine offers the place behind it: the next batch then lies in
the executor when the first one ends, and no time passes between them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

from ....errors import EngineError
from ...core.batching import BatchPolicy
from ...core.decisions import Decision, Decline, Finish, Kill, Launch, RecordEnding, Revive, Suppress, WithdrawUnstarted
from ...core.events import BatchLost, Offer, OffersArrived, TasksReturned, TasksStarted
from ...core.in_flight import LaunchedBatch
from ...core.resources import Resources
from ...core.states import Reason
from ...executor.record import ATTEMPT, TASK
from ...forks import Inherited
from ..base import Sink, Tail, Work
from ..executor_records import limits_of
from ..linger_notice import linger_notice
from ..tails import TailRequests, no_tail
from .executor_link import ExecutorProcess
from .executors import ExecutorPool, last_line
from .machine import Machine
from .orphans import end_orphans
from .recovery import Recovery
from .slots import Attempt, Slot, SlotTable

#: one launch carries about this much work, in seconds: enough to hide a round trip, too little to unbalance an end
BATCH_TARGET_S: Final = 0.1
BATCH_MOST: Final = 128
#: executors that have had nothing to do for this long end; a job that stays open starts others when it needs them
IDLE_S: Final = 20.0


class LocalEngine:
    """Runs one job on this machine.

    Parameters
    ----------
    sink : Sink
        Takes what happens.
    work : Work
        Knows the commands.
    machine : Machine
        Makes the offers.
    folder : Path
        The run's folder: for the executors' own logs.
    priority : int
        Of this job among those on the machine.
    failover_s : float
        How long an executor outlives its kernel.
    """

    writes_ahead = False
    page = ""

    def __init__(
        self, sink: Sink, work: Work, machine: Machine, folder: Path, *, priority: int = 0, failover_s: float = 0.0
    ) -> None:
        self.policy = BatchPolicy(BATCH_TARGET_S, BATCH_MOST, alone=True)
        self.priority = priority
        self.held = Resources()
        self._least: Resources | None = None
        self._sink = sink
        self._work = work
        self._machine = machine
        self._folder = folder
        self._slots = SlotTable()
        self._executors = ExecutorPool(
            folder,
            sink,
            self._slots,
            machine.total.cpus,
            self._receive,
            self._executor_lost,
            self._rested,
            failover_s=failover_s,
        )
        self._recovery = Recovery(sink, self._slots, self._executors, machine.node, self._seize, self._settle)
        self._behind: dict[str, int] = {}  # offer -> batch that it lies behind
        self._offers = 0
        self._idle_since = 0.0
        self._tails = TailRequests()
        self._closed = False
        machine.join(self)

    # -- decisions --------------------------------------------------------------------------------------

    def perform(self, decisions: Sequence[Decision]) -> None:
        """Perform all that followed from one event; launches on one offer belong together."""
        taken: dict[str, Resources] = {}
        asks = declines = False
        for decision in decisions:
            match decision:
                case Launch():
                    if decision.offer_id not in self._behind:
                        taken[decision.offer_id] = taken.get(decision.offer_id, Resources()) + decision.demand
                    self._launch(decision)
                case Decline():
                    for offer_id in decision.offer_ids:
                        if self._behind.pop(offer_id, None) is None:
                            self._machine.answer(offer_id, Resources())
                            declines = True
                case Revive():
                    self._least = decision.least
                    asks = True
                case Suppress():
                    self._least = None
                    asks = True
                case Kill():
                    self._kill(decision.tasks, decision.reason)
                case WithdrawUnstarted():
                    self._recall(decision.batches)
                case Finish():
                    self._executors.stop()
                case RecordEnding():
                    pass  # nothing of it concerns a node
        for offer_id, amount in taken.items():
            self._machine.answer(offer_id, amount)
        # What came free while an offer was out has not been offered to anyone yet.
        if taken or asks:
            self._machine.offer_round()
        elif declines:
            self._machine.offer_round(but=self)

    @property
    def wants(self) -> Resources | None:
        """The least demand that waits; None while no offers are wanted."""
        return None if self._closed or self._executors.resting or self._recovery.pending else self._least

    def why_not_offering(self) -> str:
        """Say what keeps this machine from offering; '' when nothing does."""
        if self._executors.resting:
            return self._executors.resting
        if self._recovery.pending:
            return "what an earlier kernel has left running is being found"
        return "" if self._least is None else self._machine.lacking(self._least, self.held)

    def offer(self, offer: Offer) -> None:
        """Hand an offer of the machine to the scheduler."""
        self._sink.post(OffersArrived(self._sink.now(), (offer,)))

    def _launch(self, launch: Launch) -> None:
        if self._closed:
            return
        behind = self._behind.pop(launch.offer_id, None)
        slot = self._slots.slot_of(behind) if behind is not None else None
        if behind is not None and slot is None:
            # The batch ended while the offer was on its way, and the slot's resources went back with it.
            self._hand_back(launch.tasks)
            return
        if slot is None:
            try:
                slot = self._slots.open(self._executors.choose(), launch.demand)
            except (EngineError, OSError) as error:
                self._machine.release(launch.demand)
                self._hand_back(launch.tasks)
                self._executors.rest(str(error))
                return
            self.held = self.held + launch.demand
        self._slots.put(slot, launch.batch_id, launch.tasks)
        self._send_batch(slot, launch)
        if len(launch.tasks) > 1:
            self._executors.spread()
        if len(slot.batches) == 1:
            self._offer_behind(slot)

    def _hand_back(self, tasks: Iterable[Attempt]) -> None:
        self._sink.post(TasksReturned(self._sink.now(), tuple(tasks)))

    def _rested(self) -> None:
        if not self._closed:
            self._machine.offer_round()

    def _send_batch(self, slot: Slot, launch: Launch) -> None:
        known = self._executors.contexts(slot.executor)
        context = -1
        rows: list[list[Any]] = []
        limits: dict[str, Any] = {}
        for task, attempt in launch.tasks:
            if self._work.context_of(task) != context:
                context = self._work.context_of(task)
                if context not in known:
                    known.add(context)
                    slot.executor.send(["context", context, self._work.context(context)])
                rows = []
                limits = limits_of(launch.demand)
                slot.executor.send(["batch", slot.number, launch.batch_id, context, launch.expected_s, rows, limits])
            if (names := self._work.inputs(task)) is not None:
                limits.setdefault("inputs", {})[len(rows)] = names
            if promised := self._work.makes(task):
                limits.setdefault("makes", {})[len(rows)] = promised
            rows.append([task, attempt, self._work.command(task), self._work.file(task), *self._work.copies(task)])

    def _offer_behind(self, slot: Slot) -> None:
        """Offer the place behind a slot's batch, unless another job waits for the slot itself."""
        if self.wants is None or self._machine.contended or self._executors.overloaded(slot.executor):
            return
        self._offers += 1
        offer = Offer(f"behind-{self._offers}", self._machine.node, slot.demand, behind=slot.batches[0])
        self._behind[offer.offer_id] = slot.batches[0]
        self.offer(offer)

    def _recall(self, batches: Iterable[int]) -> None:
        by_executor: dict[ExecutorProcess, list[int]] = {}
        for batch in batches:
            slot = self._slots.slot_of(batch)
            if slot is not None:
                by_executor.setdefault(slot.executor, []).append(batch)
        for executor, those in by_executor.items():
            executor.send(["recall", those])

    def _kill(self, attempts: Sequence[Attempt], reason: Reason) -> None:
        by_executor: dict[ExecutorProcess, list[Attempt]] = {}
        for attempt in attempts:
            executor = self._slots.executor_of(attempt)
            if executor is not None:
                by_executor.setdefault(executor, []).append(attempt)
        for executor, those in by_executor.items():
            executor.send(["kill", those, reason.value])

    # -- what the executors say -------------------------------------------------------------------------

    def _receive(self, executor: ExecutorProcess, message: list[Any]) -> None:
        match message:
            case ["started", rows]:
                self._sink.post(TasksStarted(self._sink.now(), tuple((task, attempt) for task, attempt, *_ in rows)))
            case ["ended", seq, records]:
                self._ended(executor, seq, records)
            case ["tail", request, answer]:
                self._tails.answer(request, answer)
            case ["waiting", rows]:
                self._executors.say_waiting(executor, linger_notice(rows))
            case ["hello", told, *_]:
                self._executors.came_up(executor, told["pid"])
            case ["inventory", batches]:
                self._recovery.take_over(executor, batches)
            case ["notice", text]:
                self._executors.say_trouble(executor, text)
            case _:
                pass  # what a newer executor may say beyond this version

    def _ended(self, executor: ExecutorProcess, seq: int, records: list[list[Any]]) -> None:
        # A result that nobody acknowledges is delivered again, so this must not depend on which batch it is of.
        self._recovery.deliver(records, lambda: executor.send(["ack", seq]))
        report = self._slots.report
        for record in records:
            batch = report((record[TASK], record[ATTEMPT]))
            if batch is not None:
                self._batch_done(batch)

    def _batch_done(self, batch: int) -> None:
        slot = self._slots.end(batch)
        if slot.batches:
            self._offer_behind(slot)
            return
        if not self._slots:
            self._stop_when_idle()
        self.held = self.held - slot.demand
        self._machine.release(slot.demand)
        self._machine.offer_round()

    def _stop_when_idle(self) -> None:
        self._idle_since = self._sink.now()
        asyncio.get_running_loop().call_later(IDLE_S, self._stop_if_idle, self._idle_since)

    def _stop_if_idle(self, since: float) -> None:
        if not self._slots and since == self._idle_since:
            self._executors.stop()

    def _executor_lost(self, executor: ExecutorProcess) -> None:
        """Give up what an executor that is gone had not reported."""
        lost = self._slots.lose(executor)
        why = last_line(executor)
        self._recovery.bury(executor.record)  # before its batches are given up: what ended there has ended
        if self._executors.remove(executor):
            self._tails.end()
            if executor.up or self._recovery.is_silent(executor):
                self._sink.notice(f"the executor (pid {executor.pid}) ended unexpectedly; what it ran runs again")
                # What executors run that have not told it yet must not be ended: `_settle` ends the rest.
                if not self._recovery.without(attempt for left in lost.values() for attempt in left):
                    self._end_orphans(self._slots.attempts())
                for batch in lost:
                    self._sink.post(BatchLost(self._sink.now(), batch))
            else:  # it has not begun anything
                self._hand_back(attempt for left in lost.values() for attempt in left)
                self._executors.rest(f"it ended at once: {why}")
        for batch in lost:
            self._batch_done(batch)
        self._recovery.heard(executor)

    def _end_orphans(self, watched: Iterable[Attempt]) -> None:
        """End the processes of the run that no executor watches."""
        end_orphans(self._folder, {self._mark(*attempt) for attempt in watched})

    def _mark(self, task: int, attempt: int) -> bytes:
        label = self._work.context(self._work.context_of(task))["label"]
        return f"{label}.{task}.{attempt}".encode()

    # -- what an earlier process has left -----------------------------------------------------------------

    def attach(self, launched: Sequence[LaunchedBatch]) -> None:
        """Find what an earlier process has left running, and tell of it by `Attached`, once; offer nothing before."""
        self._recovery.attach(launched)

    def _seize(self, amount: Resources) -> None:
        self._machine.seize(amount)
        self.held = self.held + amount

    def _settle(self, survivors: frozenset[Attempt]) -> None:
        self._end_orphans(survivors)
        if not self._slots:
            self._stop_when_idle()

    # -- the rest ---------------------------------------------------------------------------------------

    def tail(self, task: int, attempt: int, nbytes: int) -> Future[Tail | None]:
        """Ask for the last bytes of what a running attempt has written; None when it does not run."""
        executor = self._slots.executor_of((task, attempt))
        if executor is None:
            return no_tail()
        request, future = self._tails.ask()
        executor.send(["tail", request, task, attempt, nbytes])
        return future

    def connections(self) -> list[Inherited]:
        """Return the connections to executors."""
        return self._executors.connections()

    def let_go(self) -> None:
        """End all connections; running tasks continue, and the next process to attach finds them."""
        if not self._closed:
            self._closed = True
            self._tails.end()
            self._machine.release(self.held)  # the next to attach, maybe this process, takes it anew
            self.held = Resources()
            self._machine.leave(self)
            self._recovery.close()
            self._executors.let_go()

    def close(self) -> Future[None]:
        """End what runs and let go of everything; the future is done when no executor is left."""
        if not self._closed:
            self._closed = True
            self._tails.end()
            self._machine.leave(self)
            self._recovery.close()
            self._executors.stop()
        return self._executors.gone()
