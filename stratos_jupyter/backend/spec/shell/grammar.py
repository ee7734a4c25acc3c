"""Which commands of a script are open: loops, conditions, groups, and operators that wait for a command. PURE.

Theory of operation
-------------------
A `Level` follows the commands between two brackets: the whole script, or what stands in ``( )`` or ``$( )``. The reader
tells it of words and operators, in order.

1. A reserved word counts only where a command may begin, and only without quotes.
2. A compound command is open from its first word to its last; the innermost one decides what a word means.
3. After ``|``, ``&&``, ``||`` and the head of a function a command must follow, newlines or not.
4. What closes nothing, or joins nothing, is stray: alone on its line it is a part of something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class _Phase(Enum):
    CONDITION = auto()  # if, while, until: up to then or do
    NAME = auto()  # for, select, function: the name comes
    IN = auto()  # for, select, case: in comes, or do
    WORDS = auto()  # for, select: up to the end of the line
    DO = auto()  # for, select: do comes
    BODY = auto()
    ELSE = auto()
    SUBJECT = auto()  # case: the word that is compared
    PATTERN = auto()  # case: up to a )


_LOOPS: Final = frozenset({"while", "until", "for", "select"})
_OPENERS: Final = {
    "if": _Phase.CONDITION,
    "while": _Phase.CONDITION,
    "until": _Phase.CONDITION,
    "for": _Phase.NAME,
    "select": _Phase.NAME,
    "function": _Phase.NAME,
    "case": _Phase.SUBJECT,
    "{": _Phase.BODY,
}
#: by a reserved word: in which commands and phases it may stand, and which phase follows; None is their end
_MOVES: Final[dict[str, tuple[frozenset[str], frozenset[_Phase], _Phase | None]]] = {
    "then": (frozenset({"if"}), frozenset({_Phase.CONDITION}), _Phase.BODY),
    "elif": (frozenset({"if"}), frozenset({_Phase.BODY}), _Phase.CONDITION),
    "else": (frozenset({"if"}), frozenset({_Phase.BODY}), _Phase.ELSE),
    "fi": (frozenset({"if"}), frozenset({_Phase.BODY, _Phase.ELSE}), None),
    "do": (_LOOPS, frozenset({_Phase.CONDITION, _Phase.IN, _Phase.DO}), _Phase.BODY),
    "done": (_LOOPS, frozenset({_Phase.BODY}), None),
    "esac": (frozenset({"case"}), frozenset({_Phase.BODY, _Phase.PATTERN}), None),
    "}": (frozenset({"{"}), frozenset({_Phase.BODY}), None),
}
_CLOSERS: Final = {"if": "fi", "case": "esac", "{": "}", **dict.fromkeys(_LOOPS, "done")}
_BEGINNINGS: Final = {"then": "if", "elif": "if", "else": "if", "fi": "if", "esac": "case", "}": "{"}
#: after them a command begins, which may be a compound one
_PREFIXES: Final = frozenset({"!", "time", "coproc"})


@dataclass(slots=True)
class _Open:
    at: int
    word: str
    phase: _Phase


class Level:
    """The commands between two brackets.

    Attributes
    ----------
    unfinished : list of (int, str)
        Offset of what has no end, and what it is. Complete once `end` was called.
    stray : list of (int, str)
        Offset of what closes or joins nothing, and what it is.
    """

    def __init__(self, unfinished: list[tuple[int, str]], stray: list[tuple[int, str]]) -> None:
        self.unfinished = unfinished
        self.stray = stray
        self._open: list[_Open] = []
        self._wanted: tuple[int, str] | None = None  # after which operator a command must come
        self._begun = False  # a word of the present command is no reserved one: none that follows is
        self._something = False  # since the last separator there has been something
        self._prefix = ""

    @property
    def complete(self) -> bool:
        """Whether no command is open here, so that a separator ends all."""
        return not self._open and self._wanted is None

    @property
    def begins(self) -> bool:
        """Whether a command may begin here."""
        return not self._begun and not self.names and not self.in_words

    @property
    def in_pattern(self) -> bool:
        """Whether what comes is the pattern of a case."""
        return bool(self._open) and self._open[-1].phase is _Phase.PATTERN

    @property
    def names(self) -> bool:
        """Whether the name of a ``for`` comes, or its (( ))."""
        return bool(self._open) and self._open[-1].phase is _Phase.NAME

    @property
    def in_words(self) -> bool:
        """Whether the words of a ``for`` come, or the subject of a case."""
        return bool(self._open) and self._open[-1].phase in (_Phase.WORDS, _Phase.SUBJECT)

    def _phase(self, phase: _Phase) -> None:
        self._open[-1].phase = phase

    def word(self, word: str, plain: bool, at: int) -> None:
        """Take in a word."""
        top = self._open[-1] if self._open else None
        reserved = plain and not self._begun
        self._something = True
        if top is not None and top.phase is _Phase.NAME:
            if top.word == "function":
                self._open.pop()
                self._wanted, self._something = (top.at, "a function without its body"), False
            else:
                self._phase(_Phase.IN)
            return
        if top is not None and top.phase is _Phase.SUBJECT:
            self._phase(_Phase.IN)
            return
        if top is not None and top.phase is _Phase.WORDS:
            return
        if top is not None and top.phase is _Phase.IN and word == "in" and plain:
            self._phase(_Phase.PATTERN if top.word == "case" else _Phase.WORDS)
            self._begun = self._something = False
            return
        if top is not None and top.phase is _Phase.PATTERN and not (reserved and word == "esac"):
            self._begun = True
            return
        if reserved and self._reserved(word, at):
            return
        self._wanted = None
        if self._prefix == "coproc" or (self._prefix == "time" and word.startswith("-")):
            self._prefix = ""  # what follows may still be a compound command
        else:
            self._begun = True

    def _reserved(self, word: str, at: int) -> bool:
        top = self._open[-1] if self._open else None
        if word in _OPENERS:
            self._wanted = None
            if top is not None and top.phase is _Phase.DO and word == "{":
                top.phase = _Phase.BODY  # for x in a; { ...; }
                top.word = "{"
            else:
                self._open.append(_Open(at, word, _OPENERS[word]))
            self._something = False
            self._prefix = ""
            return True
        if word in _MOVES:
            words, phases, following = _MOVES[word]
            if top is None or top.word not in words or top.phase not in phases or self._wanted is not None:
                self.stray.append((at, f"{word} without its {_BEGINNINGS.get(word, 'for, while or until')}"))
                self._begun = True
                return True
            if following is None:
                self._open.pop()
                self._something = True
            else:
                top.phase = following
                self._something = False
            return True
        if word in _PREFIXES:
            self._wanted, self._prefix = None, word
            return True
        return False

    def bracketed(self) -> None:
        """Take in what stood in brackets of its own: ``( )``, ``(( ))``, ``[[ ]]``."""
        if self.names and self._open[-1].word != "function":
            self._phase(_Phase.DO)
        self._wanted, self._something = None, True

    def function(self, at: int) -> None:
        """Take in the head of a function, ``name()``, of which the name has been taken for a word."""
        self._begun = False
        self._wanted, self._something = (at, "a function without its body"), False

    def redirected(self) -> None:
        """Take in a redirection, which begins a command where there is none; no reserved word follows it."""
        self._wanted, self._begun, self._something = None, True, True

    def operator(self, at: int, operator: str) -> None:
        """Take in ``|``, ``|&``, ``&&`` or ``||``."""
        self._nothing_before(at, operator)
        self._wanted = (at, f"nothing follows {operator}")
        self._end_command()

    def separator(self, at: int, separator: str) -> None:
        """Take in ``;``, ``&`` or what ends the branch of a case."""
        top = self._open[-1] if self._open else None
        if separator in (";;", ";&", ";;&") and top is not None and top.word == "case":
            top.phase = _Phase.PATTERN
            self._end_command()
            return
        if top is not None and top.phase in (_Phase.WORDS, _Phase.IN) and separator == ";":
            self._phase(_Phase.DO)
            self._end_command()
            return
        if self._nothing_before(at, separator):
            self._wanted = None
        self._end_command()

    def newline(self) -> None:
        """Take in the end of a line."""
        if self._open and self._open[-1].phase is _Phase.WORDS:
            self._phase(_Phase.DO)
        if self._wanted is None or self._something:
            self._end_command()

    def pattern_ends(self) -> None:
        """Take in the ) after the pattern of a case."""
        self._phase(_Phase.BODY)
        self._end_command()

    def end(self) -> None:
        """Take in the end of the text, or the bracket that closes all this."""
        for one in self._open:
            closer = _CLOSERS.get(one.word)
            self.unfinished.append((one.at, f"{one.word} without its {closer}" if closer else f"{one.word} of what"))
        if self._wanted is not None:
            self.unfinished.append(self._wanted)

    def _nothing_before(self, at: int, operator: str) -> bool:
        nothing = not self._something
        if nothing:
            self.stray.append((at, f"nothing stands before {operator}"))
        return nothing

    def _end_command(self) -> None:
        self._begun = self._something = False
        self._prefix = ""
