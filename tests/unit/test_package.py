"""What the package promises to those who import it."""

from __future__ import annotations

import pydoc
import subprocess
import sys

import pytest

import stratos_jupyter

PROMISED = [
    "EngineError",
    "Job",
    "JobHalted",
    "JobNotFound",
    "JournalError",
    "Processor",
    "SpecError",
    "StorageError",
    "StratosError",
    "Stream",
    "StreamClosed",
    "UsageError",
    "load_ipython_extension",
    "unload_ipython_extension",
]


def test_the_public_names_are_these() -> None:
    assert stratos_jupyter.__all__ == PROMISED


@pytest.mark.parametrize("name", PROMISED)
def test_every_public_name_is_there_and_explains_itself(name: str) -> None:
    text = pydoc.plain(pydoc.render_doc(getattr(stratos_jupyter, name)))
    assert len(text.split()) > 12


@pytest.mark.parametrize("module", ["stratos_jupyter", "stratos_jupyter.processor"])
def test_importing_is_cheap(module: str) -> None:
    heavy = "{'pandas', 'numpy', 'IPython', 'ipywidgets', 'anywidget', 'traitlets', 'matplotlib'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_other_name_comes_by_accident() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Procesor'"):
        stratos_jupyter.Procesor  # noqa: B018  # the access is what is tested
