"""An engine that another package adds: cells run on it as on those of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec, OutputMode
from stratos_jupyter.errors import SpecError
from stratos_jupyter.session import Session, current
from tests.support.scripted_engine import scripted
from tests.support.waiting import until

Run = Callable[[str], Any]


@pytest.fixture
def added() -> Iterator[None]:
    with scripted():
        yield


def test_a_cell_finishes_on_it(
    added: None, shell: InteractiveShell, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("%stratos connect scripted")
    assert "jobs run on a script on 2 nodes from now on" in capsys.readouterr().out
    run("%%stratos explicit --job demo --into df --wait\necho a b\nexit 3\necho c\n")
    df = shell.user_ns["df"]
    assert df.state.tolist() == ["FINISHED", "FAILED", "FINISHED"]
    assert df.stdout.tolist() == ["a b\n", "", "c\n"]
    assert set(df.node) <= {"n1", "n2"}


def test_what_its_tasks_end_with_is_said(added: None, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("%config Stratos.master = 'scripted'")
    run("%%stratos explicit --job demo\nsleep 9\n")
    until(lambda: current().job("demo").view[TaskState.RUNNING] == 1)
    capsys.readouterr()
    run("%stratos status demo")
    assert "outlive this kernel, but not this unit test" in capsys.readouterr().out
    run("%stratos kill demo")
    run("%stratos wait demo")


def test_what_it_cannot_do_is_refused(added: None, session: Session) -> None:
    spec = JobSpec("demo", "scripted", threads=2.0, output=OutputMode.NONE)
    with pytest.raises(SpecError, match="and no node has it; --output none: jobs of scripted have scheduler"):
        session.submit(spec, explicit_commands(["echo a"]))
