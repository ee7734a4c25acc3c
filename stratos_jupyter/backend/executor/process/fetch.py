"""Copies of a task's files from HDFS: made on its node before the command runs, removed after it.

The download is the beginning of the task's own process (fetch_program.py), which becomes the command when the copies
are there, with the arguments that the command has without it. So a kill, a time limit, a memory limit, an inventory
and a lost kernel treat it as they treat any command. The copies lie in a folder of their own in the sandbox, which is
removed when the task is over.

It is as stubborn as HDFS's own client. A DataNode that refuses, breaks off or stays silent is left out and another
replica asked (`excludedatanodes`), from where the last one ended. A NameNode that is gone, on standby, starting or in
safe mode is waited for. When nothing has come for `work.FETCH_WAIT_S`, the cluster has failed: the attempt is lost, not
failed. What a NameNode refuses for good (no such file, no permission, a directory) and a disk without room fail the
task.

WebHDFS without credentials: only an address and a user's name travel.
"""

import json
import os
import shutil
import sys
from contextlib import suppress
from typing import Any, Dict, List, Tuple

from ..work import Task, encode
from .argv import Way
from .fetch_program import PROGRAM

#: Exit codes of a download that failed: for good, or because the cluster was not there.
NOT_FETCHED = 74
CLUSTER_FAILED = 75
#: How long a server may take to be connected to, or to send more, in seconds.
PATIENCE_S = 30
#: A wait that is longer is told, in seconds: in a file beside the copy, for standard error is the command's.
QUIET_S = 5.0
#: The most that is told of a failure.
_TOLD = 2000
#: No argument may have more than 128 KiB, so what is asked for is handed over in pieces of so many characters.
_PIECE = 100000


def fetched(task: Task) -> List[Tuple[str, str]]:
    """Return what is to be copied for a task: the variable that has the copy's path, and the URL."""
    file, marked = task.item[3], task.item[4:]
    if not task.batch.context.fetch[1]:
        return []
    found = [("STRATOS_FILE", file)] if file is not None and file.startswith("hdfs:/") else []
    return found + [("STRATOS_COPY_{}".format(number + 1), name) for number, name in enumerate(marked)]


def prepare_fetch(task: Task, copies: List[Tuple[str, str]], way: Way) -> Way:
    """Return what copies files for a task and then executes it in its own way; ValueError when that cannot be."""
    own, programs, more = way
    context = task.batch.context
    if not sys.executable:
        raise ValueError("where Python is on this node is not known")
    task.copy = os.path.join(context.sandbox, str(task.number // 1000), "{}.{}.copy".format(task.number, task.attempt))
    user, web = context.fetch
    asked: Dict[str, Any] = {
        "web": web,
        "user": user,
        "copies": [
            (variable, name, _path(name), task.copy if not number else os.path.join(task.copy, str(number)))
            for number, (variable, name) in enumerate(copies)
        ],
        "programs": [program.decode("utf-8", "surrogateescape") for program in programs],
        # A script finds its task's file as its last argument, too.
        "is_argument": bool(task.script) and copies[0][0] == "STRATOS_FILE",
        "locale": any(line.startswith(b"LC_CTYPE=") for line in context.env),
        "patience_s": PATIENCE_S,
        "wait_s": context.fetch_wait_s,
        "quiet_s": QUIET_S,
        "failed": NOT_FETCHED,
        "lost": CLUSTER_FAILED,
        "why": _why(task),
    }
    python, text = encode(sys.executable), json.dumps(asked)
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    argv = [python, b"-I", b"-S", b"-c", encode(PROGRAM), b"%d" % len(pieces), *map(encode, pieces), *own]
    return argv, (python,), more


def _path(name: str) -> str:
    """Return the path of ``hdfs:/path`` or ``hdfs://host:port/path``."""
    rest = name[len("hdfs:") :]
    return "/" + rest[2:].partition("/")[2] if rest.startswith("//") else rest


def _why(task: Task) -> str:
    """Return where the download says what of the cluster has failed."""
    return task.copy[: -len("copy")] + "why"


def make_copy_folder(task: Task) -> None:
    """Make the folder, empty; raises OSError."""
    path = encode(task.copy)
    remove_copy(task)  # of an executor that was killed
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    os.mkdir(path, 0o700)


def remove_copy(task: Task) -> None:
    """Remove the folder with what the command may have put beside the copy."""
    if task.copy:
        shutil.rmtree(encode(task.copy), ignore_errors=True)
        with suppress(OSError):
            os.unlink(encode(_why(task)))


def fetch_note(task: Task) -> str:
    """Return what the download says that it waits for, or has failed for; "" when it is over."""
    if not task.copy:
        return ""
    try:
        with open(encode(_why(task)), "rb") as file:
            return file.read(_TOLD).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def judge_fetch(task: Task, status: Any) -> None:
    """Set the reason of a task whose download failed: a failure, or a loss where the cluster has failed."""
    if not task.copy or task.reason or status is None or not os.WIFEXITED(status):
        return
    code = os.WEXITSTATUS(status)
    if code not in (NOT_FETCHED, CLUSTER_FAILED):
        return
    note = fetch_note(task)
    if not note:
        return  # it is the command that has exited so
    if code == CLUSTER_FAILED:
        task.reason, task.note = "lost", note
    elif task.batch.context.success.says("exit", code):  # the command's codes are not those of what comes before it
        task.reason, task.note = "output", note
