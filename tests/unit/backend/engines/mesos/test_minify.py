"""Minified modules do the same: they mean what their sources mean, and nothing that others use has another name."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stratos_jupyter.backend.engines.mesos.executor_bundle import executor_sources
from stratos_jupyter.backend.engines.mesos.minify import minified, without_spaces
from tests.support.executor_client import BACKEND
from tests.support.pythons import other_pythons

#: Prints what there is in each module: functions and methods with their parameters (without names where the function
#: is private), and plain values.
DESCRIBE = """
import importlib, inspect, json, sys
path, *names = sys.argv[1:]
sys.path.insert(0, path)

def parameters(function):
    found = inspect.signature(function).parameters.values()
    private = function.__name__[:1] == "_" and function.__name__[-2:] != "__"
    defaults = ["" if one.default is one.empty else repr(one.default) for one in found]
    return [["" if private else one.name, str(one.kind), default] for one, default in zip(found, defaults)]

def described(value, module):
    if isinstance(value, (bool, int, float, str, bytes, tuple, frozenset)):
        return repr(sorted(value, key=repr)) if isinstance(value, frozenset) else repr(value)
    if getattr(value, "__module__", None) != module:
        return None
    if inspect.isfunction(value):
        return parameters(value)
    if inspect.isclass(value):
        members = {
            name: parameters(one) if inspect.isfunction(one) else type(one).__name__
            for name, one in vars(value).items()
            if name not in ("__annotations__", "__annotate_func__", "__annotations_cache__", "__doc__", "__dict__")
            and name not in ("__firstlineno__", "__static_attributes__", "_field_types", "__weakref__")
        }
        return [[base.__name__ for base in value.__bases__], members]

found = {}
for name in names:
    module = importlib.import_module("executor." + name)
    values = {key: described(value, module.__name__) for key, value in vars(module).items() if key[:2] != "__"}
    found[name] = {key: value for key, value in values.items() if value is not None and "PROGRAM" not in key}
print(json.dumps(found, sort_keys=True))
"""


def minified_text(source: str) -> str:
    return minified({"module": source})["module"]


def described(python: str, folder: Path, names: list[str]) -> Any:
    done = subprocess.run(
        [python, "-I", "-c", DESCRIBE, str(folder), *names], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def pythons() -> dict[str, str]:
    others = list(other_pythons().items())
    return {"own": sys.executable, **dict(others[:1] + others[-1:])}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The minified executor as a package."""
    root = tmp_path_factory.mktemp("minified")
    for name, text in minified(executor_sources()).items():
        file = root.joinpath("executor", *name.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "ascii")
    return root


@pytest.mark.parametrize("python", list(pythons()))
def test_the_executor_has_the_same_names_and_parameters(python: str, folder: Path) -> None:
    names = sorted(executor_sources())
    whole = described(pythons()[python], BACKEND, names)
    assert described(pythons()[python], folder, names) == whole
    assert len(whole["process.kill"]) > 5
    assert whole["loop"]["Loop"][1]["watch"][1][0] == "fd"


def test_the_executor_is_read_by_the_oldest_python(folder: Path) -> None:
    for file in folder.rglob("*.py"):
        ast.parse(file.read_text("ascii"), feature_version=(3, 6))


def test_spaces_that_mean_something_stay() -> None:
    for name, source in executor_sources().items():
        text = ast.unparse(ast.parse(source))
        assert ast.dump(ast.parse(without_spaces(text))) == ast.dump(ast.parse(text)), name


@pytest.mark.parametrize(
    "text",
    [
        "x = 1 if 2 else 3\n",
        "x = not -1 - -1\ny = [*a, *b]\n",
        "for i in 1, 2:\n    if i in (1,) or 'a' in b'b':\n        pass\n    else:\n        x = \"it's\"\n",
        "x = '''two\nlines  with  spaces'''\n",
        "x = lambda: (yield)\nasync def f():\n    await g()\n",
        "x = a[1:2, ::3]\nx: int = 0x1 or 1.0 is None\n",
    ],
)
def test_spaces_between_words_stay(text: str) -> None:
    assert ast.dump(ast.parse(without_spaces(text))) == ast.dump(ast.parse(text))


#: Each defines f(); what that returns must be the same afterwards.
PROGRAMS = {
    "a variable of an outer function": """
        def f(number=2):
            total, factor = 0, 3
            def add(value):
                return total + value * factor
            total = add(number)
            return total, [factor for factor in range(3)], factor
    """,
    "a name that is global in one function and local in another": """
        value = 1
        def g():
            value = 2
            return value
        def f():
            return value, g()
    """,
    "a builtin that a function hides": """
        def g():
            max = min
            return max(1, 2)
        def f():
            return g(), max(1, 2)
    """,
    "a keyword that has the name of a variable": """
        def g(width, height=0):
            return width - height
        def f():
            width, height = 5, 3
            return g(height=height, width=width), dict(width=height)
    """,
    "short names that are taken": """
        a, b = 10, 20
        def f(c=30):
            first, second = a, b
            d = [first + e for e in (second, c)]
            return first, second, a, b, c, d
    """,
    "an error that is caught": """
        def f():
            try:
                [][1]
            except IndexError as problem:
                text = str(problem)
            return text, "problem" in dir()
    """,
    "names that are asked for": """
        def f():
            hidden = 1
            found = locals()
            return sorted(found)
    """,
    "a variable that is nonlocal": """
        def f():
            counted = 0
            def g():
                nonlocal counted
                counted += 1
            g()
            return counted
    """,
    "an import in a function": """
        def f():
            from os import sep as separator
            import os.path
            return separator, os.path.sep
    """,
    "a class in a function": """
        def f():
            size = 3
            class C:
                length = size
                both = [size for _ in range(2)]
            return C.length, C.both
    """,
    "attributes and text of the same name": """
        class C:
            amount = 1
        def f():
            amount = C()
            amount.amount = 2
            return amount.amount, "amount {amount}".format(amount=3)
    """,
    "fields, and what only looks like a declaration": """
        from typing import Dict, List, NamedTuple, Optional
        Names = Dict[str, "List[int]"]
        class P(NamedTuple):
            "Docs."
            #: One.
            x: Optional[int]
            y: List[str] = []
            def sum(self) -> "Optional[Names]":
                "Docs."
                total: int = (self.x or 0) + len(self.y)
                return total
        class Q:
            kept: int = 1
            dropped: Names
            def only_docs(self) -> None:
                "Docs."
        def f():
            return P(1), P(1).sum(), P._fields, Q.kept, Q().only_docs(), hasattr(Q, "dropped")
    """,
    "text that is not ASCII": r"""
        def f():
            long_name = "\u2026\\", b"\xff", "Zürich"
            return long_name
    """,
    "a private function that is called by names, and one that is not": """
        class C:
            def _sum(self, first, second=2, *rest, last=3):
                return [first, second, rest, last]
            def _pair(self, left, right, **more):
                both = lambda left=left: (left, right)
                return both(), sorted(more), [right for right in range(2)]
        def f():
            return C()._sum(1, last=4), C()._sum(1, 2, 3), C()._pair(1, 2, second=3)
    """,
    "stars, defaults and lambdas": """
        def f(*rest, last=1, **more):
            ordered = sorted(((2, "b"), (1, "a")), key=lambda pair: pair[0])
            later = [lambda bound=bound: bound + last for bound in range(2)]
            return ordered, [one() for one in later], rest, more
    """,
}


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_functions_do_the_same(name: str) -> None:
    lines = PROGRAMS[name].splitlines()[1:]
    source = "\n".join(line[8:] for line in lines) + "\n"
    before: dict[str, Any] = {"__name__": "before"}
    after: dict[str, Any] = {"__name__": "after"}
    exec(source, before)
    exec(minified_text(source), after)
    assert repr(after["f"]()) == repr(before["f"]())


def test_variables_are_short_and_parameters_stay() -> None:
    text = minified_text("def f(number):\n    result = number\n    return result\n")
    assert text == "def f(number):\n a=number\n return a\n"


def test_parameters_of_private_functions_are_short_unless_a_call_names_them() -> None:
    source = "def _f(number, other):\n    return number - other\n"
    assert minified_text(source) == "def _f(a,b):\n return a-b\n"
    texts = minified({"one": source, "two": "from .one import _f\n_f(1, other=2)\n"})
    assert texts["one"] == "def _f(a,other):\n return a-other\n"


def test_what_only_annotations_need_goes() -> None:
    texts = minified({
        "one": "import os\nfrom typing import List, Any\nItem = List[Any]\nKind = List[Item]\nSIZE = 1\n",
        "two": "from .one import Kind, SIZE\nfrom .three.deep import C\ndef f(k: Kind, c: C, s: int=SIZE):\n    pass\n",
        "three.deep": "from ..one import Item\nfrom os import sep\nclass C:\n    x: Item\n",
        "four": "from .three.deep import sep\nprint(sep)\n",
    })  # fmt: skip
    assert texts == {
        "one": "SIZE=1\n",
        "two": "from.one import SIZE\ndef f(k,c,s=SIZE):\n pass\n",
        "three.deep": "from os import sep\nclass C:\n pass\n",
        "four": "from.three.deep import sep\nprint(sep)\n",
    }


def test_a_program_in_a_string_is_minified_too() -> None:
    text = minified_text('_PROGRAM = """\n# why\nprint( 1 )\n"""\nOTHER = """\nprint( 1 )\n"""\n')
    assert text == "_PROGRAM='\\nprint(1)\\n'\nOTHER='\\nprint( 1 )\\n'\n"
