"""Jobs whose inputs are on a real HDFS, through cells, the Processor and the session."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hdfs import InsecureClient
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from stratos_jupyter import Processor, magics
from stratos_jupyter.backend.core.events import Event, InputLocation, InputsLocated
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.inputs.filesystems import LISTED
from stratos_jupyter.backend.inputs.hdfs import Hdfs as HdfsClient
from stratos_jupyter.backend.run.loop import RunLoop
from stratos_jupyter.backend.spec.commands import explicit_commands, template_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.errors import SpecError, StorageError
from stratos_jupyter.session import Session
from stratos_jupyter.settings import Stratos
from tests.clusters.hdfs.cluster import Hdfs, put
from tests.support.waiting import until

pytestmark = [pytest.mark.hdfs, pytest.mark.timeout(240)]

MOUNTS = (("/dfs", "/"),)
DOWN = "http://127.0.0.1:9"
NO_HISTORY = Config({"HistoryManager": {"enabled": False}})


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[InputLocation]:
    """All places that are told to jobs."""
    places: list[InputLocation] = []
    post = RunLoop.post

    def listen(self: RunLoop, event: Event) -> None:
        if isinstance(event, InputsLocated):
            places.extend(event.locations)
        post(self, event)

    monkeypatch.setattr(RunLoop, "post", listen)
    return places


Run = Callable[..., object]


@pytest.fixture
def run(session: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a cell magic."""
    shell = InteractiveShell(config=NO_HISTORY)
    magics.load(shell)
    yield shell.find_cell_magic("stratos")
    magics.unload(shell)


def test_a_cell_over_files_on_a_mount_that_this_machine_does_not_have(
    hdfs: Hdfs, folder: str, session: Session, run: Run, known: list[InputLocation]
) -> None:
    put(hdfs.url, f"{folder}/snap 1", b"x" * 10, "127.0.0.11")
    put(hdfs.url, f"{folder}/snap_2", b"x" * 20, "127.0.0.12")
    run(f"glob /dfs{folder}/snap* --hdfs {hdfs.url} --job mounted", "echo %f%; sleep 20")
    job = session.job("mounted")
    assert [job.commands.file(n) for n in range(2)] == [f"/dfs{folder}/snap 1", f"/dfs{folder}/snap_2"]
    until(lambda: len(known) == 2)
    assert known == [InputLocation(0, 10, (("127.0.0.11", 10),)), InputLocation(1, 20, (("127.0.0.12", 20),))]
    job.kill()


def test_a_url_is_what_the_command_gets(
    hdfs: Hdfs, folder: str, session: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATOS_HDFS", hdfs.url)
    Stratos.clear_instance()
    put(hdfs.url, f"{folder}/it's; id", b"x")
    own = magics.StratosMagics(InteractiveShell(config=NO_HISTORY))
    own.stratos(f"glob {hdfs.rpc}{folder}/* --job urls --wait", "echo %f% \"%f%\" '%f%' $STRATOS_FILE")
    job = session.job("urls")
    assert job.spec.hdfs == hdfs.url
    url = f"{hdfs.rpc}{folder}/it's; id"
    assert job.outputs([0]) == [" ".join([url] * 4) + "\n"]


def test_brackets_are_inputs_of_templates_and_commands(
    hdfs: Hdfs, folder: str, session: Session, known: list[InputLocation]
) -> None:
    put(hdfs.url, f"{folder}/a", b"x" * 10, "127.0.0.11")
    put(hdfs.url, f"{folder}/b", b"x" * 20, "127.0.0.13")
    spec = JobSpec("marked", hdfs=hdfs.url, mounts=MOUNTS)
    job = session.submit(spec, template_commands(f"echo <[/dfs{folder}/%c%]>; sleep 20", ["a", "b"]), keep_open=True)
    job.add(explicit_commands([f"sleep 20; cat <[hdfs:{folder}/a]> <[/dfs{folder}/b]> <[plain]>"]), job_around(session))
    until(lambda: len(known) == 3)
    assert known == [
        InputLocation(0, 10, (("127.0.0.11", 10),)),
        InputLocation(1, 20, (("127.0.0.13", 20),)),
        InputLocation(2, 30, (("127.0.0.13", 20), ("127.0.0.11", 10))),
    ]
    assert job.commands.command(0) == f"echo /dfs{folder}/a; sleep 20"
    job.kill()


def test_a_mark_may_be_a_pattern_or_an_absent_file_there(
    hdfs: Hdfs, folder: str, session: Session, known: list[InputLocation]
) -> None:
    put(hdfs.url, f"{folder}/a.dat", b"x" * 10, "127.0.0.11")
    put(hdfs.url, f"{folder}/b.dat", b"x" * 20, "127.0.0.13")
    spec = JobSpec("patterns", hdfs=hdfs.url, mounts=MOUNTS)
    texts = [f"sleep 20; : <[/dfs{folder}/*.dat]>", f": <[hdfs:{folder}/nope.*]> <[hdfs:{folder}/absent]>"]
    job = session.submit(spec, explicit_commands(texts))
    until(lambda: len(known) == 2)
    assert known[0] == InputLocation(0, 30, (("127.0.0.13", 20), ("127.0.0.11", 10)))
    until(lambda: len(job.view.notices) == 2)
    assert f"hdfs:{folder}/nope.* (no file matches)" in job.view.notices[0]
    assert f"not on HDFS, or not to be read there: {folder}/absent" in job.view.notices[1]
    job.kill()


def job_around(session: Session) -> object:
    return session.command_env(JobSpec(cwd="/tmp"))


def test_the_processor_finds_files_on_hdfs(hdfs: Hdfs, folder: str, session: Session) -> None:
    put(hdfs.url, f"{folder}/one", b"x")
    with Processor("local", job_id="p", hdfs=hdfs.url) as processor:
        processor.glob_batch("echo %f%", f"/dfs{folder}/*")
        assert processor.get_results() == [f"/dfs{folder}/one\n"]


def test_places_are_asked_again_at_attach(
    hdfs: Hdfs, folder: str, session: Session, known: list[InputLocation]
) -> None:
    put(hdfs.url, f"{folder}/a", b"x" * 10, "127.0.0.11")
    spec = JobSpec("again", master="local[1]", hdfs=hdfs.url, mounts=MOUNTS)
    job = session.submit(
        spec, explicit_commands(["true", f"sleep 20; : <[/dfs{folder}/a]>", f"true <[/dfs{folder}/a]>"])
    )
    until(lambda: len(known) == 3 and job.view.done == 1)
    session.let_go(job)
    known.clear()
    job = session.attach("again")
    until(lambda: len(known) == 3)
    assert [(place.task, place.size) for place in known] == [(0, 0), (1, 10), (2, 10)]  # the first has ended
    job.kill()


def test_places_of_what_is_run_again_are_asked_for(hdfs: Hdfs, folder: str, session: Session, tmp_path: Path) -> None:
    put(hdfs.url, f"{folder}/a", b"x" * 10, "127.0.0.11")
    text = f": <[/dfs{folder}/a]>; test -e {tmp_path}/again || exit 3; sleep 20"
    job = session.submit(JobSpec("again", hdfs=hdfs.url, mounts=MOUNTS), explicit_commands([text, text]))
    assert job.wait(20)
    session.let_go(job)
    job = session.attach("again")
    places = job._loop.scheduler.locality.locations
    until(lambda: not places.seeks(1))  # those that have ended are not looked for
    assert not places.knows(1)
    (tmp_path / "again").touch()
    job.relaunch([1])
    until(lambda: places.knows(1))
    assert not places.knows(0)
    job.kill()


def test_for_a_job_that_is_given_away_nothing_more_is_asked(
    hdfs: Hdfs, folder: str, session: Session, known: list[InputLocation]
) -> None:
    texts = [f"sleep 20; : <[hdfs:{folder}/{n}]>" for n in range(30_000)]
    job = session.submit(JobSpec("given", master="local[1]", hdfs=hdfs.url), explicit_commands(texts))
    until(lambda: known)
    session.let_go(job)
    until(lambda: len(known) == 30_000, 8)  # to ask for them all takes half a minute
    session.attach("given").kill()


def test_with_the_namenode_down_jobs_on_plain_paths_go_on(session: Session, tmp_path: Path) -> None:
    spec = JobSpec("plain", hdfs=DOWN, mounts=MOUNTS)
    (tmp_path / "here").touch()
    plain = session.submit(spec, explicit_commands([f"echo <[{tmp_path}/here]>"]))
    assert plain.wait(20)
    assert plain.view.notices == ()
    marked = session.submit(JobSpec("marked", hdfs=DOWN, mounts=MOUNTS), explicit_commands(["echo <[/dfs/x]>"] * 3))
    assert marked.wait(20)
    assert marked.view[TaskState.FINISHED] == 3


def test_what_is_wrong_with_places_is_a_notice_of_the_job(session: Session) -> None:
    spec = JobSpec("marked", hdfs=DOWN, mounts=MOUNTS)
    job = session.submit(spec, explicit_commands(["sleep 60; : <[/dfs/x]>"]))
    until(lambda: job.view.notices)
    (notice,) = job.view.notices
    assert notice.startswith(f"places of inputs are not known: HDFS {DOWN} cannot be reached (connection refused)")
    job.kill()


def test_an_alias_that_does_not_exist_stops_no_job_on_plain_paths(session: Session, run: Run, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    run(f"glob {tmp_path}/a --hdfs nobody --job plain --wait", "echo %f%")
    assert session.job("plain").outputs([0]) == [f"{tmp_path}/a\n"]
    with pytest.raises(StorageError, match="there is no alias 'nobody'"):
        run("glob /dfs/* --hdfs nobody --job other", "echo %f%")
    assert [job.job_id for job in session.jobs()] == ["plain"]


@pytest.mark.parametrize("named", ["<[/dfs/x]>", "<[hdfs:/x]>", "<[hdfs:/x/*]>"])
def test_an_alias_that_does_not_exist_starts_nothing_that_reads_there(session: Session, run: Run, named: str) -> None:
    with pytest.raises(StorageError, match="there is no alias 'nobody'"):
        run("explicit --hdfs nobody", f"echo a\necho {named}")
    assert session.jobs() == []


def test_a_cell_whose_hdfs_is_down_starts_nothing(session: Session, run: Run) -> None:
    with pytest.raises(StorageError, match="cannot be reached"):
        run(f"glob /dfs/* --hdfs {DOWN}", "echo %f%")
    assert session.jobs() == []


def test_an_address_that_cannot_be_is_said_with_all_else(session: Session, run: Run) -> None:
    with pytest.raises(Exception, match=r"--hdfs: 'ftp://x' is no address") as raised:
        run("glob /dfs/* --hdfs ftp://x --threads two", "echo %f%")
    assert "write http://HOST:9870" in str(raised.value)
    assert "--threads" in str(raised.value)


def test_a_file_deleted_between_glob_and_run_fails_its_task_alone(
    hdfs: Hdfs, folder: str, session: Session, tmp_path: Path
) -> None:
    from hdfs import InsecureClient

    for name in ("a", "b"):
        put(hdfs.url, f"{folder}/{name}", name.encode())
    with Processor("local", job_id="gone", hdfs=hdfs.url) as processor:
        files = session.files(processor.job.spec).expand(f"/dfs{folder}/*")
        InsecureClient(hdfs.url).delete(f"{folder}/a")
        url = f"'{hdfs.url}/webhdfs/v1' + sys.argv[1][4:] + '?op=OPEN'"
        read = f"import sys, urllib.request as u; print(u.urlopen({url}).read())"
        processor.template_batch(f'{sys.executable} -c "{read}" <[%c%]>', [[name] for name in files])
        assert processor.get_results() == ["", "b'b'\n"]
        gone = f"places of inputs are not known: not on HDFS, or not to be read there: {folder}/a"
        assert processor.job.view.notices in ((), (gone,))


def test_a_datanode_killed_in_the_middle_of_a_job_stops_it_not(
    breakable_hdfs: Hdfs, folder: str, session: Session, tmp_path: Path, known: list[InputLocation]
) -> None:
    for n in range(6):
        put(breakable_hdfs.url, f"{folder}/{n}", b"x" * 10, breakable_hdfs.addresses[n % 3])
    spec = JobSpec("killed", master="local[1]", hdfs=breakable_hdfs.url, mounts=MOUNTS)
    files = session.files(spec).expand(f"/dfs{folder}/*")
    texts = [f"until test -e {tmp_path}/go; do sleep 0.01; done; echo <[{name}]>" for name in files]
    job = session.submit(spec, explicit_commands(texts))
    until(lambda: len(known) == 6)
    breakable_hdfs.kill("datanode1")
    (tmp_path / "go").touch()
    assert job.wait(30)
    assert job.view[TaskState.FINISHED] == 6


def test_resume_sees_what_has_changed_on_hdfs(hdfs: Hdfs, folder: str, session: Session, run: Run, capsys) -> None:  # type: ignore[no-untyped-def]
    for name in ("a", "b"):
        put(hdfs.url, f"{folder}/{name}", b"x")
    cell = (f"glob /dfs{folder}/* --hdfs {hdfs.url} --job res --resume --wait", "echo %f%")
    run(*cell)
    put(hdfs.url, f"{folder}/b", b"xy")
    put(hdfs.url, f"{folder}/c", b"x")
    capsys.readouterr()
    run(*cell)
    assert "+1 new, 1 changed, 1 done" in capsys.readouterr().out


@pytest.mark.parametrize("first", ["", "--resume"])
@pytest.mark.parametrize("what", ["glob /dfs{folder}/*", "explicit"])
def test_what_is_published_by_a_rename_on_hdfs_is_seen(  # type: ignore[no-untyped-def]
    hdfs: Hdfs, folder: str, session: Session, run: Run, capsys, what: str, first: str
) -> None:
    """A rename keeps the time of change, and here the size is equal, too: it is the file's number that tells."""
    client = InsecureClient(hdfs.url)
    for name in ("a", "b", "later"):
        put(hdfs.url, f"{folder}/{name}", b"x")
        client.set_times(f"{folder}/{name}", modification_time=1_000_000_000_000)
    client.rename(f"{folder}/later", f"{folder}.later")
    body = "echo %f%" if "glob" in what else f"echo <[hdfs:{folder}/a]>\necho <[/dfs{folder}/b]>"
    line = f"{what.format(folder=folder)} --hdfs {hdfs.url} --job published --wait"
    run(f"{line} {first}", body)
    capsys.readouterr()
    run(f"{line} --resume", body)
    assert "+0 new, 0 changed, 2 done" in capsys.readouterr().out
    client.delete(f"{folder}/b")
    client.rename(f"{folder}.later", f"{folder}/b")
    run(f"{line} --resume", body)
    assert "+0 new, 1 changed, 1 done" in capsys.readouterr().out
    run(f"{line} --resume", body)
    assert "+0 new, 0 changed, 2 done" in capsys.readouterr().out


def test_many_files_of_one_directory_are_listed_and_not_asked_for_one_by_one(
    hdfs: Hdfs, folder: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in range(LISTED):
        put(hdfs.url, f"{folder}/{name}", b"x" * name)
    put(hdfs.url, f"{folder}.one", b"xyz")
    asked: list[str] = []
    look = HdfsClient.look
    monkeypatch.setattr(HdfsClient, "look", lambda self, path: (asked.append(path), look(self, path))[1])
    names = [*(f"hdfs:{folder}/{name}" for name in range(LISTED)), f"hdfs:{folder}/absent", f"hdfs:{folder}.one"]
    found = session.files(JobSpec(hdfs=hdfs.url)).look(names, "/")
    assert [one.size for one in found.values() if one is not None] == [*range(LISTED), 3]
    assert found[f"hdfs:{folder}/absent"] is None
    assert asked == [f"{folder}.one"]


def test_a_submission_does_not_wait_for_an_hdfs_that_is_down(session: Session, run: Run) -> None:
    run(f"explicit --hdfs {DOWN} --job down --wait", "echo <[hdfs:/x]>")
    job = session.job("down")
    assert job.outputs([0]) == ["hdfs:/x\n"]
    (_, _, _, keys) = next(job.commands.submissions())
    assert keys.here
    assert keys.there == ""


def test_a_token_is_in_nothing_that_is_kept(
    hdfs: Hdfs,
    folder: str,
    state_home: Path,
    session: Session,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tmp_path / "hdfscli.cfg"
    monkeypatch.setenv("HDFSCLI_CONFIG", str(config))
    put(hdfs.url, f"{folder}/a", b"x")
    for name, url in (("there", hdfs.url), ("down", DOWN)):
        config.write_text(f"[{name}.alias]\nclient = TokenClient\nurl = {url}\ntoken = secret-5\n")
        with suppress(StorageError):
            run(f"glob /dfs{folder}/* --hdfs {name} --job {name} --wait", "env; echo <[%f%]>")
        run(f"explicit --hdfs {name} --job {name}2 --wait", "env; echo <[/dfs/x]>")
    assert {job.job_id for job in session.jobs()} == {"there", "there2", "down2"}
    session.close()
    kept = [path for path in state_home.rglob("*") if path.is_file()]
    assert [path for path in kept if b"secret-5" in path.read_bytes()] == []


def test_a_forked_child_keeps_nothing_alive(hdfs: Hdfs, folder: str, state_home: Path) -> None:
    put(hdfs.url, f"{folder}/a", b"x")
    code = f"""
import os, signal, time
from stratos_jupyter import session as sessions
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
session = sessions.current()
job = session.submit(JobSpec("forked", hdfs={hdfs.url!r}), explicit_commands(["true <[hdfs:{folder}/a]>"]))
assert job.wait(20)
((files, locator),) = session._inputs._known.values()
while files.located("{folder}/a") is None:
    time.sleep(0.01)
told, tell = os.pipe()
if os.fork():
    os.read(told, 1)
    os.kill(os.getpid(), signal.SIGKILL)
print(os.getpid(), locator._process._process.pid, flush=True)
os.close(1)
os.write(tell, b"x")
signal.pause()
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60)
    child, asker = map(int, done.stdout.split())
    try:
        until(lambda: not Path(f"/proc/{asker}").exists())
        assert Path(f"/proc/{child}").exists()
    finally:
        os.kill(child, signal.SIGKILL)


def test_without_hdfs_nothing_is_imported_or_asked(state_home: Path) -> None:
    code = """
import sys, threading
from stratos_jupyter import Processor
with Processor("local", job_id="x") as job:
    job.explicit_batch(["echo <[/dfs/x]>"])
    assert job.get_results() == ["/dfs/x\\n"]
print(sorted({"hdfs", "requests"} & set(sys.modules)), [t.name for t in threading.enumerate() if "places" in t.name])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[] []\n", done.stderr


def test_a_spec_of_before_has_no_hdfs() -> None:
    record = JobSpec("old").to_record()
    del record["hdfs"], record["mounts"]
    assert JobSpec.from_record(record) == JobSpec("old")
    spec = JobSpec("new", hdfs="dev", mounts=MOUNTS)
    assert JobSpec.from_record(spec.to_record()) == spec


def test_settings_that_cannot_be_are_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("STRATOS_HDFS_MOUNTS", "/dfs"), ("STRATOS_HDFS", "ftp://x")):
        monkeypatch.setenv(name, value)
        with pytest.raises(SpecError, match=name):
            Stratos()
        monkeypatch.delenv(name)
