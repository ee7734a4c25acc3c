"""Where the master is, in the ways that a user may write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ....errors import EngineError

DEFAULT_PORT: Final = 5050
_HOST_PORT: Final = re.compile(r"(?:\[([\w:.%]+)\]|([\w.-]+))(?::(\d{1,5}))?")
_SCHEMES: Final = ("mesos", "http", "https", "zk", "zoo")
_ZOOKEEPER: Final = re.compile(r"([\w.-]+(?::\d{1,5})?(?:,[\w.-]+(?::\d{1,5})?)*)((?:/[^\s/@]+)+)/?")


@dataclass(frozen=True, slots=True)
class Master:
    """A master's host and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ZooKeeper:
    """The ZooKeeper that knows the leading master: its hosts, and the path that masters register at."""

    hosts: str
    path: str

    def __str__(self) -> str:
        return f"zk://{self.hosts}{self.path}"


def is_mesos(master: str) -> bool:
    """Say whether a master is meant for Mesos, well written or not. A single word may be a host."""
    scheme, found, _ = master.strip().partition("://")
    if "@" in master or (found and scheme.lower() in _SCHEMES):
        return True
    return not found and _host_port(scheme.rstrip("/")) is not None


def parse_master(text: str) -> Master | ZooKeeper:
    """Read where the master is.

    Parameters
    ----------
    text : str
        ``host:port``, ``mesos://host:port`` or ``zk://host1:port1,host2:port2/path``.

    Raises
    ------
    EngineError
        It is none of these. What might be a secret in it is not repeated.
    """
    scheme, found, rest = text.strip().partition("://")
    scheme, rest = (scheme.lower(), rest) if found else ("mesos", scheme)
    if "@" in rest:
        raise EngineError(
            "a master's address holds no names or passwords: give principal and secret as settings. "
            "A ZooKeeper that asks for a password cannot be used: name the leading master, as mesos://host:5050"
        )
    if scheme in ("zk", "zoo"):
        if matched := _ZOOKEEPER.fullmatch(rest):
            return ZooKeeper(matched[1], matched[2])
        raise EngineError(f"{text!r}: a ZooKeeper is written as zk://host1:2181,host2:2181/mesos, with the path")
    if scheme == "https":
        raise EngineError(f"{text!r}: TLS is not supported; name a port of the master that speaks plain HTTP")
    if scheme in ("mesos", "http") and (master := _host_port(rest.rstrip("/"))):
        return master
    raise EngineError(f"{text!r} is no master: write host:port, mesos://host:port or zk://host1:2181,host2:2181/mesos")


def parse_leader(location: str) -> Master | None:
    """Read the master that an answer redirects to; None when it is none that we can speak to."""
    split = urlsplit(location)
    return _host_port(split.netloc or location) if split.scheme in ("", "http") else None


def _host_port(text: str) -> Master | None:
    matched = _HOST_PORT.fullmatch(text)
    if matched is None or not 0 < (port := int(matched[3] or DEFAULT_PORT)) < 65536:
        return None
    return Master(matched[1] or matched[2], port)
