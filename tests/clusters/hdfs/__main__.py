"""``python -m tests.clusters.hdfs``: an HDFS to try things on, until it is interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.clusters.hdfs.build import servers
from tests.clusters.hdfs.cluster import Hdfs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.clusters.hdfs")
    parser.add_argument("--datanodes", type=int, default=3, metavar="N", help="on 127.0.0.11, .12 and so on")
    parser.add_argument("--folder", type=Path, help="for all that it writes; a temporary one when not given")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="stratos-hdfs-") as temporary:
        addresses = [f"127.0.0.{11 + i}" for i in range(options.datanodes)]
        with Hdfs(servers(), options.folder or Path(temporary), addresses) as hdfs:
            print(f"{hdfs.url} {hdfs.rpc}", flush=True)
            try:
                while True:
                    signal.pause()
            except KeyboardInterrupt:
                pass


main()
