"""Mosaic, Gantt chart and histogram: what is drawn is what was the case."""

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.report.gantt import BINS, LABELS, MOST_NODES, OVERLAP_S, WIDTH, gantt, pack, running
from stratos_jupyter.report.histogram import edges, histogram, quantile
from stratos_jupyter.report.mosaic import CELL, cells_of, mosaic, mosaic_text
from stratos_jupyter.report.states import COLOURS
from stratos_jupyter.report.summary import LEFT_OUT, JobSummary
from tests.support.hostile_text import HOSTILE, span, view_of

STATE_OF = {colour: state for state, colour in COLOURS.items()}


def drawn_cells(svg: str) -> Counter[TaskState]:
    """Count the cells of each state that a mosaic draws, by the length of its lines."""
    counts: Counter[TaskState] = Counter()
    for path in ET.fromstring(svg):
        lengths = re.findall(r"h(\d+)", path.attrib["d"])
        counts[STATE_OF[path.attrib["stroke"]]] += sum(map(int, lengths)) // CELL
    return counts


# -- mosaic -----------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([*range(8), LEFT_OUT]), max_size=300))
def test_each_task_has_its_cell(states: list[int]) -> None:
    drawn = mosaic(bytes(states), 20, 15)
    assert drawn.per_cell == 1
    expected = Counter(TaskState(state) for state in states if state != LEFT_OUT)
    assert drawn_cells(drawn.svg) == expected if states else drawn.svg == ""


def test_a_cell_of_many_is_what_most_are_and_shows_the_worst() -> None:
    finished, queued, failed = bytes([4]), bytes([0]), bytes([5])
    (cell,), per_cell = cells_of(finished * 999 + failed, 1)
    assert per_cell == 1000
    assert (cell.most, cell.worst, cell.share) == (TaskState.FINISHED, TaskState.FAILED, 1)
    (cell,), _ = cells_of(finished + failed * 99, 1)
    assert (cell.most, cell.worst) == (TaskState.FAILED, None)
    (cell,), _ = cells_of(finished * 60 + queued * 40, 1)
    assert (cell.most, cell.worst, cell.share) == (TaskState.FINISHED, TaskState.QUEUED, 2)
    (cell,), _ = cells_of(bytes([LEFT_OUT]) * 99 + failed, 1)
    assert (cell.most, cell.worst) == (TaskState.FAILED, None)


@pytest.mark.parametrize("count", [1, 59, 60, 61, 1200, 1201, 100_000])
def test_a_mosaic_has_no_more_cells_than_it_may(count: int) -> None:
    drawn = mosaic(bytes([4]) * count, 60, 20)
    cells = drawn_cells(drawn.svg)[TaskState.FINISHED]
    assert cells == -(-count // drawn.per_cell) <= 1200
    assert drawn.width <= 600
    assert drawn.height <= 200


def test_a_mosaic_of_a_million_tasks_is_drawn_at_once() -> None:
    states = bytes(n * 7919 % 8 for n in range(1000)) * 1000
    begun = time.process_time()
    drawn = mosaic(states, 60, 20)
    assert time.process_time() - begun < 2.0
    assert len(drawn.svg) < 60_000
    assert "834 tasks" in mosaic_text(drawn)


def test_every_state_has_a_shape_of_its_own() -> None:
    shapes = set()
    for state in TaskState:
        (path,) = ET.fromstring(mosaic(bytes([state]), 60, 20).svg)
        shapes.add((path.attrib["stroke-width"], path.attrib["stroke-dasharray"]))
        dashes = [float(part) for part in path.attrib["stroke-dasharray"].split()]
        assert sum(dashes) == CELL  # so that the next cell begins where it should
    assert len(shapes) == len(TaskState)


# -- lanes ------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 20)), max_size=60))
def test_no_attempt_lies_over_another_and_no_lane_is_more_than_needed(times: list[tuple[float, float]]) -> None:
    spans = [span(n, start, wall) for n, (start, wall) in enumerate(times)]
    lanes = pack(spans)
    assert sorted(one.task for lane in lanes for one in lane) == list(range(len(spans)))
    for lane in lanes:
        for one, after in pairwise(lane):
            assert one.finished_at <= (after.started_at or 0) + OVERLAP_S
    at_once = max(
        (sum((b.started_at or 0) <= (a.started_at or 0) <= b.finished_at for b in spans) for a in spans), default=0
    )
    assert len(lanes) <= at_once


def test_the_chart_has_a_line_for_each_attempt_from_its_start_to_its_end() -> None:
    spans = [
        span(0, 0, 5),
        span(1, 2, 8, node="node-2"),
        span(2, 5, 5, state=TaskState.FAILED, reason=Reason.TIMEOUT, exit_code=-15, attempt=2),
    ]
    root = ET.fromstring(gantt(JobSummary(view_of(), spans=spans)).svg)
    lines = {title.text: path.attrib["d"] for path in root.iter("path") for title in path.iter("title")}
    assert list(lines) == [
        "task 0: finished, 5 s",
        "task 2 attempt 2: timeout, signal 15 (TERM), 5 s",
        "task 1: finished, 8 s",
    ]
    places = [tuple(map(float, re.fullmatch(r"M([\d.]+) [\d.]+h([\d.]+)", d).groups())) for d in lines.values()]  # type: ignore[union-attr]
    room = WIDTH - LABELS - 10
    for (x, width), (first, last) in zip(places, [(0, 5), (5, 10), (2, 10)], strict=True):
        assert x == pytest.approx(LABELS + room * first / 10, abs=0.2)
        assert x + width == pytest.approx(LABELS + room * last / 10, abs=0.7)


def test_what_runs_still_is_in_the_chart_and_is_no_failure() -> None:
    job = JobSummary(view_of(), spans=[span(0, 0, 5)], running=[span(1, 2, 8, state=TaskState.RUNNING, attempt=3)])
    titles = [title.text for title in ET.fromstring(gantt(job).svg).iter("title")]
    assert titles[1:] == ["task 1 attempt 3: runs, 8 s", "task 0: finished, 5 s"]
    every, failed = running([*job.spans, *job.running], 0.0, 10.0, bins=1)
    assert (every, failed) == ([pytest.approx(1.3)], [0.0])


def test_the_shortest_attempt_can_be_seen() -> None:
    svg = gantt(JobSummary(view_of(), spans=[span(0, 0, 10_000), span(1, 5000, 0.0)])).svg
    assert min(map(float, re.findall(r"h([\d.]+)\"", svg))) >= 1


def test_nothing_has_run() -> None:
    assert gantt(JobSummary(view_of())).svg == ""
    never = span(0)._replace(started_at=None)
    assert gantt(JobSummary(view_of(), spans=[never])).svg == ""
    assert histogram([never]) == ""


@given(st.lists(st.tuples(st.floats(0, 90), st.floats(0, 10), st.booleans()), min_size=1, max_size=50))
def test_what_ran_is_all_counted(times: list[tuple[float, float, bool]]) -> None:
    spans = [
        span(n, start, wall, state=TaskState.FINISHED if good else TaskState.KILLED)
        for n, (start, wall, good) in enumerate(times)
    ]
    all_, bad = running(spans, 1000.0, 100.0)
    assert sum(all_) * 100 / BINS == pytest.approx(sum(wall for _, wall, _ in times), abs=1e-6)
    assert sum(bad) * 100 / BINS == pytest.approx(sum(wall for _, wall, good in times if not good), abs=1e-6)
    assert min(all_) >= -1e-9


def test_many_attempts_are_counted_and_many_nodes_become_one_row() -> None:
    spans = [span(n, n % 1000, 3, node=f"node-{n % 100:03d}") for n in range(20_000)]
    chart = gantt(JobSummary(view_of(), spans=spans))
    root = ET.fromstring(chart.svg)
    labels = [text.text for text in root.iter("text") if text.attrib["class"] == "node"]
    assert len(labels) == MOST_NODES + 1
    assert "40 more nodes" in (labels[-1] or "")
    assert "40 nodes that did least" in chart.says
    assert len(chart.svg) < 500_000


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_text_in_a_chart(text: str) -> None:
    spans = [span(0, node=text, state=TaskState.FAILED, reason=text), span(1)]
    root = ET.fromstring(gantt(JobSummary(view_of(), spans=spans)).svg)  # well-formed as XML too
    assert {element.tag for element in root.iter()} == {"svg", "path", "text", "title", "g"}
    assert all(len(node.text or "") <= 20 for node in root.iter("text") if node.attrib["class"] == "node")


# -- histogram --------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=60))
def test_every_attempt_is_in_a_bar(walls: list[float]) -> None:
    svg = histogram([span(n, 0, wall) for n, wall in enumerate(walls)])
    counts = [int(text.split()[0].replace(",", "")) for text in re.findall(r"<title>(.*?)</title>", svg)]
    assert sum(counts) == len(walls)


def test_bars_say_how_many_failed() -> None:
    svg = histogram([span(0), span(1, state=TaskState.FAILED), span(2, wall=2.0)])
    assert ", 1 of them failed" in svg
    assert "highest bar: 2" in svg


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (1.0, 1.0), (1.0, 2.0), (0.01, 5000.0), (0.0, 9.0)])
def test_bars_are_in_order_and_hold_all(low: float, high: float) -> None:
    begins = edges(low, high)
    assert all(a < b for a, b in pairwise(begins))
    assert begins[0] <= max(low, 0.0001) * 1.000001
    assert begins[-1] >= high or begins[-1] == pytest.approx(high)


def test_bars_have_round_widths() -> None:
    assert edges(0.031, 0.67)[::5] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    assert edges(99.0, 130.0)[::10] == pytest.approx([99, 109, 119, 129, 139])


def test_quantiles() -> None:
    assert [quantile([1, 2, 3, 4], part) for part in (0, 0.5, 0.95, 1)] == [1, 3, 4, 4]
