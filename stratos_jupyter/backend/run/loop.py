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
from typing import Any, Final

from ...errors import JournalError
from ..core.decisions import Decision, Finish, Launch, RecordEnding
from ..core.events import (
    DemandChanged,
    Ending,
    Event,
    KillAsked,
    PauseAsked,
    RelaunchAsked,
    TasksAdded,
    TasksEnded,
    Tick,
)
from ..core.resources import Resources
from ..core.rules import Rules
from ..core.scheduler import Scheduler
from ..core.states import Reason
from ..core.views import JobView
from ..engines.base import Engine, ExplainsOffers, Ranked, Result
from ..store.journal import Journal
from .adoption import Adopt, Adoptions
from .inbox import Added, Arrived, Inbox, Item, Judge, as_they_are, set_aside
from .recorder import Recorder
from .replay import replay
from .view_publisher import ViewPublisher
from .waiter import Waiters

log = logging.getLogger(__name__)

#: a journal that could not be written is tried again after this long, in seconds
RETRY_S: Final = 1.0


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
        self._job_id = job_id
        self._inbox = Inbox(judge or as_they_are, self._wake)
        self._waiters = Waiters()
        self._waking: asyncio.TimerHandle | None = None
        self._turning: asyncio.Handle | None = None
        self._finish: Finish | None = None
        self._disk_notice = ""
        self._loss_notes: dict[tuple[int, int], str] = {}  # what was said of attempts that are about to count as lost
        self._launches: list[list[Launch]] = []  # to be performed once they are on disk
        self._closed = False
        self._views = ViewPublisher(show, self._seen, loop, clock, job_id=job_id, run=run, engine=engine_name)
        self._adoptions = Adoptions(adopt, self._views.notice, job_id)
        self.engine = make_engine(self)
        self.scheduler = Scheduler(self.engine.policy, rules)
        self._recorder = Recorder(journal, self.scheduler, self._adoptions, clock, inputs_left)

    def _seen(self) -> tuple[Scheduler, str]:
        """Return what a view is made of."""
        return self.scheduler, self.engine.page

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
        self._inbox.post(event)

    def post_results(self, results: Sequence[Result], acknowledge: Callable[[], None]) -> None:
        """Take in results; `acknowledge` is called once they are on disk."""
        self._inbox.post_results(results, acknowledge)

    def notice(self, text: str, aloud: bool = True) -> None:
        """Show the user a line, once; not `aloud`: where the job is looked at, but not in the log."""
        self._views.notice(text, aloud)

    def withdraw(self, text: str) -> None:
        """Show a line no longer."""
        self._views.withdraw(text)

    # -- the session's side -----------------------------------------------------------------------------

    def add(
        self,
        event: TasksAdded,
        first: int,
        record: Callable[[], dict[str, Any]],
        origin: tuple[int, int] | None = None,
    ) -> None:
        """Take in a submission that `record` describes; `origin` is the attempt whose monitor asked for it."""
        self._inbox.put(Added(event, first, record, origin))

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
        self._recorder.restore(replayed)
        self._views.restore(replayed)
        if why_held:
            self.scheduler.handle(PauseAsked(self.now(), why_held))
        self._adoptions.restore(replayed)
        self.engine.attach(self.scheduler.launched)
        self._wake()

    def let_go(self) -> None:
        """Record what there is to record and drive the run no longer; what runs goes on."""
        self._turn()
        if self._recorder.owes_entries:
            with suppress(JournalError):
                self._recorder.record([])
        self._end()
        self.engine.let_go()

    def post_now(self, event: Event) -> None:
        """Take in an event and finish the turn with it, before anything else is seen."""
        self._inbox.put(event)
        if self._turning is not None:
            self._turning.cancel()
        self._turn()
        self._views.show_now()

    def wait(self, tasks: range | None) -> Future[bool]:
        """Return a future that is done when those tasks have ended; None means all."""
        waiter = self._waiters.add(tasks, self._adoptions.became)
        if self._closed:
            self._waiters.give_up()
        self._wake()
        return waiter.future

    def view(self) -> JobView:
        """Return a snapshot of the run."""
        return self._views.view()

    def why(self, task: int | None) -> list[str]:
        """Say in clauses what a task waits for, or what waits of all of them."""
        said = self.engine.why_not_offering() if isinstance(self.engine, ExplainsOffers) else ""
        return self.scheduler.why(self.now(), task, self._job_id, said)

    def close(self) -> Future[None]:
        """End what runs; the future is done when that is recorded and the engine is gone."""
        closed: Future[None] = Future()

        def end() -> None:
            self._turn()
            self._end()
            closed.set_result(None)

        # Results that have come count, even those that are still being judged.
        self.engine.close().add_done_callback(lambda _: self._loop.call_soon(self._inbox.after_results, end))
        return closed

    def _end(self) -> None:
        self._closed = True
        self._waiters.give_up()
        for handle in (self._turning, self._waking):
            if handle is not None:
                handle.cancel()
        self._views.close()

    # -- a turn -----------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._turning is None and not self._closed:
            self._turning = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turning = None
        while self._inbox or self._recorder.owes_rows or self._launches:
            taken = self._inbox.take()
            failed: JournalError | None = None
            try:
                self._recorder.record(taken)
            except Exception as error:  # whatever it is: what cannot be recorded must not be lost
                failed = error if isinstance(error, JournalError) else JournalError(f"cannot record: {error!r}")
                taken, kept = set_aside(taken)
                self._inbox.put_first(kept)
                self._recorder.keep(taken)
            if failed is None:
                launches, self._launches = self._launches, []
                for decisions in launches:
                    self._perform(decisions)
            for item in taken:
                try:
                    self._handle(item)
                except Exception as error:
                    # The others are handled all the same, and what waits for them is answered.
                    log.exception("%s: %.500r", self._job_id, item)
                    self._notice_of(error)
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
            log.exception("%s: %.500r", self._job_id, decisions)
            self._notice_of(error)

    def _notice_of(self, error: Exception) -> None:
        """Show an error of ours in a line; the log has the traceback, and the last events of the scheduler."""
        what = f"{type(error).__name__}: {error}"
        self.notice(f"internal error: {what}; %stratos why {self._job_id} --trace shows what led to it")

    def _end_turn(self) -> None:
        finish, self._finish = self._finish, None
        if finish is not None and not self.scheduler.table.unended:
            if self._adoptions.pending:
                self._finish = finish  # there is more to come
            else:
                self.engine.perform([finish])
        if not self._recorder.owes_rows and not self._adoptions.pending:
            self._waiters.look(self.scheduler, self._views.show_now)
        self._plan_tick()
        self._views.show_soon()

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
        self._views.show_soon()
        if self._turning is not None:
            self._turning.cancel()
        self._turning = self._loop.call_later(RETRY_S, self._turn)

    def _handle(self, item: Item) -> None:
        match item:
            case Arrived():
                for result in item.results:
                    if result.note and (left := self._recorder.left(result)):
                        self._views.left(result.task, left)
                    if result.commands and (commands := self._recorder.asked_for(result)):
                        self._adoptions.take((result.task, result.attempt), commands)
                endings = tuple(
                    Ending(r.task, r.attempt, r.reason, r.code, r.finished_at - (r.started_at or r.finished_at))
                    for r in item.results
                )
                lost = (r for r in item.results if r.reason is Reason.LOST and r.note)
                self._loss_notes = {(r.task, r.attempt): r.note for r in lost}
                self._decide_endings(endings)
                self._loss_notes = {}
                item.acknowledge()
            case Added():
                if self._recorder.submitted(item):
                    self._views.submitted(item.event.at_s)
                if item.origin is not None:
                    self._arrive(item.origin, range(item.first, item.first + item.event.count))
                self._decide(item.event)
            case _:
                if isinstance(item, KillAsked):
                    self._adoptions.kill(item.tasks)
                elif isinstance(item, DemandChanged) and isinstance(self.engine, Ranked):
                    self.engine.priority = item.priority
                self._decide(item)

    def _arrive(self, origin: tuple[int, int], tasks: range) -> None:
        """Take in the tasks that the commands of a monitor have become."""
        killed = self._adoptions.arrived(origin, tasks)
        self._waiters.follow(origin[0], tasks)
        if killed:
            self._inbox.put_first([KillAsked(self.now(), tuple(tasks))])

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
            self._views.goes_on()
        decisions = self.scheduler.handle(event)
        outward: list[Decision] = []
        for decision in decisions:
            match decision:
                case RecordEnding():
                    self._recorder.ended(decision, self._loss_notes)
                case Finish():
                    self._finish = decision
                case Launch():
                    self._recorder.launched(decision)
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
