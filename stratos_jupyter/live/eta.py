"""The confidence interval of the time that a job has left.

PURE. The pace of the last minute is cut into slices. How much the slices differ gives the standard error of their mean.
With few endings the number of endings gives a larger one; the larger of the two counts.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from math import sqrt
from typing import Final

#: how far back it looks, in seconds
WINDOW_S: Final = 60.0
#: samples are at least this far apart, in seconds
STEP_S: Final = 0.5
#: slices that the window is cut into, and how many are the least to go by
SLICES: Final = 6
#: standard errors on each side: nine times in ten the truth is within
SIDES: Final = 1.64
#: no interval is given beyond this relative error
MOST: Final = 0.9


class Forecast:
    """Takes in how many tasks have ended, as time goes by; says how far off the time left may be."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, at_s: float, done: int) -> None:
        """Take in that `done` tasks have ended at `at_s`, in seconds."""
        samples = self._samples
        if samples and (done < samples[-1][1] or at_s < samples[-1][0]):
            samples.clear()  # a relaunch took some back; or a clock was set
        if samples and at_s - samples[-1][0] < STEP_S:
            return
        samples.append((at_s, done))
        while len(samples) > 2 and samples[1][0] <= at_s - WINDOW_S:
            samples.popleft()

    @property
    def doubt(self) -> float | None:
        """The relative error of the pace; None while too little is known."""
        if len(self._samples) < SLICES + 1:
            return None
        (from_s, before), (to_s, after) = self._samples[0], self._samples[-1]
        if to_s <= from_s or after <= before:
            return None
        mean = (after - before) / (to_s - from_s)
        edges = [self._samples[round(place * (len(self._samples) - 1) / SLICES)] for place in range(SLICES + 1)]
        paces = [(later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in pairwise(edges)]
        variance = sum((pace - mean) ** 2 for pace in paces) / (SLICES - 1)
        doubt = SIDES * max(sqrt(variance / SLICES) / mean, 1 / sqrt(after - before))
        return doubt if doubt <= MOST else None

    def spread_s(self, left_s: float | None) -> tuple[float, float] | None:
        """Return the least and the most seconds that are left, of which `left_s` is the best guess."""
        doubt = self.doubt
        if left_s is None or doubt is None:
            return None
        return left_s / (1 + doubt), left_s / (1 - doubt)
