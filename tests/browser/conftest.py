"""A page in a real browser that holds one widget, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import stratos_jupyter
from stratos_jupyter.live.bundle import bundled
from tests.conftest import require

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STATIC = Path(stratos_jupyter.__file__).parent / "static"

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# As much of an anywidget model as a widget may use, with an account of who listens and what was sent.
HARNESS = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>harness</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/job.css">
<style>body { margin: 0; padding: 16px; } </style></head>
<body><main id="cell"></main>
<script type="module">
import widget from "/job.js";
class Model {
  constructor(state) { this.state = state; this.layout = {}; this.heard = {}; this.sent = []; this.answers = true; }
  get(name) { return name === "layout" ? this.layout : this.state[name]; }
  set(name, value) { this.state[name] = value; for (const f of this.heard[`change:${name}`] ?? []) f(); }
  on(event, f) { (this.heard[event] ??= new Set()).add(f); }
  off(event, f) { this.heard[event]?.delete(f); }
  send(content) {
    this.sent.push(content);
    if (this.answers && content.ask === "watch") queueMicrotask(() => this.tell({ tick: { view: this.state.view } }));
    const { page, n } = content;
    const answer = window.answer?.[content.ask ?? content.do];
    if (answer) queueMicrotask(() => this.tell({ page, n, ...answer }));
  }
  tell(message, buffers) { for (const f of this.heard["msg:custom"] ?? []) f(message, buffers); }
  save_changes() { this.sent.push("save_changes"); }
  get proxy() { // as anywidget makes one for each view
    return Object.fromEntries(
      ["get", "set", "on", "off", "send", "save_changes"].map((name) => [name, (...all) => this[name](...all)])
    );
  }
  get listeners() { return Object.values(this.heard).reduce((n, set) => n + set.size, 0); }
}
window.mount = (view, answers = true) => {
  window.model = new Model({ view });
  window.model.answers = answers;
  widget.initialize({ model: window.model.proxy });
  window.draw();
};
window.draw = () => {
  window.unmount = widget.render({ model: window.model.proxy, el: document.querySelector("#cell") });
};
window.ready = true;
</script></body></html>
"""

# Who listens to the document, and which timers run: what a widget that is gone must have given back.
ACCOUNTS = """
window.account = { listeners: 0, timers: new Set() };
const { addEventListener, removeEventListener } = document;
document.addEventListener = (...all) => { account.listeners += 1; addEventListener.apply(document, all); };
document.removeEventListener = (...all) => { account.listeners -= 1; removeEventListener.apply(document, all); };
const { setInterval: start, clearInterval: stop } = window;
window.setInterval = (...all) => { const id = start(...all); account.timers.add(id); return id; };
window.clearInterval = (id) => { account.timers.delete(id); stop(id); };
"""

TYPES = {".js": "text/javascript", ".css": "text/css"}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        name = self.path.strip("/")
        if name == "":
            self._reply("text/html; charset=utf-8", HARNESS.encode())
        elif name in ("job.js", "job.css"):
            body = bundled().encode() if name == "job.js" else (STATIC / name).read_bytes()
            self._reply(TYPES[Path(name).suffix], body)
        else:
            self.send_error(404)

    def _reply(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        require("browser", "playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        require("browser", "no chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


class Cell:
    """One widget in a page of its own."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.addresses: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.addresses.append(request.url))

    def mount(self, view: Mapping[str, Any], answers: bool = True) -> None:
        """Show a widget; with `answers` its kernel says how the job is when it is asked."""
        self.page.evaluate("([view, answers]) => window.mount(view, answers)", [view, answers])

    def push(self, view: Mapping[str, Any]) -> None:
        self.page.evaluate("view => window.model.set('view', view)", view)
        self.painted()

    def painted(self) -> None:
        """Wait for two frames: one that was asked for, one that is on the screen."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def text(self, selector: str) -> str:
        return re.sub(r"\s+", " ", self.page.locator(selector).first.inner_text()).strip()

    def picture(self, name: str) -> None:
        """Keep a screenshot where STRATOS_SCREENSHOTS says, if it says so."""
        directory = os.environ.get("STRATOS_SCREENSHOTS")
        if directory:
            self.page.set_viewport_size({"width": self.page.evaluate("innerWidth"), "height": 100})
            self.page.screenshot(path=Path(directory) / f"{name}.png", full_page=True, animations="disabled")


@pytest.fixture
def open_cell(browser: Browser, address: str) -> Iterator[Any]:
    contexts = []

    def open_(*, width: int = 800, now_s: float | None = None, **options: Any) -> Cell:
        """Open a page; with `now_s` its clock starts there and stands still until it is told to run."""
        context = browser.new_context(viewport={"width": width, "height": 400}, timezone_id="UTC", **options)
        contexts.append(context)
        cell = Cell(context.new_page())
        if now_s is not None:
            cell.page.clock.install(time=now_s)
            cell.page.clock.pause_at(now_s + 1)
        cell.page.add_init_script(ACCOUNTS)
        cell.page.goto(address)
        cell.page.wait_for_function("window.ready")
        return cell

    yield open_
    for context in contexts:
        context.close()
