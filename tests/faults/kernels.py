"""Kernels that can be killed: processes that submit, or attach, and say how far they are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


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
