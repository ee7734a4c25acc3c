"""Patterns over a tree that is listed level by level find what glob.glob finds."""

from __future__ import annotations

import glob
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stratos_jupyter.backend.storage.files import FileSystems
from stratos_jupyter.backend.storage.mounts import Names, Where, parse_mounts
from stratos_jupyter.backend.storage.patterns import Entry, Expander
from stratos_jupyter.errors import SpecError, StorageError

NAMES = ["a", "b", "ab", "a1", "b2", ".h", ".a", "[x]", "a*", "é", "a b", "-a", "A", "x.dat"]
PARTS = [
    *("*", "?", "a*", "*a", "?*", "[ab]", "[!a]*", "[a-b]?", "[]x]", ".*", ".?", "**", "***", "a**"),
    *("a", "b", "ab", ".h", "é", ".", "..", "[[]x]", "[*]", "x.dat", "[", "[a"),
]
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join)
trees = st.dictionaries(paths, st.booleans(), max_size=12)
patterns = st.builds(
    lambda parts, end: "/".join(parts) + end,
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=4),
    st.sampled_from(["", "", "/"]),
)


class Tree:
    """A tree on this machine, which can be listed and looked at as one on HDFS, and tells what was asked."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.listed: list[str] = []
        self.looked: list[str] = []

    def list_all(self, wanted: Sequence[str]) -> Iterator[Mapping[str, Entry] | None]:
        self.listed += wanted
        for path in wanted:
            try:
                with os.scandir(self.root + path) as found:
                    yield {entry.name: Entry(entry.is_dir(), 0, 0) for entry in found}
            except OSError:
                yield None

    def look_all(self, wanted: Sequence[str]) -> Iterator[Entry | None]:
        self.looked += wanted
        for path in wanted:
            there = os.path.lexists(self.root + path)
            yield Entry(os.path.isdir(self.root + path), 0, 0) if there else None

    def expand(self, pattern: str, shown: str = "") -> list[str]:
        return sorted(match.shown for match in Expander(self.list_all, self.look_all).expand(shown, "/", pattern))


def plant(root: str, tree: Mapping[str, bool]) -> None:
    for path, is_dir in tree.items():
        whole = Path(root, path)
        try:
            (whole if is_dir else whole.parent).mkdir(parents=True, exist_ok=True)
            if not is_dir and not whole.exists():
                whole.touch()
        except (FileExistsError, NotADirectoryError):
            pass  # a file is where a directory should be


def globbed(root: str, pattern: str) -> list[str]:
    """What glob.glob finds, without what it only believes to be there: `file/` for `file/**`, on some versions."""
    found = glob.glob(pattern, root_dir=root, recursive=True)
    return sorted({name for name in found if os.path.lexists(os.path.join(root, name))})


def leaves(pattern: str) -> bool:
    depth = 0
    for part in pattern.split("/"):
        depth += -1 if part == ".." else part not in ("", ".", "**")
        if depth < 0:
            return True
    return False


@given(trees, patterns)
@example({"a": False}, "b/../*")
@example({"a/b": False, "a/.h/b": False, ".h/b": False}, "**/b")
@example({"a/b/ab": False}, "**/**")
@example({"a": False}, "a/**")
def test_the_same_names_as_glob(tree: dict[str, bool], pattern: str) -> None:
    if leaves(pattern):
        return
    with tempfile.TemporaryDirectory() as root:
        plant(root, tree)
        assert Tree(root).expand(pattern) == globbed(root, pattern)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for folder in ("2023/a", "2023/b", "2024/a", "other/deep/deeper"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "snap_1").touch()
    return Tree(str(tmp_path))


def test_only_directories_that_matter_are_listed(tree: Tree) -> None:
    assert tree.expand("20*/a/snap_*") == ["2023/a/snap_1", "2024/a/snap_1"]
    assert tree.listed == ["/", "/2023/a", "/2024/a"]
    assert tree.looked == []


def test_where_wildcards_end_it_is_only_looked(tree: Tree) -> None:
    assert tree.expand("20*/b/snap_1") == ["2023/b/snap_1"]
    assert tree.listed == ["/"]
    assert tree.looked == ["/2023/b/snap_1", "/2024/b/snap_1"]


def test_a_name_without_wildcards_is_only_looked_at(tree: Tree) -> None:
    assert tree.expand("2023/a/snap_1") == ["2023/a/snap_1"]
    assert (tree.listed, tree.looked) == ([], ["/2023/a/snap_1"])


def test_nothing_is_listed_twice(tree: Tree) -> None:
    assert len(tree.expand("**/*_1")) == 4
    assert len(tree.listed) == len(set(tree.listed))


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
    found = Names(parse_mounts("/dfs=/,/data=/projects/data/")).find(name, cwd)
    assert found is not None
    assert (found.shown, found.start, found.rest, found.path) == where


@pytest.mark.parametrize(
    ("name", "cwd"),
    [("/dfsx/a", "/"), ("/home/a", "/"), ("a", "/home"), ("/dfs/../etc", "/"), ("../../etc", "/dfs/u"), ("", "/")],
)
def test_other_names_are_not_on_hdfs(name: str, cwd: str) -> None:
    assert Names(parse_mounts("/dfs=/")).find(name, cwd) is None


def test_the_innermost_mount_counts() -> None:
    names = Names(parse_mounts("/dfs=/,/dfs/scratch=/tmp"))
    assert isinstance(found := names.find("/dfs/scratch/a", "/"), Where)
    assert found.path == "/tmp/a"


@pytest.mark.parametrize("text", ["/dfs", "dfs=/", "/dfs=x", "/=/", "/dfs=/,/dfs=/a", "=/"])
def test_a_mount_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_mounts(text)


@pytest.mark.parametrize("name", ["hdfs:/", "hdfs://nn", "hdfs://nn:8020"])
def test_a_url_without_a_path_is_refused_with_the_cure(name: str) -> None:
    if name == "hdfs:/":
        assert Names().find(name) is not None
        return
    with pytest.raises(SpecError, match="write hdfs://HOST:PORT/PATH"):
        Names().find(name)


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hdfs", None)
    with pytest.raises(StorageError, match=r"pip install 'stratos_jupyter\[hdfs\]'"):
        FileSystems("http://127.0.0.1:9").expand("hdfs:/x*")
