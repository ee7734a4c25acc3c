"""The parts below the head in a real browser, with a kernel that says what it is told: past all cleaning of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import Cell
from tests.browser.test_widget import NOW_S, running, stopped

pytestmark = pytest.mark.browser

Open = Callable[..., Cell]

EVIL = [
    "<script>window.harm = 1</script>",
    "<img src=x onerror='window.harm = 1'>",
    "\u202egnp.exe\u2066\u200f",
    "x" * 1_000_000,
    "\x00\x07\x08\x1b]0;title\x07\x9b31m",
]
ANSWERS = """(evil) => {
  const row = [0, 5, evil, evil, 1, 2.5, 3, evil, "err", evil];
  window.answer = {
    rows: { answer: { total: 2, first: 0, rows: [row, [1, ...row.slice(1)]], nodes: [evil], inputs: [evil] } },
    name: { answer: { row } },
    groups: { answer: { largest: 8, more: [1, 2], groups: [{
      key: "k", label: `exit 1: ${evil}`, text: evil, example: `${evil}.`, reason: "exit", count: 2, first: [0], mem: 0,
    }] } },
    task: { answer: {
      task: 0, state: 5, superseded: false, command: evil, cut: false, inputs: [[evil, evil]], now: null, attempt: 1,
      attempts: [
        { attempt: 1, state: 5, why: evil, node: evil, started: 1, ended: 2, cpu: 1, rss: 1, note: evil, paths: [] },
      ],
      live: false, note: evil, mem: 0, origin: 1, spawned: [[1, 1]], discarded: false, most: 1048576, bytes: 65536,
      sizes: { stdout: 9, stderr: 9 }, shown: { stdout: 9, stderr: 9 }, partial: { stdout: false, stderr: false },
      streams: { stdout: { whole: evil }, stderr: { whole: `${evil}\\n`.repeat(3) } },
    } },
    kill: { error: evil },
  };
}"""


# Takes the widget away and draws it again, of the same model.
ANEW = """() => {
  window.unmount();
  window.draw();
}"""


# What sticks out to the right, but for what scrolls.
WIDE = """() => [...document.querySelectorAll("#cell *")]
  .filter((node) => node.getBoundingClientRect().right > innerWidth)
  .filter((node) => !node.closest("pre, .stratos-grid, .stratos-attempts"))
  .map((node) => node.className)"""


def mounted(cell: Cell, states: list[int], version: int = 1) -> None:
    """Show a running job whose tasks are in these states."""
    cell.mount(running())
    told(cell, states, version)


def told(cell: Cell, states: list[int], version: int) -> None:
    """Say that the tasks are in these states."""
    cell.page.evaluate(
        "([states, version]) => model.tell({ tick: { view: model.get('view'), delta: { version, total: states.length,"
        " zip: false } } }, [Uint8Array.from(states).buffer])",
        [states, version],
    )


def change(cell: Cell, after: int, changes: dict[int, int], total: int, version: int | None = None) -> None:
    tasks = [*changes]
    planes = [task >> shift & 255 for shift in (0, 8, 16, 24) for task in tasks]
    delta = {
        "after": after, "version": version or after + 1, "total": total, "changed": len(changes), "zip": False,
    }  # fmt: skip
    cell.page.evaluate(
        "([delta, data]) => model.tell({ tick: { view: model.get('view'), delta } }, [Uint8Array.from(data).buffer])",
        [delta, [*planes, *changes.values()]],
    )
    cell.painted()


def pixels(cell: Cell, *tasks: int) -> Any:
    """Return the colours of cells in the middle of the first line."""
    return cell.page.evaluate(
        "tasks => { const canvas = document.querySelector('.stratos-canvas'), pen = canvas.getContext('2d');"
        " return tasks.map(task => [...pen.getImageData(task * 16 + 2, 2, 1, 1).data].slice(0, 3).join()); }",
        tasks,
    )


def test_the_map_follows_changes_and_asks_for_all_when_one_is_missing(open_cell: Open) -> None:
    cell = open_cell()
    mounted(cell, [0, 4, 5, 2, 8, 0])
    cell.painted()
    colours = pixels(cell, 0, 1, 2, 3, 4)
    assert len(set(colours)) == 5
    change(cell, 1, {0: 4, 5: 5}, 7)
    assert pixels(cell, 0, 5, 6) == [colours[1], colours[2], colours[0]]
    assert cell.page.evaluate("model.sent.length") == 1
    change(cell, 5, {0: 5}, 7)
    assert cell.page.evaluate("model.sent.map(({ have }) => have)") == [0, 2]
    assert pixels(cell, 0) == [colours[1]], "what does not follow is not taken"


def test_a_packed_picture_is_unpacked_before_what_follows_it(open_cell: Open) -> None:
    cell = open_cell()
    cell.mount(running())
    cell.page.evaluate(
        """async () => {
          const states = new Uint8Array(40).fill(4);
          const stream = new Blob([states]).stream().pipeThrough(new CompressionStream("deflate"));
          const packed = await new Response(stream).arrayBuffer();
          const view = model.get("view");
          model.tell({ tick: { view, delta: { version: 1, total: 40, zip: true } } }, [packed]);
          const change = Uint8Array.of(3, 0, 0, 0, 5);
          const delta = { version: 2, after: 1, total: 40, changed: 1, zip: false };
          model.tell({ tick: { view, delta } }, [change.buffer]);
        }"""
    )
    cell.page.wait_for_function(
        "() => document.querySelector('.stratos-canvas').getAttribute('aria-label')?.startsWith('Map of 40 tasks')"
    )
    cell.page.wait_for_timeout(50)
    cell.painted()
    colours = pixels(cell, 2, 3)
    assert colours[0] != colours[1]
    assert cell.page.evaluate("model.sent.length") == 1


def test_the_map_names_the_task_under_the_pointer_and_stresses_a_state(open_cell: Open) -> None:
    cell = open_cell()
    cell.page.evaluate(ANSWERS, "prog 1")
    mounted(cell, [4, 5, 0])
    cell.painted()
    before = pixels(cell, 0, 1)
    box = cell.page.locator(".stratos-canvas").bounding_box()
    assert box is not None
    cell.page.mouse.move(box["x"] + 20, box["y"] + 5)
    cell.page.locator(".stratos-tip-command", has_text="prog 1").wait_for()
    assert cell.text(".stratos-tip-head").startswith("task 1, failed on prog 1")
    cell.page.mouse.move(0, 0)
    assert cell.page.locator(".stratos-tip").is_hidden()
    cell.page.locator(".stratos-choose[data-state=failed]").click()
    cell.painted()
    after = pixels(cell, 0, 1)
    assert (after[0] != before[0], after[1] == before[1]) == (True, True)


@pytest.mark.parametrize("evil", EVIL, ids=["script", "img", "direction", "long", "controls"])
def test_hostile_answers_are_text(open_cell: Open, evil: str) -> None:
    cell = open_cell(width=900)
    cell.page.evaluate(ANSWERS, evil)
    mounted(cell, [5, 5])
    page = cell.page
    for name in ("Tasks", "Failures"):
        page.get_by_role("tab", name=name).click()
        cell.painted()
    page.get_by_role("tab", name="Tasks").click()
    page.locator(".stratos-rows .stratos-row").first.click()
    page.locator(".stratos-output").first.wait_for()
    cell.painted()
    assert page.locator("#cell :is(script, img, a, iframe, object)").count() == 0
    assert page.evaluate(WIDE) == []
    assert page.locator(".stratos-job").bounding_box()["height"] < 1600  # type: ignore[index]
    for text in page.locator(".stratos-output, .stratos-command").all_text_contents():
        assert "\u202e" not in text
        assert "\x00" not in text
        assert len(text) <= (4100 * 3 if "output" in text else 1_000_001)
    page.get_by_role("button", name="With a memory limit").click()
    page.keyboard.press("Escape")
    assert page.evaluate("window.harm") is None
    assert cell.complaints == []


def test_colours_of_a_terminal_are_kept_and_nothing_else_of_it(open_cell: Open) -> None:
    cell = open_cell()
    text = "\x1b[1;32mgood\x1b[0m \x1b[48;2;1;2;3mback\x1b[m \x1b[2J\x1b[10;10Hplain \x1b]8;;http://x\x07link\x1b]8;;\x07\n"
    text += "10%\r50%\r100%\r\nend\x1b["
    cell.page.evaluate(ANSWERS, text)
    mounted(cell, [5])
    cell.page.locator(".stratos-canvas").focus()
    cell.page.keyboard.press("Enter")
    output = cell.page.locator(".stratos-output").first
    output.get_by_text("100%").wait_for()
    assert output.text_content() == "good back plain link\n100%\nend["
    assert output.locator(".stratos-ansi-bold.stratos-ansi-2").text_content() == "good"
    back = output.locator("span").nth(1)
    assert back.evaluate("node => getComputedStyle(node).backgroundColor") == "rgb(1, 2, 3)"


def test_an_output_that_is_all_there_is_not_said_to_be_a_part(open_cell: Open) -> None:
    cell = open_cell()
    cell.page.evaluate(ANSWERS, "я" * 1024)
    cell.page.evaluate(
        """() => Object.assign(answer.task.answer, {
          sizes: { stdout: 2048, stderr: 99999 }, shown: { stdout: 2048, stderr: 4096 },
          partial: { stdout: false, stderr: true },
        })"""
    )
    mounted(cell, [5])
    cell.page.locator(".stratos-canvas").focus()
    cell.page.keyboard.press("Enter")
    cell.page.locator(".stratos-output", has_text="я").first.wait_for()
    heads = cell.page.locator(".stratos-stream-head").all_inner_texts()
    assert [text.split("\n") for text in heads] == [
        ["stdout", "2 KiB"], ["stderr", "the last 4 KiB of 98 KiB", "More"]
    ]  # fmt: skip


def test_a_bomb_of_colours_makes_a_bounded_number_of_nodes(open_cell: Open) -> None:
    cell = open_cell()
    cell.page.evaluate(ANSWERS, ("\x1b[31m\x1b[5mx\x1b[48;5;9my" * 100 + "\n") * 200)
    mounted(cell, [5])
    cell.page.locator(".stratos-canvas").focus()
    cell.page.keyboard.press("Enter")
    cell.page.locator(".stratos-output", has_text="x").first.wait_for()
    assert cell.page.evaluate("document.querySelectorAll('.stratos-output *').length") <= 12_100
    assert cell.page.locator(".stratos-output").first.text_content().count("x") > 1000  # type: ignore[union-attr]


def test_what_the_kernel_refuses_is_said(open_cell: Open) -> None:
    cell = open_cell()
    cell.page.evaluate(ANSWERS, "no room on any node")
    mounted(cell, [2])
    cell.page.get_by_role("button", name="Kill job").click()
    question = cell.page.get_by_role("alertdialog")
    assert cell.page.evaluate("document.activeElement.textContent") == "Cancel", "the harmless answer is at hand"
    question.get_by_role("button", name="Kill the job").click()
    cell.page.locator(".stratos-bad-news", has_text="no room on any node").wait_for()


def test_a_paused_job_is_resumed_whoever_told_that_it_is_paused(open_cell: Open) -> None:
    cell = open_cell()
    mounted(cell, [2, 0])
    cell.page.get_by_role("button", name="Pause").wait_for()
    cell.push(running(held="paused", backing_off=(3, None), attempts_retried=4))  # by the loop, not a tick
    cell.page.get_by_role("button", name="Resume").wait_for()
    assert "3 tasks wait before a retry" in cell.text(".stratos-notices")
    assert "4 attempts failed and tried again" in cell.text(".stratos-notices")


def test_a_kernel_that_refuses_rows_is_not_asked_again_and_again(open_cell: Open) -> None:
    cell = open_cell(now_s=NOW_S)
    cell.page.evaluate("() => { window.answer = { rows: { error: 'held by another process' } }; }")
    mounted(cell, [5, 5])
    cell.page.get_by_role("tab", name="Tasks").click()
    cell.page.locator(".stratos-bad-news", has_text="held by another process").wait_for()
    asked = "() => model.sent.filter(({ ask }) => ask === 'rows').length"
    cell.page.clock.run_for(3000)
    assert cell.page.evaluate(asked) == 1
    told(cell, [4, 5], 2)
    cell.page.clock.run_for(2000)
    assert cell.page.evaluate(asked) == 2


ROWS = """({ kept = 0, state = 2 }) => {
  const { page, n } = model.sent.findLast(({ ask }) => ask === "rows");
  const rows = [[0, state, "prog", "node", 1, 1, null, "", "", ""]];
  model.tell({ page, n, answer: { total: 1, first: 0, rows, nodes: [], inputs: [], kept } });
}"""


def test_rows_that_are_out_of_date_when_they_arrive_are_asked_for_once_more(open_cell: Open) -> None:
    cell = open_cell(now_s=NOW_S)
    asked = "() => model.sent.filter(({ ask }) => ask === 'rows').length"
    mounted(cell, [2])
    cell.page.get_by_role("tab", name="Tasks").click()
    cell.page.clock.run_for(2000)
    told(cell, [4], 2)  # before the answer, which does not know of it
    cell.page.clock.run_for(2000)
    cell.page.evaluate(ROWS, {})
    cell.page.clock.run_for(2000)
    assert cell.page.evaluate(asked) == 2
    cell.page.evaluate(ROWS, {"kept": 5})
    cell.page.clock.run_for(4000)
    assert cell.page.evaluate(asked) == 2
    cell.page.clock.run_for(2000)
    assert cell.page.evaluate(asked) == 3, "their order was an older one"
    cell.page.evaluate(ROWS, {"state": 4})
    cell.page.clock.run_for(5000)
    assert cell.page.evaluate(asked) == 3
    assert cell.text(".stratos-rows .stratos-col-state") == "finished"


def test_tasks_that_the_job_has_left_behind_are_no_rows_and_cannot_be_relaunched(open_cell: Open) -> None:
    cell = open_cell()
    cell.page.evaluate(ANSWERS, "prog")
    cell.page.evaluate("() => { answer.task.answer.superseded = true; }")
    mounted(cell, [8, 5, 5, 8])
    cell.page.get_by_role("tab", name="Tasks").click()
    cell.page.locator(".stratos-rows .stratos-row:not(.stratos-blank)").nth(1).wait_for()
    told(cell, [8, 4, 5, 8], 2)
    assert cell.text(".stratos-found") == "2 tasks"
    assert cell.page.get_by_role("grid").get_attribute("aria-rowcount") == "3"
    cell.page.get_by_role("tab", name="Map").click()
    cell.page.locator(".stratos-canvas").focus()
    cell.page.keyboard.press("Home")
    cell.page.keyboard.press("Enter")
    cell.page.locator(".stratos-task-state", has_text="superseded").wait_for()
    for name in ("Relaunch", "With a memory limit", "Kill"):
        assert cell.page.locator(".stratos-task-head").get_by_role("button", name=name).count() == 0


def test_the_box_above_selects_the_rows_that_are_shown_whatever_was_selected_before(open_cell: Open) -> None:
    cell = open_cell()
    cell.page.evaluate(ANSWERS, "prog")
    mounted(cell, [5, 5])
    cell.page.get_by_role("tab", name="Tasks").click()
    cell.page.locator(".stratos-rows .stratos-check").nth(1).click()
    cell.page.locator(".stratos-chosen", has_text="1 selected").wait_for()
    cell.page.evaluate(
        "() => { answer.rows.answer.total = 1; answer.tasks = { answer: { count: 1 } }; const { tell } = model;"
        " model.tell = (message, buffers) => tell.call(model, message, buffers ?? [Uint32Array.of(0).buffer]); }"
    )
    cell.page.get_by_label("Search commands").fill("#0")
    cell.page.locator(".stratos-found", has_text="1 of 2 tasks").wait_for()
    box = cell.page.locator(".stratos-row-head .stratos-check")
    box.click()
    cell.page.locator(".stratos-rows [aria-selected=true] .stratos-col-task", has_text="0").wait_for()
    assert cell.text(".stratos-chosen-text") == "1 selected"
    box.click()
    cell.page.locator(".stratos-chosen").wait_for(state="hidden")


def focused(cell: Cell) -> Any:
    return cell.page.evaluate("() => document.activeElement.textContent || document.activeElement.className")


def test_what_had_the_focus_has_it_again_after_a_question(open_cell: Open) -> None:
    cell = open_cell(now_s=NOW_S)
    cell.page.evaluate(ANSWERS, "prog")
    mounted(cell, [5, 5])
    cell.page.get_by_role("tab", name="Failures").click()
    cell.page.get_by_role("button", name="Relaunch with more memory").focus()
    cell.page.keyboard.press("Enter")
    another = "{ const { groups } = answer.groups.answer; groups.unshift({ ...groups[0], key: 'other', count: 3 }); }"
    cell.page.evaluate(f"() => {another}")
    told(cell, [5, 5, 5], 2)
    cell.page.clock.run_for(3000)
    assert cell.page.locator(".stratos-group").count() == 2
    cell.page.keyboard.press("Escape")
    assert focused(cell) == "Relaunch with more memory…"
    cell.page.keyboard.press("Enter")
    cell.page.evaluate("() => { answer.groups.answer.groups.pop(); }")
    told(cell, [5, 5, 4], 3)
    cell.page.clock.run_for(3000)
    assert cell.page.locator(".stratos-group").count() == 1
    cell.page.keyboard.press("Escape")
    assert focused(cell).startswith("Failures"), "its group is no more"


def test_a_button_that_goes_leaves_the_focus_in_its_neighbourhood(open_cell: Open) -> None:
    cell = open_cell(now_s=NOW_S)
    cell.page.evaluate(ANSWERS, "prog")
    mounted(cell, [5, 5])
    cell.page.get_by_role("button", name="Kill job").focus()
    cell.page.evaluate("view => model.tell({ tick: { view } })", stopped())
    cell.page.clock.run_for(100)
    assert cell.page.evaluate("document.activeElement.matches('.stratos-acts')")
    cell.page.get_by_role("tab", name="Failures").click()
    cell.page.get_by_role("button", name="Show tasks").click()
    cell.page.clock.run_for(100)
    cell.page.get_by_label("Show other tasks too").focus()
    cell.page.keyboard.press("Enter")
    assert cell.page.evaluate("document.activeElement.matches('.stratos-grid')")
    cell.page.clock.run_for(1000)
    cell.page.keyboard.press(" ")
    cell.page.get_by_role("button", name="Clear").focus()
    cell.page.keyboard.press("Enter")
    assert cell.page.evaluate("document.activeElement.matches('.stratos-grid')")


def test_the_attempt_that_was_chosen_is_shown_whatever_else_begins(open_cell: Open) -> None:
    cell = open_cell()
    cell.page.evaluate(ANSWERS, "prog")
    cell.page.evaluate(
        "() => Object.assign(answer.task.answer, { state: 2, now: { node: 'n', since: 1, attempt: 2 }, attempt: 2 })"
    )
    mounted(cell, [2, 2])
    cell.page.locator(".stratos-canvas").focus()
    cell.page.keyboard.press("Enter")
    cell.page.get_by_role("button", name="Show the output of attempt 1").click()
    asked = "() => model.sent.filter(({ ask }) => ask === 'task').map(({ attempt }) => attempt)"
    assert cell.page.evaluate(asked)[-1] == 1
    told(cell, [2, 4], 2)  # all of it
    cell.page.wait_for_function(f"() => ({asked})().length > 2")
    assert cell.page.evaluate(asked)[-1] == 1


def test_a_widget_drawn_anew_shows_what_the_last_one_did(open_cell: Open) -> None:
    cell = open_cell()
    cell.page.evaluate(ANSWERS, "prog")
    mounted(cell, [5, 5])
    cell.page.get_by_role("tab", name="Failures").click()
    cell.page.evaluate(ANEW)
    cell.painted()
    assert cell.page.get_by_role("tab", name="Failures").get_attribute("aria-selected") == "true"
    cell.page.get_by_role("button", name="Show tasks").click()
    cell.page.locator(".stratos-rows .stratos-row").first.click()
    cell.page.get_by_role("heading", name="Task 0").wait_for()
    cell.page.evaluate("() => { document.body.append(document.createElement('input')); }")
    cell.page.locator("body > input").focus()
    cell.page.evaluate(ANEW)
    cell.page.get_by_role("heading", name="Task 0").wait_for()
    assert cell.page.evaluate("document.activeElement.matches('body > input')"), "the user is elsewhere"


def test_all_jobs_have_a_line_each(open_cell: Open) -> None:
    cell = open_cell()
    evil = running() | {"job": "<b>\u202egnp", "state": "<i>running"}
    cell.mount({})
    cell.page.evaluate("jobs => { model.state = { jobs }; }", [running(), evil])
    cell.page.evaluate(ANEW)
    assert cell.page.locator(".stratos-jobs-row").count() == 3
    assert cell.page.locator("#cell :is(b, i)").count() == 0
    cell.page.evaluate("jobs => model.tell({ tick: { jobs } })", [running()])
    assert cell.page.locator(".stratos-jobs-row").count() == 2
    assert cell.complaints == []


def test_all_jobs_of_a_kernel_that_is_gone_are_not_said_to_run(open_cell: Open) -> None:
    cell = open_cell(now_s=NOW_S)
    cell.mount({})
    cell.page.evaluate("jobs => { model.state = { jobs }; }", [running()])
    cell.page.evaluate(ANEW)
    cell.page.evaluate("() => { model.send = () => { throw new Error('no comm'); }; }")
    cell.page.clock.run_for(30_000)
    cell.page.get_by_text("The last known state; the kernel is gone.").wait_for()
