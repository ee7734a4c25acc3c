"""The keys of a context are declared once: an executor reads these and no other, and sites send no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.engines.executor_context import ExecutorContext
from stratos_jupyter.backend.engines.registry import site_for
from stratos_jupyter.backend.executor.transport.launch_context import LaunchContext
from stratos_jupyter.backend.executor.work import Context
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.backend.spec.workload import CommandEnv

KEYS = set(ExecutorContext.__annotations__)
SPEC = JobSpec(
    fetch=("me", "http://n:9870"),
    fail_on=(("stderr", "ERROR"),),
    monitor="watch it",
    relauncher="again",
    timeout_s=5.0,
    linger_s=1.0,
    nice=7,
    rules=Rules(ok_exit=((0, 1),)),
)


class Read(dict[str, Any]):
    """A context that remembers what was read of it."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.keys_read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.keys_read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.keys_read.add(key)
        return super().get(key, default)


def sent(master: str, folder: Path) -> dict[str, Any]:
    return dict(site_for(master, folder).context(SPEC, 1, folder, CommandEnv("/tmp", {"A": "b"})))


@pytest.mark.parametrize("master", ["local", "m1:5050"])
def test_an_executor_reads_each_declared_key_and_no_other(master: str, tmp_path: Path) -> None:
    given = Read(sent(master, tmp_path))
    complete = Read(LaunchContext({}).complete(given))
    Context(complete)
    assert given.keys_read | complete.keys_read == KEYS


def test_each_declared_key_is_sent_by_a_site_and_no_other(tmp_path: Path) -> None:
    assert set(sent("local", tmp_path)) | set(sent("m1:5050", tmp_path)) == KEYS


def test_each_declared_key_is_described() -> None:
    assert ExecutorContext.__doc__
    listed = [line.strip() for line in ExecutorContext.__doc__.splitlines() if " : " in line]
    assert {name for line in listed for name in line.split(" : ")[0].split(", ")} == KEYS
