"""What a context says of monitors: the program that looks at its tasks, how often, and what names their successors."""

import math
from typing import Any, Dict, List, NamedTuple, Optional

#: The shortest interval between two calls of a monitor, whatever is asked for.
_LEAST_INTERVAL_S = 0.01


class WatchPlan(NamedTuple):
    """What watches the tasks of a context."""

    #: A monitor that is a program, or [].
    argv: List[bytes]
    #: A monitor that is a Python function: its source and its name.
    source: str
    name: str
    #: The program that is asked for new commands when a monitor has ended a task; [] for none.
    relauncher: List[bytes]
    interval_s: float


def read_plan(fields: Dict[str, Any]) -> Optional[WatchPlan]:
    """Read the fields of a context; None without a monitor. What is malformed raises what reading it raises."""
    monitor = fields.get("monitor")
    if monitor is None:
        return None
    relauncher = fields.get("relauncher")
    interval_s = float(fields.get("update_interval_s", 10.0))
    if not (interval_s > 0 and math.isfinite(interval_s)):
        raise ValueError("update_interval_s: {!r}".format(interval_s))
    source = name = ""
    argv: List[bytes] = []
    if "python" in monitor:
        source, name = monitor["python"]["source"], monitor["python"]["name"]
        if type(source) is not str or type(name) is not str:
            raise TypeError("monitor: {!r}".format(monitor))
    else:
        argv = _words(monitor["argv"])
    return WatchPlan(
        argv,
        source,
        name,
        [] if relauncher is None else _words(relauncher["argv"]),
        max(interval_s, _LEAST_INTERVAL_S),
    )


def _words(argv: Any) -> List[bytes]:
    words = [word.encode("utf-8", "surrogateescape") for word in argv]
    if type(argv) is not list or not words or not words[0]:
        raise ValueError("argv: {!r}".format(argv))
    return words
