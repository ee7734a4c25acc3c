"""What a web page or word processor makes of quotes, blanks and dashes: letters as any other to a shell. PURE.

A command that holds them runs, and means something else: ``awk ‘{print}’`` has two words. It is said, never refused,
for a file's name may have them.
"""

from __future__ import annotations

import re
from typing import Final

#: text in quotes and comments, where they are its user's own
_OWN: Final = re.compile(r"""(?<![^\s;&|()])#[^\n]*|'[^']*'|"(?:[^"\\]|\\.)*"|\\.""", re.DOTALL)
_TYPED: Final = re.compile(
    r"""(?<![^\s=(])[“”„‘‚«](?=\S)|(?<=\S)[”“’»](?![^\s;|&)])|[\u00a0\u2000-\u200b\u2028-\u202f\u205f\u2060\u3000\ufeff]"""
    r"""|(?<!\S)[–—−](?=[\w\-])"""
)
_NAMES: Final = {"\u00a0": "a no-break blank", "\ufeff": "a byte order mark", "\u200b": "a blank of no width"}
#: how many of them are named
SHOWN: Final = 3


def pasted(text: str) -> list[str]:
    """Return the characters outside of quotes that were hardly typed as they are, each with its line."""
    if text.isascii():
        return []
    own = text.partition("<<")[0]  # what follows may be a here-document's
    rest = _OWN.sub(lambda found: re.sub(r"[^\n]", "x", found[0]), own)
    found: dict[str, str] = {}
    for match in _TYPED.finditer(rest):
        char = match[0]
        if char not in found:
            blank = char.isspace() or char in _NAMES
            name = _NAMES.get(char, f"a blank U+{ord(char):04X}") if blank else char
            found[char] = f"{name} in line {rest.count(chr(10), 0, match.start()) + 1}"
    return list(found.values())


def pasted_text(found: list[str]) -> list[str]:
    """Return what is to be said of such characters; nothing where there are none."""
    if not found:
        return []
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    shown = ", ".join(found[:SHOWN]) + more
    return [f"a shell takes these for letters, as text from a web page has them: {shown}; type them anew if quotes, "
            "blanks or dashes are meant"]  # fmt: skip
