"""Parts of the tests that need more than Python, what each needs, and which of them a run has skipped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

import pytest

#: the parts, and how to have each of them
TO_HAVE: Final = {
    "browser": "install Chromium (Debian: apt-get install chromium); `make test` brings playwright",
    "cgroups": "run as root, or under systemd, on a Linux with cgroups and their memory controller",
    "compiler": "install g++ (Debian: apt-get install g++)",
    "hdfs": "Linux with apt-get and a network, once, and Java 11 to 21 (Debian: apt-get install default-jdk-headless)",
    "mesos": "Linux on x86-64 with a network, once, and g++ and binutils (Debian: apt-get install g++ binutils)",
    "mounts": "run as root, where mounting is allowed",
    "network": "let pip reach a package index",
    "pythons": "install other Pythons, 3.6 or later, by pyenv or on PATH (pyenv install 3.6 3.13)",
    "root": "run as root",
    "strace": "install strace (Debian: apt-get install strace), and allow tracing",
    "zookeeper": "install ZooKeeper (Debian: apt-get install zookeeper)",
}
#: parts with a marker; a test so marked that skips, for whatever reason, skips that part
MARKED: Final = frozenset({"browser", "mesos", "hdfs"})
#: a test that is skipped says in this property of its report which part was missing
MISSING: Final = "missing part"


class PartMissing(pytest.skip.Exception):
    """A skip because a part is missing."""

    __module__ = "builtins"  # as pytest's own: its name alone stands before the reason

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(reason, _use_item_location=True)
        self.part = part


def skipped_parts(skipped: Iterable[pytest.TestReport]) -> list[str]:
    """Return a line for each missing part: how many tests, why, how to have it; then one for each other reason."""
    parts: dict[str, list[str]] = defaultdict(list)
    others: Counter[str] = Counter()
    for report in skipped:
        said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = " ".join(said.partition(": ")[2].split()) or said
        part = dict(getattr(report, "user_properties", ())).get(MISSING)
        if part is None:
            others[reason] += 1
        else:
            parts[part].append(reason)
    lines = []
    for part, reasons in sorted(parts.items()):
        lines.append(f"{part}: {_tests(len(reasons))}: {reasons[0]}. To have it: {TO_HAVE[part]}")
    return lines + [f"other: {_tests(count)}: {reason}" for reason, count in sorted(others.items())]


def _tests(count: int) -> str:
    return "1 test" if count == 1 else f"{count:,} tests"
