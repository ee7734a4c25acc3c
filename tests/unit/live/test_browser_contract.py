"""The two halves of the widget name the same things: verbs, actions, states and their order."""

from __future__ import annotations

import re

from stratos_jupyter.backend.core.states import TERMINAL, TaskState
from stratos_jupyter.live.actions import JobActions
from stratos_jupyter.live.bundle import STATIC, bundled
from stratos_jupyter.live.messages import verbs_of
from stratos_jupyter.live.publisher import JobListPublisher, JobPublisher
from stratos_jupyter.live.query import COLUMNS
from stratos_jupyter.live.requests import RequestHandler
from stratos_jupyter.live.state_delta import SUPERSEDED
from stratos_jupyter.live.task_detail import TaskDetail
from stratos_jupyter.report.states import BAR_ORDER, COLOURS, SIGNS


def quoted(text: str) -> list[str]:
    return re.findall(r'"([^"]*)"', text)


def declared(name: str, of: str = "dom.js") -> str:
    """Return what stands behind the equals sign of a top-level constant."""
    found = re.search(
        rf"^(?:export )?const {name} = (.*?);$", (STATIC / of).read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found is not None, name
    return found[1]


def test_every_verb_that_the_browser_sends_is_handled_and_the_reverse() -> None:
    sent = set(re.findall(r'\b(ask|do): "(\w+)"', bundled()))
    handled = verbs_of(JobPublisher, RequestHandler, TaskDetail, JobActions)
    assert sent == set(handled)
    assert not re.findall(r"\b(?:ask|do): (?!\")", bundled()), "a verb is spelled where it is sent"
    assert set(verbs_of(JobListPublisher)) == {("ask", "watch"), ("ask", "hide")}


def test_every_button_acts_as_the_table_of_actions_says_and_the_reverse() -> None:
    _, _, table = (STATIC / "actions.js").read_text("utf-8").partition("export const ACTIONS = {")
    listed = set(re.findall(r"^  (?:async )?(\w+)(?:: |\()", table, re.MULTILINE))
    used = {name for call in re.findall(r"\bact\(([^;]*?)[,)]", bundled()) for name in quoted(call)}
    assert used == listed


def test_states_have_the_kernel_s_numbers() -> None:
    names = quoted(declared("NUMBERED"))
    assert names == [state.name.lower() for state in TaskState]
    assert len(names) == SUPERSEDED, "what follows the last state is a task that its job has let go of"
    assert {state for state in TaskState if state >= int(declared("ENDED_FROM"))} == TERMINAL


def test_states_stand_in_the_bar_s_order() -> None:
    assert re.findall(r'name: "(\w+)"', declared("STATES")) == [state.name.lower() for state in BAR_ORDER]
    assert set(BAR_ORDER) == set(COLOURS) == set(SIGNS) == set(TaskState)


def test_the_table_sorts_by_the_kernel_s_columns() -> None:
    assert tuple(re.findall(r'\["(\w+)", "', declared("COLUMNS", "task_table.js"))) == COLUMNS
