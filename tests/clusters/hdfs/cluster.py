"""Starts and stops a real HDFS on the loopback interface, of the servers that build.py gathers.

A NameNode and some DataNodes, each a JVM of about 180 MB with an address of its own, all files in one folder; every
process is ended by its own id. Blocks are of 1 MiB, so that small files have several.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from xml.sax.saxutils import escape

from tests.clusters.mesos.cluster import free_port
from tests.support.waiting import until

BLOCK = 1024 * 1024
START_S = 90.0
STOP_S = 10.0

#: names that JVMs may reach into, for what Hadoop does there
OPENED = ("java.lang", "java.nio", "java.util", "sun.nio.ch")

SITE = {
    "dfs.webhdfs.enabled": "true",
    "dfs.blocksize": str(BLOCK),
    "dfs.replication": "1",
    "dfs.namenode.fs-limits.min-block-size": "1024",
    "dfs.namenode.datanode.registration.ip-hostname-check": "false",
    "dfs.client.use.datanode.hostname": "true",
    "dfs.datanode.use.datanode.hostname": "true",
    # to be up, and to see what has died, within seconds
    "dfs.namenode.safemode.threshold-pct": "0",
    "dfs.namenode.safemode.extension": "0",
    "dfs.heartbeat.interval": "1",
    "dfs.namenode.heartbeat.recheck-interval": "1000",
    "dfs.namenode.stale.datanode.interval": "4000",
    "dfs.namenode.avoid.read.stale.datanode": "true",
    # to be small
    "dfs.namenode.handler.count": "16",
    "dfs.datanode.handler.count": "3",
    "dfs.namenode.edits.noeditlogchannelflush": "true",
    "dfs.client.block.write.locateFollowingBlock.initial.delay.ms": "10",
    "dfs.block.scanner.volume.bytes.per.second": "0",
    "dfs.datanode.directoryscan.interval": "-1",
    # tokens without Kerberos; their secrets are made at the start
    "dfs.namenode.delegation.token.always-use": "true",
}
LOG4J = """log4j.rootLogger=INFO,A
log4j.appender.A=org.apache.log4j.ConsoleAppender
log4j.appender.A.layout=org.apache.log4j.PatternLayout
log4j.appender.A.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n
"""


class Hdfs:
    """A NameNode and some DataNodes.

    Parameters
    ----------
    servers : Path
        What build.py gathered.
    folder : Path
        For all that it writes.
    addresses : sequence of str
        One for each DataNode, and its host name.
    namenode : str
        The NameNode's address.
    site : mapping, optional
        More of ``hdfs-site.xml``.
    """

    def __init__(
        self,
        servers: Path,
        folder: Path,
        addresses: Sequence[str] = ("127.0.0.11", "127.0.0.12", "127.0.0.13"),
        *,
        namenode: str = "127.0.0.10",
        site: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.addresses = list(addresses)
        self.namenode = namenode
        self.rpc_port = free_port(namenode)
        self.http_port = free_port(namenode)
        self._ports = [[free_port(address) for _ in range(3)] for address in self.addresses]
        self._servers = servers
        self._site = dict(site or {})
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """Where WebHDFS is."""
        return f"http://{self.namenode}:{self.http_port}"

    @property
    def rpc(self) -> str:
        """What programs of Hadoop call it."""
        return f"hdfs://{self.namenode}:{self.rpc_port}"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        hosts = [f"127.0.0.1 localhost {socket.gethostname()}", f"{self.namenode} nn"]
        hosts += [f"{address} dn{i}" for i, address in enumerate(self.addresses)]
        (self.folder / "hosts").write_text("\n".join([*hosts, ""]))
        try:
            formatted = self._start("namenode", self.namenode, {}, "-format", "-force", "-nonInteractive")
            if formatted.wait(START_S):
                raise RuntimeError(f"the NameNode cannot format its folder:\n{self.log('namenode')}")
            self.start_namenode()
            for i in range(len(self.addresses)):
                self.start_datanode(i)
            self.wait_datanodes()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- servers ----------------------------------------------------------------------------------------

    def start_namenode(self) -> None:
        """Start the NameNode; it comes back with what its folder knows."""
        self._start("namenode", self.namenode, {})

    def start_datanode(self, i: int) -> None:
        """Start DataNode `i`; it comes back with its blocks."""
        address, ports = self.addresses[i], self._ports[i]
        own = {
            "dfs.datanode.hostname": address,
            "dfs.datanode.address": f"{address}:{ports[0]}",
            "dfs.datanode.http.address": f"{address}:{ports[1]}",
            "dfs.datanode.ipc.address": f"{address}:{ports[2]}",
            "dfs.datanode.data.dir": f"file://{self.folder}/datanode{i}/data",
        }
        self._start(f"datanode{i}", address, own)

    def kill(self, name: str) -> None:
        """Kill "namenode", "datanode0" and so on, and wait until it is gone."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def pause(self, name: str) -> None:
        """Stop a server as it stands: it takes connections and answers nothing."""
        self._processes[name].send_signal(signal.SIGSTOP)
        os.waitpid(self._processes[name].pid, os.WUNTRACED)  # all of its threads stand

    def resume(self, name: str) -> None:
        """Let a paused server go on."""
        self._processes[name].send_signal(signal.SIGCONT)

    def mend(self) -> None:
        """Bring back whatever was killed or paused, and wait for all of it."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
        if "namenode" not in self._processes:
            self.start_namenode()
        for i in range(len(self.addresses)):
            if f"datanode{i}" not in self._processes:
                self.start_datanode(i)
        self.wait_datanodes()
        for address in self.addresses:
            until(lambda address=address: self._takes(address), START_S, f"a DataNode at {address} that takes files")

    def _takes(self, address: str) -> bool:
        """Say whether a DataNode takes files; it may first find out that its connections have ended."""
        from hdfs import HdfsError

        try:
            put(self.url, f"/mended/{address}", b"x", address)
        except (HdfsError, OSError):
            return False
        return True

    def wait_datanodes(self, count: int | None = None) -> None:
        """Wait until so many DataNodes are there, or all of them."""
        wanted = len(self.addresses) if count is None else count

        def there() -> bool:
            if dead := [name for name, process in self._processes.items() if process.poll() is not None]:
                raise RuntimeError(f"{dead[0]} has ended:\n{self.log(dead[0])}")
            try:
                state = self.bean("FSNamesystemState")
                # One that was just killed may still count as there.
                for i in range(len(self.addresses)):
                    if f"datanode{i}" in self._processes:
                        socket.create_connection((self.addresses[i], self._ports[i][1]), 5).close()
            except OSError:
                return False
            return bool(state["NumLiveDataNodes"] == wanted and state["FSState"] == "Operational")

        until(there, START_S, f"{wanted} DataNodes; see {self.folder}/*/log")

    def stop(self) -> None:
        """End everything."""
        processes, self._processes = list(self._processes.values()), {}
        for process in processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in processes:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # -- asking it --------------------------------------------------------------------------------------

    def bean(self, name: str) -> dict[str, Any]:
        """Return what the NameNode measures; raises OSError when it does not answer."""
        with urllib.request.urlopen(f"{self.url}/jmx?qry=Hadoop:service=NameNode,name={name}", timeout=5) as answer:
            found: list[dict[str, Any]] = json.load(answer)["beans"]
        if not found:
            raise ConnectionError(f"the NameNode has no {name} yet")
        return found[0]

    def admin(self, *words: str) -> None:
        """Run ``hdfs dfsadmin``, as ``admin("-safemode", "enter")``."""
        done = subprocess.run(
            self._java("namenode", "org.apache.hadoop.hdfs.tools.DFSAdmin", *words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_S,
        )
        if done.returncode:
            raise RuntimeError(f"dfsadmin {' '.join(words)}: {done.stdout}{done.stderr}")

    def make_files(self, folder: str, count: int) -> None:
        """Make many empty files, ``snap_000000`` and so on."""
        done = subprocess.run(
            self._java("namenode", "ManyFiles", folder, str(count)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_S,
        )
        if done.returncode:
            raise RuntimeError(f"cannot make files: {done.stdout}{done.stderr}")

    def log(self, name: str) -> str:
        """Return the end of what a server has written."""
        return (self.folder / name / "log").read_text(errors="replace")[-4000:]

    # -- inside -----------------------------------------------------------------------------------------

    def _start(self, name: str, address: str, own: Mapping[str, str], *words: str) -> subprocess.Popen[bytes]:
        folder = self.folder / name
        self._configure(folder, address, own)
        kind = "namenode.NameNode" if name == "namenode" else "datanode.DataNode"
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                self._java(name, f"org.apache.hadoop.hdfs.server.{kind}", *words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={key: value for key, value in os.environ.items() if not key.startswith(("HADOOP_", "JAVA_"))},
                start_new_session=True,
            )
        if not words:
            self._processes[name] = process
        return process

    def _java(self, name: str, main: str, *words: str) -> list[str]:
        folder = self.folder / name
        return [
            *("java", "-Xmx160m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"),
            *("-Djava.net.preferIPv4Stack=true", f"-Djdk.net.hosts.file={self.folder}/hosts"),
            f"-Dhadoop.log.dir={folder}",
            *(f"--add-opens=java.base/{opened}=ALL-UNNAMED" for opened in OPENED),
            *("-cp", f"{folder}:{self._servers}/classes:{self._servers}/lib/*", main, *words),
        ]

    def _configure(self, folder: Path, address: str, own: Mapping[str, str]) -> None:
        core = {
            "fs.defaultFS": self.rpc,
            "hadoop.tmp.dir": f"{folder}/tmp",
            "hadoop.rpc.socket.factory.class.default": "BindSocketFactory",
            "test.bind.address": address,
        }
        site = {
            **SITE,
            "dfs.namenode.rpc-address": f"{self.namenode}:{self.rpc_port}",
            "dfs.namenode.http-address": f"{self.namenode}:{self.http_port}",
            "dfs.namenode.name.dir": f"file://{self.folder}/namenode/name",
            **self._site,
            **own,
        }
        for kind in ("hdfs", "datanode", "static"):  # the jars bring no pages; the servers only want the folders
            pages = folder / "webapps" / kind / "WEB-INF"
            pages.mkdir(parents=True, exist_ok=True)
            (pages / "web.xml").write_text('<web-app version="2.4" xmlns="http://java.sun.com/xml/ns/j2ee"/>')
        (folder / "core-site.xml").write_text(_xml(core))
        (folder / "hdfs-site.xml").write_text(_xml(site))
        (folder / "log4j.properties").write_text(LOG4J)


def _xml(values: Mapping[str, str]) -> str:
    items = (
        f"<property><name>{name}</name><value>{escape(value)}</value></property>" for name, value in values.items()
    )
    return f'<?xml version="1.0"?><configuration>{"".join(items)}</configuration>'


def put(url: str, path: str, data: bytes, address: str = "", replication: int = 1, user: str = "") -> None:
    """Write a file; `address` is the DataNode that is to have all of it, when `replication` is 1.

    A DataNode keeps the first replica of what a client on its own machine writes, and here that is known by the
    address that a client connects from.
    """
    import requests
    from hdfs import HdfsError, InsecureClient
    from requests.adapters import HTTPAdapter

    class Bound(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            if address:
                kwargs["source_address"] = (address, 0)
            super().init_poolmanager(*args, **kwargs)

    with requests.Session() as session:
        session.mount("http://", Bound())
        client = InsecureClient(url, user=user or None, session=session, timeout=30)

        def written() -> bool:
            try:
                client.write(path, data=data, overwrite=True, replication=replication)
            except HdfsError as error:
                if "EOFException" in str(error):
                    return False  # a DataNode has just found out that its connection to a former NameNode has ended
                raise
            return not (address and data and replication == 1) or _hosts(client, path) == {address}

        # A DataNode that has not been heard of for a moment is passed over.
        until(written, START_S, f"{path} on {address or 'any DataNode'}")


def _hosts(client: Any, path: str) -> set[str]:
    """Return the hosts that have blocks of a file."""
    from hdfs.client import _Request

    found = _Request("GET").to_method("GETFILEBLOCKLOCATIONS")(client, path).json()
    return {host for block in found["BlockLocations"]["BlockLocation"] for host in block["hosts"]}
