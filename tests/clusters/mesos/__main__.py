"""``python -m tests.clusters.mesos``: a cluster to try things on, until it is interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.clusters.mesos.build import programs
from tests.clusters.mesos.cluster import Cluster


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.clusters.mesos")
    parser.add_argument("--agents", type=int, default=1)
    parser.add_argument("--resources", default="cpus:2;mem:1024;disk:5000")
    parser.add_argument("--allocation-interval", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--addresses", default="", help="one of 127.0.0.0/8 for each agent, separated by commas")
    parser.add_argument("--folder", type=Path, help="for all that it writes; a temporary one when not given")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="stratos-mesos-") as temporary:
        cluster = Cluster(
            programs(),
            options.folder or Path(temporary),
            options.agents,
            resources=options.resources,
            allocation_interval_s=options.allocation_interval,
            addresses=[address for address in options.addresses.split(",") if address],
        )
        with cluster:
            print(f"mesos://{cluster.master}", flush=True)
            try:
                while True:
                    signal.pause()
            except KeyboardInterrupt:
                pass


main()
