"""The batches that a job has on a Mesos cluster, and what is still to be said about them. PURE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...core.states import Reason

Attempt = tuple[int, int]


class MesosBatch:
    """One Mesos task of ours.

    Attributes
    ----------
    batch_id : int
        The scheduler's name for it.
    node : str
        Where it is.
    left : set of (int, int)
        Attempts that have not been reported.
    cpus : float
        What it holds; nothing once it was given up.
    agent_id, executor_id : str
        As the cluster calls them; '' while that is not known.
    fresh : bool
        Whether its executor had to be started for it.
    begun : bool
        Whether its executor has taken it in.
    launched_s : float
        When it was launched; 0 when it is to be asked about at once.
    unreachable_s, gone_s : float or None
        Since when its agent cannot be reached; since when the master says that it has ended.
    unknown : bool
        Whether the master says that it knows nothing of it, wherever it may be.
    heard : bool
        Whether the master has said anything of it since it was asked last.
    inherited : bool
        Whether an earlier process has launched it, and its executor has not been heard of since.
    given_up : bool
        Whether its attempts were given up for lost. Should it come back, the first result wins.
    crowded : bool
        Whether others ran in its container when that was ended for its memory.
    running : tuple of ((int, int), float) or None
        Which attempt is known to run, and since when: one at a time does.
    """

    def __init__(self, batch_id: int, node: str, attempts: Iterable[Attempt]) -> None:
        self.batch_id = batch_id
        self.node = node
        self.left = set(attempts)
        self.cpus = 0.0
        self.agent_id = ""
        self.executor_id = ""
        self.fresh = False
        self.begun = False
        self.launched_s = 0.0
        self.unreachable_s: float | None = None
        self.gone_s: float | None = None
        self.given_up = False
        self.crowded = False
        self.running: tuple[Attempt, float] | None = None
        self.unknown = False
        self.heard = False
        self.inherited = False

    @property
    def place(self) -> tuple[str, str]:
        """Agent and executor; ('', '') while that is not known."""
        return self.agent_id, self.executor_id


class MesosBatches:
    """All of them.

    Attributes
    ----------
    kills : dict of (int, int) to Reason
        Attempts to be ended, which have not been reported.
    recalls : set of int
        Batches of which what has not been started is to be handed back.
    cpus : float
        What all of them hold that were not given up.
    """

    def __init__(self) -> None:
        self._batches: dict[int, MesosBatch] = {}
        self._where: dict[Attempt, MesosBatch] = {}
        self.kills: dict[Attempt, Reason] = {}
        self.recalls: set[int] = set()
        self.cpus = 0.0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[MesosBatch]:
        return iter(list(self._batches.values()))

    def get(self, batch_id: int) -> MesosBatch | None:
        """Return a batch, or None."""
        return self._batches.get(batch_id)

    def of(self, attempt: Attempt) -> MesosBatch | None:
        """Return the batch that has an attempt, or None."""
        return self._where.get(attempt)

    def has(self, batch_id: int | None, attempt: Attempt) -> bool:
        """Say whether an attempt is that batch's, and not reported."""
        batch = self._where.get(attempt)
        return batch is not None and batch.batch_id == batch_id

    def add(self, batch: MesosBatch) -> None:
        """Take in a batch."""
        self._batches[batch.batch_id] = batch
        self._where.update(dict.fromkeys(batch.left, batch))
        self.cpus += batch.cpus

    def report(self, attempt: Attempt) -> None:
        """Note that an attempt was reported."""
        self.kills.pop(attempt, None)
        batch = self._where.pop(attempt, None)
        if batch is not None:
            batch.left.discard(attempt)
            if batch.running is not None and batch.running[0] == attempt:
                batch.running = None

    def start(self, attempt: Attempt, at_s: float) -> None:
        """Note that an attempt has begun."""
        batch = self._where.get(attempt)
        if batch is not None:
            batch.running = (attempt, at_s)

    def give_up(self, batch: MesosBatch) -> None:
        """Note that a batch is given up for lost, wherever it is: others may have what it held."""
        batch.given_up = True
        self.cpus, batch.cpus = max(0.0, self.cpus - batch.cpus), 0.0

    def in_container(self, place: tuple[str, str]) -> list[MesosBatch]:
        """Return the batches on an executor of which something has not been reported."""
        return [batch for batch in self._batches.values() if batch.left and batch.place == place]

    def remove(self, batch: MesosBatch) -> list[Attempt]:
        """Forget a batch that is over; return the attempts of it that were not reported."""
        left = sorted(batch.left)
        for attempt in left:
            self.report(attempt)
        del self._batches[batch.batch_id]
        self.recalls.discard(batch.batch_id)
        self.cpus = max(0.0, self.cpus - batch.cpus) if self._batches else 0.0
        return left

    def wholly_to_end(self) -> Iterator[MesosBatch]:
        """Yield the batches of which all that is left is to be ended by the user's wish."""
        for batch in {id(b): b for attempt in self.kills if (b := self._where.get(attempt)) is not None}.values():
            if all(self.kills.get(attempt) is Reason.USER for attempt in batch.left):
                yield batch

    def kills_by_place(self, but: set[int]) -> dict[tuple[str, str], dict[Reason, list[Attempt]]]:
        """Return what is to be ended on each executor whose place is known, `but` for batches, by what it ends for."""
        found: dict[tuple[str, str], dict[Reason, list[Attempt]]] = {}
        for attempt, reason in self.kills.items():
            batch = self._where.get(attempt)
            if batch is not None and batch.batch_id not in but and all(batch.place):
                found.setdefault(batch.place, {}).setdefault(reason, []).append(attempt)
        return found

    def recalls_by_place(self) -> dict[tuple[str, str], list[int]]:
        """Return what is to be handed back by each executor whose place is known."""
        found: dict[tuple[str, str], list[int]] = {}
        for batch_id in sorted(self.recalls):
            batch = self._batches.get(batch_id)
            if batch is not None and all(batch.place):
                found.setdefault(batch.place, []).append(batch_id)
        return found
