"""The file systems of a job: which names are on HDFS, what a pattern finds, and what is remembered of files there."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ...errors import SpecError, StorageError
from ..spec.parse_hdfs import Mounts
from .expansion import Expansion
from .globbing import FileEntry
from .hdfs import Hdfs, Located
from .mounts import HdfsName, MountTable, is_url

#: how many files are remembered: when they were changed, and where they are
REMEMBERED: Final = 200_000
#: for how long what was seen or asked is taken for true, in seconds
FRESH_S: Final = 60.0
#: for how long what a pattern has found is what a cell's commands read, in seconds
JUST_S: Final = 5.0
#: of so many files of one directory it is cheaper to list that than to ask for each
LISTED: Final = 20
#: how many directories a message names
SHOWN: Final = 3


class HdfsFile(NamedTuple):
    """Which file a name is now, on HDFS: size, time of change, its number, and of which HDFS that is."""

    size: int
    changed_ms: int
    file_id: int
    cluster: str


class OnHdfs(NamedTuple):
    """Names that are on HDFS, and which files they are; None of one that is not there. Unless `known`, all are None."""

    files: Mapping[str, HdfsFile | None]
    known: bool = True


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
        self._names = MountTable(mounts if hdfs else ())
        self._client: Hdfs | None = None
        self._lock = threading.Lock()
        self._changed: dict[str, tuple[HdfsFile, float]] = {}  # by path: which, and when that was seen
        self._places: dict[str, tuple[HdfsFile | None, Located, float]] = {}

    def find(self, name: str, cwd: str) -> HdfsName | None:
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
            As bash has it, on this machine or on HDFS: see `pattern_words` and `pattern_parts`. When it finds
            nothing, and there is a file of exactly that name, it is that file.
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

    def look(self, names: Sequence[str], cwd: str, *, fresh: bool = False) -> dict[str, HdfsFile | None]:
        """Return which files those names are now that are on HDFS; None for one that is not there.

        What a pattern has found within `JUST_S` is not asked for again, unless it is to be `fresh`.
        """
        paths = {name: where.path for name in names if (where := self.find(name, cwd)) is not None}
        known = {path: None if fresh else self._seen(path, JUST_S) for path in paths.values()}
        unknown = [path for path, one in known.items() if one is None]
        if unknown:
            try:
                known.update(self._ask(self.connect(), unknown))
            except StorageError:
                self._client = None
                raise
        return {name: known[path] for name, path in paths.items()}

    def _ask(self, hdfs: Hdfs, paths: Sequence[str]) -> dict[str, HdfsFile]:
        """Ask which files are at paths; where there are many of one directory, that is listed instead."""
        folders = Counter(path.rpartition("/")[0] or "/" for path in paths)
        listed = {folder for folder, count in folders.items() if count >= LISTED}
        answers = dict(zip(listed, hdfs.all(hdfs.entries, list(listed)), strict=True)) if listed else {}
        found = {}
        single = []
        for path in paths:
            folder, _, name = path.rpartition("/")
            entries = answers.get(folder or "/")
            if entries is None or isinstance(entries, StorageError):
                single.append(path)
            elif name in entries:
                found[path] = self._found(entries[name])
        for path, entry in zip(single, hdfs.all(hdfs.look, single) if single else (), strict=True):
            if isinstance(entry, FileEntry):
                found[path] = self._found(entry)
        return found

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

    def remember(self, entries: Mapping[str, FileEntry]) -> None:
        """Remember when files were changed, which tells whether where they are is still so."""
        now_s = time.monotonic()
        with self._lock:
            self._changed.update({path: (self._found(entry), now_s) for path, entry in entries.items()})
            _bound(self._changed)

    def _found(self, entry: FileEntry) -> HdfsFile:
        return HdfsFile(entry.size, entry.changed_ms, entry.file_id, self.hdfs)

    def _seen(self, path: str, within_s: float = FRESH_S) -> HdfsFile | None:
        """Return which file is there, if that was seen a short time ago."""
        seen = self._changed.get(path)
        return None if seen is None or time.monotonic() - seen[1] > within_s else seen[0]

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
