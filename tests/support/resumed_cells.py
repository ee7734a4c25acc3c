"""A cell over four files that is run again and again, and what it has run each time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from stratos_jupyter import session as sessions
from stratos_jupyter.job import Job

Again = Callable[..., str]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in "abcd":
        write(name, name)
    return folder


def write(name: str, text: str, at_s: int = 1_000_000_000) -> None:
    Path(f"{name}.dat").write_text(text)
    os.utime(f"{name}.dat", (at_s, at_s))


#: what a task leaves: which file it was given, and what that held
BODY = 'echo %f% >> log; echo "$X:$(cat %f%)"'


@pytest.fixture
def again(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> Again:
    """Run the cell, wait, and return what it said first."""

    def cell(options: str = "", body: str = BODY, what: str = "glob *.dat", wait: str = "--wait --resume") -> str:
        capsys.readouterr()
        shell.run_cell(
            f"%%stratos {what} --job demo --into df {wait} {options}\n{body}", store_history=False
        ).raise_error()
        lines = capsys.readouterr().out.split("\n")
        # Before it may stand that the variable of a job that was let go of is not fresh.
        return next((line for line in lines if line.startswith("+")), lines[0])

    return cell


def job() -> Job:
    return sessions.current().job("demo")


def ran() -> list[str]:
    """Return what ran since the last time."""
    log = Path("log")
    names = sorted(log.read_text().split()) if log.exists() else []
    log.unlink(missing_ok=True)
    return [name.removesuffix(".dat") for name in names]


def results(shell: InteractiveShell) -> dict[str, str]:
    df = shell.user_ns["df"]
    assert df.file.is_unique
    return {file.removesuffix(".dat"): out.strip() for file, out in zip(df.file, df.stdout, strict=True)}


def new_kernel() -> None:
    """Hold the job no longer, as a kernel that is gone."""
    session = sessions.current()
    session.let_go(job())


def ran_so_far() -> list[str]:
    return Path("log").read_text().split() if Path("log").exists() else []
