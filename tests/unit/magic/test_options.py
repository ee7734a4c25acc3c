"""What a magic line means, before anything is submitted."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from traitlets import TraitError
from traitlets.config import Config

from stratos_jupyter import settings
from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.engines.registry import choices
from stratos_jupyter.backend.spec.job_spec import JobSpec, OutputMode
from stratos_jupyter.errors import SpecError, UsageError
from stratos_jupyter.magic.arguments import Argument, HelpAsked, Subcommand, split, subcommands
from stratos_jupyter.magic.completion import Completer
from stratos_jupyter.magic.options import spec_of_cell, task_indices
from stratos_jupyter.magic.text import printable, table
from stratos_jupyter.magics import StratosMagics
from stratos_jupyter.settings import Stratos

KNOWN = subcommands(StratosMagics)


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("STRATOS_MASTER", raising=False)
    Stratos.clear_instance()
    yield
    Stratos.clear_instance()


def read(line: str) -> argparse.Namespace:
    name, *words = split(line)
    return KNOWN[name].read(words)


def spec_of(line: str) -> JobSpec:
    spec, wrong = spec_of_cell(read(line), settings.current())
    assert wrong == []
    return spec


# -- splitting ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("glob /dfs/*_2* --job demo", ["glob", "/dfs/*_2*", "--job", "demo"]),
        ("glob 'two words/*.dat'", ["glob", "two words/*.dat"]),
        ('glob "it\'s*"', ["glob", "it's*"]),
        ("glob {a,b}* --env X=$HOME", ["glob", "{a,b}*", "--env", "X=$HOME"]),
        ("glob %f% --env A=%f%", ["glob", "%f%", "--env", "A=%f%"]),
        ("glob run#3/*", ["glob", "run#3/*"]),
        ("glob Zürich/* ;", ["glob", "Zürich/*", ";"]),
    ],
)
def test_a_line_is_split_as_a_shell_does_and_nothing_is_expanded(line: str, words: list[str]) -> None:
    assert split(line) == words


@pytest.mark.parametrize(
    ("word", "pattern"),
    [
        (r"a\*b", r"a\*b"),
        (r"a\\b", r"a\\b"),
        (r"\$X\{1\}", r"\$X\{1\}"),
        (r"two\ words\*", r"two words\*"),
        (r"it\'s\"", "it's\""),
        (r"'a\*b'", r"a\*b"),
        (r'"a\*b"', r"a\*b"),
        ("'my data/*.txt'", "my data/*.txt"),
        ("*.txt", "*.txt"),
    ],
)
def test_a_backslash_in_a_pattern_protects_the_character_behind_it(word: str, pattern: str) -> None:
    args = read(rf"glob --job a\*b {word} --parse regex:\(a\)")
    assert (args.job, args.PATTERN, args.parse) == ("a*b", pattern, "regex:(a)")


@pytest.mark.parametrize("line", ["glob data/* \\", "glob data/* \\  "])
def test_a_line_that_ends_in_a_backslash_says_why_it_cannot_go_on(line: str) -> None:
    with pytest.raises(UsageError, match="the next line would already be the command"):
        split(line)


@pytest.mark.parametrize("line", ["glob 'data/*", 'glob data/* --job "demo'])
def test_an_open_quote_is_said(line: str) -> None:
    with pytest.raises(UsageError, match="a quote is opened and not closed"):
        split(line)


# -- reading -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", KNOWN.values(), ids=lambda made: str(made.name))
def test_each_subcommand_has_help_and_an_example_that_can_be_read(made: Subcommand) -> None:
    assert made.summary.endswith(".")
    first = made.example.splitlines()[0]
    line = first[first.index("%") :].lstrip("%").removeprefix("stratos ")
    assert split(line)[0] == made.name
    made.read(split(line)[1:])
    assert ("\n" in made.example) == made.cell
    with pytest.raises(HelpAsked) as asked:
        made.read(["--help"])
    assert made.title in str(asked.value)


def test_help_shows_percent_signs_as_they_are() -> None:
    options = (Argument("--halt", "after 10% of %c%", "N"), Argument("FILE", "%f%"))
    shown = Subcommand("try", "Over %f%.", "%%stratos try %f%", True, options).help()
    assert "after 10% of %c%\n" in shown
    assert "FILE        %f%\n" in shown
    assert "Over %f%.\n" in shown
    assert "usage: %%stratos try" in shown


def test_an_unknown_option_says_what_is_near_and_shows_an_example() -> None:
    with pytest.raises(UsageError) as raised:
        read("glob data/* --threds 2 --jobb=x")
    assert str(raised.value).splitlines() == [
        "unknown option --threds; did you mean --threads?; unknown option --jobb; did you mean --job?",
        "usage: %%stratos glob PATTERN [options]    (%stratos help glob says more)",
        "example:",
        "    %%stratos glob data/*.txt --job demo --into df --parse tsv --columns lines:int,words:int",
        "    wc -lw < %f%",
    ]


def test_options_are_not_abbreviated() -> None:
    with pytest.raises(UsageError, match=r"unknown option --thr; did you mean --threads\?"):
        read("glob data/* --thr 2")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("glob", "PATTERN"),
        ("glob a* b*", r"too many words: 'b\*'; quote"),
        ("glob a* --job", "--job"),
        ("glob -a.txt --job x", r"PATTERN; a name that begins with a dash is written \./-a\.txt"),
        ("glob -- -a.txt --job x", "--job stands behind --; write options before that"),
        ("log demo", "TASK"),
        ("status one two", "too many words: two"),
        ("explicit pattern", "too many words: pattern"),
    ],
)
def test_what_is_missing_or_too_much_is_said_with_an_example(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        read(line)
    assert f"stratos {line.split()[0]}" in str(raised.value).split("example:")[1]


# -- meaning -----------------------------------------------------------------------------------------------


def test_every_option_reaches_the_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(
        "glob data/* --job demo --into df --threads 1.5 --mem 2G --disk 512 --role astro --where rack=3 "
        "--where gpu=a=b --priority -2 --parse tsv --columns n:int,vel_disp:float,name --output disk --log-dir logs "
        "--timeout 10m --linger 1m --cwd /tmp --env TOKEN --env A=b=c --env EMPTY= --hdfs nn1:9870;nn2:9870 --wait "
        "--dry-run"
    )
    assert spec == JobSpec(
        job_id="demo",
        threads=1.5,
        mem_mib=2048,
        disk_mib=512,
        role="astro",
        where=(("rack", "3"), ("gpu", "a=b")),
        priority=-2,
        parse="tsv",
        columns=(("n", "int"), ("vel_disp", "float"), ("name", "str")),
        output=OutputMode.DISK,
        log_directory="logs",
        timeout_s=600,
        linger_s=60,
        cwd="/tmp",
        env=(("TOKEN", None), ("A", "b=c"), ("EMPTY", "")),
        hdfs="nn1:9870;nn2:9870",
        mounts=(("/dfs", "/"),),
    )


def test_what_success_is_reaches_the_spec() -> None:
    spec = spec_of(
        "glob data/* --ok-exit 0,1 --makes out/%file.stem%.fits,log --makes 'two words' --parse float "
        "--fail-on 'stderr:a{1,2},stdout:x' --fail-on parse"
    )
    assert spec.rules == Rules(ok_exit=((0, 1),))
    assert spec.makes == ("out/%file.stem%.fits", "log", "two words")
    assert spec.fail_on == (("stderr", "a{1,2}"), ("stdout", "x"), ("parse", ""))
    assert (spec.fails_on_parse, spec.fail_on_streams) == (True, (("stderr", "a{1,2}"), ("stdout", "x")))


def test_a_number_of_threads_that_was_given_is_told_from_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not spec_of("glob data/*").threads_given
    assert spec_of("glob data/* --threads 1").threads_given
    settings.current().threads = 1.0
    assert not spec_of("glob data/*").threads_given  # nothing has changed
    settings.current().threads = 2.0
    assert spec_of("glob data/*").threads_given


def test_no_options_mean_the_defaults() -> None:
    assert spec_of("glob data/*") == JobSpec()


def test_everything_wrong_is_said_at_once() -> None:
    _, wrong = spec_of_cell(
        read(
            "glob a --into 2x --threads two --mem lots --disk -1 --timeout soon --linger x --priority 1.5 --output "
            "disc --where rack --columns n:int,:x --retries -1 --retry-on spawn --retry-delay x --halt 0 --max-tasks 0 "
            "--rate 0 --delay y --locality-wait w --update-interval z"
        ),
        settings.current(),
    )
    assert [text.partition(":")[0] for text in wrong] == [
        "--into", "--threads", "--mem", "--disk", "--where", "--columns", "--output", "--timeout", "--linger",
        "--retries", "--retry-on", "--retry-delay", "--halt", "--priority", "--max-tasks", "--rate", "--delay",
        "--locality-wait", "--update-interval",
    ]  # fmt: skip
    assert any("did you mean disk?" in text for text in wrong)


@pytest.mark.parametrize("name", ["class", "2x", "a b", "a.b", "None", ""])
def test_into_must_be_the_name_of_a_variable(name: str) -> None:
    _, wrong = spec_of_cell(read(f"glob a --into '{name}'"), settings.current())
    assert wrong == [f"--into: {name!r} cannot be the name of a variable"]


@pytest.mark.parametrize(
    ("words", "tasks"),
    [(["3"], [3]), (["3-7"], [3, 4, 5, 6, 7]), (["9,3", "3-4"], [3, 4, 9]), (["0"], [0])],
)
def test_tasks_are_numbers_and_ranges(words: list[str], tasks: list[int]) -> None:
    assert task_indices(words, 10) == tasks


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x"], "'x' is no task"),
        (["-3"], "'-3' is no task"),
        (["7-3"], "runs backwards"),
        (["3-999999999999"], "there is no task 999999999999; the job has 10"),
        (["10", "٣"], "there is no task 10.*'٣' is no task"),
        ([""], "'' is no task"),
    ],
)
def test_what_is_no_task_is_said(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_indices(words, 10)


# -- settings ----------------------------------------------------------------------------------------------


def test_the_environment_is_above_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATOS_THREADS", "3")
    monkeypatch.setenv("STRATOS_LOG_DIRECTORY", "logs")
    assert spec_of("glob a").threads == 3
    assert settings.current().origin("threads") == "STRATOS_THREADS"
    assert settings.current().origin("mem") == "default"
    assert spec_of("glob a").log_directory == "logs"


def test_configuration_is_above_the_environment_and_options_are_above_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATOS_THREADS", "3")
    monkeypatch.setenv("STRATOS_MEM", "3G")
    Stratos.instance(config=Config({"Stratos": {"threads": 4}}))
    assert settings.current().origin("threads") == "config file"
    assert (spec_of("glob a").threads, spec_of("glob a").mem_mib) == (4, 3072)
    assert spec_of("glob a --threads 5").threads == 5


@pytest.mark.parametrize("name", ["timeout", "output", "retries", "max_cpus", "partition_wait"])
def test_what_a_configuration_file_sets_wrongly_is_named(name: str) -> None:
    bad = {"retries": -1}.get(name, "x")
    with pytest.raises(TraitError, match=f"^{name}: '{bad}'"):
        Stratos.instance(config=Config({"Stratos": {name: bad}}))
    with pytest.raises(TraitError, match=f"^'{bad}'"):
        setattr(settings.current(), name, bad)


def test_a_changed_setting_does_not_bring_an_older_one_back() -> None:
    made = Stratos.instance(config=Config({"Stratos": {"master": "local[1]"}}))
    made.assign("master", "local[2]", "%stratos connect")
    made.update_config(Config({"Stratos": {"threads": 2}}))  # what %config does
    assert (made.master, made.origin("master")) == ("local[2]", "%stratos connect")
    assert (made.threads, made.origin("threads")) == (2, "%config")


def test_every_bad_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"THREADS": "two", "MEM": "lots", "OUTPUT": "disc", "TIMEOUT": "soon"}.items():
        monkeypatch.setenv(f"STRATOS_{name}", value)
    with pytest.raises(SpecError) as raised:
        settings.current()
    for name in ("STRATOS_THREADS=two", "STRATOS_MEM=lots", "STRATOS_OUTPUT=disc", "STRATOS_TIMEOUT=soon"):
        assert name in str(raised.value)


# -- text --------------------------------------------------------------------------------------------------


def test_nothing_in_an_output_can_act() -> None:
    shown = printable("a\tb\n\x1b[31mred\x07\x9b2J\r\udcff <b>")
    assert shown == "a\tb\n\\x1b[31mred\\x07\\x9b2J\\x0d\\xff <b>"
    shown.encode("utf-8")


def test_a_table_stands_in_columns() -> None:
    assert table(("job", "tasks"), [("demo", 5000), ("x\ny", 7)]).splitlines() == [
        "job   tasks",
        "demo  5,000",
        "x↵y       7",
    ]


# -- completion --------------------------------------------------------------------------------------------


@pytest.fixture
def completer() -> Completer:
    variables: dict[str, Any] = {
        "angles": [1, 2], "frame": SimpleNamespace(columns=[]), "reader": lambda text: text, "number": 3, "_x": [],
    }  # fmt: skip
    shell: Any = SimpleNamespace(user_ns=variables, user_ns_hidden={})
    return Completer(shell, KNOWN, lambda: ["demo", "other", "demo"], lambda: ["kept"])


@pytest.mark.parametrize(
    ("before", "word", "cell", "found"),
    [
        ("", "", True, ["glob", "template", "explicit"]),
        ("", "s", False, ["status", "set"]),
        ("", "glo", False, []),
        ("glob a*", "--in", True, ["--into"]),
        ("glob a* --into df", "--in", True, []),
        ("glob a* --env A=b", "--en", True, ["--env"]),
        ("glob a* --into", "", True, ["frame"]),
        ("glob a* --job", "d", True, ["demo"]),
        ("glob a* --parse", "re", True, ["regex:", "reader"]),
        ("glob a* --output", "d", True, ["disk"]),
        ("glob a* --threads", "", True, []),
        ("template", "", True, ["angles", "frame"]),
        ("template --wait --job demo", "a", True, ["angles"]),
        ("status", "", False, ["demo", "other"]),
        ("results demo", "", False, ["--all"]),
        ("log demo", "", False, []),
        ("connect", "local[", False, [name for name in choices() if "[" in name]),
        ("help", "te", False, ["template"]),
        ("jobs", "", False, []),
        ("nonsense", "", False, []),
    ],
)
def test_what_a_word_may_become(completer: Completer, before: str, word: str, cell: bool, found: list[str]) -> None:
    assert [text for text, _ in completer.complete(before.split(), word, cell)] == found


def test_names_of_files_are_typed_as_the_line_needs_them(
    completer: Completer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "two words.dat").touch()
    (tmp_path / "two").mkdir()
    (tmp_path / "tw[o].dat").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = [text for text, _ in completer.complete(["glob"], "tw", True)]
    assert found == ["tw[o].dat", "two/", "two\\ words.dat"]
    assert [text for text, _ in completer.complete(["glob"], "~/two\\ w", True)] == ["~/two\\ words.dat"]
    assert [text for text, _ in completer.complete(["explicit", "--cwd"], "t", True)] == ["two/"]
    assert split("glob " + found[2])[1] == "two words.dat"
