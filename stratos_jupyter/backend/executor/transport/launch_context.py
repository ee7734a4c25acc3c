"""The context of a launch: what the launch holds, and what this node adds: its environment, the sandbox."""

import json
import os
import zlib
from typing import Any, Dict, Mapping

from ..kernel_requests import read_batch
from ..process.procs import lines
from ..work import CommandBatch, Context, Malformed

VERSION = 1

#: What is ours or the agent's, and no command's.
_PRIVATE = ("MESOS_", "LIBPROCESS_")
_SANDBOX = "MESOS_SANDBOX"


class LaunchContext:
    """What this node gives to commands.

    Parameters
    ----------
    env : mapping
        The environment of this process.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self.sandbox = env.get(_SANDBOX) or os.getcwd()
        self.env = {name: value for name, value in env.items() if not name.startswith(_PRIVATE)}

    def complete(self, fields: Dict[str, Any]) -> Dict[str, Any]:
        """Return the fields of a context with what only this node knows."""
        env = dict(self.env) if fields.get("inherit") else {}
        env[_SANDBOX] = self.sandbox
        env.update(fields.get("env") or {})
        return dict(
            fields,
            cwd=fields.get("cwd") or self.sandbox,
            sandbox=fields.get("sandbox") or os.path.join(self.sandbox, "tasks"),
            env=env,
        )


def read_launch(data: bytes, here: LaunchContext) -> CommandBatch:
    """Read what a launch holds; raises Malformed."""
    found = read_json(data, b"{")
    try:
        if found["version"] != VERSION:
            raise Malformed("another version: {!r}".format(found["version"]))
        context = Context(here.complete(found["context"]))
        batch_id, expected_s, rows, limits = found["batch"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Malformed("launch: {!r}".format(error)) from None
    _slot, batch = read_batch([batch_id, batch_id, 0, expected_s, rows, limits], {0: context})
    if not batch.items:
        raise Malformed("launch: no commands")
    return batch


def read_json(data: bytes, first: bytes) -> Any:
    """Read JSON that begins so, or has been compressed."""
    try:
        return json.loads((data if data[:1] == first else zlib.decompress(data)).decode("utf-8"))
    except (RecursionError, ValueError, zlib.error):
        raise Malformed("no JSON") from None


def environment() -> Dict[str, str]:
    """Return our environment as UTF-8, whatever the locale says."""
    env = {
        name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
        for name, value in os.environb.items()
    }
    born = lines(os.getpid())
    if born != [b""] and not any(line.startswith(b"LC_CTYPE=") for line in born):
        env.pop("LC_CTYPE", None)  # Python's own doing, where the locale is C
    return env
