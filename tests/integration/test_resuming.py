"""``--resume``: real commands, a real shell, files that come, change and go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from stratos_jupyter import session as sessions
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.errors import EngineError, JobNotFound, SpecError, UsageError
from tests.faults.kernels import start
from tests.support.resumed_cells import Again, again, job, new_kernel, ran, ran_so_far, results, work, write
from tests.support.waiting import until

__all__ = ["again", "work"]  # fixtures


@pytest.mark.parametrize("between", [lambda: None, new_kernel], ids=["same kernel", "new kernel"])
def test_files_come_change_and_go(shell: InteractiveShell, again: Again, between: Callable[[], None]) -> None:
    assert again() == "+4 new, 0 changed, 0 done"
    assert ran() == ["a", "b", "c", "d"]
    between()
    assert again() == "+0 new, 0 changed, 4 done"
    assert ran() == []
    write("0", "zero")
    write("b", "B", 1_000_000_001)  # as large, but later
    write("c", "cc")  # as old, but larger
    between()
    assert again(what="glob [!d].dat") == "+1 new, 2 changed, 1 done, 1 gone"
    assert ran() == ["0", "b", "c"]
    assert results(shell) == {"0": ":zero", "a": ":a", "b": ":B", "c": ":cc"}
    assert job().run == 1
    view = job().view
    assert (view.total, view.done, view.failed) == (4, 4, 0)
    assert [len(job().log(task).attempts) for task in range(7)] == [1] * 7, "what was superseded stays on record"
    assert len(job().results(all=True)) == 4
    between()
    assert again() == "+0 new, 0 changed, 5 done"
    assert ran() == []
    assert sorted(results(shell)) == ["0", "a", "b", "c", "d"]


def test_a_run_without_resume_is_gone_on_with(shell: InteractiveShell, again: Again) -> None:
    again(wait="--wait")
    assert ran() == ["a", "b", "c", "d"]
    write("c", "C", 2_000_000_000)
    write("e", "e")
    assert again() == "+1 new, 1 changed, 3 done"
    assert ran() == ["c", "e"]
    assert results(shell)["c"] == ":C"


def test_another_command_is_another_task(shell: InteractiveShell, again: Again) -> None:
    again()
    assert again(body="echo new; cat %f%") == "+4 new, 0 changed, 0 done, 4 gone"
    assert results(shell)["a"] == "new\na"


def test_one_text_for_all_files_is_a_task_for_each(shell: InteractiveShell, again: Again) -> None:
    body = 'cat "$STRATOS_FILE"'
    again(body=body)
    write("c", "C", 1_000_000_001)
    assert again(body=body) == "+0 new, 1 changed, 3 done"
    assert results(shell) == {"a": "a", "b": "b", "c": "C", "d": "d"}


def test_another_directory_is_remembered(shell: InteractiveShell, again: Again, tmp_path: Path) -> None:
    again(body="pwd; cat %f%")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.dat").write_text("x")
    there = f"--cwd {tmp_path}/other"
    assert again(there, "pwd; cat %f%") == "+1 new, 0 changed, 0 done, 4 gone"
    for between in (lambda: None, new_kernel):
        between()
        assert again(there, "pwd; cat %f%") == "+0 new, 0 changed, 1 done"
    assert results(shell) == {"a": f"{tmp_path}/other\nx"}
    job().relaunch([4])
    assert job().wait(20)
    assert job().outputs([4]) == [f"{tmp_path}/other\nx"]


def test_it_is_recorded_at_once(shell: InteractiveShell, again: Again) -> None:
    again(body="(test -e go || test %f% != a.dat) && cat %f%")
    write("e", "e")
    Path("d.dat").unlink()
    Path("go").touch()
    commits: list[str] = []
    journal = job()._journal
    journal._db.set_trace_callback(commits.append)
    assert (
        again(body="(test -e go || test %f% != a.dat) && cat %f%")
        == "+1 new, 0 changed, 2 done, 1 failed run again, 1 gone"
    )
    journal._db.set_trace_callback(None)
    (one,) = [text for text in "\n".join(commits).split("COMMIT") if "superseded" in text]
    assert "INSERT INTO calls" in one
    assert "relaunch" in one


@pytest.mark.parametrize("first", ["--wait", "--wait --resume"])
def test_another_value_of_a_variable_changes_all(
    shell: InteractiveShell, again: Again, state_home: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setenv("Y", "kernel-secret")
    again("--env X=given-secret-1 --env Y", wait=first)
    ran()
    assert again("--env X=given-secret-1 --env Y") == "+0 new, 0 changed, 4 done"
    assert again("--env X=given-secret-2 --env Y") == "+0 new, 4 changed, 0 done"
    assert results(shell)["a"] == "given-secret-2:a"
    monkeypatch.setenv("Y", "kernel-secret-2")
    new_kernel()
    assert again("--env X=given-secret-2 --env Y", body="true %f%") == "+4 new, 0 changed, 0 done, 4 gone"
    assert ran() == ["a"] * 1 + ["b", "c", "d"]
    assert again("--env X=given-secret-2 --env Y", body="true %f%") == "+0 new, 0 changed, 4 done"
    monkeypatch.setenv("Y", "kernel-secret-3")
    assert again("--env X=given-secret-2 --env Y", body="true %f%") == "+0 new, 4 changed, 0 done"
    sessions.close()
    # What a command printed is on record; nothing else is.
    for path in state_home.rglob("*"):
        if path.is_file():
            kept = path.read_bytes()
            assert b"kernel-secret" not in kept, path
            assert b"given-secret-1" not in kept.replace(b"given-secret-1:", b""), path


def test_a_value_is_found_again_in_a_new_kernel(shell: InteractiveShell, again: Again) -> None:
    body = 'echo %f% >> log; test -e go && echo "$X"'
    assert again("--env X=1", body) == "+4 new, 0 changed, 0 done"
    ran()
    new_kernel()  # where X is not set, but for this cell
    Path("go").touch()
    assert again("--env X=1", body) == "+0 new, 0 changed, 0 done, 4 failed run again"
    assert ran() == ["a", "b", "c", "d"]
    assert set(results(shell).values()) == {"1"}


def test_failed_ones_run_again(shell: InteractiveShell, again: Again) -> None:
    body = "echo %f% >> log; test %f% != b.dat || test -e go"
    again(body=body)
    assert shell.user_ns["df"].state.tolist() == ["FINISHED", "FAILED", "FINISHED", "FINISHED"]
    assert [group.tasks for group in job().failure_groups()] == [(1,)]
    ran()
    Path("go").touch()
    assert again(body=body) == "+0 new, 0 changed, 3 done, 1 failed run again"
    assert ran() == ["b"]
    assert set(shell.user_ns["df"].state) == {"FINISHED"}
    assert shell.user_ns["df"].attempt.tolist() == [1, 2, 1, 1]


def test_what_failed_and_is_superseded_is_in_no_list(shell: InteractiveShell, again: Again) -> None:
    again(body="false %f%")
    again(body="true %f%")
    assert job().view.failed == 0
    assert dict(job().view.reasons) == {"exit": 4}
    assert job().failed() == ()
    assert job().failure_groups() == []
    assert job().failures(10) == []
    assert job().relaunch() == 0
    with pytest.raises(JobNotFound, match="superseded when its cell was run again"):
        job().relaunch([0])


def test_what_runs_is_left_alone_and_what_is_gone_is_ended(shell: InteractiveShell, again: Again) -> None:
    body = "echo %f% >> log; while [ ! -e go ]; do sleep 0.01; done"
    shell.run_line_magic("stratos", "connect local[2]")
    again(body=body, wait="--resume")
    until(lambda: [job().state(task) for task in (0, 1)] == [TaskState.RUNNING] * 2)
    Path("a.dat").unlink()
    assert again(body=body, wait="--resume") == "+0 new, 0 changed, 0 done, 3 still to run, 1 gone"
    until(lambda: job().state(0) is TaskState.KILLED)
    assert job().state(1) is TaskState.RUNNING
    Path("go").touch()
    assert job().wait(20)
    assert ran() == ["a", "b", "c", "d"]
    assert job().view.total == 3
    assert sorted(job().df.file) == ["b.dat", "c.dat", "d.dat"]


def test_a_dry_run_says_so_and_starts_nothing(shell: InteractiveShell, again: Again, state_home: Path) -> None:
    dry = "--resume --dry-run"
    assert again(wait=dry) == "+4 new, 0 changed, 0 done"
    assert not (state_home / "jobs").exists()
    again()
    ran()
    write("e", "e")
    Path("a.dat").unlink()
    for between in (lambda: None, new_kernel):
        between()
        assert again(wait=dry) == "+1 new, 0 changed, 3 done, 1 gone"
    assert sessions.current().jobs() == []
    assert ran() == []
    assert again() == "+1 new, 0 changed, 3 done, 1 gone"


def test_templates_and_explicit_commands_go_on_too(shell: InteractiveShell, again: Again) -> None:
    shell.user_ns["rows"] = ["1, 2", "3, 4"]
    again(what="template rows", body="echo %c%-%c%")
    shell.user_ns["rows"] = ["5, 6", "3, 4", "1, 2"]
    assert again(what="template rows", body="echo %c%-%c%") == "+1 new, 0 changed, 2 done"
    assert shell.user_ns["df"].stdout.tolist() == ["1-2\n", "3-4\n", "5-6\n"]
    lines = "cat <[a.dat]>\ncat <[b.dat]>\ntrue\ntrue"
    again(what="explicit", body=lines)
    write("b", "later", 1_000_000_002)
    assert again(what="explicit", body=lines) == "+0 new, 1 changed, 3 done"


def test_the_pace_is_the_cells_and_a_held_job_goes_on(shell: InteractiveShell, again: Again) -> None:
    again("--retries 1 --retry-delay 0s --halt 1", body="false %f%", wait="--resume")
    until(lambda: "halted" in job().view.held)
    again("--max-tasks 1", body="true %f%")
    assert (job().rules.max_tasks, job().rules.retries, job().rules.halt) == (1, 0, None)
    assert job().view.held == ""
    new_kernel()
    again("--rate 100/s", body="true %f%")
    assert (job().rules.max_tasks, job().rules.rate_per_s) == (None, 100.0)


def test_what_tasks_do_cannot_change(shell: InteractiveShell, again: Again) -> None:
    again()
    ran()
    for between in (lambda: None, new_kernel):
        between()
        with pytest.raises(SpecError, match="--output is 'none', and was 'scheduler': that cannot change"):
            again("--output none")
    assert again() == "+0 new, 0 changed, 4 done"
    assert ran() == []
    assert job().view.held == ""


def test_outputs_are_parsed_as_the_cell_says_now(shell: InteractiveShell, again: Again) -> None:
    again(body="echo 1 2 %f%")
    assert again("--parse tsv --columns x:int,y:int,name", body="echo 1 2 %f%") == "+0 new, 0 changed, 4 done"
    assert shell.user_ns["df"].y.tolist() == [2, 2, 2, 2]
    new_kernel()
    attached = sessions.current().attach("demo")
    assert attached.spec.columns == (("x", "int"), ("y", "int"), ("name", "str"))


def test_a_job_must_be_named(shell: InteractiveShell) -> None:
    with pytest.raises(UsageError, match="--resume goes on with a job: name it with --job"):
        shell.run_cell("%%stratos explicit --resume\ntrue").raise_error()


KERNEL = """
from stratos_jupyter.session import current
from stratos_jupyter.resume import resume
from stratos_jupyter.backend.spec.commands import glob_commands
from stratos_jupyter.backend.inputs.filesystems import FileSystems
from stratos_jupyter.backend.spec.job_spec import JobSpec
spec = JobSpec("demo", env=(("X", "secret-value"),))
job, tally = resume(current(), spec, glob_commands({body!r}, FileSystems().expand("*.dat")))
print(tally, flush=True)
job.wait(60)
"""


def test_a_kernel_that_was_killed_is_followed_by_another(
    shell: InteractiveShell, again: Again, state_home: Path
) -> None:
    body = "echo %f% >> log; test %f% = a.dat || while [ ! -e go ]; do sleep 0.01; done; cat %f%"
    kernel = start(KERNEL.format(body=body), state_home)
    assert kernel.stdout is not None
    assert kernel.stdout.readline() == "+4 new, 0 changed, 0 done\n"
    until(lambda: len(ran_so_far()) >= 2)
    with pytest.raises(EngineError, match="is held by process"):
        again("--env X=secret-value", body)
    with pytest.raises(EngineError, match="is held by process"):
        again("--env X=secret-value", body, wait="--resume --dry-run")
    kernel.kill()
    kernel.communicate()
    write("e", "e")
    Path("d.dat").unlink()
    Path("go").touch()
    said = again("--env X=secret-value", body)
    assert said.startswith("+1 new, 0 changed, "), said
    assert said.endswith(", 1 gone"), said
    assert results(shell) == {"a": "a", "b": "b", "c": "c", "e": "e"}
    assert max(map(ran_so_far().count, ran_so_far())) == 1
    assert again("--env X=secret-value", body) == "+0 new, 0 changed, 4 done"
    sessions.close()
    assert not any(b"secret-value" in path.read_bytes() for path in state_home.rglob("*") if path.is_file())
