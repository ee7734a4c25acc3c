"""How long tasks ran, as a histogram; over several orders of magnitude its scale is logarithmic."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from html import escape
from typing import Final

from ..backend.core.phrases import length_text
from ..backend.core.states import TaskState
from ..backend.store.rows import Span

BINS: Final = 40
WIDTH: Final = 1000
HEIGHT: Final = 120
#: from here on the scale is logarithmic: the longest to the shortest
LOGARITHMIC: Final = 30.0
#: what is shorter counts as this long, in seconds
SHORTEST_S: Final = 0.0001


def wall_times(spans: Sequence[Span]) -> list[float]:
    """Return how long each attempt ran that is known to have begun, ascending."""
    return sorted(max(0.0, span.finished_at - span.started_at) for span in spans if span.started_at is not None)


def quantile(ascending: Sequence[float], part: float) -> float:
    """Return the value below which `part` of the others are."""
    return ascending[min(len(ascending) - 1, int(part * len(ascending)))]


def edges(shortest: float, longest: float) -> list[float]:
    """Return where the bars begin, and where the last of them ends."""
    low = max(shortest, SHORTEST_S)
    high = max(longest, low * 1.01)
    if high / low >= LOGARITHMIC:
        return [low * (high / low) ** (n / BINS) for n in range(BINS + 1)]
    low = 0.0 if high / low > 3 else low
    step = _round_step((high - low) / BINS)
    first = math.floor(low / step)
    if (first + BINS) * step < high:  # what was taken off below is missing above
        step = _round_step(step * 1.01)
        first = math.floor(low / step)
    return [(first + n) * step for n in range(BINS + 1)]


def _round_step(least: float) -> float:
    """Return the smallest 1, 2, 2.5 or 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0, 20.0) if factor * power >= least)


def histogram(spans: Sequence[Span]) -> str:
    """Draw how long attempts ran, as SVG; '' when none has."""
    walls = wall_times(spans)
    if not walls:
        return ""
    begins = edges(walls[0], walls[-1])
    good, bad = [0] * BINS, [0] * BINS
    for span in spans:
        if span.started_at is not None:
            wall_s = max(0.0, span.finished_at - span.started_at)
            at = min(BINS - 1, max(0, bisect_right(begins, wall_s) - 1))
            (good if span.state == TaskState.FINISHED else bad)[at] += 1
    most = max(map(sum, zip(good, bad, strict=True)))
    bars = "".join(
        _bar(n, count, failed, most, begins) for n, (count, failed) in enumerate(zip(good, bad, strict=True))
    )
    says = escape(f"How long {len(walls):,} attempts ran, from {length_text(walls[0])} to {length_text(walls[-1])}")
    return (
        f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT + 40}" width="{WIDTH}" height="{HEIGHT + 40}" role="img" '
        f'aria-label="{says}">{bars}<path class="rule" d="M0 {HEIGHT + 16}H{WIDTH}"/>{_scale(begins)}'
        f'<text class="scale end" x="{WIDTH}" y="11">highest bar: {most:,}</text></svg>'
    )


def _bar(at: int, good: int, bad: int, most: int, begins: Sequence[float]) -> str:
    if not good + bad:
        return ""
    step = WIDTH / BINS
    drawn = []
    bottom = HEIGHT + 16.0
    for name, count in (("failed", bad), ("finished", good)):
        if count:
            high = max(1.0, HEIGHT * count / most)
            bottom -= high
            x, width = at * step + 1, step - 2
            drawn.append(f'<rect class="{name}" x="{x:g}" y="{bottom:.1f}" width="{width:g}" height="{high:.1f}"/>')
    failed = f", {bad:,} of them failed" if bad else ""
    says = f"{good + bad:,} from {length_text(begins[at])} to {length_text(begins[at + 1])}{failed}"
    return f"<g>{''.join(drawn)}<title>{escape(says)}</title></g>"


def _scale(begins: Sequence[float]) -> str:
    marks = range(0, BINS + 1, BINS // 8)
    return "".join(
        f'<text class="scale{" begin" if n == 0 else " end" if n == BINS else ""}" x="{n * WIDTH / BINS:g}" '
        f'y="{HEIGHT + 32}">{length_text(begins[n])}</text>'
        for n in marks
    )
