"""Launches as Mesos tasks: which resources each takes of an offer, what it carries, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ...core.decisions import Launch
from ..base import Work
from . import messages
from .agents import KnownAgent
from .batches import MesosBatch
from .framework import FrameworkState
from .offers import EXECUTOR, Json, OfferResources, share

#: several commands in a batch are no longer than this together: master and agent take them in one piece
BATCH_CHARACTERS: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class HeldOffer:
    """An offer that has not been answered."""

    agent: KnownAgent
    resources: Sequence[Json]
    #: what the scheduler was told that may be taken of it
    cpus: float
    #: whether that is less than there is, for what the job may have
    capped: bool = False


def prepare(state: FrameworkState, work: Work, offer: HeldOffer, launches: Sequence[Launch]) -> list[dict[str, Any]]:
    """Return the Mesos tasks of launches on one offer; those that cannot be launched go back.

    Parameters
    ----------
    state : FrameworkState
        What is shared; the batches are in its books afterwards.
    work : Work
        Knows the commands.
    offer : HeldOffer
        What they take their resources of.
    launches : sequence of Launch
        What is to run.
    """
    agent, pool, identity = offer.agent, OfferResources(offer.resources), state.config.identity
    fresh = agent.executor_id not in state.executors
    if fresh:
        agent.killed = False
        executor = messages.executor_info(identity, state.framework_id, state.config.command, pool.take(EXECUTOR))
        agent.executor_id = executor["executor_id"]["value"]
        state.executors[agent.executor_id] = executor
        if not state.write_down():
            agent.lose()
            state.hand_back(attempt for launch in launches for attempt in launch.tasks)
            return []
    executor = state.executors[agent.executor_id]
    tasks = []
    for whole in launches:
        launch, context = _of_one_context(state, work, whole)
        resources = pool.take(share(launch.demand, pool.left))
        rows = [
            [task, attempt, work.command(task), work.file(task), *work.copies(task)] for task, attempt in launch.tasks
        ]
        inputs = {row: names for row, (task, _) in enumerate(launch.tasks) if (names := work.inputs(task)) is not None}
        makes = {row: names for row, (task, _) in enumerate(launch.tasks) if (names := work.makes(task))}
        kept = _fitting(rows, inputs, makes)
        if kept < len(rows):
            state.hand_back(launch.tasks[kept:])
            launch, rows = replace(launch, tasks=launch.tasks[:kept]), rows[:kept]
        named = {
            "inputs": {row: names for row, names in inputs.items() if row < kept},
            "makes": {row: names for row, names in makes.items() if row < kept},
        }
        data = messages.batch_data(context, launch, rows, named)
        tasks.append(messages.task_info(identity, launch, agent.agent_id, executor, resources, data))
        batch = MesosBatch(launch.batch_id, agent.node, launch.tasks)
        batch.agent_id, batch.executor_id = agent.agent_id, agent.executor_id
        batch.cpus, batch.fresh, batch.launched_s = launch.demand.cpus, fresh, state.sink.now()
        state.batches.add(batch)
    return tasks


def _of_one_context(state: FrameworkState, work: Work, launch: Launch) -> tuple[Launch, Mapping[str, object]]:
    """Return the part of a launch whose commands have the first one's context; the rest goes back.

    All commands of a job have the same, but where variables had other values when they were submitted.
    """
    numbers = [work.context_of(task) for task, _ in launch.tasks]
    contexts = {number: work.context(number) for number in dict.fromkeys(numbers)}
    first = contexts[numbers[0]]
    if len(contexts) > 1:
        alike = {number for number, context in contexts.items() if context == first}
        same = [attempt for attempt, number in zip(launch.tasks, numbers, strict=True) if number in alike]
        state.hand_back(attempt for attempt, number in zip(launch.tasks, numbers, strict=True) if number not in alike)
        launch = replace(launch, tasks=tuple(same))
    return launch, first


def _fitting(rows: Sequence[Sequence[Any]], *named: Mapping[int, Sequence[str]]) -> int:
    """Return how many commands a batch may have: one at least."""
    size = 0
    for count, (_, _, *texts) in enumerate(rows):
        size += sum(len(text or "") for text in texts)
        size += sum(len(name) for names in named for name in names.get(count, ()))
        if size > BATCH_CHARACTERS and count:
            return count
    return len(rows)


def still_wanted(state: FrameworkState, launches: Sequence[Launch]) -> list[Launch]:
    """Return of launches what was neither killed nor recalled while they waited for the disk; hand back the rest."""
    left = []
    for launch in launches:
        recalled = launch.batch_id in state.batches.recalls
        state.batches.recalls.discard(launch.batch_id)
        unwanted = {attempt for attempt in launch.tasks if recalled or attempt in state.batches.kills}
        state.hand_back(attempt for attempt in launch.tasks if attempt in unwanted)
        if len(unwanted) < len(launch.tasks):
            left.append(replace(launch, tasks=tuple(one for one in launch.tasks if one not in unwanted)))
    return left


def take_back(state: FrameworkState, tasks: Sequence[Json]) -> None:
    """Launch those of these Mesos tasks elsewhere that the master has surely not got."""
    for task in tasks:
        batch_id = messages.batch_of(task["task_id"]["value"])
        batch = None if batch_id is None else state.batches.get(batch_id)
        if batch is None or batch.begun:
            continue
        agent = state.agents.get(batch.agent_id)
        if batch.fresh and agent is not None and not agent.up:
            agent.lose()
        state.hand_back(state.batches.remove(batch))
