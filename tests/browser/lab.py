"""A real JupyterLab, and notebooks in it that a browser runs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

#: how long a page, a kernel or a job may take, in milliseconds
SOON_MS = 60_000

# Opens a notebook in the page that is there, in the place of the one before.
OPEN = """async (path) => {
  const app = window.jupyterapp;
  for (const widget of [...app.shell.widgets("main")]) {
    await widget.context?.save?.().catch(() => 0);
    widget.dispose();
  }
  const panel = await app.commands.execute("docmanager:open", { path, factory: "Notebook" });
  await panel.context.ready;
  await panel.sessionContext.ready;
  window.panel = panel;
  while (panel.sessionContext.session?.kernel?.status !== "idle") await new Promise((done) => setTimeout(done, 50));
}"""

RUN = """async ([from, to]) => {
  const { content, sessionContext } = window.panel;
  const run = window.jupyterapp.commands;
  for (let i = from; i < to; i += 1) {
    content.activeCellIndex = i;
    content.deselectAll();
    await run.execute("notebook:run-cell");
  }
}"""

# Starts a cell and does not wait for it.
START = """(i) => {
  const { content } = window.panel;
  content.activeCellIndex = i;
  content.deselectAll();
  window.jupyterapp.commands.execute("notebook:run-cell");
}"""


class Lab:
    """A JupyterLab server of its own, with nothing of the user's."""

    def __init__(self, folder: Path, app: str = "jupyterlab") -> None:
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        (folder / "home").mkdir()
        self.env = {
            **os.environ,
            "STRATOS_HOME": str(folder / "state"),
            "IPYTHONDIR": str(folder / "ipython"),
            "HOME": str(folder / "home"),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
            "STRATOS_ON_EXIT": "kill",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            **{f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")},
        }
        settings = folder / "config/lab/user-settings/@jupyterlab"
        for name, values in {
            "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
            "notebook-extension/tracker": {"windowingMode": "none"},
        }.items():
            path = settings / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        options = [
            "--no-browser", "--allow-root", f"--port={self.port}", "--IdentityProvider.token=",
            f"--ServerApp.root_dir={self.work}", "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True", "--ServerApp.log_level=ERROR",
            "--ServerApp.disable_check_xsrf=True",
        ]  # fmt: skip
        self.log = folder / "server.log"
        with self.log.open("wb") as log:
            self.server = subprocess.Popen(
                [sys.executable, "-m", app, *options], env=self.env, cwd=self.work, stdout=log, stderr=log
            )
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until and self.server.poll() is None:
            try:
                urllib.request.urlopen(f"{self.address}/api", timeout=5).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        self.close()
        raise AssertionError(f"JupyterLab did not start: {self.log.read_text()[-2000:]}")

    def notebook(self, cells: Sequence[str]) -> str:
        """Write a notebook and return its path."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        name = f"{uuid.uuid4().hex[:12]}.ipynb"
        nbformat.write(notebook, self.work / name)
        return name

    def ask(self, path: str, method: str = "GET", body: object = None) -> Any:
        request = urllib.request.Request(
            f"{self.address}/{path}", method=method, data=None if body is None else json.dumps(body).encode()
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            data = answer.read()
        return json.loads(data) if data else None

    def end_kernels(self) -> None:
        """End all kernels, and with them what they run."""
        for session in self.ask("api/sessions"):
            self.ask(f"api/sessions/{session['id']}", "DELETE")

    def close(self) -> None:
        """End the server and its kernels."""
        if self.server.poll() is None:
            try:
                self.end_kernels()
            except OSError:
                pass
            self.server.terminate()
            try:
                self.server.wait(20)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()


class Book:
    """A notebook that a page shows."""

    def __init__(self, lab: Lab, page: Page) -> None:
        self.lab = lab
        self.page = page
        self.path = ""
        self.complaints: list[str] = []
        page.on("pageerror", self._complain)

    def _complain(self, error: Any) -> None:
        """Take in an error of ours: a widget's module has such an address, a front end's own has not."""
        if "blob:" in (error.stack or ""):
            self.complaints.append(f"{error}\n{error.stack}")

    def load(self, query: str = "?reset") -> None:
        """Load the page."""
        self.page.goto(f"{self.lab.address}/lab{query}")
        self.page.wait_for_function("() => window.jupyterapp?.commands?.hasCommand('docmanager:open')", timeout=SOON_MS)
        self.page.evaluate("() => window.jupyterapp.restored")
        self.page.evaluate("() => { const s = window.jupyterapp.shell; if (!s.leftCollapsed) s.collapseLeft(); }")

    def open(self, *cells: str) -> None:
        """Open a new notebook with these cells; nothing runs yet."""
        self.path = self.lab.notebook(cells)
        self.page.evaluate(OPEN, self.path)

    def run(self, first: int = 0, after: int | None = None) -> None:
        """Run cells and wait for them."""
        count = self.page.evaluate("() => window.panel.content.widgets.length")
        self.page.evaluate(RUN, [first, count if after is None else after])

    def start(self, cell: int) -> None:
        """Run a cell, and don't wait for it."""
        self.page.evaluate(START, cell)

    def reload(self) -> None:
        """Load the page again, with the same notebook and kernel."""
        self.load("")
        self.page.evaluate(OPEN, self.path)

    def widget(self, number: int = 0) -> Locator:
        """Return a widget of the page."""
        return self.page.locator(".jp-Notebook .stratos-job").nth(number)

    def theme(self, name: str) -> None:
        """Turn to a theme of JupyterLab."""
        self.page.evaluate(
            "name => window.jupyterapp.commands.execute('apputils:change-theme', { theme: name })", f"JupyterLab {name}"
        )
        is_light = "true" if name == "Light" else "false"
        self.page.wait_for_function("is => document.body.dataset.jpThemeLight === is", arg=is_light)

    def output(self, cell: int) -> str:
        """Return the text that a cell has printed."""
        return str(
            self.page.evaluate(
                "i => window.panel.content.widgets[i].model.outputs.toJSON()"
                ".map(o => o.text ?? o.data?.['text/plain'] ?? (o.evalue ?? '')).flat().join('')",
                cell,
            )
        )


def new_book(lab: Lab, browser: Browser, **options: Mapping[str, Any] | Any) -> Book:
    """Return a page with JupyterLab in it."""
    context = browser.new_context(
        **{"viewport": {"width": 1180, "height": 900}, "timezone_id": "UTC", "reduced_motion": "reduce", **options}
    )
    book = Book(lab, context.new_page())
    book.page.set_default_timeout(SOON_MS / 3)
    return book
