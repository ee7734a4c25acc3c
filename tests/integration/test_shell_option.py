"""``--shell``: what is accepted, what is recorded, and what a run of before keeps."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from stratos_jupyter import Processor
from stratos_jupyter.backend.spec.commands import explicit_commands, glob_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.backend.spec.parse_values import parse_shell
from stratos_jupyter.backend.spec.shell.words import SHELLS
from stratos_jupyter.errors import SpecError
from stratos_jupyter.session import Session
from stratos_jupyter.settings import current


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bash", ("bash",)),
        ("bash -e", ("bash", "-e")),
        ("bash -euo pipefail", ("bash", "-euo", "pipefail")),
        ("bash -e -o pipefail -O extglob", ("bash", "-e", "-o", "pipefail", "-O", "extglob")),
        ("/opt/tools/bin/zsh +x", ("/opt/tools/bin/zsh", "+x")),
        ("bash --norc --login", ("bash", "--norc", "--login")),
        (" sh ", ("sh",)),
        ("zsh -D -o no_clobber", ("zsh", "-D", "-o", "no_clobber")),
    ],
)
def test_shells_with_their_options(text: str, words: tuple[str, ...]) -> None:
    assert parse_shell(text) == words


@pytest.mark.parametrize("shell", sorted(SHELLS))
def test_names_can_be_quoted_for_each_shell_that_can_be_chosen(shell: str) -> None:
    assert glob_commands("wc %f%", ["a b"], shell=shlex.join(parse_shell(f"{shell} -e"))).command(0) == "wc 'a b'"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "write bash, sh, zsh"),
        ("python3", "a first line #!/usr/bin/env python3"),
        ("fish", "is no shell that is known"),
        ("bash -c", "leave -c and -s out"),
        ("bash -ec", "leave -c and -s out"),
        ("bash script.sh", "'script.sh' is no option"),
        ("bash -n", "with -n no command would be run"),
        ("sh -en", "with -en no command would be run"),
        ("bash -D", "with -D no command would be run"),
        ("bash --version", "with --version no command would be run"),
        ("bash --pretty-print", "no command would be run"),
        ("bash -e -o noexec", "with noexec no command would be run"),
        ("zsh -o NO_EXEC", "with NO_EXEC no command would be run"),
        ("zsh --no-exec", "no command would be run"),
        ("bash -e --", "with -- no command would be run"),
        ("bash -o", "needs a name"),
        ("bash 'a", "No closing quotation"),
        ("bash -e; rm x", "is no shell that is known|is no option"),
    ],
)
def test_what_is_no_shell_is_said_so(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=f"(?i){said}"):
        parse_shell(text)


def test_it_is_recorded_and_a_run_of_before_keeps_sh() -> None:
    assert JobSpec().shell == ("bash", "-e")
    spec = JobSpec(shell=("bash", "-euo", "pipefail"))
    record = spec.to_record()
    assert JobSpec.from_record(record) == spec
    del record["shell"]
    assert JobSpec.from_record(record).shell == ("sh",)


def test_one_that_this_machine_lacks_is_refused_before_anything_starts(session: Session) -> None:
    with pytest.raises(SpecError, match=r"--shell ksh93: this machine has no ksh93; install it"):
        session.submit(JobSpec(shell=("ksh93",)), explicit_commands(["true"]))
    assert session.jobs() == []


@pytest.mark.parametrize("place", ["~/tools", "tools", "./tools"])
def test_its_path_may_begin_at_home_or_in_the_working_directory(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "bash").symlink_to(shutil.which("bash") or "/bin/bash")
    monkeypatch.setenv("HOME", str(tmp_path))
    job = session.submit(
        JobSpec(shell=parse_shell(f"{place}/bash -e"), cwd=str(tmp_path)), explicit_commands(["[[ a ]]"])
    )
    assert job.wait(60.0)
    assert job.spec.shell == (f"{tmp_path}/tools/bash", "-e")
    assert job.df.state.tolist() == ["FINISHED"]


def test_from_python_and_as_a_setting(session: Session) -> None:
    command = "false; echo ${BASH_VERSION:+bash}"
    job = Processor("local", job_id="shells", shell="bash")
    job.explicit_batch([command])
    assert job.get_results() == ["bash\n"]
    settings = current()
    settings.shell = "sh"
    try:
        job = Processor("local", job_id="shells")
        job.explicit_batch([command])
        assert job.get_results() == ["\n"]
    finally:
        settings.shell = "bash -e"
    with pytest.raises(SpecError, match="shell: 'fish' is no shell"):
        Processor("local", shell="fish")
