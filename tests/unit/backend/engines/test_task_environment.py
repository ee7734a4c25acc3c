"""Which variables of a notebook's process are the user's, and what tasks find of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.engines.task_environment import (
    TOGETHER_MOST,
    VARIABLE_MOST,
    born_with,
    of_user,
    path_to,
    thread_variables,
    too_large,
)

SHELL = {"HOME": "/home/ann", "TERM": "xterm", "PATH": "/usr/bin:/bin"}
#: what a kernel of today has more than the shell that Jupyter was started from
KERNEL = {
    "TERM": "xterm-color", "CLICOLOR": "1", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "PAGER": "cat",
    "GIT_PAGER": "cat", "MPLBACKEND": "module://matplotlib_inline.backend_inline", "JPY_PARENT_PID": "77",
    "JPY_SESSION_NAME": "/a.ipynb", "PYDEVD_USE_FRAME_EVAL": "NO", "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "ELECTRON_RUN_AS_NODE": "1", "VSCODE_PID": "9", "DEBUGPY_RUNNING": "true",
}  # fmt: skip


def test_of_a_kernel_that_was_left_alone_tasks_get_what_the_shell_has() -> None:
    assert of_user({**SHELL, **KERNEL}, SHELL, kernel=True) == SHELL


def test_what_the_shell_has_set_comes_back_although_the_kernel_has_replaced_it() -> None:
    shell = {**SHELL, "FORCE_COLOR": "3", "PAGER": "less", "MPLBACKEND": "Agg"}
    assert of_user({**shell, **KERNEL, "MPLBACKEND": "Agg"}, shell, kernel=True) == shell


def test_what_the_shell_has_set_as_the_kernel_would_is_the_users() -> None:
    shell = {**SHELL, "FORCE_COLOR": "1"}
    assert of_user({**shell, **KERNEL}, shell, kernel=True) == shell


def test_what_is_set_in_the_notebook_is_the_users() -> None:
    mine = {"FORCE_COLOR": "0", "MPLBACKEND": "pdf", "GIT_PAGER": "delta"}
    assert of_user({**SHELL, **KERNEL, **mine}, SHELL, kernel=True) == {**SHELL, **mine}


def test_a_process_below_a_kernel_is_born_with_what_is_not_the_users() -> None:
    for kernel in (True, False):
        born = {**SHELL, **KERNEL}
        assert of_user(born, born, kernel) == {name: SHELL[name] for name in ("HOME", "PATH")}


def test_outside_of_notebooks_what_is_set_is_the_users() -> None:
    mine = {**SHELL, "FORCE_COLOR": "1", "PAGER": "cat"}
    assert of_user(mine, SHELL, kernel=False) == mine


def test_where_a_system_tells_no_beginning_the_values_decide() -> None:
    found = of_user({**SHELL, **KERNEL, "PAGER": "less"}, None, kernel=True)
    assert found == {"HOME": "/home/ann", "PATH": "/usr/bin:/bin", "PAGER": "less"}


def test_who_this_process_is_among_others_of_an_mpi_program_is_no_matter_of_tasks() -> None:
    job = {
        "SLURM_JOB_ID": "1",
        "SLURM_CPUS_ON_NODE": "8",
        "SLURM_NTASKS": "2",
        "OMPI_MCA_btl": "self",
        "PBS_JOBID": "3",
    }
    step = {"SLURM_STEP_ID": "0", "SLURM_CPU_BIND": "mask", "PMI_RANK": "1", "PMIX_RANK": "1",
            "OMPI_COMM_WORLD_SIZE": "2", "SLURM_STEPID": "0", "OMPI_UNIVERSE_SIZE": "4",
            "MPI_LOCALRANKID": "0"}  # fmt: skip
    assert of_user({**job, **step}, {**job, **step}, kernel=False) == job


@given(st.dictionaries(st.sampled_from([*KERNEL, *SHELL, "X"]), st.sampled_from(["1", "cat", "xterm-color", "other"])))
def test_nothing_is_invented_and_what_is_handed_on_twice_is_as_the_first_time(env: dict[str, str]) -> None:
    once = of_user(env, env, kernel=False)
    assert once.items() <= env.items()
    assert of_user(once, once, kernel=False) == once


def test_a_process_is_told_what_it_was_born_with() -> None:
    code = (
        "import os; os.environ['ANN'] = 'later'; "
        "from stratos_jupyter.backend.engines.task_environment import born_with; "
        "print(born_with()['ANN'])"
    )
    born = born_with()
    if born is None:
        pytest.skip("this system does not tell with what a process was started")
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "ANN": "first=1", "PYTHONPATH": root}
    assert subprocess.check_output([sys.executable, "-c", code], env=env, text=True) == "first=1\n"


def fake(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def test_the_interpreters_folder_comes_first_where_another_python_would_be_found(tmp_path: Path) -> None:
    mine = fake(tmp_path / "mine", "python", "python3", "python3.12")
    other = fake(tmp_path / "other", "python")
    plain = fake(tmp_path / "plain", "tool")
    python = str(mine / "python3.12")
    assert path_to(python, f"{plain}") == f"{mine}:{plain}"
    assert path_to(python, f"{other}:{mine}") == f"{mine}:{other}:{mine}"
    assert path_to(python, f"{plain}:{mine}:{other}") == f"{plain}:{mine}:{other}"
    assert path_to(python, "") == str(mine)


def test_a_number_of_threads_is_whole_and_one_at_least() -> None:
    assert [thread_variables(threads, {}) for threads in (0.5, 1, 1.9, 4)] == [
        {"OMP_NUM_THREADS": count} for count in ("1", "1", "1", "4")
    ]
    assert thread_variables(2, {"MKL_NUM_THREADS": "64", "X": "64"}) == {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}


def test_the_largest_variable_that_a_program_can_be_given_is_let_through_and_no_larger() -> None:
    room = VARIABLE_MOST - len("BIG=") - 1
    fits, more = {"BIG": "x" * room}, {"BIG": "x" * (room + 1)}
    assert too_large(fits) == []
    assert subprocess.run(["true"], env={**os.environ, **fits}, check=False).returncode == 0
    (said,) = too_large(more)
    assert "the variable BIG has 131,073 bytes" in said
    assert "its path into the variable" in said
    if sys.platform == "linux":
        with pytest.raises(OSError, match="Argument list too long"):
            subprocess.run(["true"], env={**os.environ, **more}, check=False)
    assert len(too_large({"Ä": "é" * 70_000, "B": "x" * 140_000})) == 2


def test_all_variables_together_are_bounded_and_the_largest_is_named() -> None:
    env = {f"V{number}": "x" * (100_000 + number) for number in range(21)}
    (said,) = too_large(env, TOGETHER_MOST)
    assert "V20 (100,025), V19 (100,024), V18" in said
    assert too_large(dict(list(env.items())[:15]), TOGETHER_MOST) == []
