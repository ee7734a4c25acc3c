"""A copy of a task's file from HDFS: made on its node before the command runs, removed after it.

The download is the beginning of the task's own process, which becomes the command when the copy is there. So a kill, a
time limit, a limit of memory, an inventory and a lost kernel mean to it what they mean to any command. The copy lies
in a folder of its own in the sandbox, which is removed when the task is over.

WebHDFS without credentials: what travels is an address and a user's name.
"""

import json
import os
import shutil
import sys

from .command import Way
from .work import Task, encode

#: What a task exits with whose file could not be copied.
NOT_FETCHED = 74
#: How long a server may take to be connected to, or to send more, in seconds.
PATIENCE_S = 30

# Runs on any python3 by itself. When the command begins, SIGPIPE, SIGXFSZ and LC_CTYPE are as they were before Python.
_PROGRAM = """
import json, os, signal, sys, urllib.request
from urllib.error import HTTPError
from urllib.parse import quote

asked = json.loads(sys.argv[1])
raw = lambda text: text.encode("utf-8", "surrogateescape")
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

def said(error):
    if isinstance(error, HTTPError):
        try:
            told = json.loads(error.read(65536).decode("utf-8"))["RemoteException"]
            return told["exception"], told["message"].split("\\n")[0]
        except Exception:
            return "", "{} {}".format(error.code, error.reason)
    reason = getattr(error, "reason", None) or error
    return "", str(getattr(reason, "strerror", None) or reason or type(reason).__name__)

def ask(web, operation):
    name = quote(raw(asked["path"]))
    user = quote(raw(asked["user"]), "")
    address = "{}/webhdfs/v1{}?op={}&user.name={}".format(web, name, operation, user)
    return opener.open(address, timeout=asked["patience_s"])

def fetch(web, target):
    size = 0
    with ask(web, "OPEN") as answer, open(target, "wb") as copy:
        length = answer.headers.get("Content-Length")
        while True:
            data = answer.read(1 << 20)
            if not data:
                break
            copy.write(data)
            size += len(data)
    if length is None:
        with ask(web, "GETFILESTATUS") as answer:
            length = json.loads(answer.read().decode("utf-8"))["FileStatus"]["length"]
    if size != int(length):
        raise OSError("the connection ended after {:,} of {:,} bytes".format(size, int(length)))

def main():
    target = os.path.join(raw(asked["folder"]), raw(asked["path"].rsplit("/", 1)[1]))
    why = ""
    for web in asked["web"]:
        try:
            fetch(web, target)
            return target
        except Exception as error:
            kind, text = said(error)
            if kind != "StandbyException" or not why:
                why = text
            if kind != "StandbyException" and isinstance(error, HTTPError):
                break  # it is the active one that says so
    why = "stratos: cannot fetch {}: {}\\n".format(asked["name"], why)
    os.write(2, why.encode("utf-8", "surrogateescape"))
    os._exit(asked["code"])

os.environb[b"STRATOS_FILE"] = main()
if not asked["locale"]:
    os.environb.pop(b"LC_CTYPE", None)
for number in (signal.SIGPIPE, getattr(signal, "SIGXFSZ", signal.SIGPIPE)):
    signal.signal(number, signal.SIG_DFL)
program, *words = [os.fsencode(word) for word in sys.argv[2:]]
os.execv(program, words)
"""


def prepare_fetch(task: Task, way: Way) -> Way:
    """Return what fetches a task's file and then executes it in its own way; ValueError when it cannot be fetched."""
    _number, _attempt, _command, name = task.item
    context = task.batch.context
    if not sys.executable:
        raise ValueError("where Python is on this node is not known")
    task.copy = os.path.join(context.sandbox, str(task.number // 1000), "{}.{}.copy".format(task.number, task.attempt))
    user, web = context.fetch
    asked = {
        "web": web,
        "user": user,
        "name": name,
        "path": _path(name or ""),
        "folder": task.copy,
        "locale": any(line.startswith(b"LC_CTYPE=") for line in context.env),
        "patience_s": PATIENCE_S,
        "code": NOT_FETCHED,
    }
    own, programs, more = way
    argv = [encode(sys.executable), b"-I", b"-S", b"-c", encode(_PROGRAM), encode(json.dumps(asked)), programs[0], *own]
    return argv, (encode(sys.executable),), more


def _path(name: str) -> str:
    """Return the path of ``hdfs:/path`` or ``hdfs://host:port/path``."""
    rest = name[len("hdfs:") :]
    return "/" + rest[2:].partition("/")[2] if rest.startswith("//") else rest


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
