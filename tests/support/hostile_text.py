"""Text that breaks careless pages, and a job that is full of it."""

from __future__ import annotations

from typing import Any

from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.backend.results.failure_groups import Group
from stratos_jupyter.backend.store.rows import Span
from stratos_jupyter.report.summary import JobSummary, Row

#: whatever of it runs sets this flag of the page
FLAG = "window.ran=1"

HOSTILE = [
    f"<script>{FLAG}</script>",
    f"<img src=http://evil.example/x onerror={FLAG}>",
    f"</title></style></svg></table></details><script>{FLAG}</script>",
    f"]]></text></svg><svg onload={FLAG}>",
    "<style>*{display:none!important}</style>",
    "<meta http-equiv=refresh content='0;url=http://evil.example/'>",
    f"<a href='javascript:{FLAG}'>click</a><iframe src=http://evil.example>",
    "${1}{{7*7}}`${7*7}`",
    "\u200fאבג\u202edcba\u2069\u061c",
    "e" + "\u0301" * 300,
    "\x1b[31m" * 5000 + "\x1b]0;title\x07\x1b[2J\x9b5A\r",
    "<script>alert(1)</script>",
    "</details><img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "'><svg onload=alert(1)>",
    "&lt;b&gt;",
    "\u202egnp.exe\u2066",
    "\x1b[2Jwiped\x07\x00",
    "two\nlines\r\n",
    "byte\udcff and half\ud800",
    "Zürich 🌌",
    "x" * 1_000_000,
]


def view_of(**changes: Any) -> JobView:
    counts = dict.fromkeys(TaskState, 0)
    counts |= {state: changes.pop(state.name.lower()) for state in TaskState if state.name.lower() in changes}
    known: dict[str, Any] = {"job_id": "demo", "run": 1, "engine": "local[2]", "at_s": 1005.8, "submitted_at": 1000.0}
    return JobView(counts=tuple(counts.values()), **known | changes)


def span(task: int, start: float = 0.0, wall: float = 1.0, **changes: Any) -> Span:
    state = changes.get("state", TaskState.FINISHED)
    usual = {
        "reason": Reason.EXIT,
        "exit_code": 0 if state == TaskState.FINISHED else 1,
        "node": "node-1",
        "attempt": 1,
    }
    known = {"state": state, "cpu_s": 0.5, "max_rss_mib": 10.0, "local_fraction": None, **usual, **changes}
    return Span(task=task, started_at=1000.0 + start, finished_at=1000.0 + start + wall, **known)


def hostile_summary(*texts: str, placeholders: int = 0) -> JobSummary:
    """Return a job that has these texts wherever a user or a task can put some."""
    given = texts or tuple(HOSTILE)
    names = [given[n % len(given)] for n in range(200)]
    rows = [
        Row(n, TaskState.FAILED, name, (name,) * placeholders, name, name, 1, 0.5, name) for n, name in enumerate(names)
    ]
    groups = [Group(name, 1, name, name, tuple(range(n, 2000, 200))) for n, name in enumerate(names)]
    spans = [span(n, n, node=name, reason=name, state=TaskState.FAILED) for n, name in enumerate(names)]
    worst = bytes(n % 8 for n in range(2000))
    view = view_of(
        job_id=given[0],
        engine=given[0],
        held=given[0],
        notices=tuple(names),
        reasons={Reason.EXIT: 2000},
        **{state.name.lower(): 250 for state in TaskState},
    )
    settings = {"job_id": given[0], "monitor": given[-1], "where": [[name, name] for name in names], given[0]: given[0]}
    return JobSummary(view, groups, worst, names[:placeholders], rows, rows[:10], spans, settings)
