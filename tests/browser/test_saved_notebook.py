"""A saved notebook in a real JupyterLab: its jobs are there, and no error stands where a widget was."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

from stratos_jupyter.backend.core.states import Reason
from stratos_jupyter.backend.results.failure_groups import Group
from stratos_jupyter.report.snapshot import HIDE_LOST_WIDGET, static_html
from stratos_jupyter.report.summary import JobSummary
from stratos_jupyter.widgets import NOTHING
from tests.conftest import require
from tests.support.hostile_text import view_of
from tests.support.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: without a kernel, JupyterLab waits for the widget's model; with a new one it knows that there is none
SAYS = {"none": "Loading widget...", "new": "Error displaying widget: model not found"}


def write_notebook(path: Path, kernel: str) -> None:
    view = view_of(finished=39, failed=1, ended_at=1004.0, reasons={Reason.EXIT: 40})
    summary = JobSummary(view, [Group("exit", 3, "no such galaxy", "", (7,))], bytes([4]) * 39 + bytes([5]))
    lost = {"application/vnd.jupyter.widget-view+json": {"model_id": "gone", "version_major": 2, "version_minor": 1}}
    outputs = [
        nbformat.v4.new_output("display_data", {**lost, "text/html": NOTHING, "text/plain": "a line"}),
        nbformat.v4.new_output("display_data", {"text/html": HIDE_LOST_WIDGET + static_html(summary)}),
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("%%stratos", outputs=outputs)])
    language = "python" if kernel == "python3" else "none of these"
    made.metadata.kernelspec = {"name": kernel, "display_name": kernel, "language": language}
    made.metadata.language_info = {"name": language}
    nbformat.write(made, path)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a JupyterLab with a trusted and an untrusted notebook, each for a kernel and for none."""
    pytest.importorskip("jupyterlab")
    folder = tmp_path_factory.mktemp("lab")
    env = {**os.environ, "HOME": str(folder), "IPYTHONDIR": str(folder / "ipython")}
    env |= {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    books = folder / "books"
    books.mkdir()
    for trust in ("trusted", "untrusted"):
        for kernel, name in (("python3", "new"), ("absent", "none")):
            write_notebook(books / f"{trust}-{name}.ipynb", kernel)
    trusted = sorted(map(str, books.glob("trusted-*.ipynb")))
    trust = [sys.executable, "-m", "jupyter", "trust", *trusted]
    if subprocess.run(trust, env=env, stdout=subprocess.DEVNULL).returncode:
        require("browser", "notebooks cannot be trusted here")
    for path in books.glob("untrusted-*.ipynb"):
        path.write_text(path.read_text("utf-8").replace("%%stratos", "%%stratos "), "utf-8")  # or it has the same sign
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [f"--port={port}", "--IdentityProvider.token=", f"--ServerApp.root_dir={books}", "--allow-root"]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", *options],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{address}/api", timeout=5):
                return True
        except OSError:
            return False

    until(answers, 60, "JupyterLab")
    yield address
    server.terminate()
    server.wait()


@pytest.mark.parametrize("trust", ["trusted", "untrusted"])
@pytest.mark.parametrize("kernel", ["new", "none"])
def test_it_shows_the_last_state_and_no_error(browser: Browser, lab: str, trust: str, kernel: str) -> None:
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    page.goto(f"{lab}/lab/tree/{trust}-{kernel}.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .stratos-snapshot", timeout=60_000)
    if kernel == "none":
        page.wait_for_selector(".jp-Dialog", timeout=60_000)
        page.locator(".jp-Dialog [aria-label='No Kernel']").last.evaluate("button => button.click()")
        page.wait_for_selector(".jp-Dialog", state="detached")
    if trust == "trusted":  # what it says is there, and takes no room
        says = page.locator(".jp-OutputArea-output", has_text=SAYS[kernel])
        says.wait_for(state="attached", timeout=60_000)
        assert says.evaluate("node => node.getBoundingClientRect().height") == 0
    shown = page.locator(".jp-Notebook .jp-OutputArea").inner_text()
    assert shown.strip() == "✗ demo run 1 on local[2]: 40/40 done (1 failed) in 4.0 s"
    page.locator(".stratos-snapshot summary").click()
    inside = page.locator(".stratos-snapshot").inner_text()
    assert "exit 3: no such galaxy" in inside
    assert "a cell is one task" in inside
    page.close()
