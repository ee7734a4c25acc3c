"""``--ok-exit``, ``--makes`` and ``--fail-on``, as a user types them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from stratos_jupyter import Processor, SpecError
from stratos_jupyter import session as sessions
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.results.parsers import make_parser
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.backend.store.broken_journal import open_whole
from stratos_jupyter.backend.store.run_dirs import runs
from stratos_jupyter.errors import UsageError
from stratos_jupyter.report.collect import full_summary_of_record
from stratos_jupyter.session import Session
from tests.faults.kernels import kill, start
from tests.support.waiting import until

Cell = Callable[..., str]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    (folder / "out").mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name, text in {"a": "", "b": "x\n", "two words": "x\nx\n", "it's": "y\n"}.items():
        Path(f"{name}.dat").write_text(text)
    return folder


@pytest.fixture
def cell(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> Cell:
    """Run a cell in a shell; return what it printed."""

    def run(text: str) -> str:
        capsys.readouterr()
        shell.run_cell(text, store_history=False).raise_error()
        return capsys.readouterr().out

    return run


def ended(job: str = "demo") -> list[tuple[str, str, int | None]]:
    frame = sessions.current().job(job).df
    return list(zip(frame.state, frame.reason, frame.exit_code, strict=True))


#: copies what is not empty
COPY = '[ ! -s %f% ] || cp %f% "out/$(basename %f% .dat).fits"'
MADE = "--makes out/%file.stem%.fits"


def test_grep_that_finds_nothing_has_done_its_work(cell: Cell) -> None:
    cell("%%stratos glob *.dat --job demo --ok-exit 0,1 --wait\ngrep -c x %f%")
    assert ended() == [
        ("FINISHED", "exit", 1),
        ("FINISHED", "exit", 0),
        ("FINISHED", "exit", 1),
        ("FINISHED", "exit", 0),
    ]
    assert "that one said nothing" not in cell("%stratos log demo 0")
    cell("%%stratos explicit --job demo --ok-exit 0,1 --wait\ngrep x none\ngrep x b.dat")
    assert ended() == [("FAILED", "exit", 2), ("FINISHED", "exit", 0)]
    cell("%config Stratos.ok_exit = '0-2'")
    cell("%%stratos explicit --job demo --wait\ngrep x none")
    assert ended() == [("FINISHED", "exit", 2)]


def test_a_task_without_its_product_fails_and_says_which(cell: Cell) -> None:
    cell(f"%%stratos glob *.dat --job demo {MADE} --wait\n{COPY}")
    assert [end[:2] for end in ended()] == [("FAILED", "output"), *[("FINISHED", "exit")] * 3]
    status = cell("%stratos status demo")
    assert "why: 1 by output" in status
    assert "1 × output: " in status
    assert "was not made" in status
    assert "attempt 1: failed, output, exit 0" in cell("%stratos log demo 0")
    assert "; out/a.fits was not made" in cell("%stratos log demo 0")
    session = sessions.current()
    session.let_go(session.job("demo"))
    (group,) = full_summary_of_record(session.home, "demo").groups
    assert (group.reason, group.tasks) == ("output", (0,))
    assert "was not made" in group.example


def test_running_again_makes_what_is_gone_and_nothing_else(cell: Cell) -> None:
    Path("a.dat").write_text("x")
    again = f"%%stratos glob *.dat --job demo {MADE} --resume --wait\necho %f% >> log; {COPY}"
    cell(again)
    assert sorted(Path("log").read_text().split("\n")) == ["", "a.dat", "b.dat", "it's.dat", "two words.dat"]
    assert cell(again).startswith("+0 new, 0 changed, 4 done\n")
    Path("log").unlink()
    Path("out/b.fits").unlink()
    Path("out/it's.fits").write_text("")
    dry = cell(again.replace("--wait", "--dry-run"))
    assert dry == "+0 new, 0 changed, 2 done, 2 whose files are gone run again\nnothing was started\n"
    assert cell(again).startswith("+0 new, 0 changed, 2 done, 2 whose files are gone run again\n")
    assert sorted(Path("log").read_text().split("\n")) == ["", "b.dat", "it's.dat"]
    assert Path("out/it's.fits").read_text() == "y\n"
    assert [end[0] for end in ended()] == ["FINISHED"] * 4


def test_a_cell_may_come_to_promise_more_when_it_is_run_again(cell: Cell) -> None:
    cell(f"%%stratos glob *.dat --job demo --resume --wait\n{COPY}")
    assert {end[0] for end in ended()} == {"FINISHED"}
    said = cell(f"%%stratos glob *.dat --job demo {MADE} --fail-on stderr:late --resume --wait\n{COPY}")
    assert said.startswith("+0 new, 0 changed, 3 done, 1 whose files are gone run again\n")
    assert [end[:2] for end in ended()] == [("FAILED", "output"), *[("FINISHED", "exit")] * 3]
    assert cell(f"%%stratos glob *.dat --job demo --ok-exit 0,9 --resume --dry-run\n{COPY}").startswith(
        "+0 new, 0 changed, 3 done, 1 failed run again"
    )


def test_rules_of_a_cell_that_is_run_again_hold_for_its_older_tasks(cell: Cell) -> None:
    body = "echo Error >&2; exit 1\nexit 2"
    cell(f"%%stratos explicit --job demo --wait --resume\n{body}")
    assert {end[0] for end in ended()} == {"FAILED"}
    cell(f"%%stratos explicit --job demo --wait --resume --ok-exit 1,2 --fail-on stderr:Err\n{body}")
    assert ended() == [("FAILED", "output", 1), ("FINISHED", "exit", 2)]


def test_what_is_run_again_finds_the_environment_as_it_is_now(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOL", "old")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    again = '%%stratos explicit --job demo --wait --resume {}\n[ "$TOOL$OMP_NUM_THREADS" = {} ]'
    cell(again.format("", "new1"))
    assert ended() == [("FAILED", "exit", 1)]
    monkeypatch.setenv("TOOL", "new")
    cell(again.format("", "new1"))
    assert ended() == [("FAILED", "exit", 1)]
    cell(again.format("--threads 1", "new1"))
    assert ended() == [("FINISHED", "exit", 0)]


def test_two_tasks_that_make_one_file_are_refused_before_anything_starts(cell: Cell) -> None:
    with pytest.raises(SpecError, match=r"tasks 0 and 1 would both make out/all\.fits"):
        cell("%%stratos glob *.dat --job demo --makes out/all.fits\ncp %f% out/all.fits")
    assert list(runs(sessions.current().home)) == []
    one = "%%stratos glob b.dat --job demo --makes ./out/../out/x.fits,out/x.fits --wait\necho %f% > out/x.fits"
    cell(one)
    assert ended() == [("FINISHED", "exit", 0)]


def test_what_is_wrong_with_them_is_said_with_all_else(cell: Cell) -> None:
    with pytest.raises(UsageError) as raised:
        cell("%%stratos glob *.dat --ok-exit x --makes out/* --fail-on stderr: --fail-on parse --threads y\ncat %f%")
    said = str(raised.value)
    for word in ("--ok-exit: 'x'", "--makes: 'out/*'", "--fail-on: stderr:", "--fail-on parse needs", "--threads: 'y'"):
        assert word in said
    with pytest.raises(SpecError, match="--output none keeps nothing that --fail-on could search"):
        cell("%%stratos glob *.dat --output none --fail-on stderr:x\ncat %f%")


def test_a_dry_run_shows_what_success_is(cell: Cell) -> None:
    options = f"{MADE} --makes %file%.log --ok-exit 1-3 --fail-on stderr:Err,stdout:nan"
    said = cell(f"%%stratos glob *.dat {options} --dry-run\ntrue %f%").split("\n")
    assert "finished: exit code 1-3, and exit code 0 is a failure; failed: stderr:Err,stdout:nan" in said
    assert said[said.index("0: true a.dat") + 1] == "   makes out/a.fits, a.dat.log"
    assert "finished" not in cell("%%stratos glob *.dat --dry-run\ntrue %f%")


def test_a_program_that_says_error_and_exits_well_has_failed(cell: Cell) -> None:
    body = "case %f% in b*) echo 'Error: b' >&2;; i*) echo nan;; *) echo 1;; esac"
    options = "--parse float --fail-on 'stderr:^Error,parse' --retries 1 --retry-delay 0.01"
    cell("%%stratos glob *.dat --job demo --into df --wait " + f"{options}\n{body}")
    frame = sessions.current().job("demo").df
    assert list(frame.state) == ["FINISHED", "FAILED", "FINISHED", "FINISHED"]  # nan is a float
    cell("%%stratos glob *.dat --job demo --into df --wait " + f"{options}\n{body.replace('nan', 'none')}")
    frame = sessions.current().job("demo").df
    assert list(frame.state) == ["FINISHED", "FAILED", "FAILED", "FINISHED"]
    assert list(frame.reason) == ["exit", "output", "output", "exit"]
    assert list(frame.attempt) == [1, 2, 2, 1]
    assert frame.parse_error[2] == "'none' is no float"
    status = cell("%stratos status demo")
    assert "2 outputs could not be parsed (parse_error); task 1: nothing on stdout" in status
    assert "2 attempts failed and tried again" in status


def test_what_cannot_be_parsed_is_counted_without_being_asked_for(cell: Cell) -> None:
    cell("%%stratos explicit --job demo --parse float --wait\necho 1\necho x\necho y; exit 3\necho z")
    status = cell("%stratos status demo")
    assert "2 outputs could not be parsed (parse_error); task 1: 'x' is no float" in status
    cell("%%stratos explicit --job demo --parse float --wait\necho 1")
    assert "parsed" not in cell("%stratos status demo")


def test_a_function_of_the_notebook_decides_and_whatever_it_raises_is_a_failure(cell: Cell) -> None:
    cell("def rows(text):\n    if 'x' in text: raise SystemExit(3)\n    return len(text)")
    cell("%%stratos explicit --job demo --parse rows --fail-on parse --into df --wait\necho x\necho y")
    assert [end[:2] for end in ended()] == [("FAILED", "output"), ("FINISHED", "exit")]
    assert cell("print(df.value[1], df.parse_error[0])") == "2.0 SystemExit: 3\n"
    job = sessions.current().job("demo")
    with pytest.raises(SpecError, match="demo cannot go on in the background: --fail-on parse needs rows, a "):
        cell("%stratos detach demo")
    assert sessions.current().jobs() == [job]


def test_a_setting_for_parsing_leaves_cells_alone_that_parse_nothing(cell: Cell) -> None:
    cell("%config Stratos.fail_on = 'stderr:bad,parse'")
    cell("%%stratos explicit --job demo --wait\necho x\necho bad >&2")
    assert [end[:2] for end in ended()] == [("FINISHED", "exit"), ("FAILED", "output")]
    cell("%%stratos explicit --job demo --parse float --wait\necho x\necho 1")
    assert [end[:2] for end in ended()] == [("FAILED", "output"), ("FINISHED", "exit")]


@pytest.mark.usefixtures("session")
def test_a_processor_refuses_a_file_that_one_of_its_tasks_makes_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = Processor("local[2]", makes=["out-%c1%"], ok_exit="0,4", fail_on="stderr:bad", retry_on="output")
    job.template_stream("echo x > out-%c1%; exit 4", ["1", "2"])
    assert job.stream is not None
    with pytest.raises(SpecError, match="tasks 1 and 2 would both make out-2"):
        job.stream.add(["2", "3"])
    with pytest.raises(SpecError, match="%c1% is no place of these commands"):
        job.explicit_stream(["true"])
    job.stream.add(["3"])
    assert job.wait()
    assert list(job.df.state) == ["FINISHED"] * 3
    assert list(job.df.exit_code) == [4] * 3
    for bad in ({"ok_exit": "x"}, {"makes": ["*"]}, {"fail_on": ["stderr:("]}, {"fail_on": "parse"}):
        with pytest.raises(SpecError, match=next(iter(bad)).replace("_", ".")):
            Processor("local", **bad)  # type: ignore[arg-type]


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("codes", [[0, 4], (0, 4), {0, 4}, range(5), "0,4", "0-4"])
def test_python_says_exit_codes_as_python_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codes: object) -> None:
    monkeypatch.chdir(tmp_path)
    made = [Path("out-%c1%"), "log-%c1%"]
    job = Processor("local[2]", ok_exit=codes, makes=made, retry_on=["output", "exit:3"])  # type: ignore[arg-type]
    job.template_batch("echo x | tee out-%c1% > log-%c1%; exit %c1%", [0, 4, 5])
    assert list(job.df.state) == ["FINISHED", "FINISHED", "FAILED"]


CRASH = """
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.core.rules import Rules
from stratos_jupyter.backend.results.parsers import make_parser
from stratos_jupyter.session import current
from stratos_jupyter.backend.spec.job_spec import JobSpec
spec = JobSpec("demo", master="local[2]", makes=("made",), fail_on=(("stderr", "bad"), ("parse", "")), parse="float",
               cwd={cwd!r}, rules=Rules(ok_exit=((0, 3),)))
job = current().submit(spec, explicit_commands([{text!r}]), parser=make_parser("float"))
print("up", flush=True)
job.wait()
"""


@pytest.mark.parametrize(
    ("end", "state"),
    [
        ("echo 1; echo x > made; exit 3", ("FINISHED", "exit", 3)),
        ("echo 1; exit 3", ("FAILED", "output", 3)),
        ("echo 1; echo x > made; echo bad >&2", ("FAILED", "output", 0)),
        ("echo no; echo x > made", ("FAILED", "output", 0)),
        ("exit 4", ("FAILED", "exit", 4)),
    ],
)
def test_all_of_it_survives_the_kernel(state_home: Path, tmp_path: Path, end: str, state: tuple[str, str, int]) -> None:
    text = f": > begun; until [ -e go ]; do sleep 0.02; done; {end}"
    kernel = start(CRASH.format(cwd=str(tmp_path), text=text), state_home)
    assert kernel.stdout is not None
    assert kernel.stdout.readline() == "up\n"
    until((tmp_path / "begun").exists)
    kill(kernel.pid)
    kernel.communicate()
    (tmp_path / "go").touch()
    sessions.close()
    try:
        job = sessions.current().attach("demo", steal=True)
        assert job.wait(30)
        (row,) = job.rows()
        assert (TaskState(row.state).name, row.reason, row.exit_code) == state
    finally:
        sessions.close()


def test_a_job_that_was_recorded_before_there_was_any_of_it_is_read(session: Session) -> None:
    record = json.loads(json.dumps(JobSpec("old").to_record()))
    for name in ("makes", "fail_on", "threads_given"):
        del record[name]
    del record["rules"]["ok_exit"]
    assert JobSpec.from_record(record) == JobSpec("old")
    asked = JobSpec("new", makes=("a", "b"), fail_on=(("stderr", "x"),), threads_given=True)
    assert JobSpec.from_record(json.loads(json.dumps(asked.to_record()))) == asked


def test_results_that_wait_to_be_parsed_are_recorded_when_the_session_ends(session: Session) -> None:
    began, gone = threading.Event(), threading.Event()

    def parse(text: str) -> float:
        began.set()
        assert gone.wait(20.0)
        return 1.0

    spec = JobSpec("slow", master="local[2]", parse="parse", fail_on=(("parse", ""),))
    job = session.submit(spec, explicit_commands(["echo 1"]), parser=make_parser("parse", (), parse))
    assert began.wait(20.0)
    assert job.rows() == []
    engine = job._loop.engine
    close = engine.close

    def and_then() -> Future[None]:
        closed = close()
        closed.add_done_callback(lambda _: gone.set())
        return closed

    engine.close = and_then  # type: ignore[method-assign]
    session.close()
    journal = open_whole(job.folder)
    assert [(row.task, row.reason) for row in journal.rows()] == [(0, "exit")]
    journal.close()


def test_a_parser_that_hangs_holds_up_no_cell(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stratos_jupyter.magic.into.PARSED_MOST_S", 0.05)
    monkeypatch.setattr("stratos_jupyter.magic.into.ALL_PARSED_MOST_S", 0.1)
    monkeypatch.setattr("stratos_jupyter.magics.STATUS_S", 0.1)
    cell("import threading\nrelease = threading.Event()\nread = []")
    cell("def slow(text):\n    read.append(text)\n    if text == '2\\n': release.wait(20)\n    return float(text)")
    cell("%%stratos explicit --job demo --parse slow --into df\necho 1\necho 2\necho 3")
    until(lambda: sessions.current().job("demo").view.ended_at is not None)
    said = cell("print('cell', sorted(df.value))") + cell("print('cell', sorted(df.value))")
    assert "df lacks " in said
    assert " of 3 rows: their outputs are still being parsed; df = %stratos results demo waits for them" in said
    assert said.count("cell [") == 2
    assert "still being parsed" in cell("%stratos status demo")
    cell("release.set()")
    cell("%stratos wait demo")
    assert cell("print(sorted(df.value), sorted(read))") == "[1.0, 2.0, 3.0] ['1\\n', '2\\n', '3\\n']\n"


def test_an_output_is_parsed_once_for_the_verdict_and_the_table(cell: Cell) -> None:
    cell("read = []\ndef mine(text):\n    read.append(text)\n    return float(text)")
    cell("%%stratos explicit --job demo --parse mine --fail-on parse --into df --wait\necho 1\necho x\necho 3")
    assert cell("print(list(df.state), sorted(read))") == (
        "['FINISHED', 'FAILED', 'FINISHED'] ['1\\n', '3\\n', 'x\\n']\n"
    )


def test_an_interrupt_of_a_function_is_an_error_of_its_output(cell: Cell) -> None:
    cell("def mine(text):\n    raise KeyboardInterrupt")
    cell("%%stratos explicit --job demo --parse mine --into df --wait\necho 1")
    assert cell("print(list(df.parse_error))") == "['KeyboardInterrupt']\n"
