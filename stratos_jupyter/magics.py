"""``%%stratos`` hands commands over, ``%stratos`` asks what became of them.

A magic reads its line, builds a spec and hands it to the session. Nothing in a line or cell is expanded: ``{}``,
``$`` and ``%f%`` belong to the user's command.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.display import display

from . import session as sessions
from . import settings
from .backend.results.parsers import Parser
from .backend.spec.commands import Commands, explicit_lines, reads, template_commands
from .backend.spec.job_spec import JobSpec
from .backend.spec.options import LIVE_TEXT, NAMED
from .backend.spec.parse_values import near, parse_size_mib
from .errors import JobNotFound, SpecError, UsageError
from .job_inputs import glob_on
from .job_options import parser_of, tried
from .magic.arguments import HelpAsked, argument, group, overview, split, subcommand, subcommands
from .magic.completion import Completer
from .magic.into import Bindings
from .magic.options import argument_of, spec_of_cell, submission_options, task_indices, wrong_name
from .magic.text import (
    cleaning_text,
    jobs_text,
    log_text,
    preview_text,
    printable,
    remains_text,
    runs_text,
    status_text,
    table,
)
from .report.collect import full_summary_of, full_summary_of_record, summary_of
from .report.page import write_report, written_text
from .report.text import clean
from .resume import resume
from .runs.cleanup import clean_home
from .widgets import JobDisplay, JobsWidget

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .job import Job
    from .session import Session

_JOB: Final = argument("JOB", "the job; the newest when left out", optional=True, complete="jobs")
_NAMED_JOB: Final = argument("JOB", "the job", complete="jobs")


#: who interrupts again within this time may want more than to stop waiting, in seconds
TWICE_S: Final = 2.0
#: how long outputs may be parsed for a status, in seconds
STATUS_S: Final = 2.0


class Interrupted(KeyboardInterrupt):
    """Waiting was interrupted; the tasks go on.

    Still a KeyboardInterrupt, shown as one line: the cell ends with it, so that *Run All* stops instead of
    going on with results that are not there yet.
    """

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@magics_class
class StratosMagics(Magics):
    """The magics of one shell.

    Parameters
    ----------
    shell : InteractiveShell
        The shell, whose variables templates and parsers are.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._user_ns: dict[str, Any] = shell.user_ns
        self._settings = settings.current()
        self._subcommands = subcommands(type(self))
        #: of the newest cell that shows a job, by name and run
        self._displays: dict[tuple[str, int], JobDisplay] = {}
        self._interrupted_s = -TWICE_S
        self.bindings = Bindings(shell)
        self.completer = Completer(
            shell,
            self._subcommands,
            lambda: [job.job_id for job in self._session().jobs()],
            lambda: [run.job_id for run in self._session().stored_runs()],
        )

    @no_var_expand
    @line_cell_magic
    def stratos(self, line: str, cell: str | None = None) -> Any:
        """Run programs over files and parameters.

        As a cell, ``%%stratos glob | template | explicit``: the cell's body is the command. As a line,
        ``%stratos jobs``, ``status``, ``log`` and others ask what became of it. ``%stratos help`` lists all.
        """
        words = split(line)
        if cell is None and words and line.rstrip().endswith(";"):
            words[-1] = words[-1].removesuffix(";")  # typed by habit; no word of ours ends so
            words = [word for word in words if word]
        if not words:
            if cell is not None:
                raise UsageError("%%stratos what? glob, template or explicit; %stratos help says more")
            jobs = self._session().jobs
            if jobs() and getattr(self.shell, "kernel", None) is not None:
                display(JobsWidget(jobs, lambda: jobs_text(jobs())))
            else:
                print(jobs_text(jobs()), overview(self._subcommands.values()), sep="\n\n")
            return None
        made = self._subcommands.get(words[0])
        if made is None:
            unknown = f"unknown subcommand {words[0]}{near(words[0], self._subcommands)}"
            raise UsageError(f"{unknown}\n{overview(self._subcommands.values())}")
        if made.cell and cell is None and not {"-h", "--help"} & set(words):
            raise made.error(f"{made.name} is for a cell: two %, and the command on the lines below")
        if not made.cell and cell is not None:
            raise made.error(f"{made.name} is for a line: one %, and no lines below")
        try:
            args = made.read(words[1:])
        except HelpAsked:
            print(made.help())
            return None
        args.made = made
        if made.cell:
            args.body = (cell or "").rstrip("\r\n")
            if not args.body.strip():
                raise made.error("the cell has no command")
        handle: Callable[[argparse.Namespace], Any] = getattr(self, f"do_{made.name}")
        return handle(args)

    @subcommand("%%stratos glob data/*.txt --job demo --into df --parse tsv --columns lines:int,words:int\n"
                "wc -lw < %f%", cell=True)  # fmt: skip
    @argument("PATTERN", "files, a task for each; ** goes through directories", complete="files", pattern=True)
    @submission_options
    def do_glob(self, args: argparse.Namespace) -> None:
        """Run the cell's body, a shell script, once for each file; %f% is its name.

        The whole body is one script, whose ``%f%`` becomes the file's name, quoted as its place demands.
        """

        def make(spec: JobSpec) -> Commands:
            session = self._session()
            elsewhere = not session.site(spec.master).sees_files_here
            return glob_on(session.files(spec), spec, args.body, args.PATTERN, absolute=elsewhere)

        self._submit(args, make)

    @subcommand("%%stratos template angles --job sweep\ngalaxy_view -a %c% -e %c% snapshot.dat", cell=True)
    @argument("PARAMS", "a variable: list of strings, lists or dicts, dict of columns, DataFrame or array",
              complete="parameters")  # fmt: skip
    @submission_options
    def do_template(self, args: argparse.Namespace) -> None:
        """Run the cell's body, a shell script, once for each row of a variable; %c% are its values."""
        self._submit(args, lambda spec: template_commands(args.body, self._variable(args.PARAMS), reads(spec)))

    @subcommand("%%stratos explicit --job pair\n./simulate --seed 1\n./simulate --seed 2", cell=True)
    @submission_options
    def do_explicit(self, args: argparse.Namespace) -> None:
        r"""Run each line of the cell as a command; a \ at a line's end continues it.

        Each line must be complete by itself, a loop as well. A first line #!INTERPRETER reads all of them.
        """
        self._submit(args, lambda spec: explicit_lines(args.body, reads(spec)))

    @subcommand("%stratos connect local[4]")
    @argument("MASTER", NAMED["master"].help, complete="engines")
    def do_connect(self, args: argparse.Namespace) -> None:
        """Choose where the jobs of this session run."""
        what = self._session().site(args.MASTER).describe()
        self._settings.assign("master", args.MASTER, "%stratos connect")
        print(f"jobs run on {clean(what)} from now on")

    @subcommand("%stratos attach demo")
    @argument("JOB", "a job that another kernel began; all of them when left out", optional=True, complete="kept")
    @argument("--steal", "take it over from a process that still holds it")
    @group(argument_of(NAMED["into"]))
    def do_attach(self, args: argparse.Namespace) -> None:
        """Go on with a job that another kernel began; without a name, list what there is."""
        session = self._session()
        if args.JOB is None:
            print(runs_text(session.stored_runs()))
            return
        if args.into is not None and (wrong := wrong_name(args.into)):
            raise args.made.error(wrong)
        job = session.attach(args.JOB, steal=args.steal, make_parser=self._parser)
        with self._attending(job):
            if args.into:
                self.bindings.bind(args.into, job)
            self._show(job)

    @subcommand("%stratos detach demo")
    @_JOB
    def do_detach(self, args: argparse.Namespace) -> None:
        """Hand a job to a process of its own, which goes on with it when this kernel is gone."""
        session = self._session()
        job = session.job(args.JOB)
        name, view = clean(job.job_id), job.view
        pid = session.detach(job)
        self._displays.pop((job.job_id, job.run), None)
        self.bindings.refresh()
        print(f"{name} goes on in process {pid}, {view.unfinished:,} of {view.total:,} tasks to go; "
              f"%stratos attach {name} takes it back")  # fmt: skip

    @subcommand("%stratos clean --yes")
    @argument("--yes", "do it; otherwise only say what would be done")
    def do_clean(self, args: argparse.Namespace) -> None:
        """End executors, and remove records, that nobody needs: of jobs that have ended, or were run again since."""
        print(cleaning_text(clean_home(self._session().home, really=args.yes), args.yes))

    @subcommand("%stratos jobs")
    def do_jobs(self, args: argparse.Namespace) -> None:
        """List the jobs of this session."""
        print(jobs_text(self._session().jobs()))

    @subcommand("%stratos status demo")
    @_JOB
    def do_status(self, args: argparse.Namespace) -> None:
        """Show how far a job is, and why tasks failed, those that failed alike together."""
        job = self._session().job(args.JOB)
        lives_in = self._session().site(job.spec.master).ends_with
        unparsed = job.parse_trouble(STATUS_S)
        print(status_text(job.view, job.failure_groups(), lives_in, unparsed, job.unparsed))

    @subcommand("%stratos wait demo")
    @_JOB
    def do_wait(self, args: argparse.Namespace) -> None:
        """Wait until all tasks of a job have ended, and show its progress."""
        job = self._session().job(args.JOB)
        with self._attending(job):
            self._wait(job, self._show(job))

    @subcommand("df = %stratos results demo")
    @_JOB
    @argument("--all", "every task, not only those that have ended")
    def do_results(self, args: argparse.Namespace) -> Any:
        """Return the results of a job as a DataFrame."""
        job = self._session().job(args.JOB)
        return job.results(all=True) if args.all else job.df

    @subcommand("%stratos log demo 17")
    @_NAMED_JOB
    @argument("TASK", "its index")
    def do_log(self, args: argparse.Namespace) -> None:
        """Show a task's command, attempts and the end of what it wrote."""
        job = self._session().job(args.JOB)
        for task in self._tasks(args, [args.TASK], job):
            print(log_text(job, job.log(task)))

    @subcommand("%stratos report demo -o demo.html")
    @_JOB
    @argument("-o", "where to; JOB-RUN.html in the working directory when left out", "FILE", complete="files")
    def do_report(self, args: argparse.Namespace) -> None:
        """Write one page that tells all of a job, for whoever has no notebook: failures, nodes, run times, tasks."""
        session = self._session()
        try:
            summary = full_summary_of(session.job(args.JOB))
        except JobNotFound:
            if args.JOB is None:
                raise
            summary = full_summary_of_record(session.home, args.JOB)
        print(written_text(*write_report(summary, args.o or "", time.time())))

    @subcommand("%stratos why demo 17")
    @_JOB
    @argument("TASK", "its index; all that wait when left out", optional=True)
    @argument("--trace", "then also the last events of the job, and what was decided on each")
    def do_why(self, args: argparse.Namespace) -> None:
        """Say what waits for what, and what would change it."""
        job = self._session().job(args.JOB)
        for task in self._tasks(args, [args.TASK], job) if args.TASK is not None else [None]:
            print(printable(job.why(task, trace=args.trace)))

    @subcommand("%stratos kill demo 3-7")
    @_NAMED_JOB
    @argument("TASK", "tasks, as 3, 3-7 or 3,9; all when left out", many=True, optional=True)
    def do_kill(self, args: argparse.Namespace) -> None:
        """End tasks of a job, or all of it."""
        job = self._session().job(args.JOB)
        name = clean(job.job_id)
        if not job.view.unfinished:
            print(f"{name} has ended; there is nothing to kill")
            return
        count = job.kill(self._tasks(args, args.TASK, job) if args.TASK else None)
        print(f"{name}: {count:,} of {job.view.total:,} tasks asked to end" if count else "these tasks have ended")

    @subcommand("%stratos relaunch demo 3-7 12")
    @_NAMED_JOB
    @argument("TASK", "tasks, as 3, 3-7 or 3,9", many=True, optional=True)
    @argument("--failed", "all that failed or were lost")
    @argument("--mem", "how much memory each may have from now on: 512M, 2G; a bare number is MiB", "SIZE")
    def do_relaunch(self, args: argparse.Namespace) -> None:
        """Run tasks of a job once more; those that still run are ended first."""
        job = self._session().job(args.JOB)
        if args.failed == bool(args.TASK):
            raise args.made.error("relaunch which tasks? Name them, or say --failed")
        name = clean(job.job_id)
        mem_mib = None if args.mem is None else parse_size_mib(args.mem)
        count = job.relaunch(None if args.failed else self._tasks(args, args.TASK, job), mem_mib)
        if not count:
            print(f"{name}: no task has failed")
            return
        waits = f"; it is {job.view.held}: %stratos resume {name} launches them" if job.view.held else ""
        print(f"{name}: {count:,} of {job.view.total:,} tasks run once more{waits}")

    @subcommand("%stratos pause demo")
    @_JOB
    def do_pause(self, args: argparse.Namespace) -> None:
        """Launch nothing more of a job for now; what runs goes on."""
        job = self._session().job(args.JOB)
        job.pause()
        print(f"{clean(job.job_id)} is paused: {remains_text(job.view)}")

    @subcommand("%stratos resume demo")
    @_JOB
    def do_resume(self, args: argparse.Namespace) -> None:
        """Launch on after a pause, or after failures have halted a job."""
        job = self._session().job(args.JOB)
        held = job.view.held
        job.resume()
        name = clean(job.job_id)
        if held and job.view.unfinished:
            print(f"{name} goes on")
        else:
            print(f"{name} {'was not held' if job.view.unfinished else 'has ended'}; nothing changes")

    @subcommand("%stratos set demo max_tasks=8 rate=10/s")
    @_NAMED_JOB
    @argument("NAME=VALUE", f"{LIVE_TEXT}; none takes a bound away", many=True, complete="live")
    def do_set(self, args: argparse.Namespace) -> None:
        """Change the pace of a job while it runs."""
        pairs = [word.partition("=") for word in getattr(args, "NAME=VALUE")]
        if wrong := [name for name, assigned, _ in pairs if not assigned]:
            raise args.made.error(f"{', '.join(wrong)}: write NAME=VALUE, as max_tasks=8")
        names = [name for name, _, _ in pairs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise args.made.error(f"{', '.join(twice)}: given twice")
        job = self._session().job(args.JOB)
        job.set(**{name: value for name, _, value in pairs})
        print(f"{clean(job.job_id)}: " + ", ".join(f"{name}={clean(value)}" for name, _, value in pairs))

    @subcommand("%stratos config")
    def do_config(self, args: argparse.Namespace) -> None:
        """Show the settings and where each of them comes from."""
        shown = {name: getattr(self._settings, name) for name in self._settings.names()}
        shown["secret"] = "(set, and not shown)" if shown["secret"] else ""
        rows = [(name, value, self._settings.origin(name)) for name, value in shown.items()]
        print(table(("setting", "value", "from"), [(name, str(value), origin) for name, value, origin in rows]))
        print("\nchange one for this session: %config Stratos.threads = 2")

    @subcommand("%stratos help glob")
    @argument("SUBCOMMAND", "what to explain", optional=True, complete="subcommands")
    def do_help(self, args: argparse.Namespace) -> None:
        """Explain a subcommand, or list all."""
        if args.SUBCOMMAND is None:
            print(overview(self._subcommands.values()))
        elif args.SUBCOMMAND in self._subcommands:
            print(self._subcommands[args.SUBCOMMAND].help())
        else:
            raise args.made.error(f"unknown subcommand {args.SUBCOMMAND}{near(args.SUBCOMMAND, self._subcommands)}")

    def _submit(self, args: argparse.Namespace, make: Callable[[JobSpec], Commands]) -> None:
        spec, unread = spec_of_cell(args, self._settings, self._user_ns)
        session = self._session()
        (parser, commands, _), refused = tried(
            lambda: self._parser(spec), lambda: make(spec), lambda: session.check(spec)
        )
        wrong = "; ".join([*unread, *map(str, refused)])
        if unread or any(isinstance(error, UsageError) for error in refused):
            raise args.made.error(wrong)
        if refused:
            raise SpecError(wrong)
        if args.resume:
            self._resume(args, spec, commands, parser)
            return
        if args.dry_run:
            spec = session.check(spec, commands)
            commands, said = session.resolve(spec, commands)
            print(preview_text(spec, commands, args.body, said))
            return
        if args.into:
            import_module(
                ".backend.results.table", __package__
            )  # pandas takes a while: an interrupt had better come before the job
        self._follow(args, session.submit(spec, commands, parser=parser))

    def _resume(self, args: argparse.Namespace, spec: JobSpec, commands: Commands, parser: Parser | None) -> None:
        if args.into and not args.dry_run:
            import_module(".backend.results.table", __package__)
        session = self._session()
        job, tally = resume(session, spec, commands, parser=parser, dry_run=args.dry_run)
        said = [] if job is not None else [*session.resolve(session.check(spec), commands)[1], "nothing was started"]
        print(tally, *map(printable, [*tally.says, *said]), sep="\n")
        if job is not None:
            self._follow(args, job)

    def _follow(self, args: argparse.Namespace, job: Job) -> None:
        with self._attending(job):
            if args.into:
                self.bindings.bind(args.into, job)
            display = self._show(job)
            if args.wait:
                self._wait(job, display)

    def _wait(self, job: Job, display: JobDisplay) -> None:
        if not job.wait(pump=display.pump) and job.halted:
            print(f"{clean(job.job_id)}: {remains_text(job.view)}")
        self.bindings.complete(job)

    def _session(self) -> Session:
        session = sessions.current()
        session.home = Path(self._settings.home)  # runs that exist stay where they are
        return session

    def _parser(self, spec: JobSpec) -> Parser | None:
        return parser_of(spec, self._user_ns)

    def _variable(self, name: str) -> Any:
        if name not in self._user_ns:
            names = [known for known in self._user_ns if not known.startswith("_")]
            raise UsageError(f"there is no variable {name}{near(name, names)}; PARAMS names a list, dict or DataFrame")
        return self._user_ns[name]

    def _tasks(self, args: argparse.Namespace, words: list[str], job: Job) -> list[int]:
        try:
            return task_indices(words, len(job.commands))
        except ValueError as error:
            raise args.made.error(str(error)) from None

    def _show(self, job: Job) -> JobDisplay:
        older = self._displays.get((job.job_id, job.run))
        if older is not None and older.widget is None:
            older.close()  # in a terminal each of them would print its line
        display = JobDisplay(tell=lambda view: summary_of(job, view), shell=self.shell)
        display.follow(job)
        self._displays[job.job_id, job.run] = display
        return display

    def _interrupted(self, job: Job) -> Interrupted:
        """Say what goes on; to who interrupts twice, offer the command that ends it."""
        now_s = time.monotonic()
        twice = now_s - self._interrupted_s < TWICE_S
        self._interrupted_s = now_s
        if twice and job.view.unfinished and self.shell is not None:
            self.shell.set_next_input(f"%stratos kill {job.job_id}")
        return Interrupted(f"interrupted: {remains_text(job.view)}")

    @contextmanager
    def _attending(self, job: Job) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            raise self._interrupted(job) from None
        finally:
            self.bindings.refresh()


def load(ip: InteractiveShell) -> None:
    """Add the magics to a shell; ``%load_ext stratos_jupyter`` does it."""
    unload(ip)
    magics = StratosMagics(ip)
    ip.register_magics(magics)
    ip.events.register("pre_run_cell", magics.bindings.refresh)
    ip.Completer.custom_matchers.append(magics.completer.match)


def unload(ip: InteractiveShell) -> None:
    """Take the magics out of a shell again; jobs go on."""
    magics = ip.magics_manager.registry.pop(StratosMagics.__name__, None)
    if magics is None:
        return
    ip.events.unregister("pre_run_cell", magics.bindings.refresh)
    ip.Completer.custom_matchers.remove(magics.completer.match)
    for kind in ("line", "cell"):
        ip.magics_manager.magics[kind].pop("stratos", None)
