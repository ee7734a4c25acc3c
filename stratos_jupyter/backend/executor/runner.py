"""Slots, and the life of a task.

Theory of operation. Slots run side by side; the commands of a slot run one after another. A command is in one place:

- *queued*: an item of a batch in `Slot.queue`. The next one may be prepared (`Slot.ready`).
- *running*: in `_running` and in `Slot.task`. It is `active` while its leader runs, and while it `lingers` after that.
- *ending*: in `_running` and in `Slot.task`, its leader a zombie. Its pipes are drained, or its processes are ended.
- *finished*: in `_finished`, its leader reaped, its slot free.
- *reported*: its record is made, or waits for a relauncher (`Relaunchers.waiting`).

`_start` makes a queued command run. `_exited` sees the leader's exit, `_ended` the end of its session, `_over` reaps it
and starts the next command of the slot, `_report_finished` makes the records.

Rule 1. The work for each task is short, because a command may take less than a millisecond. The pipes of a short task
are read once, after its exit. Only a task older than 10 ms is `known`: its pipes are watched, the kernel is told that
it runs, and its limits are checked (`_promote`).
Rule 2. A task is over when its leader has exited and no process of its session lives (linger.py). Pipes that another
process still holds then are drained for 0.2 s at most.
Rule 3. The leader is reaped last. What is left of the task is killed before, since the number of its group and session
may be another one's after that.
Rule 4. The first reason to end a task stays; a task that is over needs no more than its report.
Rule 5. The next command of a slot starts before the record of the last one is made. A slot without commands reports at
once, because there is room for more.
Rule 6. A batch that is late hands back its unstarted commands, and those that wait behind it in its slot, as soon as a
kernel is connected that can run them elsewhere.
"""

import os
import signal
from collections import deque
from functools import partial
from time import monotonic, time
from typing import Any, Callable, Deque, Dict, List, Optional, Set, Tuple

from .loop import READ, Alarm, Loop
from .monitor.helper_process import Helpers, one_line
from .monitor.monitor import Monitors
from .monitor.relaunch import Relaunchers
from .notes import WAITING, joined
from .output.streams import OutputStream
from .process.adopted import Adopted
from .process.cgroup import Cgroups
from .process.exits import Exits, Outcome
from .process.fetch import fetch_note
from .process.kill import Killer, send_group
from .process.launch import Launcher
from .process.limits import Limits
from .process.linger import Lingering, background
from .process.owners import Owners
from .process.peak_memory import PeakMemory
from .reporter import Reporter
from .transport.base import ResultSink
from .work import CommandBatch, Item, Key, Task

#: A task younger than this is not watched.
SHORT_TASK_S = 0.010
#: How long pipes are drained after the leader's exit while another process holds them.
DRAIN_S = 0.2


class Slot:
    """Runs one command at a time."""

    __slots__ = ("alarm", "batch", "number", "queue", "ready", "task")

    def __init__(self, number: int, loop: Loop, late: "Callable[[Slot], None]") -> None:
        self.number = number
        self.queue: Deque[CommandBatch] = deque()
        #: The batch whose command runs, or ran last.
        self.batch: Optional[CommandBatch] = None
        self.task: Optional[Task] = None
        #: The command that is likely to be the next one, prepared.
        self.ready: Optional[Task] = None
        self.alarm = Alarm(loop, lambda: late(self))


class Runner:
    """Runs commands and reports.

    Parameters
    ----------
    loop : Loop
        Calls us back.
    link : ResultSink
        Takes the reports.
    launcher : Launcher
        Starts commands.
    cgroups : Cgroups
        Keep limits of memory, where they can.
    """

    def __init__(self, loop: Loop, link: ResultSink, launcher: Launcher, cgroups: Cgroups) -> None:
        self._loop = loop
        self._link = link
        self._launcher = launcher
        self._slots: Dict[int, Slot] = {}
        self._running: Dict[int, Task] = {}
        self._peak_memory = PeakMemory(loop, self._running)
        self._report = Reporter(loop, link, self._peak_memory)
        self._helpers = Helpers(loop, launcher.spawner, self._left_behind)
        self._adopted = Adopted(self._running, self._helpers.live)
        self._lingering = Lingering(loop, self._running, self._adopted, self._ended, self._expired, self._tell_waiting)
        self._exits = Exits(loop, self._running, self._helpers, self._adopted, self._exited, self._lingering.look)
        owners = Owners(self._running, self._helpers.live, self._adopted, cgroups)
        self._killer = Killer(loop, self._running, self._helpers.live, self._adopted, owners, self._over, cgroups)
        self._cgroups = cgroups
        self._limits = Limits(loop, self._running, self._killer, owners, cgroups, self._peak_memory)
        self._monitors = Monitors(loop, self._helpers, self._read, self._end_for_monitor)
        self._relaunchers = Relaunchers(loop, self._helpers, self._report_watched)
        self._young: Deque[Task] = deque()
        self._long_running = Alarm(loop, self._promote)
        self._limit = Alarm(loop, self._check_limits)
        self._finished: List[Tuple[Task, Outcome]] = []
        self._finished_alarm = Alarm(loop, self._report_finished)
        self._idle_alarm = Alarm(loop, self._report_idle)
        self._missed: Set[Slot] = set()
        self._stopping = False

    # What the kernel asks for.

    def add(self, number: int, batch: CommandBatch) -> None:
        """Queue a batch in a slot."""
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = Slot(number, self._loop, self._late)
        slot.queue.append(batch)
        if self._stopping:
            self._hand_back(slot)
        elif slot.task is None:
            self._next(slot)
        elif batch.limit_s is not None:
            slot.alarm.by(monotonic() + batch.limit_s)  # what runs there may be late already

    def kill(self, keys: List[Key], reason: str, grace_s: Optional[float] = None) -> None:
        """End tasks, and drop those that have not been started; their context says how long that may take."""
        wanted = set(keys)
        for slot in self._slots.values():
            for batch in slot.queue:
                if any((item[0], item[1]) in wanted for item in batch.items):
                    self._drop(slot, batch, reason, wanted)
        self._relaunchers.kill(wanted)
        for task in [*self._running.values(), *[task for task, _outcome in self._finished]]:
            if (task.number, task.attempt) in wanted:
                if task.monitor is not None:
                    task.monitor.renounce()
                # One that is over needs no more than its report.
                if task.active and self._running.get(task.pid) is task:
                    self._end(task, reason, grace_s)

    def recall(self, ids: Set[int]) -> None:
        """Hand back what has not been started of these batches."""
        for slot in self._slots.values():
            for batch in slot.queue:
                if batch.id in ids:
                    self._drop(slot, batch, "returned")

    def tail(self, number: int, attempt: int, nbytes: int) -> Optional[Dict[str, str]]:
        """Return the last bytes of the streams of a running task."""
        for task in [*self._running.values(), *self._relaunchers.waiting]:
            if (task.number, task.attempt) == (number, attempt):
                self._know(task)
                self._read(task)
                waiting = WAITING + background(task) if task.lingers else ""
                notes = "" if task.monitor is None else task.monitor.notes.text()
                note = joined(waiting, fetch_note(task), task.note, notes)
                return {"stdout": task.out.tail(nbytes), "stderr": task.err.tail(nbytes), "note": note}
        return None

    def announce(self) -> None:
        """Tell a new kernel what runs; hand back to it what is late."""
        self._report.announce(self.tasks())
        if self.waiting():
            self._tell_waiting(self.waiting())
        self.give_back()

    def tasks(self) -> List[Task]:
        """Return what runs and has been told of."""
        return [task for task in self._running.values() if task.known and task.active]

    def waiting(self) -> List[List[Any]]:
        """Return which tasks have waited for background processes for long: number, attempt, text."""
        return self._lingering.rows()

    def give_back(self) -> None:
        """Hand back what is late and could not be handed back when it became so."""
        late, self._missed = self._missed, set()
        for slot in late:
            self._late(slot)

    def inventory(self) -> List[List[Any]]:
        """Return what we have been given and have not reported: batch, slot, attempts."""
        held: Dict[Tuple[int, int], List[List[int]]] = {}
        tasks = [*self._running.values(), *self._relaunchers.waiting, *[task for task, _outcome in self._finished]]
        for task in tasks:
            held.setdefault((task.batch.id, task.slot), []).append([task.number, task.attempt])
        for slot in self._slots.values():
            for batch in slot.queue:
                if batch.items:
                    attempts = held.setdefault((batch.id, slot.number), [])
                    attempts += [list(item[:2]) for item in batch.items]
        return [[batch_id, slot_number, attempts] for (batch_id, slot_number), attempts in held.items()]

    def resume(self) -> None:
        """Start commands again after too many results waited."""
        for slot in self._slots.values():
            if slot.task is None and slot.queue:
                self._next(slot)

    def forget(self, number: int) -> None:
        """Forget a slot that is empty and has reported all of its tasks."""
        slot = self._slots.pop(number, None)
        if slot is not None and slot.ready is not None:
            self._launcher.discard(slot.ready)

    def stop(self, reason: str, most_s: Optional[float] = None) -> None:
        """End all that runs for this reason, hand back all that doesn't run; no grace is longer than `most_s`."""
        self._stopping = True
        for slot in self._slots.values():
            self._hand_back(slot)
        for task in list(self._running.values()):
            if task.active:
                grace_s = task.batch.context.grace_s
                self._end(task, reason, grace_s if most_s is None else min(grace_s, most_s))
        self._relaunchers.stop()

    @property
    def idle(self) -> bool:
        """Whether nothing runs, and no record waits for a relauncher."""
        return not self._running and not self._relaunchers.waiting

    @property
    def empty(self) -> bool:
        """Whether nothing runs or waits to be run or reported."""
        queued = any(batch.items for slot in self._slots.values() for batch in slot.queue)
        return self.idle and not self._finished and not queued

    def flush(self) -> None:
        """Report what has not been reported yet."""
        self._report_finished()
        self._report.flush()

    def clear(self) -> bool:
        """Kill what is left below us once nothing runs; True when there was nothing."""
        return not self._killer.sweep()

    def abort(self) -> None:
        """Kill all at once, because this process is about to fail."""
        for task in self._running.values():
            send_group(task, signal.SIGKILL)
        self._running.clear()
        self._helpers.drop_all()
        self._killer.sweep_all()
        self._cgroups.close()

    def reap(self) -> None:
        """See to the children that have exited."""
        self._exits.look()

    # The life of a task.

    def _next(self, slot: Slot) -> None:
        """Start the next command of a slot; those that cannot be started are over at once."""
        queue = slot.queue
        while slot.task is None and queue:
            batch = queue[0]
            if not batch.items:
                queue.popleft()
            elif self._link.congested:
                return
            else:
                self._start(slot, batch, batch.items.popleft())
        if slot.task is None:
            self._idle_alarm.by(0.0)

    def _start(self, slot: Slot, batch: CommandBatch, item: Item) -> None:
        task = slot.ready
        if task is None or task.item is not item:
            task = Task(slot.number, batch, item)
        else:
            slot.ready = None
        task.started = now = monotonic()
        task.started_at = time()
        failure = self._limits.start(task, self._launcher.start)
        if slot.batch is not batch:
            slot.batch = batch
            if batch.limit_s is not None:
                batch.overdue_at = now + batch.limit_s
                slot.alarm.by(batch.overdue_at)
        if failure is not None:
            self._report.not_started(task, *failure)
            return
        slot.task = task
        self._running[task.pid] = task
        self._young.append(task)
        self._long_running.by(now + SHORT_TASK_S)
        self._peak_memory.started(task)

    def _prepare(self, slot: Slot) -> None:
        """Have the next command of a slot at hand, so that the slot will not stand idle meanwhile."""
        following = next((batch for batch in slot.queue if batch.items), None)
        if slot.ready is not None:
            if following is not None and slot.ready.item is following.items[0]:
                return
            self._launcher.discard(slot.ready)
            slot.ready = None
        if following is not None:
            task = Task(slot.number, following, following.items[0])
            if self._launcher.prepare(task) is None:
                slot.ready = task

    def _promote(self) -> None:
        """Begin to watch the tasks that are no longer short."""
        young = self._young
        limit = monotonic() - SHORT_TASK_S
        while young and young[0].started <= limit:
            task = young.popleft()
            if self._running.get(task.pid) is task:
                self._know(task)
        if young:
            self._long_running.by(young[0].started + SHORT_TASK_S)

    def _know(self, task: Task) -> None:
        if task.known or not task.active:
            return
        task.known = True
        self._watch(task)
        self._report.started(task)
        timeout_s = task.batch.context.timeout_s
        if timeout_s is not None:
            task.deadline = task.started + timeout_s
            self._limit.by(task.deadline)
        self._limits.watch(task)
        self._peak_memory.watch(task)
        plan = task.batch.context.watch_plan
        if plan is not None:
            self._monitors.watch(task, plan)

    def _watch(self, task: Task) -> None:
        for stream in (task.out, task.err):
            if stream.fd >= 0:
                self._loop.watch(stream.fd, READ, partial(self._readable, task, stream))

    def _readable(self, task: Task, stream: OutputStream, _mask: int = 0) -> None:
        if stream.fd >= 0 and stream.read():
            self._close(stream)
            quiet = task.out.fd < 0 and task.err.fd < 0
            if quiet and not task.active and not task.reason and self._running.get(task.pid) is task:
                self._over(task)

    def _read(self, task: Task) -> None:
        """Read what a task that is known has written so far."""
        for stream in (task.out, task.err):
            self._readable(task, stream)

    def _close(self, stream: OutputStream) -> None:
        self._loop.unwatch(stream.fd)
        os.close(stream.fd)
        stream.fd = -1

    def _check_limits(self) -> None:
        now = monotonic()
        for task in list(self._running.values()):
            # One that has failed has said why; what it left has the grace time (linger.py).
            failed = task.lingers and not task.well
            if task.deadline is not None and task.active and not task.reason and not failed:
                if task.deadline <= now:
                    self._end(task, "timeout")
                else:
                    self._limit.by(task.deadline)

    def _exited(self, task: Task) -> None:
        """Note that the leader of a task has exited; it is a zombie still."""
        task.finished_at = time()
        if task.reason:
            self._exits.hold(task)
            self._killer.exited(task)
            return
        task.alone = self._adopted.pids() == []
        if not task.alone and self._lingering.takes(task):
            self._exits.hold(task)
            self._know(task)
        else:
            self._ended(task)

    def _ended(self, task: Task) -> None:
        """Note that a task has ended by itself: its leader has exited, and nothing of its session is waited for."""
        task.finished_at = time()
        if task.monitor is not None:
            task.monitor.stop()
        out, err = task.out, task.err
        quiet = (out.fd < 0 or out.read()) and (err.fd < 0 or err.read())
        if quiet:
            self._over(task)
        else:
            self._exits.hold(task)
            if not task.known:
                self._watch(task)
            self._loop.at(monotonic() + DRAIN_S, lambda: self._drained(task))

    def _drained(self, task: Task) -> None:
        if self._running.get(task.pid) is task:
            self._killer.sweep_soon()  # a process held its pipes
            self._over(task)

    def _over(self, task: Task) -> None:
        """Reap the leader and start the next command; the record is made later, but for the state of the inputs."""
        if not task.alone:
            if not task.reason:
                task.left = tuple([one_line(name, 40) or "?" for name in self._killer.end_rest(task)])
            elif task.lingers:
                task.finished_at = time()
            send_group(task, signal.SIGKILL)
        task.lingers = False
        if task.batch.context.looks:
            task.after = task.look()  # the next command may change them
        self._finished.append((task, self._exits.reap(task)))
        self._finished_alarm.by(0.0)
        slot = self._slots[task.slot]
        slot.task = None
        self._next(slot)

    def _report_finished(self) -> None:
        """Report what is over."""
        finished, self._finished = self._finished, []
        for task, outcome in finished:
            for stream in (task.out, task.err):
                if stream.fd >= 0:
                    if not stream.ended:
                        stream.read()
                    self._close(stream)
            self._limits.ended(task, outcome)
            if task.monitor is None:
                self._report.ended(task, outcome)
            elif not self._relaunchers.ask(task.monitor, outcome):
                self._report_watched(task, outcome)
            if not task.known:
                self._prepare(self._slots[task.slot])
            if not task.alone:
                self._killer.task_ended()

    # Monitors.

    def _end_for_monitor(self, task: Task) -> None:
        if task.lingers or not self._exits.has_exited(task):
            self._end(task, "monitor")

    # Background processes.

    def _end(self, task: Task, reason: str, grace_s: Optional[float] = None) -> None:
        """Begin to end a task; where it lingered, the note says for what."""
        if task.lingers and not task.reason:
            waited_s = max(0.0, time() - task.finished_at)
            task.note = joined("waited {:.3g} s for {}".format(waited_s, background(task)), task.note)
        self._killer.end(task, reason, grace_s)

    def _expired(self, task: Task) -> None:
        self._end(task, "timeout")

    def _tell_waiting(self, rows: List[List[Any]]) -> None:
        self._link.say(["waiting", rows])

    def _report_watched(self, task: Task, outcome: Outcome) -> None:
        task.note = joined(task.note, task.monitor.notes.text())
        self._report.ended(task, outcome, task.monitor.commands)
        if task.monitor.commands:
            self._report.flush()  # they may be many

    def _left_behind(self, certain: bool) -> None:
        """Look for what a helper has left behind."""
        if certain:
            self._killer.sweep_soon()
        else:
            self._killer.task_ended()

    # Giving back.

    def _late(self, slot: Slot) -> None:
        """Hand back what waits in a slot, if the batch that runs there is late."""
        batch = slot.batch
        if slot.task is None or batch is None:
            return
        if not self._link.connected:
            self._missed.add(slot)  # no kernel could run it elsewhere
            return
        # Where nothing is expected of what runs, the alarm was set for what waits behind it.
        if batch.overdue_at is None or batch.overdue_at <= monotonic():
            self._hand_back(slot)
        else:
            slot.alarm.by(batch.overdue_at)

    def _hand_back(self, slot: Slot) -> None:
        for batch in slot.queue:
            if self._stopping or batch.limit_s is not None:
                self._drop(slot, batch, "returned")

    def _drop(self, slot: Slot, batch: CommandBatch, reason: str, wanted: Optional[Set[Key]] = None) -> None:
        """Report commands of a batch as never started: the `wanted` ones, or all."""
        kept: Deque[Item] = deque()
        for item in batch.items:
            if wanted is None or (item[0], item[1]) in wanted:
                self._report.never_started(batch, item[0], item[1], reason)
                if slot.ready is not None and slot.ready.item is item:
                    self._launcher.discard(slot.ready)
                    slot.ready = None
            else:
                kept.append(item)
        batch.items = kept

    def _report_idle(self) -> None:
        """Report at once, because there is room for more."""
        self._report_finished()
        self._report.flush()
        if not self._running:
            self._killer.sweep_soon()
