"""Files of this machine as a `globbing.Tree`."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from stat import S_ISDIR
from typing import Final

from ...errors import StorageError
from .globbing import FileEntry

_FILE: Final = FileEntry(False, 0, 0)
_DIR: Final = FileEntry(True, 0, 0)
_LINKED_DIR: Final = FileEntry(True, 0, 0, True)
#: what only says that nothing is there
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})


class LocalTree:
    """This machine's files.

    Attributes
    ----------
    refused : list of StorageError
        What could not be looked at, though it may be there.
    """

    hidden = "."
    looks_are_dear = False

    def __init__(self) -> None:
        self.refused: list[StorageError] = []

    def join(self, folder: str, name: str) -> str:
        """Return the path of a name in a directory; where a step up leads the system says."""
        return os.path.join(folder, name) if name else folder

    def list_all(self, paths: Sequence[str]) -> Iterator[Mapping[str, FileEntry] | None]:
        """Yield what is in each directory, by name; None where there is none, or it cannot be read."""
        for path in paths:
            try:
                with os.scandir(path) as scan:
                    found = list(scan)
                listed = dict.fromkeys([entry.name for entry in found], _FILE)
                listed.update(
                    (entry.name, _entry(entry)) for entry in found if not entry.is_file(follow_symlinks=False)
                )
                yield listed
            except OSError as error:
                self._note(path, error)
                yield None

    def look_all(self, paths: Sequence[str]) -> Iterator[FileEntry | None]:
        """Yield what is at each path; a link that leads nowhere is a file."""
        for path in paths:
            try:
                is_link, is_dir = os.path.islink(path), False
                try:
                    is_dir = S_ISDIR(os.stat(path).st_mode)
                except OSError:
                    if not is_link:
                        raise
                yield FileEntry(is_dir, 0, 0, is_link)
            except OSError as error:
                self._note(path, error)
                yield None

    def _note(self, path: str, error: OSError) -> None:
        if error.errno not in _ABSENT:
            self.refused.append(StorageError(f"{path}: {(error.strerror or str(error)).lower()}", path=path))


def _entry(found: os.DirEntry[str]) -> FileEntry:
    if not found.is_symlink():
        return _DIR if found.is_dir(follow_symlinks=False) else _FILE
    try:
        return _LINKED_DIR if found.is_dir() else _FILE
    except OSError:  # it cannot be said where it leads
        return _FILE
