"""Patterns mean what bash means by them, on this machine and over a tree that is listed level by level."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stratos_jupyter.backend.inputs.filesystems import FileSystems
from stratos_jupyter.backend.inputs.globbing import Expander, FileEntry, Start
from stratos_jupyter.backend.inputs.local import LocalTree
from stratos_jupyter.backend.inputs.mounts import HdfsName, MountTable, plain_name
from stratos_jupyter.backend.inputs.no_match import why_nothing
from stratos_jupyter.backend.inputs.pattern_parts import _order, in_order
from stratos_jupyter.backend.inputs.pattern_words import words_of
from stratos_jupyter.backend.spec.parse_hdfs import joined, parse_mounts
from stratos_jupyter.errors import SpecError, StorageError
from tests.support.filenames import AWKWARD

NAMES = ["a", "b", "ab", "a1", "B", ".h", "x.dat", "[x]", "a*", "a{b", "é", "1", "10", "2", "-a"]
ATOMS = [
    *("*", "?", "a", "b", "ab", "[ab]", "[!a]", "[^a]", "[[:digit:]]", "[^[:alpha:]]", "[0-9]", "[]x]", "[a-", "[b-a]"),
    *("{", "}", ",", "..", "1", "3", "{a,b}", "{1..3}", "{01..2}", "{a,{b,1}}", "{b..a}", "[", "]", "-", "^", "!"),
    *("\\*", "\\[", "\\{", ".h", ".*", "é", "x.dat", "**", "/", "/", "/"),
]
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
trees = st.dictionaries(paths, st.sampled_from(["file", "folder", "itself", "nowhere"]), max_size=10)
patterns = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=7).map("".join)


def plant(root: str, tree: Mapping[str, str]) -> None:
    """Make files, folders, and links: to their own folder, and to nowhere. Nothing is made behind a link."""
    for path, kind in tree.items():
        whole = Path(root, path)
        if any(parent.is_symlink() for parent in whole.parents):
            continue
        try:
            whole.parent.mkdir(parents=True, exist_ok=True)
            if kind == "folder":
                whole.mkdir(exist_ok=True)
            elif kind == "file":
                whole.touch()
            else:
                whole.symlink_to("." if kind == "itself" else "nowhere")
        except (FileExistsError, NotADirectoryError):
            pass  # a file is where a directory should be


def by_bash(root: str, pattern: str) -> list[str]:
    """What bash makes of a pattern, without names of its braces that are not there."""
    script = f"shopt -s globstar nullglob; for f in {pattern}; do printf '%s\\0' \"$f\"; done"
    env = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    done = subprocess.run(["bash", "-c", script], cwd=root, capture_output=True, env=env, check=True)
    assert not done.stderr, done.stderr
    names = [os.fsdecode(name) for name in done.stdout.split(b"\0")[:-1]]
    return [name for name in names if os.path.lexists(os.path.join(root, name))]


def by_us(root: str, pattern: str) -> list[str]:
    words = [Start("", root, word) for word in words_of(pattern, {}, lambda name: name)]
    return [name for found in Expander(LocalTree()).expand(words) for name in found]


def plainly(names: Sequence[str]) -> set[str]:
    """Names as both would write them: bash keeps double slashes, and is of two minds about the slash of `a/**`."""
    return {re.sub("/+", "/", name).rstrip("/") for name in names}


def odd(pattern: str) -> bool:
    """Whether it is not a pattern within its folder, or one whose slashes bash reads in its own way."""
    return pattern.startswith(("/", "!", "-", "^")) or bool(re.search(r"//|\*\*\*|,/|\{/|\.\./|/\.\.", pattern))


@given(trees, patterns)
@example({"a/b": "file", "a/up": "itself"}, "**/b")
@example({"a/b": "file", "a/up": "itself"}, "**")
@example({"a/b": "file", "a/up": "itself"}, "*/up/b")
@example({"a": "file", "b": "file"}, "{a},b}")
@example({"a": "file", "1": "file"}, "[^[:digit:]]")
@example({"a/b/ab": "file"}, "**/**")
@example({"a": "file"}, "a/**")
def test_the_same_names_as_bash(tree: dict[str, str], pattern: str) -> None:
    if odd(pattern):
        return
    with tempfile.TemporaryDirectory() as root:
        plant(root, tree)
        assert plainly(by_us(root, pattern)) == plainly(by_bash(root, pattern))


@given(patterns)
@example("a{},b}")
@example("{a,b}{1,2}{x,y}")
@example("{3..1..-1}{a..e..2}")
@example("{-02..1}")
@example("{}{a,b}")
@example("{a,b}}{c,d{e,f}")
def test_braces_make_the_words_that_they_make_in_bash(pattern: str) -> None:
    if pattern.startswith(("!", "-", "^")):
        return
    script = f"set -f; printf '%s\\0' {pattern}"
    env = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    done = subprocess.run(["bash", "-c", script], capture_output=True, env=env, check=True)
    theirs = [re.sub(r"\\(.)", r"\1", os.fsdecode(word)) for word in done.stdout.split(b"\0")[:-1]]
    ours = [re.sub(r"\\(.)", r"\1", word) for word in words_of(pattern, {}, lambda name: name)]
    assert ours == list(dict.fromkeys(theirs))


@given(st.lists(st.text("ab019/.", min_size=1, max_size=8), max_size=12, unique=True))
@example([f"s_{number}.dat" for number in range(1200)])
@example([f"s_0{number}.dat" for number in range(1200)])
@example([f"{number}" for number in range(1200)])
@example([f"s_{number:06d}.dat" for number in range(1200)])
@example([f"s_{number}_{number % 7}.dat" for number in range(1200)])
def test_numbers_are_ordered_by_value(names: list[str]) -> None:
    def by_value(name: str) -> list[object]:
        return [[(ord("0"), int(p)) if p.isdecimal() else (ord(p), 0) for p in re.findall("[0-9]+|[^0-9]", part)]
                for part in name.split("/")]  # fmt: skip

    assert in_order(names) == sorted(sorted(names), key=by_value)
    assert in_order(names) == sorted(sorted(names), key=_order)


# -- what a user types -----------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        *("d/x1.fits", "d/x2.fits", "d/x10.fits", "d/r_R1.fq", "d/r.fastq", "d/.hidden", "d/sub/y.fits", "d[1].txt"),
        *("run[1]/a.dat", "case_1/0", "case_2/0", "case_10/0", "Data/Snap_1.dat", "my data/a.txt", "$x.txt", "_p.dat"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "d/up").symlink_to("..")
    monkeypatch.setenv("DATA", str(tmp_path / "d"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("NOWHERE", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("d/x*.fits", ["d/x1.fits", "d/x2.fits", "d/x10.fits"]),
        ("d/x{10,1,2}.fits", ["d/x10.fits", "d/x1.fits", "d/x2.fits"]),
        ("d/*.{fq,fastq}", ["d/r_R1.fq", "d/r.fastq"]),
        ("d/*.{fq,nothing}", ["d/r_R1.fq"]),
        ("d/{x1,x*}.fits", ["d/x1.fits", "d/x2.fits", "d/x10.fits"]),
        ("{d,./d,d/}/x1.fits", ["d/x1.fits"]),
        ("d/x[^1]*.fits", ["d/x2.fits"]),
        ("d/x[!1]*.fits", ["d/x2.fits"]),
        ("d/x[[:digit:]].fits", ["d/x1.fits", "d/x2.fits"]),
        ("$DATA/x1*.fits", ["{}/d/x1.fits", "{}/d/x10.fits"]),
        ("${DATA}/x1.fits", ["{}/d/x1.fits"]),
        ("~/d/x1.fits", ["{}/d/x1.fits"]),
        ("file://{}/d/x1*.fits", ["{}/d/x1.fits", "{}/d/x10.fits"]),
        ("file:{}/d/x1.fits", ["{}/d/x1.fits"]),
        ("**/x1.fits", ["d/x1.fits"]),
        ("d[1].txt", ["d[1].txt"]),
        ("d\\[1].txt", ["d[1].txt"]),
        ("run[[]1]/*", ["run[1]/a.dat"]),
        ("$x.txt", ["$x.txt"]),
        ("[$]x*", ["$x.txt"]),
        ("\\$x*", ["$x.txt"]),
        ("my data/*.txt", ["my data/a.txt"]),
        ("_*", ["_p.dat"]),
        ("case_*", ["case_1", "case_2", "case_10"]),
        ("case_*/", ["case_1/", "case_2/", "case_10/"]),
        ("{case_1,d/x1.fits}", ["case_1", "d/x1.fits"]),
        ("d/*/../x1.fits", ["d/sub/../x1.fits"]),
    ],
)
def test_what_a_pattern_finds(data: Path, pattern: str, found: list[str]) -> None:
    wanted = [name.replace("{}", str(data)) for name in found]
    assert FileSystems().expand(pattern.replace("{}", str(data)), str(data)) == wanted
    whole = [os.path.join(data, name) for name in wanted]
    assert FileSystems().expand(pattern.replace("{}", str(data)), str(data), absolute=True) == whole


def test_directories_beside_files_are_left_out_and_said(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = FileSystems()
    assert files.expand("d/*", str(data)) == ["d/r.fastq", "d/r_R1.fq", "d/x1.fits", "d/x2.fits", "d/x10.fits"]
    assert "left out d/sub, d/up, directories beside files" in caplog.text
    assert files.expand("d/*/", str(data)) == ["d/sub/", "d/up/"]


def test_a_file_whose_name_is_the_pattern_itself_is_the_last_resort(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert FileSystems().expand("d[1].txt", str(data)) == ["d[1].txt"]
    assert not caplog.text
    (data / "d1.txt").touch()
    assert FileSystems().expand("d[1].txt", str(data)) == ["d1.txt"]
    assert "left out the file of that name itself" in caplog.text


def test_links_that_are_not_gone_through_are_said_where_they_lead_elsewhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder in ("data/a", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.fits").touch()
    (tmp_path / "data/up").symlink_to("..")
    (tmp_path / "data/latest").symlink_to("a")
    assert FileSystems().expand("data/**/*.fits", str(tmp_path)) == ["data/a/x.fits"]
    assert not caplog.text
    (tmp_path / "data/b").symlink_to("../elsewhere")
    assert FileSystems().expand("data/**/*.fits", str(tmp_path)) == ["data/a/x.fits"]
    assert "left out what is behind data/b: ** goes through no links to directories, write data/b/**" in caplog.text
    assert FileSystems().expand("data/{**,b/**}/*.fits", str(tmp_path)) == ["data/a/x.fits", "data/b/x.fits"]
    (tmp_path / "data/a/x.fits").unlink()
    with pytest.raises(SpecError, match=r"depth, matches .*; data/b: \*\* goes through no links"):
        FileSystems().expand("data/**/*.fits", str(tmp_path))


def test_an_alternative_that_finds_nothing_is_said(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert FileSystems().expand("d/{x,y}*.{fits,fit}", str(data)) == ["d/x1.fits", "d/x2.fits", "d/x10.fits"]
    assert "nothing matches d/x*.fit, d/y*.fits, d/y*.fit" in caplog.text


def test_what_is_no_pattern_is_refused(data: Path) -> None:
    assert FileSystems().expand(data / "d" / "x1*") == [f"{data}/d/x1.fits", f"{data}/d/x10.fits"]
    with pytest.raises(SpecError, match=r"is no pattern, but list; write several as \{a\*,b/\*\}"):
        FileSystems().expand(["a*", "b*"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("d/{x1,x2,x3}.fits", "1 of its 3 names do not exist: d/x3.fits; with a wildcard"),
        ("$NOWHERE/*", r"\$NOWHERE is not set in the notebook's environment"),
        ("$DATA_1/*", r"\$DATA_1 is not set .*; did you mean \$\{DATA\}_1\?"),
        ("$DATAS/*", r"\$DATAS is not set .*; did you mean \$DATA\?"),
        ("\\$DATA/*", r"no file matches '\\\\\$DATA/\*' in "),
        ("${NOWHERE}/$ALSO_NOT/*", r"\$NOWHERE is not set.*\$ALSO_NOT is not set"),
        ("$EMPTY/*", r"\$EMPTY is empty, and the pattern would begin at /"),
        ("$(ls)/*", r"only \$NAME and \$\{NAME\} are known"),
        ("${DATA:-x}/*", r"only \$NAME and \$\{NAME\} are known"),
        ("$DATA/y*", "no file matches '[$]DATA/y[*]', which is '/.*/d/y[*]': in /.*/d nothing matches"),
        ("d/{x1,x2", "its { is not closed"),
        ("d/[x1*", r"its \[ is not closed"),
        ("{data}/*", "has no alternatives.*no Python variable"),
        ("run[1]/*.dat", r"there is that name itself, which as a pattern is run\[\[\]1\]"),
        ("nothere/deep/*", "nothere does not exist; .* has "),
        ("d/*.dat", r"in d nothing matches '\*.dat'; it has r.fastq, r_R1.fq, sub/, up/, x1.fits and 2 more"),
        ("Data/snap*", "upper and lower case differ: Snap_1.dat"),
        ("data/*", "upper and lower case differ: Data"),
        ("d/**/y*/z", "nothing below d, at any depth, matches 'y[*]/z'"),
        ("d/*hidden", "names that begin with . are found only when the pattern begins so"),
        ("d/x1.fits/*", "d/x1.fits is no directory"),
        ("'d/x*'", "the quotes in it are characters"),
        ("!(x)*", "are characters here"),
        ("webhdfs://nn:9870/a/*", r"webhdfs: is how HDFS is asked.* write hdfs:/a/\*, and --hdfs http://nn:9870"),
        ("swebhdfs://nn:9871/a/*", r"write hdfs:/a/\*, and --hdfs https://nn:9871"),
        ("http://nn:9870/webhdfs/v1/a/b?op=OPEN", "write hdfs:/a/b, and --hdfs http://nn:9870"),
        (
            "https://knox:8443/gateway/default/webhdfs/v1/a",
            "write hdfs:/a, and --hdfs https://knox:8443/gateway/default",
        ),
        ("http://example.org/a.fits", "http: is no file system that is known here"),
        ("s3a://bucket/a/*", "s3a: is no file system that is known here"),
        ("s3://bucket/a/*", "s3: is no file system"),
        ("gs://bucket/a/*", "gs: is no file system"),
        ("other://bucket/a/*", "other: is no file system"),
        ("hdfs:rel/*", "write hdfs://HOST:PORT/PATH or hdfs:/PATH"),
        ("hdfs:a", "write hdfs://HOST:PORT/PATH or hdfs:/PATH"),
        ("hdfs://nn:8020", "write hdfs://HOST:PORT/PATH or hdfs:/PATH"),
        ("file://elsewhere/a", "of file: URLs those of this machine"),
        ("{1..1000000}", "makes more than 100,000 names"),
        ("{1..999}{1..999}", "makes more than 100,000 names"),
        ("a\0b", "is no pattern"),
        ("", "is no pattern"),
    ],
)
def test_why_nothing_is_found(data: Path, pattern: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        FileSystems().expand(pattern, str(data))


def test_what_may_not_be_read_is_said(data: Path) -> None:
    program = (
        "import os, sys; from stratos_jupyter.backend.inputs.filesystems import FileSystems\n"
        "from stratos_jupyter.errors import StorageError; import logging; logging.basicConfig()\n"
        "FileSystems().expand('*', sys.argv[1])\n"  # what is imported late is imported now
        "if not os.getuid(): os.setgid(65534); os.setuid(65534)\n"
        "print(FileSystems().expand('*/*.fits', sys.argv[1]))\n"
        "try: FileSystems().expand('d/sub/*', sys.argv[1])\n"
        "except StorageError as error: print(error)\n"
    )
    for folder in (data, *data.parents):
        if str(folder) == tempfile.gettempdir():
            break
        folder.chmod(0o755)
    (data / "d/sub").chmod(0)
    (data / "case_1").chmod(0)
    (data / "e").mkdir()
    (data / "e/z.fits").touch()
    try:
        done = subprocess.run([sys.executable, "-c", program, str(data)], capture_output=True, text=True, check=True)
    finally:
        (data / "d/sub").chmod(0o755)
        (data / "case_1").chmod(0o755)
    assert done.stdout.splitlines() == [
        "['d/x1.fits', 'd/x2.fits', 'd/x10.fits', 'e/z.fits']",
        f"{data}/d/sub: permission denied",
    ]
    assert f"left out {data}/case_1: permission denied" in done.stderr


@pytest.mark.parametrize("name", [name for name in AWKWARD if "/" not in name and name])
def test_awkward_names_are_found_and_name_themselves(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert FileSystems().expand("*", str(tmp_path)) == [name] if not name.startswith(".") else True
    assert FileSystems().expand(tmp_path / "[!.]*") == [str(tmp_path / name)] if not name.startswith(".") else True


def test_a_name_that_is_not_utf8_is_found(tmp_path: Path) -> None:
    name = os.fsdecode(b"gr\xfcn_1.dat")
    (tmp_path / name).touch()
    files = FileSystems()
    assert files.expand("gr?n_*", str(tmp_path)) == files.expand(name, str(tmp_path)) == [name]


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        *((name, name) for name in ("a:b", "2024:01/x", "C:x", "hdfs:/a", "hdfs://n:1/a", "./hdfs:a", "a/s3://b")),
        ("HDFS:/a", "hdfs:/a"),
        ("file:///a/b", "/a/b"),
        ("file://localhost/a", "/a"),
        ("FILE:/a", "/a"),
    ],
)  # fmt: skip
def test_names_that_are_known_here(name: str, plain: str) -> None:
    assert plain_name(name) == plain


# -- over a tree that is listed --------------------------------------------------------------------------------


class Listed:
    """A tree on this machine, which can be listed and looked at as one on HDFS, and tells what was asked."""

    hidden = "._"
    looks_are_dear = True

    def __init__(self, root: str) -> None:
        self.root = root
        self.listed: list[str] = []
        self.looked: list[str] = []

    def join(self, folder: str, name: str) -> str:
        return joined(folder, name)

    def list_all(self, paths: Sequence[str]) -> Iterator[Mapping[str, FileEntry] | None]:
        self.listed += paths
        for path in paths:
            try:
                with os.scandir(self.root + path) as found:
                    yield {entry.name: FileEntry(entry.is_dir(), 0, 0) for entry in found}
            except OSError:
                yield None

    def look_all(self, paths: Sequence[str]) -> Iterator[FileEntry | None]:
        self.looked += paths
        for path in paths:
            there = os.path.lexists(self.root + path)
            yield FileEntry(os.path.isdir(self.root + path), 0, 0) if there else None

    def expand(self, pattern: str) -> list[str]:
        words = [Start("", "/", word) for word in words_of(pattern, {}, lambda name: name)]
        return [name for found in Expander(self).expand(words) for name in found]


@given(trees, patterns)
def test_the_same_names_by_listing(tree: dict[str, str], pattern: str) -> None:
    if odd(pattern):
        return
    with tempfile.TemporaryDirectory() as root:
        plant(root, {path: kind for path, kind in tree.items() if kind in ("file", "folder")})
        assert Listed(root).expand(pattern) == by_us(root, pattern)


@pytest.fixture
def tree(tmp_path: Path) -> Listed:
    for folder in ("2023/a", "2023/b", "2024/a", "other/deep/deeper"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "snap_1").touch()
    return Listed(str(tmp_path))


def test_only_directories_that_matter_are_listed(tree: Listed) -> None:
    assert tree.expand("20*/a/snap_*") == ["2023/a/snap_1", "2024/a/snap_1"]
    assert tree.listed == ["/", "/2023/a", "/2024/a"]
    assert tree.looked == []


def test_where_wildcards_end_it_is_only_looked(tree: Listed) -> None:
    assert tree.expand("20*/b/snap_1") == ["2023/b/snap_1"]
    assert tree.listed == ["/"]
    assert tree.looked == ["/2023/b/snap_1", "/2024/b/snap_1"]


def test_a_name_without_wildcards_is_only_looked_at(tree: Listed) -> None:
    assert tree.expand("2023/a/snap_1") == ["2023/a/snap_1"]
    assert (tree.listed, tree.looked) == ([], ["/2023/a/snap_1"])


def test_a_root_is_named_as_it_is_typed(tree: Listed) -> None:
    for pattern, said in (
        ("/no/such/*", "hdfs:/no does not exist; hdfs:/ has "),
        ("/**/nosuch*", "nothing below hdfs:/, at any depth"),
    ):
        assert said in why_nothing(f"hdfs:{pattern}", Start("hdfs:", "/", pattern), Expander(tree))


def test_many_names_of_one_directory_are_listed_once(tree: Listed) -> None:
    assert tree.expand("2023/a/snap_{1..600}") == ["2023/a/snap_1"]
    assert (tree.listed, tree.looked) == (["/2023/a"], [])


def test_nothing_is_listed_twice(tree: Listed) -> None:
    assert len(tree.expand("**/*_{1,2}")) == 4
    assert len(tree.listed) == len(set(tree.listed))


def test_what_hdfs_hides_is_found_when_it_is_named(tree: Listed, tmp_path: Path) -> None:
    for name in ("out/_SUCCESS", "out/_temporary/0/part-0", "out/part-0", "out/.crc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert tree.expand("out/*") == tree.expand("out/[^_]*") == tree.expand("out/**/part*") == ["out/part-0"]
    assert tree.expand("out/_S*") == ["out/_SUCCESS"]
    assert tree.expand("out/_SUCCESS") == ["out/_SUCCESS"]


# -- names on HDFS ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cwd", "where"),
    [
        ("/dfs/a/b", "/", ("/dfs", "/", "/a/b", "/a/b")),
        ("/dfs", "/", ("/dfs", "/", "", "/")),
        ("/data/a", "/", ("/data", "/projects/data", "/a", "/projects/data/a")),
        ("x*", "/dfs/u", ("", "/u/", "x*", "/u/x*")),
        ("x*", "/data", ("", "/projects/data/", "x*", "/projects/data/x*")),
        ("../v", "/dfs/u", ("", "/u/", "../v", "/v")),
        ("hdfs://nn:8020/a", "/home", ("hdfs://nn:8020", "/", "/a", "/a")),
        ("hdfs:/a", "/home", ("hdfs:", "/", "/a", "/a")),
        ("hdfs:///a", "/home", ("hdfs://", "/", "/a", "/a")),
    ],
)
def test_what_a_name_means_on_hdfs(name: str, cwd: str, where: tuple[str, str, str, str]) -> None:
    found = MountTable(parse_mounts("/dfs=/,/data=/projects/data/")).find(name, cwd)
    assert found is not None
    assert (found.shown, found.start, found.rest, found.path) == where


@pytest.mark.parametrize(
    ("name", "cwd"),
    [("/dfsx/a", "/"), ("/home/a", "/"), ("a", "/home"), ("/dfs/../etc", "/"), ("../../etc", "/dfs/u"), ("", "/")],
)
def test_other_names_are_not_on_hdfs(name: str, cwd: str) -> None:
    assert MountTable(parse_mounts("/dfs=/")).find(name, cwd) is None


def test_the_innermost_mount_counts() -> None:
    names = MountTable(parse_mounts("/dfs=/,/dfs/scratch=/tmp"))
    assert isinstance(found := names.find("/dfs/scratch/a", "/"), HdfsName)
    assert found.path == "/tmp/a"


@pytest.mark.parametrize("text", ["/dfs", "dfs=/", "/dfs=x", "/=/", "/dfs=/,/dfs=/a", "=/"])
def test_a_mount_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_mounts(text)


@pytest.mark.parametrize("name", ["hdfs:/", "hdfs://nn", "hdfs://nn:8020"])
def test_a_url_without_a_path_is_refused_with_the_cure(name: str) -> None:
    if name == "hdfs:/":
        assert MountTable().find(name) is not None
        return
    with pytest.raises(SpecError, match="write hdfs://HOST:PORT/PATH"):
        MountTable().find(name)


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hdfs", None)
    with pytest.raises(StorageError, match=r"pip install 'stratos_jupyter\[hdfs\]'"):
        FileSystems("http://127.0.0.1:9").expand("hdfs:/x*")
