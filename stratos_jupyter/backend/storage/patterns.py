"""Patterns over a tree that can only be listed, a directory at a time: what `glob.glob` finds, found level by level.

A directory is listed when a pattern has wildcards right below it, once at most; nothing is walked through, but below
``**``. Directories of one level are listed at the same time.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from .mounts import joined

_MAGIC: Final = re.compile(r"[*?[]")


class Entry(NamedTuple):
    """A file or directory, as a listing says it.

    `changed_ms` is since the epoch, by the NameNode's clock. `file_id` is another one when a file takes the place of
    this one, which keeps its time of change when it is renamed; 0 where that is not told.
    """

    is_dir: bool
    size: int
    changed_ms: int
    file_id: int = 0


#: entries by name, of each directory that is asked for; None where there is none, or nobody may look
Lister = Callable[[Sequence[str]], "Iterable[Mapping[str, Entry] | None]"]
#: what is at each path; None where nothing is
Looker = Callable[[Sequence[str]], "Iterable[Entry | None]"]


class Match(NamedTuple):
    """What a pattern found: how it is shown, and where it is. `entry` is None as long as nobody has looked."""

    shown: str
    path: str
    entry: Entry | None = None


def has_magic(pattern: str) -> bool:
    """Say whether a pattern has wildcards."""
    return _MAGIC.search(pattern) is not None


class Expander:
    """Expands one pattern.

    Parameters
    ----------
    list_all : callable
        Lists directories, several at a time.
    look_all : callable
        Looks at paths, several at a time.
    """

    def __init__(self, list_all: Lister, look_all: Looker) -> None:
        self._list_all = list_all
        self._look_all = look_all
        self._listed: dict[str, Mapping[str, Entry] | None] = {}

    def expand(self, shown: str, start: str, pattern: str) -> list[Match]:
        """Return what matches, in no order, nothing twice.

        Parameters
        ----------
        shown, start : str
            What the names are to begin with, and the path that this stands for.
        pattern : str
            How both go on, as `glob.glob` has it with ``recursive=True``.
        """
        head, parts = _split(pattern)
        found = [Match(shown + head, joined(start, head))]
        for at, part in enumerate(parts):
            last = at == len(parts) - 1
            if part == "**":
                found = self._descend(found, only_dirs=not last)
            elif has_magic(part):
                found = self._matching(found, part, only_dirs=not last)
            elif part == "":
                found = [Match(_below(m.shown, ""), m.path, m.entry) for m in self._there(found) if _is_dir(m)]
            elif part in (".", ".."):
                found = [_step(match, part) for match in self._there(found) if _is_dir(match)]
            else:
                # Whether it is there shows when it is listed next; only at the end it has to be looked at.
                found = [child for match in found if (child := self._child(match, part)) is not None]
        return list({match.shown: match for match in self._there(found) if match.shown}.values())

    def _child(self, match: Match, name: str) -> Match | None:
        """Return what lies below, None when it is known that nothing is there."""
        if match.entry is not None and not match.entry.is_dir:
            return None
        entry = None
        if match.path in self._listed:
            entry = (self._listed[match.path] or {}).get(name)
            if entry is None:
                return None
        return Match(_below(match.shown, name), joined(match.path, name), entry)

    def _there(self, found: Sequence[Match]) -> list[Match]:
        """Look at what nobody has looked at; leave out what is not there."""
        paths = list(dict.fromkeys(match.path for match in found if match.entry is None))
        entries = dict(zip(paths, self._look_all(paths), strict=True)) if paths else {}
        looked = (match if match.entry else match._replace(entry=entries[match.path]) for match in found)
        return [match for match in looked if match.entry is not None]

    def _matching(self, found: Sequence[Match], part: str, only_dirs: bool) -> list[Match]:
        fits = re.compile(fnmatch.translate(part)).match
        hidden = part.startswith(".")
        self._list(found)
        return [
            Match(_below(match.shown, name), joined(match.path, name), entry)
            for match in found
            for name, entry in (self._listed.get(match.path) or {}).items()
            if (hidden or not name.startswith(".")) and (entry.is_dir or not only_dirs) and fits(name)
        ]

    def _descend(self, found: Sequence[Match], only_dirs: bool) -> list[Match]:
        self._list(found)
        here = [
            Match(_below(match.shown, ""), match.path, match.entry or Entry(True, 0, 0))
            for match in found
            if self._listed.get(match.path) is not None
        ]
        every: dict[str, Match] = {}
        while here:
            every.update((match.shown, match) for match in here)
            here = [match for match in self._matching(here, "*", only_dirs) if match.shown not in every]
            every.update((match.shown, match) for match in here)
            here = [match for match in here if _is_dir(match)]
        return list(every.values())

    def _list(self, found: Sequence[Match]) -> None:
        dirs = (match.path for match in found if match.entry is None or match.entry.is_dir)
        paths = [path for path in dict.fromkeys(dirs) if path not in self._listed]
        self._listed.update(zip(paths, self._list_all(paths), strict=True))


def _split(pattern: str) -> tuple[str, list[str]]:
    """Return what comes before the first wildcard, or step up, as it is, and the parts after that."""
    parts = pattern.split("/")
    first = next((at for at, part in enumerate(parts) if has_magic(part) or part == ".."), None)
    if first is None:
        plain = pattern.rstrip("/")
        return (pattern, [""]) if pattern != plain else (pattern, [])
    head, tail = "/".join(parts[:first]), parts[first:]
    end = [""] if tail[-1] == "" else []
    return head.rstrip("/"), [part for part in tail if part] + end


def _below(shown: str, name: str) -> str:
    return shown + name if not shown or shown.endswith("/") else f"{shown}/{name}"


def _step(match: Match, part: str) -> Match:
    return Match(_below(match.shown, part), joined(match.path, part), Entry(True, 0, 0))


def _is_dir(match: Match) -> bool:
    return match.entry is not None and match.entry.is_dir
