"""A job as text and as static HTML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from base64 import b64decode
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.report import (
    MAX_FAILURES,
    MAX_TEXT,
    Failure,
    clean,
    duration_text,
    failure_reasons,
    plain_text,
    rate_text,
    state_text,
    static_html,
)

HOSTILE = [
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


class Page(HTMLParser):
    """What a browser would make of it: tags, attributes and text; fails on tags that don't match."""

    VOID = frozenset({"img", "br"})

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html.replace("<wbr>", ""))  # where a long word may break
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def bar(self) -> list[ET.Element]:
        (source,) = self.attributes["src"]
        kind, _, data = source.partition(",")
        assert kind == "data:image/svg+xml;base64"
        return list(ET.fromstring(b64decode(data)))


def test_one_line_says_how_far_how_fast_how_long() -> None:
    view = view_of(finished=809, failed=3, running=2, queued=186, rate_per_s=140.2, eta_s=1.24)
    assert plain_text(view) == (
        "demo run 1 on local[2]: 812/1,000 done (3 failed), 140/s, 1.2 s left  [################....]"
    )


def test_one_line_of_a_job_that_has_ended_says_how_long_it_took() -> None:
    view = view_of(finished=1000, ended_at=1125.0, rate_per_s=140.0, at_s=5000.0)
    assert plain_text(view) == "demo run 1 on local[2]: 1,000/1,000 done in 2 min 05 s  [####################]"


def test_one_line_of_a_job_without_tasks() -> None:
    assert plain_text(view_of()) == "demo run 1 on local[2]: 0/0 done  [....................]"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0.0 s"),
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (86400 * 3 + 4 * 3600, "3 d 04 h"),
    ],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("per_s", "text"),
    [(1234.5, "1,234/s"), (9.96, "10/s"), (2.5, "2.5/s"), (0.2, "12/min"), (0.001, "3.6/h"), (0, "0.0/h")],
)
def test_rates_take_the_unit_that_reads_well(per_s: float, text: str) -> None:
    assert rate_text(per_s) == text


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, ("no tasks yet", "idle")),
        ({"queued": 3}, ("queued", "idle")),
        ({"queued": 3, "finished": 1}, ("queued", "idle")),
        ({"staging": 1}, ("running", "live")),
        ({"running": 1, "failed": 1}, ("running", "live")),
        ({"unreachable": 1, "queued": 9}, ("nodes unreachable", "bad")),
        ({"finished": 2}, ("waits for more tasks", "idle")),
        ({"finished": 2, "ended_at": 1001.0}, ("finished", "good")),
        ({"finished": 2, "killed": 1, "ended_at": 1001.0}, ("stopped", "stopped")),
        ({"finished": 2, "killed": 1, "failed": 1, "ended_at": 1001.0}, ("ended with failures", "bad")),
        ({"finished": 2, "lost": 1, "ended_at": 1001.0}, ("ended with failures", "bad")),
    ],
)
def test_a_job_s_state_in_words(counts: dict[str, Any], expected: tuple[str, str]) -> None:
    assert state_text(view_of(**counts)) == expected


def test_exit_code_0_is_no_failure() -> None:
    view = view_of(finished=90, failed=8, killed=2, reasons={Reason.EXIT: 93, Reason.TIMEOUT: 5, Reason.USER: 2})
    assert failure_reasons(view) == {"timed out": 5, "by exit code": 3, "killed": 2}
    assert failure_reasons(view_of(finished=90, reasons={Reason.EXIT: 90})) == {}


def test_every_reason_has_its_words() -> None:
    for reason in Reason:
        assert failure_reasons(view_of(failed=1, reasons={reason: 1}))


@pytest.mark.parametrize("text", HOSTILE)
def test_cleaned_text_is_one_short_line_that_any_page_can_hold(text: str) -> None:
    shown = clean(text)
    shown.encode()  # no lone surrogates
    assert shown.isprintable() or "🌌" in shown
    assert len(clean("a" * 500)) == MAX_TEXT
    assert clean("plain, Zürich 🌌") == "plain, Zürich 🌌"


def test_what_cannot_be_shown_is_spelled_out() -> None:
    assert clean("a\nb\udcff\u202e\x1b") == "a↵b\\xff\\u202e\\x1b"


@pytest.mark.parametrize("text", HOSTILE)
def test_the_snapshot_holds_hostile_text_as_text(text: str) -> None:
    view = view_of(
        job_id=text, engine=text, notices=(text,), finished=1, failed=2, reasons={Reason.EXIT: 2, Reason.SIGNAL: 1}
    )
    html = static_html(view, [Failure(0, text, 1, text), Failure(1, Reason.SIGNAL, -11, text)])
    page = Page(html)
    harmless = {
        "details",
        "summary",
        "div",
        "span",
        "strong",
        "bdi",
        "img",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert set(page.tags) <= harmless
    assert set(page.attributes) == {"style", "alt", "src"}
    assert page.text.count(clean(text)) >= 4
    assert len(html.encode()) < 20_000


def test_the_snapshot_is_folded_and_its_fold_says_what_matters() -> None:
    html = static_html(view_of(finished=809, failed=3, running=2, queued=186, rate_per_s=140.2, eta_s=1.24))
    assert html.startswith("<details style=")
    assert "open" not in Page(html).attributes
    assert "demo run 1 on local[2]: 812/1,000 done (3 failed), 140/s, 1.2 s left</summary>" in html


def test_the_snapshot_says_of_when_it_is() -> None:
    assert "As of 1970-01-01 00:16:45 UTC" in Page(static_html(view_of(queued=1))).text


def test_the_snapshot_names_the_first_failures_and_how_many_more_there_are() -> None:
    failures = [Failure(task, Reason.EXIT, 3, f"cannot open {task}") for task in range(50)]
    text = Page(static_html(view_of(failed=60, reasons={Reason.EXIT: 60}), failures)).text
    assert "cannot open 9" in text
    assert "cannot open 10" not in text
    assert f"and {60 - MAX_FAILURES} more" in text


def test_a_failure_says_how_it_ended() -> None:
    failures = [
        Failure(0, Reason.EXIT, 3),
        Failure(1, Reason.SIGNAL, -9),
        Failure(2, Reason.TIMEOUT),
        Failure(3, "odd"),
    ]
    text = Page(static_html(view_of(failed=4), failures)).text
    for words in ("exit code 3", "signal 9", "timed out", "odd"):
        assert words in text


@given(st.lists(st.integers(0, 10**7), min_size=8, max_size=8))
def test_the_bar_shows_every_state_that_is_there(counts: list[int]) -> None:
    view = view_of(**{state.name.lower(): count for state, count in zip(TaskState, counts, strict=True)})
    page = Page(static_html(view))
    widths = [float(rect.attrib["width"]) for rect in page.bar]
    there = sum(count > 0 for count in counts)
    assert len(widths) == max(1, there)
    assert min(widths) >= 1.5
    ends = [float(rect.attrib.get("x", 0)) + float(rect.attrib["width"]) for rect in page.bar]
    assert ends[-1] == pytest.approx(600, abs=0.5)
    told = page.attributes["alt"][0].split(", ")
    assert sorted(told) == sorted(f"{view[s]:,} {s.name.lower()}" for s in TaskState if view[s]) or not there


def test_a_long_word_can_break() -> None:
    html = static_html(view_of(failed=1), [Failure(0, Reason.EXIT, 1, "&" * 150)])
    assert max(len(piece) for piece in html.split("<wbr>")[1:-1]) <= 30 * len("&amp;")
    assert Page(html).text.count("&" * 150) == 1
    assert "<wbr>" not in static_html(view_of(failed=1), [Failure(0, Reason.EXIT, 1, "some short words " * 10)])
