"""Kernels that are ended with their test, and nothing that stays behind it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.engines.local.orphans import bearers
from tests.conftest import require
from tests.faults.kernels import executors, kill, start

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def nothing_stays(state_home: Path) -> Iterator[None]:
    """End what a test has let go of: it would go on, or wait for its next kernel."""
    yield
    for run in state_home.glob("jobs/*/*"):
        for pid in (*executors(run), *bearers(run)):
            kill(pid, signal.SIGCONT)
            kill(pid)


@pytest.fixture
def run_kernel(state_home: Path, nothing_stays: None) -> Iterator[Start]:
    """Starts kernels; whatever is left of them ends with the test."""
    kernels: list[subprocess.Popen[str]] = []

    def run(code: str, env: dict[str, str] | None = None, home: Path = state_home) -> subprocess.Popen[str]:
        kernels.append(start(code, home, env))
        return kernels[-1]

    yield run
    for kernel in kernels:
        if kernel.poll() is None:
            kernel.kill()
        kernel.communicate()


def needs_root() -> None:
    """Skip what only root can set up: mounts, and being somebody else."""
    if os.geteuid() != 0:
        require("root", "only root can set this up")
