"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

FIRST_S: Final = 0.5
LONGEST_S: Final = 15.0


class Backoff:
    """Twice as long each time, up to a bound; each time by chance half of that or more, so that not all come at once.

    Parameters
    ----------
    chance : callable
        Returns a number from 0 to 1.
    """

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._next_s = FIRST_S

    def reset(self) -> None:
        """Begin again: a connection stood."""
        self._next_s = FIRST_S

    def relax(self) -> None:
        """Wait as long as ever from now on: trying often would not help."""
        self._next_s = LONGEST_S

    def wait_s(self) -> float:
        """Return how long to wait this time."""
        longest_s, self._next_s = self._next_s, min(2 * self._next_s, LONGEST_S)
        return longest_s * (0.5 + 0.5 * self._chance())
