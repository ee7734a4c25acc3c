"""Option: what one choice of a user is called in each place, how it is read, and what of a job it decides. PURE.

The table of all of them is `options`. A flag, a keyword, a setting or a default is spelled there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final

from ...errors import SpecError
from ..core.rules import Rules
from .job_spec import JobSpec
from .parse_values import as_text

#: what a job has where no option says anything, by field
UNSET: Final = {one.name: getattr(of, one.name) for of in (JobSpec(), Rules()) for one in fields(of)}
#: the fields that belong to the rules of a job, which can be replaced while it runs
OF_RULES: Final = frozenset(one.name for one in fields(Rules))


class Section(StrEnum):
    """Where the manual describes an option."""

    MAIN = "main"
    SUCCESS = "success"
    TROUBLE = "trouble"
    PACE = "pace"


class Resume(StrEnum):
    """What ``--resume`` does with an option that is another one than in the run that it goes on with."""

    #: it is refused: this is what the tasks do, or where
    REFUSED = "refused"
    #: it holds from then on, and that is said
    TAKEN = "taken"
    #: it holds from then on: this is how outputs are read, and what variables are
    SILENT = "silent"
    #: it says which run, which commands, or where their inputs are: these are compared by themselves
    COMPARED = "compared"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of `JobSpec`, or of its `Rules`, that an option decides.

    Attributes
    ----------
    name : str
        The field.
    called : str
        What a message calls it; '' when that is the option's own name.
    unit : str
        Stands behind the number in a message.
    show : callable, optional
        Returns the value as a user writes it.
    made : bool
        Whether it is not read, but made of what else is known when the job is: see `job_options`.
    """

    name: str
    called: str = ""
    unit: str = ""
    show: Callable[[Any], str] | None = None
    made: bool = False


@dataclass(frozen=True, slots=True)
class Keyword:
    """An option as an argument of `Processor`.

    Attributes
    ----------
    type : str
        What its documentation says that it takes.
    default : object
        Where neither the argument nor a setting says anything; None for the setting's default.
    unreserved : object
        The same on an engine whose tasks may take more than they ask for (`Site.reserves_amounts`); None for no
        difference.
    name : str
        What it is called; '' for the option's name.
    """

    type: str = "str"
    default: object = None
    unreserved: object = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """An option as a setting: ``%config Stratos.NAME``, and the variable ``STRATOS_NAME``.

    Attributes
    ----------
    default : str, int or float
        What holds when nothing is set.
    unset : str
        What its help says of a value that sets nothing.
    text : bool
        Whether its value is always text, so that a number is refused.
    """

    default: Any
    unset: str = ""
    text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Option:
    """A row of the table.

    Attributes
    ----------
    name : str
        Names the option in Python, and its setting.
    help : str
        What it does, in a phrase; ``%`` stands for itself.
    manual : str
        The same in the README, in Markdown and as long as it takes; '' for `help`.
    otherwise : str
        What holds without it, for the README.
    flag : str
        Its name in a cell; '' when a cell cannot say it.
    metavar : str
        Stands for its value in a cell; '' for an option without one.
    manual_flags : str
        How the README writes it, where ``FLAG METAVAR`` says too little.
    many : bool
        Whether it may be repeated in a cell.
    choices : tuple of str
        Values that Tab offers.
    complete : str
        What else Tab completes its value with, see `magic.completion`.
    read : callable
        Returns of a value, as text, the value of its field, or the values of its fields; raises SpecError. Of an
        option that may be repeated it gets what was given: text, or several.
    decides : tuple of Field
        What it decides.
    told : str
        The field that says whether a user has given the option.
    of_site : str
        Where an empty value means what the engine's sites have: their attribute, which is text.
    keyword : Keyword or None
        None when `Processor` does not take it.
    setting : Setting or None
        None when it has no setting.
    resume : Resume
        What ``--resume`` makes of a change.
    live : bool
        Whether it can be changed while a job runs: ``%stratos set``, `Job.set`.
    section : Section
        Which table of the README it is in.
    """

    name: str
    help: str
    manual: str = ""
    otherwise: str = ""
    flag: str = ""
    metavar: str = ""
    manual_flags: str = ""
    many: bool = False
    choices: tuple[str, ...] = ()
    complete: str = ""
    read: Callable[[Any], Any] = str
    decides: tuple[Field, ...] = ()
    told: str = ""
    of_site: str = ""
    keyword: Keyword | None = None
    setting: Setting | None = None
    resume: Resume = Resume.COMPARED
    live: bool = False
    section: Section = Section.MAIN

    @property
    def label(self) -> str:
        """What messages call it in cells and of a `Processor`."""
        return self.flag or self.name

    @property
    def argument(self) -> str:
        """What `Processor` calls it; '' when it does not take it."""
        return "" if self.keyword is None else self.keyword.name or self.name

    @property
    def unset(self) -> dict[str, Any]:
        """Its fields where the option is not given."""
        return {field.name: UNSET[field.name] for field in self.decides}

    def values(self, given: object) -> dict[str, Any]:
        """Read what was given, and return its fields.

        Parameters
        ----------
        given : object
            Text, or what stands for it in Python; None says nothing.

        Raises
        ------
        SpecError
            It cannot be read. The message does not name the option, which `read_all` does.
        """
        names = [field.name for field in self.decides if not field.made]
        if given is None or not names:
            return self.unset
        read = self.read(given if self.many else as_text(given))
        return self.unset | dict(zip(names, read if len(names) > 1 else (read,), strict=True))


def read_all(given: Mapping[Option, object]) -> tuple[dict[str, Any], list[str]]:
    """Read options, and return their fields and what is wrong with any, each with the option's label.

    What cannot be read is as if it had not been given, so that the rest can be checked as well.
    """
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for option, value in given.items():
        bad: list[str] = []
        if option.many and isinstance(value, list | tuple):
            each = [_read(option, one, bad) for one in value]
            for field in option.decides:
                found[field.name] = tuple(dict.fromkeys(item for one in each for item in one[field.name]))
        else:
            found |= _read(option, value, bad)
        if bad:
            wrong.append(f"{option.label}: {'; '.join(bad)}")
    return found, wrong


def _read(option: Option, value: object, bad: list[str]) -> dict[str, Any]:
    """Return the fields of an option, as if it had not been given when it cannot be read; add to `bad` why not."""
    try:
        return option.values(value)
    except SpecError as error:
        bad.append(str(error))
        return option.unset
