"""Commands, run by a real executor: how they start, what they print, how they end."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.executor_client import Client

AWKWARD = ["two words", "it's", 'say "hi"', "a;b", "$(id)", "Zürich", "a\nb", "-dash", "%f%", "\udcff\udc80.dat", "🙂"]


@pytest.fixture
def client() -> Iterator[Client]:
    with Client() as one:
        yield one


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    with Client() as one:
        yield one


def test_says_who_it_is(client: Client) -> None:
    assert client.hello["version"] == 1
    assert client.hello["pid"] == client.process.pid
    assert client.hello["python"].startswith("3.")
    assert client.hello["host"]


def test_reports_exit_code_streams_times_and_usage(client: Client) -> None:
    (record,) = client.run("echo out; echo err >&2; exit 3")
    assert (record.reason, record.code, record.stdout, record.stderr, record.note) == ("exit", 3, "out\n", "err\n", "")
    assert record.started_at is not None
    assert 0 < record.finished_at - record.started_at < 5
    assert record.cpu_s > 0
    assert record.max_rss_mib > 0.1


def test_commands_of_a_batch_run_in_order_and_slots_side_by_side(client: Client) -> None:
    client.context()
    client.batch(["mkfifo pipe; echo a >> order; cat pipe", "echo b >> order; cat order"], slot=0)
    client.batch(["while ! test -p pipe; do :; done; echo through > pipe"], slot=1, first=10)
    assert client.wait(0).stdout == "through\n"
    assert client.wait(1).stdout == "a\nb\n"
    assert client.wait(10).code == 0


def test_nice_commands_stand_back_with_all_that_they_start(client: Client) -> None:
    here = os.getpriority(os.PRIO_PROCESS, client.process.pid)
    there = min(here + 7, 19)
    record, _ = client.run(
        f"until test $(nice) = {there}; do :; done; (nice); sh -c nice", "true", nice=7, timeout_s=60
    )
    assert record.stdout.split() == [str(there)] * 2
    assert os.getpriority(os.PRIO_PROCESS, client.process.pid) == here, "the executor itself does not"


def test_reports_the_signal(client: Client) -> None:
    (record,) = client.run("kill -SEGV $$")
    assert (record.reason, record.code) == ("signal", 11)


def test_environment_is_that_of_the_context_and_four_more(client: Client) -> None:
    client.context(
        env={"A": "1", "ODD": "\udcff", "STRATOS_TASK": "outer.1.1", "PATH": os.environ["PATH"]}, threads="3"
    )
    client.batch(["env", "env"], files=["x\udcfe.dat", None])
    lines = client.wait(0).bytes().split(b"\n")
    mark = f"STRATOS_TASK={client.label}.0.1".encode()
    for line in (b"A=1", b"ODD=\xff", b"STRATOS_FILE=x\xfe.dat", b"STRATOS_THREADS=3", b"OMP_NUM_THREADS=3", mark):
        assert lines.count(line) == 1, line
    assert [line for line in lines if line.startswith(b"STRATOS_TASK=")] == [mark]
    assert b"STRATOS_FILE" not in client.wait(1).bytes()


def test_number_of_threads_that_the_user_set_stays(client: Client) -> None:
    assert client.run("echo $OMP_NUM_THREADS", env={"OMP_NUM_THREADS": "7"})[0].stdout == "7\n"


@pytest.mark.parametrize("name", AWKWARD, ids=ascii)
def test_awkward_file_name_arrives_as_it_is(shared: Client, name: str) -> None:
    shared.context()
    shared.batch(['printf %s "$STRATOS_FILE"'], first=1000 + AWKWARD.index(name), files=[name])
    assert shared.wait(1000 + AWKWARD.index(name)).stdout == name


def test_input_is_empty_and_the_process_group_its_own(client: Client) -> None:
    empty, group = client.run("cat", "ps -o pgid= -p $$; echo $$")
    assert (empty.code, empty.stdout) == (0, None)
    assert len(set(group.stdout.split())) == 1


def test_signals_are_as_by_default_although_the_executor_ignores_them(client: Client) -> None:
    for name in ("INT", "HUP", "TERM", "PIPE", "CHLD", "QUIT"):
        record = client.run(f"kill -{name} $$; echo alive", shell=["sh"])[0]  # bash ignores QUIT for itself
        assert record.reason == ("exit" if name == "CHLD" else "signal"), name


def test_nothing_of_ours_is_open_in_a_command(client: Client) -> None:
    names = client.run("ls /proc/self/fd")[0].stdout.split()
    assert names == ["0", "1", "2", "3"]  # 3 is what ls reads


# What cannot be started.


def test_missing_program_is_127_as_in_a_shell(client: Client) -> None:
    direct, shell, path = client.run("no-such-program x", "no-such-program x; exit $?", "./no-such-program")
    said = "bash: line 1: no-such-program: command not found\n"
    assert (direct.reason, direct.code, direct.stderr) == ("exit", 127, said)
    assert (shell.reason, shell.code, shell.stderr) == ("exit", 127, said)
    assert (path.code, path.stderr) == (127, "bash: line 1: ./no-such-program: No such file or directory\n")


def test_program_that_may_not_be_executed_is_126(client: Client) -> None:
    (client.folder / "data").write_text("no program")
    direct, shell = client.run("./data", "./data; exit $?")
    assert (direct.reason, direct.code) == (shell.reason, shell.code) == ("exit", 126)
    assert direct.stderr == shell.stderr == "bash: line 1: ./data: Permission denied\n"


def test_script_without_interpreter_line_runs_as_in_a_shell(client: Client) -> None:
    script = client.folder / "script"
    script.write_text("echo from script $1\n")
    script.chmod(0o755)
    assert client.run("./script x")[0].stdout == "from script x\n"


def test_program_is_searched_on_the_path_of_the_context(client: Client) -> None:
    folder = client.folder / "bin"
    folder.mkdir()
    (folder / "mine").write_text("#!/bin/sh\necho mine\n")
    (folder / "mine").chmod(0o755)
    for path in (str(folder), "/nonexistent:bin", "/etc/hostname:bin:/bin"):
        assert client.run("mine", env={"PATH": path})[0].stdout == "mine\n", path
    assert client.run("mine")[0].code == 127


@pytest.mark.parametrize(
    ("command", "fields", "said"),
    [
        ("true " + "x" * 200_000, {}, ["too long", "into a file"]),
        ("cat 'x'; true", {"cwd": "/nonexistent/folder"}, ["/nonexistent/folder", "must exist on this node"]),
        ("ls", {"cwd": "/etc/hostname"}, ["/etc/hostname", "must exist on this node"]),
        ("echo a\0b", {}, ["NUL"]),
        ("echo \ud800", {}, ["no text"]),
        ("echo a", {"output": "disk", "log_directory": "/dev/null/logs"}, ["log directory"]),
    ],
    ids=["too-long", "no-cwd", "cwd-is-a-file", "nul", "no-text", "no-log-directory"],
)
def test_what_cannot_be_started_says_why_and_the_cure(
    client: Client, command: str, fields: dict[str, str], said: list[str]
) -> None:
    (record,) = client.run(command, **fields)
    assert (record.reason, record.code, record.started_at) == ("spawn", None, None)
    assert record.note.startswith("cannot start: ")
    assert "\n" not in record.note
    for words in said:
        assert words in record.note
    assert client.run("echo on")[0].stdout == "on\n"


def test_out_of_descriptors_says_so_and_goes_on(client: Client) -> None:
    resource = pytest.importorskip("resource")
    used = len(os.listdir(f"/proc/{client.process.pid}/fd"))
    before = resource.prlimit(client.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(client.process.pid, resource.RLIMIT_NOFILE, (used + 2, before[1]))
    (record,) = client.run("echo a")
    assert record.reason == "spawn"
    assert "ulimit -n" in record.note
    resource.prlimit(client.process.pid, resource.RLIMIT_NOFILE, before)
    assert client.run("echo b")[0].stdout == "b\n"


# Through the shell or directly.

PLAIN = ["ls -d /etc", "true", "printenv  HOME", "env -i A=1 env", "cat /etc/hostname", "expr 1 + 2", "/bin/echo a  b"]


@pytest.mark.parametrize(
    "command",
    [
        *PLAIN, "echo -e a", "A=1 env | grep ^A", "-x", "+x", "echo 'a  b'", "echo $HOME", "ls *", "a=b", "# no", "",
        " ", "false", "cd /; pwd", "true &", ": x", ".", "printf 'a\nb'", "echo a\necho b", "if true; then echo y; fi",
        "~", "[ a = a ]", "ls -d /\n", "%1", "@", "=", "12", "./", "/", "..",
    ],
)  # fmt: skip
def test_a_command_does_what_the_shell_does_with_it(shared: Client, command: str) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(shared.folder)}
    (record,) = shared.run(command)
    shell = subprocess.run(
        ["bash", "-e", "-c", "--", command], cwd=shared.folder, env=env, capture_output=True, stdin=subprocess.DEVNULL
    )
    if command not in ("-x", "+x"):  # to `sh -c` these are options, to us they are commands
        assert record.code == shell.returncode
        assert record.bytes() == shell.stdout
    else:
        assert record.code == 127


# Output.


def test_bytes_that_are_no_text_and_no_newline_at_the_end(client: Client) -> None:
    (record,) = client.run(r"printf '\377\000\200a\303'; printf '\376' >&2")
    assert record.bytes() == b"\xff\0\x80a\xc3"
    assert record.bytes("stderr") == b"\xfe"


def test_output_up_to_64_kib_comes_back_beyond_goes_to_the_sandbox(client: Client) -> None:
    small, large = client.run("head -c 65536 /dev/zero", "head -c 65537 /dev/zero; echo e >&2")
    assert small.stdout == "\0" * 65536
    assert large.bytes() == b"\0" * 65537
    path = Path(large.stdout["path"])
    assert path == client.folder / "sandbox" / "0" / "1.1.stdout"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert large.stderr == "e\n"


def test_hundred_megabytes_and_a_million_lines_in_little_memory(client: Client) -> None:
    client.context()
    client.batch(["head -c 100000000 /dev/zero"], slot=0, first=2000)
    client.batch(["seq 1000000 >&2"], slot=1, first=1)
    many, lines = client.wait(2000), client.wait(1)
    assert many.stdout == {"path": str(client.folder / "sandbox" / "2" / "2000.1.stdout"), "size": 100_000_000}
    assert Path(many.stdout["path"]).stat().st_size == 100_000_000
    assert lines.bytes("stderr") == b"".join(b"%d\n" % i for i in range(1, 1000001))
    status = Path(f"/proc/{client.process.pid}/status").read_text()
    assert int(status.split("VmHWM:")[1].split()[0]) < 60_000


def test_many_small_writes_arrive_in_order(client: Client) -> None:
    (record,) = client.run("i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done")
    assert record.bytes() == b"".join(b"%d\n" % i for i in range(20000))


def test_mode_none_keeps_nothing_but_counts_on_the_tail(client: Client) -> None:
    client.context(output="none")
    client.batch(["seq 300000; echo end; mkfifo gate; cat gate"])
    client.wait_started(0)
    client.until(lambda: (client.tail(0, 4) or {}).get("stdout") == "end\n")
    (client.folder / "gate").write_text("")
    record = client.wait(0)
    assert (record.stdout, record.stderr, record.code) == (None, None, 0)
    assert not (client.folder / "sandbox").exists()


@pytest.mark.parametrize("mode", ["disk", "mesos"])
def test_modes_with_files_always_make_both(client: Client, mode: str) -> None:
    log_directory = client.folder / "made" / "here"
    quiet, missing = client.run("echo a", "no-such-program", output=mode, log_directory=str(log_directory))
    folder, prefix = (log_directory, client.label + ".") if mode == "disk" else (client.folder / "sandbox" / "0", "")
    assert quiet.stdout == {"path": str(folder / (prefix + "0.1.stdout")), "size": 2}
    assert quiet.stderr == {"path": str(folder / (prefix + "0.1.stderr")), "size": 0}
    assert quiet.bytes() == b"a\n"
    assert missing.bytes("stderr") == b"bash: line 1: no-such-program: command not found\n"


def test_full_disk_neither_stops_the_command_nor_goes_unsaid(client: Client) -> None:
    folder = client.folder / "sandbox" / "0"
    folder.mkdir(parents=True)
    (folder / "0.1.stdout").symlink_to("/dev/full")
    (record,) = client.run("head -c 3000000 /dev/zero; echo done >&2")
    assert (record.code, record.stderr) == (0, "done\n")
    assert record.note == "stdout: No space left on device after 0.0 MiB"
    assert record.stdout["size"] == 0


def test_sandbox_that_cannot_be_made_keeps_the_head(client: Client) -> None:
    (client.folder / "sandbox").write_text("in the way")
    (record,) = client.run("seq 100000")
    assert record.code == 0
    assert record.stdout == "".join(f"{i}\n" for i in range(1, 100001))[:65536]
    assert record.note.startswith("stdout: only the first 64 KiB are kept")


def test_tail_shows_the_last_bytes_in_memory_and_in_a_file(client: Client) -> None:
    client.context()
    client.batch(["mkfifo gate; printf 'a\\303\\251z'; cat gate; seq 100000; echo end; cat gate"])
    client.wait_started(0)
    client.until(lambda: client.tail(0)["stdout"] == "aéz")
    assert client.tail(0, 2)["stdout"] == "z"  # no half character
    assert client.tail(0, 0) == {"stdout": "", "stderr": "", "note": ""}
    (client.folder / "gate").write_text("")
    client.until(lambda: client.tail(0, 10)["stdout"] == "100000\nend\n"[-10:])
    (client.folder / "gate").write_text("")
    client.wait(0)
    assert client.tail(0) is None
    assert client.tail(77) is None
