"""This machine as a node: what it has, and how much of it each job may have.

One `Machine` serves all local jobs of a session that chose the same engine, so that two jobs side by side share
the cores instead of each taking all of them. It makes offers as a Mesos agent's master would: what is offered
stays set aside until it is answered.
"""

from __future__ import annotations

import os
import shutil
from itertools import count
from typing import Protocol

from ...core.events import Offer
from ...core.phrases import WORDS, amount_text
from ...core.resources import SLACK, Resources
from ..base import Largest

_OFFERS = count(1)


class Member(Protocol):
    """A job's engine, as the machine sees it."""

    priority: int
    held: Resources

    @property
    def wants(self) -> Resources | None:
        """The least demand of the job; None while it wants no offers."""

    def offer(self, offer: Offer) -> None:
        """Take in an offer."""


class Machine:
    """The ledger of one machine's resources.

    Parameters
    ----------
    node : str
        What the machine is called in results.
    total : Resources
        What it has.
    """

    def __init__(self, node: str, total: Resources) -> None:
        self.node = node
        self.total = total
        self._free = total
        self._members: list[Member] = []
        self._offered: dict[str, tuple[Member, Resources]] = {}

    @property
    def largest(self) -> Largest:
        """The most that can ever be asked of it."""
        return Largest(self.node, self.total)

    @property
    def contended(self) -> bool:
        """Whether more than one job wants offers now."""
        return sum(member.wants is not None for member in self._members) > 1

    def join(self, member: Member) -> None:
        """Count a job in."""
        self._members.append(member)

    def leave(self, member: Member) -> None:
        """Count a job out. What it still holds is released as its tasks end."""
        self._members.remove(member)
        for offer_id in [offer_id for offer_id, (of, _) in self._offered.items() if of is member]:
            self._free = self._free + self._offered.pop(offer_id)[1]
        self.offer_round()

    def offer_round(self, but: Member | None = None) -> None:
        """Offer what is free to the jobs that want it: by priority, then to the job that holds least.

        While several want some, none is offered more than its equal share, unless one command needs more.

        Parameters
        ----------
        but : Member, optional
            One that has just answered an offer, and gets no other now.
        """
        wanting = [member for member in self._members if member.wants is not None]
        waiting = {id(member) for member, _ in self._offered.values()}
        for member in sorted(wanting, key=lambda member: (-member.priority, member.held.cpus)):
            least = member.wants
            if least is None or member is but or id(member) in waiting:
                continue
            rivals = sum(other.priority >= member.priority for other in wanting)
            share_cpus = max(least.cpus, self.total.cpus / rivals - member.held.cpus)
            room = Resources(min(self._free.cpus, share_cpus), self._free.mem_mib, self._free.disk_mib)
            if not least.fits(room):
                if least.fits(self.total):
                    return  # what comes free is gathered for it, and not offered to the jobs behind it
            else:
                self._free = self._free - room
                offer = Offer(f"local-{next(_OFFERS)}", self.node, room)
                self._offered[offer.offer_id] = (member, room)
                member.offer(offer)

    def answer(self, offer_id: str, taken: Resources) -> None:
        """Close an offer of which `taken` was taken."""
        _, room = self._offered.pop(offer_id, (None, Resources()))
        self._free = self._free + (room - taken)

    def seize(self, amount: Resources) -> None:
        """Note what a job has already, even where that is more than there is."""
        free = self._free
        self._free = Resources(free.cpus - amount.cpus, free.mem_mib - amount.mem_mib, free.disk_mib - amount.disk_mib)

    @property
    def free(self) -> Resources:
        """What no job holds or is offered."""
        return self._free

    def lacking(self, least: Resources, held: Resources) -> str:
        """Say why a job that holds so much is not offered the least that it wants; '' when that is free."""
        short = [name for name in WORDS if getattr(least, name) > getattr(self._free, name) + SLACK]
        if not short:
            return ""
        name = short[0]
        total, left, taken, wanted = (getattr(one, name) for one in (self.total, self._free, held, least))
        if name == "cpus" and taken >= total:
            cores = f"all {total:g} cores of this machine are" if total > 1 else "the one core of this machine is"
            return f"{cores} busy with this job's tasks"
        others = total - left - taken
        parts = [f"this job's tasks hold {amount_text(name, taken)}"] if taken else []
        parts += [f"other jobs of this kernel {amount_text(name, others)}"] if others > 0 else []
        asks = f"a task asks for {amount_text(name, wanted)}; {', '.join(parts)}"
        of = f"of {amount_text(name, total)} {WORDS[name][0]} of this machine {amount_text(name, left)}"
        return f"{of} {'are' if name == 'cpus' else 'is'} free, {asks}"

    def release(self, back: Resources) -> None:
        """Give back what was taken."""
        self._free = self._free + back


def this_machine(cpus: float | None, folder: str) -> Machine:
    """Return this machine with `cpus` processors, or those that this process may use.

    Parameters
    ----------
    cpus : float or None
        As the user chose it: ``local[4]`` is 4.
    folder : str
        Where output goes; the room on its disk is what is offered.
    """
    if cpus is None:
        cpus = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    disk = shutil.disk_usage(folder).free
    mib = 1024.0 * 1024.0
    return Machine(os.uname().nodename, Resources(cpus, memory // mib, disk // mib))
