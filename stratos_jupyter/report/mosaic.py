"""A job as a mosaic: its tasks by index, from left to right and from top to bottom.

A large job has several tasks a cell. The cell is what most of them are; at its bottom stands what is worst among them,
as high as their share, and never so low that one of a thousand could not be seen. States differ in shape as well as in
colour: what failed fills its cell, what has ended well is smaller, what waits is a dot. Cells side by side that are
alike are one line of dashes, so that a mosaic stays small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ..backend.core.states import TaskState
from .states import COLOURS
from .summary import LEFT_OUT

#: the size of a cell
CELL: Final = 10

#: best to worst
_ORDER: Final = (
    TaskState.FINISHED,
    TaskState.QUEUED,
    TaskState.STAGING,
    TaskState.RUNNING,
    TaskState.UNREACHABLE,
    TaskState.KILLED,
    TaskState.LOST,
    TaskState.FAILED,
)
#: state to how bad it is, from 1; 0 for a task that is left out
_BADNESS: Final = bytes(_ORDER.index(TaskState(n)) + 1 if n < len(TaskState) else 0 for n in range(LEFT_OUT + 1))

#: how high the dashes of a state are, and which dashes make one cell of `CELL`
_SHAPES: Final[Mapping[TaskState, tuple[int, str]]] = MappingProxyType(
    {
        TaskState.FINISHED: (7, "0 1.5 7 1.5"),
        TaskState.FAILED: (9, "0 .5 9 .5"),
        TaskState.KILLED: (4, "0 .5 9 .5"),
        TaskState.LOST: (9, "0 1 3 2 3 1"),
        TaskState.UNREACHABLE: (5, "0 1 2 1 2 1 2 1"),
        TaskState.RUNNING: (5, "0 1 8 1"),
        TaskState.STAGING: (5, "0 2.5 5 2.5"),
        TaskState.QUEUED: (3, "0 3.5 3 3.5"),
    }
)
#: the dashes of what is worst in a cell of several tasks
_WORST: Final = "0 .5 9 .5"
#: where they stand, and how high one of four parts is
_FOOT: Final = 8.5
_PART: Final = 1.75


@dataclass(frozen=True, slots=True)
class Mosaic:
    """A mosaic, drawn.

    Attributes
    ----------
    svg : str
        The picture; '' when there is no task.
    width, height : int
        Its natural size.
    per_cell : int
        How many tasks a cell stands for.
    """

    svg: str
    width: int
    height: int
    per_cell: int


@dataclass(frozen=True, slots=True)
class _Cell:
    #: what most of its tasks are; None where all are left out
    most: TaskState | None
    #: what is worst among them, when that is something else
    worst: TaskState | None = None
    #: how many of four parts of them are
    share: int = 0


def cells_of(states: bytes, most_cells: int) -> tuple[list[_Cell], int]:
    """Return the cells of these tasks, and how many tasks each of them is."""
    per_cell = max(1, -(-len(states) // most_cells))
    bad = states.translate(_BADNESS)
    if per_cell == 1:
        single = [_Cell(None), *map(_Cell, _ORDER)]
        return [single[level] for level in bad], 1
    return [_cell(bad[at : at + per_cell]) for at in range(0, len(bad), per_cell)], per_cell


def _cell(part: bytes) -> _Cell:
    counts = [part.count(level) for level in range(1, len(_ORDER) + 1)]
    here = sum(counts)
    if not here:
        return _Cell(None)
    most = max(range(len(counts)), key=lambda level: (counts[level], level))
    worst = max(level for level, count in enumerate(counts) if count)
    if worst == most:
        return _Cell(_ORDER[most])
    return _Cell(_ORDER[most], _ORDER[worst], max(1, round(4 * counts[worst] / here)))


def mosaic(states: bytes, across: int, down: int) -> Mosaic:
    """Draw the states of tasks by index, at most `across` by `down` cells."""
    found, per_cell = cells_of(states, across * down)
    if not found:
        return Mosaic("", 0, 0, 1)
    across = min(across, len(found))
    most: dict[TaskState, list[str]] = {}
    worst: dict[tuple[TaskState, int], list[str]] = {}
    for at, cell, length in _runs(found, across):
        y, x = divmod(at, across)
        if cell.most is not None:
            most.setdefault(cell.most, []).append(f"M{x * CELL} {y * CELL + CELL // 2}h{length * CELL}")
        if cell.worst is not None:
            middle = y * CELL + _FOOT - cell.share * _PART / 2
            worst.setdefault((cell.worst, cell.share), []).append(f"M{x * CELL} {middle:g}h{length * CELL}")
    paths = [_path("".join(drawn), state, *_SHAPES[state]) for state, drawn in most.items()]
    paths += [_path("".join(drawn), state, share * _PART, _WORST) for (state, share), drawn in worst.items()]
    width, height = across * CELL, -(-len(found) // across) * CELL
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" fill="none">{"".join(paths)}</svg>'
    return Mosaic(svg, width, height, per_cell)


def _path(drawn: str, state: TaskState, high: float, dashes: str) -> str:
    return f'<path d="{drawn}" stroke="{COLOURS[state]}" stroke-width="{high}" stroke-dasharray="{dashes}"/>'


def _runs(found: list[_Cell], across: int) -> list[tuple[int, _Cell, int]]:
    """Return where cells of one row that are alike begin, what they are, and how many."""
    runs: list[tuple[int, _Cell, int]] = []
    for at, cell in enumerate(found):
        if at % across and runs[-1][1] == cell:
            first, _, length = runs[-1]
            runs[-1] = first, cell, length + 1
        else:
            runs.append((at, cell, 1))
    return runs


def mosaic_text(drawn: Mosaic) -> str:
    """Say how it is to be read."""
    if drawn.per_cell == 1:
        return "Tasks by index, row by row; a cell is one task."
    return (
        f"Tasks by index, row by row; a cell is {drawn.per_cell:,} tasks: what most of them are, and at its bottom "
        "what is worst among them."
    )


def sample(state: TaskState) -> str:
    """Return one cell of a state, for a legend."""
    high, dashes = _SHAPES[state]
    drawn = _path(f"M0 {CELL // 2}h{CELL}", state, high, dashes)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {CELL} {CELL}" fill="none">{drawn}</svg>'
