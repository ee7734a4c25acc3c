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
from stratos_jupyter.backend.core.scheduler import Scheduler
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.backend.engines.base import Engine, Sink
from stratos_jupyter.backend.engines.local.orphans import RUN
from stratos_jupyter.backend.engines.registry import site_for
from stratos_jupyter.backend.engines.sites import EngineSettings
from stratos_jupyter.backend.run.inbox import Judge
from stratos_jupyter.backend.run.loop import RunLoop
from stratos_jupyter.backend.run.replay import replay
from stratos_jupyter.backend.run.thread import Driver
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.backend.spec.workload import CommandEnv, Workload
from stratos_jupyter.backend.store.journal import Journal
from stratos_jupyter.backend.store.rows import ResultRow
from tests.support.scripted_engine import scripted

SLOTS = 2
ENGINES = ["scripted", "local", pytest.param("mesos", marks=pytest.mark.mesos)]


class Run:
    """A run of a job on one engine."""

    def __init__(
        self, kind: str, folder: Path, slots: int = SLOTS, rules: Rules | None = None, master: str = ""
    ) -> None:
        self.kind = kind
        self.master = master or {"local": f"local[{slots}]"}.get(kind, kind)
        self.site = site_for(self.master, folder)
        self.failover = "0s" if self.site.sees_files_here else "60s"
        self.rules = rules
        self.folder = folder
        self.journal = Journal(folder)
        self.workload = Workload()
        self.views: list[JobView] = []
        self.promised: dict[int, list[str]] = {}
        #: what an executor must know besides, and what judges results, where a test has some
        self.fields: dict[str, object] = {}
        self.judge: Judge = lambda results, take: False
        self.driver = Driver()
        self.loop = self.driver.call(
            lambda: RunLoop(
                self.journal,
                self._engine,
                self.driver.loop,
                time.time,
                self.views.append,
                self.adopt,
                judge=lambda results, take: self.judge(results, take),
                rules=rules,
                job_id="contract",
                run=1,
                engine_name=kind,
            )
        )

    def _engine(self, sink: Sink) -> Engine:
        settings = EngineSettings(failover_timeout=self.failover, max_cpus=str(SLOTS))
        return self.site.make_engine(sink, self, JobSpec("contract", self.master), 1, self.journal, settings)

    # what an engine asks (Work)

    def command(self, task: int) -> str:
        return self.workload.command(task)

    def file(self, task: int) -> str | None:
        return None

    def makes(self, task: int) -> list[str]:
        return self.promised.get(task, [])

    def inputs(self, task: int) -> None:
        return None

    def copies(self, task: int) -> tuple[str, ...]:
        return ()

    def context_of(self, task: int) -> int:
        return self.workload.submission_of(task)

    def context(self, number: int) -> Mapping[str, object]:
        on_cluster = not self.site.sees_files_here
        return {
            "cwd": str(self.folder),
            "env": {**({} if on_cluster else os.environ), RUN: str(self.folder)},
            "inherit": on_cluster,
            "output_limit": 1 << 20 if on_cluster else 0,
            "output": "scheduler",
            "log_directory": "",
            "sandbox": str(self.folder / "sandbox"),
            "label": "contract-1",
            "timeout_s": None,
            "threads": "1",
            "grace_s": 0.2,
            "ok_exit": (self.rules or Rules()).ok_exit,
            **self.fields,
        }

    # what a test does

    def add(self, *commands: str) -> range:
        made = explicit_commands(commands)
        tasks = self.workload.add(made, CommandEnv(str(self.folder), {}))
        event = TasksAdded(self.loop.now(), len(tasks), Resources(1.0))
        self.driver.call(lambda: self.loop.add(event, tasks.start, made.to_record))
        return tasks

    def adopt(self, origin: tuple[int, int], texts: Sequence[str]) -> None:
        made = explicit_commands(texts)
        tasks = self.workload.add(made, CommandEnv(str(self.folder), {}), origin[0])
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

    def check_replay(self) -> None:
        """The journal, replayed, rebuilds an equal scheduler."""
        self.driver.call(self.loop._turn)  # what waits to be recorded
        for sought in (False, True):  # whether or not it will be found out where inputs lie
            again = Scheduler(self.loop.engine.policy, self.rules)
            replay(self.journal, again, Resources(1.0), 0, lambda call, sought=sought: sought)  # type: ignore[misc]
            again.check()
            assert again.story() == self.driver.call(self.loop.scheduler.story)

    def end(self) -> None:
        self.driver.call(self.loop.close).result(10.0)
        self.driver.close()
        self.journal.close()


@pytest.fixture(autouse=True, scope="module")
def scripted_engine() -> Iterator[None]:
    """The scripted engine is added as any other package adds one."""
    with scripted():
        yield


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> Iterator[Run]:
    """A run on each engine, under the rules that a test may be parametrised with."""
    master = request.getfixturevalue("mesos").master if engine == "mesos" else ""
    run = Run(engine, tmp_path, rules=getattr(request, "param", None), master=master)
    yield run
    run.check()
    run.check_replay()
    run.end()
