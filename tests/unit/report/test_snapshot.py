"""A job as a folded piece of static HTML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from base64 import b64decode
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.results.failure_groups import Group
from stratos_jupyter.report.snapshot import MOST_BYTES, MOST_GROUPS, MOST_ROWS, static_html
from stratos_jupyter.report.summary import LEFT_OUT, JobSummary, Row
from stratos_jupyter.report.text import clean
from tests.support.hostile_text import HOSTILE, hostile_summary, view_of

HARMLESS = frozenset(
    {"details", "summary", "div", "span", "strong", "bdi", "img", "table", "thead", "tbody", "tr", "th", "td"}
)


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
    def pictures(self) -> dict[str, list[ET.Element]]:
        """What is drawn, by what it says."""
        found = {}
        for says, source in zip(self.attributes["alt"], self.attributes["src"], strict=True):
            kind, _, data = source.partition(",")
            assert kind == "data:image/svg+xml;base64"
            found[says] = list(ET.fromstring(b64decode(data)))
        return found


def html_of(groups: Any = (), states: bytes = b"", rows: Any = (), placeholders: Any = (), **changes: Any) -> str:
    return static_html(JobSummary(view_of(**changes), groups, states, placeholders, rows))


def group(*tasks: int, text: str = "cannot open <path>") -> Group:
    return Group(Reason.EXIT, 3, text, text, tasks)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("placeholders", [0, 2])
def test_hostile_text_is_text(text: str, placeholders: int) -> None:
    page = Page(static_html(hostile_summary(text, placeholders=placeholders)))
    assert set(page.tags) <= HARMLESS
    assert set(page.attributes) == {"class", "style", "alt", "src"}
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.attributes["src"])
    assert page.text.count(clean(text)[:20]) >= 20


@pytest.mark.parametrize("text", ["\u202e" * 5000, "\U0001f30c" * 5000, "'" * 5000, "&<" * 5000, "\x00" * 5000])
@pytest.mark.parametrize("placeholders", [0, 3])
def test_no_snapshot_is_larger_than_it_may_be(text: str, placeholders: int) -> None:
    summary = hostile_summary(text, placeholders=placeholders)
    assert len(static_html(summary).encode()) <= MOST_BYTES
    assert "What they have in common" in static_html(summary)


def test_a_usual_snapshot_is_small() -> None:
    rows = [
        Row(n, TaskState.FINISHED, f"gsnap -nt 01111 snap_{n}.dat", (), "node-1", "exit", 0, 1.0, "12")
        for n in range(10)
    ]
    assert len(html_of(states=bytes([4]) * 5000, finished=5000, rows=rows).encode()) < 20_000


def test_it_is_folded_and_its_fold_says_what_matters() -> None:
    html = html_of(finished=809, failed=3, running=2, queued=186, rate_per_s=140.2, eta_s=1.24)
    assert html.startswith("<details class=")
    assert "open" not in Page(html).attributes
    assert "demo run 1 on local[2]: 812/1,000 done (3 failed), 140/s, 1.2 s left</summary>" in html


def test_it_says_of_when_it_is() -> None:
    assert "As of 1970-01-01 00:16:45 UTC" in Page(html_of(queued=1)).text


def test_failures_are_grouped_and_their_tasks_named() -> None:
    text = Page(html_of([group(*range(7), 9), group(12, text="no mass")], failed=9)).text
    assert "8\xa0×" in text
    assert "exit 3: cannot open <path>" in text
    assert "0-6,9" in text
    assert "exit 3: no mass" in text


def test_more_groups_than_fit_are_counted() -> None:
    groups = [group(n, 100 + n, text=f"word{chr(97 + n)}") for n in range(MOST_GROUPS + 3)]
    text = Page(html_of(groups, failed=22)).text
    assert f"word{chr(96 + MOST_GROUPS)}" in text
    assert f"word{chr(97 + MOST_GROUPS)}" not in text
    assert "and 6 more in 3 groups" in text


def test_the_first_rows_are_a_table() -> None:
    rows = [
        Row(0, TaskState.FINISHED, "prog a", ("a.dat",), "node-1", "exit", 0, 0.0537, "12\t3"),
        Row(1, TaskState.FAILED, "prog b", ("b.dat",), "node-2", "signal", -11, 2.0, ""),
        Row(2, TaskState.RUNNING, "prog c", ("c.dat",), "node-2", "exit", 1, 2.0, "of an older attempt"),
    ]
    text = Page(html_of(rows=rows, placeholders=("file",), finished=1, failed=1, running=48)).text
    text = text.replace("\xa0", " ")
    for words in ("file", "a.dat", "53.7 ms", "12 3", "signal 11 (SEGV)", "node-2", "running", "and 47 more tasks"):
        assert words in text
    assert "prog a" not in text  # the placeholder's value tells it from the others
    assert "older" not in text
    many = tuple(f"c{n}" for n in range(9))
    assert "prog a" in Page(html_of(rows=rows[:1], placeholders=many, finished=1)).text
    assert Page(html_of(rows=rows * 10, finished=30)).tags.count("tr") == 3 + 1 + MOST_ROWS


def test_the_mosaic_is_there_when_it_tells_something() -> None:
    assert "a cell is one task" in Page(html_of(states=bytes([4, 5]), finished=1, failed=1)).text
    assert "a cell is 6 tasks: " in Page(html_of(states=bytes(5000), queued=5000)).text
    assert "a cell is" not in html_of(states=bytes([4]), finished=1)
    assert "a cell is" not in html_of(states=b"", finished=9)
    assert len(html_of(states=bytes([LEFT_OUT]) * 9 + bytes([4]), finished=1)) > 100


@given(st.lists(st.integers(0, 10**7), min_size=8, max_size=8))
def test_the_bar_shows_every_state_that_is_there(counts: list[int]) -> None:
    view = view_of(**{state.name.lower(): count for state, count in zip(TaskState, counts, strict=True)})
    pictures = Page(static_html(JobSummary(view))).pictures
    told, bar = next(iter(pictures.items()))
    widths = [float(rect.attrib["width"]) for rect in bar]
    there = sum(count > 0 for count in counts)
    assert len(widths) == max(1, there)
    assert min(widths) >= 1.5
    ends = [float(rect.attrib.get("x", 0)) + float(rect.attrib["width"]) for rect in bar]
    assert ends[-1] == pytest.approx(600, abs=0.5)
    # a comma parts thousands, a comma and a blank parts states
    assert (
        sorted(told.split(", ")) == sorted(f"{view[s]:,} {s.name.lower()}" for s in TaskState if view[s]) or not there
    )
    assert len(pictures) == 1 + there  # and a sample of each


def test_a_long_word_can_break() -> None:
    html = html_of([group(0, text="&" * 150)], failed=1)
    assert max(len(piece) for piece in html.split("<wbr>")[1:-1]) <= 30 * len("&amp;")
    assert Page(html).text.count("&" * 100) == 1
    assert "<wbr>" not in html_of([group(0, text="some short words " * 10)], failed=1)
