"""Jobs and commands: checked before anything starts, expanded when asked for."""

from __future__ import annotations

import json
import os
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.commands import commands_from_record, explicit_commands, glob_commands, template_commands
from stratos_jupyter.errors import SpecError
from stratos_jupyter.spec import JobSpec, OutputMode
from stratos_jupyter.values import (
    parse_columns,
    parse_duration_s,
    parse_size_mib,
    split_explicit,
    split_lines,
)
from stratos_jupyter.workload import Surroundings, Workload
from tests.awkward import AWKWARD


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
        ("'<[/d/two words]>'", "/d/two words"),
        ('"<[/d/it\'s]>"', "/d/it's"),
        ("""'<[/d/"hi"]>'""", '/d/"hi"'),
        ('"a \\" <[/d/\'x\']>"', "/d/'x'"),
        ("""echo "it's" <['/d/x']>""", "/d/x"),
        ("<['/d/a' '/d/b']>", "'/d/a' '/d/b'"),
    ],
)
def test_brackets_mark_the_file_that_the_shell_reads(marked: str, path: str) -> None:
    assert explicit_commands([f"cat {marked}"]).inputs(0) == (path,)
    assert template_commands("cat %c%", [[marked]]).inputs(0) == (path,)
    assert glob_commands(f"cat {marked} %f%", ["f"]).inputs(0) == ("f", path)


def test_a_quote_that_is_not_closed_is_the_shells_affair() -> None:
    assert explicit_commands(["cat <[/d/it's]>"]).inputs(0) == ("/d/it's",)


def test_quotes_of_a_name_in_brackets_are_the_names() -> None:
    commands = glob_commands("""p <['%f%'.idx]> <["/t/%f%"]> <[%f%]>""", ["it's", '"x"'])
    assert commands.inputs(0) == ("it's", "it's.idx", "/t/it's")
    assert commands.inputs(1) == ('"x"', '"x".idx', '/t/"x"')


def test_a_glob_without_a_place_for_the_name_is_refused() -> None:
    with pytest.raises(SpecError, match="write %f% where its name belongs"):
        glob_commands("wc -l", ["a"])
    with pytest.raises(SpecError, match="names no file"):
        glob_commands("wc -l # %f%", ["a"])
    assert glob_commands('wc -l "$STRATOS_FILE"', ["a"]).command(0) == 'wc -l "$STRATOS_FILE"'


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
    commands = explicit_commands(["echo %f% $x", "cat <[/data/a b]>"])
    assert expanded(commands) == ["echo %f% $x", "cat /data/a b"]
    assert commands.inputs(1) == ("/data/a b",)
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
    assert split_lines("a; b\n\n  c 'd\\\n e'\n# x") == ["a; b", "c 'd e'"]


@given(
    st.lists(
        st.text(
            st.characters(exclude_characters="\n;'\"\\#", exclude_categories=["Cs", "Zs", "Cc", "Zl", "Zp"]), min_size=1
        )
    )
)
def test_splitting_loses_nothing(commands: list[str]) -> None:
    assert split_explicit("; ".join(commands)) == commands
    assert split_lines("\n".join(commands)) == commands


# -- records ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "commands",
    [
        glob_commands("wc %f% <[/x]>", AWKWARD),
        template_commands("p %c% %c%", [["a", "b"], ["c", "d"]]),
        template_commands("p %c2%", [["a", "b"]]),
        template_commands("p %x%", {"x": [1, 2], "y": [3, 4]}),
        explicit_commands(["a <[b]>", os.fsdecode(b"echo \xff")]),
    ],
)
def test_a_record_gives_the_same_commands_back(commands: Any) -> None:
    again = commands_from_record(json.loads(json.dumps(commands.to_record())))
    assert expanded(again) == expanded(commands)
    assert [again.values(i) for i in range(len(again))] == [commands.values(i) for i in range(len(commands))]
    assert again.placeholders == commands.placeholders


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
        spec.check()
    for part in ("job name", "threads", "mem", "timeout", "linger", "--log-dir", "dtype 'date'", "'x' is named twice"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", "..", "-x", ".hidden", "a/b", "a b", "x" * 101, "a\n", "a\0"])
def test_a_job_name_is_a_folder_name(name: str) -> None:
    with pytest.raises(SpecError, match="job name"):
        JobSpec(name).check()


@pytest.mark.parametrize("name", ["a", "A-1.b_c", "größe", "_x", "x" * 100])
def test_ordinary_job_names_are_fine(name: str) -> None:
    JobSpec(name).check()


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
    around = Surroundings("/", {})
    assert work.add(glob_commands("wc %f%", ["a.b", "c.d"]), around) == range(2)
    assert work.add(template_commands("p %x%", {"x": [7]}), around) == range(2, 3)
    assert [work.command(task) for task in range(3)] == ["wc a.b", "wc c.d", "p 7"]
    assert work.placeholders == ("file", "x")
    assert [work.values(task) for task in range(3)] == [("a.b", ""), ("c.d", ""), ("", "7")]
    assert [work.call_of(task) for task in range(3)] == [0, 0, 1]
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
