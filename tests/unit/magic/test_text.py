"""What line magics print."""

from __future__ import annotations

import pytest

from stratos_jupyter.backend.core.views import JobView
from stratos_jupyter.backend.spec.commands import explicit_lines, glob_commands, template_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.magic.text import preview_text, status_text
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


def test_a_dry_run_says_where_the_name_of_a_file_is() -> None:
    spec = JobSpec("demo", cwd="/data")
    found = preview_text(spec, glob_commands("wc %f%", ["a b"]), "wc %f%").splitlines()
    assert found[2:4] == ["0: wc 'a b'", "   %f% is a b, quoted for its place"]
    script = "#!/usr/bin/env python3\nimport sys; print(sys.argv[1])"
    assert "   $STRATOS_FILE, and its first argument is a b" in preview_text(spec, glob_commands(script, ["a b"]))
    assert "   $STRATOS_FILE is a b" in preview_text(spec, glob_commands('wc "$STRATOS_FILE"', ["a b"]))


def test_a_dry_run_counts_the_comments_of_commands_that_are_written_out_alone() -> None:
    spec, body = JobSpec("demo"), "# one\necho a\n# two\necho b"
    assert "2 lines with a comment left out" in preview_text(spec, explicit_lines(body), body)
    template = template_commands(f"{body} %c%", ["x"])
    assert "comment" not in preview_text(spec, template, f"{body} %c%").replace("# ", "")
