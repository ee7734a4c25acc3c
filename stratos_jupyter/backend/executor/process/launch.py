"""Start one task: its pipes, its files, its environment, its program.

What cannot be started directly is left to the shell, which says so as it always does. Every other failure is of the
kind "spawn", and its note names the cure.
"""

import os
from typing import Iterable, Optional, Tuple

from ..output.streams import explain as explain_file
from ..work import Task, encode
from .argv import Unsuited
from .fetch import fetched, make_copy_folder, prepare_fetch, remove_copy
from .scratch import make_scratch, remove_scratch, scratch_folder
from .script import is_script, make_script, remove_script, script_way
from .spawn import CannotStart, Spawner, explain

#: Reason, exit code and note of a task that could not be started.
Failure = Tuple[str, Optional[int], str]


class Launcher:
    """Starts tasks.

    Parameters
    ----------
    spawner : Spawner
        Starts programs.
    """

    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner

    @property
    def spawner(self) -> Spawner:
        """What starts programs."""
        return self._spawner

    def prepare(self, task: Task) -> Optional[Failure]:
        """Do what can be done before it is the turn of `task`; None when all is well."""
        _number, _attempt, command, file = task.item[:4]
        context = task.batch.context
        if "\0" in command:
            return "spawn", None, "cannot start: the command holds a NUL byte, which no program can be given"
        try:
            way = script_way(task) if is_script(command) else context.shell.ways(encode(command))
            copies = fetched(task)
            if copies:
                way = prepare_fetch(task, copies, way)
            argv, programs, more = way
            env = [*context.env, *more, task.mark]
            if file is not None:
                env.append(b"STRATOS_FILE=" + encode(file))
            if task.batch.disk_mib:
                task.scratch = scratch_folder(task)
                env.append(b"STRATOS_SANDBOX=" + encode(task.scratch))
        except Unsuited as error:
            return "spawn", None, "cannot start: {}".format(error)
        except ValueError as error:
            return "spawn", None, "cannot start: the command is no text: {}".format(error)
        ends: Tuple[int, ...] = ()
        try:
            ends = os.pipe()
            ends += os.pipe()
        except OSError as error:
            _close(ends)
            return "spawn", None, explain(CannotStart(error.errno or 0), context.cwd)
        os.set_blocking(ends[0], False)
        os.set_blocking(ends[2], False)
        task.out.fd = ends[0]
        task.err.fd = ends[2]
        task.ends = ends[1], ends[3]
        task.plan = argv, programs, env
        return None

    def start(self, task: Task) -> Optional[Failure]:
        """Start `task`, prepared or not; None when it runs."""
        failure = None if task.plan else self.prepare(task)
        if failure or not task.plan:
            return failure
        argv, programs, env = task.plan
        context = task.batch.context
        out, err = task.ends
        try:
            if task.scratch:
                make_scratch(task)
            if task.copy:
                make_copy_folder(task)
            if task.script:
                make_script(task)
            if context.files:
                task.out.make_file()
                task.err.make_file()
            try:
                task.pid = self._spawner.start(argv, programs, context.cwd, env, out, err)
            except CannotStart as error:
                by_shell, programs, _more = context.shell.by_shell(encode(task.item[2]))
                if error.at_cwd or task.copy or task.script or argv == by_shell:
                    raise
                # No program, none that may be executed, or a script without `#!`: the shell knows what to do or to say.
                argv = by_shell
                task.pid = self._spawner.start(argv, programs, context.cwd, env, out, err)
        except (OSError, Unsuited, CannotStart) as error:
            self.discard(task)
            _clear(task)
            return "spawn", None, _why(error, context.cwd)
        if context.nice:
            stand_back(task.pid, context.nice)
        task.plan = None
        os.close(out)
        os.close(err)
        return None

    def discard(self, task: Task) -> None:
        """Close the pipes that were prepared for a task that will not be started."""
        if task.plan:
            _close((task.out.fd, task.err.fd, *task.ends))
            task.out.fd = task.err.fd = -1
            task.plan = None


def stand_back(pid: int, nice: int) -> None:
    """Let the process group of a command that has just started stand back by `nice` from where this process stands."""
    try:
        os.setpriority(os.PRIO_PGRP, pid, min(os.getpriority(os.PRIO_PROCESS, 0) + nice, 19))
    except OSError:
        pass  # it has ended already


def _why(error: Exception, cwd: bytes) -> str:
    if isinstance(error, CannotStart):
        return explain(error, cwd)
    return explain_file(error) if isinstance(error, OSError) else "cannot start: {}".format(error)


def _clear(task: Task) -> None:
    """Remove the files of a task that has not been started."""
    for remove in (remove_scratch, remove_copy, remove_script):
        remove(task)


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)
