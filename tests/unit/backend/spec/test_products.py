"""``--makes``: which files a task makes, and which names cannot be."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stratos_jupyter.backend.spec.commands import explicit_commands, glob_commands, template_commands
from stratos_jupyter.backend.spec.products import makes, parse_makes, promise
from stratos_jupyter.backend.spec.workload import CommandEnv, Workload
from stratos_jupyter.errors import SpecError


def of_file(template: str, name: str) -> str:
    (made,) = makes([template], glob_commands("prog %f%", [name]), 0)
    return made


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("out/%file.stem%.fits", "out/m 31.tar.fits"),
        ("out/%file.name%", "out/m 31.tar.gz"),
        ("%file.parent%/new%file.suffix%", "data/new.gz"),
        ("%file%.log", "data/m 31.tar.gz.log"),
        ("%f%.log", "data/m 31.tar.gz.log"),
        ("all.txt", "all.txt"),
    ],
)
def test_places_of_a_file(template: str, made: str) -> None:
    assert of_file(template, "data/m 31.tar.gz") == made


@example("d/.")
@given(st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1).map(lambda t: f"d/{t}"))
def test_parts_are_those_that_pythons_paths_have(name: str) -> None:
    if name in ("d/.", "d/.."):  # folders, of which pathlib drops the dot
        return
    path = PurePosixPath(name)
    wanted = {"name": path.name, "stem": path.stem, "suffix": path.suffix, "parent": str(path.parent)}
    assert {part: of_file(f"<%file.{part}%>", name)[1:-1] for part in wanted} == wanted


def test_a_file_without_a_folder_has_this_one() -> None:
    assert of_file("%file.parent%/%file.stem%", "a.dat") == "./a"
    assert of_file("%file.parent%/x", "/a.dat") == "//x"


def test_places_of_a_template_are_its_columns_and_values_in_turn() -> None:
    rows = template_commands("prog %c% %c%", [["a/x.dat", 1], [shlex.quote("it's"), 2]])
    assert makes(["%c%_%c%.out", "%c1.stem%-%c2%"], rows, 0) == ("a/x.dat_1.out", "x-1")
    assert makes(["%c1%"], rows, 1) == ("it's",)
    named = template_commands("prog %seed%", {"seed": [3, 4], "f": ["p", "q"]})
    assert makes(["out/%seed%/%f%"], named, 1) == ("out/4/q",)


@pytest.mark.parametrize(
    ("template", "known"),
    [("%file.stam%", r"%file.parent%"), ("%name%", "%f%, %file%, %file.stem%"), ("%c%", "%file%")],
)
def test_a_place_that_is_none_is_refused_and_the_others_named(template: str, known: str) -> None:
    with pytest.raises(SpecError, match=rf"--makes {template}: {template} is no place.*{known}"):
        of_file(template, "a")


def test_commands_as_they_are_have_no_places() -> None:
    assert makes(["out"], explicit_commands(["prog"]), 0) == ("out",)
    with pytest.raises(SpecError, match="have none"):
        makes(["%f%"], explicit_commands(["prog"]), 0)
    with pytest.raises(SpecError, match="%c% is no place"):
        makes(["%c%%c%"], template_commands("prog %c%", ["1"]), 0)


def test_several_names_stand_between_commas() -> None:
    assert parse_makes("a.fits, b/%f%") == ("a.fits", "b/%f%")
    assert parse_makes(["a.fits", r"b\,c", "a.fits"]) == ("a.fits", "b,c")
    assert parse_makes("") == ()


def test_everything_that_can_be_no_file_is_said_at_once() -> None:
    with pytest.raises(SpecError) as raised:
        parse_makes(["out/%f%.{a,b}", "$OUT/x", "out/*.fits", "hdfs:/out/x", "a,,b", "a\0b"])
    said = str(raised.value)
    for word in ("braces", "variables", "patterns", "address", "empty name", "NUL"):
        assert word in said


def test_two_tasks_that_make_one_file_are_refused_by_name() -> None:
    files = glob_commands("prog %f%", ["a/x.dat", "b/y.dat", "c/x.dat"])
    (said,) = promise(["out/%file.stem%"], files, "/w", 0, {})
    assert said.startswith("--makes: tasks 0 and 2 would both make out/x: give each a name of its own, as by %file.")
    (said,) = promise(["one"], template_commands("prog %c%", ["1", "2"]), "/w", 0, {})
    assert "by the column" in said
    (said,) = promise(["one"], explicit_commands(["prog", "prog"]), "/w", 0, {})
    assert "a template has" in said
    assert promise(["out/%file.parent%/%file.stem%"], files, "/w", 0, {}) == []
    assert promise(["%file%", "./%file%"], files, "/w", 0, {}) == []  # a task may name its file twice
    many = glob_commands("prog %f%", [f"{n}.dat" for n in range(10)])
    (said,) = promise(["one"], many, "/w", 0, {})
    assert "tasks 0 and 3 would both make one, and 6 more" in said


def test_the_same_file_by_another_name_and_of_a_later_call_is_the_same_file() -> None:
    known: dict[str, int] = {}
    assert promise(["out/%file.stem%"], glob_commands("prog %f%", ["x.dat"]), "/w", 0, known) == []
    assert known == {"/w/out/x": 0}
    (said,) = promise(["/w/./a/../out/%file.stem%"], glob_commands("prog %f%", ["d/x.txt"]), "/", 7, known)
    assert "tasks 0 and 7" in said


@pytest.mark.parametrize("values", [["''"], ["hdfs:/x"], ["/"]])
def test_a_value_that_makes_no_file_of_a_name_is_refused(values: list[str]) -> None:
    (said,) = promise(["%c%"], template_commands("prog %v%", {"v": values, "c": values}), "/w", 4, {})
    assert said.startswith("--makes: task 4 would make ")


def test_of_what_runs_instead_of_a_task_nothing_is_promised() -> None:
    workload, around = Workload(), CommandEnv("/w", {})
    workload.add(glob_commands("prog %f%", ["a", "b"]), around)
    workload.add(explicit_commands(["again"]), around, 1)
    assert [workload.makes(task, ["%f%.out"]) for task in range(3)] == [("a.out",), ("b.out",), ()]
