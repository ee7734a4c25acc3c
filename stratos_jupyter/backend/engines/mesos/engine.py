"""The Mesos engine: one framework a job, one executor a node, one Mesos task a batch.

Every launch is on disk before it is sent (`writes_ahead`), so nothing runs on the cluster that no journal knows, and a
new kernel asks the master about each batch that had not ended. A result is acknowledged once it is recorded; until then
the agent sends it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final

from ...core.batching import BatchPolicy
from ...core.decisions import Decision, Decline, Finish, Kill, Launch, RecordEnding, Revive, Suppress, WithdrawUnstarted
from ...core.events import Attached, PauseAsked
from ...core.in_flight import LaunchedBatch
from ...core.states import Reason
from ...forks import Inherited
from ..base import Sink, Tail, Work
from ..linger_notice import linger_notice
from ..tails import TailRequests, no_tail
from . import master_events, messages
from .batches import Attempt, MesosBatch
from .connection import Connection
from .framework import FrameworkConfig, FrameworkState, Keep, MakeClient
from .held_offers import REST_REFUSE_S, SOON_REFUSE_S, HeldOffers
from .launches import prepare, still_wanted, take_back
from .offers import Json
from .retransmit import Retransmitter
from .statuses import Statuses

#: one launch carries about this much work, in seconds: what is freed is offered again up to a second later
BATCH_TARGET_S: Final = 5.0
BATCH_MOST: Final = 1000
#: what runs may take so long to end when the job is closed, in seconds: a grace time, and more
CLOSE_S: Final = 8.0
#: what the master may not have heard is said again after this, in seconds
SAY_AGAIN_S: Final = 1.0
#: a framework that could not be ended is tried again after this, in seconds, and so often
END_AGAIN_S: Final = 1.0
ENDINGS_MOST: Final = 5
#: the end of a running task's output is waited for so long, in seconds
TAIL_S: Final = 5.0


class MesosEngine:
    """Runs one job on a Mesos cluster.

    Parameters
    ----------
    sink, work
        As every engine has them.
    config : FrameworkConfig
        How it is to be run.
    make_client : callable
        Makes the client of the master.
    kept : mapping
        What an earlier process kept by `keep`.
    keep : callable
        Writes down what the next process needs; raises JournalError.
    """

    writes_ahead = True

    def __init__(
        self,
        sink: Sink,
        work: Work,
        config: FrameworkConfig,
        make_client: MakeClient,
        kept: Mapping[str, Any],
        keep: Keep,
    ) -> None:
        self.policy = BatchPolicy(BATCH_TARGET_S, BATCH_MOST)
        self._sink = sink
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._state = FrameworkState(sink, config, kept, keep)
        self._connection = Connection(self._state, make_client, self._on)
        self._retransmitter = Retransmitter(self._state, self._connection)
        self._statuses = Statuses(self._state, self._connection, self._retransmitter.greet)
        self._offers = HeldOffers(self._state, self._connection)
        self._tails = TailRequests()
        self._finishing = False  # the job has ended, and its framework has not
        self._ending: Future[bool] | None = None  # the master has been told to end it
        self._endings = 0  # how often in vain
        self._closing = self._closed = False
        self._gone: Future[None] = Future()
        self.page = ""

    # -- decisions --------------------------------------------------------------------------------------

    def perform(self, decisions: Sequence[Decision]) -> None:
        """Perform all that followed from one event; launches on one offer belong together."""
        if self._closed:
            return
        launches: dict[str, list[Launch]] = {}
        declined: list[Decline] = []
        for decision in decisions:
            match decision:
                case Launch():
                    launches.setdefault(decision.offer_id, []).append(decision)
                case Decline():
                    declined.append(decision)
                case Revive() if self._closing:
                    pass
                case Revive():
                    self._finishing = False
                    self._connection.want()
                    if self._ending is None:
                        self._connection.start()
                case Suppress():
                    self._connection.want_none()
                case Kill():
                    self._state.batches.kills.update(dict.fromkeys(decision.tasks, decision.reason))
                    self._retransmitter.kills(frozenset(decision.tasks))
                case WithdrawUnstarted():
                    self._state.batches.recalls.update(decision.batches)
                    self._retransmitter.recalls()
                case Finish():
                    self._finish()
                case RecordEnding():
                    pass  # nothing of it concerns a node
        self._offers.decline(declined)
        for offer_id, those in launches.items():
            self._launch(offer_id, those)
        self._retransmitter.soon()

    def _launch(self, offer_id: str, launches: Sequence[Launch]) -> None:
        offer, client = self._offers.take(offer_id), self._connection.client
        if offer is None or client is None or self._closing:  # it was taken back, or the connection was lost
            self._state.hand_back(attempt for launch in launches for attempt in launch.tasks)
            self._connection.want_more()
            return
        launches = still_wanted(self._state, launches)
        tasks = prepare(self._state, self._work, offer, launches) if launches else []
        if tasks:
            client.accept([offer_id], messages.accept(tasks), REST_REFUSE_S)
        else:
            self._connection.decline([offer_id], SOON_REFUSE_S)

    def _finish(self) -> None:
        """The job's last task has ended: end the framework, with its executors. It is forgotten once it has ended."""
        self._finishing = True
        if self._ending is not None:
            return
        if not self._state.framework_id:
            self._finished()
        elif self._connection.subscribed:
            self._ending = self._connection.end()
            self._ending.add_done_callback(self._has_ended)
        else:
            self._connection.start()

    def _has_ended(self, ended: Future[bool]) -> None:
        self._ending = None
        if ended.result() or self._endings >= ENDINGS_MOST:
            self._endings = 0
            self._finished()
        else:
            self._endings += 1
            self._loop.call_later(END_AGAIN_S, self._end_again)

    def _end_again(self) -> None:
        if not self._closed and (self._finishing or self._connection.wanted):
            self._connection.start()

    def _finished(self) -> None:
        self._finishing = False
        self._offers.clear()
        self._connection.stop()
        self._state.begin_anew()
        if self._connection.wanted and not self._closed:  # there is more to do, as another framework
            self._connection.start()

    # -- what happens -----------------------------------------------------------------------------------

    def _on(self, event: master_events.MasterEvent) -> None:
        if self._closed:
            return
        match event:
            case master_events.Status():
                self._statuses.status(messages.read_status(event.status))
            case master_events.Offers():
                self._offers.arrived(event.offers)
            case master_events.Rescinded():
                self._offers.take(event.offer_id)
            case master_events.Message():
                self._message(event)
            case master_events.ExecutorFailed():
                self._retransmitter.greeted((event.agent_id, event.executor_id))
                self._statuses.executor_ended(event)
            case master_events.AgentFailed():  # of each batch there the master tells by a status
                if not any(batch.agent_id == event.agent_id for batch in self._state.batches):
                    self._state.agents.forget(event.agent_id)
            case master_events.InverseOffers():
                if self._connection.client is not None:
                    self._connection.client.decline_inverse([offer["id"]["value"] for offer in event.offers])
            case _:
                self._on_connection(event)
        self._retransmitter.soon()
        if self._closing and not len(self._state.batches):
            self._loop.call_soon(self._close_now)  # behind what has been told of it

    def _on_connection(self, event: master_events.MasterEvent) -> None:
        state = self._state
        match event:
            case master_events.Subscribed():
                self._subscribed(event)
            case master_events.Disconnected():
                self._down()
                state.say("connection", f"{event.why}; what runs goes on, and is heard of when it is back")
            case master_events.Unauthorised():
                self._down()
                cure = "set Stratos.principal and Stratos.secret, then detach the job and attach it"
                state.say("connection", f"{event.why}; {cure}")
            case master_events.Ended():
                self._down()
                state.say("connection", f"the connection has ended, detach the job and attach it: {event.why}")
            case master_events.FrameworkRefused():
                self._refused(event)
            case master_events.MasterError():
                state.say("master", f"the master says: {event.text}")
            case master_events.CallLost():
                if not event.perhaps_arrived:  # else the master is asked about it once it is back
                    self._not_accepted(event.what)
                if event.call in ("REVIVE", "SUPPRESS", "DECLINE"):  # the events may have gone on meanwhile
                    self._loop.call_later(SAY_AGAIN_S, self._say_again, event.what)
            case master_events.CallRefused():
                state.say("master", f"the master refuses {event.call} ({event.status}): {event.text}")
                self._not_accepted(event.what)

    def _subscribed(self, event: master_events.Subscribed) -> None:
        state = self._state
        state.unsay("connection")
        state.unsay("master")
        if state.framework_id != event.framework_id:
            state.framework_id = event.framework_id
            state.executors.clear()  # they name the framework
        state.write_down()
        self.page = messages.page(event.master, state.framework_id)
        self._offers.clear()
        self._connection.up()
        if self._finishing:
            self._finish()
        else:
            self._retransmitter.ask_anew()

    def _down(self) -> None:
        self._connection.down()
        self._offers.clear()  # the master takes them back

    def _refused(self, event: master_events.FrameworkRefused) -> None:
        """Begin anew as another framework: the master has ended the one that there was, and all of its tasks."""
        state = self._state
        self._offers.clear()
        self._connection.stop()
        state.begin_anew()
        if self._finishing:
            self._finished()
            return
        away_s = event.away_s
        if away_s is not None and away_s < state.config.failover_s:  # not the master's timeout: an operator ended it
            held = f"the framework was ended from outside ({event.why}); resume goes on as a new one"
            self._sink.post(PauseAsked(self._sink.now(), held))
        else:
            self._sink.notice(f"the cluster has given the job up ({event.why}): what it had not told runs again")
        if self._connection.wanted:
            self._connection.start()

    def _say_again(self, what: Json) -> None:
        if self._closed or not self._connection.subscribed:  # then all of it is said anew
            return
        if "decline" in what:
            offer_ids = [one["value"] for one in what["decline"]["offer_ids"]]
            self._connection.decline(offer_ids, SOON_REFUSE_S)
        else:
            self._connection.up()

    def _not_accepted(self, call: Json) -> None:
        for operation in call.get("accept", {}).get("operations", ()):
            take_back(self._state, operation.get("launch", {}).get("task_infos", ()))

    def _message(self, event: master_events.Message) -> None:
        place = (event.agent_id, event.executor_id)
        for message in messages.read_messages(event.data):
            match message:
                case ["started", rows]:
                    self._statuses.started(rows)
                case ["kept", records]:
                    self._statuses.kept(event.agent_id, records)
                case ["tail", request, answer]:
                    self._tails.answer(request, answer)
                case ["recalled", batches]:
                    self._state.batches.recalls.difference_update(batches)
                case ["waiting", rows]:
                    self._state.say_or_unsay(f"waiting {place}", linger_notice(rows), aloud=False)
                case ["hello", *_]:
                    self._retransmitter.greeted(place)
                case ["notice", text]:
                    self._state.say_or_unsay(f"executor {place}", str(text))
                case _:
                    pass  # what a newer executor may say beyond this version

    def why_not_offering(self) -> str:
        """Say what keeps the cluster from offering; '' when nothing does that we know of."""
        most, held = self._state.config.max_cpus, self._state.batches.cpus
        if not self._connection.subscribed:
            waiting = "the master has not answered yet" if self._connection.begun else ""
            return self._state.said("connection") or waiting
        if most is not None and held + self._state.config.cpus > most:
            return f"this job's tasks hold {held:g} of the {most:g} cpus that it may have (max_cpus)"
        return ""

    # -- the rest ---------------------------------------------------------------------------------------

    def attach(self, launched: Iterable[LaunchedBatch] = ()) -> None:
        """Take over what an earlier process has launched, and tell of it by `Attached`."""
        survivors: set[Attempt] = set()
        for batch_id, node, attempts in launched if self._state.framework_id else ():
            batch = MesosBatch(batch_id, node, attempts)
            batch.inherited = True
            batch.cpus = sum(self._sink.demand_of(task).cpus for task, _ in attempts[:1])
            self._state.batches.add(batch)
            survivors.update(attempts)
        self._sink.post(Attached(self._sink.now(), frozenset(survivors)))
        if survivors:
            self._connection.start()

    def tail(self, task: int, attempt: int, nbytes: int) -> Future[Tail | None]:
        """Ask for the last bytes of what a running attempt has written; None when it does not run."""
        batch, client = self._state.batches.of((task, attempt)), self._connection.client
        if batch is None or not all(batch.place) or client is None:
            return no_tail()
        request, future = self._tails.ask()
        client.message(*batch.place, messages.pack_messages(["tail", request, task, attempt, nbytes]))
        self._loop.call_later(TAIL_S, self._tails.answer, request, None)
        return future

    def connections(self) -> list[Inherited]:
        """Return the connections to the master."""
        return self._connection.connections()

    def let_go(self) -> None:
        """End the connection; running tasks continue, and the next process to attach finds them."""
        if not self._closed:
            self._shut()
            self._connection.stop()
            self._gone.set_result(None)

    def close(self) -> Future[None]:
        """End what runs and let go of everything; what has not ended in time ends with the framework."""
        batches = self._state.batches
        if not self._gone.done() and not self._closing:
            self._closing = True
            self._connection.want_none()
            for batch in batches:
                batches.kills.update(dict.fromkeys(batch.left, Reason.USER))
            self._retransmitter.kills()
            if len(batches) and self._connection.subscribed:
                self._loop.call_later(CLOSE_S, self._close_now)
            else:
                self._close_now()
        return self._gone

    def _close_now(self) -> None:
        if not self._closed:
            self._shut()
            ending = self._connection.end() if self._ending is None else self._ending
            ending.add_done_callback(lambda _: self._gone.set_result(None))

    def _shut(self) -> None:
        self._closed = True
        self._retransmitter.close()
        self._tails.end()
