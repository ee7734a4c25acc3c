"""Options that are others when a cell is run again: what tasks do may not change, how they are run may."""

from __future__ import annotations

import shlex
from typing import Final

from ..backend.core.rules import Cause, Halt, Rules
from ..backend.engines.registry import may_resume
from ..backend.spec.job_spec import JobSpec
from ..backend.spec.option import OF_RULES, UNSET, Field, Resume
from ..backend.spec.options import OPTIONS
from ..errors import SpecError

#: characters of a value that a message shows
SHOWN: Final = 60


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
    alike = may_resume(old.master, new.master)
    bad: dict[str, str] = {}
    changed: list[str] = []
    for option in OPTIONS:
        for field in option.decides:
            of = (rules, new.rules) if field.name in OF_RULES else (old, new)
            was, now = (getattr(one, field.name) for one in of)
            if was == now or (option.name == "master" and alike):
                continue
            name = field.called or option.label
            if option.resume is Resume.REFUSED:
                bad[field.name] = f"{name} is {_shown(field, now)}, and was {_shown(field, was)}"
            elif option.resume is Resume.TAKEN:
                changed.append(f"{name} {_shown(field, now)} (was {_shown(field, was)})")
    if bad:
        as_it_was = f" (--shell {shlex.quote(shlex.join(old.shell))})" if "shell" in bad else ""
        raise SpecError(
            f"{'; '.join(bad.values())}: that cannot change within one run of {new.job_id}. Leave it as it was"
            f"{as_it_was}, or leave --resume out to run all anew"
        )
    says = [f"from now on {', '.join(changed)}"] if changed else []
    if new.master != old.master:
        says.append(f"the engine stays {old.master}, where the run began (the cell has {new.master})")
    return says


def _shown(field: Field, value: object) -> str:
    if field.show is not None:
        return field.show(value) or "not set"
    if value in (None, "", ()) or (value == 0 and UNSET[field.name] == 0):
        return "not set"
    return _text(value, field.unit)


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
