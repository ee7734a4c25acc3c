"""Where the inputs of tasks are, found out in the background on a real HDFS, and told to jobs."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.core.events import InputLocation
from stratos_jupyter.backend.inputs import locator as placing
from stratos_jupyter.backend.inputs.filesystems import FileSystems
from stratos_jupyter.backend.inputs.hdfs import Hdfs as Client
from stratos_jupyter.backend.inputs.locator import Locator
from stratos_jupyter.backend.spec.parse_hdfs import parse_mounts
from tests.clusters.hdfs.cluster import Hdfs, put
from tests.support.processes import children_of_this_process
from tests.support.waiting import until

pytestmark = [pytest.mark.hdfs, pytest.mark.timeout(240)]

MOUNTS = parse_mounts("/dfs=/")


class Told:
    """What a locator has told."""

    def __init__(self) -> None:
        self.pieces: list[tuple[InputLocation, ...]] = []
        self.trouble: list[str] = []

    def tell(self, places: tuple[InputLocation, ...]) -> None:
        self.pieces.append(places)

    @property
    def places(self) -> list[InputLocation]:
        return list(itertools.chain(*self.pieces))


@pytest.fixture
def told() -> Told:
    return Told()


MakeLocator = Callable[..., Locator]


@pytest.fixture
def make_locator() -> Iterator[MakeLocator]:
    """Make locators of file systems, or of an HDFS by its name; they are closed with the test."""
    made: list[Locator] = []

    def make(of: FileSystems | str) -> Locator:
        made.append(Locator(FileSystems(of, MOUNTS) if isinstance(of, str) else of))
        return made[-1]

    yield make
    for locator in made:
        locator.close()


@pytest.fixture
def locator(hdfs: Hdfs, make_locator: MakeLocator) -> Locator:
    return make_locator(hdfs.url)


def processes_of_ours() -> list[int]:
    """Processes that find places, of this process."""
    found = []
    for pid in children_of_this_process():
        try:
            if b"inputs.locator_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def test_a_task_is_where_the_bytes_of_all_its_inputs_are(hdfs: Hdfs, folder: str, locator: Locator, told: Told) -> None:
    put(hdfs.url, f"{folder}/small", b"x" * 1000, "127.0.0.11")
    put(hdfs.url, f"{folder}/large", b"x" * 3000, "127.0.0.12")
    inputs = [
        (f"/dfs{folder}/small", f"hdfs:{folder}/large"),
        ("/home/plain",),
        (),
        (f"/dfs{folder}/gone",),
        (f"{hdfs.rpc}{folder}/large", "/home/plain", f"/dfs{folder}/gone"),
        (f"/dfs{folder}",),
        (f"/dfs{folder}/small", f"hdfs:{folder}/small", f"hdfs:{folder}/large"),  # one of them by two names
    ]
    locator.find(100, inputs, told.tell)
    until(lambda: len(told.places) == 7)
    assert told.places == [
        InputLocation(100, 4000, (("127.0.0.12", 3000), ("127.0.0.11", 1000))),
        *(InputLocation(task, 0, ()) for task in (101, 102, 103)),
        InputLocation(104, 3000, (("127.0.0.12", 3000),)),
        InputLocation(105, 0, ()),
        InputLocation(106, 4000, (("127.0.0.12", 3000), ("127.0.0.11", 1000))),
    ]


def test_the_first_tasks_come_first_and_soon(hdfs: Hdfs, folder: str, locator: Locator, told: Told) -> None:
    for n in range(3):
        put(hdfs.url, f"{folder}/{n}", b"x", "127.0.0.11")
    locator.find(0, [(f"/dfs{folder}/{n % 3}", f"/dfs{folder}/gone{n}") for n in range(1200)], told.tell)
    until(lambda: len(told.places) == 1200, 30)
    assert [place.task for place in told.places] == list(range(1200))
    assert len(told.pieces[0]) <= placing.FIRST
    assert len(told.pieces) > 5


def test_the_notebooks_process_has_hardly_anything_to_do(folder: str, locator: Locator, told: Told) -> None:
    locator.find(0, [(f"/dfs{folder}/warm",)], told.tell)
    until(lambda: len(told.places) == 1)
    all_s, own_s = time.process_time(), time.thread_time()
    locator.find(0, [(f"/dfs{folder}/gone{n}",) for n in range(2000)], told.tell)
    until(lambda: len(told.places) == 2001, 60)
    others_s = (time.process_time() - all_s) - (time.thread_time() - own_s)
    assert others_s / 2000 < 100e-6  # a request by itself takes seven times that


def test_two_calls_take_turns(hdfs: Hdfs, folder: str, locator: Locator) -> None:
    put(hdfs.url, f"{folder}/0", b"x")
    order: list[str] = []
    inputs = [(f"/dfs{folder}/0", f"/dfs{folder}/gone{n}") for n in range(1200)]
    locator.find(0, inputs, lambda places: order.append("a"))
    locator.find(0, inputs, lambda places: order.append("b"))
    until(lambda: order.count("a") > 3 and order.count("b") > 3, 30)
    assert order.index("b") <= 2


def test_what_has_not_changed_is_not_asked_again(
    hdfs: Hdfs, folder: str, make_locator: MakeLocator, told: Told
) -> None:
    put(hdfs.url, f"{folder}/0", b"x" * 10, "127.0.0.11")
    files = FileSystems(hdfs.url, MOUNTS)
    locator = make_locator(files)
    names = files.expand(f"/dfs{folder}/*")
    locator.find(0, [(name,) for name in names], told.tell)
    until(lambda: told.places)
    assert files.located(f"{folder}/0") is not None
    files.expand(f"/dfs{folder}/*")
    assert files.located(f"{folder}/0") is not None
    put(hdfs.url, f"{folder}/0", b"x" * 20, "127.0.0.12")
    files.expand(f"/dfs{folder}/*")
    assert files.located(f"{folder}/0") is None
    locator.find(0, [(name,) for name in names], told.tell)
    until(lambda: len(told.places) == 2)
    assert told.places[1] == InputLocation(0, 20, (("127.0.0.12", 20),))


def test_plain_paths_ask_nobody(make_locator: MakeLocator, told: Told) -> None:
    locator = make_locator("http://127.0.0.1:9")
    locator.find(0, [("/home/x",)] * 5000, told.tell, told.trouble.append)
    until(lambda: len(told.places) == 5000)
    assert processes_of_ours() == []
    assert set(told.places) == {InputLocation(task, 0, ()) for task in range(5000)}
    assert told.trouble == []


def test_a_namenode_that_comes_back_is_asked_again(
    breakable_hdfs: Hdfs, folder: str, make_locator: MakeLocator, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "PAUSES_S", (0.5,) * 100)
    for n in range(2):
        put(breakable_hdfs.url, f"{folder}/{n}", b"x" * (n + 1), "127.0.0.11")
    locator = make_locator(breakable_hdfs.url)
    locator.find(0, [(f"/dfs{folder}/0",)], told.tell, told.trouble.append)
    until(lambda: told.places)
    breakable_hdfs.kill("namenode")
    locator.find(1, [(f"/dfs{folder}/1",)], told.tell, told.trouble.append)
    until(lambda: told.trouble)
    assert "cannot be reached (connection refused)" in told.trouble[0]
    breakable_hdfs.mend()
    until(lambda: told.trouble[-1] == "", 30)
    # It may have been asked before it heard from the DataNodes what they have.
    until(lambda: Client(breakable_hdfs.url).locate(f"{folder}/1").hosts, 30)
    locator.find(2, [(f"/dfs{folder}/1",)], told.tell)
    until(lambda: told.places[2:])
    assert told.places[2] == InputLocation(2, 2, (("127.0.0.11", 2),))


def test_a_namenode_that_stays_away_is_given_up(
    make_locator: MakeLocator, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "PAUSES_S", (0.1,))
    locator = make_locator("http://127.0.0.1:9")
    for _ in range(2):
        locator.find(0, [("/dfs/x",)], told.tell, told.trouble.append)
    until(lambda: len(told.places) == 2 and processes_of_ours() == [])
    assert "cannot be reached" in told.trouble[0]
    assert told.places == [InputLocation(0, 0, ())] * 2


def test_a_datanode_that_has_died_holds_nothing(
    breakable_hdfs: Hdfs, folder: str, make_locator: MakeLocator, told: Told
) -> None:
    put(breakable_hdfs.url, f"{folder}/lost", b"x" * 10, "127.0.0.12")
    put(breakable_hdfs.url, f"{folder}/there", b"x" * 20, "127.0.0.13")
    breakable_hdfs.kill("datanode1")
    breakable_hdfs.wait_datanodes(2)
    until(lambda: not Client(breakable_hdfs.url).locate(f"{folder}/lost").hosts, 30)
    locator = make_locator(breakable_hdfs.url)
    locator.find(0, [(f"/dfs{folder}/lost",), (f"/dfs{folder}/lost", f"/dfs{folder}/there")], told.tell)
    until(lambda: told.places)
    assert told.places == [InputLocation(0, 0, ()), InputLocation(1, 20, (("127.0.0.13", 20),))]


def test_closing_ends_the_process_while_it_asks(
    breakable_hdfs: Hdfs, folder: str, make_locator: MakeLocator, told: Told
) -> None:
    breakable_hdfs.pause("namenode")
    locator = make_locator(breakable_hdfs.url)
    locator.find(0, [(f"/dfs{folder}/x",)], told.tell, told.trouble.append)
    until(processes_of_ours)
    begun_s = time.monotonic()
    locator.close()
    assert time.monotonic() - begun_s < 4
    assert processes_of_ours() == []
    locator.find(0, [(f"/dfs{folder}/x",)], told.tell)  # nothing happens any more
    assert processes_of_ours() == []


def test_a_process_that_dies_is_started_again(
    hdfs: Hdfs, folder: str, locator: Locator, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "PAUSES_S", (0.1, 0.1))
    for n in range(2):
        put(hdfs.url, f"{folder}/{n}", b"x", "127.0.0.11")
    locator.find(0, [(f"/dfs{folder}/0",)], told.tell)
    until(lambda: told.places)
    (pid,) = processes_of_ours()
    os.kill(pid, signal.SIGKILL)
    locator.find(1, [(f"/dfs{folder}/1",)], told.tell, told.trouble.append)
    until(lambda: len(told.places) == 2)
    assert told.trouble == ["the process that asks HDFS has ended", ""]


def test_it_ends_when_there_is_nothing_to_do(
    hdfs: Hdfs, folder: str, locator: Locator, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "IDLE_S", 0.1)
    put(hdfs.url, f"{folder}/0", b"x")
    locator.find(0, [(f"/dfs{folder}/0",)], told.tell)
    until(lambda: told.places and not processes_of_ours())
    locator.find(1, [(f"/dfs{folder}/0", f"/dfs{folder}/gone")], told.tell)
    until(lambda: len(told.places) == 2)


def test_it_ends_with_the_process_that_it_belongs_to(hdfs: Hdfs, folder: str) -> None:
    put(hdfs.url, f"{folder}/0", b"x")
    code = f"""
import os, threading
from stratos_jupyter.backend.inputs.filesystems import FileSystems
from stratos_jupyter.backend.inputs.locator import Locator
told = threading.Event()
locator = Locator(FileSystems({hdfs.url!r}))
locator.find(0, [("hdfs:{folder}/0",)], lambda places: told.set())
assert told.wait(20)
print(locator._process._process.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    pid = int(done.stdout)
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_no_token_is_in_its_arguments(
    hdfs: Hdfs, folder: str, make_locator: MakeLocator, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(hdfs.url, f"{folder}/0", b"x")
    config = tmp_path / "hdfscli.cfg"
    config.write_text(f"[tok.alias]\nclient = TokenClient\nurl = {hdfs.url}\ntoken = secret-4\n")
    monkeypatch.setenv("HDFSCLI_CONFIG", str(config))
    locator = make_locator("tok")
    locator.find(0, [(f"hdfs:{folder}/0",)], told.tell, told.trouble.append)
    until(lambda: told.places)
    (pid,) = processes_of_ours()
    for name in ("cmdline", "environ"):
        assert b"secret-4" not in Path(f"/proc/{pid}/{name}").read_bytes()
