"""What tasks find in their environment: of a real kernel, of a script, and of a kernel that attaches."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

import stratos_jupyter
from stratos_jupyter import Processor, SpecError
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.session import Session
from tests.support.waiting import until

ROOT = str(Path(stratos_jupyter.__file__).parents[1])
OURS = r"^(MPLBACKEND|FORCE_COLOR|CLICOLOR|TERM|PAGER|GIT_PAGER|JPY_|PYDEVD|OMP_|MKL_|STRATOS_THREADS)"
Cell = Callable[[str], str]


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Cell]]:
    """Starts kernels with some variables in their shell; each is asked cell by cell."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH")))))
    started = []

    def start(**shell: str) -> Cell:
        env = {name: value for name, value in os.environ.items() if name not in ("MPLBACKEND", "FORCE_COLOR", "PAGER")}
        manager, client = start_new_kernel(cwd=str(tmp_path), env={**env, "TERM": "xterm", **shell})
        assert isinstance(client, BlockingKernelClient)
        started.append((manager, client))

        def cell(text: str) -> str:
            said: list[str] = []

            def hear(message: dict[str, dict[str, str]]) -> None:
                content = message["content"]
                said.append(content.get("text", "") or content.get("evalue", ""))

            client.execute_interactive(text, timeout=60, output_hook=hear)
            return "".join(said)

        cell("%load_ext stratos_jupyter")
        return cell

    yield start
    for manager, client in started:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def found(cell: Cell, options: str = "") -> dict[str, str]:
    """What a task finds of the variables that matter here."""
    cell(f"%%stratos explicit --job env --into got --wait {options}\nenv | grep -E '{OURS}'; true")
    lines = cell("print(got.stdout[0])").split("\n")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_what_a_kernel_sets_for_itself_does_not_reach_its_tasks(kernel: Callable[..., Cell]) -> None:
    cell = kernel()
    asked = cell("import os; print(*map(os.environ.get, ('TERM', 'PAGER', 'FORCE_COLOR', 'MPLBACKEND')))")
    assert "xterm-color cat 1 module://" in asked
    assert found(cell) == {"TERM": "xterm", "OMP_NUM_THREADS": "1", "STRATOS_THREADS": "1"}
    cell("%env FORCE_COLOR=2\n%env MPLBACKEND=pdf")
    named = found(cell, "--env PAGER=cat --env JPY_PARENT_PID --env CLICOLOR_FORCE=1")
    assert int(named.pop("JPY_PARENT_PID")) == os.getpid()
    assert named == {
        "TERM": "xterm", "FORCE_COLOR": "2", "MPLBACKEND": "pdf", "PAGER": "cat", "CLICOLOR_FORCE": "1",
        "OMP_NUM_THREADS": "1", "STRATOS_THREADS": "1",
    }  # fmt: skip


def test_what_the_user_has_set_before_jupyter_was_started_does(kernel: Callable[..., Cell]) -> None:
    cell = kernel(MPLBACKEND="Agg", FORCE_COLOR="1", PAGER="less", OMP_NUM_THREADS="64", MKL_NUM_THREADS="64")
    mine = {"TERM": "xterm", "MPLBACKEND": "Agg", "FORCE_COLOR": "1", "PAGER": "less"}
    assert found(cell) == {**mine, "OMP_NUM_THREADS": "64", "MKL_NUM_THREADS": "64", "STRATOS_THREADS": "1"}
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "STRATOS_THREADS": "1.5"}
    assert found(cell, "--threads 1.5") == {**mine, **threads}
    assert found(cell, "--threads 1.5 --env OMP_NUM_THREADS=8")["OMP_NUM_THREADS"] == "8"
    cell("%config Stratos.threads = 2")
    assert found(cell)["OMP_NUM_THREADS"] == "2"


def test_python_in_tasks_is_the_kernels(kernel: Callable[..., Cell]) -> None:
    cell = kernel(PATH="/usr/local/bin:/usr/bin:/bin")
    asked = "python -c 'import sys; print(sys.executable)'; echo $STRATOS_PYTHON; python -c 'import stratos_jupyter'"
    cell(f"%%stratos explicit --job p --into got --wait\n{asked}")
    assert cell("print(got.stdout[0])").split() == [sys.executable, sys.executable]
    cell("%%stratos explicit --job p --into got --wait --env PATH=/usr/bin:/bin\necho $PATH")
    assert cell("print(got.stdout[0])").strip() == "/usr/bin:/bin"


def test_a_kernel_that_attaches_gives_its_tasks_what_is_its_users(kernel: Callable[..., Cell]) -> None:
    first = kernel()
    first("%%stratos explicit --job keep --max-tasks 1\nsleep 0.01\nenv | grep -cE '^(FORCE_COLOR|MPLBACKEND|JPY_)'")
    first("%stratos pause keep")
    second = kernel(MPLBACKEND="Agg")
    second("%stratos attach keep --steal --into got")
    second("%stratos relaunch keep 1")
    second("%stratos resume keep")
    second("%stratos wait keep")
    assert second("print(got.stdout[1], got.state[0])").split() == ["1", "FINISHED"]


def test_a_job_in_the_background_and_a_script_below_a_kernel_find_the_same(
    kernel: Callable[..., Cell], tmp_path: Path
) -> None:
    cell = kernel()
    (tmp_path / "script.py").write_text(
        "from stratos_jupyter import Processor\n"
        f"Processor('local', job_id='below').explicit_batch(['env | grep -E \"{OURS}\" | sort > below'])\n"
    )
    cell(f"!{sys.executable} script.py")
    cell(
        "%%stratos explicit --job keep --max-tasks 1 --env FORCE_COLOR=1\n"
        "until [ -e go ]; do sleep 0.02; done\n"
        f"env | grep -E '{OURS}' | sort > kept; mv kept behind"
    )
    cell("%stratos detach keep")
    (tmp_path / "go").touch()
    until((tmp_path / "behind").exists, 30.0)
    assert (tmp_path / "below").read_text() == "OMP_NUM_THREADS=1\nSTRATOS_THREADS=1\n"
    assert (tmp_path / "behind").read_text() == "FORCE_COLOR=1\nOMP_NUM_THREADS=1\nSTRATOS_THREADS=1\nTERM=xterm\n"


@pytest.mark.usefixtures("session")
def test_what_a_script_sets_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    for name in ("JPY_PARENT_PID", "CLICOLOR"):
        monkeypatch.delenv(name, raising=False)
    for given, count in (({}, "7"), ({"threads_per_task": 1}, "1"), ({"settings": {"threads_per_task": "1"}}, "1")):
        job = Processor("local", **given)  # type: ignore[arg-type]
        job.explicit_batch(["echo $FORCE_COLOR $OMP_NUM_THREADS"])
        assert job.get_results() == [f"1 {count}\n"]


@pytest.mark.usefixtures("session")
def test_a_variable_that_no_program_can_be_given_is_refused_by_name(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SpecError, match="the variable TABLE has 200,007 bytes"):
        session.check(JobSpec(env=(("TABLE", "x" * 200_000),)))
    with pytest.raises(SpecError, match="ODD: its value holds a NUL byte"):
        session.check(JobSpec(env=(("ODD", "a\0b"),)))
    job = Processor("local")
    job.explicit_batch(["true"])
    monkeypatch.setenv("LATER", "x" * 200_000)
    with pytest.raises(SpecError, match=r"del os.environ\['LATER'\]"):
        job.explicit_batch(["true"])
    with pytest.raises(SpecError, match="LATER"):
        Processor("local")
