"""The browser half as one module: anywidget loads a single one, from a text.

The modules in ``static/`` are plain ES modules that import each other by ``import { a, b } from "./other.js";``, one
statement a line. One after another, each after those that it imports, and without these lines and the word ``export``,
they are one module; its top-level names have to be different, which a test sees to.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).parents[1] / "static"

_IMPORT: Final = re.compile(r'^import \{[^}]*\} from "\./(?P<name>[\w-]+\.js)";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?!default\b)", re.MULTILINE)


@cache
def bundled(entry: str = "job.js") -> str:
    """Return `entry` and all that it imports as the text of one module."""
    parts: dict[str, str] = {}
    _add(entry, parts)
    return "\n".join(f"// --- {name} ---\n\n{text}" for name, text in parts.items())


def _add(name: str, parts: dict[str, str]) -> None:
    if name in parts:
        return
    text = (STATIC / name).read_text("utf-8")
    for found in _IMPORT.finditer(text):
        _add(found["name"], parts)
    parts[name] = _EXPORT.sub("", _IMPORT.sub("", text))
