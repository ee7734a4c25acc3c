"""Start a program, quickly where that is known to work.

``_posixsubprocess.fork_exec`` is what ``subprocess`` itself calls. Calling it directly saves three quarters of the
time, because the two descriptors for errors, the null device and the checks are made once, not for each command. It
is private and its arguments have changed, so it is used only on the versions whose source was read, and only after
a trial: with ``vfork`` the parent stands still until the program runs or its start has failed, hence a failure can
be read at once. Everywhere else ``subprocess.Popen`` does the same, more slowly.

Each command gets a session of its own, the null device as its input, and signals as they are by default. Every
descriptor of ours is close-on-exec (:func:`keep_descriptors_to_ourselves` sees to those that we were born with), so
nothing is left to be closed in the child.
"""

import errno
import importlib
import os
import sys
from contextlib import suppress
from typing import Any, List, Sequence, Tuple

_KNOWN = ((3, 11), (3, 12), (3, 13))
_TRIALS = 3


class CannotStart(Exception):
    """A program could not be started.

    Parameters
    ----------
    number : int
        errno, 0 when there is none.
    at_cwd : bool
        Entering the working directory failed; otherwise it was the program.
    text : str
        What to say when there is no errno.
    """

    def __init__(self, number: int, at_cwd: bool = False, text: str = "") -> None:
        super().__init__(number, at_cwd, text)
        self.number = number
        self.at_cwd = at_cwd
        self.text = text


class Spawner:
    """Starts programs.

    Parameters
    ----------
    quick : bool
        May use the private function.
    """

    def __init__(self, quick: bool = True) -> None:
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._errors, self._errors_in = os.pipe()
        os.set_blocking(self._errors, False)
        self._fork_exec: Any = None
        if quick and sys.version_info[:2] in _KNOWN:
            self._try_quick()

    @property
    def quick(self) -> bool:
        """Whether programs are started by the private function."""
        return self._fork_exec is not None

    def start(
        self,
        argv: List[bytes],
        programs: Tuple[bytes, ...],
        cwd: bytes,
        env: Sequence[bytes],
        out: int,
        err: int,
        stdin: int = -1,
    ) -> int:
        """Start the first of `programs` that exists; return its process id. Raises CannotStart."""
        if stdin < 0:
            stdin = self._null
        if self._fork_exec is None:
            return self._popen(argv, programs, cwd, env, stdin, out, err)
        try:
            pid: int = self._fork_exec(
                argv, programs, False, (), cwd, env, stdin, -1, -1, out, -1, err, self._errors, self._errors_in,
                True, True, -1, None, None, None, -1, None, True,
            )  # fmt: skip
        except OSError as error:
            raise CannotStart(error.errno or 0) from None
        except ValueError as error:
            raise CannotStart(0, text=str(error)) from None
        try:
            story = os.read(self._errors, 4096)
        except BlockingIOError:
            return pid
        os.waitpid(pid, 0)
        # As the child writes it: name of the exception, errno in hexadecimal, "noexec" when it was the directory.
        parts = story.split(b":", 2)
        raise CannotStart(int(parts[1], 16), parts[2:] == [b"noexec"])

    def _try_quick(self) -> None:
        """Use the private function if it behaves as expected."""
        try:
            self._fork_exec = importlib.import_module("_posixsubprocess").fork_exec
            for _trial in range(_TRIALS):
                if self._failure(b"/nonexistent/program", b"/") != (errno.ENOENT, False):
                    raise NotImplementedError
            if self._failure(b"/bin/sh", b"/nonexistent/folder") != (errno.ENOENT, True):
                raise NotImplementedError
        except Exception:  # whatever it is that we don't know, there is another way
            self._fork_exec = None
            # A child of the trial may still write, so the pipe is no longer to be trusted.
            self._errors, self._errors_in = -1, -1

    def _failure(self, program: bytes, cwd: bytes) -> Tuple[int, bool]:
        try:
            self.start([program], (program,), cwd, [], self._null, self._null)
        except CannotStart as error:
            return error.number, error.at_cwd
        return 0, False

    def _popen(
        self,
        argv: List[bytes],
        programs: Tuple[bytes, ...],
        cwd: bytes,
        env: Sequence[bytes],
        stdin: int,
        out: int,
        err: int,
    ) -> int:
        from subprocess import Popen, SubprocessError

        # With a bare name, Popen goes through the PATH of the environment itself, in one child.
        program = programs[0] if b"/" in argv[0] or len(programs) == 1 else argv[0]
        try:
            child = Popen(
                argv, executable=program, cwd=cwd, env=dict(line.split(b"=", 1) for line in env), stdin=stdin,
                stdout=out, stderr=err, close_fds=False, start_new_session=True, restore_signals=True,
            )  # fmt: skip
        except OSError as error:
            raise CannotStart(error.errno or 0, error.filename == cwd) from None
        except (ValueError, SubprocessError) as error:
            raise CannotStart(0, text=str(error)) from None
        # We reap it ourselves: the object must not believe that it has to.
        child.returncode = 0
        return child.pid


def keep_descriptors_to_ourselves() -> None:
    """Make every open descriptor close-on-exec, and the first three exist."""
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:
            os.close(fd)
            break
        os.set_inheritable(fd, True)
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    for name in os.listdir(folder):
        if name.isdigit() and int(name) > 2:
            with suppress(OSError):  # the one that listed the folder
                os.set_inheritable(int(name), False)


def explain(error: CannotStart, cwd: bytes) -> str:
    """Say in one line why a command could not be started, and the cure."""
    what = os.strerror(error.number) if error.number else error.text or "unknown reason"
    if error.at_cwd:
        folder = cwd.decode("utf-8", "surrogateescape")
        return "cannot start: working directory {}: {}; it must exist on this node".format(folder, what)
    return "cannot start: {}{}".format(what, _CURES.get(error.number, ""))


_CURES = {
    errno.E2BIG: ": the command (at most 128 KiB in one word) or its environment is too long; "
    "put the long part into a file, or begin the text with #!/bin/bash -e: then it is a file itself",
    errno.EAGAIN: ": this user has too many processes; raise `ulimit -u` or run fewer tasks at a time",
    errno.ENOMEM: ": the node has too little memory left to start a program",
    errno.EMFILE: ": too many open files; raise `ulimit -n` or run fewer tasks at a time",
    errno.ENFILE: ": the node has too many open files",
}
