"""The environment of tasks: this process's, without what a notebook's machinery has set there for itself.

How a variable that the machinery sets is told from the user's own:

1. A name that belongs to the machinery alone (``JPY_*``, ``PYDEVD_*``, ...) never reaches a task.
2. The variables that ipykernel sets (``TERM``, ``PAGER``, ``FORCE_COLOR``, ...) count as its own where they have its
   value and the process was not born with that value. A process is born with what the shell had from which Jupyter was
   started; ipykernel sets its values later. What it has replaced comes back: ``PAGER=less`` of the shell.
3. Another value is the user's, by ``%env`` or ``os.environ``.
4. A process below a kernel is born with the kernel's values: where those that every ipykernel sets are all there, none
   of them is the user's.

A variable that the job names (``--env``) is the user's whatever its value; the caller sees to that.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

#: what ipykernel sets, whatever was there before
_FORCED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "TERM": "xterm-color",
        "CLICOLOR": "1",
        "FORCE_COLOR": "1",
        "CLICOLOR_FORCE": "1",
        "PAGER": "cat",
        "GIT_PAGER": "cat",
    }
)
#: of these, what every version of it sets: together they are seen nowhere else
_SIGNATURE: Final = ("TERM", "CLICOLOR", "PAGER", "GIT_PAGER")
#: backends that draw into a notebook or an editor: no program outside can
_DRAWS_HERE: Final = (
    "module://matplotlib_inline.",
    "module://ipykernel.",
    "module://ipympl.",
    "module://backend_interagg",
    "module://google.colab",
)
#: the machinery's alone: Jupyter's and the debugger's parents and pipes, and an editor's that make `node` misbehave
_MACHINERY: Final = ("JPY_", "PYDEVD_", "PYDEV_", "VSCODE_")
_MACHINERY_NAMES: Final = frozenset(
    {"IPY_INTERRUPT_EVENT", "DEBUGPY_RUNNING", "IPYTHONENABLE", "ELECTRON_RUN_AS_NODE", "__PYVENV_LAUNCHER__"}
)
#: by which git, in VS Code's terminals, asks for a password
_NOT_MACHINERY: Final = ("VSCODE_GIT_",)
#: this process's place among those that `mpirun` or `srun` started beside it: a program that a task starts is none of
#: them, and `srun` in a task would bind its processes to the cores of the step that the notebook runs in
_OF_A_STEP: Final = (
    *("PMI_", "PMI2_", "PMIX_", "OMPI_COMM_WORLD_", "OMPI_MCA_orte_", "OMPI_MCA_ess_base_", "MV2_COMM_WORLD_"),
    *("HYDI_", "PALS_", "SLURM_STEP", "SLURM_CPU_BIND", "SLURM_MEM_BIND", "SLURM_SRUN_COMM_", "SLURM_PMIX"),
    *("SLURM_PTY_", "SLURM_LAUNCH_NODE_IPADDR"),
)
_OF_A_STEP_NAMES: Final = frozenset(
    {
        *("OMPI_UNIVERSE_SIZE", "OMPI_APP_CTX_NUM_PROCS", "OMPI_FIRST_RANKS", "OMPI_NUM_APP_CTX", "OMPI_FILE_LOCATION"),
        *("MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    }
)

#: by which numerical libraries are told how many threads to use
THREADS: Final = "OMP_NUM_THREADS"
#: what of them goes before `THREADS` for one library, where it is set
_ALSO_THREADS: Final = (
    *("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    *("NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"),
)

#: the kernel's interpreter
PYTHON: Final = "STRATOS_PYTHON"

#: the most that Linux gives a program in one variable: its name, ``=``, its value and a NUL
VARIABLE_MOST: Final = 128 * 1024
#: the most that all variables and arguments have where a node's own limit is not known
TOGETHER_MOST: Final = 2 * 1024 * 1024
#: of that, what is left for the arguments and for the variables that each task has of its own
_SPARE: Final = 16 * 1024


@functools.cache
def born_with() -> Mapping[str, str] | None:
    """Return the environment that this process was started with; None where the system does not tell."""
    try:
        with open("/proc/self/environ", "rb") as file:
            lines = file.read().split(b"\0")
    except OSError:
        return None
    return dict(os.fsdecode(line).split("=", 1) for line in lines if b"=" in line)


def runs_kernel() -> bool:
    """Say whether a Jupyter kernel runs in this process."""
    app = sys.modules.get("ipykernel.kernelapp")
    return app is not None and bool(app.IPKernelApp.initialized())


def of_user(env: Mapping[str, str], born: Mapping[str, str] | None, kernel: bool) -> dict[str, str]:
    """Return what of an environment is the user's.

    Parameters
    ----------
    env : mapping of str to str
        The environment as it is now.
    born : mapping of str to str or None
        As it was when the process began; None where that is not known.
    kernel : bool
        Whether a kernel runs in the process.
    """
    found = {name: value for name, value in env.items() if not _of_machinery(name)}
    if found.get("MPLBACKEND", "").startswith(_DRAWS_HERE):
        del found["MPLBACKEND"]
    below = any(all(have.get(name) == _FORCED[name] for name in _SIGNATURE) for have in (born or env,))
    if not (kernel or below or "JPY_PARENT_PID" in env):
        return found
    before = {} if born is None or below else born
    for name, value in _FORCED.items():
        if found.get(name) != value or before.get(name) == value:
            continue
        if name in before:
            found[name] = before[name]
        else:
            del found[name]
    return found


def _of_machinery(name: str) -> bool:
    if name in _MACHINERY_NAMES or name in _OF_A_STEP_NAMES:
        return True
    return name.startswith((*_MACHINERY, *_OF_A_STEP)) and not name.startswith(_NOT_MACHINERY)


def handed_on() -> dict[str, str]:
    """Return this process's environment without what a notebook's machinery has set."""
    return of_user(os.environ, born_with(), runs_kernel())


def task_environment() -> dict[str, str]:
    """Return the environment of tasks on this machine: what is handed on, and this process's own `python`."""
    env = handed_on()
    if sys.executable:
        env[PYTHON] = sys.executable
        env["PATH"] = path_to(sys.executable, env.get("PATH", os.defpath))
    return env


def path_to(executable: str, path: str) -> str:
    """Return a search path by which ``python`` is this interpreter: its folder first, where that is needed.

    It is not where all names that the folder has for it are found there already: a system's ``/usr/bin`` is not put
    before ``/usr/local/bin``.
    """
    folder = os.path.dirname(executable)
    names = [name for name in ("python", "python3") if os.access(os.path.join(folder, name), os.X_OK)]
    found = [shutil.which(name, path=path) for name in names or [os.path.basename(executable)]]
    if all(one is not None and _same_folder(os.path.dirname(one), folder) for one in found):
        return path
    return os.pathsep.join(filter(None, (folder, path)))


def _same_folder(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def thread_count(threads: float) -> int:
    """Return how many threads a task starts that has so many processors: a whole number, 1 at least."""
    return max(1, int(threads))


def thread_variables(threads: float, env: Mapping[str, str]) -> dict[str, str]:
    """Return what says in an environment that a task has so many processors, whatever it said before."""
    count = str(thread_count(threads))
    return {THREADS: count, **{name: count for name in _ALSO_THREADS if name in env}}


def too_large(env: Mapping[str, str], together_most: int | None = None) -> list[str]:
    """Say which variables no program could be started with; nothing when all can be.

    Parameters
    ----------
    env : mapping of str to str
        All that a task will have.
    together_most : int, optional
        The most that they may have together with the arguments, in bytes; what this machine allows when not given.
    """
    sizes = {name: len(os.fsencode(name)) + len(os.fsencode(value)) + 2 for name, value in env.items()}
    bad = [
        f"the variable {name} has {size:,} bytes with its name, and no program can be given more than "
        f"{VARIABLE_MOST:,} in one: {_CURE.format(name=name)}"
        for name, size in sorted(sizes.items())
        if size > VARIABLE_MOST
    ]
    most = _machine_most() if together_most is None else together_most
    total = sum(size + 8 for size in sizes.values())
    if not bad and total + _SPARE > most:
        largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
        shown = ", ".join(f"{name} ({sizes[name]:,})" for name in largest)
        bad.append(
            f"the environment has {total:,} bytes, and with its arguments no program can be given more than {most:,}; "
            f"the largest are {shown}: {_CURE.format(name=largest[0])}"
        )
    return bad


_CURE: Final = "put the value into a file and its path into the variable, or leave it out (del os.environ[{name!r}])"


def _machine_most() -> int:
    try:
        most = os.sysconf("SC_ARG_MAX")
    except (OSError, ValueError):
        return TOGETHER_MOST
    # Linux tells a quarter of the stack's limit, and allows no more than 6 MiB of it.
    return min(most, 6 * 1024 * 1024) if most > 0 else TOGETHER_MOST
