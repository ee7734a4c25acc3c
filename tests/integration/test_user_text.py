"""What users type reaches the shell as they mean it: marks, lines and parameters, in cells and from Processor."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from stratos_jupyter import Processor
from stratos_jupyter import session as sessions
from stratos_jupyter.errors import SpecError
from tests.support.waiting import until

Run = Callable[[str], Any]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Files with brackets in them, under names that need quotes."""
    names = ["-x.dat", "a.dat", "b two.dat", "it's.dat"]
    for name in names:
        (tmp_path / name).write_text("<5>\n0-9\n<tag>\n")
    return names


def outputs(shell: InteractiveShell) -> list[str]:
    frame = shell.user_ns["df"]
    assert frame.state.tolist() == ["FINISHED"] * len(frame), frame.stderr.tolist()
    return [str(text) for text in frame.stdout]


@pytest.mark.parametrize(
    ("command", "out"),
    [
        ("grep -c '<[0-9]>' FILE", "1\n"),
        ('grep -c "<[0-9]>" FILE', "1\n"),
        ("sed -n 's/<[a-z]*>/!/p' FILE", "!\n"),
        ("awk '/<[^>]*]>/ { n++ } END { print n + 0 }' FILE", "0\n"),
        ("cat <<E\n<[a]>\nE\ntest -e FILE", "<[a]>\n"),
        ("test -e FILE # <[nothing]>", ""),
    ],
)
def test_what_is_no_mark_reaches_the_program_in_every_kind_of_cell(
    shell: InteractiveShell, run: Run, files: list[str], command: str, out: str
) -> None:
    run("%%stratos glob *.dat --into df --wait\n" + command.replace("FILE", "%f%"))
    assert outputs(shell) == [out] * 4
    shell.user_ns["rows"] = ["a.dat"]
    run("%%stratos template rows --into df --wait\n" + command.replace("FILE", "%c%"))
    assert outputs(shell) == [out]
    if "\n" not in command:
        run("%%stratos explicit --into df --wait\n" + command.replace("FILE", "a.dat"))
        assert outputs(shell) == [out]
    processor = Processor("local")
    processor.explicit_batch([command.replace("FILE", "a.dat")])
    assert processor.get_results() == [out]


def test_marks_are_inputs_and_words_in_every_kind_of_cell(shell: InteractiveShell, run: Run, files: list[str]) -> None:
    run("%%stratos glob *.dat --job g --into df --wait\ncat <[%f%]> <['b two.dat']> | wc -l")
    assert outputs(shell) == ["6\n"] * 4
    commands = sessions.current().job("g").commands
    assert [commands.inputs(task) for task in range(4)] == [(name, *{"b two.dat"} - {name}) for name in files]
    shell.user_ns["rows"] = [["a.dat"], ["<['it'\\''s.dat' a.dat]>"]]
    run("%%stratos template rows --job t --into df --wait\ncat %c% <[[ab]*.dat]> | wc -l")
    assert outputs(shell) == ["9\n", "12\n"]
    assert sessions.current().job("t").commands.inputs(1) == ("it's.dat", "a.dat", "b two.dat")
    run("%%stratos explicit --job e --into df --wait\ncat <[a.dat 'b two.dat']> | wc -l\nwc -l < <[a.dat]>")
    assert outputs(shell) == ["6\n", "3\n"]
    assert sessions.current().job("e").commands.inputs(0) == ("a.dat", "b two.dat")
    assert not any(sessions.current().job(name).view.notices for name in "gte")


def test_a_mark_that_is_no_input_is_said_once_with_the_cure(
    run: Run, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sub").mkdir()
    for mark, said in (
        ("<[no*pe]>", "no*pe (no file matches)"),
        ("<[sub]>", "marked, and a directory: sub; --resume looks at what is in it, but no task is placed by it."),
        ("<[su*/]>", "For that mark its files: <[su*/*]>"),
        ("<[absent]>", "absent (not there)"),
        ("<[s3://b/k]>", "s3://b/k (neither on this machine nor on HDFS (hdfs:/...))"),
        ("<[https://h/f]>", "https://h/f (neither on this machine nor on HDFS (hdfs:/...))"),
        ("<[$HOME/x]>", "$HOME/x (what $HOME holds is known to the task alone; write the name itself)"),
        ("'<[b two.dat]>'", "in quotes, though there is such a file: b two.dat; write <['b two.dat']>"),
        ("--in=<[a.dat]> x", "no mark, but a redirection to the shell: <[a.dat]>; a mark is a word of its own"),
    ):
        run(f"%%stratos explicit --job said --wait\n: {mark} || true\n: {mark} || true")
        job = sessions.current().job("said")
        until(lambda job=job: job.view.notices)
        assert len(job.view.notices) == 1, (mark, job.view.notices)
        assert said in job.view.notices[0]
        capsys.readouterr()
        run("%stratos status said")
        assert said in capsys.readouterr().out
        run(f"%%stratos explicit --job said --dry-run\n: {mark}")
        assert said in capsys.readouterr().out


def test_a_mark_that_breaks_its_command_is_refused_with_the_cure(run: Run, files: list[str]) -> None:
    for cell in ("explicit --wait\nprog --in=<[a.dat]>", "glob *.dat --wait\nprog %f% --in=<[%f%]>"):
        with pytest.raises(
            SpecError, match=r"nothing follows < or >; <\[ \]> marks an input only as a word of its own"
        ):
            run(f"%%stratos {cell}")


def test_a_processor_says_it_too(session: sessions.Session, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    processor = Processor("local", job_id="p")
    with caplog.at_level(logging.WARNING):
        processor.template_batch(f"cat <[{tmp_path}/%c%]> || true", ["absent"])
    assert f"{tmp_path}/absent (not there)" in caplog.text
    until(lambda: any("(not there)" in notice for notice in processor.job.view.notices))


def test_a_dry_run_shows_what_is_put_in_and_taken_out(
    run: Run, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("%%stratos glob *.dat --dry-run\r\ncat %f% <[a*.dat]>\r\ntrue\r\n")
    assert capsys.readouterr().out.splitlines() == [
        "untitled on local: 4 tasks, each 1 cpu",
        "read by bash -e",
        "0: cat ./-x.dat a*.dat",
        "   true",
        "   %f% is ./-x.dat: ./ stands before a name that begins with a dash",
        f"   input, by its mark: a*.dat is {tmp_path}/a.dat",
        "1: cat a.dat a*.dat",
        "   true",
        f"   input, by its mark: a*.dat is {tmp_path}/a.dat",
        "2: cat 'b two.dat' a*.dat",
        "   true",
        "   %f% is b two.dat, quoted for its place",
        f"   input, by its mark: a*.dat is {tmp_path}/a.dat",
        "… and 1 more",
        "the line ends of the cell are read as Unix has them",
        "nothing was started",
    ]
    run("%%stratos explicit --dry-run\n# one\necho a # b\n  # c\n")
    assert "2 lines with a comment left out" in capsys.readouterr().out
    run("%%stratos glob [ab]*.dat --dry-run\n#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1])")
    assert "   $STRATOS_FILE, and its first argument is a.dat\n" in capsys.readouterr().out


def test_quotes_of_a_web_page_are_said_and_run(
    shell: InteractiveShell, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("%%stratos explicit --job q --into df --wait\necho “a b”")
    assert outputs(shell) == ["“a b”\n"]
    assert any("“ in line 1" in notice for notice in sessions.current().job("q").view.notices)
    run("%%stratos explicit --dry-run\necho\u00a0a")
    assert "a no-break blank in line 1" in capsys.readouterr().out


def test_a_script_finds_its_file_as_its_first_argument(
    shell: InteractiveShell, run: Run, files: list[str], tmp_path: Path
) -> None:
    run("%%stratos glob *two.dat --job py --into df --wait\n#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1])")
    assert outputs(shell) == ["b two.dat\n"]
    run(
        '%%stratos glob *two.dat --job s --into df --wait\n#!/bin/bash\necho "$1"; for ((i=0;i<2;i++)); do echo $i;done'
    )
    assert outputs(shell) == ["b two.dat\n0\n1\n"]


def test_running_again_looks_at_the_files_of_a_pattern(shell: InteractiveShell, run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_text("a\n")
    cell = "%%stratos explicit --job again --into df --resume --wait\ncat <[*.dat]>"
    run(cell)
    (tmp_path / "b.dat").write_text("b\n")
    run(cell)
    assert outputs(shell) == ["a\nb\n"]
    sessions.close()  # a new kernel reads it from the journal
    run(cell)
    assert sessions.current().job("again").commands.inputs(1) == ("a.dat", "b.dat")
    assert outputs(shell) == ["a\nb\n"]


def test_a_loop_over_lines_runs_nothing(run: Run, files: list[str], tmp_path: Path, state_home: Path) -> None:
    with pytest.raises(SpecError, match=r"line 1: 'for d in \*; do'.*line 3: 'done'"):
        run("%%stratos explicit --wait\nfor d in *; do\n  rm -r ./$d*\ndone")
    with pytest.raises(SpecError, match="line 2: 'for d in x; do'"):
        Processor("local").explicit_batch("true\nfor d in x; do\n  rm -r ./$d*\ndone")
    assert sorted(name for name in files if (tmp_path / name).exists()) == files


def test_complete_lines_run(shell: InteractiveShell, run: Run) -> None:
    run(
        "%%stratos explicit --into df --wait\r\n"
        "for i in 1 2; do echo $i; done  # a loop; of two\r\n"
        "# echo not me\r\n"
        "if true; then echo yes; fi\r\n"
        "echo a \\\r\n  b\r\n"
    )
    assert outputs(shell) == ["1\n2\n", "yes\n", "a b\n"]


def test_a_string_of_a_processor_is_split_between_commands(session: sessions.Session) -> None:
    processor = Processor("local")
    processor.explicit_batch("for i in 1 2; do echo $i; done; echo 'a;b'\n# no\necho c # d; e")
    assert processor.get_results() == ["1\n2\n", "a;b\n", "c\n"]
    processor = Processor("local")
    processor.explicit_batch(line for line in ("echo 1", "cat <<E\n2\nE"))
    assert processor.get_results() == ["1\n", "2\n"]


def test_parameters_of_many_kinds_run(shell: InteractiveShell, run: Run) -> None:
    shell.user_ns["p"] = {"seed": range(2), "model": "nfw"}
    run("%%stratos template p --into df --wait\necho %seed% %model% $(date +%Y | wc -l)")
    assert outputs(shell) == ["0 nfw 1\n", "1 nfw 1\n"]
    assert shell.user_ns["df"][["seed", "model"]].values.tolist() == [["0", "nfw"], ["1", "nfw"]]
    processor = Processor("local")
    processor.template_stream("echo %a%", ({"a": n} for n in range(2)))
    assert processor.stream is not None
    processor.stream.add([{"a": 5}])
    processor.wait()
    assert sorted(processor.get_results()) == ["0\n", "1\n", "5\n"]


def test_a_first_line_reads_every_command(shell: InteractiveShell, run: Run, files: list[str]) -> None:
    python = "#!/usr/bin/env python3\n"
    run(f"%%stratos explicit --into df --wait\n{python}print('a; b')\n# no\nimport sys; print('<[x]>', 1 <2)")
    assert outputs(shell) == ["a; b\n", "<[x]> True\n"]
    run(f"%%stratos glob a.dat --into df --wait\n{python}import sys\nprint(len(open('%f%').read()), sys.argv[1])")
    assert outputs(shell) == ["14 a.dat\n"]
    with pytest.raises(SpecError, match=r"cannot be quoted for python3, .* need it: 'b two\.dat'"):
        run(f"%%stratos glob *.dat --wait\n{python}print('%f%')")


def test_a_job_of_another_shell_is_read_as_that(run: Run, files: list[str]) -> None:
    with pytest.raises(SpecError, match="shells differ"):
        run("%%stratos glob *.dat --shell sh --dry-run\necho $'a\\'b' %f%")
    run("%%stratos glob *.dat --dry-run\necho $'a\\'b' %f%")


def test_missing_values_run_nothing(shell: InteractiveShell, run: Run, tmp_path: Path) -> None:
    (tmp_path / "NA").write_text("kept")
    shell.user_ns["sheet"] = pd.DataFrame({"n": pd.array([1, pd.NA], "Int64"), "f": ["x", None]})
    with pytest.raises(SpecError, match=r"row 1, column n is missing \(<NA>\); row 1, column f is missing"):
        run("%%stratos template sheet --wait\necho %n% %f%")
    with pytest.raises(SpecError, match="row 1, column n is missing"):
        Processor("local").template_batch("echo %n%", shell.user_ns["sheet"])
    assert (tmp_path / "NA").read_text() == "kept"


def test_it_is_what_bash_would_run(shell: InteractiveShell, run: Run, files: list[str]) -> None:
    """A text without a placeholder or a mark is run byte for byte."""
    lines = [
        "[[ a == a ]] && echo {1..3} $'\\t' <<< x",
        "x=(1 2); echo ${x[1]} &> /dev/stdout",
        "printf '%s\\n' '<[a]>' \"it's\" a\\ b",
        "echo $((1+2)) ${HOME:+x} `echo y`",
        'cat < a.dat 2>&1 | sort | head -n 1; echo "$(case a in a) echo z;; esac)"',
        "f() { echo $1; }; f 1",
    ]
    run("%%stratos explicit --into df --wait\n" + "\n".join(lines))
    assert shell.user_ns["df"].command.tolist() == lines
    assert outputs(shell) == [
        subprocess.run(["bash", "-ec", line], capture_output=True, text=True, check=True).stdout for line in lines
    ]
