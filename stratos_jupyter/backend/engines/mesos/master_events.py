"""What the driver tells of: events of Mesos's v1 API as plain dictionaries, and what became of our own calls."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The master takes our calls. Offers, and what was on its way before, are void."""

    framework_id: str
    #: MasterInfo, as far as the master tells it
    master: Json
    heartbeat_s: float


@dataclass(frozen=True, slots=True)
class Offers:
    """Offers of agents, each as v1 JSON."""

    offers: Sequence[Json] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rescinded:
    """An offer is no longer valid."""

    offer_id: str


@dataclass(frozen=True, slots=True)
class InverseOffers:
    """An operator would like to have agents back."""

    offers: Sequence[Json]


@dataclass(frozen=True, slots=True)
class Status:
    """A TaskStatus; to be acknowledged when it has a uuid."""

    status: Json = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """What an executor sends, as unreliable as Mesos makes it."""

    agent_id: str
    executor_id: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AgentFailed:
    """An agent is gone; its tasks have statuses of their own."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class ExecutorFailed:
    """An executor has ended; its tasks have statuses of their own."""

    agent_id: str
    executor_id: str
    #: as ``wait`` has it, where Mesos knows it
    status: int | None


@dataclass(frozen=True, slots=True)
class FrameworkRefused:
    """The master has ended this framework and will not have its id again; the driver has ended.

    To continue, make another driver, for a framework without an id.
    """

    why: str
    #: how long this driver had not been connected, None when it never was: if that is less than the failover timeout,
    #: an operator has ended the framework, and may not want it back
    away_s: float | None


@dataclass(frozen=True, slots=True)
class Unauthorised:
    """The master does not accept our principal, or what we ask for. The driver keeps trying, rarely."""

    why: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """There is no connection; told once, until the next `Subscribed`. The driver keeps trying."""

    why: str


@dataclass(frozen=True, slots=True)
class MasterError:
    """What the master complains of in an ERROR event. When it also ends the connection, `Ended` follows."""

    text: str


@dataclass(frozen=True, slots=True)
class CallLost:
    """A call that has no answer, because there is no connection or it was lost."""

    #: its type, ACCEPT for example
    call: str
    #: the whole call as v1 JSON; empty before a framework has its first id
    what: Mapping[str, Any] = field(repr=False)
    why: str
    #: the master may have got it nevertheless
    perhaps_arrived: bool


@dataclass(frozen=True, slots=True)
class CallRefused:
    """A call that the master answers with an error."""

    call: str
    what: Mapping[str, Any] = field(repr=False)
    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The driver has ended for good, without having been asked to."""

    why: str


MasterEvent: TypeAlias = (
    Subscribed
    | Offers
    | Rescinded
    | InverseOffers
    | Status
    | Message
    | AgentFailed
    | ExecutorFailed
    | FrameworkRefused
    | Unauthorised
    | Disconnected
    | MasterError
    | CallLost
    | CallRefused
    | Ended
)


def read_event(kind: str, info: Mapping[str, Any]) -> MasterEvent | None:
    """Return what has happened; None for an event that says no more than that the master lives.

    Parameters
    ----------
    kind : str
        Its type: OFFERS, UPDATE and so on. One that we don't know is none of our business.
    info : mapping
        What it says, as v1 JSON.
    """
    reader = _READERS.get(kind)
    return None if reader is None else reader(info)


def _message(info: Mapping[str, Any]) -> MasterEvent:
    data = binascii.a2b_base64(info.get("data", ""))
    return Message(info["agent_id"]["value"], info["executor_id"]["value"], data)


def _failure(info: Mapping[str, Any]) -> MasterEvent:
    agent_id = info.get("agent_id", {}).get("value", "")
    if "executor_id" in info:
        return ExecutorFailed(agent_id, info["executor_id"]["value"], info.get("status"))
    return AgentFailed(agent_id)


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], MasterEvent]]] = {
    "UPDATE": lambda info: Status(info["status"]),
    "OFFERS": lambda info: Offers(info.get("offers", [])),
    "RESCIND": lambda info: Rescinded(info["offer_id"]["value"]),
    "INVERSE_OFFERS": lambda info: InverseOffers(info.get("inverse_offers", [])),
    "MESSAGE": _message,
    "FAILURE": _failure,
}
