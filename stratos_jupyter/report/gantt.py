"""When the nodes worked: every attempt as a line in a lane of its node, or, of many, how many ran at a time.

A node's lanes are filled greedily: an attempt goes where the one before it has ended, so that there are as many as ran
at once. Colours are classes of the page around the picture; a reader who cannot tell them apart sees what failed as a
thicker line, and each attempt says what it was when it is pointed at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from html import escape
from typing import Final

from ..backend.core.phrases import length_text
from ..backend.core.states import TaskState
from ..backend.results.failure_groups import ending_text
from ..backend.store.rows import Span
from .summary import JobSummary
from .text import clean

#: with more attempts or lanes than these it shows how many ran at a time
MOST_SPANS: Final = 5000
MOST_LANES: Final = 240
#: more nodes than this become one
MOST_NODES: Final = 60
#: in how many parts of the time it is counted how many ran
BINS: Final = 240

#: the width of the picture, and of the names at its left
WIDTH: Final = 1000
LABELS: Final = 150
#: attempts one after another may overlap by this, in seconds: a clock was set meanwhile
OVERLAP_S: Final = 0.002

_TICKS: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0),
    *(900.0, 1800.0, 3600.0, 7200.0, 14400.0, 21600.0, 43200.0, 86400.0, 172800.0, 604800.0, 2592000.0),
)


@dataclass(frozen=True, slots=True)
class Gantt:
    """A chart, drawn.

    Attributes
    ----------
    svg : str
        The picture; '' when nothing has run.
    says : str
        What it shows.
    """

    svg: str
    says: str


def gantt(summary: JobSummary) -> Gantt:
    """Draw when the nodes worked."""
    spans = (*summary.spans, *summary.running)
    ran = [span for span in spans if span.started_at is not None and span.finished_at >= span.started_at]
    if not ran:
        return Gantt("", "Nothing has run yet.")
    first = min(span.started_at or 0.0 for span in ran)
    axis = _Axis(first, max(span.finished_at for span in ran))
    nodes: dict[str, list[Span]] = {}
    for span in ran:
        nodes.setdefault(span.node, []).append(span)
    if len(ran) <= MOST_SPANS:
        lanes = {node: pack(its) for node, its in sorted(nodes.items())}
        if sum(map(len, lanes.values())) <= MOST_LANES:
            return Gantt(_lanes(lanes, axis), "A line for each attempt, from its start to its end; a row for each that "
                                              "ran beside others on its node.")  # fmt: skip
    return Gantt(*_use(nodes, axis))


def pack(spans: Iterable[Span]) -> list[list[Span]]:
    """Put the attempts of one node into as few lanes as can be, none over another."""
    lanes: list[list[Span]] = []
    free: list[tuple[float, int]] = []  # when each lane is free again
    for span in sorted(spans, key=lambda span: (span.started_at or 0.0, span.finished_at)):
        if free and free[0][0] <= (span.started_at or 0.0) + OVERLAP_S:
            _, lane = heappop(free)
            lanes[lane].append(span)
        else:
            lane = len(lanes)
            lanes.append([span])
        heappush(free, (span.finished_at, lane))
    return lanes


class _Axis:
    """Times as places on the picture."""

    def __init__(self, first: float, last: float) -> None:
        self.first = first
        self.length = max(last - first, 0.001)
        self._scale = (WIDTH - LABELS - 10) / self.length

    def x(self, at_s: float) -> float:
        return LABELS + (at_s - self.first) * self._scale

    def svg(self, height: int) -> str:
        """Return its lines and numbers."""
        step = next((tick for tick in _TICKS if self.length / tick <= 8), self.length / 8)
        drawn = []
        for n in range(int(self.length / step + 1e-6) + 1):
            x = self.x(self.first + n * step)
            drawn.append(f'<path class="tick" d="M{x:.1f} 0V{height}"/>')
            drawn.append(f'<text class="scale" x="{x:.1f}" y="{height + 16}">{_tick_text(n * step, step)}</text>')
        return "".join(drawn)


def _tick_text(at_s: float, step: float) -> str:
    if at_s == 0:
        return "0"
    if step < 1:
        return f"{at_s:.{3 if step < 0.01 else 2 if step < 0.1 else 1}f} s"
    for unit, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if step >= unit or (at_s >= unit and at_s % unit == 0 and step >= unit / 4):
            return f"{at_s / unit:g} {name}"
    return f"{int(at_s // 60)}:{int(at_s % 60):02d} min" if at_s >= 60 else f"{at_s:g} s"


def _drawing(body: str, height: int, says: str) -> str:
    return (
        f'<svg class="gantt" viewBox="0 0 {WIDTH} {height + 24}" width="{WIDTH}" height="{height + 24}" role="img" '
        f'aria-label="{escape(says)}">{body}</svg>'
    )


def _label(node: str, y: float, count: str) -> str:
    full = clean(node) or "(no node)"
    short = full if len(full) <= 20 else full[:19] + "…"
    return f'<text class="node" x="0" y="{y:.1f}">{escape(short)}<title>{escape(full)}, {count}</title></text>'


# -- each attempt ---------------------------------------------------------------------------------------------


def _lanes(lanes: dict[str, list[list[Span]]], axis: _Axis) -> str:
    count = sum(map(len, lanes.values()))
    high = 12 if count <= 30 else 8 if count <= 90 else 5
    body: list[str] = []
    top = 6
    for node, its in lanes.items():
        block = max(len(its) * high, 16)
        body.append(_label(node, top + 12, f"{sum(map(len, its)):,} attempts, up to {len(its):,} at once"))
        by_state: dict[int, list[str]] = {}
        for lane, spans in enumerate(its):
            y = top + lane * high + high / 2
            for span in spans:
                by_state.setdefault(span.state, []).append(_line(span, y, axis))
        for state, lines in sorted(by_state.items()):  # what failed comes last, hence on top
            body.append(f'<g class="ran {TaskState(state).name.lower()} high{high}">{"".join(lines)}</g>')
        top += block + 6
        body.append(f'<path class="rule" d="M0 {top - 3}H{WIDTH}"/>')
    return _drawing(axis.svg(top) + "".join(body), top, "When the nodes worked")


def _line(span: Span, y: float, axis: _Axis) -> str:
    started = span.started_at or 0.0
    x = axis.x(started)
    width = max(1.0, axis.x(span.finished_at) - x - 0.5)  # a gap to the next, and never nothing
    again = f" attempt {span.attempt}" if span.attempt > 1 else ""
    says = escape(f"task {span.task}{again}: {_how(span)}, {length_text(span.finished_at - started)}")
    return f'<path d="M{x:.1f} {y:g}h{width:.1f}"><title>{says}</title></path>'


def _how(span: Span) -> str:
    match span.state:
        case TaskState.FINISHED:
            return "finished"
        case TaskState.RUNNING:
            return "runs"
    return ending_text(clean(span.reason, 20), span.exit_code)


# -- how many at a time ---------------------------------------------------------------------------------------


def _use(nodes: dict[str, list[Span]], axis: _Axis) -> tuple[str, str]:
    busy = {node: sum(span.finished_at - (span.started_at or 0.0) for span in its) for node, its in nodes.items()}
    ranked = sorted(nodes, key=lambda node: -busy[node])
    kept = sorted(ranked[:MOST_NODES])
    rest = [span for node in ranked[MOST_NODES:] for span in nodes[node]]
    high = 34 if len(kept) <= 12 else 22
    used = {node: running(nodes[node], axis.first, axis.length) for node in kept}
    most = max((max(all_) for all_, _ in used.values()), default=1.0) or 1.0
    body: list[str] = []
    top = 6
    for node in kept:
        peak = max(used[node][0])
        body.append(_label(node, top + high / 2 + 4, f"{len(nodes[node]):,} attempts, up to {peak:.3g} at a time"))
        body.append(_areas(used[node], top, high, most))
        top += high + 6
    says = f"How many attempts ran at a time on each node; a full row is {most:.3g}. Orange is what did not end well."
    if rest:
        both = running(rest, axis.first, axis.length)
        more = len(ranked) - len(kept)
        body.append(_label(f"{more:,} more nodes", top + high / 2 + 4, f"{len(rest):,} attempts"))
        body.append(_areas(both, top, high, max(both[0]) or 1.0))
        top += high + 6
        says += f" The last row has the {more:,} nodes that did least, in a scale of its own."
    return _drawing(axis.svg(top) + "".join(body), top, says), says


def running(spans: Iterable[Span], first: float, length: float, bins: int = BINS) -> tuple[list[float], list[float]]:
    """Return how many attempts ran on average in each part of the time: all, and those that did not finish well."""
    width = length / bins
    sums = [[0.0] * bins, [0.0] * bins]
    steps = [[0.0] * (bins + 1), [0.0] * (bins + 1)]  # what begins and ends to cover whole parts
    for span in spans:
        start = ((span.started_at or 0.0) - first) / width
        end = (span.finished_at - first) / width
        from_, to = min(int(start), bins - 1), min(int(end), bins - 1)
        for which in (0,) if span.state in (TaskState.RUNNING, TaskState.FINISHED) else (0, 1):
            if from_ == to:
                sums[which][from_] += end - start
                continue
            sums[which][from_] += from_ + 1 - start
            sums[which][to] += end - to
            steps[which][from_ + 1] += 1
            steps[which][to] -= 1
    for total, step in zip(sums, steps, strict=True):
        through = 0.0
        for n in range(bins):
            through += step[n]
            total[n] += through
    return sums[0], sums[1]


def _areas(used: tuple[Sequence[float], Sequence[float]], top: int, high: int, most: float) -> str:
    bottom = top + high
    return (
        "".join(
            f'<path class="area {name}" d="{_area(values, bottom, high / most)}"/>'
            for name, values in zip(("finished", "failed"), used, strict=True)
            if any(values)
        )
        + f'<path class="rule" d="M{LABELS} {bottom}H{WIDTH - 10}"/>'
    )


def _area(values: Sequence[float], bottom: int, scale: float) -> str:
    step = (WIDTH - LABELS - 10) / len(values)
    drawn = [f"M{LABELS} {bottom}"]
    before = 0.0
    for n, value in enumerate(values):
        y = round(value * scale, 1)
        if y != before:
            drawn.append(f"H{LABELS + n * step:.1f}V{bottom - y:g}")
            before = y
    drawn.append(f"H{WIDTH - 10}V{bottom}Z")
    return "".join(drawn)
