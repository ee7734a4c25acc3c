"""One connection to the executor's socket: frames that come in, frames that wait to go out, and whose it is."""

import json
import os
import socket
import struct
from collections import deque
from typing import Any, Deque, List, Optional, Union

from ..work import Malformed
from .outbox import KeptFrame
from .spool import FRAME_LIMIT, LENGTH


class Peer:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.open = True
        self.received = bytearray()
        #: Frames that wait; those that are kept are loaded when it is their turn.
        self.out: Deque[Union[bytes, KeptFrame]] = deque()
        #: How much of the first of them has been sent.
        self.sent = 0

    def next_frame(self) -> Optional[List[List[Any]]]:
        """Return the messages of the next frame, once it is there."""
        buffer = self.received
        if len(buffer) < 4:
            return None
        (length,) = LENGTH.unpack_from(buffer)
        if length > FRAME_LIMIT:
            raise Malformed("a frame of {} bytes".format(length))
        if len(buffer) < 4 + length:
            return None
        try:
            messages = json.loads(buffer[4 : 4 + length].decode("utf-8"))
        except ValueError:
            raise Malformed("no JSON") from None
        del buffer[: 4 + length]
        if type(messages) is not list or not all(type(one) is list and one for one in messages):
            raise Malformed("no array of messages")
        return messages


def is_ours(peer: socket.socket) -> bool:
    """Whether the same user is at the other end; where that cannot be asked, the folder of the socket decides."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return bool(uid == os.getuid())
