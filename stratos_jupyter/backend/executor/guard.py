"""The supervisor process that a Mesos agent starts: the executor's parent, which outlives it and leaves nothing.

Commands have sessions of their own, so the agent wouldn't find them once the executor has been killed. The guard then
adopts all of them, and kills them. When the guard dies first, the executor sees the end of a pipe and does the same.
"""

import os
import signal
import sys
import traceback
from time import monotonic, sleep
from typing import Callable, List, Set

from .process.procs import adopt_orphans, census, lines, reap_children

#: How long processes that survive KILL are waited for.
GIVE_UP_S = 10.0
#: The exit code of an executor that has failed.
FAILED = 70

_PAUSE_S = 0.02


def main() -> int:
    """Run the executor of a Mesos agent under a guard."""
    if "MESOS_AGENT_ENDPOINT" not in os.environ:
        sys.stderr.write("this is for a Mesos agent to start\n")
        return 2
    return guarded(_serve)


def _serve(pipe: int) -> int:
    from .mesos_main import serve  # what the guard itself doesn't need takes none of its memory

    return serve(pipe)


def guarded(program: Callable[[int], int]) -> int:
    """Run ``program(pipe)`` in a child, to its end and that of all that it leaves; the pipe ends when we do."""
    adopt_orphans()
    _sweep_formers()
    read, write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        os.close(write)
        code = FAILED
        try:
            code = program(read)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(read)

    def forward(number: int, _frame: object) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    signal.signal(signal.SIGTERM, forward)
    for number in (signal.SIGINT, signal.SIGHUP):  # meant for others
        signal.signal(number, lambda _number, _frame: None)
    status = -1
    while status < 0:
        found, what = os.waitpid(-1, 0)
        if found == pid:
            status = what
    killed = os.WIFSIGNALED(status)
    _sweep(killed)
    return 128 + os.WTERMSIG(status) if killed else os.WEXITSTATUS(status)


def _sweep(thorough: bool) -> None:
    """Kill all that is below us; if the executor has been killed also what only bears the mark of our sandbox."""
    until = monotonic() + GIVE_UP_S
    mark = b"MESOS_SANDBOX=" + os.environb.get(b"MESOS_SANDBOX", b"")
    while reap_children() or thorough:
        victims = _beneath()
        if thorough:
            victims.update(_marked(mark))
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        if not victims and not reap_children():
            break
        if monotonic() > until:
            sys.stderr.write("could not be ended: {}\n".format(", ".join(map(str, sorted(victims)))))
            break
        sleep(_PAUSE_S)


def _sweep_formers() -> None:
    """Kill what another run of this executor has left, which was killed together with its guard.

    An agent starts us only when that one has ended; sandboxes of one executor lie side by side.
    """
    sandbox = os.environb.get(b"MESOS_SANDBOX", b"")
    head, runs, ours = sandbox.rpartition(b"/runs/")
    everybody = census() if runs else None
    if everybody is None:
        return
    mark = b"MESOS_SANDBOX=" + head + runs
    for proc in everybody.procs.values():
        found = [line for line in lines(proc.pid) if line.startswith(mark)] if proc.pid != os.getpid() else []
        if found and found[0] != mark + ours and not proc.zombie:
            try:
                os.kill(proc.pid, signal.SIGKILL)
            except OSError:
                pass


def _beneath() -> Set[int]:
    everybody = census()
    if everybody is None:
        return set()
    return {proc.pid for proc in everybody.family([os.getpid()]) if proc.pid != os.getpid()}


def _marked(mark: bytes) -> List[int]:
    """Return processes that we or our commands have started, wherever they are now."""
    everybody = census()
    if everybody is None or mark.endswith(b"="):
        return []
    pids = [proc.pid for proc in everybody.procs.values() if not proc.zombie and proc.pid != os.getpid()]
    return [pid for pid in pids if mark in lines(pid)]
