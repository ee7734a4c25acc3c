"""Kernels that can be killed: processes that submit, or attach, and say how far they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: STRATOS_ROUNDS=50 is what `make faults` does
ROUNDS = int(os.environ.get("STRATOS_ROUNDS", "5"))
LONG = ROUNDS > 5

#: submits `texts` as the job demo, and says so
SUBMIT = """
from stratos_jupyter.session import current
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
job = current().submit(JobSpec("demo", master="local[2]", cwd={cwd!r}), explicit_commands({texts!r}))
print("up", flush=True)
"""
#: attaches it, waits, and tells all of it as JSON
ATTACH = """
import json
from stratos_jupyter.session import close, current
job = current().attach("demo")
before = job.view.done
assert job.wait({wait_s}), job.view
rows = [[row.task, row.attempt, row.reason, row.exit_code, (row.stdout or b"").decode(), row.finished_at]
        for row in job.rows()]
print(json.dumps({{"before": before, "rows": rows, "lost": job.view.attempts_lost, "notices": job.view.notices}}))
close()
"""


def start(code: str, home: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Run Python in a process of its own, whose state is kept in `home`."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "STRATOS_HOME": str(home), "PYTHONPATH": path, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_up(kernel: subprocess.Popen[str], line: str = "up") -> None:
    """Wait for what it prints; say why it does not."""
    assert kernel.stdout is not None
    said = kernel.stdout.readline()
    if said != line + "\n":
        kernel.kill()
        raise AssertionError(f"{said!r}: {kernel.communicate()[1]}")


def executors(folder: Path) -> list[int]:
    """Return the executors that a run has written down."""
    found = []
    for path in folder.glob("executors/*/executor.json"):
        try:
            found.append(int(json.loads(path.read_text())["pid"]))
        except (OSError, ValueError):
            continue  # it is going
    return [pid for pid in found if pid]


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
