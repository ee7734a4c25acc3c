"""job.js and job.css in a real browser, fed with snapshots."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.live.view_record import view_record
from tests.browser.conftest import Cell

pytestmark = pytest.mark.browser

Open = Callable[..., Cell]

#: when a page's own clock starts, where a test lets it stand still
NOW_S = 1_700_000_000.0


def view_of(now_s: float | None = None, **changes: Any) -> JobView:
    now_s = time.time() if now_s is None else now_s
    counts = [changes.pop(state.name.lower(), 0) for state in TaskState]
    known: dict[str, Any] = {
        "job_id": "demo",
        "run": 1,
        "engine": "local[2]",
        "at_s": now_s,
        "submitted_at": now_s - 5.8,
        "rate_per_s": 140.2,
        "eta_s": 1.3,
        "nodes": 1,
    }
    return JobView(counts=tuple(counts), **known | changes)


def record(now_s: float | None = None, **changes: Any) -> dict[str, Any]:
    view = view_of(now_s, **changes)
    return view_record(view, view.at_s)


def fresh(**changes: Any) -> dict[str, Any]:
    return record(queued=1000, rate_per_s=None, eta_s=None, nodes=0, **changes)


def running(now_s: float | None = None, **changes: Any) -> dict[str, Any]:
    reasons = {Reason.EXIT: 811, Reason.SIGNAL: 1}
    return record(now_s, **{"finished": 809, "failed": 3, "running": 2, "queued": 186, "reasons": reasons} | changes)


def cluster() -> dict[str, Any]:
    now_s = time.time()
    return record(
        now_s,
        job_id="velocity-dispersion-sweep",
        run=12,
        engine="mesos://zk.astro.example:5050",
        queued=48_210,
        staging=96,
        running=384,
        unreachable=12,
        finished=50_971,
        failed=301,
        killed=14,
        lost=12,
        nodes=24,
        rate_per_s=412.0,
        eta_s=118.0,
        submitted_at=now_s - 124,
        reasons={
            Reason.EXIT: 51_180,
            Reason.MEMORY: 62,
            Reason.TIMEOUT: 21,
            Reason.SIGNAL: 9,
            Reason.USER: 14,
            Reason.LOST: 12,
        },
        attempts_lost=37,
        notices=("node-17 left out for 5 min: its executors keep failing", "/dfs/out is 96 % full"),
    )


def ended(now_s: float | None = None, **changes: Any) -> dict[str, Any]:
    now_s = time.time() if now_s is None else now_s
    return record(
        now_s, **{"finished": 1000, "ended_at": now_s, "eta_s": None, "reasons": {Reason.EXIT: 1000}} | changes
    )


def ended_badly() -> dict[str, Any]:
    return ended(finished=988, failed=12, reasons={Reason.EXIT: 998, Reason.TIMEOUT: 2})


def stopped() -> dict[str, Any]:
    return ended(finished=420, killed=580, reasons={Reason.EXIT: 420, Reason.USER: 580})


def test_it_shows_how_far_how_fast_and_what_broke(open_cell: Open) -> None:
    cell = open_cell(now_s=NOW_S)
    cell.mount(running(NOW_S + 1))
    assert cell.text(".stratos-head") == "Running demo run 1 local[2] 1 node 81 %"
    assert cell.text(".stratos-legend") == "809 finished 3 failed 2 running 186 queued"
    facts = cell.text(".stratos-facts")
    assert facts == (
        "Done 812 / 1,000 188 to go Speed 140/s last 10 s Elapsed 5.8 s since 22:13:15"
        " Left 1.3 s about 22:13 Failed 3 < 1 % of done"
    )
    assert cell.text(".stratos-notices") == "Failed: 2 by exit code, 1 by signal"


def test_it_follows_the_snapshots_to_the_end(open_cell: Open) -> None:
    cell = open_cell()
    cell.mount(fresh())
    assert cell.text(".stratos-head") == "Queued demo run 1 local[2] 0 %"
    cell.push(running())
    assert cell.text(".stratos-percent") == "81 %"
    cell.push(ended(submitted_at=time.time() - 5.0))
    assert cell.text(".stratos-head") == "Finished demo run 1 local[2] 1 node 100 %"
    assert "Done 1,000 / 1,000" in cell.text(".stratos-facts")
    assert "Speed 200/s on average" in cell.text(".stratos-facts")
    assert "Ended" in cell.text(".stratos-facts")
    assert cell.page.locator(".stratos-notices > *").count() == 0


def test_a_widget_that_has_nothing_yet_waits_for_it(open_cell: Open) -> None:
    cell = open_cell()
    cell.mount({})
    cell.push(running())
    assert cell.text(".stratos-percent") == "81 %"
    assert cell.complaints == []


def test_the_whole_is_done_only_when_all_are(open_cell: Open) -> None:
    cell = open_cell()
    cell.mount(record(finished=99_999, queued=1))
    assert cell.text(".stratos-percent") == "99 %"
    cell.push(record(finished=1, queued=99_999))
    assert cell.text(".stratos-percent") == "< 1 %"


@pytest.mark.parametrize("finished", [0, 60_000])
def test_one_of_a_hundred_thousand_can_be_seen(open_cell: Open, finished: int) -> None:
    cell = open_cell()
    cell.mount(record(finished=finished, failed=1, queued=99_999 - finished))
    box = cell.page.locator(".stratos-segment[data-state=failed]").bounding_box()
    assert box is not None
    assert box["width"] >= 4


def test_notices_and_lost_attempts_are_told(open_cell: Open) -> None:
    cell = open_cell()
    cell.mount(cluster())
    notices = cell.page.locator(".stratos-notice").all_inner_texts()
    assert notices == [
        "Failed: 209 by exit code, 62 out of memory, 21 timed out, 14 killed, 12 lost with the node, 9 by signal",
        "node-17 left out for 5 min: its executors keep failing",
        "/dfs/out is 96 % full",
        "37 attempts lost by the cluster, not by the commands",
    ]
    assert cell.text(".stratos-meta") == "run 12 mesos://zk.astro.example:5050 24 nodes"


@pytest.mark.parametrize(
    "text",
    [
        "<script>window.harm = 1</script>",
        "<img src=x onerror='window.harm = 1'>",
        "<svg onload='window.harm = 1'>",
        "javascript:window.harm=1",
        "\u202eexe.png\u2066",
        "wide " * 300_000,
        "x" * 1_000_000,
    ],
    ids=["script", "img", "svg", "url", "direction", "long", "unbroken"],
)
def test_hostile_text_is_text(open_cell: Open, text: str) -> None:
    cell = open_cell()
    # Past the cleaning that the kernel's half does: the browser's half holds by itself.
    cell.mount(running() | {"job": text, "engine": text, "notices": [text] * 5, "state": text, "reasons": {text: 3}})
    cell.painted()
    assert cell.page.locator(".stratos-title").text_content() == text
    assert cell.page.locator(".stratos-notice bdi").nth(1).text_content() == text
    assert cell.page.locator("#cell :is(script, img, a, iframe, object)").count() == 0
    assert cell.page.evaluate("window.harm") is None
    assert cell.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert cell.page.evaluate("document.querySelector('.stratos-head').clientHeight") < 50
    assert cell.complaints == []


def test_a_name_from_right_to_left_turns_nothing_else(open_cell: Open) -> None:
    cell = open_cell()
    cell.mount(running())
    plain = cell.page.locator(".stratos-percent").bounding_box()
    cell.push(running() | {"job": "\u202eomed", "engine": "מקומי"})
    assert cell.page.locator(".stratos-percent").bounding_box() == plain


def test_it_asks_no_other_host_for_anything(open_cell: Open, address: str) -> None:
    cell = open_cell()
    cell.page.reload()
    cell.page.wait_for_function("window.ready")
    cell.mount(cluster())
    cell.painted()
    assert cell.addresses
    assert all(url.startswith((address, "data:")) for url in cell.addresses)
    assert cell.complaints == []


def test_what_it_took_it_gives_back(open_cell: Open) -> None:
    cell = open_cell()
    cell.mount(running())
    account = "() => [window.model.listeners, account.listeners, account.timers.size]"
    assert cell.page.evaluate(account) == [2, 1, 1]
    cell.page.evaluate("window.unmount()")
    assert cell.page.evaluate(account) == [0, 0, 0]
    assert cell.page.locator("#cell > *").count() == 0
    cell.push(running())
    assert cell.complaints == []


def test_two_views_of_one_job_are_apart(open_cell: Open) -> None:
    cell = open_cell()
    cell.mount(running())
    cell.page.evaluate("() => { window.first = window.unmount; }")
    cell.mount(ended())
    assert cell.page.locator(".stratos-percent").all_inner_texts() == ["81 %", "100 %"]
    cell.page.evaluate("window.first()")
    assert cell.page.locator(".stratos-percent").all_inner_texts() == ["100 %"]


# -- time -------------------------------------------------------------------------------------------


def elapsed(cell: Cell) -> str:
    return cell.text(".stratos-fact:nth-child(3) .stratos-value")


def test_the_elapsed_time_goes_on_between_snapshots_without_traffic(open_cell: Open) -> None:
    cell = open_cell(now_s=NOW_S)
    cell.mount(running(NOW_S + 1, eta_s=60.0))
    assert elapsed(cell) == "5.8 s"
    cell.page.clock.run_for(5100)
    assert elapsed(cell) == "11 s"
    assert cell.text(".stratos-fact:nth-child(4) .stratos-value") == "55 s"
    assert cell.page.evaluate("window.model.sent.map(({ ask }) => ask)") == ["watch"]


def test_an_ended_job_has_no_timer(open_cell: Open) -> None:
    cell = open_cell(now_s=NOW_S)
    cell.mount(running(NOW_S + 1))
    cell.page.evaluate("view => window.model.set('view', view)", ended(NOW_S + 1))
    cell.page.clock.run_for(5000)
    assert elapsed(cell) == "5.8 s"
    assert cell.page.evaluate("account.timers.size") == 0


def test_nothing_runs_while_the_page_is_hidden_and_the_newest_is_shown_afterwards(open_cell: Open) -> None:
    cell = open_cell(now_s=NOW_S)
    cell.mount(running(NOW_S + 1))
    look = (
        "state => { Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    cell.page.clock.run_for(100)
    cell.page.evaluate(look, "hidden")
    assert cell.page.evaluate("account.timers.size") == 0
    cell.page.evaluate("view => window.model.set('view', view)", running(NOW_S + 1, finished=900, queued=95))
    cell.page.clock.run_for(1000)
    assert cell.text(".stratos-percent") == "81 %"
    cell.page.evaluate(look, "visible")
    cell.page.clock.run_for(100)
    assert cell.text(".stratos-percent") == "90 %"
    assert cell.page.evaluate("account.timers.size") == 1


def test_nothing_runs_while_it_is_scrolled_away(open_cell: Open) -> None:
    cell = open_cell()
    cell.mount(running())
    cell.page.evaluate("document.body.style.paddingTop = '5000px'")
    cell.page.wait_for_function("account.timers.size === 0")
    cell.push(running(finished=900, queued=95))
    assert cell.text(".stratos-percent") == "81 %"
    cell.page.evaluate("document.body.style.paddingTop = 0")
    cell.page.wait_for_function("document.querySelector('.stratos-percent').textContent === '90 %'")


def test_a_kernel_that_does_not_answer_is_said_to_be_silent(open_cell: Open) -> None:
    cell = open_cell(now_s=NOW_S)
    cell.mount(running(NOW_S + 1), answers=False)
    cell.page.clock.run_for(40_000)
    assert cell.page.evaluate("window.model.sent.map(({ ask }) => ask)") == ["watch"]  # no second one before an answer
    assert "Last known state, of 22:13:21; waiting for the kernel" in cell.text(".stratos-notices")
    assert elapsed(cell) == "5.8 s"
    cell.page.evaluate("view => window.model.set('view', view)", running(NOW_S + 41))
    cell.page.clock.run_for(100)
    assert "waiting" not in cell.text(".stratos-notices")


def test_a_kernel_that_is_gone_is_not_waited_for(open_cell: Open) -> None:
    cell = open_cell(now_s=NOW_S)
    cell.mount(running(NOW_S + 1))
    cell.page.clock.run_for(2000)
    cell.page.evaluate("() => { model.send = () => { throw new Error('no comm'); }; }")
    cell.page.get_by_role("button", name="Pause").click()
    cell.page.locator(".stratos-told", has_text="there is no kernel behind this page").wait_for()
    cell.page.clock.run_for(40_000)
    assert "Last known state, of 22:13:21; its kernel is gone" in cell.text(".stratos-notices")
    assert cell.text(".stratos-waits") == ""
    before = elapsed(cell)
    cell.page.clock.run_for(5000)
    assert elapsed(cell) == before


def test_an_old_snapshot_of_a_page_without_a_kernel_is_not_taken_for_news(open_cell: Open) -> None:
    cell = open_cell(now_s=NOW_S)
    cell.mount(running(NOW_S - 7 * 86400), answers=False)
    assert cell.page.evaluate("window.model.sent.map(({ ask }) => ask)") == ["watch"]
    cell.page.clock.run_for(5000)
    assert elapsed(cell) == "5.8 s"
    assert "Last known state, of " in cell.text(".stratos-notices")


# -- for everyone -----------------------------------------------------------------------------------


def test_a_screen_reader_is_told_how_far_it_is(open_cell: Open) -> None:
    cell = open_cell()
    cell.mount(running())
    bar = cell.page.get_by_role("progressbar", name="Progress of demo")
    assert [bar.get_attribute(f"aria-value{what}") for what in ("min", "now", "max", "text")] == [
        "0",
        "812",
        "1000",
        "running, 812 of 1,000 done, 3 failed",
    ]
    assert cell.page.locator(".stratos-spoken").text_content() == "Job demo: running, 812 of 1,000 done, 3 failed"


def test_a_screen_reader_is_not_told_all_the_time(open_cell: Open) -> None:
    cell = open_cell(now_s=NOW_S)
    cell.mount(running(NOW_S + 1, finished=0, queued=995))
    cell.page.evaluate(
        "() => { window.told = []; new MutationObserver(() => told.push(document.querySelector('.stratos-spoken')"
        ".textContent)).observe(document.querySelector('.stratos-spoken'), { childList: true, subtree: true }); }"
    )
    for done in range(0, 990, 10):  # ten seconds of ten snapshots each
        view = running(NOW_S + 1, finished=done, queued=995 - done)
        cell.page.evaluate("view => window.model.set('view', view)", view)
        cell.page.clock.run_for(100)
    cell.page.evaluate("view => window.model.set('view', view)", ended(NOW_S + 1))
    cell.page.clock.run_for(100)
    told = cell.page.evaluate("told")
    assert len(told) <= 2
    assert told[-1] == "Job demo: finished, 1,000 of 1,000 done"


def test_every_state_has_a_sign_and_a_word_beside_its_colour(open_cell: Open) -> None:
    cell = open_cell()
    cell.mount(cluster())
    entries = cell.page.locator(".stratos-entry")
    assert entries.count() == 8
    signs = {entries.nth(i).locator("path").get_attribute("d") for i in range(8)}
    assert len(signs) == 8
    colours = cell.page.evaluate(
        "() => [...document.querySelectorAll('.stratos-entry rect')].map(rect => getComputedStyle(rect).fill)"
    )
    assert len(set(colours)) == 8
    assert sorted(text.split()[-1] for text in entries.all_inner_texts()) == sorted(s.name.lower() for s in TaskState)


# For each piece of text and each sign: how it stands out from what is behind it, by the rule of WCAG.
CONTRASTS = """
() => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgb = (...layers) => {
    pen.clearRect(0, 0, 1, 1);
    for (const layer of layers) { pen.fillStyle = layer; pen.fillRect(0, 0, 1, 1); }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (parts) => {
    const [r, g, b] = parts.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [more, less] = [light(a), light(b)].sort((p, q) => q - p);
    return (more + 0.05) / (less + 0.05);
  };
  const found = {};
  const root = document.querySelector(".stratos-job");
  const card = getComputedStyle(root).backgroundColor;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || node.closest(".stratos-spoken")) continue;
    const pill = node.closest(".stratos-pill");
    const behind = pill ? [card, getComputedStyle(pill).backgroundColor] : [card];
    const text = rgb(...behind, getComputedStyle(node).color);
    found[`text ${walker.currentNode.textContent.trim()}`] = ratio(text, rgb(...behind)) / 4.5;
  }
  for (const sign of root.querySelectorAll(".stratos-entry:not(.stratos-none) .stratos-sign")) {
    const tile = getComputedStyle(sign.querySelector("rect")).fill;
    found[`sign ${sign.dataset.state}`] = ratio(rgb(card, tile), rgb(card)) / 3;
  }
  return found;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", [fresh, running, cluster, ended, ended_badly, stopped])
def test_everything_stands_out_from_its_ground(
    open_cell: Open, scheme: str, view: Callable[[], dict[str, Any]]
) -> None:
    cell = open_cell(color_scheme=scheme)
    cell.mount(view())
    contrasts = cell.page.evaluate(CONTRASTS)
    assert len(contrasts) > 15
    assert {what: ratio for what, ratio in contrasts.items() if ratio < 1} == {}


def ground(cell: Cell) -> Any:
    return cell.page.evaluate("() => getComputedStyle(document.querySelector('.stratos-job')).backgroundColor")


def test_it_follows_the_browser_s_theme(open_cell: Open) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        cell = open_cell(color_scheme=scheme)
        cell.mount(running())
        grounds[scheme] = ground(cell)
    assert grounds == {"light": "rgb(255, 255, 255)", "dark": "rgb(28, 30, 33)"}


@pytest.mark.parametrize(("scheme", "is_light"), [("light", "false"), ("dark", "true")])
def test_the_notebook_s_theme_comes_before_the_browser_s(open_cell: Open, scheme: str, is_light: str) -> None:
    cell = open_cell(color_scheme=scheme)
    cell.mount(running())
    finished = "() => getComputedStyle(document.querySelector('.stratos-segment')).backgroundColor"
    before = cell.page.evaluate(finished)
    cell.page.evaluate("is => document.body.setAttribute('data-jp-theme-light', is)", is_light)
    cell.page.evaluate("() => document.body.style.setProperty('--jp-layout-color1', 'rgb(1, 2, 3)')")
    assert cell.page.evaluate(finished) != before
    assert ground(cell) == "rgb(1, 2, 3)"


def test_whoever_wants_no_motion_has_none(open_cell: Open) -> None:
    motion = (
        "() => [getComputedStyle(document.querySelector('.stratos-segment')).transitionDuration,"
        " getComputedStyle(document.querySelector('.stratos-dot')).animationName]"
    )
    cell = open_cell()
    cell.mount(running())
    assert cell.page.evaluate(motion) == ["0.45s", "stratos-breath"]
    cell = open_cell(reduced_motion="reduce")
    cell.mount(running())
    assert cell.page.evaluate(motion) == ["0s", "none"]


# -- layout -----------------------------------------------------------------------------------------


def boxes(cell: Cell) -> Any:
    return cell.page.evaluate(
        "() => [...document.querySelectorAll('.stratos-bar, .stratos-entry, .stratos-fact, .stratos-percent')]"
        ".filter(node => !node.hidden).map(node => { const box = node.getBoundingClientRect();"
        " return [box.left, box.top, box.right].map(Math.round).join(' '); })"
    )


@pytest.mark.parametrize("width", [480, 800, 1200])
def test_nothing_moves_from_the_first_task_to_the_last(open_cell: Open, width: int) -> None:
    cell = open_cell(width=width)
    cell.mount(fresh())
    before = boxes(cell)
    far_away = {"rate_per_s": 1234.5, "eta_s": 86_399.0, "submitted_at": time.time() - 86_399}
    steps = [running(nodes=0), running(finished=1, queued=994, **far_away), ended(), ended_badly()]
    for step in steps:
        cell.push(step)
        assert boxes(cell) == before


@pytest.mark.parametrize("width", [340, 480, 800, 1200])
def test_nothing_is_cut_off(open_cell: Open, width: int) -> None:
    cell = open_cell(width=width)
    cell.mount(cluster())
    cut = cell.page.evaluate(
        "() => [...document.querySelectorAll('.stratos-entry, .stratos-value, .stratos-note, .stratos-notice')]"
        ".filter(node => node.scrollWidth > node.clientWidth + 1).map(node => node.textContent)"
    )
    assert cut == []
    assert cell.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [480, 800, 1200])
def test_pictures(open_cell: Open, scheme: str, width: int) -> None:
    cell = open_cell(width=width, color_scheme=scheme, device_scale_factor=2)
    cell.page.evaluate("dark => { document.body.style.background = dark ? '#111' : '#fff'; }", scheme == "dark")
    views = {"fresh": fresh, "running": running, "cluster": cluster, "ended": ended, "failures": ended_badly}
    for name, view in views.items():
        cell.mount(view())
        cell.painted()
        cell.picture(f"widget-{name}-{scheme}-{width}")
        cell.page.evaluate("window.unmount()")
    assert cell.complaints == []
