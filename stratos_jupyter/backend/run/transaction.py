"""What one transaction of the journal holds."""

from __future__ import annotations

from ..core.states import Reason
from ..store.journal import Journal
from ..store.rows import JournalEntry, ResultRow
from .inbox import Added


class Transaction:
    """What one transaction of the journal holds, in the order in which the scheduler is told of it.

    Attributes
    ----------
    entries : list
        Results, submissions, and what the journal keeps beside them.
    found : list of (int, int)
        Attempts that were given up for lost and have a result after all.
    looks : list of (int, int, str, int)
        As `Journal.add_looks` has them.
    """

    def __init__(self) -> None:
        self.entries: list[JournalEntry | Added | ResultRow] = []
        self.found: list[tuple[int, int]] = []
        self.looks: list[tuple[int, int, str, int]] = []

    def write(self, journal: Journal) -> None:
        """Commit it; raises JournalError."""
        rows: list[tuple[int, ResultRow]] = []
        entries: list[tuple[int, JournalEntry]] = []
        with journal.writing():
            for seq, entry in zip(journal.numbers(), self.entries, strict=False):
                if isinstance(entry, ResultRow):
                    rows.append((seq, entry))
                elif isinstance(entry, JournalEntry):
                    entries.append((seq, entry))
                else:
                    origin = {} if entry.origin is None else {"origin": entry.origin}
                    added = entry.event
                    journal.add_submission(seq, entry.first, added.count, added.at_s, {**entry.record(), **origin})
            if self.found:
                # What is found after all may have been given up in this very transaction: an attempt has one row.
                found = set(self.found)
                rows = [
                    (seq, row) for seq, row in rows if row.reason != Reason.LOST or (row.task, row.attempt) not in found
                ]
                journal.forget_lost(self.found)
            journal.add_results(rows)
            if self.looks:
                journal.add_looks(self.looks)
            journal.add_entries(entries)
