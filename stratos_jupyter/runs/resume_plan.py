"""How the commands of a cell that is run again compare with the tasks of the job's newest run (``--resume``).

They are compared by what they say and read, never by their place. The same command is one with the same text, file and
working directory.

- No task has this command: *new*, it is added to the run; but a task that was superseded earlier, and of which nothing
  has changed since, belongs to the run again.
- A task has, but its inputs or the variables of ``--env`` were others: *changed*, a task that is added supersedes it.
- A task has, and nothing has changed: it is *done*; or it is still *to run*; or it *failed*, and is run again. One that
  is done is run again, too, when a file that it makes (``--makes``) is gone or empty.
- A task whose command the cell no longer has is *gone*: superseded by nothing.

What is superseded stays on record, and is in no result.

Theory of operation
-------------------
Of an input there may be three fingerprints: *now*, as it was *submitted*, and as its task *left* it, which is recorded
where that is another one. No clock is asked: fingerprints are compared for being the same (`fingerprints.same_inputs`).

1. A finished task is up to date when its inputs are now as it left them. Work in place is done once.
2. It left nothing else than was submitted: they must be now as they were submitted.
3. Where the node saw something else before the task began than was seen here at its submission, either will do: files
   of the same name may be others there, or none, and what changed before a task began was read by it.
4. What has not ended reads, or has read, its inputs itself: it stays. What failed is run again in any case.
5. The states of tasks are taken before the inputs are looked at. So a task that ends meanwhile counts as one that has
   not ended: what it has just done to its inputs is no change.
6. A submission of which nothing is known (of version 0.1.0, without ``--resume``; an HDFS that could not say) counts as
   up to date, and that is said.

PURE: the fingerprints are taken elsewhere (`fingerprints`), and what follows from the plan is said by `resume_work`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from .fingerprints import Fingerprint, matches_old

#: working directory, file and text: which command it is
Identity: TypeAlias = tuple[str, str | None, str]


class Wanted(NamedTuple):
    """A command of the cell: which, and the fingerprints of its inputs now."""

    identity: Identity
    seen: Fingerprint


class Known(NamedTuple):
    """A task of the run.

    `seen` are fingerprints of its inputs with which it is up to date, and `old` one of version 0.1.0. It is `free` when
    any will do, since it has not finished. It has `worked` when it has changed its inputs itself.
    """

    task: int
    submission: int
    identity: Identity
    env: str
    seen: tuple[Fingerprint, ...] = ()
    old: str = ""
    free: bool = False
    superseded: bool = False
    worked: bool = False

    def reads(self, now: Fingerprint) -> bool:
        """Say whether it would read now what it has read."""
        if self.free or not (self.seen or self.old):
            return True
        return any(one.same(now, worked=self.worked) for one in self.seen) or (
            bool(self.old) and matches_old(self.old, now)
        )

    def blind(self, now: Fingerprint) -> bool:
        """Say whether that is only assumed."""
        return not self.free and not self.old and not any(one.tells(now) for one in self.seen or (Fingerprint(""),))


@dataclass(slots=True)
class Plan:
    """What is to be done: commands by their place in the cell, tasks by their index.

    Attributes
    ----------
    new, changed : list of int
        Commands to add, ascending each.
    kept, restored : list of int
        Tasks that stay as they are, and those that were superseded and are wanted again.
    replaced, gone : list of int
        Tasks that are superseded by what is changed, and by nothing.
    blind : list of int
        Tasks of which it is not known what their inputs were: they count as up to date.
    moved : list of int
        Tasks that have not ended, and whose inputs are others than when they were submitted.
    worked : list of int
        Tasks that are up to date, and have changed their inputs.
    old : list of int
        Tasks of version 0.1.0 that are replaced: it may be they that have changed their inputs.
    """

    new: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    restored: list[int] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    blind: list[int] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)
    worked: list[int] = field(default_factory=list)
    old: list[int] = field(default_factory=list)


def plan(cell: Sequence[Wanted], env: str, known: Iterable[Known]) -> Plan:
    """Compare the commands of a cell with the tasks of a run.

    Equal commands are matched one to one: first those with equal fingerprints, in order, then those that are up to date
    all the same, then the others.

    Parameters
    ----------
    cell : sequence of Wanted
        The commands.
    env : str
        The key of the variables that the cell names.
    known : iterable of Known
        The tasks that the user asked for, by index.
    """
    found = Plan()
    current: dict[Identity, list[Known]] = defaultdict(list)
    earlier: dict[Identity, list[Known]] = defaultdict(list)
    for task in known:
        (earlier if task.superseded else current)[task.identity].append(task)
    places: dict[Identity, list[int]] = defaultdict(list)
    for place, wanted in enumerate(cell):
        places[wanted.identity].append(place)
    for identity, those in places.items():
        tasks = current.pop(identity, [])
        if tasks:
            pairs, places_left, tasks_left = _pairs(cell, those, env, tasks)
            found.kept += [task.task for _, task in pairs]
            _remark(found, cell, pairs)
            count = min(len(places_left), len(tasks_left))
            found.changed += places_left[:count]
            found.replaced += [task.task for task in tasks_left[:count]]
            found.old += [task.task for task in tasks_left[:count] if task.old]
            found.gone += [task.task for task in tasks_left[count:]]
            found.new += places_left[count:]
        else:
            # What an older version wrote beside its output may have been overwritten by the newest: that alone counts.
            old = earlier.get(identity, [])
            newest = [task for task in old if task.submission == old[-1].submission]
            pairs, places_left, _ = _pairs(cell, those, env, newest)
            found.restored += [task.task for _, task in pairs]
            _remark(found, cell, pairs)
            found.new += places_left
    found.gone += [task.task for tasks in current.values() for task in tasks]
    found.new.sort()
    found.changed.sort()
    return found


def _pairs(
    cell: Sequence[Wanted], places: Sequence[int], env: str, tasks: Sequence[Known]
) -> tuple[list[tuple[int, Known]], list[int], list[Known]]:
    """Match equal commands with tasks of that command that are up to date; return also those without a partner."""
    # Tasks of one kind are as good as each other: however many lines of a cell are equal, they are few kinds.
    kinds: dict[tuple[object, ...], deque[Known]] = defaultdict(deque)
    for task in tasks:
        if task.env == env:
            kinds[task.seen, task.old, task.free, task.worked].append(task)
    pairs: list[tuple[int, Known]] = []
    rest = []
    for place in places:
        now = cell[place].seen
        equal = next((of for of in kinds.values() if of and of[0].seen[:1] == (now,)), None)
        if equal:
            pairs.append((place, equal.popleft()))
        else:
            rest.append(place)
    for place in rest:
        alike = next((of for of in kinds.values() if of and of[0].reads(cell[place].seen)), None)
        if alike:
            pairs.append((place, alike.popleft()))
    matched_places = {place for place, _ in pairs}
    matched_tasks = {task.task for _, task in pairs}
    return (
        pairs,
        [place for place in places if place not in matched_places],
        [task for task in tasks if task.task not in matched_tasks],
    )


def _remark(found: Plan, cell: Sequence[Wanted], pairs: Sequence[tuple[int, Known]]) -> None:
    """Note what there is to say of tasks that are kept."""
    for place, task in pairs:
        now = cell[place].seen
        if task.blind(now):
            found.blind.append(task.task)
        elif task.free and task.seen and not any(one.same(now) for one in task.seen):
            found.moved.append(task.task)
        elif task.worked and not task.free:
            found.worked.append(task.task)
