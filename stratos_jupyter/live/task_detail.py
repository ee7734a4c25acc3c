"""The browser's view of one task: its command, attempts and output, of which only what is new is sent."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..backend.core.states import TaskState
from ..backend.results.failure_groups import ending_text
from ..backend.results.task_log import LOG_BYTES
from ..backend.spec.job_spec import OutputMode
from ..backend.store.outputs import last_text
from ..report.text import clean
from .messages import Answer, Message, Wanted, reader_of, request, task_in, whole_number

if TYPE_CHECKING:
    from ..backend.store.rows import ResultRow
    from ..job import Job

#: how much of a stream can be asked for, in bytes
MOST_BYTES: Final = 1024 * 1024
#: how much of a command is shown
MOST_COMMAND: Final = 64 * 1024
#: tasks whose outputs are followed at the same time
FOLLOWED: Final = 16
#: a stream that is longer than was asked for may come this much shorter, because it is not cut within a character
TORN: Final = 4
#: how much of an output's beginning is looked for in what was sent before
OVERLAP: Final = 256


def sendable(text: str) -> str:
    r"""Return `text` as JSON can carry it: a byte that was no text reads ``\xff``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(slots=True)
class _Sent:
    """What one reader has of the two streams of an attempt."""

    attempt: int
    texts: dict[str, str]


class TaskDetail:
    """Answers what browsers ask of one task of a job. Not for several threads at a time.

    Parameters
    ----------
    job : Job
        The job.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._sent: OrderedDict[tuple[str, int], _Sent] = OrderedDict()

    @request("task")
    def task(self, message: Message, _wanted: Wanted) -> Answer:
        """Return all there is to read of a task; of its streams only what the reader does not have yet.

        With ``attempt`` it is of that attempt, else of the newest; ``bytes`` is how much of each stream is wanted.
        """
        job, task = self._job, task_in(message, self._job)
        nbytes = min(MOST_BYTES, max(LOG_BYTES, whole_number(message, "bytes")))
        log = job.log(task, nbytes)
        attempt, texts = log.attempt, {"stdout": log.stdout, "stderr": log.stderr}
        wanted = message.get("attempt")
        rows = {row.attempt: row for row in log.attempts}
        live = log.live and wanted in (None, attempt)
        if not live and rows:
            row = rows.get(wanted if type(wanted) is int else max(rows), rows[max(rows)])
            attempt = row.attempt
            texts = {
                "stdout": last_text(row.stdout, row.stdout_path, nbytes),
                "stderr": last_text(row.stderr, row.stderr_path, nbytes),
            }
        sizes = {"stdout": 0, "stderr": 0}
        if not live and attempt in rows:
            sizes = {"stdout": rows[attempt].stdout_size, "stderr": rows[attempt].stderr_size}
        # In bytes, of which a character may take four; a byte that is no text counts as it is shown.
        shown = {name: len(text.encode("utf-8", "surrogateescape")) for name, text in texts.items()}
        command = sendable(job.commands.command(task))
        most = len(command) if message.get("whole") else MOST_COMMAND
        origin = job.commands.origin(task)
        flying = job.flying().get(task)
        return {
            "task": task,
            "state": int(log.state),
            "superseded": task in job.superseded,
            "command": command[:most],
            "cut": len(command) > most,
            "inputs": [
                [clean(name), sendable(value or "")[:MOST_COMMAND]]
                for name, value in zip(job.commands.placeholders, job.commands.values(task), strict=False)
            ],
            "attempts": [_attempt(row) for row in log.attempts],
            "now": None if flying is None else {"node": clean(flying[0]), "since": flying[1], "attempt": log.attempt
                                                 if log.live else max(rows, default=0) + 1},
            "attempt": attempt,
            "live": live,
            "note": clean(log.note),
            "mem": job.mem_of(task),
            "origin": origin,
            "spawned": [[tasks.start, tasks.stop - 1] for tasks in job.commands.spawned_by(task)],
            "discarded": job.spec.output is OutputMode.NONE,
            "most": MOST_BYTES,
            "bytes": nbytes,
            "sizes": sizes,
            "shown": {name: min(nbytes, size) for name, size in shown.items()},
            "partial": {
                name: sizes[name] > min(nbytes, size) if sizes[name] else size > nbytes - TORN
                for name, size in shown.items()
            },
            "streams": self._news(message, task, attempt, {name: sendable(text) for name, text in texts.items()}),
        }, []  # fmt: skip

    def _news(self, message: Message, task: int, attempt: int, texts: dict[str, str]) -> dict[str, Any]:
        """Return what is new of each stream: how much of its beginning to drop, and what to add; or all of it."""
        reader = reader_of(message), task
        sent = self._sent.pop(reader, None)
        if not message.get("have") or sent is None or sent.attempt != attempt:
            sent = _Sent(attempt, {})
        news: dict[str, Any] = {}
        for name, text in texts.items():
            old = sent.texts.get(name)
            drop = None if old is None else _overlap(old, text)
            if old is None or drop is None:
                news[name] = {"whole": text}
            elif drop or len(text) != len(old):
                # counted as a browser counts: in units of UTF-16
                news[name] = {"drop": len(old[:drop].encode("utf-16-le")) // 2, "add": text[len(old) - drop :]}
        self._sent[reader] = _Sent(attempt, texts)
        while len(self._sent) > FOLLOWED:
            self._sent.popitem(last=False)
        return news


def _attempt(row: ResultRow) -> dict[str, Any]:
    return {
        "attempt": row.attempt,
        "state": row.state,
        "why": ending_text(row.reason, row.exit_code),
        "node": clean(row.node),
        "started": row.started_at,
        "ended": row.finished_at,
        "cpu": row.cpu_s,
        "rss": row.max_rss_mib,
        "note": clean(row.note, 1000),
        "paths": [
            [name, sendable(path)] for name, path in (("stdout", row.stdout_path), ("stderr", row.stderr_path)) if path
        ],
        "state_name": TaskState(row.state).name.lower(),
    }


def _overlap(old: str, new: str) -> int | None:
    """Return how much of the beginning of `old` is gone in `new`, which goes on where `old` ends; None: it does not."""
    if new.startswith(old):
        return 0
    if len(new) < OVERLAP:
        return None
    drop = old.find(new[:OVERLAP])
    return drop if drop > 0 and new.startswith(old[drop:]) else None
