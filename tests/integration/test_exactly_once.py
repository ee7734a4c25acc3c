"""However files are edited, published, moved and run again: each version of each is processed once."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.inputs.filesystems import FileSystems
from stratos_jupyter.backend.spec.commands import glob_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.resume import resume
from stratos_jupyter.session import Session
from tests.support.waiting import until

#: Linux's clock for times of files
COARSE = 5
#: says which version it is given, and writes into it; fails once for each version while there is a file "fails"
IN_PLACE = """
version=$(head -n 1 "$STRATOS_FILE")
if [ -e fails ]; then exit 1; fi
echo "$version" >> log
echo processed >> "$STRATOS_FILE"
"""
#: works in a directory
IN_DIRECTORY = IN_PLACE.replace('"$STRATOS_FILE"', '"$STRATOS_FILE/sub/data"') + 'touch "$STRATOS_FILE/result"\n'


class Machine(RuleBasedStateMachine):
    """Files, or directories, and a cell over them."""

    directories = False

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(mkdtemp(prefix="stratos-once-"))
        self.work = self.home / "work"
        self.work.mkdir()
        self.session = Session(self.home / "state")
        self.versions = 0
        self.now: dict[str, str] = {}  # the version of each name
        self.due: Counter[str] = Counter()  # how often each version is to have been processed
        self.ran = False

    def path(self, name: str) -> Path:
        return self.work / name / "sub" / "data" if self.directories else self.work / name

    def version(self) -> str:
        # A file's time of change stands still for some milliseconds; people are slower than that.
        before = time.clock_gettime(COARSE)
        until(lambda: time.clock_gettime(COARSE) > before)
        self.versions += 1
        return f"{self.versions:08}"

    @initialize()
    def begin(self) -> None:
        self.edit("a")
        self.run(fails=False, plain=True, dies=False)

    @rule(name=st.sampled_from("ab"))
    def edit(self, name: str) -> None:
        path, version = self.path(name), self.version()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{version}\n")
        self.now[name] = version

    @rule(name=st.sampled_from("ab"), copy=st.booleans(), old=st.booleans())
    def publish(self, name: str, copy: bool, old: bool) -> None:
        """Bring a file from elsewhere, as mv and cp -p do; as large as any that was processed, and perhaps as old."""
        path, version, new = self.path(name), self.version(), self.work / ".new"
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(f"{version}\nprocessed\n")
        if old and path.exists():
            shutil.copystat(path, new)
        else:
            os.utime(new, (1_000_000_000, 1_000_000_000))
        # Other contents of equal size, with the very time of the work, written into the same file, are missed.
        (shutil.copy2 if copy and not old and not self.directories else os.replace)(new, path)
        self.now[name] = version

    @precondition(lambda self: self.now)
    @rule(data=st.data(), mode=st.sampled_from([0o600, 0o644, 0o640]))
    def allow(self, data: Any, mode: int) -> None:
        self.path(data.draw(st.sampled_from(sorted(self.now)))).chmod(mode)

    @precondition(lambda self: self.now)
    @rule(data=st.data())
    def move_away_and_back(self, data: Any) -> None:
        path, away = self.path(data.draw(st.sampled_from(sorted(self.now)))), self.work / ".away"
        os.replace(path, away)
        os.replace(away, path)

    @precondition(lambda self: self.now)
    @rule(data=st.data())
    def take_away(self, data: Any) -> None:
        name = data.draw(st.sampled_from(sorted(self.now)))
        shutil.rmtree(self.work / name) if self.directories else self.path(name).unlink()
        del self.now[name]

    @precondition(lambda self: self.now)
    @rule(fails=st.booleans(), plain=st.booleans(), dies=st.booleans())
    def run(self, fails: bool, plain: bool, dies: bool) -> None:
        (self.work / "fails").touch() if fails else (self.work / "fails").unlink(missing_ok=True)
        spec = JobSpec("demo", master="local[2]", cwd=str(self.work))
        body = IN_DIRECTORY if self.directories else IN_PLACE
        commands = glob_commands(body, FileSystems().expand("[abc]", str(self.work)))
        if plain and not self.ran:
            job = self.session.submit(spec, commands)
        else:
            found, _ = resume(self.session, spec, commands)
            assert found is not None
            job = found
        self.ran = True
        if dies:  # as a kernel does; the tasks go on, and it is found out afterwards how they ended
            self.session.let_go(job)
            job = self.session.attach("demo")
        assert job.wait(30)
        if not fails:
            for version in self.now.values():
                self.due[version] = 1
            assert {job.state(task) for task in range(len(job.commands)) if task not in job.superseded} == {
                TaskState.FINISHED
            }

    @invariant()
    def each_version_is_processed_once(self) -> None:
        log = self.work / "log"
        assert Counter(log.read_text().split() if log.exists() else []) == self.due

    def teardown(self) -> None:
        self.session.close()
        shutil.rmtree(self.home)


class Directories(Machine):
    directories = True


SETTINGS = settings(
    max_examples=15,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_files_that_are_worked_on_in_place() -> None:
    run_state_machine_as_test(Machine, settings=SETTINGS)


def test_directories_that_are_worked_in() -> None:
    run_state_machine_as_test(Directories, settings=SETTINGS)
