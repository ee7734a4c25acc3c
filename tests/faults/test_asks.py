"""A user who asks for many things at once, on this machine and on a cluster: whatever it was, the job ends."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.core.states import TERMINAL, TaskState
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.job import Job
from stratos_jupyter.session import Session
from stratos_jupyter.settings import current as settings
from tests.clusters.mesos.cluster import Cluster
from tests.faults.kernels import LONG, ROUNDS

SEED = int(os.environ.get("STRATOS_SEED", "20260101"))
#: jobs of a run of the tests
JOBS = ROUNDS if LONG else 3
COMMANDS = (
    "echo a",
    "exit 3",
    "kill -9 $$",
    "sleep 0.2; echo b",
    "case $STRATOS_TASK in *.1) exit 3;; esac; echo fine",
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(100 + 30 * JOBS)]

Ask = Callable[[Job, random.Random], object]


def some(job: Job, chance: random.Random) -> list[int]:
    total = len(job.commands)
    return chance.sample(range(total), min(total, 3))


def failed(job: Job) -> list[int]:
    return [task for task in range(len(job.commands)) if job.state(task) in (TaskState.FAILED, TaskState.LOST)]


ASKS: tuple[Ask, ...] = (
    lambda job, chance: job.pause(),
    lambda job, chance: job.resume(),
    lambda job, chance: job.kill(some(job, chance)),
    lambda job, chance: job.relaunch(some(job, chance)),
    lambda job, chance: (tasks := failed(job)) and job.relaunch(tasks),
    lambda job, chance: job.set(max_tasks=chance.choice([1, 2, 5, None])),
    lambda job, chance: job.set(rate=chance.choice(["20/s", "100/s", None])),
    lambda job, chance: job.set(retries=chance.choice([0, 1, 3])),
)


@pytest.mark.parametrize("engine", ["local", pytest.param("mesos", marks=pytest.mark.mesos)])
def test_every_job_ends(session: Session, request: pytest.FixtureRequest, engine: str) -> None:
    for turn in range(JOBS):
        chance = random.Random(f"{SEED} {turn}")
        master = f"local[{chance.choice([1, 2])}]"
        if engine == "mesos":
            cluster: Cluster = request.getfixturevalue("mesos")
            settings().max_cpus = chance.choice(["", "1", "2"])
            master = cluster.master
        rules = Rules(retries=chance.choice([0, 1, 2]), retry_delay_s=chance.choice([0.0, 0.01, 0.1]))
        spec = replace(JobSpec(f"demo{turn}", master=master), rules=rules)
        made = [explicit_commands(chance.choices(COMMANDS, k=chance.choice([1, 4, 12]))) for _ in range(3)]
        job = session.submit(spec, made[0], keep_open=True)
        done: list[int] = []
        for _ in range(chance.choice([0, 3, 8])):
            time.sleep(chance.choice([0, 0.01, 0.05, 0.3]))  # what it meets is up to chance, too
            which = chance.randrange(len(ASKS) + 1)
            done.append(which)
            if which < len(ASKS):
                ASKS[which](job, chance)
            elif len(made) > 1:
                job.add(made.pop(), session.command_env(spec))
        job.resume()
        job.set(max_tasks=None, rate=None)
        job.close()
        assert job.wait(60), (turn, done, job.why())
        assert all(job.state(task) in TERMINAL for task in range(len(job.commands)))
        assert job.df.index.tolist() == list(range(len(job.commands)))
        job._loop.scheduler.check()
