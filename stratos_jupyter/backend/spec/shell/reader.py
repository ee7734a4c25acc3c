r"""What a shell makes of a script: in which context each ``%f%`` of it stands, what it marks, and whether it ends.

PURE. It knows as much of bash and POSIX sh as it takes to tell contexts apart. Unless it is told that bash reads the
text, it refuses what the two read differently rather than guess.

The reader goes from left to right once. Contexts nest: ``"$(echo '%f%')"`` is a single quote in a substitution in a
double quote, and what counts is the innermost (`quotes`). What is read twice can't be quoted, so no place in it
is allowed (`words`). Which commands are open is `grammar`'s to know.

``<[words]>`` is a mark where it is a word of its own, outside quotes, comments and patterns: a blank, a bracket, an
operator or nothing stands on either side. The shell never gets to see ``<[`` and ``]>``; whatever else looks like
them stays as it is.
"""

from __future__ import annotations

import re
from typing import Final

from .grammar import Level
from .quotes import PLACEHOLDER, QuoteContext, Quotes
from .words import SHELLS, SimpleCommand

_QUOTES: Final = str.maketrans("", "", "'\"\\")
_BLANK: Final = " \t"
_SEPARATORS: Final = ";&|\n"
#: what may stand before and after a mark
_BEFORE_MARK: Final = frozenset(" \t\n;&|(")
_AFTER_MARK: Final = frozenset(" \t\n;&|)")
#: characters that mean nothing by themselves
_ORDINARY: Final = re.compile(r"[^ \t\n'\"\\`$#<>();&|%]+")
#: what a mark holds: words, which may have quotes, but neither operators nor substitutions
_MARK: Final = re.compile(r"""<\[((?:[^\n'"\\`;&|<>()\]]|\](?!>)|\\[^\n]|'[^'\n]*'|"(?:[^"\\`\n]|\\[^\n])*")+)\]>""")
_HEREDOC: Final = re.compile(r"<<(-?)[ \t]*((?:\\.|'[^'\n]*'|\"[^\"\n]*\"|[^\s;&|<>()'\"\\])+)")
_FD: Final = re.compile(r"[0-9]+|\{[A-Za-z_]\w*\}")
_ASSIGNS: Final = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=")
_HEAD: Final = re.compile(r"\([ \t]*\)")
#: places in backticks, by what they are to the command in those
_TICKED: Final = {
    QuoteContext.WORD: QuoteContext.TICKED_BARE,
    QuoteContext.BARE: QuoteContext.TICKED_BARE,
    QuoteContext.SINGLE: QuoteContext.TICKED_SINGLE,
    QuoteContext.DOUBLE: QuoteContext.TICKED_DOUBLE,
}
#: what stands after them in [[ ]] is a pattern
_COMPARES: Final = frozenset({"=~", "==", "=", "!="})
#: a text of plain words, quotes that close, redirections of their own and plain marks
_QUICK: Final = re.compile(
    r"""(?>[^\n'"\\`$#<>(){}\[!]++|'[^'\n]*+'|"[^"\\`$\n]*+"|\$\w++|[0-9]?>>?[ ]?[\w./]|<[ ]?[\w./]|2>&1"""
    r"""|(?:^|(?<=[ \t;&|]))<\[(?=[ ]*[^ \]])[\w./:*?~+,@=\- ]++\]>(?=[ \t;&|]|$))*+"""
)
_QUOTED_OR_MARK: Final = re.compile(r"""'[^']*'|"[^"]*"|<\[[^\]]*\]>""")
_SHEBANG: Final = re.compile(r"#![ \t]*([^\n]+)")


def shell_of(text: str, shell: str = "") -> str:
    """Return the name of what reads a script: that of its first line ``#!``, else of `shell`, else ``bash``."""
    found = _SHEBANG.match(text)
    words = (found[1] if found is not None else shell).split()
    while words and (words[0].rpartition("/")[2] == "env" or words[0][0] == "-" or "=" in words[0]):
        del words[0]
    return words[0].rpartition("/")[2] if words else "bash"


def is_bash(name: str) -> bool | None:
    """Say whether a shell is bash; None when it is no shell whose texts are read here."""
    return True if name == "bash" else False if name in SHELLS else None


def marks_of(text: str) -> list[tuple[int, int]]:
    """Return where each ``<[`` stands, and the ``]>`` that belongs to it, in a text without ``%f%``.

    Raises
    ------
    SpecError
        A quote or bracket is not closed.
    """
    if _QUICK.fullmatch(text):
        return [(found.start(), found.end() - 2) for found in _QUOTED_OR_MARK.finditer(text) if found[0][0] == "<"]
    reader = Reader(text)
    reader.read()
    return reader.marks


class Reader(Quotes):
    """Reads a script once.

    Parameters
    ----------
    text : str
        The script.
    bash : bool
        Whether it is bash that reads it; otherwise any POSIX shell may.

    Attributes
    ----------
    found : list of (int, QuoteContext)
        Offset and place of each placeholder that stands where a name can be quoted.
    refused : list of (int, str)
        Offset of each that does not, and where it stands, in words.
    marks : list of (int, int)
        Offset of each ``<[``, and of the ``]>`` that belongs to it.
    unmarked : list of int
        Offset of each ``<[`` that a shell takes for a redirection, although a ``]>`` follows.
    ends : list of int
        Offset of each newline and ``;`` at which no command is open.
    comments : list of (int, int)
        Where each comment begins and ends.
    unfinished, stray : list of (int, str)
        What has no end, and what closes or joins nothing: offset, and what it is.
    waiting : list of (int, str)
        Here-documents without an end, which bash lets pass.
    """

    def __init__(self, text: str, *, bash: bool = True) -> None:
        super().__init__(text, bash=bash)
        self.marks: list[tuple[int, int]] = []
        self.unmarked: list[int] = []
        self.ends: list[int] = []
        self.comments: list[tuple[int, int]] = []
        self.unfinished: list[tuple[int, str]] = []
        self.stray: list[tuple[int, str]] = []
        self.waiting: list[tuple[int, str]] = []
        self._heredocs: list[tuple[str, bool, int]] = []  # delimiter, whether tabs are stripped, offset; not yet read
        self._mark_end = -1  # where the ]> of the present mark stands

    def read(self) -> None:
        """Read all of it.

        Raises
        ------
        SpecError
            A quote or bracket is not closed, or shells differ in how they read it.
        """
        while self._at < len(self.text):
            if self._commands(""):
                self.stray.append((self._at - 1, ") without its ("))
        self.waiting = [(at, f"a here-document without its {end}") for end, _, at in self._heredocs]
        refused = {at for at, _ in self.refused}
        self.found = sorted((at, place) for at, place in self.found if at not in refused)
        self.marks.sort()

    # -- commands ---------------------------------------------------------------------------------------

    def _commands(self, closer: str, *, loose: bool = False) -> bool:
        """Read commands up to `closer`, ')', ']]' or '' for the end, and go past it; return whether a ) ended them.

        Parameters
        ----------
        closer : str
            What ends them.
        loose : bool
            Whether they are words, as those of an array, of which none is reserved.
        """
        opened = self._at
        level = Level([], []) if loose or closer == "]]" else Level(self.unfinished, self.stray)
        command = SimpleCommand()
        dollar = False
        while self._at < len(self.text):
            was_dollar, dollar = dollar, False
            end = self._mark_end if self._at <= self._mark_end else len(self.text)
            ordinary = _ORDINARY.match(self.text, self._at, end)
            if ordinary is not None:
                command.begin_word(self._at)
                command.word += ordinary[0]
                self._at = ordinary.end()
                continue
            char = self.text[self._at]
            if self._at == self._mark_end:
                self._at += 2
            elif self._sees(PLACEHOLDER):
                command.begin_word(self._at, plain=False)
                command.place(self._at)
                place = QuoteContext.WORD if self._alone(command) and not was_dollar else QuoteContext.BARE
                self._take(place, was_dollar)
                command.word += PLACEHOLDER
            elif char == "\\":
                if self._sees("\\\n"):
                    self._at += 2
                    dollar = was_dollar
                else:
                    command.begin_word(self._at, plain=False)
                    command.word += self._escape()
            elif char == "'":
                command.begin_word(self._at, plain=False)
                start = self._at
                self._ansi_c() if was_dollar else self._single(command)
                command.word += self.text[start : self._at]
            elif char == '"':
                command.begin_word(self._at, plain=False)
                self._double(command)
            elif char == "`":
                command.begin_word(self._at, plain=False)
                self._backticks()
                command.word += "`"
            elif char == "$":
                command.begin_word(self._at, plain=False)
                dollar = self._dollar(command)
            elif char == "#" and not command.in_word:
                self._comment()
            elif closer == "]]" and char in "()<>;&|\n \t":
                if self._end_of_test(command, char):
                    return False
            elif char == ")":
                self._end_word(command, level)
                command = self._end_command(command)
                self._at += 1
                if level.in_pattern:
                    level.pattern_ends()
                    continue
                level.end()
                if closer and self._substitutions and self._heredocs:
                    raise self._error(opened, "a here-document must end inside its $( )")
                return True
            elif char in "<>" or (self._bash and self._sees("&>")):
                self._redirection(command, level)
            elif char == "(":
                command = self._parenthesis(command, level)
            elif char in _SEPARATORS:
                command = self._separator(command, level)
            elif char in _BLANK:
                self._at += 1
                if self._end_word(command, level):
                    self._test()
                    level.bracketed()
                    command = self._end_command(command)
            else:  # a # within a word, a % that begins no placeholder
                command.begin_word(self._at)
                command.word += char
                self._at += 1
        if closer == "]]":
            if not self._end_of_test(command, ""):
                self.unfinished.append((opened, "[[ without its ]]"))
            return False
        self._end_word(command, level)
        self._end_command(command)
        if closer:
            raise self._error(opened, "a ( is not closed")
        level.end()
        return False

    def _nested(self, *, loose: bool = False) -> None:
        self._deeper()
        self._commands(")", loose=loose)
        self._depth -= 1

    def _inner(self, start: int, end: int, *, places: bool) -> None:
        text = self.text[start:end]
        if "\\" in text or not ("<[" in text or (places and PLACEHOLDER in text)):
            return  # a backslash in backticks is not what it is elsewhere
        inner = Reader(text, bash=self._bash)
        inner.read()
        self.marks += [(start + begin, start + close) for begin, close in inner.marks]
        self.unmarked += [start + at for at in inner.unmarked]
        if places:
            taken = {start + at: _TICKED[place] for at, place in inner.found if place in _TICKED}
            self.refused = [(at, where) for at, where in self.refused if at not in taken]
            self.found += taken.items()

    def _set_aside(self, heredocs: list[tuple[str, bool, int]]) -> list[tuple[str, bool, int]]:
        before, self._heredocs = self._heredocs, heredocs
        return before

    def _alone(self, command: SimpleCommand) -> bool:
        """Say whether the placeholder is a word of its own, and an argument."""
        end = self._at + len(PLACEHOLDER)
        after = self.text[end : end + 1]
        argument = bool(command.words) and not command.redirects
        closed = not after or after in _BLANK or after in ";|\n" or end == self._mark_end
        return argument and not command.word and closed

    def _end_word(self, command: SimpleCommand, level: Level) -> bool:
        """End a word; return whether it is the [[ that begins a test."""
        if command.in_word and command.redirects:
            level.redirected()
        at = command.word_at
        ended = command.end_word()
        if ended is None:
            return False
        word, plain = ended
        if word == "[[" and plain and level.begins:
            return True
        level.word(word, plain, at)
        return False

    def _end_command(self, command: SimpleCommand) -> SimpleCommand:
        """End a simple command, and return the next."""
        if command.redirects:
            glued = "; <[ ]> marks an input only as a word of its own, with blanks around it" if self.unmarked else ""
            self.stray.append((self._at, f"nothing follows < or >{glued}"))
        self.refused += command.refusals(False)
        return SimpleCommand()

    def _comment(self) -> None:
        end = self.text.find("\n", self._at)
        end = len(self.text) if end < 0 else end
        self.comments.append((self._at, end))
        self._at = end

    def _test(self) -> None:
        """Read what stands between [[ and ]]."""
        self._depth += 1
        self._commands("]]")
        self._depth -= 1

    def _end_of_test(self, command: SimpleCommand, char: str) -> bool:
        """Read what ends a word of a test; return whether that word was its ]]."""
        ended = command.end_word()
        if ended == ("]]", True):
            self.refused += command.refusals(True)
            return True
        compared = bool(command.words) and command.words[-1] in _COMPARES
        if char == "<" and self._sees("<[") and not compared and self._mark():
            return False
        self._at += 1
        return False

    # -- what stands between words ----------------------------------------------------------------------

    def _separator(self, command: SimpleCommand, level: Level) -> SimpleCommand:
        """Read what stands between two commands, or two patterns; return the next command."""
        at, char = self._at, self.text[self._at]
        # In >& and <& the & belongs to the redirection; in >| the bar does.
        if char in "&|" and command.redirects and not command.in_word and self.text[at - 1] in "<>":
            self._at += 1
            return command
        if self._end_word(command, level):  # a [[ at the end of its line
            self._test()
            level.bracketed()
            return self._end_command(command)
        command = self._end_command(command)
        if char == "\n":
            level.newline()
            if not self._depth and level.complete:
                self.ends.append(at)
            self._at += 1
            self._bodies()
            return command
        if level.in_pattern and char == "|":
            self._at += 1
            return command
        for operator in ("&&", "||", "|&", "|"):
            if self._sees(operator):
                level.operator(at, operator)
                self._at += len(operator)
                return command
        for separator in (";;&", ";;", ";&", ";", "&"):
            if self._sees(separator):
                level.separator(at, separator)
                if separator[0] == ";" and not self._depth and level.complete:
                    self.ends += range(at, at + len(separator))
                self._at += len(separator)
                break
        return command

    def _redirection(self, command: SimpleCommand, level: Level) -> None:
        """Read the operator of a redirection, a process substitution, or a mark."""
        if self._sees("<["):
            if not command.in_word and self._mark():
                return
            if command.in_word and _MARK.match(self.text, self._at):
                self.unmarked.append(self._at)
        if command.plain and _FD.fullmatch(command.word):
            command.drop_word()  # the 2 of 2>
        if self._sees("<(") or self._sees(">("):
            command.begin_word(self._at, plain=False)
            self._at += 2
            self._nested()
            command.word += "$"
            return
        self._end_word(command, level)
        if self._sees("<<") and not self._sees("<<<"):
            self._heredoc()
            level.redirected()
            return
        for operator in ("<<<", "&>>", "&>", ">>", "<>", "<", ">"):
            if self._sees(operator):
                self._at += len(operator)
                break
        command.redirects = True

    def _mark(self) -> bool:
        """Go past the <[ of a mark, and return True, if one begins here."""
        found = _MARK.match(self.text, self._at)
        if found is None:
            return False
        before, after = self.text[max(0, self._at - 1) : self._at], self.text[found.end() : found.end() + 1]
        whole = (not before or before in _BEFORE_MARK) and (not after or after in _AFTER_MARK)
        if not whole or not found[1].strip() or "$(" in found[1]:
            self.unmarked.append(self._at)
            return False
        self._mark_end = found.end() - 2
        self.marks.append((self._at, self._mark_end))
        self._at += 2
        return True

    def _parenthesis(self, command: SimpleCommand, level: Level) -> SimpleCommand:
        """Read a ( and what belongs to it: an array, a pattern, a function's head, arithmetic or commands."""
        at = self._at
        if command.in_word and command.plain and _ASSIGNS.fullmatch(command.word):
            self._at += 1
            self._nested(loose=True)
            return command
        if command.in_word and command.word[-1:] in tuple("?*+@!"):
            self._at += 1
            self._nested(loose=True)
            command.plain = False
            return command
        self._end_word(command, level)
        if level.in_pattern:
            self._at += 1
            return command
        head = _HEAD.match(self.text, at)
        if head is not None and command.words and not command.redirects:
            self._at = head.end()
            level.function(at)
            return self._end_command(command)
        if self._sees("(("):
            self._arithmetic("in (( ))")
        else:
            self._at += 1
            self._nested()
        level.bracketed()
        return command

    # -- here-documents ---------------------------------------------------------------------------------

    def _heredoc(self) -> None:
        """Read << and its delimiter; the body begins on the next line."""
        found = _HEREDOC.match(self.text, self._at)
        if found is None:
            raise self._error(self._at, "a here-document needs a delimiter")
        if PLACEHOLDER in found[2] or "$" in found[2] or "`" in found[2]:
            raise self._error(self._at, "the delimiter of a here-document must be a plain word")
        self._heredocs.append((found[2].translate(_QUOTES), bool(found[1]), self._at))
        self._at = found.end()

    def _bodies(self) -> None:
        """Read the bodies of the here-documents that began on the line before."""
        for at in range(len(self._heredocs)):
            delimiter, strips_tabs, _ = self._heredocs[at]
            if not self._body(delimiter, strips_tabs):
                del self._heredocs[:at]
                return
        self._heredocs.clear()

    def _body(self, delimiter: str, strips_tabs: bool) -> bool:
        """Read the body of a here-document; return whether its delimiter was there."""
        while self._at < len(self.text):
            end = self.text.find("\n", self._at)
            end = len(self.text) if end < 0 else end
            line = self.text[self._at : end]
            at, self._at = self._at, min(end + 1, len(self.text))
            if (line.lstrip("\t") if strips_tabs else line) == delimiter:
                return True
            self.refused += [(at + match.start(), "in a here-document") for match in re.finditer(PLACEHOLDER, line)]
        return False
