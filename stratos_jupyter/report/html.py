"""What every piece of our HTML is made of: text made harmless, the colours and signs of states, and pictures."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import Final

from ..backend.core.phrases import length_text
from ..backend.core.states import TaskState
from ..backend.core.views import JobView
from ..backend.results.failure_groups import ending_text
from .states import BAR_ORDER, COLOURS, SIGNS
from .summary import Row
from .text import MAX_TEXT, clean

#: a job with more placeholders shows its commands
MOST_VALUES: Final = 3

_LONG = re.compile(r"\S{30}(?=\S)")


def data(text: str, limit: int = MAX_TEXT) -> str:
    """Return what came from a user or a task as HTML: cleaned, cut, escaped, and free to break."""
    # A right-to-left name must not turn the sentence around it.
    return f"<bdi>{breakable(clean(text, limit))}</bdi>"


def breakable(text: str) -> str:
    """Return cleaned text as HTML whose long words may break."""
    # <wbr>: sanitizers leave a tag alone that says where, and drop the style that says so.
    return escape(_LONG.sub(r"\g<0>\0", text)).replace("\0", "<wbr>")


def image(svg: str, says: str, style: str = "", kind: str = "") -> str:
    """Return a picture as an image: sanitizers that drop inline SVG leave one alone, or at least its text.

    `style` and `kind`, a class, are put in as they are.
    """
    source = b64encode(svg.encode()).decode()
    named = f'class="{kind}" ' if kind else ""
    return f'<img {named}alt="{escape(says)}" src="data:image/svg+xml;base64,{source}" style="{style}">'


def counts_text(view: JobView) -> str:
    """Return ``809 finished, 3 failed``."""
    return ", ".join(f"{view[state]:,} {state.name.lower()}" for state in BAR_ORDER if view[state]) or "no tasks"


_EMPTY_BAR: Final = f'<rect width="600" height="10" fill="{COLOURS[TaskState.QUEUED]}" fill-opacity=".4"/>'


def bar_svg(view: JobView) -> str:
    """Return how many tasks are in each state as a bar."""
    width, x = 600.0, 0.0
    there = [state for state in BAR_ORDER if view[state]]
    room = width - 3.0 * len(there)  # three units for each, so that one of a million can be seen
    rects = []
    for state in there:
        part = 3.0 + room * view[state] / view.total
        gap = 0.0 if state is there[-1] else 1.5
        faint = ' fill-opacity=".4"' if state is TaskState.QUEUED else ""  # light on white, dark on black
        rects.append(f'<rect x="{x:.1f}" width="{part - gap:.1f}" height="10" fill="{COLOURS[state]}"{faint}/>')
        x += part
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} 10" preserveAspectRatio="none">'
        f"{''.join(rects) or _EMPTY_BAR}</svg>"
    )


def cells(row: Row, placeholders: Sequence[str], limit: int) -> list[str]:
    """Return one task as the cells of a table whose columns `columns` names."""
    given = row.values if 0 < len(placeholders) <= MOST_VALUES else (row.command,)
    sign = f'<span style="color:{COLOURS[row.state]};font-weight:bold">{SIGNS[row.state]}</span>'
    ended = row.state >= TaskState.FINISHED
    return [
        f"{row.task:,}",
        f"{sign}&nbsp;{row.state.name.lower()}",
        *(data(value, limit) for value in given),
        data(row.node, 32),
        length_text(row.wall_s) if ended and row.wall_s is not None else "",
        escape(ending_text(clean(row.reason, 20), row.exit_code)) if ended and row.reason else "",
        data(row.output, limit) if ended else "",
    ]


def columns(placeholders: Sequence[str]) -> list[str]:
    """Return the heads of the columns of `cells`."""
    given = [data(name, 32) for name in placeholders] if 0 < len(placeholders) <= MOST_VALUES else ["Command"]
    return ["Task", "State", *given, "Node", "Run time", "Ended by", "Output"]
