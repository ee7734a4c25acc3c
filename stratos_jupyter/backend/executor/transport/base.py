"""Where reports go: the interface of what carries them away."""

from typing import Any, List


class ResultSink:
    """Carries reports to the kernel."""

    #: Whether too many results wait, or cannot be kept: then no new command is started.
    congested = False

    @property
    def connected(self) -> bool:
        """Whether a kernel is connected that can run overdue commands elsewhere."""
        raise NotImplementedError

    def say(self, *messages: List[Any]) -> None:
        """Send messages that need not arrive."""
        raise NotImplementedError

    def report(self, records: List[List[Any]]) -> None:
        """Send results that must arrive."""
        raise NotImplementedError
