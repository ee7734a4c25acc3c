"""Where reports go: what the runner expects of whoever carries them away."""

from typing import Any, List


class ResultSink:
    """Takes reports."""

    #: Whether too many results wait, or cannot be kept: then no new command is started.
    congested = False

    @property
    def connected(self) -> bool:
        """Whether somebody listens who could do better with what is late here."""
        raise NotImplementedError

    def say(self, *messages: List[Any]) -> None:
        """Send messages that need not arrive."""
        raise NotImplementedError

    def report(self, records: List[List[Any]]) -> None:
        """Send results that must arrive."""
        raise NotImplementedError
