"""Retries, limits and paces as users write them. PURE."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ...errors import SpecError
from ..core.rules import OWN_FAILURES, RETRIES_MOST, Cause, Halt
from ..core.states import ZERO, Codes, Reason
from .parse_values import parse_duration_s, parse_size_mib

#: with ``--halt 10%``, this many must have failed before a part of them says anything
LEAST_FAILED: Final = 3

#: the greatest exit code that there is
CODE_MOST: Final = 255
#: of ``--fail-on``: what is searched, and what reads it
STREAMS: Final = ("stderr", "stdout")
PARSE: Final = "parse"

_CODES: Final = re.compile(r"(\d{1,9})(?:\s*-\s*(\d{1,9}))?", re.ASCII)
_BETWEEN_RULES: Final = re.compile(r",(?=\s*(?:stderr:|stdout:|parse\s*(?:,|$)))")
_PERCENT: Final = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*%\s*", re.ASCII)
_RATE: Final = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:/\s*(s|m|h|d))?\s*", re.ASCII)
_PER_S: Final = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
#: what ``--retry-on`` knows
_CAUSES: Final = ", ".join(
    {Reason.EXIT: "exit, exit:1", Reason.SIGNAL: "signal, signal:9"}.get(reason, reason)
    for reason in Reason
    if reason in OWN_FAILURES
)


def parse_retry_on(text: str) -> tuple[Cause, ...]:
    """Return the failures that ``exit:1,3,signal,timeout,memory,disk,output`` names; '' for all.

    ``exit`` is any exit code but 0, ``signal:9`` one signal; a bare number is one more code of what stands before it.
    ``exit:137`` is ``signal:9`` as a shell says it.

    Raises
    ------
    SpecError
        It names something else.
    """
    causes: list[Cause] = []
    coded = Reason.EXIT
    for word in (part.strip() for part in text.split(",")) if text else ():
        name, colon, code = word.partition(":")
        if word.isdecimal():
            name, code = coded, word
        reason = next((known for known in OWN_FAILURES if known == name), None)
        plain = reason not in (Reason.EXIT, Reason.SIGNAL)
        nothing = reason is Reason.EXIT and code.isdecimal() and int(code) == 0  # that is no failure
        if reason is None or nothing or (colon and (plain or not code.isdecimal())):
            raise SpecError(f"{word!r} is no failure to retry on; write one or more of {_CAUSES}, with commas between")
        coded = coded if plain else reason
        causes.append(Cause(reason, int(code) if code else None))
    return tuple(causes)


def parse_halt(text: str) -> Halt | None:
    """Return after how many failures to halt: ``5``, or ``10%`` of those that have ended; ``none`` for never.

    Raises
    ------
    SpecError
        It is neither.
    """
    if text.strip() in ("", "none"):
        return None
    percent = _PERCENT.fullmatch(text)
    if percent is not None and 0 < float(percent[1]) <= 100:
        return Halt(LEAST_FAILED, float(percent[1]) / 100.0)
    if percent is None and text.strip().isdecimal() and int(text) > 0:
        return Halt(int(text))
    raise SpecError(f"{text!r} is no number of failures: write 5, or 10% of those that have ended")


def parse_rate(text: str) -> float | None:
    """Return launches a second of ``10/s``, ``30/m`` or ``500/h``; ``none`` for as many as there is room for.

    Raises
    ------
    SpecError
        It is no rate.
    """
    if text.strip() in ("", "none"):
        return None
    found = _RATE.fullmatch(text)
    if found is None or not float(found[1]):
        raise SpecError(f"{text!r} is no rate: write 10/s, 30/m or 500/h")
    return float(found[1]) / _PER_S[found[2]]


def parse_count(text: str) -> int | None:
    """Return a whole number of 1 or more; ``none`` for no bound.

    Raises
    ------
    SpecError
        It is neither.
    """
    if text.strip() in ("", "none"):
        return None
    if not text.strip().isdecimal() or int(text) < 1:
        raise SpecError(f"{text!r} is no number of tasks: write 1 or more, or none")
    return int(text)


def parse_retries(text: str) -> int:
    """Return how often to try again, 0 or more; ``none`` for not at all.

    Raises
    ------
    SpecError
        It is no such number.
    """
    if text.strip() == "none":
        return 0
    if not text.strip().isdecimal() or int(text) > RETRIES_MOST:
        raise SpecError(f"{text!r} is no number of retries: write 0 to {RETRIES_MOST:,}")
    return int(text)


def parse_wait_s(text: str) -> float:
    """Return how long to wait before a launch, in seconds; ``none`` for not at all.

    Raises
    ------
    SpecError
        It is no duration.
    """
    return 0.0 if text.strip() == "none" else parse_duration_s(text)


def parse_timeout(text: str) -> tuple[float | None, float | None]:
    """Return a time limit as seconds, or as a multiple of the median: ``90s``, or ``200%``; '' for neither.

    Returns
    -------
    seconds, share : float or None
        At most one of them is not None.

    Raises
    ------
    SpecError
        It is neither.
    """
    if text.strip() in ("", "none"):
        return None, None
    percent = _PERCENT.fullmatch(text)
    if percent is None:
        return parse_duration_s(text), None
    if float(percent[1]) <= 100:
        raise SpecError(f"{text!r} of the median would end half of the tasks: write more than 100%")
    return None, float(percent[1]) / 100.0


def parse_linger(text: str) -> float | None:
    """Return how long background processes are waited for, in seconds; '' or ``none`` for as long as they take.

    Raises
    ------
    SpecError
        It is no duration.
    """
    return None if text.strip() in ("", "none") else parse_duration_s(text)


def parse_memory(text: str) -> tuple[float, float]:
    """Return memory in MiB, and the most that it may grow to: ``2G`` or ``2G..16G``.

    Returns
    -------
    mem_mib, most_mib : float
        The second is 0 when there is no range.

    Raises
    ------
    SpecError
        It is no size, or a range that begins with 0 or does not rise.
    """
    least, dots, most = text.partition("..")
    if not dots:
        return parse_size_mib(text), 0.0
    try:
        mem_mib, most_mib = parse_size_mib(least), parse_size_mib(most)
    except SpecError as error:
        raise SpecError(f"{text!r}: {error}") from None
    if not 0 < mem_mib < most_mib:
        raise SpecError(f"{text!r} is no range of memory: write the less before the more, as 2G..16G")
    return mem_mib, most_mib


def parse_ok_exit(text: str) -> Codes:
    """Return the exit codes that say that the work was done: ``0,1``, ``0-2``; '' for 0 alone.

    Raises
    ------
    SpecError
        It names something else. Names everything that is wrong.
    """
    bad: list[str] = []
    ranges: list[tuple[int, int]] = []
    for word in (part.strip() for part in text.split(",")) if text.strip() else ():
        found = _CODES.fullmatch(word)
        first, last = (int(found[1]), int(found[2] or found[1])) if found is not None else (1, 0)
        if found is None:
            bad.append(f"{word!r} is no exit code")
        elif max(first, last) > CODE_MOST:
            bad.append(f"{word}: exit codes go from 0 to {CODE_MOST}")
        elif last < first:
            bad.append(f"{word} runs backwards")
        ranges.append((first, last))
    if bad:
        raise SpecError(f"{'; '.join(bad)}: write all that mean success, as 0,1 or 0-2")
    return _merged(ranges) if ranges else ZERO


def _merged(ranges: list[tuple[int, int]]) -> Codes:
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return tuple(found)


def codes_text(codes: Codes) -> str:
    """Return exit codes as `parse_ok_exit` reads them."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in codes)


def parse_fail_on(texts: object) -> tuple[tuple[str, str], ...]:
    """Return what makes a failure of a task that ends well: ``stderr:REGEX``, ``stdout:REGEX``, ``parse``.

    A comma parts two of them only where a further one follows, so a pattern may have commas in it.

    Returns
    -------
    tuple of (str, str)
        Each with its pattern; that of ``parse`` is ''.

    Raises
    ------
    SpecError
        It names something else, or a pattern cannot be. Names everything that is wrong.
    """
    rules: list[tuple[str, str]] = []
    bad: list[str] = []
    for whole in [texts] if isinstance(texts, str) or not isinstance(texts, Sequence) else texts:
        for word in _BETWEEN_RULES.split(str(whole)) if str(whole).strip() else ():
            name, colon, pattern = word.strip().partition(":")
            if name == PARSE and not colon:
                rules.append((PARSE, ""))
            elif name not in STREAMS or not colon:
                bad.append(f"{word.strip()!r} is none of stderr:REGEX, stdout:REGEX, parse")
            elif why := _wrong_pattern(pattern):
                bad.append(f"{name}:{pattern}: {why}")
            else:
                rules.append((name, pattern))
    if bad:
        raise SpecError("; ".join(bad))
    return tuple(dict.fromkeys(rules))


def _wrong_pattern(pattern: str) -> str:
    """Say why a pattern cannot be searched for; '' when it can."""
    try:
        found = re.compile(pattern, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        return f"the pattern does not compile: {error}"
    return "the pattern is found in every text, so that every task would fail" if found.search("") else ""


def fail_on_text(rules: Sequence[tuple[str, str]]) -> str:
    """Return rules as `parse_fail_on` reads them."""
    return ",".join(f"{name}:{pattern}" if name in STREAMS else name for name, pattern in rules)
