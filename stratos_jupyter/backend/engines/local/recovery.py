"""Taking over what an earlier kernel has left on this machine, and results of launches that this kernel does not know.

Between `attach` and `Attached` the executors that were found tell what they have: they know better than the journal
what was launched last. Results may come of any launch at any time, since each is told until it is acknowledged.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from ....errors import EngineError
from ...core.events import Attached, LaunchKnown, TasksReturned
from ...core.in_flight import LaunchedBatch
from ...core.resources import Resources
from ...executor.record import ATTEMPT, BATCH, REASON, RETURNED, TASK
from ...executor.transport.spool import read_spool
from ..base import Sink
from ..executor_records import result_of
from .executor_link import GONE, SPOOL, ExecutorProcess
from .executors import ExecutorPool
from .slots import Attempt, SlotTable

#: an executor that was found is waited for this long before the user hears of it
ANSWER_S: Final = 5.0


class Recovery:
    """What an earlier process has left, and results.

    Parameters
    ----------
    sink : Sink
        Takes what happens.
    slots : SlotTable
        Takes in the batches that were found.
    executors : ExecutorPool
        Connects to the executors that were found.
    node : str
        What this machine is called.
    seize : callable
        Notes that a slot that was found holds so much.
    settle : callable
        Is called with the attempts that were found, when all executors have told theirs; before `Attached`.
    """

    def __init__(
        self,
        sink: Sink,
        slots: SlotTable,
        executors: ExecutorPool,
        node: str,
        seize: Callable[[Resources], None],
        settle: Callable[[frozenset[Attempt]], None],
    ) -> None:
        self._sink = sink
        self._slots = slots
        self._executors = executors
        self._node = node
        self._seize = seize
        self._settle = settle
        self._silent: set[ExecutorProcess] = set()  # found, and not heard yet
        self._survivors: set[Attempt] | None = None  # attempts that they have; None when all is settled
        self._launched: dict[Attempt, int] = {}  # meanwhile: attempt -> batch, as the journal has it
        self._closed = False

    @property
    def pending(self) -> bool:
        """Whether what was left is being found."""
        return self._survivors is not None

    def attach(self, launched: Sequence[LaunchedBatch]) -> None:
        """Connect to the executors that there are; `launched` is what the journal knows.

        Raises
        ------
        EngineError
            An executor lives and cannot be connected to.
        """
        self._survivors = set()
        self._launched = {attempt: batch.batch_id for batch in launched for attempt in batch.attempts}
        for record in self._executors.records():
            try:
                self._silent.add(self._executors.find(record))
            except (*GONE, KeyError, TypeError, ValueError):
                self.bury(record)
            except OSError as error:  # it lives: what it runs must not run beside it
                raise EngineError(
                    f"the executor of {record} cannot be connected to ({error.strerror}); attach again later, or end "
                    "that process first"
                ) from error
        asyncio.get_running_loop().call_later(ANSWER_S, self._tell_silent)
        self._settle_if_heard()

    def _tell_silent(self) -> None:
        for executor in () if self._closed else self._silent:
            text = f"the executor (pid {executor.pid}) does not answer; nothing is launched before it does"
            self._executors.say_trouble(executor, text)

    def take_over(self, executor: ExecutorProcess, batches: list[Any]) -> None:
        """Take in what an executor still has: batch, slot and attempts of each of its batches."""
        if executor not in self._silent:
            return
        assert self._survivors is not None
        for batch_id, number, pairs in batches:
            attempts = [(task, attempt) for task, attempt in pairs]
            slot = self._slots.numbered(number)
            if slot is None:
                slot = self._slots.open(executor, self._sink.demand_of(attempts[0][0]), number)
                self._seize(slot.demand)
            behind = slot.batches[-1] if slot.batches else None
            self._slots.put(slot, batch_id, attempts)
            self._survivors.update(attempts)
            self._sink.post(LaunchKnown(self._sink.now(), batch_id, self._node, tuple(attempts), behind))
        self.heard(executor)

    def heard(self, executor: ExecutorProcess) -> None:
        """Note that an executor has told what it has, or is gone."""
        if executor in self._silent:
            self._silent.discard(executor)
            self._settle_if_heard()

    def is_silent(self, executor: ExecutorProcess) -> bool:
        """Say whether an executor was found and has not told what it has."""
        return executor in self._silent

    def without(self, attempts: Iterable[Attempt]) -> bool:
        """Take out attempts whose executor has ended; return False, and do nothing, when all is settled."""
        if self._survivors is None:
            return False
        self._survivors.difference_update(attempts)
        return True

    def _settle_if_heard(self) -> None:
        if self._survivors is None or self._silent:
            return
        survivors, self._survivors = frozenset(self._survivors), None
        self._launched.clear()
        self._settle(survivors)
        self._sink.post(Attached(self._sink.now(), survivors))

    def close(self) -> None:
        """Say nothing more of executors that are silent."""
        self._closed = True

    # -- results ----------------------------------------------------------------------------------------

    def bury(self, record: Path) -> None:
        """Take in what an executor that has ended had not delivered, and forget it."""
        try:
            for records in read_spool(str(record / SPOOL)):
                self.deliver(records, lambda: None)
        except FileNotFoundError:
            pass  # it had nothing to say, or all of it was acknowledged
        except OSError as error:
            self._sink.notice(f"results that an executor kept cannot be read, and stay there: {error}")
            return
        self._sink.post_results((), lambda: shutil.rmtree(record, ignore_errors=True))

    def deliver(self, records: list[list[Any]], acknowledge: Callable[[], None]) -> None:
        """Hand over results; their launches may be unknown to this kernel."""
        if self._survivors is not None:
            by_batch: dict[int, list[Attempt]] = {}
            for record in records:
                by_batch.setdefault(record[BATCH], []).append((record[TASK], record[ATTEMPT]))
            for batch_id, attempts in by_batch.items():
                self._sink.post(LaunchKnown(self._sink.now(), batch_id, self._node, tuple(attempts)))
        results = [result_of(record, self._node) for record in records if record[REASON] != RETURNED]
        back = (record for record in records if record[REASON] == RETURNED and self._has(record))
        returned = tuple((record[TASK], record[ATTEMPT]) for record in back)
        self._sink.post_results(results, acknowledge)
        if returned:
            self._sink.post(TasksReturned(self._sink.now(), returned))

    def _has(self, record: list[Any]) -> bool:
        """Say whether an attempt is still that batch's: what was handed back may be told again, and run elsewhere."""
        attempt, batch = (record[TASK], record[ATTEMPT]), record[BATCH]
        found = self._slots.batch_of(attempt)
        return bool((self._launched.get(attempt, batch) if found is None else found) == batch)
