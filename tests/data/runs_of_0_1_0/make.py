"""Make the runs beside this file, with the stratos_jupyter that is imported: README.md says how.

Everything is below /tmp/data: the state in `stratos`, what the commands read and write in `work`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

PLACE = Path("/tmp/data")
HOME = PLACE / "stratos"
WORK = PLACE / "work"
#: the inputs' time of change, in seconds since the epoch
AT_S = 1_000_000_000
INPUTS = {"1.dat": "0.5", "2.dat": "1.5", "it's.dat": "2.5", "Zürich.dat": "3.5"}

#: cells
FINISHED = "printf '%s\\t%s\\n' \"$(cat %f%)\" %f%"
SCALED = 'echo "$SCALE $(cat %f%)"'

WATCH = """#!/bin/sh
case $2 in *diverged*) echo "stratos_relaunch 0.25" ;; esac
"""
HALVE = """#!/bin/sh
echo "echo step $1"
"""


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(mode)
    os.utime(path, (AT_S, AT_S))


def make_inputs(folder: Path) -> None:
    """Write what the commands read."""
    for name, text in INPUTS.items():
        write(folder / name, text)
    write(folder / "tables" / "mass.tab", "mass")
    write(folder / "watch.sh", WATCH, 0o755)
    write(folder / "halve.sh", HALVE, 0o755)


def until(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.05)


def cell(shell: InteractiveShell, first: str, body: str = "") -> None:
    shell.run_cell(f"%%stratos {first}\n{body}" if body else f"%stratos {first}", store_history=False).raise_error()


def jobs(shell: InteractiveShell) -> None:
    """All runs but `unfinished`."""
    cell(shell, "connect local[2]")
    cell(shell, "glob *.dat --job finished --parse tsv --columns mass:float,name --wait", FINISHED)
    retried = "test -e once || { touch once; echo first >&2; exit 3; }; echo second"
    cell(
        shell,
        "explicit --job failed --retries 1 --retry-delay 0.1s --wait",
        f"echo fine\n{retried}\necho no mass >&2; exit 4\nkill -SEGV $$",
    )
    cell(shell, "explicit --job killed", "echo short\necho long; exec sleep 1000")
    until((WORK.parent / "stratos/jobs/killed/1/progress.json").exists)
    from stratos_jupyter.session import current

    until(lambda: current().job("killed").view.done == 1)
    time.sleep(0.5)  # the other has written its line
    cell(shell, "kill killed 1")
    cell(shell, "wait killed")
    shell.user_ns["angles"] = {"azimuth": [0, 45, 90], "name": ["x", "y z", "$HOME"]}
    cell(shell, "template angles --job parameters --parse float --wait", "echo %azimuth%")
    cell(shell, "glob *.dat --job marked --wait", "cat %f% <[tables/mass.tab]>")
    cell(
        shell,
        "explicit --job monitored --monitor ./watch.sh --relauncher ./halve.sh --update-interval 0.2s --wait",
        "echo diverged; exec sleep 1000",
    )
    os.environ["SCALE"] = "7"
    cell(shell, "glob [12].dat --job resumed --env SCALE --resume --wait", SCALED)
    write(WORK / "2.dat", "1.75")
    cell(shell, "glob *.dat --job resumed --env SCALE --resume --wait", SCALED)
    write(WORK / "2.dat", INPUTS["2.dat"])
    cell(shell, "explicit --job files --output disk --log-dir logs --wait", "echo out; echo err >&2\necho two")
    cell(shell, "explicit --job halted --max-tasks 1 --halt 1", "echo one\nexit 5\necho three")
    until(lambda: current().job("halted").halted)


#: one task is recorded, one has ended and nobody has heard of it, two run, two are queued
UNFINISHED = [
    "echo recorded",
    "while ! test -e go; do sleep 0.05; done; echo kept",
    *(f"echo begun >> began.{number}; while ! test -e on; do sleep 0.05; done; echo {number}" for number in (2, 3)),
    "echo 4",
    "echo 5",
]


def kernel() -> None:
    """A kernel that is killed."""
    from stratos_jupyter.session import current

    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_line_magic("load_ext", "stratos_jupyter")
    cell(shell, "connect local[3]")
    cell(shell, "explicit --job unfinished", "\n".join(UNFINISHED))
    until(lambda: current().job("unfinished").view.done == 1 and (WORK / "began.3").exists())
    time.sleep(1.0)  # the result is on disk
    print("up", flush=True)
    time.sleep(1000)


def unfinished() -> None:
    child = subprocess.Popen([sys.executable, __file__, "kernel"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if line == "up\n":
            break
    child.kill()
    child.communicate()
    (WORK / "go").touch()
    time.sleep(2.0)  # the executor has kept the end of the second task
    for path in (HOME / "jobs" / "unfinished" / "1").glob("executors/*/executor.json"):
        os.kill(json.loads(path.read_text())["pid"], signal.SIGKILL)
    (WORK / "on").touch()  # the tasks end, and nobody hears of it


def main() -> None:
    if sys.argv[1:] == ["kernel"]:
        kernel()
        return
    os.environ["STRATOS_HOME"] = str(HOME)
    os.environ["IPYTHONDIR"] = str(PLACE / "ipython")
    make_inputs(WORK)
    os.chdir(WORK)
    unfinished()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_line_magic("load_ext", "stratos_jupyter")
    jobs(shell)
    from stratos_jupyter.session import close

    close()


if __name__ == "__main__":
    main()
