"""A notebook without a kernel: IPython's shell with the magics loaded, in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from stratos_jupyter import session as sessions
from stratos_jupyter.settings import Stratos

Run = Callable[[str], Any]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shell's working directory; a file of tests that needs more in it has a fixture of this name."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shell(work: Path) -> Iterator[InteractiveShell]:
    """The shell, with a session of its own."""
    sessions.close()
    Stratos.clear_instance()
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    made.run_line_magic("load_ext", "stratos_jupyter")
    yield made
    sessions.close()
    made.run_line_magic("unload_ext", "stratos_jupyter")
    InteractiveShell.clear_instance()
    Stratos.clear_instance()


@pytest.fixture
def run(shell: InteractiveShell) -> Run:
    """Run a cell; what it raises is raised."""

    def run_cell(cell: str) -> Any:
        done = shell.run_cell(cell, store_history=False)
        done.raise_error()
        return done.result

    return run_cell
