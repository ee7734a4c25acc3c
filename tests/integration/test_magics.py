"""Magics in a real shell, with real tasks."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from stratos_jupyter import session as sessions
from stratos_jupyter.backend.core.phrases import amount_text
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.engines.local.machine import this_machine
from stratos_jupyter.errors import EngineError, JobNotFound, SpecError, UsageError
from stratos_jupyter.magics import Interrupted, StratosMagics
from stratos_jupyter.settings import Stratos
from tests.support.waiting import until

Run = Callable[[str], Any]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of files with one to five lines each."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number, name in enumerate(("a.txt", "b two.txt", "c'.txt", "d$(id).txt", "e.txt"), 1):
        (folder / name).write_text("line\n" * number)
    return folder


#: what a task runs that waits for a file called go
GATE = "while [ ! -e go ]; do sleep 0.01; done"


def open_gate() -> None:
    Path("go").touch()


# -- submitting --------------------------------------------------------------------------------------------


def test_a_cell_over_files_fills_a_dataframe(shell: InteractiveShell, run: Run, files: Path) -> None:
    run("%%stratos glob data/*.txt --job demo --into df --parse tsv --columns lines:int --wait\nwc -l < %f%\n")
    df = shell.user_ns["df"]
    assert df.lines.tolist() == [1, 2, 3, 4, 5]
    assert df.file.tolist() == [f"data/{path.name}" for path in sorted(files.iterdir())]
    assert set(df.state) == {"FINISHED"}


def test_a_cell_and_its_options_stay_as_typed(shell: InteractiveShell, run: Run, files: Path) -> None:
    shell.user_ns["x"] = "wrong"
    body = 'echo {x} "$Y" "%" \\\n  %f% !ls; : %%stratos\necho "{y}"'
    run(f"%%stratos glob data/a.txt --job demo --env Y='{{x}} $x %f%' --into df --wait\n{body}\n\n")
    df = shell.user_ns["df"]
    assert df.stdout[0].splitlines() == ["{x} {x} $x %f% % data/a.txt !ls", "{y}"]
    assert df.command[0] == body.replace("%f%", "data/a.txt")


def test_the_log_says_how_to_find_the_command_that_failed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("%%stratos explicit --job demo --wait\nfalse; echo on\nls no-such-file; echo on\n[ -e x ] || exit 3\nexit 0")
    said = []
    for task in range(4):
        capsys.readouterr()
        run(f"%stratos log demo {task}")
        said.append(capsys.readouterr().out)
    assert ["--shell 'bash -e -x' shows each command" in text for text in said] == [True, False, True, False]


@pytest.mark.parametrize(
    ("params", "body", "stdout"),
    [
        (["1, 2", "3, 4"], "echo %c%-%c%", ["1-2", "3-4"]),
        ([["a b", 2]], "echo %c1%:%c2%", ["a b:2"]),
        ({"alpha": [0.5, 1.5]}, "echo %alpha%", ["0.5", "1.5"]),
        (pd.DataFrame({"n": [7]}), "echo %n%\necho again", ["7\nagain"]),
    ],
)
def test_a_template_takes_a_variable(
    shell: InteractiveShell, run: Run, params: Any, body: str, stdout: list[str]
) -> None:
    shell.user_ns["params"] = params
    run(f"%%stratos template params --into df --wait\n{body}")
    assert [text.strip() for text in shell.user_ns["df"].stdout] == stdout


def test_an_explicit_cell_has_a_command_a_line(shell: InteractiveShell, run: Run) -> None:
    run("%%stratos explicit --into df --wait\necho one; echo 1\n\necho two \\\n  three\n")
    assert shell.user_ns["df"].stdout.tolist() == ["one\n1\n", "two three\n"]


def test_a_function_of_the_notebook_parses(shell: InteractiveShell, run: Run, files: Path) -> None:
    run("def double(text):\n    return 2 * int(text)")
    run("%%stratos glob data/*.txt --into df --parse double --wait\nwc -l < %f%")
    assert shell.user_ns["df"]["value"].tolist() == [2, 4, 6, 8, 10]


def test_a_dry_run_shows_and_starts_nothing(
    run: Run, files: Path, state_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("%%stratos glob data/*.txt --job demo --threads 2 --mem 1 --dry-run\ntouch started\nwc -l < %f%")
    assert capsys.readouterr().out.splitlines() == [
        "demo on local: 5 tasks, each 2 cpus, 1 MiB memory",
        "read by bash -e",
        "0: touch started",
        "   wc -l < 'data/a.txt'",
        "1: touch started",
        "   wc -l < 'data/b two.txt'",
        "   %f% is data/b two.txt, quoted for its place",
        "2: touch started",
        "   wc -l < 'data/c'\\''.txt'",
        "   %f% is data/c'.txt, quoted for its place",
        "… and 2 more",
        "nothing was started",
    ]
    assert sessions.current().jobs() == []
    assert not (state_home / "jobs").exists()
    assert not Path("started").exists()


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        ("%%stratos glob nothing/*\nwc %f%", SpecError, "no file matches 'nothing/\\*'"),
        ("%%stratos glob data/*\nwc", SpecError, "%f%"),
        ("%%stratos glob nothing/* --job a/b --parse float --columns x:y\nwc %f%", SpecError, "no file.*job name.*'y'"),
        ("%%stratos glob data/* --into 2x --threads no --output disk\nwc %f%", UsageError, "--into.*--thr.*--log-dir"),
        ("%%stratos glob data/* --threads 4000\nwc %f%", SpecError, "largest node"),
        ("%%stratos glob data/* --threads 4000 --dry-run\nwc %f%", SpecError, "largest node"),
        ("%%stratos glob data/* --parse tvs\nwc %f%", SpecError, "--parse tvs: unknown"),
        ("%%stratos glob data/* --cwd nowhere --dry-run\nwc %f%", SpecError, "no file matches 'data/\\*' in .*nowhere"),
        ("%%stratos glob data/*\n \n", UsageError, "the cell has no command"),
        ("%%stratos glob data/* \\\nwc %f%", UsageError, "next line would already be the command"),
        ("%%stratos template parms\necho %c%", UsageError, "there is no variable parms; did you mean params?"),
        ("%%stratos template parms --mem x --threads 4000\necho %c%", UsageError, "--mem.*no variable.*largest node"),
        ("%%stratos glov data/*\nwc %f%", UsageError, "unknown subcommand glov; did you mean glob?"),
        ("%%stratos\nwc", UsageError, "glob, template or explicit"),
        ("%%stratos jobs\nwc", UsageError, "jobs is for a line"),
        ("%stratos glob data/*", UsageError, "glob is for a cell"),
        ("%stratos statsu", UsageError, "did you mean status?"),
        ("%stratos status demo", JobNotFound, "no job has been submitted"),
        ("%stratos connect 127.0.0.1:9", EngineError, "cannot reach a Mesos master at 127.0.0.1:9"),
        ("%stratos connect mesos://node7:5050", EngineError, "node7:5050"),
        ("%stratos connect local[0]", EngineError, r"local\[0\]"),
        ("%stratos help glov", UsageError, "did you mean glob?"),
    ],
)  # fmt: skip
def test_one_clear_error_and_nothing_starts(
    shell: InteractiveShell, run: Run, files: Path, cell: str, error: type[Exception], message: str
) -> None:
    shell.user_ns["params"] = ["1"]
    with pytest.raises(error, match=message):
        run(cell)
    assert sessions.current().jobs() == []


def test_an_error_is_shown_without_a_traceback(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_cell("%stratos status demo")
    assert capsys.readouterr().out.strip() == (
        "JobNotFound: no job has been submitted here; a %%stratos cell submits one"
    )


# -- variables that follow ---------------------------------------------------------------------------------


def submit_gated(run: Run, tasks: int = 2) -> None:
    lines = "\n".join(f"{GATE}; echo {number}" for number in range(tasks))
    run(f"%%stratos explicit --job demo --into df --parse float --threads 0.5\n{lines}")


def finish() -> None:
    open_gate()
    assert sessions.current().job("demo").wait(30)


def test_a_variable_is_fresh_in_each_cell_until_the_job_has_ended(shell: InteractiveShell, run: Run) -> None:
    submit_gated(run)
    first = shell.user_ns["df"]
    assert len(first) == 0
    assert str(first.value.dtype) == "float64"
    finish()
    assert shell.user_ns["df"] is first
    assert run("len(df)") == 2
    last = shell.user_ns["df"]
    run("pass")
    assert shell.user_ns["df"] is last


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("mine = df; df = df.copy()", "it is another object now"),
        ("df = 3", "it is another object now"),
        ("df['more'] = 1", "its columns were changed"),
        ("del df", "it was deleted"),
    ],
)
def test_a_variable_that_was_changed_is_left_alone(
    shell: InteractiveShell, run: Run, capsys: pytest.CaptureFixture[str], change: str, why: str
) -> None:
    submit_gated(run)
    run(change)
    mine = shell.user_ns.get("df")
    finish()
    capsys.readouterr()
    run("pass")
    assert shell.user_ns.get("df") is mine
    assert f"df no longer follows demo: {why}. df = %stratos results demo brings the results" in capsys.readouterr().out
    run("pass")
    assert "no longer" not in capsys.readouterr().out


def test_a_name_belongs_to_the_newest_job(
    shell: InteractiveShell, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    submit_gated(run, tasks=1)
    run("%%stratos explicit --job other --into df --threads 0.1 --wait\necho other")
    finish()
    capsys.readouterr()
    assert run("df.stdout.tolist()") == ["other\n"]
    assert "no longer" not in capsys.readouterr().out


def test_of_a_job_that_was_let_go_it_is_said_once(
    shell: InteractiveShell, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    submit_gated(run, tasks=1)
    sessions.current().let_go(sessions.current().job("demo"))
    capsys.readouterr()
    for _ in range(2):
        shell.run_cell("df.state").raise_error()
    open_gate()
    assert capsys.readouterr().out.count("df is not fresh") == 1


def test_a_relaunched_task_comes_back_into_the_variable(shell: InteractiveShell, run: Run) -> None:
    run("%%stratos explicit --job demo --into df --wait\ntest -e go && echo here\necho there")
    assert shell.user_ns["df"].state.tolist() == ["FAILED", "FINISHED"]
    open_gate()
    run("%stratos relaunch demo 0")
    run("%stratos wait demo")
    assert shell.user_ns["df"].state.tolist() == ["FINISHED", "FINISHED"]
    assert shell.user_ns["df"].attempt.tolist() == [2, 1]


def test_a_relaunched_task_is_shown_to_its_end(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(f"%%stratos explicit --job demo --wait\ntest -e again && {GATE}")
    run("pass")
    Path("again").touch()
    run("%stratos relaunch demo 0")
    job = sessions.current().job("demo")
    until(lambda: job.view[TaskState.RUNNING])
    finish()
    capsys.readouterr()
    run("pass")
    assert capsys.readouterr().out.startswith("demo run 1 on local: 1/1 done in ")
    run("pass")
    assert capsys.readouterr().out == ""


# -- waiting -----------------------------------------------------------------------------------------------


def test_an_interrupt_ends_the_waiting_and_not_the_tasks(
    shell: InteractiveShell, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        until(lambda: sessions.current().jobs() and sessions.current().job().view[TaskState.RUNNING])
        os.kill(os.getpid(), signal.SIGINT)

    lines = "\n".join([GATE] * 20)
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted) as raised:
        run(f"%%stratos explicit --job demo --into df --wait\n{lines}")
    thread.join()
    job = sessions.current().job("demo")
    assert job.view.unfinished == 20
    running = job.view[TaskState.RUNNING]
    assert f"{running} running go on, {20 - running} wait; %stratos kill demo ends them" in str(raised.value)
    assert isinstance(raised.value, KeyboardInterrupt)
    open_gate()
    run("%stratos wait")
    assert len(shell.user_ns["df"]) == 20
    assert set(shell.user_ns["df"].state) == {"FINISHED"}


def test_a_terminal_shows_the_end_once(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    submit_gated(run)
    open_gate()
    run("%stratos wait")
    run("pass")
    assert capsys.readouterr().out.count("demo run 1 on local: 2/2 done in ") == 1


# -- asking ------------------------------------------------------------------------------------------------


def test_lines_tell_what_became_of_a_job(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("%%stratos explicit --job demo --wait\necho fine\nprintf 'a\\tb\\033[31m<b>\\n'; echo bad >&2; exit 3")
    run("%%stratos explicit --job other --wait\ntrue")
    capsys.readouterr()

    run("%stratos jobs")
    header, demo, other = capsys.readouterr().out.splitlines()
    assert header.split() == ["job", "run", "state", "done", "failed", "tasks", "time"]
    assert demo.split()[:2] == ["demo", "1"]
    assert "ended with failures" in demo
    assert other.split()[:3] == ["other", "1", "finished"]

    run("%stratos status demo")
    assert "1 finished, 1 failed" in capsys.readouterr().out

    run("%stratos log demo 1")
    shown = capsys.readouterr().out
    assert "demo run 1, task 1: failed" in shown
    assert "attempt 1: failed, exit 3" in shown
    assert "--- stdout ---\na\tb\\x1b[31m<b>\n--- stderr ---\nbad\n" in shown

    assert run("%stratos results demo;").exit_code.tolist() == [0, 3]
    assert len(run("%stratos results")) == 1  # of the newest job
    run("%stratos kill demo")
    assert "demo has ended; there is nothing to kill" in capsys.readouterr().out

    with pytest.raises(UsageError, match="there is no task 7; the job has 2"):
        run("%stratos log demo 7")
    with pytest.raises(JobNotFound, match="no job 'nope' here; there is demo, other"):
        run("%stratos kill nope")

    run("%stratos")
    assert "%%stratos glob" in capsys.readouterr().out


def test_a_status_says_what_failed_alike(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        (tmp_path / f"snap_{number:03d}.dat").touch()
    body = r"""
case $STRATOS_FILE in
snap_00[0-4].dat|snap_007.dat) printf '\033[31mcannot open header %s\033[0m\n' "$STRATOS_FILE" >&2; exit 1;;
snap_005.dat) echo 'no memory for 12 halos' >&2; exit 1;;
snap_006.dat) exec no_such_program;;
snap_008.dat) kill -SEGV $$;;
snap_009.dat) sleep 1000;;
esac
"""
    run(f"%%stratos glob snap_*.dat --job demo\n{body}")
    job = sessions.current().job("demo")
    until(lambda: job.view.unfinished == 1)
    run("%stratos kill demo 9")
    run("%stratos wait demo")
    run("pass")  # shows the end
    capsys.readouterr()
    run("%stratos status demo")
    first, second, why, *groups = capsys.readouterr().out.splitlines()
    assert "12/12 done (9 failed, 1 killed)" in first
    assert (second, why[:5]) == ("ended with failures: 2 finished, 9 failed, 1 killed", "why: ")
    assert groups[:6] == [
        "  6 × exit 1: cannot open header <path>",
        "      tasks 0-4,7",
        "  1 × exit 1: no memory for # halos",
        "      task 5",
        groups[4],
        "      task 6",
    ]
    assert "exit 127: " in groups[4]
    assert "no_such_program: not found" in groups[4]
    assert groups[6:] == ["  1 × signal 11 (SEGV)", "      task 8", "  1 × killed", "      task 9"]

    for file in tmp_path.glob("snap_00[0-4].dat"):
        file.unlink()
    tasks = groups[1].split()[1]
    monkeypatch.setattr("stratos_jupyter.magic.text.GROUPS", 2)
    run(f"%stratos relaunch demo {tasks}")  # they fail again, in the same way
    run("%stratos wait demo")
    capsys.readouterr()
    run("%stratos status demo")
    shown = capsys.readouterr().out
    assert "  6 × exit 1: cannot open header <path>\n      tasks 0-4,7\n" in shown
    assert shown.endswith("      task 5\n  and 3 more in 3 groups\n")


def test_a_log_tells_attempts_apart(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    body = "test -e go && { echo fine >&2; exit 0; }; echo first try >&2; kill -9 $$"
    run(f"%%stratos explicit --job demo --wait\n{body}")
    capsys.readouterr()
    run("%stratos log demo 0")
    shown = capsys.readouterr().out
    assert re.search(
        r"\nattempt 1: failed, signal 9 \(KILL\) on \S+, started 2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d, ran \d+\.\d s\n"
        r"--- stderr ---\nfirst try\n", shown
    ), shown  # fmt: skip
    open_gate()
    run("%stratos relaunch demo 0")
    run("%stratos wait demo")
    capsys.readouterr()
    run("%stratos log demo 0")
    shown = capsys.readouterr().out
    assert re.search(r"\nattempt 1: failed, signal 9 \(KILL\) [^\n]*\n    first try\n", shown), shown
    assert re.search(r"\nattempt 2: finished, exit 0 [^\n]*\n    fine\n--- stderr of attempt 2 ---\nfine\n$", shown), (
        shown
    )


def test_the_log_of_a_second_attempt_that_runs_is_not_taken_for_the_first(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run(f"%%stratos explicit --job demo --wait\ntest -e again || {{ echo one >&2; exit 1; }}; touch begun; {GATE}")
    Path("again").touch()
    run("%stratos relaunch demo 0")
    until(lambda: Path("begun").exists() and sessions.current().job("demo").view[TaskState.RUNNING])
    capsys.readouterr()
    run("%stratos log demo 0")
    shown = capsys.readouterr().out
    assert "\n    one\n" in shown
    assert "---" not in shown
    assert shown.endswith("\nit has not written anything\n")


def test_some_tasks_or_all_are_killed(shell: InteractiveShell, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    submit_gated(run, tasks=10)
    job = sessions.current().job("demo")
    assert len(run("%stratos results --all")) == 10
    capsys.readouterr()
    run("%stratos kill demo 0-1,9")
    assert "demo: 3 of 10 tasks asked to end" in capsys.readouterr().out
    until(lambda: job.view[TaskState.KILLED] == 3)
    assert [job.state(task) for task in (0, 1, 9)] == [TaskState.KILLED] * 3
    run("%stratos kill demo 0")
    assert "these tasks have ended" in capsys.readouterr().out
    run("%stratos kill demo")
    assert job.wait(30)
    assert job.view[TaskState.KILLED] == 10


def test_connect_and_config(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("%stratos connect local[1]")
    run("%config Stratos.threads = 0.5")
    capsys.readouterr()
    run("%stratos config")
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in capsys.readouterr().out.splitlines() if line}
    assert rows["master"] == ["local[1]", "%stratos connect"]
    assert rows["threads"] == ["0.5", "%config"]
    assert rows["home"][1] == "STRATOS_HOME"
    assert rows["mem"] == ["0", "default"]
    run("%%stratos explicit --wait\ntrue")
    spec = sessions.current().job().spec
    assert (spec.master, spec.threads) == ("local[1]", 0.5)


def test_no_list_of_settings_shows_the_secret(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("%config Stratos.principal = 'me'")
    run("%config Stratos.secret = 'hush'")
    capsys.readouterr()
    run("%stratos config")
    run("%config Stratos")
    shown = capsys.readouterr().out
    assert "hush" not in shown
    assert "Current: 'me'" in shown


def test_a_job_is_kept_where_the_settings_say(run: Run, tmp_path: Path, state_home: Path) -> None:
    run(f"%config Stratos.home = '{tmp_path}/elsewhere'")
    run("%%stratos explicit --job demo --wait\ntrue")
    assert (tmp_path / "elsewhere" / "jobs" / "demo" / "1").is_dir()
    assert not (state_home / "jobs").exists()


def test_a_configuration_file_counts(shell: InteractiveShell, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Stratos.clear_instance()
    shell.update_config(Config({"Stratos": {"threads": 0.25, "mem": "2G"}}))
    run("%reload_ext stratos_jupyter")
    run("%stratos config")
    shown = capsys.readouterr().out
    assert re.search(r"^threads +0\.25 +config file$", shown, re.MULTILINE)
    assert shown.count("config file") == 2
    run("%config Stratos.mem = 0")
    run("%%stratos explicit --dry-run\ntrue")
    assert "each 0.25 cpus\n" in capsys.readouterr().out


def test_the_log_of_a_running_task_shows_what_it_wrote_so_far(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(f"%%stratos explicit --job demo\necho begun; touch begun; {GATE}")
    until(lambda: Path("begun").exists() and sessions.current().job().view[TaskState.RUNNING])
    capsys.readouterr()
    run("%stratos log demo 0")
    shown = capsys.readouterr().out
    assert "demo run 1, task 0: running" in shown
    assert "--- stdout, so far ---\nbegun\n" in shown


# -- the extension -----------------------------------------------------------------------------------------


def test_unloading_leaves_nothing(shell: InteractiveShell) -> None:
    def traces() -> tuple[bool, bool, int, int]:
        return (
            shell.find_line_magic("stratos") is not None,
            shell.find_cell_magic("stratos") is not None,
            len(shell.events.callbacks["pre_run_cell"]),
            len(shell.Completer.custom_matchers),
        )

    loaded = traces()
    assert loaded[:2] == (True, True)
    shell.run_line_magic("reload_ext", "stratos_jupyter")
    assert traces() == loaded
    shell.run_line_magic("unload_ext", "stratos_jupyter")
    assert traces() == (False, False, loaded[2] - 1, loaded[3] - 1)
    assert StratosMagics.__name__ not in shell.magics_manager.registry
    shell.run_line_magic("load_ext", "stratos_jupyter")
    assert traces() == loaded


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%%stratos tem", ["template"]),
        ("%stratos st", ["status"]),
        ("df = %stratos resul", ["results"]),
        ("%%stratos glob da", ["data/"]),
        ("%%stratos glob data/*.txt --in", ["--into"]),
        ("x = 1\n%stratos status de", ["demo"]),
        ("%%stratos template pa", ["params"]),
        ("\n%%stratos tem", ["template"]),
    ],
)
def test_tab_completes_a_line(shell: InteractiveShell, run: Run, files: Path, text: str, found: list[str]) -> None:
    shell.user_ns["params"] = ["1"]
    run("%%stratos explicit --job demo --wait\ntrue")
    with provisionalcompleter():
        offered = [(text[: one.start] + one.text) for one in shell.Completer.completions(text, len(text))]
    assert offered == [text[: len(text) - len(text.split()[-1])] + one for one in found]


@pytest.mark.parametrize(
    "text", ["%%stratos glob data/*\nst", "x = 1\n%%stratos tem", "%%stratos explicit\n%stratos st"]
)
def test_tab_leaves_the_users_commands_alone(shell: InteractiveShell, text: str) -> None:
    with provisionalcompleter():
        offered = {one._origin for one in shell.Completer.completions(text, len(text))}
    assert "stratos_jupyter" not in offered


def test_why_names_the_memory_that_this_machine_lacks(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    mem_mib = this_machine(None, ".").total.mem_mib
    run("%stratos connect local[2]")
    run(f"%%stratos explicit --job demo --mem {0.6 * mem_mib:.0f}MiB\nsleep 1000\necho 1")
    job = sessions.current().job("demo")
    until(lambda: job.state(0) is TaskState.RUNNING)
    capsys.readouterr()
    run("%stratos why demo 1")
    of, free, held = (amount_text("mem_mib", part * mem_mib) for part in (1, 0.4, 0.6))
    assert capsys.readouterr().out == (
        f"Of {of} memory of this machine {free} is free, a task asks for {held}; this job's tasks hold {held}.\n"
        "Task 1 is 1st in the queue.\n"
    )


def test_why_says_what_waits_for_what(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("%stratos connect local[1]")
    run("%%stratos explicit --job demo\nsleep 1000\necho 1\necho 2")
    job = sessions.current().job("demo")
    until(lambda: job.state(0) is TaskState.RUNNING)
    capsys.readouterr()
    run("%stratos why demo 2")
    assert capsys.readouterr().out == (
        "The one core of this machine is busy with this job's tasks.\nTask 2 is 2nd in the queue.\n"
    )
    run("%stratos why")
    assert capsys.readouterr().out.startswith("2 of 3 tasks wait, 1 run.\nThe one core of this machine is busy")
    run("%stratos why demo --trace")
    trace = capsys.readouterr().out
    assert trace.startswith("2 of 3 tasks wait, 1 run.\n")
    assert "\n\nThe last events, and what was decided on each:\n" in trace
    assert " -> Launch " in trace
    assert trace.splitlines()[-1].partition("  ")[2].startswith(("TasksStarted", "OffersArrived"))
    run("%stratos set demo locality_wait=0")
    assert job.rules.locality_wait_s == 0.0
    run("%stratos kill demo")
    job.wait()
    capsys.readouterr()
    run("%stratos why demo 0")
    run("%stratos why demo")
    assert capsys.readouterr().out.endswith("It has ended: killed.\n0 of 3 tasks wait, 0 run.\n")
    with pytest.raises(UsageError, match="there is no task 7"):
        run("%stratos why demo 7")
