"""Records of what has ended, as executors send them; what a batch's commands may use, as executors read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.resources import Resources
from ..core.states import Reason
from .base import Result


def result_of(record: Sequence[Any], node: str) -> Result:
    """Return what a record of an executor tells.

    Parameters
    ----------
    record : sequence
        Task, attempt, batch, reason, code, when it started and ended, processor time, memory, stdout, stderr, note,
        what is to run instead, if anything, and what the inputs were when it had ended, and before it started where
        they were others.
    node : str
        Where it ran.
    """
    task, attempt, _, reason, code, started_at, finished_at, cpu_s, max_rss_mib, stdout, stderr, note = record[:12]
    commands = tuple(record[12]) if len(record) > 12 else ()
    inputs = tuple(record[13]) if len(record) > 13 else ()
    out, out_path, out_size = _stream(stdout)
    err, err_path, err_size = _stream(stderr)
    return Result(
        task, attempt, node, Reason(reason), code, started_at, finished_at, cpu_s, max_rss_mib,
        out, err, out_path, err_path, out_size, err_size, _printable(note), commands, inputs,
    )  # fmt: skip


def limits_of(demand: Resources) -> dict[str, Any]:
    """Return what each command of a batch may use.

    An engine adds ``inputs``, what is to be looked at of a command that reads something else than its file, and
    ``makes``, the files that a command makes, each by the command's place in the batch: there and not in its row,
    since an older executor leaves out what it does not know there.
    """
    limits = {"mem_mib": demand.mem_mib, "disk_mib": demand.disk_mib}
    return {name: amount for name, amount in limits.items() if amount}


def _stream(sent: str | Mapping[str, Any] | None) -> tuple[bytes | None, str, int]:
    """Return a stream's bytes, its file, and its size, of what the executor sent."""
    if sent is None:
        return None, "", 0
    if isinstance(sent, str):
        data = sent.encode("utf-8", "surrogateescape")
        return data, "", len(data)
    if "head" in sent:  # the file is on another node, and this is what of it comes back
        data = (sent["head"] + sent["tail"]).encode("utf-8", "surrogateescape")
        return data, sent["path"], sent["size"]
    return None, sent["path"], sent["size"]


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
