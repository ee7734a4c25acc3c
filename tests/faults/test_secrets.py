"""What a job is given in its environment is in no file, and a kernel that has not got it launches nothing."""

from __future__ import annotations

import logging
from dataclasses import fields
from pathlib import Path

import pytest

from stratos_jupyter import session as sessions
from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.errors import SpecError
from stratos_jupyter.session import Session
from stratos_jupyter.widgets import JobWidget
from tests.faults.conftest import Start
from tests.faults.kernels import is_up, start
from tests.support.waiting import until

SECRET = "s3cret-value"
CODE = """
import time
from stratos_jupyter.session import current
from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
spec = JobSpec("demo", master="local[1]", cwd={cwd!r}, env=(("TOKEN", {secret!r}),))
texts = ["echo ${{#TOKEN}}; touch begun; until test -e go; do sleep 0.02; done"] + ["echo $TOKEN >> got"] * 5
job = current().submit(spec, explicit_commands(texts))
while not job.view.counts[2]:
    time.sleep(0.01)
print("up", flush=True)
time.sleep(100)
"""


def where(secret: str, *folders: Path) -> list[Path]:
    """Return the files that hold a secret."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if secret.encode() in path.read_bytes()]


def test_a_value_is_nowhere_and_is_asked_for_after_an_attach(
    session: Session,
    run_kernel: Start,
    state_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.delenv("TOKEN", raising=False)
    work = tmp_path / "work"
    work.mkdir()
    kernel = run_kernel(CODE.format(cwd=str(work), secret=SECRET))
    is_up(kernel)
    until(lambda: (work / "begun").exists())
    kernel.kill()
    kernel.wait()
    assert not where(SECRET, state_home)
    job = session.attach("demo")
    assert "TOKEN" in job.view.held
    (work / "go").touch()
    until(lambda: job.view.done == 1, what="what runs to go on")
    with pytest.raises(SpecError, match=r"needs TOKEN, which is not set here; set os.environ\['TOKEN'\]"):
        job.resume()
    assert job.view.done == 1
    assert not (work / "got").exists(), "nothing is launched without it"
    monkeypatch.setenv("TOKEN", SECRET)
    job.resume()
    assert job.wait(20), job.view
    assert (work / "got").read_text().split() == [SECRET] * 5, "what is launched now has it"
    view = job.view
    assert SECRET not in "".join(repr(getattr(view, field.name)) for field in fields(view))
    assert SECRET not in job.results(all=True).to_csv()
    widget = JobWidget()
    widget.show(view)
    assert SECRET not in repr(widget.get_state())
    widget.close()
    assert SECRET not in caplog.text
    sessions.close()
    assert not where(SECRET, state_home)


def test_why_a_job_was_held_is_no_concern_of_the_next_kernel(
    session: Session, state_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "x")
    spec = JobSpec("demo", master="local[1]", cwd=str(tmp_path), env=(("TOKEN", None),))
    texts = ["until test -e go; do sleep 0.02; done", "test $TOKEN = y"]
    job = session.submit(spec, explicit_commands(texts))
    until(lambda: job.view[TaskState.RUNNING])
    session.let_go(job)
    monkeypatch.delenv("TOKEN")
    held = session.attach("demo")
    assert "TOKEN is not set here" in held.view.held
    session.let_go(held)
    attach = "from stratos_jupyter.__main__ import main; raise SystemExit(main(['attach', 'demo', '--wait']))"
    waiting = start(attach, state_home)
    _, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, "demo needs TOKEN, which is not set here" in err) == (1, True), err
    monkeypatch.setenv("TOKEN", "y")
    free = session.attach("demo")
    assert free.view.held == ""
    (tmp_path / "go").touch()
    assert free.wait(20)
    assert free.view[TaskState.FINISHED] == 2
