"""The program that copies files from HDFS and then becomes the command (fetch.py).

It runs on any python3 by itself: ``python3 -c PROGRAM COUNT PIECE... ARGUMENT...``, where the pieces together are what
is asked for, as JSON, and the arguments are the command's. When the command begins, SIGPIPE, SIGXFSZ and LC_CTYPE are
as they were before Python.
"""

PROGRAM = """
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
