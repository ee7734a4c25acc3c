r"""What a shell makes of a script: in which context each ``%f%`` of it stands.

PURE. It knows as much of POSIX sh and bash as it takes to tell contexts apart, and where the two read a text
differently it refuses rather than guesses: /bin/sh may be either.

The reader goes from left to right once. Contexts nest: ``"$(echo '%f%')"`` is a single quote in a substitution in a
double quote, and what counts is the innermost. Some words of a command are evaluated a second time (those of ``eval``,
the one after ``sh -c``): quoting for one reading does not hold for two, so no place in them is allowed.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from .errors import SpecError

PLACEHOLDER: Final = "%f%"

_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "fish", "$SHELL"})
#: programs that give a word after -c to a shell
_GIVE_TO_SHELL: Final = frozenset({"su", "runuser", "sg", "flock", "script"})
_EVALUATE: Final = frozenset({"eval", "trap", "alias", "let", "unset", "read", "mapfile", "readarray"})
_DECLARE: Final = frozenset({"declare", "typeset", "export", "readonly", "local"})
_ARITHMETIC: Final = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v"})
#: words before the command's own
_LEADING: Final = frozenset(
    {"if", "then", "else", "elif", "while", "until", "do", "!", "{", "time", "exec", "command", "builtin"}
)
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*\+?=")
_SUBSCRIPT: Final = re.compile(r"[A-Za-z_]\w*\[[^\]]*")
_COMMAND_OPTION: Final = re.compile(r"[-+][A-Za-z]*c[A-Za-z]*")
_OPTION_WITH_VALUE: Final = frozenset({"-o", "+o", "-O", "+O", "--rcfile", "--init-file"})
#: parameters whose name is one character: what follows is not part of it
_SPECIAL: Final = frozenset("$?!#@*-0123456789")
_NAME_BEFORE: Final = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*\Z")
_QUOTES: Final = str.maketrans("", "", "'\"\\")
_BLANK: Final = " \t"
_ENDS_COMMAND: Final = ";&|\n"


class Place(Enum):
    """Where a placeholder stands."""

    WORD = "a word of its own, an argument"
    BARE = "outside quotes"
    SINGLE = "in single quotes"
    DOUBLE = "in double quotes"
    JOINED = "in double quotes, right after the name of a variable"


class _Command:
    """The simple command that is being read: its words so far, and the places in them."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.word = ""
        self.in_word = False
        self.redirects = False  # the next word is the target of a redirection
        self.places: list[tuple[int, int, str]] = []  # offset, number of the word, what of the word stands before it

    def place(self, at: int) -> None:
        if not self.redirects:
            self.places.append((at, len(self.words), self.word))

    def drop_word(self) -> None:
        self.word, self.in_word = "", False

    def end_word(self) -> None:
        if self.in_word:
            if not self.redirects:
                self.words.append(self.word.translate(_QUOTES))
            self.redirects = False
        self.word, self.in_word = "", False

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
            Whether this is a part of ``[[ ... ]]``.
        """
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
            elif name in _EVALUATE or (name in _DECLARE and not before):
                found.append((at, f"in what {name} evaluates"))
            elif name in ("[", "test", "printf") and "-v" in self.words[first + 1 :]:
                found.append((at, f"in what {name} -v evaluates"))
        return found

    def _script(self) -> int | None:
        """Return the number of the word that another shell gets as its script, as in ``env sh -ec SCRIPT``."""
        for number, word in enumerate(self.words):
            program = word.rpartition("/")[2]
            rest = self.words[number + 1 :]
            if program in _GIVE_TO_SHELL:
                for option in ("-c", "--command"):
                    if option in rest:
                        return number + 1 + rest.index(option) + 1
            elif program in _SHELLS:
                given = False
                at = number + 1
                while at < len(self.words) and self.words[at].startswith(("-", "+")):
                    given = given or bool(_COMMAND_OPTION.fullmatch(self.words[at]))
                    at += 2 if self.words[at] in _OPTION_WITH_VALUE else 1
                if given:
                    return at
        return None


class Reader:
    """Reads a script once.

    Parameters
    ----------
    text : str
        The script.

    Attributes
    ----------
    found : list of (int, Place)
        Offset and place of each placeholder that stands where a name can be quoted.
    refused : list of (int, str)
        Offset of each that does not, and where it stands, in words.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.found: list[tuple[int, Place]] = []
        self.refused: list[tuple[int, str]] = []
        self._at = 0
        self._forbidden: list[str] = []  # why nothing may stand here, the innermost last
        self._substitutions = 0
        self._heredocs: list[tuple[str, bool]] = []  # delimiter, and whether tabs are stripped; not yet read
        self._tests = False  # between [[ and ]]

    def read(self) -> None:
        """Read all of it.

        Raises
        ------
        SpecError
            A quote or bracket is not closed, or shells differ in how they read it.
        """
        while self._at < len(self.text):
            self._bare("")  # a stray ')' ends it: the pattern of a case
        refused = {at for at, _ in self.refused}
        self.found = sorted((at, place) for at, place in self.found if at not in refused)

    # -- small things -----------------------------------------------------------------------------------

    def _sees(self, what: str) -> bool:
        return self.text.startswith(what, self._at)

    def _error(self, at: int, what: str) -> SpecError:
        line = self.text.count("\n", 0, at) + 1
        return SpecError(f"line {line} of the command: {what}: {self.text[at : at + 40]!r}")

    def _take(self, place: Place, after_dollar: bool) -> None:
        if self._forbidden:
            self.refused.append((self._at, self._forbidden[-1]))
        elif after_dollar:
            self.refused.append((self._at, "after a $"))
        else:
            self.found.append((self._at, place))
        self._at += len(PLACEHOLDER)

    def _escape(self) -> str:
        """Go past a backslash and what it escapes; return what that is to a word."""
        self._at += 1
        if self._sees(PLACEHOLDER):
            self.refused.append((self._at, "after a backslash"))
            self._at += len(PLACEHOLDER)
            return PLACEHOLDER
        char = self.text[self._at : self._at + 1]
        self._at += 1
        return "" if char == "\n" else "\\" + char

    # -- contexts ---------------------------------------------------------------------------------------

    def _bare(self, closer: str) -> None:
        """Read commands up to `closer`, ')' or '' for the end, and go past it."""
        opened = self._at
        command = _Command()
        dollar = False
        while self._at < len(self.text):
            char = self.text[self._at]
            was_dollar, dollar = dollar, False
            if char == ")":
                self._end_command(command)
                self._at += 1
                if closer and self._substitutions and self._heredocs:
                    raise self._error(opened, "a here-document must end inside its $( )")
                return
            if self._sees(PLACEHOLDER):
                command.place(self._at)
                command.in_word = True
                place = Place.WORD if self._alone(command) and not was_dollar else Place.BARE
                self._take(place, was_dollar)
                command.word += PLACEHOLDER
            elif char == "\\":
                if self._sees("\\\n"):
                    self._at += 2
                    dollar = was_dollar
                else:
                    command.in_word = True
                    command.word += self._escape()
            elif char == "'":
                command.in_word = True
                start = self._at
                self._ansi_c() if was_dollar else self._single(command)
                command.word += self.text[start : self._at]
            elif char == '"':
                command.in_word = True
                self._double(command)
            elif char == "`":
                command.in_word = True
                self._backticks()
                command.word += "`"
            elif char == "$":
                command.in_word = True
                dollar = self._dollar(command)
            elif char == "#" and not command.in_word:
                end = self.text.find("\n", self._at)
                self._at = len(self.text) if end < 0 else end
            elif self._sees("<<") and not self._sees("<<<"):
                command.end_word()
                self._heredoc()
            elif char in "<>":
                if command.word.isdecimal():
                    command.drop_word()  # the 2 of 2>
                command.end_word()
                self._at += 3 if self._sees("<<<") else 1
                command.redirects = not self._sees("(")
            elif char == "(":
                command.end_word()
                if self._sees("(("):
                    self._arithmetic("in (( ))")
                else:  # ( ), f(), a=( ), <( ), >( )
                    self._at += 1
                    self._bare(")")
            elif char in _ENDS_COMMAND:
                # In >& and <& the & belongs to the redirection; in >| the bar does.
                if char in "&|" and self.text[self._at - 1 : self._at] in ("<", ">") and command.redirects:
                    self._at += 1
                    continue
                self._end_command(command)
                command = _Command()
                self._at += 1
                if char == "\n":
                    self._bodies()
            elif char in _BLANK:
                command.end_word()
                self._at += 1
            else:
                command.in_word = True
                command.word += char
                self._at += 1
        self._end_command(command)
        if closer:
            raise self._error(opened, "a ( is not closed")

    def _alone(self, command: _Command) -> bool:
        """Say whether the placeholder is a word of its own, and an argument."""
        after = self.text[self._at + len(PLACEHOLDER) : self._at + len(PLACEHOLDER) + 1]
        argument = bool(command.words) and not command.redirects
        return argument and not command.word and (not after or after in _BLANK or after in ";|\n")

    def _end_command(self, command: _Command) -> None:
        command.end_word()
        name = command.name
        self._tests = self._tests or name == "[["
        self.refused += command.refusals(self._tests)
        self._tests = self._tests and "]]" not in command.words
        if self._substitutions and name == "case":
            raise self._error(self._at, "a case inside $( ) cannot be told apart from its end; put it into a function")

    def _single(self, command: _Command) -> None:
        opened = self._at
        self._at += 1
        while self._at < len(self.text):
            if self._sees(PLACEHOLDER):
                command.place(self._at)
                self._take(Place.SINGLE, False)
            elif self.text[self._at] == "'":
                self._at += 1
                return
            else:
                self._at += 1
        raise self._error(opened, "a quote is not closed")

    def _ansi_c(self) -> None:
        """Read $'...', which bash knows and other shells take for a $ and a plain quote."""
        opened = self._at
        self._at += 1
        self._forbidden.append("in $'...'")
        while self._at < len(self.text):
            if self._sees(PLACEHOLDER):
                self._take(Place.SINGLE, False)
            elif self._sees("\\'"):
                raise self._error(opened - 1, r"shells differ in how they read a \' in $'...'; use \047")
            elif self.text[self._at] == "'":
                self._at += 1
                self._forbidden.pop()
                return
            else:
                self._at += 1
        raise self._error(opened, "a quote is not closed")

    def _double(self, command: _Command | None) -> None:
        opened = self._at
        self._at += 1
        dollar = False
        while self._at < len(self.text):
            char = self.text[self._at]
            was_dollar, dollar = dollar, False
            if self._sees(PLACEHOLDER):
                if command is not None:
                    command.place(self._at)
                    command.word += PLACEHOLDER
                before = self.text[opened : self._at].replace("\\\n", "")
                self._take(Place.JOINED if _NAME_BEFORE.search(before) else Place.DOUBLE, was_dollar)
            elif char == '"':
                self._at += 1
                return
            elif char == "\\":
                escaped = self._escape()
                dollar = was_dollar and not escaped
                if command is not None:
                    command.word += escaped
            elif char == "`":
                self._backticks()
            elif char == "$":
                dollar = self._dollar(command, in_double=True)
            else:
                if command is not None:
                    command.word += char
                self._at += 1
        raise self._error(opened, "a quote is not closed")

    def _dollar(self, command: _Command | None, *, in_double: bool = False) -> bool:
        """Read what a $ begins; return True when that is the $ alone, and what follows it may matter."""
        if self._sees("$$") and self.text[self._at + 2 : self._at + 3] in tuple("({'\""):
            raise self._error(
                self._at, f"shells differ in how they read {self.text[self._at : self._at + 3]}; split it"
            )
        if self._sees("$(("):
            self._at += 1
            self._arithmetic("in $(( ))")
        elif self._sees("$("):
            if self._heredocs:
                raise self._error(self._at, "a $( ) on the line of a here-document; put it into a variable before")
            self._at += 2
            self._substitutions += 1
            self._bare(")")
            self._substitutions -= 1
        elif self._sees("${"):
            self._brace(in_double)
        elif self.text[self._at + 1 : self._at + 2] in _SPECIAL:
            self._at += 2
        else:
            if command is not None:
                command.word += "$"
            self._at += 1
            return True
        if command is not None:
            command.word += "$"
        return False

    def _arithmetic(self, where: str) -> None:
        """Read (( up to its )), or ( ( ) ) if that is what it is: nothing may stand in either."""
        opened = self._at
        self._forbidden.append(where)
        depth = 0
        while self._at < len(self.text):
            char = self.text[self._at]
            if self._sees(PLACEHOLDER):
                self._take(Place.BARE, False)
            elif char == "\\":
                self._escape()
            elif char == "'":
                self._single(_Command())
            elif char == '"':
                self._double(None)
            elif char == "`":
                self._backticks()
            elif char == "$":
                self._dollar(None)
            else:
                depth += (char == "(") - (char == ")")
                self._at += 1
                if not depth:
                    self._forbidden.pop()
                    return
        raise self._error(opened, "a (( is not closed")

    def _backticks(self) -> None:
        opened = self._at
        self._at += 1
        self._forbidden.append("in backticks")
        while self._at < len(self.text):
            char = self.text[self._at]
            if self._sees(PLACEHOLDER):
                self._take(Place.BARE, False)
            elif char == "\\":
                self._escape()
            else:
                self._at += 1
                if char == "`":
                    self._forbidden.pop()
                    return
        raise self._error(opened, "a backtick is not closed")

    def _brace(self, in_double: bool) -> None:
        opened = self._at
        self._at += 2
        self._forbidden.append("in ${...}")
        while self._at < len(self.text):
            char = self.text[self._at]
            if self._sees(PLACEHOLDER):
                self._take(Place.BARE, False)
            elif char == "}":
                self._at += 1
                self._forbidden.pop()
                return
            elif char == "\\":
                self._escape()
            elif char == "'" and in_double:
                raise self._error(opened, 'shells differ in how they read a \' in "${...}"; take it out of the quotes')
            elif char == "'":
                self._single(_Command())
            elif char == '"':
                self._double(None)
            elif char == "`":
                self._backticks()
            elif char == "$":
                self._dollar(None, in_double=in_double)
            else:
                self._at += 1
        raise self._error(opened, "a ${ is not closed")

    # -- here-documents ---------------------------------------------------------------------------------

    def _heredoc(self) -> None:
        """Read << and its delimiter; the body begins on the next line."""
        found = re.compile(r"<<(-?)[ \t]*((?:\\.|'[^'\n]*'|\"[^\"\n]*\"|[^\s;&|<>()'\"\\])+)").match(
            self.text, self._at
        )
        if found is None:
            raise self._error(self._at, "a here-document needs a delimiter")
        if PLACEHOLDER in found[2] or "$" in found[2] or "`" in found[2]:
            raise self._error(self._at, "the delimiter of a here-document must be a plain word")
        self._heredocs.append((found[2].translate(_QUOTES), bool(found[1])))
        self._at = found.end()

    def _bodies(self) -> None:
        """Read the bodies of the here-documents that began on the line before."""
        for delimiter, strips_tabs in self._heredocs:
            while self._at < len(self.text):
                end = self.text.find("\n", self._at)
                end = len(self.text) if end < 0 else end
                line = self.text[self._at : end]
                if (line.lstrip("\t") if strips_tabs else line) == delimiter:
                    self._at = min(end + 1, len(self.text))
                    break
                self.refused += [
                    (self._at + match.start(), "in a here-document") for match in re.finditer(PLACEHOLDER, line)
                ]
                self._at = min(end + 1, len(self.text))
        self._heredocs.clear()
