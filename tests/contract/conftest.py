"""One run on each engine, driven as the session drives it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from stratos_jupyter.backend.core.events import Closed, Event, TasksAdded
from stratos_jupyter.backend.core.resources import Resources
from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.backend.driver import Driver
from stratos_jupyter.backend.engines.base import Engine
from stratos_jupyter.backend.engines.local import LocalEngine
from stratos_jupyter.backend.engines.loop import JobLoop
from stratos_jupyter.backend.engines.machine import this_machine
from stratos_jupyter.backend.engines.scripted import Outcome, ScriptedEngine
from stratos_jupyter.backend.store.journal import Journal
from stratos_jupyter.backend.store.rows import ResultRow
from stratos_jupyter.commands import explicit_commands
from stratos_jupyter.workload import Surroundings, Workload

SLOTS = 2
ENGINES = ["scripted", "local"]


def shell_script(task: int, attempt: int, command: str) -> Outcome:
    """What a shell would do of the few commands that the contract uses."""
    word, _, rest = command.partition(" ")
    match word:
        case "case":
            return Outcome(code=3 if attempt == 1 else 0)
        case "echo":
            return Outcome(after_s=0.001, stdout=rest.encode() + b"\n")
        case "exit":
            return Outcome(code=int(rest))
        case "sleep":
            return Outcome(after_s=None)
        case "kill":
            return Outcome(reason=Reason.SIGNAL, code=9)
    raise AssertionError(f"the contract does not know {command!r}")


class Run:
    """A run of a job on one engine."""

    def __init__(self, kind: str, folder: Path, slots: int = SLOTS, rules: Rules | None = None) -> None:
        self.kind = kind
        self.machine = this_machine(slots, str(folder))
        self.folder = folder
        self.journal = Journal(folder)
        self.workload = Workload()
        self.views: list[JobView] = []
        self.driver = Driver()
        self.loop = self.driver.call(
            lambda: JobLoop(
                self.journal,
                self._engine,
                self.driver.loop,
                time.time,
                self.views.append,
                self.adopt,
                rules=rules,
                job_id="contract",
                run=1,
                engine_name=kind,
            )
        )

    def _engine(self, loop: JobLoop) -> Engine:
        if self.kind == "scripted":
            nodes = {"n1": Resources(1.0), "n2": Resources(SLOTS - 1.0)}
            return ScriptedEngine(loop, self, shell_script, nodes, self.driver.loop)
        return LocalEngine(loop, self, self.machine, self.folder)

    # what an engine asks (Work)

    def command(self, task: int) -> str:
        return self.workload.command(task)

    def file(self, task: int) -> str | None:
        return None

    def call_of(self, task: int) -> int:
        return self.workload.call_of(task)

    def context(self, call: int) -> Mapping[str, object]:
        return {
            "cwd": str(self.folder),
            "env": dict(os.environ),
            "output": "scheduler",
            "log_directory": "",
            "sandbox": str(self.folder / "sandbox"),
            "label": "contract-1",
            "timeout_s": None,
            "threads": "1",
            "grace_s": 0.2,
        }

    # what a test does

    def add(self, *commands: str) -> range:
        made = explicit_commands(commands)
        tasks = self.workload.add(made, Surroundings(str(self.folder), {}))
        event = TasksAdded(self.loop.now(), len(tasks), Resources(1.0))
        self.driver.call(lambda: self.loop.add(event, tasks.start, made.to_record))
        return tasks

    def adopt(self, origin: tuple[int, int], texts: Sequence[str]) -> None:
        made = explicit_commands(texts)
        tasks = self.workload.add(made, Surroundings(str(self.folder), {}), origin[0])
        event = TasksAdded(self.loop.now(), len(tasks), Resources(1.0))
        self.driver.post(lambda: self.loop.add(event, tasks.start, made.to_record, origin))

    def post(self, make: Callable[[float], Event]) -> None:
        self.driver.call(lambda: self.loop.post_now(make(self.loop.now())))

    def close_input(self) -> None:
        self.post(Closed)

    def wait(self, tasks: range | None = None) -> None:
        assert self.driver.call(lambda: self.loop.wait(tasks)).result(20.0)

    def state(self, task: int) -> TaskState:
        return self.driver.call(lambda: self.loop.scheduler.table.state(task))

    @property
    def view(self) -> JobView:
        return self.driver.call(self.loop.view)

    def rows(self) -> list[ResultRow]:
        return list(self.journal.rows())

    def check(self) -> None:
        self.driver.call(self.loop.scheduler.check)

    def end(self) -> None:
        self.driver.call(self.loop.close).result(10.0)
        self.driver.close()
        self.journal.close()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> Iterator[Run]:
    """A run on each engine, under the rules that a test may be parametrised with."""
    run = Run(engine, tmp_path, rules=getattr(request, "param", None))
    yield run
    run.check()
    run.end()
