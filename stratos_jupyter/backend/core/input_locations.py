"""Where inputs lie, as columns, and what nodes are called.

A task *prefers* the nodes that hold most of its input bytes: the one with the largest share and those that hold nearly
as much. Where no node holds a fair part, as with a file of a hundred blocks, it prefers none. A job of which nothing
is known pays nothing for this.
"""

from __future__ import annotations

from array import array
from typing import Final

from .events import InputLocation, Offer

#: a node with this part of what the best one holds is as good
NEARLY: Final = 0.9
#: a node that holds less than this part of the inputs is not worth waiting for
FAIR: Final = 0.2
#: in the place of a row: nothing is known; the inputs are being looked up
UNKNOWN: Final = -1
SOUGHT: Final = -2
#: hosts that are kept of one task, the largest first
HOSTS_MOST: Final = 16


class InputLocations:
    """Where the inputs of each task lie. Hosts are numbered in the order in which they turn up."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._shorts: dict[str, int] = {}  # by the first part of a name: the host; -1 where several have it
        self._addresses: dict[str, int] = {}  # the host that the storage has there too; -1 where it has several
        self._rows = array("q")  # by task: where its row begins, or one of the two above
        # A row has the number of hosts and of those that are preferred, then the hosts; beside it all bytes, a
        # spare, and the bytes of each host.
        self._hosts = array("I")
        self._bytes = array("Q")
        self._names: dict[str, tuple[str, ...]] = {}  # by node
        self._numbered: dict[str, tuple[int, tuple[int, ...]]] = {}  # by node: how many there were, and its own
        self._nodes: dict[int, str] = {}  # by host

    def __len__(self) -> int:
        """Return the index above which no task's inputs are known."""
        return len(self._rows)

    def learn(self, location: InputLocation) -> bool:
        """Take in where a task's inputs lie; return False when that is nothing, or nothing new."""
        hosts = [(host, size) for host, size in location.hosts[:HOSTS_MOST] if size > 0]
        if location.size <= 0 or not hosts or self.knows(location.task):
            return False
        most = max(size for _, size in hosts)
        hosts.sort(key=lambda one: -one[1])
        preferred = sum(size >= NEARLY * most for _, size in hosts) if most >= FAIR * location.size else 0
        if location.task >= len(self._rows):
            self._rows.extend(array("q", [UNKNOWN]) * (location.task + 1 - len(self._rows)))
        self._rows[location.task] = len(self._hosts)
        self._hosts.extend((len(hosts), preferred))
        self._bytes.extend((location.size, 0))
        for host, size in hosts:
            self._hosts.append(self._number(_plain(host)))
            self._bytes.append(min(size, location.size))
        return True

    def _number(self, name: str) -> int:
        host, _, address = name.partition("/")
        number = self._numbers.get(host)
        if number is None:
            number = self._numbers[host] = len(self._numbers)
            short = host.partition(".")[0]
            if not _is_address(host):
                self._shorts[short] = -1 if short in self._shorts else number
        if address:
            self._addresses[address] = number if self._addresses.get(address, number) == number else -1
        return number

    def seek(self, first: int, after: int) -> None:
        """Note that the inputs of those tasks are being looked up of which nothing is known yet."""
        rows = self._rows
        for task in range(first, min(after, len(rows))):
            if rows[task] == UNKNOWN:
                rows[task] = SOUGHT
        rows.extend(array("q", [UNKNOWN]) * (first - len(rows)))
        rows.extend(array("q", [SOUGHT]) * (after - len(rows)))

    def seeks(self, task: int) -> bool:
        """Say whether a task's inputs are being looked up."""
        return task < len(self._rows) and self._rows[task] == SOUGHT

    def give_up(self, task: int) -> None:
        """Note that a task's inputs were not found."""
        self._rows[task] = UNKNOWN

    def knows(self, task: int) -> bool:
        """Say whether it is known where a task's inputs lie."""
        return task < len(self._rows) and self._rows[task] >= 0

    def chooses(self, task: int) -> bool:
        """Say whether a task prefers some node, or may come to."""
        if task >= len(self._rows):
            return False
        row = self._rows[task]
        return row == SOUGHT or (row >= 0 and self._hosts[row + 1] > 0)

    def preferred(self, task: int) -> array[int]:
        """Return the numbers of the hosts that a task prefers."""
        row = self._rows[task]
        return self._hosts[row + 2 : row + 2 + self._hosts[row + 1]] if row >= 0 else array("I")

    def hosts(self, task: int) -> list[str]:
        """Return what the storage calls the hosts that a task prefers."""
        names = list(self._numbers)
        return [names[number] for number in self.preferred(task)]

    def meet(self, offer: Offer) -> None:
        """Note what a node is called."""
        if self._names.get(offer.node) != offer.names:
            self._names[offer.node] = offer.names
            self._numbered.pop(offer.node, None)

    def numbers(self, node: str) -> tuple[int, ...]:
        """Return the numbers of the hosts that a node is; more than one where the storage has several names for it."""
        count, known = self._numbered.get(node, (-1, ()))
        if count != len(self._numbers) + len(self._addresses):
            names = [_plain(name) for name in (node, *self._names.get(node, ()))]
            found = {self._numbers.get(name, -1) for name in names} - {-1}
            found = found or {self._addresses.get(name, -1) for name in names} - {-1}
            if not found and not any("." in name for name in names if not _is_address(name)):
                # the storage may have longer names
                found = {self._shorts.get(name, -1) for name in names} - {-1}
            known = tuple(sorted(found))
            self._numbered[node] = len(self._numbers) + len(self._addresses), known
            self._nodes.update(dict.fromkeys(known, node))
        return known

    def node(self, number: int) -> str | None:
        """Return the node that is the host of this number; None while none was asked for by `numbers`."""
        return self._nodes.get(number)

    def share(self, task: int, node: str) -> tuple[int, int] | None:
        """Return how many bytes of a task's inputs lie on a node, and how many elsewhere; None if unknown."""
        if not self.knows(task):
            return None
        row = self._rows[task]
        size = self._bytes[row]
        numbers = self.numbers(node)
        columns = range(row + 2, row + 2 + self._hosts[row])
        local = min(size, sum(self._bytes[column] for column in columns if self._hosts[column] in numbers))
        return local, size - local


def _is_address(name: str) -> bool:
    return name.replace(".", "").isdigit() or ":" in name


def _plain(name: str) -> str:
    """Return a host's name as all write it."""
    return name.rstrip(".").lower()
