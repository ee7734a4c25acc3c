"""Patterns over a tree that can only be listed, a directory at a time: what bash finds, found level by level.

A directory is listed when a pattern has wildcards right below it, once at most; nothing is walked through, but below
``**``. Directories of one level are listed at the same time. ``**`` goes through no link to a directory, so no link
upwards makes many files of one; names that begin as the tree says are found only by what begins so itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from .pattern_parts import has_magic, in_order, matcher, plain

#: so many names in one directory are looked at one by one; for more it is listed, where looks are dear
LOOKS_MOST: Final = 500


class FileEntry(NamedTuple):
    """A file or directory, as a listing says it.

    `changed_ms` is since the epoch, by the NameNode's clock. `file_id` is another one when a file takes the place of
    this one, which keeps its time of change when it is renamed; 0 where that is not told.
    """

    is_dir: bool
    size: int
    changed_ms: int
    is_link: bool = False
    file_id: int = 0


class Tree(Protocol):
    """What patterns are expanded over.

    Attributes
    ----------
    hidden : str
        Names that begin with one of these are found only by a part that begins so.
    looks_are_dear : bool
        Whether a listing is better than many looks.
    """

    hidden: str
    looks_are_dear: bool

    def join(self, folder: str, name: str) -> str:
        """Return the path of a name in a directory."""

    def list_all(self, paths: Sequence[str]) -> Iterable[Mapping[str, FileEntry] | None]:
        """Yield what is in each directory, by name; None where there is none, or it may not be read."""

    def look_all(self, paths: Sequence[str]) -> Iterable[FileEntry | None]:
        """Yield what is at each path; None where nothing is."""


class Match(NamedTuple):
    """What a pattern found: how it is shown, and where it is. `entry` is None until it has been looked at."""

    shown: str
    path: str
    entry: FileEntry | None = None

    @property
    def is_dir(self) -> bool:
        """Whether it is known to be a directory."""
        return self.entry is not None and self.entry.is_dir


class Start(NamedTuple):
    """A word of a pattern: what its names begin with, the path that this stands for, and how both go on."""

    shown: str
    path: str
    pattern: str

    @property
    def is_plain(self) -> bool:
        """Whether it is one name, without wildcards."""
        return not has_magic(self.pattern)


@dataclass
class Expander:
    """Expands the words of a pattern; what was listed for one is known to the next.

    Attributes
    ----------
    tree : Tree
        Where.
    hidden : dict
        Names that would have matched, but for how they begin, a dot apart.
    walked : dict
        The directories that `**` has begun in, by path.
    links : dict
        Links to directories that `**` has not gone through: their paths by the names that are shown.
    """

    tree: Tree
    hidden: dict[str, None] = field(default_factory=dict)
    walked: dict[str, None] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    _listed: dict[str, Mapping[str, FileEntry] | None] = field(default_factory=dict)
    _looked: dict[str, FileEntry | None] = field(default_factory=dict)

    def expand(self, words: Sequence[Start]) -> list[dict[str, FileEntry]]:
        """Return what each word finds, by the name that is shown, in natural order."""
        found = [self._follow(word) for word in words]
        self._look(match for matches in found if isinstance(matches, list) for match in matches)
        return [self._ordered(matches) for matches in found]

    def _ordered(self, found: list[Match] | dict[str, FileEntry]) -> dict[str, FileEntry]:
        if isinstance(found, dict):
            return found
        there = {match.shown: match.entry for match in self._there(found) if match.shown and match.entry}
        return {name: there[name] for name in in_order(list(there))}

    def _follow(self, word: Start) -> list[Match] | dict[str, FileEntry]:
        head, parts = split(word.pattern)
        found = [Match(word.shown + head, self.tree.join(word.path, head))]
        for at, part in enumerate(parts):
            last = at == len(parts) - 1
            if part == "**":
                found = self._descend(found, only_dirs=not last, links=last or parts[at + 1] == "")
            elif has_magic(part):
                if last:
                    return self._names(found, part)
                found = self._matching(found, part)
            elif part == "":
                found = [Match(_below(m.shown, ""), m.path, m.entry) for m in self._there(found) if m.is_dir]
            elif part in (".", ".."):
                found = [self._step(match, part) for match in self._there(found) if match.is_dir]
            else:
                # Whether it is there shows when it is listed next; only at the end it has to be looked at.
                name = plain(part)
                found = [child for match in found if (child := self._child(match, name)) is not None]
        return found

    def _child(self, match: Match, name: str) -> Match | None:
        """Return what lies below, None when it is known that nothing is there."""
        if match.entry is not None and not match.entry.is_dir:
            return None
        entry = None
        if match.path in self._listed:
            entry = (self._listed[match.path] or {}).get(name)
            if entry is None:
                return None
        return Match(_below(match.shown, name), self.tree.join(match.path, name), entry)

    def _step(self, match: Match, part: str) -> Match:
        return Match(_below(match.shown, part), self.tree.join(match.path, part), FileEntry(True, 0, 0))

    def _there(self, found: Sequence[Match]) -> list[Match]:
        """Look at matches that have no entry yet; leave out those that do not exist."""
        if all(match.entry is not None for match in found):
            return list(found)
        self._look(found)
        looked = (match if match.entry else match._replace(entry=self._looked[match.path]) for match in found)
        return [match for match in looked if match.entry is not None]

    def _look(self, found: Iterable[Match]) -> None:
        """Look up matches that have no entry yet: one by one, or by a listing where many are in one directory."""
        paths = dict.fromkeys(match.path for match in found if match.entry is None and match.path not in self._looked)
        if self.tree.looks_are_dear and len(paths) > LOOKS_MOST:
            folders: dict[str, list[str]] = {}
            for path in paths:
                folders.setdefault(path.rpartition("/")[0] or "/", []).append(path)
            many = {folder: there for folder, there in folders.items() if len(there) > LOOKS_MOST}
            self._list(Match("", folder) for folder in many)
            for folder, there in many.items():
                if (listed := self._listed[folder]) is not None:
                    self._looked.update((path, listed.get(path.rpartition("/")[2])) for path in there)
            paths = dict.fromkeys(path for path in paths if path not in self._looked)
        if paths:
            self._looked.update(zip(paths, self.tree.look_all(list(paths)), strict=True))

    def _names(self, found: Sequence[Match], part: str) -> dict[str, FileEntry]:
        """Return what a last part finds, in order: there may be very many, of which no more is known than this."""
        fits = matcher(part).match
        hidden = self._hidden_by(part)
        self._list(found)
        made: dict[str, FileEntry] = {}
        for match in found:
            shown, listed = _below(match.shown, ""), self._listed.get(match.path) or {}
            names = list(filter(fits, listed))
            if hidden:
                kept = [name for name in names if name[0] not in hidden]
                if len(kept) < len(names):
                    left_out = (name for name in names if name[0] in hidden and name[0] != ".")
                    self.hidden.update((shown + name, None) for name in left_out)
                names = kept
            if len(found) == 1:
                names = in_order(names)
            whole = [shown + name for name in names] if shown else names
            made.update(zip(whole, map(listed.__getitem__, names), strict=True))
        return made if len(found) == 1 else {name: made[name] for name in in_order(list(made))}

    def _matching(self, found: Sequence[Match], part: str) -> list[Match]:
        """Return the directories that a part finds, which is not the last."""
        fits = matcher(part).match
        hidden = self._hidden_by(part)
        self._list(found)
        return [
            Match(_below(match.shown, name), _below(match.path, name), entry)
            for match in found
            for name, entry in (self._listed.get(match.path) or {}).items()
            if entry.is_dir and fits(name) and name[0] not in hidden
        ]

    def _hidden_by(self, part: str) -> str:
        return self.tree.hidden.replace(plain(part[:2])[:1], "")

    def _descend(self, found: Sequence[Match], only_dirs: bool, links: bool) -> list[Match]:
        hidden = self.tree.hidden
        self._list(found)
        here = [
            Match(_below(match.shown, ""), match.path, match.entry or FileEntry(True, 0, 0))
            for match in found
            if self._listed.get(match.path) is not None
        ]
        every = {match.shown: match for match in here}
        self.walked.update((match.path, None) for match in here)
        while here:
            self._list(here)
            self.links.update(
                (_below(match.shown, name), _below(match.path, name))
                for match in here
                for name, entry in (self._listed.get(match.path) or {}).items()
                if entry.is_link and entry.is_dir and name[0] not in hidden
            )
            below = [
                Match(_below(match.shown, name), _below(match.path, name), entry)
                for match in here
                for name, entry in (self._listed.get(match.path) or {}).items()
                if (entry.is_dir or not only_dirs) and (links or not entry.is_link) and name[0] not in hidden
            ]
            here = [m for m in below if m.entry and m.entry.is_dir and not m.entry.is_link and m.shown not in every]
            every.update((match.shown, match) for match in below)
        return list(every.values())

    def _list(self, found: Iterable[Match]) -> None:
        dirs = (match.path for match in found if match.entry is None or match.entry.is_dir)
        paths = [path for path in dict.fromkeys(dirs) if path not in self._listed]
        self._listed.update(zip(paths, self.tree.list_all(paths), strict=True))

    def listing(self, path: str) -> Mapping[str, FileEntry] | None:
        """Return what is in a directory, None when that is not known; `no_match` reads it."""
        self._list([Match("", path)])
        return self._listed[path]


def split(pattern: str) -> tuple[str, list[str]]:
    """Return what comes before the first wildcard, or step up, as a plain name, and the parts after that."""
    parts = pattern.split("/")
    first = next((at for at, part in enumerate(parts) if has_magic(part) or part == ".."), None)
    if first is None:
        bare = plain(pattern)
        return (bare, [""]) if bare != bare.rstrip("/") else (bare, [])
    head, tail = "/".join(parts[:first]), parts[first:]
    end = [""] if tail[-1] == "" else []
    kept: list[str] = []
    for part in tail:
        if part and not (part == "**" and kept[-1:] == ["**"]):
            kept.append(part)
    return plain(head.rstrip("/")), kept + end


def _below(shown: str, name: str) -> str:
    return shown + name if not shown or shown.endswith("/") else f"{shown}/{name}"
