"""Commands that monitors ask for: from the result that names them to the submission that they become.

The result and the commands are recorded together. Then the job adds the commands, which makes a submission of them,
recorded in its turn. A kill in between concerns them, too. After a restart, those that have not become a submission are
added again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

from .replay import Replayed

log = logging.getLogger(__name__)

#: task and attempt
Key: TypeAlias = tuple[int, int]
#: adds the commands that an attempt's monitor asked for to the job, some time soon, by `RunLoop.add`
Adopt: TypeAlias = Callable[[Key, Sequence[str]], None]


class Adoptions:
    """What the monitors of one run have asked for.

    Parameters
    ----------
    adopt : callable
        Adds commands.
    notice : callable
        Shows the user a line.
    job_id : str
        The job, for the log.

    Attributes
    ----------
    became : list of (int, range)
        The tasks that such commands have become, each with the task whose monitor asked for them.
    """

    def __init__(self, adopt: Adopt, notice: Callable[[str], None], job_id: str) -> None:
        self._adopt = adopt
        self._notice = notice
        self._job_id = job_id
        self._taken: set[Key] = set()  # attempts whose commands were taken in
        self._pending: set[Key] = set()  # of them, those that have not come back as submissions
        self._voided: set[Key] = set()  # of these, those that were killed meanwhile
        self.became: list[tuple[int, range]] = []

    @property
    def pending(self) -> bool:
        """Whether commands are about to become tasks."""
        return bool(self._pending)

    def is_taken(self, attempt: Key) -> bool:
        """Say whether the commands that an attempt's monitor asked for have been taken in."""
        return attempt in self._taken

    def restore(self, replayed: Replayed) -> None:
        """Take over what is recorded, and add the commands that have not become a submission."""
        self._taken = replayed.adopted
        self.became = replayed.became
        for attempt, commands in replayed.spawned.items():
            self.take(attempt, commands)

    def take(self, attempt: Key, commands: Sequence[str]) -> None:
        """Have the commands added that an attempt's monitor asked for."""
        try:
            self._adopt(attempt, commands)
        except Exception as error:  # the task whose monitor it was has ended all the same
            log.exception("%s: commands of the monitor of task %d", self._job_id, attempt[0])
            self._notice(f"what the monitor of task {attempt[0]} asked for cannot run: {error}")
        else:
            self._taken.add(attempt)
            self._pending.add(attempt)

    def arrived(self, attempt: Key, tasks: range) -> bool:
        """Take in the tasks that an attempt's commands have become; return whether they were killed before."""
        self._pending.discard(attempt)
        self.became.append((attempt[0], tasks))
        if attempt in self._voided:
            self._voided.discard(attempt)
            return True
        return False

    def kill(self, tasks: Sequence[int] | None) -> None:
        """Let a kill of tasks, None being all, also concern the commands that are about to become tasks of theirs."""
        self._voided |= {attempt for attempt in self._pending if tasks is None or attempt[0] in tasks}
