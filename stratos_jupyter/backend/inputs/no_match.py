"""Why a pattern finds nothing, in words: what was looked for, where it ends, and how to write what may be meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from .globbing import Expander, FileEntry, Start, split
from .pattern_parts import has_magic, in_order, matcher, plain
from .pattern_words import unclosed

#: into so many directories it is looked
FOLDERS_MOST: Final = 50
#: so many names of a directory are shown
SHOWN: Final = 5
_EXTENDED: Final = re.compile(r"[@!+?*]\([^)]*\)")
_BRACKETS: Final = re.compile(r"[*?[]")
_SINGLE: Final = re.compile(r"(?<!\$)\{[^{},]*\}")


def why_nothing(text: str, word: Start, expander: Expander) -> str:
    """Return why a word of the pattern `text` finds nothing; looks at no more directories than the pattern names."""
    reasons = [*_of_the_text(text), *_of_the_tree(word, expander)]
    return "; ".join(reason for reason in reasons if reason)


def _of_the_text(text: str) -> list[str]:
    opened = unclosed(text)
    said = []
    if opened:
        said.append(f"its {opened} is not closed, and is a character")
    if _EXTENDED.search(text):
        said.append("@( ), !( ) and the like are characters here; { } and [ ] are known")
    if (single := _SINGLE.search(text)) is not None and ".." not in single[0]:
        said.append(
            f"{single[0]} has no alternatives, so its braces are characters; no Python variable's value is put in here"
        )
    if text[:1] in "'\"" and text[:1] == text[-1:] and len(text) > 1:
        said.append("the quotes in it are characters")
    return said


def _of_the_tree(word: Start, expander: Expander) -> list[str]:
    """Go down as far as there is something, and say what is there."""
    head, parts = split(word.pattern)
    names = [part for part in head.split("/") if part]
    folders = [(word.shown, word.path)]
    for at, part in enumerate(names + parts):
        if part == "**" and (rest := [one for one in (names + parts)[at:] if one != "**"]):
            shown, path = folders[0]
            return [f"nothing below {_folder(shown, path)}, at any depth, matches {'/'.join(rest)!r}"]
        if part in ("", ".", "..", "**"):
            return []
        magic, last = at >= len(names) and has_magic(part), at == len(names) + len(parts) - 1
        below = [
            (_below(shown, name), _below(path, name))
            for shown, path in folders
            for name in (_fitting(expander, path, part, last) if magic else _named(expander, path, plain(part), last))
        ]
        if not below:
            shown, path = folders[0]
            return [_nothing_in(_folder(shown, path), expander.listing(path), part, magic, last, expander.tree.hidden)]
        folders = below[:FOLDERS_MOST]
    return []


def _folder(shown: str, path: str) -> str:
    """Return how a message names a directory: ``hdfs:/``, not ``hdfs:``."""
    return shown + "/" * (path == "/" and shown[-1:] not in ("", "/")) or path


def _fitting(expander: Expander, path: str, part: str, last: bool) -> list[str]:
    fits, hidden = matcher(part).match, expander.tree.hidden.replace(plain(part)[:1], "")
    listed = expander.listing(path) or {}
    return [name for name in filter(fits, listed) if name[0] not in hidden and (last or listed[name].is_dir)]


def _named(expander: Expander, path: str, name: str, last: bool) -> list[str]:
    entry = next(iter(expander.tree.look_all([_below(path, name)])))
    return [name] if entry is not None and (last or entry.is_dir) else []


def _nothing_in(
    folder: str, listed: Mapping[str, FileEntry] | None, part: str, magic: bool, last: bool, hidden: str
) -> str:
    """Say that nothing in a directory is what a part means, and what is near."""
    name = plain(part)
    said = f"in {folder} nothing matches {part!r}" if magic else f"{_below(folder, name)} does not exist"
    if listed is None:
        return f"{folder} cannot be listed" if magic else said
    fits, likes = matcher(part).match, matcher(part, any_case=True).match
    if magic and part in listed:
        return f"{said}, but there is that name itself, which as a pattern is {_BRACKETS.sub(_in_brackets, part)}"
    if not last and (files := [one for one in filter(fits, listed) if not listed[one].is_dir]):
        return f"{_below(folder, files[0])} is no directory"
    if near := list(filter(fits, listed)):
        begins = " or ".join(sorted({one[0] for one in near}))
        return f"{said} but {_some(near)}: names that begin with {begins} are found only when the pattern begins so"
    if near := list(filter(likes, listed)):
        return f"{said}, but upper and lower case differ: {_some(near)}"
    seen = [one + "/" * listed[one].is_dir for one in listed if one[0] not in hidden]
    return f"{said}; {'it' if magic else folder} {f'has {_some(seen)}' if seen else 'is empty'}"


def _in_brackets(found: re.Match[str]) -> str:
    return f"[{found[0]}]"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return (
        ", ".join(
            repr(name) if name.strip() != name or not name.isprintable() else name for name in in_order(names)[:SHOWN]
        )
        + more
    )


def _below(folder: str, name: str) -> str:
    return folder + name if not folder or folder.endswith("/") else f"{folder}/{name}"
