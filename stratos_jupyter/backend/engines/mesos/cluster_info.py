"""What a master tells before a job is submitted: that it is there, and how large its agents are."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

from ....errors import EngineError
from ...core.resources import Resources
from .address import Master, ZooKeeper
from .offers import scalar

#: a master that has not answered by then is not there, in seconds
PATIENCE_S: Final = 4.5
#: of a ZooKeeper that names none
ZOOKEEPER_PORT: Final = 2181
_RANGES: Final = re.compile(r"\[\d+-\d+(?:, *\d+-\d+)*\]")


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """What is known of a cluster.

    Attributes
    ----------
    version : str
        Of Mesos; '' where the master is found by ZooKeeper.
    agents : sequence of (str, Resources, dict) or None
        Host, all that it has for the role that was asked for, and the attributes of each agent; None where the master
        does not tell this user.
    """

    version: str
    agents: Sequence[tuple[str, Resources, dict[str, str]]] | None


def ask_master(where: Master | ZooKeeper, patience_s: float = PATIENCE_S, *, role: str = "") -> ClusterInfo:
    """Ask a master what is to be known before a job of a role is submitted; without one, agents count as a whole.

    Raises
    ------
    EngineError
        It cannot be reached, or is no Mesos master.
    """
    if isinstance(where, ZooKeeper):
        _within(patience_s, lambda: _look_for(where, patience_s), f"no ZooKeeper of {where} can be reached")
        return ClusterInfo("", None)
    unreachable = f"cannot reach a Mesos master at {where}"
    try:
        version = _within(patience_s, lambda: _get(where, "/version", patience_s), unreachable)
    except _NotFound as error:
        raise EngineError(str(error)) from error
    if not isinstance(version, dict) or not isinstance(version.get("version"), str):
        raise EngineError(f"what answers at {where} is no Mesos master; is the port right? (5050 mostly)")
    try:
        found = _within(patience_s, lambda: _get(where, "/slaves", patience_s), unreachable)
        agents = [_agent(one, role) for one in found["slaves"] if one["active"]]
    except _NotFound as error:
        raise EngineError(f"what answers at {where} is a Mesos agent, and no master (5050 mostly)") from error
    except (EngineError, KeyError, TypeError, ValueError):
        agents = None  # this user may not see them, or there are too many for now
    return ClusterInfo(version["version"], agents)


class _NotFound(EngineError):
    """There is no such page."""


def _within(patience_s: float, ask: Callable[[], Any], failure: str) -> Any:
    """Return what `ask` returns; EngineError when it takes too long, which no timeout of a socket's can promise."""
    answer: Future[Any] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, name="stratos-mesos-info", daemon=True).start()
    try:
        return answer.result(patience_s)
    except TimeoutError:
        raise EngineError(f"{failure}: no answer within {patience_s:g} s; is the address right, and it up?") from None


def _get(where: Master, path: str, patience_s: float) -> Any:
    direct = build_opener(ProxyHandler({}))  # as the driver connects: what the environment names is for the web
    try:
        with direct.open(f"http://{where}{path}", timeout=patience_s) as answer:
            return json.load(answer)
    except HTTPError as error:
        error.close()  # it is the answer, too, and holds the connection
        kind = _NotFound if error.code == 404 else EngineError
        raise kind(
            f"what answers at {where} says {error.code} {error.reason} to {path}; is it a Mesos master? (5050 mostly)"
        ) from error
    except UnicodeError as error:
        raise EngineError(f"{where.host!r} is no host's name") from error
    except (HTTPException, ValueError) as error:
        raise EngineError(f"what answers at {where} is no Mesos master; is the port right? (5050 mostly)") from error
    except OSError as error:
        raise EngineError(
            f"cannot reach a Mesos master at {where}: {_why(error)}; is the address right, and the master up?"
        ) from error


def _look_for(where: ZooKeeper, patience_s: float) -> None:
    """Connect to one of its hosts."""
    whys = []
    for address in where.hosts.split(","):
        host, _, port = address.partition(":")
        try:
            socket.create_connection((host, int(port or ZOOKEEPER_PORT)), patience_s / 2).close()
        except (OSError, OverflowError, UnicodeError) as error:
            whys.append(f"{address}: {_why(error)}")
        else:
            return
    raise EngineError(f"no ZooKeeper of {where} can be reached ({'; '.join(whys)}); are the addresses right?")


def _why(error: Exception) -> str:
    why = error.reason if isinstance(error, URLError) else error
    return why.strerror if isinstance(why, OSError) and why.strerror else str(why) or type(why).__name__


def _agent(found: dict[str, Any], role: str) -> tuple[str, Resources, dict[str, str]]:
    parts = [found["resources"]]
    if role and "unreserved_resources" in found:
        parts = [found["unreserved_resources"]]
        for owner, reserved in found.get("reserved_resources", {}).items():
            if f"{role}/".startswith(f"{owner}/"):  # what is reserved for a role is also for those below it
                parts.append(reserved)
    names = ("cpus", "mem", "disk", "gpus")
    resources = Resources(*(sum(float(part.get(name, 0.0)) for part in parts) for name in names))
    return found["hostname"], resources, {name: _told(value) for name, value in found.get("attributes", {}).items()}


def _told(value: object) -> str:
    """Return an attribute as offers have it."""
    if isinstance(value, float | int):
        return scalar(value)
    text = str(value)
    return text[1:-1].replace(" ", "") if _RANGES.fullmatch(text) else text
