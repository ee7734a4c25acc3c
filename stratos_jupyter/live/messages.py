"""Messages of a browser: the verbs, each a method that a decorator marks, and how the other fields are read.

A message is a dict. ``{"ask": verb}`` reads something of the job, ``{"do": verb}`` asks the job to change. Nothing in a
message is trusted: a field is read as what it has to be, or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from ..errors import JobNotFound, UsageError
from ..report.text import clean

if TYPE_CHECKING:
    from ..job import Job

#: what a browser sent
Message: TypeAlias = Mapping[str, Any]
#: the field that holds the verb, and the verb
Verb: TypeAlias = tuple[str, str]
#: an answer as JSON, and its buffers
Answer: TypeAlias = tuple[dict[str, Any], list[bytes]]
#: says whether the answer is still waited for
Wanted: TypeAlias = Callable[[], bool]
Method = TypeVar("Method", bound=Callable[..., Any])

#: the longest name of a page, or of a table on it, that is kept
MOST_NAME: Final = 64
_MARK: Final = "_stratos_verb"


class Overtaken(Exception):
    """The browser has sent a newer request of the same kind: it does not wait for this one."""


# -- verbs ----------------------------------------------------------------------------------------------


def request(name: str) -> Callable[[Method], Method]:
    """Mark a method as the one that handles ``{"ask": name}``."""
    return _marked("ask", name)


def action(name: str) -> Callable[[Method], Method]:
    """Mark a method as the one that handles ``{"do": name}``."""
    return _marked("do", name)


def _marked(field: str, name: str) -> Callable[[Method], Method]:
    def mark(method: Method) -> Method:
        setattr(method, _MARK, (field, name))
        return method

    return mark


def verbs_of(*handlers: object) -> dict[Verb, Callable[..., Any]]:
    """Return the marked methods of some objects, or functions of some classes, by their verbs."""
    found: dict[Verb, Callable[..., Any]] = {}
    for handler in handlers:
        kind = handler if isinstance(handler, type) else type(handler)
        for name in dir(kind):
            verb = getattr(getattr(kind, name), _MARK, None)
            if verb is not None:
                found[verb] = getattr(handler, name)
    return found


def verb_in(message: Message, field: str) -> Verb:
    """Return the verb that a message has in a field; one that no method handles when it has none."""
    name = message.get(field)
    return field, name if isinstance(name, str) else ""


# -- other fields ---------------------------------------------------------------------------------------


def page_of(message: Message) -> str:
    """Return the name that a browser's page has given itself."""
    return str(message.get("page") or "")[:MOST_NAME]


def reader_of(message: Message) -> str:
    """Return the name of what asks within a page, which may show a job twice."""
    return str(message.get("reader") or "")[:MOST_NAME]


def whole_number(message: Message, field: str) -> int:
    """Return a whole number, 0 when there is none; raises UsageError for anything else."""
    value = message.get(field, 0)
    if type(value) is not int:
        raise UsageError(f"{field} must be a whole number")
    return value


def task_in(message: Message, job: Job) -> int:
    """Return the task that a message names; raises JobNotFound when the job has no such task."""
    task = message.get("task")
    if type(task) is not int or not 0 <= task < len(job.commands):
        raise JobNotFound(f"{job.job_id} has no task {clean(str(task), 40)}")
    return task
