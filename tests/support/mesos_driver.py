"""A driver in a test, and what it has told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from stratos_jupyter.backend.engines.mesos.driver import MesosDriver
from stratos_jupyter.backend.engines.mesos.master_events import MasterEvent

H = TypeVar("H")

#: what ours will ask for
FRAMEWORK: dict[str, Any] = {
    "user": "root",
    "name": "driven",
    "roles": ["*"],
    "checkpoint": True,
    "failover_timeout": 3600.0,
    "capabilities": [
        {"type": name} for name in ("PARTITION_AWARE", "TASK_KILLING_STATE", "MULTI_ROLE", "RESERVATION_REFINEMENT")
    ],
}


class Clock:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


class Driven:
    """A driver and all that it has told, oldest first.

    Parameters
    ----------
    master : str
        Where the master is.
    framework_id : str
        Of a framework that is taken over.
    info : dict, optional
        More fields of FrameworkInfo.
    **options
        What `MesosDriver` takes.
    """

    def __init__(self, master: str, framework_id: str = "", info: dict[str, Any] | None = None, **options: Any) -> None:
        self.clock = Clock()
        self.happened: list[MasterEvent] = []
        self._seen = 0
        self._more = threading.Condition()
        framework = {**FRAMEWORK, **(info or {}), **({"id": {"value": framework_id}} if framework_id else {})}
        self.driver = MesosDriver(master, framework, self._tell, clock=self.clock, **options)

    def _tell(self, event: MasterEvent) -> None:
        with self._more:
            self.happened.append(event)
            self._more.notify_all()

    def __enter__(self) -> Self:
        self.driver.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None:
            error.add_note(f"it was told: {self.happened}")
        self.driver.stop().result(10)

    def wait(self, kind: type[H], where: Callable[[H], object] = lambda _: True, timeout_s: float = 20.0) -> H:
        """Return the next of this kind of which something holds; those before it are passed over."""
        ends_at = time.monotonic() + timeout_s
        with self._more:
            while True:
                while self._seen < len(self.happened):
                    event = self.happened[self._seen]
                    self._seen += 1
                    if isinstance(event, kind) and where(event):
                        return event
                left = ends_at - time.monotonic()
                assert left > 0, f"no {kind.__name__} within {timeout_s:g} s; told: {self.happened}"
                self._more.wait(left)

    def of(self, kind: type[H]) -> list[H]:
        """Return all of this kind."""
        return [event for event in self.happened if isinstance(event, kind)]


def threads() -> list[str]:
    """Return the names of the drivers' threads that there are."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("stratos-mesos")]
