"""One pattern from its text to the names of files, on this machine and on HDFS: its alternatives may lead to both."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...errors import SpecError, StorageError
from ..spec.braces import escape
from ..spec.parse_hdfs import joined
from .globbing import Expander, FileEntry, Start
from .hdfs import Hdfs
from .local import LocalTree
from .mounts import is_url, plain_name
from .no_match import why_nothing
from .pattern_parts import in_order, plain
from .pattern_words import words_of

if TYPE_CHECKING:
    from .filesystems import FileSystems

log = logging.getLogger(__name__)

#: how many names a message has
SHOWN: Final = 5
#: what HDFS's own tools write beside the files of a job, of which nothing is said
_BESIDE: Final = re.compile(r"_(?:SUCCESS|temporary|metadata|common_metadata|logs|started_\d+|committed_\d+)")
#: what of a path is written in another way than it is
_ODD: Final = re.compile(r"//|/\.|/$")
#: the end of a name while `hdfs dfs -put` writes the file
_COPYING: Final = "._COPYING_"


class HdfsTree:
    """An HDFS as a `globbing.Tree`, which shows of a directory what Hadoop's own jobs read.

    Names that begin with `_` are hidden as those with a dot are, and so is what is being copied there.

    Attributes
    ----------
    refused : list of StorageError
        The refusals of HDFS, one for each path that may not be read.
    """

    hidden = "._"
    looks_are_dear = True

    def __init__(self, hdfs: Hdfs) -> None:
        self._hdfs = hdfs
        self.refused: list[StorageError] = []

    def join(self, folder: str, name: str) -> str:
        """Return the path of a name in a directory."""
        return joined(folder, name)

    def list_all(self, paths: Sequence[str]) -> Iterator[Mapping[str, FileEntry] | None]:
        """Yield what is in each directory, by name; None where there is none, or it may not be read."""
        for listed in self._some(self._hdfs.entries, paths):
            if listed is not None and any(name.endswith(_COPYING) for name in listed):
                listed = {name: entry for name, entry in listed.items() if not name.endswith(_COPYING)}
            yield listed

    def look_all(self, paths: Sequence[str]) -> Iterator[FileEntry | None]:
        """Yield what is at each path."""
        return self._some(self._hdfs.look, paths)

    def _some(self, ask: Any, paths: Sequence[str]) -> Iterator[Any]:
        for answer in self._hdfs.all(ask, paths) if paths else ():
            wrong = isinstance(answer, StorageError)
            if wrong and not answer.absent:
                self.refused.append(answer)
            yield None if wrong else answer


class _PatternWord(NamedTuple):
    """One word of a pattern: how it is written, where its names begin, and on which file system."""

    text: str
    start: Start
    on_hdfs: bool


class Expansion:
    """One pattern, and what it finds.

    Parameters
    ----------
    files : FileSystems
        Says what is on HDFS, and remembers what was seen there.
    text : str
        The pattern.
    folder : str
        Where a relative pattern starts.
    absolute : bool
        Whether names come back absolute.
    files_only : bool
        Whether directories are refused, because only files can be copied.
    """

    def __init__(self, files: FileSystems, text: str, folder: str, *, absolute: bool, files_only: bool) -> None:
        self._files = files
        self._text = text
        self._folder = folder
        self._absolute = absolute
        self._files_only = files_only
        self._trees: dict[bool, LocalTree | HdfsTree] = {}  # by whether it is HDFS's
        self._expanders: dict[bool, Expander] = {}

    def names(self) -> list[str]:
        """Return the names; raises as `FileSystems.expand` does."""
        if not self._text or "\0" in self._text:
            raise SpecError(f"{self._text!r} is no pattern; write the name of a file, with * and the like in it")
        try:
            words = [self._word(text) for text in words_of(self._text, os.environ, os.path.expanduser)]
        except SpecError:
            if not (itself := self._itself()):
                raise
            return itself
        results = self._expand(words)
        refused = [error for tree in self._trees.values() for error in tree.refused]
        if not any(results):
            if refused:
                raise refused[0]
            if itself := self._itself():
                return itself
            raise SpecError(self._nothing(words[0]))
        missing = [
            plain(word.text) for word, found in zip(words, results, strict=True) if not found and word.start.is_plain
        ]
        if missing and refused:
            raise refused[0]
        if missing:
            raise SpecError(
                f"{self._text!r}: {len(missing):,} of its {len(words):,} names do not exist: {_some(missing)}; "
                "with a wildcard in them only what exists is found"
            )
        if idle := [word.text for word, found in zip(words, results, strict=True) if not found]:
            log.warning("%s: nothing matches %s", self._text, _some(idle))
        results = self._without_directories(words, results)
        self._warn(refused, results)
        self._remember(words, results)
        return self._joined(words, results)

    def _word(self, text: str) -> _PatternWord:
        text = plain_name(text)
        if (where := self._files.find(text, self._folder)) is not None:
            return _PatternWord(text, Start(where.shown, where.start, where.rest), True)
        bare = text.lstrip("/")
        return _PatternWord(text, Start("/", "/", bare) if bare != text else Start("", self._folder, text), False)

    def _expand(self, words: Sequence[_PatternWord]) -> list[dict[str, FileEntry]]:
        results: list[dict[str, FileEntry]] = [{} for _ in words]
        for on_hdfs in {word.on_hdfs: None for word in words}:
            chosen = [at for at, word in enumerate(words) if word.on_hdfs is on_hdfs]
            found = self._expander(on_hdfs).expand([words[at].start for at in chosen])
            for at, names in zip(chosen, found, strict=True):
                results[at] = names
        return results

    def _expander(self, on_hdfs: bool) -> Expander:
        if on_hdfs not in self._trees:
            self._trees[on_hdfs] = HdfsTree(self._files.connect()) if on_hdfs else LocalTree()
            self._expanders[on_hdfs] = Expander(self._trees[on_hdfs])
        return self._expanders[on_hdfs]

    def _itself(self) -> list[str]:
        """Return the pattern, if it is the name of a file."""
        try:
            word = self._word(escape(self._text))
        except SpecError:
            return []
        results = self._expand([word])
        return self._joined([word], results) if results[0] else []

    # -- what is left out -------------------------------------------------------------------------------------

    def _without_directories(
        self, words: Sequence[_PatternWord], results: list[dict[str, FileEntry]]
    ) -> list[dict[str, FileEntry]]:
        """Leave out the directories that wildcards find beside files."""
        wild = [not word.start.is_plain and not word.start.pattern.endswith("/") for word in words]
        folders = [name for found in results for name, entry in found.items() if entry.is_dir]
        if not folders:
            return results
        has_files = len(folders) < sum(map(len, results))
        if self._files_only:
            named = [name for word, found in zip(words, results, strict=True) if not word.start.pattern.endswith("/")
                     for name, entry in found.items() if entry.is_dir and word.start.is_plain]  # fmt: skip
            if named or not has_files:
                first = (named or folders)[0].rstrip("/")
                raise SpecError(
                    f"{_some(named or folders)}: a directory is not copied; for the files in it write {first}/*"
                )
        if not has_files:
            return results
        kept = [
            {name: entry for name, entry in found.items() if not entry.is_dir} if is_wild or self._files_only else found
            for found, is_wild in zip(results, wild, strict=True)
        ]
        left_out = [
            name
            for word, found, some in zip(words, results, kept, strict=True)
            if not word.start.pattern.endswith("**")  # there it goes without saying
            for name in found.keys() - some.keys()
        ]
        if left_out:
            cure = "" if self._files_only else "; a pattern that ends in / finds directories alone"
            log.warning("%s: left out %s, directories beside files%s", self._text, _some(in_order(left_out)), cure)
        return kept

    def _warn(self, refused: Sequence[StorageError], results: Sequence[Mapping[str, FileEntry]]) -> None:
        """Say what else was left out."""
        if not any(tree.looks_are_dear for tree in self._trees.values()) and "[" in self._text:
            itself = os.path.join(self._folder, self._text)
            if os.path.lexists(itself) and not any(self._text in found for found in results):
                log.warning("%s: left out the file of that name itself, as a shell does", self._text)
        if links := self._links():
            log.warning("%s: left out what is behind %s", self._text, links)
        if refused:
            shown = "; ".join(str(error) for error in refused[:SHOWN])
            more = f"; and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
            log.warning("%s: left out %s%s", self._text, shown, more)
        hidden = [
            name
            for expander in self._expanders.values()
            for name in expander.hidden
            if not _BESIDE.fullmatch(name.rpartition("/")[2]) and not any(name in found for found in results)
        ]
        if hidden:
            log.warning("%s: left out %s; HDFS's own tools hide names that begin with _ as well, write _* for them",
                        self._text, _some(hidden))  # fmt: skip

    def _links(self) -> str:
        """Name the links that ** has not gone through, and which lead to what it has not seen otherwise."""
        if False in self._expanders and (links := _outside(self._expanders[False])):
            return (
                f"{_some(in_order(links))}: ** goes through no links to directories, write {links[0]}/** for that one"
            )
        return ""

    # -- names ------------------------------------------------------------------------------------------------

    def _joined(self, words: Sequence[_PatternWord], results: Sequence[Mapping[str, FileEntry]]) -> list[str]:
        """Return all names, each file once."""
        names: list[str] = []
        seen: set[str] = set()
        may_repeat = len(words) > 1 or ".." in self._text
        real = cache(os.path.realpath)  # very many names may be in one folder
        for word, found in zip(words, results, strict=True):
            head = self._folder.rstrip("/") + "/" if not is_url(word.text) and word.start.shown != "/" else ""
            its = list(found)
            if may_repeat:
                steps_up = real if ".." in word.text and not word.on_hdfs else None
                places = {_place(head + name, steps_up): name for name in its[::-1]}
                its = [name for place, name in reversed(places.items()) if place not in seen]
                seen.update(places)
            names += [head + name for name in its] if head and self._absolute else its
        return names

    def _remember(self, words: Sequence[_PatternWord], results: Sequence[Mapping[str, FileEntry]]) -> None:
        """Remember what was seen of files on HDFS."""
        for word, found in zip(words, results, strict=True):
            if word.on_hdfs:
                cut, start = len(word.start.shown), word.start.path
                plainly = not _ODD.search(word.start.pattern) and word.start.pattern.startswith("/")
                base = start.rstrip("/")
                self._files.remember({
                    base + name[cut:] if plainly else joined(start, name[cut:]): entry for name, entry in found.items()
                })  # fmt: skip

    def _nothing(self, word: _PatternWord) -> str:
        """Return what is said when nothing is found."""
        where = f" on HDFS {self._files.hdfs}" if word.on_hdfs else "" if word.start.shown else f" in {self._folder}"
        meant = plain(word.text)
        means = f", which is {meant!r}" if "$" in self._text and self._text not in (meant, word.text) else ""
        try:
            said = (why_nothing(self._text, word.start, self._expander(word.on_hdfs)), self._links())
            why = "; ".join(filter(None, said))
        except StorageError:
            why = ""
        return f"no file matches {self._text!r}{means}{where}{f': {why}' if why else ''}"


def _place(name: str, real: Callable[[str], str] | None) -> str:
    """Return what two names of one file have in common, where they differ in how they are written.

    `real` says which folder it is that a path with steps up leads to.
    """
    if is_url(name):
        return joined(name.partition(":")[2])
    if real is None:
        return os.path.normpath(name)
    folder, base = os.path.split(name.rstrip("/"))
    return os.path.join(real(folder), base)


def _outside(expander: Expander) -> list[str]:
    """Return the links that lead neither into the directories that `**` has walked through, nor to those above."""
    if not expander.links:
        return []
    walked = {os.path.realpath(path) for path in expander.walked}
    above = {folder for path in walked for folder in _upwards(path)}
    real = {name: os.path.realpath(path) for name, path in expander.links.items()}
    return [name for name, path in real.items() if path not in above and walked.isdisjoint(_upwards(path))]


def _upwards(path: str) -> Iterator[str]:
    """Yield a path, and those of all directories above it."""
    while True:
        yield path
        folder = os.path.dirname(path)
        if folder == path:
            return
        path = folder


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
