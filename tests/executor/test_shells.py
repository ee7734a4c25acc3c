"""Which shell reads a command, and that the faster ways show no difference to it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stratos_jupyter.backend.executor.process.argv import Shell, Unsuited
from stratos_jupyter.backend.executor.work import Context
from tests.support.executor_client import Client

USUAL = ("bash", "-e")


@pytest.fixture
def client() -> Iterator[Client]:
    with Client() as one:
        yield one


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    with Client() as one:
        yield one


def context(env: Mapping[str, str] | None = None, shell: Sequence[str] = USUAL, cwd: str = "/") -> Context:
    return Context(
        {
            "cwd": cwd,
            "env": {"PATH": os.environ["PATH"], **(env or {})},
            "output": "none",
            "sandbox": "/",
            "label": "j",
            "shell": list(shell),
        }
    )


# Bash reads it.


@pytest.mark.parametrize(
    ("command", "stdout"),
    [
        ("echo both &> log; cat log", "both\n"),
        ("(echo out; echo err >&2) |& sort", "err\nout\n"),
        ('[ -n "$RANDOM" ] && echo random', "random\n"),
        (r"echo -e 'a\tb'", "a\tb\n"),
        ("echo {1..3} x{a,b}y", "1 2 3 xay xby\n"),
        ("[ a == a ] && echo same", "same\n"),
        (r"printf %s $'a\tb'", "a\tb"),
        ("echo 'V=5' > env.sh; source env.sh; echo $V", "5\n"),
        ("[[ snapshot_200 =~ _([0-9]+) ]] && echo ${BASH_REMATCH[1]}", "200\n"),
        ("for ((i = 0; i < 3; i++)); do echo $i; done", "0\n1\n2\n"),
        ("f=a_R1.fq; echo ${f/_R1/_R2} ${f%.fq} ${f^^}", "a_R2.fq a_R1 A_R1.FQ\n"),
        ("a=(x y z); echo ${#a[@]} ${a[-1]}", "3 z\n"),
        ("cat <(echo one) <(echo two)", "one\ntwo\n"),
        ("read -r x y <<< 'a b'; echo $y", "b\n"),
        ("set -o pipefail; (false | cat) || echo failed", "failed\n"),
        ("function f { local x=1; echo $((x + 1)); }; f", "2\n"),
        ("shopt -s nullglob; echo none*.dat end", "end\n"),
        ("echo 0x1f | { read h; printf '%d\\n' $((h)); }", "31\n"),
    ],
)
def test_what_people_type_is_bash(client: Client, command: str, stdout: str) -> None:
    (record,) = client.run(command)
    assert (record.reason, record.code, record.stdout, record.stderr) == ("exit", 0, stdout, None)


def test_a_line_that_fails_ends_the_command(client: Client) -> None:
    first, last, pipe, tested = client.run(
        "false\necho on", "echo on\nfalse", "false | cat\necho on", "if false; then :; fi; false || echo on"
    )
    assert (first.code, first.stdout) == (1, None)
    assert (last.code, last.stdout) == (1, "on\n")
    assert (pipe.code, pipe.stdout) == (0, "on\n")
    assert (tested.code, tested.stdout) == (0, "on\n")


def test_the_shell_is_the_one_that_the_job_names(client: Client) -> None:
    text = "false | cat; echo ${BASH_VERSION:+bash} ${ZSH_VERSION:+zsh}; false; echo on"
    assert client.run(text, shell=["bash"])[0].stdout == "bash\non\n"
    assert client.run(text, shell=["sh"])[0].stdout == "\non\n"
    assert client.run(text, shell=["bash", "-e"])[0].stdout == "bash\n"
    assert client.run(text, shell=["bash", "-euo", "pipefail"])[0].code == 1
    assert client.run(text, shell=["/bin/bash", "-e"])[0].stdout == "bash\n"
    if shutil.which("zsh"):
        assert client.run(text, shell=["zsh"])[0].stdout == "zsh\non\n"


def test_a_shell_that_is_not_there_is_said(client: Client) -> None:
    (record,) = client.run("echo a; echo b", shell=["no-such-shell"])
    assert (record.reason, record.code) == ("spawn", None)
    assert record.note == (
        "cannot start: this node has no no-such-shell: install it there, or choose another with --shell"
    )
    (record,) = client.run("echo a; echo b", shell=["/no/bash", "-e"])
    assert record.reason == "spawn"


# A node without bash.


@pytest.fixture
def no_bash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr("stratos_jupyter.backend.executor.process.argv._PLACES", ())
    return Shell(USUAL, {}, "/", [os.fsencode(tmp_path)])


@pytest.mark.parametrize(
    "command",
    [
        "prog -a in.dat > out.dat 2>&1",
        "cd /tmp && ./prog --x=1 || echo failed; ls",
        "cat 'two words.dat' | wc -l",
        'gsnap -nt 01111 "$STRATOS_FILE" >> "${HOME}/log"',
        "echo a\necho b",
        "find . -type f | grep -v time > out; export LC_ALL=C OMP_NUM_THREADS=1; sort out",
        'cd "$STRATOS_SANDBOX"; if test -s a; then cp a .; else exit 3; fi',
    ],
)
def test_without_bash_plain_text_is_run_by_sh(no_bash: Shell, command: str) -> None:
    argv, programs, _ = no_bash.by_shell(command.encode())
    assert (argv, programs) == ([b"sh", b"-e", b"-c", command.encode()], (b"/bin/sh",))


@pytest.mark.parametrize(
    "command",
    [
        "prog &> log", "echo $RANDOM", "echo -e 'a'", "echo {1..3}", "[ a == a ]", r"printf $'\t'", "source env.sh",
        "[[ a = b ]]", "((i++))", "a=(1 2)", "cat <(ls)", "cat <<< a", "a |& b", "f() { :; }", "echo ${f/a/b}", "ls *",
        r"echo 'a\nb'", 'echo "$(date)"', "sleep 1 &", "local x", "declare -A a", "time ls", "read -r x", "echo `ls`",
        "echo $UID", "ulimit -v 5", "select x in a", "prog >| out", "pushd /tmp", "set -o pipefail", "x=~/a b",
        ". ./env.sh", "a && . ./env.sh", "eval a", "export", "export A=$B", "A+=1", "echo $_", "times;", "cd $A",
        "cd a b", "if true; then source a; fi", "A=1 command -v a", "umask 077; hash|cat",
    ],
)  # fmt: skip
def test_without_bash_what_may_need_it_is_refused(no_bash: Shell, command: str) -> None:
    with pytest.raises(Unsuited, match=r"this node has no bash.*--shell sh"):
        no_bash.by_shell(command.encode())


# Faster ways.


@pytest.mark.parametrize("command", ["wc -l a.txt", "/bin/ls", "env", "python3 -V"])
def test_plain_commands_need_no_shell(command: str) -> None:
    first = command.split()[0]
    argv, (program,), more = context().shell.ways(command.encode())
    assert argv == command.encode().split()
    assert program == os.fsencode(shutil.which(first) or first)
    assert more == [b"_=" + program]


@pytest.mark.parametrize(
    "command",
    [
        "wc -l *",
        "a=1 wc",
        "cd x",
        "wc -l 'a'",
        "wc\nls",
        "wc ~",
        "wc\tx",
        "wc #",
        "echo -n a",
        "echo a > b",
        "a|b",
        "no",
    ],
)
def test_all_else_is_read_by_the_shell(command: str) -> None:
    assert context().shell.ways(command.encode())[0] == [b"bash", b"-e", b"-c", command.encode()]


#: Each is read, counted or dropped by bash when it starts.
@pytest.mark.parametrize(
    "name",
    [
        "BASH_ENV", "BASH_FUNC_module%%", "BASHOPTS", "SHELLOPTS", "POSIXLY_CORRECT", "RANDOM", "SECONDS", "UID",
        "EUID", "PPID", "IFS", "LINENO", "BASH_XTRACEFD", "GROUPS", "OPTIND", "ENV", "PS4",
    ],
)  # fmt: skip
def test_nothing_is_short_cut_beside_what_a_shell_reads(name: str) -> None:
    value = "() { :; }" if "%%" in name else "1"
    assert context({name: value}).shell.ways(b"env")[0][:3] == [b"bash", b"-e", b"-c"]
    assert context({name: value}).shell.ways(b"echo a")[0][:3] == [b"bash", b"-e", b"-c"]


def test_nothing_is_short_cut_for_a_shell_with_other_options() -> None:
    for shell in (["bash", "-x"], ["bash", "-l"], ["bash", "-v", "-e"], ["zsh"]):
        if shutil.which(shell[0]):
            assert context(shell=shell).shell.ways(b"env")[0] == [os.fsencode(word) for word in shell] + [b"-c", b"env"]


class Seen(NamedTuple):
    """All that can be seen of a command."""

    reason: str
    code: int | None
    stdout: bytes
    stderr: bytes


#: Programs that show what they find around them, and how they end.
PROGRAMS = {
    "show": "import os, sys\n"
    "for line in sorted(k + b'=' + v for k, v in os.environb.items() if k != b'STRATOS_TASK'): print(line)\n"
    "print(sys.argv[1:], os.getcwd(), os.getppid() == os.getsid(0), os.getpid() == os.getpgid(0), os.umask(0))\n"
    "print([os.readlink('/proc/self/fd/0'), sorted(os.listdir('/proc/self/fd'))])",
    "end": "import os, sys, signal\n"
    "number = int(sys.argv[1])\n"
    "if number >= 0: sys.exit(number)\n"
    "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.kill(os.getpid(), -number); signal.pause()",
}


@pytest.fixture(scope="module")
def programs(shared: Client) -> Path:
    folder = shared.folder / "programs"
    folder.mkdir()
    for name, source in PROGRAMS.items():
        for path in (folder / name, shared.folder / name):
            path.write_text(f"#!/usr/bin/env python3\n{source}\n")
            path.chmod(0o755)
    (folder / "bare").write_text("echo bare $1 $0\n")
    (folder / "bare").chmod(0o755)
    (folder / "data").write_text("no program\n")
    (folder / "folder").mkdir()
    return folder


WORDS = st.text("abcXYZ019_@%+=:,./-", min_size=1, max_size=6)
ENDS = st.sampled_from([0, 1, 3, 126, 127, 128, 134, 137, 139, 143, 255, -1, -2, -6, -9, -11, -15])
COMMANDS = st.one_of(
    st.builds(" ".join, st.lists(WORDS, min_size=1, max_size=4)),
    st.builds(lambda words: " ".join(["show", *words]), st.lists(WORDS, max_size=4)),
    st.builds(lambda code: f"end {code}", ENDS),
    st.builds(lambda words: " ".join(["echo", *words]), st.lists(WORDS, max_size=4)),
    st.builds(
        lambda program, words: " ".join([program, *words]),
        st.sampled_from(
            ["./show", "bare", "data", "folder", "no-such", "./no-such", "true", "false", ":", "env", "./end"]
        ),
        st.lists(WORDS, max_size=2),
    ),
)
ENVIRONMENTS = st.dictionaries(
    st.sampled_from(
        ["A", "PWD", "OLDPWD", "SHLVL", "_", "LINES", "HOSTNAME", "FOO-BAR", "A B", "TERM", "SHELL", "PS1"]
    ),
    st.sampled_from(["", "1", "x y", "/", "/tmp", "-1", "999", "\udcff"]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(command=COMMANDS, env=ENVIRONMENTS)
@example(command="show", env={})
@example(command="./show", env={"SHLVL": "3", "PWD": "/", "OLDPWD": "/", "_": "/x"})
@example(command="bare x", env={})
@example(command="data", env={})
@example(command="folder", env={})
@example(command="end -11", env={})
@example(command="echo", env={})
@example(command="echo a  b", env={})
@example(command="echo %s =a", env={})
@example(command="true x", env={})
def test_every_way_shows_what_the_shell_shows(
    shared: Client, programs: Path, command: str, env: dict[str, str]
) -> None:
    around = {**env, "PATH": f"{programs}:{os.environ['PATH']}", "HOME": "/"}
    # A variable that nobody reads, and that makes the executor go the long way.
    slow = {**around, "BASH_NOBODY": "1"}
    seen = []
    for variables in (around, slow):
        (record,) = shared.run(command, env=variables)
        text = record.bytes().replace(b"b'BASH_NOBODY=1'\n", b"").replace(b"BASH_NOBODY=1\n", b"")
        if command.startswith("env"):
            lines = [line for line in text.split(b"\n") if not line.startswith(b"STRATOS_TASK=")]
            text = b"\n".join(sorted(lines))
        seen.append(Seen(record.reason, record.code, text, record.bytes("stderr")))
    assert seen[0] == seen[1]


def test_the_two_ways_that_are_compared_differ(programs: Path) -> None:
    around = {"PATH": f"{programs}:{os.environ['PATH']}"}
    assert context(around).shell.ways(b"show")[0] == [b"show"]
    assert context({**around, "BASH_NOBODY": "1"}).shell.ways(b"show")[0][:1] == [b"bash"]
    assert context(around).shell.ways(b"echo a")[0][:1] == [b"sh"]


def test_where_a_command_runs_it_says_so(client: Client, tmp_path: Path) -> None:
    """By every way, through a link too: a shell that is started there says the same."""
    link = tmp_path / "link"
    link.symlink_to(client.folder)
    for env in ({}, {"BASH_NOBODY": "1"}, {"PWD": "/etc", "OLDPWD": "/usr"}):
        path = {"PATH": os.environ["PATH"], **env}
        direct, shell = client.run("printenv PWD", "echo $PWD; printenv OLDPWD || true", cwd=str(link), env=path)
        assert (direct.stdout, shell.stdout) == (f"{link}\n", f"{link}\n")


@pytest.mark.parametrize("number", [11, 7, 8, 4, 6, 9, 15])
def test_a_program_that_dies_of_a_signal_is_said_to_by_every_way(client: Client, number: int) -> None:
    script = client.folder / "die"
    script.write_text(f"#!/bin/sh\nulimit -c 0; kill -{number} $$\n")
    script.chmod(0o755)
    ways = [
        "./die",
        "./die; true",
        "'./die'",
        "./die\necho on",
        "(./die)",
        "x=$(./die)",
        "./die | cat; exit ${PIPESTATUS[0]}",
    ]
    for record in client.run(*ways):
        assert (record.reason, record.code) == ("signal", number)


def test_other_codes_above_128_are_exit_codes(client: Client) -> None:
    for code in (128, 129, 130, 141, 255):
        (record,) = client.run(f"exit {code}")
        assert (record.reason, record.code) == ("exit", code)


# The first line names the interpreter.


def test_the_first_line_names_the_interpreter(client: Client) -> None:
    bash, python, perl_like, arguments = client.run(
        "#!/bin/bash\nfalse\nx=(a b); echo ${x[1]}",
        "#!/usr/bin/env python3\nimport sys\nprint(sys.version_info[0], 'it''s $HOME')",
        "#!/usr/bin/awk -f\nBEGIN { print 1 + 1 }",
        "#! /usr/bin/env -S python3 -I -c 'import sys; print(sys.flags.isolated)'\n",
    )
    assert (bash.code, bash.stdout) == (0, "b\n")
    assert python.stdout == "3 its $HOME\n"
    assert perl_like.stdout == "2\n"
    assert arguments.stdout == "1\n"


def test_the_options_of_the_first_line_hold(client: Client) -> None:
    (record,) = client.run("#!/bin/bash -e\nfalse\necho on")
    assert (record.code, record.stdout) == (1, None)


def test_a_script_gets_its_file_and_is_removed_after_it(client: Client) -> None:
    client.context()
    name = "it's $(id) \udcff"
    client.batch(['#!/bin/sh\nprintf \'%s|\' "$1" "$STRATOS_FILE" "$#"; dirname "$0"'], files=[name])
    client.batch(["#!/bin/sh\nprintf %s $#"], first=1)
    data = os.fsencode(name)
    assert client.wait(0).bytes() == b"%b|%b|1|%b\n" % (data, data, os.fsencode(client.folder / "sandbox" / "0"))
    assert client.wait(1).stdout == "0"
    assert list((client.folder / "sandbox" / "0").iterdir()) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("#!/no/such/python", "the first line names /no/such/python, which this node cannot execute"),
        ("#!no-such-interpreter -x", "the first line names no-such-interpreter"),
        ("#!", "names no interpreter: write #!/bin/bash"),
        ("#! \t", "names no interpreter"),
    ],
)
def test_an_interpreter_that_is_not_there_is_said(client: Client, line: str, said: str) -> None:
    (record,) = client.run(line + "\necho x")
    assert (record.reason, record.code) == ("spawn", None)
    assert record.note.startswith("cannot start: ")
    assert said in record.note


def test_interpreters_are_found_on_the_path_too(client: Client) -> None:
    assert client.run("#!python3\nprint('found')")[0].stdout == "found\n"


def test_relative_paths_begin_at_the_working_directory_of_the_command(client: Client) -> None:
    """The executor's own is elsewhere: / has a folder bin with a bash of its own."""
    for name in ("mine", "bin/other"):
        path = client.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('#!/bin/sh\necho "$0"; tail -n +2 "$1"\n')
        path.chmod(0o755)
    client.context(env={"PATH": "bin:/usr/bin::/bin"})
    commands = ["#!./mine\nthe body", "#!mine\nthe body", "#!other\nthe body", "echo a; [[ a == a ]]", "other mine"]
    client.batch(commands)
    outputs = [str(client.wait(number).stdout).splitlines() for number in range(len(commands))]
    assert [output[-1] for output in outputs] == [*["the body"] * 3, "a", 'echo "$0"; tail -n +2 "$1"']


def test_a_folder_is_no_interpreter(client: Client) -> None:
    (record,) = client.run("#!/usr\necho x")
    assert "the first line names /usr, which this node cannot execute" in record.note


def test_no_other_line_names_an_interpreter(client: Client) -> None:
    assert client.run("\n#!/no/such\necho a", "# x\n#!/no/such\necho b")[1].stdout == "b\n"


def test_the_bash_on_the_path_is_taken(client: Client) -> None:
    folder = client.folder / "own"
    folder.mkdir()
    (folder / "bash").write_text('#!/bin/sh\necho own "$@"\n')
    (folder / "bash").chmod(0o755)
    (record,) = client.run("a; b", env={"PATH": f"{folder}:/usr/bin:/bin"})
    assert record.stdout == "own -e -c a; b\n"


def test_bash_itself_agrees_on_what_is_set(tmp_path: Path) -> None:
    """The variables that are set for a program that is started directly are those that bash sets."""
    found = context(cwd=str(tmp_path))
    argv, programs, more = found.shell.ways(b"env")
    env = dict(line.split(b"=", 1) for line in found.env)
    by_bash = subprocess.run(
        [b"bash", b"-e", b"-c", b"env"], env=env, cwd=tmp_path, stdout=subprocess.PIPE, check=True
    )  # fmt: skip
    directly = subprocess.run(
        argv, executable=programs[0], env={**env, b"_": more[0][2:]}, cwd=tmp_path, stdout=subprocess.PIPE, check=True
    )  # fmt: skip
    assert sorted(by_bash.stdout.split(b"\n")) == sorted(directly.stdout.split(b"\n"))
