"""Processor and Stream, as the StratOS documentation has them, on the local engine."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from stratos_jupyter import EngineError, Processor, SpecError, StreamClosed, settings
from stratos_jupyter.backend.spec.options import ARGUMENTS
from stratos_jupyter.session import Session
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("session")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for number, name in enumerate(["b.txt", "a.txt", "two words.txt"]):
        (folder / name).write_text("x" * number)
    return folder


def test_the_signature_is_the_documented_one() -> None:
    assert str(inspect.signature(Processor)).replace("'", '"').split(", *, ")[0] == (
        '(master: "str", role: "str" = "*", threads_per_task: "float | str" = 2, mem_per_task: "float | str" = 1024, '
        'disk_per_task: "float | str" = 2048, monitor: "str | Callable[[int, str, str], object]" = "", '
        'relauncher: "str" = "", '
        'update_interval: "float | str" = 10, output: "str" = "scheduler", log_directory: "str" = "", '
        'job_id: "str" = "untitled", settings: "Mapping[str, Any] | None" = None'
    )


def test_glob_batch_runs_a_command_for_each_file_in_order(files: Path) -> None:
    processor = Processor("local")
    processor.glob_batch("basename %f%; wc -c < %f%", f"{files}/*.txt")
    assert processor.get_results() == ["a.txt\n1\n", "b.txt\n0\n", "two words.txt\n2\n"]


def test_template_batch_fills_places_in_order() -> None:
    processor = Processor("local")
    processor.template_batch("echo %c%-%c%", ["1, 2", "3,4"])
    assert processor.get_results() == ["1-2\n", "3-4\n"]


def test_explicit_batch_splits_a_string_and_leaves_a_list(tmp_path: Path) -> None:
    processor = Processor("local")
    processor.explicit_batch("echo 'a;b'; echo c\necho d")
    assert processor.get_results() == ["a;b\n", "c\n", "d\n"]
    other = Processor("local")
    other.explicit_batch(["echo a; echo b"])
    assert other.get_results() == ["a\nb\n"]


def test_indices_go_on_across_calls() -> None:
    processor = Processor("local")
    processor.explicit_batch(["echo 0", "exit 1"])
    processor.explicit_batch(["echo 2"])
    assert processor.get_results() == ["0\n", "", "2\n"]
    assert list(processor.df.index) == [0, 1, 2]
    processor.explicit_stream(["echo 3"])
    assert processor.wait()
    assert processor.stream is not None
    assert processor.stream.list_completed_tasks() == [3]
    assert processor.get_results() == ["3\n"]


def test_a_stream_returns_at_once_and_gives_what_is_new() -> None:
    processor = Processor("local[2]")
    assert processor.stream is None
    assert processor.wait() is False
    processor.explicit_stream(["echo 0", "exit 4", "sleep 1000"])
    stream = processor.stream
    assert stream is not None
    assert not stream.closed()
    until(lambda: stream.count_completed_tasks() == 2)
    assert sorted(processor.get_results()) == ["", "0\n"]
    assert processor.get_results() == []
    until(lambda: stream.list_running_tasks() == [2])
    stream.add("echo 3; echo 4")
    until(lambda: stream.count_completed_tasks() == 4)
    assert sorted(stream.get_results()) == ["3\n", "4\n"]
    assert stream.count_total_tasks() == 5
    assert stream.list_unfinished_tasks() == [2]
    assert stream.count_completed_tasks() + stream.count_lost_tasks() + stream.count_unfinished_tasks() == 5
    assert stream.get_status(0) == "FINISHED"
    assert stream.get_status(1) == "FAILED"
    assert stream.get_command(3) == "echo 3"
    assert processor.kill() == 1
    assert processor.wait() is True
    assert stream.closed()
    assert stream.get_status(2) == "KILLED"


def test_a_closed_stream_takes_no_more_and_another_can_be_opened(files: Path) -> None:
    processor = Processor("local")
    processor.glob_stream("basename %f%", f"{files}/a*")
    first = processor.stream
    processor.stream.add(f"{files}/b*")
    assert processor.wait()
    with pytest.raises(StreamClosed, match="closed"):
        first.add(f"{files}/a*")
    processor.template_stream("echo %c%", [["x"]])
    assert processor.stream is not first
    processor.stream.add([["y"]])
    assert processor.wait()
    assert sorted(processor.get_results()) == ["x\n", "y\n"]


def test_a_second_stream_call_joins_the_open_stream(tmp_path: Path) -> None:
    processor = Processor("local[2]")
    processor.explicit_stream([f"until [ -e {tmp_path}/go ]; do sleep 0.01; done; echo first"])
    stream = processor.stream
    processor.template_stream("echo %c%", [["second"]])
    assert processor.stream is stream
    processor.stream.add([["third"]])
    (tmp_path / "go").touch()
    assert processor.wait()
    assert sorted(processor.get_results()) == ["first\n", "second\n", "third\n"]
    assert stream.count_completed_tasks() == 3


def test_several_processors_run_side_by_side(session: Session) -> None:
    processors = [Processor("local[2]", job_id=f"side-{i}") for i in range(3)]
    for number, processor in enumerate(processors):
        processor.explicit_stream([f"echo {number}"] * 20)
    assert [processor.wait() for processor in processors] == [True] * 3
    assert [set(processor.get_results()) for processor in processors] == [{"0\n"}, {"1\n"}, {"2\n"}]
    machine = session.site("local[2]").machine
    until(lambda: machine.free == machine.total, what="every core to be given back")


def test_numbers_may_be_strings_and_settings_are_defaults(tmp_path: Path) -> None:
    settings = {"threads_per_task": "1", "job_id": "from-settings", "output": "none"}
    processor = Processor("local[2]", threads_per_task="2", settings=settings)
    assert processor.job.spec.threads == 2
    assert processor.job.spec.job_id == "from-settings"
    processor.explicit_batch("echo gone")
    assert processor.get_results() == [""]


def test_an_explicit_argument_wins_even_when_it_equals_the_default() -> None:
    assert Processor("local[2]", threads_per_task=2, settings={"threads_per_task": 1}).job.spec.threads == 2


def test_nothing_is_reserved_on_this_machine_unless_asked() -> None:
    spec = Processor("local").job.spec
    assert (spec.threads, spec.mem_mib, spec.disk_mib) == (1, 0, 0)
    assert Processor("local", mem_per_task="64").job.spec.mem_mib == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": "disk"}, "needs a directory"),
        ({"output": "paper"}, "--output: 'paper' is none of scheduler, disk, mesos, none"),
        ({"threads_per_task": "many"}, "--threads: 'many' is no number"),
        ({"threads_per_task": 100_000}, "asks for 100000 cpus.*, but the largest node"),
        ({"mem_per_task": 1e9}, "has .* MiB memory"),
        ({"job_id": "../up"}, "job name"),
        ({"settings": {"thread": 1}}, "unknown 'thread'"),
        ({"monitor": "./no_such_watch"}, "there is no monitor"),
        ({"relauncher": "/bin/true"}, "--relauncher needs a monitor"),
        ({"monitor": lambda pid, stdout, stderr: None}, "write it as a function"),
        ({"retry_on": "spawn", "halt": "x", "rate": "y"}, "--retry-on: .*; --halt: .*; --rate: "),
    ],
)
def test_bad_arguments_are_refused_with_the_cure(arguments: dict[str, object], message: str, state_home: Path) -> None:
    with pytest.raises(SpecError, match=message):
        Processor("local", **arguments)
    assert not (state_home / "jobs").exists()


def test_no_argument_that_is_nonsense_is_passed_over(state_home: Path) -> None:
    names = [
        *("threads_per_task", "mem_per_task", "disk_per_task", "gpus_per_task", "update_interval", "output", "timeout"),
        *("linger", "retries", "retry_on", "retry_delay", "halt", "max_tasks", "rate", "delay", "locality_wait"),
        *("priority", "shell", "ok_exit", "where", "output_limit", "fail_on"),
    ]
    with pytest.raises(SpecError) as error:
        Processor("local", **dict.fromkeys(names, "!"))
    assert [name for name in names if f"{ARGUMENTS[name].label}: " not in str(error.value)] == []
    for name in names:
        with pytest.raises(SpecError, match=f"^{ARGUMENTS[name].label}: "):
            Processor("local", **{name: "!"})
    assert not (state_home / "jobs").exists()


def test_an_argument_that_there_is_not_is_refused_as_python_does() -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'time_out'; did you mean timeout\?"):
        Processor("local", time_out=3)


def test_outputs_are_parsed_as_a_cell_parses_them() -> None:
    job = Processor("local", parse="tsv", columns={"n": int, "name": str})
    job.explicit_batch(["printf '1\\tx\\n'"])
    assert [(row.n, row.name) for row in job.df[["n", "name"]].itertuples(index=False, name="Row")] == [(1, "x")]

    def length(text: str) -> int:
        return len(text)

    job = Processor("local", parse=length, fail_on="parse")
    job.explicit_batch(["printf abc"])
    assert list(job.df["value"]) == [3]
    for bad, message in (
        ({"parse": "jsn"}, "jsn"),
        ({"parse": "tsv"}, "--columns"),
        ({"parse": "json", "output": "none"}, "sends nothing back that could be parsed"),
    ):
        with pytest.raises(SpecError, match=message):
            Processor("local", **bad)


def test_a_processor_says_where_commands_run_and_what_they_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_HERE", "kernel")
    job = Processor("local", cwd=tmp_path, env={"SAID": 7, "FROM_HERE": None}, output_limit="1M")
    job.explicit_batch(["pwd; echo $SAID $FROM_HERE"])
    assert job.get_results() == [f"{tmp_path}\n7 kernel\n"]
    assert job.job.spec.output_limit == 1 << 20
    with pytest.raises(SpecError, match="this machine has no attributes"):
        Processor("local", where={"rack": 3})


def test_settings_hold_where_nothing_else_is_said() -> None:
    settings.current().assign("retries", 3, "%config")
    settings.current().assign("output_limit", "2M", "%config")
    spec = Processor("local").job.spec
    assert (spec.rules.retries, spec.output_limit) == (3, 2 << 20)
    assert Processor("local", retries=1).job.spec.rules.retries == 1


def test_the_pace_is_changed_while_it_runs() -> None:
    job = Processor("local[2]", max_tasks=1)
    assert job.set(max_tasks=2, delay=None).max_tasks == 2
    with pytest.raises(SpecError, match=r"mem cannot be changed; .*; --rate: 'x' is no rate"):
        job.set(mem="1G", rate="x")
    job.close()


def test_a_run_is_gone_on_with(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    def run(*second: str, fails: str = "", **options: object) -> Processor:
        job = Processor("local[2]", job_id="demo", **options)
        job.explicit_batch([f"echo a >> {ran}; echo a", f"echo b >> {ran}; test -z '{fails}'"])
        job.explicit_batch([f"echo {name} >> {ran}; echo {name}" for name in second])
        job.close()
        return job

    first = run("c", "c")
    assert first.job.run == 1
    assert sorted(ran.read_text().split()) == ["a", "b", "c", "c"]
    again = run("c", "c", "d", resume=True, retries=1)
    assert again.job.run == 1
    assert sorted(ran.read_text().split()) == ["a", "b", "c", "c", "d"]
    assert again.get_results() == ["a\n", "", "c\n", "c\n", "d\n"]
    assert again.job.rules.retries == 1
    with pytest.raises(StreamClosed):
        again.explicit_batch(["true"])
    with pytest.raises(SpecError, match="--output is 'none', and was 'scheduler': that cannot change"):
        Processor("local", job_id="demo", resume=True, output="none")
    with pytest.raises(SpecError, match="--resume goes on with a job: name it with --job"):
        Processor("local", resume=True)
    assert run("e", resume=False).job.run == 2


def test_what_no_call_names_any_more_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    waits = "touch begun; until [ -e go ]; do sleep 0.01; done"
    first = Processor("local[4]", job_id="demo", makes="%name%.out")
    first.template_batch("echo 1 > %name%.out", [{"name": "a"}])
    first.template_batch("echo 2 > %name%.out; exit 1", [{"name": "b"}])
    first.template_stream(f"{waits}; echo 3 > %name%.out", [{"name": "c"}])
    first.template_stream("sleep 1000 # %name%", [{"name": "d"}])
    until(lambda: (tmp_path / "begun").exists())
    with Processor("local[4]", job_id="demo", makes="%name%.out", resume=True) as job:
        job.template_batch("echo new > %name%.out", [{"name": "a"}])  # in the place of what made that file
        with pytest.raises(SpecError, match=r"tasks 2 and 5 would both make c\.out"):
            job.template_batch("echo new > %name%.out", [{"name": "c"}])
        job.template_stream(f"{waits}; echo 3 > %name%.out", [{"name": "c"}])  # it runs, and continues
        assert job.job.state(3).name == "RUNNING"
        (tmp_path / "go").touch()
    assert (list(job.df.index), list(job.df.state)) == ([2, 4], ["FINISHED", "FINISHED"])
    assert [(tmp_path / f"{name}.out").read_text() for name in "abc"] == ["new\n", "2\n", "3\n"]
    again = Processor("local[4]", job_id="demo", makes="%name%.out", resume=True)
    again.template_batch("echo 1 > %name%.out", [{"name": "a"}])
    assert list(again.df.index) == [0]


def test_what_failed_is_run_again_and_an_open_stream_waits_for_what_is_there(tmp_path: Path) -> None:
    command = f"cat {tmp_path}/late"
    Processor("local", job_id="demo").explicit_batch([command, "echo x"])
    (tmp_path / "late").write_text("here")
    job = Processor("local", job_id="demo", resume=True)
    job.explicit_stream([command])
    assert job.wait()
    assert job.get_results()[-1] == "here"
    assert list(job.df.attempt) == [2]
    job.explicit_stream(["echo x", "echo y"])
    assert job.stream is not None
    assert job.wait()
    assert job.stream.list_completed_tasks() == [1, 2]


def test_an_engine_that_is_not_there_is_refused() -> None:
    with pytest.raises(EngineError, match=r"cannot reach a Mesos master"):
        Processor("mesos://127.0.0.1:9")
    with pytest.raises(EngineError, match="four processors"):
        Processor("local[zero]")


@pytest.mark.parametrize("call", ["glob_batch", "glob_stream"])
def test_a_pattern_without_a_match_starts_nothing(call: str, tmp_path: Path) -> None:
    processor = Processor("local")
    with pytest.raises(SpecError, match="no file matches"):
        getattr(processor, call)("cat %f%", f"{tmp_path}/*.nothing")
    assert len(processor.job.commands) == 0


def test_a_row_with_too_few_values_is_named() -> None:
    processor = Processor("local")
    with pytest.raises(SpecError, match=r"row 1 .* has 1 values"):
        processor.template_batch("echo %c% %c%", ["a,b", "c"])
    assert len(processor.job.commands) == 0


def test_brackets_are_gone_before_the_shell_sees_them(files: Path) -> None:
    processor = Processor("local")
    processor.explicit_batch([f"wc -c < <[{files}/a.txt]>"])
    assert processor.get_results() == ["1\n"]


def test_with_waits_and_closes() -> None:
    with Processor("local") as job:
        job.explicit_stream(["sleep 0.05; echo x"])
    assert job.get_results() == ["x\n"]
    with pytest.raises(StreamClosed):
        job.explicit_batch("echo y")


def test_a_job_can_be_awaited() -> None:
    async def run() -> pd.DataFrame:
        job = Processor("local")
        job.explicit_stream("echo x")
        assert await job
        return job.df

    assert list(asyncio.run(run()).state) == ["FINISHED"]


def test_relaunch_replaces_the_result(tmp_path: Path) -> None:
    processor = Processor("local")
    processor.explicit_batch([f"cat {tmp_path}/late"])
    assert list(processor.df.state) == ["FAILED"]
    (tmp_path / "late").write_text("here")
    processor.relaunch([0])
    processor.job.wait()
    assert processor.get_results() == ["here"]
    assert list(processor.df.attempt) == [2]


def test_a_script_that_does_not_wait_is_told_what_that_costs(tmp_path: Path) -> None:
    code = "from stratos_jupyter import Processor; Processor('local').explicit_stream(['sleep 1000'] * 3)"
    env = {**os.environ, "STRATOS_ON_EXIT": "kill"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0
    assert done.stderr == "stratos: untitled run 1: 3 unfinished tasks end with this process\n"
