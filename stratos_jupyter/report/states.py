"""How the states of tasks look wherever they are shown: their order, signs and colours.

The browser's half has a copy of the order, in ``static/dom.js``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ..backend.core.states import TaskState

#: the order of every bar: what is settled first, what is still to come last
BAR_ORDER: Final = (
    TaskState.FINISHED,
    TaskState.FAILED,
    TaskState.KILLED,
    TaskState.LOST,
    TaskState.UNREACHABLE,
    TaskState.RUNNING,
    TaskState.STAGING,
    TaskState.QUEUED,
)

#: Okabe and Ito's colours, tuned to stand on white and on near-black alike
COLOURS: Final[Mapping[TaskState, str]] = MappingProxyType(
    {
        TaskState.FINISHED: "#009e73",
        TaskState.FAILED: "#d55e00",
        TaskState.KILLED: "#b8659a",
        TaskState.LOST: "#6b7280",
        TaskState.UNREACHABLE: "#c98a00",
        TaskState.RUNNING: "#2a86c8",
        TaskState.STAGING: "#6fb7e6",
        TaskState.QUEUED: "#8b93a0",
    }
)
#: a sign for each, because colour alone tells some people nothing
SIGNS: Final[Mapping[TaskState, str]] = MappingProxyType(
    {
        TaskState.FINISHED: "✓",
        TaskState.FAILED: "✗",
        TaskState.KILLED: "■",
        TaskState.LOST: "?",
        TaskState.UNREACHABLE: "≈",
        TaskState.RUNNING: "▸",
        TaskState.STAGING: "↑",
        TaskState.QUEUED: "⋯",
    }
)
