"""What this process runs in that may end all of it: a container, a batch job, a service.

A local executor outlives its kernel, but not these: the status of a job names the one that there is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_BATCH: Final = {
    "SLURM_JOB_ID": "Slurm job",
    "PBS_JOBID": "PBS job",
    "LSB_JOBID": "LSF job",
    "_CONDOR_SLOT": "HTCondor slot",
    "MESOS_TASK_ID": "Mesos task",
}
_SERVICE: Final = re.compile(r"/([^/\s]+\.service)\s*$", re.MULTILINE)
#: a service that holds a user's whole login ends when the user logs out, unless lingering is enabled for that user
_LOGIN: Final = re.compile(r"user@\d+\.service")


def host_lifetime(env: Mapping[str, str] | None = None, root: Path = Path("/")) -> str:
    """Say what local tasks end with; '' when that is only this machine.

    Parameters
    ----------
    env : mapping of str to str, optional
        The environment; this process's when not given.
    root : Path
        Where the system's files are looked for.
    """
    env = os.environ if env is None else env
    for name, what in _BATCH.items():
        if env.get(name):
            return f"{what} {env[name]}"
    if "KUBERNETES_SERVICE_HOST" in env:
        return "Kubernetes pod"
    if (root / ".dockerenv").exists() or (root / "run" / ".containerenv").exists():
        return "container"
    try:
        groups = (root / "proc" / "self" / "cgroup").read_text("utf-8", "replace")
    except OSError:
        return ""
    if re.search(r"docker|kubepods|containerd|lxc", groups):
        return "container"
    service = _SERVICE.search(groups)
    if service is None:
        return ""
    return "login session" if _LOGIN.fullmatch(service[1]) else f"service {service[1]}"
