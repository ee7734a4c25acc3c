"""ipyparallel: one engine a slot, load-balanced view. Usage: ipyparallel_map.py TASKS SLOTS FOLDER"""

from __future__ import annotations

import json
import logging
import os
import sys
import time


def echo(i: int) -> str:
    import subprocess

    return subprocess.run(["sh", "-c", f"echo {i}"], capture_output=True, text=True, check=True).stdout


def main(tasks: int, slots: int, folder: str) -> None:
    os.environ["IPYTHONDIR"] = folder  # profile and connection files stay out of the user's own
    import ipyparallel

    began = time.perf_counter()
    with ipyparallel.Cluster(n=slots, log_level=logging.ERROR) as client:
        view = client.load_balanced_view()
        view.map_sync(echo, range(-2 * slots, 0))
        ready = time.perf_counter()
        outputs = view.map_sync(echo, range(tasks))
        done = time.perf_counter()
        wrong = sum(text != f"{i}\n" for i, text in enumerate(outputs))
        print(json.dumps({"start_s": ready - began, "seconds": done - ready, "wrong": wrong}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
