"""The agents of a cluster as a job has met them. PURE: moments are arguments.

A node is called by its host's name; of several agents on one host, the later ones have a number behind it. An agent
where an executor has failed is left out for a few seconds; where they keep failing, for five minutes, then ten, then
twenty, and so on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, count
from types import MappingProxyType
from typing import Final

#: how long an agent is left out after an executor that had not begun anything failed, in seconds: it may have been
#: killed by somebody
OUT_FIRST_S: Final = 5.0
#: and after the next one, or where it is clear that all will fail; then twice as long each time
OUT_S: Final = 300.0
#: and at most
OUT_MOST_S: Final = 6 * 3600.0
#: how long after a launch that it could not take, in seconds
MOMENT_S: Final = 1.0


class KnownAgent:
    """One agent.

    Attributes
    ----------
    agent_id, node : str
        What the cluster and what people call it.
    executor_id : str
        The job's executor that runs there, or was sent there; '' when there is none.
    up : bool
        Whether that executor has been heard of.
    unreachable : bool
        Whether the master has lost sight of it.
    failures : int
        How many of its executors in a row ended before they had begun anything.
    killed : bool
        Whether the last one was killed, and may have begun something that it could not tell.
    out_until_s : float
        Until when it is left out.
    """

    def __init__(self, agent_id: str, node: str) -> None:
        self.agent_id = agent_id
        self.node = node
        self.executor_id = ""
        self.up = False
        self.unreachable = False
        self.failures = 0
        self.killed = False
        self.out_until_s = 0.0

    def hear(self, executor_id: str) -> None:
        """Note that an executor of the job runs there."""
        self.executor_id, self.up, self.failures, self.killed = executor_id, True, 0, False

    def lose(self) -> None:
        """Note that none does."""
        self.executor_id, self.up = "", False

    def pause(self, now_s: float) -> None:
        """Leave it out for a moment, which counts as no failure."""
        self.out_until_s = max(self.out_until_s, now_s + MOMENT_S)

    def fail(self, now_s: float, *, certain: bool = False) -> float:
        """Note that an executor ended before it had begun anything; return for how long the agent is left out.

        `certain`: it is clear that the next one will do so too.
        """
        self.lose()
        if self.out_until_s <= now_s:  # others that were on their way there count as one failure with it
            self.failures += 2 if certain and not self.failures else 1
            if self.failures == 1 or self.killed:  # killing is no property of the node: it may be over soon
                pause_s = min(OUT_FIRST_S * 2 ** (self.failures - 1), OUT_S)
            else:
                pause_s = min(OUT_S * 2 ** (self.failures - 2), OUT_MOST_S)
            self.out_until_s = now_s + pause_s
        return self.out_until_s - now_s


class KnownAgents:
    """All agents that a job has met.

    Parameters
    ----------
    nodes : mapping of str to str
        What agents were called earlier, by their ids.
    """

    def __init__(self, nodes: Mapping[str, str] = MappingProxyType({})) -> None:
        self._agents = {agent_id: KnownAgent(agent_id, node) for agent_id, node in nodes.items()}
        self._by_node = {agent.node: agent for agent in self._agents.values()}

    def __iter__(self) -> Iterator[KnownAgent]:
        return iter(self._agents.values())

    def get(self, agent_id: str) -> KnownAgent | None:
        """Return an agent that was met."""
        return self._agents.get(agent_id)

    def named(self, node: str) -> KnownAgent | None:
        """Return the agent of a node that was met."""
        return self._by_node.get(node)

    def meet(self, agent_id: str, hostname: str) -> KnownAgent:
        """Return an agent, which may be new."""
        agent = self._agents.get(agent_id)
        if agent is None:
            names = chain([hostname], (f"{hostname}#{number}" for number in count(2)))
            node = next(name for name in names if name not in self._by_node)
            agent = self._agents[agent_id] = self._by_node[node] = KnownAgent(agent_id, node)
        return agent

    def forget(self, agent_id: str) -> None:
        """Forget an agent that will not come back: the next one on its host may be called as it was."""
        agent = self._agents.pop(agent_id, None)
        if agent is not None:
            del self._by_node[agent.node]

    def names(self) -> dict[str, str]:
        """Return what has to be kept, so that they are called the same by the next process."""
        hosts = Counter(agent.node.partition("#")[0] for agent in self)
        return {agent.agent_id: agent.node for agent in self if hosts[agent.node.partition("#")[0]] > 1}
