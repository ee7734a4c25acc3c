"""Magics in a real kernel: what a notebook keeps, what an interrupt stops, what Tab offers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

import stratos_jupyter
from tests.support.waiting import until

TIMEOUT_S = 60


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels import the package that is tested, installed or not."""
    root = str(Path(stratos_jupyter.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))))


def outputs(notebook: Any, cell: int, kind: str) -> list[Any]:
    return [output for output in notebook.cells[cell].outputs if output.output_type == kind]


def printed(notebook: Any, cell: int) -> str:
    """What a cell has printed, in however many pieces."""
    return "".join(output.text for output in outputs(notebook, cell, "stream"))


def test_a_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("a", "b two", "c'"):
        (tmp_path / "data" / name).write_text("one\ntwo\n")
    cells = [
        "%load_ext stratos_jupyter",
        "%%stratos glob data/* --job demo --into df --parse tsv --columns n:int --wait\nwc -l < %f%",
        "print(df.n.tolist(), sorted(set(df.state)))",
        "%%stratos glob data/* --jbo demo\nwc -l < %f%",
        "%%stratos explicit --job later --into later\nwhile [ ! -e go ]; do sleep 0.01; done; echo done",
        "print(len(later), list(later.columns) == list(df.columns[:0]))",
        "open('go', 'w').close()\nfrom stratos_jupyter import session\nsession.current().job('later').wait(30)",
        "print(later.stdout.tolist())",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    run: Any = nbclient.NotebookClient(
        notebook, timeout=TIMEOUT_S, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}},
        allow_errors=True,
    )  # fmt: skip
    run.execute()

    (error,) = outputs(notebook, 3, "error")
    assert error.ename == "UsageError"
    assert error.traceback[0].startswith("UsageError: unknown option --jbo; did you mean --job?\nusage: %%stratos glob")
    assert [number for number in range(len(cells)) if outputs(notebook, number, "error")] == [3]
    assert printed(notebook, 2) == "[2, 2, 2] ['FINISHED']\n"
    assert printed(notebook, 5).startswith("0 ")
    assert printed(notebook, 7) == "['done\\n']\n"
    shown = [output.data for output in outputs(notebook, 1, "display_data")]
    assert any("application/vnd.jupyter.widget-view+json" in data for data in shown)
    assert any("demo" in data.get("text/html", "") for data in shown)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    manager, client = start_new_kernel(startup_timeout=TIMEOUT_S, kernel_name="python3", cwd=str(tmp_path))
    try:
        execute(client, "%load_ext stratos_jupyter")
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def execute(client: BlockingKernelClient, code: str) -> str:
    """Run a cell and return what it prints."""
    printed = []

    def note(message: Any) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    while True:
        reply = client.execute_interactive(code, timeout=TIMEOUT_S, output_hook=note)
        if reply["content"]["status"] != "aborted":  # for a moment after an error the kernel drops what comes
            break
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(printed)


def replies(client: BlockingKernelClient, count: int) -> dict[str, Any]:
    got = [client.get_shell_msg(timeout=TIMEOUT_S) for _ in range(count)]
    return {message["parent_header"]["msg_id"]: message["content"] for message in got}


def until_shown(client: BlockingKernelClient, cell: str) -> None:
    """Wait until a cell has displayed something."""
    while True:
        message = client.get_iopub_msg(timeout=TIMEOUT_S)
        if message["parent_header"].get("msg_id") == cell and message["msg_type"] == "display_data":
            return


def test_an_interrupt_stops_run_all_and_leaves_the_tasks(
    kernel: tuple[KernelManager, BlockingKernelClient], tmp_path: Path
) -> None:
    manager, client = kernel
    gate = "while [ ! -e go ]; do touch started; sleep 0.01; done; echo passed"
    waiting = client.execute(f"%%stratos explicit --job demo --into df --wait\n{gate}")
    queued = client.execute("reached = True")
    until(lambda: (tmp_path / "started").exists(), TIMEOUT_S)
    manager.interrupt_kernel()
    got = replies(client, 2)
    assert got[waiting]["status"] == "error"
    assert got[waiting]["ename"] == "Interrupted", got[waiting]["traceback"]
    assert got[waiting]["traceback"] == ["interrupted: 1 running go on, 0 wait; %stratos kill demo ends them"]
    assert got[queued]["status"] == "aborted"
    (tmp_path / "go").touch()
    execute(client, "%stratos wait")
    assert execute(client, "print(df.stdout.tolist(), 'reached' in globals())") == "['passed\\n'] False\n"


def test_a_second_interrupt_offers_the_kill_and_does_not_kill(
    kernel: tuple[KernelManager, BlockingKernelClient], tmp_path: Path
) -> None:
    manager, client = kernel
    execute(client, "%%stratos explicit --job demo\nwhile [ ! -e go ]; do touch started; sleep 0.01; done; echo passed")
    until(lambda: (tmp_path / "started").exists(), TIMEOUT_S)
    offered = []
    for _ in range(2):
        waiting = client.execute("%stratos wait demo", stop_on_error=False)
        until_shown(client, waiting)
        manager.interrupt_kernel()
        reply = replies(client, 1)[waiting]
        assert reply["ename"] == "Interrupted"
        offered.append([payload["text"] for payload in reply["payload"]])
    assert offered == [[], ["%stratos kill demo"]]
    (tmp_path / "go").touch()
    execute(client, "%stratos wait")
    assert execute(client, "r = %stratos results\nprint(r.state.tolist())") == ("['FINISHED']\n")


def test_a_kernel_that_is_restarted_finds_its_job_again(
    kernel: tuple[KernelManager, BlockingKernelClient], tmp_path: Path
) -> None:
    manager, client = kernel
    gate = "while [ ! -e go ]; do touch started; sleep 0.01; done; echo passed"
    execute(client, f"%%stratos explicit --job demo --parse lines\necho early\n{gate}\n{gate}")
    until(lambda: (tmp_path / "started").exists(), TIMEOUT_S)
    manager.restart_kernel(now=False)
    client.wait_for_ready(timeout=TIMEOUT_S)
    execute(client, "%load_ext stratos_jupyter")
    assert "demo" in execute(client, "%stratos attach")
    execute(client, "%stratos attach demo --into df")
    (tmp_path / "go").touch()
    execute(client, "%stratos wait")
    assert execute(client, "print(df.lines.tolist(), df.attempt.tolist())") == (
        "[['early'], ['passed'], ['passed']] [1, 1, 1]\n"
    )


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("%%stratos glob data/* --in", ["--into"]),
        ("%stratos status de", ["demo"]),
        ("df = %stratos rel", ["relaunch"]),
        ("%stratos connect local[", ["local[1]"]),
        ("%%stratos template ang", ["angles"]),
    ],
)
def test_tab_completes_in_a_notebook(
    kernel: tuple[KernelManager, BlockingKernelClient], code: str, found: list[str]
) -> None:
    _, client = kernel
    execute(client, "angles = ['1']")
    execute(client, "%%stratos explicit --job demo --wait\ntrue")
    reply: Any = client.complete(code, reply=True, timeout=TIMEOUT_S)
    content = reply["content"]
    start, end = content["cursor_start"], content["cursor_end"]
    assert end == len(code)
    assert code[start:] == code.split()[-1]
    assert content["matches"][: len(found)] == found
