"""What is said until its effect is seen: kills, recalls, greetings, and questions about batches.

Messages to executors are unreliable, and so is silence: a master that has said nothing of a batch is asked about it,
first after a second, then after two, four, and so on.
"""

from __future__ import annotations

import asyncio
from typing import Final

from ...core.events import BatchLost
from ...core.states import Reason
from . import messages
from .batches import Attempt, MesosBatch
from .connection import Connection
from .framework import FrameworkState

#: what had no effect is said again, and what has waited is looked at, so often, in seconds
TICK_S: Final = 1.0
#: the agent's own word about what a master has said to be over is waited for so long, in seconds
AGENT_WORD_S: Final = 60.0
#: so long where it is another process's launch that the master has never heard of: that died before it sent it
UNKNOWN_S: Final = 5.0
#: a launch of which nothing has been heard for so long is asked about, in seconds
QUIET_S: Final = 30.0
#: questions come at most so far apart, in seconds
ASK_MOST_S: Final = 60.0
#: a master is asked for all that it knows so often, in seconds
ASK_ALL_S: Final = 900.0
#: an executor that has been greeted so often and never answered is left alone
GREETINGS_MOST: Final = 10

Place = tuple[str, str]


class Retransmitter:
    """Says things again.

    Parameters
    ----------
    state : FrameworkState
        What is shared.
    connection : Connection
        Through which it is said.
    """

    def __init__(self, state: FrameworkState, connection: Connection) -> None:
        self._state = state
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._greetings: dict[Place, int] = {}
        self._asked_s = self._asked_all_s = 0.0
        self._ask_wait_s = TICK_S
        self._closed = False

    def soon(self) -> None:
        """Look again in a moment, while there is something to look at."""
        batches = self._state.batches
        if self._timer is None and not self._closed and (len(batches) or batches.kills or self._greetings):
            self._timer = self._loop.call_later(TICK_S, self._ring)

    def close(self) -> None:
        """Say nothing more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _ring(self) -> None:
        self._timer = None
        self.tick()
        self.soon()

    def tick(self) -> None:
        """Give up what has waited for too long, and say again what had no effect."""
        state, now = self._state, self._state.sink.now()
        for batch in state.batches:
            patience_s = UNKNOWN_S if batch.unknown else AGENT_WORD_S
            if batch.gone_s is not None and now - batch.gone_s >= patience_s:
                state.lose(batch)
                self._connection.want_more()
            elif batch.given_up:  # it came back, perhaps, and others may have been faster
                unwanted = [attempt for attempt in batch.left if not state.sink.accepts_result(*attempt)]
                state.batches.kills.update(dict.fromkeys(unwanted, Reason.USER))
            elif batch.unreachable_s is not None and now - batch.unreachable_s >= state.config.partition_wait_s:
                state.batches.give_up(batch)
                state.sink.post(BatchLost(now, batch.batch_id))
                self._connection.want_more()
        self.kills()
        self.recalls()
        self._greet()
        self.ask()

    # -- kills and recalls --------------------------------------------------------------------------------

    def kills(self, but_only: frozenset[Attempt] | None = None) -> None:
        """Tell executors what is to be ended; the master, where that is the whole of a Mesos task."""
        client, batches = self._connection.client, self._state.batches
        if client is None or not batches.kills:
            return
        whole: set[int] = set()
        for batch in batches.wholly_to_end():
            whole.add(batch.batch_id)
            if but_only is None or batch.left & but_only:
                client.kill(messages.task_id(self._state.config.identity, batch.batch_id), batch.agent_id)
        for place, by_reason in batches.kills_by_place(whole).items():
            said = []
            for reason, attempts in by_reason.items():
                some = attempts if but_only is None else [attempt for attempt in attempts if attempt in but_only]
                said += [["kill", some, reason.value]] if some else []
            if said:
                client.message(*place, messages.pack_messages(*said))

    def recalls(self) -> None:
        """Tell executors of which batches what has not been started is to be handed back."""
        client = self._connection.client
        if client is not None:
            for place, batches in self._state.batches.recalls_by_place().items():
                client.message(*place, messages.pack_messages(["recall", batches]))

    # -- greetings ----------------------------------------------------------------------------------------

    def greet(self, batch: MesosBatch) -> None:
        """Say hello to the executor of a batch of an earlier process: it tells what that may not have recorded."""
        if batch.place not in self._greetings:
            self._greetings[batch.place] = 0
            self._greet()

    def greeted(self, place: Place) -> None:
        """Note that an executor has answered."""
        self._greetings.pop(place, None)

    def _greet(self) -> None:
        client = self._connection.client
        for place, times in list(self._greetings.items()) if client is not None else ():
            if times >= GREETINGS_MOST:
                del self._greetings[place]
            elif client is not None:
                self._greetings[place] = times + 1
                client.message(*place, messages.pack_messages(["hello", messages.VERSION]))

    # -- questions ----------------------------------------------------------------------------------------

    def ask_anew(self) -> None:
        """Ask about all batches: the master is another one, perhaps, or has said things that we missed."""
        for batch in self._state.batches:
            batch.heard, batch.launched_s = False, 0.0
        self._asked_s, self._ask_wait_s, self._asked_all_s = float("-inf"), TICK_S, self._loop.time()
        self.ask()

    def ask(self) -> None:
        """Ask about batches that nothing has been said of."""
        client = self._connection.client
        if client is None:
            return
        now, quiet = self._loop.time(), self._state.sink.now() - QUIET_S
        silent = [one for one in self._state.batches if not one.heard and one.launched_s < quiet]
        if silent and now - self._asked_s >= self._ask_wait_s:
            self._asked_s, self._ask_wait_s = now, min(2 * self._ask_wait_s, ASK_MOST_S)
            identity = self._state.config.identity
            client.reconcile([(messages.task_id(identity, one.batch_id), one.agent_id) for one in silent])
        if now - self._asked_all_s >= ASK_ALL_S:
            self._asked_all_s = now
            client.reconcile([])
