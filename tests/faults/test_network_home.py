"""A home on a network: no memory shared through files, and locks that may not work there."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from stratos_jupyter.backend.store.broken_journal import open_whole
from stratos_jupyter.backend.store.journal import FILE_NAME
from stratos_jupyter.errors import JournalError
from tests.conftest import require
from tests.faults.conftest import Start
from tests.faults.kernels import ATTACH, SUBMIT, is_up, start
from tests.support.waiting import until

#: as the system answers where the server of a network file system has no lock daemon
NO_LOCKS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int answer(const char *name, int fd, int verb, void *arg) {
    char link[64], path[4096];
    const char *home = getenv("NO_LOCKS_IN");
    int (*next)(int, int, ...) = dlsym(RTLD_NEXT, name);
    ssize_t size;
    if (home && (verb == F_SETLK || verb == F_SETLKW || verb == F_OFD_SETLK || verb == F_OFD_SETLKW)) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        size = readlink(link, path, sizeof path - 1);
        if (size > 0 && (path[size] = 0, !strncmp(path, home, strlen(home)))) {
            errno = ENOLCK;
            return -1;
        }
    }
    return next(fd, verb, arg);
}
#define WRAP(name) int name(int fd, int verb, ...) { \
    va_list list; void *arg; va_start(list, verb); arg = va_arg(list, void *); va_end(list); \
    return answer(#name, fd, verb, arg); }
WRAP(fcntl)
WRAP(fcntl64)
"""


@pytest.fixture(scope="module")
def no_locks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        require("compiler", "no C compiler")
    folder = tmp_path_factory.mktemp("locks")
    (folder / "locks.c").write_text(NO_LOCKS)
    library = folder / "locks.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "locks.c", "-ldl"], check=True)
    return library


def test_a_job_runs_where_files_cannot_be_locked(
    no_locks: Path, run_kernel: Start, state_home: Path, tmp_path: Path
) -> None:
    env = {"LD_PRELOAD": str(no_locks), "NO_LOCKS_IN": str(state_home)}
    texts = [f"echo {task}; until test -e go; do sleep 0.02; done" for task in range(4)]
    kernel = run_kernel(SUBMIT.format(cwd=str(tmp_path), texts=texts) + "\njob.wait()\n", env)
    is_up(kernel)
    until(lambda: len(list((state_home / "jobs").rglob("executor.json"))) == 1)
    kernel.kill()
    assert "are not locked" in kernel.communicate()[1], "its log says so"
    (tmp_path / "go").touch()
    attached = run_kernel(ATTACH.format(wait_s=30), env)
    out, err = attached.communicate(timeout=60)
    assert attached.returncode == 0, err
    assert sorted(row[4] for row in json.loads(out)["rows"]) == ["0\n", "1\n", "2\n", "3\n"]
    assert not list(state_home.rglob("*-shm"))


def test_no_shared_memory_is_ever_made(run_kernel: Start, state_home: Path, tmp_path: Path) -> None:
    more = "\njob.wait()\nprint('done', flush=True)\nimport time\ntime.sleep(60)"
    kernel = run_kernel(SUBMIT.format(cwd=str(tmp_path), texts=["echo x"] * 20) + more)
    is_up(kernel)
    is_up(kernel, "done")
    there = {path.name for path in (state_home / "jobs" / "demo" / "1").iterdir()}
    assert f"{FILE_NAME}-wal" in there, "it is open"
    assert f"{FILE_NAME}-shm" not in there
    # What shared memory there is, it has in itself.
    maps = Path(f"/proc/{kernel.pid}/maps")
    if maps.exists():
        assert str(state_home) not in maps.read_text()


def test_a_journal_that_is_open_elsewhere_is_refused_and_stays(tmp_path: Path) -> None:
    """Locks that are held are told apart from locks that do not work."""
    code = (
        "import time; from pathlib import Path; from stratos_jupyter.backend.store.journal import Journal\n"
        f"journal = Journal(Path({str(tmp_path)!r}))\nprint('up', flush=True)\ntime.sleep(60)"
    )
    other = start(code, tmp_path)
    try:
        is_up(other)
        with pytest.raises(JournalError, match="locked"):
            open_whole(tmp_path)
        assert (tmp_path / FILE_NAME).exists()
    finally:
        other.kill()
        other.communicate()
