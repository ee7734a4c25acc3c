"""Another user of the same machine reads nothing of a job and drives none of it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter.backend.engines.local.executor_link import socket_folder
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.errors import EngineError
from stratos_jupyter.job import Job
from stratos_jupyter.session import Session
from tests.faults.conftest import needs_root
from tests.support.waiting import until

NOBODY = 65534
#: tries what it is told to, and says what came of it
THIEF = """
import json, os, socket, sys
tries, sock, folder = json.loads(sys.argv[1])
said = {}
def attempt(name, function):
    try:
        said[name] = repr(function())
    except OSError as error:
        said[name] = type(error).__name__
for path in tries:
    attempt("list " + path if os.path.isdir(path) else "read " + path,
            (lambda: os.listdir(path)) if os.path.isdir(path) else (lambda: open(path, "rb").read(1)))
def connect():
    one = socket.socket(socket.AF_UNIX)
    one.connect(sock)
    one.sendall(b'\\0\\0\\0\\x0d[["hello",1]]')
    one.settimeout(5)
    return one.recv(10)
attempt("connect", connect)
attempt("remove socket", lambda: os.unlink(sock))
attempt("replace folder", lambda: os.rename(folder, folder + ".old"))
attempt("remove folder", lambda: os.rmdir(folder))
attempt("replace base", lambda: os.rename(os.path.dirname(folder), os.path.dirname(folder) + ".old"))
print(json.dumps(said))
"""


@pytest.fixture
def open_tmp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that everybody may enter and write to, as /tmp is, for state and sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chmod(name, 0o1777)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


@pytest.fixture
def job(open_tmp: Path, tmp_path: Path) -> Iterator[Job]:
    """A job that runs, with a file of every kind."""
    session = Session(open_tmp / "state")
    texts = ["head -c 200000 /dev/zero", "echo x", "until test -e go; do sleep 0.02; done"]
    spec = JobSpec("private", master="local[1]", cwd=str(tmp_path), disk_mib=1)
    job = session.submit(spec, explicit_commands(texts))
    until(lambda: job.view.done == 2 and job.view.counts[2])
    until(lambda: (job.folder / "progress.json").exists())
    yield job
    session.close()


def as_nobody(code: str, *words: str) -> str:
    # What is needed of Python is imported before: its folder need not be open to everybody.
    become = f"import os; os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    first = "import json, os, socket, sys\n"
    done = subprocess.run([sys.executable, "-c", first + become + code, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_file_and_folder_is_the_users_alone(job: Job, open_tmp: Path) -> None:
    seen = set()
    for folder, _, files in os.walk(open_tmp):
        if folder != str(open_tmp):
            assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700, folder
        for name in files:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            # A socket's own mode is not asked: its folder's is 0700.
            assert stat.S_IMODE(mode) == 0o600 or stat.S_ISSOCK(mode), path
            seen.add(name)
    wanted = {"journal.sqlite", "journal.sqlite-wal", "lease.json", "progress.json", "executor.json", "spool", "log"}
    assert wanted | {"sock", "0.1.stdout"} <= seen


def test_another_user_reads_nothing_and_drives_nothing(job: Job, open_tmp: Path) -> None:
    needs_root()
    (info,) = job.folder.glob("executors/*/executor.json")
    folder = json.loads(info.read_text())["folder"]
    sock = os.path.join(folder, "sock")
    tries = [str(path) for path in (open_tmp / "state", *(open_tmp / "state").rglob("*"))]
    said = json.loads(as_nobody(THIEF, json.dumps([tries, sock, folder])))
    assert len(said) > 15
    assert set(said.values()) <= {"PermissionError"}, said
    assert job.view.counts[2] == 1
    # Even one who gets to the socket is not talked to.
    for path in (open_tmp, Path(folder).parent, Path(folder)):
        path.chmod(0o777)
    Path(sock).chmod(0o777)
    only_connect = THIEF.split('attempt("remove socket"')[0] + "print(json.dumps(said))"
    said = json.loads(as_nobody(only_connect, json.dumps([[], sock, folder])))
    assert said["connect"] in ("b''", "ConnectionResetError", "BrokenPipeError"), said
    assert job.kill([2]) == 1
    assert job.wait(20), "the kernel's own connection is as it was"


def test_a_folder_for_sockets_that_another_made_is_refused(
    open_tmp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_root()
    base = open_tmp / f"stratos-{os.getuid()}"
    as_nobody(f"os.mkdir({str(base)!r}, 0o700)")
    with pytest.raises(EngineError, match="is not a folder of yours alone; remove it, or set TMPDIR"):
        socket_folder()
    session = Session(tmp_path / "state")
    try:
        job = session.submit(JobSpec("a", cwd=str(tmp_path)), explicit_commands(["true"]))
        (notice,) = until(lambda: job.view.notices)
        assert "is not a folder of yours alone" in notice
        assert not job.view.done
        base.rmdir()
        assert job.wait(30), "it goes on once that is mended"
        until(lambda: not job.view.notices)
    finally:
        session.close()


@pytest.mark.parametrize("how", ["link", "file", "open"])
def test_a_folder_for_sockets_that_is_none_is_refused(how: str, open_tmp: Path, tmp_path: Path) -> None:
    base = open_tmp / f"stratos-{os.getuid()}"
    if how == "link":
        base.symlink_to(tmp_path)
    elif how == "file":
        base.touch(0o700)
    else:
        base.mkdir()
        base.chmod(0o750)
    with pytest.raises(EngineError, match="is not a folder of yours alone"):
        socket_folder()
