"""What tells that inputs or variables are others than they were."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from pathlib import Path

import pytest

from stratos_jupyter.backend.executor.process import input_state as seen
from stratos_jupyter.backend.inputs.filesystems import HdfsFile, OnHdfs
from stratos_jupyter.backend.spec.commands import (
    explicit_commands,
    glob_commands,
)
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.backend.spec.workload import FINGERPRINT_CHARS
from stratos_jupyter.runs import fingerprints as keys_module
from stratos_jupyter.runs.fingerprints import (
    NOTHING,
    env_fingerprint,
    matches_old,
    same_inputs,
    scan_inputs,
)
from tests.support.fingerprints import fingerprint as key

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
