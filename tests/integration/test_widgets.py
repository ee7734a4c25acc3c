"""What a cell shows, in a real kernel."""

from __future__ import annotations

import re
from typing import Any

import nbformat
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from stratos_jupyter.widgets import NOTHING


def far(line: str) -> str:
    """Return how far a line of text says that a job is."""
    found = re.search(r"\d+/\d+", line)
    assert found is not None
    return found[0]


JOB = """
import dataclasses, threading
from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.widgets import JobDisplay

class Job:
    def __init__(self):
        self.subscribers = []
        self.view = JobView("demo", 1, "local[2]", (100, 0, 0, 0, 0, 0, 0, 0), at_s=1000.0, submitted_at=1000.0)
    def subscribe(self, callback):
        self.subscribers.append(callback)
        return lambda: self.subscribers.remove(callback)
    def go_to(self, done):
        counts = (100 - done, 0, 0, 0, done, 0, 0, 0)
        ended = 1001.0 if done == 100 else None
        self.view = dataclasses.replace(self.view, counts=counts, at_s=1000 + done / 100, ended_at=ended)
        def run():
            for callback in list(self.subscribers):
                callback(self.view)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

job, display = Job(), JobDisplay()
"""


class Watching(NotebookClient):
    """Runs a notebook and notes what its second cell shows after each cell."""

    def __init__(self, *cells: str) -> None:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        super().__init__(notebook, timeout=60, kernel_name="python3")
        self.on_cell_executed = self._note
        self.texts: list[list[str]] = []
        self.views: list[list[int]] = []

    def _note(self, **_: Any) -> None:
        outputs = self.nb.cells[1].outputs
        self.texts.append([far(output.data["text/plain"]) for output in outputs])
        self.views.append([state["view"]["done"] for state in self.widget_state.values() if state.get("view")])


def test_an_executed_notebook_shows_the_truth_after_each_cell() -> None:
    client = Watching(
        JOB,
        "display.follow(job)",
        "job.go_to(30)",  # the loop stands still: shown after the cell
        "import asyncio\njob.go_to(60); await asyncio.sleep(0.1); assert display.widget.view['done'] == 60",
        "job.go_to(100)",
    )
    client.execute()
    assert client.texts[1:] == [["0/100", "0/100"], ["0/100", "30/100"], ["0/100", "60/100"], ["100/100", "100/100"]]
    assert client.views[1:] == [[0], [30], [60], [100]]
    widget, snapshot = client.nb.cells[1].outputs
    assert "application/vnd.jupyter.widget-view+json" in widget.data
    assert "100/100 done" in snapshot.data["text/html"]


def test_a_cell_that_blocks_shows_progress_itself() -> None:
    client = Watching(JOB, "for done in (0, 40, 80, 100):\n    job.go_to(done)\n    display.pump(job.view)")
    client.execute()
    assert client.texts[1] == ["100/100", "100/100"]
    assert client.views[1] == [100]


def test_after_the_cell_has_returned_the_loop_shows_what_happens() -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        client.execute(JOB)
        client.execute("display.follow(job); threading.Timer(0.2, job.go_to, [30]).start()")
        snapshots: dict[str, str] = {}
        while not any("30/100 done" in html for html in snapshots.values()):
            message = client.get_iopub_msg(timeout=20)
            data = message["content"].get("data", {})
            if message["msg_type"] == "display_data" and data.get("text/html") not in (None, NOTHING):
                display_id = message["content"]["transient"]["display_id"]
                assert "0/100 done" in data["text/html"]
                snapshots[display_id] = ""
            elif message["msg_type"] == "update_display_data":
                display_id = message["content"]["transient"]["display_id"]
                assert display_id in snapshots
                snapshots[display_id] = data["text/html"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
