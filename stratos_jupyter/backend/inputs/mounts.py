"""Which names mean files on HDFS: URLs, and paths below a mount. PURE.

``hdfs://host:port/path`` and ``hdfs:/path`` need no mount. Whatever stands for the host, it is the HDFS that the job
names that is asked: the address in such a URL is the one for programs, not that of WebHDFS. ``file:/path`` is a path of
this machine. Names of other schemes are refused as what they are.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from ...errors import SpecError
from ..spec.parse_hdfs import Mounts, joined

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?([^/]*)(/.*)?", re.DOTALL)
#: schemes that are seen by what follows them, `//` or not
_KNOWN: Final = frozenset(
    {
        *("abfs", "abfss", "adl", "alluxio", "cos", "cosn", "dbfs", "file", "ftp", "ftps", "gs", "har", "hdfs", "http"),
        *("https", "maprfs", "o3fs", "ofs", "oss", "rsync", "s3", "s3a", "s3n", "scp", "sftp", "swebhdfs", "viewfs"),
        *("wasb", "wasbs", "webhdfs"),
    }
)
_URL: Final = re.compile(r"(hdfs:(?://[^/]*)?)(/.*)?", re.DOTALL)


class HdfsName(NamedTuple):
    """A name that means something on HDFS.

    Attributes
    ----------
    shown, start : str
        What the name begins with, and the HDFS path that this stands for.
    rest : str
        How both go on.
    """

    shown: str
    start: str
    rest: str

    @property
    def path(self) -> str:
        """The HDFS path."""
        return joined(self.start, self.rest)


def is_url(name: str) -> bool:
    """Say whether a name is a URL of HDFS's."""
    return name.startswith("hdfs:/")


def plain_name(name: str) -> str:
    """Return a name as it is known here: ``file:///data/a`` is ``/data/a``, ``HDFS:/a`` is ``hdfs:/a``.

    Raises
    ------
    SpecError
        It is a URL that no file system here has; the message says what it is, and what to write.
    """
    found = _SCHEME.match(name)
    if found is None:
        return name
    scheme, slashes, host, path = found[1].lower(), found[2] or "", found[3], found[4] or ""
    if not slashes and (scheme not in _KNOWN or (scheme not in ("hdfs", "file") and not path)):
        return name  # a name with a colon
    if scheme == "hdfs":
        if not path or (host and not slashes):
            raise SpecError(f"{name!r}: write hdfs://HOST:PORT/PATH or hdfs:/PATH; a path on HDFS begins with /")
        return f"hdfs:{slashes}{host}{path}"
    if scheme == "file":
        if not path or (host and (not slashes or host.lower() not in ("localhost", "127.0.0.1"))):
            raise SpecError(
                f"{name!r}: of file: URLs those of this machine are known, as file:///PATH; or write the path alone"
            )
        return path
    raise SpecError(f"{name!r}: {_foreign(scheme, host, path)}")


def _foreign(scheme: str, host: str, path: str) -> str:
    """Return what a URL of another scheme is, and what to write instead."""
    there = path.partition("/webhdfs/v1")[2] if "/webhdfs/v1" in path else path
    if scheme in ("webhdfs", "swebhdfs"):
        web = {"webhdfs": "http", "swebhdfs": "https"}[scheme]
        return (
            f"{scheme}: is how HDFS is asked, not where a file is; write hdfs:{there or '/PATH'}, and --hdfs "
            f"{web}://{host} for the address"
        )
    if scheme in ("http", "https") and "/webhdfs/v1" in path:
        base = path.partition("/webhdfs/v1")[0]
        return (
            f"this is an address of WebHDFS; write hdfs:{there.partition('?')[0] or '/PATH'}, and --hdfs "
            f"{scheme}://{host}{base} for the address"
        )
    return (
        f"{scheme}: is no file system that is known here; files of this machine or a mount, and hdfs:/PATH, are. For "
        "others list the names by their own tool and run a template over them"
    )


@dataclass(frozen=True, slots=True)
class MountTable:
    """Tells names of files on HDFS from others.

    Attributes
    ----------
    mounts : Mounts
        Where HDFS is seen.
    """

    mounts: Mounts = ()

    def find(self, name: str, cwd: str = "/") -> HdfsName | None:
        """Return where on HDFS the file of that name is, or the files of a pattern; None when it is not on HDFS."""
        if is_url(name):
            url = _URL.fullmatch(name)
            if url is None or not url[2]:
                raise SpecError(f"{name!r}: write hdfs://HOST:PORT/PATH or hdfs:/PATH")
            return HdfsName(url[1], "/", url[2])
        relative = "" if name.startswith("/") else cwd.rstrip("/") + "/"
        whole = relative + name
        for local, there in self.mounts:
            if whole == local or whole.startswith(local + "/"):
                if len(relative) > len(local):
                    start = relative[len(local) :].rstrip("/")
                    found = HdfsName("", there.rstrip("/") + start + "/", name)
                else:
                    found = HdfsName(local, there, whole[len(local) :])
                return found if self._stays(whole, local) else None
        return None

    @staticmethod
    def _stays(whole: str, local: str) -> bool:
        """Say whether a path leads nowhere else by `..`."""
        if ".." not in whole:
            return True
        plain = posixpath.normpath(whole)
        return plain == local or plain.startswith(local + "/")
