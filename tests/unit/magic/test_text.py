"""What line magics print."""

from __future__ import annotations

import pytest

from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.magic.text import status_text
from stratos_jupyter.report.text import facts, inputs_text

GIB = 1024**3


@pytest.mark.parametrize(
    ("local", "remote", "waited_s", "text"),
    [
        (0, 0, 0.0, ""),
        (0, 0, 2.0, "2.0 s of all tasks together waited for that"),
        (3 * GIB, GIB, 41.0, "75.0 % of 4.0 GiB local, 41 s of all tasks together waited for that"),
        (GIB, 0, 0.0, "100 % of 1.0 GiB local"),
        (999, 1, 0.0, "99.9 % of 1,000 B local"),
    ],
)
def test_where_inputs_lay(local: int, remote: int, waited_s: float, text: str) -> None:
    view = JobView("demo", 1, "x", (0,) * 8, 0.0, 0.0, local_bytes=local, remote_bytes=remote, waited_s=waited_s)
    assert inputs_text(view) == text
    assert ("inputs: " in status_text(view)) == bool(text)
    assert dict(facts(view)).get("Inputs", "") == text
