"""Start one task: its pipes, its files, its environment, its program.

What cannot be started because there is no such program ends as it would in a shell, with exit code 127 (126 when it
may not be executed) and a line on standard error. Every other failure is of the kind "spawn", and its note names the
cure.
"""

import errno
import os
from typing import Iterable, List, Optional, Tuple

from .command import SHELL, arguments, shell_arguments
from .fetch import fetched, make_copy_folder, prepare_fetch, remove_copy
from .scratch import make_scratch, remove_scratch, scratch_folder
from .spawn import CannotStart, Spawner, explain
from .streams import explain as explain_file
from .work import Task, encode

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
            argv, programs = arguments(command, context)
            copies = fetched(task)
            if copies:
                argv, programs = prepare_fetch(task, copies, argv, programs)
            env = [*context.env, task.mark]
            if file is not None:
                env.append(b"STRATOS_FILE=" + encode(file))
            if task.batch.disk_mib:
                task.scratch = scratch_folder(task)
                env.append(b"STRATOS_SANDBOX=" + encode(task.scratch))
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
            if context.files:
                task.out.make_file()
                task.err.make_file()
            try:
                task.pid = self._spawner.start(argv, programs, context.cwd, env, out, err)
            except CannotStart as error:
                if error.number != errno.ENOEXEC or programs[0] == SHELL:
                    raise
                # A script without `#!`: a shell would run it itself.
                argv, programs = shell_arguments(task.item[2])
                task.pid = self._spawner.start(argv, programs, context.cwd, env, out, err)
        except OSError as error:
            self.discard(task)
            remove_scratch(task)
            remove_copy(task)
            return "spawn", None, explain_file(error)
        except CannotStart as error:
            self.discard(task)
            remove_scratch(task)
            remove_copy(task)
            return self._failure(task, argv, error)
        task.plan = None
        os.close(out)
        os.close(err)
        return None

    def discard(self, task: Task) -> None:
        """Let go of what was prepared for a task that will not be started."""
        if task.plan:
            _close((task.out.fd, task.err.fd, *task.ends))
            task.out.fd = task.err.fd = -1
            task.plan = None

    def _failure(self, task: Task, argv: List[bytes], error: CannotStart) -> Failure:
        direct = argv[:2] != [b"sh", b"-c"]
        if direct and not error.at_cwd:
            if error.number in (errno.ENOENT, errno.ENOTDIR):
                task.err.take(argv[0] + b": not found\n")
                return "exit", 127, ""
            if error.number == errno.EACCES:
                task.err.take(argv[0] + b": Permission denied\n")
                return "exit", 126, ""
        return "spawn", None, explain(error, task.batch.context.cwd)


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)
