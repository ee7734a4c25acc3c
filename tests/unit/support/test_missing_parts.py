"""What a run says of the parts that were missing."""

from __future__ import annotations

import pytest

from tests.conftest import require
from tests.support.missing_parts import MISSING, TO_HAVE, PartMissing, skipped_parts


def skipped(reason: str, part: str | None = None) -> pytest.TestReport:
    properties = [] if part is None else [(MISSING, part)]
    where = ("tests/test_some.py", 1, reason)
    return pytest.TestReport(
        "tests/test_some.py::test", ("", 1, ""), {}, "skipped", where, "call", user_properties=properties
    )


def test_a_line_for_each_part_and_for_each_other_reason() -> None:
    reports = [
        skipped("PartMissing: no g++", "compiler"),
        skipped("Skipped: not on this system"),
        skipped("PartMissing: no chromium", "browser"),
        skipped("PartMissing: playwright is not installed", "browser"),
    ]
    assert skipped_parts(reports) == [
        f"browser: 2 tests: no chromium. To have it: {TO_HAVE['browser']}",
        f"compiler: 1 test: no g++. To have it: {TO_HAVE['compiler']}",
        "other: 1 test: not on this system",
    ]
    assert skipped_parts([]) == []


def test_what_is_required_is_named() -> None:
    with pytest.raises(PartMissing, match="no such thing") as caught:
        require("zookeeper", "no such thing")
    assert caught.value.part == "zookeeper"
