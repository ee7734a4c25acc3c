"""A job as text and as static HTML: pure functions of a snapshot.

The HTML is what a saved notebook, nbconvert and a page without a kernel show. It needs no script and no style
sheet, inherits the colours of the page around it, and keeps its bar in an image: sanitizers that drop inline
SVG leave an image alone, and where even that is gone its alternative text remains. Everything that came from a
user or a task is text: cleaned, cut and escaped.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from types import MappingProxyType
from typing import Final

from .backend.core.states import IN_FLIGHT, Reason, TaskState
from .backend.core.views import JobView

#: no report grows past these
MAX_FAILURES = 10
MAX_NOTICES = 5
MAX_TEXT = 200

BAR_CELLS = 20

#: how each reason reads after a number
REASON_TEXT: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.EXIT: "by exit code",
        Reason.SIGNAL: "by signal",
        Reason.TIMEOUT: "timed out",
        Reason.MEMORY: "out of memory",
        Reason.DISK: "wrote too much",
        Reason.MONITOR: "stopped by the monitor",
        Reason.USER: "killed",
        Reason.SPAWN: "could not start",
        Reason.LOST: "lost with the node",
    }
)

#: the order of every bar: what is settled first, what is still to come last
BAR_ORDER: Final = (
    TaskState.FINISHED,
    TaskState.FAILED,
    TaskState.KILLED,
    TaskState.LOST,
    TaskState.UNREACHABLE,
    TaskState.RUNNING,
    TaskState.STAGING,
    TaskState.QUEUED,
)

# Okabe and Ito's colours, tuned to stand on white and on near-black alike; each state has a sign of its own too.
_COLOURS: Final[Mapping[TaskState, str]] = MappingProxyType(
    {
        TaskState.FINISHED: "#009e73",
        TaskState.FAILED: "#d55e00",
        TaskState.KILLED: "#b8659a",
        TaskState.LOST: "#6b7280",
        TaskState.UNREACHABLE: "#c98a00",
        TaskState.RUNNING: "#2a86c8",
        TaskState.STAGING: "#6fb7e6",
        TaskState.QUEUED: "#8b93a0",
    }
)
_SIGNS: Final[Mapping[TaskState, str]] = MappingProxyType(
    {
        TaskState.FINISHED: "✓",
        TaskState.FAILED: "✗",
        TaskState.KILLED: "■",
        TaskState.LOST: "?",
        TaskState.UNREACHABLE: "≈",
        TaskState.RUNNING: "▸",
        TaskState.STAGING: "↑",
        TaskState.QUEUED: "⋯",
    }
)

# control characters, marks that turn the direction of what follows them, and lone surrogates
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_LONG = re.compile(r"\S{30}(?=\S)")


@dataclass(frozen=True, slots=True)
class Failure:
    """One task that ended otherwise than with exit code 0.

    Attributes
    ----------
    task : int
        Its index.
    reason : str
        Why it ended, a `Reason`.
    exit_code : int or None
        The exit code; a signal as its negative number.
    text : str
        The line of its stderr that says most.
    """

    task: int
    reason: str
    exit_code: int | None = None
    text: str = ""


def clean(text: str, limit: int = MAX_TEXT) -> str:
    r"""Return `text` fit to be shown: one line, no controls, at most `limit` characters.

    A character that could move the cursor or turn the direction of writing is spelled out, and so is a byte
    that was no text (``\xff``).
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return _UNSAFE.sub(_spell, cut)


def _spell(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: a byte of a file name that is not UTF-8
        code -= 0xDC00
    return {0x09: " ", 0x0A: "↵"}.get(code) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def duration_text(seconds: float) -> str:
    """Return a duration as a person reads it: ``1.2 s``, ``42 s``, ``3 min 05 s``, ``2 h 05 min``, ``3 d 04 h``."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def rate_text(per_s: float) -> str:
    """Return a rate with the unit that makes a readable number: ``140/s``, ``2.5/s``, ``12/min``, ``3.0/h``."""
    for value, unit in ((per_s, "s"), (per_s * 60, "min"), (per_s * 3600, "h")):
        if value >= 1 or unit == "h":
            break
    return f"{value:,.0f}/{unit}" if value >= 9.95 else f"{value:.1f}/{unit}"


def state_text(view: JobView) -> tuple[str, str]:
    """Say in a word or three how a job is doing, and in which tone.

    Returns
    -------
    text : str
        As ``running`` or ``ended with failures``.
    tone : str
        ``good``, ``bad``, ``stopped``, ``live`` or ``idle``.
    """
    if view.total and not view.unfinished:
        if view.ended_at is None:
            return "waits for more tasks", "idle"
        if view[TaskState.FAILED] or view[TaskState.LOST]:
            return "ended with failures", "bad"
        return ("stopped", "stopped") if view[TaskState.KILLED] else ("finished", "good")
    if view.held and view[TaskState.QUEUED]:
        return view.held, "idle" if view.held == "paused" else "bad"
    if not any(view[state] for state in IN_FLIGHT):
        return ("queued" if view.total else "no tasks yet"), "idle"
    if not view[TaskState.RUNNING] and not view[TaskState.STAGING]:
        return "nodes unreachable", "bad"
    return "running", "live"


def failure_reasons(view: JobView) -> dict[str, int]:
    """Return how many tasks failed for each reason, in words, the most frequent first."""
    failed = {reason: view.reasons.get(reason, 0) for reason in Reason}
    failed[Reason.EXIT] -= view[TaskState.FINISHED]  # exit code 0 is an exit too
    ranked = sorted(failed.items(), key=lambda item: -item[1])
    return {REASON_TEXT[reason]: count for reason, count in ranked if count > 0}


def plain_text(view: JobView) -> str:
    """Return a job as one line, for terminals.

    ``demo run 1 on local[2]: 812/1,000 done (3 failed), 140/s, 1.2 s left  [################....]``
    """
    line = f"{_title(view)}: {view.done:,}/{view.total:,} done"
    killed = view[TaskState.KILLED]
    counts = ((view.failed - killed, "failed"), (killed, "killed"))
    if view.failed:
        line += f" ({', '.join(f'{count:,} {word}' for count, word in counts if count)})"
    if view.ended_at is not None:
        line += f" in {duration_text(view.elapsed_s)}"
    else:
        if view.rate_per_s is not None:
            line += f", {rate_text(view.rate_per_s)}"
        if view.eta_s is not None:
            line += f", {duration_text(view.eta_s)} left"
        if view.held and view.unfinished:
            line += f", {view.held}"
    filled = BAR_CELLS * view.done // view.total if view.total else 0
    return f"{line}  [{'#' * filled}{'.' * (BAR_CELLS - filled)}]"


def _title(view: JobView) -> str:
    return f"{clean(view.job_id)} run {view.run} on {clean(view.engine)}"


_MUTED = "opacity:.72"
_TABULAR = "font-variant-numeric:tabular-nums"
_RULE = "1px solid rgba(128,128,128,.32)"
_HEAD = f"text-align:left;vertical-align:top;white-space:nowrap;font-weight:normal;{_MUTED}"
_TABLE = f"border:none;border-collapse:collapse;{_TABULAR}"


def static_html(view: JobView, failures: Sequence[Failure] = ()) -> str:
    """Return a job as one folded piece of HTML that stands on its own.

    Parameters
    ----------
    view : JobView
        The snapshot to show.
    failures : sequence of Failure
        Tasks that failed, the first ten of which are shown.
    """
    state, tone = state_text(view)
    sign = {"good": "✓", "bad": "✗", "stopped": "■", "live": "●"}.get(tone, "⋯")
    parts = [
        '<details style="margin:4px 0;font-size:13px;line-height:1.5">',
        f'<summary style="cursor:pointer;{_TABULAR}">{sign} {escape(plain_text(view).split("  [")[0])}</summary>',
        '<div style="margin:8px 0 4px;padding:12px 16px 14px;border:' + _RULE + ';border-radius:8px;max-width:960px">',
        f"<div><strong>{_data(view.job_id)}</strong> run {view.run} on {_data(view.engine)}: {state}</div>",
        _bar(view),
        _legend(view),
        _facts(view),
        _failures(view, failures),
        _notices(view),
        f'<div style="{_MUTED};margin-top:10px;font-size:12px">As of {_moment(view.at_s)}</div>',
        "</div></details>",
    ]
    return "".join(parts)


def _data(text: str) -> str:
    # <bdi>: a right-to-left name must not turn the sentence around it. <wbr>: sanitizers leave a tag alone that
    # says where a long word may break, and drop the style that says so.
    marked = _LONG.sub(r"\g<0>\0", clean(text))
    return "<bdi>" + escape(marked).replace("\0", "<wbr>") + "</bdi>"


def _moment(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


_EMPTY_BAR = f'<rect width="600" height="10" fill="{_COLOURS[TaskState.QUEUED]}" fill-opacity=".4"/>'


def _bar(view: JobView) -> str:
    width, x = 600.0, 0.0
    there = [state for state in BAR_ORDER if view[state]]
    room = width - 3.0 * len(there)  # three units for each, so that one of a million can be seen
    rects = []
    for state in there:
        part = 3.0 + room * view[state] / view.total
        gap = 0.0 if state is there[-1] else 1.5
        faint = ' fill-opacity=".4"' if state is TaskState.QUEUED else ""  # light on white, dark on black
        rects.append(f'<rect x="{x:.1f}" width="{part - gap:.1f}" height="10" fill="{_COLOURS[state]}"{faint}/>')
        x += part
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} 10" preserveAspectRatio="none">'
        f"{''.join(rects) or _EMPTY_BAR}</svg>"
    )
    says = ", ".join(f"{view[state]:,} {state.name.lower()}" for state in there) or "no tasks"
    return (
        f'<img alt="{says}" src="data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}" '
        'style="display:block;width:100%;height:10px;margin:10px 0;border-radius:5px">'
    )


def _legend(view: JobView) -> str:
    items = [
        f'<span style="display:inline-block;margin-right:18px;white-space:nowrap">'
        f'<span style="color:{_COLOURS[state]};font-weight:bold">{_SIGNS[state]}</span> '
        f"{view[state]:,} {state.name.lower()}</span>"
        for state in BAR_ORDER
        if view[state]
    ]
    return f'<div style="{_TABULAR}">{" ".join(items)}</div>'


def _facts(view: JobView) -> str:
    facts = [("Done", f"{view.done:,} of {view.total:,}")]
    if view.failed:
        why = ", ".join(f"{count:,} {reason}" for reason, count in failure_reasons(view).items())
        facts.append(("Failed", f"{view.failed:,}" + (f" ({why})" if why else "")))
    facts.append(("Submitted", _moment(view.submitted_at)))
    facts.append(("Elapsed", duration_text(view.elapsed_s)))
    if view.ended_at is None:
        if view.rate_per_s is not None:
            facts.append(("Speed", rate_text(view.rate_per_s)))
        if view.eta_s is not None:
            facts.append(("Left", f"about {duration_text(view.eta_s)}"))
    if view.nodes:
        facts.append(("Nodes", f"{view.nodes:,}"))
    if view.attempts_lost:
        facts.append(("Attempts lost", f"{view.attempts_lost:,} (by the cluster, not by the commands)"))
    rows = "".join(
        f'<tr style="background:none"><th style="{_HEAD};padding:1px 20px 1px 0">'
        f'{name}</th><td style="text-align:left;padding:1px 0">{value}</td></tr>'
        for name, value in facts
    )
    return f'<table style="margin:10px 0 0;{_TABLE}"><tbody>{rows}</tbody></table>'


def _failures(view: JobView, failures: Sequence[Failure]) -> str:
    shown = failures[:MAX_FAILURES]
    if not shown:
        return ""
    cell = f"text-align:left;padding:4px 20px 4px 0;border-top:{_RULE};vertical-align:top"
    head = "".join(
        f'<th style="{_HEAD};padding:4px 20px 4px 0">{name}</th>' for name in ("Task", "Ended by", "What it said")
    )
    rows = "".join(
        f'<tr style="background:none"><td style="{cell}">{failure.task:,}</td>'
        f'<td style="{cell};white-space:nowrap">{escape(_ending(failure))}</td>'
        f'<td style="{cell};font-family:monospace">{_data(failure.text)}</td></tr>'
        for failure in shown
    )
    more = view.failed - len(shown)
    rest = f'<div style="{_MUTED};margin-top:4px">and {more:,} more</div>' if more > 0 else ""
    return (
        f'<table style="margin:12px 0 0;{_TABLE}"><thead>'
        f'<tr style="background:none">{head}</tr></thead><tbody>{rows}</tbody></table>{rest}'
    )


def _ending(failure: Failure) -> str:
    match failure.reason, failure.exit_code:
        case Reason.EXIT, int(code):
            return f"exit code {code}"
        case Reason.SIGNAL, int(code):
            return f"signal {abs(code)}"
        case reason, _ if reason in REASON_TEXT:
            return REASON_TEXT[Reason(reason)]
        case reason, _:
            return clean(reason)


def _notices(view: JobView) -> str:
    lines = "".join(
        f'<div style="margin-top:4px">Note: {_data(notice)}</div>' for notice in view.notices[-MAX_NOTICES:]
    )
    return f'<div style="margin-top:10px">{lines}</div>' if lines else ""
