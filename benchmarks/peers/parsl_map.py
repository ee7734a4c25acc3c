"""Parsl: HighThroughputExecutor, one worker a slot. Usage: parsl_map.py TASKS SLOTS FOLDER"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def echo(i: int) -> str:
    import subprocess

    return subprocess.run(["sh", "-c", f"echo {i}"], capture_output=True, text=True, check=True).stdout


def main(tasks: int, slots: int, folder: str) -> None:
    # Its interchange and worker pool are scripts, found through PATH.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    import parsl
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider

    executor = HighThroughputExecutor(
        address="127.0.0.1",
        max_workers_per_node=slots,
        cores_per_worker=1,
        provider=LocalProvider(init_blocks=1, max_blocks=1),
    )
    began = time.perf_counter()
    with parsl.load(Config(executors=[executor], run_dir=folder, initialize_logging=False, usage_tracking=0)):
        app = parsl.python_app(echo)
        for future in [app(i) for i in range(-2 * slots, 0)]:
            future.result()
        ready = time.perf_counter()
        outputs = [future.result() for future in [app(i) for i in range(tasks)]]
        done = time.perf_counter()
    wrong = sum(text != f"{i}\n" for i, text in enumerate(outputs))
    print(json.dumps({"start_s": ready - began, "seconds": done - ready, "wrong": wrong}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
