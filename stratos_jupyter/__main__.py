"""``python -m stratos_jupyter attach | status | report | executor | clean``: without a notebook, for tmux and cron."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import session as sessions
from .backend.engines.mesos.executor_bundle import write_executor
from .backend.store.lease import become_background
from .errors import StratosError
from .job import Job
from .magic.text import cleaning_text, runs_text, status_text
from .report.collect import full_summary_of_record
from .report.page import write_report, written_text
from .report.text import clean, plain_text
from .runs.cleanup import clean_home


def main(words: Sequence[str] | None = None) -> int:
    """Run one of the subcommands; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stratos_jupyter", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    attach = commands.add_parser("attach", help="go on with a job that a kernel began")
    attach.add_argument("job", metavar="JOB")
    attach.add_argument("--wait", action="store_true", help="until all of its tasks have ended, with its progress")
    attach.add_argument("--steal", action="store_true", help="take it over from a process that still holds it")
    attach.add_argument("--keep", metavar="HOME", help="wait in silence, and let go when somebody attaches it")
    status = commands.add_parser("status", help="how far jobs are")
    status.add_argument("job", metavar="JOB", nargs="?")
    report = commands.add_parser(
        "report", help="write one page that tells all of a job, also while another process holds it"
    )
    report.add_argument("job", metavar="JOB")
    report.add_argument("-o", dest="file", metavar="FILE", default="", help="where to; JOB-RUN.html here when left out")
    executor = commands.add_parser("executor", help="write the executor, for nodes of a cluster that it is not sent to")
    executor.add_argument("-o", dest="file", metavar="FILE", required=True, help="where to; what is there is replaced")
    cleaning = commands.add_parser("clean", help="end executors, and remove records, that nobody needs")
    cleaning.add_argument("--yes", action="store_true", help="do it; otherwise only say what would be done")
    args = parser.parse_args(words)
    try:
        match args.command:
            case "attach":
                return _attach(args)
            case "status":
                print(runs_text([kept for kept in sessions.current().stored_runs() if args.job in (None, kept.job_id)]))
            case "report":
                summary = full_summary_of_record(sessions.current().home, args.job)
                print(written_text(*write_report(summary, args.file, time.time())))
            case "executor":
                write_executor(args.file)
                print(f"{args.file}: name it in the setting executor_uri, as the nodes see it")
            case "clean":
                print(cleaning_text(clean_home(sessions.current().home, really=args.yes), args.yes))
    except (StratosError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _attach(args: argparse.Namespace) -> int:
    if args.keep:
        become_background()
    session = sessions.current()
    if args.keep:
        session.home = Path(args.keep)
    job = session.attach(args.job, steal=args.steal)
    if not (args.wait or args.keep):
        print(status_text(job.view, job.failure_groups()))
        session.let_go(job)
        return 0
    if (absent := job.absent()) and job.view.unfinished:
        # Nobody can set it in this process.
        session.let_go(job)
        print(f"{clean(args.job)} needs {', '.join(absent)}, which is not set here; set it before", file=sys.stderr)
        return 1
    shown = ""

    def show(view: object) -> None:
        nonlocal shown
        line = plain_text(job.view)
        if line != shown and not args.keep:
            shown = line
            print(line, flush=True)

    ended = job.wait(pump=show)
    if ended or job.halted:
        if job.halted and args.wait:
            print(f"{clean(args.job)} is {job.view.held}, {job.view.unfinished:,} tasks wait", file=sys.stderr)
        return _exit_code(job)
    if args.wait:
        print(f"{clean(args.job)}: another process has taken it over", file=sys.stderr)
    return 1 if args.wait else 0


def _exit_code(job: Job) -> int:
    return 0 if not job.view.failed else 2


if __name__ == "__main__":
    sys.exit(main())
