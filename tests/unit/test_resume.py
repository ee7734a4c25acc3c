"""Which tasks a cell that is run again finds done, new, changed and gone."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.core.rules import Cause, Halt, Rules
from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.executor.process import input_state as seen
from stratos_jupyter.backend.inputs.filesystems import HdfsFile, OnHdfs
from stratos_jupyter.backend.spec.commands import (
    chosen,
    commands_from_record,
    explicit_commands,
    glob_commands,
    template_commands,
)
from stratos_jupyter.backend.spec.job_spec import JobSpec, OutputMode
from stratos_jupyter.backend.spec.options import OPTIONS
from stratos_jupyter.backend.spec.workload import FINGERPRINT_CHARS, CommandEnv, Fingerprints, Workload
from stratos_jupyter.errors import SpecError
from stratos_jupyter.resume import Known, Plan, Tally, Wanted, _known, _Run, _Work, _work, plan
from stratos_jupyter.runs import fingerprints as keys_module
from stratos_jupyter.runs.changed_options import refuse_others
from stratos_jupyter.runs.fingerprints import (
    NOTHING,
    Fingerprint,
    ScannedInputs,
    env_fingerprint,
    matches_old,
    same_inputs,
    scan_inputs,
)


def key(content: str, device: int = 1, status: int = 1, inode: int = 1, owner: int = 1) -> str:
    return seen.key_of([content.encode()], device, status, inode, owner)


def wanted(text: str, content: str = "k") -> Wanted:
    return Wanted(("/w", None, text), Fingerprint(key(content)))


def known(
    task: int, text: str, content: str = "k", env: str = "", submission: int = 0, gone: bool = False, free: bool = False
) -> Known:
    identity = ("/w", None, text)
    return Known(
        task, submission, identity, env, (Fingerprint(key(content)),) if content else (), free=free, superseded=gone
    )


CELLS = st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("kl")), max_size=12)


@given(CELLS, st.randoms())
def test_another_order_is_no_news(cell: list[tuple[str, str]], dice: object) -> None:
    tasks = [known(task, text, content) for task, (text, content) in enumerate(cell)]
    shuffled = list(cell)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    found = plan([wanted(*one) for one in shuffled], "", tasks)
    assert sorted(found.kept) == list(range(len(cell)))
    assert found == Plan(kept=found.kept)


@given(CELLS, CELLS, st.lists(st.booleans(), min_size=12, max_size=12), st.randoms())
def test_each_command_and_each_task_is_counted_once(
    before: list[tuple[str, str]], after: list[tuple[str, str]], aside: list[bool], dice: object
) -> None:
    tasks = [known(task, text, content, gone=aside[task]) for task, (text, content) in enumerate(before)]
    cell = [wanted(*one) for one in after]
    found = plan(cell, "", tasks)
    assert len(found.kept) + len(found.restored) + len(found.new) + len(found.changed) == len(cell)
    assert sorted(found.kept + found.replaced + found.gone) == [task.task for task in tasks if not task.superseded]
    assert all(tasks[task].superseded for task in found.restored)
    assert len(found.changed) == len(found.replaced)
    assert not set(found.new) & set(found.changed)
    # What stays has the very commands and keys that the cell has.
    stays = Counter((tasks[task].identity, tasks[task].seen[0]) for task in found.kept + found.restored)
    assert not stays - Counter((one.identity, one.seen) for one in cell)
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
    here, there = (
        Known(task, 0, (cwd, None, "a"), "", (Fingerprint(key("k")),)) for task, cwd in enumerate(("/x", "/w"))
    )
    assert plan([wanted("a")], "", [here, there]) == Plan(kept=[1], gone=[0])
    file = Wanted(("/w", "f", "a"), Fingerprint(key("k")))
    assert plan([file], "", [there]) == Plan(new=[0], gone=[1])


def test_what_has_not_ended_stays_whatever_its_inputs_are() -> None:
    assert plan([wanted("a", "now")], "", [known(0, "a", "then", free=True)]) == Plan(kept=[0], moved=[0])
    assert plan([wanted("a")], "", [known(0, "a", free=True)]) == Plan(kept=[0])
    assert plan([wanted("a")], "now", [known(0, "a", env="then", free=True)]) == Plan(changed=[0], replaced=[0])


def test_what_nobody_has_looked_at_counts_as_unchanged_and_is_told() -> None:
    assert plan([wanted("a")], "", [known(0, "a", "")]) == Plan(kept=[0], blind=[0])
    assert plan([Wanted(("/w", None, "a"), Fingerprint(NOTHING))], "", [known(0, "a", "")]) == Plan(kept=[0]), (
        "no inputs"
    )
    half = Known(0, 0, ("/w", None, "a"), "", (Fingerprint(NOTHING, ""),))
    assert plan([Wanted(half.identity, Fingerprint(NOTHING, key("on HDFS")))], "", [half]) == Plan(kept=[0], blind=[0])


def test_what_a_task_left_counts_and_not_what_was_submitted() -> None:
    left = Known(0, 0, ("/w", None, "a"), "", (Fingerprint(key("left")),))
    assert plan([wanted("a", "left")], "", [left]) == Plan(kept=[0])
    assert plan([wanted("a", "submitted")], "", [left]) == Plan(changed=[0], replaced=[0])
    moved = Wanted(left.identity, Fingerprint(key("left", status=9)))
    assert plan([moved], "", [left]) == Plan(changed=[0], replaced=[0])
    assert plan([moved], "", [left._replace(worked=True)]) == Plan(kept=[0], worked=[0])
    either = left._replace(seen=(Fingerprint(key("left")), Fingerprint(key("submitted"))))
    assert plan([wanted("a", "submitted")], "", [either]) == Plan(kept=[0])


def test_what_is_wanted_again_comes_back_unless_a_newer_version_ran() -> None:
    gone = known(0, "a", gone=True)
    assert plan([wanted("a")], "", [gone]) == Plan(restored=[0])
    assert plan([wanted("a")], "", [gone, known(1, "a", "l", submission=1, gone=True)]) == Plan(new=[0])


def test_many_equal_commands_are_matched_quickly() -> None:
    count = 50_000
    found = plan([wanted("a")] * count, "", [known(task, "a") for task in range(count)])
    assert len(found.kept) == count


def test_a_tally_says_what_is_not_zero() -> None:
    assert str(Tally(120, 3, 4877)) == "+120 new, 3 changed, 4,877 done"
    assert str(Tally(0, 0, 1, 5, 12, 3)) == "+0 new, 0 changed, 1 done, 5 failed run again, 12 still to run, 3 gone"


def test_what_a_monitor_asked_for_shares_the_fate_of_the_watched_task() -> None:
    workload, around = Workload(), CommandEnv("/w", {})
    keys = ScannedInputs([key("k")] * 3, []).fingerprints("")
    workload.add(explicit_commands(["stays", "goes", "alone"]), around, None, keys)
    workload.add(explicit_commands(["instead of 0", "goes"]), around, 0)
    workload.add(explicit_commands(["instead of 1"]), around, 1)
    workload.add(explicit_commands(["instead of 3"]), around, 3)
    states = [TaskState.KILLED, TaskState.KILLED, TaskState.KILLED]  # by their monitors, and the last by the user
    states += [TaskState.FAILED, TaskState.FINISHED, TaskState.RUNNING, TaskState.FINISHED]
    run = _Run(JobSpec(), workload, bytes(states), frozenset(), {}, Rules())
    assert [task.task for task in _known(run)] == [0, 1, 2]
    found = plan([wanted("stays"), wanted("alone")], "", _known(run))
    # 0 was replaced by 3 and 4, of which 3 failed although 6 ran after it; 2 nobody replaced; 5 goes with 1.
    assert _work(run, found) == _Work(Tally(done=3, failed=2, gone=1), [], [1, 5], [], [2, 3])


# -- keys --------------------------------------------------------------------------------------------------


def test_keys_are_as_long_as_calls_think() -> None:
    assert len(key("k")) == FINGERPRINT_CHARS == seen.KEY


def test_the_key_of_inputs_tells_size_and_time_and_absence(tmp_path: Path) -> None:
    names = ["f", "-x", "two words", os.fsdecode(b"\xff")]
    for name in names:
        (tmp_path / name).write_text("1")
    commands = glob_commands("cat %f% <[table.txt]>", names)

    def keys() -> list[str]:
        return scan_inputs(commands, str(tmp_path)).here

    before = keys()
    assert len(set(before)) == len(names)
    assert keys() == before
    status = os.stat(tmp_path / "f")
    (tmp_path / "f").write_text("12")
    os.utime(tmp_path / "f", ns=(status.st_atime_ns, status.st_mtime_ns))
    larger = keys()
    assert [same_inputs(a, b) for a, b in zip(before, larger, strict=True)] == [False, True, True, True]
    os.utime(tmp_path / "-x", ns=(1, 1))
    assert [same_inputs(a, b) for a, b in zip(larger, keys(), strict=True)] == [True, False, True, True]
    (tmp_path / "table.txt").touch()
    assert not any(same_inputs(a, b) for a, b in zip(before, keys(), strict=True))


def test_a_file_that_takes_the_place_of_another_of_equal_size_and_time_is_seen(tmp_path: Path) -> None:
    file, other = tmp_path / "x", tmp_path / "y"

    def now() -> str:
        return seen.look(["x"], os.fsencode(tmp_path))[0]

    def write(path: Path, text: str) -> None:
        path.write_text(text)
        os.utime(path, (5, 5))

    write(file, "one")
    write(other, "two")
    first = now()
    os.replace(other, file)  # as mv does
    moved = now()
    assert not same_inputs(first, moved)
    write(other, "six")
    shutil.copy2(other, file)  # as cp -p does
    assert not same_inputs(moved, now())
    copied = now()
    file.chmod(0o600)
    assert same_inputs(copied, now()), "its owner may have it read by others: that is no other file"
    os.link(file, other.with_name("z"))
    assert same_inputs(copied, now())


def test_on_another_file_system_only_names_sizes_and_times_count() -> None:
    assert same_inputs(key("k"), key("k", device=2, status=9, inode=9, owner=9))
    assert not same_inputs(key("k"), key("l", device=2))
    assert same_inputs(key("k"), key("k", inode=9)), "numbers that a network file system makes up anew"
    assert not same_inputs(key("k"), key("k", status=9))
    assert not same_inputs(key("k"), key("k", status=9, inode=9, owner=9))
    assert same_inputs(key("k"), key("k", status=9, owner=9))
    assert same_inputs(key("k"), key("k", status=9), worked=True), "work in place is not done twice for a chmod"
    assert not same_inputs(key("k"), key("k", status=9, inode=9), worked=True)


def test_a_directory_is_what_is_in_it(tmp_path: Path) -> None:
    case = tmp_path / "case"
    (case / "system" / "deep").mkdir(parents=True)
    for name in ("system/controlDict", "system/deep/er", "0"):
        (case / name).write_text("1")
    (case / "loop").symlink_to(case)
    (case / "nothing").symlink_to("absent")

    def now() -> str:
        return seen.look(["case"], os.fsencode(tmp_path))[0]

    first = now()
    (case / ".controlDict.swp").touch()
    (case / ".controlDict.swp").unlink()
    (case / ".hidden").touch()
    assert same_inputs(first, now()), "what an editor leaves, and takes away, is no input"
    for change in (
        lambda: (case / "system" / "controlDict").write_text("12"),
        lambda: (case / "system" / "deep" / "er").unlink(),
        lambda: (case / "empty").mkdir(),
        lambda: os.utime(case / "0", (1, 1)),
    ):
        before = now()
        change()
        assert not same_inputs(before, now())


def test_a_relative_name_says_nothing_where_nobody_knows_the_folder() -> None:
    assert seen.look(["etc"], b"")[0] == seen.look(["etc"], b"/nowhere")[0]


def test_a_directory_that_holds_too_much_has_a_time(tmp_path: Path) -> None:
    frames = tmp_path / "case" / "frames"
    frames.mkdir(parents=True)
    for number in range(seen.MOST + 1):
        (frames / f"{number}").touch()
    case = ["case"], os.fsencode(tmp_path)
    first = seen.look(*case)[0]
    assert seen.look(*case)[0] == first
    os.utime(frames, (1, 1))
    assert not same_inputs(first, seen.look(*case)[0])


def test_a_directory_that_many_commands_read_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh" / "points").write_text("1")
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (listed.append(path), scandir(path))[1])
    keys = scan_inputs(explicit_commands(["a <[mesh]>", "b <[mesh]>", "c <[mesh/points]> <[mesh]>"]), str(tmp_path))
    assert len(listed) == 1
    assert keys.here[0] == keys.here[1] == seen.look(["mesh"], os.fsencode(tmp_path))[0]


def test_a_time_in_the_future_is_told_once(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).touch()
    commands = glob_commands("cat %f%", ["a", "b"])
    assert scan_inputs(commands, str(tmp_path)).said == ()
    os.utime(tmp_path / "b", (2e10, 2e10))
    (said,) = scan_inputs(commands, str(tmp_path)).said
    assert said.startswith("input 'b' was changed")


def test_a_directory_of_which_not_all_is_looked_at_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "MOST", 3)
    for name in ("case/0/p", "case/0/U", "case/system/control"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    commands = glob_commands("cat %f%", ["case"])
    (said,) = scan_inputs(commands, str(tmp_path)).said
    assert said.startswith(f"of directory '{tmp_path}/case/0' --resume sees what comes and goes")
    monkeypatch.setattr(seen, "MOST", 5)
    assert scan_inputs(commands, str(tmp_path)).said == ()


def test_where_looking_takes_long_several_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 2 * keys_module.TRIED
    commands = glob_commands("cat %f%", [str(number) for number in range(count)])
    for number in range(0, count, 3):
        (tmp_path / str(number)).touch()
    alone = scan_inputs(commands, str(tmp_path)).here
    monkeypatch.setattr(keys_module, "SLOW_S", 0.0)
    threads = set()
    monkeypatch.setattr(
        keys_module, "look", lambda *args: (threads.add(threading.current_thread().name), seen.look(*args))[1]
    )
    assert scan_inputs(commands, str(tmp_path)).here == alone
    assert len(threads) > 1


def test_a_file_on_hdfs_is_known_by_its_number_too() -> None:
    commands = explicit_commands(["cat <[hdfs:/a]> <[b]>", "true"])

    def there(found: HdfsFile | None, known: bool = True) -> list[str]:
        return scan_inputs(commands, "/nowhere", OnHdfs({"hdfs:/a": found}, known)).there

    first = HdfsFile(3, 1000, 17, "http://one:9870")
    assert same_inputs(there(first)[0], there(first)[0])
    assert not same_inputs(there(first)[0], there(first._replace(file_id=18))[0]), "a rename keeps the time"
    assert not same_inputs(there(first)[0], there(first._replace(changed_ms=1001))[0])
    assert same_inputs(there(first)[0], there(first._replace(file_id=18, cluster="http://two:9870"))[0]), (
        "a copy of it all"
    )
    assert there(first)[1] == NOTHING
    assert there(None, known=False) == []


def test_a_key_of_version_0_1_0_is_understood(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    os.utime(tmp_path / "a", ns=(5, 1_000_000_007))
    old = hashlib.sha256(b"a\0" + b"1\0" + b"1000000007" + b"\0\0b\0-").hexdigest()[:32]
    now = scan_inputs(explicit_commands(["cat <[a]> <[b]>"]), str(tmp_path)).of(0)
    assert matches_old(old, now)
    (tmp_path / "a").write_text("2")
    assert not matches_old(old, scan_inputs(explicit_commands(["cat <[a]> <[b]>"]), str(tmp_path)).of(0))
    far = hashlib.sha256(b"hdfs:/a\0" + b"3\0" + b"1.234").hexdigest()[:32]
    on_hdfs = OnHdfs({"hdfs:/a": HdfsFile(3, 1234, 17, "c")})
    assert matches_old(far, scan_inputs(explicit_commands(["cat <[hdfs:/a]>"]), "/", on_hdfs).of(0))


def test_every_field_of_a_job_is_decided_by_one_option() -> None:
    decided = [field.name for option in OPTIONS for field in option.decides]
    assert len(decided) == len(set(decided))
    every = {one.name for of in (JobSpec, Rules) for one in fields(of)}
    assert every - set(decided) == {"rules", "threads_given"}  # the rules are decided field by field


def test_variables_have_a_key_that_depends_on_a_secret(tmp_path: Path) -> None:
    spec = JobSpec("a", env=(("X", "1"), ("Y", None)))
    env = {"X": "1", "Y": os.fsdecode(b"\xff"), "Z": "3"}
    one = env_fingerprint(tmp_path / "one", spec, env)
    assert one == env_fingerprint(tmp_path / "one", spec, {**env, "Z": "4"})
    assert one != env_fingerprint(tmp_path / "one", spec, {**env, "X": "2"})
    assert one != env_fingerprint(tmp_path / "other", spec, env)
    assert env_fingerprint(tmp_path / "one", JobSpec("a"), env) == ""
    assert (tmp_path / "one" / "secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["secret"]


def test_a_refusal_names_all_and_is_short() -> None:
    old = JobSpec("demo", output=OutputMode.NONE, monitor_source="def watch():\n" + "    pass\n" * 1000)
    with pytest.raises(SpecError) as caught:
        refuse_others(old, Rules(), JobSpec("demo", role="physics"))
    said = str(caught.value)
    assert said.startswith(
        "--role is 'physics', and was '*'; --output is 'scheduler', and was 'none'; the monitor's source"
    )
    assert said.endswith("Leave it as it was, or leave --resume out to run all anew")
    assert len(said) < 400


def test_another_shell_is_refused_with_the_option_that_goes_on() -> None:
    """A run of version 0.1.0 has sh, and a cell that does not name a shell has bash."""
    with pytest.raises(SpecError, match=r"--shell is bash -e, and was sh: .* as it was \(--shell sh\), or leave"):
        refuse_others(JobSpec(shell=("sh",)), Rules(), JobSpec())
    with pytest.raises(SpecError, match=r"as it was \(--shell 'bash -euo pipefail'\)"):
        refuse_others(JobSpec(shell=("bash", "-euo", "pipefail")), Rules(), JobSpec())


def test_what_has_changed_is_said_as_it_is_typed() -> None:
    rules = Rules(halt=Halt(3, 0.1), retry_on=(Cause(Reason.EXIT, 1), Cause(Reason.MEMORY)))
    assert refuse_others(JobSpec(), Rules(), JobSpec(mem_mib=2048, timeout_s=60, rules=rules)) == [
        "from now on --mem 2048M (was not set), --timeout 60s (was not set), --retry-on exit:1,memory (was not set), "
        "--halt 10% (was not set)"
    ]
    assert refuse_others(JobSpec(), Rules(), JobSpec(master="local[2]")) == [
        "the engine stays local, where the run began (the cell has local[2])"
    ]
    assert refuse_others(JobSpec(), Rules(), JobSpec()) == []
    assert refuse_others(JobSpec(), Rules(retry_delay_s=0.0), JobSpec(linger_s=0.0)) == [
        "from now on --linger 0s (was not set), --retry-delay 1s (was 0s)"
    ]


def test_keys_stay_with_their_commands() -> None:
    workload = Workload()
    around = CommandEnv("/w", {})
    workload.add(explicit_commands(["a"]), around)
    workload.add(
        explicit_commands(["b", "c"]), CommandEnv("/x", {}), None, Fingerprints("e", "1" * 32 + "2" * 32, "3" * 64)
    )
    (_, _, _, none), (first, _, _, keys) = workload.submissions()
    assert (none.env, none.of(0)) == ("", ("", "", ""))
    assert (first, keys.env, keys.of(1)) == (1, "e", ("2" * 32, "3" * 32, ""))
    assert (workload.fingerprint(0), workload.fingerprint(2)) == ("", "2" * 32)
    assert workload.record(0, "/w") == {"kind": "explicit", "commands": ["a"], "marks": "words"}
    assert workload.record(1, "/w") == {
        "kind": "explicit", "commands": ["b", "c"], "marks": "words",
        "cwd": "/x", "env": "e", "here": "1" * 32 + "2" * 32, "there": "3" * 64,
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
