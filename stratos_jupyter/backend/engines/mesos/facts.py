"""What a master tells before a job is submitted: that it is there, and how large its agents are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from ....errors import EngineError
from ...core.resources import Resources
from .address import Master, ZooKeeper

#: a master that has not answered by then is not there, in seconds
PATIENCE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a cluster.

    Attributes
    ----------
    version : str
        Of Mesos; '' where the master is found by ZooKeeper.
    agents : sequence of (str, Resources, dict) or None
        Host, all that it has, and the attributes of each agent; None where the master does not tell everybody.
    """

    version: str
    agents: Sequence[tuple[str, Resources, dict[str, str]]] | None


def ask_master(where: Master | ZooKeeper, patience_s: float = PATIENCE_S) -> Facts:
    """Ask a master what is to be known before a job is submitted.

    Raises
    ------
    EngineError
        It cannot be reached, or is no Mesos master.
    """
    if isinstance(where, ZooKeeper):
        return Facts("", None)
    version = _get(where, "/version", patience_s)
    if not isinstance(version, dict) or "version" not in version:
        raise EngineError(f"what answers at {where} is no Mesos master; is the port right? (5050 mostly)")
    try:
        found = _get(where, "/slaves", patience_s).get("slaves", [])
    except EngineError as error:
        if "404" in str(error):
            raise EngineError(f"what answers at {where} is a Mesos agent, and no master (5050 mostly)") from error
        found = None  # not everybody may see them
    return Facts(str(version["version"]), None if found is None else [_agent(one) for one in found if one["active"]])


def _get(where: Master, path: str, patience_s: float) -> Any:
    try:
        with urlopen(f"http://{where}{path}", timeout=patience_s) as answer:
            return json.load(answer)
    except HTTPError as error:
        raise EngineError(f"the Mesos master at {where} answers {path} with {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        why = error.reason if isinstance(error, URLError) else error
        text = why.strerror if isinstance(why, OSError) and why.strerror else str(why) or type(why).__name__
        raise EngineError(
            f"cannot reach a Mesos master at {where}: {text}; is the address right, and the master up?"
        ) from error


def _agent(found: dict[str, Any]) -> tuple[str, Resources, dict[str, str]]:
    has = found["resources"]
    resources = Resources(*(float(has.get(name, 0.0)) for name in ("cpus", "mem", "disk", "gpus")))
    told = found.get("attributes", {}).items()
    return (
        found["hostname"],
        resources,
        {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in told},
    )
