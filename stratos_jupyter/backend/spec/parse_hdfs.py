"""Which HDFS a job means, and where its commands see it, as users write them. PURE."""

from __future__ import annotations

import posixpath
import re
from typing import Final, TypeAlias

from ...errors import SpecError

#: local path and HDFS path, both absolute; the most specific first
Mounts: TypeAlias = tuple[tuple[str, str], ...]

#: schemes of addresses, and what they mean
_SCHEMES: Final = {"http": "http", "https": "https", "webhdfs": "http", "swebhdfs": "https"}


def addresses(text: str) -> str:
    """Return the addresses that ``nn1:9870;nn2:9870`` names, as URLs; '' when it is an alias.

    Raises
    ------
    SpecError
        It is no address of WebHDFS.
    """
    if ":" not in text and "/" not in text:
        return ""
    urls = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        scheme, parted, rest = part.partition("://") if "://" in part else ("http", "://", part)
        if scheme not in _SCHEMES or not rest:
            raise SpecError(
                f"{_without_user(part)!r} is no address of WebHDFS; write http://HOST:9870, as the NameNode's pages "
                "have it, or an alias of ~/.hdfscli.cfg"
            )
        if "@" in rest.partition("/")[0]:
            raise SpecError(
                f"{_without_user(part)!r}: no user or password here, where it would be recorded; use an alias of "
                "~/.hdfscli.cfg, or set HADOOP_USER_NAME"
            )
        urls.append(base_address(f"{_SCHEMES[scheme]}{parted}{rest}"))
    return ";".join(dict.fromkeys(urls))  # the package turns for ever where one stands twice, and none answers


def base_address(url: str) -> str:
    """Return the address that WebHDFS's own path goes behind, of one that is copied with it, or from a page."""
    url = re.split(r"/webhdfs(?:/v\d+)?(?=[/?]|$)|[?#]", url, maxsplit=1)[0]
    return re.sub(r"/(?:index|explorer|dfshealth)\.(?:html|jsp)$", "", url.rstrip("/")).rstrip("/")


def checked_address(text: str) -> str:
    """Return what names an HDFS; raises SpecError as `addresses` does."""
    addresses(text)
    return text


def _without_user(part: str) -> str:
    return re.sub(r"[^/@]*@", "…@", part)


def joined(*parts: str) -> str:
    """Return parts as one absolute path, without double slashes and steps up."""
    return "/" + posixpath.normpath("/" + "/".join(parts)).lstrip("/")


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
