"""What a browser may ask of a job: requests in, answers out.

`RequestHandler` knows no comm and no thread. What a user or a task wrote leaves as text, and is drawn as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..report.text import clean
from .actions import JobActions
from .failures import find_group, groups_record
from .messages import Answer, Message, Wanted, request, task_in, verb_in, verbs_of, whole_number
from .query import Query, query_of
from .task_detail import TaskDetail
from .task_table import TaskRows

if TYPE_CHECKING:
    from ..job import Job


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
        self._verbs = verbs_of(self, TaskDetail(job), JobActions(job))

    def answer(self, message: Message, wanted: Wanted = lambda: True) -> Answer:
        """Return the answer to a message, as JSON and buffers.

        Parameters
        ----------
        message : mapping
            What a browser sent; nothing in it is trusted.
        wanted : callable
            Says whether the answer is still waited for.

        Raises
        ------
        StratosError
            It cannot be done; the text is for the user.
        Overtaken
            The answer is not waited for any more.
        """
        if (act := self._verbs.get(verb_in(message, "do"))) is not None:
            said = act(message)
            self._rows.forget()
            return {"said": said}, []
        if (method := self._verbs.get(verb_in(message, "ask"))) is not None:
            answer: Answer = method(message, wanted)
            return answer
        raise UsageError("this version of stratos_jupyter does not know what was asked; reload the page")

    @request("rows")
    def rows(self, message: Message, wanted: Wanted) -> Answer:
        """Return a window of the table's rows."""
        first, count = max(0, whole_number(message, "first")), max(0, whole_number(message, "count"))
        page = self._rows.page(self._query(message), first, count, wanted)
        return {**page, "inputs": list(map(clean, self._job.commands.placeholders))}, []

    @request("tasks")
    def tasks(self, message: Message, wanted: Wanted) -> Answer:
        """Return the indices of some rows, in their order, four bytes each."""
        order = self._rows.order(self._query(message), wanted)
        first, count = max(0, whole_number(message, "first")), max(0, whole_number(message, "count"))
        chosen = order[first : first + count]
        return {"count": len(chosen)}, [chosen.astype("<u4").tobytes()]

    @request("name")
    def name(self, message: Message, _wanted: Wanted) -> Answer:
        """Return the row of one task."""
        (row,) = self._rows.rows([task_in(message, self._job)])
        return {"row": row}, []

    @request("groups")
    def groups(self, _message: Message, _wanted: Wanted) -> Answer:
        """Return the groups of failures."""
        return groups_record(self._job), []

    def _query(self, message: Message) -> Query:
        asked = message.get("query")
        asked = asked if isinstance(asked, Mapping) else {}
        key = asked.get("group")
        if not isinstance(key, str) or not key:
            return query_of(asked)
        group = find_group(self._job, key)
        return query_of(asked, () if group is None else group.tasks)  # a group that is gone has no tasks
