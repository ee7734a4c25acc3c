"""The arguments of `Processor`: the rows of the table of options that it takes, told apart from their defaults."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from .backend.engines.registry import site_class
from .backend.results.parsers import Parser
from .backend.spec.job_spec import JobSpec
from .backend.spec.options import ARGUMENTS
from .backend.spec.parse_values import near
from .errors import SpecError
from .job_options import job_spec, parser_of, tried

C = TypeVar("C", bound=type)

#: what stands in a docstring for the arguments that are not part of the documented call
FURTHER: Final = "{further arguments}"


class _Unset:
    """Marks a default, so that it is told from the same value given; shows as that value in a signature."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


DEFAULTS: Final[Mapping[str, Any]] = {
    name: _Unset(option.keyword.default) for name, option in ARGUMENTS.items() if option.keyword is not None
}


def said_of(master: str, given: Mapping[str, object], settings: Mapping[str, object]) -> dict[str, Any]:
    """Return what was said of each option, by its name.

    Parameters
    ----------
    master : str
        The engine.
    given : mapping
        All arguments, of which those that are `DEFAULTS` were not said.
    settings : mapping
        Holds where an argument was not said.

    Raises
    ------
    TypeError
        There is no such argument.
    SpecError
        There is no such argument, in `settings`.
    """
    if odd := next((name for name in given if name not in ARGUMENTS), None):
        raise TypeError(f"Processor() got an unexpected keyword argument {odd!r}{near(odd, ARGUMENTS)}")
    if unknown := sorted(set(settings) - set(ARGUMENTS) - {"master"}):
        known = ", ".join(["master", *ARGUMENTS])
        raise SpecError(f"settings: unknown {', '.join(map(repr, unknown))}. Known: {known}")
    values = {**settings, **{name: value for name, value in given.items() if not isinstance(value, _Unset)}}
    values.pop("master", None)
    return {"master": str(master), **{ARGUMENTS[name].name: value for name, value in values.items()}}


def read(said: Mapping[str, Any], check: Callable[[JobSpec], object]) -> tuple[JobSpec, Parser | None]:
    """Return the job that was asked for, and what makes columns of its outputs.

    Parameters
    ----------
    said : mapping
        From `said_of`; a monitor and a parser may be functions.
    check : callable
        Raises SpecError where a job cannot run.

    Raises
    ------
    SpecError
        Something cannot be; names all of it.
    EngineError
        There is no such engine.
    """
    from .settings import current as settings  # here, so that importing the package loads no traitlets

    values, functions = dict(said), {}
    if callable(function := values.get("parse")):
        values["parse"] = getattr(function, "__name__", "parse")
        functions[values["parse"]] = function
    reserves = site_class(values["master"]).reserves_amounts
    keywords = {option.name: option.keyword for option in ARGUMENTS.values() if option.keyword is not None}
    defaults = {
        name: one.default if reserves or one.unreserved is None else one.unreserved for name, one in keywords.items()
    }
    spec, wrong = job_spec(values, settings(), defaults=defaults)
    (parser, _), refused = tried(lambda: parser_of(spec, functions), lambda: check(spec))
    if wrong or refused:
        raise SpecError("; ".join([*wrong, *map(str, refused)]))
    return spec, parser


def explained(owner: C) -> C:
    """Put the arguments that its code does not name into the signature and the docstring of a class."""
    init: Any = owner.__init__  # type: ignore[misc]  # of this very class
    own = inspect.signature(init).parameters
    shown = [one for one in own.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
    told = []
    for name, option in ARGUMENTS.items():
        if name in own or option.keyword is None:
            continue
        kind = option.keyword.type
        shown.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=DEFAULTS[name], annotation=kind))
        text = textwrap.fill(f"{option.help[0].upper()}{option.help[1:]}.", 107)
        told.append(f"{name} : {kind}\n{textwrap.indent(text, '    ')}")
    # What help and editors show; not that of the class, which a subclass would inherit with another `__init__`.
    init.__signature__ = inspect.Signature(shown)
    # Later Pythons take the indentation out of docstrings themselves.
    owner.__doc__ = inspect.cleandoc(owner.__doc__ or "").replace(FURTHER, "\n".join(told))
    return owner
