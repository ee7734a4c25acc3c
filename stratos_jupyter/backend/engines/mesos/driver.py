"""The client of a Mesos master, for one framework.

This module imports pymesos when a driver is started; beside it only `leader.py` does. Importing pymesos replaces the
handler of SIGINT, which only the main thread may do, and prints its log: neither happens here.
"""

from __future__ import annotations

import base64
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final

from ....errors import EngineError
from ...forks import Inherited
from .address import ZooKeeper, parse_master
from .leader import LeaderFinder
from .master_events import CallLost, MasterEvent
from .subscription import Subscription

#: what `Subscription` is written against
PYMESOS: Final = "0.3.15"
INSTALL: Final = "in the folder of stratos_jupyter, run: pip install ./packaging/http-parser '.[mesos]'"

_importing: Final = threading.Lock()


class MesosDriver:
    """The client of the master for one framework.

    No method waits for the network: calls are made in their order by a thread. A call for which there is no connection
    is told as `CallLost`, one that the master answers with an error as `CallRefused`. While the driver lives it
    connects again and again, with the same framework id.

    Parameters
    ----------
    master : str
        ``host:port``, ``mesos://host:port`` or ``zk://host1:2181,host2:2181/path``.
    framework : mapping
        FrameworkInfo as v1 JSON, with "id" when it is to be taken over.
    tell : callable
        Takes each `MasterEvent`; called from the driver's threads, of which there are two, so it must not take long.
    principal, secret : str
        What this framework authenticates with, if the master asks; neither is ever shown.
    suppressed_roles : sequence of str
        Roles that get no offers from the beginning.
    clock : callable
        Returns seconds.
    """

    def __init__(
        self,
        master: str,
        framework: Mapping[str, Any],
        tell: Callable[[MasterEvent], None],
        *,
        principal: str = "",
        secret: str = "",
        suppressed_roles: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._master = master
        self._framework = {**framework, **({"principal": principal} if principal else {})}
        self._tell = tell
        self._authorization = _authorization(principal, secret)
        self._suppressed = suppressed_roles
        self._clock = clock
        self._made: Any = None
        self._finder: LeaderFinder | None = None

    def start(self) -> None:
        """Begin to connect.

        Raises
        ------
        EngineError
            pymesos is missing, `master` is no address, or `principal` is none.
        """
        assert self._made is None, "a driver is started once"
        if ":" in self._framework.get("principal", ""):
            raise EngineError("a principal has no colon in it")  # it is what separates it from the secret
        goal = parse_master(self._master)
        pymesos, parser = _pymesos()
        driver = type("Driver", (Subscription, pymesos.MesosSchedulerDriver), {})
        made = driver(None, self._framework, str(goal), implicit_acknowledgements=False, failover=True)
        made.prepare(goal, self._tell, parser, self._authorization, self._suppressed, self._clock)
        self._made = made
        made.begin()
        if isinstance(goal, ZooKeeper):
            self._finder = LeaderFinder(goal, made)
            self._finder.thread.start()

    @property
    def framework_id(self) -> str:
        """The framework's id, '' before the master has given it one."""
        value: str = self._framework.get("id", {}).get("value", "")
        return value

    def accept(self, offer_ids: Sequence[str], operations: Sequence[Mapping[str, Any]], refuse_s: float) -> None:
        """Accept offers of one agent and perform operations on them; what is left is refused for so long."""
        filters = {"refuse_seconds": refuse_s}
        self._call("ACCEPT", "acceptOffers", _values(offer_ids), list(operations), filters=filters)

    def decline(self, offer_ids: Sequence[str], refuse_s: float) -> None:
        """Decline offers, whose resources are refused for so long."""
        self._call("DECLINE", "declineOffer", _values(offer_ids), filters={"refuse_seconds": refuse_s})

    def decline_inverse(self, offer_ids: Sequence[str]) -> None:
        """Decline to give agents back."""
        self._call("DECLINE_INVERSE_OFFERS", "declineInverseOffer", _values(offer_ids))

    def revive(self, roles: Sequence[str] = ()) -> None:
        """Ask for offers again, for all roles unless some are named, whatever was refused before."""
        if self._made is not None:
            self._made.suppressed -= set(roles or self._roles())
        self._call("REVIVE", "reviveOffers", list(roles))

    def suppress(self, roles: Sequence[str] = ()) -> None:
        """Ask for no more offers, for all roles unless some are named; holds for later subscriptions too."""
        if self._made is not None:
            self._made.suppressed |= set(roles or self._roles())
        self._call("SUPPRESS", "suppressOffers", list(roles))

    def acknowledge(self, agent_id: str, task_id: str, uuid: str) -> None:
        """Acknowledge a status, whose uuid is given as it came."""
        status = {"agent_id": {"value": agent_id}, "task_id": {"value": task_id}, "uuid": uuid}
        self._call("ACKNOWLEDGE", "acknowledgeStatusUpdate", status)

    def message(self, agent_id: str, executor_id: str, data: bytes) -> None:
        """Send a message to an executor, as unreliably as Mesos does."""
        text = base64.b64encode(data).decode("ascii")
        self._call("MESSAGE", "sendFrameworkMessage", {"value": executor_id}, {"value": agent_id}, text)

    # What follows pymesos does not offer, or without what we need of it.

    def kill(self, task_id: str, agent_id: str = "", grace_s: float | None = None) -> None:
        """Kill a task, which has so long to end by itself."""
        kill: dict[str, Any] = {"task_id": {"value": task_id}, **_agent(agent_id)}
        if grace_s is not None:
            kill["kill_policy"] = {"grace_period": {"nanoseconds": round(grace_s * 1e9)}}
        self._send("KILL", {"kill": kill})

    def reconcile(self, tasks: Sequence[tuple[str, str]]) -> None:
        """Ask for the state of tasks, each with its agent or ''; of all that the master knows when none is named."""
        asked = [{"task_id": {"value": task_id}, **_agent(agent_id)} for task_id, agent_id in tasks]
        self._send("RECONCILE", {"reconcile": {"tasks": asked}})

    def shutdown_executor(self, executor_id: str, agent_id: str) -> None:
        """End an executor with all of its tasks."""
        self._send("SHUTDOWN", {"shutdown": {"executor_id": {"value": executor_id}, **_agent(agent_id)}})

    def teardown(self) -> Future[None]:
        """End the framework with all of its tasks and executors, once all calls before it have been made.

        Returns
        -------
        Future
            Done when the master has done so; EngineError when it doesn't, or there is no connection. Then the framework
            lives on, and the driver too.
        """
        done: Future[None] = Future()
        if self._made is not None:
            self._made.torn_down = done
        self._send("TEARDOWN", {}, done)
        return done

    def stop(self) -> Future[None]:
        """Close the connection; framework and tasks live on.

        Calls that were made before are brought first, for two seconds at most. Nothing is told any more afterwards but
        what became of them.

        Returns
        -------
        Future
            Done when the threads have ended.
        """
        if self._finder is not None:
            self._finder.stop()
        if self._made is None:
            done: Future[None] = Future()
            done.set_result(None)
            return done
        self._made.halt()
        ended: Future[None] = self._made.ended
        return ended

    def connections(self) -> list[Inherited]:
        """Return the connections of which a forked child must not keep a copy open."""
        found: list[Inherited] = [] if self._made is None else self._made.connections()
        return found

    def _roles(self) -> Sequence[str]:
        roles: Sequence[str] = self._framework.get("roles") or [self._framework.get("role", "*")]
        return roles

    def _call(self, kind: str, method: str, *args: Any, **options: Any) -> None:
        """Make a call by pymesos's method for it."""
        if self._nobody(kind, None):
            return
        getattr(self._made, method)(*args, **options)

    def _send(self, kind: str, fields: Mapping[str, Any], done: Future[None] | None = None) -> None:
        if self._nobody(kind, done):
            return
        self._made._send({"type": kind, "framework_id": {"value": self.framework_id}, **fields}, done)

    def _nobody(self, kind: str, done: Future[None] | None) -> bool:
        """Whether there is no framework yet that could make a call; then it is told as lost."""
        if self._made is not None and self.framework_id:
            return False
        why = "the master has given us no framework id yet" if self._made is not None else "the driver was not started"
        self._tell(CallLost(kind, {}, why, False))
        if done is not None:
            done.set_exception(EngineError(f"{kind}: {why}"))
        return True


def check_installed() -> None:
    """Raise EngineError, which says what to install, where pymesos cannot be imported."""
    _pymesos()


def _authorization(principal: str, secret: str) -> str:
    """Return the line of a request's head that authenticates this framework."""
    if not principal:
        return ""
    return "Authorization: Basic " + base64.b64encode(f"{principal}:{secret}".encode()).decode("ascii") + "\r\n"


def _agent(agent_id: str) -> dict[str, Any]:
    return {"agent_id": {"value": agent_id}} if agent_id else {}


def _values(ids: Sequence[str]) -> list[dict[str, str]]:
    return [{"value": one} for one in ids]


def _pymesos() -> tuple[Any, Callable[[], Any]]:
    """Import pymesos and leave the process as it was; return it, and what parses HTTP."""
    with _importing, _undisturbed():
        try:
            import pymesos
            from http_parser.http import HttpParser
        except Exception as error:  # an http-parser of another kind can fail in any way
            why = f"{type(error).__name__}: {error}"
            raise EngineError(
                f"the Mesos engine needs pymesos {PYMESOS}, which cannot be imported ({why}); {INSTALL}"
            ) from None
    if pymesos.__VERSION__ != PYMESOS:
        raise EngineError(f"the Mesos engine needs pymesos {PYMESOS}, and this is {pymesos.__VERSION__}; {INSTALL}")
    return pymesos, HttpParser


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep pymesos from replacing the handler of SIGINT, and from printing its log, when it is imported."""
    if "pymesos" in sys.modules:
        yield
        return
    true_signal, log = signal.signal, logging.getLogger("pymesos")
    handlers, level = list(log.handlers), log.level

    def others(number: Any, handler: Any) -> Any:
        if getattr(handler, "__module__", "") == "pymesos.process":
            return signal.getsignal(number)
        return true_signal(number, handler)

    signal.signal = others  # type: ignore[assignment]  # for the moment of the import
    try:
        yield
    finally:
        signal.signal = true_signal
        log.handlers[:] = [*handlers, logging.NullHandler()]
        log.setLevel(level)
