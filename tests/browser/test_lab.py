"""The widget in a real JupyterLab, with real tasks."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.lab import Book, Lab, new_book
from tests.conftest import require

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.browser

LOAD = (
    "%load_ext stratos_jupyter\nfrom stratos_jupyter import session as sessions\njob = lambda: sessions.current().job()"
)
#: what a user's long computation is, to the kernel
BLOCK = "import time; time.sleep({})"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def loaded(lab: Lab, browser: Browser) -> Iterator[Book]:
    book = new_book(lab, browser, permissions=["clipboard-read", "clipboard-write"])
    book.load()
    yield book
    book.page.context.close()


@pytest.fixture
def book(loaded: Book, lab: Lab) -> Iterator[Book]:
    """A page with JupyterLab in it; each test opens its own notebook, with its own kernel."""
    loaded.complaints.clear()
    yield loaded
    lab.end_kernels()
    assert loaded.complaints == []


def words(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def tab(book: Book, name: str) -> None:
    book.widget().get_by_role("tab", name=name).click()


def rows(book: Book) -> Locator:
    return book.widget().locator(".stratos-rows .stratos-row:visible:not(.stratos-blank)")


def said(book: Book, text: str) -> None:
    book.widget().locator(".stratos-told", has_text=text).wait_for()


def state(book: Book, text: str) -> None:
    book.widget().locator(".stratos-word", has_text=re.compile(f"^{text}$", re.IGNORECASE)).wait_for()


def count(book: Book, name: str, number: int) -> None:
    pattern = re.compile(rf"^{number:,}{name}$")
    book.widget().locator(".stratos-choose", has_text=pattern).wait_for()


def press(book: Book, *names: str) -> None:
    for name in names:
        book.widget().get_by_role("button", name=name, exact=True).click()


def in_kernel(book: Book, cell: int) -> Any:
    """Run a cell that prints JSON, and return that."""
    book.run(cell, cell + 1)
    return json.loads(book.output(cell))


# -- what it shows ----------------------------------------------------------------------------------


def test_a_job_from_its_first_task_to_its_last_failure(book: Book) -> None:
    book.open(
        f"{LOAD}\nnames = {{'n': [f'{{i:03d}}' for i in range(60)]}}",
        "%%stratos template names --job demo --wait\n"
        'echo "result %n%"; [ $(( 1%n% % 7 )) != 3 ] || { echo "cannot open header /data/snap_%n%.dat" >&2; exit 3; }',
    )
    book.run()
    state(book, "ended with failures")
    count(book, "finished", 52)
    count(book, "failed", 8)
    page = book.page

    tab(book, "Failures")
    group = book.widget().get_by_role("listitem").filter(has_text="cannot open header <path>")
    group.wait_for()
    assert words(group.locator(".stratos-group-many").inner_text()) == "8 ×"
    assert group.locator(".stratos-group-how").inner_text() == "exit 3"
    group.get_by_role("button", name="Show tasks").click()
    page.wait_for_function("document.querySelectorAll('.stratos-found')[0].textContent === '8 of 60 tasks'")
    assert "cannot open header /data/snap_" in rows(book).first.inner_text()
    book.widget().get_by_label("Show other tasks too").click()

    book.widget().get_by_label("Search commands").fill("result 017")
    page.wait_for_function("document.querySelectorAll('.stratos-found')[0].textContent === '1 of 60 tasks'")
    rows(book).filter(has_text="result 017").first.click()
    book.widget().get_by_role("heading", name="Task 17").wait_for()
    book.widget().locator(".stratos-output", has_text="result 017").wait_for()
    press(book, "Copy")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied.startswith('echo "result 017"; [ $(( 1017 % 7 ))')
    press(book, "‹ Back")
    rows(book).first.wait_for()
    assert rows(book).count() == 1

    book.widget().get_by_label("Search commands").fill("#3-5 50")
    page.wait_for_function("document.querySelectorAll('.stratos-found')[0].textContent === '4 of 60 tasks'")
    book.widget().get_by_role("button", name="#", exact=True).click()  # the other way round
    page.wait_for_function("document.querySelector('.stratos-rows .stratos-col-task').textContent === '50'")


def test_a_task_that_runs_is_followed_and_killed(book: Book) -> None:
    book.open(
        LOAD,
        "%%stratos explicit --job live\n"
        "printf '\\033[1;31mred\\033[0m\\n'; i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.1; done",
    )
    book.run()
    count(book, "running", 1)
    tab(book, "Tasks")
    rows(book).first.click()
    output = book.widget().locator(".stratos-output").first
    output.get_by_text("tick 20", exact=False).wait_for()
    red = output.locator(".stratos-ansi-bold.stratos-ansi-1")
    assert red.inner_text() == "red"
    assert "\x1b" not in output.inner_text()
    book.widget().locator(".stratos-stream-head", has_text="follows live").first.wait_for()
    press(book, "Kill")
    book.widget().get_by_role("alertdialog").get_by_role("button", name="Cancel").click()
    count(book, "running", 1)
    press(book, "Kill")
    book.widget().get_by_role("alertdialog").get_by_role("button", name="Kill").click()
    said(book, "1 task asked to end")
    book.widget().locator(".stratos-task-state", has_text="killed").wait_for()
    press(book, "Relaunch")
    book.widget().locator(".stratos-task-state", has_text="running").wait_for()
    book.widget().locator(".stratos-attempts").get_by_role("button", name="attempt 1").click()
    book.widget().locator(".stratos-output", has_text="tick 20").wait_for()


def test_every_act_on_a_job(book: Book) -> None:
    book.open(
        LOAD,
        "%%stratos explicit --job acts --max-tasks 1\nexit 4\n" + "sleep 60\n" * 5,
        "import json; print(json.dumps([job().rules.max_tasks, [job().state(i).name for i in range(6)]]))",
        "import json; print(json.dumps([job().mem_of(0), len(job().log(0).attempts), job().state(0).name]))",
    )
    book.run(0, 2)
    count(book, "failed", 1)
    count(book, "running", 1)
    press(book, "Pause")
    said(book, "paused; what runs goes on")
    state(book, "paused")
    press(book, "Resume")
    state(book, "running")

    slider = book.widget().get_by_role("slider")
    assert slider.get_attribute("aria-valuetext") == "at most 1"
    slider.focus()
    book.page.keyboard.press("ArrowRight")
    said(book, "at most 2 at once")
    slider.focus()
    book.page.keyboard.press("End")
    said(book, "no bound on how many run at once")
    assert in_kernel(book, 2)[0] is None
    slider.focus()
    book.page.keyboard.press("Home")
    said(book, "at most 1 at once")

    press(book, "Relaunch 1 failed")
    said(book, "1 task runs once more")
    tab(book, "Tasks")
    book.page.locator(".stratos-rows .stratos-check").nth(2).click()
    book.page.locator(".stratos-rows .stratos-check").nth(4).click(modifiers=["Shift"])
    book.widget().locator(".stratos-chosen", has_text="3 selected").wait_for()
    book.widget().locator(".stratos-chosen").get_by_role("button", name="Kill").click()
    book.widget().get_by_role("alertdialog", name=re.compile("Kill the 3 tasks that you selected")).wait_for()
    book.widget().get_by_role("alertdialog").get_by_role("button", name="Kill").click()
    said(book, "3 tasks asked to end")
    count(book, "killed", 3)
    assert in_kernel(book, 2)[1][2:5] == ["KILLED"] * 3

    press(book, "Kill job")
    question = book.widget().get_by_role("alertdialog")
    assert "Kill acts?" in question.inner_text()
    assert "cannot be undone" in question.inner_text()
    book.page.keyboard.press("Escape")
    assert question.count() == 0
    press(book, "Kill job", "Kill the job")
    book.page.wait_for_function("() => /^(Ended|Stopped)/i.test(document.querySelector('.stratos-word').textContent)")

    # with more memory
    tab(book, "Tasks")
    rows(book).filter(has_text="exit 4").first.click()
    press(book, "With a memory limit…")
    field = book.widget().get_by_role("alertdialog").get_by_role("textbox", name="Memory")
    field.fill("much")
    book.page.keyboard.press("Enter")
    said(book, "memory: 'much' is no size")
    press(book, "With a memory limit…")
    field.fill("90T")
    book.page.keyboard.press("Enter")
    said(book, "the largest node")
    press(book, "With a memory limit…")
    field.fill("64M")
    book.page.keyboard.press("Enter")
    said(book, "1 task runs once more, with 64 MiB each")
    book.widget().locator(".stratos-task-told", has_text="exit 4").wait_for()
    facts = in_kernel(book, 3)
    assert facts[0] == 64.0
    assert facts[2] == "FAILED"


def test_a_group_of_failures_is_relaunched_with_more_memory(book: Book) -> None:
    book.open(
        LOAD,
        "%%stratos explicit --job groups --mem 32M --wait\n"
        + "".join(f'echo "no room for {i}" >&2; exit 1\n' for i in range(4)) + "exit 2",
        "import json; print(json.dumps([[job().mem_of(i), len(job().log(i).attempts)] for i in range(5)]))",
    )  # fmt: skip
    book.run(0, 2)
    tab(book, "Failures")
    groups = book.widget().get_by_role("list", name="Failures by").get_by_role("listitem")
    groups.nth(1).wait_for()
    assert [words(text) for text in groups.locator(".stratos-group-form").all_inner_texts()] == [
        "no room for #",
        "it said nothing",
    ]
    groups.first.get_by_role("button", name="Relaunch with more memory").click()
    field = book.widget().get_by_role("alertdialog").get_by_role("textbox", name="Memory")
    assert field.input_value() == "64M"
    book.page.keyboard.press("Enter")
    said(book, "4 tasks run once more, with 64 MiB each")
    state(book, "ended with failures")
    groups.first.get_by_role("button", name="Relaunch these").wait_for()
    assert in_kernel(book, 2) == [[64.0, 2]] * 4 + [[32.0, 1]]


# -- the kernel is busy, the page is new ------------------------------------------------------------


def test_it_works_while_a_cell_blocks_the_kernel(book: Book) -> None:
    book.open(LOAD, "%%stratos explicit --job busy\n" + "sleep 0.3; echo done\n" * 20 + "sleep 60\n", BLOCK.format(60))
    book.run(0, 2)
    book.start(2)
    done = book.widget().locator(".stratos-value").first
    before = done.inner_text()
    book.page.wait_for_function("text => document.querySelector('.stratos-value').innerText !== text", arg=before)
    began = time.monotonic()
    press(book, "Pause")
    state(book, "paused")
    assert time.monotonic() - began < 2.0
    tab(book, "Tasks")
    rows(book).first.wait_for()
    prompt = "() => window.panel.content.widgets[2].node.querySelector('.jp-InputPrompt').textContent"
    assert "*" in book.page.evaluate(prompt), "the cell was to block all this time"


def test_a_cell_that_waits_shows_progress_and_is_ended_from_the_widget(book: Book) -> None:
    book.open(LOAD, "%%stratos explicit --job waits --wait --max-tasks 1\n" + "sleep 0.1\n" * 9 + "sleep 60\n" * 3)
    book.run(0, 1)
    book.start(1)
    book.widget().locator(".stratos-choose", has_text=re.compile("^[1-8]finished$")).wait_for()
    count(book, "finished", 9)
    press(book, "Kill job", "Kill the job")
    state(book, "stopped")
    book.page.wait_for_function(
        "() => window.panel.content.widgets[1].node.querySelector('.jp-InputPrompt').textContent === '[2]:'"
    )


def test_a_kernel_that_hears_nothing_while_a_cell_runs_is_waited_for(book: Book) -> None:
    settings = "@jupyterlab/apputils-extension:kernels-settings"
    save = "([id, raw]) => window.jupyterapp.serviceManager.settings.save(id, raw)"
    book.page.evaluate(save, [settings, json.dumps({"commsOverSubshells": "disabled"})])
    try:
        book.load()
        book.open(LOAD, "%%stratos explicit --job deaf\n" + "sleep 60\n" * 9, BLOCK.format(4))
        book.run(0, 2)
        book.widget().locator(".stratos-canvas").wait_for()
        book.start(2)
        press(book, "Pause")
        book.widget().locator(".stratos-waits", has_text="Waits for the kernel").wait_for()
        state(book, "paused")  # when it is heard at last
        book.page.wait_for_function("() => document.querySelector('.stratos-waits').textContent === ''")
    finally:
        book.page.evaluate(save, [settings, "{}"])
        book.load()


def test_a_page_loaded_again_shows_the_truth_at_once(book: Book) -> None:
    book.open(LOAD, "%%stratos explicit --job again\n" + "sleep 60\n" * 9, "job().kill([0]); job().wait(2, range(1))")
    book.run(0, 2)
    count(book, "running", 2)
    book.page.evaluate("() => window.panel.context.save()")
    book.run(2, 3)
    book.reload()
    began = time.monotonic()
    count(book, "killed", 1)
    book.widget().locator(".stratos-canvas").wait_for()
    assert time.monotonic() - began < 3.0  # a second, on a machine that does nothing else
    press(book, "Pause")
    state(book, "paused")


def test_two_browsers_show_the_same_job(book: Book, lab: Lab, browser: Browser) -> None:
    book.open(LOAD, "%%stratos explicit --job both --max-tasks 1\n" + "sleep 60\n" * 6)
    book.run()
    book.page.evaluate("() => window.panel.context.save()")
    other = new_book(lab, browser)
    try:
        other.load()
        other.path = book.path
        from tests.browser.lab import OPEN

        other.page.evaluate(OPEN, book.path)
        count(other, "running", 1)
        press(other, "Pause")
        for one in (book, other):
            state(one, "paused")
        tab(book, "Tasks")
        tab(other, "Tasks")
        rows(book).nth(5).click()
        press(book, "Kill")
        book.widget().get_by_role("alertdialog").get_by_role("button", name="Kill").click()
        for one in (book, other):
            count(one, "killed", 1)
        rows(other).filter(has_text="killed").wait_for()
    finally:
        other.page.context.close()


def test_a_widget_that_the_notebook_draws_anew_shows_what_it_did(book: Book) -> None:
    book.open(LOAD, "%%stratos explicit --job anew\nsleep 60\nsleep 60\nsleep 60")
    book.run()
    tab(book, "Tasks")
    rows(book).nth(1).click()
    book.widget().get_by_role("heading", name="Task 1").wait_for()
    create = "() => { window.panel.content.activeCellIndex = 1; window.jupyterapp.commands.execute('notebook:%s'); }"
    book.page.evaluate(create % "create-output-view")  # a second one, which goes again
    book.page.locator(".stratos-job").nth(1).wait_for()
    book.page.evaluate("() => { for (const w of window.jupyterapp.shell.widgets('main')) if (w !== panel) w.close(); }")
    book.page.locator(".stratos-job").nth(1).wait_for(state="detached")
    book.page.evaluate(
        "() => { const { outputs } = panel.content.widgets[1].model; outputs.fromJSON(outputs.toJSON()); }"
    )
    book.widget().get_by_role("heading", name="Task 1").wait_for()
    press(book, "Pause")
    state(book, "paused")


def test_nothing_is_sent_while_it_is_scrolled_away(book: Book) -> None:
    book.open(f"{LOAD}\nmany = [[i] for i in range(400)]", "%%stratos template many --job far\nsleep 0.2 # %c%")
    book.run()
    book.page.evaluate("() => { document.querySelector('.stratos-job').style.marginTop = '9000px'; }")
    book.page.wait_for_function("() => document.querySelector('.stratos-job').classList.contains('stratos-away')")
    heard = "() => document.querySelector('.stratos-value').innerText"
    book.page.wait_for_timeout(300)  # what is on its way
    before = book.page.evaluate(heard)
    book.page.wait_for_timeout(1200)
    assert book.page.evaluate(heard) == before
    book.page.evaluate("() => { document.querySelector('.stratos-job').style.marginTop = ''; }")
    book.page.wait_for_function("text => document.querySelector('.stratos-value').innerText !== text", arg=before)


def test_all_jobs_in_one_widget(book: Book) -> None:
    book.open(
        LOAD, "%%stratos explicit --job one --wait\nexit 1\ntrue", "%%stratos explicit --job two\nsleep 60", "%stratos",
        "%stratos kill two",
    )  # fmt: skip
    book.run(0, 4)
    jobs = book.page.locator(".stratos-jobs")
    first, second = jobs.locator(".stratos-jobs-row").nth(1), jobs.locator(".stratos-jobs-row").nth(2)
    second.get_by_text("running").wait_for()
    assert words(first.inner_text()).startswith("one run 1 ended with failures 2 / 2 1")
    book.run(4, 5)
    second.get_by_text("stopped").wait_for()


# Whether the first lines of the map show three states at least.
COLOURS = """() => {
  const canvas = document.querySelector(".stratos-canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, 3);
  const seen = new Set();
  for (let i = 0; i < data.length; i += 4) seen.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  return seen.size >= 3;
}"""


# -- many tasks -------------------------------------------------------------------------------------


def test_a_hundred_thousand_tasks(book: Book) -> None:
    book.open(
        f"{LOAD}\nnames = {{'n': [f'{{i:06d}}' for i in range(100_000)]}}",
        "%%stratos template names --job many\n[ $(( 1%n% % 10 )) != 3 ] || exit 1",
    )
    book.run()
    page = book.page
    book.widget().get_by_role("application", name="Map of 100,000 tasks").wait_for()
    size = book.widget().locator(".stratos-canvas").bounding_box()
    assert size is not None
    assert size["height"] < 420
    count_nodes = "() => document.querySelectorAll('.stratos-job *').length"
    page.wait_for_function(COLOURS)  # waiting, finished and failed
    press(book, "Pause")
    state(book, "paused")
    tab(book, "Tasks")
    rows(book).nth(5).wait_for()
    assert page.evaluate(count_nodes) < 1200
    grid = book.widget().get_by_role("grid")
    assert grid.get_attribute("aria-rowcount") == "100001"
    grid.focus()
    page.keyboard.press("End")
    rows(book).filter(has_text="1099999 % 10").wait_for()
    assert page.evaluate(count_nodes) < 1200
    book.widget().get_by_label("State", exact=True).select_option("failed or lost")
    page.wait_for_function(
        "() => /^[\\d,]+ of 100,000 tasks$/.test(document.querySelector('.stratos-found').textContent)"
    )
    rows(book).filter(has_text="failed").first.wait_for()
    book.widget().get_by_role("button", name="Time", exact=True).click()
    rows(book).filter(has_text="failed").first.wait_for()
    grid.focus()
    page.keyboard.press("Control+a")
    book.widget().locator(".stratos-chosen", has_text="selected").wait_for()
    book.widget().get_by_label("Search commands").fill("1004213 %")
    book.widget().get_by_label("State", exact=True).select_option("all states")
    page.wait_for_function("() => document.querySelector('.stratos-found').textContent === '1 of 100,000 tasks'")


# -- for everyone -----------------------------------------------------------------------------------


def test_all_of_it_by_keyboard(book: Book) -> None:
    book.open(LOAD, "%%stratos explicit --job keys --wait\n" + "true\n" * 3 + "exit 5\n" + "true\n" * 20)
    book.run()
    page = book.page
    state(book, "ended with failures")
    mode = "() => window.panel.content.mode"
    book.widget().locator(".stratos-choose").first.focus()

    def go_to(selector: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} cannot be reached")

    go_to(".stratos-tab")
    assert words(page.evaluate("document.activeElement.textContent")) == "Map"
    go_to(".stratos-canvas")
    page.keyboard.press("f")
    book.widget().locator(".stratos-tip", has_text="task 3, failed").wait_for()
    page.keyboard.press("Enter")
    book.widget().get_by_role("heading", name="Task 3").wait_for()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.matches('.stratos-canvas')")
    page.evaluate("() => document.querySelector('.stratos-tab[aria-selected=true]').focus()")
    page.keyboard.press("ArrowRight")
    assert words(page.evaluate("document.activeElement.textContent")) == "Tasks"
    go_to(".stratos-grid")
    rows(book).nth(3).wait_for()
    for key in ("ArrowDown", " ", "Shift+ArrowDown", "Shift+ArrowDown"):
        page.keyboard.press(key)
    book.widget().locator(".stratos-chosen", has_text="3 selected").wait_for()
    active = page.evaluate("document.activeElement.getAttribute('aria-activedescendant')")
    assert page.locator(f"#{active}").get_attribute("aria-rowindex") == "5"
    page.keyboard.press("7")  # by exit code
    page.keyboard.press("7")  # the largest first
    page.wait_for_function("() => document.querySelector('.stratos-rows .stratos-col-exit').textContent === '5'")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    book.widget().get_by_role("heading", name="Task 3").wait_for()
    go_to(".stratos-plain")
    assert page.evaluate(mode) == "command"
    assert page.evaluate("() => window.panel.content.widgets.length") == 2, "no key is the notebook's"
    page.keyboard.press("Enter")
    said(book, "1 task runs once more")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_no_barrier_that_axe_knows(book: Book, theme: str) -> None:
    axe = axe_script()
    book.open(
        LOAD,
        "%%stratos explicit --job axe --wait\n" + "echo out; echo err >&2; exit 1\n" * 3 + "echo well\n" * 9,
        "%stratos",
    )
    book.run()
    book.theme(theme)
    try:
        state(book, "ended with failures")
        book.page.evaluate(axe)
        found = barriers(book.page, ".stratos-jobs")
        for name in ("Map", "Tasks", "Failures"):
            tab(book, name)
            if name == "Tasks":
                rows(book).nth(3).wait_for()
            if name == "Failures":
                book.widget().locator(".stratos-group").wait_for()
            found += barriers(book.page, ".stratos-job")
        tab(book, "Tasks")
        rows(book).first.click()
        book.widget().locator(".stratos-output", has_text="err").wait_for()
        found += barriers(book.page, ".stratos-job")
        press(book, "With a memory limit…")
        found += barriers(book.page, ".stratos-job")
    finally:
        book.theme("Light")
    assert found == []


def axe_script() -> str:
    try:
        import axe_playwright_python
    except ImportError:
        require("browser", "axe-playwright-python is not installed")
    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")


def barriers(page: Page, selector: str) -> list[str]:
    report = page.evaluate(
        "selector => axe.run(selector, { rules: { region: { enabled: false } } })", selector
    )  # a part of a page needs no landmark
    return [
        f"{one['id']}: {node['html'][:160]} {node.get('failureSummary', '')}"
        for one in report["violations"]
        for node in one["nodes"]
    ]


def test_the_dark_theme_reaches_the_map(book: Book) -> None:
    book.open(LOAD, "%%stratos explicit --job dark --wait\ntrue\ntrue")
    book.run()
    pixel = "() => document.querySelector('.stratos-canvas').getContext('2d').getImageData(4, 4, 1, 1).data.join()"
    state(book, "finished")
    book.page.wait_for_function(f"() => ({pixel})() === '0,135,95,255'")
    book.theme("Dark")
    try:
        book.page.wait_for_function(f"() => ({pixel})() === '47,191,147,255'")
    finally:
        book.theme("Light")


# -- hostile data -----------------------------------------------------------------------------------


EVIL = """\
import os
os.makedirs("evil", exist_ok=True)
evil = "<img src=x onerror=\\"window.harm=1\\"><script>window.harm=1</script>\\u202egnp.exe"
for name in (b"<img src=x onerror=\\"window.harm=1\\">.txt", "\\u202ecod.exe".encode(), b"\\xff\\xfe.bin"):
    open(b"evil/" + name, "w").write("x")
programs = {"t": [
    f"print({evil!r})",
    "print('w' * 1_000_000)",
    r"print('\\x1b[31m\\x1b[5mx\\x1b[48;5;9m' * 20000)",
    r"print('\\x1b]8;;javascript:alert(1)\\x07link\\x1b]8;;\\x07')",
    f"import sys; print({evil!r}, file=sys.stderr); sys.exit(1)",
    r"print('\\n' * 60000)",
]}"""


def test_hostile_data_is_text(book: Book) -> None:
    book.open(
        f"{LOAD}\n{EVIL}",
        "%%stratos template programs --job hostile --wait\npython3 <<'E'\n%t%\nE",
        "%%stratos glob evil/* --job names --wait\nprintf '%s\\n' %f%; exit 1",
    )
    book.run()
    page = book.page
    for number in (0, 1):
        widget = book.widget(number)
        widget.scroll_into_view_if_needed()
        for name in ("Failures", "Tasks"):
            widget.get_by_role("tab", name=name).click()
            page.wait_for_timeout(100)
        table = widget.locator(".stratos-rows .stratos-row:visible:not(.stratos-blank)")
        table.first.wait_for()
        for i in range(table.count()):
            table.nth(i).click()
            widget.get_by_role("heading", name="Task").wait_for()
            widget.locator(".stratos-stream-head", has_text=re.compile(" B| KiB|nothing")).first.wait_for()
            page.wait_for_timeout(50)
            assert widget.locator("img, script, a, iframe, object, embed").count() == 0
            assert page.evaluate("() => document.querySelectorAll('.stratos-job *').length") < 9000
            width = page.evaluate(
                "n => { const w = document.querySelectorAll('.jp-Notebook .stratos-job')[n];"
                " return [w.scrollWidth - w.clientWidth, w.clientHeight]; }", number,
            )  # fmt: skip
            assert width[0] <= 0
            assert width[1] < 1400
            assert "\u202e" not in widget.inner_text()
            widget.get_by_role("button", name="Back").click()
    assert page.evaluate("window.harm") is None


# -- another front end ------------------------------------------------------------------------------


def test_notebook_7_shows_it_too(browser: Browser, tmp_path: Path) -> None:
    pytest.importorskip("notebook", reason="notebook is not installed")
    lab = Lab(tmp_path / "notebook7", app="notebook")
    try:
        book = new_book(lab, browser)
        path = lab.notebook([LOAD, "%%stratos explicit --job classic\n" + "exit 1\n" * 3 + "sleep 60\n" * 3])
        book.page.goto(f"{lab.address}/notebooks/{path}")
        book.page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.content?.widgets?.length === 2")
        book.page.evaluate(
            """async () => {
              window.panel = window.jupyterapp.shell.currentWidget;
              await window.panel.sessionContext.ready;
              while (window.panel.sessionContext.session?.kernel?.status !== "idle") {
                await new Promise((done) => setTimeout(done, 50));
              }
            }"""
        )
        book.run()
        count(book, "failed", 3)
        tab(book, "Tasks")
        rows(book).filter(has_text="exit 1").first.wait_for()
        press(book, "Pause")
        state(book, "paused")
        assert book.complaints == []
        book.page.context.close()
    finally:
        lab.close()
