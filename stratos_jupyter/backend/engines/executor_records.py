"""Records of what has ended, as executors send them; what a batch's commands may use, as executors read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.resources import Resources
from ..core.states import Reason
from ..executor import record as at
from .base import Result


def result_of(record: Sequence[Any], node: str) -> Result:
    """Return what a record of an executor tells.

    Parameters
    ----------
    record : sequence
        As `executor.record.ended_record` makes it, or an older executor, which does not know its last positions.
    node : str
        Where it ran.
    """
    out, out_path, out_size = _stream(record[at.STDOUT])
    err, err_path, err_size = _stream(record[at.STDERR])
    commands = tuple(record[at.COMMANDS]) if len(record) > at.COMMANDS else ()
    inputs = tuple(record[at.INPUTS]) if len(record) > at.INPUTS else ()
    # By position, for these are made at thousands a second: keywords would take twice as long.
    return Result(
        record[at.TASK], record[at.ATTEMPT], node, Reason(record[at.REASON]), record[at.CODE], record[at.STARTED_AT],
        record[at.FINISHED_AT], record[at.CPU_S], record[at.MAX_RSS_MIB], out, err, out_path, err_path, out_size,
        err_size, _printable(record[at.NOTE]), commands, inputs,
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
