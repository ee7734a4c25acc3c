"""Connections that a forked child inherits and must close: else they stay open when this process ends.

Objects are passed on, never their numbers. A number may belong to something else by the time of the fork, for
example to a pipe that the child itself needs.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import IO, TypeAlias, cast

Inherited: TypeAlias = socket.socket | IO[bytes]


def close_inherited(connection: Inherited) -> None:
    """Close this forked child's copy of a connection; nothing is sent, and the object closes nothing later."""
    with suppress(OSError, ValueError):
        if isinstance(connection, socket.socket):
            # Closing a TLS socket could send; detaching cannot, and leaves an object without a number.
            number = connection.detach()
            if number >= 0:
                os.close(number)
        else:
            # What waits in a buffer is the parent's to send, so the buffer is passed over.
            cast("IO[bytes]", getattr(connection, "raw", connection)).close()
