"""The groups of failures as a browser gets them, and the names by which it asks for one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from ..backend.results.failure_groups import Group
from ..report.text import clean

if TYPE_CHECKING:
    from ..job import Job

#: groups of failures that are shown
MOST_GROUPS: Final = 100


def groups_record(job: Job) -> dict[str, Any]:
    """Return the largest groups, how many more there are, and the memory of the largest node."""
    groups = job.failure_groups()
    shown = [
        {
            "key": group_key(group),
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
    return {"groups": shown, "more": [len(rest), sum(group.count for group in rest)], "largest": most}


def find_group(job: Job, key: str) -> Group | None:
    """Return the group of that name; None when no task fails in this way any more."""
    return next((group for group in job.failure_groups() if group_key(group) == key), None)


def group_key(group: Group) -> str:
    """Return the name of a group; it stays the same as long as tasks fail in this way."""
    text = f"{group.reason}\0{group.exit_code}\0{group.text}"
    return hashlib.blake2s(text.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()
