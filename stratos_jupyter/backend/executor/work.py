"""The commands to be run: contexts, batches and tasks, as a kernel sends them.

A context is what all commands of a job share; its environment is encoded once. A batch is a row of commands for one
slot. A task is one command from its start to its record. Text is encoded as UTF-8 with surrogate escapes, whatever
the locale of this process says (under ``python -I`` and Python 3.6 it may well be ASCII).
"""

import os
from typing import Any, Deque, Dict, List, Optional, Tuple, Type

from .loop import Alarm
from .monitor.plan import read_plan
from .output.monitored_stream import MonitoredStream
from .output.streams import OutputStream
from .process.argv import USUAL, Shell
from .process.input_state import look
from .process.success import Success

#: One command that has not been started: task, attempt, command, file, and the URLs of what else is copied for it.
Item = Tuple[Any, ...]
Key = Tuple[int, int]
#: Arguments, paths to try for the program, environment.
Plan = Tuple[List[bytes], Tuple[bytes, ...], List[bytes]]

#: For how long nothing may come from HDFS before it is given up, in seconds.
FETCH_WAIT_S = 120.0

OUTPUTS = ("scheduler", "disk", "mesos", "none")
#: The search path of a command whose environment has none.
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"

# A batch that is late is given this long at least before its commands are handed back.
_LEAST_BATCH_S = 0.25


class Malformed(Exception):
    """The other side of the connection sends what cannot be understood."""


def encode(text: str) -> bytes:
    """Encode text for the system."""
    return text.encode("utf-8", "surrogateescape")


class Context:
    """The common part of the commands of one job.

    Parameters
    ----------
    fields : dict
        As sent; engines/executor_context.py, in the kernel, says what each key means.
    """

    __slots__ = (
        "cwd",
        "env",
        "fetch",
        "fetch_wait_s",
        "files",
        "grace_s",
        "label",
        "linger_s",
        "log_directory",
        "looks",
        "mark",
        "nice",
        "output",
        "output_limit",
        "sandbox",
        "search",
        "shell",
        "stream",
        "success",
        "timeout_s",
        "watch_plan",
    )

    def __init__(self, fields: Dict[str, Any]) -> None:
        try:
            env = {str(name): str(value) for name, value in fields["env"].items()}
            threads = str(fields.get("threads") or "1")
            # What this process itself was started under must not leak into its commands.
            env.pop("STRATOS_FILE", None)
            env.pop("STRATOS_SANDBOX", None)
            env.pop("STRATOS_TASK", None)
            env = {name: value for name, value in env.items() if not name.startswith("STRATOS_COPY_")}
            env["STRATOS_THREADS"] = threads
            # OpenMP takes a fraction for nothing at all, and starts as many threads as there are cores.
            env.setdefault("OMP_NUM_THREADS", str(max(1, int(float(threads)))))
            cwd = str(fields["cwd"])
            self.cwd: bytes = encode(cwd)
            #: The search path of commands; what is relative there, or empty, is below their working directory.
            self.search: List[bytes] = [
                os.path.join(self.cwd, encode(folder)) for folder in env.get("PATH", DEFAULT_PATH).split(":")
            ]
            #: What executes commands; it sets what a shell would set in the environment.
            self.shell = Shell([str(word) for word in fields.get("shell") or USUAL], env, cwd, self.search)
            self.env: List[bytes] = [encode(name) + b"=" + encode(value) for name, value in env.items()]
            self.output = str(fields["output"])
            #: The most of a stream that goes back to a kernel that cannot read our files; 0 for one that can.
            self.output_limit = int(fields.get("output_limit") or 0)
            self.log_directory = str(fields.get("log_directory") or "")
            self.sandbox = str(fields["sandbox"])
            self.label = str(fields["label"])
            self.mark: bytes = b"STRATOS_TASK=" + encode(self.label) + b"."
            timeout_s = fields.get("timeout_s")
            self.timeout_s: Optional[float] = None if timeout_s is None else float(timeout_s)
            linger_s = fields.get("linger_s")
            #: How long background processes of a task are waited for once its leader has exited; None: to their end.
            self.linger_s: Optional[float] = None if linger_s is None else float(linger_s)
            self.grace_s = float(fields.get("grace_s", 5.0))
            self.nice = int(fields.get("nice") or 0)
            user, *web = [str(one) for one in fields.get("fetch") or ("",)]
            #: The user's name and the addresses for files on HDFS; without an address they are not fetched.
            self.fetch: Tuple[str, List[str]] = (user, web)
            #: Whether the state of each command's inputs is reported (input_state.py).
            self.looks = bool(fields.get("look"))
            self.fetch_wait_s = float(fields.get("fetch_wait_s", FETCH_WAIT_S))
            self.watch_plan = read_plan(fields)
            self.success = Success(fields)
            #: The class that gathers the output of a command; it remembers more where there is a monitor.
            self.stream: Type[OutputStream] = MonitoredStream if self.watch_plan else OutputStream
            encode(self.log_directory + self.sandbox)  # better now than at the first output
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise Malformed("context: {!r}".format(error)) from None
        #: Whether each stream gets a file, however short it is.
        self.files = self.output in ("disk", "mesos")
        if self.output not in OUTPUTS:
            raise Malformed("context: unknown output mode {!r}".format(self.output))


class CommandBatch:
    """Commands that run one after another in one slot."""

    __slots__ = ("context", "disk_mib", "id", "inputs", "items", "limit_s", "makes", "mem_mib", "overdue_at")

    def __init__(
        self,
        batch_id: int,
        context: Context,
        expected_s: Optional[float],
        items: Deque[Item],
        limits: Tuple[float, float] = (0.0, 0.0),
        makes: Optional[Dict[Key, List[str]]] = None,
        inputs: Optional[Dict[Key, List[str]]] = None,
    ) -> None:
        self.id = batch_id
        self.context = context
        self.items = items
        #: The files that each command makes.
        self.makes: Dict[Key, List[str]] = makes or {}
        #: What each command by itself may use; 0: as much as there is.
        self.mem_mib, self.disk_mib = limits
        #: What is looked at of those commands that read something else than their file.
        self.inputs: Dict[Key, List[str]] = inputs or {}
        #: How long it may take before what is unstarted goes back; None: as long as it likes.
        self.limit_s: Optional[float] = None if expected_s is None else max(2 * expected_s, _LEAST_BATCH_S)
        #: When that will be; known once the first command has started.
        self.overdue_at: Optional[float] = None


class Task:
    """One command from its start to its record.

    Parameters
    ----------
    slot : int
        Where it runs.
    batch : CommandBatch
        What it belongs to.
    item : tuple
        The command.
    """

    # Made for each command, however short: what is rarely set stands here.

    #: What to execute: arguments, paths to try, environment (launch.py).
    plan: Optional[Plan] = None
    #: The writing ends of its pipes, until it has started.
    ends: Tuple[int, ...] = ()
    pid = 0
    started = 0.0
    started_at = 0.0
    finished_at = 0.0
    deadline: Optional[float] = None
    #: Why we end it; "" when it ends by itself.
    reason = ""
    note = ""
    #: Older than a moment: its pipes are watched and the other side has been told that it runs.
    known = False
    #: Its leader has exited; perhaps not reaped yet, so that its process group can be no other one.
    exited = False
    #: ... with an exit code that means success (success.py).
    well = False
    #: Its leader has exited, and background processes of its session are waited for (linger.py).
    lingers = False
    #: What is said of that while it lasts.
    waiting = ""
    #: Nothing at all was below us of it when its leader had exited.
    alone = False
    #: Names of the processes that it left behind, which were ended.
    left: Tuple[str, ...] = ()
    #: What wait4 said, where it had to be asked early.
    status: Optional[Tuple[int, Any]] = None
    #: What adopted processes of its session have used: processor time, page faults, and the most memory of one of them.
    used_s = 0.0
    used_faults = 0
    used_rss = 0
    #: What its own pages are too much, as some are shared, less its shared memory, which isn't among them (limits.py).
    surplus_bytes = 0.0
    #: Its own pages, and when; the most that one process had of others (of files, and shared memory).
    used_bytes = 0
    used_at = 0.0
    mapped_bytes = 0
    #: The most memory that was seen of one of its processes, in KiB (peak_memory.py).
    seen_kib = 0
    #: While it is being ended: when KILL follows TERM, when to look again, how long to wait then (kill.py).
    hard_at = 0.0
    alarm: Optional[Alarm] = None
    pause_s = 0.0
    #: Its monitor (monitor.py), if it has one and runs for longer than a moment.
    monitor: Any = None
    #: Its memory cgroup and its scratch folder, where it has them (cgroup.py, limits.py).
    cgroup = ""
    scratch = ""
    #: The file that holds its command, where that names its own interpreter (script.py).
    script = ""
    #: The folder of the copy of its file, where it has one (fetch.py).
    copy = ""
    #: What its inputs were shortly before it started, and when it had ended (input_state.py).
    before = ""
    after = ""

    def __init__(self, slot: int, batch: CommandBatch, item: Item) -> None:
        self.slot = slot
        self.batch = batch
        self.item = item
        self.number, self.attempt = item[:2]
        #: Its processes are recognised by this, and by being below us.
        self.mark: bytes = b"%b%d.%d" % (batch.context.mark, item[0], item[1])
        context = batch.context
        if context.looks:
            self.before = self.look()
        self.out = context.stream(self, "stdout", context.output)
        self.err = context.stream(self, "stderr", context.output)

    @property
    def active(self) -> bool:
        """Whether it goes on: its leader has not exited, or background processes of it are waited for."""
        return self.lingers or not self.exited

    def add_usage(self, usage: Any) -> None:
        """Count what a process of it has used that another one than its leader started."""
        self.used_s += usage.ru_utime + usage.ru_stime
        self.used_faults += usage.ru_minflt
        self.used_rss = max(self.used_rss, usage.ru_maxrss)

    def look(self) -> str:
        """Return what its inputs are now; "" where it has none that can be looked at here."""
        if not self.batch.context.looks:
            return ""
        file = self.item[3]
        names = self.batch.inputs.get((self.number, self.attempt), [] if file is None else [file])
        return look(names, self.batch.context.cwd)[0] if names else ""
