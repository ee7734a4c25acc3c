"""A job as text: pure functions of a snapshot. What came from a user or a task is cleaned and cut."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from ..backend.core.phrases import duration_text, rate_text, size_text
from ..backend.core.states import IN_FLIGHT, Reason, TaskState
from ..backend.core.views import JobView
from ..backend.results.failure_groups import UNSAFE

#: no report says more
MAX_NOTICES = 5
MAX_TEXT = 200
#: how many ranges of tasks are named
RANGES: Final = 4

BAR_CELLS = 20

#: a wait that is not worth a word, in seconds
SHORT_S: Final = 0.05

#: how each reason reads after a number
REASON_TEXT: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.EXIT: "by exit code",
        Reason.SIGNAL: "by signal",
        Reason.TIMEOUT: "timed out",
        Reason.MEMORY: "out of memory",
        Reason.DISK: "wrote too much",
        Reason.OUTPUT: "by output",
        Reason.MONITOR: "stopped by the monitor",
        Reason.USER: "killed",
        Reason.SPAWN: "could not start",
        Reason.LOST: "lost with the node",
    }
)

# more accents on a letter than any language puts there: a pile of them covers the lines above
_MARK = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_PILED = re.compile(f"({_MARK}{{3}}){_MARK}+")


def clean(text: str, limit: int = MAX_TEXT) -> str:
    r"""Return `text` fit to be shown: one line, no controls, at most `limit` characters.

    A character that could move the cursor or turn the direction of writing is spelled out, and so is a byte
    that was no text (``\xff``). Of many accents on one letter three remain.
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return UNSAFE.sub(_spell, _PILED.sub(r"\1", cut))


def _spell(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: a byte of a file name that is not UTF-8
        code -= 0xDC00
    return {0x09: " ", 0x0A: "↵"}.get(code) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def state_text(view: JobView) -> tuple[str, str]:
    """Say in a word or three how a job is doing, and in which tone.

    Returns
    -------
    text : str
        As ``running`` or ``ended with failures``.
    tone : str
        ``good``, ``bad``, ``stopped``, ``live`` or ``idle``.
    """
    if view.total and not view.unfinished:
        if view.ended_at is None:
            return "waits for more tasks", "idle"
        if view[TaskState.FAILED] or view[TaskState.LOST]:
            return "ended with failures", "bad"
        return ("stopped", "stopped") if view[TaskState.KILLED] else ("finished", "good")
    if view.held and view[TaskState.QUEUED]:
        return clean(view.held), "idle" if view.held == "paused" else "bad"
    if not any(view[state] for state in IN_FLIGHT):
        return ("queued" if view.total else "no tasks yet"), "idle"
    if not view[TaskState.RUNNING] and not view[TaskState.STAGING]:
        return "nodes unreachable", "bad"
    return "running", "live"


def failure_reasons(view: JobView) -> dict[str, int]:
    """Return how many tasks failed for each reason, in words, the most frequent first."""
    failed = {reason: view.reasons.get(reason, 0) for reason in Reason}
    failed[Reason.EXIT] -= view[TaskState.FINISHED]  # exit code 0 is an exit too
    ranked = sorted(failed.items(), key=lambda item: -item[1])
    return {REASON_TEXT[reason]: count for reason, count in ranked if count > 0}


def plain_text(view: JobView) -> str:
    """Return a job as one line, for terminals.

    ``demo run 1 on local[2]: 812/1,000 done (3 failed), 140/s, 1.2 s left  [################....]``
    """
    line = f"{_title(view)}: {view.done:,}/{view.total:,} done"
    killed = view[TaskState.KILLED]
    counts = ((view.failed - killed, "failed"), (killed, "killed"))
    if view.failed:
        line += f" ({', '.join(f'{count:,} {word}' for count, word in counts if count)})"
    if view.ended_at is not None:
        line += f" in {duration_text(view.elapsed_s)}"
    else:
        if view.rate_per_s is not None:
            line += f", {rate_text(view.rate_per_s)}"
        if view.eta_s is not None:
            line += f", {duration_text(view.eta_s)} left"
        if view.held and view.unfinished:
            line += f", {clean(view.held)}"
    filled = BAR_CELLS * view.done // view.total if view.total else 0
    return f"{line}  [{'#' * filled}{'.' * (BAR_CELLS - filled)}]"


def _title(view: JobView) -> str:
    return f"{clean(view.job_id)} run {view.run} on {clean(view.engine)}"


def moment_text(at_s: float) -> str:
    """Return a time as ``2026-11-21 09:25:18 UTC``; one that no calendar has as its number."""
    try:
        return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):
        return f"{at_s:g} s"


def facts(view: JobView) -> list[tuple[str, str]]:
    """Return what there is to say of a job as a whole: a name and a text each."""
    found = [("Done", f"{view.done:,} of {view.total:,}")]
    if view.failed:
        reasons = failure_reasons(view)
        why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        alike = len(reasons) == 1 and view.failed in reasons.values()
        found.append(("Failed", why if alike else f"{view.failed:,}" + (f" ({why})" if why else "")))
    found += [("Submitted", moment_text(view.submitted_at)), ("Elapsed", duration_text(view.elapsed_s))]
    if view.ended_at is None:
        if view.rate_per_s is not None:
            found.append(("Speed", rate_text(view.rate_per_s)))
        if view.eta_s is not None:
            found.append(("Left", f"about {duration_text(view.eta_s)}"))
    if view.nodes:
        found.append(("Nodes", f"{view.nodes:,}"))
    if view.attempts_retried:
        found.append(("Attempts retried", f"{view.attempts_retried:,}"))
    if view.left_behind:
        found.append(("Processes left behind, ended", f"{view.left_behind:,}"))
    if view.attempts_lost:
        found.append(("Attempts lost", f"{view.attempts_lost:,} (by the cluster, not by the commands)"))
    if inputs := inputs_text(view):
        found.append(("Inputs", inputs))
    return found


def inputs_text(view: JobView) -> str:
    """Say how much of a job's inputs lay where they were read, and what waiting for that took; '' for nothing."""
    known = view.local_bytes + view.remote_bytes
    if not known and view.waited_s < SHORT_S:
        return ""
    parts = []
    if known:
        share = 100 * view.local_bytes / known
        parts.append(f"{share:.{0 if share in (0, 100) else 1}f} % of {size_text(known)} local")
    if view.waited_s >= SHORT_S:
        parts.append(f"{duration_text(view.waited_s)} of all tasks together waited for that")
    return ", ".join(parts)


def ranges_text(tasks: Iterable[int], most: int = RANGES) -> str:
    """Return ascending task indices as ``%stratos relaunch`` reads them, the first `most` ranges: ``3-7,12 …``."""
    ranges: list[tuple[int, int]] = []
    more = ""
    for task in tasks:
        if ranges and ranges[-1][1] == task - 1:
            ranges[-1] = ranges[-1][0], task
        elif len(ranges) < most:
            ranges.append((task, task))
        else:
            more = " …"
            break
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges) + more
