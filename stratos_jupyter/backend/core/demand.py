"""Demand for offers: when the engine is asked for them, and when it is asked to make none.

The state decides, not the event: after each event the wanted demand is compared with the one that was last told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .decisions import Decision, Revive, Suppress
from .resources import Resources
from .scheduler_state import SchedulerState

#: while offers are passed over, the lines of tasks are measured this often, in seconds
LOOK_EVERY_S: Final = 0.1


class OfferDemand:
    """What the engine was told of the wanted offers; the only maker of `Revive` and `Suppress`.

    Parameters
    ----------
    state : SchedulerState
        The books of the run.
    span_s : callable
        Tells how long a host takes for a line of so many tasks (`Matcher.span_s`).
    """

    def __init__(self, state: SchedulerState, span_s: Callable[[int, float], float]) -> None:
        self._state = state
        self._queues = state.queues
        self._span_s = span_s
        self._suppressed = True
        self._told: Resources | None = None  # the least demand when offers were last asked for
        self._learned = False  # more is known of inputs since an offer was passed over
        self._looked_s = 0.0

    def settle(self, at_s: float, decisions: list[Decision]) -> None:
        """Append `Revive` or `Suppress` where the state that an event left calls for it."""
        if self._wants_offers(at_s):
            queues = self._queues
            least = queues.least_demand()
            if self._suppressed or least != self._told or (queues.located and self._wants_passed_over(at_s)):
                decisions.append(Revive(least))
                self._none_passed_over()
            self._suppressed, self._told = False, least
        elif not self._suppressed:
            self._suppressed = True
            decisions.append(Suppress())
            self._none_passed_over()

    def forget(self) -> None:
        """Forget what the engine was told: another process drives the run now."""
        self._suppressed, self._told = True, None

    def inputs_located(self) -> None:
        """Note that more is known of where inputs lie: an offer that was passed over may be wanted after all."""
        self._learned = any(near.passed for near in self._queues.locality_queues)

    def wakes_at(self, at_s: float) -> list[float]:
        """Return moments at which offers may be wanted that are not wanted now."""
        state = self._state
        if not state.queues.any_pending:
            return []
        opens_at = state.throttle.opens_at(at_s, state.batches.at_once)
        times = [] if opens_at is None else [opens_at]
        if state.queues.located and state.may_launch(at_s):
            limit_s = state.locality.limit_s
            wakes = [near.wakes_at(at_s, limit_s) for near in state.queues.locality_queues]
            times += [wake_s for wake_s in wakes if wake_s is not None]
        return times

    def check(self, at_s: float) -> None:
        """Assert that the engine was told what the state calls for."""
        assert self._suppressed != self._wants_offers(at_s), "rule 9"

    def _wants_offers(self, at_s: float) -> bool:
        return self._queues.any_pending and self._state.may_launch(at_s)

    def _wants_passed_over(self, at_s: float) -> bool:
        """Say whether offers that were passed over are wanted after all."""
        limit_s = self._state.locality.limit_s
        for queue in self._queues.order:
            near = queue.near
            if near is None or not near.passed:
                continue
            if self._learned or near.calls(limit_s) or queue.peek() is not None:
                return True
            if at_s >= self._looked_s + LOOK_EVERY_S:
                self._looked_s = at_s
                if near.out_of_reach(limit_s, self._span_s)() is not None:
                    return True
        return False

    def _none_passed_over(self) -> None:
        self._learned = False
        for near in self._queues.locality_queues if self._queues.located else ():
            near.passed = False
