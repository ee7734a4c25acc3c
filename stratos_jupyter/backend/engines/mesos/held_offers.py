"""Offers of the master that are not answered: which of them are of use, and what becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ...core.decisions import Decline
from ...core.events import Offer, OffersArrived, OfferUnfit
from .agents import KnownAgent
from .connection import Connection
from .framework import FrameworkState
from .launches import HeldOffer
from .offers import Json, OfferResources, attributes, lacks, names, out_of_service, room

#: an offer is only of use when its agent stays in service for so long, in seconds: about one launch
SERVICE_LEAST_S: Final = 5.0
#: what is left of an offer that was taken in part is not wanted for so long, in seconds
REST_REFUSE_S: Final = 5.0
#: an offer that cannot be used now may be in a moment
SOON_REFUSE_S: Final = 1.0
#: an offer that is not answered for so long, because launches on it cannot be written down, is given back, in seconds
HELD_MOST_S: Final = 10.0
#: and not wanted for so long
HELD_REFUSE_S: Final = 60.0
#: a node of the wrong kind stays one
USELESS_REFUSE_S: Final = 3600.0


class HeldOffers:
    """The offers that the scheduler has been told of, and has not answered.

    Parameters
    ----------
    state : FrameworkState
        What is shared.
    connection : Connection
        Declines.
    """

    def __init__(self, state: FrameworkState, connection: Connection) -> None:
        self._state = state
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._offers: dict[str, HeldOffer] = {}

    def take(self, offer_id: str) -> HeldOffer | None:
        """Return an offer, which is held no longer; None when it was taken back."""
        return self._offers.pop(offer_id, None)

    def clear(self) -> None:
        """Forget all: the master takes them back by itself."""
        self._offers.clear()

    def decline(self, decisions: Sequence[Decline]) -> None:
        """Give back what the scheduler declines."""
        declined: dict[float, list[str]] = {}
        for decision in decisions:
            for offer_id in decision.offer_ids:
                offer = self._offers.pop(offer_id, None)
                if offer is not None:
                    # What ends meanwhile may leave room for a capped one, which is as large as before.
                    refuse_s = min(decision.refuse_s, REST_REFUSE_S) if offer.capped else decision.refuse_s
                    declined.setdefault(refuse_s, []).append(offer_id)
        self._decline(declined)

    def arrived(self, offers: Sequence[Json]) -> None:
        """Tell the scheduler of the offers that are of use, as large as the job may use them; decline the others."""
        state, config, now = self._state, self._state.config, self._state.sink.now()
        useful: list[Offer] = []
        useless: dict[float, list[str]] = {}
        cpus_left = None
        if config.max_cpus is not None:  # what is launched on offers that wait for the disk is in no book yet
            held = sum(one.cpus for one in self._offers.values())
            cpus_left = max(0.0, config.max_cpus - state.batches.cpus - held)
        for offer in offers:
            offer_id = offer["id"]["value"]
            agent = state.agents.meet(offer["agent_id"]["value"], offer["hostname"])
            refuse_s = self._why_useless(offer, agent, now)
            if refuse_s:
                useless.setdefault(refuse_s, []).append(offer_id)
                continue
            resources = offer.get("resources", ())
            amount = room(OfferResources(resources).left, has_executor=bool(agent.executor_id), cpus=config.cpus)
            capped = cpus_left is not None and amount.cpus > cpus_left
            if cpus_left is not None:
                amount = replace(amount, cpus=min(amount.cpus, cpus_left))
                cpus_left -= amount.cpus
            self._offers[offer_id] = HeldOffer(agent, resources, amount.cpus, capped)
            useful.append(Offer(offer_id, agent.node, amount, names=names(offer)))
        self._decline(useless)
        if useful:
            state.sink.post(OffersArrived(now, tuple(useful)))
            self._loop.call_later(HELD_MOST_S, self._give_back, [offer.offer_id for offer in useful])

    def _give_back(self, offer_ids: Sequence[str]) -> None:
        """Let others have offers that have not been answered."""
        held = [offer_id for offer_id in offer_ids if self._offers.pop(offer_id, None) is not None]
        self._connection.decline(held, HELD_REFUSE_S)

    def _decline(self, offer_ids: dict[float, list[str]]) -> None:
        """Decline offers, by how long they are not wanted."""
        for refuse_s, those in offer_ids.items():
            self._connection.decline(those, refuse_s)

    def _why_useless(self, offer: Json, agent: KnownAgent, now: float) -> float:
        """Return for how long an offer is not wanted whatever it has; 0 when it may be."""
        sink = self._state.sink
        if not self._connection.wanted or not self._state.write_down():
            return SOON_REFUSE_S
        lacking = lacks(attributes(offer), self._state.config.where)
        if lacking:
            sink.post(OfferUnfit(now, agent.node, lacking))
            return USELESS_REFUSE_S
        if agent.out_until_s > now:
            sink.post(OfferUnfit(now, agent.node, "an executor that starts"))
            return agent.out_until_s - now
        if out_of_service(offer, now, now + SERVICE_LEAST_S):
            sink.post(OfferUnfit(now, agent.node, "time before its maintenance"))
            return REST_REFUSE_S
        return 0.0
