"""Quotes and expansions of a script, as a shell reads them: which places in them can hold a name. PURE."""

from __future__ import annotations

import re
from abc import abstractmethod
from enum import Enum
from typing import Final

from ....errors import SpecError
from .words import SimpleCommand

PLACEHOLDER: Final = "%f%"

#: how many brackets may stand in one another
DEEPEST: Final = 100

#: parameters whose name is one character: what follows is not part of it
_SPECIAL: Final = frozenset("$?!#@*-0123456789")
_NAME_BEFORE: Final = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*\Z")
#: what means nothing by itself in "..."
_ORDINARY: Final = re.compile(r"[^\"\\`$%]+")


class QuoteContext(Enum):
    """Where a placeholder stands."""

    WORD = "a word of its own, an argument"
    BARE = "outside quotes"
    SINGLE = "in single quotes"
    DOUBLE = "in double quotes"
    JOINED = "in double quotes, right after the name of a variable"
    TICKED_BARE = "in backticks, outside quotes"
    TICKED_SINGLE = "in backticks, in single quotes"
    TICKED_DOUBLE = "in backticks, in double quotes"
    VERBATIM = "in a script that no shell reads"


class Quotes:
    """What stands between two quotes, or follows a dollar; `shell.Reader` reads the commands around it."""

    def __init__(self, text: str, *, bash: bool) -> None:
        self.text = text
        self.found: list[tuple[int, QuoteContext]] = []
        self.refused: list[tuple[int, str]] = []
        self._bash = bash
        self._at = 0
        self._forbidden: list[str] = []  # why nothing may stand here, the innermost last
        self._substitutions = 0
        self._depth = 0  # brackets around what is read

    @abstractmethod
    def _nested(self) -> None:
        """Read commands up to the ) that closes them, and go past it."""

    @abstractmethod
    def _inner(self, start: int, end: int, *, places: bool) -> None:
        """Read what stands in backticks, in which there may be places of names."""

    @abstractmethod
    def _set_aside(self, heredocs: list[tuple[str, bool, int]]) -> list[tuple[str, bool, int]]:
        """Exchange the here-documents whose bodies begin on the next line, and return those that there were."""

    def _sees(self, what: str) -> bool:
        return self.text.startswith(what, self._at)

    def _error(self, at: int, what: str) -> SpecError:
        line = self.text.count("\n", 0, at) + 1
        return SpecError(f"line {line} of the command: {what}: {self.text[at : at + 40]!r}")

    def _take(self, place: QuoteContext, after_dollar: bool) -> None:
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

    def _single(self, command: SimpleCommand) -> None:
        opened = self._at
        end = self.text.find("'", opened + 1)
        if end < 0:
            raise self._error(opened, "a quote is not closed")
        while (at := self.text.find(PLACEHOLDER, self._at, end)) >= 0:
            command.place(at)
            self._at = at
            self._take(QuoteContext.SINGLE, False)
        self._at = end + 1

    def _ansi_c(self) -> None:
        """Read $'...', which bash knows and other shells take for a $ and a plain quote."""
        opened = self._at
        self._at += 1
        self._forbidden.append("in $'...'")
        while self._at < len(self.text):
            if self._sees(PLACEHOLDER):
                self._take(QuoteContext.SINGLE, False)
            elif self._sees("\\") and self._bash:
                self._at += 2
            elif self._sees("\\'"):
                raise self._error(opened - 1, r"shells differ in how they read a \' in $'...'; use \047")
            elif self.text[self._at] == "'":
                self._at += 1
                self._forbidden.pop()
                return
            else:
                self._at += 1
        raise self._error(opened, "a quote is not closed")

    def _double(self, command: SimpleCommand | None) -> None:
        opened = self._at
        self._at += 1
        dollar = False
        while self._at < len(self.text):
            was_dollar, dollar = dollar, False
            ordinary = _ORDINARY.match(self.text, self._at)
            if ordinary is not None:
                if command is not None:
                    command.word += ordinary[0]
                self._at = ordinary.end()
                continue
            char = self.text[self._at]
            if self._sees(PLACEHOLDER):
                if command is not None:
                    command.place(self._at)
                    command.word += PLACEHOLDER
                before = self.text[opened : self._at].replace("\\\n", "")
                self._take(QuoteContext.JOINED if _NAME_BEFORE.search(before) else QuoteContext.DOUBLE, was_dollar)
            elif char == '"':
                self._at += 1
                return
            elif char == "\\":
                escaped = self._escape()
                dollar = was_dollar and not escaped
                if command is not None:
                    command.word += escaped
            elif char == "`":
                self._backticks(in_double=True)  # bash expands braces in "`"{a,b}"`"
            elif char == "$":
                dollar = self._dollar(command, in_double=True)
            else:
                if command is not None:
                    command.word += char
                self._at += 1
        raise self._error(opened, "a quote is not closed")

    def _dollar(self, command: SimpleCommand | None, *, in_double: bool = False) -> bool:
        """Read what a $ begins; return True when that is the $ alone, and what follows it may matter."""
        if not self._bash and self._sees("$$") and self.text[self._at + 2 : self._at + 3] in tuple("({'\""):
            raise self._error(
                self._at, f"shells differ in how they read {self.text[self._at : self._at + 3]}; split it"
            )
        if self._sees("$(("):
            self._at += 1
            self._arithmetic("in $(( ))")
        elif self._sees("$("):
            opened, waiting = self._at, self._set_aside([])
            self._at += 2
            self._substitutions += 1
            around = self._forbidden
            if self._bash:
                self._forbidden = []  # its commands are read as any are, also in $(( )) and ${ }
            self._nested()
            self._forbidden = around
            self._substitutions -= 1
            if waiting and "\n" in self.text[opened : self._at]:
                raise self._error(
                    opened, "a $( ) of several lines on the line of a here-document; put it into a variable before"
                )
            self._set_aside(waiting)
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
                self._take(QuoteContext.BARE, False)
            elif char == "\\":
                self._escape()
            elif char == "'":
                self._single(SimpleCommand())
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

    def _backticks(self, *, in_double: bool = False) -> None:
        opened = self._at
        self._at += 1
        self._forbidden.append("in backticks")
        while self._at < len(self.text):
            char = self.text[self._at]
            if self._sees(PLACEHOLDER):
                self._take(QuoteContext.BARE, False)
            elif char == "\\":
                self._escape()
            else:
                self._at += 1
                if char == "`":
                    self._forbidden.pop()
                    self._inner(opened + 1, self._at - 1, places=self._bash and not in_double and not self._forbidden)
                    return
        raise self._error(opened, "a backtick is not closed")

    def _deeper(self) -> None:
        """Say that a bracket opens, of which no more than `DEEPEST` may be open."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(self._at, f"more than {DEEPEST} brackets are open")

    def _brace(self, in_double: bool) -> None:
        opened = self._at
        self._deeper()
        self._at += 2
        self._forbidden.append("in ${...}")
        while self._at < len(self.text):
            char = self.text[self._at]
            if self._sees(PLACEHOLDER):
                self._take(QuoteContext.BARE, False)
            elif char == "}":
                self._at += 1
                self._depth -= 1
                self._forbidden.pop()
                return
            elif char == "\\":
                self._escape()
            elif char == "'" and in_double and not self._bash:
                raise self._error(opened, 'shells differ in how they read a \' in "${...}"; take it out of the quotes')
            elif char == "'":
                self._single(SimpleCommand())
            elif char == '"':
                self._double(None)
            elif char == "`":
                self._backticks()
            elif char == "$":
                self._dollar(None, in_double=in_double)
            else:
                self._at += 1
        raise self._error(opened, "a ${ is not closed")
