"""What every engine holds to."""

from __future__ import annotations

import sqlite3
import time

import pytest

from stratos_jupyter.backend.core.events import (
    KillAsked,
    PauseAsked,
    RelaunchAsked,
    ResumeAsked,
    RulesChanged,
    Superseded,
)
from stratos_jupyter.backend.core.rules import Halt, Rules
from stratos_jupyter.backend.core.states import IN_FLIGHT, TaskState
from stratos_jupyter.backend.engines.local.orphans import bearers
from stratos_jupyter.backend.store.journal import FILE_NAME
from tests.contract.conftest import SLOTS, Run
from tests.support.waiting import until


def test_every_command_ends_once_with_its_output(run: Run) -> None:
    run.add(*(f"echo {i}" for i in range(300)))
    run.wait()
    rows = run.rows()
    assert sorted((row.task, row.attempt) for row in rows) == [(i, 1) for i in range(300)]
    assert all(row.stdout == f"{row.task}\n".encode() for row in rows)
    assert {row.state for row in rows} == {TaskState.FINISHED}


def test_a_failure_keeps_its_cause(run: Run) -> None:
    run.add("exit 3", "kill -9 $$", "echo fine")
    run.wait()
    found = {row.task: (TaskState(row.state).name, row.reason, row.exit_code) for row in run.rows()}
    assert found == {0: ("FAILED", "exit", 3), 1: ("FAILED", "signal", -9), 2: ("FINISHED", "exit", 0)}


@pytest.mark.parametrize("engine", ["local", pytest.param("mesos", marks=pytest.mark.mesos)], indirect=True)
def test_commands_are_bash_up_to_the_line_that_fails(run: Run) -> None:
    run.add(
        "echo {1..3} $'\\t' &> log; cat log",
        "false; echo on",
        "printenv PWD",
        "echo $PWD",
        "bash -c 'kill -9 $$'",
        "bash -c 'kill -9 $$'; true",
        "#!/usr/bin/env python3\nprint('by python')",
        "#!/no/such/interpreter",
    )
    run.wait()
    found = {row.task: (row.reason, row.exit_code, row.stdout) for row in run.rows()}
    assert found[2][2] == found[3][2]
    del found[2], found[3]
    assert found == {
        0: ("exit", 0, b"1 2 3 \t\n"),
        1: ("exit", 1, None),
        4: ("signal", -9, None),
        5: ("signal", -9, None),
        6: ("exit", 0, b"by python\n"),
        7: ("spawn", None, None),
    }


def test_calls_follow_one_another(run: Run) -> None:
    assert run.add("echo a", "echo b") == range(2)
    run.wait()
    assert run.add("echo c") == range(2, 3)
    run.wait(range(2, 3))
    assert [row.stdout for row in run.rows()][-1] == b"c\n"


def test_killing_ends_what_runs_and_what_waits(run: Run) -> None:
    run.add(*["sleep 1000"] * 5)
    until(lambda: run.state(0) is TaskState.RUNNING and run.state(1) is TaskState.RUNNING)
    assert run.state(4) is TaskState.QUEUED
    run.post(KillAsked)
    run.wait()
    assert {(row.state, row.reason) for row in run.rows()} == {(TaskState.KILLED, "user")}


def test_what_is_superseded_ends_and_is_counted_no_longer(run: Run) -> None:
    run.add("echo a", "exit 3", "sleep 1000", "sleep 1000", "sleep 1000")
    run.wait(range(2))
    until(lambda: run.state(2) is TaskState.RUNNING)
    run.post(lambda at_s: Superseded(at_s, (1, 2, 4)))
    run.wait(range(2, 3))
    assert {row.task: row.reason for row in run.rows()} == {0: "exit", 1: "exit", 2: "user", 4: "user"}
    assert (run.view.total, run.view.done, run.view.failed, dict(run.view.reasons)) == (2, 1, 0, {"exit": 1})
    run.post(lambda at_s: RelaunchAsked(at_s, (1, 4)))
    assert run.state(1) is TaskState.FAILED
    run.post(lambda at_s: Superseded(at_s, (3,), (1,)))
    run.wait()
    assert (run.view.total, run.view.done, run.view.failed, run.view.ended_at is None) == (2, 2, 1, False)


def test_killing_one_leaves_its_neighbours_alone(run: Run) -> None:
    run.add("sleep 1000", "sleep 1000")
    until(lambda: run.state(0) is TaskState.RUNNING and run.state(1) is TaskState.RUNNING)
    run.post(lambda at_s: KillAsked(at_s, (1,)))
    run.wait(range(1, 2))
    assert run.state(0) is TaskState.RUNNING
    run.post(KillAsked)
    run.wait()


def test_relaunching_makes_another_attempt(run: Run) -> None:
    run.add("exit 1")
    run.close_input()
    run.wait()
    run.post(lambda at_s: RelaunchAsked(at_s, (0,)))
    run.wait()
    assert [row.attempt for row in run.journal.attempts(0)] == [1, 2]


def test_relaunching_what_runs_ends_it_first(run: Run) -> None:
    run.add("sleep 1000")
    until(lambda: run.state(0) is TaskState.RUNNING)
    run.post(lambda at_s: RelaunchAsked(at_s, (0,)))
    until(lambda: run.state(0) is TaskState.RUNNING and len(run.journal.attempts(0)) == 1)
    assert run.rows() == []  # the first attempt is history, not a result
    run.post(KillAsked)
    run.wait()
    assert [row.attempt for row in run.rows()] == [2]


def test_nothing_is_shown_before_it_is_journaled(run: Run) -> None:
    shown: list[tuple[int, int]] = []
    show = run.loop._views._show

    def compare(view) -> None:
        shown.append((view.done, sum(1 for _ in run.journal.rows())))
        show(view)

    run.loop._views._show = compare
    run.add(*(f"echo {i}" for i in range(200)))
    run.wait()
    assert shown
    assert all(done <= journaled for done, journaled in shown)


def test_nothing_is_acknowledged_before_it_is_journaled(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    acknowledged: list[int] = []
    post_results = run.loop.post_results

    def watch(results, acknowledge) -> None:
        def checked() -> None:
            journaled = {(row.task, row.attempt) for row in run.journal.rows()}
            assert {(result.task, result.attempt) for result in results} <= journaled
            acknowledged.append(len(results))
            acknowledge()

        post_results(results, checked)

    monkeypatch.setattr(run.loop, "post_results", watch)
    run.add(*(f"echo {i}" for i in range(50)))
    run.wait()
    until(lambda: sum(acknowledged) == 50)


def test_a_journal_that_cannot_be_written_loses_nothing(run: Run) -> None:
    broken = [True]
    add_results = run.journal.add_results

    def fail(rows) -> None:
        if broken[0]:
            raise sqlite3.OperationalError("database or disk is full")
        add_results(rows)

    run.journal.add_results = fail
    run.add(*(f"echo {i}" for i in range(10)))
    until(lambda: any("disk is full" in notice for view in run.views for notice in view.notices))
    assert run.rows() == []
    assert all(view.done == 0 for view in run.views)
    broken[0] = False
    run.wait()
    assert sorted(row.task for row in run.rows()) == list(range(10))


def test_a_kill_does_not_wait_for_the_disk(run: Run) -> None:
    run.add(*["sleep 1000"] * 4)
    until(lambda: run.state(0) is TaskState.RUNNING and run.state(1) is TaskState.RUNNING)
    add_results, add_entries = run.journal.add_results, run.journal.add_entries

    def fail(rows) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    run.journal.add_results = run.journal.add_entries = fail
    run.post(KillAsked)
    until(lambda: run.state(3) is TaskState.KILLED)  # it was queued
    if run.kind == "local":
        until(lambda: not bearers(run.folder), what="the running ones to be ended")
    assert run.rows() == []
    run.journal.add_results, run.journal.add_entries = add_results, add_entries
    run.wait()
    assert sorted(row.task for row in run.rows()) == [0, 1, 2, 3]
    assert {row.reason for row in run.rows()} == {"user"}


def test_a_waiter_that_gives_up_hurts_nobody(run: Run) -> None:
    run.add("sleep 1000")
    until(lambda: run.state(0) is TaskState.RUNNING)
    gone = run.driver.call(lambda: run.loop.wait(None))
    stays = run.driver.call(lambda: run.loop.wait(None))
    assert gone.cancel()
    run.post(KillAsked)
    assert stays.result(10.0)
    assert run.driver.call(lambda: len(run.loop._waiters)) == 0


def test_the_journal_is_the_users_alone(run: Run) -> None:
    run.add("echo x")
    run.wait()
    for name in (FILE_NAME, FILE_NAME + "-wal"):
        assert (run.folder / name).stat().st_mode & 0o077 == 0


def test_views_add_up(run: Run) -> None:
    run.add(*(f"echo {i}" for i in range(100)), "exit 1")
    run.wait()
    last = run.views[-1]
    assert (last.total, last.done, last.failed, last.unfinished) == (101, 101, 1, 0)
    assert last.ended_at is not None
    assert last.reasons == {"exit": 101}
    assert all(view.total in (0, 101) for view in run.views)


def test_views_come_at_most_ten_times_a_second(run: Run) -> None:
    run.add(*(f"echo {i}" for i in range(500)))
    run.wait()
    spans = [after.at_s - before.at_s for before, after in zip(run.views, run.views[1:], strict=False)]
    assert all(span > 0.08 for span in spans[:-1])  # the last one, at the end, comes at once


# --- under a user's rules ---

#: fails on its first attempt only
FLAKY = "case $STRATOS_TASK in *.1) exit 3;; esac"


@pytest.mark.parametrize("run", [Rules(retries=1, retry_delay_s=0.01)], indirect=True)
def test_a_failure_is_history_and_its_retry_the_result(run: Run) -> None:
    run.add(FLAKY, "exit 3", "echo fine")
    run.wait()
    assert {(row.task, row.attempt, row.exit_code) for row in run.rows()} == {(0, 2, 0), (1, 2, 3), (2, 1, 0)}
    assert [(row.attempt, row.exit_code) for row in run.journal.attempts(0)] == [(1, 3), (2, 0)]
    assert run.view.attempts_retried == 2


@pytest.mark.parametrize("run", [Rules(halt=Halt(3))], indirect=True)
def test_failures_halt_and_a_resume_goes_on(run: Run) -> None:
    run.add(*["exit 1"] * 40)
    until(lambda: run.view.held)
    until(lambda: not any(run.view[state] for state in IN_FLIGHT))
    ended = run.view.done
    assert 3 <= ended < 40
    assert run.state(39) is TaskState.QUEUED
    run.post(ResumeAsked)
    until(lambda: run.view.done > ended)
    run.post(lambda at_s: RulesChanged(at_s, Rules()))
    run.post(ResumeAsked)
    run.wait()
    assert len(run.rows()) == 40
    assert [act for _, act, _ in run.journal.entries() if act in ("resume", "rules")] == ["resume", "rules", "resume"]


def test_a_pause_recalls_what_has_not_started(run: Run) -> None:
    run.add(*["echo warm"] * 50)  # so that commands are known to be short, and bundled
    run.wait()
    run.add(*["sleep 1000"] * 40)
    until(lambda: run.state(50) is TaskState.RUNNING)
    run.post(PauseAsked)
    until(lambda: not run.view[TaskState.STAGING])
    view = run.view
    assert 1 <= view[TaskState.RUNNING] <= SLOTS
    assert view[TaskState.QUEUED] + view[TaskState.RUNNING] == 40
    run.post(KillAsked)
    run.wait()


@pytest.mark.parametrize("run", [Rules(max_tasks=1)], indirect=True)
def test_only_so_many_run_at_once(run: Run) -> None:
    run.add(*["sleep 1000"] * 3)
    until(lambda: run.state(0) is TaskState.RUNNING)
    run.check()
    assert [run.state(task) for task in (1, 2)] == [TaskState.QUEUED] * 2
    run.post(lambda at_s: RulesChanged(at_s, Rules(max_tasks=2)))
    until(lambda: run.state(1) is TaskState.RUNNING)
    assert run.state(2) is TaskState.QUEUED
    run.post(KillAsked)
    run.wait()


@pytest.mark.parametrize("run", [Rules(rate_per_s=50.0)], indirect=True)
def test_a_rate_is_kept(run: Run) -> None:
    begun = time.monotonic()
    run.add(*["echo x"] * 20)
    run.wait()
    # 1 at once, 5 that have gathered at most, and one each 20 ms; a busy machine only makes it slower
    assert time.monotonic() - begun >= (20 - 6) / 50.0


@pytest.mark.parametrize("run", [Rules(timeout_share=1.5)], indirect=True)
def test_who_runs_much_longer_than_the_others_is_ended(run: Run) -> None:
    run.add(*["echo x"] * 6)
    run.wait()
    run.add("sleep 1000")
    run.wait()
    assert [(row.task, row.reason, row.state) for row in run.rows()][-1] == (6, "timeout", TaskState.FAILED)
