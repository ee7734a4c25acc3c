"""What one transaction of the journal holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.states import Reason
from ..store.journal import Journal
from .inbox import Added, JournalEntry


class Transaction:
    """What one transaction of the journal holds, in the order in which the scheduler is told of it."""

    def __init__(self) -> None:
        self.entries: list[JournalEntry | Added | tuple[Any, ...]] = []
        self.found: list[tuple[int, int]] = []
        #: as `Journal.add_looks` has them
        self.looks: list[tuple[int, int, str, int]] = []
        self._acts: set[int] = set()  # which of the entries are acts

    def add_entries(self, entries: Iterable[JournalEntry]) -> None:
        """Add entries that are neither results nor submissions."""
        for act in entries:
            self._acts.add(len(self.entries))
            self.entries.append(act)

    def add_rows(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add results, as `Journal.add_results` has them but for their number."""
        self.entries.extend(rows)

    def write(self, journal: Journal) -> None:
        """Commit it; raises JournalError."""
        rows: list[tuple[Any, ...]] = []
        acts: list[tuple[int, float, str, Any]] = []
        with journal.writing():
            for place, (seq, entry) in enumerate(zip(journal.numbers(), self.entries, strict=False)):
                if isinstance(entry, Added):
                    origin = {} if entry.origin is None else {"origin": entry.origin}
                    journal.add_submission(
                        seq, entry.first, entry.event.count, entry.event.at_s, {**entry.record(), **origin}
                    )
                elif place in self._acts:
                    acts.append((seq, *entry))
                else:
                    rows.append((seq, *entry))
            if self.found:
                # What is found after all may have been given up in this very page: an attempt has one row.
                found = set(self.found)
                rows = [row for row in rows if row[4] != Reason.LOST or (row[1], row[2]) not in found]
                journal.forget_lost(self.found)
            journal.add_results(rows)
            if self.looks:
                journal.add_looks(self.looks)
            journal.add_entries(acts)
