"""Take the pictures of the widget: each of its views, in the light and in the dark theme, in a real JupyterLab.

python docs/images/widget.py [FOLDER]     needs the test extra and Chromium
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.browser.lab import Lab, new_book

SETUP = """\
%load_ext stratos_jupyter
import random
random.seed(4)
cube = {"snapshot": [f"/dfs/galaxies/run{i // 1000}/snap_{i:04d}.dat" for i in range(4000)]}"""
# A range of files is broken, some need more memory than they have, one prints in colours.
CELL = """%%stratos template cube --job vel-dispersion --mem 64M
f=%snapshot%; n=1${f##*_}; n=$(( ${n%.dat} - 10000 ))
if [ $n -ge 1200 ] && [ $n -lt 1420 ]; then echo "gsnap: cannot open header $f" >&2; exit 2; fi
[ $(( n * 7919 % 613 )) -ge 9 ] || { echo "gsnap: out of memory in tree $n" >&2; kill -9 $$; }
[ $n != 17 ] || { for i in $(seq 400); do printf '\\033[36mstep %4d\\033[0m  energy \\033[1m%d.%03d\\033[0m\\n' \\
  $i $((i * 31 % 97)) $((i * 17 % 1000))
  [ $((i % 9)) != 0 ] || printf '\\033[33mwarning:\\033[0m softening is small\\n' >&2
  sleep 0.25; done; }
echo "$n $(( n * 37 % 211 )).$(( n % 10 ))"; sleep 0.0$(( n % 3 ))"""
OTHER = "%%stratos explicit --job calibrate --wait\necho 1\necho 2\nexit 1\necho 4"
THIRD = "%%stratos explicit --job montage --max-tasks 2\n" + "sleep 2\n" * 12


def main() -> None:
    """Take all of them."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    folder = Path(tempfile.mkdtemp(prefix="stratos-pictures-"))
    lab = Lab(folder)
    try:
        with sync_playwright() as play:
            program = shutil.which("chromium") or shutil.which("google-chrome")
            browser = play.chromium.launch(
                executable_path=program, args=["--headless", "--no-sandbox", "--disable-gpu"]
            )
            book = new_book(lab, browser, viewport={"width": 1120, "height": 1500}, device_scale_factor=1)
            book.load()
            shoot(book, target)
            browser.close()
    finally:
        lab.close()
        shutil.rmtree(folder, ignore_errors=True)


def shoot(book: Any, target: Path) -> None:
    """Run the notebook and take the pictures."""
    page = book.page
    book.open(SETUP, CELL, OTHER, THIRD, "%stratos")
    book.run(0, 2)
    widget = book.widget()
    widget.get_by_role("application").wait_for()
    page.wait_for_function(
        "() => Number(document.querySelector('.stratos-value').firstChild.textContent.replaceAll(',', '')) > 1800",
        timeout=120_000,
    )
    themes = ("Light", "Dark")

    def take(name: str, what: Any = widget) -> None:
        for theme in themes:
            book.theme(theme)
            page.mouse.move(5, 5)
            page.wait_for_timeout(400)
            what.screenshot(path=target / f"widget-{name}-{theme.lower()}.png", animations="disabled")
        book.theme("Light")

    take("map")
    widget.get_by_role("tab", name="Tasks").click()
    widget.get_by_label("Search commands").fill("#1195-1300 17")
    page.wait_for_timeout(800)
    page.locator(".stratos-rows .stratos-check").nth(5).click()
    page.locator(".stratos-rows .stratos-check").nth(7).click(modifiers=["Shift"])
    take("tasks")
    widget.get_by_role("button", name="Clear").click()
    page.locator(".stratos-rows .stratos-row").first.locator(".stratos-col-command").click()
    widget.locator(".stratos-output .stratos-ansi-6").first.wait_for()
    take("task")
    widget.get_by_role("tab", name="Failures").click()
    widget.locator(".stratos-group").nth(1).wait_for()
    widget.locator(".stratos-group").nth(1).get_by_role("button", name="Relaunch with more memory").click()
    take("failures")
    page.keyboard.press("Escape")
    book.run(2, 5)
    page.wait_for_timeout(1000)
    take("jobs", page.locator(".stratos-jobs"))


if __name__ == "__main__":
    main()
