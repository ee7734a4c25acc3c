"""Results that must arrive: numbered, and kept until they are recorded for sure.

A frame of results is written to the spool before anything else is done with it, and read back when it has to be sent
again; without a spool, and as long as the spool cannot be written, frames stay in memory. An acknowledged frame is kept
until the acknowledgement after next: a kernel's last transaction may be torn by a crash, and is then made good. What
one message frame of the kernel acknowledges is one acknowledgement, because it was one transaction.
"""

import errno
import os
import sys
from collections import deque
from typing import Any, Deque, List, Optional, Tuple

from .spool import Spool, pack

#: What may wait for acknowledgement, in memory or on disk; above it no new command is started.
MEMORY_LIMIT = 64 * 1024 * 1024
SPOOL_LIMIT = 1024 * 1024 * 1024

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class KeptFrame:
    """One frame, in memory or on disk."""

    __slots__ = ("frame", "length", "position", "seq")

    def __init__(self, seq: int, frame: bytes) -> None:
        self.seq = seq
        #: None once it is in the spool.
        self.frame: Optional[bytes] = frame
        self.length = len(frame)
        #: Where it is in the spool; -1 when it isn't.
        self.position = -1


class Outbox:
    """Keeps frames of results.

    Parameters
    ----------
    spool : Spool, optional
        Where they are kept; without it, in memory.
    """

    def __init__(self, spool: Optional[Spool]) -> None:
        self._spool = spool
        self._limit = MEMORY_LIMIT if spool is None else SPOOL_LIMIT
        self._seq = 0
        self._open: Deque[KeptFrame] = deque()  # not acknowledged
        self._open_bytes = 0
        self._acked: Deque[KeptFrame] = deque()
        self._acked_bytes = 0
        self._unwritten: Deque[KeptFrame] = deque()
        # Up to where frames were acknowledged: this time, the last time, the time before.
        self._ack = self._last_ack = self._older_ack = 0
        #: Why frames cannot be written to the spool; "" when they can.
        self.trouble = ""

    @property
    def congested(self) -> bool:
        """Whether no more commands should start, since too many results wait."""
        return bool(self.trouble) or self._open_bytes > self._limit

    @property
    def settled(self) -> bool:
        """Whether everything has been acknowledged."""
        return not self._open

    @property
    def spooled(self) -> bool:
        """Whether there is a spool."""
        return self._spool is not None

    @property
    def safe(self) -> bool:
        """Whether nothing is lost when this process ends now."""
        if self.settled:
            return True
        if self._spool is None:
            return False
        self.write()
        return not self.trouble

    @property
    def homeless(self) -> bool:
        """Whether the folder of the spool is gone: no kernel can fetch what is kept."""
        return self._spool is not None and not os.path.isdir(os.path.dirname(self._spool.path))

    def add(self, records: List[List[Any]]) -> Tuple[KeptFrame, bytes]:
        """Keep results; return how they are kept, and their frame."""
        self._seq += 1
        frame = pack([["ended", self._seq, records]])
        kept = KeptFrame(self._seq, frame)
        self._open.append(kept)
        self._open_bytes += kept.length
        if self._spool is not None:
            self._unwritten.append(kept)
            if not self.trouble:
                self.write()
        if self._acked and self._open_bytes + self._acked_bytes > self._limit:
            self._forget(self._ack)
        return kept, frame

    def write(self) -> None:
        """Write what is not in the spool yet, in order."""
        if self._spool is None:
            return
        unwritten = self._unwritten
        try:
            self._spool.restore()
            while unwritten:
                kept = unwritten[0]
                if kept.frame is not None:
                    kept.position = self._spool.append(kept.frame)
                    kept.frame = None
                unwritten.popleft()
        except OSError as error:
            path = os.fsencode(self._spool.path).decode("utf-8", "surrogateescape")
            self.trouble = "results cannot be kept on disk: {}: {}; nothing new is started until {}".format(
                error.strerror, path, "there is room" if error.errno in _NO_ROOM else "they can"
            )
        else:
            self.trouble = ""

    def acknowledge(self, seq: int) -> None:
        """Note that the kernel has recorded the results up to `seq`."""
        while self._open and self._open[0].seq <= seq:
            kept = self._open.popleft()
            self._open_bytes -= kept.length
            self._acked.append(kept)
            self._acked_bytes += kept.length
            self._ack = kept.seq

    def acknowledged(self) -> None:
        """Note that all has been said that one transaction of the kernel has recorded."""
        if self._ack > self._last_ack:
            self._forget(self._older_ack)
            self._older_ack, self._last_ack = self._last_ack, self._ack

    def all(self) -> List[KeptFrame]:
        """Return all that is kept, in order."""
        return [*self._acked, *self._open]

    def load(self, kept: KeptFrame) -> Optional[bytes]:
        """Return a frame; None when it isn't there any more."""
        if kept.frame is not None or self._spool is None or kept.position < 0:
            return kept.frame
        try:
            return self._spool.read(kept.position, kept.length)
        except OSError as error:
            # The kernel never gets these results, and runs their tasks again.
            sys.stderr.write("results are lost: {}\n".format(error))
            return None

    def close(self) -> None:
        """Remove the spool, unless it holds results that were not acknowledged."""
        if self._spool is not None and self.settled:
            try:
                self._spool.remove()
            except OSError:
                pass  # all that is in it has been recorded

    def _forget(self, seq: int) -> None:
        """Forget acknowledged frames up to `seq`; those that cannot be written stay, to be tried again."""
        acked = self._acked
        while acked and acked[0].seq <= seq and (self._spool is None or acked[0].frame is None):
            kept = acked.popleft()
            self._acked_bytes -= kept.length
            kept.position = -1
        if self._spool is not None:
            first = acked[0] if acked else self._open[0] if self._open else None
            try:
                if first is None or first.position < 0:
                    self._spool.drop_all()
                else:
                    self._spool.drop(first.position)
            except OSError:
                pass  # the file stays longer than it need be
