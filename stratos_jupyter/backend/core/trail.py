"""The trail: the last events of a run and what was decided on each, for an error to carry and a user to print.

The trail keeps the events and decisions themselves: that costs next to nothing, and text is made of them on request.
It is bounded in both directions: by the number of events, and by what it keeps of each, for one event may tell of
100,000 tasks. Nothing that a task has written is in any event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import Enum
from itertools import islice
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias

from .decisions import Decision, Decline, Kill, Launch, RecordEnding, WithdrawUnstarted
from .events import (
    Attached,
    Event,
    InputsLocated,
    KillAsked,
    LaunchKnown,
    Offer,
    OffersArrived,
    OffersRescinded,
    RelaunchAsked,
    Superseded,
    TasksEnded,
    TasksReturned,
    TasksStarted,
    Tick,
)
from .phrases import seconds_text
from .resources import Resources

#: events that are kept
EVENTS_MOST: Final = 200
#: decisions that are kept of one event
DECISIONS_MOST: Final = 8
#: tasks, offers or batches that are kept of one event or decision
PARTS_MOST: Final = 4
#: characters of one value, and of one line, that are shown
VALUE_MOST: Final = 60
LINE_MOST: Final = 500
#: lines that an error carries
LINES_OF_ERROR: Final = 20


class _Shortened(NamedTuple):
    """An event or decision that tells of many tasks or offers: its other values, the first of these, their number."""

    name: str
    values: tuple[tuple[str, object], ...]
    parts: tuple[object, ...]
    size: int


#: an event or decision as it is kept
_Kept: TypeAlias = Event | Decision | _Shortened
#: its moment, the event, the decisions that are kept, and how many decisions there were
_Entry: TypeAlias = tuple[float, _Kept, tuple[_Kept, ...], int]


class Trail:
    """The last `EVENTS_MOST` events of a run, each with the decisions on it.

    A `Tick` that led to no decision is left out, and so are offers that were only declined: they would push out all
    else, and `offer_history` tells of them.
    """

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque(maxlen=EVENTS_MOST)

    def __len__(self) -> int:
        return len(self._entries)

    def note(self, event: Event, decisions: tuple[Decision, ...]) -> None:
        """Keep an event and the decisions on it. This runs once an event: it copies only what is long."""
        kind = type(event)
        if kind is Tick:
            if not decisions:
                return
        elif kind is OffersArrived and len(decisions) == 1 and type(decisions[0]) is Decline:
            return
        kept: tuple[_Kept, ...] = decisions if len(decisions) <= DECISIONS_MOST else decisions[:DECISIONS_MOST]
        for decision in kept:
            long = LONG.get(type(decision))
            if long is not None and len(long(decision)) > PARTS_MOST:
                kept = tuple(map(_bounded, kept))
                break
        long = LONG.get(kind)
        short = long is None or len(long(event)) <= PARTS_MOST
        self._entries.append((event.at_s, event if short else _bounded(event), kept, len(decisions)))

    def lines(self, at_s: float, most: int = EVENTS_MOST) -> list[str]:
        """Return a line for each of the last events, oldest first.

        Parameters
        ----------
        at_s : float
            Now: a line begins with how long ago its event was.
        most : int
            How many lines at most.
        """
        entries = list(self._entries)[-most:]
        ages = [f"{seconds_text(max(0.0, at_s - entry[0]))} ago" for entry in entries]
        width = max(map(len, ages), default=0)
        return [
            _clipped(f"{age:>{width}}  {_entry_text(*entry)}", LINE_MOST)
            for age, entry in zip(ages, entries, strict=True)
        ]

    def story(self) -> str:
        """Return the last lines as an error carries them."""
        last_s = self._entries[-1][0] if self._entries else 0.0
        return "\n".join(["the last events and decisions, oldest first:", *self.lines(last_s, LINES_OF_ERROR)])


def _bounded(one: Any) -> Any:
    """Keep the first parts of what tells of many; without the hosts of inputs, for these may be many, too."""
    long = LONG.get(type(one))
    if long is None or len(parts := long(one)) <= PARTS_MOST:
        return one
    first = tuple(islice(parts, PARTS_MOST))
    if isinstance(one, InputsLocated):
        first = tuple(location[:2] for location in first)
    return _Shortened(type(one).__name__, _values(one), first, len(parts))


def _values(one: Any) -> tuple[tuple[str, object], ...]:
    """Return the names and values of an event, a decision or an offer, without its moment and what it tells of many."""
    return tuple(
        [
            (name, value)
            for name in one.__slots__
            if name != "at_s" and not isinstance(value := getattr(one, name), tuple | frozenset)
        ]
    )


#: of each event and decision that can tell of many tasks, offers or batches: what returns these
LONG: Final[Mapping[type, Callable[[Any], Collection[Any]]]] = {
    Attached: attrgetter("attempts"),
    Decline: attrgetter("offer_ids"),
    InputsLocated: attrgetter("locations"),
    Kill: attrgetter("tasks"),
    KillAsked: lambda event: ("all",) if event.tasks is None else event.tasks,
    Launch: attrgetter("tasks"),
    LaunchKnown: attrgetter("tasks"),
    OffersArrived: attrgetter("offers"),
    OffersRescinded: attrgetter("offer_ids"),
    RecordEnding: attrgetter("tasks"),
    RelaunchAsked: attrgetter("tasks"),
    Superseded: lambda event: event.tasks + event.restored,
    TasksEnded: attrgetter("endings"),
    TasksReturned: attrgetter("tasks"),
    TasksStarted: attrgetter("tasks"),
    WithdrawUnstarted: attrgetter("batches"),
}


# -- text -----------------------------------------------------------------------------------------------


def _entry_text(_: float, event: _Kept, decisions: tuple[_Kept, ...], count: int) -> str:
    texts = [*map(_kept_text, decisions)]
    if count > len(texts):
        texts.append(f"{count - len(texts):,} more")
    return _kept_text(event) + (f" -> {'; '.join(texts)}" if texts else "")


def _kept_text(one: _Kept) -> str:
    """Return the name of an event or decision, and its values as the class of that name has them."""
    if isinstance(one, _Shortened):
        texts = [*map(_part_text, one.parts), f"{one.size:,} in all"]
        return " ".join([one.name, *_pairs_text(one.values), _listed(texts)])
    long = LONG.get(type(one))
    listed = [_listed(map(_part_text, long(one)))] if long is not None else []
    return " ".join([type(one).__name__, *_pairs_text(_values(one)), *listed])


def _pairs_text(values: Iterable[tuple[str, object]]) -> list[str]:
    return [f"{name}={_value_text(value)}" for name, value in values if value is not None]


def _value_text(value: object) -> str:
    match value:
        case Enum():
            return value.name.lower()
        case Resources():
            return f"({value})"
        case float():
            return f"{value:g}"
    return _clipped(repr(value), VALUE_MOST)


def _listed(texts: Iterable[str]) -> str:
    return f"[{', '.join(texts)}]"


def _part_text(part: object) -> str:
    """Return one task, offer or batch: ``12:1`` is attempt 1 of task 12."""
    if isinstance(part, tuple) and all(isinstance(one, int) for one in part):
        return ":".join(map(str, part))
    if isinstance(part, tuple):
        return f"({' '.join(map(_value_text, part))})"
    if isinstance(part, Offer):
        return f"({' '.join(_pairs_text(_values(part)))})"
    return _value_text(part)


def _clipped(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
