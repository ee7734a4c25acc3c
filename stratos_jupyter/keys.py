"""Keys: by what one can tell whether the commands of a cell would read something else than they did before.

An input counts by its name, size and time of change, an environment variable that the user named by its value. From the
key of the variables their values cannot be told, not by trying either: it is made with a secret of this user, which no
run's folder holds.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from .backend.store.home import secret_of
from .commands import Commands
from .spec import JobSpec
from .workload import KEY, Keys

#: size and time of change, in seconds since the epoch, by name; None of one that is not there
Looked: TypeAlias = Mapping[str, tuple[int, float] | None]


def env_key(home: Path, spec: JobSpec, env: Mapping[str, str]) -> str:
    """Return the key of the variables that a job names; '' when it names none."""
    if not spec.env:
        return ""
    values = [spec.job_id, sorted((name, env[name]) for name, _ in spec.env)]
    return hmac.new(secret_of(home), json.dumps(values).encode("ascii"), hashlib.sha256).hexdigest()[:KEY]


def input_keys(
    commands: Commands, cwd: str, look: Callable[[Sequence[str], str], Looked] | None = None
) -> tuple[list[str], list[float]]:
    """Look at the inputs of all commands.

    Parameters
    ----------
    commands : Commands
        Whose inputs.
    cwd : str
        Where relative names start.
    look : callable, optional
        Looks at those of them that are on another file system, all at once.

    Returns
    -------
    keys : list of str
        Of each command.
    changed_at : list of float
        When the newest input of each command was changed, in seconds since the epoch; 0 when there is none.
    """
    keys, changed_at = [], []
    elsewhere: Looked = {}
    if look is not None:
        every = dict.fromkeys(path for index in range(len(commands)) for path in commands.inputs(index))
        elsewhere = look(list(every), cwd)
    for index in range(len(commands)):
        parts, newest_s = [], 0.0
        for path in commands.inputs(index):
            if path in elsewhere:
                size, changed_s = elsewhere[path] or ("-", 0.0)
                parts.append(f"{path}\0{size}\0{changed_s:.3f}")
                newest_s = max(newest_s, changed_s)
                continue
            try:
                status = os.stat(os.path.join(cwd, os.path.expanduser(path) if path[:1] == "~" else path))
            except (OSError, ValueError):
                parts.append(f"{path}\0-")
            else:
                parts.append(f"{path}\0{status.st_size}\0{status.st_mtime_ns}")
                newest_s = max(newest_s, status.st_mtime)
        digest = hashlib.sha256("\0\0".join(parts).encode("utf-8", "surrogateescape"))
        keys.append(digest.hexdigest()[:KEY])
        changed_at.append(newest_s)
    return keys, changed_at


def keys_of(env: str, keys: list[str]) -> Keys:
    """Return keys as a call keeps them."""
    return Keys(env, "".join(keys))
