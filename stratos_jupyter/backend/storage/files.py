"""The file systems of a job: which names are on HDFS, and what a pattern finds wherever it leads."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...errors import SpecError, StorageError
from .expansion import Expansion
from .hdfs import Hdfs, Located
from .mounts import Mounts, Names, Where, is_url
from .patterns import Entry

#: how many files are remembered: when they were changed, and where they are
REMEMBERED: Final = 200_000
#: for how long what was seen or asked is taken for true, in seconds
FRESH_S: Final = 60.0


class FileSystems:
    """This machine's files, and those on an HDFS.

    Parameters
    ----------
    hdfs : str
        An alias or addresses; '' for none.
    mounts : Mounts
        Where it is seen, by the commands' eyes; this machine need not see it.
    """

    def __init__(self, hdfs: str = "", mounts: Mounts = ()) -> None:
        self.hdfs = hdfs
        self._names = Names(mounts if hdfs else ())
        self._client: Hdfs | None = None
        self._lock = threading.Lock()
        self._changed: dict[str, tuple[int, int, float]] = {}  # by path: when, size, and when that was seen
        self._places: dict[str, tuple[tuple[int, int] | None, Located, float]] = {}

    def find(self, name: str, cwd: str) -> Where | None:
        """Return where on HDFS a name is; None when it is not there, or none is configured.

        Raises
        ------
        SpecError
            A URL that cannot be.
        """
        return self._names.find(name, cwd) if self.hdfs or is_url(name) else None

    def expand(
        self, pattern: str | os.PathLike[str], cwd: str = "", *, absolute: bool = False, files_only: bool = False
    ) -> list[str]:
        """Return the names that a pattern means, each once: those of each alternative in natural order.

        Directories that wildcards find are left out where wildcards find files as well; a pattern that ends in `/`
        finds directories alone.

        Parameters
        ----------
        pattern : str
            As bash has it, on this machine or on HDFS: see `words` and `parts`. When it finds nothing, and there is a
            file of exactly that name, it is that file.
        cwd : str
            Where a relative pattern starts. '' is the process's own.
        absolute : bool
            Whether names come back absolute: commands will run elsewhere.
        files_only : bool
            Whether directories are of no use, and refused when named.

        Raises
        ------
        SpecError
            Nothing matches, a name without wildcards is not there, or it is no pattern; the message says why.
        StorageError
            A file system cannot say.
        """
        if not isinstance(pattern, str | os.PathLike):
            raise SpecError(
                f"{pattern!r:.200} is no pattern, but {type(pattern).__name__}; write several as {{a*,b/*}}"
            )
        text = os.fsdecode(pattern)
        start = os.path.abspath(os.path.expanduser(cwd)) if cwd else os.getcwd()
        try:
            expansion = Expansion(self, text, start, absolute=absolute, files_only=files_only)
            return expansion.names()
        except StorageError:
            self._client = None  # what is wrong may be put right in the file of aliases
            raise

    def look(self, names: Sequence[str], cwd: str) -> dict[str, tuple[int, float] | None]:
        """Return size and time of change, in seconds since the epoch, of those names that are on HDFS.

        None is for one that is not there. What a pattern has just found is not asked for again.
        """
        paths = {name: where.path for name in names if (where := self.find(name, cwd)) is not None}
        known = {path: self._seen(path) for path in paths.values()}
        unknown = [path for path, one in known.items() if one is None]
        if unknown:
            hdfs = self.connect()
            try:
                entries = hdfs.all(hdfs.look, unknown)
            except StorageError:
                self._client = None
                raise
            for path, entry in zip(unknown, entries, strict=True):
                if isinstance(entry, Entry):
                    known[path] = entry.changed_ms, entry.size
        looked = {name: known[path] for name, path in paths.items()}
        return {name: None if one is None else (one[1], one[0] / 1000) for name, one in looked.items()}

    def no_files(self, names: Sequence[str], cwd: str) -> list[str]:
        """Return why each of these names on HDFS is no file that can be read, '' for one that is.

        Raises
        ------
        StorageError
            HDFS cannot say.
        """
        if not names:
            return []
        paths = [where.path for name in names if (where := self.find(name, cwd)) is not None]
        hdfs = self.connect()
        return [
            "does not exist" if entry is None else str(entry) if isinstance(entry, StorageError) else
            "is a directory" if entry.is_dir else "" for entry in hdfs.all(hdfs.look, paths)
        ]  # fmt: skip

    def connect(self) -> Hdfs:
        """Return the HDFS; raises StorageError when there is none."""
        with self._lock:
            if self._client is None:
                if not self.hdfs:
                    raise StorageError(
                        "which HDFS? Say --hdfs http://HOST:9870, the address of its WebHDFS, or an alias of "
                        "~/.hdfscli.cfg; STRATOS_HDFS and %config Stratos.hdfs do so for all cells"
                    )
                self._client = Hdfs(self.hdfs)
            return self._client

    # -- what is remembered -----------------------------------------------------------------------------

    def remember(self, entries: Mapping[str, Entry]) -> None:
        """Remember when files were changed, which tells whether where they are is still so."""
        now_s = time.monotonic()
        with self._lock:
            self._changed.update({path: (entry.changed_ms, entry.size, now_s) for path, entry in entries.items()})
            _bound(self._changed)

    def _seen(self, path: str) -> tuple[int, int] | None:
        """Return when a file was changed, and its size, if that is known for sure."""
        seen = self._changed.get(path)
        return None if seen is None or time.monotonic() - seen[2] > FRESH_S else seen[:2]

    def located(self, path: str) -> Located | None:
        """Return where a file is, if that is known for sure: it has not changed since, or has just been asked for."""
        with self._lock:
            seen, place = self._seen(path), self._places.get(path)
        if place is None:
            return None
        changed, located, asked_s = place
        sure = changed == seen if seen is not None else time.monotonic() - asked_s <= FRESH_S
        return located if sure else None

    def remember_located(self, path: str, located: Located) -> None:
        """Remember where a file is."""
        with self._lock:
            self._places[path] = self._seen(path), located, time.monotonic()
            _bound(self._places)


def _bound(remembered: dict[str, Any]) -> None:
    """Forget the oldest."""
    while len(remembered) > REMEMBERED:
        del remembered[next(iter(remembered))]
