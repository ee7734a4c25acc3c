"""What the tasks of a job make: names with places, filled in for each task. PURE.

``--makes 'out/%file.stem%.fits'`` promises a file for each task. In a glob ``%f%`` and ``%file%`` are the file's name;
in a template ``%name%`` is the value of a column, ``%c%`` the next one of the row; ``%file.stem%`` and the like take a
part of a name. Values are put in as they are, for no shell reads them; only a template's value that is one quoted word,
as ``shlex.quote`` makes them, stands for what the shell makes of it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Final

from ...errors import SpecError
from .command_base import Commands

_PLACE: Final = re.compile(r"%(?P<name>\w+)(?:\.(?P<part>\w+))?%")
#: parts of a name, as Python's paths call them
PARTS: Final = ("stem", "name", "parent", "suffix")
_URL: Final = re.compile(r"[A-Za-z][\w+.\-]*:/")
#: how many faults of one kind a message names
SHOWN: Final = 3


def parse_makes(texts: object) -> tuple[str, ...]:
    r"""Return the names of files that a user's words promise; ``a,b`` are two, ``\,`` is a comma.

    Raises
    ------
    SpecError
        One can be no file's name. Names everything that is wrong.
    """
    words = [texts] if isinstance(texts, str) or not isinstance(texts, Iterable) else list(texts)
    found: list[str] = []
    bad: list[str] = []
    for given in words:
        word = given.__fspath__() if hasattr(given, "__fspath__") else given
        if not isinstance(word, str):
            bad.append(f"{word!r} is no text")
            continue
        parts = [part.replace("\\,", ",").strip() for part in re.split(r"(?<!\\),", word)]
        if "{" in word or "}" in word:
            bad.append(f"{word!r}: braces are not expanded; name each file, with commas between")
        elif not all(parts) and word:
            bad.append(f"{word!r} has an empty name in it")
        else:
            bad += [f"{part!r}: {why}" for part in parts if part and (why := _wrong(part))]
            found += [part for part in parts if part]
    if bad:
        raise SpecError("; ".join(bad))
    return tuple(dict.fromkeys(found))


def _wrong(name: str) -> str:
    """Say why a template can be no file's name; "" when it can."""
    if "\0" in name or "\n" in name:
        return "a name has no line end and no NUL in it"
    if _URL.match(name):
        return "it is an address, and a task's node looks for a file: name it as the commands see it"
    if "$" in name:
        return "variables are not put in; write the path"
    if "*" in name or "?" in name:
        return "patterns are not expanded; name one file, or the directory, which must not be empty"
    return ""


def makes(templates: Sequence[str], commands: Commands, index: int) -> tuple[str, ...]:
    """Return the files that a command makes, as the command would name them.

    Raises
    ------
    SpecError
        A place has no meaning in these commands.
    """
    if not templates:
        return ()
    values, row = commands.named_values(index), commands.unnamed_values(index)
    return tuple(_filled(template, values, row) for template in templates)


def _filled(template: str, values: Mapping[str, str], row: Sequence[str]) -> str:
    left = iter(row)
    unknown: list[str] = []

    def value(found: re.Match[str]) -> str:
        name, part = found["name"], found["part"]
        text = values.get(name)
        if text is None and name == "c":
            text = next(left, None)
        if text is None or (part is not None and part not in PARTS):
            unknown.append(found[0])
            return ""
        return text if part is None else _part(text, part)

    filled = _PLACE.sub(value, template)
    if unknown:
        more = [f"{name}.{part}" for name in list(values)[-1:] for part in PARTS]
        known = ", ".join(f"%{name}%" for name in [*values, *(["c"] if row else []), *more])
        of = f"known: {known}" if known else "commands that are written out have none"
        raise SpecError(f"--makes {template}: {', '.join(unknown)} is no place of these commands; {of}")
    return filled


def _part(path: str, part: str) -> str:
    """Return a part of a path, as `pathlib` has it: of ``a/b.tar.gz`` the stem is ``b.tar``."""
    whole = path.rstrip("/") or path[:1]
    parent, name = posixpath.split(whole)
    dot = name.rfind(".")
    dot = dot if 0 < dot < len(name) - 1 else len(name)
    match part:
        case "name":
            return name
        case "stem":
            return name[:dot]
        case "suffix":
            return name[dot:]
    return parent or "."


def promise(
    templates: Sequence[str], commands: Commands, cwd: str, first: int, promised: MutableMapping[str, int]
) -> list[str]:
    """Note which files commands make, and say what is wrong with that.

    Parameters
    ----------
    templates : sequence of str
        Names with places.
    commands : Commands
        Who makes them.
    cwd : str
        Where they run.
    first : int
        The index of the first of them as a task.
    promised : mutable mapping of str to int
        Which task makes a file, by its whole name; those of these commands come to it.
    """
    clashes: list[str] = []
    count = 0
    for index in range(len(commands) if templates else 0):
        try:
            paths = makes(templates, commands, index)
        except SpecError as error:
            return [str(error)]  # it is the same for all
        if bad := [path for path in paths if "\0" in path or _URL.match(path) or not path.rstrip("/")]:
            return [
                f"--makes: task {first + index} would make {bad[0]!r}, which is no file that its node could look for"
            ]
        task = first + index
        for path in paths:
            other = promised.setdefault(posixpath.normpath(posixpath.join(cwd, path)), task)
            if other != task:
                count += 1
                clashes += [f"tasks {other} and {task} would both make {path}"] if count <= SHOWN else []
    if not clashes:
        return []
    more = f", and {count - SHOWN:,} more" if count > SHOWN else ""
    return [f"--makes: {'; '.join(clashes)}{more}: {commands.own_file}"]
