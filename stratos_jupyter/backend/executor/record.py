"""Records: what the kernel is told of attempts. Each is a list, and these are the positions in it.

The executor writes them, the kernel reads them. A record may end before its last positions: an older executor does not
know them, and what says nothing is left out. New positions come at the end.
"""

from typing import Any, List, Optional, Sequence

#: Of any attempt: the task's number, and which attempt of it.
TASK, ATTEMPT = range(2)
#: Of one that runs: its process, and since when, in seconds since the epoch.
PID, RUNS_SINCE = range(2, 4)
#: Of one that has ended: as `ended_record` describes them.
BATCH, REASON, CODE, STARTED_AT, FINISHED_AT, CPU_S, MAX_RSS_MIB, STDOUT, STDERR, NOTE, COMMANDS, INPUTS = range(2, 14)

#: The reason of a command that was handed back before it had started, beside those of results.
RETURNED = "returned"


def started_record(task: int, attempt: int, pid: int, runs_since: float) -> List[Any]:
    """Return the record of an attempt that runs."""
    return [task, attempt, pid, runs_since]


def ended_record(
    task: int,
    attempt: int,
    batch: int,
    reason: str,
    code: Optional[int],
    started_at: Optional[float],
    finished_at: float,
    cpu_s: float = 0.0,
    max_rss_mib: float = 0.0,
    stdout: Any = None,
    stderr: Any = None,
    note: str = "",
    commands: Sequence[str] = (),
    inputs: Sequence[str] = (),
) -> List[Any]:
    """Return the record of an attempt that has ended.

    Parameters
    ----------
    task, attempt, batch : int
        Which attempt, and the batch that it came with.
    reason : str
        Why it has ended.
    code : int, optional
        Its exit code, or the number of a signal.
    started_at, finished_at : float
        Seconds since the epoch; None where it never started.
    cpu_s, max_rss_mib : float
        What its processes used.
    stdout, stderr
        As `Stream.result` returns them.
    note : str
        One line for a person, or "".
    commands : sequence of str
        What is to run instead.
    inputs : sequence of str
        The key of its inputs when it had ended, and the one before it started, where that is another.
    """
    record = [
        task, attempt, batch, reason, code, started_at, finished_at, cpu_s, max_rss_mib, stdout, stderr, note
    ]  # fmt: skip
    if commands or inputs:
        record.append(list(commands))
    if inputs:
        record.append(list(inputs))
    return record
