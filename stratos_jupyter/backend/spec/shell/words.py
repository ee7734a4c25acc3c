"""The words of a simple command, as far as they say what is read a second time. PURE.

Some words of a command are evaluated again by what they are given to: those of ``eval``, the one after ``sh -c``.
Quoting for one reading does not hold for two, so no place in them is allowed.
"""

from __future__ import annotations

import re
from typing import Final

#: shells whose language is read here, so that file names can be quoted for it
SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "ksh", "ksh93", "mksh", "yash", "zsh"})
#: programs that read the word after -c as a script
_RUN_SCRIPTS: Final = SHELLS | {"csh", "fish", "rbash", "tcsh", "$SHELL"}
#: programs that give a word after -c to a shell
_GIVE_TO_SHELL: Final = frozenset({"su", "runuser", "sg", "flock", "script"})
_EVALUATE: Final = frozenset({"eval", "trap", "alias", "let", "unset", "read", "mapfile", "readarray"})
_DECLARE: Final = frozenset({"declare", "typeset", "export", "readonly", "local"})
_ARITHMETIC: Final = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v"})
#: words before the command's own
_LEADING: Final = frozenset(
    {"if", "then", "else", "elif", "while", "until", "do", "!", "{", "time", "exec", "command", "builtin", "coproc"}
)
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*\+?=")
#: of a variable, or of an element that an array is made of
_SUBSCRIPT: Final = re.compile(r"(?:[A-Za-z_]\w*)?\[[^\]]*")
_COMMAND_OPTION: Final = re.compile(r"[-+][A-Za-z]*c[A-Za-z]*")
_EVALUATING_OPTION: Final = re.compile(r"-[A-Za-z]*[in][A-Za-z]*")
_OPTION_WITH_VALUE: Final = frozenset({"-o", "+o", "-O", "+O", "--rcfile", "--init-file"})
_QUOTES: Final = str.maketrans("", "", "'\"\\")


class SimpleCommand:
    """The simple command that is being read: its words so far, and the places in them."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.word = ""
        self.word_at = 0  # where the word begins
        self.in_word = False
        self.plain = True  # the word has no quotes, no escapes and no expansions so far
        self.redirects = False  # the next word is the target of a redirection
        self.places: list[tuple[int, int, str]] = []  # offset, number of the word, what of the word stands before it

    def begin_word(self, at: int, *, plain: bool = True) -> None:
        """Say that a word begins at an offset, unless it has begun; what stands there may not be plain."""
        if not self.in_word:
            self.in_word, self.word_at, self.plain = True, at, True
        self.plain = self.plain and plain

    def place(self, at: int) -> None:
        """Take down a placeholder."""
        if not self.redirects:
            self.places.append((at, len(self.words), self.word))

    def drop_word(self) -> None:
        """Forget the word: it belongs to a redirection."""
        self.word, self.in_word = "", False

    def end_word(self) -> tuple[str, bool] | None:
        """End the word, and return it and whether it is plain; None when there is none, or a redirection has it."""
        ended = None
        if self.in_word:
            if not self.redirects:
                self.words.append(self.word.translate(_QUOTES))
                ended = self.word, self.plain
            self.redirects = False
        self.word, self.in_word = "", False
        return ended

    @property
    def first(self) -> int:
        """The number of the word that names the command."""
        first = 0
        while first < len(self.words) and (self.words[first] in _LEADING or _ASSIGNMENT.match(self.words[first])):
            first += 1
        return first

    @property
    def name(self) -> str:
        """The command's name, without its folder."""
        return self.words[self.first].rpartition("/")[2] if self.first < len(self.words) else ""

    def refusals(self, tests: bool) -> list[tuple[int, str]]:
        """Return the places that are evaluated a second time, and where each stands.

        Parameters
        ----------
        tests : bool
            Whether this is a ``[[ ... ]]``.
        """
        if not self.places:
            return []
        first, name, script = self.first, self.name, self._script()
        found: list[tuple[int, str]] = []
        for at, number, before in self.places:
            if number == script:
                found.append((at, "in a script for another shell"))
            elif _SUBSCRIPT.fullmatch(before):
                found.append((at, "in an array's subscript"))
            elif tests and _ARITHMETIC & set(self.words):
                found.append((at, "in arithmetic"))
            elif number <= first:
                continue
            elif name in _EVALUATE or (name in _DECLARE and (not before or self._evaluates(name, first))):
                found.append((at, f"in what {name} evaluates"))
            elif name in ("[", "test", "printf") and self.words[number - 1] == "-v":
                found.append((at, f"in what {name} -v evaluates"))
        return found

    def _evaluates(self, name: str, first: int) -> bool:
        """Say whether a declaration gives its variables numbers, or other variables' names."""
        return name not in ("export", "readonly") and any(
            _EVALUATING_OPTION.fullmatch(word) for word in self.words[first + 1 :]
        )

    def _script(self) -> int | None:
        """Return the number of the word that another shell gets as its script, as in ``env sh -ec SCRIPT``."""
        for number, word in enumerate(self.words):
            program = word.rpartition("/")[2]
            rest = self.words[number + 1 :]
            if program in _GIVE_TO_SHELL:
                for option in ("-c", "--command"):
                    if option in rest:
                        return number + 1 + rest.index(option) + 1
            elif program in _RUN_SCRIPTS:
                given = False
                at = number + 1
                while at < len(self.words) and self.words[at].startswith(("-", "+")):
                    given = given or bool(_COMMAND_OPTION.fullmatch(self.words[at]))
                    at += 2 if self.words[at] in _OPTION_WITH_VALUE else 1
                if given:
                    return at
        return None
