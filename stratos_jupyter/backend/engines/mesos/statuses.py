"""What is concluded from what the master and the agents say of batches.

What has a uuid is an agent's or executor's word: it is acknowledged once it is recorded, and repeated until then. What
has none is the master's own: it carries no results, and is never acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from ...core.events import LaunchKnown, NodeBack, NodeUnreachable, TasksReturned, TasksStarted
from ...core.states import Reason
from ...executor.record import ATTEMPT, BATCH, REASON, RETURNED, RUNS_SINCE, STARTED_AT, TASK
from ..base import Result
from ..executor_records import result_of
from . import master_events, messages
from .agents import KnownAgent
from .batches import MesosBatch
from .connection import Connection
from .executor_bundle import NO_PYTHON
from .framework import FrameworkState

_RECONCILED: Final = "REASON_RECONCILIATION"
_EXECUTOR_ENDED: Final = frozenset(
    {
        "REASON_CONTAINER_LAUNCH_FAILED",
        "REASON_CONTAINER_LIMITATION",
        "REASON_CONTAINER_LIMITATION_DISK",
        "REASON_CONTAINER_LIMITATION_MEMORY",
        "REASON_CONTAINER_PREEMPTED",
        "REASON_EXECUTOR_REGISTRATION_TIMEOUT",
        "REASON_EXECUTOR_REREGISTRATION_TIMEOUT",
        "REASON_EXECUTOR_TERMINATED",
        "REASON_COMMAND_EXECUTOR_FAILED",
    }
)
#: what a shell, and the executor's guard, add to the number of the signal that has killed what they waited for
SIGNALLED: Final = 128


class Statuses:
    """Takes in what is said of batches.

    Parameters
    ----------
    state : FrameworkState
        What is shared.
    connection : Connection
        Acknowledges.
    meet : callable
        Takes agent and executor of a batch of an earlier process, when it has been heard of.
    """

    def __init__(self, state: FrameworkState, connection: Connection, meet: Callable[[MesosBatch], None]) -> None:
        self._state = state
        self._connection = connection
        self._meet = meet

    def status(self, update: messages.Update) -> None:
        """Take in a status."""
        state, update = self._state, update._replace(ended=self._as_asked(update.ended))
        batch_id = messages.batch_of(update.task_id)
        batch = None if batch_id is None else state.batches.get(batch_id)
        acknowledge = self._acknowledgement(update)
        if batch is None:
            self._of_unknown(update, batch_id, acknowledge)
            return
        batch.agent_id = update.agent_id or batch.agent_id
        batch.executor_id = update.executor_id or batch.executor_id
        agent = state.agents.meet(batch.agent_id, batch.node)  # it may be of an earlier process, and not offered yet
        batch.heard = True
        if update.state == messages.UNREACHABLE:
            self._unreachable(batch, agent)
            acknowledge()
            return
        if update.state in messages.ALIVE:
            batch.gone_s = None
            if update.state != "TASK_STAGING":
                self._alive(batch, agent)
        self._deliver(batch.node, update, acknowledge)
        if update.state not in messages.ALIVE:
            self._over(batch, agent, update)

    def _acknowledgement(self, update: messages.Update) -> Callable[[], None]:
        if not update.uuid:
            return _nothing

        def acknowledge() -> None:
            client = self._connection.client
            if client is not None:  # else the agent will say it again
                client.acknowledge(update.agent_id, update.task_id, update.uuid)

        return acknowledge

    def _of_unknown(self, update: messages.Update, batch_id: int | None, acknowledge: Callable[[], None]) -> None:
        """Take in the status of a batch that is over as far as we know: results count, nothing else does."""
        client = self._connection.client
        if update.state in messages.ALIVE and client is not None:
            client.kill(update.task_id, update.agent_id)
        agent = self._state.agents.get(update.agent_id)
        node = agent.node if agent is not None else update.agent_id
        if batch_id is not None:
            self._was_launched(batch_id, node, [record for record in update.ended if record[REASON] != RETURNED])
        self._deliver(node, update, acknowledge)

    def _deliver(self, node: str, update: messages.Update, acknowledge: Callable[[], None]) -> None:
        sink = self._state.sink
        if update.started:
            self.started(update.started)
        results = [result_of(record, node) for record in update.ended if record[REASON] != RETURNED]
        returned = []
        for record in update.ended:
            attempt = (record[TASK], record[ATTEMPT])
            if record[REASON] != RETURNED:
                self._state.batches.report(attempt)
            elif self._state.batches.has(messages.batch_of(update.task_id), attempt):
                # Else it is said once more, and the attempt has been launched elsewhere meanwhile.
                self._state.batches.report(attempt)
                returned.append(attempt)
        if returned:
            sink.post(TasksReturned(sink.now(), tuple(returned)))
        if results or returned:
            sink.post_results(results, acknowledge)
        elif update.state in messages.ALIVE:
            acknowledge()  # nothing has to be on disk for it
        else:
            # Behind what is concluded from it, so that it is recorded with that.
            self._connection.later(partial(sink.post_results, (), acknowledge))

    def kept(self, agent_id: str, records: Sequence[Sequence[Any]]) -> None:
        """Take in results that an executor kept although they were acknowledged."""
        agent = self._state.agents.get(agent_id)
        node = agent.node if agent is not None else agent_id
        told = [record for record in self._as_asked(records) if record[REASON] != RETURNED]
        for record in told:
            self._was_launched(record[BATCH], node, [record])
        if told:
            self._state.sink.post_results([result_of(record, node) for record in told], _nothing)

    def _as_asked(self, records: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """Return records, where what Mesos has ended without our asking, to empty an agent, is lost or handed back."""
        kills, found = self._state.batches.kills, []
        for record in map(list, records):
            if record[REASON] == Reason.USER and (record[TASK], record[ATTEMPT]) not in kills:
                record[REASON] = RETURNED if record[STARTED_AT] is None else Reason.LOST.value
            found.append(record)
        return found

    def _was_launched(self, batch_id: int, node: str, records: Sequence[Sequence[Any]]) -> None:
        """Say that attempts have run that may count as queued, before their results are told."""
        sink, batches = self._state.sink, self._state.batches
        attempts = [(record[TASK], record[ATTEMPT]) for record in records]
        some = tuple(attempt for attempt in attempts if batches.of(attempt) is None and sink.accepts_result(*attempt))
        if some:
            sink.post(LaunchKnown(sink.now(), batch_id, node, some))

    def started(self, rows: Sequence[Sequence[Any]]) -> None:
        """Take in that commands have begun."""
        attempts = tuple((row[TASK], row[ATTEMPT]) for row in rows)
        for attempt, row in zip(attempts, rows, strict=True):
            self._state.batches.start(attempt, row[RUNS_SINCE])
        self._state.sink.post(TasksStarted(self._state.sink.now(), attempts))

    def _alive(self, batch: MesosBatch, agent: KnownAgent) -> None:
        batch.begun = True
        if batch.executor_id and not (agent.up and agent.executor_id == batch.executor_id):
            agent.hear(batch.executor_id)
            self._state.unsay(f"agent {agent.agent_id}")
        if batch.inherited and all(batch.place):
            batch.inherited = False
            self._meet(batch)
        batch.unreachable_s = None
        if agent.unreachable:
            agent.unreachable = False
            self._state.sink.post(NodeBack(self._state.sink.now(), batch.node))

    def _unreachable(self, batch: MesosBatch, agent: KnownAgent) -> None:
        if batch.unreachable_s is None:
            batch.unreachable_s = self._state.sink.now()
        if not agent.unreachable:
            agent.unreachable = True
            self._state.sink.post(NodeUnreachable(self._state.sink.now(), batch.node))

    def _over(self, batch: MesosBatch, agent: KnownAgent, update: messages.Update) -> None:
        """A batch has ended, or so it is said; what it had not reported goes on elsewhere."""
        if batch.left and not update.uuid and update.reason == _RECONCILED:
            # The agent's own word may be on its way, with the results.
            batch.gone_s = self._state.sink.now() if batch.gone_s is None else batch.gone_s
            batch.unknown = update.state == "TASK_UNKNOWN" and batch.inherited and not batch.agent_id
            return
        if batch.left and not batch.begun and not batch.inherited and update.state != "TASK_KILLED":
            self._never_began(batch, agent, update)
        else:
            if update.reason in _EXECUTOR_ENDED and batch.executor_id == agent.executor_id:
                agent.lose()
            if batch.left and update.reason == "REASON_CONTAINER_LIMITATION_MEMORY":
                self._state.say("memory", f"{batch.node} ended the job's container for its memory: {update.message}")
                self._charge_memory(batch)
            self._state.lose(batch)
        self._connection.want_more()

    def _charge_memory(self, batch: MesosBatch) -> None:
        """Say that a command has used up the container's memory, when it was the only one that ran there.

        Of several it is not known which: all of them are lost, as with an executor that dies.
        """
        state = self._state
        if state.batches.in_container(batch.place) != [batch] or batch.crowded:
            for other in state.batches.in_container(batch.place):
                other.crowded = True
            return
        attempt, since_s = batch.running or (min(batch.left), None)
        if since_s is None and len(batch.left) > 1:
            return
        now = state.sink.now()
        note = "used all the memory of the job's container on its node; ask for more with --mem"
        result = Result(
            *attempt, batch.node, Reason.MEMORY, None, since_s, now, 0.0, 0.0, None, None, "", "", 0, 0, note
        )  # fmt: skip
        state.batches.report(attempt)
        state.sink.post_results([result], _nothing)

    def _never_began(self, batch: MesosBatch, agent: KnownAgent, update: messages.Update) -> None:
        """Take back a batch that its executor never saw: nothing of it was lost."""
        why = update.message or update.reason or update.state
        if update.state == "TASK_DROPPED":
            agent.pause(self._state.sink.now())  # master and agent do not agree yet which executors there are
        elif update.state == "TASK_ERROR" and not batch.fresh:
            agent.lose()  # its executor had exited, so that its share was missing in the offer
        elif update.state == "TASK_ERROR" or (update.reason in _EXECUTOR_ENDED and batch.fresh and not agent.up):
            self._leave_out(agent, why)
        if agent.killed and update.state != "TASK_DROPPED" and update.reason in _EXECUTOR_ENDED:
            # It may have begun some of it.
            self._state.lose(batch)
        else:
            self._state.hand_back(self._state.batches.remove(batch))

    def _leave_out(self, agent: KnownAgent, why: str, *, certain: bool = False) -> None:
        """Launch nothing on an agent for a while."""
        about = f"agent {agent.agent_id}"
        if agent.out_until_s <= self._state.sink.now():
            pause_s = agent.fail(self._state.sink.now(), certain=certain)
            while_s = f"{pause_s:.0f} s" if pause_s < 60.0 else f"{pause_s / 60:.0f} min"
            self._state.say(about, f"{agent.node} is left out for {while_s}, because no executor starts there: {why}")
        else:
            agent.lose()

    def executor_ended(self, event: master_events.ExecutorFailed) -> None:
        """Take in that an executor has ended; of each of its batches there is a status."""
        self._state.unsay(f"waiting {(event.agent_id, event.executor_id)}")
        agent = self._state.agents.get(event.agent_id)
        if agent is None or agent.executor_id != event.executor_id:
            return
        status = event.status or 0
        agent.killed = bool(status & 0x7F) or status >> 8 > SIGNALLED
        if agent.up or not status:
            agent.lose()
        elif NO_PYTHON in (status, status >> 8):
            why = "there is no python3 on it, or one that is too old; it needs 3.6 or later"
            agent.killed = False
            self._leave_out(agent, why, certain=True)
        else:
            how = f"exit code {status >> 8}" if status >> 8 else f"signal {status & 0x7F}"
            self._leave_out(agent, f"it ended with {how}; its sandbox in the master's pages says why")


def _nothing() -> None:
    """Acknowledge nothing: there is nothing to acknowledge."""
