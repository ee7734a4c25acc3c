"""Why a task waits, in plain words: from the offers that were really seen, with what would change it.

Each function returns clauses, which `phrases.sentences` makes lines of. `explain` gathers what they say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .offer_history import OfferHistory, OwnShare
from .phrases import WORDS, amount_text, ordinal, plural, seconds_text
from .resources import SLACK, Resources
from .rules import Rules
from .states import TERMINAL, TaskState

#: a cluster that has offered nothing for this long is worth a word, in seconds
SILENT_S: Final = 5.0
#: with fewer cores than these no command is worth starting
CPUS_LEAST: Final = 0.5


@dataclass(frozen=True, slots=True)
class WaitingTask:
    """What the scheduler knows of tasks that wait for the same.

    Attributes
    ----------
    task : int or None
        Which was asked for; None when it is the first of several.
    demand : Resources
        What each of them asks for.
    before : int
        How many wait before it.
    backing_off_s : float or None
        How long until it is tried again; None when it does not rest.
    local : tuple of str
        The hosts whose offers it takes; empty when any will do.
    sought : bool
        Whether these are being found out.
    local_left_s : float
        For how long it goes on waiting for them, while others offer.
    passed : int
        Offers that were passed over for that.
    passing : bool
        Whether one that was is still passing by.
    """

    task: int | None
    demand: Resources
    before: int = 0
    backing_off_s: float | None = None
    local: tuple[str, ...] = ()
    sought: bool = False
    local_left_s: float = 0.0
    passed: int = 0
    passing: bool = False


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What holds for all tasks of a job.

    Attributes
    ----------
    rules : Rules
        Of the job.
    held : str
        Why nothing is launched; '' when that is not so.
    at_once, begun, nodes : int
        How many launches wait for no other, how many commands are known to have begun, and on how many nodes.
    opens_s : float or None
        How long until the clock lets the next one through.
    silent_s : float or None
        How long ago the last offer came; None when none has.
    engine : str
        What the engine has to say, as a clause; ''.
    alone : bool
        Whether the engine is this machine.
    own : mapping of str to OwnShare
        What the job has of each node.
    """

    rules: Rules
    held: str
    at_once: int
    begun: int
    nodes: int
    opens_s: float | None
    silent_s: float | None
    engine: str = ""
    alone: bool = False
    own: Mapping[str, OwnShare] = field(default_factory=dict)


def _commands(count: int, one: str, many: str) -> str:
    return f"{plural(count, 'command')} {one if count == 1 else many}"


def reasons(wait: WaitingTask, facts: JobFacts, seen: OfferHistory, job: str) -> list[str]:
    """Say what tasks wait for, and what would change it.

    Parameters
    ----------
    wait, facts, seen
        What is known.
    job : str
        How the job is named in a command that would help.
    """
    gate = throttle_text(facts, job)
    if wait.backing_off_s is not None:
        due = f"it failed and is tried again in {seconds_text(wait.backing_off_s)}"
        return [f"{due}; %stratos relaunch {job} {wait.task} does not wait for that", *gate]
    if gate:
        return gate
    lines = _lacking(wait, facts, seen)
    if (wait.local or wait.sought) and wait.local_left_s > 0:
        lines.append(_for_a_block(wait, job))
    lines += _offers(facts, bool(lines))
    if wait.task is not None:
        lines.append(f"task {wait.task} is {ordinal(wait.before + 1)} in the queue")
    return lines


def throttle_text(facts: JobFacts, job: str) -> list[str]:
    """Say what keeps all tasks of a job from being launched."""
    rules = facts.rules
    if facts.held:
        return [f"nothing is launched: {facts.held}; %stratos resume {job} goes on"]
    if rules.max_tasks is not None and facts.at_once >= rules.max_tasks:
        if facts.begun >= facts.at_once:
            bound = f"{_commands(facts.at_once, 'runs', 'run')}, and at most {rules.max_tasks:,} may at once"
        else:
            bound = f"{_commands(facts.at_once, 'is', 'are')} launched, and at most {rules.max_tasks:,} may run at once"
        return [f"{bound}; %stratos set {job} max_tasks=none takes the bound away"]
    if facts.opens_s is not None:
        what = "rate" if rules.rate_per_s is not None else "delay"
        pace = f"{rules.rate_per_s:g} launches a second" if what == "rate" else f"{rules.delay_s:g} s between launches"
        soon = f"the pace is {pace}, the next is due in {seconds_text(facts.opens_s)}"
        return [f"{soon}; %stratos set {job} {what}=none takes that away"]
    return []


def _lacking(wait: WaitingTask, facts: JobFacts, seen: OfferHistory) -> list[str]:
    lines = []
    lacks, full = seen.lacks(wait.demand, facts.own)
    if full:
        offered = "this machine" if facts.alone else plural(full, "node")
        lines.append(f"the slots that {offered} offered are busy with this job's own tasks")
    for lack in lacks:
        word, option = WORDS[lack.name]
        wanted, most = (amount_text(lack.name, amount) for amount in (getattr(wait.demand, lack.name), lack.most))
        word = word.removesuffix("s") if wanted == "1" else word
        text = f"{plural(lack.offers, 'offer')} lacked {wanted} {word} (largest: {lack.node}, {most})"
        if lack.own:
            lines.append(f"{text} beside this job's own tasks; with a smaller {option} more run at once")
        else:
            fits = lack.most >= (CPUS_LEAST if lack.name == "cpus" else SLACK)
            lines.append(f"{text}; a smaller {option} would fit it" if fits else text)
    for why, offers, nodes in seen.unfits():
        lines.append(f"{plural(offers, 'offer')} of {plural(nodes, 'node')} did not fit: {why}")
    return lines


def _for_a_block(wait: WaitingTask, job: str) -> str:
    hosts = ", ".join(wait.local[:3]) + (" …" if len(wait.local) > 3 else "")
    whose = "its inputs" if wait.task is not None else "the inputs of the first of them"
    passed = f"{plural(wait.passed, 'offer')} passed over" if wait.passed else "nothing passed over yet"
    where = f"for a node where {whose} lie ({hosts})" if wait.local else f"to hear where {whose} lie"
    if not wait.passing:  # so it is not this that it waits for now, and to wait no longer would not help
        who = "it waits" if wait.task is not None else "they wait"
        return f"once other nodes offer, {who} {where}, {seconds_text(wait.local_left_s)} at most"
    left = f"{passed} while waiting {where}, {seconds_text(wait.local_left_s)} left"
    return f"{left}; %stratos set {job} locality_wait=0 waits no longer"


def _offers(facts: JobFacts, explained: bool) -> list[str]:
    """Say what the cluster, or this machine, is doing meanwhile."""
    where = "this machine" if facts.alone else plural(facts.nodes, "node")
    if facts.engine:
        return [facts.engine]
    if facts.silent_s is None:
        return ["nothing has been offered yet"]
    lines = []
    if facts.at_once:
        if facts.begun >= facts.at_once:
            lines.append(f"{plural(facts.at_once, 'command')} of this job run at once on {where}")
        else:
            lines.append(f"{plural(facts.at_once, 'launch', 'launches')} of this job are on {where}")
    if facts.silent_s >= SILENT_S:
        busy = "it takes what comes free" if facts.at_once else "the cluster has nothing free for this job"
        lines.append(f"nothing has been offered for {seconds_text(facts.silent_s)}: {busy}")
    if not lines and not explained:
        lines.append(f"the last offer came {seconds_text(facts.silent_s)} ago")
    return lines


def where_text(state: TaskState, node: str, since_s: float | None) -> str:
    """Say where a task is that does not wait."""
    if state in TERMINAL:
        return f"it has ended: {state.name.lower()}"
    if state is TaskState.UNREACHABLE:
        return f"it is on {node}, which does not answer now; it may still run"
    if since_s is not None:
        return f"it has run on {node} for {seconds_text(max(0.0, since_s))}"
    return f"it was launched on {node} and has not begun: others of its batch go first, or its executor starts"


def backing_off_text(count: int, due_s: float) -> str:
    """Say that tasks wait before they are tried again."""
    rest = f"{plural(count, 'task')} {'rests' if count == 1 else 'rest'} before a retry"
    return f"{rest}, the next is due in {seconds_text(due_s)}"
