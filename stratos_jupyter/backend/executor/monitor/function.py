"""A monitor that is a Python function: called in a process of its own, because it may crash, hang or eat memory.

What it is given, and what it answers, go through one temporary file, which has no name: the process has it as its
standard input, reads it, and appends its answer. The function itself finds an empty standard input, so nothing
that it prints can be taken for an answer.
"""

import json
import os
import sys
from typing import Any, Dict, List, NamedTuple, Optional

from ..output.monitored_stream import Heard, newest_text
from ..work import encode
from .helper_process import one_line
from .plan import WatchPlan

#: What the commands of one relaunch may take, in bytes.
COMMANDS_LIMIT = 4 * 1024 * 1024

# A character may take six in JSON.
_ANSWER_LIMIT = 7 * COMMANDS_LIMIT


class Answer(NamedTuple):
    """The answer of a function."""

    #: What to start instead of the task; None when it is to go on.
    commands: Optional[List[str]] = None
    #: A text that it returned.
    text: bytes = b""
    #: What was wrong with it.
    trouble: str = ""


class Question:
    """One call of a function.

    Parameters
    ----------
    plan : WatchPlan
        Holds the function.
    pid, out, err
        Its arguments.
    """

    def __init__(self, plan: WatchPlan, pid: int, out: Heard, err: Heard) -> None:
        """Raises OSError."""
        import tempfile  # takes a while, and most jobs have no such monitor

        self._name = plan.name
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (it is kept until the answer is there)
        question: Dict[str, Any] = {"source": plan.source, "name": plan.name, "pid": pid}
        question.update(stdout=newest_text(out), stderr=newest_text(err))
        data = memoryview(json.dumps(question).encode("ascii"))
        self._size = len(data)
        try:
            while data:
                data = data[self._file.write(data) :]
            self._file.seek(0)
        except OSError:
            self._file.close()
            raise

    @property
    def stdin(self) -> int:
        """The standard input of the process."""
        return self._file.fileno()

    def answer(self) -> Optional[Answer]:
        """Return the answer; None when there is none."""
        data = os.pread(self.stdin, _ANSWER_LIMIT, self._size)
        try:
            kind, value = json.loads(data.decode("ascii"))
        except ValueError:
            return None
        if kind == "commands":
            commands, dropped = value
            trouble = "only the first 4 MiB of its commands are kept, {:,} were dropped".format(dropped)
            return Answer(commands, trouble=self._trouble(trouble) if dropped else "")
        if kind == "text":
            return Answer(text=encode(value))
        return Answer(trouble=self._trouble(value) if value else "")

    def _trouble(self, text: str) -> str:
        return one_line("{}: {}".format(self._name, text).encode("utf-8", "replace"))

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.close()


def program() -> List[bytes]:
    """Return what runs a function."""
    python = sys.executable or "python3"
    return [encode(python), b"-I", b"-c", encode(_PROGRAM), b"%d" % COMMANDS_LIMIT]


#: Reads the question, calls the function, appends the answer. It is one process's whole program.
_PROGRAM = r"""
import io, json, os, sys, traceback

LIMIT = int(sys.argv.pop())
TEXT_LIMIT = 192 * 1024
me = os.getpid()
box = os.dup(0)
null = os.open(os.devnull, os.O_RDONLY)
os.dup2(null, 0)
os.close(null)


class Relaunch:
    def __init__(self, commands):
        self.commands = commands


asked = []


def relaunch(*commands):
    for command in commands:
        if not isinstance(command, str):
            raise TypeError("relaunch() takes commands, each one a str; got " + repr(command)[:100])
        command.encode("utf-8", "surrogateescape")
    asked.append(Relaunch([command for command in commands if command.strip()]))
    return asked[-1]


def answer_to(question):
    namespace = {"__name__": "stratos_monitor", "relaunch": relaunch}
    try:
        exec(compile(question["source"], "<monitor>", "exec"), namespace)
        if question["name"] not in namespace:
            return "trouble", "its source doesn't define it"
        result = namespace[question["name"]](question["pid"], question["stdout"], question["stderr"])
        if isinstance(result, str):
            result.encode("utf-8", "surrogateescape")
    except BaseException as error:
        lines = traceback.format_exception_only(type(error), error)[-1].strip().splitlines()
        return "trouble", (lines or ["failed"])[0][:500]
    if isinstance(result, Relaunch):
        kept, size = [], 0
        for command in result.commands:
            size += len(command.encode("utf-8", "surrogateescape")) + 1
            if size > LIMIT:
                break
            kept.append(command)
        return "commands", [kept, len(result.commands) - len(kept)]
    if isinstance(result, str):
        return "text", result[-TEXT_LIMIT:]
    if result is None:
        return "none", "called relaunch() and didn't return what that gave, so the task goes on" if asked else ""
    shown = repr(result)[:100]
    return "trouble", "returned " + shown + "; it must return what relaunch(...) gives, a str or None"


sys.stdout = open(1, "w", 1, "utf-8", "surrogateescape", closefd=False)
sys.__stdout__ = sys.stdout
with io.FileIO(os.dup(box)) as file:
    question = json.loads(file.readall().decode("ascii"))
data = json.dumps(answer_to(question)).encode("ascii")
if os.getpid() != me:
    os._exit(0)
try:
    sys.stdout.flush()
except Exception:
    pass
while data:
    data = data[os.write(box, data):]
# Not the usual end: threads that the function has started would be waited for.
os._exit(0)
"""
