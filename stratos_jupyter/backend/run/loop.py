"""The loop of one run: inbox, journal, scheduler, perform, show.

Everything here happens on the driver thread. One turn takes all that has gathered: what must be recorded is
committed first, then the scheduler hears of it, then its decisions are performed, results acknowledged, and
a snapshot shown. When the journal cannot be written, the turn stops there and is tried again: nothing has been
acknowledged, so nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from ...errors import JournalError
from ..core.decisions import Decision, Finish, Launch, RecordEnding
from ..core.events import (
    Attached,
    BatchLost,
    DemandChanged,
    Ending,
    Event,
    KillAsked,
    OffersArrived,
    OffersRescinded,
    OfferUnfit,
    PauseAsked,
    RelaunchAsked,
    TasksAdded,
    TasksEnded,
    TasksReturned,
    Tick,
)
from ..core.resources import Resources
from ..core.rules import Rules
from ..core.scheduler import Scheduler
from ..core.states import TERMINAL, Reason
from ..core.views import JobView, RateMeter
from ..engines.base import Engine, ExplainsOffers, Ranked, Result
from ..executor.notes import left_count
from ..store.journal import Journal
from ..store.rows import JournalEntry, ResultRow
from .inbox import Added, Arrived, Item, entries_of, set_aside, take_together
from .replay import replay
from .transaction import Transaction
from .waiter import Waiter

log = logging.getLogger(__name__)

#: a view is shown at most this often, in seconds
SHOW_EVERY_S: Final = 0.1
#: a journal that could not be written is tried again after this long, in seconds
RETRY_S: Final = 1.0
#: events by which attempts may be given up whose results have come and wait to be judged
TELLS_OF_LOSS: Final = (Attached, BatchLost, TasksReturned)
#: events of offers: what is launched before the loop has heard of `Attached` would count as lost by it
OFFERS: Final = (OffersArrived, OffersRescinded, OfferUnfit)
#: notices that a view carries
NOTICES: Final = 5


#: adds the commands that an attempt's monitor asked for to the job, some time soon, by `RunLoop.add`
Adopt: TypeAlias = Callable[[tuple[int, int], Sequence[str]], None]
#: takes results, and some time later, on the driver thread, hands them to the function as they count, after those that
#: it took before; False when they count as they are, and the function will not be called
Judge: TypeAlias = Callable[[Sequence[Result], Callable[[Sequence[Result]], None]], bool]


class RunLoop:
    """Drives one run.

    Parameters
    ----------
    journal : Journal
        Where it is recorded.
    make_engine : callable
        Makes the engine, given this loop as its sink.
    loop : asyncio.AbstractEventLoop
        The driver thread's loop.
    clock : callable
        Seconds since the epoch.
    show : callable
        Takes each new `JobView`.
    adopt : callable
        Adds commands that a monitor asked for.
    judge : callable, optional
        Says of results whether they are failures although their commands ended well.
    inputs_left : callable
        Says of a result which key its inputs have now, where that is another one than at the submission of its task,
        and whether the node agreed with that one before it started.
    rules : Rules
        Of the job.
    job_id, run, engine_name
        What the views are headed with.
    """

    def __init__(
        self,
        journal: Journal,
        make_engine: Callable[[RunLoop], Engine],
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        show: Callable[[JobView], None],
        adopt: Adopt,
        *,
        judge: Judge | None = None,
        inputs_left: Callable[[Result], tuple[str, bool] | None] = lambda result: None,
        rules: Rules | None = None,
        job_id: str,
        run: int,
        engine_name: str,
    ) -> None:
        self._journal = journal
        self._loop = loop
        self._clock = clock
        self._show = show
        self._adopt = adopt
        self._judge = judge or _as_they_are
        self._inputs_left = inputs_left
        self._adopted: set[tuple[int, int]] = set()  # attempts whose monitors' commands were taken in
        self._adopting: set[tuple[int, int]] = set()  # of them, those that have not come back as submissions
        self._voided: set[tuple[int, int]] = set()  # of these, those that were killed meanwhile
        self._told: dict[tuple[int, int], str] = {}  # what was said of attempts that are about to count as lost
        self._spawned: list[tuple[int, range]] = []  # what they became: by the task whose monitor asked for it
        self._titles = (job_id, run, engine_name)
        self._inbox: list[Item] = []
        self._waiters: list[Waiter] = []
        self._attaching = False  # `Attached` waits until results that came before it are judged
        self._notices: list[str] = []
        self._submitted_at = clock()
        self._ended_at: float | None = None
        self._submission_times: list[float] = []
        self._origins: list[int | None] = []  # by submission
        self._waking: asyncio.TimerHandle | None = None
        self._finish: Finish | None = None
        self._turning: asyncio.Handle | None = None
        self._showing: asyncio.TimerHandle | None = None
        self._shown_at = 0.0
        self._meter = RateMeter()
        self._left_behind = 0
        self._left_first: int | None = None
        self._disk_notice = ""
        self._unwritten: list[ResultRow] = []  # endings that no node reports, to be recorded
        self._closed = False
        self._entries: list[JournalEntry] = []
        self._launches: list[list[Launch]] = []  # to be performed once they are on disk
        self.engine = make_engine(self)
        self.scheduler = Scheduler(self.engine.policy, rules)

    # -- the engine's side (Sink) -----------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock()

    def demand_of(self, task: int) -> Resources:
        """Return what a task asks for now."""
        return self.scheduler.demand_of(task)

    def accepts_result(self, task: int, attempt: int) -> bool:
        """Say whether the result of an attempt would still be its task's."""
        return self.scheduler.accepts_result(task, attempt)

    def post(self, event: Event) -> None:
        """Take in an event."""
        waits = isinstance(event, TELLS_OF_LOSS) or (self._attaching and isinstance(event, OFFERS))
        if waits and self._judge((), lambda _: self._take_in_late(event)):  # results that came before it are not lost
            self._attaching = self._attaching or isinstance(event, Attached)
        else:
            self._take_in(event)

    def _take_in_late(self, event: Event) -> None:
        if isinstance(event, Attached):
            self._attaching = False
        self._take_in(event)

    def _take_in(self, event: Event) -> None:
        self._inbox.append(event)
        self._wake()

    def post_results(self, results: Sequence[Result], acknowledge: Callable[[], None]) -> None:
        """Take in results; `acknowledge` is called once they are on disk."""
        if not self._judge(results, lambda judged: self._arrived(judged, acknowledge)):
            self._arrived(results, acknowledge)

    def _arrived(self, results: Sequence[Result], acknowledge: Callable[[], None]) -> None:
        if len({result.task for result in results}) < len(results):  # one after another: each may change the next
            self._inbox += [Arrived([result], _nothing) for result in results]
            results = ()
        self._inbox.append(Arrived(results, acknowledge))
        self._wake()

    def notice(self, text: str, aloud: bool = True) -> None:
        """Show the user a line, once; not `aloud`: where the job is looked at, but not in the log."""
        if text not in self._notices:
            self._notices = [*self._notices, text][-NOTICES:]
            log.log(logging.WARNING if aloud else logging.INFO, "%s: %s", self._titles[0], text)
            self._show_soon()

    def withdraw(self, text: str) -> None:
        """Show a line no longer."""
        if text in self._notices:
            self._notices = [notice for notice in self._notices if notice != text]
            self._show_soon()

    # -- the session's side -----------------------------------------------------------------------------

    def add(
        self,
        event: TasksAdded,
        first: int,
        record: Callable[[], dict[str, Any]],
        origin: tuple[int, int] | None = None,
    ) -> None:
        """Take in a submission that `record` describes; `origin` is the attempt whose monitor asked for it."""
        self._inbox.append(Added(event, first, record, origin))
        self._wake()

    def restore(
        self, demand: Resources, priority: int, why_held: str = "", sought: Callable[[int], bool] | None = None
    ) -> None:
        """Bring back what is recorded, and find what an earlier process has left running.

        `why_held` says why nothing may be launched here; that is not recorded, for it is no concern of the next kernel.
        `sought` says of a submission whether it will be found out where its inputs are.

        Raises
        ------
        JournalError
            What is recorded cannot have happened.
        """
        replayed = replay(self._journal, self.scheduler, demand, priority, sought or (lambda submission: False))
        self._submission_times, self._origins = replayed.submission_times, replayed.origins
        self._adopted = replayed.adopted
        self._left_behind, self._left_first = replayed.left_behind, replayed.left_first
        self._submitted_at = self._submission_times[0] if self._submission_times else self._submitted_at
        if why_held:
            self.scheduler.handle(PauseAsked(self.now(), why_held))
        self._spawned = replayed.became
        for attempt, commands in replayed.spawned.items():  # their submissions had not been recorded
            self._have_adopted(attempt, commands)
        self.engine.attach(self.scheduler.launched)
        self._wake()

    def let_go(self) -> None:
        """Record what there is to record and drive the run no longer; what runs goes on."""
        self._turn()
        if self._entries:
            with suppress(JournalError):
                self._record([])
        self._end()
        self.engine.let_go()

    def post_now(self, event: Event) -> None:
        """Take in an event and finish the turn with it, before anything else is seen."""
        self._inbox.append(event)
        if self._turning is not None:
            self._turning.cancel()
        self._turn()
        self._show_now()

    def wait(self, tasks: range | None) -> Future[bool]:
        """Return a future that is done when those tasks have ended; None means all."""
        waiter = Waiter(tasks)
        for origin, spawned in self._spawned:
            waiter.follow(origin, spawned)
        if self._closed:
            waiter.answer(False)
            return waiter.future
        self._waiters.append(waiter)
        self._wake()
        return waiter.future

    def why(self, task: int | None) -> list[str]:
        """Say in clauses what a task waits for, or what waits of all of them."""
        said = self.engine.why_not_offering() if isinstance(self.engine, ExplainsOffers) else ""
        return self.scheduler.why(self.now(), task, self._titles[0], said)

    def close(self) -> Future[None]:
        """End what runs; the future is done when that is recorded and the engine is gone."""
        closed: Future[None] = Future()

        def end() -> None:
            self._turn()
            self._end()
            closed.set_result(None)

        def end_after_results() -> None:  # those that came count, whatever has to be found out of them before
            if not self._judge((), lambda _: end()):
                end()

        self.engine.close().add_done_callback(lambda _: self._loop.call_soon(end_after_results))
        return closed

    def _end(self) -> None:
        self._closed = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.answer(False)
        for handle in (self._turning, self._showing, self._waking):
            if handle is not None:
                handle.cancel()

    # -- a turn -----------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._turning is None and not self._closed:
            self._turning = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turning = None
        while self._inbox or self._unwritten or self._launches:
            taken, self._inbox = take_together(self._inbox)
            failed: JournalError | None = None
            try:
                self._record(taken)
            except Exception as error:  # whatever it is: what cannot be recorded must not be lost
                failed = error if isinstance(error, JournalError) else JournalError(f"cannot record: {error!r}")
                taken, kept = set_aside(taken)
                self._inbox = kept + self._inbox
                self._entries += [entry for item in taken for entry in entries_of(item)]
            if failed is None:
                launches, self._launches = self._launches, []
                for decisions in launches:
                    self._perform(decisions)
            for item in taken:
                try:
                    self._handle(item)
                except Exception as error:
                    # One item that cannot be handled must not take the others, and whoever waits, with it.
                    log.exception("%s: %r", self._titles[0], item)
                    self.notice(f"internal error: {type(error).__name__}: {error}")
            if failed is not None:
                self._wait_for_disk(str(failed))
                return
            if self._disk_notice:
                self.withdraw(self._disk_notice)
                self._disk_notice = ""
        self._end_turn()

    def _perform(self, decisions: Sequence[Decision]) -> None:
        """Perform what had to wait; if it cannot be, that must not take what came with it."""
        try:
            self.engine.perform(decisions)
        except Exception as error:
            log.exception("%s: %r", self._titles[0], decisions)
            self.notice(f"internal error: {type(error).__name__}: {error}")

    def _end_turn(self) -> None:
        finish, self._finish = self._finish, None
        if finish is not None and not self.scheduler.table.unended:
            if self._adopting:
                self._finish = finish  # there is more to come
            else:
                self.engine.perform([finish])
        self._answer_waiters()
        self._plan_tick()
        self._show_soon()

    def _plan_tick(self) -> None:
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        at_s = self.scheduler.wakes_at
        if at_s is not None and not self._closed:
            self._waking = self._loop.call_later(max(0.0, at_s - self.now()), self._tick)

    def _tick(self) -> None:
        self._waking = None
        self.post(Tick(self.now()))

    def _wait_for_disk(self, why: str) -> None:
        if not self._disk_notice:
            self._disk_notice = f"{why}; what runs goes on, results are kept and recorded once it can be written"
            self.notice(self._disk_notice)
        self._show_soon()
        if self._turning is not None:
            self._turning.cancel()
        self._turning = self._loop.call_later(RETRY_S, self._turn)

    def _record(self, taken: Sequence[Item]) -> None:
        """Commit all of a turn that must survive; what a lost attempt means the scheduler says."""
        transaction = Transaction()
        transaction.entries += self._entries
        transaction.entries += self._unwritten
        for item in taken:
            match item:
                case Arrived():
                    for result in item.results:
                        if result.reason is not Reason.LOST and not self._cannot_be(result):
                            self._enter(transaction, result)
                case Added():
                    transaction.entries.append(item)
                case _:
                    transaction.entries += entries_of(item)
        if not transaction.entries:
            return
        transaction.write(self._journal)
        self._entries.clear()
        self._unwritten.clear()

    def _cannot_be(self, result: Result) -> bool:
        """Say whether it is of an attempt that was not launched: the scheduler refuses it, now and at each replay."""
        table = self.scheduler.table
        return table.waits(result.task) and result.attempt == table.attempt(result.task)

    def _enter(self, transaction: Transaction, result: Result) -> None:
        """Enter a result, and what its monitor wants to run; the submission that this becomes may come later."""
        attempt = (result.task, result.attempt)
        settles = self._settles(result)
        transaction.entries.append(self._row(result, settles))
        if settles and result.inputs and (inputs := self._inputs_left(result)) is not None:
            transaction.looks.append((*attempt, inputs[0], int(inputs[1])))
        if self.scheduler.was_given_up(*attempt):
            transaction.found.append(attempt)
        if left := self._left(result):
            transaction.entries.append(JournalEntry(self.now(), "left", [*attempt, left]))
        commands = self._wanted(result)
        if commands:
            transaction.entries.append(JournalEntry(self.now(), "spawn", [*attempt, commands]))

    def _left(self, result: Result) -> int:
        """Return how many processes an attempt left behind; 0 when its result was told before."""
        return left_count(result.note) if result.note and self.accepts_result(result.task, result.attempt) else 0

    def _wanted(self, result: Result) -> list[str]:
        """Return the commands that a monitor asks for, once, and not when the user wants the task ended."""
        attempt = (result.task, result.attempt)
        if not result.commands or attempt in self._adopted or self.scheduler.is_being_killed(result.task):
            return []
        return [text for text in result.commands if text.strip()] if self._settles(result) else []

    def _settles(self, result: Result) -> bool:
        return self.scheduler.is_final_result(result.task, result.attempt, result.reason, result.code)

    def _row(self, result: Result, counts: bool) -> ResultRow:
        scheduler, task = self.scheduler, result.task
        submission = scheduler.submission_of(task)
        return ResultRow.of_result(
            result,
            state=scheduler.rules.ending(result.reason, result.code),
            losses=scheduler.table.losses(task),
            origin=self._origins[submission],
            submitted_at=self._submission_times[submission],
            local_fraction=scheduler.local_fraction(task, result.node),
            counts=counts,
        )

    def _have_adopted(self, attempt: tuple[int, int], commands: Sequence[str]) -> None:
        """Have the commands added that a monitor asked for."""
        try:
            self._adopt(attempt, commands)
        except Exception as error:  # the task whose monitor it was has ended all the same
            log.exception("%s: commands of the monitor of task %d", self._titles[0], attempt[0])
            self.notice(f"what the monitor of task {attempt[0]} asked for cannot run: {error}")
        else:
            self._adopted.add(attempt)
            self._adopting.add(attempt)

    def _handle(self, item: Item) -> None:
        match item:
            case Arrived():
                for result in item.results:
                    if left := self._left(result):
                        self._left_behind += left
                        self._left_first = result.task if self._left_first is None else self._left_first
                    if commands := self._wanted(result):
                        self._have_adopted((result.task, result.attempt), commands)
                endings = tuple(
                    Ending(r.task, r.attempt, r.reason, r.code, r.finished_at - (r.started_at or r.finished_at))
                    for r in item.results
                )
                self._told = {(r.task, r.attempt): r.note for r in item.results if r.reason is Reason.LOST and r.note}
                self._decide_endings(endings)
                self._told = {}
                item.acknowledge()
            case Added():
                if not self._submission_times:
                    self._submitted_at = item.event.at_s
                self._submission_times.append(item.event.at_s)
                self._origins.append(None)
                if item.origin is not None:
                    self._arrive(item.origin, range(item.first, item.first + item.event.count))
                self._decide(item.event)
            case _:
                if isinstance(item, KillAsked):
                    self._void(item.tasks)
                elif isinstance(item, DemandChanged) and isinstance(self.engine, Ranked):
                    self.engine.priority = item.priority
                self._decide(item)

    def _arrive(self, origin: tuple[int, int], tasks: range) -> None:
        """Note what the commands that a monitor asked for have become."""
        self._adopting.discard(origin)
        self._origins[-1] = origin[0]
        self._spawned.append((origin[0], tasks))
        for waiter in self._waiters:
            waiter.follow(origin[0], tasks)
        if origin in self._voided:
            self._voided.discard(origin)
            self._inbox.insert(0, KillAsked(self.now(), tuple(tasks)))

    def _void(self, killed: Sequence[int] | None) -> None:
        """Let a kill also concern what is about to become tasks."""
        self._voided |= {attempt for attempt in self._adopting if killed is None or attempt[0] in killed}

    def _decide_endings(self, endings: tuple[Ending, ...]) -> None:
        try:
            self._decide(TasksEnded(self.now(), endings))
        except Exception:
            if len(endings) == 1:
                raise
            # One that cannot be must not take the others with it; those that were handled are told again in vain.
            for one in endings:
                with suppress(Exception):
                    self._decide(TasksEnded(self.now(), (one,)))
            raise

    def _decide(self, event: Event) -> None:
        if isinstance(event, TasksAdded | RelaunchAsked):
            self._ended_at = None
        decisions = self.scheduler.handle(event)
        outward: list[Decision] = []
        for decision in decisions:
            match decision:
                case RecordEnding():
                    self._settle(decision)
                case Finish():
                    self._finish = decision
                case Launch():
                    launched = [decision.batch_id, decision.node, decision.behind, decision.tasks]
                    self._entries.append(JournalEntry(self.now(), "launch", launched))
                    outward.append(decision)
                case _:
                    outward.append(decision)
        if self.engine.writes_ahead:
            # Only launches wait: a Suppress that did would come after the Revive of a later event.
            launches = [one for one in outward if isinstance(one, Launch)]
            if launches:
                self._launches.append(launches)
                outward = [one for one in outward if not isinstance(one, Launch)]
        if outward:
            self.engine.perform(outward)

    def _settle(self, settle: RecordEnding) -> None:
        """Record endings that no node reports."""
        now = self.now()
        rows = []
        for gone in settle.tasks:
            submission = self.scheduler.submission_of(gone.task)
            rows.append(
                ResultRow.of_unreported(
                    gone.task,
                    gone.attempt,
                    state=settle.state,
                    reason=settle.reason,
                    node=gone.node,
                    losses=self.scheduler.table.losses(gone.task),
                    origin=self._origins[submission],
                    submitted_at=self._submission_times[submission],
                    started_at=gone.started_at,
                    finished_at=now,
                    note=self._told.get((gone.task, gone.attempt), ""),
                    counts=settle.final,
                )
            )
        self._unwritten += rows  # the turn does not end before they are written

    # -- showing ----------------------------------------------------------------------------------------

    def _answer_waiters(self) -> None:
        if self._waiters and not self._unwritten and not self._adopting:
            done = [waiter for waiter in self._waiters if waiter.future.cancelled() or waiter.look(self.scheduler)]
            if done:
                self._show_now()  # who waited for the end must not see an older picture
            self._waiters = [waiter for waiter in self._waiters if waiter not in done]
            for waiter in done:
                waiter.answer(True)
            if self.scheduler.stuck:  # nothing will happen before the user acts, and who waits cannot
                self._show_now()
                waiters, self._waiters = self._waiters, []
                for waiter in waiters:
                    waiter.answer(False)

    def _show_soon(self) -> None:
        if self._showing is not None or self._closed:
            return
        wait_s = self._shown_at + SHOW_EVERY_S - self._loop.time()
        if wait_s <= 0:
            self._show_now()
        else:
            self._showing = self._loop.call_later(wait_s, self._show_now)

    def _show_now(self) -> None:
        if self._showing is not None:
            self._showing.cancel()
            self._showing = None
        if not self._closed:
            self._shown_at = self._loop.time()
            self._show(self.view())

    def view(self) -> JobView:
        """Return a snapshot of the run."""
        table = self.scheduler.table
        now = self.now()
        counts, reasons = table.current()
        done = sum(counts[state] for state in TERMINAL)
        if len(table) and not table.unended:
            self._ended_at = self._ended_at or now
        else:
            self._ended_at = None
        if self.scheduler.held:
            self._meter = RateMeter()  # an hour's pause says nothing about the pace after it
        else:
            self._meter.add(now, done)
        job_id, run, engine_name = self._titles
        rate = self._meter.rate_per_s
        left = sum(counts) - done
        return JobView(
            job_id=job_id,
            run=run,
            engine=engine_name,
            counts=tuple(counts),
            at_s=now,
            submitted_at=self._submitted_at,
            ended_at=self._ended_at,
            reasons=MappingProxyType({str(reason): n for reason, n in reasons.items() if n}),
            rate_per_s=rate,
            eta_s=left / rate if rate and left and not self.scheduler.held else None,
            nodes=self.scheduler.nodes,
            attempts_lost=self.scheduler.attempts_lost,
            attempts_retried=self.scheduler.attempts_retried,
            left_behind=self._left_behind,
            left_first=self._left_first,
            local_bytes=self.scheduler.locality.local_bytes,
            remote_bytes=self.scheduler.locality.remote_bytes,
            waited_s=self.scheduler.locality.waited_s,
            held=self.scheduler.held,
            backing_off=self.scheduler.backing_off,
            notices=tuple(self._notices),
            page=self.engine.page,
        )


def _as_they_are(results: Sequence[Result], take: Callable[[Sequence[Result]], None]) -> bool:
    """Judge nothing."""
    return False


def _nothing() -> None:
    """Acknowledge nothing: what follows does."""
