"""What of a turn is recorded: results with what follows from them, submissions, and what else a replay needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..core.decisions import Launch, RecordEnding
from ..core.scheduler import Scheduler
from ..core.states import Reason
from ..engines.base import Result
from ..executor.notes import left_count
from ..store.journal import Journal
from ..store.rows import JournalEntry, ResultRow
from .adoption import Adoptions
from .inbox import Added, Arrived, Item, entries_of
from .replay import Replayed
from .transaction import Transaction


class Recorder:
    """Records one run.

    Parameters
    ----------
    journal : Journal
        Where it is recorded.
    scheduler : Scheduler
        Says what a result means. It must not hear of an item before that is recorded.
    adoptions : Adoptions
        What monitors have asked for.
    clock : callable
        Seconds since the epoch.
    inputs_left : callable
        Says of a result which key its inputs have now, where that is another one than at the submission of its task,
        and whether the node agreed with that one before it started.
    """

    def __init__(
        self,
        journal: Journal,
        scheduler: Scheduler,
        adoptions: Adoptions,
        clock: Callable[[], float],
        inputs_left: Callable[[Result], tuple[str, bool] | None],
    ) -> None:
        self._journal = journal
        self._scheduler = scheduler
        self._adoptions = adoptions
        self._clock = clock
        self._inputs_left = inputs_left
        self._submission_times: list[float] = []
        self._origins: list[int | None] = []  # by submission: the task whose monitor asked for it
        self._entries: list[JournalEntry] = []  # to be recorded with the next turn
        self._rows: list[ResultRow] = []  # likewise: endings that no node reports

    def restore(self, replayed: Replayed) -> None:
        """Take over what is recorded."""
        self._submission_times, self._origins = replayed.submission_times, replayed.origins

    def submitted(self, item: Added) -> bool:
        """Take in a submission that is recorded; return whether it is the run's first."""
        self._submission_times.append(item.event.at_s)
        self._origins.append(None if item.origin is None else item.origin[0])
        return len(self._submission_times) == 1

    # -- what is to be recorded ---------------------------------------------------------------------------

    @property
    def owes_rows(self) -> bool:
        """Whether endings wait to be recorded: the turn does not end, and no wait is answered, before they are."""
        return bool(self._rows)

    @property
    def owes_entries(self) -> bool:
        """Whether anything else waits to be recorded."""
        return bool(self._entries)

    def keep(self, items: Iterable[Item]) -> None:
        """Have recorded, later, what was handled although it could not be."""
        self._entries += [entry for item in items for entry in entries_of(item)]

    def launched(self, launch: Launch) -> None:
        """Have a launch recorded."""
        detail = [launch.batch_id, launch.node, launch.behind, launch.tasks]
        self._entries.append(JournalEntry(self._clock(), "launch", detail))

    def ended(self, ending: RecordEnding, notes: dict[tuple[int, int], str]) -> None:
        """Have endings recorded that no node reports; `notes` has what is said of some of the attempts."""
        now = self._clock()
        for gone in ending.tasks:
            submission = self._scheduler.submission_of(gone.task)
            row = ResultRow.of_unreported(
                gone.task,
                gone.attempt,
                state=ending.state,
                reason=ending.reason,
                node=gone.node,
                losses=self._scheduler.table.losses(gone.task),
                origin=self._origins[submission],
                submitted_at=self._submission_times[submission],
                started_at=gone.started_at,
                finished_at=now,
                note=notes.get((gone.task, gone.attempt), ""),
                counts=ending.final,
            )
            self._rows.append(row)

    # -- recording ----------------------------------------------------------------------------------------

    def record(self, taken: Sequence[Item]) -> None:
        """Commit all of a turn that must survive; what a lost attempt means the scheduler says.

        Raises
        ------
        JournalError
            It could not be written; nothing of it was.
        """
        transaction = Transaction()
        transaction.entries += self._entries
        transaction.entries += self._rows
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
        self._rows.clear()

    def left(self, result: Result) -> int:
        """Return how many processes an attempt left behind; 0 when its result was told before."""
        return left_count(result.note) if self._scheduler.accepts_result(result.task, result.attempt) else 0

    def asked_for(self, result: Result) -> list[str]:
        """Return the commands that a monitor asks for, once, and not when the user wants the task ended."""
        if self._adoptions.is_taken((result.task, result.attempt)) or self._scheduler.is_being_killed(result.task):
            return []
        if not self._is_final(result):
            return []
        return [text for text in result.commands if text.strip()]

    def _cannot_be(self, result: Result) -> bool:
        """Say whether it is of an attempt that was not launched: the scheduler refuses it, now and at each replay."""
        table = self._scheduler.table
        return table.waits(result.task) and result.attempt == table.attempt(result.task)

    def _enter(self, transaction: Transaction, result: Result) -> None:
        """Enter a result, and what its monitor wants to run; the submission that this becomes may come later."""
        attempt = (result.task, result.attempt)
        final = self._is_final(result)
        transaction.entries.append(self._row(result, final))
        if final and result.inputs and (inputs := self._inputs_left(result)) is not None:
            transaction.looks.append((*attempt, inputs[0], int(inputs[1])))
        if self._scheduler.was_given_up(*attempt):
            transaction.found.append(attempt)
        if result.note and (left := self.left(result)):
            transaction.entries.append(JournalEntry(self._clock(), "left", [*attempt, left]))
        if result.commands and (commands := self.asked_for(result)):
            transaction.entries.append(JournalEntry(self._clock(), "spawn", [*attempt, commands]))

    def _is_final(self, result: Result) -> bool:
        return self._scheduler.is_final_result(result.task, result.attempt, result.reason, result.code)

    def _row(self, result: Result, counts: bool) -> ResultRow:
        scheduler, task = self._scheduler, result.task
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
