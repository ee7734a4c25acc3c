"""What a cell that is run again may change."""

from __future__ import annotations

from dataclasses import fields

import pytest

from stratos_jupyter.backend.core.rules import Cause, Halt, Rules
from stratos_jupyter.backend.core.states import Reason
from stratos_jupyter.backend.spec.commands import (
    commands_from_record,
    explicit_commands,
    glob_commands,
    template_commands,
)
from stratos_jupyter.backend.spec.job_spec import JobSpec, OutputMode
from stratos_jupyter.backend.spec.options import OPTIONS
from stratos_jupyter.errors import SpecError
from stratos_jupyter.runs.changed_options import refuse_others


def test_every_field_of_a_job_is_decided_by_one_option() -> None:
    decided = [field.name for option in OPTIONS for field in option.decides]
    assert len(decided) == len(set(decided))
    every = {one.name for of in (JobSpec, Rules) for one in fields(of)}
    assert every - set(decided) == {"rules", "threads_given"}  # the rules are decided field by field


def test_a_refusal_names_all_and_is_short() -> None:
    old = JobSpec("demo", output=OutputMode.NONE, monitor_source="def watch():\n" + "    pass\n" * 1000)
    with pytest.raises(SpecError) as caught:
        refuse_others(old, Rules(), JobSpec("demo", role="physics"))
    said = str(caught.value)
    assert said.startswith(
        "--role is 'physics', and was '*'; --output is 'scheduler', and was 'none'; the monitor's source"
    )
    assert said.endswith("Leave it as it was, or leave --resume out to run all anew")
    assert len(said) < 400


def test_another_shell_is_refused_with_the_option_that_goes_on() -> None:
    """A run of version 0.1.0 has sh, and a cell that does not name a shell has bash."""
    with pytest.raises(SpecError, match=r"--shell is bash -e, and was sh: .* as it was \(--shell sh\), or leave"):
        refuse_others(JobSpec(shell=("sh",)), Rules(), JobSpec())
    with pytest.raises(SpecError, match=r"as it was \(--shell 'bash -euo pipefail'\)"):
        refuse_others(JobSpec(shell=("bash", "-euo", "pipefail")), Rules(), JobSpec())


def test_what_has_changed_is_said_as_it_is_typed() -> None:
    rules = Rules(halt=Halt(3, 0.1), retry_on=(Cause(Reason.EXIT, 1), Cause(Reason.MEMORY)))
    assert refuse_others(JobSpec(), Rules(), JobSpec(mem_mib=2048, timeout_s=60, rules=rules)) == [
        "from now on --mem 2048M (was not set), --timeout 60s (was not set), --retry-on exit:1,memory (was not set), "
        "--halt 10% (was not set)"
    ]
    assert refuse_others(JobSpec(), Rules(), JobSpec(master="local[2]")) == [
        "the engine stays local, where the run began (the cell has local[2])"
    ]
    assert refuse_others(JobSpec(), Rules(), JobSpec()) == []
    assert refuse_others(JobSpec(), Rules(retry_delay_s=0.0), JobSpec(linger_s=0.0)) == [
        "from now on --linger 0s (was not set), --retry-delay 1s (was 0s)"
    ]


@pytest.mark.parametrize(
    "commands",
    [
        glob_commands("cat %f%", ["a", "b", "c"]),
        template_commands("echo %x%", {"x": [1, 2, 3]}),
        explicit_commands(["echo a", "echo b", "echo c"]),
    ],
)
def test_some_commands_of_a_call_are_a_call(commands: object) -> None:
    some = commands.select([2, 0])  # type: ignore[arg-type]
    assert [some.command(index) for index in range(len(some))] == [commands.command(2), commands.command(0)]  # type: ignore[attr-defined]
    assert some.values(0) == commands.values(2)  # type: ignore[attr-defined]
    again = commands_from_record(some.to_record())
    assert [again.command(index) for index in range(2)] == [some.command(index) for index in range(2)]
