"""Monitors and relaunchers as users name them: a program, or a function of the notebook.

All that is wrong with one is found before a job starts, as far as this machine can tell.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import itertools
import os
import shlex
import shutil
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from ...errors import SpecError
from .executor_context import ExecutorContext

#: what a function finds without importing it
_GIVEN: Final = frozenset({"relaunch", *dir(builtins)})


def program(what: str, text: str, cwd: str) -> tuple[str, ...]:
    """Return the words of a program with its arguments, the first an absolute path.

    Parameters
    ----------
    what : str
        What it is to the user, for messages.
    text : str
        The program's path or name, and its arguments as a shell splits them. A path with spaces that exists is taken
        as it is.
    cwd : str
        Where a path is relative to.

    Raises
    ------
    SpecError
        There is no such program, or it cannot be executed; says the cure.
    """
    whole = _under(cwd, text)
    if os.path.isfile(whole):
        words = [whole]
    else:
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise SpecError(f"{what} {text!r}: {error}") from None
        if not words:
            raise SpecError(f"{what} {text!r} names no program")
        beside = _under(cwd, words[0])
        found = None if "/" in words[0] else shutil.which(words[0])
        words[0] = found or beside
    path = words[0]
    if os.path.isdir(path):
        raise SpecError(f"{what} {path} is a directory")
    if not os.path.exists(path):
        raise SpecError(f"there is no {what} {text!r}: neither a program on the PATH, nor the file {path}")
    if not os.access(path, os.X_OK):
        raise SpecError(f"{what} {path} may not be executed: chmod +x {shlex.quote(path)}")
    if _has_no_interpreter(path):
        raise SpecError(f"{what} {path} does not say what runs it: its first line must be #!/bin/sh or the like")
    return tuple(words)


def _under(cwd: str, path: str) -> str:
    return os.path.join(cwd, os.path.expanduser(path))


def _has_no_interpreter(path: str) -> bool:
    """Say whether a file is text that no system would know how to run."""
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError:
        return False  # executable and not readable: the system will know
    return not head.startswith(b"#!") and b"\0" not in head and all(byte < 0x80 for byte in head)


def function_source(function: Callable[..., Any]) -> str:
    """Return the source of a monitor function, such that a node's python can run it.

    Modules that it uses are imported there, constants go with it; anything else it has to define itself.

    Parameters
    ----------
    function : callable
        ``def watch(pid, stdout, stderr)``.

    Raises
    ------
    SpecError
        It is no function with a source, takes other arguments, or uses what a node cannot know.
    """
    name = getattr(function, "__name__", repr(function))
    if not isinstance(function, types.FunctionType) or name == "<lambda>":
        raise SpecError(f"monitor {name}: write it as a function, def {name.strip('<>')}(pid, stdout, stderr)")
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        raise SpecError(f"monitor {name}: its source cannot be found; define it in a cell or a file") from None
    try:
        inspect.signature(function).bind(1, "", "")
    except TypeError as error:
        raise SpecError(f"monitor {name}: it is called as {name}(pid, stdout, stderr), but {error}") from None
    if function.__closure__ or function.__name__ != _defined(source):
        raise SpecError(f"monitor {name}: a node runs it by itself, so it can be neither decorated nor nested")
    lines: list[str] = []
    unknown: list[str] = []
    for used in sorted(set(_globals(compile(source, "<monitor>", "exec"))) - _GIVEN - {name}):
        if used not in function.__globals__:
            unknown.append(used)
            continue
        value = function.__globals__[used]
        if isinstance(value, types.ModuleType):
            lines.append(f"import {value.__name__} as {used}" if value.__name__ != used else f"import {used}")
        elif (literal := _literal(value)) is not None:
            lines.append(f"{used} = {literal}")
        else:
            unknown.append(used)
    if unknown:
        raise SpecError(
            f"monitor {name} uses {', '.join(unknown)}, which a node does not know: define or import it inside {name}"
        )
    return "\n".join([*lines, source])


def _defined(source: str) -> str:
    """Return the name that the first line of a source defines; '' when it is no ``def``."""
    words = source.split("(", 1)[0].split()
    return words[1] if len(words) == 2 and words[0] == "def" else ""


def _globals(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals(constant)


def _literal(value: object, depth: int = 0) -> str | None:
    """Return Python that makes a plain constant, or None when it is none; a subclass gives what it is based on."""
    if value is None:
        return "None"
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # a scalar of NumPy
    if isinstance(value, str):
        return repr(str.__str__(value))
    if isinstance(value, float):
        return repr(float(value)) if value - value == 0 else f"float({str(float(value))!r})"  # inf has no literal
    if isinstance(value, bool | bytes):
        return repr(value)
    if isinstance(value, int):
        return repr(int(value))
    if depth > 20 or type(value) not in (tuple, list, set, dict):
        return None
    pairs = list(value.items()) if isinstance(value, dict) else []
    flat: Iterable[object] = itertools.chain.from_iterable(pairs) if isinstance(value, dict) else value  # type: ignore[assignment]
    parts = [_literal(part, depth + 1) for part in flat]
    if None in parts:
        return None
    texts = [str(part) for part in parts]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {held}" for key, held in zip(texts[::2], texts[1::2], strict=True)) + "}"
    inside = "".join(f"{text}, " for text in texts)
    if isinstance(value, list):
        return f"[{inside}]"
    if isinstance(value, set):
        return f"{{{inside}}}" if texts else "set()"
    return f"({inside})"


def to_context(monitor: str, source: str, relauncher: str, update_interval_s: float) -> ExecutorContext:
    """Return what an executor must know of them: the wire's fields of a context."""
    watching: Mapping[str, object] | None = None
    if source:
        watching = {"python": {"source": source, "name": monitor}}
    elif monitor:
        watching = {"argv": shlex.split(monitor)}
    return {
        "monitor": watching,
        "relauncher": {"argv": shlex.split(relauncher)} if relauncher else None,
        "update_interval_s": update_interval_s,
    }
