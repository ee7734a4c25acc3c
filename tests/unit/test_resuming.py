"""Which tasks a cell that is run again finds done, new, changed and gone."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.commands import chosen, commands_from_record, explicit_commands, glob_commands, template_commands
from stratos_jupyter.keys import env_key, input_keys, keys_of
from stratos_jupyter.resuming import Known, Plan, Tally, Wanted, _known, _Run, _Work, _work, plan
from stratos_jupyter.spec import JobSpec
from stratos_jupyter.workload import Surroundings, Workload


def wanted(text: str, key: str = "k", changed_at: float = 0.0) -> Wanted:
    return Wanted(("/w", None, text), key, changed_at)


def known(
    task: int, text: str, key: str = "k", env: str = "", began: float | None = None, call: int = 0, gone: bool = False
) -> Known:
    return Known(task, call, ("/w", None, text), env, key, began, gone)


CELLS = st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("kl")), max_size=12)


@given(CELLS, st.randoms())
def test_another_order_is_no_news(cell: list[tuple[str, str]], dice: object) -> None:
    tasks = [known(task, text, key) for task, (text, key) in enumerate(cell)]
    shuffled = list(cell)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    found = plan([wanted(*one) for one in shuffled], "", tasks)
    assert sorted(found.kept) == list(range(len(cell)))
    assert found == Plan(kept=found.kept)


@given(CELLS, CELLS, st.lists(st.booleans(), min_size=12, max_size=12), st.randoms())
def test_each_command_and_each_task_is_counted_once(
    before: list[tuple[str, str]], after: list[tuple[str, str]], aside: list[bool], dice: object
) -> None:
    tasks = [known(task, text, key, gone=aside[task]) for task, (text, key) in enumerate(before)]
    cell = [wanted(*one) for one in after]
    found = plan(cell, "", tasks)
    assert len(found.kept) + len(found.restored) + len(found.new) + len(found.changed) == len(cell)
    assert sorted(found.kept + found.replaced + found.gone) == [task.task for task in tasks if not task.superseded]
    assert all(tasks[task].superseded for task in found.restored)
    assert len(found.changed) == len(found.replaced)
    assert not set(found.new) & set(found.changed)
    # What stays has the very commands and keys that the cell has.
    stays = Counter((tasks[task].identity, tasks[task].key) for task in found.kept + found.restored)
    assert not stays - Counter((one.identity, one.key) for one in cell)
    # And its numbers depend on no order.
    dice.shuffle(cell)  # type: ignore[attr-defined]
    again = plan(cell, "", tasks)
    assert Counter(found.kept) == Counter(again.kept)
    assert sorted(found.gone) == sorted(again.gone)
    assert (len(found.new), len(found.changed)) == (len(again.new), len(again.changed))


def test_what_has_another_key_is_changed_and_what_nobody_has_is_new() -> None:
    tasks = [known(0, "a"), known(1, "b"), known(2, "c")]
    found = plan([wanted("d"), wanted("b", "other"), wanted("a")], "", tasks)
    assert found == Plan(new=[0], changed=[1], kept=[0], replaced=[1], gone=[2])


def test_other_variables_change_all() -> None:
    found = plan([wanted("a"), wanted("b")], "now", [known(0, "a", env="then"), known(1, "b", env="now")])
    assert found == Plan(changed=[0], kept=[1], replaced=[0])


def test_another_directory_or_file_makes_another_command() -> None:
    here, there = (Known(task, 0, (cwd, None, "a"), "", "k", None, False) for task, cwd in enumerate(("/x", "/w")))
    assert plan([wanted("a")], "", [here, there]) == Plan(kept=[1], gone=[0])
    file = Wanted(("/w", "f", "a"), "k", 0.0)
    assert plan([file], "", [there]) == Plan(new=[0], gone=[1])


@pytest.mark.parametrize(("changed_at", "began", "kept"), [(5.0, 6.0, True), (7.0, 6.0, False), (7.0, None, True)])
def test_without_a_key_a_later_change_counts(changed_at: float, began: float | None, kept: bool) -> None:
    found = plan([wanted("a", "k", changed_at)], "", [known(0, "a", "", began=began)])
    assert found == (Plan(kept=[0]) if kept else Plan(changed=[0], replaced=[0]))


def test_what_is_wanted_again_comes_back_unless_a_newer_version_ran() -> None:
    gone = known(0, "a", gone=True)
    assert plan([wanted("a")], "", [gone]) == Plan(restored=[0])
    assert plan([wanted("a")], "", [gone, known(1, "a", "l", call=1, gone=True)]) == Plan(new=[0])


def test_many_equal_commands_are_matched_quickly() -> None:
    count = 50_000
    found = plan([wanted("a")] * count, "", [known(task, "a") for task in range(count)])
    assert len(found.kept) == count


def test_a_tally_says_what_is_not_zero() -> None:
    assert str(Tally(120, 3, 4877)) == "+120 new, 3 changed, 4,877 done"
    assert str(Tally(0, 0, 1, 5, 12, 3)) == "+0 new, 0 changed, 1 done, 5 failed run again, 12 still to run, 3 gone"


def test_what_a_monitor_asked_for_shares_the_fate_of_the_watched_task() -> None:
    workload, around = Workload(), Surroundings("/w", {})
    keys = keys_of("", ["k" * 32] * 3)
    workload.add(explicit_commands(["stays", "goes", "alone"]), around, None, keys)
    workload.add(explicit_commands(["instead of 0", "goes"]), around, 0)
    workload.add(explicit_commands(["instead of 1"]), around, 1)
    workload.add(explicit_commands(["instead of 3"]), around, 3)
    states = [TaskState.KILLED, TaskState.KILLED, TaskState.KILLED]  # by their monitors, and the last by the user
    states += [TaskState.FAILED, TaskState.FINISHED, TaskState.RUNNING, TaskState.FINISHED]
    run = _Run(JobSpec(), workload, bytes(states), frozenset(), dict)
    assert [task.task for task in _known(run)] == [0, 1, 2]
    found = plan([wanted("stays", "k" * 32), wanted("alone", "k" * 32)], "", _known(run))
    # 0 was replaced by 3 and 4, of which 3 failed although 6 ran after it; 2 nobody replaced; 5 goes with 1.
    assert _work(run, found) == _Work(Tally(done=3, failed=2, gone=1), [], [1, 5], [], [2, 3])


# -- keys --------------------------------------------------------------------------------------------------


def test_the_key_of_inputs_tells_size_and_time_and_absence(tmp_path: Path) -> None:
    names = ["f", "-x", "two words", os.fsdecode(b"\xff")]
    for name in names:
        (tmp_path / name).write_text("1")
    commands = glob_commands("cat %f% <[table.txt]>", names)

    def keys() -> list[str]:
        return input_keys(commands, str(tmp_path))[0]

    before = keys()
    assert len(set(before)) == len(names)
    assert keys() == before
    status = os.stat(tmp_path / "f")
    (tmp_path / "f").write_text("12")
    os.utime(tmp_path / "f", ns=(status.st_atime_ns, status.st_mtime_ns))
    larger = keys()
    assert [a == b for a, b in zip(before, larger, strict=True)] == [False, True, True, True]
    os.utime(tmp_path / "-x", ns=(1, 1))
    assert [a == b for a, b in zip(larger, keys(), strict=True)] == [True, False, True, True]
    (tmp_path / "table.txt").touch()
    assert not set(keys()) & set(before)


def test_the_time_of_the_newest_input_is_told(tmp_path: Path) -> None:
    for name, at_s in (("a", 5), ("b", 9)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (at_s, at_s))
    commands = explicit_commands(["cat <[a]> <[b]> <[none]>", "echo"])
    assert input_keys(commands, str(tmp_path))[1] == [9.0, 0.0]


def test_variables_have_a_key_that_depends_on_a_secret(tmp_path: Path) -> None:
    spec = JobSpec("a", env=(("X", "1"), ("Y", None)))
    env = {"X": "1", "Y": os.fsdecode(b"\xff"), "Z": "3"}
    one = env_key(tmp_path / "one", spec, env)
    assert one == env_key(tmp_path / "one", spec, {**env, "Z": "4"})
    assert one != env_key(tmp_path / "one", spec, {**env, "X": "2"})
    assert one != env_key(tmp_path / "other", spec, env)
    assert env_key(tmp_path / "one", JobSpec("a"), env) == ""
    assert (tmp_path / "one" / "secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["secret"]


def test_keys_stay_with_their_commands() -> None:
    workload = Workload()
    around = Surroundings("/w", {})
    workload.add(explicit_commands(["a"]), around)
    workload.add(explicit_commands(["b", "c"]), Surroundings("/x", {}), None, keys_of("e", ["1" * 32, "2" * 32]))
    (_, _, _, none), (first, _, _, keys) = workload.calls()
    assert (none.env, none.of(0)) == ("", "")
    assert (first, keys.env, keys.of(1)) == (1, "e", "2" * 32)
    assert workload.record(0, "/w") == {"kind": "explicit", "commands": ["a"], "marks": "words"}
    assert workload.record(1, "/w") == {
        "marks": "words",
        "kind": "explicit", "commands": ["b", "c"], "cwd": "/x", "env": "e", "keys": "1" * 32 + "2" * 32
    }  # fmt: skip


@pytest.mark.parametrize(
    "commands",
    [
        glob_commands("cat %f%", ["a", "b", "c"]),
        template_commands("echo %x%", {"x": [1, 2, 3]}),
        explicit_commands(["echo a", "echo b", "echo c"]),
    ],
)
def test_some_commands_of_a_call_are_a_call(commands: object) -> None:
    some = chosen(commands, [2, 0])  # type: ignore[arg-type]
    assert [some.command(index) for index in range(len(some))] == [commands.command(2), commands.command(0)]  # type: ignore[attr-defined]
    assert some.values(0) == commands.values(2)  # type: ignore[attr-defined]
    again = commands_from_record(some.to_record())
    assert [again.command(index) for index in range(2)] == [some.command(index) for index in range(2)]
