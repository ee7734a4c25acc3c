"""Which names mean files on HDFS: URLs, and paths below a mount. PURE.

``hdfs://host:port/path`` and ``hdfs:/path`` need no mount. Whatever stands for the host, it is the HDFS that the job
names that is asked: the address in such a URL is the one for programs, not that of WebHDFS.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from ...errors import SpecError

#: local path and HDFS path, both absolute; the most specific first
Mounts: TypeAlias = tuple[tuple[str, str], ...]

_URL: Final = re.compile(r"(hdfs:(?://([^/]*))?)(/.*)?", re.DOTALL)


class Where(NamedTuple):
    """A name that means something on HDFS.

    Attributes
    ----------
    shown, start : str
        What the name begins with, and the HDFS path that this stands for.
    rest : str
        How both go on.
    authority : str
        ``host:port`` of a URL; '' when there is none.
    """

    shown: str
    start: str
    rest: str
    authority: str = ""

    @property
    def path(self) -> str:
        """The HDFS path."""
        return joined(self.start, self.rest)


def joined(*parts: str) -> str:
    """Return parts as one absolute path, without double slashes and steps up."""
    return "/" + posixpath.normpath("/" + "/".join(parts)).lstrip("/")


def is_url(name: str) -> bool:
    """Say whether a name is a URL of HDFS's."""
    return name.startswith("hdfs:/")


@dataclass(frozen=True, slots=True)
class Names:
    """Tells names of files on HDFS from others.

    Attributes
    ----------
    mounts : Mounts
        Where HDFS is seen.
    """

    mounts: Mounts = ()

    def find(self, name: str, cwd: str = "/") -> Where | None:
        """Return where on HDFS the file of that name is, or the files of a pattern; None when it is not on HDFS."""
        if is_url(name):
            url = _URL.fullmatch(name)
            if url is None or not url[3]:
                raise SpecError(f"{name!r}: write hdfs://HOST:PORT/PATH or hdfs:/PATH")
            return Where(url[1], "/", url[3], url[2] or "")
        relative = "" if name.startswith("/") else cwd.rstrip("/") + "/"
        whole = relative + name
        for local, there in self.mounts:
            if whole == local or whole.startswith(local + "/"):
                if len(relative) > len(local):
                    start = relative[len(local) :].rstrip("/")
                    found = Where("", there.rstrip("/") + start + "/", name)
                else:
                    found = Where(local, there, whole[len(local) :])
                return found if self._stays(whole, local) else None
        return None

    @staticmethod
    def _stays(whole: str, local: str) -> bool:
        """Say whether a path leads nowhere else by `..`."""
        if ".." not in whole:
            return True
        plain = posixpath.normpath(whole)
        return plain == local or plain.startswith(local + "/")


def parse_mounts(text: str) -> Mounts:
    """Read ``/dfs=/,/data=/projects/data``: local path and HDFS path of each mount.

    Raises
    ------
    SpecError
        It cannot be read.
    """
    mounts: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        local, assigned, there = (word.strip() for word in part.partition("="))
        if not assigned or not local.startswith("/") or not there.startswith("/"):
            raise SpecError(f"{part!r} is no mount; write LOCAL=HDFS, two absolute paths, as /dfs=/")
        local = joined(local)
        if local == "/":
            raise SpecError(f"{part!r}: HDFS cannot be mounted at /")
        if local in mounts:
            raise SpecError(f"{local} is mounted twice")
        mounts[local] = joined(there)
    return tuple(sorted(mounts.items(), key=lambda mount: -len(mount[0])))
