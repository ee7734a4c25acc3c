"""Offers of a Mesos master as plain amounts, and back: which of an offer's resources each launch takes. PURE.

An offer is a list of resources, some of them reserved for a role, each of them a scalar, a set or a range. What a
launch takes has to name the very same reservations and the role that the offer was made to, so it is cut out of them.

The executor of a job asks for a little itself, once a node. All commands of a job on a node run in its container, so
its cpus serve them as well: they are charged to the commands, and a node of 16 cpus runs 16 commands of one cpu each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ...core.resources import SLACK, Resources

#: what the executor of a job asks for on a node
EXECUTOR: Final = Resources(cpus=0.1, mem_mib=64.0)
#: commands that ask for less than this pay nothing for the executor: too little would be left of them
SHARING_CPUS: Final = 0.5
#: Mesos gives no container less, in MiB
MEM_LEAST_MIB: Final = 32.0

#: a resource, offer or attribute as the master's JSON has it
Json: TypeAlias = Mapping[str, Any]

_NAMES: Final = {"cpus": "cpus", "mem": "mem_mib", "disk": "disk_mib", "gpus": "gpus"}


@dataclass(slots=True)
class _Part:
    """One of an offer's resources, and how much of it is left."""

    resource: Json
    left: float


class OfferResources:
    """What is left of an offer.

    Parameters
    ----------
    resources : sequence of mapping
        Of the offer.
    """

    def __init__(self, resources: Iterable[Json]) -> None:
        # What is reserved goes first: it is of no use to others.
        usable = [resource for resource in resources if _is_usable(resource)]
        self._parts = [_Part(resource, float(resource["scalar"]["value"])) for resource in sorted(usable, key=_is_free)]

    @property
    def left(self) -> Resources:
        """How much that is."""
        sums = dict.fromkeys(_NAMES.values(), 0.0)
        for part in self._parts:
            sums[_NAMES[part.resource["name"]]] += part.left
        return Resources(**sums)

    def take(self, amount: Resources) -> list[dict[str, Any]]:
        """Cut out an amount; of what there is too little of, all there is."""
        taken: list[dict[str, Any]] = []
        for name, field in _NAMES.items():
            wanted = _rounded(getattr(amount, field))
            for part in self._parts:
                if part.resource["name"] != name or wanted <= 0 or part.left <= 0:
                    continue
                some = min(wanted, part.left)
                part.left = _rounded(part.left - some)
                wanted = _rounded(wanted - some)
                taken.append({**part.resource, "scalar": {"value": some}})
        return taken


def room(left: Resources, *, has_executor: bool, cpus: float) -> Resources:
    """Return what an offer has for commands that ask for `cpus` each.

    Parameters
    ----------
    left : Resources
        What is offered.
    has_executor : bool
        Whether the job's executor is on that node already, or has to be started with it.
    """
    # Where it runs, its cpus are there beside what is offered; where it doesn't, they are taken out of that.
    extra_cpus = EXECUTOR.cpus if has_executor else 0.0
    if cpus < SHARING_CPUS:
        extra_cpus = 0.0 if has_executor else -EXECUTOR.cpus
    mem_mib = left.mem_mib if has_executor else left.mem_mib - EXECUTOR.mem_mib
    if mem_mib < MEM_LEAST_MIB:
        return Resources()
    return Resources(max(0.0, left.cpus + extra_cpus), mem_mib, left.disk_mib, left.gpus)


def share(demand: Resources, left: Resources) -> Resources:
    """Return what a launch takes of what is left: memory that nobody named comes with the cpus, in proportion.

    Without that, a container would have no memory but its executor's. Where a little is missing of the cpus, the
    executor's own make up for it.
    """
    mem_mib = demand.mem_mib
    if not mem_mib and left.cpus > 0:
        mem_mib = max(MEM_LEAST_MIB, math.floor(left.mem_mib * min(1.0, demand.cpus / left.cpus)))
    return Resources(demand.cpus, mem_mib, demand.disk_mib, demand.gpus)


def attributes(offer: Json) -> dict[str, str]:
    """Return the attributes of an offer's agent, as text."""
    found = {}
    for attribute in offer.get("attributes", ()):
        match attribute.get("type"):
            case "TEXT":
                found[attribute["name"]] = str(attribute["text"]["value"])
            case "SCALAR":
                found[attribute["name"]] = scalar(attribute["scalar"]["value"])
            case "RANGES":
                ranges = ",".join(f"{one['begin']}-{one['end']}" for one in attribute["ranges"].get("range", ()))
                found[attribute["name"]] = ranges
    return found


def out_of_service(offer: Json, from_s: float, to_s: float) -> bool:
    """Say whether an agent is planned to be out of service between two times; plans that are over stay, too."""
    planned = offer.get("unavailability")
    if planned is None:
        return False
    start_s = planned["start"]["nanoseconds"] / 1e9
    lasts_s = planned["duration"]["nanoseconds"] / 1e9 if "duration" in planned else math.inf
    return bool(start_s <= to_s and start_s + lasts_s > from_s)


def scalar(value: float) -> str:
    """Return a scalar attribute as it was given to its agent: Mesos keeps three digits behind the point."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def lacks(offered: Mapping[str, str], where: Sequence[tuple[str, str]]) -> str:
    """Return which of the attributes that are asked for an agent lacks; '' when none. Scalars compare as numbers."""
    missing = [f"{name}={value}" for name, value in where if name not in offered or not _same(offered[name], value)]
    return ", ".join(missing)


def names(offer: Json) -> tuple[str, ...]:
    """Return all names of an offer's node that a file system may give."""
    address = offer.get("url", {}).get("address", {})
    found = [offer["hostname"], address.get("hostname", ""), address.get("ip", "")]
    found += [name.partition(".")[0] for name in found if name and not name.replace(".", "").isdigit()]
    return tuple(dict.fromkeys(name for name in found if name))


def _same(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return float(one) == float(other)
    except ValueError:
        return False


def _is_usable(resource: Json) -> bool:
    """Say whether commands can use a resource: a plain amount, not somebody's volume, not to be taken away again."""
    disk = resource.get("disk", {})
    return (
        resource.get("name") in _NAMES
        and resource.get("type") == "SCALAR"
        and "revocable" not in resource
        and "shared" not in resource
        and "persistence" not in disk
        and "source" not in disk
    )


def _is_free(resource: Json) -> bool:
    return not resource.get("reservations") and resource.get("role", "*") == "*"


def _rounded(amount: float) -> float:
    """Mesos counts in thousandths."""
    return round(amount, 3) if amount > SLACK else 0.0
