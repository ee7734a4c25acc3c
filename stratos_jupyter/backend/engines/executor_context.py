"""What an executor is told of a submission, once for all of its commands: the wire's ``context``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict


class ExecutorContext(TypedDict, total=False):
    """The keys of a context. The executor reads these, and its older versions ignore those that they do not know.

    Attributes
    ----------
    cwd : str
        Where commands run; '' for the executor's own folder, on a cluster.
    env : dict of str to str
        Their environment.
    inherit : bool
        Whether that comes on top of the executor's own.
    sandbox : str
        The folder of the outputs that are kept in files; '' for one in the executor's own folder.
    label : str
        What the processes of the run are recognised by.
    output : str
        Where stdout and stderr go, an `OutputMode`.
    output_limit : int
        The most of a stream that goes back, in bytes; 0 or missing where the kernel reads the executor's files.
    log_directory : str
        The folder for `OutputMode.DISK`.
    timeout_s, linger_s : float or None
        As `JobSpec` has them.
    threads : str
        Processors a command, as ``%g`` writes them.
    grace_s : float
        Seconds between TERM and KILL.
    shell : list of str
        What reads the commands, with its options.
    nice : int
        How far commands stand back when others want the processors; 0 when missing.
    look : bool
        Whether the keys of a command's inputs come back with its record.
    fetch : list of str
        A user, and the addresses of WebHDFS.
    fetch_wait_s : float
        For how long nothing may come from there.
    ok_exit : sequence of (int, int)
        Exit codes that mean success, first and last.
    fail_on : sequence of (str, str)
        What must not be in a stream: its name and a pattern.
    monitor : mapping or None
        What watches each command: ``argv``, or ``python`` with a function's ``source`` and ``name``.
    relauncher : mapping or None
        What says what runs instead of a command that its monitor ended: ``argv``.
    update_interval_s : float
        Seconds between two looks of a monitor.
    """

    cwd: str
    env: dict[str, str]
    inherit: bool
    sandbox: str
    label: str
    output: str
    output_limit: int
    log_directory: str
    timeout_s: float | None
    linger_s: float | None
    threads: str
    grace_s: float
    shell: list[str]
    nice: int
    look: bool
    fetch: list[str]
    fetch_wait_s: float
    ok_exit: Sequence[tuple[int, int]]
    fail_on: Sequence[tuple[str, str]]
    monitor: Mapping[str, object] | None
    relauncher: Mapping[str, object] | None
    update_interval_s: float
