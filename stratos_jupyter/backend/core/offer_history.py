"""What became of offers, per node: what no task could use, and what the engine refused by itself.

For each node it keeps the newest offer that no task could use, and what else its offers were refused for. So its size
is bounded by the number of nodes. What a demand lacks is worked out on request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from .events import Offer
from .phrases import WORDS
from .resources import SLACK, Resources

#: nodes that are kept
NODES_MOST: Final = 10_000
#: reasons of the engine that are kept
REASONS_MOST: Final = 32


@dataclass(slots=True)
class _DeclinedOffers:
    """The offers of one node that no task could use: how many since one was used, and what the newest had.

    `launches` is how many launches the job had on that node then.
    """

    count: int
    room: Resources
    launches: int


@dataclass(frozen=True, slots=True)
class OwnShare:
    """What a job has of a node: how many launches, and how much they take."""

    launches: int = 0
    amount: Resources = field(default_factory=Resources)


@dataclass(frozen=True, slots=True)
class Shortage:
    """Offers that lacked one thing: how many, of how many nodes, and the one that had most of it.

    `own` says that these are what the job's own tasks leave of nodes that are large enough.
    """

    name: str
    offers: int
    nodes: int
    node: str
    most: float
    own: bool = False


class OfferHistory:
    """What became of offers.

    Attributes
    ----------
    last_s : float or None
        When the last one came.
    offers : int
        How many there were.
    """

    def __init__(self) -> None:
        self.last_s: float | None = None
        self.offers = 0
        self._turned: dict[str, _DeclinedOffers] = {}
        self._unfit: dict[str, dict[str, int]] = {}  # by what they lack: nodes, and how often

    def came(self, at_s: float, offers: Sequence[Offer]) -> None:
        """Note that offers have come: what the engine had refused of their nodes is out of date."""
        self.last_s = at_s
        self.offers += len(offers)
        for why, nodes in list(self._unfit.items()) if self._unfit else ():
            for offer in offers:
                nodes.pop(offer.node, None)
            if not nodes:
                del self._unfit[why]

    def turned_down(self, offer: Offer, launches: int = 0) -> None:
        """Note that an offer was too small for any task, while the job had `launches` launches on that node."""
        found = self._turned.pop(offer.node, None)
        if found is None:
            found = _DeclinedOffers(0, offer.resources, launches)
        found.count = 1 if found.launches > launches else found.count + 1
        found.room, found.launches = offer.resources, launches
        self._turned[offer.node] = found  # the newest is last
        if len(self._turned) > NODES_MOST:
            del self._turned[next(iter(self._turned))]

    def used(self, node: str) -> None:
        """Note that something of a node's offer was used."""
        self._turned.pop(node, None)

    def unfit(self, node: str, why: str) -> None:
        """Note that the engine refused an offer by itself, and why."""
        if why not in self._unfit and len(self._unfit) >= REASONS_MOST:
            return
        nodes = self._unfit.setdefault(why, {})
        nodes[node] = nodes.pop(node, 0) + 1
        if len(nodes) > NODES_MOST:
            del nodes[next(iter(nodes))]

    def unfits(self) -> list[tuple[str, int, int]]:
        """Return what nodes lacked, with how many offers and nodes did; most offers first."""
        found = [(why, sum(nodes.values()), len(nodes)) for why, nodes in self._unfit.items()]
        return sorted(found, key=lambda one: -one[1])

    def lacks(self, demand: Resources, own: Mapping[str, OwnShare]) -> tuple[list[Shortage], int]:
        """Return what the newest offers lack of a demand, and how many nodes' slots the job's own tasks fill.

        Parameters
        ----------
        demand : Resources
            What is wanted.
        own : mapping of str to OwnShare
            What the job has of each node now.
        """
        short: dict[tuple[bool, str], list[tuple[float, str, int]]] = {}
        full = 0
        for node, turned in self._turned.items():
            has = own.get(node, OwnShare())
            if has.launches < turned.launches:
                continue  # what has come free there since has not been offered
            missing = _missing(demand, turned.room)
            lacking = [] if has.launches == 0 else _missing(demand, turned.room + has.amount)
            mine = has.launches > 0 and not lacking
            if mine and "cpus" in missing and 2 * turned.room.cpus < demand.cpus:
                full += 1
                continue
            for name in lacking or missing:
                short.setdefault((mine, name), []).append((getattr(turned.room, name), node, turned.count))
        found = []
        for name in WORDS:
            for mine in (False, True):
                if (mine, name) in short:
                    offers = short[mine, name]
                    most, node, _ = max(offers)
                    found.append(Shortage(name, sum(count for *_, count in offers), len(offers), node, most, mine))
        return found, full


def _missing(demand: Resources, room: Resources) -> list[str]:
    return [name for name in WORDS if getattr(room, name) + SLACK < getattr(demand, name)]
