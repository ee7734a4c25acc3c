"""The README's tables are those of the program."""

from __future__ import annotations

import runpy
from pathlib import Path

from stratos_jupyter.backend.spec.options import LIVE, LIVE_TEXT

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_the_readme_has_the_options_that_there_are() -> None:
    rendered = runpy.run_path(str(ROOT / "docs" / "readme_tables.py"))["rendered"]
    assert rendered(README) == README, "python docs/readme_tables.py brings README.md up to date"


def test_the_readme_has_what_can_be_changed_while_a_job_runs() -> None:
    line = next(line for line in README.splitlines() if line.startswith("| `%stratos set"))
    assert [name for name in LIVE if f"`{name}`" not in line] == []
    assert LIVE_TEXT.count(",") == line.count("`, `")
