"""A job's connection to the master: on the cluster while it has something to do there, and told what happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final

from ...forks import Inherited
from . import master_events, messages
from .framework import FrameworkState, MakeClient, MasterClient
from .thread_bridge import ThreadBridge

log = logging.getLogger(__name__)

#: offers are asked for at most so often, in seconds
REVIVE_EVERY_S: Final = 0.1


class Connection:
    """One framework's connection. Everything but `_tell` happens on the driver thread.

    Parameters
    ----------
    state : FrameworkState
        What is shared.
    make_client : callable
        Makes the client of the master.
    take : callable
        Takes each event.

    Attributes
    ----------
    subscribed : bool
        Whether the master takes calls.
    wanted : bool
        Whether offers are wanted.
    """

    def __init__(
        self, state: FrameworkState, make_client: MakeClient, take: Callable[[master_events.MasterEvent], None]
    ) -> None:
        self.subscribed = False
        self.wanted = False
        self._state = state
        self._make_client = make_client
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._clients = 0  # how many there were: what a former one tells late is no concern of ours
        self._client: MasterClient | None = None
        self._reviving: asyncio.TimerHandle | None = None
        self._revived_s = float("-inf")

    @property
    def client(self) -> MasterClient | None:
        """The client of the master; None while the master takes no calls."""
        return self._client if self.subscribed else None

    @property
    def begun(self) -> bool:
        """Whether there is a connection, or one is being made."""
        return self._client is not None

    def start(self) -> None:
        """Be on the cluster, if that is not so yet."""
        if self._client is not None:
            return
        config = self._state.config
        info = messages.framework_info(
            config.identity,
            self._state.framework_id,
            config.failover_s,
            principal=config.principal,
            hostname=config.hostname,
            gpus=config.gpus,
        )
        self._clients += 1
        bridge = ThreadBridge(self._loop, partial(self._arrived, self._clients))
        self._client = self._make_client(info, partial(self._tell, bridge))
        self._client.start()

    def _tell(self, bridge: ThreadBridge, event: master_events.MasterEvent) -> None:
        """Take in an event of the client, on the client's threads."""
        try:
            bridge(event)
        except RuntimeError:
            log.debug("the driver's loop is closed")

    def _arrived(self, number: int, event: master_events.MasterEvent) -> None:
        if number == self._clients and self._client is not None:
            self._take(event)

    def connections(self) -> list[Inherited]:
        """Return the connections of which a forked child must not keep a copy open."""
        return [] if self._client is None else self._client.connections()

    def later(self, call: Callable[[], object]) -> None:
        """Do something when all that is being done now is done."""
        self._loop.call_soon(call)

    def up(self) -> None:
        """Note that the master takes calls."""
        self.subscribed = True
        if self.wanted:
            self._revive_now()
        elif self._client is not None:
            self._client.suppress()

    def down(self) -> None:
        """Note that it does not."""
        self.subscribed = False

    def stop(self) -> None:
        """Close the connection; what runs goes on."""
        client, self._client = self._client, None
        self.subscribed = False
        if self._reviving is not None:
            self._reviving.cancel()
            self._reviving = None
        if client is not None:
            client.stop()

    def end(self) -> Future[bool]:
        """End the framework with all that runs, then close the connection; the future says whether it has ended."""
        ended: Future[bool] = Future()
        client, self._client = self._client, None
        was_heard, self.subscribed = self.subscribed, False
        if client is None:
            ended.set_result(False)
            return ended

        def stop(torn_down: Future[None] | None = None) -> None:
            done = torn_down is not None and torn_down.exception() is None
            client.stop().add_done_callback(lambda _: self._tell_ended(ended, done))

        if was_heard:
            client.teardown().add_done_callback(stop)
        else:
            stop()
        return ended

    def _tell_ended(self, ended: Future[bool], done: bool) -> None:
        """Say it on the loop: this is another thread."""
        try:
            self._loop.call_soon_threadsafe(ended.set_result, done)
        except RuntimeError:
            log.debug("the driver's loop is closed")

    def want(self) -> None:
        """Ask for offers, now and whenever something may have come free, but not too often."""
        self.wanted = True
        if self._reviving is not None or not self.subscribed:
            return
        wait_s = self._revived_s + REVIVE_EVERY_S - self._loop.time()
        if wait_s > 0:
            self._reviving = self._loop.call_later(wait_s, self._revive_now)
        else:
            self._revive_now()

    def want_more(self) -> None:
        """Something has come free: ask for offers if any are wanted."""
        if self.wanted:
            self.want()

    def _revive_now(self) -> None:
        self._reviving = None
        if self.wanted and self.subscribed and self._client is not None:
            self._revived_s = self._loop.time()
            self._client.revive()

    def want_none(self) -> None:
        """Ask for no offers."""
        self.wanted = False
        if self.subscribed and self._client is not None:
            self._client.suppress()

    def decline(self, offer_ids: Sequence[str], refuse_s: float) -> None:
        """Give offers back, and don't hear of them for a while."""
        if offer_ids and self._client is not None and self.subscribed:
            self._client.decline(offer_ids, refuse_s)
