"""What developers read names files that are there, and commands that find something."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCS = ["CONTRIBUTING.md", "tests/README.md", *(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
#: a file, or a folder with a slash at its end
PATH = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|js|md|toml)|(?:[\w-]+/)+)`|(tests/[\w/]+\.py)")
#: a user's, and another package's
OTHERS = {"x/", "setup.py"}


@pytest.fixture(scope="module")
def there() -> set[str]:
    """Return the paths of the project, also those that begin further below."""
    tops = [ROOT / name for name in ("stratos_jupyter", "tests", "docs", "packaging", "benchmarks", "notebooks")]
    paths = [path.relative_to(ROOT).parts for top in tops for path in [top, *top.rglob("*")] if top.is_dir()]
    folders = {"/".join(parts[start:]) + "/" for parts in paths for start in range(len(parts)) if "." not in parts[-1]}
    files = {"/".join(parts[start:]) for parts in paths for start in range(len(parts)) if "." in parts[-1]}
    return folders | files | {path.name for path in ROOT.iterdir()}


@pytest.mark.parametrize("name", DOCS)
def test_what_it_names_is_there(name: str, there: set[str]) -> None:
    text = (ROOT / name).read_text("utf-8")
    named = {ours or other for ours, other in PATH.findall(text)} - OTHERS
    assert sorted(path for path in named - there if "NAME/" not in path) == []
    linked = {path for path in re.findall(r"\]\(([^)#]+)", text) if "://" not in path}
    assert sorted(path for path in linked if not ((ROOT / name).parent / path).exists()) == []


@pytest.mark.parametrize("name", ["Makefile", "tests/README.md"])
def test_a_command_that_chooses_tests_finds_some(name: str) -> None:
    tests = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests" / "unit").rglob("test_*.py"))
    words = re.findall(r"-k (\w+)", (ROOT / name).read_text("utf-8"))
    assert words
    for word in words:
        assert re.search(rf"^def test_\w*{word}", tests, re.MULTILINE), word


@pytest.mark.parametrize("name", DOCS)
def test_a_test_that_it_names_is_there(name: str) -> None:
    for path, test in re.findall(r"(tests/[\w/]+\.py)::(\w+)", (ROOT / name).read_text("utf-8")):
        assert f"def {test}(" in (ROOT / path).read_text("utf-8"), test


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PACKAGE = ROOT / "stratos_jupyter"


def test_the_map_has_each_room_and_the_order_of_the_walls() -> None:
    table = ARCHITECTURE.partition("| room |")[2].partition("\n\n")[0]
    rooms = [re.findall(r"`([\w/]+?)(?:/|\.py)`", line.split("|")[1]) for line in table.splitlines()[2:]]
    named = [room.replace("/", ".") for row in rooms for room in row]
    made = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    made |= {f"backend.{path.parent.name}" for path in (PACKAGE / "backend").glob("*/__init__.py")}
    assert set(named) == made - {"__init__", "_version", "backend"} | {"static"}
    walls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    above, below = (wall["layers"] for wall in walls if wall["type"] == "layers")
    layers = [re.findall(r"stratos_jupyter\.(\w+)", layer) for layer in above]
    place = next(at for at, layer in enumerate(layers) if layer == ["backend"])
    layers[place : place + 1] = [[f"backend.{room}" for room in re.findall(r"\w+", layer)] for layer in below]
    height = {room: at for at, layer in enumerate(layers) for room in layer}
    tops = [min(height[room.replace("/", ".")] for room in row if room != "static") for row in rooms]
    assert tops == sorted(tops)


def test_the_map_has_each_thread() -> None:
    code = "".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    threads = re.findall(
        r'(?:Thread\([^()]*(?:\([^()]*\)[^()]*)*name=|ThreadPoolExecutor\([^()]*)"(stratos-[\w-]+)"', code
    )
    assert len(threads) > 8
    known = [name.removesuffix("*") for name in re.findall(r"`(stratos-[\w-]+\*?)`", ARCHITECTURE)]
    assert [name for name in threads if not name.startswith(tuple(known))] == []
