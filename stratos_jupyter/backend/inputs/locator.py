"""Locates the inputs of tasks on HDFS, in the background, the first tasks first."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from ...errors import SpecError, StorageError
from ..core.events import InputLocation
from ..forks import Inherited
from .filesystems import FileSystems
from .hdfs import Located
from .locator_client import LocatorProcess

log = logging.getLogger(__name__)

#: files that one request asks for: the first request, and those that follow
FIRST: Final = 16
MANY: Final = 256
#: tasks that one step looks at, whether or not they have inputs
LOOKED_AT: Final = 2048
#: seconds before each new attempt when HDFS cannot be asked; after the last one it is given up
PAUSES_S: Final = (5.0, 15.0, 45.0)
#: an idle process is kept for this long, in seconds
IDLE_S: Final = 20.0

#: files that are remembered as absent, and named in a line
ABSENT: Final = 1000
SHOWN: Final = 3

#: takes locations as they become known
TakeLocations: TypeAlias = Callable[[tuple[InputLocation, ...]], None]
#: takes what is wrong with HDFS, and '' once it is so no longer
TakeProblem: TypeAlias = Callable[[str], None]


def _ignored(_: str) -> None:
    """Ignore what is wrong with HDFS."""


class _Lookup:
    """What is left to do of one call of `Locator.find`."""

    def __init__(
        self, first: int, inputs: Sequence[tuple[str, ...]], tell: TakeLocations, trouble: TakeProblem
    ) -> None:
        self.first = first
        self.inputs = inputs
        self.tell = tell
        self.trouble = trouble
        self.at = 0
        self.most = FIRST
        self.told = ""
        self.absent: dict[str, None] = {}  # of which HDFS knows nothing, up to `ABSENT`

    def say(self, trouble: str) -> None:
        if trouble != self.told:
            self.told = trouble
            self.trouble(trouble)


class Locator:
    """Locates the inputs of tasks.

    One thread, which lives while there is something to do, asks by a process of its own; no method waits for either.

    Parameters
    ----------
    file_systems : FileSystems
        Says which inputs are on HDFS.
    """

    def __init__(self, file_systems: FileSystems) -> None:
        self._files = file_systems
        self._lookups: deque[_Lookup] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._process: LocatorProcess | None = None
        self._closed = False

    def find(
        self,
        first_task: int,
        inputs: Sequence[tuple[str, ...]],
        tell: TakeLocations,
        trouble: TakeProblem = _ignored,
    ) -> None:
        """Find out where the inputs of some tasks are.

        Parameters
        ----------
        first_task : int
            The first of them.
        inputs : sequence of tuple of str
            The inputs of each task: absolute paths and URLs. Read in the background, a piece at a time.
        tell : callable
            Takes places in pieces, on a thread of ours: one of each task, nowhere when nothing can be found out.
        trouble : callable
            Takes what is wrong with HDFS, and '' once it is so no longer.
        """
        with self._changed:
            if self._closed or not len(inputs):
                return
            self._lookups.append(_Lookup(first_task, inputs, tell, trouble))
            if self._thread is None:
                # A daemon: an interpreter that ends must not wait for it.
                self._thread = threading.Thread(target=self._work, name="stratos-locator", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def connections(self) -> list[Inherited]:
        """Return the connections of which a forked child must not keep a copy open."""
        process = self._process
        return process.connections() if process is not None else []

    def close(self) -> None:
        """Stop, and end the process."""
        with self._changed:
            self._closed = True
            self._lookups.clear()
            process, thread = self._process, self._thread
            self._changed.notify_all()
        if process is not None:
            process.end()
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    # -- the thread -------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (lookup := self._next()) is not None:
            try:
                more = self._piece(lookup)
            except Exception as error:
                log.exception("places of inputs")
                more = False
                with suppress(Exception):  # else its tasks would wait for their locations for ever
                    lookup.say(f"internal error: {type(error).__name__}: {error}")
                    self._give_up(lookup)
            if more:
                with self._changed:
                    if not self._closed:
                        self._lookups.append(lookup)  # the others have their turn first

    def _next(self) -> _Lookup | None:
        """Return what to go on with; None when there has been nothing for a while, or it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._lookups or self._closed, IDLE_S)
            if self._lookups and not self._closed:
                return self._lookups.popleft()
            self._thread = None  # from here on a new call starts a thread and a process of its own
            process, self._process = self._process, None
        if process is not None:
            process.close()
        return None

    def _piece(self, lookup: _Lookup) -> bool:
        """Locate the inputs of the next tasks, and say whether there are more."""
        first = lookup.at
        paths: list[list[str]] = []
        known: dict[str, Located | None] = {}  # by path
        unknown = 0
        until = min(len(lookup.inputs), first + LOOKED_AT)
        while first + len(paths) < until and unknown < lookup.most:
            its = self._paths(lookup, first + len(paths))
            paths.append(its)
            for path in its:
                if path not in known:
                    known[path] = self._files.located(path)
                    unknown += known[path] is None
        asked = [path for path, located in known.items() if located is None]
        if asked:
            try:
                found = self._ask(asked, lookup)
            except StorageError as error:
                if not self._closed:
                    lookup.say(str(error))
                    self._give_up(lookup)
                return False
            lookup.say("")
            lookup.most = MANY
            for path, located in zip(asked, found, strict=True):
                known[path] = located
                if located is None and len(lookup.absent) < ABSENT:
                    lookup.absent[path] = None
                if located is not None and located.hosts:  # of a server that has just started more may be known soon
                    self._files.remember_located(path, located)
        if not self._closed:
            first_task = lookup.first + first
            lookup.tell(tuple(_place(first_task + at, [known[path] for path in its]) for at, its in enumerate(paths)))
        lookup.at = first + len(paths)
        more = lookup.at < len(lookup.inputs)
        if not more and lookup.absent and not self._closed:
            shown = ", ".join(list(lookup.absent)[:SHOWN])
            rest = f" and {len(lookup.absent) - SHOWN:,} more" if len(lookup.absent) > SHOWN else ""
            lookup.say(f"not on HDFS, or not to be read there: {shown}{rest}")
        return more

    def _give_up(self, lookup: _Lookup) -> None:
        """Report no location for all tasks that are left: else they would wait for one."""
        left = range(lookup.first + lookup.at, lookup.first + len(lookup.inputs))
        for at in range(0, len(left), LOOKED_AT):
            lookup.tell(tuple(InputLocation(task, 0, ()) for task in left[at : at + LOOKED_AT]))

    def _paths(self, lookup: _Lookup, index: int) -> list[str]:
        paths = []
        for name in lookup.inputs[index]:
            with suppress(SpecError):  # the command itself deals with what is no name
                where = self._files.find(name, "/")
                if where is not None:
                    paths.append(where.path)
        return list(dict.fromkeys(paths))  # a file may be named in two ways

    def _ask(self, paths: Sequence[str], lookup: _Lookup) -> list[Located | None]:
        """Ask, and try again for a while; raises StorageError when it is in vain."""
        for pause_s in (*PAUSES_S, None):
            try:
                if self._process is None:
                    self._process = self._started()
                return self._process.ask(paths)
            except StorageError as error:
                process, self._process = self._process, None
                if process is not None:
                    process.close()
                if pause_s is None or self._closed:
                    raise
                lookup.say(str(error))
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, pause_s)
        raise AssertionError("unreachable")

    def _started(self) -> LocatorProcess:
        with self._changed:
            if self._closed:
                raise StorageError("closed")
            return LocatorProcess(self._files.hdfs)


def _place(task: int, inputs: Sequence[Located | None]) -> InputLocation:
    """Return where the inputs of a task are, together; nowhere when nothing is known."""
    sizes: dict[str, int] = defaultdict(int)
    size = 0
    for located in inputs:
        if located is not None:
            size += located.size
            for host, share in located.hosts:
                sizes[host] += share
    return InputLocation(task, size, tuple(sorted(sizes.items(), key=lambda host: (-host[1], host[0]))))
