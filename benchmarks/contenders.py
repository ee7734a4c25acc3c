"""What runs in the benchmark: each contender does N times `echo i` in two slots and says how long it took."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PEERS = Path(__file__).resolve().parent / "peers"
CHECKOUT = PEERS.parent.parent
SLOTS = 2
#: one run of one contender may take this long
LIMIT_S = 900.0

Sample = dict[str, Any]
#: (a folder of its own, tasks) -> at least "seconds"; "wrong" counts the results that are not there or not right
Run = Callable[[Path, int], Sample]


class Failed(Exception):
    """A contender did not do what it was asked to; the table says so and goes on."""


@dataclass
class Contender:
    """One thing to be measured, and what was seen of it."""

    name: str
    label: str
    run: Run
    #: why it cannot run here; "" when it can
    missing: str = ""
    #: slow ones run one task in so many: what counts is their rate
    share: int = 1
    #: how each command is executed: by sh, by bash, or directly; ratios are to those of the same way
    way: str = "sh"
    samples: list[Sample] = field(default_factory=list)
    trouble: str = ""

    def attempt(self, folder: Path, tasks: int) -> None:
        """Run once, unless it has failed before: its rounds would no longer be those of the others."""
        self.trouble = self.trouble or self.missing
        if self.trouble:
            return
        own = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=folder))
        try:
            sample = self.run(own, tasks)
        except Failed as error:
            self.trouble = f"failed: {error}"
            return
        finally:
            shutil.rmtree(own, ignore_errors=True)
        if sample.get("wrong"):
            self.trouble = f"failed: {sample['wrong']} of {tasks} results are wrong"
            return
        self.samples.append({"tasks": tasks, **sample})

    def rates(self) -> list[float]:
        """Tasks a second, one for each round."""
        return [sample["tasks"] / sample["seconds"] for sample in self.samples]


def ran(
    argv: Sequence[str],
    folder: Path,
    *,
    stdin: str = os.devnull,
    stdout: str = "out",
    env: dict[str, str] | None = None,
) -> float:
    """Run a program to its end; its seconds. Its output goes to the files `out` and `err` of the folder.

    Files and not pipes: what a contender leaves in the background must not keep us waiting. A timer and not
    `wait(timeout)`, which polls and is late by up to 50 ms.
    """
    with Path(stdin).open() as source, (folder / stdout).open("w") as out, (folder / "err").open("w") as err:
        began = time.perf_counter()
        process = subprocess.Popen(argv, stdin=source, stdout=out, stderr=err, env=env, start_new_session=True)
        timer = threading.Timer(LIMIT_S, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        try:
            process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            timer.cancel()
        seconds = time.perf_counter() - began
    if seconds >= LIMIT_S:
        raise Failed(f"not finished after {LIMIT_S:g} s")
    if process.returncode:
        last = (folder / "err").read_text(errors="replace").strip().splitlines()[-1:]
        raise Failed(f"exit {process.returncode}: {''.join(last) or 'no message'}")
    return seconds


def numbers(folder: Path, tasks: int) -> str:
    path = folder / "in"
    path.write_text("".join(f"{i}\n" for i in range(tasks)))
    return str(path)


def c_loop(mode: str, way: str = "sh") -> Run:
    def run(folder: Path, tasks: int) -> Sample:
        program = str(folder / "spawn_loop")
        ran(["cc", "-O2", "-o", program, str(PEERS / "spawn_loop.c")], folder)
        return {"seconds": ran([program, str(tasks), str(SLOTS), mode, way], folder, stdout=os.devnull)}

    return run


def xargs(*program: str) -> Run:
    def run(folder: Path, tasks: int) -> Sample:
        seconds = ran(["xargs", f"-P{SLOTS}", "-n1", *program], folder, stdin=numbers(folder, tasks))
        return {"seconds": seconds, "wrong": tasks - len((folder / "out").read_text().split())}

    return run


def gnu_parallel(folder: Path, tasks: int) -> Sample:
    results, log = folder / "results", folder / "joblog"
    argv = ["parallel", f"-j{SLOTS}", "--results", str(results), "--joblog", str(log), "echo {}"]
    # /bin/sh as the others have it: bash would start more slowly
    env = {**os.environ, "SHELL": "/bin/sh", "PARALLEL_HOME": str(folder)}
    seconds = ran(argv, folder, stdin=numbers(folder, tasks), env=env)
    return {"seconds": seconds, "wrong": tasks - (len(log.read_text().splitlines()) - 1)}


def script(name: str) -> Run:
    """A peer that is a Python library: the script measures itself, once its workers are up."""

    def run(folder: Path, tasks: int) -> Sample:
        return figures([str(PEERS / name), str(tasks), str(SLOTS), str(folder)], folder, dict(os.environ))

    return run


def ours(measure: str, way: str = "sh") -> Run:
    def run(folder: Path, tasks: int) -> Sample:
        # this checkout, whatever version is installed
        path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH", "")]))
        env = {**os.environ, "PYTHONPATH": path, "STRATOS_HOME": str(folder / "home")}
        sample = figures([str(PEERS / "stratos.py"), measure, str(tasks), str(SLOTS), way], folder, env)
        # a right result may have cost a restart: that is no figure to be quoted
        return {**sample, "said": (folder / "err").read_text(errors="replace").splitlines()}

    return run


def figures(argv: list[str], folder: Path, env: dict[str, str]) -> Sample:
    ran([sys.executable, *argv], folder, env=env)
    lines = (folder / "out").read_text().splitlines()
    try:
        sample: Sample = json.loads(lines[-1])
    except (IndexError, ValueError):
        raise Failed(f"no figures in its output: {lines[-1:]}") from None
    return sample


def no_program(name: str) -> str:
    return "" if shutil.which(name) else f"skipped: {name} is not installed"


def no_module(name: str) -> str:
    return "" if importlib.util.find_spec(name) else f"skipped: pip install {name}"


def no_package() -> str:
    return "" if (CHECKOUT / "stratos_jupyter" / "processor.py").exists() else "skipped: no Processor in this checkout"


def racers() -> list[Contender]:
    """Those of the table, in the order of one round."""
    cc, package = no_program("cc"), no_package()
    return [
        Contender("c", "C posix_spawn loop, output discarded", c_loop("discard"), cc),
        Contender("c-pipes", "C posix_spawn loop, two pipes read", c_loop("pipes"), cc),
        Contender("xargs", "xargs -P2 -n1 sh -c, to one file", xargs("sh", "-c", 'echo "$0"'), no_program("xargs")),
        Contender("ours", "stratos_jupyter, to the DataFrame", ours("rate"), package),
        Contender("c-bash", "C loop, by bash -e", c_loop("discard", "bash"), cc, way="bash"),
        Contender(
            "xargs-bash", "xargs, by bash -e", xargs("bash", "-e", "-c", 'echo "$0"'), no_program("xargs"), way="bash"
        ),
        Contender("ours-bash", "stratos_jupyter, by bash -e", ours("rate", "bash"), package, way="bash"),
        Contender("c-direct", "C loop, the program itself", c_loop("discard", "direct"), cc, way="direct"),
        Contender("xargs-direct", "xargs, the program itself", xargs("/bin/echo"), no_program("xargs"), way="direct"),
        Contender("ours-direct", "stratos_jupyter, the program itself", ours("rate", "direct"), package, way="direct"),
        Contender("parallel", "GNU parallel --results --joblog", gnu_parallel, no_program("parallel"), share=5),
        Contender("dask", "Dask", script("dask_map.py"), no_module("distributed"), share=5),
        Contender("ipyparallel", "ipyparallel", script("ipyparallel_map.py"), no_module("ipyparallel"), share=5),
        Contender("parsl", "Parsl", script("parsl_map.py"), no_module("parsl"), share=5),
    ]


def singles() -> list[Contender]:
    """Figures of this project alone, taken once."""
    package = no_package()
    return [
        Contender("latency", "one task after another", ours("latency"), package),
        Contender("submit", "many tasks at once", ours("submit"), package),
    ]
