"""What is said to a Mesos master and to executors, and what they say, as plain values. PURE.

The messages are those of Mesos' v1 API (``include/mesos/v1/mesos.proto``). Commands and environment travel in
``TaskInfo.data`` and nowhere else: names, labels and ``CommandInfo`` are shown to all by the master's pages.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from ...core.decisions import Launch
from ..executor_records import limits_of

#: of what travels between kernel and executor
VERSION: Final = 1
#: what is shorter travels as it is
SQUEEZED_ABOVE: Final = 512
#: a name in the master's pages is not longer
NAME_MOST: Final = 80

_CAPABILITIES: Final = ("PARTITION_AWARE", "TASK_KILLING_STATE", "MULTI_ROLE", "RESERVATION_REFINEMENT")

#: the batch has not ended
ALIVE: Final = frozenset({"TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"})
UNREACHABLE: Final = "TASK_UNREACHABLE"


class JobIdentity(NamedTuple):
    """What a job is called on the cluster.

    Attributes
    ----------
    job_id : str
        The job's name.
    run : int
        Which run of it.
    user : str
        The user that commands run as.
    role : str
        The role that resources are asked for.
    """

    job_id: str
    run: int
    user: str
    role: str


def framework_info(
    identity: JobIdentity,
    framework_id: str,
    failover_s: float,
    *,
    principal: str = "",
    hostname: str = "",
    gpus: bool = False,
) -> dict[str, Any]:
    """Return the framework of a job; with `framework_id`, the one that is to be gone on with."""
    capabilities = [*_CAPABILITIES, *(["GPU_RESOURCES"] if gpus else [])]
    info: dict[str, Any] = {
        "user": identity.user,
        "name": f"stratos: {plain(identity.job_id)}",
        "failover_timeout": failover_s,
        "checkpoint": True,
        "roles": [identity.role],
        "capabilities": [{"type": name} for name in capabilities],
        "labels": {
            "labels": [{"key": "stratos.job", "value": plain(identity.job_id)}, _label("stratos.run", identity.run)]
        },
    }
    if framework_id:
        info["id"] = {"value": framework_id}
    if principal:
        info["principal"] = principal
    if hostname:
        info["hostname"] = hostname
    return info


def executor_info(
    identity: JobIdentity, framework_id: str, command: Mapping[str, Any], resources: Sequence[Any]
) -> dict[str, Any]:
    """Return the executor of a job, which is the same for all nodes where its resources are of the same kind.

    A master refuses an executor that is called like another one and differs from it, so its name says all that it is:
    an upgraded version is started beside the old one.

    Parameters
    ----------
    identity, framework_id
        The job and its framework.
    command : mapping
        The ``CommandInfo`` that starts it.
    resources : sequence of mapping
        What it takes of an offer.
    """
    info = {
        "type": "CUSTOM",
        "framework_id": {"value": framework_id},
        "name": f"stratos: {plain(identity.job_id)}",
        "source": "stratos_jupyter",
        "command": dict(command),
        "resources": list(resources),
    }
    digest = hashlib.sha256(json.dumps(info, sort_keys=True).encode("ascii")).hexdigest()
    return {**info, "executor_id": {"value": f"stratos-{digest[:16]}"}}


def task_info(
    identity: JobIdentity,
    launch: Launch,
    agent_id: str,
    executor: Mapping[str, Any],
    resources: Sequence[Any],
    data: bytes,
) -> dict[str, Any]:
    """Return the Mesos task that carries a batch."""
    first, last = min(launch.tasks)[0], max(launch.tasks)[0]
    several = len(launch.tasks) > 1
    name = f"{plain(identity.job_id)}[{first}-{last}]" if several else f"{plain(identity.job_id)}[{first}]"
    tasks = f"{first}-{last}" if several else f"{first}"
    labels = [
        {"key": "stratos.job", "value": plain(identity.job_id)},
        _label("stratos.run", identity.run),
        _label("stratos.tasks", tasks),
        _label("stratos.commands", len(launch.tasks)),
    ]
    return {
        "name": name,
        "task_id": {"value": task_id(identity, launch.batch_id)},
        "agent_id": {"value": agent_id},
        "resources": list(resources),
        "executor": executor,
        "data": b64encode(data).decode("ascii"),
        "labels": {"labels": labels},
    }


def task_id(identity: JobIdentity, batch_id: int) -> str:
    """Return the name of a batch's Mesos task, which is unique in its framework."""
    return f"run{identity.run}-{batch_id}"


def batch_of(name: str) -> int | None:
    """Return which batch a Mesos task carries; None when it is none of ours."""
    head, _, number = name.rpartition("-")
    return int(number) if head.startswith("run") and number.isdecimal() else None


def batch_data(
    context: Mapping[str, object],
    launch: Launch,
    rows: Sequence[Sequence[object]],
    named: Mapping[str, Mapping[int, Sequence[str]]] | None = None,
) -> bytes:
    """Return what an executor needs to know of a batch; `named` are files by row, as `limits_of` says."""
    limits = {**limits_of(launch.demand), **{kind: rows for kind, rows in (named or {}).items() if rows}}
    batch = [launch.batch_id, launch.expected_s, rows, limits or None]
    return _squeeze({"version": VERSION, "context": context, "batch": batch})


def accept(tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the operations that launch tasks."""
    return [{"type": "LAUNCH", "launch": {"task_infos": list(tasks)}}]


def pack_messages(*several: Sequence[object]) -> bytes:
    """Return messages to an executor as they travel."""
    return json.dumps(several, separators=(",", ":")).encode("ascii")


def read_messages(data: bytes) -> list[list[Any]]:
    """Return the messages of an executor; what is none is left out."""
    try:
        found = json.loads(data)
    except ValueError:
        return []
    return [one for one in found if isinstance(one, list) and one] if isinstance(found, list) else []


class Update(NamedTuple):
    """What a status tells of a batch.

    Attributes
    ----------
    task_id, agent_id, executor_id : str
        Of the Mesos task; '' where it isn't said.
    state, reason, source, message : str
        As Mesos has them.
    uuid : str
        What it is acknowledged by; '' when it must not be.
    started : list of list
        Task, attempt, process id and moment of what has begun.
    ended : list of list
        Records of what has ended.
    """

    task_id: str
    agent_id: str
    executor_id: str
    state: str
    reason: str
    source: str
    message: str
    uuid: str
    started: list[list[Any]]
    ended: list[list[Any]]


def read_status(status: Mapping[str, Any]) -> Update:
    """Read a ``TaskStatus``. Data that is not an executor's of ours counts as none."""
    started: list[list[Any]] = []
    ended: list[list[Any]] = []
    if status.get("data") and "uuid" in status:
        try:
            told = _expand(b64decode(status["data"]))
            if told["version"] == VERSION:
                started, ended = told.get("started", []), told.get("ended", [])
        except (KeyError, TypeError, ValueError, zlib.error):
            pass
    return Update(
        status["task_id"]["value"],
        status.get("agent_id", {}).get("value", ""),
        status.get("executor_id", {}).get("value", ""),
        status["state"],
        status.get("reason", ""),
        status.get("source", ""),
        status.get("message", ""),
        status.get("uuid", ""),
        started,
        ended,
    )


def page(master: Mapping[str, Any], framework_id: str) -> str:
    """Return the address of a framework's page, of what a master says of itself."""
    address = master.get("address", {})
    host = master.get("hostname") or address.get("hostname") or address.get("ip", "")
    port = master.get("port") or address.get("port")
    return f"http://{host}:{port}/#/frameworks/{quote(framework_id)}" if host and port else ""


def plain(text: str) -> str:
    """Return a name as the master's pages can show it: printable ASCII, short."""
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)[:NAME_MOST]


def _label(key: str, value: object) -> dict[str, str]:
    return {"key": key, "value": str(value)}


def _squeeze(value: object) -> bytes:
    data = json.dumps(value, separators=(",", ":")).encode("ascii")
    return data if len(data) <= SQUEEZED_ABOVE else zlib.compress(data, 1)


def _expand(data: bytes) -> Any:
    return json.loads(data if data[:1] == b"{" else zlib.decompress(data))
