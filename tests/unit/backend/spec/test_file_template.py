"""A file's name reaches the program exactly as it is, whatever it contains and wherever it stands."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stratos_jupyter.backend.spec.file_template import compile_file_template
from stratos_jupyter.backend.spec.shell.words import SHELLS as KNOWN
from stratos_jupyter.errors import SpecError
from tests.support.filenames import AWKWARD

SHELLS = ["/bin/sh", *([shutil.which("bash")] if shutil.which("bash") else [])]

#: templates that print the name, and one NUL, once for each %f% outside comments
CONTEXTS = [
    "p %f%",
    "p '%f%'",
    'p "%f%"',
    "p ''%f%",
    'p ""%f%""',
    "p %f% # it's %f%",
    "# don't %f%\np %f%",
    "p $(q %f%)",
    'p "$(q %f%)"',
    "p \"$(q '%f%')\"",
    'p "$(q "%f%")"',
    'p "$(q "$(q "%f%")")"',
    "(p %f%)",
    "{ p %f%; }",
    "if true; then p %f%; fi",
    'for x in %f%; do p "$x"; done',
    'x=%f%; p "$x"',
    "x='%f%'; p \"$x\"",
    'x="%f%"; p "$x"',
    'export x="%f%"; p "$x"',
    "case %f% in *) p %f%;; esac",
    "case a in (a) p %f%;; esac",
    "true && p %f% || p wrong",
    "true; p %f%;",
    "p \\\n%f%",
    "cat <<EOF >/dev/null\nit's $(true) \"\nEOF\np %f%",
    "cat <<'EOF' >/dev/null\n$( ` '\nEOF\np %f%",
    "cat <<-A <<B >/dev/null\n'\n\tA\n\"\nB\np %f%",
    "cat <<EOF >/dev/null; p %f%\nx\nEOF",
    "cat <<EOF > $(echo /dev/null); p %f%\nit's\nEOF",
    "p \\\\%f% | sed -z 's/^.//'",
    'p "\\$%f%" | sed -z "s/^.//"',
    'x=1; p "$x%f%" | sed -z "s/^.//"',
    'x=1; p "$x\\\n%f%" | sed -z "s/^.//"',
    'p "$$.%f%" | sed -z "s/^[0-9]*[.]//"',
    "p $#%f% | sed -z 's/^0//'",
    "set -- a; p ${#}%f% | sed -z 's/^1//'",
    "p a#%f% | sed -z 's/^a#//'",
    "p $((1 + (2)))%f% | sed -z 's/^3//'",
    'p "${HOME:-x}"%f% | sed -z "s,^$HOME,,"',
    "p `true`%f%",
    "f() { p %f%; }; f",
    "p %f% 2>&1",
    "p 2>/dev/null %f%",
    'sh -c \'printf "%s\\0" "$1"\' x %f%',
    'sh -c \'printf "%s\\0" "$STRATOS_FILE"\' # %f%',
]
PRELUDE = "p() { printf '%s\\0' \"$1\"; }\nq() { printf '%s.' \"$1\"; }\n"

names = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(st.sampled_from("'\"\\$`(){};&|<>#!*?~ \n\t-%fab=[]^,.:/2"), min_size=1, max_size=12),
    st.binary(min_size=1, max_size=20).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"x"))),
)


def seen(shell: str, template: str, name: str, folder: Path, by_variable: bool = False) -> list[bytes]:
    """Return what the program of a template is given."""
    made = compile_file_template(template)
    script = PRELUDE + (made.by_variable() if by_variable else made.expand(name))
    done = subprocess.run(
        [shell, "-c", os.fsencode(script)],
        capture_output=True,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": "/home/x", "STRATOS_FILE": dashed(name), "LC_ALL": "C.UTF-8"},
        timeout=20,
    )
    assert done.stderr == b"", (script, done.stderr)
    assert not list(folder.iterdir()), "a second command ran"
    return done.stdout.split(b"\0")[:-1]


def dashed(name: str) -> str:
    return "./" + name if name.startswith("-") else name


def as_given(template: str, name: str) -> bytes:
    expected = os.fsencode(dashed(name))
    if "q " in template:  # $( ) drops newlines at the end; the dot of q keeps them
        expected += b"." * template.count("q ")
    return expected


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "template", [template for template in CONTEXTS if "$(q %f%)" not in template or '"' in template]
)
def test_a_context_passes_every_awkward_name(shell: str, template: str, empty: Path) -> None:
    for name in AWKWARD if shell == SHELLS[0] else AWKWARD[:30]:
        assert seen(shell, template, name, empty) == [as_given(template, name)], (template, name)


@pytest.mark.parametrize("by_variable", [False, True])
@given(name=names, template=st.sampled_from(CONTEXTS), shell=st.sampled_from(SHELLS))
@example(name="$(touch pwned)", template='p "%f%"', shell="/bin/sh")
@example(name="\ntouch pwned\n", template="p %f% # it's %f%", shell="/bin/sh")
def test_no_name_is_anything_but_a_name(empty: Path, name: str, template: str, shell: str, by_variable: bool) -> None:
    if template == "p $(q %f%)":
        template = 'p "$(q %f%)"'
    assert seen(shell, template, name, empty, by_variable) == [as_given(template, name)]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("template", CONTEXTS)
def test_a_context_passes_a_name_that_only_the_node_knows(shell: str, template: str, empty: Path) -> None:
    for name in ('/a b/it\'s $(id) "x" `y` \\ *', "/plain"):
        if template != "p $(q %f%)":  # the user's own words are split
            assert seen(shell, template, name, empty, by_variable=True) == [as_given(template, name)]


@pytest.mark.parametrize(
    ("template", "where"),
    [
        ("cat <<EOF\n%f%\nEOF", "in a here-document"),
        ("cat <<'EOF'\n%f%\nEOF", "in a here-document"),
        ("cat <<EOF\n%f%", "in a here-document"),
        ("echo `cat \\\\ %f%`", "in backticks"),
        ('echo "`cat %f%`"', "in backticks"),
        ("echo $(( %f% + 1 ))", r"in \$\(\( \)\)"),
        ('echo "$(( %f% + 1 ))"', r"in \$\(\( \)\)"),
        ("(( x = %f% ))", r"in \(\( \)\)"),
        ("echo $'%f%'", r"in \$'...'"),
        ("echo ${x:-%f%}", r"in \$\{...\}"),
        ('echo "${x:-%f%}"', r"in \$\{...\}"),
        ('echo "${x:-"%f%"}"', r"in \$\{...\}"),
        ("echo \\%f%", "after a backslash"),
        ('echo "\\%f%"', "after a backslash"),
        ("echo $%f%", r"after a \$"),
        ('echo "$%f%"', r"after a \$"),
        ("echo $\\\n%f%", r"after a \$"),
        ('echo "$\\\n%f%"', r"after a \$"),
        ("sh -c %f%", "another shell"),
        ("sh -c 'cat %f%'", "another shell"),
        ('bash -c "cat %f%"', "another shell"),
        ("bash -o pipefail -ec 'cat %f%'", "another shell"),
        ("env A=1 /bin/sh -xc 'cat %f%'", "another shell"),
        ("timeout 5 bash -c 'cat %f%'", "another shell"),
        ("'sh' -c 'cat %f%'", "another shell"),
        ("s\\h -c 'cat %f%'", "another shell"),
        ("$SHELL -c 'cat %f%'", "another shell"),
        *((f"{shell} -c 'cat %f%'", "another shell") for shell in sorted(KNOWN | {"csh", "tcsh", "fish"})),
        ("su nobody -c 'cat %f%'", "another shell"),
        ("(sh -c 'cat %f%')", "another shell"),
        ("true; sh -c 'cat %f%'", "another shell"),
        ("x=$(sh -c 'cat %f%')", "another shell"),
        ("eval cat %f%", "eval evaluates"),
        ('eval "cat %f%"', "eval evaluates"),
        ("if eval cat %f%; then :; fi", "eval evaluates"),
        ("2>/dev/null eval cat %f%", "eval evaluates"),
        ("trap 'rm %f%' EXIT", "trap evaluates"),
        ("let x=%f%", "let evaluates"),
        ("a[%f%]=1", "subscript"),
        ("[[ %f% -eq 1 ]]", "in arithmetic"),
        ("[[ -n x && %f% -eq 1 ]]", "in arithmetic"),
        ("[ -v %f% ]", "-v evaluates"),
        ("printf -v %f% x", "-v evaluates"),
        ("declare -i n=%f%", "in what declare evaluates"),
        ('local -ri n="%f%"', "in what local evaluates"),
        ("typeset -n r=%f%", "in what typeset evaluates"),
        ("a=([%f%]=1)", "in an array's subscript"),
        ("declare %f%", "declare evaluates"),
    ],
)
def test_where_no_name_can_be_quoted_it_is_refused_with_the_cure(template: str, where: str) -> None:
    with pytest.raises(SpecError, match=where) as caught:
        compile_file_template(template)
    assert '"$STRATOS_FILE"' in str(caught.value)


@pytest.mark.parametrize(
    ("template", "what"),
    [
        ("echo 'it", "quote is not closed"),
        ('echo "it', "quote is not closed"),
        ("echo it's %f%", "quote is not closed"),
        ("echo `x", "backtick is not closed"),
        ("echo $(x", "not closed"),
        ("echo ${x", "not closed"),
        ("cat <<E $(echo\n-)\nx\nE\np %f%", "of several lines on the line of a here-document"),
        ("echo $((1", "not closed"),
        ("x=$(cat <<EOF)\n%f%\nEOF\n", "here-document"),
        ("cat <<%f%\nx", "here-document"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(template: str, what: str) -> None:
    with pytest.raises(SpecError, match=what) as caught:
        compile_file_template("true\n" + template)
    assert "line" in str(caught.value)


@pytest.mark.parametrize(
    "template",
    [r"echo $'a\'b' %f%", "echo \"${x#'}'}\" %f%", "echo \"$$(echo '%f%')\""],
)
def test_where_shells_differ_it_is_refused_unless_bash_reads_it(template: str) -> None:
    with pytest.raises(SpecError, match="line 2 of the command: shells differ"):
        compile_file_template("true\n" + template, bash=False)
    assert compile_file_template(template).count == 1


@pytest.mark.parametrize("name", AWKWARD[:30])
@pytest.mark.parametrize(
    "template",
    [
        r"x=$'a\'b'; p %f%",
        "x='a}'; : \"${x#'}'}\"; p %f%",
        'x=(%f% b); p "${x[0]}"',
        "p %f% &>> /dev/stdout",
        "p %f% |& cat",
        'read -r -d "" x <<< "%f%"; p %f%',
        "function f { p %f%; }; f",
        "cat <(p %f%)",
        "x=$(case a in a) p %f% | tr '\\0' Z;; esac); p %f%",
        "[[ -n %f% && ! a =~ (a|b)c ]] && p %f%",
        "for ((i=0; i<1; i++)); do p %f%; done",
        "shopt -s extglob\nx=!(a|b); p %f%",
        "p <[%f%]>",
        "[[ -n <[%f%]> ]] && p %f%",
    ],
)
@pytest.mark.skipif(len(SHELLS) < 2, reason="needs bash")
def test_bash_gets_every_awkward_name(template: str, name: str, empty: Path) -> None:
    assert seen(SHELLS[1], template, name, empty) == [as_given("", name)]


@pytest.mark.parametrize(
    "template",
    [
        "wc -c %f%",
        "gcc -c %f%",
        "grep -c read %f%",
        "./script -acc %f%",
        "bash run.sh -c %f%",
        "while read x; do :; done < %f%",
        "read x < %f%",
        "test -e %f%",
        "[[ -e %f% ]]",
        "[ %f% -nt x ]",
        "echo eval %f%",
        "awk '{ print $1 }' %f%",
        "ls $$ %f%",
    ],
)
def test_what_is_harmless_is_let_through(template: str) -> None:
    assert compile_file_template(template).count == 1


def test_a_plain_name_as_an_argument_stays_readable() -> None:
    assert compile_file_template("wc -l %f%").expand("data/a-1.dat") == "wc -l data/a-1.dat"
    assert compile_file_template("wc -l < %f%").expand("a.dat") == "wc -l < 'a.dat'"
    assert compile_file_template("%f% x").expand("done") == "'done' x"


def test_several_refusals_are_told_together() -> None:
    with pytest.raises(SpecError, match=r"line 1 stands in backticks; %f% in line 2 stands after a backslash"):
        compile_file_template('echo "`%f%`"\necho \\%f%')


@pytest.mark.skipif(len(SHELLS) < 2, reason="needs bash")
@pytest.mark.parametrize(
    "template",
    [
        "x=$(( $(q %f% | wc -l) + 0 )); p %f%",
        'echo "$(( $(q "%f%" | wc -c)/4 ))" >/dev/null; p "%f%"',
        "(( $(q %f% | wc -c) > 1 )); p %f%",
        "if (( $(q '%f%' | wc -c) > 1 )); then p %f%; fi",
        'p "${x:-$(q "%f%")}"',
        'x=${x:-"$(q %f%)"}; p "$x"',
        "a[$(q %f% | wc -l)]=1; p %f%",
        'x=`q %f%`; p "$x"',
        "x=`q '%f%'`; p \"$x\"",
        'x=`q "%f%"`; p "$x"',
    ],
)
def test_commands_in_arithmetic_and_expansions_are_commands(template: str, empty: Path) -> None:
    for name in AWKWARD:
        given = dashed(name) + ("." if 'p "$' in template else "")
        assert seen(SHELLS[1], template, name, empty) == [os.fsencode(given)], name


@pytest.mark.parametrize(
    "text",
    ["echo $(( $(wc -l < a) + %f% ))", "echo ${x:-$(echo a)%f%}", "echo `echo \\\\ %f%`", "echo $(( `cat %f%` ))"],
)
def test_what_stands_beside_such_commands_is_refused_still(text: str) -> None:
    with pytest.raises(SpecError, match="where no file name can be quoted"):
        compile_file_template(text)
    with pytest.raises(SpecError, match=r"in \$\(\( \)\)"):  # shells other than bash may read it otherwise
        compile_file_template("echo $(( $(wc -l < %f%) ))", bash=False)


@pytest.mark.skipif(len(SHELLS) < 2, reason="needs bash")
@pytest.mark.parametrize(
    "template", ['printf -v x %s %f%; p "$x"', 'a=(1 [3]=%f%); p "${a[3]}"', 'declare -r x="%f%"; p "$x"']
)
def test_a_value_that_is_not_evaluated_is_quoted(template: str, empty: Path) -> None:
    for name in AWKWARD:
        assert seen(SHELLS[1], template, name, empty) == [os.fsencode(dashed(name))], name
