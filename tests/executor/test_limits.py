"""Limits of memory and disk, kept by a real executor, with and without cgroups; what it is told to give back."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.executor.process.base_groups import BaseGroup, base_groups, without_limits
from stratos_jupyter.backend.executor.process.cgroup_files import counts
from stratos_jupyter.backend.executor.process.limits import without_files
from stratos_jupyter.backend.executor.process.procs import peak_kib
from stratos_jupyter.backend.executor.process.scratch import measure
from tests.conftest import require
from tests.support.executor_client import Client, alive
from tests.support.waiting import until

PYTHON = f"{shlex.quote(sys.executable)} -I -S"
#: Takes 200 MiB and keeps them.
HOG = f"exec {PYTHON} -c 'x = bytearray(200 << 20); import signal; signal.pause()'"
#: Once it is in a group that we made, which only groups that are really made can end: takes 200 MiB.
FENCED = """
while "/stratos-" not in open("/proc/self/cgroup").read():
    pass
x = bytearray(200 << 20)
"""
MEM = {"mem_mib": 64.0}


def groups(client: Client) -> list[Path]:
    """What the client's executor has made among the memory groups of this machine."""
    try:
        found = base_groups(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    except OSError:
        return []
    folders = [path for place in found for path in Path(place.path).glob(f"stratos-{client.process.pid}-*")]
    return folders + [path for folder in folders for path in folder.glob("t[0-9]*")]


def watched(client: Client, slot: int = 9) -> None:
    """Have the executor look at the memory of its tasks: one that takes too much is ended."""
    number = 1000 + len(client.ended)
    client.batch([HOG], slot=slot, first=number, limits={"mem_mib": 50.0})
    assert client.wait(number).reason == "memory"


def go_on(client: Client) -> None:
    """Let a task go on that waits at the gate."""
    until(lambda: (client.folder / "gate").exists())
    (client.folder / "gate").write_text("")


@pytest.fixture(params=["groups", "sampling"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(options=["--no-cgroup"] if request.param == "sampling" else []) as one:
        yield one
    assert not groups(one)


@pytest.fixture
def fenced() -> Iterator[Client]:
    """An executor whose tasks have groups; skips where none can be made."""
    with Client() as one:
        one.context()
        one.batch(["mkfifo gate; cat gate; rm gate"], first=500, limits=MEM)
        watched(one)
        watched(one)
        have = bool(groups(one))
        go_on(one)
        one.wait(500)
        if not have:
            require("cgroups", "no memory cgroups can be made here")
        (one.folder / "hog.py").write_text(FENCED)
        yield one
    assert not groups(one)


# Memory.


def test_task_that_takes_too_much_memory(client: Client) -> None:
    hog, following = client.run(HOG, "echo on", limits=MEM)
    assert (hog.reason, hog.code) == ("memory", -signal.SIGKILL)
    assert re.fullmatch(r"used (\d+ MiB of|all of its) 64 MiB; ask for more with --mem", hog.note)
    assert (following.reason, following.stdout) == ("exit", "on\n")
    assert not client.marked()


def test_no_grace_for_it_and_nothing_of_it_is_left(client: Client) -> None:
    (client.folder / "hog.py").write_text(
        "import signal, os\nsignal.signal(15, lambda *_: open('asked', 'w'))\n"
        "x = bytearray(200 << 20)\nopen('full', 'w')\nwhile True: signal.pause()\n"
    )
    client.context(grace_s=60.0)
    client.batch([f"{DAEMON} & env -i setsid sh -c 'echo $$ > two; exec sleep 1000' & {PYTHON} hog.py"], limits=MEM)
    assert client.wait(0).reason == "memory"
    assert not (client.folder / "asked").exists()
    pids = [int(path.read_text()) for path in (client.folder / "one", client.folder / "two") if path.exists()]
    until(lambda: not client.marked() and not alive(pids), what="nothing left")


#: Away from session and group, deaf to TERM.
DAEMON = """setsid sh -c 'trap "" TERM; echo $$ > one; while :; do sleep 1000; done'"""


def test_neighbours_go_on(client: Client) -> None:
    client.context()
    client.batch(["mkfifo gate; cat gate; echo fine"], slot=0, limits=MEM)
    client.batch(["cat gate2; echo fine"], slot=1, first=10)
    os.mkfifo(client.folder / "gate2")
    client.wait_started(0)
    client.wait_started(10)
    watched(client)
    go_on(client)
    (client.folder / "gate2").write_text("")
    assert [client.wait(task).stdout for task in (0, 10)] == ["fine\n"] * 2


def test_children_count_together(client: Client) -> None:
    child = f"{PYTHON} -c 'x = bytearray(60 << 20); import time; time.sleep(1000)'"
    (record,) = client.run(f"({child}) & (setsid {child}) & ({child}) & wait %1 && wait %2 && wait %3", limits=MEM)
    assert record.reason == "memory"
    assert "64 MiB; ask for more with --mem" in record.note


def test_shared_memory_counts_once(client: Client) -> None:
    """One process and four copies of it: 40 MiB, though each of the five has 40 MiB in use."""
    (client.folder / "copies.py").write_text(
        "import os\nx = bytearray(40 << 20)\n"
        "if all([os.fork() for i in range(4)]):\n"
        "    os.mkfifo('gate'); open('gate').read(); os._exit(0)\n"
        "while True: __import__('signal').pause()\n"
    )
    client.context(linger_s=0.0)
    client.batch([f"{PYTHON} copies.py; echo fine"], limits={"mem_mib": 120.0})
    until(lambda: (client.folder / "gate").exists())
    for _look in range(3):
        watched(client)
    go_on(client)
    assert client.wait(0).stdout == "fine\n"


#: Reads a file of 200 MiB by mapping it, or makes shared memory of that size; looked at when it has, or ended at once.
MAPPER = """
import mmap, os, sys
if sys.argv[1] == "file":
    file = open("large", "r+b")
    pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
else:
    pages = mmap.mmap(-1, 200 << 20)
for at in range(0, len(pages), 4096):
    if sys.argv[1] == "file":
        pages[at]
    else:
        pages[at] = 1
if sys.argv[2] == "stay":
    os.mkfifo("gate")
    open("gate").read()
"""


def map_large(client: Client, how: str) -> None:
    (client.folder / "mapper.py").write_text(MAPPER)
    with open(client.folder / "large", "wb") as file:
        for _mib in range(200):
            file.write(bytes(1 << 20))
    client.context()
    client.batch([f"{PYTHON} mapper.py {how}; echo fine"], limits=MEM)


@pytest.mark.parametrize("then", ["stay", "leave"])
def test_pages_of_files_are_no_memory(client: Client, then: str) -> None:
    """Tables and images are mapped; the system takes such pages back when it needs room."""
    map_large(client, f"file {then}")
    if then == "stay":
        until(lambda: (client.folder / "gate").exists())
        for _look in range(3):
            watched(client)
        go_on(client)
    record = client.wait(0)
    assert (record.reason, record.note, record.stdout) == ("exit", "", "fine\n")


def test_shared_memory_of_its_own_counts(client: Client) -> None:
    map_large(client, "memory stay")
    record = client.wait(0)
    assert record.reason == "memory"
    assert record.stdout is None


@pytest.mark.parametrize(
    ("peak_mib", "mapped_mib", "faults", "huge", "expected_mib"),
    [
        (309, 8, 78_000, False, 301),  # memory
        (209, 8, 4_800, False, 18.75),  # a file that was mapped without having been seen
        (209, 205, 60_000, False, 4),  # ... of which most was seen
        (309, 8, 1_600, True, 209),  # memory in huge pages
        (209, 8, 4_800, True, -91),
    ],
)
def test_memory_and_files_are_told_apart_by_their_faults(
    peak_mib: float, mapped_mib: int, faults: int, huge: bool, expected_mib: float
) -> None:
    mib = 1 << 20
    assert os.sysconf("SC_PAGE_SIZE") == 4096
    found = without_files(peak_mib * mib, mapped_mib * mib, faults, huge)
    assert found == expected_mib * mib


def test_eater_that_is_being_ended_has_no_grace_any_more(client: Client) -> None:
    (client.folder / "hog.py").write_text(
        "import signal, os\ndef eat(*_):\n    global x\n    x = bytearray(200 << 20)\n"
        "signal.signal(15, eat)\nopen('up', 'w')\nwhile True: signal.pause()\n"
    )
    client.context(grace_s=60.0)
    client.batch([f"exec {PYTHON} hog.py"], limits=MEM)
    client.wait_started(0)
    until(lambda: (client.folder / "up").exists())
    client.kill(0)
    record = client.wait(0)
    assert (record.reason, record.code) == ("user", -signal.SIGKILL)


def test_no_luck_is_involved(client: Client) -> None:
    """Of equal tasks all end alike, however quick they are."""
    much, little = (f"{PYTHON} -c 'x = bytearray({mib} << 20)'" for mib in (300, 70))
    records = client.run(*[much] * 20, *[little] * 20, limits={"mem_mib": 100.0})
    assert [record.reason for record in records] == ["memory"] * 20 + ["exit"] * 20
    assert all("ask for more with --mem" in record.note for record in records[:20])


def test_children_of_a_moment_count_together(client: Client) -> None:
    child = f"{PYTHON} -c 'x = bytearray(60 << 20); import time; time.sleep(0.2)'"
    records = client.run(*[f"{child} & {child} & {child} & wait"] * 5, limits={"mem_mib": 100.0})
    assert {record.reason for record in records} == {"memory"}


@pytest.mark.parametrize("then", ["true", "exit 3", "sleep 1000", "sleep 1000 & true"])
def test_script_that_goes_on_has_died_of_memory(client: Client, then: str) -> None:
    eat = f"{PYTHON} -c 'x = bytearray(200 << 20); import time; time.sleep(1)'"
    (record,) = client.run(f"{eat}; {then}", limits=MEM)
    assert record.reason == "memory"
    assert "64 MiB; ask for more with --mem" in record.note
    until(lambda: not client.marked(), what="nothing left")


def test_memory_of_the_background_counts(client: Client) -> None:
    eat = f"{PYTHON} -c 'import time; time.sleep(0.3); x = bytearray(200 << 20); time.sleep(1000)'"
    (record,) = client.run(f"{eat} & echo first", limits=MEM)
    assert (record.reason, record.stdout) == ("memory", "first\n")
    until(lambda: not client.marked(), what="nothing left")


def test_largest_memory_is_the_commands_own(client: Client) -> None:
    """The system counts what *we* have had, too, which is more than small programs ever have."""
    own_mib = peak_kib(client.process.pid) / 1024
    small, child, large, between = client.run(
        "exec sleep 0.3",
        "sleep 0.3; :",
        f"{PYTHON} -c 'x = bytearray(50 << 20)'",
        f"{PYTHON} -c 'import time; time.sleep(0.2)'",
    )
    assert own_mib > 8
    assert 0.2 < small.max_rss_mib < 6
    assert 0.2 < child.max_rss_mib < 6
    assert 50 < large.max_rss_mib < 80
    assert 3 < between.max_rss_mib < 30
    for record in client.run(*["true"] * 20):
        assert 0.1 < record.max_rss_mib < 6


# Memory that the kernel watches.


def test_task_is_in_its_group_from_its_first_moment(fenced: Client) -> None:
    records = fenced.run(*["exec cat /proc/self/cgroup"] * 20, limits=MEM)
    assert all(re.search(r"/stratos-\d+-\d+/t\d+", record.stdout) for record in records)
    assert len({record.stdout for record in records}) == 20
    assert f"/stratos-{fenced.process.pid}-" not in Path(f"/proc/{fenced.process.pid}/cgroup").read_text()
    outside, nothing = fenced.run("exec cat /proc/self/cgroup", "no-such-program")
    assert "/stratos-" not in outside.stdout
    assert nothing.code == 127


def test_program_that_cannot_start_leaves_no_group(fenced: Client) -> None:
    (record,) = fenced.run("no-such-program", limits=MEM)
    assert record.code == 127
    until(lambda: len(groups(fenced)) == 1, what="no group")


def test_executor_that_cannot_come_back_from_a_group_goes_on(fenced: Client) -> None:
    stuck = "import executor.process.cgroup as c; leave = c.Cgroups.leave; "
    stuck += "c.Cgroups.leave = lambda self, task: [setattr(self, '_home', '/none'), leave(self, task)][1]"
    with Client(prelude=stuck) as client:
        first, second, third = client.run("echo a", HOG, "echo b", limits=MEM)
        assert (first.stdout, second.reason, third.stdout) == ("a\n", "memory", "b\n")
        assert "/stratos-" in Path(f"/proc/{client.process.pid}/cgroup").read_text()
        client.process.terminate()
        assert client.process.wait(20) == 0
    with Client() as another:  # it removes what that one had to leave
        another.run("true", limits=MEM)
        assert not groups(client)


def test_child_that_the_kernel_ends(fenced: Client) -> None:
    """That is the task's failure, whatever the script around it makes of it."""
    bad, good, fine = fenced.run(f"{PYTHON} hog.py || exit 3", f"{PYTHON} hog.py || exit 0", "echo fine", limits=MEM)
    note = "used all of its 64 MiB; ask for more with --mem"
    assert (bad.reason, bad.note) == ("memory", note)
    assert bad.code in (3, -signal.SIGKILL)  # its own code, or ours where we look before it has exited
    # Its script may have ended by itself, or have been ended because the kernel's deed was seen before.
    assert (good.reason, good.code, good.note) in [
        ("memory", 0, "one of its processes was killed: " + note),
        ("memory", -signal.SIGKILL, note),
    ]
    assert (fine.reason, fine.stdout, fine.note) == ("exit", "fine\n", "")


def test_leader_that_the_kernel_ends(fenced: Client) -> None:
    (record,) = fenced.run(f"exec {PYTHON} hog.py", limits=MEM)
    assert (record.reason, record.code) == ("memory", -signal.SIGKILL)
    assert record.note == "used all of its 64 MiB; ask for more with --mem"


def test_group_is_gone_when_its_task_is(fenced: Client) -> None:
    fenced.batch(["mkfifo gate; cat gate", "echo"], limits=MEM)
    fenced.wait_started(0)
    until(lambda: len(groups(fenced)) == 2, what="a group")
    go_on(fenced)
    fenced.wait(1)
    until(lambda: len(groups(fenced)) == 1, what="no group")


def test_who_sheds_everything_is_still_in_the_group(fenced: Client) -> None:
    """Without a group it could as well be the neighbour's."""
    fenced.batch(["mkfifo gate; cat gate; echo fine"])
    fenced.wait_started(0)
    waits = "while ! grep -q /stratos- /proc/self/cgroup; do :; done; "
    shed = "env -i setsid sh -c 'echo $$ > pid; exec sleep 1000 >/dev/null 2>&1' & while ! test -s pid; do :; done"
    fenced.batch([waits + shed], slot=1, first=10, limits=MEM)
    assert fenced.wait(10).code == 0
    pid = int((fenced.folder / "pid").read_text())
    until(lambda: not alive([pid]), what="the daemon gone")
    go_on(fenced)
    assert fenced.wait(0).stdout == "fine\n"


@pytest.mark.parametrize("how", ["stop", "SIGTERM", "connection"])
def test_no_group_is_left_when_the_executor_ends(fenced: Client, how: str) -> None:
    fenced.context(grace_s=0.1)
    fenced.batch(["trap '' TERM; while :; do sleep 1000; done"], limits=MEM)
    fenced.batch(["sleep 1000"], slot=1, first=10, limits=MEM)
    until(lambda: len(groups(fenced)) == 3, what="two groups")
    if how == "stop":
        fenced.send(["stop"])
    elif how == "SIGTERM":
        fenced.process.terminate()
    fenced.socket.close()
    assert fenced.process.wait(20) == 0
    assert not groups(fenced)
    assert not fenced.marked()


def test_groups_of_dead_executors_are_removed(fenced: Client) -> None:
    (folder,) = groups(fenced)
    with subprocess.Popen(["true"]) as dead:
        pass
    left = folder.with_name(f"stratos-{dead.pid}-1")
    (left / "t1").mkdir(parents=True)
    try:
        with Client() as another:
            another.context()
            watched(another)
            assert not left.exists()
            assert folder.exists()
    finally:
        for path in (left / "t1", left):
            if path.exists():
                path.rmdir()


OWN_1 = "12:pids:/user\n4:cpu,memory:/process api/7\n1:name=systemd:/user\n0::/user\n"
MOUNTS_1 = (
    "31 23 0:28 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    r"35 31 0:32 / /sys/fs/c\040group/memory rw shared:10 master:2 - cgroup cgroup rw,cpu,memory" + "\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
OWN_2 = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/jupyter.service\n"
MOUNTS_2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"


def test_places_of_version_1_come_first() -> None:
    assert base_groups(OWN_1, MOUNTS_1) == [
        BaseGroup(1, "/sys/fs/c group/memory/process api/7"),
        BaseGroup(2, "/sys/fs/cgroup/unified/user"),
        BaseGroup(2, "/sys/fs/cgroup/unified", True),
    ]


def test_places_of_version_2() -> None:
    app = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice"
    assert base_groups(OWN_2, MOUNTS_2) == [BaseGroup(2, app + "/jupyter.service"), BaseGroup(2, app, True)]


@pytest.mark.parametrize(
    ("own", "root", "expected"),
    [
        ("/", "/", ["/cg"]),  # in a namespace of its own
        ("/docker/ab", "/docker/ab", ["/cg"]),
        ("/docker/ab/x", "/docker/ab", ["/cg/x", "/cg"]),
        ("/docker/ab", "/docker/a", []),
        ("/", "/docker/ab", []),
        ("/../x", "/", []),
    ],
)
def test_place_in_a_container(own: str, root: str, expected: list[str]) -> None:
    found = base_groups(f"0::{own}\n", f"30 23 0:26 {root} /cg ro - cgroup2 cgroup rw\n")
    assert [place.path for place in found] == expected


def test_no_places_without_cgroups() -> None:
    assert base_groups("", MOUNTS_1) == []
    assert base_groups(OWN_1, "") == []


def test_what_limits_nothing_may_be_left(tmp_path: Path) -> None:
    assert without_limits(str(tmp_path))
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert without_limits(str(tmp_path))
    (tmp_path / "pids.max").write_text("4915\n")
    assert not without_limits(str(tmp_path))


def test_counts_of_events() -> None:
    events = "low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 0\n"
    assert counts(events) == {"low": 0, "high": 0, "max": 12, "oom": 2, "oom_kill": 1, "oom_group_kill": 0}
    assert counts("oom_kill_disable 0\nunder_oom 0\n").get("oom_kill") is None


# Disk.


def test_task_that_writes_too_much(client: Client) -> None:
    late, following = client.run(
        "trap 'echo bye; exit 5' TERM; head -c 30000000 /dev/zero > $STRATOS_SANDBOX/big; mkfifo gate; cat gate & wait",
        "echo on",
        limits={"disk_mib": 20.0},
    )
    assert (late.reason, late.code, late.stdout) == ("disk", 5, "bye\n")
    assert late.note == "wrote 29 MiB of 20 MiB; ask for more with --disk"
    assert following.stdout == "on\n"
    folder = client.folder / "sandbox/0/0.1.scratch"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "big").exists()
    assert not (client.folder / "sandbox/0/1.1.scratch").exists()


def test_output_in_the_sandbox_counts(client: Client) -> None:
    (record,) = client.run("yes | head -c 30000000; sleep 1000", limits={"disk_mib": 20.0})
    assert record.reason == "disk"
    assert record.note.endswith("MiB of 20 MiB; ask for more with --disk")
    assert len(record.bytes()) == 30_000_000


def test_scratch_folder_of_its_own(client: Client) -> None:
    limited, other = client.run("cd $STRATOS_SANDBOX && pwd", "exit 0", limits={"disk_mib": 1.0})
    assert limited.stdout == f"{client.folder}/sandbox/0/0.1.scratch\n"
    assert other.reason == "exit"
    assert list((client.folder / "sandbox").rglob("*.scratch")) == []
    (free,) = client.run("echo ${STRATOS_SANDBOX-none}", env={"STRATOS_SANDBOX": "/old"})
    assert free.stdout == "none\n"


def test_scratch_folder_that_cannot_be_made(client: Client) -> None:
    (client.folder / "file").touch()
    (record,) = client.run("echo", limits={"disk_mib": 1.0}, sandbox=str(client.folder / "file"))
    assert (record.reason, record.code) == ("spawn", None)
    assert "cannot start" in record.note


def test_sizes_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"x" * 4_000_000)
    folder = tmp_path / "folder"
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/file").write_bytes(b"x" * 1_000_000)
    os.link(folder / "a/b/file", folder / "again")
    os.symlink(tmp_path, folder / "link")
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert 1_000_000 <= sum(measure(os.fsencode(folder))) < 1_200_000
    assert sum(measure(os.fsencode(tmp_path / "none"))) == 0


def test_folder_of_many_files_is_walked_in_turns(client: Client) -> None:
    """What is wanted of the executor meanwhile is done; and in the end all has been seen."""
    folder = client.folder / "sandbox/0/0.1.scratch"
    folder.mkdir(parents=True)
    for i in range(8000):
        (folder / str(i)).touch()
    (folder / "8000").write_bytes(b"x" * 30_000_000)
    client.context()
    client.batch(["sleep 1000"], limits={"disk_mib": 20.0})
    client.batch(["echo a"] * 100, slot=1, first=10)
    assert client.wait(109).stdout == "a\n"
    assert client.wait(0).reason == "disk"


# What is asked for.


def test_recall_hands_back_what_has_not_started(client: Client) -> None:
    client.context()
    first = client.batch(["mkfifo gate; cat gate; echo done", "touch ran", "touch ran"])
    other = client.batch(["echo other"], first=10)
    third = client.batch(["touch ran"], first=20)
    client.recall(first, third, 999)
    for task, batch in ((1, first), (2, first), (20, third)):
        record = client.wait(task)
        assert (record.batch, record.reason, record.code, record.started_at) == (batch, "returned", None, None)
    go_on(client)
    assert client.wait(0).stdout == "done\n"
    assert client.wait(10)[2:4] == (other, "exit")
    assert not (client.folder / "ran").exists()


def test_what_was_prepared_is_let_go(client: Client) -> None:
    """While short commands run, the next one is prepared: its pipes must not stay open when it is recalled."""
    folder = Path(f"/proc/{client.process.pid}/fd")
    client.run("echo")
    before = len(list(folder.iterdir()))
    client.context()
    batch = client.batch(["true", "true", "mkfifo gate; cat gate", "touch ran", "touch ran"], first=10)
    client.wait_started(12)
    running = len(list(folder.iterdir()))
    client.recall(batch)
    assert [client.wait(task).reason for task in (13, 14)] == ["returned"] * 2
    assert len(list(folder.iterdir())) <= running
    go_on(client)
    assert client.wait(12).reason == "exit"
    until(lambda: len(list(folder.iterdir())) == before, what="the descriptors from before")
    assert not (client.folder / "ran").exists()


@pytest.mark.parametrize(("given", "expected"), [(None, "user"), ("user", "user"), ("timeout", "timeout")])
def test_kill_says_why(client: Client, given: str | None, expected: str) -> None:
    client.context()
    client.batch(["sleep 1000", "touch ran", "echo on"])
    client.wait_started(0)
    client.kill(0, 1, reason=given)
    assert (client.wait(0).reason, client.wait(0).code) == (expected, -signal.SIGTERM)
    assert client.wait(1)[3:6] == (expected, None, None)
    assert client.wait(2).stdout == "on\n"
    assert not (client.folder / "ran").exists()


@pytest.mark.parametrize(
    "message",
    [
        ["kill", [[0, 1]], "memory"],
        ["kill", [[0, 1]], "user", 1],
        ["kill", [[0, 1]], ["user"]],
        ["recall"],
        ["recall", 1],
        ["recall", ["x"]],
        ["batch", 0, 1, 1, None, [], {"mem_mib": -1}],
        ["batch", 0, 1, 1, None, [], {"disk_mib": float("nan")}],
        ["batch", 0, 1, 1, None, [], {"mem_mib": "much"}],
        ["batch", 0, 1, 1, None, [], [1, 2]],
        ["batch", 0, 1, 1, None, [], None, None],
    ],
)
def test_who_asks_for_nonsense_is_not_understood(message: list[object]) -> None:
    with Client(failover_s=20.0) as client:
        client.context()
        client.send(message)
        assert client.lost()
