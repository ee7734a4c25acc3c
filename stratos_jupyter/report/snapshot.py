"""A job as a folded piece of static HTML: what a saved notebook, nbconvert and a page without a kernel show.

It needs no script and no style sheet, inherits the colours of the page around it, and keeps its pictures in images:
sanitizers that drop inline SVG leave an image alone, and where even that is gone its alternative text remains.
Everything that came from a user or a task is text: cleaned, cut and escaped. However hostile that is, the whole stays
below `MOST_BYTES`: a notebook keeps it for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from ..backend.core.views import JobView
from .html import bar_svg, breakable, cells, columns, counts_text, data, image
from .mosaic import mosaic, mosaic_text, sample
from .states import BAR_ORDER, COLOURS, SIGNS
from .summary import JobSummary
from .text import MAX_NOTICES, facts, moment_text, plain_text, ranges_text, state_text

#: no snapshot is larger
MOST_BYTES: Final = 64 * 1024
#: how many groups of failures it shows
MOST_GROUPS: Final = 8
#: how many tasks it shows
MOST_ROWS: Final = 10
#: how many cells its mosaic has at most, across and down
ACROSS: Final = 60
DOWN: Final = 14

_LABEL: Final = 120
_CELL: Final = 60

SIGN_OF_TONE: Final = {"good": "✓", "bad": "✗", "stopped": "■", "live": "●"}

_MUTED = "opacity:.72"
_TABULAR = "font-variant-numeric:tabular-nums"
_RULE = "1px solid rgba(128,128,128,.32)"
_HEAD = f"text-align:left;vertical-align:top;white-space:nowrap;font-weight:normal;{_MUTED}"
_TABLE = f"border:none;border-collapse:collapse;{_TABULAR}"
_PLAIN = "background:none"  # a notebook paints every other row

#: In a notebook that is opened again, a widget whose model is gone is a line that says so (*Error displaying widget*,
#: or *Loading widget* for ever). This hides an output that should be a widget, has nothing in it, and stands right
#: above our snapshot. A front end without these classes, or that drops style sheets, is not concerned.
HIDE_LOST_WIDGET: Final = (
    "<style>.jp-OutputArea-child:has(+ .jp-OutputArea-child .stratos-snapshot)"
    " > .lm-Panel.jp-OutputArea-output:not(:has(*)) { display: none; }</style>"
)


def static_html(summary: JobSummary) -> str:
    """Return a job as one folded piece of HTML that stands on its own, of at most `MOST_BYTES` bytes."""
    for rows in (MOST_ROWS, 3, 0):
        html = _html(summary, rows)
        if len(html.encode()) <= MOST_BYTES:
            break
    return html


def _html(summary: JobSummary, rows: int) -> str:
    view = summary.view
    state, tone = state_text(view)
    sign = SIGN_OF_TONE.get(tone, "⋯")
    bar = "display:block;width:100%;height:10px;margin:10px 0;border-radius:5px"
    parts = [
        '<details class="stratos-snapshot" style="margin:4px 0;font-size:13px;line-height:1.5">',
        f'<summary style="cursor:pointer;{_TABULAR}">{sign} {breakable(plain_text(view).split("  [")[0])}</summary>',
        '<div style="margin:8px 0 4px;padding:12px 16px 14px;border:' + _RULE + ';border-radius:8px;max-width:960px">',
        f"<div><strong>{data(view.job_id)}</strong> run {view.run} on {data(view.engine)}: {breakable(state)}</div>",
        image(bar_svg(view), counts_text(view), bar),
        _legend(view),
        _mosaic(summary),
        _facts(view),
        _failures(summary),
        _notices(view),
        _rows(summary, rows),
        f'<div style="{_MUTED};margin-top:10px;font-size:12px">As of {moment_text(view.at_s)}</div>',
        "</div></details>",
    ]
    return "".join(parts)


def _legend(view: JobView) -> str:
    size = "display:inline-block;width:13px;height:13px;vertical-align:-2px;margin:0"
    items = [
        f'<span style="display:inline-block;margin-right:18px;white-space:nowrap">'
        f"{image(sample(state), SIGNS[state], size)} {view[state]:,} {state.name.lower()}</span>"
        for state in BAR_ORDER
        if view[state]
    ]
    return f'<div style="{_TABULAR}">{" ".join(items)}</div>'


def _mosaic(summary: JobSummary) -> str:
    drawn = mosaic(summary.states, ACROSS, DOWN)
    if len(summary.states) < 2 or not drawn.svg:
        return ""
    style = f"display:block;width:{drawn.width}px;max-width:100%;height:auto;margin:12px 0 0"
    says = mosaic_text(drawn)
    caption = f'<div style="{_MUTED};font-size:12px;margin-top:2px">{says}</div>'
    return image(drawn.svg, says, style) + caption


def _facts(view: JobView) -> str:
    rows = "".join(
        f'<tr style="{_PLAIN}"><th style="{_HEAD};padding:1px 20px 1px 0">{name}</th>'
        f'<td style="text-align:left;padding:1px 0">{escape(value)}</td></tr>'
        for name, value in facts(view)
    )
    return f'<table style="margin:10px 0 0;{_TABLE}"><tbody>{rows}</tbody></table>'


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]], right: Sequence[int], mono: Sequence[int]) -> str:
    """Return a table, whose cells are HTML; `right` and `mono` are columns of numbers, and of what programs say."""
    padding = "padding:4px 20px 4px 0"
    place = {n: "text-align:right" if n in right else "text-align:left" for n in range(len(heads))}
    head = "".join(f'<th style="{_HEAD};{place[n]};{padding}">{name}</th>' for n, name in enumerate(heads))
    cell = f"{padding};border-top:{_RULE};vertical-align:top"
    styles = [
        f"{place[n]};{cell}" + (";font-family:monospace;min-width:12em" if n in mono else ";white-space:nowrap")
        for n in range(len(heads))
    ]
    body = "".join(
        f'<tr style="{_PLAIN}">'
        + "".join(f'<td style="{style}">{value}</td>' for style, value in zip(styles, line, strict=True))
        + "</tr>"
        for line in lines
    )
    return (
        f'<div style="overflow-x:auto;margin:12px 0 0"><table style="margin:0;{_TABLE}"><thead>'
        f'<tr style="{_PLAIN}">{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _more(text: str) -> str:
    return f'<div style="{_MUTED};margin-top:4px">{text}</div>'


def _failures(summary: JobSummary) -> str:
    shown, rest = summary.groups[:MOST_GROUPS], summary.groups[MOST_GROUPS:]
    if not shown:
        return ""
    red = f'<span style="color:{COLOURS[BAR_ORDER[1]]};font-weight:bold">✗</span>'
    lines = [
        (f"{red}&nbsp;{group.count:,}&nbsp;×", data(group.label, _LABEL), data(ranges_text(group.tasks)))
        for group in shown
    ]
    more = f"and {sum(group.count for group in rest):,} more in {len(rest):,} groups" if rest else ""
    return _table(("Failed", "What they have in common", "Tasks"), lines, (0,), (1,)) + (_more(more) if more else "")


def _notices(view: JobView) -> str:
    lines = "".join(f'<div style="margin-top:4px">Note: {data(notice)}</div>' for notice in view.notices[-MAX_NOTICES:])
    return f'<div style="margin-top:10px">{lines}</div>' if lines else ""


def _rows(summary: JobSummary, most: int) -> str:
    shown = summary.rows[:most]
    if not shown:
        return ""
    heads = columns(summary.placeholders)
    last = len(heads) - 1
    lines = [cells(row, summary.placeholders, _CELL) for row in shown]
    more = summary.view.total - len(shown)
    made = _table(heads, lines, (0, last - 2), (*range(2, last - 3), last))
    return made + (_more(f"and {more:,} more tasks") if more > 0 else "")
