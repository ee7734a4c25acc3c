"""``--fetch``: files on a real HDFS copied to the node for their tasks, on this machine's engine."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from stratos_jupyter import Processor, magics
from stratos_jupyter.backend.core.states import Reason, TaskState
from stratos_jupyter.backend.engines import sites
from stratos_jupyter.backend.inputs.hdfs import Hdfs as Client
from stratos_jupyter.backend.spec.commands import commands_from_record, glob_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.errors import SpecError, StorageError, UsageError
from stratos_jupyter.job import Job
from stratos_jupyter.session import Session
from tests.clusters.hdfs.cluster import Hdfs, put
from tests.support.waiting import until

pytestmark = [pytest.mark.hdfs, pytest.mark.timeout(240)]

NO_HISTORY = Config({"HistoryManager": {"enabled": False}})
NAMES = [
    "-dash",
    "two  words",
    "it's; id",
    'say "hi"',
    "$(id)",
    "`id`",
    "new\nline",
    "Zürich ☃",
    "100%20",
    "a#b?c=d&e",
    "x.fits",
]

Cell = Callable[[str, str], None]


@pytest.fixture
def cell(session: Session) -> Iterator[Cell]:
    """Run a cell magic."""
    shell = InteractiveShell(config=NO_HISTORY)
    magics.load(shell)
    yield magics.StratosMagics(shell).stratos
    magics.unload(shell)


def copies(job: Job) -> list[Path]:
    return list((job.folder / "sandbox").rglob("*.copy"))


def test_the_command_finds_a_copy_of_that_name_and_it_is_gone_afterwards(
    hdfs: Hdfs, folder: str, session: Session, cell: Cell
) -> None:
    for name in NAMES:
        put(hdfs.url, f"{folder}/{name}", f"<{name}>".encode())
    body = """cat %f%; printf '\\1'; cat '%f%'; printf '\\1%s' "${STRATOS_FILE##*/}" "$(cat "%f%")"; : > %f%.index"""
    cell(f"glob hdfs:{folder}/* --hdfs {hdfs.url} --fetch --job f --wait", body)
    job = session.job("f")
    df = job.df
    names = [file.removeprefix(f"hdfs:{folder}/") for file in df.file]
    assert sorted(names) == sorted(NAMES)
    assert df.stderr.tolist() == [""] * len(NAMES)
    assert df.stdout.tolist() == [f"<{name}>\1<{name}>\1{name}\1<{name}>" for name in names]
    assert copies(job) == []


def test_a_url_with_an_address_an_empty_file_and_a_clean_beginning(
    hdfs: Hdfs, folder: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LC_CTYPE", raising=False)
    monkeypatch.setenv("LC_ALL", "")
    monkeypatch.setenv("LANG", "")
    put(hdfs.url, f"{folder}/empty", b"")
    with Processor("local", job_id="f", hdfs=hdfs.url, fetch=True) as processor:
        processor.glob_batch("wc -c < %f%; echo ${LC_CTYPE-unset}; yes | head -n 1", f"{hdfs.rpc}{folder}/*")
        assert processor.get_results() == ["0\nunset\ny\n"]
        assert processor.job.df.stderr.tolist() == [""]  # nobody says that a pipe is broken
        processor.explicit_batch(["echo ${STRATOS_FILE-none}"])
        assert processor.get_results()[1] == "none\n"


@pytest.mark.slow
def test_a_large_file_passes_through_little_memory(hdfs: Hdfs, folder: str, session: Session) -> None:
    size = 200_000_000
    put(hdfs.url, f"{folder}/large", b"x" * size)
    with Processor("local", job_id="f", hdfs=hdfs.url, fetch=True) as processor:
        processor.glob_batch("stat -c %s %f%", f"hdfs:{folder}/large")
        assert processor.get_results() == [f"{size}\n"]
        assert processor.job.df.max_rss_mib[0] < 60


def test_a_file_that_is_deleted_meanwhile_fails_its_task_alone(
    hdfs: Hdfs, folder: str, session: Session, tmp_path: Path
) -> None:
    from hdfs import InsecureClient

    for name in ("a", "b", "c"):
        put(hdfs.url, f"{folder}/{name}", name.encode())
    with Processor("local", job_id="f", hdfs=hdfs.url, fetch=True, max_tasks=1) as processor:
        job = processor.job
        processor.glob_stream(f"until test -e {tmp_path}/go; do sleep 0.02; done; cat %f%", f"hdfs:{folder}/*")
        until(lambda: job.view[TaskState.RUNNING] == 1)
        InsecureClient(hdfs.url).delete(f"{folder}/b")
        (tmp_path / "go").touch()
        assert job.wait(20)
        assert job.df.stdout.tolist() == ["a", "", "c"]
        assert job.df.exit_code.tolist() == [0, 74, 0]
        said = job.df.stderr[1]
        assert said.startswith(f"stratos: cannot fetch hdfs:{folder}/b: ")
        assert "does not exist" in said or "not found" in said
        assert copies(job) == []


@pytest.mark.parametrize("way", ["datanode", "kill", "timeout"])
def test_an_end_in_the_middle_of_a_copy(
    breakable_hdfs: Hdfs, folder: str, session: Session, way: str, tmp_path: Path
) -> None:
    hdfs = breakable_hdfs
    put(hdfs.url, f"{folder}/a", b"x" * 1000, "127.0.0.12")
    limit = {"timeout": 1} if way == "timeout" else {}
    with Processor("local", job_id="f", hdfs=hdfs.url, fetch=True, **limit) as processor:
        job = processor.job
        hdfs.pause("datanode1")  # it takes the connection, and sends nothing
        processor.glob_stream(f"echo never > {tmp_path}/begun; cat %f%", f"hdfs:{folder}/*")
        until(lambda: job.view[TaskState.RUNNING] == 1 and copies(job))
        if way == "datanode":
            hdfs.kill("datanode1")
            hdfs.start_datanode(1)
        elif way == "kill":
            job.kill()
        assert job.wait(90)
        row = job.rows()[0]
        reason = {"datanode": Reason.EXIT, "kill": Reason.USER, "timeout": Reason.TIMEOUT}[way]
        assert (row.reason, row.attempt) == (reason, 1)
        assert copies(job) == []
        assert (tmp_path / "begun").exists() is (way == "datanode")  # its only replica has come back


def test_tasks_read_other_replicas_where_datanodes_have_died(
    breakable_hdfs: Hdfs, folder: str, session: Session
) -> None:
    hdfs = breakable_hdfs
    names = [f"{folder}/f{number}" for number in range(16)]
    for name in names:
        put(hdfs.url, name, name.encode() * 10_000, replication=3)
    client = Client(hdfs.url)
    wanted = [[len(name) * 10_000] * 3 for name in names]
    until(lambda: [[share for _, share in client.locate(name).hosts] for name in names] == wanted, 60, "three replicas")
    hdfs.kill("datanode0")  # the NameNode sends readers there for some seconds
    hdfs.kill("datanode2")
    with Processor("local", job_id="f", hdfs=hdfs.url, fetch=True) as processor:
        processor.glob_batch("md5sum < %f%", f"hdfs:{folder}/f*")
        assert processor.get_results() == [f"{hashlib.md5(name.encode() * 10_000).hexdigest()}  -\n" for name in names]
        assert processor.job.df.attempt.tolist() == [1] * 16


def test_a_namenode_that_is_started_again_is_waited_for(breakable_hdfs: Hdfs, folder: str, session: Session) -> None:
    hdfs = breakable_hdfs
    for number in range(4):
        put(hdfs.url, f"{folder}/f{number}", b"x" * 1000)
    with Processor("local", job_id="f", hdfs=hdfs.url, fetch=True) as processor:
        job = processor.job
        job.pause()
        processor.glob_stream("wc -c < %f%", f"hdfs:{folder}/f*")
        hdfs.kill("namenode")
        job.resume()
        until(lambda: job.view[TaskState.RUNNING] and copies(job))
        until(lambda: "stratos: waiting for hdfs:" in job.log(0).note, 30, "a word of what it waits for")
        hdfs.start_namenode()
        assert job.wait(120)
        assert job.df.stdout.tolist() == ["1000\n"] * 4
        assert job.df.stderr.tolist() == [""] * 4
        assert job.df.attempt.tolist() == [1] * 4


def test_an_hdfs_that_stays_away_loses_attempts_and_spends_no_retry(
    breakable_hdfs: Hdfs, folder: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sites, "FETCH_WAIT_S", 0.3)
    put(breakable_hdfs.url, f"{folder}/a", b"x")
    with Processor("local", job_id="f", hdfs=breakable_hdfs.url, fetch=True, retries=3) as processor:
        job = processor.job
        job.pause()
        processor.glob_stream("cat %f%", f"hdfs:{folder}/a")
        breakable_hdfs.kill("namenode")
        job.resume()
        assert job.wait(90)
        row = job.rows()[0]
        assert (row.reason, row.attempt) == (Reason.LOST, 10)
        assert f"cannot fetch hdfs:{folder}/a: NameNode 127.0.0.10:" in row.note
        assert "Connection refused" in row.note


def test_marked_files_are_fetched_in_every_kind_of_cell(
    hdfs: Hdfs, folder: str, session: Session, cell: Cell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("s_1.fits", "s_2.fits", "s_10.fits", "s_1.fits.idx", "two words", "dark.fits"):
        put(hdfs.url, f"{folder}/{name}", f"<{name}>".encode())
    (tmp_path / "here.txt").write_text("<here>")
    here, hdfs_options = tmp_path / "here.txt", f"--hdfs {hdfs.url} --fetch --wait"
    cell(
        f"explicit {hdfs_options} --job e",
        f"""cat <[hdfs:{folder}/s_1.fits]> <['hdfs:{folder}/two words']> {here}
f=$(basename <[hdfs:{folder}/dark.fits]>); echo "$f"
cat <[hdfs:{folder}/s_*.fits]>
cat < <[hdfs:{folder}/dark.fits]>; cat <[{here}]>
cat <[{hdfs.rpc}{folder}/dark.fits]> <[hdfs:{folder}/s_{{2,10}}.fits]> <[{hdfs.rpc}{folder}/dark.fits]>""",
    )
    job = session.job("e")
    assert job.df.stderr.tolist() == [""] * 5
    assert job.df.stdout.tolist() == [
        "<s_1.fits><two words><here>", "dark.fits\n", "<s_1.fits><s_2.fits><s_10.fits>",
        "<dark.fits><here>", "<dark.fits><s_2.fits><s_10.fits><dark.fits>",
    ]  # fmt: skip
    assert job.commands.command(0) == f'cat "$STRATOS_COPY_1" "$STRATOS_COPY_2" {here}'
    assert job.commands.inputs(0) == (f"hdfs:{folder}/s_1.fits", f"hdfs:{folder}/two words")
    cell(f"glob hdfs:{folder}/s_1.fits {hdfs_options} --job g",
         f"cat <[%f%]> <[%f%.idx]> <[hdfs:{folder}/dark.fits]>; basename %f%")  # fmt: skip
    assert session.job("g").outputs([0]) == ["<s_1.fits><s_1.fits.idx><dark.fits>s_1.fits\n"]
    cell(f"glob {tmp_path}/he*.txt {hdfs_options} --job h", f"cat %f% <[hdfs:{folder}/dark.fits]>")
    assert session.job("h").outputs([0]) == ["<here><dark.fits>"]
    with Processor("local", job_id="t", hdfs=hdfs.url, fetch=True) as processor:
        processor.template_batch(f"cat <[hdfs:{folder}/s_%c%.fits]>; echo %c%", [["1", "a"], ["10", "b"]])
        assert processor.get_results() == ["<s_1.fits>a\n", "<s_10.fits>b\n"]
    assert commands_from_record(job.commands.record(0, "")).command(0) == job.commands.command(0)
    for name in "eght":
        assert copies(session.job(name)) == []
    for marked, said in [
        (f"hdfs:{folder}/none*", "no file matches"),
        (f"hdfs:{folder}/none", "none does not exist"),
        (f"hdfs:{folder}", "is a directory"),
    ]:
        with pytest.raises(SpecError, match=said):
            cell(f"explicit {hdfs_options} --job x", f"cat <[{marked}]>")
    capsys.readouterr()
    cell(f"explicit --hdfs {hdfs.url} --fetch --job n --dry-run", "echo 1")
    assert "nothing is marked" in capsys.readouterr().out
    here = tmp_path / "here.txt"
    cell(f"glob {here} --hdfs {hdfs.url} --fetch --job n --dry-run", f"cat %f% <[{here}]>")
    said = capsys.readouterr().out
    assert "nothing is marked" in said
    assert "is a copy" not in said


def token_of(hdfs: Hdfs) -> str:
    address = f"{hdfs.url}/webhdfs/v1/?op=GETDELEGATIONTOKEN&user.name=root&renewer=root"
    with urllib.request.urlopen(address, timeout=30) as answer:
        return str(json.load(answer)["Token"]["urlString"])


def test_what_cannot_be_fetched_is_refused(
    hdfs: Hdfs, folder: str, session: Session, cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(hdfs.url, f"{folder}/a", b"x")
    config = tmp_path / "hdfscli.cfg"
    monkeypatch.setenv("HDFSCLI_CONFIG", str(config))
    config.write_text(
        f"[tok.alias]\nclient = TokenClient\nurl = {hdfs.url}\ntoken = secret-9\n"
        f"[proxied.alias]\nurl = {hdfs.url}\nproxy = bob\n[plain.alias]\nurl = {hdfs.url}\nuser = alice\n"
    )
    for name in ("tok", "proxied"):
        with pytest.raises(SpecError, match="credentials, which do not leave this machine"):
            Processor("local", hdfs=name, fetch=True)
    put(hdfs.url, f"{folder}/a", b"x")
    config.write_text(config.read_text().replace("secret-9", token_of(hdfs)))
    with pytest.raises(UsageError, match="credentials, which do not leave this machine"):
        cell(f"glob hdfs:{folder}/* --hdfs tok --fetch", "cat %f%")
    with pytest.raises(SpecError, match="--fetch copies files of URLs"):
        cell(f"glob /dfs{folder}/* --hdfs {hdfs.url} --fetch", "cat %f%")
    with pytest.raises(SpecError, match="--fetch needs an HDFS"):
        Processor("local", fetch=True)
    with pytest.raises(StorageError, match="which HDFS"):
        cell(f"glob hdfs:{folder}/* --fetch", "cat %f%")
    with pytest.raises(UsageError, match="--fetch"):
        cell("explicit --fetch", "true")
    with pytest.raises(StorageError, match="there is no alias 'nobody'"):
        cell(f"glob hdfs:{folder}/* --hdfs nobody --fetch", "cat %f%")
    assert session.jobs() == []
    cell(f"glob hdfs:{folder}/* --hdfs plain --fetch --job f --wait", "cat %f%")
    job = session.job("f")
    assert job.spec.fetch == ("alice", hdfs.url)
    assert job.outputs([0]) == ["x"]


def test_it_is_kept_with_the_job(hdfs: Hdfs, folder: str, session: Session, cell: Cell, capsys) -> None:  # type: ignore[no-untyped-def]
    made = glob_commands("cat %f%", ["hdfs:/a"], fetch=True)
    assert commands_from_record(made.to_record()) == made
    spec = JobSpec(fetch=("me", "http://x:1"))
    assert JobSpec.from_record(spec.to_record()) == spec
    put(hdfs.url, f"{folder}/a", b"1")
    line = f"glob hdfs:{folder}/* --hdfs {hdfs.url} --fetch --job f --resume --wait"
    cell(line, "cat %f%")
    put(hdfs.url, f"{folder}/b", b"2")
    session.let_go(session.job("f"))
    job = session.attach("f")
    job.relaunch([0])
    assert job.wait(10)
    assert job.outputs([0]) == ["1"]
    capsys.readouterr()
    cell(line, "cat %f%")
    assert "+1 new, 0 changed, 1 done" in capsys.readouterr().out
    assert job.outputs([0, 1]) == ["1", "2"]
