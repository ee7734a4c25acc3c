"""From a command's text to what is executed: by the job's shell, or by a faster way that shows no difference.

Theory of operation. The law is the first way; the others are short cuts to the same result.

1. By the shell: ``bash -e -c TEXT``, or the shell that the job names.
2. Directly: one line of plain words whose first is a program. A shell would replace itself by that program; so the
   process, its exit code, its signal and its environment are the same. What a shell would set is set here.
3. By the plainest shell: ``echo`` and its like, which every shell has built in and which read no environment.

A text of which the first line begins with ``#!`` is a script of that interpreter (script.py), whatever the shell.

Whatever cannot be started directly goes to the shell, so that its messages are the shell's. Where the environment
holds something that the shell itself would read or change, nothing is short-cut. A node without bash runs by ``sh -e``
what every shell reads alike, and refuses the rest: a text is never read by a shell that it is not for.
"""

import os
import re
from typing import Dict, FrozenSet, Iterable, List, Optional, Sequence, Tuple

#: How a job's text is read where the job doesn't say.
USUAL = ("bash", "-e")

#: Arguments, paths to try for the program, and what its environment has besides.
Way = Tuple[List[bytes], Tuple[bytes, ...], List[bytes]]

_PLAIN = re.compile(rb"[A-Za-z0-9_@%+:,./-][A-Za-z0-9_@%+=:,./-]*(?: +[A-Za-z0-9_@%+=:,./-]+)* *\Z")
_ECHO = re.compile(rb"(?:true|false|:|echo(?: +(?!-)|\Z))")

#: What dash, bash, ksh and busybox know themselves.
_SHELL_WORDS = """
. .. : [ alias autoload bg bind break builtin caller case cd chdir command compgen complete compopt continue coproc
declare dirs disown do done echo elif else enable esac eval exec exit export false fc fg fi for function getopts hash
help history if in integer jobs kill let local logout mapfile nameref newgrp popd print printf pushd pwd read
readarray readonly return select set shift shopt source stop suspend test then time times trap true type typeset
ulimit umask unalias unset until wait whence while
"""
_OF_THE_SHELL: FrozenSet[bytes] = frozenset(_SHELL_WORDS.encode("ascii").split())

#: Variables that a shell reads, counts or drops when it starts; a program that is started directly would show it.
_READ_BY_SHELLS = re.compile(
    r"(?:BASH.*|COMP_WORDBREAKS|DIRSTACK|ENV|EPOCH(?:REALTIME|SECONDS)|EUID|FUNCNAME|GROUPS|HISTCMD|IFS|KSH_VERSION"
    r"|LINENO|OPTARG|OPTIND|PIPESTATUS|POSIXLY_CORRECT|PPID|PS4|RANDOM|SECONDS|SHELLOPTS|SRANDOM|TMOUT|UID)\Z"
)
#: Set anew for each command: they are those of the shell that once started the kernel, or this executor.
_STALE = ("PWD", "OLDPWD", "SHLVL", "_")

#: Where a shell is looked for that is not on the command's own search path.
_PLACES = (b"/bin", b"/usr/bin", b"/usr/local/bin")

#: Text that every shell reads alike: words, simple quotes, plain variables, pipes, lists and redirections ...
_ALIKE = re.compile(
    rb"""(?:[A-Za-z0-9_@%+=:,./\- \t\n;|<>]|&&|\d>&\d|\$[A-Za-z_]\w*|\$\{[A-Za-z_]\w*\}"""
    rb"""|'[^'\\]*'|"(?:[^"\\`$]|\$[A-Za-z_]\w*|\$\{[A-Za-z_]\w*\})*")*\Z"""
)
#: ... whose commands are programs, or of the shell's own those that every shell has alike, ...
_SHARED_WORDS = """
: break cd continue do done echo elif else exec exit export false fi for if in pwd test then true umask unset until
while
"""
#: ... without what bash alone knows, or knows otherwise.
_BASH_ONLY = re.compile(
    rb"""<<|<>|>\||==|;;|\+=|\b(?:S?RANDOM|SECONDS|EPOCH\w+|E?UID|\w+TYPE|HOSTNAME|DIRSTACK|GROUPS|FUNCNAME|PIPESTATUS|BASH\w*)\b"""
    rb"""|\$\{?(?:_|IFS|LINENO|OPTIND|PS[0-9]|SHELLOPTS|SHLVL)\b"""
    rb"""|(?:\A|[\n;|&]|\b(?:do|elif|else|if|then|until|while)\s)\s*(?:\w+=\S*[ \t]+)*"""
    rb"""(?:echo\s+-|cd[ \t]+[^\s;|&]+[ \t]+[^\s;|&<>]|cd\b[^\n;|&"]*\$|export(?![ \t]+\w+=)|export\b[^\n;|&"]*\$|(?:"""
    + b"|".join(re.escape(word) for word in sorted(_OF_THE_SHELL.difference(_SHARED_WORDS.encode("ascii").split())))
    + rb""")(?![^\s;|&<>]))"""
)


class Unsuited(Exception):
    """This node cannot run the text; the message says why, and the cure."""


class Shell:
    """How the commands of one job are executed.

    Parameters
    ----------
    words : sequence of str
        The shell and its options, as ``bash -e``.
    env : dict
        The environment of the commands; what a shell sets is set in it.
    cwd : str
        Their working directory.
    search : list of bytes
        The folders of their search path, absolute.
    """

    def __init__(self, words: Sequence[str], env: Dict[str, str], cwd: str, search: List[bytes]) -> None:
        encoded = [word.encode("utf-8", "surrogateescape") for word in words]
        self._name = encoded[0]
        self._program = find_program(encoded[0], (*search, *_PLACES))
        self._usual = tuple(words) == USUAL
        if self._program is None and self._usual:
            encoded[0] = b"sh"
        self._argv = [os.path.basename(encoded[0]), *encoded[1:], b"-c"]
        for name in _STALE:
            env.pop(name, None)
        env["PWD"] = os.path.abspath(cwd)
        kind = os.path.basename(os.path.realpath(self._program or b"/bin/sh"))
        if kind == b"bash":
            env["SHLVL"] = "0"
        self._marks_program = kind == b"bash"
        quiet = not any(_READ_BY_SHELLS.match(name) for name in env)
        # Other options (-l, -x, -v, -r) make the shell do something before the command, or to it.
        plain = all(word in (b"-e", b"-u", b"-eu", b"-ue", b"-o", b"-euo", b"pipefail") for word in encoded[1:])
        absolute = all(folder[:1] == "/" for folder in env.get("PATH", "/").split(":"))
        self._direct = quiet and plain and kind in (b"bash", b"dash") and absolute
        self._search = search

    def ways(self, command: bytes) -> Way:
        """Return the quickest way to execute `command` that shows no difference.

        Raises
        ------
        Unsuited
            This node has no shell for it.
        """
        if self._direct and _PLAIN.match(command):
            words = command.split()
            first = words[0]
            if first in _OF_THE_SHELL:
                if _ECHO.match(command):
                    return [b"sh", b"-c", command], (b"/bin/sh",), []
            elif b"=" not in first and first[:1] not in b"-+%":
                program = find_program(first, self._search)
                if program is not None:
                    return words, (program,), [b"_=" + program] if self._marks_program else []
        return self.by_shell(command)

    def by_shell(self, command: bytes) -> Way:
        """Return what executes `command` by the shell itself.

        Raises
        ------
        Unsuited
            This node has no shell for it.
        """
        program = self._program
        if program is None:
            if not self._usual:
                name = self._name.decode("utf-8", "replace")
                raise Unsuited("this node has no {0}: install it there, or choose another with --shell".format(name))
            if not _is_alike(command):
                raise Unsuited(
                    "this node has no bash, and not every shell reads this command alike: install bash there, "
                    "or say that the command is written for sh with --shell sh"
                )
            program = b"/bin/sh"
        if command[:1] in (b"-", b"+"):
            command = b" " + command  # a command, not an option of the shell's
        return [*self._argv, command], (program,), []


def find_program(name: bytes, search: Iterable[bytes]) -> Optional[bytes]:
    """Return the path of a program as a shell finds it; None where no folder holds one that may be executed."""
    if b"/" in name:
        return name
    for folder in search:
        path = folder + b"/" + name
        if may_execute(path):
            return path
    return None


def may_execute(path: bytes) -> bool:
    """Say whether a path is a file that may be executed."""
    return os.access(path, os.X_OK) and os.path.isfile(path)


def _is_alike(command: bytes) -> bool:
    """Say whether every shell that knows ``-e`` reads a text alike."""
    return bool(_ALIKE.match(command)) and not _BASH_ONLY.search(command)
