"""The page that tells all of a job."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.results.failure_groups import Group
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.errors import SpecError, StratosError
from stratos_jupyter.report.page import report_html, write_report, written_text
from stratos_jupyter.report.summary import JobSummary, Row
from tests.support.hostile_text import HOSTILE, hostile_summary, span, view_of

ACTS = frozenset({"script", "iframe", "object", "embed", "form", "a", "link", "base", "button", "input", "video"})
VOID = frozenset({"meta", "img", "wbr"})


class Page(HTMLParser):
    """What a browser would make of it; fails on tags that don't match."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def usual() -> JobSummary:
    states = [TaskState.FINISHED] * 7 + [TaskState.FAILED, TaskState.RUNNING, TaskState.QUEUED]
    rows = [
        Row(n, state, f"prog {n}", (f"{n}.dat",), "node-1", "exit", 0, 1.5, f"line {n}")
        for n, state in enumerate(states)
    ]
    spans = [span(n, n, 1.5, state=states[n], local_fraction=0.5) for n in range(8)]
    view = view_of(
        finished=7, failed=1, running=1, queued=1, reasons={Reason.EXIT: 8}, notices=("/dfs/out is 96 % full",)
    )
    groups = [Group("exit", 3, "no mass in <path>", "no mass in 7.dat", (7,))]
    settings = JobSpec("demo", cwd="/work", env=(("TOKEN", "secret"),), timeout_s=90.0).to_record()
    return JobSummary(view, groups, bytes(states), ("file",), rows[:5], rows[:2], spans, settings)


def test_it_tells_all_of_a_job() -> None:
    text = Page(report_html(usual(), 2000.0)).text.replace("\xa0", " ")
    for words in (
        "demo", "run 1 on", "local[2]", "running", "8 of 10", "1 by exit code", "no mass in <path>", "no mass in 7.dat",
        "/dfs/out is 96 % full", "a cell is one task", "A line for each attempt", "node-1", "How many attempts",
        "Run time, median", "1.5 s", "50 % on average", "Slowest tasks", "First tasks", "5 of 10;",
        "%stratos results demo --all", "3.dat", "line 4", "timeout_s", "90", "/work", "TOKEN",
        "Made on 1970-01-01 00:33:20 UTC by stratos_jupyter 0.1.0, Python 3.", "the job as of 1970-01-01 00:16:45",
    ):  # fmt: skip
        assert words in text, words
    assert "prog 3" not in text
    assert "secret" not in text


def test_it_needs_nothing_and_runs_nothing() -> None:
    page = Page(report_html(usual(), 2000.0))
    assert ACTS.isdisjoint(page.tags)
    assert all(link.startswith("data:image/svg+xml;base64,") for link in page.links)
    assert not [name for name in page.attributes if name.startswith("on")]
    html = report_html(usual(), 2000.0)
    assert "default-src 'none'" in html[: html.index("<style>")]
    assert "http:" not in html.replace('http://www.w3.org/2000/svg"', "")


def test_a_job_without_tasks_has_a_page() -> None:
    text = Page(report_html(JobSummary(view_of()), 2000.0)).text
    assert "no tasks yet" in text
    assert "Nodes" not in text


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("placeholders", [0, 2])
def test_hostile_text_is_text(text: str, placeholders: int) -> None:
    html = report_html(hostile_summary(text, placeholders=placeholders), 2000.0)
    page = Page(html)
    expected = Page(report_html(hostile_summary("plain", placeholders=placeholders), 2000.0))
    assert [tag for tag in page.tags if tag != "wbr"] == expected.tags
    assert page.attributes == expected.attributes
    assert all(link.startswith("data:image/svg+xml;base64,") for link in page.links)
    assert len(html.encode()) < 2_000_000


@pytest.mark.slow
def test_a_job_of_100_000_tasks_is_a_small_page_in_a_short_time() -> None:
    spans = [span(n, n // 50, 1 + n % 7, node=f"node-{n % 50}") for n in range(100_000)]
    summary = JobSummary(view_of(finished=100_000), states=bytes([4]) * 100_000, spans=spans)
    begun = time.process_time()
    html = report_html(summary, 2000.0)
    assert time.process_time() - begun < 5.0
    assert len(html.encode()) < 2_000_000


# -- written ----------------------------------------------------------------------------------------


def test_it_is_written_where_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_report(usual(), "", 0.0)[0] == tmp_path / "demo-1.html"
    (tmp_path / "reports").mkdir()
    assert write_report(usual(), "reports", 0.0)[0] == tmp_path / "reports" / "demo-1.html"
    path, size = write_report(usual(), "two words.html", 0.0)
    assert path.read_bytes().startswith(b"<!doctype html>")
    assert path.stat().st_size == size
    assert written_text(path, size) == f"{path}: {size / 1024:.0f} KiB"
    assert written_text(path, 3_000_000) == f"{path}: 2.9 MiB"
    assert sorted(os.listdir(tmp_path)) == ["demo-1.html", "reports", "two words.html"]


def test_a_report_replaces_a_report_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "it.html"
    write_report(JobSummary(view_of()), str(path), 0.0)
    write_report(usual(), str(path), 0.0)
    assert "no mass" in path.read_text("utf-8")
    path.write_text("<!doctype html><title>my thesis</title>")
    with pytest.raises(SpecError, match="is there already and is no report"):
        write_report(usual(), str(path), 0.0)
    assert "thesis" in path.read_text("utf-8")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(SpecError, match="is no report"):
        write_report(usual(), str(pipe), 0.0)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StratosError, match=r"cannot write .*/nowhere/it\.html: No such file or directory"):
        write_report(usual(), str(tmp_path / "nowhere" / "it.html"), 0.0)


def test_what_success_is_reads_as_it_was_typed() -> None:
    rules = Rules(ok_exit=((0, 0), (3, 5)))
    spec = JobSpec(
        "demo", rules=rules, makes=("a", "b"), fail_on=(("stderr", "<x>"), ("parse", "")), threads_given=True
    )
    page = report_html(replace(usual(), settings=spec.to_record()), 0.0)
    settings = " ".join(Page(page).text.partition("Settings")[2].split())
    assert "makes a, b fail_on stderr:<x>,parse ok_exit 0,3-5 " in settings
    assert "threads_given" not in settings
