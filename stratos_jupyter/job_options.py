"""The job that options ask for: one reading for cells and for `Processor`, with the same checks and the same errors.

What options are called and how they are read is in `backend.spec.options`. Here is what takes more than their text:
settings, functions of the notebook, this machine's folders, and an HDFS.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from .backend.core.rules import Rules
from .backend.engines.monitors import function_source
from .backend.engines.registry import site_class
from .backend.inputs.hdfs import plain_access
from .backend.results.parsers import Parser, is_known, make_parser
from .backend.spec.job_spec import JobSpec
from .backend.spec.option import OF_RULES, Option, read_all
from .backend.spec.options import NAMED, OPTIONS
from .backend.spec.parse_rules import PARSE
from .errors import EngineError, SpecError, StorageError, UsageError

if TYPE_CHECKING:
    from .backend.engines.sites import Site
    from .settings import Stratos

NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
#: the source of a function that is refused, so that it is not looked for among the programs as well
_UNREADABLE: Final = "pass"


def job_spec(
    said: Mapping[str, object],
    settings: Stratos,
    *,
    names: Mapping[str, object] = NOTHING,
    defaults: Mapping[str, object] = NOTHING,
) -> tuple[JobSpec, list[str]]:
    """Return the job that a user asks for, and all that is wrong with what was said.

    Parameters
    ----------
    said : mapping
        Values by the names of options, of those that were given. A monitor may be a function.
    settings : Stratos
        Hold for what was not said.
    names : mapping
        The notebook's variables, of which a monitor may be one.
    defaults : mapping
        By the names of options: go before the defaults of settings, and behind settings that were set.

    Returns
    -------
    spec : JobSpec
        What cannot be read is as if nothing had been said, so that the rest can be checked, too.
    wrong : list of str
        Each begins with the option's name.
    """
    master = str(said.get("master", settings.master))
    site = _site(master)
    monitor, source, unwatched = _monitor(said.get("monitor", ""), names)
    values = {option: _value(option, said, settings, defaults, site) for option in OPTIONS}
    values |= {NAMED["master"]: master, NAMED["monitor"]: monitor}
    found, wrong = read_all(values)
    wrong += unwatched
    found["monitor_source"] = source
    found["threads_given"] = said["threads"] is not None if "threads" in said else settings.is_set("threads")
    found["cwd"] = os.path.abspath(os.path.expanduser(found["cwd"])) if found["cwd"] else ""
    if "fail_on" not in said and not found["parse"]:  # a setting holds for jobs that parse nothing, too
        found["fail_on"] = tuple(rule for rule in found["fail_on"] if rule[0] != PARSE)
    if not found["hdfs"]:
        found["mounts"] = ()
    if said.get("fetch"):
        try:
            found["fetch"] = plain_access(found["hdfs"])
        except (SpecError, StorageError) as error:
            wrong.append(str(error))
    if said.get("resume") and "job" not in said:
        wrong.append("--resume goes on with a job: name it with --job")
    rules = Rules(**{name: found.pop(name) for name in OF_RULES})
    return JobSpec(**found, rules=rules), wrong


def parser_of(spec: JobSpec, names: Mapping[str, object] = NOTHING) -> Parser | None:
    """Return what makes columns of a job's outputs; a function is looked for in `names`.

    Raises
    ------
    SpecError
        There is no such parser, or it cannot make these columns.
    """
    known = None if is_known(spec.parse) else names.get(spec.parse)
    return make_parser(spec.parse, spec.columns, known if callable(known) else None)


def tried(*steps: Callable[[], Any]) -> tuple[list[Any], list[Exception]]:
    """Return what each step returns, None where it fails, and all failures."""
    results: list[Any] = []
    failures: list[Exception] = []
    for step in steps:
        try:
            results.append(step())
        except (SpecError, UsageError) as error:
            results.append(None)
            failures.append(error)
    return results, failures


def _value(
    option: Option,
    said: Mapping[str, object],
    settings: Stratos,
    defaults: Mapping[str, object],
    site: type[Site] | None,
) -> Any:
    """Return what holds for an option: what was said, or a setting, or a default; None for the job's own default."""
    name = option.name
    if name in said:
        value = said[name]
    elif option.setting is not None and (name not in defaults or settings.is_set(name)):
        value = getattr(settings, name)
    else:
        value = defaults.get(name)
    if option.of_site and value in (None, ""):
        return None if site is None else getattr(site, option.of_site)
    return value


def _site(master: str) -> type[Site] | None:
    """Return the kind of a master's site; None when the master names no engine: the check of its job refuses that."""
    try:
        return site_class(master)
    except EngineError:
        return None


def _monitor(given: object, names: Mapping[str, object]) -> tuple[str, str, list[str]]:
    """Return what a monitor is called, the source of one that is a function, and what is wrong with it."""
    function = given if callable(given) else names.get(given) if isinstance(given, str) else None
    if not callable(function):
        return "" if given is None else str(given), "", []
    name = getattr(function, "__name__", "monitor") if callable(given) else str(given)
    try:
        return name, function_source(function), []
    except SpecError as error:
        return name, _UNREADABLE, [f"{NAMED['monitor'].label}: {error}"]
