"""A job handed to a process of its own, which goes on with it in the background."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..backend.engines.task_environment import handed_on

if TYPE_CHECKING:
    from ..job import Job

# its environment is that of tasks: the package is not found by what would be handed on to them
_PACKAGE: Final = str(Path(__file__).resolve().parents[2])
_START: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from stratos_jupyter.__main__ import main; sys.exit(main(sys.argv[2:]))"
)
#: what it prints, in the run's folder
LOG: Final = "keeper.log"


def start_background(home: Path, job: Job, settings: Mapping[str, str]) -> int:
    """Start ``python -m stratos_jupyter attach JOB --keep HOME`` for a job that none holds; return its process id.

    The values of variables that the user gave for the job alone are handed on in its environment, and so are
    `settings`, as variables: nowhere else are they kept.
    """
    named = {name: os.environ[name] for name, _ in job.spec.env if name in os.environ}
    env = {**handed_on(), **named, **{name: value for name, value in job.spec.env if value is not None}, **settings}
    with open(os.open(job.folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _START, _PACKAGE, "attach", job.job_id, "--keep", str(home)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=env,
            cwd="/",
        )
    process.returncode = 0  # it outlives this one, which never waits for it
    return process.pid
