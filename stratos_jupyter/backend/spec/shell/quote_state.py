"""Which quote is open at the end of a text: a glance, where `shell.Reader` would read all of it. PURE."""

from __future__ import annotations

import re
from typing import Final

#: text in which quotes are closed, up to a comment
_CLOSED: Final = re.compile(r"""(?>[^'"\\\#]++|'[^']*+'|"(?>[^"\\]++|\\.)*+"|\\.|(?<=[^\s;&|()])\#)*+""", re.DOTALL)


def open_quote(text: str) -> str:
    """Return the quote that is open at the end of a text, ``#`` in a comment, '' outside both."""
    closed = _CLOSED.match(text)
    end = closed.end() if closed is not None else 0
    state = text[end : end + 1]
    return state if state in ("'", '"', "#") else ""
