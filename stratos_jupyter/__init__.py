"""Any program, over thousands of files or parameters, on a cluster, from one notebook cell.

>>> %load_ext stratos_jupyter
>>> %%stratos glob data/*.dat --into df
... program %f%

`Processor` gives the same from Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__
from .errors import (
    EngineError,
    JobHalted,
    JobNotFound,
    JournalError,
    SpecError,
    StorageError,
    StratosError,
    StreamClosed,
    UsageError,
)

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .job import Job
    from .processor import Processor
    from .stream import Stream

__all__ = [
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

#: loaded when first asked for, so that importing the package stays cheap
_LAZY = {"Job": "job", "Processor": "processor", "Stream": "stream"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics; ``%load_ext stratos_jupyter`` calls this."""
    from .magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics away again; ``%unload_ext stratos_jupyter`` calls this."""
    from .magics import unload

    unload(shell)
