"""What the local engine alone can meet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.engines import link
from stratos_jupyter.backend.engines.local import local_cpus
from stratos_jupyter.errors import EngineError
from tests.contract.conftest import Run


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run("local", tmp_path)
    yield run
    run.check()
    run.end()


def test_an_executor_that_cannot_start_ends_the_job_and_says_where_to_look(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_START", "raise SystemExit('no executor today')")
    run.add("echo a", "echo b")
    run.wait()
    assert {row.state for row in run.rows()} == {TaskState.LOST}
    assert any("executor.log" in notice for notice in run.views[-1].notices)
    assert "no executor today" in (run.folder / "executor.log").read_text()


def test_short_commands_are_lined_up(run: Run) -> None:
    run.add(*["true"] * 400)
    run.wait()
    launches = [detail for _, act, detail in run.journal.acts() if act == "launch"]
    assert len(launches) < 100  # many commands a launch, once it is known that they are short


@pytest.mark.parametrize(
    ("master", "cpus"), [("local", None), ("local[*]", None), ("local[4]", 4.0), ("local[0.5]", 0.5)]
)
def test_a_master_names_its_cores(master: str, cpus: float | None) -> None:
    assert local_cpus(master) == cpus


@pytest.mark.parametrize("master", ["local[]", "local[0]", "local[-1]", "local[two]", "locally", "local[4] "])
def test_what_is_no_local_engine_is_said_so(master: str) -> None:
    with pytest.raises(EngineError, match=r"write local, or local\[4\]"):
        local_cpus(master)
