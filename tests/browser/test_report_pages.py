"""Snapshots and reports in a real browser: hostile data is text, nothing runs, the layout holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbconvert import HTMLExporter

from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.report.page import write_report
from stratos_jupyter.report.snapshot import HIDE_LOST_WIDGET, static_html
from stratos_jupyter.report.summary import JobSummary
from stratos_jupyter.report.text import clean
from stratos_jupyter.widgets import NOTHING
from tests.support.hostile_text import HOSTILE, hostile_summary, span, view_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

Open = Callable[..., "Shown"]

#: as a notebook has it around an output
AROUND = """<!doctype html><meta charset="utf-8"><style>body {{ margin: 0; padding: 8px; font: 13px sans-serif; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #ddd; }} }}</style>
<div class="cell">{html}</div><p id="after">and what comes after it</p>"""


class Shown:
    """A page, and what it did beside being shown."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(address)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", self.page.evaluate("document.body.innerText"))

    def is_calm(self) -> None:
        """Fail when anything ran, was asked for, or went somewhere else."""
        assert self.page.evaluate("window.ran") is None
        assert self.dialogs == []
        assert [url for url in self.requests if not url.startswith("data:image/svg+xml;base64,")] == [self.address]
        assert self.page.url == self.address

    def fits(self) -> None:
        """Fail when something is wider than the window: wide tables scroll by themselves."""
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture
def show(browser: Browser) -> Iterator[Open]:
    contexts = []

    def show_(path: Path, width: int = 1000, **options: Any) -> Shown:
        context = browser.new_context(viewport={"width": width, "height": 600}, **options)
        contexts.append(context)
        return Shown(context.new_page(), path.as_uri())

    yield show_
    for context in contexts:
        context.close()


def snapshot(folder: Path, summary: JobSummary) -> Path:
    path = folder / "snapshot.html"
    path.write_text(AROUND.format(html=HIDE_LOST_WIDGET + static_html(summary)), "utf-8")
    return path


def report(folder: Path, summary: JobSummary) -> Path:
    return write_report(summary, str(folder / "report.html"), 0.0)[0]


def notebook(folder: Path, summary: JobSummary) -> Path:
    """Return a saved notebook, without the widget's model, as nbconvert shows it."""
    lost = {"application/vnd.jupyter.widget-view+json": {"model_id": "gone", "version_major": 2, "version_minor": 0}}
    outputs = [
        nbformat.v4.new_output("display_data", {**lost, "text/html": NOTHING, "text/plain": "a line"}),
        nbformat.v4.new_output("display_data", {"text/html": HIDE_LOST_WIDGET + static_html(summary)}),
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("%%stratos", outputs=outputs)])
    # its own pages ask for scripts (for formulas); here it is about what is in the outputs
    page = re.sub(r"<script[^>]*>.*?</script>", "", HTMLExporter().from_notebook_node(made)[0], flags=re.DOTALL)
    path = folder / "notebook.html"
    path.write_text(page, "utf-8")
    return path


@pytest.mark.parametrize("make", [snapshot, report, notebook])
@pytest.mark.parametrize("width", [400, 1000])
def test_hostile_data_is_text(tmp_path: Path, show: Open, make: Callable[..., Path], width: int) -> None:
    for n, placeholders in enumerate((0, 3)):
        folder = tmp_path / str(n)
        folder.mkdir()
        shown = show(make(folder, hostile_summary(placeholders=placeholders)), width)
        shown.is_calm()
        if make is not notebook:
            shown.fits()
        for text in HOSTILE[:7]:
            start = re.sub(r"\s+", " ", clean(text))[:24]
            assert start in shown.text, start


@pytest.mark.parametrize("text", HOSTILE)
def test_each_hostile_text_alone(tmp_path: Path, show: Open, text: str) -> None:
    for make in (snapshot, report):
        shown = show(make(tmp_path, hostile_summary(text, placeholders=2)))
        shown.is_calm()
        shown.fits()


def test_a_right_to_left_name_does_not_turn_its_surroundings(tmp_path: Path, show: Open) -> None:
    shown = show(report(tmp_path, hostile_summary("\u202e\u05d0\u05d1\u05d2 dcba")))
    places = shown.page.evaluate(
        "[...document.querySelectorAll('table:last-of-type tbody tr')].slice(0, 9)"
        ".map(row => [...row.cells].map(cell => cell.getBoundingClientRect().left))"
    )
    assert all(lefts == sorted(lefts) for lefts in places)
    assert "\\u202e" in shown.text


def test_the_policy_of_a_report_stops_what_would_get_through(tmp_path: Path, show: Open) -> None:
    path = report(tmp_path, hostile_summary("plain"))
    evil = "<script>window.ran=1</script><img src=http://127.0.0.1:9/x onerror='window.ran=1'>"
    path.write_text(path.read_text("utf-8").replace("<footer>", f"{evil}<footer>"), "utf-8")
    shown = show(path)
    assert shown.page.evaluate("document.querySelectorAll('script').length") == 1  # it is there, and did nothing
    assert shown.page.evaluate("window.ran") is None


def usual() -> JobSummary:
    spans = [
        span(n, n // 4 * 2.0, 1.8, node=f"node-{n % 4}", state=TaskState.FAILED if n % 13 == 5 else TaskState.FINISHED)
        for n in range(80)
    ]
    view = view_of(finished=74, failed=6, ended_at=1040.0, reasons={Reason.EXIT: 80})
    return JobSummary(view, states=bytes(span.state for span in spans), spans=spans)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(tmp_path: Path, show: Open, scheme: str) -> None:
    shown = show(report(tmp_path, usual()), color_scheme=scheme)
    ratios = shown.page.evaluate(
        r"""() => {
          const light = (colour) => {
            const parts = colour.match(/[\d.]+/g).slice(0, 3).map((v) => v / 255)
              .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
          };
          const ground = light(getComputedStyle(document.body).backgroundColor);
          const against = (colour) => {
            const [more, less] = [light(colour), ground].sort((p, q) => q - p);
            return (more + 0.05) / (less + 0.05);
          };
          const found = {};
          for (const node of document.querySelectorAll("h1, h2, p, .where, .state, dt, dd, th, td, footer"))
            found[`${node.tagName}.${node.className}`] = against(getComputedStyle(node).color) / 4.5;
          for (const node of document.querySelectorAll("svg text"))
            found[`text.${node.getAttribute("class")}`] = against(getComputedStyle(node).fill) / 4.5;
          for (const node of document.querySelectorAll(".ran"))
            found[node.getAttribute("class")] = against(getComputedStyle(node).stroke) / 3;
          return found;
        }"""
    )
    assert len(ratios) > 10
    assert {what: ratio for what, ratio in ratios.items() if ratio < 1} == {}


@pytest.mark.parametrize("width", [400, 800, 1200])
def test_a_chart_keeps_its_size_and_scrolls_by_itself(tmp_path: Path, show: Open, width: int) -> None:
    shown = show(report(tmp_path, usual()), width)
    shown.fits()
    assert shown.page.evaluate("document.querySelector('.gantt').getBoundingClientRect().width") == 1000


def test_it_can_be_printed(tmp_path: Path, show: Open) -> None:
    shown = show(report(tmp_path, usual()), color_scheme="dark")
    shown.page.emulate_media(media="print", color_scheme="dark")
    assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    shown.fits()
