"""Kernels, executors, agents and masters killed at random moments: nothing recorded is lost or run again."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from stratos_jupyter.backend.store.journal import Journal
from tests.clusters.mesos.cluster import Cluster
from tests.clusters.mesos.fixtures import MakeCluster
from tests.faults.kernels import LONG, is_up, kill, start
from tests.faults.kernels import ROUNDS as MANY
from tests.mesos.conftest import executors
from tests.support.waiting import until

TASKS = 300
#: here each of them takes seconds
ROUNDS = MANY if LONG else 2
SEED = int(os.environ.get("STRATOS_SEED", "20260101"))
#: who is killed in a round; `mixed` is any of them, several times
MODES = ["kernel", "executor", "agent", "master", "mixed"]
#: an agent that was killed looks for its executors at once, but a new master waits for agents to look for it
AGENT_TIMEOUT_S = 3

pytestmark = [pytest.mark.mesos, pytest.mark.slow, pytest.mark.timeout(100 + 60 * ROUNDS)]

SUBMIT = """
from stratos_jupyter.session import current
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
texts = [f"echo x >> {work}/ran.{{i}}; sleep {pause}; echo {{i}}" for i in range({tasks})]
job = current().submit(JobSpec("demo", master={master!r}, output_limit=1 << 20), explicit_commands(texts))
print("up", flush=True)
assert job.wait(120), job.view
print("done", flush=True)
"""
ATTACH = """
import json
from stratos_jupyter.session import close, current
job = current().attach("demo")
print("up", flush=True)
assert job.wait(120), job.view
rows = job.rows()
print(json.dumps([[[row.task, row.attempt, row.reason, row.exit_code, row.stdout.decode()] for row in rows],
                  job.view.attempts_lost]))
close()
"""


def recorded(run: Path, aside: Path) -> set[int]:
    """Return the tasks that a dead kernel has recorded; the journal itself is not touched."""
    shutil.copytree(run, aside, ignore=shutil.ignore_patterns("executors", "lease*"))
    journal = Journal(aside)
    try:
        return {row.task for row in journal.rows()}
    finally:
        journal.close()
        shutil.rmtree(aside)


def times(work: Path) -> list[int]:
    """Return how often each task has run."""
    found = []
    for task in range(TASKS):
        try:
            found.append(len((work / f"ran.{task}").read_text().split()))
        except FileNotFoundError:
            found.append(0)
    return found


def rest(kernel: subprocess.Popen[str]) -> tuple[str, str]:
    """Return the rest of what a kernel says, once it has ended; `communicate` leaves out what is buffered."""
    assert kernel.stdout is not None
    assert kernel.stderr is not None
    out, err = kernel.stdout.read(), kernel.stderr.read()
    kernel.wait(30)
    return out, err


def frameworks(cluster: Cluster, forgetful: bool) -> list[str]:
    """Return the frameworks that are there.

    A master that is killed forgets which ones it has ended, and takes in again whose executors an agent still names: of
    a forgetful one those without tasks don't count. Mesos 1.11 even fails when such an executor exits ("Check failed:
    'get_(role)' Must be SOME"), so that the next round has a cluster of its own.
    """
    if forgetful:
        cluster.revive_master()
    found = cluster.get("/master/frameworks")["frameworks"]
    return [one["id"] for one in found if one["active"] or one["tasks"] or not forgetful]


def harm(cluster: Cluster, mode: str, dice: random.Random) -> None:
    """Kill something of the cluster, and bring it back."""
    if mode == "executor":
        for pid in executors(cluster):
            if dice.random() < 0.7:
                kill(pid)
    elif mode == "agent":
        agent = dice.randrange(2)
        cluster.kill_agent(agent)
        cluster.start_agent(agent)
    elif mode == "master":
        cluster.kill_master()
        cluster.start_master()


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_lost_or_recorded_twice(mode: str, make_mesos: MakeCluster, tmp_path: Path) -> None:
    dice = random.Random(f"{SEED} {mode}")
    sums: Counter[str] = Counter()
    cluster = make_mesos(2, agent_timeout_s=AGENT_TIMEOUT_S)
    for turn in range(ROUNDS):
        if turn and mode in ("master", "mixed"):
            cluster.stop()
            cluster = make_mesos(2, agent_timeout_s=AGENT_TIMEOUT_S)
        home, work = tmp_path / f"home{turn}", tmp_path / f"work{turn}"
        work.mkdir()
        run = home / "jobs" / "demo" / "1"
        pause = dice.choice([0, 0.01, 0.03])
        kernel = start(SUBMIT.format(tasks=TASKS, work=work, pause=pause, master=cluster.master), home)
        is_up(kernel)
        harmed = Counter[str]()
        for _ in range(dice.choice([1, 1, 2, 3])):
            at_s = time.monotonic() + dice.uniform(0.1, 2.5)
            until(lambda at_s=at_s, kernel=kernel: time.monotonic() >= at_s or kernel.poll() is not None)
            whom = dice.choice(MODES[:-1]) if mode == "mixed" else mode
            harmed[whom] += 1
            harm(cluster, whom, dice)
            if whom != "kernel" and dice.random() < 0.5:
                continue  # the kernel sees it through
            harmed["kernel"] += 1
            kernel.kill()
            kernel.communicate()
            before, seen = times(work), recorded(run, tmp_path / "aside")
            kernel = start(ATTACH, home)
            is_up(kernel)
            sums.update(kernels=1, recorded=len(seen))
            after = times(work)
            assert all(before[task] == after[task] for task in seen), "what was recorded does not run again"
        out, err = rest(kernel)
        assert kernel.returncode == 0, err
        if harmed["kernel"]:
            final = times(work)
            assert all(before[task] == final[task] for task in seen), "what was recorded does not run again"
        else:
            assert "done" in out
        forgetful = bool(harmed["master"])
        until(lambda up=cluster, forgetful=forgetful: not frameworks(up, forgetful), 30, "no framework to be left")
        second = start(ATTACH, home)
        is_up(second)
        out, err = rest(second)
        assert second.returncode == 0, err
        rows, losses = json.loads(out)
        assert [row[0] for row in sorted(rows)] == list(range(TASKS)), "each has one result"
        assert all(row[2:] == ["exit", 0, f"{row[0]}\n"] for row in rows)
        ran = times(work)
        again = [task for task in range(TASKS) if ran[task] > 1]
        assert min(ran) >= 1
        assert sum(ran) - TASKS <= losses, "only what was lost runs again"
        if not harmed["executor"]:
            assert not again, f"only dead executors lose what they ran: {again} {dict(harmed)}"
        # An executor whose agent was away when the framework ended goes by itself, a minute later.
        until(lambda up=cluster: not up.processes(), 90, "no process to be left")
        sums.update(rounds=1, lost_attempts=losses, ran_again=len(again), **harmed)
    print(f"\n{mode}: {ROUNDS} rounds of {TASKS}: lost 0, recorded twice 0, left over 0; {dict(sums)}")
