"""What every test has: a state directory of its own, and parts that may be missing.

A test that needs more than Python says so by `require`, with the reason, when that is missing, and is skipped. The end
of a run says which parts were missing, and how to have them. `STRATOS_REQUIRE=browser,mesos` says which parts must be
there: then such a test fails instead, and so does every other skip of a test that is marked with such a part, and a run
that has no test so marked.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings

from stratos_jupyter import session as sessions
from stratos_jupyter.session import Session
from stratos_jupyter.settings import Stratos
from tests.support import coverage_floors, distribution
from tests.support.missing_parts import MARKED, MISSING, TO_HAVE, PartMissing, skipped_parts

pytest_plugins = ["tests.clusters.hdfs.fixtures", "tests.clusters.mesos.fixtures"]

REACHED = pytest.StashKey[list[str]]()
REQUIRED = frozenset(name.strip() for name in os.environ.get("STRATOS_REQUIRE", "").split(",") if name.strip())

# No deadlines: most examples start a process, on a machine that may be busy. In CI the same examples each time,
# so that its verdict depends on the change and not on luck; everybody else's runs look for new ones.
settings.register_profile("dev", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=300, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def require(part: str, reason: str) -> NoReturn:
    """Skip this test because something that `part` needs is missing; fail when that part is required."""
    assert part in TO_HAVE, part
    if part in REQUIRED:
        pytest.fail(f"{reason}, and STRATOS_REQUIRE names {part}", pytrace=False)
    raise PartMissing(part, reason)


def pytest_configure() -> None:
    if unknown := sorted(REQUIRED - set(TO_HAVE)):
        raise pytest.UsageError(f"STRATOS_REQUIRE: unknown {', '.join(unknown)}; known: {', '.join(sorted(TO_HAVE))}")
    # A script that starts the tests in the background has them ignore what tests of interrupts send.
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    distribution.sort(items)
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        return  # the user named some files
    there = {marker.name for item in items for marker in item.iter_markers()}
    if untested := sorted((REQUIRED & MARKED) - there):
        raise pytest.UsageError(f"STRATOS_REQUIRE: no test is marked {', '.join(untested)}")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped and REQUIRED:
        # A whole file is gone before its markers are known.
        report.outcome = "failed"
        report.longrepr = f"skipped as a whole, which STRATOS_REQUIRE does not allow: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, PartMissing):
        report.user_properties.append((MISSING, call.excinfo.value.part))
    wanted = sorted(name for name in REQUIRED if item.get_closest_marker(name))
    if report.skipped and not hasattr(report, "wasxfail") and wanted:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"required ({', '.join(wanted)}) and yet {reason}"
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    return distribution.processes(os.cpu_count() or 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    return distribution.scheduler(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around what gathers the measurements of all processes
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    result = yield
    if coverage_floors.measures(session.config):
        session.config.stash[REACHED] = coverage_floors.check(session)
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if lines := terminalreporter.config.stash.get(REACHED, []):
        terminalreporter.section("coverage")
        for line in lines:
            terminalreporter.write_line(line, red=line.startswith("ERROR"))
    if lines := skipped_parts(terminalreporter.stats.get("skipped", [])):
        terminalreporter.section("skipped")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that this test's journals and outputs are kept in; nothing of the user's is touched.

    The settings are as they are at the start of a process, whatever the test before has set.
    """
    Stratos.clear_instance()
    home = tmp_path / "stratos"
    monkeypatch.setenv("STRATOS_HOME", str(home))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return home


@pytest.fixture
def session(state_home: Path) -> Iterator[Session]:
    """The process's session, as magics and Processor use it."""
    sessions.close()
    yield sessions.current()
    sessions.close()
