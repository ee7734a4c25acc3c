"""How states look: the report's style sheet has the same colours as its pictures."""

from __future__ import annotations

import re

from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.live.bundle import STATIC
from stratos_jupyter.report.states import COLOURS


def test_the_style_sheet_has_the_colours_of_the_pictures() -> None:
    text, _, _ = (STATIC / "report.css").read_text("utf-8").partition("@media")  # dark pages have lighter ones
    found = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", text))
    shown = {TaskState[name.upper()]: colour for name, colour in found.items() if name.upper() in TaskState.__members__}
    assert shown
    assert shown.items() <= COLOURS.items()
