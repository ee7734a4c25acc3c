"""Notes on a task, for a person: each trouble of its helpers once, how often, and the last line of its monitor.

The note also says what a task left behind; it begins with that, so that the count can be read from it again.
"""

import re
from typing import Dict, Sequence

# All together stays a line that can be read.
_LIMIT = 800
_DISTINCT = 8


#: Begins the note of a task whose command has ended and whose background processes are waited for.
WAITING = "waiting for "

_LEFT = re.compile(r"(\d+) process(?:es)? that it left behind (?:was|were) ended")
_NAMES = 5


class Notes:
    """Gathers remarks."""

    #: The last line that the monitor has printed.
    said = ""

    def __init__(self) -> None:
        self._counts: Dict[str, int] = {}
        self._more = 0

    def add(self, text: str) -> None:
        """Remark something, perhaps again."""
        if text in self._counts or len(self._counts) < _DISTINCT:
            self._counts[text] = self._counts.get(text, 0) + 1
        else:
            self._more += 1

    def text(self) -> str:
        """Return all in one line."""
        parts = []
        left = _LIMIT
        more = self._more
        for text, count in self._counts.items():
            part = text if count == 1 else "{} ({:,} times)".format(text, count)
            if len(part) > left:
                more += count
            else:
                left -= len(part) + 2
                parts.append(part)
        if more:
            parts.append("and {:,} more troubles of the monitor".format(more))
        if self.said:
            parts.append("monitor: " + self.said)
        return "; ".join(parts)


def joined(*texts: str) -> str:
    """Return notes as one."""
    return "; ".join(filter(None, texts))


def left_text(names: Sequence[str]) -> str:
    """Say that processes which a task left behind were ended: ``1 process that it left behind was ended: ssh``."""
    if not names:
        return ""
    count = len(names)
    shown = list(dict.fromkeys(names))
    more = ", ..." if len(shown) > _NAMES else ""
    what = "process that it left behind was" if count == 1 else "processes that it left behind were"
    return "{} {} ended: {}{}".format(count, what, ", ".join(shown[:_NAMES]), more)


def left_count(note: str) -> int:
    """Return how many processes a note says were left behind."""
    found = _LEFT.match(note)
    return int(found.group(1)) if found else 0
