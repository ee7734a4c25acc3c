"""Tab completion behind ``%stratos`` and ``%%stratos``."""

from __future__ import annotations

import glob
import inspect
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from ..backend.engines.registry import choices
from ..backend.spec.options import LIVE
from .arguments import Argument, Subcommand

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: a line that is ours up to the cursor, perhaps one that assigns its result
_LINE: Final = re.compile(r"\s*(?:[\w.]+\s*=\s*)?(%%?)stratos\s+(.*)")

#: the most names of files that are offered
MOST_FILES: Final = 200


class Completer:
    """Completes magic lines; one of IPython's matchers.

    Parameters
    ----------
    shell : InteractiveShell
        Whose variables are offered.
    subcommands : mapping of str to Subcommand
        What there is to complete.
    jobs, kept : callable
        Return the names of this session's jobs, and of all that are kept.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        subcommands: Mapping[str, Subcommand],
        jobs: Callable[[], Iterable[str]],
        kept: Callable[[], Iterable[str]],
    ) -> None:
        self._shell = shell
        self._subcommands = subcommands
        self._jobs = jobs
        self._kept = kept

    @context_matcher(identifier="stratos_jupyter")  # type: ignore[untyped-decorator]
    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Complete the word before the cursor."""
        line = _LINE.fullmatch(context.text_until_cursor)
        above = context.full_text.split("\n")[: context.cursor_line]
        # A cell magic stands on a cell's first line; below it is the user's command.
        if line is None or any(text.lstrip().startswith("%%") or (line[1] == "%%" and text.strip()) for text in above):
            return SimpleMatcherResult(completions=[])
        word = re.search(r"(?:\\.|\S)*$", line[2])[0]  # type: ignore[index]
        try:
            before = shlex.split(line[2][: len(line[2]) - len(word)])
        except ValueError:  # inside quotes
            return SimpleMatcherResult(completions=[])
        found = [SimpleCompletion(text=text, type=kind) for text, kind in self.complete(before, word, line[1] == "%%")]
        return SimpleMatcherResult(completions=found, matched_fragment=word, suppress=True, ordered=True)

    def complete(self, before: list[str], word: str, cell: bool) -> list[tuple[str, str]]:
        """Return what `word` may become after the words `before`, each with the kind that editors show."""
        if not before:
            names = [name for name, made in self._subcommands.items() if made.cell == cell]
            return _beginning(word, names, "subcommand")
        made = self._subcommands.get(before[0])
        if made is None or made.cell != cell:
            return []
        options = {argument.name: argument for argument in made.arguments if argument.is_option}
        last = options.get(before[-1])
        if last is not None and last.metavar:
            return self._values(last, word)
        free = [name for name, argument in options.items() if argument.many or name not in before]
        if word.startswith("-"):
            return _beginning(word, free, "option")
        return self._positional(made, before[1:], options, word) or _beginning(word, free, "option")

    def _positional(
        self, made: Subcommand, words: list[str], options: Mapping[str, Argument], word: str
    ) -> list[tuple[str, str]]:
        takes_value = {name for name, option in options.items() if option.metavar}
        count = sum(
            1
            for previous, text in zip(["", *words], words, strict=False)
            if not text.startswith("-") and previous not in takes_value
        )
        positional = [argument for argument in made.arguments if not argument.is_option]
        return self._values(positional[count], word) if count < len(positional) else []

    def _values(self, argument: Argument, word: str) -> list[tuple[str, str]]:
        return _beginning(word, argument.choices, argument.name.lstrip("-")) + self._found(argument.complete, word)

    def _found(self, kind: str, word: str) -> list[tuple[str, str]]:
        match kind:
            case "jobs":
                return _beginning(word, self._jobs(), "job")
            case "kept":
                return _beginning(word, self._kept(), "job")
            case "subcommands":
                return _beginning(word, self._subcommands, "subcommand")
            case "engines":
                return _beginning(word, choices(), "engine")
            case "environment":
                return _beginning(word, sorted(os.environ), "variable")
            case "files":
                return [(path, "path") for path in _paths(word)]
            case "directories":
                return [(path, "path") for path in _paths(word) if path.endswith("/")]
            case "frames":
                return _beginning(word, self._variables(lambda value: hasattr(value, "columns")), "variable")
            case "parameters":
                return _beginning(word, self._variables(_may_be_parameters), "variable")
            case "functions":
                return _beginning(word, self._variables(inspect.isfunction), "function")
            case "monitors":
                return [*self._found("functions", word), *((path, "path") for path in _paths(word))]
            case "live":
                return _beginning(word, (f"{name}=" for name in LIVE), "option")
            case _:
                return []

    def _variables(self, wanted: Callable[[Any], bool]) -> list[str]:
        hidden = self._shell.user_ns_hidden
        return sorted(
            name
            for name, value in list(self._shell.user_ns.items())
            if not name.startswith("_") and name not in hidden and wanted(value)
        )


def _may_be_parameters(value: object) -> bool:
    return isinstance(value, (list, tuple, dict)) or hasattr(value, "columns")


def _beginning(word: str, names: Iterable[str], kind: str) -> list[tuple[str, str]]:
    return [(str(name), kind) for name in dict.fromkeys(names) if name.startswith(word)]


def _paths(word: str) -> list[str]:
    """Return paths that begin with `word`, as they are typed in a magic line."""
    if re.search(r"[*?\[\"']", word):
        return []
    plain = re.sub(r"\\(.)", r"\1", word)
    root = os.path.expanduser(plain)
    found = sorted(glob.iglob(glob.escape(root) + "*"))[:MOST_FILES]
    typed = (plain + path[len(root) :] + ("/" if os.path.isdir(path) else "") for path in found)
    return [re.sub(r"([\s\\'\"])", r"\\\1", path) for path in typed if path.isprintable()]
