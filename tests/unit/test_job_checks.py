"""What is checked of a job before anything of it starts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stratos_jupyter.backend.engines.registry import site_for
from stratos_jupyter.backend.engines.sites import EngineSettings
from stratos_jupyter.backend.spec.commands import explicit_commands, glob_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.backend.spec.workload import CommandEnv, Workload
from stratos_jupyter.errors import SpecError
from stratos_jupyter.job_checks import check_added, check_job, command_env


@pytest.fixture
def settings() -> EngineSettings:
    from stratos_jupyter.session import _engine_settings

    return _engine_settings()


def test_all_that_is_wrong_is_named_at_once(tmp_path: Path, settings: EngineSettings) -> None:
    spec = JobSpec(job_id="demo", cwd=str(tmp_path / "none"), env=(("NOT_SET_ANYWHERE", None),), timeout_s=-1.0)
    none: Any = ()
    with pytest.raises(SpecError) as caught:
        check_job(spec, none, site_for("local", tmp_path), settings)
    text = str(caught.value)
    assert "timeout" in text
    assert "there is no command to run" in text
    assert "NOT_SET_ANYWHERE is not set here; write --env NAME=value" in text
    assert text.count("; ") >= 3


def test_what_is_right_comes_back_with_its_directory_whole(tmp_path: Path, settings: EngineSettings) -> None:
    spec = check_job(
        JobSpec(job_id="demo", cwd=str(tmp_path)), explicit_commands(["true"]), site_for("local", tmp_path), settings
    )
    assert spec.cwd == str(tmp_path)


def test_what_a_job_names_wins_over_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "ours")
    monkeypatch.setenv("NAMED", "before")
    monkeypatch.setenv("OMP_NUM_THREADS", "9")
    found = command_env(JobSpec(cwd="/w", env=(("NAMED", "now"), ("OURS", None), ("ABSENT_HERE", None)))).env
    assert (found["OURS"], found["NAMED"], "ABSENT_HERE" in found) == ("ours", "now", False)
    assert found["OMP_NUM_THREADS"] == "9"
    few = command_env(JobSpec(cwd="/w", threads=2, threads_given=True)).env
    assert few["OMP_NUM_THREADS"] == "2"


def test_commands_are_not_added_that_make_what_another_task_makes() -> None:
    workload = Workload()
    workload.add(glob_commands("prog %f%", ["a"]), CommandEnv("/w", {}))
    job: Any = SimpleNamespace(
        spec=JobSpec(cwd="/w", makes=("%f%.out",)),
        commands=workload,
        submissions=SimpleNamespace(promised=lambda: {"/w/a.out": 0}),
    )
    with pytest.raises(SpecError, match=r"a\.out"):
        check_added(job, glob_commands("prog %f%", ["a"]))
    check_added(job, glob_commands("prog %f%", ["b"]))
