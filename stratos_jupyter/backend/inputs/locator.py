"""Where the inputs of tasks are: found out in the background, the first tasks first."""

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
from .locator_client import Finder

log = logging.getLogger(__name__)

#: files that are asked for in one piece: of the first one, and of those that follow
FIRST: Final = 16
MANY: Final = 256
#: tasks that are looked at in one piece, whether or not they have inputs
LOOKED_AT: Final = 2048
#: when HDFS cannot be asked, it is tried again after so many seconds, and given up then
PAUSES_S: Final = (5.0, 15.0, 45.0)
#: the process that asks is kept for so long when there is nothing to do, in seconds
IDLE_S: Final = 20.0

#: files that are remembered as absent, and named in a line
ABSENT: Final = 1000
SHOWN: Final = 3

#: takes places as they become known
Tell: TypeAlias = Callable[[tuple[InputLocation, ...]], None]
#: takes what is wrong with HDFS, and '' once it is so no longer
Trouble: TypeAlias = Callable[[str], None]


def _nobody(_: str) -> None:
    """Tell nobody of trouble."""


class _Find:
    """What is left to do of one call of `Placer.find`."""

    def __init__(self, first: int, inputs: Sequence[tuple[str, ...]], tell: Tell, trouble: Trouble) -> None:
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


class Placer:
    """Finds out where the inputs of tasks are.

    One thread, which lives while there is something to do, has a process ask; no method waits for either.

    Parameters
    ----------
    file_systems : FileSystems
        Says which inputs are on HDFS.
    """

    def __init__(self, file_systems: FileSystems) -> None:
        self._files = file_systems
        self._finds: deque[_Find] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._finder: Finder | None = None
        self._closed = False

    def find(
        self,
        first_task: int,
        inputs: Sequence[tuple[str, ...]],
        tell: Tell,
        trouble: Trouble = _nobody,
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
            self._finds.append(_Find(first_task, inputs, tell, trouble))
            if self._thread is None:
                # A daemon: an interpreter that ends must not wait for it.
                self._thread = threading.Thread(target=self._work, name="stratos-places", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def connections(self) -> list[Inherited]:
        """Return the connections of which a forked child must not keep a copy open."""
        finder = self._finder
        return finder.connections() if finder is not None else []

    def close(self) -> None:
        """Find nothing more."""
        with self._changed:
            self._closed = True
            self._finds.clear()
            finder, thread = self._finder, self._thread
            self._changed.notify_all()
        if finder is not None:
            finder.end()
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    # -- the thread -------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (find := self._next()) is not None:
            try:
                more = self._piece(find)
            except Exception as error:
                log.exception("places of inputs")
                more = False
                with suppress(Exception):  # else its tasks would be sought for ever
                    find.say(f"internal error: {type(error).__name__}: {error}")
                    self._give_up(find)
            if more:
                with self._changed:
                    if not self._closed:
                        self._finds.append(find)  # the others have their turn first

    def _next(self) -> _Find | None:
        """Return what to go on with; None when there has been nothing for a while, or it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._finds or self._closed, IDLE_S)
            if self._finds and not self._closed:
                return self._finds.popleft()
            self._thread = None  # from here on a new call starts a thread and a process of its own
            finder, self._finder = self._finder, None
        if finder is not None:
            finder.close()
        return None

    def _piece(self, find: _Find) -> bool:
        """Go on with some tasks, and say whether there are more."""
        first = find.at
        paths: list[list[str]] = []
        known: dict[str, Located | None] = {}  # by path
        unknown = 0
        until = min(len(find.inputs), first + LOOKED_AT)
        while first + len(paths) < until and unknown < find.most:
            its = self._paths(find, first + len(paths))
            paths.append(its)
            for path in its:
                if path not in known:
                    known[path] = self._files.located(path)
                    unknown += known[path] is None
        asked = [path for path, located in known.items() if located is None]
        if asked:
            try:
                found = self._ask(asked, find)
            except StorageError as error:
                if not self._closed:
                    find.say(str(error))
                    self._give_up(find)
                return False
            find.say("")
            find.most = MANY
            for path, located in zip(asked, found, strict=True):
                known[path] = located
                if located is None and len(find.absent) < ABSENT:
                    find.absent[path] = None
                if located is not None and located.hosts:  # of a server that has just started more may be known soon
                    self._files.remember_located(path, located)
        if not self._closed:
            first_task = find.first + first
            find.tell(tuple(_place(first_task + at, [known[path] for path in its]) for at, its in enumerate(paths)))
        find.at = first + len(paths)
        more = find.at < len(find.inputs)
        if not more and find.absent and not self._closed:
            shown = ", ".join(list(find.absent)[:SHOWN])
            rest = f" and {len(find.absent) - SHOWN:,} more" if len(find.absent) > SHOWN else ""
            find.say(f"not on HDFS, or not to be read there: {shown}{rest}")
        return more

    def _give_up(self, find: _Find) -> None:
        """Tell of all tasks that are left that nothing is known of them."""
        left = range(find.first + find.at, find.first + len(find.inputs))
        for at in range(0, len(left), LOOKED_AT):
            find.tell(tuple(InputLocation(task, 0, ()) for task in left[at : at + LOOKED_AT]))

    def _paths(self, find: _Find, index: int) -> list[str]:
        paths = []
        for name in find.inputs[index]:
            with suppress(SpecError):  # what is no name is the command's own affair
                where = self._files.find(name, "/")
                if where is not None:
                    paths.append(where.path)
        return list(dict.fromkeys(paths))  # a file may be named in two ways

    def _ask(self, paths: Sequence[str], find: _Find) -> list[Located | None]:
        """Ask, and try again for a while; raises StorageError when it is in vain."""
        for pause_s in (*PAUSES_S, None):
            try:
                if self._finder is None:
                    self._finder = self._started()
                return self._finder.ask(paths)
            except StorageError as error:
                finder, self._finder = self._finder, None
                if finder is not None:
                    finder.close()
                if pause_s is None or self._closed:
                    raise
                find.say(str(error))
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, pause_s)
        raise AssertionError("unreachable")

    def _started(self) -> Finder:
        with self._changed:
            if self._closed:
                raise StorageError("closed")
            return Finder(self._files.hdfs)


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
