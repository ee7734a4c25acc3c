"""Input files on this machine's file systems."""

from __future__ import annotations

import glob
import os

from ...errors import SpecError


def expand_glob(pattern: str, cwd: str = "", *, absolute: bool = False) -> list[str]:
    """Return the names that match a pattern, sorted.

    Parameters
    ----------
    pattern : str
        As `glob.glob` has it, with ``**`` for any depth. ``~`` at its start is the user's home.
    cwd : str
        Where a relative pattern starts; names come back relative to it. '' is the process's own.
    absolute : bool
        Whether names come back absolute: commands will run elsewhere.

    Raises
    ------
    SpecError
        Nothing matches.
    """
    wanted = os.path.expanduser(pattern)
    start = os.path.abspath(os.path.expanduser(cwd)) if cwd else os.getcwd()
    names = sorted(glob.glob(wanted, root_dir=start, recursive=True))
    if not names:
        where = "" if os.path.isabs(wanted) else f" in {start}"
        raise SpecError(f"no file matches {pattern!r}{where}; check the pattern with ls")
    return [os.path.join(start, name) for name in names] if absolute else names
