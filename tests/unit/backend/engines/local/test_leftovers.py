"""What local executors leave in a run's folder."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from stratos_jupyter.backend.engines.local import leftovers
from stratos_jupyter.backend.store.lease import boot_id, process_start


def put(run: Path, number: int, text: str) -> None:
    folder = run / "executors" / str(number)
    folder.mkdir(parents=True)
    (folder / "executor.json").write_text(text)


def test_only_executors_that_live_on_this_machine_count(tmp_path: Path) -> None:
    pid = os.getpid()
    here = {"pid": pid, "started": process_start(pid), "boot_id": boot_id(), "host": socket.gethostname()}
    for number, info in enumerate([here, {**here, "started": "0"}, {**here, "boot_id": "x"}, {**here, "pid": 0}, {}]):
        put(tmp_path, number, json.dumps(info))
    assert leftovers.living(tmp_path) == [pid]
    assert not leftovers.on_another_machine(tmp_path)
    put(tmp_path, 8, json.dumps({**here, "host": "elsewhere"}))
    assert leftovers.on_another_machine(tmp_path)


def test_a_file_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, 1, "{")
    put(tmp_path, 2, "[1]")
    assert leftovers.living(tmp_path) == []
    assert not leftovers.on_another_machine(tmp_path)
    assert not leftovers.has_unrecorded(tmp_path)
    (tmp_path / "executors" / "1" / "spool").touch()
    assert leftovers.has_unrecorded(tmp_path)
