"""The leading master, by ZooKeeper: pymesos's detector, and what it leaves undone."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Final

from .address import ZooKeeper

#: how long ZooKeeper may take to answer
ANSWER_S: Final = 10.0
#: how soon a stop is noticed meanwhile
LOOK_S: Final = 0.1
#: how long until it is asked again
AGAIN_S: Final = 1.0

_log: Final = logging.getLogger(__name__)


class LeaderFinder:
    """Asks ZooKeeper for the leading master, in its own thread; pymesos would block the thread that starts a driver.

    Parameters
    ----------
    goal : ZooKeeper
        Where to ask.
    driver : object
        A `Subscription` with pymesos's scheduler driver behind it: takes what ZooKeeper says.
    """

    def __init__(self, goal: ZooKeeper, driver: Any) -> None:
        self._goal = goal
        self._driver = driver
        self._over = threading.Event()
        self.thread = threading.Thread(target=self._run, name="stratos-mesos-zookeeper", daemon=True)

    def stop(self) -> None:
        """End soon."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._ask()
            except Exception as error:
                _log.debug("ZooKeeper", exc_info=True)
                self._driver.no_leader(f"cannot reach {self._goal}: {error}")
            self._over.wait(AGAIN_S)

    def _ask(self) -> None:
        from pymesos.detector import MasterDetector

        if not (log := logging.getLogger("kazoo")).handlers:
            log.addHandler(logging.NullHandler())  # else it prints into the notebook
        detector = MasterDetector(self._goal.hosts + self._goal.path, self._driver)
        try:
            connected, gives_up_at = detector.zk.start_async(), time.monotonic() + ANSWER_S
            while not connected.wait(LOOK_S):
                if self._over.is_set():
                    return
                if time.monotonic() > gives_up_at:
                    raise TimeoutError("it does not answer")
            while not detector.zk.exists("/"):  # the detector would not notice when it appears
                self._driver.no_leader(f"no master has been at {self._goal} yet")
                if self._over.wait(AGAIN_S):
                    return
            detector.start()
            self._over.wait()  # it connects again by itself
        finally:
            detector.stop()
            detector.zk.close()
