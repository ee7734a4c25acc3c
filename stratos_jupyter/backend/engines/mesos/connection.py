"""A job's connection to the master: on the cluster while it has something to do there, and told what happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final

from ...forks import Inherited
from . import master_events as on
from . import messages as wire
from .framework import Desk, MakeSpeaker, Speaker
from .thread_bridge import Posting

log = logging.getLogger(__name__)

#: offers are asked for at most so often, in seconds
REVIVE_EVERY_S: Final = 0.1


class Connection:
    """One framework's connection. Everything but `_tell` happens on the driver thread.

    Parameters
    ----------
    desk : Desk
        What is shared.
    make_speaker : callable
        Makes what speaks with the master.
    take : callable
        Takes each happening.

    Attributes
    ----------
    subscribed : bool
        Whether the master takes calls.
    wanted : bool
        Whether offers are wanted.
    """

    def __init__(self, desk: Desk, make_speaker: MakeSpeaker, take: Callable[[on.Happening], None]) -> None:
        self.subscribed = False
        self.wanted = False
        self._desk = desk
        self._make_speaker = make_speaker
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._speakers = 0  # how many there were: what a former one tells late is no concern of ours
        self._speaker: Speaker | None = None
        self._reviving: asyncio.TimerHandle | None = None
        self._revived_s = float("-inf")

    @property
    def speaker(self) -> Speaker | None:
        """What speaks with the master now; None while it would not be heard."""
        return self._speaker if self.subscribed else None

    @property
    def begun(self) -> bool:
        """Whether there is a connection, or one is being made."""
        return self._speaker is not None

    def start(self) -> None:
        """Be on the cluster, if that is not so yet."""
        if self._speaker is not None:
            return
        terms = self._desk.terms
        info = wire.framework_info(
            terms.who,
            self._desk.framework_id,
            terms.failover_s,
            principal=terms.principal,
            hostname=terms.hostname,
            gpus=terms.gpus,
        )
        self._speakers += 1
        posting = Posting(self._loop, partial(self._arrived, self._speakers))
        self._speaker = self._make_speaker(info, partial(self._tell, posting))
        self._speaker.start()

    def _tell(self, posting: Posting, happening: on.Happening) -> None:
        """Take in what the speaker tells, on its threads."""
        try:
            posting(happening)
        except RuntimeError:
            log.debug("the driver's loop is closed")

    def _arrived(self, number: int, happening: on.Happening) -> None:
        if number == self._speakers and self._speaker is not None:
            self._take(happening)

    def connections(self) -> list[Inherited]:
        """Return the connections of which a forked child must not keep a copy open."""
        return [] if self._speaker is None else self._speaker.connections()

    def later(self, call: Callable[[], object]) -> None:
        """Do something when all that is being done now is done."""
        self._loop.call_soon(call)

    def up(self) -> None:
        """Note that the master takes calls."""
        self.subscribed = True
        if self.wanted:
            self._revive_now()
        elif self._speaker is not None:
            self._speaker.suppress()

    def down(self) -> None:
        """Note that it does not."""
        self.subscribed = False

    def stop(self) -> None:
        """Close the connection; what runs goes on."""
        speaker, self._speaker = self._speaker, None
        self.subscribed = False
        if self._reviving is not None:
            self._reviving.cancel()
            self._reviving = None
        if speaker is not None:
            speaker.stop()

    def end(self) -> Future[bool]:
        """End the framework with all that runs, then close the connection; the future says whether it has ended."""
        ended: Future[bool] = Future()
        speaker, self._speaker = self._speaker, None
        was_heard, self.subscribed = self.subscribed, False
        if speaker is None:
            ended.set_result(False)
            return ended

        def stop(torn_down: Future[None] | None = None) -> None:
            done = torn_down is not None and torn_down.exception() is None
            speaker.stop().add_done_callback(lambda _: self._tell_ended(ended, done))

        if was_heard:
            speaker.teardown().add_done_callback(stop)
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
        if self.wanted and self.subscribed and self._speaker is not None:
            self._revived_s = self._loop.time()
            self._speaker.revive()

    def want_none(self) -> None:
        """Ask for no offers."""
        self.wanted = False
        if self.subscribed and self._speaker is not None:
            self._speaker.suppress()

    def decline(self, offer_ids: Sequence[str], refuse_s: float) -> None:
        """Give offers back, and don't hear of them for a while."""
        if offer_ids and self._speaker is not None and self.subscribed:
            self._speaker.decline(offer_ids, refuse_s)
