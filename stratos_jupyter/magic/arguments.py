"""The words of a magic line: how it is split and read, and what is said when that cannot be done.

A subcommand is a method with decorators; `subcommands` finds them. Submitting cells have the options of `options`.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn, Self, TypeVar

from ..backend.spec.parse_values import near
from ..errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

_ARGUMENTS: Final = "_stratos_arguments"
_SUBCOMMAND: Final = "_stratos_subcommand"
#: what a quote holds, or a backslash and the character behind it
_PROTECTED: Final = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"|\\(.)""", re.DOTALL)


class HelpAsked(Exception):
    """The line asks for help; carries its text."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One option, or positional argument, of a subcommand.

    Attributes
    ----------
    name : str
        ``--job``, or the word that usage shows for a positional argument.
    help : str
        One line; ``%`` stands for itself.
    metavar : str
        What usage shows for an option's value; empty for a flag.
    many : bool
        Whether it may be repeated.
    optional : bool
        Whether a positional argument may be left out.
    choices : tuple of str
        Values that Tab offers.
    complete : str
        What else Tab completes its value with, see `completion`.
    pattern : bool
        Whether a positional argument is a pattern of files.
    """

    name: str
    help: str
    metavar: str = ""
    many: bool = False
    optional: bool = False
    choices: tuple[str, ...] = ()
    complete: str = ""
    pattern: bool = False

    @property
    def is_option(self) -> bool:
        """Whether it begins with dashes."""
        return self.name.startswith("-")

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Tell argparse."""
        text = self.help.replace("%", "%%")
        if not self.is_option:
            nargs = {(True, True): "*", (True, False): "+", (False, True): "?"}.get((self.many, self.optional))
            parser.add_argument(self.name, nargs=nargs, help=text, type=_as_pattern if self.pattern else str)
        elif not self.metavar:
            parser.add_argument(self.name, action="store_true", help=text)
        elif self.many:
            parser.add_argument(self.name, action="append", default=[], metavar=self.metavar, help=text)
        else:
            parser.add_argument(self.name, metavar=self.metavar, help=text)


class Word(str):
    r"""A word of a magic line.

    Attributes
    ----------
    pattern : str
        The word as a pattern has it, where a backslash takes the meaning from the character behind it: ``a\*b`` names
        one file, and the word itself is ``a*b``.
    """

    __slots__ = ("pattern",)
    pattern: str

    def __new__(cls, text: str, pattern: str) -> Self:
        """Make a word that is `text`, and `pattern` where a pattern is wanted."""
        word = super().__new__(cls, text)
        word.pattern = pattern
        return word


def _as_pattern(word: str) -> str:
    return word.pattern if isinstance(word, Word) else word


class _Help(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        raise HelpAsked(parser.format_help())


class _RaisingParser(argparse.ArgumentParser):
    """An argparse parser that raises instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


@dataclass(frozen=True, slots=True)
class Subcommand:
    """What may follow ``%stratos`` or ``%%stratos``."""

    name: str
    summary: str
    example: str
    cell: bool
    arguments: tuple[Argument, ...]

    @property
    def title(self) -> str:
        """How the line begins."""
        return f"{'%%' if self.cell else '%'}stratos {self.name}"

    @property
    def usage(self) -> str:
        """The short usage, with an example."""
        words = [self.title]
        for argument in self.arguments:
            if not argument.is_option:
                word = argument.name + ("..." if argument.many else "")
                words.append(f"[{word}]" if argument.optional else word)
        options = [argument for argument in self.arguments if argument.is_option]
        words += ["[options]"] if len(options) > 3 else [f"[{option.name}]" for option in options]
        lines = [f"usage: {' '.join(words)}    (%stratos help {self.name} says more)", "example:"]
        return "\n".join(lines + ["    " + line for line in self.example.splitlines()])

    def parser(self) -> argparse.ArgumentParser:
        """Return a parser for what follows the subcommand."""
        layout = partial(argparse.HelpFormatter, max_help_position=30, width=110)
        parser = _RaisingParser(
            prog=self.title, description=self.summary, add_help=False, allow_abbrev=False, formatter_class=layout
        )
        for argument in self.arguments:
            argument.add_to(parser)
        parser.add_argument("-h", "--help", action=_Help, nargs=0, help="show this")
        return parser

    def help(self) -> str:
        """Return the long help."""
        example = "".join(f"\n    {line}" for line in self.example.splitlines())
        return f"{self.parser().format_help()}\nexample:{example}"

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Read what follows the subcommand; UsageError when that cannot be done, HelpAsked for ``--help``."""
        options = [argument.name for argument in self.arguments if argument.is_option]
        finds_files = any(argument.pattern for argument in self.arguments)
        try:
            args, strange = self.parser().parse_known_args(words)
        except UsageError as error:
            dashed = next((word for word in words if word[:1] == "-" and word.partition("=")[0] not in options), "")
            cure = f"; a name that begins with a dash is written ./{dashed}" if finds_files and dashed else ""
            raise self.error(f"{error}{cure}") from None
        unknown = [word.partition("=")[0] for word in strange if word.startswith("-") and word != "--"]
        if unknown:
            raise self.error(
                "; ".join(
                    f"{word} stands behind --; write options before that" if word in options else
                    f"unknown option {word}{near(word, options)}" for word in unknown
                )
            )  # fmt: skip
        if strange:
            more = ", and write several patterns as one: {a*,b/*}" if finds_files else ""
            raise self.error(f"too many words: {shlex.join(strange)}; quote what contains spaces{more}")
        return args

    def error(self, message: str) -> UsageError:
        """Return a UsageError with `message` and the short usage."""
        return UsageError(f"{message}\n{self.usage}")


def argument(name: str, help: str, metavar: str = "", **details: Any) -> Callable[[F], F]:
    """Add one argument to a subcommand."""
    return group(Argument(name, help, metavar, **details))


def group(*arguments: Argument) -> Callable[[F], F]:
    """Add several arguments to a subcommand."""

    def add(function: F) -> F:
        # Decorators are applied from the bottom up.
        setattr(function, _ARGUMENTS, (*arguments, *getattr(function, _ARGUMENTS, ())))
        return function

    return add


def subcommand(example: str, *, cell: bool = False) -> Callable[[F], F]:
    """Make a subcommand of a method ``do_NAME``; the first line of its docstring is the summary."""

    def mark(function: F) -> F:
        name = function.__name__.removeprefix("do_")
        summary = (function.__doc__ or "").partition("\n")[0]
        made = Subcommand(name, summary, example, cell, getattr(function, _ARGUMENTS, ()))
        setattr(function, _SUBCOMMAND, made)
        return function

    return mark


def subcommands(owner: type) -> dict[str, Subcommand]:
    """Return the subcommands of a class by name, in the order of its source."""
    found = (getattr(function, _SUBCOMMAND, None) for function in vars(owner).values())
    return {made.name: made for made in found if made is not None}


def overview(known: Iterable[Subcommand]) -> str:
    """Return a line for each subcommand."""
    titles = {made.title: made.summary for made in known}
    width = max(map(len, titles))
    lines = [f"{title:<{width}}  {summary}" for title, summary in titles.items()]
    return "\n".join([*lines, "", "%stratos help SUBCOMMAND shows its options and an example"])


def split(line: str) -> list[str]:
    """Split a magic line as a shell splits words, each a `Word`; nothing is expanded."""
    if line.rstrip().endswith("\\"):
        raise UsageError(
            "the magic line ends in \\, but IPython does not continue it: the next line would already be the "
            "command. Write all options on one line, and the command below it"
        )
    try:
        words, patterns = shlex.split(line), shlex.split(_PROTECTED.sub(_kept, line))
    except ValueError:
        raise UsageError(f"a quote is opened and not closed in: {line.strip()}") from None
    return [Word(*both) for both in zip(words, patterns, strict=True)]


def _kept(found: re.Match[str]) -> str:
    """Return a backslash outside of quotes so that it is still there when the line has been split."""
    behind = found[1]
    if behind is None or behind in " \t\r\n'\"":
        return found[0]
    return "\\\\" + (found[0] if behind == "\\" else behind)
