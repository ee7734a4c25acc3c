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
from collections.abc import Mapping
from pathlib import Path

from .backend.store.home import secret_of
from .commands import Commands
from .spec import JobSpec
from .workload import KEY, Keys


def env_key(home: Path, spec: JobSpec, env: Mapping[str, str]) -> str:
    """Return the key of the variables that a job names; '' when it names none."""
    if not spec.env:
        return ""
    values = [spec.job_id, sorted((name, env[name]) for name, _ in spec.env)]
    return hmac.new(secret_of(home), json.dumps(values).encode("ascii"), hashlib.sha256).hexdigest()[:KEY]


def input_keys(commands: Commands, cwd: str) -> tuple[list[str], list[float]]:
    """Look at the inputs of all commands.

    Returns
    -------
    keys : list of str
        Of each command.
    changed_at : list of float
        When the newest input of each command was changed, in seconds since the epoch; 0 when there is none.
    """
    keys, changed_at = [], []
    for index in range(len(commands)):
        parts, newest_s = [], 0.0
        for path in commands.inputs(index):
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
