"""Whether files can be locked in a folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def locks_work(folder: Path) -> bool:
    """Say whether files can be locked there; on a network file system without a lock daemon they cannot."""
    try:
        import fcntl
    except ImportError:
        return True
    probe = folder / f"locks.{os.getpid()}"
    try:
        fd = os.open(probe, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(fd)
            probe.unlink()
    except OSError as error:
        return error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
    return True
