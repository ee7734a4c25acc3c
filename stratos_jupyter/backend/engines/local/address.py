"""How this machine is named as a master: ``local``, or ``local[N]`` for N processors of it."""

from __future__ import annotations

import os
import re
from typing import Final

from ....errors import EngineError

_MASTER: Final = re.compile(r"local(?:\[(?P<cpus>\d+(?:\.\d+)?|\*)\])?")


def is_local(master: str) -> bool:
    """Say whether a master is meant for this machine, well written or not; ``localhost`` is a host."""
    return master.startswith("local") and not master.startswith("localhost") and not set(master) & {":", "."}


def local_cpus(master: str) -> float | None:
    """Return how many processors ``local[N]`` names; None for ``local`` and ``local[*]``: all there are.

    Raises
    ------
    EngineError
        `master` is not a local engine.
    """
    found = _MASTER.fullmatch(master)
    if found is None or found["cpus"] in ("0", "0.0"):
        raise EngineError(f"{master!r} is no local engine: write local, or local[4] for four processors")
    return float(found["cpus"]) if found["cpus"] not in (None, "*") else None


def local_choices() -> list[str]:
    """Return this machine as a master: all of its processors, one, half of them, and their number."""
    cores = os.cpu_count() or 1
    return ["local", *(f"local[{n}]" for n in sorted({1, max(1, cores // 2), cores}))]
