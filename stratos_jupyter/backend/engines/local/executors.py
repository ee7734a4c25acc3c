"""The executors of one job on this machine: processes, started when they are needed, and what the user hears of them.

With short commands, one executor for all slots is the bottleneck: while it starts a command for one slot, the others
stand still. So a job whose commands turn out to be short gets more of them, and its slots spread over those that are
up.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

from ....errors import EngineError
from ...forks import Inherited
from ..base import Sink
from .executor_link import LOG, ExecutorProcess
from .slots import SlotTable

log = logging.getLogger(__name__)

#: in a run's folder: a folder for each executor
EXECUTORS: Final = "executors"
#: the most executors that one job has on this machine
EXECUTORS_MOST: Final = 4
#: an executor that cannot be started is tried again after 1 s, 2 s, 4 s, and so on up to this
REST_MOST_S: Final = 30.0

#: takes each message of an executor
Receive = Callable[[ExecutorProcess, list[Any]], None]
#: is called once for an executor whose connection is gone
Lost = Callable[[ExecutorProcess], None]


class ExecutorPool:
    """The executors of one job.

    Parameters
    ----------
    folder : Path
        The run's folder.
    sink : Sink
        Takes the notices.
    slots : SlotTable
        Says how many slots each executor serves.
    cpus : float
        The machine's: no more executors than that are of use.
    receive, lost : callable
        Take what an executor says, and that it is gone.
    rested : callable
        Is called when starting an executor may be tried again.
    failover_s : float
        How long an executor outlives its kernel.

    Attributes
    ----------
    resting : str
        Why no executor can be started at the moment; '' when they can.
    """

    def __init__(
        self,
        folder: Path,
        sink: Sink,
        slots: SlotTable,
        cpus: float,
        receive: Receive,
        lost: Lost,
        rested: Callable[[], None],
        *,
        failover_s: float = 0.0,
    ) -> None:
        self.resting = ""
        self._folder = folder / EXECUTORS
        self._sink = sink
        self._slots = slots
        self._most = min(EXECUTORS_MOST, int(cpus), os.cpu_count() or 1)
        self._receive = receive
        self._lost = lost
        self._rested = rested
        self._failover_s = failover_s
        self._executors: list[ExecutorProcess] = []
        self._stopping: list[ExecutorProcess] = []
        self._contexts: dict[ExecutorProcess, set[int]] = {}
        self._waiting: dict[ExecutorProcess, str] = {}  # what is shown of tasks that wait for background processes
        self._troubles: dict[ExecutorProcess, str] = {}  # what is shown of an executor that is in trouble
        self._not_started = ""  # what is shown when none can be started
        self._failures = 0

    def __iter__(self) -> Iterator[ExecutorProcess]:
        return iter(self._executors)

    def records(self) -> list[Path]:
        """Return the folders of the run's executors, also of those that have ended unheard, oldest first."""
        return sorted(self._folder.glob("[0-9]*"), key=lambda entry: int(entry.name))

    def connections(self) -> list[Inherited]:
        """Return the connections to all executors."""
        return [executor.connection for executor in (*self._executors, *self._stopping)]

    # -- starting ---------------------------------------------------------------------------------------

    def start(self) -> ExecutorProcess:
        """Start an executor; raises EngineError or OSError when it cannot be."""
        number = 1 + max((int(entry.name) for entry in self._folder.glob("[0-9]*")), default=0)
        return self._add(
            ExecutorProcess(self._folder / str(number), self._receive, self._lost, failover_s=self._failover_s)
        )

    def find(self, record: Path) -> ExecutorProcess:
        """Connect to an executor that an earlier process started; raises what `ExecutorProcess` raises."""
        return self._add(ExecutorProcess(record, self._receive, self._lost))

    def _add(self, executor: ExecutorProcess) -> ExecutorProcess:
        self._executors.append(executor)
        self._contexts[executor] = set()
        return executor

    def choose(self) -> ExecutorProcess:
        """Return the executor for a new slot, started if there is none; errors as `start`."""
        if not self._executors:
            self.start()
        ready = [executor for executor in self._executors if executor.up] or self._executors
        return min(ready, key=self._slots.load)

    def spread(self) -> None:
        """Start one more executor when all that there are have more than one slot to serve."""
        if len(self._executors) < min(self._most, len(self._slots)) and all(one.up for one in self._executors):
            try:
                self.start()
            except (EngineError, OSError) as error:
                log.info("no further executor: %s", error)  # those that are up do it alone

    def overloaded(self, executor: ExecutorProcess) -> bool:
        """Say whether a slot should leave this executor when its batch has ended."""
        up = sum(other.up for other in self._executors)
        return up > 1 and self._slots.load(executor) > -(-len(self._slots) // up)

    def rest(self, why: str) -> None:
        """Start no executor for a while, because none can be started. Nothing that waits is lost by that."""
        if self.resting:
            return
        pause_s = min(REST_MOST_S, 2.0**self._failures)
        self._failures += 1
        self._sink.withdraw(self._not_started)
        self._not_started = f"the executor cannot be started, tried again every {REST_MOST_S:g} s or sooner: {why}"
        self.resting = self._not_started
        self._sink.notice(self._not_started)
        asyncio.get_running_loop().call_later(pause_s, self._go_on)

    def _go_on(self) -> None:
        self.resting = ""
        self._rested()

    # -- what is known of each --------------------------------------------------------------------------

    def contexts(self, executor: ExecutorProcess) -> set[int]:
        """Return the contexts that an executor was told of."""
        return self._contexts[executor]

    def came_up(self, executor: ExecutorProcess, pid: int) -> None:
        """Note that an executor has said that it is there."""
        executor.learn(pid)
        self.say_trouble(executor, "")
        self._sink.withdraw(self._not_started)
        executor.up = True
        self._failures = 0

    def say_trouble(self, executor: ExecutorProcess, text: str) -> None:
        """Show a line about an executor in place of the last one; none when it is ''."""
        self._sink.withdraw(self._troubles.pop(executor, ""))
        if text:
            self._troubles[executor] = text
            self._sink.notice(text)

    def say_waiting(self, executor: ExecutorProcess, text: str) -> None:
        """Show a line about an executor's tasks that wait for background processes; none when it is ''."""
        self._sink.withdraw(self._waiting.pop(executor, ""))
        if text:
            self._waiting[executor] = text
            self._sink.notice(text, aloud=False)

    # -- ending -----------------------------------------------------------------------------------------

    def remove(self, executor: ExecutorProcess) -> bool:
        """Forget an executor that is gone; return whether it ended unasked."""
        self.say_trouble(executor, "")
        self.say_waiting(executor, "")
        if executor in self._stopping:
            return False
        self._executors.remove(executor)
        self._contexts.pop(executor)
        return True

    def stop(self) -> None:
        """Ask all executors to end their tasks and themselves."""
        executors, self._executors = self._executors, []
        for executor in executors:
            self._contexts.pop(executor)
            self._stopping.append(executor)
            executor.stop()

    def gone(self) -> Future[None]:
        """Return a future that is done when all executors that were stopped are gone."""
        return _all_done([executor.gone for executor in self._stopping])

    def let_go(self) -> None:
        """End the connections; the executors go on."""
        for executor in (*self._executors, *self._stopping):
            executor.let_go()


def last_line(executor: ExecutorProcess) -> str:
    """Return the last line that an executor printed itself."""
    try:
        lines = (executor.record / LOG).read_text("utf-8", "backslashreplace")[-2000:].split("\n")
    except OSError:
        lines = []
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")


def _all_done(futures: list[Future[None]]) -> Future[None]:
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
