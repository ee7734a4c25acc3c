"""What the README tells people to do: one pip command, in a fresh environment, on the Pythons that we promise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import require
from tests.support.pythons import other_pythons

ROOT = Path(__file__).resolve().parents[3]
PYTHONS = {**other_pythons(), "{}.{}".format(*sys.version_info[:2]): sys.executable}
#: pymesos imports all of it at once; nothing of the checkout is on the path
IMPORT = """
import http_parser, pymesos, stratos_jupyter
from stratos_jupyter.backend.engines.mesos.driver import MesosDriver
assert "site-packages" in http_parser.__file__ and "site-packages" in stratos_jupyter.__file__, http_parser.__file__
print(http_parser.__version__, pymesos.__VERSION__, MesosDriver.__name__)
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=500)


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_pip_installs_pymesos_with_it(version: str, tmp_path: Path) -> None:
    if version not in PYTHONS:
        require("pythons", f"no python{version} on this machine")
    made = run(PYTHONS[version], "-m", "venv", tmp_path / "venv", folder=tmp_path)
    if made.returncode:
        require("pythons", f"python{version} makes no virtual environments here")
    python = tmp_path / "venv/bin/python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    if run(*pip, "download", "--no-deps", "h11", "-d", tmp_path / "h11", folder=tmp_path).returncode:
        require("network", "pip finds no packages")
    installed = run(*pip, "install", ROOT / "packaging/http-parser", f"{ROOT}[mesos]", folder=tmp_path)
    assert not installed.returncode, installed.stderr[-2000:]
    imported = run(python, "-c", IMPORT, folder=tmp_path)
    assert imported.stdout.split() == ["0.9.1", "0.3.15", "MesosDriver"], imported.stderr[-2000:]
    checked = run(*pip, "check", folder=tmp_path)
    assert not checked.returncode, checked.stdout
