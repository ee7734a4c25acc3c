"""Copies of a task's files from HDFS: made on its node before the command runs, removed after it.

The download is the beginning of the task's own process, which becomes the command when the copies are there, by the
arguments that the command has without it, shell or not. So a kill, a time limit, a limit of memory, an inventory and a
lost kernel mean to it what they mean to any command. The copies lie in a folder of their own in the sandbox, which is
removed when the task is over.

It is as stubborn as HDFS's own client: a DataNode that refuses, breaks off or says nothing is left out and another
replica asked (`excludedatanodes`), from where the last one ended; a NameNode that is gone, on standby, starting or in
safe mode is waited for. When nothing has come for `work.FETCH_WAIT_S`, that is the cluster's failure: the attempt is
lost, not failed. What a NameNode refuses for good (no such file, no permission, a directory) and a disk without room
fail the task.

WebHDFS without credentials: what travels is an address and a user's name.
"""

import json
import os
import shutil
import sys
from contextlib import suppress
from typing import Any, Dict, List, Tuple

from ..work import Task, encode
from .argv import Way

#: What a task exits with whose file could not be copied: for good, or because the cluster was not there.
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

# Runs on any python3 by itself. When the command begins, SIGPIPE, SIGXFSZ and LC_CTYPE are as they were before Python.
_PROGRAM = """
import errno, json, os, signal, socket, sys, time, urllib.request
from urllib.error import HTTPError
from urllib.parse import quote, urljoin, urlsplit

after = 2 + int(sys.argv[1])
asked = json.loads("".join(sys.argv[2:after]))
raw = lambda text: text.encode("utf-8", "surrogateescape")
LASTING = (
    "AccessControlException", "FileNotFoundException", "IllegalArgumentException", "InvalidPathException",
    "InvalidToken", "ParentNotDirectoryException", "SecurityException", "UnresolvedLinkException",
    "UnsupportedOperationException",
)

class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect())

class ForGood(Exception):
    pass

class Behind(Exception):  # a DataNode has failed, of this host
    def __init__(self, host, why):
        Exception.__init__(self, why)
        self.host = host

def said(error):
    if isinstance(error, HTTPError):
        try:
            told = json.loads(error.read(65536).decode("utf-8"))["RemoteException"]
            return told["exception"], told["message"].split("\\n")[0]
        except Exception:
            kind = LASTING[0] if error.code in (400, 401, 404, 405) else ""
            return kind, "{} {}".format(error.code, error.reason)
    reason = getattr(error, "reason", None) or error
    return "", str(getattr(reason, "strerror", None) or reason or type(reason).__name__)

def address(web, path, operation, more=""):
    user = quote(raw(asked["user"]), "")
    return "{}/webhdfs/v1{}?op={}&user.name={}{}".format(web, quote(raw(path)), operation, user, more)

def ask(url):
    return opener.open(url, timeout=asked["patience_s"])

def status(web, path):
    with ask(address(web, path, "GETFILESTATUS")) as answer:
        found = json.loads(answer.read().decode("utf-8"))["FileStatus"]
    if found.get("type", "FILE") != "FILE":
        raise ForGood("it is a directory")
    return int(found["length"]), found.get("modificationTime")

def begin(web, path, offset, length, dead):
    more = "&offset={}&length={}".format(offset, length)
    if dead:
        names = set(dead)
        for host in dead:
            try:
                names.update(found[4][0] for found in socket.getaddrinfo(host, None))
            except OSError:
                pass
        more += "&excludedatanodes=" + quote(",".join(sorted(name for name in names if ":" not in name)))
    try:
        return None, ask(address(web, path, "OPEN", more))
    except HTTPError as error:
        where = error.headers.get("Location") if error.code in (301, 302, 303, 307, 308) else None
        if not where:
            raise
    where = urljoin(web, where)
    parts = urlsplit(where)
    try:
        return parts.hostname, ask(where)
    except Exception as error:
        kind, why = said(error)
        if kind in LASTING:
            raise ForGood(why)
        raise Behind(parts.hostname, "DataNode {}: {}".format(parts.netloc, why))

def read(web, path, target, at, size, dead):
    host, answer = begin(web, path, at, size - at, dead)
    netloc = urlsplit(answer.geturl()).netloc
    with answer:
        while target.tell() < size:
            try:
                data = answer.read1(min(1 << 20, size - target.tell()))
            except Exception as error:
                raise Behind(host, "DataNode {}: {}".format(netloc, said(error)[1]))
            if not data:
                break
            try:
                target.write(data)
                target.flush()
            except OSError as error:
                raise ForGood("no room for it: {}".format(error.strerror))
    if target.tell() < size:
        raise Behind(host, "DataNode {}: the connection ended after {:,} of {:,} bytes".format(
            netloc, target.tell(), size))

def fetch(name, path, copy):
    dead, troubles, seen, pause, most, told = {}, {}, None, 0.1, 0, False
    until = time.monotonic() + asked["wait_s"]
    with open(copy, "wb") as target:
        while True:
            for web in list(asked["web"]):
                try:
                    now = status(web, path)
                    if seen not in (None, now):
                        target.seek(0)  # another file has taken its place
                        target.truncate()
                    seen = now
                    room = os.statvfs(os.path.dirname(copy))
                    if seen[0] - target.tell() > room.f_bavail * room.f_frsize:
                        raise ForGood("no room for its {:,} bytes on this node: {:,} are free".format(
                            seen[0], room.f_bavail * room.f_frsize))
                    if seen[0] > target.tell():
                        read(web, path, target, target.tell(), seen[0], dead)
                    return
                except ForGood:
                    raise
                except Behind as error:
                    troubles[error.host] = str(error)
                    if error.host and error.host not in dead:
                        dead[error.host] = True
                        pause = 0.0
                    else:
                        dead = {}  # all replicas have been tried
                except Exception as error:
                    kind, why = said(error)
                    if kind in LASTING:
                        raise ForGood(why)
                    if kind != "StandbyException" or web not in troubles:
                        troubles[web] = "NameNode {}: {}".format(urlsplit(web).netloc, why)
                    if not kind or kind == "StandbyException":
                        continue  # to the next NameNode
                    dead = {}  # as when no replica is left
                asked["web"].remove(web)
                asked["web"].insert(0, web)  # it is the active one
                break
            now = time.monotonic()
            if target.tell() > most:
                most, until = target.tell(), now + asked["wait_s"]
            why = "; ".join(troubles.values())
            if now >= until:
                raise OSError(why)
            if not told and now > until - asked["wait_s"] + asked["quiet_s"]:
                told = True
                say("stratos: waiting for {}: {}".format(name, why))
            time.sleep(min(pause, until - now))
            pause = min(2 * pause + 0.1, 5.0)

def say(text):
    try:
        with open(raw(asked["why"]), "wb") as note:
            note.write(raw(text))
    except OSError:
        pass

def leave(code, name, why):
    text = "stratos: cannot fetch {}: {}".format(name, why)
    os.write(2, raw(text) + b"\\n")
    say(text)
    os._exit(code)

for variable, name, path, folder in asked["copies"]:
    copy = os.path.join(raw(folder), raw(path.rsplit("/", 1)[1]))
    try:
        os.makedirs(raw(folder), 0o700, exist_ok=True)
        fetch(name, path, copy)
    except ForGood as error:
        leave(asked["failed"], name, error)
    except OSError as error:
        own = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG, errno.EACCES)
        leave(asked["failed"] if own else asked["lost"], name, error.strerror if own else error)
    os.environb[raw(variable)] = copy
try:
    os.unlink(raw(asked["why"]))
except OSError:
    pass
if not asked["locale"]:
    os.environb.pop(b"LC_CTYPE", None)
for number in (signal.SIGPIPE, getattr(signal, "SIGXFSZ", signal.SIGPIPE)):
    signal.signal(number, signal.SIG_DFL)
argv = [os.fsencode(word) for word in sys.argv[after:]]
if asked["is_argument"]:
    argv[-1] = os.environb[b"STRATOS_FILE"]
why = errno.ENOENT
for program in asked["programs"]:
    try:
        os.execv(raw(program), argv)
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            os.execv(b"/bin/sh", [b"sh", raw(program)] + argv[1:])
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            why = error.errno
os.write(2, argv[0] + (b": not found" if why == errno.ENOENT else b": " + raw(os.strerror(why))) + b"\\n")
os._exit(127 if why == errno.ENOENT else 126)
"""


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
    argv = [python, b"-I", b"-S", b"-c", encode(_PROGRAM), b"%d" % len(pieces), *map(encode, pieces), *own]
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
    """See to it that a download that failed is no success, and that the cluster's failure loses the attempt."""
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
