"""The throttle: whether a job may launch now, and how much.

It is closed by the user (pause), by failures (halt), by commands that run already (max_tasks) and by the clock (rate,
delay). Running tasks continue; pending tasks stay in their queues.
"""

from __future__ import annotations

from typing import Final

from .rules import Rules

#: the launches that a rate allows in this many seconds may go at once: fewer wake-ups
BURST_S: Final = 0.1
#: a moment that is this much too early is no reason to wait, in seconds
EARLY_S: Final = 1e-6
#: nor is this much of a launch: seconds since the epoch have no more digits
CRUMB: Final = 1e-3


class LaunchThrottle:
    """Lets launches through.

    Parameters
    ----------
    rules : Rules
        ``max_tasks``, ``rate_per_s``, ``delay_s`` and ``halt`` of it are used.

    Attributes
    ----------
    held : str
        Why nothing is launched, by the user's wish or for failures; '' when neither is so.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.held = ""
        self._halted = False
        self._failed = 0
        self._ended = 0
        self._tokens = 1.0  # launches that the rate allows now
        self._counted_at: float | None = None
        self._last_at: float | None = None

    @property
    def halted(self) -> bool:
        """Whether failures have halted the job."""
        return self._halted

    @property
    def spaced(self) -> bool:
        """Whether launches are counted by the clock: each carries one command then."""
        return self.rules.rate_per_s is not None or self.rules.delay_s > 0

    def room(self, at_s: float, at_once: int) -> int | None:
        """Return how many more commands may be launched now, of a job of which `at_once` run; None for any number."""
        if self.held:
            return 0
        most = None if self.rules.max_tasks is None else max(0, self.rules.max_tasks - at_once)
        if self.spaced:
            most = min(self._due(at_s), 1_000_000 if most is None else most)
        return most

    def opens_at(self, at_s: float, at_once: int) -> float | None:
        """Return when the pace allows the next launch, in seconds; None when the pace is not what holds it back."""
        if self.held or not self.spaced or (self.rules.max_tasks is not None and at_once >= self.rules.max_tasks):
            return None
        if self._due(at_s):
            return None
        when = at_s
        if self.rules.rate_per_s is not None:
            when = at_s + (1.0 - self._tokens) / self.rules.rate_per_s
        if self._last_at is not None:
            when = max(when, self._last_at + self.rules.delay_s)
        return when

    def launched(self, at_s: float) -> None:
        """Note that a command was launched."""
        if self.rules.rate_per_s is not None:
            self._tokens -= 1.0
        self._last_at = at_s

    def _due(self, at_s: float) -> int:
        rules = self.rules
        if rules.delay_s > 0 and self._last_at is not None and at_s < self._last_at + rules.delay_s - EARLY_S:
            return 0
        due = 1_000_000
        if rules.rate_per_s is not None:
            most = 1.0 + rules.rate_per_s * BURST_S
            passed_s = 0.0 if self._counted_at is None else max(0.0, at_s - self._counted_at)
            self._counted_at = at_s
            self._tokens = min(most, self._tokens + passed_s * rules.rate_per_s)
            due = max(0, int(self._tokens + CRUMB))
        return min(due, 1) if rules.delay_s > 0 else due

    def ended(self, failed: bool) -> str:
        """Count a task that ended; return why the job is halted when that was one failure too many, else ''."""
        self._ended += 1
        self._failed += failed
        halt = self.rules.halt
        if not failed or halt is None or self._halted:
            return ""
        if self._failed < halt.count or self._failed < halt.share * self._ended:
            return ""
        of = f" of {self._ended:,}" if halt.share else ""
        self._halted = True
        self.held = f"halted after {self._failed:,}{of} failed"
        return self.held

    def pause(self, why: str) -> None:
        """Hold the job, for a reason; the first reason stays."""
        self.held = self.held or why

    def resume(self) -> None:
        """Let the job go on; after a halt, failures are counted anew."""
        self.held = ""
        if self._halted:
            self._halted = False
            self._failed = self._ended = 0
