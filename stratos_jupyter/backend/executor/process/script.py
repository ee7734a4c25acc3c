"""A text whose first line names its interpreter: ``#!/usr/bin/env python3``.

As the system starts a script: the interpreter, at most one argument, the script's path; then the task's file, if it has
one. The interpreter gets the path, and the script itself is never executed: so it may lie where nothing may be
executed, and may have been written a moment ago.
"""

import os
from contextlib import suppress
from typing import List, Tuple

from ..work import Task, encode
from .argv import Unsuited, Way, find_program, may_execute


def is_script(command: str) -> bool:
    """Say whether the first line of a text names an interpreter."""
    return command.startswith("#!")


def interpreter(command: str, search: List[bytes], cwd: bytes) -> Tuple[bytes, List[bytes]]:
    """Return the interpreter that a script names, and its argument, if any; relative paths begin at `cwd`.

    Raises
    ------
    Unsuited
        The line names none, or this node has no such program.
    """
    line = encode(command.partition("\n")[0][2:]).strip()
    program, _, argument = line.partition(b" ") if b"\t" not in line else line.partition(b"\t")
    if not program:
        raise Unsuited("the first line, #!, names no interpreter: write #!/bin/bash or #!/usr/bin/env python3")
    found = find_program(program, search)
    if found is None or not may_execute(os.path.join(cwd, found)):
        name = program.decode("utf-8", "replace")
        raise Unsuited(
            "the first line names {}, which this node cannot execute: install it there, or correct it".format(name)
        )
    argument = argument.strip()
    return found, [argument] if argument else []


def script_way(task: Task) -> Way:
    """Return what executes a task's script; `make_script` must have written it then.

    Raises
    ------
    Unsuited
        This node has no such interpreter.
    """
    context = task.batch.context
    _number, _attempt, command, file = task.item[:4]
    program, argument = interpreter(command, context.search, context.cwd)
    number, attempt = task.number, task.attempt
    task.script = os.path.join(context.sandbox, str(number // 1000), "{}.{}.script".format(number, attempt))
    more = [] if file is None else [encode(file)]
    return [program, *argument, encode(task.script), *more], (program,), []


def make_script(task: Task) -> None:
    """Write the script; raises OSError."""
    path = encode(task.script)
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    with suppress(FileNotFoundError):
        os.unlink(path)  # of an executor that was killed
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700)
    with os.fdopen(fd, "wb") as script:
        script.write(encode(task.item[2]) + b"\n")


def remove_script(task: Task) -> None:
    """Remove the script."""
    if task.script:
        with suppress(OSError):
            os.unlink(encode(task.script))
