"""Which tests go to which process: a file's to one, for what they share, and the longest files first."""

from __future__ import annotations

from typing import Any, Final

import pytest

#: files that take longest, the longest first: one that begins last would be waited for while the other processes idle
LONGEST: Final = (
    "tests/unit/backend/core/test_scheduler_machine.py",
    "tests/integration/test_attach.py",
    "tests/hdfs/test_jobs.py",
    "tests/browser/test_report_pages.py",
    "tests/mesos/test_jobs.py",
    "tests/hdfs/test_hdfs.py",
    "tests/browser/test_widget.py",
    "tests/mesos/test_kills.py",
    "tests/mesos/test_failures.py",
    "tests/browser/test_lab.py",
    "packaging/http-parser/tests/test_install.py",
)
#: files whose tests share nothing and take long: they are handed out one by one
ONE_BY_ONE: Final = ("tests/unit/backend/core/test_scheduler_machine.py",)


def processes(processors: int) -> int:
    """Return how many processes run the tests: most of a test's time is waiting, so on few processors twice as many."""
    return max(processors, min(2 * processors, 4))


def file_of(nodeid: str) -> str:
    """Return the file of a test."""
    return nodeid.partition("::")[0]


def sort(items: list[pytest.Item]) -> None:
    """Put the tests of the files that take longest first; all processes do so alike."""
    places = {file: place for place, file in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(file_of(item.nodeid), len(places)))


def scheduler(config: pytest.Config, log: Any) -> object:
    """Return what hands the tests out, for ``--dist loadfile``."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):  # type: ignore[misc]  # it ships no types
        def _split_scope(self, nodeid: str) -> str:
            file = file_of(nodeid)
            return nodeid if file in ONE_BY_ONE else file

    config.option.loadscopereorder = False  # in the order of `sort`
    return ByFile(config, log)
