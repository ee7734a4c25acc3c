"""The same question on real servers: three Mesos agents at the addresses of three DataNodes, all on this machine.

Each task reads one file of one replica, through WebHDFS, and then takes a while. How much was local is counted from
where the files were written to and where the tasks ran, and beside it stands what the job says of itself. The target is
that of a job on its own; then another job holds half of the slots, each for a while and not evenly, as others do.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.session import Session
from tests.clusters.both import agents_on, balanced, reader
from tests.clusters.hdfs.build import servers
from tests.clusters.hdfs.cluster import Hdfs
from tests.clusters.mesos.build import programs
from tests.clusters.mesos.cluster import Cluster

#: slots of a node
SLOTS = 4
SIZE = 20_000


@dataclass(frozen=True)
class Real:
    """What came of one way."""

    local: float
    told: float | None
    makespan_s: float
    waited_s: float


@contextmanager
def session() -> Iterator[Session]:
    with tempfile.TemporaryDirectory() as home:
        found = Session(Path(home))
        try:
            yield found
        finally:
            found.close()


def run(hdfs: Hdfs, cluster: Cluster, lies: dict[str, str], way: tuple[float, bool], folder: Path, taken: int) -> Real:
    """Run one task a file beside another job; `way` is the longest wait, and whether it is known where files lie."""
    wait_s, tells = way
    dice = random.Random(len(lies))
    read, env = reader(hdfs, folder)
    walls = [dice.uniform(0.2, 0.8) for _ in lies]
    texts = [
        f"{read} {f'<[hdfs:{path}]>' if tells else f'hdfs:{path}'} && sleep {wall:.2f}"
        for path, wall in zip(lies, walls, strict=True)
    ]
    spec = JobSpec("reads", master=cluster.master, output_limit=1 << 20)
    with session() as here:
        if taken:
            theirs = explicit_commands([f"sleep {dice.uniform(1, 5):.1f}" for _ in range(2000)])
            others = here.submit(replace(spec, job_id="others", rules=Rules(max_tasks=taken)), theirs)
            while not others.view.done:
                others.wait(0.2)
        mine = replace(
            spec,
            env=(("HDFS_WEB", env.partition("=")[2]),),
            hdfs=hdfs.url if tells else "",
            rules=Rules(locality_wait_s=wait_s),
        )
        job = here.submit(mine, explicit_commands(texts))
        assert job.wait(600)
        df, view = job.df, job.view
        assert df.exit_code.tolist() == [0] * len(lies)
        known = view.local_bytes + view.remote_bytes
        return Real(
            local=sum(a == b for a, b in zip(df.node, lies.values(), strict=True)) / len(lies),
            told=view.local_bytes / known if known else None,
            makespan_s=view.elapsed_s,
            waited_s=view.waited_s,
        )


def main(tasks: int, wait_s: float, seeds: list[int]) -> None:
    """Print a table, and whether the target was reached."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        resources = f"cpus:{SLOTS};mem:4096;disk:5000"
        with (
            Hdfs(servers(), folder / "hdfs") as hdfs,
            agents_on(hdfs, programs(), folder / "mesos", resources=resources) as cluster,
        ):
            print(f"real: {len(hdfs.addresses)} nodes x {SLOTS} slots; {tasks} tasks of 0.2-0.8 s, each reads one file "
                  f"of {SIZE:,} bytes with one replica")  # fmt: skip
            print(f"{'seed':>4}  {'taken':>5}  {'placement':10}{'local':>8}{'it says':>9}{'makespan':>11}"
                  f"{'to greedy':>11}{'to random':>11}{'waited':>10}")  # fmt: skip
            reached = True
            plans = [(seed, 0) for seed in seeds] + [(seeds[0], SLOTS * len(hdfs.addresses) // 2)]
            for number, (seed, taken) in enumerate(plans):
                lies = balanced(hdfs, f"/plan{number}", tasks, SIZE, seed)
                ways = {"random": (0.0, False), "greedy": (0.0, True), "waiting": (wait_s, True)}
                found = {way: run(hdfs, cluster, lies, how, folder, taken) for way, how in ways.items()}
                for way, one in found.items():
                    told = "-" if one.told is None else f"{one.told:.1%}"
                    ratios = [one.makespan_s / found[other].makespan_s for other in ("greedy", "random")]
                    print(f"{seed:4}  {taken:5}  {way:10}{one.local:8.1%}{told:>9}{one.makespan_s:9.1f} s"
                          f"{ratios[0]:11.3f}{ratios[1]:11.3f}{one.waited_s:8.1f} s", flush=True)  # fmt: skip
                reached = reached and (taken > 0 or found["waiting"].local >= 0.95)
    print(f"target: on its own, waiting has at least 95 % local: {'reached' if reached else 'missed'}")
