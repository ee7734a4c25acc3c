"""What of a run's options may be another when its cell is run again: what tasks do may not, how they are run may."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

from ..backend.core.rules import Cause, Halt, Rules
from ..backend.engines.registry import may_resume
from ..backend.spec.job_spec import JobSpec
from ..backend.spec.parse_rules import codes_text, fail_on_text
from ..errors import SpecError

#: characters of a value that a message shows
SHOWN: Final = 60
#: what cannot change within a run, since it is what the tasks do, or where, and what the user calls it
FIXED: Final = {
    "master": "the engine",
    "role": "--role",
    "where": "--where",
    "output": "--output",
    "log_directory": "--log-dir",
    "monitor": "--monitor",
    "monitor_source": "the monitor's source",
    "relauncher": "--relauncher",
    "fetch": "--fetch",
    "shell": "--shell",
}
#: what is the cell's from now on, of the spec (see `job.CHANGES`) and of its rules: what it is called, and its unit
TAKEN: Final = {
    "threads": ("--threads", ""),
    "mem_mib": ("--mem", "M"),
    "disk_mib": ("--disk", "M"),
    "gpus": ("--gpus", ""),
    "timeout_s": ("--timeout", "s"),
    "linger_s": ("--linger", "s"),
    "makes": ("--makes", ""),
    "fail_on": ("--fail-on", ""),
    "priority": ("--priority", ""),
    "output_limit": ("output_limit", "B"),
    "update_interval_s": ("--update-interval", "s"),
}
RULES: Final = {
    "mem_most_mib": ("--mem up to", "M"),
    "timeout_share": ("--timeout by the median", ""),
    "retries": ("--retries", ""),
    "retry_on": ("--retry-on", ""),
    "ok_exit": ("--ok-exit", ""),
    "retry_delay_s": ("--retry-delay", "s"),
    "halt": ("--halt", ""),
    "max_tasks": ("--max-tasks", ""),
    "rate_per_s": ("--rate", "/s"),
    "delay_s": ("--delay", "s"),
    "locality_wait_s": ("--locality-wait", "s"),
}
#: those that are written as a user types them
_TEXTS: Final[dict[str, Callable[[Any], str]]] = {"ok_exit": codes_text, "fail_on": fail_on_text, "shell": shlex.join}
#: where 0 means that nobody has said anything; elsewhere it is a number as others are
_ZERO_IS_NONE: Final = frozenset(field.name for of in (JobSpec, Rules) for field in fields(of) if field.default == 0)


def refuse_others(old: JobSpec, rules: Rules, new: JobSpec) -> list[str]:
    """Refuse to go on with a run whose tasks would do something else.

    Parameters
    ----------
    old : JobSpec
        Of the run.
    rules : Rules
        Of the run, as they are now.
    new : JobSpec
        Of the cell.

    Returns
    -------
    list of str
        Which options are others from now on, a line each kind.

    Raises
    ------
    SpecError
        Names what cannot change, and the cure.
    """
    others = {
        what: (_shown(what, now), _shown(what, was))
        for what in FIXED
        if (now := getattr(new, what, None)) != (was := getattr(old, what, None))
        and not (what == "master" and may_resume(old.master, new.master))
    }
    if others:
        bad = [f"{FIXED[what]} is {now}, and was {was}" for what, (now, was) in others.items()]
        as_it_was = f" (--shell {shlex.quote(others['shell'][1])})" if "shell" in others else ""
        raise SpecError(
            f"{'; '.join(bad)}: that cannot change within one run of {new.job_id}. Leave it as it was{as_it_was}, or "
            "leave --resume out to run all anew"
        )
    both = [(TAKEN, new, old), (RULES, new.rules, rules)]
    changed = []
    for of, now, was in both:
        for what, (name, unit) in of.items():
            values = getattr(now, what), getattr(was, what)
            if values[0] != values[1]:
                shown = [_shown(what, value, unit) for value in values]
                changed.append(f"{name} {shown[0]} (was {shown[1]})")
    says = [f"from now on {', '.join(changed)}"] if changed else []
    if new.master != old.master:
        says.append(f"the engine stays {old.master}, where the run began (the cell has {new.master})")
    return says


def _shown(what: str, value: object, unit: str = "") -> str:
    if what in _TEXTS:
        return _TEXTS[what](value) or "not set"
    if value in (None, "", ()) or (value == 0 and what in _ZERO_IS_NONE):
        return "not set"
    return _text(value, unit)


def _text(value: object, unit: str = "") -> str:
    match value:
        case float() | int():
            return f"{value:g}{unit}"
        case Halt():
            return f"{value.share:.0%}" if value.share else f"{value.count:,}"
        case tuple():
            return ",".join(map(_text, value))
        case Cause():
            return str(value.reason) if value.code is None else f"{value.reason}:{value.code}"
        case _:
            text = str(value)
            return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
