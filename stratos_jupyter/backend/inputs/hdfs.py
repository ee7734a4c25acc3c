"""HDFS over WebHDFS, by the package ``hdfs``, which is imported only when it is needed.

What the user names is an alias of ``~/.hdfscli.cfg`` or the address of WebHDFS. Every request has time-outs, every
failure becomes a `StorageError` that says what to do about it, and that holds nothing of a request: a token is part of
its address.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from ...errors import SpecError, StorageError
from ..spec.parse_hdfs import addresses, base_address
from .globbing import FileEntry
from .hdfs_errors import explain

log = logging.getLogger(__name__)

#: how long a server may take to be connected to, and to answer, in seconds; an alias may have its own `timeout`
CONNECT_S: Final = 5
READ_S: Final = 30
#: a NameNode that takes no connection, or is not active yet, is tried again for so long, in seconds: one that has
#: answered before is being restarted, the address of another one may be wrong
KNOWN_S: Final = 120.0
UNKNOWN_S: Final = 10.0
#: the first pause before it is, and the longest, in seconds
PAUSE_S: Final = 0.25
PAUSE_MOST_S: Final = 4.0
#: requests at the same time
PARALLEL: Final = 8
#: operations that say where the blocks of a file are; of servers of Hadoop 3.1.4 or 2.10.1 on, and of older ones
LOCATE: Final = ("GETFILEBLOCKLOCATIONS", "GET_BLOCK_LOCATIONS")


class Located(NamedTuple):
    """How many bytes of a file are somewhere, and how many of them each host has, the largest first.

    A host is ``name``, or ``name/address`` where the server knows it by both.
    """

    size: int = 0
    hosts: tuple[tuple[str, int], ...] = ()


class Hdfs:
    """One HDFS.

    Parameters
    ----------
    name : str
        An alias, or addresses of WebHDFS.
    patient : bool
        Whether a NameNode that is gone for a while is waited for.

    Raises
    ------
    SpecError
        It is no address.
    StorageError
        There is no such alias, or its client cannot be made. Nothing has been asked yet.
    """

    def __init__(self, name: str, *, patient: bool = True) -> None:
        self.name = name
        self._patient = patient
        try:
            self._client = _client(name)
        except SpecError:
            raise
        except (Exception, SystemExit) as error:
            raise explain(error, name) from None
        #: the operation that this server has for locations; None when it has none
        self._locate: str | None = LOCATE[0]
        self._has_answered = False
        self._given_up = threading.Event()

    def __repr__(self) -> str:
        return f"<Hdfs {self.name}>"

    def entries(self, path: str) -> dict[str, FileEntry]:
        """Return what is in a directory, by name.

        Raises
        ------
        StorageError
            Its `path` is set when it concerns this directory alone.
        """
        return {name: _entry(status) for name, status in self._ask(path, self._client.list, path, status=True)}

    def look(self, path: str) -> FileEntry | None:
        """Return what is at a path, None when nothing is; raises StorageError as `entries` does."""
        try:
            return _entry(self._ask(path, self._client.status, path))
        except StorageError as error:
            if error.absent:
                return None
            raise

    def locate(self, path: str) -> Located:
        """Return where a file is; nowhere when the server does not know.

        Raises
        ------
        StorageError
            Its `path` is set when it concerns this file alone.
        """
        while (operation := self._locate) is not None:
            from hdfs.client import _Request  # no public call gives locations

            ask = _Request("GET").to_method(operation)
            try:
                return _located(self._ask(path, lambda ask=ask: ask(self._client, path).json()))
            except StorageError as error:
                if not error.unknown_operation:
                    raise
                if self._locate == operation:  # another thread may have found it out already
                    later = LOCATE[LOCATE.index(operation) + 1 :]
                    self._locate = later[0] if later else None
        return Located()

    def all(self, ask: Callable[[str], Any], paths: Sequence[str]) -> Iterable[Any]:
        """Ask for several paths at the same time; yields an answer or a StorageError of each, in order.

        Raises
        ------
        StorageError
            It concerns them all.
        """

        def one(path: str) -> Any:
            try:
                return ask(path)
            except StorageError as error:
                if not error.path:
                    raise
                return error

        if len(paths) == 1:
            return [one(paths[0])]
        pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="stratos-hdfs")
        try:
            return list(pool.map(one, paths))
        except BaseException:
            self._given_up.set()  # the other answers are not waited for any more
            self._given_up = threading.Event()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt does not wait for answers

    def _ask(self, path: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Ask; a NameNode that is being started, or on standby, is waited for."""
        until_s, pause_s = 0.0, PAUSE_S
        while True:
            given_up = self._given_up
            try:
                answer = call(*args, **options)
            except Exception as error:
                wrong = explain(error, self.name, path)
            else:
                self._has_answered = True
                return answer
            now_s = time.monotonic()
            if not wrong.passing or not self._patient:
                raise wrong from None
            if not until_s:
                wait_s = KNOWN_S if self._has_answered else UNKNOWN_S
                until_s = now_s + wait_s
                log.warning("%s; it is tried again for %.0f s", wrong, wait_s)
            if now_s >= until_s or given_up.wait(min(pause_s, until_s - now_s)):
                raise wrong from None
            pause_s = min(2 * pause_s, PAUSE_MOST_S)


def plain_access(name: str) -> tuple[str, ...]:
    """Return as whom, and at which addresses, nodes may ask an HDFS for a copy, which is asked without credentials.

    Raises
    ------
    SpecError
        It wants some: those stay on this machine.
    StorageError
        There is no such alias, or it cannot be used.
    """
    if not name:
        raise SpecError("--fetch needs an HDFS: name it with --hdfs")
    client = Hdfs(name)._client
    from hdfs import InsecureClient

    session = client._session
    given = (
        session.auth,
        session.cert,
        client._proxy,
        session.verify is not True,
        set(session.params) != {"user.name"},
    )
    if type(client) is not InsecureClient or any(given) or any("@" in url for url in client.urls):
        raise SpecError(
            f"--fetch: HDFS {name} is asked with credentials, which do not leave this machine; let the command read "
            "the URL, or a mount, with those that its node has"
        )
    return session.params["user.name"], *(url.rstrip("/") for url in client.urls)


def _client(name: str) -> Any:
    """Make the client of an alias, or of addresses."""
    urls = addresses(name)
    from hdfs import InsecureClient

    if urls:
        return InsecureClient(urls, user=os.environ.get("HADOOP_USER_NAME") or None, timeout=(CONNECT_S, READ_S))
    from hdfs import Config, HdfsError

    config = Config()
    sections = [section for suffix in (".alias", "_alias") if config.has_section(section := name + suffix)]
    if not sections:
        known = sorted(section[:-6] for section in config.sections() if section.endswith((".alias", "_alias")))
        there = f"; there is {', '.join(known)}" if known else "; it has none" if os.path.exists(config.path) else ""
        raise HdfsError(f"there is no alias {name!r} in {config.path}{there}")
    if config.get(sections[0], "client", fallback="") == "KerberosClient":
        import hdfs.ext.kerberos  # noqa: F401  # this is what makes it known
    client = config.get_client(name)
    # it turns for ever where one address stands twice, and none of them answers
    client._urls = deque(dict.fromkeys(base_address(url) for url in client._urls))
    client.urls = list(client._urls)
    if client._timeout is None:
        client._timeout = (CONNECT_S, READ_S)
    return client


def _entry(status: Mapping[str, Any]) -> FileEntry:
    is_dir, file_id = status["type"] == "DIRECTORY", status.get("fileId") or 0
    return FileEntry(is_dir, status["length"], status["modificationTime"], file_id=file_id)


def _located(answer: Mapping[str, Any]) -> Located:
    """Read an answer of either kind; blocks that no host has count nothing."""
    if "BlockLocations" in answer:
        found = answer["BlockLocations"].get("BlockLocation") or ()
        blocks = [(block["length"], _hosts(block)) for block in found]
    else:
        found = answer["LocatedBlocks"].get("locatedBlocks") or ()
        blocks = [
            (
                block["block"]["numBytes"],
                {_host(node["hostName"], node.get("ipAddr") or "") for node in block.get("locations") or ()},
            )
            for block in found
        ]
    sizes: dict[str, int] = defaultdict(int)
    for size, hosts in blocks:
        for host in hosts:
            sizes[host] += size
    known = sum(size for size, hosts in blocks if hosts)
    return Located(known, tuple(sorted(sizes.items(), key=lambda host: (-host[1], host[0]))))


def _hosts(block: Mapping[str, Any]) -> set[str]:
    """Return where a block is; its `names`, in the order of its `hosts`, are addresses with a port."""
    hosts, names = block.get("hosts") or (), block.get("names") or ()
    if len(names) != len(hosts):
        return set(hosts)
    return {_host(host, name.rpartition(":")[0].strip("[]")) for host, name in zip(hosts, names, strict=True)}


def _host(name: str, address: str) -> str:
    return f"{name}/{address}" if address and address != name else name
