"""Attaching: how a process comes to hold a run that another one began, and what it must have to go on with it.

The process that has a run's journal open holds the run; its lease says so to others (`backend.store.lease`). One that
wants a run asks its holder, waits until that has let go, and opens the journal, which no other can open then.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..backend.results.parsers import Parser, is_known, make_parser
from ..backend.spec.job_spec import JobSpec
from ..backend.store.broken_journal import open_whole, set_aside
from ..backend.store.journal import Journal
from ..backend.store.lease import Holder, holder_of, want, want_no_longer
from ..errors import EngineError, JournalBusy, JournalError, SpecError, StratosError
from .recorded_run import RecordedSubmission

#: how long another process may take to let go of a run, in seconds
LET_GO_S: Final = 10.0
#: how often it is looked whether it has, in seconds
RETRY_S: Final = 0.05


def open_released(job_id: str, folder: Path, steal: bool) -> Journal:
    """Open the journal of a run, which no other process can open then; ask its holder to let go first.

    Parameters
    ----------
    job_id : str
        The job, for errors.
    folder : Path
        The run's.
    steal : bool
        Ask a living process as well; without it, only one that goes on with the run in the background is asked.

    Raises
    ------
    EngineError
        Another living process holds it, and is not asked, does not let go, or has been faster.
    JournalError
        The record cannot be read; it has been set aside.
    """
    until_s = time.monotonic() + LET_GO_S
    while True:
        _ask_for(job_id, folder, steal, until_s)
        try:
            return open_whole(folder)
        except JournalBusy as error:
            # Another process was faster. With `steal` it is asked as well: all that want the run get it in turn.
            if not steal or time.monotonic() >= until_s:
                want_no_longer(folder)
                raise EngineError(f"{job_id}: another process has just taken it; try again") from error
        time.sleep(RETRY_S)


def _ask_for(job_id: str, folder: Path, steal: bool, until_s: float) -> None:
    """Ask a holder that lives to let go of a run, and wait for it."""
    holder, lease = holder_of(folder)
    if lease is None or holder in (Holder.NOBODY, Holder.DEAD, Holder.US):
        return
    whose = f"process {lease.pid} on {lease.host}"
    if not (steal or (lease.background and holder is Holder.ALIVE)):
        sure = "" if holder is Holder.ALIVE else ", if that still runs"
        raise EngineError(
            f"{job_id} is held by {whose}{sure}; attach it with --steal (steal=True) to take it over from there"
        )
    want(folder)
    while holder_of(folder)[1] == lease and time.monotonic() < until_s:
        time.sleep(RETRY_S)
    if holder_of(folder)[1] == lease and holder is Holder.ALIVE:
        want_no_longer(folder)
        raise EngineError(f"{job_id}: {whose} does not let go of it within {LET_GO_S:g} s; end that process first")


def read_submissions(journal: Journal) -> tuple[JobSpec, list[RecordedSubmission]]:
    """Read the spec and the commands of a run that is about to go on.

    Raises
    ------
    JournalError
        They are not what they should be: the journal is closed and has been set aside; or a newer version has written
        them: it is closed, and as it was.
    """
    try:
        facts, submissions = journal.contents()
        return JobSpec.from_record(facts["spec"]), [RecordedSubmission.from_record(one[-1]) for one in submissions]
    except (KeyError, TypeError, ValueError) as error:
        journal.close()
        raise set_aside(journal.folder, str(error)) from error
    except StratosError as error:
        journal.close()
        raise JournalError(f"{journal.folder}: {error}") from error


def why_held(absent: Sequence[str]) -> str:
    """Say why an attached job is held that names variables which have no value here; '' when there are none."""
    if not absent:
        return ""
    each = ", ".join(f"os.environ[{name!r}]" for name in absent)
    return f"held: {', '.join(absent)} is not set here; set {each}, then resume the job"


def goes_on_without_notebook(spec: JobSpec) -> bool:
    """Say whether a process without a notebook can go on with a job."""
    return not spec.fails_on_parse or is_known(spec.parse)


def parser_without_notebook(spec: JobSpec) -> Parser | None:
    """Return the parser of a job where no notebook defines functions; only a job that fails by it needs one.

    Raises
    ------
    SpecError
        It is a function.
    """
    if not spec.fails_on_parse:
        return None
    if not goes_on_without_notebook(spec):
        raise SpecError(
            f"{spec.job_id} fails tasks whose output {spec.parse} cannot parse, a function of its notebook: attach the "
            "job in a notebook that defines it"
        )
    return make_parser(spec.parse, spec.columns)
