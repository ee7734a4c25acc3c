"""The options of submitting cells: the rows of the table of options that a cell can say, as words of a magic line."""

from __future__ import annotations

import argparse
import builtins
import keyword
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from ..backend.spec.job_spec import JobSpec
from ..backend.spec.option import Option
from ..backend.spec.options import OPTIONS
from ..job_options import NOTHING, job_spec
from ..settings import Stratos
from .arguments import Argument, group

F = TypeVar("F", bound=Callable[..., Any])

#: names that IPython keeps for itself
_TAKEN: Final = frozenset({"In", "Out", "exit", "quit", "get_ipython"})


def argument_of(option: Option) -> Argument:
    """Return what a magic line may say of an option."""
    text = option.help + ("; may be repeated" if option.many else "")
    return Argument(
        option.flag, text, option.metavar, many=option.many, choices=option.choices, complete=option.complete
    )


def submission_options(function: F) -> F:
    """Add the options that every submitting cell has."""
    return group(*(argument_of(option) for option in OPTIONS if option.flag))(function)


def spec_of_cell(
    args: argparse.Namespace, settings: Stratos, names: Mapping[str, object] = NOTHING
) -> tuple[JobSpec, list[str]]:
    """Turn the options of a submitting cell into a spec, and list what cannot be read.

    Parameters
    ----------
    args : Namespace
        The options, as text.
    settings : Stratos
        Hold for those that were not given.
    names : mapping
        The notebook's variables.

    Returns
    -------
    spec : JobSpec
        What cannot be read is as if it had not been given, so that the rest can be checked, too.
    wrong : list of str
        Each begins with the option.
    """
    given = {option.name: getattr(args, option.flag[2:].replace("-", "_")) for option in OPTIONS if option.flag}
    said = {name: value for name, value in given.items() if value not in (None, False, [])}
    wrong = [wrong_name(args.into)] if args.into is not None else []
    spec, unread = job_spec(said, settings, names=names)
    return spec, [*filter(None, wrong), *unread]


def wrong_name(into: str) -> str:
    """Say why a variable cannot be called so; '' when it can."""
    if not into.isidentifier() or keyword.iskeyword(into):
        return f"--into: {into!r} cannot be the name of a variable"
    if into.startswith("_") or into in _TAKEN or hasattr(builtins, into):
        return f"--into: {into} has a meaning of its own already; choose another name"
    return ""


def task_indices(words: Iterable[str], total: int) -> list[int]:
    """Read tasks of a job that has `total`, as ``3``, ``3-7`` or ``3,9``; ascending, each once."""
    tasks: set[int] = set()
    wrong = []
    for text in (part for word in words for part in word.split(",")):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", text, re.ASCII)
        if match is None:
            wrong.append(f"{text!r} is no task; write tasks as 3, 3-7 or 3,9")
            continue
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            wrong.append(f"{text} runs backwards")
        elif last >= total:
            wrong.append(f"there is no task {last}; the job has {total:,}, counted from 0")
        else:
            tasks.update(range(first, last + 1))
    if wrong:
        raise ValueError("; ".join(wrong))
    return sorted(tasks)
