"""Take the README's picture: a real notebook in a real JupyterLab, with real tasks.

python docs/images/take.py [FOLDER]     needs the test extra and Chromium
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from playwright.sync_api import sync_playwright

CELLS = [
    "%load_ext stratos_jupyter",
    "%%stratos glob stdlib/**/*.py --job demo --into df --parse tsv --columns lines:int,words:int,bytes:int --wait\n"
    "wc < %f%",
    'df[["state", "file", "lines", "words", "bytes", "wall_s"]].nlargest(4, "lines")',
]
CHROMIUM = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_notebook(folder: Path) -> None:
    """Write the notebook and the files that it works on."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "demo.ipynb")
    leave_out = shutil.ignore_patterns("site-packages", "dist-packages", "__pycache__")
    shutil.copytree(Path(os.__file__).parent, folder / "stdlib", copy_function=os.symlink, ignore=leave_out)


def main() -> None:
    """Take the picture."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_notebook(folder)
        env = {**os.environ, "STRATOS_HOME": f"{name}/state", "IPYTHONDIR": f"{name}/ipython", "HOME": name}
        env |= {f"JUPYTER_{kind}_DIR": f"{name}/{kind.lower()}" for kind in ("CONFIG", "DATA", "RUNTIME")}
        theme = folder / "config/lab/user-settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings"
        news = theme.with_name("notification.jupyterlab-settings")
        theme.parent.mkdir(parents=True)
        theme.write_text(json.dumps({"theme": "JupyterLab Light"}))
        news.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
        port = free_port()
        options = [f"--port={port}", "--IdentityProvider.token=", f"--ServerApp.root_dir={name}", "--allow-root"]
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", "--no-browser", *options], env=env, cwd=name)
        try:
            with sync_playwright() as play:
                shoot(play, f"http://127.0.0.1:{port}/lab/tree/demo.ipynb?reset", target / "quickstart.png")
        finally:
            server.terminate()
            server.wait()


def shoot(play: object, url: str, path: Path) -> None:
    """Run all cells and take the picture of the notebook."""
    browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)  # type: ignore[attr-defined]
    page = browser.new_page(viewport={"width": 1180, "height": 900}, device_scale_factor=2)
    for _ in range(100):
        try:
            page.goto(url)
            break
        except Exception:  # the server is not up yet
            page.wait_for_timeout(200)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.get_by_role("button", name="Idle").first.wait_for(timeout=60_000)
    page.click(".jp-Notebook .jp-CodeCell .cm-content >> nth=0")
    for _ in CELLS:
        page.keyboard.press("Shift+Enter")
    page.wait_for_selector(".jp-Notebook table.dataframe", timeout=120_000)
    page.keyboard.press("Control+b")  # the side bar
    page.wait_for_timeout(1000)
    last = page.locator(".jp-Notebook table.dataframe").bounding_box()
    top = page.locator(".jp-Notebook .jp-CodeCell").first.bounding_box()
    clip = {"x": 40, "y": top["y"] - 8, "width": 1096, "height": last["y"] + last["height"] - top["y"] + 24}
    page.screenshot(path=str(path), clip=clip)
    browser.close()


if __name__ == "__main__":
    main()
