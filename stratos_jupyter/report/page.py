"""A job as one page of HTML that stands on its own: no script, no request, light and dark, on screen and paper.

Its own policy (CSP) forbids scripts and every request: should anything that came from a task ever be taken for HTML, it
could do nothing.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Final

from .._version import __version__
from ..backend.core.phrases import duration_text, length_text
from ..backend.core.views import JobView
from ..backend.spec.job_spec import JobSpec
from ..backend.spec.parse_rules import codes_text, fail_on_text
from ..errors import SpecError, StratosError
from .gantt import gantt
from .histogram import histogram, quantile, wall_times
from .html import bar_svg, breakable, cells, columns, counts_text, data, image
from .mosaic import mosaic, mosaic_text, sample
from .snapshot import SIGN_OF_TONE
from .states import BAR_ORDER, SIGNS
from .summary import JobSummary, Row
from .text import clean, facts, moment_text, ranges_text, state_text

#: how each of our pages begins: nothing else is written over
BEGINS: Final = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="stratos_jupyter '
)
MOST_GROUPS: Final = 50
MOST_NOTICES: Final = 50
MOST_ACROSS: Final = 100
MOST_DOWN: Final = 40

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_CELL: Final = 120
_SETTING: Final = 500


def report_html(summary: JobSummary, made_at_s: float) -> str:
    """Return the page."""
    view = summary.view
    name = f"{clean(view.job_id)} run {view.run}"
    return "".join(
        (
            f'{BEGINS}{__version__}">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{escape(name)}</title><style>{_css()}</style></head><body><main>",
            _head(view),
            _facts(summary),
            "".join(f'<div class="notice">{data(notice)}</div>' for notice in view.notices[-MOST_NOTICES:]),
            _failures(summary),
            _mosaic(summary),
            _gantt(summary),
            _run_times(summary),
            _tasks("Slowest tasks", "", summary, summary.slowest),
            _tasks("First tasks" if len(summary.rows) < view.total else "Tasks", _rest(summary), summary, summary.rows),
            _settings(summary),
            f"<footer>Made on {moment_text(made_at_s)} by stratos_jupyter {__version__}, Python "
            f"{platform.python_version()}; the job as of {moment_text(view.at_s)}.</footer>",
            "</main></body></html>\n",
        )
    )


@cache
def _css() -> str:
    return (Path(__file__).parents[1] / "static" / "report.css").read_text("utf-8")


def _head(view: JobView) -> str:
    state, tone = state_text(view)
    sign = SIGN_OF_TONE.get(tone, "⋯")
    legend = "".join(
        f"<span>{image(sample(state), SIGNS[state], '')} {view[state]:,} {state.name.lower()}</span>"
        for state in BAR_ORDER
        if view[state]
    )
    return (
        f"<h1>{data(view.job_id)}</h1>"
        f'<div class="where">run {view.run} on {data(view.engine)} · '
        f'<span class="state {tone}">{sign} {breakable(state)}</span></div>'
        f"{image(bar_svg(view), counts_text(view), kind='bar')}"
        f'<div class="legend">{legend}</div>'
    )


def _facts(summary: JobSummary) -> str:
    found = [*facts(summary.view), *_measured(summary)]
    each = "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in found)
    return f'<dl class="facts">{each}</dl>'


def _measured(summary: JobSummary) -> Iterator[tuple[str, str]]:
    ran = [span for span in summary.spans if span.started_at is not None]
    walls = wall_times(ran)
    if walls:
        yield "Run time, median", length_text(quantile(walls, 0.5))
        yield "Run time, 95 % below", length_text(quantile(walls, 0.95))
        yield "Run time, longest", length_text(walls[-1])
    if ran:
        yield "Attempts", f"{len(ran):,}"
        yield "Nodes that ran some", f"{len({span.node for span in ran if span.node}):,}"
        yield "Processor time", duration_text(sum(span.cpu_s for span in ran))
        yield "Largest memory", f"{max(span.max_rss_mib for span in ran):,.0f} MiB"
    local = [span.local_fraction for span in ran if span.local_fraction is not None]
    if local:
        yield "Input on the same node", f"{100 * sum(local) / len(local):.0f} % on average"


def _section(title: str, says: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{f'<p>{says}</p>' if says else ''}{body}</section>"


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]], right: Sequence[int], mono: Sequence[int]) -> str:
    kind = {n: ' class="number"' if n in right else ' class="mono"' if n in mono else "" for n in range(len(heads))}
    head = "".join(f"<th{kind[n] if n in right else ''}>{name}</th>" for n, name in enumerate(heads))
    body = "".join(
        "<tr>" + "".join(f"<td{kind[n]}>{value}</td>" for n, value in enumerate(line)) + "</tr>" for line in lines
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _failures(summary: JobSummary) -> str:
    shown, rest = summary.groups[:MOST_GROUPS], summary.groups[MOST_GROUPS:]
    if not shown:
        return ""
    lines = [
        (f"{group.count:,}&nbsp;×", data(group.label), data(group.example), data(ranges_text(group.tasks)))
        for group in shown
    ]
    says = "Tasks that failed alike are one line; what differs from task to task is a mark."
    if rest:
        says += f" {sum(group.count for group in rest):,} more tasks, in {len(rest):,} groups, are not shown."
    heads = ("Failed", "What they have in common", "One of them said", "Tasks")
    return _section("Failures", says, _table(heads, lines, (0,), (1, 2)))


def _mosaic(summary: JobSummary) -> str:
    drawn = mosaic(summary.states, MOST_ACROSS, MOST_DOWN)
    if len(summary.states) < 2:
        return ""
    says = mosaic_text(drawn)
    picture = image(drawn.svg, says, f"width:{drawn.width}px", "mosaic")
    return _section("All tasks", says, picture)


def _gantt(summary: JobSummary) -> str:
    drawn = gantt(summary)
    if not drawn.svg:
        return ""
    return _section("Nodes", escape(drawn.says), f'<div class="wide">{drawn.svg}</div>')


def _run_times(summary: JobSummary) -> str:
    drawn = histogram(summary.spans)
    if not drawn:
        return ""
    return _section("Run times", "How many attempts ran how long; orange is what did not end well.",
                    f'<div class="wide">{drawn}</div>')  # fmt: skip


def _tasks(title: str, says: str, summary: JobSummary, rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    heads = columns(summary.placeholders)
    last = len(heads) - 1
    lines = [cells(row, summary.placeholders, _CELL) for row in rows]
    return _section(title, says, _table(heads, lines, (0, last - 2), (*range(2, last - 3), last)))


def _rest(summary: JobSummary) -> str:
    more = summary.view.total - len(summary.rows)
    if more <= 0:
        return ""
    job = clean(summary.view.job_id)
    all_ = f"df = %stratos results {job} --all, in a notebook, has all of them"
    return escape(f"{len(summary.rows):,} of {summary.view.total:,}; {all_}.")


def _settings(summary: JobSummary) -> str:
    given = dict(summary.settings)
    if not given:
        return ""
    usual = JobSpec().to_record()
    rules, usual_rules = given.pop("rules", {}), usual.pop("rules")
    differ = {name: value for name, value in given.items() if value != usual.get(name) or name in ("master", "threads")}
    differ |= {name: value for name, value in rules.items() if value != usual_rules.get(name)}
    differ.pop("threads_given", None)
    for name, text in (("ok_exit", codes_text), ("fail_on", fail_on_text)):
        if name in differ:
            differ[name] = text(differ[name])
    lines = "".join(
        f"<tr><th>{data(name)}</th><td>{data(_value(value), _SETTING)}</td></tr>" for name, value in differ.items()
    )
    says = "Where they differ from the default. Of the environment only the names of variables are kept."
    return _section("Settings", says, f'<table class="settings"><tbody>{lines}</tbody></table>')


def _value(value: Any) -> str:
    match value:
        case Mapping():
            return ", ".join(f"{name}={_value(part)}" for name, part in value.items())
        case list() | tuple():
            return ", ".join(map(_value, value))
        case float():
            return f"{value:g}"
        case str():
            return value[:_SETTING]
    return str(value)


def write_report(summary: JobSummary, where: str, made_at_s: float) -> tuple[Path, int]:
    """Write the page, over an older one of ours.

    Parameters
    ----------
    summary : JobSummary
        What to tell.
    where : str
        A file, or a folder; '' for the working directory. In a folder it is called JOB-RUN.html.
    made_at_s : float
        When that is.

    Returns
    -------
    path : Path
        Where it is now.
    size : int
        Its bytes.

    Raises
    ------
    SpecError
        Something else is in the way.
    StratosError
        It cannot be written.
    """
    path = Path(os.path.expanduser(where or ".")).absolute()
    if path.is_dir():
        path /= f"{summary.view.job_id}-{summary.view.run}.html"
    shown = clean(str(path), len(str(path)))
    page = report_html(summary, made_at_s).encode()
    aside = path.with_name(f".{path.name[:100]}.{os.getpid()}")
    try:
        if path.exists() and not _is_ours(path):
            raise SpecError(f"{shown} is there already and is no report; remove it, or name another file")
        try:
            aside.write_bytes(page)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise StratosError(f"cannot write {shown}: {error.strerror}") from error
    return path, len(page)


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    beginning = BEGINS.encode()
    with open(path, "rb") as file:
        return file.read(len(beginning)) == beginning


def written_text(path: Path, size: int) -> str:
    """Say what was written."""
    amount = f"{size / 1024:,.0f} KiB" if size < 1024 * 1024 else f"{size / 1024 / 1024:.1f} MiB"
    return f"{clean(str(path), len(str(path)))}: {amount}"
