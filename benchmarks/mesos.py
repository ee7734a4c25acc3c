"""How fast is the Mesos engine? Rates and latencies on a real cluster on this machine, beside a bare framework loop.

The cluster is that of the tests: two agents of two cpus each, at the default allocation interval of a second. The bare
loop launches one Mesos task a command, 500 to an ACCEPT, with the same executor, acknowledges at once and records
nothing. Rounds take turns, and the ratio is taken round by round. It prints and never judges.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stratos_jupyter.backend.core.states import TERMINAL
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.job import Job
from stratos_jupyter.session import Session
from tests.clusters.mesos.build import programs
from tests.clusters.mesos.cluster import Cluster
from tests.clusters.mesos.rawframework import resources, scalar
from tests.mesos.executor_job import job as bare_job

#: tasks of the bare loop in one ACCEPT
AT_ONCE = 500
#: what each of them asks for, so that as many fit on an agent, and what the executor does
SHARE_CPUS = 0.003
EXECUTOR_CPUS = 0.1
#: what a slot of the busy run does, in seconds
LONG_S = 3.0
SLOTS = 4


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    label: str
    value: float
    unit: str
    target: str

    def __str__(self) -> str:
        return f"{self.label:58}{self.value:10.3g} {self.unit:10}{self.target}"


@contextmanager
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory() as folder, Cluster(programs(), Path(folder), 2) as found:
        yield found


@contextmanager
def session() -> Iterator[Session]:
    with tempfile.TemporaryDirectory() as home:
        found = Session(Path(home))
        try:
            yield found
        finally:
            found.close()


def submit(here: Session, on: Cluster, commands: list[str], *, keep_open: bool = False) -> Job:
    spec = JobSpec("bench", master=on.master, output_limit=1 << 20)
    return here.submit(spec, explicit_commands(commands), keep_open=keep_open)


def ours(on: Cluster, count: int) -> float:
    """Commands a second, from the submission until all results are recorded and acknowledged."""
    with session() as here:
        began = time.perf_counter()
        job = submit(here, on, [f"echo {i}" for i in range(count)])
        assert job.wait(600)
        seconds = time.perf_counter() - began
        assert sum(1 for row in job.rows() if row.stdout == f"{row.task}\n".encode()) == count
    return count / seconds


def bare(on: Cluster, count: int) -> float:
    """The same by a framework that does nothing else, from its subscription on."""
    began = time.perf_counter()
    with bare_job(on) as job:
        framework = job.framework
        framework.until(lambda: len(framework.offers) == 2)
        launched = 0
        while len(job.ended) < count:
            for offer in list(framework.offers.values()) if launched < count else ():
                room = int((scalar(offer, "cpus") - EXECUTOR_CPUS) / SHARE_CPUS)
                first, launched = launched, min(launched + min(AT_ONCE, room), count)
                infos = [job.batch(f"echo {i}", number=i, first=i, cpus=SHARE_CPUS) for i in range(first, launched)]
                for info in infos:
                    info["resources"] = resources(cpus=SHARE_CPUS)
                if infos:
                    framework.launch(offer, infos)
                else:
                    framework.decline(offer)
            framework.handle(0.02)
            job.take()
        seconds = time.perf_counter() - began
    return count / seconds


def busy(on: Cluster, seconds: float) -> tuple[float, float, float]:
    """Share of slot time with a command in it; share of a core of the driver thread, and of the whole process."""
    count = int(seconds / LONG_S) * SLOTS
    with session() as here:
        job = submit(here, on, [f"sleep {LONG_S:g}"] * count, keep_open=True)
        driver = job._driver
        while job.view.at_s == 0 or not any(job.view[state] for state in TERMINAL):
            job.wait(0.05)
        before = driver.call(time.thread_time), time.process_time(), time.perf_counter()
        assert job.wait(seconds * 3)
        after = driver.call(time.thread_time), time.process_time(), time.perf_counter()
        rows = job.rows()
        first = min(row.started_at or 0.0 for row in rows)
        last = max(row.finished_at for row in rows)
        took = sum(row.finished_at - (row.started_at or 0.0) for row in rows)
        wall_s = after[2] - before[2]
        return took / ((last - first) * SLOTS), (after[0] - before[0]) / wall_s, (after[1] - before[1]) / wall_s


def latency(on: Cluster, trips: int) -> list[float]:
    """Seconds from the submission of one `sleep 0.1` to its result, with the executor up."""
    with session() as here:
        job = submit(here, on, ["true"], keep_open=True)
        assert job.wait(60)
        found = []
        for _ in range(trips):
            began = time.perf_counter()
            tasks = job.add(explicit_commands(["sleep 0.1"]), here.command_env(job.spec))
            assert job.wait(60, tasks)
            found.append(time.perf_counter() - began)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--busy-s", type=float, default=120.0, help="how long slots are kept busy; 0 leaves it out")
    parser.add_argument("--trips", type=int, default=20, help="single commands, one after another")
    args = parser.parse_args()
    lines = []
    with cluster() as on:
        rates = [(ours(on, args.tasks), bare(on, args.tasks)) for _ in range(args.rounds)]
        lines.append(Line(f"{args.tasks:,} x echo", statistics.median(r for r, _ in rates), "tasks/s", ">= 400"))
        lines.append(Line("  the bare loop", statistics.median(b for _, b in rates), "tasks/s", ""))
        ratios = [r / b for r, b in rates]
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        lines.append(Line("  ours to it, median of the rounds", statistics.median(ratios), spread, ">= 1.5"))
        trips = latency(on, args.trips)
        lines.append(Line("one sleep 0.1, the executor up, median", statistics.median(trips), "s", "< 0.5"))
        lines.append(Line("  the longest", max(trips), "s", ""))
        if args.busy_s:
            share, driver, process = busy(on, args.busy_s)
            lines.append(Line(f"slot time with a command of {LONG_S:g} s in it", 100 * share, "%", ">= 97"))
            lines.append(Line("  the scheduler's thread meanwhile", 100 * driver, "% of a core", "< 20"))
            lines.append(Line("  the whole process", 100 * process, "% of a core", ""))
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
