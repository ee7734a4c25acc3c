"""Which finished tasks have lost what they made: running their cell again makes it anew."""

from __future__ import annotations

import os
from collections.abc import Callable

from ..backend.engines.registry import site_class
from ..backend.executor.process.success import missing
from ..backend.spec.job_spec import JobSpec
from ..backend.spec.workload import Workload


def lost_products(spec: JobSpec, workload: Workload) -> Callable[[int], bool]:
    """Return what says of a task whether a file that it makes is gone, or empty.

    Parameters
    ----------
    spec : JobSpec
        The cell's, whose ``makes`` counts.
    workload : Workload
        The tasks of the run.

    Returns
    -------
    callable
        It looks at the files from this machine. Of a job on a cluster it looks at those alone whose directory is here:
        of another it cannot be told whether only the nodes see it.
    """
    here = site_class(spec.master).sees_files_here

    def lost(task: int) -> bool:
        if not spec.makes:
            return False
        cwd = workload.command_env(workload.root_of(task)).cwd
        paths = workload.makes(task, spec.makes)
        return any(missing(path, cwd) for path in paths if here or _is_here(cwd, path))

    return lost


def _is_here(cwd: str, path: str) -> bool:
    whole = os.path.join(cwd, os.path.expanduser(path))
    return os.path.isabs(whole) and os.path.isdir(os.path.dirname(whole))
