"""One Mesos task: what the agent has been told of it, and what is still to be told."""

from collections import deque
from time import monotonic
from typing import Any, Deque, Dict, List, Optional, Set, Tuple, Union

from ..work import CommandBatch, Key

#: How long a launch is not told of.
HOLD_S = 0.06


class MesosTask:
    """One Mesos task.

    Parameters
    ----------
    info : dict
        The TaskInfo, without its data.
    batch : CommandBatch, optional
        Its commands.
    """

    def __init__(self, info: Dict[str, Any], batch: Optional[CommandBatch]) -> None:
        self.info = info
        self.task_id = str(info["task_id"]["value"])
        self.batch = batch
        #: What has not been reported.
        self.left: Set[Key] = set()
        if batch is not None:
            self.left = {(item[0], item[1]) for item in batch.items}
        self.count = len(self.left)
        self.failed = 0
        #: The last of its commands has done its work.
        self.well = False
        #: The reason and the exit code of the last of its commands.
        self.last: Tuple[str, Optional[int]] = ("", None)
        #: Mesos has been asked to kill it.
        self.killed = False
        self.started: List[List[Any]] = []
        self.ended: Deque[Union[bytes, str]] = deque()
        self.ended_bytes = 0
        #: The update that has not been acknowledged.
        self.unacknowledged: Optional[Dict[str, Any]] = None
        self.acknowledged = False
        self.results_told = False
        #: When the next update is due, if there is something to tell.
        self.due = monotonic() + HOLD_S
        #: The terminal update has been made.
        self.closed = False
        self.state = "TASK_RUNNING"
        #: It has this to say, and no commands.
        self.error = ""

    @property
    def rest(self) -> bool:
        """Whether all of its commands have been reported."""
        return not self.left

    def outcome(self) -> Tuple[str, str]:
        """Return the terminal state, and in words why."""
        reason, code = self.last
        if self.error:
            return "TASK_ERROR", self.error
        if self.count > 1:
            state = "TASK_KILLED" if self.killed else "TASK_FINISHED"
            return state, "{} of {} commands failed".format(self.failed, self.count) if self.failed else ""
        if reason == "exit":
            return "TASK_FINISHED" if self.well else "TASK_FAILED", "exit code {}".format(code)
        if reason == "returned":
            return "TASK_FINISHED", "handed back unstarted"
        if reason == "user":
            return "TASK_KILLED", "killed by the user"
        return "TASK_FAILED", "signal {}".format(code) if reason == "signal" else reason
