"""The local engine: the real executor, on this machine.

It starts the same program as a cluster's nodes run, each in a session of its own, talks to it over a Unix
socket and makes offers of this machine's cores and memory. Nothing of a command runs in the kernel's process.

With short commands, one executor for all slots is the bottleneck: while it starts a command for one slot, the others
stand still. So a job whose commands turn out to be short gets more of them, and its slots spread over those that are
up.

A *slot* is room for one command at a time. While a slot works on a batch of short commands, the engine offers
the place behind it: the next batch then lies in the executor when the first one ends, and no time passes between
them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

from ....errors import EngineError
from ...core.batching import BatchPolicy
from ...core.decisions import Decision, Decline, Finish, Kill, Launch, RecordEnding, Revive, Suppress, WithdrawUnstarted
from ...core.events import Attached, BatchLost, LaunchKnown, Offer, OffersArrived, TasksReturned, TasksStarted
from ...core.phrases import WORDS, amount_text
from ...core.resources import SLACK, Resources
from ...core.states import Reason
from ...executor.transport.spool import read_spool
from ...forks import Inherited
from ..base import Sink, Tail, Work
from ..executor_records import limits_of, result_of
from ..linger_notice import linger_notice
from .executor_link import GONE, LOG, SPOOL, ExecutorProcess
from .machine import Machine
from .orphans import end_orphans

log = logging.getLogger(__name__)

#: one launch carries about this much work, in seconds: enough to hide a round trip, too little to unbalance an end
BATCH_TARGET_S: Final = 0.1
BATCH_MOST: Final = 128
#: the most executors that one job has on this machine
EXECUTORS_MOST: Final = 4
#: an executor that cannot be started is tried again after 1 s, 2 s, 4 s, and so on up to this
REST_MOST_S: Final = 30.0
#: executors that have had nothing to do for this long end; a job that stays open starts others when it needs them
IDLE_S: Final = 20.0

#: an executor that was found is waited for this long before the user hears of it
ANSWER_S: Final = 5.0
#: in a run's folder: a folder for each executor
EXECUTORS: Final = "executors"


class _Slot:
    """Room for one command at a time: the batch that runs in it, and the one lined up behind."""

    def __init__(self, number: int, link: ExecutorProcess, demand: Resources) -> None:
        self.number = number
        self.link = link
        self.demand = demand
        self.batches: list[int] = []


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
        self._least: Resources | None = None
        self._idle_since = 0.0
        self._resting = False  # executors do not start; tried again after a while
        self.held = Resources()
        self._sink = sink
        self._work = work
        self._machine = machine
        self._folder = folder
        self._failover_s = failover_s
        self._attaching: set[ExecutorProcess] = set()  # found, and not heard yet
        self._survivors: set[tuple[int, int]] | None = None  # attempts that they have; None when all is settled
        self._launched: dict[tuple[int, int], int] = {}  # meanwhile: attempt -> batch, as the journal has it
        self._links: list[ExecutorProcess] = []
        self._stopping: list[ExecutorProcess] = []
        self._contexts: dict[ExecutorProcess, set[int]] = {}
        self._behind: dict[str, int] = {}  # offer -> batch that it lies behind
        self._offers = 0
        self._slots: dict[int, _Slot] = {}
        self._slot_of: dict[int, _Slot] = {}  # by batch
        self._left: dict[int, set[tuple[int, int]]] = {}  # by batch: attempts not yet reported
        self._where: dict[tuple[int, int], int] = {}  # attempt -> batch
        self._tails: dict[int, Future[Tail | None]] = {}
        self._waiting: dict[ExecutorProcess, str] = {}  # what is shown of tasks that wait for background processes
        self._troubles: dict[ExecutorProcess, str] = {}  # what is shown of an executor that is in trouble
        self._failures = 0
        self._not_started = ""
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
                    self._stop_links()
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
        return None if self._closed or self._resting or self._survivors is not None else self._least

    def why_not_offering(self) -> str:
        """Say what keeps this machine from offering; '' when nothing does."""
        if self._resting:
            return self._not_started
        if self._survivors is not None:
            return "what an earlier kernel has left running is being found"
        least, free = self._least, self._machine.free
        short = [] if least is None else [name for name in WORDS if getattr(least, name) > getattr(free, name) + SLACK]
        if not short:
            return ""
        name = short[0]
        total, left, held, wanted = (getattr(one, name) for one in (self._machine.total, free, self.held, least))
        if name == "cpus" and held >= total:
            cores = f"all {total:g} cores of this machine are" if total > 1 else "the one core of this machine is"
            return f"{cores} busy with this job's tasks"
        others = total - left - held
        parts = [f"this job's tasks hold {amount_text(name, held)}"] if held else []
        parts += [f"other jobs of this kernel {amount_text(name, others)}"] if others > 0 else []
        asks = f"a task asks for {amount_text(name, wanted)}; {', '.join(parts)}"
        of = f"of {amount_text(name, total)} {WORDS[name][0]} of this machine {amount_text(name, left)}"
        return f"{of} {'are' if name == 'cpus' else 'is'} free, {asks}"

    def offer(self, offer: Offer) -> None:
        """Hand an offer of the machine to the scheduler."""
        self._sink.post(OffersArrived(self._sink.now(), (offer,)))

    def _launch(self, launch: Launch) -> None:
        if self._closed:
            return
        behind = self._behind.pop(launch.offer_id, None)
        slot = self._slot_of.get(behind) if behind is not None else None
        if behind is not None and slot is None:
            # The batch ended while the offer was on its way, and the slot's resources went back with it.
            self._hand_back(launch.tasks)
            return
        if slot is None:
            try:
                slot = self._new_slot(launch)
            except (EngineError, OSError) as error:
                self._machine.release(launch.demand)
                self._hand_back(launch.tasks)
                self._rest(str(error))
                return
        slot.batches.append(launch.batch_id)
        self._slot_of[launch.batch_id] = slot
        self._left[launch.batch_id] = set(launch.tasks)
        for attempt in launch.tasks:
            self._where[attempt] = launch.batch_id
        self._send_batch(slot, launch)
        if len(launch.tasks) > 1:
            self._spread()
        if len(slot.batches) == 1:
            self._offer_behind(slot)

    def _hand_back(self, tasks: Iterable[tuple[int, int]]) -> None:
        self._sink.post(TasksReturned(self._sink.now(), tuple(tasks)))

    def _rest(self, why: str) -> None:
        """Take no offers for a while, because no executor can be started. Nothing that waits is lost by that."""
        if self._resting:
            return
        pause_s = min(REST_MOST_S, 2.0**self._failures)
        self._failures += 1
        self._resting = True
        self._sink.withdraw(self._not_started)
        self._not_started = f"the executor cannot be started, tried again every {REST_MOST_S:g} s or sooner: {why}"
        self._sink.notice(self._not_started)
        asyncio.get_running_loop().call_later(pause_s, self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        if not self._closed:
            self._machine.offer_round()

    def _new_slot(self, launch: Launch) -> _Slot:
        number = next(number for number in range(len(self._slots) + 1) if number not in self._slots)
        if not self._links:
            self._start_link()
        ready = [link for link in self._links if link.up] or self._links
        slot = _Slot(number, min(ready, key=self._load), launch.demand)
        self._slots[number] = slot
        self.held = self.held + launch.demand
        return slot

    def _load(self, link: ExecutorProcess) -> int:
        return sum(slot.link is link for slot in self._slots.values())

    def _start_link(self) -> None:
        records = self._folder / EXECUTORS
        number = 1 + max((int(entry.name) for entry in records.glob("[0-9]*")), default=0)
        link = ExecutorProcess(records / str(number), self._receive, self._link_lost, failover_s=self._failover_s)
        self._links.append(link)
        self._contexts[link] = set()

    def _spread(self) -> None:
        """Start one more executor where all that there are have more than one slot to serve."""
        most = min(EXECUTORS_MOST, int(self._machine.total.cpus), os.cpu_count() or 1)
        if len(self._links) < min(most, len(self._slots)) and all(link.up for link in self._links):
            try:
                self._start_link()
            except (EngineError, OSError) as error:
                log.info("no further executor: %s", error)  # those that are up do it alone

    def _overloaded(self, link: ExecutorProcess) -> bool:
        """Say whether a slot should leave this executor when its batch has ended."""
        up = sum(other.up for other in self._links)
        return up > 1 and self._load(link) > -(-len(self._slots) // up)

    def _send_batch(self, slot: _Slot, launch: Launch) -> None:
        known = self._contexts[slot.link]
        context = -1
        rows: list[list[Any]] = []
        limits: dict[str, Any] = {}
        for task, attempt in launch.tasks:
            if self._work.context_of(task) != context:
                context = self._work.context_of(task)
                if context not in known:
                    known.add(context)
                    slot.link.send(["context", context, self._work.context(context)])
                rows = []
                limits = limits_of(launch.demand)
                slot.link.send(["batch", slot.number, launch.batch_id, context, launch.expected_s, rows, limits])
            if (names := self._work.inputs(task)) is not None:
                limits.setdefault("inputs", {})[len(rows)] = names
            if promised := self._work.makes(task):
                limits.setdefault("makes", {})[len(rows)] = promised
            rows.append([task, attempt, self._work.command(task), self._work.file(task), *self._work.copies(task)])

    def _offer_behind(self, slot: _Slot) -> None:
        """Offer the place behind a slot's batch, unless another job waits for the slot itself."""
        if self.wants is None or self._machine.contended or self._overloaded(slot.link):
            return
        self._offers += 1
        offer = Offer(f"behind-{self._offers}", self._machine.node, slot.demand, behind=slot.batches[0])
        self._behind[offer.offer_id] = slot.batches[0]
        self.offer(offer)

    def _recall(self, batches: Iterable[int]) -> None:
        by_link: dict[ExecutorProcess, list[int]] = {}
        for batch in batches:
            if batch in self._slot_of:
                by_link.setdefault(self._slot_of[batch].link, []).append(batch)
        for link, those in by_link.items():
            link.send(["recall", those])

    def _kill(self, attempts: Sequence[tuple[int, int]], reason: Reason) -> None:
        by_link: dict[ExecutorProcess, list[tuple[int, int]]] = {}
        for attempt in attempts:
            batch = self._where.get(attempt)
            if batch is not None:
                by_link.setdefault(self._slot_of[batch].link, []).append(attempt)
        for link, those in by_link.items():
            link.send(["kill", those, reason.value])

    # -- what the executor says -------------------------------------------------------------------------

    def _receive(self, link: ExecutorProcess, message: list[Any]) -> None:
        match message:
            case ["started", rows]:
                self._sink.post(TasksStarted(self._sink.now(), tuple((task, attempt) for task, attempt, *_ in rows)))
            case ["ended", seq, records]:
                self._ended(link, seq, records)
            case ["tail", request, answer]:
                future = self._tails.pop(request, None)
                if future is not None:
                    note = "" if answer is None else answer.get("note", "")
                    future.set_result(None if answer is None else Tail(answer["stdout"], answer["stderr"], note))
            case ["waiting", rows]:
                self._say_waiting(link, linger_notice(rows))
            case ["hello", facts, *_]:
                link.learn(facts["pid"])
                self._sink.withdraw(self._troubles.pop(link, ""))
                self._sink.withdraw(self._not_started)
                link.up = True
                self._failures = 0
            case ["inventory", batches]:
                if link in self._attaching:
                    self._take_over(link, batches)
            case ["notice", text]:
                self._sink.withdraw(self._troubles.pop(link, ""))
                if text:
                    self._troubles[link] = text
                    self._sink.notice(text)
            case _:
                pass  # what a newer executor may say beyond this version

    def _say_waiting(self, link: ExecutorProcess, text: str) -> None:
        self._sink.withdraw(self._waiting.pop(link, ""))
        if text:
            self._waiting[link] = text
            self._sink.notice(text, aloud=False)

    # -- what an earlier process has left -----------------------------------------------------------------

    def attach(self, launched: Sequence[tuple[int, str, tuple[tuple[int, int], ...]]]) -> None:
        """Find what an earlier process has left running, and tell of it by `Attached`, once; offer nothing before.

        The executors know better than the journal what was launched last.
        """
        self._survivors = set()
        self._launched = {attempt: batch_id for batch_id, _, attempts in launched for attempt in attempts}
        for record in sorted((self._folder / EXECUTORS).glob("[0-9]*"), key=lambda entry: int(entry.name)):
            try:
                link = ExecutorProcess(record, self._receive, self._link_lost)
            except (*GONE, KeyError, TypeError, ValueError):
                self._bury(record)
                continue
            except OSError as error:  # it lives: what it runs must not run beside it
                raise EngineError(
                    f"the executor of {record} cannot be connected to ({error.strerror}); attach again later, or end "
                    "that process first"
                ) from error
            self._links.append(link)
            self._contexts[link] = set()
            self._attaching.add(link)
        asyncio.get_running_loop().call_later(ANSWER_S, self._still_silent)
        self._settle_attaching()

    def _still_silent(self) -> None:
        for link in () if self._closed else self._attaching:
            self._troubles[link] = f"the executor (pid {link.pid}) does not answer; nothing is launched before it does"
            self._sink.notice(self._troubles[link])

    def _take_over(self, link: ExecutorProcess, batches: list[Any]) -> None:
        """Take in what an executor still has."""
        assert self._survivors is not None
        for batch_id, number, pairs in batches:
            attempts = [(task, attempt) for task, attempt in pairs]
            slot = self._slots.get(number)
            if slot is None:
                slot = self._slots[number] = _Slot(number, link, self._sink.demand_of(attempts[0][0]))
                self._machine.seize(slot.demand)
                self.held = self.held + slot.demand
            behind = slot.batches[-1] if slot.batches else None
            slot.batches.append(batch_id)
            self._slot_of[batch_id] = slot
            self._left[batch_id] = set(attempts)
            self._where.update(dict.fromkeys(attempts, batch_id))
            self._survivors.update(attempts)
            self._sink.post(LaunchKnown(self._sink.now(), batch_id, self._machine.node, tuple(attempts), behind))
        self._attaching.discard(link)
        self._settle_attaching()

    def _settle_attaching(self) -> None:
        if self._survivors is None or self._attaching:
            return
        survivors, self._survivors = self._survivors, None
        self._launched.clear()
        end_orphans(self._folder, {self._mark(*attempt) for attempt in survivors})
        if not self._slots:
            self._rest_soon()
        self._sink.post(Attached(self._sink.now(), frozenset(survivors)))

    def _bury(self, record: Path) -> None:
        """Take in what an executor that has ended had not delivered, and forget it."""
        try:
            for records in read_spool(str(record / SPOOL)):
                self._deliver(records, lambda: None)
        except FileNotFoundError:
            pass  # it had nothing to say, or all of it was acknowledged
        except OSError as error:
            self._sink.notice(f"results that an executor kept cannot be read, and stay there: {error}")
            return
        self._sink.post_results((), lambda: shutil.rmtree(record, ignore_errors=True))

    def _deliver(self, records: list[list[Any]], acknowledge: Callable[[], None]) -> None:
        """Hand over results, of launches that may be known to nobody here."""
        if self._survivors is not None:
            by_batch: dict[int, list[tuple[int, int]]] = {}
            for record in records:
                by_batch.setdefault(record[2], []).append((record[0], record[1]))
            for batch_id, attempts in by_batch.items():
                self._sink.post(LaunchKnown(self._sink.now(), batch_id, self._machine.node, tuple(attempts)))
        results = [result_of(record, self._machine.node) for record in records if record[3] != "returned"]
        returned = tuple((record[0], record[1]) for record in records if record[3] == "returned" and self._has(record))
        self._sink.post_results(results, acknowledge)
        if returned:
            self._sink.post(TasksReturned(self._sink.now(), returned))

    def _has(self, record: list[Any]) -> bool:
        """Say whether an attempt is still that batch's: what was handed back may be told again, and run elsewhere."""
        attempt = (record[0], record[1])
        return bool(self._where.get(attempt, self._launched.get(attempt, record[2])) == record[2])

    def _ended(self, link: ExecutorProcess, seq: int, records: list[list[Any]]) -> None:
        # A result that nobody acknowledges is delivered again, so this must not depend on which batch it is of.
        self._deliver(records, lambda: link.send(["ack", seq]))
        for record in records:
            self._leave(record[0], record[1])

    def _leave(self, task: int, attempt: int) -> None:
        batch = self._where.pop((task, attempt), None)
        if batch is None:
            return
        left = self._left[batch]
        left.discard((task, attempt))
        if not left:
            del self._left[batch]
            self._batch_done(batch)

    def _batch_done(self, batch: int) -> None:
        slot = self._slot_of.pop(batch)
        slot.batches.remove(batch)
        if slot.batches:
            self._offer_behind(slot)
            return
        del self._slots[slot.number]
        if not self._slots:
            self._rest_soon()
        self._release(slot.demand)

    def _rest_soon(self) -> None:
        self._idle_since = self._sink.now()
        asyncio.get_running_loop().call_later(IDLE_S, self._stop_if_idle, self._idle_since)

    def _stop_if_idle(self, since: float) -> None:
        if not self._slots and since == self._idle_since:
            self._stop_links()

    def _release(self, demand: Resources) -> None:
        self.held = self.held - demand
        self._machine.release(demand)
        self._machine.offer_round()

    def _link_lost(self, link: ExecutorProcess) -> None:
        """The executor is gone, with all that it had not reported."""
        batches = [batch for slot in self._slots.values() if slot.link is link for batch in slot.batches]
        lost = {batch: sorted(self._left.pop(batch)) for batch in batches}
        attempts = [attempt for left in lost.values() for attempt in left]
        for attempt in attempts:
            del self._where[attempt]
        self._sink.withdraw(self._troubles.pop(link, ""))
        self._say_waiting(link, "")
        why = _last_line(link.record / LOG)
        self._bury(link.record)  # before its batches are given up: what ended there has ended
        if link not in self._stopping:
            self._links.remove(link)
            self._contexts.pop(link)
            self._end_tails()
            if link.up:
                self._sink.notice(f"the executor (pid {link.pid}) ended unexpectedly; what it ran runs again")
                others = {attempt for batch, left in self._left.items() if batch not in lost for attempt in left}
                end_orphans(self._folder, {self._mark(*attempt) for attempt in others})
                for batch in lost:
                    self._sink.post(BatchLost(self._sink.now(), batch))
            else:  # it has not begun anything
                self._hand_back(attempts)
                self._rest(f"it ended at once: {why}")
        for batch in batches:
            self._batch_done(batch)
        if link in self._attaching:
            self._attaching.discard(link)
            self._settle_attaching()

    def _mark(self, task: int, attempt: int) -> bytes:
        label = self._work.context(self._work.context_of(task))["label"]
        return f"{label}.{task}.{attempt}".encode()

    # -- the rest ---------------------------------------------------------------------------------------

    def tail(self, task: int, attempt: int, nbytes: int) -> Future[Tail | None]:
        """Ask for the last bytes of what a running attempt has written; None when it does not run."""
        future: Future[Tail | None] = Future()
        batch = self._where.get((task, attempt))
        if batch is None:
            future.set_result(None)
        else:
            request = id(future)
            self._tails[request] = future
            self._slot_of[batch].link.send(["tail", request, task, attempt, nbytes])
        return future

    def _end_tails(self) -> None:
        for future in self._tails.values():
            future.set_result(None)
        self._tails.clear()

    def _stop_links(self) -> None:
        links, self._links = self._links, []
        for link in links:
            self._contexts.pop(link)
            self._stopping.append(link)
            link.stop()

    def connections(self) -> list[Inherited]:
        """Return the connections to executors."""
        return [link.connection for link in (*self._links, *self._stopping)]

    def let_go(self) -> None:
        """End all connections and let what runs go on, for whoever attaches next."""
        if not self._closed:
            self._closed = True
            self._end_tails()
            self._machine.release(self.held)  # whoever attaches it, maybe here, takes it anew
            self.held = Resources()
            self._machine.leave(self)
            for link in (*self._links, *self._stopping):
                link.let_go()

    def close(self) -> Future[None]:
        """End what runs and let go of everything; the future is done when no executor is left."""
        if not self._closed:
            self._closed = True
            self._end_tails()
            self._machine.leave(self)
            self._stop_links()
        return _all_done([link.gone for link in self._stopping])


def _last_line(path: Path) -> str:
    """Return the last line that an executor printed itself."""
    try:
        lines = path.read_text("utf-8", "backslashreplace")[-2000:].split("\n")
    except OSError:
        lines = []
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")


def _all_done(futures: Sequence[Future[None]]) -> Future[None]:
    """Return a future that is done when all of those are."""
    whole: Future[None] = Future()
    left = len(futures)

    def one_done(_: object) -> None:
        nonlocal left
        left -= 1
        if left <= 0 and not whole.done():
            whole.set_result(None)

    for future in futures:
        future.add_done_callback(one_done)
    if not futures:
        whole.set_result(None)
    return whole
