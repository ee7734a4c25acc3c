"""A cell that is run again, by what its tasks have read: work in place, what is published, and what is said of it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from stratos_jupyter import session as sessions
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.processor import Processor
from tests.faults.kernels import start
from tests.support.resumed_cells import BODY, Again, again, job, new_kernel, ran, ran_so_far, results, work, write
from tests.support.waiting import until

__all__ = ["again", "work"]  # fixtures

BETWEEN = pytest.mark.parametrize("between", [lambda: None, new_kernel], ids=["same kernel", "new kernel"])
#: a calibration in place: what it adds tells how often it was applied
IN_PLACE = 'echo %f% >> log; echo calibrated >> "$STRATOS_FILE"'
PLAIN = "--wait"


def applied(name: str) -> int:
    return Path(f"{name}.dat").read_text().count("calibrated")


@BETWEEN
@pytest.mark.parametrize("first", [PLAIN, "--wait --resume"])
def test_work_in_place_is_done_once(again: Again, between: Callable[[], None], first: str) -> None:
    again(body=IN_PLACE, wait=first)
    for _ in range(2):
        between()
        assert again(body=IN_PLACE) == "+0 new, 0 changed, 4 done"
    assert [applied(name) for name in "abcd"] == [1, 1, 1, 1]
    write("b", "another")
    between()
    assert again(body=IN_PLACE) == "+0 new, 1 changed, 3 done"
    between()
    assert again(body=IN_PLACE) == "+0 new, 0 changed, 4 done"
    assert [applied(name) for name in "abcd"] == [1, 1, 1, 1]


def test_work_in_place_that_ends_while_its_cell_is_compared_is_done_once(again: Again) -> None:
    body = f"while [ ! -e go ]; do sleep 0.01; done; {IN_PLACE}"
    options = {"body": body, "what": "glob a.dat"}
    again(wait="", **options)
    until(lambda: job().state(0) is TaskState.RUNNING)
    scan = sessions.Session.scan_inputs

    def and_then_it_ends(self: sessions.Session, *args: Any, **more: Any) -> Any:
        seen = scan(self, *args, **more)
        Path("go").touch()
        until(lambda: job().state(0) is TaskState.FINISHED)
        return seen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions.Session, "scan_inputs", and_then_it_ends)
        assert again(**options) == "+0 new, 0 changed, 0 done, 1 still to run"
    assert again(**options) == "+0 new, 0 changed, 1 done"
    assert applied("a") == 1


def test_that_an_input_has_changed_meanwhile_is_said(
    shell: InteractiveShell, again: Again, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may have been somebody else, and the result be of what was there before."""
    body = ": > begun; while [ ! -e go ]; do sleep 0.01; done; true %f%"
    again(body=body, wait="", what="glob [ab].dat")
    until(Path("begun").exists)
    until(lambda: job().state(1) is TaskState.RUNNING)
    write("b", "B", 7)
    Path("go").touch()
    assert job().wait(20)
    capsys.readouterr()
    shell.run_cell(f"%%stratos glob [ab].dat --job demo --resume --dry-run\n{body}").raise_error()
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "+0 new, 0 changed, 2 done",
        "task 1: done, and the input changed meanwhile, as by work in place. If the task did not change it, "
        "run it again: %stratos relaunch demo 1",
        "nothing was started",
    ]
    job().relaunch([1])
    assert job().wait(20)
    capsys.readouterr()
    shell.run_cell(f"%%stratos glob [ab].dat --job demo --resume --dry-run\n{body}").raise_error()
    assert capsys.readouterr().out.splitlines()[-2:] == ["+0 new, 0 changed, 2 done", "nothing was started"]


def test_what_a_retry_left_counts_as_the_tasks_own_work(again: Again) -> None:
    shutil.copy2("a.dat", "a.orig")
    body = f'{IN_PLACE}; if [ $(grep -c calibrated "$STRATOS_FILE") = 1 ]; then exit 1; fi'
    again("--retries 1 --retry-delay 0s", body=body, wait=PLAIN, what="glob a.dat")
    assert job().log(0).attempts[-1].attempt == 2
    options = {"body": body, "what": "glob a.dat"}
    assert again("--retries 1 --retry-delay 0s", **options) == "+0 new, 0 changed, 1 done"
    shutil.copy2("a.orig", "a.dat")
    assert again("--retries 1 --retry-delay 0s", **options) == "+0 new, 1 changed, 0 done"


def test_what_is_brought_back_from_a_copy_is_calibrated_again(again: Again) -> None:
    shutil.copy2("a.dat", "a.orig")
    again(body=IN_PLACE, wait=PLAIN)
    assert again(body=IN_PLACE) == "+0 new, 0 changed, 4 done"
    shutil.copy2("a.orig", "a.dat")  # as cp -p
    assert again(body=IN_PLACE) == "+0 new, 1 changed, 3 done"
    assert [applied(name) for name in "abcd"] == [1, 1, 1, 1]


@BETWEEN
def test_a_task_that_works_in_its_directory_is_done_once(again: Again, between: Callable[[], None]) -> None:
    for case in ("case_1", "case_2"):
        Path(case, "system").mkdir(parents=True)
        Path(case, "system", "controlDict").write_text("endTime 1")
    body = "echo %f% >> log; cd %f%; mkdir -p 0.1 0.2; date +%N > 0.1/U; sed -i s/1/2/ system/controlDict"
    again(body=body, what="glob case_*", wait=PLAIN)
    between()
    assert again(body=body, what="glob case_*") == "+0 new, 0 changed, 2 done"
    assert ran() == ["case_1", "case_2"]
    with Path("case_2", "system", "controlDict").open("r+") as file:  # in its place: the directory's own time stays
        file.write("endTime 7")
    between()
    assert again(body=body, what="glob case_*") == "+0 new, 1 changed, 1 done"
    assert ran() == ["case_2"]


@pytest.mark.parametrize("mark", ["<[mesh]>", "<[mes*]>"])
def test_what_is_in_a_marked_directory_is_an_input(again: Again, mark: str) -> None:
    Path("mesh").mkdir()
    Path("mesh/points").write_text("1")
    options = {"body": f"ls {mark}; cat %f%", "what": "glob [ab].dat"}
    again(wait=PLAIN, **options)
    assert again(**options) == "+0 new, 0 changed, 2 done"
    Path("mesh/points").write_text("22")
    assert again(**options) == "+0 new, 2 changed, 0 done"


@pytest.mark.parametrize("first", [PLAIN, "--wait --resume"])
def test_what_is_published_by_a_rename_is_seen(shell: InteractiveShell, again: Again, first: str) -> None:
    """It keeps the time of its writing, which is before the run."""
    again(wait=first)
    ran()
    for name, publish in (("a", os.replace), ("b", shutil.copy2)):
        write("new", name.upper())  # as large, and as old
        publish("new.dat", f"{name}.dat")
        Path("new.dat").unlink(missing_ok=True)
    os.utime("c.dat", (2, 2))
    assert again() == "+0 new, 3 changed, 1 done"
    assert ran() == ["a", "b", "c"]
    assert results(shell) == {"a": ":A", "b": ":B", "c": ":c", "d": ":d"}
    assert again() == "+0 new, 0 changed, 4 done"


def test_modes_and_links_make_no_other_file(again: Again) -> None:
    again(wait=PLAIN)
    os.chmod("a.dat", 0o600)
    os.link("b.dat", "backup")
    assert again() == "+0 new, 0 changed, 4 done"


def test_a_time_in_the_future_is_no_matter_and_is_said(
    shell: InteractiveShell, again: Again, capsys: pytest.CaptureFixture[str]
) -> None:
    write("b", "b", 20_000_000_000)
    again(wait=PLAIN)
    (notice,) = job().view.notices
    assert notice.startswith("input 'b.dat' was changed ")
    assert "by this machine's clock: a clock is wrong" in notice
    assert again() == "+0 new, 0 changed, 4 done"
    write("b", "B", 20_000_000_000)  # a later version, from the same wrong clock
    ran()
    shell.run_cell(f"%%stratos glob *.dat --job demo --into df --wait --resume\n{BODY}").raise_error()
    assert capsys.readouterr().out.splitlines()[1].startswith("input 'b.dat' was changed ")
    assert ran() == ["b"]


@BETWEEN
def test_what_changes_before_a_task_begins_was_read_by_it(
    shell: InteractiveShell, again: Again, between: Callable[[], None]
) -> None:
    shell.run_line_magic("stratos", "connect local[1]")
    body = 'echo %f% >> log; while [ ! -e go ]; do sleep 0.01; done; cat "$STRATOS_FILE"'
    again(body=body, wait="")
    until(lambda: job().state(0) is TaskState.RUNNING)
    write("d", "later")  # the task waits behind the others
    Path("go").touch()
    assert job().wait(20)
    between()
    assert again(body=body) == "+0 new, 0 changed, 4 done"
    assert results(shell)["d"] == "later"
    write("d", "d")  # as it was when it was submitted, which no task has read
    assert again(body=body) == "+0 new, 1 changed, 3 done"


@BETWEEN
def test_what_runs_and_changes_its_input_goes_on(
    shell: InteractiveShell, again: Again, between: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_line_magic("stratos", "connect local[4]")
    body = f"{IN_PLACE}; while [ ! -e go ]; do sleep 0.01; done"
    again(body=body, wait="")
    until(lambda: all(applied(name) for name in "abcd"))
    between()
    assert again(body=body, wait="--resume") == "+0 new, 0 changed, 0 done, 4 still to run"
    Path("go").touch()
    assert job().wait(20)
    assert again(body=body) == "+0 new, 0 changed, 4 done"
    assert [applied(name) for name in "abcd"] == [1, 1, 1, 1]


def test_that_it_goes_on_is_said(shell: InteractiveShell, again: Again, capsys: pytest.CaptureFixture[str]) -> None:
    body = f"{IN_PLACE}; while [ ! -e go ]; do sleep 0.01; done"
    again(body=body, wait="", what="glob a.dat")
    until(lambda: job().state(0) is TaskState.RUNNING and applied("a") == 1)
    shell.run_cell(f"%%stratos glob a.dat --job demo --resume --dry-run\n{body}").raise_error()
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "+0 new, 0 changed, 0 done, 1 still to run"
    assert said[1].startswith("task 0: running, and the input changed since the submission. It goes on. ")
    Path("go").touch()
    assert job().wait(20)


KERNEL = """
import os
from stratos_jupyter.session import current
from stratos_jupyter.backend.spec.commands import glob_commands
from stratos_jupyter.backend.inputs.filesystems import FileSystems
from stratos_jupyter.backend.spec.job_spec import JobSpec
job = current().submit(JobSpec("demo"), glob_commands({body!r}, FileSystems().expand("*.dat", os.getcwd())))
print("submitted", flush=True)
job.wait(60)
"""


def test_what_ends_while_the_kernel_is_dead_has_left_its_key(
    shell: InteractiveShell, again: Again, state_home: Path
) -> None:
    body = f": > begun; while [ ! -e go ]; do sleep 0.01; done; {IN_PLACE}"
    kernel = start(KERNEL.format(body=body), state_home)
    assert kernel.stdout is not None
    assert kernel.stdout.readline() == "submitted\n"
    until(Path("begun").exists)
    kernel.kill()
    kernel.communicate()
    Path("go").touch()
    until(lambda: bool(ran_so_far()))
    said = again(body=body)
    assert said.startswith("+0 new, 0 changed, "), said
    assert again(body=body) == "+0 new, 0 changed, 4 done"
    assert [applied(name) for name in "abcd"] == [1, 1, 1, 1]


@BETWEEN
def test_only_what_failed_runs_again_with_more_of_everything(
    shell: InteractiveShell, again: Again, between: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    body = 'echo %f% >> log; if [ ! -e go ]; then test %f% != b.dat || exit 3; fi; echo "$STRATOS_THREADS"'
    again("--mem 100M --timeout 9s --retries 0", body=body, wait=PLAIN)
    assert ran() == ["a", "b", "c", "d"]
    Path("go").touch()
    between()
    shell.run_cell(
        "%%stratos glob *.dat --job demo --into df --wait --resume --mem 200M --timeout 10m --retries 2 --threads 0.5\n"
        + body
    ).raise_error()
    said = capsys.readouterr().out.splitlines()
    said = said[[line[:1] for line in said].index("+") :][:2]
    assert said == [
        "+0 new, 0 changed, 3 done, 1 failed run again",
        "from now on --threads 0.5 (was 1), --mem 200M (was 100M), --timeout 600s (was 9s), --retries 2 (was not set)",
    ]
    assert ran() == ["b"]
    assert results(shell)["b"] == "0.5"
    assert [job().mem_of(task) for task in range(4)] == [200.0] * 4
    new_kernel()
    assert again("--mem 200M --timeout 10m --retries 2 --threads 0.5", body=body) == "+0 new, 0 changed, 4 done"
    assert (job().spec.mem_mib, job().spec.timeout_s, job().rules.retries) == (200.0, 600.0, 2)
    assert job().mem_of(1) == 200.0


def test_what_waits_asks_for_what_the_cell_says_now(shell: InteractiveShell, again: Again) -> None:
    shell.run_line_magic("stratos", "connect local[1]")
    body = "echo %f% >> log; while [ ! -e go ]; do sleep 0.01; done; test %f% != d.dat"
    again("--mem 50M..100M --priority 1", body=body, wait="")
    until(lambda: job().state(0) is TaskState.RUNNING)
    assert again("--mem 60M --priority 2", body=body, wait="--resume") == "+0 new, 0 changed, 0 done, 4 still to run"
    assert [job().mem_of(task) for task in range(4)] == [60.0] * 4
    job()._loop.scheduler.check()
    new_kernel()
    assert sessions.current().attach("demo").mem_of(3) == 60.0
    Path("go").touch()
    assert job().wait(20)
    assert ran() == ["a", "b", "c", "d"]
    assert job().view.failed == 1


def as_0_1_0(folder: Path, keys: bool) -> None:
    """Make a journal what version 0.1.0 would have made of it."""
    database = sqlite3.connect(folder / "journal.sqlite")
    for seq, blob in database.execute("SELECT seq, commands FROM calls").fetchall():
        record = json.loads(zlib.decompress(blob))
        del record["here"]
        if keys:
            parts = [f"{name}\0{os.stat(name).st_size}\0{os.stat(name).st_mtime_ns}" for name in record["files"]]
            record["keys"] = "".join(sha256(part.encode()).hexdigest()[:32] for part in parts)
        changed = zlib.compress(json.dumps(record).encode())
        database.execute("UPDATE calls SET commands = ? WHERE seq = ?", (changed, seq))
    database.execute("DROP TABLE looks")
    database.commit()
    database.close()


@pytest.mark.parametrize("keys", [False, True])
def test_a_run_of_0_1_0_is_gone_on_with(
    shell: InteractiveShell, again: Again, capsys: pytest.CaptureFixture[str], keys: bool
) -> None:
    again(wait=PLAIN)
    folder = job().folder
    new_kernel()
    as_0_1_0(folder, keys)
    ran()
    write("c", "C", 2_000_000)
    write("e", "e")
    shell.run_cell(f"%%stratos glob *.dat --job demo --into df --wait --resume\n{BODY}").raise_error()
    said = capsys.readouterr().out.splitlines()
    if keys:
        assert "+1 new, 1 changed, 3 done" in said
        assert any(
            line.startswith("task 2: run by version 0.1.0, which did not record what tasks leave") for line in said
        )
        assert ran() == ["c", "e"]
    else:
        assert "+1 new, 0 changed, 4 done" in said
        assert any(line.startswith("4 tasks, as 0: what the input was is not on record") for line in said)
        assert ran() == ["e"]
    write("e", "E")
    assert again() == "+0 new, 1 changed, 4 done"


def test_what_a_processor_ran_is_known_to_a_cell(shell: InteractiveShell, again: Again) -> None:
    stream = Processor("local[2]", job_id="demo")
    stream.glob_batch(BODY, "*.dat")
    stream.glob_batch(IN_PLACE, "[cd].dat")  # what another task of the run does to an input is a change, too
    ran()
    assert again().startswith("+0 new, 2 changed, 2 done, 2 gone")
    assert ran() == ["c", "d"]
    write("b", "B", 5)
    assert again() == "+0 new, 1 changed, 3 done"
    assert ran() == ["b"]
