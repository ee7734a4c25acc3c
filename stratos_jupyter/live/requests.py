"""What a browser may ask of a job, and what it may have done: requests in, answers out.

It knows no comm and no thread. A request is a dict with ``ask`` (rows, tasks, name, task, groups) or ``do`` (pause,
resume, kill, relaunch, limit); what a user or a task wrote goes out as text, and is text for whoever draws it. An act
only asks the job: that something has happened is seen in the next view, as with everybody else's acts.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..backend.core.states import TaskState
from ..backend.results.failure_groups import Group, ending_text
from ..backend.results.task_log import LOG_BYTES
from ..backend.spec.job_spec import OutputMode
from ..backend.spec.parse_values import parse_size_mib
from ..backend.store.outputs import last_text
from ..errors import JobNotFound, SpecError, UsageError
from ..report.text import clean
from .task_table import TaskRows, query_of

if TYPE_CHECKING:
    from ..backend.store.rows import ResultRow
    from ..job import Job

#: how much of a stream can be asked for, in bytes
MOST_BYTES: Final = 1024 * 1024
#: how much of a command is shown
MOST_COMMAND: Final = 64 * 1024
#: groups of failures that are shown
MOST_GROUPS: Final = 100
#: tasks whose outputs are followed at the same time
FOLLOWED: Final = 16
#: so much less than was asked for may begin within a character
TORN: Final = 4
#: how much of an output's beginning is looked for in what was sent before
OVERLAP: Final = 256

Answer = tuple[dict[str, Any], list[bytes]]


def sendable(text: str) -> str:
    r"""Return `text` as JSON can carry it: a byte that was no text reads ``\xff``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(slots=True)
class _Sent:
    """What one reader has of the two streams of an attempt."""

    attempt: int
    texts: dict[str, str]


class RequestHandler:
    """Answers what browsers ask of one job. Not for several threads at a time.

    Parameters
    ----------
    job : Job
        The job.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._rows = TaskRows(job)
        self._sent: OrderedDict[tuple[str, int], _Sent] = OrderedDict()
        self._asks: Mapping[str, Callable[[Mapping[str, Any], Callable[[], bool]], Answer]] = {
            "rows": self._page,
            "tasks": self._tasks,
            "name": self._name,
            "task": self._task,
            "groups": self._groups,
        }
        self._acts: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
            "pause": self._pause,
            "resume": self._resume,
            "kill": self._kill,
            "relaunch": self._relaunch,
            "limit": self._limit,
        }

    def answer(self, request: Mapping[str, Any], wanted: Callable[[], bool] = lambda: True) -> Answer:
        """Return the answer to a request, as JSON and buffers.

        Parameters
        ----------
        request : mapping
            What a browser sent: nothing in it is to be trusted.
        wanted : callable
            Says whether somebody still waits for the answer.

        Raises
        ------
        StratosError
            It cannot be done; the text is for the user.
        Overtaken
            Nobody waits for it any more.
        """
        asked, done = request.get("ask"), request.get("do")
        if isinstance(done, str) and done in self._acts:
            said = self._acts[done](request)
            self._rows.forget()
            return {"said": said}, []
        if isinstance(asked, str) and asked in self._asks:
            return self._asks[asked](request, wanted)
        raise UsageError("this version of stratos_jupyter does not know what was asked; reload the page")

    # -- asking -----------------------------------------------------------------------------------------

    def _query(self, request: Mapping[str, Any]) -> Any:
        asked = request.get("query")
        asked = asked if isinstance(asked, Mapping) else {}
        key = asked.get("group")
        if not isinstance(key, str) or not key:
            return query_of(asked)
        group = self._group(key)
        return query_of(asked, () if group is None else group.tasks)  # none fails in this way now: none is shown

    def _page(self, request: Mapping[str, Any], wanted: Callable[[], bool]) -> Answer:
        first, count = max(0, _whole(request, "first")), max(0, _whole(request, "count"))
        page = self._rows.page(self._query(request), first, count, wanted)
        return {**page, "inputs": list(map(clean, self._job.commands.placeholders))}, []

    def _tasks(self, request: Mapping[str, Any], wanted: Callable[[], bool]) -> Answer:
        """Return the indices of some rows, in their order, four bytes each."""
        order = self._rows.order(self._query(request), wanted)
        first, count = max(0, _whole(request, "first")), max(0, _whole(request, "count"))
        chosen = order[first : first + count]
        return {"count": len(chosen)}, [chosen.astype("<u4").tobytes()]

    def _name(self, request: Mapping[str, Any], _wanted: Callable[[], bool]) -> Answer:
        task = self._one(request)
        (row,) = self._rows.rows([task])
        return {"row": row}, []

    def _groups(self, _request: Mapping[str, Any], _wanted: Callable[[], bool]) -> Answer:
        job = self._job
        groups = job.failure_groups()
        shown = [
            {
                "key": _key(group),
                "label": clean(group.label),
                "text": clean(group.text),
                "example": clean(group.example),
                "reason": group.reason,
                "count": group.count,
                "first": list(group.tasks[:3]),
                "mem": max(map(job.mem_of, group.tasks[:100])),
                "lost": group.reason == "lost",
            }
            for group in groups[:MOST_GROUPS]
        ]
        rest = groups[MOST_GROUPS:]
        most = 0.0 if job.largest is None else job.largest.resources.mem_mib
        return {"groups": shown, "more": [len(rest), sum(group.count for group in rest)], "largest": most}, []

    def _group(self, key: str) -> Group | None:
        return next((group for group in self._job.failure_groups() if _key(group) == key), None)

    def _one(self, request: Mapping[str, Any]) -> int:
        task = request.get("task")
        total = len(self._job.commands)
        if type(task) is not int or not 0 <= task < total:
            raise JobNotFound(f"{self._job.job_id} has no task {clean(str(task), 40)}")
        return task

    def _task(self, request: Mapping[str, Any], _wanted: Callable[[], bool]) -> Answer:
        """Return all there is to read of a task; of its streams only what the reader does not have yet."""
        job, task = self._job, self._one(request)
        nbytes = min(MOST_BYTES, max(LOG_BYTES, _whole(request, "bytes")))
        log = job.log(task, nbytes)
        attempt, texts = log.attempt, {"stdout": log.stdout, "stderr": log.stderr}
        wanted = request.get("attempt")
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
        most = len(command) if request.get("whole") else MOST_COMMAND
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
            "streams": self._news(request, task, attempt, {name: sendable(text) for name, text in texts.items()}),
        }, []  # fmt: skip

    def _news(self, request: Mapping[str, Any], task: int, attempt: int, texts: dict[str, str]) -> dict[str, Any]:
        """Return what is new of each stream: how much of the beginning to drop, and what to add; or all of it."""
        reader = str(request.get("reader") or "")[:64], task
        sent = self._sent.pop(reader, None)
        if not request.get("have") or sent is None or sent.attempt != attempt:
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

    # -- acting -----------------------------------------------------------------------------------------

    def _pause(self, _request: Mapping[str, Any]) -> str:
        self._job.pause()
        return "paused; what runs goes on"

    def _resume(self, _request: Mapping[str, Any]) -> str:
        self._job.resume()
        return "launching goes on"

    def _kill(self, request: Mapping[str, Any]) -> str:
        tasks = self._chosen(request)
        count = self._job.kill(tasks)
        return f"{_tasks_text(count)} asked to end" if count else "these tasks have ended already"

    def _relaunch(self, request: Mapping[str, Any]) -> str:
        mem = request.get("mem")
        mem_mib = None
        if mem is not None:
            try:
                mem_mib = parse_size_mib(str(mem)[:40])
            except SpecError as error:
                raise SpecError(f"memory: {error}") from None
        count = self._job.relaunch(self._chosen(request), mem_mib)
        more = "" if mem_mib is None else f", with {mem_mib:,.0f} MiB each"
        waits = f"; the job is {clean(self._job.view.held)}, resume launches them" if self._job.view.held else ""
        return (
            f"{_tasks_text(count)} {'runs' if count == 1 else 'run'} once more{more}{waits}"
            if count
            else "no task has failed"
        )

    def _limit(self, request: Mapping[str, Any]) -> str:
        most = request.get("most")
        self._job.set(max_tasks=None if most is None else _whole(request, "most"))
        return "no bound on how many run at once" if most is None else f"at most {_whole(request, 'most'):,} at once"

    def _chosen(self, request: Mapping[str, Any]) -> Iterable[int] | None:
        """Return the tasks that an act is for; None for what the act takes by itself."""
        key, ranges = request.get("group"), request.get("tasks")
        if isinstance(key, str):
            group = self._group(key)
            if group is None:
                raise JobNotFound("these tasks have changed since: no task fails in this way any more")
            return group.tasks
        if ranges is None:
            return None
        total = len(self._job.commands)
        chosen = np.zeros(total, np.bool_)
        for part in ranges if isinstance(ranges, list) else [None]:
            if not (isinstance(part, list) and len(part) == 2 and all(type(edge) is int for edge in part)):
                raise UsageError("tasks are to be named by ranges of their indices")
            first, last = part
            if not 0 <= first <= last < total:
                raise JobNotFound(f"{self._job.job_id} has no tasks {first}-{last}")
            chosen[first : last + 1] = True
        chosen[[task for task in self._job.superseded if task < total]] = False
        found: list[int] = np.flatnonzero(chosen).tolist()
        return found


def _whole(request: Mapping[str, Any], name: str) -> int:
    value = request.get(name, 0)
    if type(value) is not int:
        raise UsageError(f"{name} must be a whole number")
    return value


def _tasks_text(count: int) -> str:
    return f"{count:,} task{'' if count == 1 else 's'}"


def _key(group: Group) -> str:
    """Return what names a group, as long as tasks fail in this way."""
    text = f"{group.reason}\0{group.exit_code}\0{group.text}"
    return hashlib.blake2s(text.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


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
