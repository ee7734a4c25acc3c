"""The driver thread: schedulers, engines and journals live here, and nowhere else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Driver:
    """One thread with an event loop. Other threads hand it functions."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        # A daemon: an interpreter that ends without close() must not hang on it.
        self._thread = threading.Thread(target=self.loop.run_forever, name="stratos-driver", daemon=True)
        self._thread.start()

    def post(self, function: Callable[[], object]) -> None:
        """Run a function on the driver thread, some time soon."""
        self.loop.call_soon_threadsafe(function)

    def call(self, function: Callable[[], T], timeout_s: float | None = 30.0) -> T:
        """Run a function on the driver thread and return what it returns, or raise what it raises."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        self.post(run)
        return future.result(timeout_s)

    def close(self) -> None:
        """End the thread."""
        self.post(self.loop.stop)
        self._thread.join(10.0)
        if not self._thread.is_alive():
            self.loop.close()
