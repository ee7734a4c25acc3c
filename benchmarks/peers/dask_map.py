"""Dask: one worker process of one thread a slot. Usage: dask_map.py TASKS SLOTS FOLDER"""

from __future__ import annotations

import json
import sys
import time


def echo(i: int) -> str:
    import subprocess

    return subprocess.run(["sh", "-c", f"echo {i}"], capture_output=True, text=True, check=True).stdout


def main(tasks: int, slots: int, folder: str) -> None:
    from distributed import Client, LocalCluster

    began = time.perf_counter()
    with (
        LocalCluster(n_workers=slots, threads_per_worker=1, dashboard_address=None, local_directory=folder) as cluster,
        Client(cluster) as client,
    ):
        client.gather(client.map(echo, range(-2 * slots, 0), pure=False))
        ready = time.perf_counter()
        outputs = client.gather(client.map(echo, range(tasks), pure=False))
        done = time.perf_counter()
        wrong = sum(text != f"{i}\n" for i, text in enumerate(outputs))
        print(json.dumps({"start_s": ready - began, "seconds": done - ready, "wrong": wrong}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
