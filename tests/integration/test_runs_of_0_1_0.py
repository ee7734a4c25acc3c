"""Runs that version 0.1.0 left: they are attached, gone on with, resumed and reported as its own are.

What they are is in tests/data/runs_of_0_1_0, and how they were made.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from stratos_jupyter.__main__ import main
from stratos_jupyter.errors import SpecError
from tests.data.runs_of_0_1_0 import make

DATA = Path(make.__file__).parent
JOBS = sorted(path.name for path in (DATA / "jobs").iterdir())

Magic = Callable[..., str]


@pytest.fixture
def runs(tmp_path: Path, state_home: Path) -> Path:
    """The runs as they are, but for who held the one that was not finished: a process of this host's last boot."""
    shutil.copytree(DATA / "jobs", state_home / "jobs")
    shutil.copy(DATA / "secret", state_home)
    state_home.chmod(0o700)
    unfinished = state_home / "jobs" / "unfinished" / "1"
    for path in (unfinished / "lease.json", unfinished / "executors" / "1" / "executor.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "host": socket.gethostname()}))
    return state_home


@pytest.fixture
def work(tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where their commands run: what is below /tmp/data is below the test's own folder, also in the records."""
    shutil.copytree(DATA / "work", tmp_path / "work")
    make.make_inputs(tmp_path / "work")
    for path in runs.glob("jobs/*/*/journal.sqlite"):
        move(path, str(make.PLACE), str(tmp_path))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def move(journal: Path, old: str, new: str) -> None:
    """Say in a journal that what lay in the folder `old` lies in `new`."""
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE meta SET value = replace(value, ?, ?)", (old, new))
        for name in ("stdout_path", "stderr_path"):
            db.execute(f"UPDATE results SET {name} = replace({name}, ?, ?)", (old, new))
        for seq, blob in db.execute("SELECT seq, commands FROM calls").fetchall():
            record = zlib.decompress(blob).decode("ascii").replace(old, new)
            db.execute("UPDATE calls SET commands = ? WHERE seq = ?", (zlib.compress(record.encode("ascii")), seq))


@pytest.fixture
def magic(shell: InteractiveShell, work: Path, capsys: pytest.CaptureFixture[str]) -> Magic:
    """Run a line, or a cell, and return what it printed."""

    def run(first: str, body: str = "") -> str:
        capsys.readouterr()
        shell.run_cell(f"%%stratos {first}\n{body}" if body else f"%stratos {first}").raise_error()
        return capsys.readouterr().out

    return run


def told(frame: pd.DataFrame, *names: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in frame[list(names)].itertuples(index=False)]


#: of each run: state, reason, exit code, attempt and stdout of its tasks, of those that have ended
EXPECTED = {
    "failed": [
        ("FINISHED", "exit", 0, 1, "fine\n"),
        ("FINISHED", "exit", 0, 2, "second\n"),
        ("FAILED", "exit", 4, 2, ""),
        ("FAILED", "signal", -11, 2, ""),
    ],
    "files": [("FINISHED", "exit", 0, 1, f"logs/files-1.{task}.1.stdout") for task in range(2)],
    "finished": [
        ("FINISHED", "exit", 0, 1, out)
        for out in ("0.5\t1.dat\n", "1.5\t2.dat\n", "3.5\tZürich.dat\n", "2.5\tit's.dat\n")
    ],
    "halted": [("FINISHED", "exit", 0, 1, "one\n"), ("FAILED", "exit", 5, 1, "")],
    "killed": [("FINISHED", "exit", 0, 1, "short\n"), ("KILLED", "user", -15, 1, "long\n")],
    "marked": [("FINISHED", "exit", 0, 1, f"{mass}mass") for mass in (0.5, 1.5, 3.5, 2.5)],
    "monitored": [("KILLED", "monitor", -15, 1, "diverged\n"), ("FINISHED", "exit", 0, 1, "step 0.25\n")],
    "parameters": [("FINISHED", "exit", 0, 1, f"{angle}\n") for angle in (0, 45, 90)],
    "resumed": [("FINISHED", "exit", 0, 1, f"7 {mass}\n") for mass in (0.5, 1.75, 3.5, 2.5)],
}


def test_there_is_one_of_each_kind() -> None:
    assert [*EXPECTED, "unfinished"] == JOBS


@pytest.mark.parametrize("job", EXPECTED)
def test_what_has_ended_is_attached(magic: Magic, shell: InteractiveShell, work: Path, job: str) -> None:
    magic(f"attach {job} --into df")
    frame = shell.user_ns["df"]
    frame.stdout = frame.stdout.str.removeprefix(f"{work}/")
    assert told(frame, "state", "reason", "exit_code", "attempt", "stdout") == EXPECTED[job]
    assert frame.node.unique().tolist() == ["node7"]
    assert frame.losses.unique().tolist() == [0]
    assert frame.submitted_at.is_monotonic_increasing
    assert (frame.wall_s > 0).all()
    assert (frame.submitted_at <= frame.started_at).all()
    assert (frame.started_at <= frame.finished_at).all()


def test_files_parameters_and_parsed_columns_are_there(magic: Magic, shell: InteractiveShell) -> None:
    magic("attach finished --into df")
    files = ["1.dat", "2.dat", "Zürich.dat", "it's.dat"]
    assert told(shell.user_ns["df"], "file", "mass", "name") == [
        (file, mass, file) for file, mass in zip(files, (0.5, 1.5, 3.5, 2.5), strict=True)
    ]
    assert shell.user_ns["df"].parse_error.isna().all()
    magic("attach parameters --into df")
    assert told(shell.user_ns["df"], "azimuth", "name", "value", "command") == [
        ("0", "x", 0.0, "echo 0"),
        ("45", "y z", 45.0, "echo 45"),
        ("90", "$HOME", 90.0, "echo 90"),
    ]


def test_each_attempt_and_what_a_monitor_asked_for_are_told(magic: Magic) -> None:
    for job in JOBS:
        magic(f"attach {job}")
    log = magic("log failed 1")
    assert re.search(r"attempt 1: failed, exit 3 on node7, .*\n    first\nattempt 2: finished, exit 0", log), log
    assert "3 attempts failed and tried again" in magic("status failed")
    assert "1 × exit 4: no mass" in magic("status failed")
    assert "runs because of task 0, which its monitor ended" in magic("log monitored 1")
    assert magic("log files 0").endswith("--- stdout ---\nout\n--- stderr ---\nerr\n")
    assert "halted after 1 failed: 1 queued, 1 finished, 1 failed" in magic("status halted")
    # What an earlier call of the cell ran is on record, and in no result.
    assert "7 1.5\n" in magic("log resumed 1")


def test_what_was_not_finished_goes_on(magic: Magic, shell: InteractiveShell, work: Path) -> None:
    (work / "on").touch()
    magic("attach unfinished --into df")
    magic("wait unfinished")
    # The first was recorded, and the executor has kept the second; two ran when it died, two had not begun.
    assert told(shell.user_ns["df"], "state", "stdout", "attempt", "losses") == [
        ("FINISHED", "recorded\n", 1, 0),
        ("FINISHED", "kept\n", 1, 0),
        ("FINISHED", "2\n", 2, 1),
        ("FINISHED", "3\n", 2, 1),
        ("FINISHED", "4\n", 1, 0),
        ("FINISHED", "5\n", 1, 0),
    ]
    assert not (work / "began.4").exists()
    assert [(work / f"began.{number}").read_text() for number in (2, 3)] == ["begun\n"] * 2, "once more each"


def test_what_was_halted_goes_on(magic: Magic, shell: InteractiveShell) -> None:
    magic("attach halted --into df")
    magic("resume halted")
    magic("wait halted")
    assert told(shell.user_ns["df"], "state", "stdout") == [
        ("FINISHED", "one\n"),
        ("FAILED", ""),
        ("FINISHED", "three\n"),
    ]


def test_what_failed_is_run_again(magic: Magic, shell: InteractiveShell) -> None:
    magic("attach failed --into df")
    magic("relaunch failed --failed")
    magic("wait failed")
    assert shell.user_ns["df"].attempt.tolist() == [1, 2, 4, 4]


def test_a_monitor_still_watches(magic: Magic, shell: InteractiveShell) -> None:
    magic("attach monitored --into df")
    magic("relaunch monitored 0")
    magic("wait monitored")
    frame = shell.user_ns["df"]
    assert frame.reason.tolist() == ["monitor", "exit", "exit"]
    assert frame.origin.fillna(-1).tolist() == [-1, 0, 0]
    assert frame.stdout.tolist() == ["diverged\n", "step 0.25\n", "step 0.25\n"]


def test_a_cell_is_run_again(magic: Magic, shell: InteractiveShell, work: Path) -> None:
    magic("connect local[2]")
    again = "--job finished --into df --parse tsv --columns mass:float,name --resume --wait"
    with pytest.raises(SpecError, match=r"--shell is bash -e, and was sh: .*Leave it as it was"):
        magic(f"glob *.dat {again}", make.FINISHED)
    again += " --shell sh"
    assert magic(f"glob *.dat {again}", make.FINISHED).startswith("+0 new, 0 changed, 4 done\n")
    (work / "2.dat").write_text("1.25")
    (work / "3.dat").write_text("4.5")
    # Without --resume, 0.1.0 did not record what the inputs were.
    out = magic(f"glob [123Z]*.dat {again}", make.FINISHED)
    assert out.startswith("+1 new, 0 changed, 3 done, 1 gone\n3 tasks, as 0: what the input was is not on record"), out
    masses = {"1.dat": 0.5, "2.dat": 1.5, "3.dat": 4.5, "Zürich.dat": 3.5}
    assert dict(told(shell.user_ns["df"], "file", "mass")) == masses


def test_changed_inputs_and_values_of_variables_are_seen(
    magic: Magic, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    magic("connect local[2]")
    again = "glob *.dat --job resumed --shell sh --env SCALE --resume --wait"
    make.write(work / "2.dat", "1.75")  # as it was when the cell was run last
    monkeypatch.setenv("SCALE", "7")
    assert magic(again, make.SCALED).startswith("+0 new, 0 changed, 4 done\n")
    (work / "1.dat").write_text("0.625")
    assert magic(again, make.SCALED).startswith("+0 new, 1 changed, 3 done\n")
    monkeypatch.setenv("SCALE", "8")
    assert magic(again, make.SCALED).startswith("+0 new, 4 changed, 0 done\n")


@pytest.mark.parametrize("job", JOBS)
def test_all_are_reported_and_left_as_they_are(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], job: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in (runs / "jobs" / job).rglob("*") if path.is_file()}
    assert main(["report", job, "-o", "page.html"]) == 0, capsys.readouterr().err
    page = unescape(re.sub(r"<[^>]+>", " ", (tmp_path / "page.html").read_text("utf-8")))
    assert "node7" in page
    for _, _, _, _, out in EXPECTED.get(job, [(0, 0, 0, 0, "recorded\n")]):
        if job != "files":
            assert out.strip().split("\t")[0] in page
    assert main(["status", job]) == 0
    assert job in capsys.readouterr().out
    assert {path: path.read_bytes() for path in before} == before


def test_the_list_says_what_each_is(magic: Magic) -> None:
    lines = {line.split()[0]: line for line in magic("attach").splitlines() if line.strip()}
    assert set(JOBS) <= set(lines)
