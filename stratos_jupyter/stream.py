"""Stream: what a ``*_stream`` call of a Processor gives, as StratOS documents it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .backend.core.ranges import TaskRanges
from .backend.core.states import TaskState
from .backend.spec.commands import Commands
from .errors import SpecError, StreamClosed
from .job import Job


class Stream:
    """The tasks of one ``*_stream`` call and of what was added to it. Indices are those of the Processor.

    ``completed + lost + unfinished = total``; completed are all that ended with a result, good or bad.

    Parameters
    ----------
    job : Job
        The run.
    tasks : sequence of range
        The tasks that the call began with.
    make : callable
        Makes commands of what `add` is given.
    add : callable
        Adds commands to the run.
    """

    def __init__(
        self,
        job: Job,
        tasks: Sequence[range],
        make: Callable[[Any], Commands],
        add: Callable[[Commands], Sequence[range]],
    ) -> None:
        self._job = job
        self._ranges = list(tasks)
        self._make = make
        self._add = add
        self._closed = False
        self._outputs = Outputs(self._job, lambda: self._all)

    @property
    def _all(self) -> TaskRanges:
        """Its tasks, and those that their monitors asked for."""
        return self._job.commands.with_spawned(self._ranges)

    def _owns(self, task: int) -> bool:
        return task in self._all

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Stream of {self._job.job_id}, {state}: {self.count_completed_tasks()}/{self.count_total_tasks()}>"

    def join(self, tasks: Sequence[range], make: Callable[[Any], Commands]) -> None:
        """Take in the tasks of another ``*_stream`` call; `add` goes on with its kind of work."""
        self._ranges += tasks
        self._make = make

    def add(self, work: Any) -> None:
        """Add more of what the stream was opened with: a pattern, parameters, or commands.

        Raises
        ------
        StreamClosed
            `wait` has closed it.
        SpecError
            It cannot run; nothing was added.
        """
        if self._closed:
            raise StreamClosed("this stream is closed, as wait() leaves it; a new *_stream call opens another")
        self._ranges += self._add(self._make(work))

    def closed(self) -> bool:
        """Say whether the stream is closed.

        The StratOS documentation says both that this is True for an open stream and for a closed one; here it
        means what its name says.
        """
        return self._closed

    def wait(self) -> bool:
        """Close the stream and wait until its tasks have ended; True when all have."""
        self._closed = True
        return all(self._job.wait(tasks=tasks) for tasks in self._ranges)

    def get_results(self) -> list[str]:
        """Return the outputs that arrived since the last call, in order of arrival."""
        return self._outputs.arrived()

    def get_command(self, index: int) -> str:
        """Return the shell text of a task."""
        return self._job.commands.command(self._check(index))

    def get_status(self, index: int) -> str:
        """Return the name of a task's state: QUEUED, STAGING, RUNNING, UNREACHABLE, FINISHED, FAILED, KILLED, LOST."""
        return self._job.state(self._check(index)).name

    def _check(self, index: int) -> int:
        if not self._owns(index):
            raise SpecError(f"task {index} is not of this stream")
        return index

    def _list(self, *states: TaskState) -> list[int]:
        every = self._job.states()
        wanted = frozenset(states)
        return [task for tasks in self._all for task in tasks if every[task] in wanted]

    def list_completed_tasks(self) -> list[int]:
        """Return the indices of the tasks that ended with a result, good or bad."""
        return self._list(TaskState.FINISHED, TaskState.FAILED, TaskState.KILLED)

    def list_lost_tasks(self) -> list[int]:
        """Return the indices of the tasks that the cluster lost for good."""
        return self._list(TaskState.LOST)

    def list_running_tasks(self) -> list[int]:
        """Return the indices of the tasks whose commands run now."""
        return self._list(TaskState.RUNNING)

    def list_unfinished_tasks(self) -> list[int]:
        """Return the indices of the tasks that have not ended."""
        return self._list(TaskState.QUEUED, TaskState.STAGING, TaskState.RUNNING, TaskState.UNREACHABLE)

    def count_completed_tasks(self) -> int:
        """Return how many tasks ended with a result, good or bad."""
        return len(self.list_completed_tasks())

    def count_lost_tasks(self) -> int:
        """Return how many tasks the cluster lost for good."""
        return len(self.list_lost_tasks())

    def count_running_tasks(self) -> int:
        """Return how many tasks' commands run now."""
        return len(self.list_running_tasks())

    def count_total_tasks(self) -> int:
        """Return how many tasks the stream has."""
        return len(self._all)

    def count_unfinished_tasks(self) -> int:
        """Return how many tasks have not ended."""
        return len(self.list_unfinished_tasks())


class Outputs:
    """Outputs as text, read once from the journal as they arrive."""

    def __init__(self, job: Job, mine: Callable[[], TaskRanges] | None = None) -> None:
        self._job = job
        self._mine = mine
        self._seq = 0
        self._texts: dict[int, str] = {}

    def arrived(self) -> list[str]:
        """Return those that are new."""
        texts: list[str] = []
        rows = self._job.rows(self._seq)
        mine = self._mine() if self._mine is not None else None  # after the rows: what they are of is known by then
        for row in rows:
            self._seq = row.seq
            if mine is None or row.task in mine:
                texts.append(self._job.output(row))
        return texts

    def by_index(self) -> list[str]:
        """Return those of all tasks."""
        for row in self._job.rows(self._seq):
            self._seq = row.seq
            self._texts[row.task] = self._job.output(row)
        left_out = self._job.superseded
        return [self._texts.get(task, "") for task in range(len(self._job.commands)) if task not in left_out]
