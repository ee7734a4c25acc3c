"""The monitors of docs/monitors.md do what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter import Processor
from stratos_jupyter.session import close
from tests.conftest import require

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "monitors.md").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with the simulation, and with every program of the page."""
    shutil.copy(ROOT / "notebooks" / "simulation" / "decay.py", tmp_path)
    for name, source in re.findall(r"^`(\w+\.\w+)`[^\n]*:\n\n```\w+\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE):
        path = tmp_path / name
        path.write_text(source, "utf-8")
        path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    close()


def check(job: Processor) -> None:
    """0.5 and 0.25 diverge, 0.125 does not."""
    job.explicit_batch(["./decay.py 0.5"])
    frame = job.df
    assert frame.command.tolist() == ["./decay.py 0.5", "./decay.py 0.25", "./decay.py 0.125"]
    assert frame.reason.tolist() == ["monitor", "monitor", "exit"]
    assert frame.state.tolist() == ["KILLED", "KILLED", "FINISHED"]
    assert frame.origin.fillna(-1).tolist() == [-1, 0, 1]


@pytest.mark.parametrize("monitor", ["./watch.sh", "./watch.py"])
def test_monitors_that_are_scripts(folder: Path, monitor: str) -> None:
    check(Processor("local[1]", monitor=monitor, relauncher="./halve.sh", update_interval=0.2, job_id="scripts"))


def test_a_monitor_in_cpp(folder: Path) -> None:
    if shutil.which("g++") is None:
        require("compiler", "no g++")
    (command,) = re.findall(r"`(g\+\+ [^`]+)`", TEXT)
    subprocess.run(command.split(), cwd=folder, check=True, timeout=100)
    check(Processor("local[1]", monitor="./watch", relauncher="./halve.sh", update_interval=0.2, job_id="cpp"))


def test_a_monitor_that_is_a_function(folder: Path) -> None:
    (source,) = re.findall(r"```python\n(def watch.*?)```", TEXT, re.DOTALL)
    (folder / "functions.py").write_text(source, "utf-8")
    names: dict[str, object] = {}
    exec(compile(source, str(folder / "functions.py"), "exec"), names)
    check(Processor("local[1]", monitor=names["watch"], update_interval=0.2, job_id="function"))  # type: ignore[arg-type]
