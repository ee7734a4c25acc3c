"""A session of this test's own, ended with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stratos_jupyter import session as sessions
from stratos_jupyter.session import Session


@pytest.fixture
def session(state_home: Path) -> Iterator[Session]:
    """The process's session, as magics and Processor use it."""
    sessions.close()
    yield sessions.current()
    sessions.close()
