"""``--fetch``: how a command names the copies of what its marks lead to."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.inputs.filesystems import FileSystems
from stratos_jupyter.backend.spec.commands import (
    Commands,
    commands_from_record,
    explicit_commands,
    glob_commands,
    template_commands,
)


def fetched(text: str) -> tuple[str, tuple[str, ...]]:
    made = explicit_commands([text]).with_fetch()
    return made.command(0), made.copies(0)


@pytest.mark.parametrize(
    ("text", "command", "copies"),
    [
        ("cat <[hdfs:/a]>", 'cat "$STRATOS_COPY_1"', ("hdfs:/a",)),
        ("cat <['hdfs:/two words']> x", 'cat "$STRATOS_COPY_1" x', ("hdfs:/two words",)),
        ("cat <[hdfs:/a]> <[hdfs://nn:8020/b]> <[hdfs:/a]>", None, ("hdfs:/a", "hdfs://nn:8020/b")),
        ("cat <[hdfs:/{a,b}]>", 'cat "$STRATOS_COPY_1" "$STRATOS_COPY_2"', ("hdfs:/a", "hdfs:/b")),
        ("cat <[/data/a]>", "cat /data/a", ()),
        ("cat <['it''s' hdfs:/a]>", 'cat its "$STRATOS_COPY_1"', ("hdfs:/a",)),
        ("cat '<[hdfs:/a]>'", "cat '<[hdfs:/a]>'", ()),
        ("cat hdfs:/a", "cat hdfs:/a", ()),
    ],
)
def test_what_a_command_becomes(text: str, command: str | None, copies: tuple[str, ...]) -> None:
    made = fetched(text)
    assert made[1] == copies
    if command is not None:
        assert made[0] == command


def test_a_pattern_is_as_many_copies_as_it_found() -> None:
    made = explicit_commands(["cat <[hdfs:/s_*]>"]).with_found({"hdfs:/s_*": ["hdfs:/s_1", "hdfs:/s_2"]}).with_fetch()
    assert (made.command(0), made.copies(0)) == (
        'cat "$STRATOS_COPY_1" "$STRATOS_COPY_2"', ("hdfs:/s_1", "hdfs:/s_2"),
    )  # fmt: skip


def test_the_file_of_a_glob_has_its_own_variable() -> None:
    made = glob_commands("cat <[%f%]> <[%f%.idx]>", ["hdfs:/a b"], fetch=True)
    assert made.command(0) == 'cat "$STRATOS_FILE" "$STRATOS_COPY_1"'
    assert made.copies(0) == ("hdfs:/a b.idx",)


def test_it_is_kept_with_the_job() -> None:
    made: list[Commands] = [
        explicit_commands(["cat <[hdfs:/a]>"]).with_fetch(),
        template_commands("cat <[hdfs:/%c%]>", ["a", "b"]).with_fetch(),
        glob_commands("cat %f% <[hdfs:/a]>", ["hdfs:/x"], fetch=True),
    ]
    for commands in made:
        again = commands_from_record(commands.to_record())
        assert again == commands
        assert again.copies(0) == ("hdfs:/a",)


@given(st.lists(st.text(st.characters(exclude_characters="\0/\n", exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_the_shell_reads_the_words_of_the_copies(names: list[str]) -> None:
    text = "printf '%s\\0' start " + " ".join(f"<[{shlex.quote('hdfs:/' + name)}]>" for name in names) + " end"
    made = explicit_commands([text]).with_fetch()
    copies = made.copies(0)
    if len(copies) != len(dict.fromkeys(names)):
        return  # a name that is no mark, as the reader has it
    env = {f"STRATOS_COPY_{number + 1}": f"/copy/{number} of it" for number in range(len(copies))}
    said = subprocess.run(["bash", "-c", made.command(0)], env=env, capture_output=True, check=True).stdout
    wanted = [f"/copy/{copies.index('hdfs:/' + name)} of it" for name in names]
    assert said.decode().split("\0")[:-1] == ["start", *wanted, "end"]


def test_quoted_braces_of_a_mark_are_characters_in_the_pattern_that_finds_its_files(tmp_path: Path) -> None:
    (mark,) = explicit_commands(["cat <['a{x,y}$~'*.dat]>"]).marks(0)
    assert [word.pattern for word in mark.words] == ["a\\{x,y\\}[$][~]*.dat"]
    (tmp_path / "a{x,y}$~1.dat").touch()
    assert FileSystems().expand(mark.words[0].pattern, str(tmp_path)) == ["a{x,y}$~1.dat"]


def test_a_backslash_in_a_name_is_a_character_in_the_pattern_of_a_mark(tmp_path: Path) -> None:
    (tmp_path / "a\\b1.dat").touch()
    (quoted,) = explicit_commands(["cat <['a\\b'*.dat]>"]).marks(0)
    (of_file,) = glob_commands("cat <[%f%*.dat]>", ["a\\b"]).marks(0)
    for mark in (quoted, of_file):
        assert FileSystems().expand(mark.words[0].pattern, str(tmp_path)) == ["a\\b1.dat"]
