"""From a command's text to what is executed: through the shell, or directly.

A command without any shell syntax needs no shell: its words are its arguments, and the process that we see is the
program itself. That must never change what happens, so the rule is narrow: one line, words of harmless characters,
and a first word that no shell takes for a builtin, a keyword, an assignment or a function. For everything else
there is /bin/sh.
"""

import re
from typing import FrozenSet, List, Tuple

from .work import Context, encode

SHELL = b"/bin/sh"

_PLAIN = re.compile(r"[A-Za-z0-9_@%+:,./-][A-Za-z0-9_@%+=:,./-]*(?: +[A-Za-z0-9_@%+=:,./-]+)* *\Z", re.ASCII)

#: What dash, bash, ksh and busybox know themselves.
_SHELL_WORDS = """
. .. : [ alias autoload bg bind break builtin caller case cd chdir command compgen complete compopt continue coproc
declare dirs disown do done echo elif else enable esac eval exec exit export false fc fg fi for function getopts hash
help history if in integer jobs kill let local logout mapfile nameref newgrp popd print printf pushd pwd read
readarray readonly return select set shift shopt source stop suspend test then time times trap true type typeset
ulimit umask unalias unset until wait whence while
"""
_OF_THE_SHELL: FrozenSet[str] = frozenset(_SHELL_WORDS.split())


def arguments(command: str, context: Context) -> Tuple[List[bytes], Tuple[bytes, ...]]:
    """Return the arguments of `command` and the paths to try for its program.

    Raises ValueError when the text cannot be passed to the system at all.
    """
    if _PLAIN.match(command):
        words = command.split()
        first = words[0]
        if not (first in _OF_THE_SHELL or "=" in first or first[0] in "-+%" or first in context.functions):
            argv = [encode(word) for word in words]
            if "/" in first:
                return argv, (argv[0],)
            program = argv[0]
            return argv, tuple([(folder or b".") + b"/" + program for folder in context.search])
    return shell_arguments(command)


def shell_arguments(command: str) -> Tuple[List[bytes], Tuple[bytes, ...]]:
    """Return what runs `command` through the shell."""
    if command[:1] in ("-", "+"):
        command = " " + command  # a command, not an option of the shell's
    return [b"sh", b"-c", encode(command)], (SHELL,)
