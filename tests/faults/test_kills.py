"""Kernels and executors that are killed at random moments: nothing recorded is lost or run again, nothing is left."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from stratos_jupyter.backend.engines.local.orphans import bearers
from tests.faults.kernels import ROUNDS, executors, kill, start
from tests.support.waiting import until

TASKS = 300
SEED = int(os.environ.get("STRATOS_SEED", "20260101"))
MODES = ["kernel", "executor", "both"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(100 + 30 * ROUNDS)]

SUBMIT = """
from stratos_jupyter.session import current
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
texts = [f"echo x >> ran.{{i}}; sleep {pause}; echo {{i}}" for i in range({tasks})]
job = current().submit(JobSpec("demo", master="local[2]", cwd={work!r}), explicit_commands(texts))
print("up", flush=True)
job.wait()
print("done", flush=True)
"""
ATTACH = """
import json
from stratos_jupyter.session import close, current
job = current().attach("demo")
done = sorted({row.task for row in job.rows()})
assert job.wait(60), job.view
rows = job.rows()
print(json.dumps([done, [[row.task, row.attempt, row.reason, row.exit_code, row.stdout.decode()] for row in rows],
                  job.view.attempts_lost]))
close()
"""


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_lost_or_recorded_twice(mode: str, tmp_path: Path) -> None:
    dice = random.Random(f"{SEED} {mode}")
    sums: Counter[str] = Counter()
    for turn in range(ROUNDS):
        home, work = tmp_path / f"home{turn}", tmp_path / f"work{turn}"
        work.mkdir()
        run = home / "jobs" / "demo" / "1"
        kernel = start(SUBMIT.format(tasks=TASKS, work=str(work), pause=dice.choice([0, 0.005])), home)
        assert kernel.stdout is not None
        assert kernel.stdout.readline() == "up\n"
        at_s = time.monotonic() + dice.uniform(0.05, 1.2)
        until(lambda at_s=at_s, kernel=kernel: time.monotonic() >= at_s or kernel.poll() is not None)
        if mode != "kernel":
            for pid in executors(run):
                kill(pid)
        if mode != "executor":
            kernel.kill()
            kernel.communicate()
        else:
            out, err = kernel.communicate(timeout=60)
            assert "done" in out, err
        attached = start(ATTACH, home)
        out, err = attached.communicate(timeout=90)
        assert attached.returncode == 0, err
        before, rows, losses = json.loads(out)
        assert [row[0] for row in sorted(rows)] == list(range(TASKS)), "each has one result"
        assert all(row[2:] == ["exit", 0, f"{row[0]}\n"] for row in rows)
        if turn == 0:  # attaching once more changes nothing
            second, err = start(ATTACH, home).communicate(timeout=90)
            assert json.loads(second)[1] == rows, err
        times = Counter(len((work / f"ran.{task}").read_text().split()) for task in range(TASKS))
        again = sum(count for number, count in times.items() if number > 1)
        assert max(times) <= 2
        if mode == "executor":
            assert again <= losses, "only what was lost runs again"
        else:  # an attempt that nobody had recorded yet is lost without being counted
            ran_again = {task for task in range(TASKS) if (work / f"ran.{task}").read_text() != "x\n"}
            assert not ran_again & set(before), "what was recorded does not run again"
            assert not again or mode == "both", "what an executor has does not run again"
        until(lambda run=run: not bearers(run), what="no process to be left")
        until(lambda run=run: not executors(run), what="no executor to be left")
        sums.update(done_before=len(before), lost_attempts=losses, ran_again=again)
    print(f"\n{mode}: {ROUNDS} rounds of {TASKS}: lost 0, recorded twice 0, left over 0; {dict(sums)}")
