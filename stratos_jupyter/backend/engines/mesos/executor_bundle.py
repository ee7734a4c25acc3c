"""The executor as it travels: a shell command that holds its source.

Nodes need no route to the kernel and no shared disk, only a python3. The command holds what the executor imports of
itself, minified and compressed. The same fits into one file, for clusters whose nodes are to hold a copy of it.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import os
import shlex
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from ... import executor
from .minify import minified, source_module, without_spaces

#: The exit code of a node that has no python3, or one that is too old; standard error says so in one line.
NO_PYTHON: Final = 69
#: The most bytes of a command.
MOST_BYTES: Final = 64 * 1024

_ENTRY: Final = "guard"
_ROOT: Final = Path(executor.__file__).parent

# Runs on any python3, so that one that is too old says so. The modules are found in a dictionary.
_LOADER: Final = """
if sys.version_info < (3, 6):
    sys.stderr.write("stratos: python3 on this node is %s.%s; 3.6 or later is needed\\n" % sys.version_info[:2])
    sys.exit({code})
import base64, zlib
from importlib.machinery import ModuleSpec
parts = zlib.decompress(base64.b85decode(SOURCE)).decode("ascii").split("\\0")
sources = dict(zip(parts[::2], parts[1::2]))
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in sources:
            return ModuleSpec(name, self, is_package=not sources[name])
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        name = module.__name__
        exec(compile(sources.pop(name), name, "exec"), module.__dict__)
del SOURCE, parts
sys.meta_path.insert(0, Finder())
from executor.{entry} import main
sys.exit(main())
"""


@dataclass(frozen=True)
class PackedExecutor:
    """What a Mesos agent must be told to start the executor.

    Parameters
    ----------
    command : str
        For the shell. It exits with 69 where there is no suitable python3.
    uris : tuple of str
        What the agent has to fetch into the sandbox before; no archives.
    digest : str
        Names this version of the executor; belongs into its id.
    """

    command: str
    uris: tuple[str, ...]
    digest: str


def pack_executor(uri: str = "") -> PackedExecutor:
    """Return how an agent starts the executor.

    Parameters
    ----------
    uri : str
        Where nodes find what :func:`write_executor` has written: a path that all of them have, or an address that
        Mesos can fetch. Without it, the executor travels in the command.
    """
    source = _packed_source()
    if not uri:
        program = f"import sys;SOURCE=sys.argv.pop(){_loader()}"
        start = f"exec python3 -I -S -c {shlex.quote(program)} {shlex.quote(source)}"
        return PackedExecutor(_guarded(start), (), _digest(source))
    fetched = "://" in uri
    path = "./" + uri.rstrip("/").rpartition("/")[2] if fetched else uri
    start = f"exec python3 -I -S {shlex.quote(path)}"
    return PackedExecutor(_guarded(start), (uri,) if fetched else (), _digest(source + uri))


def write_executor(path: str | os.PathLike[str]) -> None:
    """Write the executor as one file, for nodes to find by its path or to fetch; replaces what is there at once."""
    text = (
        "#!/usr/bin/env python3\n"
        "# The executor of stratos_jupyter, for Mesos agents to start.\n"
        f"import sys\nSOURCE = {_packed_source()!r}{_loader()}"
    )
    target = Path(path)
    aside = target.with_name(f"{target.name}.{os.getpid()}.new")
    aside.write_text(text, "ascii")
    aside.chmod(0o755)
    os.replace(aside, target)


def executor_sources() -> dict[str, str]:
    """Return the modules that the executor of a Mesos agent imports, by their names below the package."""
    sources = {_ENTRY: _source(_ENTRY)}
    todo = [_ENTRY]
    for name in todo:
        for node in ast.walk(ast.parse(sources[name])):
            if isinstance(node, ast.ImportFrom) and node.level:
                module = source_module(name, node)
                if module not in sources:
                    sources[module] = _source(module)
                    todo.append(module)
    return sources


def _guarded(start: str) -> str:
    """Say it in one line when there is no python3."""
    sorry = "stratos: no python3 on this node; 3.6 or later is needed"
    return f"command -v python3 >/dev/null 2>&1 || {{ echo {shlex.quote(sorry)} >&2; exit {NO_PYTHON}; }}; {start}"


@cache
def _loader() -> str:
    return "\n" + without_spaces(_LOADER.format(code=NO_PYTHON, entry=_ENTRY))


def _digest(text: str) -> str:
    return hashlib.sha256((_loader() + text).encode()).hexdigest()[:12]


@cache
def _packed_source() -> str:
    texts = minified(executor_sources())
    folders = {f"executor.{name}".rpartition(".")[0] for name in texts}  # packages: modules without a text
    texts = {**dict.fromkeys(folders, ""), **{f"executor.{name}": text for name, text in texts.items()}}
    # In order of their names, so that those of one folder are close together: that compresses best.
    data = "\0".join(part for name in sorted(texts) for part in (name, texts[name])).encode("ascii")
    return base64.b85encode(zlib.compress(data, 9)).decode("ascii")


def _source(name: str) -> str:
    return _ROOT.joinpath(*name.split(".")).with_suffix(".py").read_text("utf-8")
