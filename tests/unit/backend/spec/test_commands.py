"""Jobs and commands: checked before anything starts, expanded when asked for."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.spec.command_lines import read_lines
from stratos_jupyter.backend.spec.commands import (
    commands_from_record,
    explicit_commands,
    explicit_lines,
    glob_commands,
    template_commands,
)
from stratos_jupyter.backend.spec.job_spec import JobSpec, OutputMode
from stratos_jupyter.backend.spec.parse_values import parse_columns, parse_duration_s, parse_size_mib
from stratos_jupyter.backend.spec.shell.typography import pasted
from stratos_jupyter.backend.spec.workload import CommandEnv, Workload
from stratos_jupyter.errors import SpecError
from tests.support.filenames import AWKWARD


def split_explicit(text: str) -> list[str]:
    return read_lines(text, semicolons=True).texts()


def split_lines(text: str) -> list[str]:
    return read_lines(text).texts()


def expanded(commands: Any) -> list[str]:
    return [commands.command(index) for index in range(len(commands))]


# -- glob ---------------------------------------------------------------------------------------------------


def test_a_glob_has_a_command_for_each_file() -> None:
    commands = glob_commands("wc -l %f%", ["a.dat", "b c.dat"])
    assert expanded(commands) == ["wc -l a.dat", "wc -l 'b c.dat'"]
    assert commands.placeholders == ("file",)
    assert commands.values(1) == ("b c.dat",)
    assert commands.file(1) == "b c.dat"


def test_brackets_mark_inputs_and_vanish_but_not_from_names() -> None:
    commands = glob_commands("prog <[/tables/%f%]> <[/tables/fixed]> %f%", ["<[x]>"])
    assert commands.command(0) == "prog /tables/'<[x]>' /tables/fixed '<[x]>'"
    assert commands.inputs(0) == ("<[x]>", "/tables/<[x]>", "/tables/fixed")


@pytest.mark.parametrize(
    ("marked", "path"),
    [
        ("<['/d/two words']>", "/d/two words"),
        ('<["/d/two words"]>', "/d/two words"),
        (r"<[/d/two\ words]>", "/d/two words"),
        ("<[/d/'two words'/x]>", "/d/two words/x"),
        ("""echo "it's" <['/d/x']>""", "/d/x"),
    ],
)
def test_brackets_mark_the_file_that_the_shell_reads(marked: str, path: str) -> None:
    assert explicit_commands([f"cat {marked}"]).inputs(0) == (path,)
    assert template_commands("cat %c%", [[marked]]).inputs(0) == (path,)
    assert glob_commands(f"cat {marked} %f%", ["f"]).inputs(0) == ("f", path)


@pytest.mark.parametrize("text", ["grep -c '<[0-9]>' f", "sed 's/<[a-z]>//' f", "cat <[0-9]>out", "p --in=<[f]> x"])
def test_what_is_no_mark_is_left_byte_for_byte(text: str) -> None:
    for commands in (
        explicit_commands([text]),
        template_commands(f"{text} %c%", ["x"]),
        glob_commands(f"{text} %f%", ["x.d"]),
    ):
        assert commands.command(0).startswith(text)
        assert commands.marks(0) == ()
        assert set(commands.inputs(0)) <= {"x.d"}


def test_several_files_in_one_mark_are_inputs_each() -> None:
    commands = explicit_commands(["cat <[a.dat '/d/b c']> <[{x,y}.d]>"])
    assert commands.command(0) == "cat a.dat '/d/b c' {x,y}.d"
    assert commands.inputs(0) == ("a.dat", "/d/b c", "x.d", "y.d")


def test_files_of_a_pattern_are_those_that_were_found() -> None:
    commands = explicit_commands(["cat <[d/*.dat]> <[e]>"]).with_found({"d/*.dat": ["d/1.dat", "d/2.dat"]})
    assert commands.inputs(0) == ("d/1.dat", "d/2.dat", "e")
    again = commands_from_record(json.loads(json.dumps(commands.to_record())))
    assert again.inputs(0) == commands.inputs(0)
    assert commands.select([0]).inputs(0) == commands.inputs(0)


@pytest.mark.parametrize(
    ("commands", "held"),
    [
        (glob_commands("p -n <[%f%.idx]> '%f%' <[x %f%]> %f%", ["it's a"]), [["it's a.idx"], ["x", "it's a"]]),
        (glob_commands("p <[%f%.idx]> %f%", ["hdfs:/a b"], fetch=True), [["hdfs:/a b.idx"]]),
        (template_commands("p %c% <[%c%]> <[%c%]>", [["<[a b]>", "c", "d/e"]]), [["a", "b"], ["c"], ["d/e"]]),
        (explicit_commands(["p <[a]> '<[b]>' <['c d']>"]), [["a"], ["c d"]]),
    ],
)
def test_a_mark_says_where_its_words_stand(commands: Any, held: list[list[str]]) -> None:
    marks = commands.marks(0)
    assert [[word.name for word in mark.words] for mark in marks] == held
    text = commands.command(0)
    if not getattr(commands, "fetch", False):
        assert [shlex.split(text[mark.start : mark.end]) for mark in marks] == held
    else:
        assert text == 'p "$STRATOS_COPY_1" "$STRATOS_FILE"'
        assert commands.template.by_variable()[marks[0].start : marks[0].end] == '"$STRATOS_FILE".idx'


def test_quotes_of_a_name_in_brackets_are_the_names() -> None:
    commands = glob_commands("""p <['%f%'.idx]> <["/t/%f%"]> <[%f%]>""", ["it's", '"x"'])
    assert commands.inputs(0) == ("it's", "it's.idx", "/t/it's")
    assert commands.inputs(1) == ('"x"', '"x".idx', '/t/"x"')


def test_a_glob_without_a_place_for_the_name_is_refused() -> None:
    with pytest.raises(SpecError, match="write %f% where its name belongs"):
        glob_commands("wc -l", ["a"])
    for script in ("#!/usr/bin/awk -f\n{ print FILENAME }", "#!/usr/bin/env python3\nimport sys; open(sys.argv[1])"):
        assert glob_commands(script, ["a"]).command(0) == script, "it has the file as its argument"
    with pytest.raises(SpecError, match="names no file"):
        glob_commands("wc -l # %f%", ["a"])
    assert glob_commands('wc -l "$STRATOS_FILE"', ["a"]).command(0) == 'wc -l "$STRATOS_FILE"'


@pytest.mark.parametrize(
    "text",
    [
        "#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1])",
        "#!/usr/bin/awk -f\n{ print }",
        '#!/bin/bash\nwc -l < "$1"',
        '#!/bin/sh -eu\nfor f in "$@"; do wc -l "$f"; done',
        "#!/bin/bash\nwc -l ${1?}",
        "#!/bin/bash\nfor f; do wc -l $f; done",
        "#!/bin/sh\nfor f\ndo\n  wc -l $f\ndone",
    ],
)
def test_a_script_has_the_file_as_its_argument_and_needs_no_place_for_it(text: str) -> None:
    assert glob_commands(text, ["a b"]).command(0) == text


def test_a_shell_script_that_looks_at_no_argument_is_refused() -> None:
    with pytest.raises(SpecError, match="names no file"):
        glob_commands("#!/bin/bash\nwc -l", ["a"])
    with pytest.raises(SpecError, match="names no file"):
        glob_commands('wc -l "$1"', ["a"])


@pytest.mark.parametrize("before", ["\n", "\n\n  ", "\ufeff", "\r\n", "\ufeff\r\n\t"])
def test_blanks_before_a_first_line_do_not_hide_the_interpreter(before: str) -> None:
    text = "#!/usr/bin/env python3\nimport sys"
    assert glob_commands(before + text, ["a"]).command(0) == text
    assert template_commands(f"{before}{text} %c%", ["1"]).command(0) == f"{text} 1"
    assert explicit_commands([before + text]).command(0) == text
    assert explicit_lines(before + text).texts == (text,)


def test_a_comment_before_it_does() -> None:
    text = "# mine\n#!/usr/bin/env python3\necho %f%"
    assert glob_commands(text, ["a"]).command(0) == text.replace("%f%", "'a'")


def test_a_nul_byte_is_refused_before_anything_starts() -> None:
    with pytest.raises(SpecError, match="line 2: a NUL byte"):
        glob_commands("wc %f%\necho a\0b", ["a"])
    with pytest.raises(SpecError, match="command 1, line 1: a NUL byte"):
        explicit_commands(["true", "echo \0"])
    with pytest.raises(SpecError, match="line 3: a NUL byte"):
        explicit_lines("true\n\necho \0")


def test_an_unknown_placeholder_is_refused_with_the_cure() -> None:
    with pytest.raises(SpecError, match=r'unknown placeholder %file%; known: %f%.*%f""ile%'):
        glob_commands("wc %file%", ["a"])


@pytest.mark.parametrize("text", ["date +%Y%m%d; wc %f%", "printf '%d%s' 1 %f%", "echo 100%; wc %f%"])
def test_what_only_looks_like_a_placeholder_is_left_alone(text: str) -> None:
    assert glob_commands(text, ["a.b"]).command(0) == text.replace("%f%", "a.b")


# -- template -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        ["1, x", "2 , y"],
        [["1", "x"], [2, "y"]],
        {"n": [1, 2], "s": ["x", "y"]},
        pd.DataFrame({"n": [1, 2], "s": ["x", "y"]}),
    ],
)
def test_every_kind_of_parameters_fills_places_in_order(params: object) -> None:
    assert expanded(template_commands("prog %c% --s=%c%", params)) == ["prog 1 --s=x", "prog 2 --s=y"]


def test_columns_are_placeholders_by_name() -> None:
    frame = pd.DataFrame({"alpha": [0.1, 0.25], "my col": ["a b", "c"], "f": [True, False]})
    commands = template_commands("prog %alpha% '%my col%' %f% %alpha%", frame)
    assert expanded(commands) == ["prog 0.1 'a b' True 0.1", "prog 0.25 'c' False 0.25"]
    assert commands.placeholders == ("alpha", "my col", "f")


def test_columns_of_lists_are_numbered() -> None:
    commands = template_commands("prog %c2% %c1%", [["a", "b"]])
    assert commands.command(0) == "prog b a"
    assert commands.values(0) == ("a", "b")


def test_a_column_named_c_is_that_column() -> None:
    assert expanded(template_commands("prog %c% %c%", {"c": [1, 2], "d": [3, 4]})) == ["prog 1 1", "prog 2 2"]


def test_values_are_the_users_own_shell_text() -> None:
    commands = template_commands("echo %c%", [["$HOME; ls | wc"]])
    assert commands.command(0) == "echo $HOME; ls | wc"


def test_a_value_that_looks_like_a_placeholder_is_not_filled_again() -> None:
    assert template_commands("echo %c% %c%", [["%c%", "x"]]).command(0) == "echo %c% x"


def test_brackets_in_values_mark_inputs_too() -> None:
    commands = template_commands("prog <[/d/%c%]> %c%", [["a", "<[/e]>"]])
    assert commands.command(0) == "prog /d/a /e"
    assert commands.inputs(0) == ("/d/a", "/e")


@pytest.mark.parametrize(
    ("text", "params", "message"),
    [
        (
            "p %c% %c%",
            [["1", "2"], ["1"], ["1", "2", "3"]],
            r"the template has 2 %c%, but row 1 \(1\) has 1 values; row 2",
        ),
        ("p %c%", ["a,b"] * 9, "and 6 rows more"),
        ("p", [["1"]], "no placeholder: write %c%"),
        ("p %c% %alpha%", {"alpha": [1]}, "use either places or names"),
        ("p %beta%", {"alpha": [1]}, "unknown placeholder %beta%; known: %c%, %alpha%"),
        ("p %c%", [], "empty"),
        ("p %c%", {}, "empty"),
        ("p %a%", {"a": []}, "empty"),
        ("p %a%", {"a": [1, 2], "b": [1]}, "differ in length: a has 2, b has 1"),
        ("p %c%", "a,b", "the parameters are a str"),
        ("p %c%", 3, "the parameters are a int"),
    ],
)
def test_bad_parameters_are_refused(text: str, params: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        template_commands(text, params)


# -- explicit -----------------------------------------------------------------------------------------------


def test_explicit_commands_are_taken_as_they_are() -> None:
    commands = explicit_commands(["printf %d%s $x", "cat <[/data/a b]>"])
    assert expanded(commands) == ["printf %d%s $x", "cat /data/a b"]
    assert commands.inputs(1) == ("/data/a", "b")
    with pytest.raises(SpecError, match="no command"):
        explicit_commands([])
    with pytest.raises(SpecError, match="command 1 is ' '"):
        explicit_commands(["a", " "])


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("a; b\nc", ["a", "b", "c"]),
        ("echo 'a;b'; echo \"c;d\ne\"", ["echo 'a;b'", 'echo "c;d\ne"']),
        (r"echo a\;b; c", [r"echo a\;b", "c"]),
        ("a \\\n b", ["a  b"]),
        (";;\n\n", []),
        (r"echo '\'; b", [r"echo '\'", "b"]),
    ],
)
def test_a_string_is_split_where_no_quote_forbids_it(text: str, commands: list[str]) -> None:
    assert split_explicit(text) == commands


def test_an_open_quote_is_refused() -> None:
    with pytest.raises(SpecError, match="not closed"):
        split_explicit("echo 'a; b")


def test_a_cell_has_one_command_a_line() -> None:
    assert split_lines("a; b\n\n  c 'd\\\n e'\n# x") == ["a; b", "c 'd\\\n e'"]


@given(
    st.lists(
        st.text(
            st.characters(
                exclude_characters="\n;'\"\\#`$(){}[]!<>&|%", exclude_categories=["Cs", "Zs", "Cc", "Zl", "Zp"]
            ),
            min_size=1,
        ).map(lambda text: "p" + text)  # no reserved word
    )
)
def test_splitting_loses_nothing(commands: list[str]) -> None:
    assert split_explicit("; ".join(commands)) == commands
    assert split_lines("\n".join(commands)) == commands


# -- one complete command a line -----------------------------------------------------------------------------


def test_a_loop_over_lines_is_refused_with_its_lines_and_the_cure() -> None:
    with pytest.raises(SpecError) as caught:
        explicit_lines("for d in a b; do\n  rm -r $d/*\ndone\necho ok")
    said = str(caught.value)
    assert "line 1: 'for d in a b; do' (for without its done)" in said
    assert "line 3: 'done' (done without its for, while or until)" in said
    assert "line 2" not in said
    assert "put a loop on one line" in said


@pytest.mark.parametrize(
    "text", ["cat <<EOF\nhi\nEOF", "echo 'a\nb'", 'echo "a\nb"', "ls |\nwc", "a &&\nb", "f() {\n:\n}", "echo $(\nls)"]
)
def test_a_line_that_goes_on_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="line 1"):
        explicit_lines(text)


@pytest.mark.parametrize(
    "line",
    [
        "for i in 1 2; do echo $i; done",
        "if true; then a; else b; fi",
        "while read x; do echo $x; done < f | sort",
        "case a in a) echo;; *) b;; esac",
        "f() { echo f; }; f",
        "x=(1 2); echo ${x[1]}",
        "[[ a == a ]] && echo",
        "((i++)) || true",
        "cat <<< 'x'",
        "cat <(ls) > >(wc)",
        "echo {1..3} $'\\t' $RANDOM",
        "prog &> log &",
        "function f { :; }; f",
        "echo a # don't",
        "echo $(case a in a) b;; esac)",
    ],
)
def test_a_complete_line_is_a_command(line: str) -> None:
    assert explicit_lines(line).texts == (line,)
    assert explicit_lines(line, semicolons=True).texts[-1]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("for i in 1 2; do echo $i; done; echo b", ["for i in 1 2; do echo $i; done", "echo b"]),
        ("(a; b); { c; d; }; e", ["(a; b)", "{ c; d; }", "e"]),
        ("x=$(a; b); c", ["x=$(a; b)", "c"]),
        ("case a in a) b;; c) d;; esac; e", ["case a in a) b;; c) d;; esac", "e"]),
        ("a # b; c\nd", ["a # b; c", "d"]),
        ("# a; b\nc", ["c"]),
        ("a && b; c", ["a && b", "c"]),
        ("a \\\n b; c", ["a  b", "c"]),
        ("a 'b\nc;d'; e", ["a 'b\nc;d'", "e"]),
        ("a;\r\nb\r\n", ["a", "b"]),
    ],
)
def test_a_string_is_split_between_complete_commands(text: str, commands: list[str]) -> None:
    assert split_explicit(text) == commands


def test_a_string_with_a_loop_over_lines_is_refused() -> None:
    with pytest.raises(SpecError, match="line 2: 'for x in a; do'"):
        explicit_lines("ls\nfor x in a; do\n  b\ndone", semicolons=True)


def test_a_list_may_hold_scripts_but_none_without_its_end() -> None:
    script = "for d in a b; do\n  cat <<E\n$d\nE\ndone"
    assert explicit_commands([script]).command(0) == script
    with pytest.raises(SpecError, match="command 1: 'if true; then'"):
        explicit_commands(["a", "if true; then"])


@pytest.mark.parametrize(
    "line",
    [
        "cd scratch",
        "export A=1",
        "export A=1 B='x y'; cd d",
        "A=1",
        'A="$HOME/x" && export A',
        "set -euo pipefail",
        "module load gcc/12",
        "conda activate env",
        "ulimit -c 0;",
        "umask 077",
    ],
)
def test_a_line_that_only_sets_something_for_the_next_is_refused(line: str) -> None:
    for commands in (lambda: explicit_lines(f"{line}\nrm -r *"), lambda: explicit_commands([line, "rm -r *"])):
        with pytest.raises(SpecError, match=r"gone before the next begins.*cd DIR && ./prog"):
            commands()
    assert explicit_lines(line).texts == (line,)
    assert len(explicit_lines(f"{line} && ./prog\nrm -r *".replace(";", ""))) == 2


@pytest.mark.parametrize(
    "line",
    ["cd d && ls", "A=1 prog", "x=$(prog)", "x=`prog`", "A=1 > f", "export A=$(prog)", "set | sort", "cd d; ls",
     "source job1.sh", ". ./job.sh", "module load gcc; prog", "settle", "cdo info f", 'x="$(prog)"', "conda run x"],
)  # fmt: skip
def test_a_line_that_does_something_is_a_command(line: str) -> None:
    assert len(explicit_lines(f"{line}\nls")) == 2


def test_comments_are_no_commands_and_continue_nothing() -> None:
    assert split_lines("# a\n  # b \\\necho c # d \\\necho e\n") == ["echo c # d \\", "echo e"]


@pytest.mark.parametrize("text", ["a\r\nb\r\n", "a \\\r\n b\r\nc\r", "\r\n\r\na\r\n"])
def test_a_body_with_crlf_is_read_as_if_it_had_none(text: str) -> None:
    assert split_lines(text) == split_lines(text.replace("\r", ""))
    assert not any("\r" in line for line in split_lines(text))
    assert glob_commands("wc \\\r\n  %f%\r\n", ["a.b"]).command(0) == "wc \\\n  a.b\n"
    assert template_commands("a %c%\r\nb", ["1"]).command(0) == "a 1\nb"
    assert explicit_commands(["a\r\nb\r\n"]).command(0) == "a\nb\n"


def test_a_first_line_names_what_runs_each_command() -> None:
    text = "#!/usr/bin/env python3\n# one\nprint('it\"s')\nfor x in 'ab': print(x)\n"
    assert explicit_lines(text).texts == (
        "#!/usr/bin/env python3\nprint('it\"s')",
        "#!/usr/bin/env python3\nfor x in 'ab': print(x)",
    )
    assert explicit_lines("#!/bin/bash\r\necho a\r\n").texts == ("#!/bin/bash\necho a",)
    with pytest.raises(SpecError, match="line 3"):
        explicit_lines("#!/bin/bash -u\na\nfor x in 1; do")


def test_a_script_of_another_program_gets_plain_names_only() -> None:
    text = "#!/usr/bin/env python3\nfor line in open(\"%f%\"):\n    print(line, '<[a]>')"
    made = glob_commands(text, ["data/a-1.txt", "-x"])
    assert made.command(0) == text.replace("%f%", "data/a-1.txt")
    assert made.command(1) == text.replace("%f%", "./-x")
    assert commands_from_record(json.loads(json.dumps(made.to_record()))).command(0) == made.command(0)
    with pytest.raises(SpecError, match=r"cannot be quoted for python3.*'it\\'s', 'a b'|\"it's\", 'a b'.*sys.argv"):
        glob_commands(text, ["ok", "it's", "a b"])


@pytest.mark.parametrize("body", ["for i in 1 2; do\n cat %f%", "if true; then cat %f%", "cat %f% |", "cat %f%\ndone"])
def test_a_script_that_does_not_end_is_refused(body: str) -> None:
    with pytest.raises(SpecError, match="the command is not complete: line"):
        glob_commands(body, ["a"])


# -- placeholders ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: template_commands("p %modle%", {"model": [1]}),
            r"unknown placeholder %modle%; known.*is %model% meant",
        ),
        (lambda: template_commands("p %Model%", {"model": [1]}), r"%Model%.*is %model% meant"),
        (lambda: template_commands("p %vel dsp%", {"vel disp": [1]}), r"%vel dsp%.*is %vel disp% meant"),
        (lambda: template_commands("p %y%", {"x": [1]}), r"unknown placeholder %y%; known: %c%, %x%"),
        (lambda: template_commands("p --a=%y% %x%", {"x": [1]}), "unknown placeholder %y%"),
        (lambda: glob_commands("p %F% %f%", ["a"]), "unknown placeholder %F%"),
        (lambda: glob_commands("p %f% > %file.stem%.x", ["a"]), r"unknown placeholder %file\.stem%.*places of --makes"),
        (lambda: template_commands("p %x% > %x.name%", {"x": [1]}), r"unknown placeholder %x\.name%"),
        (lambda: explicit_commands(["p %model%"]), "command 0 .*unknown placeholder %model%; known: none"),
        (lambda: explicit_lines("a\np %f%"), "line 2 .*belongs to a glob"),
        (lambda: explicit_lines("p %c%"), "belongs to a glob, %c% to a template"),
    ],
)
def test_what_is_no_placeholder_is_refused_in_every_kind(make: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        make()


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("p %f% -o %file.stem%.out", r"%file.stem%.*a command takes them as a shell does: x=%f%"),
        ("p %f% %f.suffix%", "%f.suffix%"),
        ("p %f% %seed%_out", "%seed%"),
        ("p %f% %seed%%x%", "%seed%"),
        ("p %f% run%seed%.txt", "%seed%"),
        ("p %f% 1%seed%", "%seed%"),
        ("Rscript fit.R %f% %in%", "%in%"),
        ("p %f% %PATH%", "%PATH%"),
    ],
)
def test_what_is_written_like_a_placeholder_is_refused(text: str, unknown: str) -> None:
    with pytest.raises(SpecError, match=f"unknown placeholder {unknown}"):
        glob_commands(text, ["a"])


def test_a_misspelt_column_is_refused_wherever_it_stands() -> None:
    for text in ("printf 'x%sampel%s' %sample%", "sqlite3 db \"select 1 where n like '%sampel%'\"; p %sample%"):
        with pytest.raises(SpecError, match=r"%sampel%.*is %sample% meant"):
            template_commands(text, {"sample": ["a"]})


@pytest.mark.parametrize("text", ["printf '%s\\n' %abc%", "printf '%s\\n' '%abc%'", 'printf "%s\\n" "%abc%"'])
def test_the_cure_of_an_unknown_placeholder_means_its_characters(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        explicit_commands([text])
    cured = text.replace("%abc%", str(caught.value).rpartition("write ")[2])
    command = explicit_commands([cured]).command(0)
    assert subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout == "%abc%\n"


@pytest.mark.parametrize(
    "text",
    [
        "date +%Y%m%d",
        "date +%Y-%m-%dT%H%M%S%z",
        "date '+%H%M%S'",
        "printf '%d%s' 1 a",
        "printf '%ld%s' 1 a",
        "printf '%5.1f%%' 3",
        "date +run_%Y_at_%Hh%M",
        "date '+%Y_%m_%d %Hh%Mm'",
        "curl http://h/%C3%A9%20x",
        "echo 100% sure, 50%",
        "awk '{ printf \"%s%d\\n\", $1, $2 }' f",
        "echo ${x%.fq}${y%%.*}",
        "echo $((7 % 3))",
        "stat -c %s%n f",
        "printf '%s_%03d\\n' a 5",
        "printf '%s_to_%s.txt' a b",
        "printf 'part %dof%d\\n' 1 2",
        "python3 -c 'print(\"%s_vs_%.2f\" % (1, 2))'",
        "git log --format='%h%x09%an%x09%s'",
        "exiftool -d %Y%m%d_%%e.%%e f",
        "convert a.png -resize 50%x50% -crop 100%x100%+0+0 b.png",
        "curl http://h/%C3%A9t%C3%A9 -o x",
        "curl 'http://h/caf%E9noir%20x'",
        "sqlite3 db \"SELECT * FROM t WHERE n LIKE '%abc%' OR n like '%a%b_c%d%'\"",
        "sqlite3 db 'select * from t where n not like \"%abc%\"'",
        "psql -c \"SELECT 1 WHERE n ILIKE '%abc%' OR n ~~* '%abc%' OR n LIKE '%x%'\"",
        "Rscript -e 'x %in% y; a %o% b; foreach(i=1:3) %dopar% f(i)'",
        "Rscript - <<'E'\nx %in% y\nE\n:",
    ],
)
def test_what_only_looks_like_a_placeholder_is_left_in_every_kind(text: str) -> None:
    assert explicit_commands([text]).command(0) == text
    assert template_commands(text + " %name%", {"name": ["v"]}).command(0) == text + " v"
    assert glob_commands(text + " %f%", ["a.b"]).command(0) == text + " a.b"


def test_a_format_of_printf_is_no_placeholder_where_that_is_sure() -> None:
    for text in ("printf '%f%%' 3", "printf '%c%c' a b", "printf '%f%s' 1 a"):
        assert explicit_commands([text]).command(0) == text
    assert glob_commands("printf '%c%c' a b; cat %f%", ["a.b"]).command(0) == "printf '%c%c' a b; cat a.b"
    assert template_commands("printf '%f%%' %c%", [["1"]]).command(0) == "printf '%f%%' 1"
    with pytest.raises(SpecError, match="either printf's %f and a percent sign"):
        glob_commands("awk '{ printf \"%f%%\", $1 }' %f%", ["a.b"])
    with pytest.raises(SpecError, match="%f%s is either printf's %f and %s or the file's name"):
        glob_commands("awk '{ printf \"%f%s\\n\", $1, $2 }' %f%", ["a.b"])
    assert glob_commands("printf '%s\\n' %f%.gz", ["a.b"]).command(0) == "printf '%s\\n' 'a.b'.gz"


# -- values -------------------------------------------------------------------------------------------------


def test_a_value_that_opens_a_quote_is_refused_with_its_row() -> None:
    with pytest.raises(SpecError, match=r"row 1 \(\"it's\"\): a quote is not closed.*shlex.quote"):
        template_commands("echo %c%", ["a", "it's", "'b c'"])
    assert template_commands('echo "%c%"', ["it's"]).command(0) == 'echo "it\'s"'


def test_a_newline_in_a_value_ends_no_command() -> None:
    with pytest.raises(SpecError, match=r"row 1 .*a newline in the value of x ends the command"):
        template_commands("echo %x%", {"x": ["a", "b\nrm -r c"]})
    quoted = template_commands("echo %x%", {"x": [shlex.quote("a\nb")]})
    assert quoted.command(0) == "echo 'a\nb'"
    assert template_commands("echo '%x%'", {"x": ["a\nb"]}).command(0) == "echo 'a\nb'"


# -- records ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "commands",
    [
        glob_commands("wc %f% <[/x]>", AWKWARD),
        template_commands("p %c% %c%", [["a", "b"], ["c", "d"]]),
        template_commands("p %c2%", [["a", "b"]]),
        template_commands("p %x%", {"x": [1, 2], "y": [3, 4]}),
        explicit_commands(["a <[b]>", os.fsdecode(b"echo \xff")]),
        glob_commands("wc %f% <[%f%.x]>", ["hdfs:/a"], fetch=True),
        glob_commands("wc $'a' %f%", ["a"], shell="sh"),
    ],
)
def test_a_record_gives_the_same_commands_back(commands: Any) -> None:
    again = commands_from_record(json.loads(json.dumps(commands.to_record())))
    assert expanded(again) == expanded(commands)
    assert [again.values(i) for i in range(len(again))] == [commands.values(i) for i in range(len(commands))]
    assert again.placeholders == commands.placeholders


@pytest.mark.parametrize(
    ("record", "commands", "inputs"),
    [
        ({"kind": "explicit", "commands": ["grep '<[0-9]>' f", "for x in", "# %f%"]},
         ["grep '0-9' f", "for x in", "# %f%"], ("0-9",)),
        ({"kind": "template", "text": "p %c% '<[%c%]>' %odd%", "names": ["c1", "c2"],
          "rows": [("nan", ""), ("a\n", "it's")]},
         ["p nan '<[]>' %odd%", "p a\n 'it's' %odd%"], ()),
        ({"kind": "glob", "text": "if a; then cat %f% <['%f%'.x]> \"<[b]>\"", "files": ["a", "b c"]},
         ["if a; then cat 'a' 'a'.x \"b\"", "if a; then cat 'b c' 'b c'.x \"b\""], ("a", "a.x", "b")),
        ({"kind": "glob", "text": "#!/usr/bin/env python3\ncat %f%", "files": ["b c"]},
         ["#!/usr/bin/env python3\ncat 'b c'"], ("b c",)),
    ],
)  # fmt: skip
def test_what_0_1_0_recorded_is_read_as_it_was(
    record: dict[str, Any], commands: list[str], inputs: tuple[str, ...]
) -> None:
    made = commands_from_record(record)
    assert expanded(made) == commands
    assert made.inputs(0) == inputs
    assert made.marks(0) == ()
    assert made.to_record() == record  # and stays so


def test_a_specs_record_has_no_values_of_the_environment() -> None:
    spec = JobSpec(
        env=(("A", "secret"), ("B", None)), columns=(("n", "int"),), output=OutputMode.NONE, where=(("r", "1"),)
    )
    record = json.dumps(spec.to_record())
    assert "secret" not in record
    again = JobSpec.from_record(json.loads(record))
    older = {name: value for name, value in json.loads(record).items() if name != "linger_s"}
    assert JobSpec.from_record(older) == again
    assert again.env == (("A", None), ("B", None))
    assert again.columns == spec.columns
    assert again.output is OutputMode.NONE


# -- specs and values ---------------------------------------------------------------------------------------


def test_everything_that_is_wrong_is_said_at_once() -> None:
    spec = JobSpec(
        "a/b",
        threads=0,
        mem_mib=-1,
        timeout_s=0,
        linger_s=-1,
        output=OutputMode.DISK,
        columns=(("x", "date"), ("x", "int")),
    )
    with pytest.raises(SpecError) as caught:
        spec.check(())
    for part in ("job name", "threads", "mem", "timeout", "linger", "--log-dir", "dtype 'date'", "'x' is named twice"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", "..", "-x", ".hidden", "a/b", "a b", "x" * 101, "a\n", "a\0"])
def test_a_job_name_is_a_folder_name(name: str) -> None:
    with pytest.raises(SpecError, match="job name"):
        JobSpec(name).check(())


@pytest.mark.parametrize("name", ["a", "A-1.b_c", "größe", "_x", "x" * 100])
def test_ordinary_job_names_are_fine(name: str) -> None:
    JobSpec(name).check(())


@pytest.mark.parametrize(
    ("text", "mib"),
    [("512", 512), ("512M", 512), ("2G", 2048), ("1.5g", 1536), ("64k", 0.0625), (3, 3), ("2GiB", 2048)],
)
def test_sizes(text: str | int, mib: float) -> None:
    assert parse_size_mib(text) == mib


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1.5", 1.5), ("250ms", 0.25)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "-1", "1e9x", "2 G G", "nan"])
def test_what_is_no_size_or_duration_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="is no size"):
        parse_size_mib(text)
    with pytest.raises(SpecError, match="is no duration"):
        parse_duration_s(text)


def test_columns() -> None:
    assert parse_columns("n:int, vel_disp:float,name") == (("n", "int"), ("vel_disp", "float"), ("name", "str"))
    with pytest.raises(SpecError, match="a name is missing"):
        parse_columns("n:int,,x")


# -- workload -----------------------------------------------------------------------------------------------


def test_calls_join_under_one_numbering() -> None:
    work = Workload()
    around = CommandEnv("/", {})
    assert work.add(glob_commands("wc %f%", ["a.b", "c.d"]), around) == range(2)
    assert work.add(template_commands("p %x%", {"x": [7]}), around) == range(2, 3)
    assert [work.command(task) for task in range(3)] == ["wc a.b", "wc c.d", "p 7"]
    assert work.placeholders == ("file", "x")
    assert [work.values(task) for task in range(3)] == [("a.b", ""), ("c.d", ""), ("", "7")]
    assert [work.submission_of(task) for task in range(3)] == [0, 0, 1]
    with pytest.raises(IndexError):
        work.command(3)


def test_the_variable_is_no_option_either_and_the_table_has_the_name_itself() -> None:
    commands = glob_commands('tar cf x "$STRATOS_FILE"', ["--checkpoint-action=exec=id"])
    assert commands.file(0) == "./--checkpoint-action=exec=id"
    assert commands.values(0) == ("--checkpoint-action=exec=id",)


@pytest.mark.parametrize("text", ["cat %f% %c%", "cat %f% %c1%"])
def test_a_templates_placeholder_in_a_glob_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="belongs to a template"):
        glob_commands(text, ["a"])


def test_a_globs_placeholder_in_a_template_is_refused() -> None:
    with pytest.raises(SpecError, match="belongs to a glob"):
        template_commands("cat %f% %c%", [["a"]])


# -- where a line ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("rm -r \\ \n  /data/x", r"line 1: .*what follows the \\ at its end"),
        ("a\nfit --a 1 \\\t\n  --b 2", r"line 2: .*what follows the \\ at its end"),
        ("fit --a 1 \\  # the first\n  --b 2", r"what follows the \\ at its end"),
        ("fit --a 1 # the first \\\n  --b 2", r"what follows the \\ at its end"),
        ("fit --a 1 \\\n#  --old 2 \\\n  --b 2", "a comment ends it"),
        ("fit --a 1 \\\n#  --old 2\n  --b 2", "a comment ends it"),
        ("fit --a 1 \\\n\n  --b 2", "a blank line ends it"),
        ("fit --a 1 \\\n\n\n\tb", "a blank line ends it"),
        ("fit --a 1\n--b 2", r"line 2: '--b 2' \(it begins with -"),
    ],
)
def test_a_line_that_only_seems_to_go_on_is_refused(body: str, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        explicit_lines(body)


@pytest.mark.parametrize(
    ("body", "commands"),
    [
        ("fit --a 1 \\\n  --b 2 \\\n#  --c 3", ["fit --a 1   --b 2 #  --c 3"]),
        ("fit --a 1 \\\n#  --c 3\nfit 2", ["fit --a 1 #  --c 3", "fit 2"]),
        ("# fit \\ \n#  --b\nfit 2", ["fit 2"]),
        ("  fit \\\n    --a\\\n\n  fit 2", ["fit     --a", "fit 2"]),
        ("fit 1\n  fit 2", ["fit 1", "fit 2"]),
        ("cut -d\\  \n\nfit 2", ["cut -d\\ ", "fit 2"]),
        ("ls 'a \\ '\nfit 2", ["ls 'a \\ '", "fit 2"]),
        ("echo a\\\\ \nfit 2", ["echo a\\\\", "fit 2"]),
    ],
)
def test_a_line_that_ends_is_left_alone(body: str, commands: list[str]) -> None:
    assert list(explicit_lines(body).texts) == commands


@pytest.mark.parametrize(
    "line",
    [
        "source env.sh",
        ". venv/bin/activate",
        'source "$HOME/env.sh"',
        'eval "$(conda shell.bash hook)"',
        "eval $(brew shellenv)",
        "source conda.sh; conda activate a",
        "spack load gcc",
        "source ~/.bashrc",
        ". /opt/intel/oneapi/setvars.sh intel64",
        "source $ROOTSYS/bin/thisroot.sh",
    ],
)
def test_what_only_sets_something_for_the_next_line_is_refused(line: str) -> None:
    with pytest.raises(SpecError, match=r"each command runs by itself.*line 1"):
        explicit_lines(f"{line}\npython fit.py")
    assert len(explicit_lines(f"{line} && python fit.py\npython fit.py")) == 2
    assert len(explicit_lines(line)) == 1


@pytest.mark.parametrize(
    "body",
    [
        ". ./a.sh\n. ./b.sh",
        "./source x\nb",
        "eval prog 1\neval prog 2",
        "f() { a; }; f\nb",
        "source arc_fit.sh 3\nb",
        ". ./convert.sh\nb",
    ],
)
def test_what_does_something_is_a_command(body: str) -> None:
    assert len(explicit_lines(body)) == 2


@pytest.mark.parametrize(
    "text",
    [
        "#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1])",
        "#!/usr/bin/awk -f\n{ n++ } END { print n }",
        '#!/bin/bash\nwc -l "$1"',
        '#!/bin/sh\nfor f; do wc -l "$f"; done',
        '#!/bin/bash\nwc -l "${1}" > "${1%.dat}.n"',
    ],
)
def test_a_script_needs_no_place_for_its_first_argument(text: str) -> None:
    assert glob_commands(text, ["a b"]).command(0) == text


@pytest.mark.parametrize("text", ["#!/bin/bash\necho hi", 'wc -l "$1"', "for f; do wc $f; done"])
def test_a_command_that_names_no_file_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="the command names no file"):
        glob_commands(text, ["a b"])


@pytest.mark.parametrize("text", ["#!/usr/bin/env python3\nprint('%abc%')", "cat <<E %f%\n%abc%\nE"])
def test_the_cure_has_no_quotes_where_they_are_characters(text: str) -> None:
    with pytest.raises(SpecError, match=r"keep the first % apart: make the text of two, % and abc%$"):
        glob_commands(text, ["a"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("echo “hello world”", ["“ in line 1", "” in line 1"]),
        ("true\nawk ‘{print $1}’ f", ["‘ in line 2", "’ in line 2"]),
        ("cat\u00a0f", ["a no-break blank in line 1"]),
        ("\ufeffcat f", ["a byte order mark in line 1"]),
        ("fit –flag", ["– in line 1"]),
        ("fit --name=“a”", ["“ in line 1", "” in line 1"]),
        ("echo '“a” \u00a0' \"‘b’\" # “c”\nfit Zürich.dat O’Brien.dat 東京.dat 10–20.dat", []),
        ("# it's “a”\ncat <<E\n“b”\nE", []),
    ],
)
def test_what_a_web_page_makes_of_quotes_and_blanks_is_said(text: str, found: list[str]) -> None:
    assert pasted(text) == found


@pytest.mark.parametrize(
    ("text", "fixed", "printed"),
    [
        ("date -d 2020-01-02 +%Y%m%d; echo %m%", 'date -d 2020-01-02 +%Y%m""%d; echo %m%', "20200102\n7\n"),
        ("date -d 2020-01-02 '+%d %m%d'; echo %m%", "date -d 2020-01-02 '+%d %m''%d'; echo %m%", "02 0102\n7\n"),
        ("printf '%m%%\\n'", "printf '%m%''%%\\n'", "7%\n"),
        ("awk 'BEGIN { printf \"%m%%\\n\" }'", "awk 'BEGIN { printf \"%m%''%%\\n\" }'", "7%\n"),
    ],
)
def test_a_column_of_one_letter_in_a_format_is_refused(text: str, fixed: str, printed: str) -> None:
    with pytest.raises(SpecError, match=r"%m%.* is either %m and .* of a format, or the value of m and "):
        template_commands(text, {"m": [7]})
    command = template_commands(fixed, {"m": [7]}).command(0)
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout == printed


def test_a_column_of_one_letter_elsewhere_is_a_column() -> None:
    rows = {"m": [7], "n": [2]}
    for text, command in (
        ("sbatch --array=1-%n%%4 x", "sbatch --array=1-2%4 x"),
        ("printf '%s\\n' %m% %n%", "printf '%s\\n' 7 2"),
        ("date +%F; p m%m%n%n%.dat", "date +%F; p m7n2.dat"),
        ("p %m%%n%", "p 72"),
    ):
        assert template_commands(text, rows).command(0) == command
