"""What an event of the master means, where that takes nothing but the event."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from typing import Any, Final

from .master_events import AgentFailed, ExecutorFailed, Happening, InverseOffers, Message, Offers, Rescinded, Status


def read_event(kind: str, info: Mapping[str, Any]) -> Happening | None:
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


def _message(info: Mapping[str, Any]) -> Happening:
    data = binascii.a2b_base64(info.get("data", ""))
    return Message(info["agent_id"]["value"], info["executor_id"]["value"], data)


def _failure(info: Mapping[str, Any]) -> Happening:
    agent_id = info.get("agent_id", {}).get("value", "")
    if "executor_id" in info:
        return ExecutorFailed(agent_id, info["executor_id"]["value"], info.get("status"))
    return AgentFailed(agent_id)


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Happening]]] = {
    "UPDATE": lambda info: Status(info["status"]),
    "OFFERS": lambda info: Offers(info.get("offers", [])),
    "RESCIND": lambda info: Rescinded(info["offer_id"]["value"]),
    "INVERSE_OFFERS": lambda info: InverseOffers(info.get("inverse_offers", [])),
    "MESSAGE": _message,
    "FAILURE": _failure,
}
