"""HDFS and Mesos on the same nodes: agents at the addresses of the DataNodes, and files that lie where we want them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.clusters.hdfs.cluster import Hdfs, put
from tests.clusters.mesos.cluster import Cluster

#: reads files over WebHDFS, as programs on a cluster do, and says how many bytes there were
READER = """\
import os, sys, urllib.parse, urllib.request
total = 0
for name in sys.argv[1:]:
    path = urllib.parse.quote(name.split(":", 1)[1])
    with urllib.request.urlopen(os.environ["HDFS_WEB"] + "/webhdfs/v1" + path + "?op=OPEN", timeout=20) as answer:
        total += len(answer.read())
print(total)
"""


@contextmanager
def agents_on(hdfs: Hdfs, programs: Path, folder: Path, **options: Any) -> Iterator[Cluster]:
    """Start a Mesos whose agents are where the DataNodes are; takes what `Cluster` takes."""
    with Cluster(programs, folder, len(hdfs.addresses), addresses=hdfs.addresses, **options) as cluster:
        yield cluster


def reader(hdfs: Hdfs, folder: Path) -> tuple[str, str]:
    """Return a command that reads the files that it is given, and the variable that it needs."""
    program = folder / "read.py"
    program.write_text(READER)
    return f"python3 {program}", f"HDFS_WEB={hdfs.url}"


def balanced(hdfs: Hdfs, folder: str, count: int, size: int, seed: int = 1) -> dict[str, str]:
    """Make files, equally many on each DataNode and mixed well; return the address of each by its path."""
    addresses = [hdfs.addresses[n % len(hdfs.addresses)] for n in range(count)]
    random.Random(seed).shuffle(addresses)
    lies = {f"{folder}/snap_{n:04}": address for n, address in enumerate(addresses)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: put(hdfs.url, path, b"x" * size, lies[path]), lies))
    return lies
