"""Read what a kernel asks for: batches of commands, tasks to be ended, batches to be handed back.

Whatever is not as it should be raises Malformed before anything is done.
"""

from collections import deque
from typing import Any, Deque, Dict, List, Optional, Set, Tuple

from .work import CommandBatch, Context, Item, Key, Malformed

# More than any machine has: no limit that is meant is above it.
_MOST_MIB = 1e12


def read_batch(args: List[Any], contexts: Dict[int, Context]) -> Tuple[int, CommandBatch]:
    """Read the arguments of a "batch" message: the slot and the batch."""
    try:
        slot, batch_id, context_id, expected_s, rows = args[:5]
        items: Deque[Item] = deque()
        for number, attempt, command, file, *copies in rows:
            known = type(number) is int and type(attempt) is int and type(command) is str
            if not known or not (file is None or type(file) is str) or any(type(name) is not str for name in copies):
                raise TypeError((number, attempt, command, file, *copies))
            items.append((number, attempt, command, file, *copies))
        expected = None if expected_s is None else float(expected_s)
        limits = _read_limits(*args[5:])
        named = [_read_named(kind, items, *args[5:]) for kind in ("makes", "inputs")]
        return int(slot), CommandBatch(int(batch_id), contexts[context_id], expected, items, limits, *named)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise Malformed("batch: {!r}".format(error)) from None


def _read_limits(limits: Optional[Dict[str, Any]] = None) -> Tuple[float, float]:
    if limits is None:
        return 0.0, 0.0
    mem_mib, disk_mib = float(limits.get("mem_mib") or 0), float(limits.get("disk_mib") or 0)
    if not (0 <= mem_mib < _MOST_MIB and 0 <= disk_mib < _MOST_MIB):
        raise ValueError(limits)
    return mem_mib, disk_mib


def _read_named(kind: str, items: Deque[Item], limits: Optional[Dict[str, Any]] = None) -> Dict[Key, List[str]]:
    """Read files of commands, which are sent by their place in the batch."""
    found = {}
    for place, names in ((limits or {}).get(kind) or {}).items():
        number, attempt = items[int(place)][:2]
        found[number, attempt] = [str(name) for name in names]
    return found


def read_kill(args: List[Any]) -> Tuple[List[Key], str]:
    """Read the arguments of a "kill" message: whom, and why."""
    try:
        reason = args[1] if len(args) > 1 else "user"
        if len(args) > 2 or reason not in ("user", "timeout"):
            raise ValueError(args[1:])
        return [(int(number), int(attempt)) for number, attempt in args[0]], str(reason)
    except (IndexError, TypeError, ValueError) as error:
        raise Malformed("kill: {!r}".format(error)) from None


def read_recall(args: List[Any]) -> Set[int]:
    """Read the arguments of a "recall" message: ids of batches."""
    try:
        (ids,) = args
        return {int(number) for number in ids}
    except (TypeError, ValueError) as error:
        raise Malformed("recall: {!r}".format(error)) from None
