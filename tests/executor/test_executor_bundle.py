"""The executor travels in a command, and runs wherever there is a python3."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stratos_jupyter.backend.engines.mesos.executor_bundle import (
    MOST_BYTES,
    NO_PYTHON,
    PackedExecutor,
    pack_executor,
    write_executor,
)
from tests.support.mesos_agent import FakeAgent
from tests.support.pythons import other_pythons

SH = "/bin/sh"
#: What the command had when this was last looked at, and 2 KiB.
USUAL_BYTES = 55_000


def pythons() -> dict[str, str]:
    others = list(other_pythons().items())
    return {"own": sys.executable, **dict(others[:1] + others[-1:])}


@pytest.fixture(params=list(pythons()))
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A search path whose python3 is a certain one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(pythons()[request.param])
    return f"{folder}:/usr/bin:/bin"


def run(packed: PackedExecutor, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SH, "-c", packed.command], env={"PATH": path}, capture_output=True, text=True, timeout=20, check=False
    )


def works(packed: PackedExecutor, path: str, fetched: Path | None = None) -> None:
    """Run a batch with a function as its monitor: it needs most of what the executor has."""
    command = [SH, "-c", packed.command]
    if fetched is not None:  # into the sandbox
        command = [SH, "-c", f"cp {fetched} .; {packed.command}"]
    source = "def watch(pid, out, err):\n    return relaunch('echo again') if 'ü' in out else None\n"
    with FakeAgent(command=command, env={"PATH": path}) as agent:
        agent.launch(
            "while :; do echo ü; sleep 0.1; done",
            "echo $STRATOS_TASK",
            monitor={"python": {"source": source, "name": "watch"}},
            update_interval_s=0.5,
        )
        agent.wait("t1")
        first, second = agent.ended[0, 1], agent.ended[1, 1]
        assert (first.reason, first.stdout[:2], first.commands) == ("monitor", "ü\n", ["echo again"])
        assert second.stdout == f"{agent.label}.1.1\n"


def test_in_a_command(path: str) -> None:
    works(pack_executor(), path)


def test_in_a_file_that_all_nodes_have(path: str, tmp_path: Path) -> None:
    file = tmp_path / "it's here" / "executor"
    file.parent.mkdir()
    write_executor(file)
    packed = pack_executor(str(file))
    assert packed.uris == ()
    works(packed, path)


def test_in_a_file_that_is_fetched(tmp_path: Path) -> None:
    file = tmp_path / "executor.py"
    write_executor(file)
    packed = pack_executor("hdfs://somewhere:9000/of all/executor.py")
    assert packed.uris == ("hdfs://somewhere:9000/of all/executor.py",)
    works(packed, os.environ["PATH"], fetched=file)


def test_it_is_small() -> None:
    size = len(pack_executor().command.encode())
    assert size <= USUAL_BYTES <= MOST_BYTES, (
        f"the executor's command has {size:,} bytes, more than the {USUAL_BYTES:,} that it may have for now: "
        f"see whether what was added to it could be shorter; if not, raise USUAL_BYTES. {MOST_BYTES:,} must do for ever"
    )


def test_it_is_the_same_each_time_and_named_by_what_it_is() -> None:
    assert pack_executor() == pack_executor()
    digests = {pack_executor(uri).digest for uri in ("", "/shared/executor", "hdfs:///executor")}
    assert len(digests) == 3
    assert all(digest.isalnum() and len(digest) == 12 for digest in digests)


@pytest.mark.parametrize("uri", ["", "/shared/executor"])
def test_no_python(uri: str, tmp_path: Path) -> None:
    done = run(pack_executor(uri), str(tmp_path))
    assert (done.returncode, done.stdout) == (NO_PYTHON, "")
    assert done.stderr == "stratos: no python3 on this node; 3.6 or later is needed\n"


def test_a_python_that_is_too_old() -> None:
    packed = pack_executor()
    newest = PackedExecutor(packed.command.replace("sys.version_info<(3,6)", "sys.version_info<(99,6)"), (), "")
    assert newest.command != packed.command
    done = run(newest, str(Path(sys.executable).parent))
    assert done.returncode == NO_PYTHON
    assert done.stderr == "stratos: python3 on this node is {}.{}; 3.6 or later is needed\n".format(*sys.version_info)


def test_no_agent() -> None:
    done = run(pack_executor(), str(Path(sys.executable).parent))
    assert (done.returncode, done.stderr) == (2, "this is for a Mesos agent to start\n")


def test_a_file_is_replaced_at_once(tmp_path: Path) -> None:
    file = tmp_path / "executor"
    file.write_text("old")
    write_executor(file)
    assert file.read_text().startswith("#!")
    assert os.access(file, os.X_OK)
    assert list(tmp_path.iterdir()) == [file]
    assert shutil.which(str(file))
