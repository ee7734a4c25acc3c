"""Every option, from every place where it can be said, means the same, and is refused in the same words."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from traitlets import TraitError

from stratos_jupyter import Processor, SpecError, settings
from stratos_jupyter.backend.core.rules import Halt, Rules, as_tuples
from stratos_jupyter.backend.results.parsers import is_known
from stratos_jupyter.backend.spec.job_spec import JobSpec, OutputMode
from stratos_jupyter.backend.spec.option import OF_RULES, Option
from stratos_jupyter.backend.spec.options import ARGUMENTS, LIVE, NAMED, OPTIONS, SETTINGS, read_changes
from stratos_jupyter.job import Job
from stratos_jupyter.magic.arguments import split, subcommands
from stratos_jupyter.magic.completion import Completer
from stratos_jupyter.magic.options import spec_of_cell
from stratos_jupyter.magics import StratosMagics
from stratos_jupyter.processor_arguments import read, said_of
from stratos_jupyter.settings import Stratos

KNOWN = subcommands(StratosMagics)


class Example(NamedTuple):
    """A value as a cell has it, the fields that it makes of a job, and one that cannot be read."""

    text: str
    fields: dict[str, Any]
    bad: str | None = "!"


#: one for each option that decides something and that has a parser or takes any text
EXAMPLES = {
    "job": Example("demo", {"job_id": "demo"}, None),
    "threads": Example("3", {"threads": 3.0, "threads_given": True}),
    "mem": Example("1G..4G", {"mem_mib": 1024.0, "mem_most_mib": 4096.0}),
    "disk": Example("2G", {"disk_mib": 2048.0}),
    "gpus": Example("1", {"gpus": 1.0}),
    "role": Example("astro", {"role": "astro"}, None),
    "where": Example("rack=3", {"where": (("rack", "3"),)}),
    "parse": Example("json", {"parse": "json"}, None),
    "columns": Example("n:int", {"columns": (("n", "int"),)}, ":int"),
    "output": Example("none", {"output": OutputMode.NONE}),
    "log_directory": Example("logs", {"log_directory": "logs"}, None),
    "output_limit": Example("2M", {"output_limit": 2 << 20}),
    "timeout": Example("300%", {"timeout_s": None, "timeout_share": 3.0}),
    "linger": Example("10s", {"linger_s": 10.0}),
    "retries": Example("4", {"retries": 4}),
    "retry_on": Example("memory", {}),
    "retry_delay": Example("5s", {"retry_delay_s": 5.0}),
    "ok_exit": Example("0-2", {"ok_exit": ((0, 2),)}),
    "makes": Example("%f%.out", {"makes": ("%f%.out",)}, "a{b}"),
    "fail_on": Example("stderr:bad", {"fail_on": (("stderr", "bad"),)}),
    "halt": Example("5", {"halt": Halt(5)}),
    "priority": Example("7", {"priority": 7}),
    "nice": Example("19", {"nice": 19}, "20"),
    "max_tasks": Example("8", {"max_tasks": 8}),
    "rate": Example("10/s", {"rate_per_s": 10.0}),
    "delay": Example("2s", {"delay_s": 2.0}),
    "locality_wait": Example("1s", {"locality_wait_s": 1.0}),
    "monitor": Example("watch", {"monitor": "watch"}, None),
    "relauncher": Example("halve", {"relauncher": "halve"}, None),
    "update_interval": Example("3s", {"update_interval_s": 3.0}),
    "shell": Example("zsh", {"shell": ("zsh",)}),
    "cwd": Example("/tmp", {"cwd": "/tmp"}, None),
    "env": Example("A=b", {"env": (("A", "b"),)}, None),
    "hdfs": Example("nn1", {"hdfs": "nn1"}, "ftp://x"),
}
#: those that decide nothing by their text alone
ELSEWHERE = {
    "master": "the first argument of Processor, and %stratos connect",
    "hdfs_mounts": "of a job that has an HDFS",
    "fetch": "asks the configuration of an HDFS",
    "into": "a cell's, as the next ones",
    "resume": "",
    "wait": "",
    "dry_run": "",
}


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in SETTINGS:
        monkeypatch.delenv(f"STRATOS_{name.upper()}", raising=False)
    Stratos.clear_instance()
    yield
    Stratos.clear_instance()


@pytest.fixture
def ask() -> Callable[..., JobSpec]:
    """Return the job that a Processor with these arguments would be."""

    def asked(**given: object) -> JobSpec:
        return read(said_of("local", given, {}), lambda spec: spec.check(()))[0]

    return asked


def from_cell(*words: str) -> tuple[JobSpec, list[str]]:
    return spec_of_cell(KNOWN["glob"].read(["*", *words]), settings.current())


def fields_of(spec: JobSpec, names: Any) -> dict[str, Any]:
    return {name: getattr(spec.rules if name in OF_RULES else spec, name) for name in names}


def every(wanted: Callable[[Option], object]) -> Any:
    return pytest.mark.parametrize("name", [name for name in EXAMPLES if wanted(NAMED[name])])


def test_every_option_has_an_example() -> None:
    assert {option.name for option in OPTIONS} == {*EXAMPLES, *ELSEWHERE}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_another_value_than_the_default(name: str) -> None:
    option, example = NAMED[name], EXAMPLES[name]
    decided = {field.name for field in option.decides if not field.made} | ({option.told} - {""})
    assert set(example.fields) <= decided
    if example.fields:
        assert fields_of(JobSpec(), example.fields) != example.fields


# -- the places --------------------------------------------------------------------------------------------


@every(lambda option: option.flag)
def test_a_cell_says_it(name: str) -> None:
    spec, wrong = from_cell(NAMED[name].flag, EXAMPLES[name].text)
    assert wrong == []
    assert fields_of(spec, EXAMPLES[name].fields) == EXAMPLES[name].fields
    assert spec != from_cell()[0]


@every(lambda option: option.keyword)
def test_a_processor_says_it(name: str, ask: Callable[..., JobSpec]) -> None:
    more: dict[str, object] = {"relauncher": {"monitor": "watch"}, "columns": {"parse": "tsv"}}.get(name, {})
    spec = ask(**{NAMED[name].argument: EXAMPLES[name].text}, **more)
    assert fields_of(spec, EXAMPLES[name].fields) == EXAMPLES[name].fields
    assert spec != ask(**({} if name == "columns" else more))


@every(lambda option: option.setting)
def test_a_setting_says_it_to_both(name: str, ask: Callable[..., JobSpec]) -> None:
    settings.current().assign(name, EXAMPLES[name].text, "%config")
    for spec in (from_cell()[0], ask()):
        assert fields_of(spec, EXAMPLES[name].fields) == EXAMPLES[name].fields


@every(lambda option: option.setting)
def test_the_environment_says_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"STRATOS_{name.upper()}", EXAMPLES[name].text)
    assert fields_of(from_cell()[0], EXAMPLES[name].fields) == EXAMPLES[name].fields


@pytest.mark.parametrize("name", LIVE)
def test_it_is_changed_while_a_job_runs(name: str) -> None:
    assert read_changes({name: EXAMPLES[name].text}) == EXAMPLES[name].fields
    (field,) = EXAMPLES[name].fields
    assert read_changes({name: None}) == read_changes({name: "none"})
    assert read_changes({name: None})[field] in (None, 0)
    assert field in OF_RULES
    assert any(name in one.help for one in KNOWN["set"].arguments)


@every(lambda option: option.keyword and option.name not in ("env", "log_directory"))
def test_the_record_of_a_run_brings_it_back(name: str, ask: Callable[..., JobSpec]) -> None:
    more: dict[str, object] = {"relauncher": {"monitor": "watch"}, "columns": {"parse": "tsv"}}.get(name, {})
    spec = ask(**{NAMED[name].argument: EXAMPLES[name].text}, **more)
    assert JobSpec.from_record(json.loads(json.dumps(spec.to_record()))) == spec


def test_a_record_has_tuples_again_whatever_the_field() -> None:
    assert as_tuples([["a", [1, 2]], "b"]) == (("a", (1, 2)), "b")
    assert [as_tuples(value) for value in ("ab", None, 1.5, {"a": [1]})] == ["ab", None, 1.5, {"a": [1]}]


def test_a_master_that_names_no_engine_says_nothing_of_what_jobs_have_there() -> None:
    settings.current().assign("master", "what is this", "%config")
    spec, wrong = from_cell()
    assert (spec.master, spec.output_limit, wrong) == ("what is this", JobSpec().output_limit, [])


def test_a_setting_that_may_be_empty_says_what_that_means() -> None:
    empty = [name for name, trait in Stratos.class_traits(config=True).items() if trait.default_value == ""]
    told = {name: str(Stratos.class_traits()[name].help) for name in empty}
    # Of these the name says enough, or the text names both defaults.
    plain = {"log_directory", "hdfs", "principal", "secret", "executor_uri", "output_limit", "failover_timeout"}
    assert [name for name in empty if name not in plain and "empty for" not in told[name]] == []


def test_tab_completes_each_flag_and_each_name_that_can_be_set() -> None:
    completer = Completer(None, KNOWN, list, list)  # type: ignore[arg-type]  # no variables are asked for
    assert {text for text, _ in completer.complete(["glob", "*"], "--", True)} == {
        option.flag for option in OPTIONS if option.flag
    }
    assert [text for text, _ in completer.complete(["set", "demo"], "", False)] == [f"{name}=" for name in LIVE]


def test_tab_offers_values_that_can_be_read() -> None:
    for option in OPTIONS:
        for choice in option.choices:
            assert option.values(choice) != option.unset or choice in ("scheduler", "bash")
    assert [is_known(choice) for choice in NAMED["parse"].choices] == [True] * 6


def test_processor_explains_all_of_its_arguments() -> None:
    shown = inspect.signature(Processor).parameters
    assert set(shown) == {"master", "settings", *ARGUMENTS}
    told = inspect.getdoc(Processor) or ""
    assert [name for name in shown if f"\n{name} : " not in told] == []


def test_a_class_made_of_processor_shows_its_own_arguments() -> None:
    class Local(Processor):
        def __init__(self, job_id: str) -> None:
            super().__init__("local", job_id=job_id)

    assert list(inspect.signature(Local).parameters) == ["job_id"]


def test_what_processor_takes_by_position_stays() -> None:
    shown = inspect.signature(Processor).parameters.values()
    assert [one.name for one in shown if one.kind is one.POSITIONAL_OR_KEYWORD] == [
        *("master", "role", "threads_per_task", "mem_per_task", "disk_per_task", "monitor", "relauncher"),
        *("update_interval", "output", "log_directory", "job_id", "settings"),
    ]


# -- the same words ----------------------------------------------------------------------------------------


@every(lambda option: option.flag and EXAMPLES[option.name].bad)
def test_a_bad_value_is_refused_in_the_same_words(name: str, ask: Callable[..., JobSpec]) -> None:
    option, bad = NAMED[name], EXAMPLES[name].bad
    wrong = from_cell(option.flag, str(bad))[1]
    assert len(wrong) == 1
    assert wrong[0].startswith(f"{option.flag}: ")
    with pytest.raises(SpecError) as raised:
        ask(**{option.argument: bad})
    assert str(raised.value) == wrong[0]
    if option.live:
        with pytest.raises(SpecError) as raised:
            read_changes({name: bad})
        assert str(raised.value) == wrong[0]
    if option.setting is not None and isinstance(option.setting.default, str):
        with pytest.raises(TraitError) as refused:
            setattr(settings.current(), name, bad)
        assert f"{option.flag}: {refused.value}" == wrong[0]


def test_everything_is_said_at_once_in_both(ask: Callable[..., JobSpec]) -> None:
    bad = {name: example.bad for name, example in EXAMPLES.items() if example.bad and NAMED[name].flag}
    words = [word for name, value in bad.items() for word in (NAMED[name].flag, str(value))]
    with pytest.raises(SpecError) as raised:
        ask(**{NAMED[name].argument: value for name, value in bad.items()})
    assert str(raised.value) == "; ".join(from_cell(*words)[1])


@pytest.mark.parametrize(
    ("words", "given", "message"),
    [
        ("--resume", {"resume": True}, "--resume goes on with a job: name it with --job"),
        ("--fetch", {"fetch": True}, "--fetch needs an HDFS: name it with --hdfs"),
        ("--threads nan", {"threads_per_task": float("nan")}, "--threads: 'nan' is no number"),
        ("--threads inf", {"threads_per_task": float("inf")}, "--threads: 'inf' is no number"),
        ("--gpus inf", {"gpus_per_task": float("inf")}, "--gpus: 'inf' is no number"),
        ("--priority 1.5", {"priority": 1.5}, "--priority: '1.5' is no whole number"),
        ("--retry-on spawn", {"retry_on": ["spawn"]}, "--retry-on: 'spawn' is no failure to retry on"),
        ("--mem ''", {"mem_per_task": ""}, "--mem: '' is no size"),
    ],
)
def test_what_cannot_be_is_refused_in_the_same_words(
    words: str, given: dict[str, object], message: str, ask: Callable[..., JobSpec]
) -> None:
    (wrong,) = from_cell(*split(words))[1]
    assert wrong.startswith(message)
    with pytest.raises(SpecError) as raised:
        ask(**given)
    assert str(raised.value) == wrong


@pytest.mark.parametrize(
    ("master", "given", "limit"),
    [
        ("local", "", 16 << 20),
        ("head:5050", "", 1 << 20),
        ("head:5050", "2M", 2 << 20),
        ("two words", "", 16 << 20),  # refused later, with all else that is wrong
    ],
)
def test_how_much_output_comes_back_depends_on_where_it_comes_from(master: str, given: str, limit: int) -> None:
    settings.current().assign("master", master, "%config")
    settings.current().assign("output_limit", given, "%config")
    assert from_cell()[0].output_limit == limit


# -- what stands for text in Python ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"env": {"A": 1, "B": None}}, {"env": (("A", "1"), ("B", None))}),
        ({"env": ["A=1", "B"]}, {"env": (("A", "1"), ("B", None))}),
        ({"where": {"rack": 3}}, {"where": (("rack", "3"),)}),
        ({"parse": "tsv", "columns": {"n": int, "x": "float"}}, {"columns": (("n", "int"), ("x", "float"))}),
        ({"parse": "tsv", "columns": ["n:int", "x"]}, {"columns": (("n", "int"), ("x", "str"))}),
        ({"ok_exit": range(3)}, {"ok_exit": ((0, 2),)}),
        (
            {"timeout": None, "threads_per_task": None},
            {"timeout_s": None, "threads": 1, "threads_given": False},
        ),
        ({"priority": 2.0}, {"priority": 2}),
        ({"output": OutputMode.NONE}, {"output": OutputMode.NONE}),
        ({"delay": "none"}, {"delay_s": 0.0}),
    ],
)
def test_values_of_python_are_read_as_their_text(
    given: dict[str, object], found: dict[str, object], ask: Callable[..., JobSpec]
) -> None:
    assert fields_of(ask(**given), found) == found


def test_a_monitor_that_is_no_function_of_python_is_looked_for_nowhere_else() -> None:
    with pytest.raises(SpecError) as raised:
        Processor("local", monitor=print)
    assert str(raised.value) == "--monitor: monitor print: write it as a function, def print(pid, stdout, stderr)"


def test_nothing_said_is_what_cells_and_stratos_have() -> None:
    assert from_cell()[0] == JobSpec()
    spec, _ = read(said_of("node7:5050", {}, {}), lambda spec: spec.check(()))
    assert (spec.threads, spec.mem_mib, spec.disk_mib, spec.output_limit) == (2, 1024, 2048, 1 << 20)
    assert spec.rules == Rules()


def test_a_job_says_what_can_be_set() -> None:
    assert "%stratos help set" in (inspect.getdoc(Job.set) or "")
    assert inspect.signature(Processor.set).parameters.keys() == {"self", "values"}
