"""This project, measured in a fresh process. Usage: stratos.py rate|latency|submit TASKS SLOTS sh|bash|direct

What a notebook has loaded anyway (this package, pandas) is imported before any clock runs. STRATOS_HOME says
where the journal goes. Prints one line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import pandas  # noqa: F401  the cost of its import is not a cost of the job

from stratos_jupyter import Processor

#: each goes another way: the plainest shell, bash (there are quotes), no shell at all
FORMS = {"sh": "echo {}", "bash": "echo '{}'", "direct": "/bin/echo {}"}


def commands_of(tasks: int, way: str = "sh") -> list[str]:
    return [FORMS[way].format(i) for i in range(tasks)]


def wrong_in(outputs: list[str]) -> int:
    return sum(text.strip() != str(i) for i, text in enumerate(outputs))


def rate(tasks: int, slots: int, way: str) -> dict[str, Any]:
    """The whole way: start of the executor, submission, results, DataFrame."""
    commands = commands_of(tasks, way)
    cpu_s, began = time.process_time(), time.perf_counter()
    processor = Processor(f"local[{slots}]", job_id="bench")
    processor.explicit_batch(commands)
    outputs = processor.get_results()
    ended, cpu_s = time.perf_counter(), time.process_time() - cpu_s
    frame = processor.df
    done = time.perf_counter()
    complete = len(frame) == len(outputs) == tasks
    return {
        "seconds": done - began,
        "frame_s": done - ended,
        "cpu_us": cpu_s / tasks * 1e6,
        "wrong": wrong_in(outputs) if complete else tasks,
    }


def latency(tasks: int, slots: int, _way: str) -> dict[str, Any]:
    """One task after another, each from its submission to its result."""
    processor = Processor(f"local[{slots}]", job_id="bench")
    trips, wrong = [], 0
    for i in range(tasks + 5):
        began = time.perf_counter()
        processor.explicit_batch("echo hi")
        outputs = processor.get_results()
        if i >= 5:  # the first ones wait for the executor to start
            trips.append((time.perf_counter() - began) * 1e3)
        wrong += outputs[-1].strip() != "hi"
    trips.sort()
    return {"median_ms": statistics.median(trips), "p95_ms": trips[int(len(trips) * 0.95)], "wrong": wrong}


def submit(tasks: int, slots: int, way: str) -> dict[str, Any]:
    """What many tasks cost the process that submits them: at once, and until the last has ended."""
    commands = commands_of(tasks, way)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here, not from the imports
    before = memory_mb("VmRSS")
    began = time.perf_counter()
    processor = Processor(f"local[{slots}]", job_id="bench")
    processor.explicit_stream(commands)
    submitted = time.perf_counter()
    at_submit = memory_mb("VmRSS")
    processor.wait()
    outputs = processor.get_results()
    ended = time.perf_counter()
    at_end, peak = memory_mb("VmRSS"), memory_mb("VmHWM")
    frame = processor.df
    done = time.perf_counter()
    complete = len(frame) == len(outputs) == tasks
    return {
        "submit_s": submitted - began,
        "seconds": ended - began,
        "frame_s": done - ended,
        "submit_mb": at_submit - before,
        "end_mb": at_end - before,
        "peak_mb": peak - before,
        # a stream gives its outputs in the order of their arrival
        "wrong": len({str(i) for i in range(tasks)} - {text.strip() for text in outputs}) if complete else tasks,
    }


def memory_mb(field: str) -> float:
    """A figure of this process from /proc; not a number where there is no /proc."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


if __name__ == "__main__":
    measure = {"rate": rate, "latency": latency, "submit": submit}[sys.argv[1]]
    print(json.dumps(measure(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
